// SPDX-License-Identifier: GPL-2.0

//! A command that is run several times, and the program that the kernel starts for it.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::Read as _,
    os::unix::{ffi::OsStrExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{bail, Context as _, Result};
use rustix::process::{kill_process, Pid, Signal};

use crate::interrupt::Interrupt;

/// How often something that cannot be waited for is looked at.
pub const POLL: Duration = Duration::from_millis(10);

/// How long a command has to end after it was asked to.
const PATIENCE: Duration = Duration::from_secs(2);

/// Bytes of a script that the kernel looks at.
const SCRIPT_HEAD: u64 = 256;

/// Scripts that are run by scripts: the kernel goes no deeper.
const SCRIPT_DEPTH: usize = 5;

/// A command, found as a shell would find it.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The file that is executed.
    pub path: PathBuf,
    name: OsString,
    arguments: Vec<OsString>,
}

impl Launch {
    /// Finds the command whose words are `words`.
    pub fn find(words: &[OsString]) -> Result<Self> {
        let (name, arguments) = words.split_first().context("there is no command")?;
        Ok(Self {
            path: find(name)?,
            name: name.clone(),
            arguments: arguments.to_vec(),
        })
    }

    /// The program that the kernel starts: for a script, the one that runs it.
    pub fn program(&self) -> Result<PathBuf> {
        let mut path = self.path.clone();
        for _ in 0..SCRIPT_DEPTH {
            match interpreter(&path)? {
                Some(interpreter) => path = interpreter,
                None => return Ok(path),
            }
        }
        bail!("{}: a script of a script of a script", self.path.display())
    }

    /// The words of the command in one line.
    pub fn line(&self) -> String {
        let words = std::iter::once(&self.name).chain(&self.arguments);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        words.join(" ")
    }

    /// Runs it until it ends, or asks it to end when a signal has come. What it prints is thrown
    /// away unless there is to be `output`.
    pub fn run(&self, output: bool, interrupt: &Interrupt) -> Result<ExitStatus> {
        let mut command = Command::new(&self.path);
        // As a shell starts it: its name can decide what it does.
        command.arg0(&self.name).args(&self.arguments);
        if !output {
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null());
        }
        let mut child = command
            .spawn()
            .with_context(|| format!("cannot start {}", self.path.display()))?;
        loop {
            if let Some(status) = child.try_wait()? {
                return Ok(status);
            }
            if interrupt.signal().is_some() {
                return end(&mut child);
            }
            thread::sleep(POLL);
        }
    }
}

/// Asks a command to end, and makes it if it does not.
fn end(child: &mut Child) -> Result<ExitStatus> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // If that fails it has ended by itself.
        let _ = kill_process(pid, Signal::TERM);
    }
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        thread::sleep(POLL);
    }
    child.kill()?;
    Ok(child.wait()?)
}

/// Finds the file that `name` stands for.
pub fn find(name: &OsStr) -> Result<PathBuf> {
    which::which(name).with_context(|| format!("{}: no such command", name.to_string_lossy()))
}

/// The program that runs the script at `path`; [`None`] if it is no script.
fn interpreter(path: &Path) -> Result<Option<PathBuf>> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(SCRIPT_HEAD).read_to_end(&mut head))
        .with_context(|| format!("cannot read {}", path.display()))?;
    let Some(line) = head.strip_prefix(b"#!") else {
        return Ok(None);
    };
    let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut words = line
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty())
        .map(|word| Path::new(OsStr::from_bytes(word)));
    let Some(interpreter) = words.next() else {
        bail!(
            "{}: a script that does not say what runs it",
            path.display()
        );
    };
    if interpreter.file_name() != Some(OsStr::new("env")) {
        return Ok(Some(interpreter.to_owned()));
    }
    // What env starts, after its options and the variables that it sets.
    let is_name = |word: &&Path| {
        let word = word.as_os_str().as_bytes();
        !word.starts_with(b"-") && !word.contains(&b'=')
    };
    match words.find(is_name) {
        Some(name) => find(name.as_os_str()).map(Some),
        None => Ok(Some(interpreter.to_owned())),
    }
}
