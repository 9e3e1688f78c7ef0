// SPDX-License-Identifier: GPL-2.0

//! A directory with programs in it, and ways to look at them.

use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// A directory of its own for each test.
pub(crate) struct World {
    directory: TempDir,
}

/// What must not change when a file is refused.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct State {
    inode: u64,
    bytes: Vec<u8>,
    metadata: (u32, u32, u32, i64, i64, i64, i64),
}

/// What a program did.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Self { directory }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a program. This process must not have it open for writing: another test may start
    /// a process at that moment, and as long as that has the file open too, it cannot be started.
    pub(crate) fn add(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let raw = self.path(&format!("{name}.raw"));
        fs::write(&raw, bytes).unwrap();
        let path = self.copy(&raw, name);
        fs::remove_file(raw).unwrap();
        path
    }

    /// Copies a program.
    pub(crate) fn copy(&self, from: &Path, name: &str) -> PathBuf {
        let path = self.path(name);
        must(Command::new("cp").arg("--").arg(from).arg(&path));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// Compiles a C program with the compiler's arguments `how`.
    pub(crate) fn compile(&self, name: &str, how: &[&str]) -> PathBuf {
        self.compile_source(name, how, HELLO)
    }

    pub(crate) fn compile_source(&self, name: &str, how: &[&str], source: &str) -> PathBuf {
        let file = self.path(&format!("{name}.c"));
        fs::write(&file, source).unwrap();
        let path = self.path(name);
        must(Command::new("cc").args(how).arg("-o").arg(&path).arg(file));
        path
    }

    /// The names in the directory.
    pub(crate) fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

const HELLO: &str = r#"
#include <stdio.h>
#include <unistd.h>
static int table[5000] = {1, 2, 3};
int main(int argc, char **argv)
{
	printf("hello %d %d\n", argc, table[argc]);
	if (argc > 2)
		sleep(30);
	return 7;
}
"#;

/// Runs the tool.
pub(crate) fn tool<S: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = S>) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pbitmap-tool"));
    command.args(arguments).env("LC_ALL", "C.UTF-8");
    output(command.output().unwrap())
}

/// Runs the tool on one file.
pub(crate) fn on(path: &Path, arguments: &[&str]) -> Ran {
    let path = path.to_str().unwrap();
    tool(arguments.iter().copied().chain([path]))
}

/// Runs the tool on one file, and it must be happy.
pub(crate) fn good(path: &Path, arguments: &[&str]) -> String {
    let ran = on(path, arguments);
    assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{arguments:?}");
    ran.stdout
}

/// Starts a program and waits for its end.
pub(crate) fn run(path: &Path, arguments: &[&str]) -> Ran {
    for _ in 0..100 {
        match Command::new(path).args(arguments).output() {
            Ok(ran) => return output(ran),
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("{}: {error}", path.display()),
        }
    }
    panic!("{}: busy", path.display());
}

/// Runs a command that must succeed, and gives what it prints.
pub(crate) fn must(command: &mut Command) -> String {
    let ran = output(
        command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| {
                panic!("{command:?}: {error}; is it installed?");
            }),
    );
    assert_eq!(ran.code, Some(0), "{command:?}: {}", ran.stderr);
    ran.stdout
}

pub(crate) fn state(path: &Path) -> State {
    let metadata = fs::metadata(path).unwrap();
    State {
        inode: metadata.ino(),
        bytes: fs::read(path).unwrap(),
        metadata: (
            metadata.mode(),
            metadata.uid(),
            metadata.gid(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec(),
        ),
    }
}

/// What readelf has to say against a file.
pub(crate) fn complaints(path: &Path) -> Vec<String> {
    let output = Command::new("readelf")
        .arg("-hlSW")
        .arg(path)
        .output()
        .unwrap();
    let lines = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&lines)
        .lines()
        .filter(|line| line.contains("arning") || line.contains("rror"))
        .map(str::to_owned)
        .collect()
}

fn output(output: Output) -> Ran {
    Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
