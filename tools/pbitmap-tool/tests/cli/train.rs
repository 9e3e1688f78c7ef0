// SPDX-License-Identifier: GPL-2.0

use std::{
    fs,
    io::Read as _,
    os::unix::{fs::PermissionsExt as _, process::ExitStatusExt as _},
    path::{Path, PathBuf},
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{kill_process, test_kill_process, Pid, Signal};
use serde_json::Value;

use crate::{
    kernel::{line, Kernel},
    support::{annotate, record},
    world::{on, World},
};

const EXACT: [&str; 5] = ["4096", "0", "0", "2", "0"];

/// Prints what training changes, to a file that a script finds in `$seen`.
const LOOK: &str = r#"
    cd "$kernel" && echo $(cat sys/kernel/debug/fault_around_bytes proc/sys/vm/pbitmap_window_ms \
        proc/sys/vm/pbitmap_update_interval proc/sys/vm/pbitmap_merge \
        proc/sys/vm/pbitmap_backoff) >>"$seen"
"#;

/// A shell with a bitmap, and a kernel to train it under.
struct Training {
    world: World,
    kernel: Kernel,
    shell: PathBuf,
    before: Vec<(String, String)>,
}

impl Training {
    fn new() -> Self {
        let world = World::new();
        let kernel = Kernel::new(&world);
        // What training sets is something else before.
        kernel.set("proc/sys/vm/pbitmap_update_interval", "3600\n");
        kernel.set("proc/sys/vm/pbitmap_merge", "1\n");
        let shell = world.add("sh", &annotate(&fs::read("/bin/sh").unwrap()));
        Self {
            before: kernel.settings(),
            world,
            kernel,
            shell,
        }
    }

    /// The words of a command that has the shell run `script`.
    fn words<'a>(&'a self, options: &[&'a str], script: &'a str) -> Vec<&'a str> {
        let shell = self.shell.to_str().unwrap();
        [&["train"], options, &["--", shell, "-c", script]].concat()
    }

    fn command(&self, words: &[&str]) -> std::process::Command {
        let mut command = self.kernel.command(words);
        command
            .env("kernel", self.kernel.path(""))
            .env("seen", self.world.path("seen"))
            .env("shell", &self.shell);
        command
    }

    fn run(&self, words: &[&str]) -> (Option<i32>, String, String) {
        let ran = self.command(words).output().unwrap();
        (
            ran.status.code(),
            String::from_utf8_lossy(&ran.stdout).into_owned(),
            String::from_utf8_lossy(&ran.stderr).into_owned(),
        )
    }

    /// What the runs have seen, a line each.
    fn seen(&self) -> Vec<String> {
        let text = fs::read_to_string(self.world.path("seen")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn assert_restored(&self) {
        assert_eq!(self.kernel.settings(), self.before);
    }

    /// Starts training with a run that goes on until a signal comes, and waits until it has begun.
    fn start(&self, script: &str) -> (Child, Pid) {
        let script = format!("{LOOK} echo $$ >>\"$seen\"; {script}");
        let child = self
            .command(&self.words(&[], &script))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let start = Instant::now();
        while self.seen().len() < 2 {
            assert!(start.elapsed() < Duration::from_secs(20), "does not start");
            thread::sleep(Duration::from_millis(5));
        }
        let seen = self.seen();
        assert_eq!(seen[0], EXACT.join(" "));
        let run = Pid::from_raw(seen[1].parse().unwrap()).unwrap();
        (child, run)
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap()
}

#[test]
fn settings_are_changed_and_put_back() {
    let training = Training::new();
    let (code, stdout, stderr) = training.run(&training.words(&["-n", "2"], LOOK));
    // Nothing was recorded, for there is no module.
    assert_eq!((code, &*stderr), (Some(8), ""));
    assert_eq!(training.seen(), [EXACT.join(" "), EXACT.join(" ")]);
    for words in [
        "2 runs of `",
        "meanwhile vm.pbitmap_merge is 2, afterwards 1 again",
        "meanwhile fault_around_bytes is 4096, afterwards 65536 again",
        "not started",
        "all settings are as they were",
    ] {
        assert!(stdout.contains(words), "{words}: {stdout}");
    }
    training.assert_restored();
}

#[test]
fn window() {
    let training = Training::new();
    training.run(&training.words(&["-n", "1", "--window", "250"], LOOK));
    assert_eq!(training.seen(), ["4096 250 0 2 0"]);
    training.assert_restored();
    for wrong in ["0", "1", "3600001"] {
        let (code, ..) = training.run(&training.words(&["--window", wrong], ""));
        assert_eq!(code, Some(2), "{wrong}");
    }
}

#[test]
fn signals() {
    for (signal, code) in [
        (Signal::INT, 130),
        (Signal::TERM, 143),
        (Signal::HUP, 129),
        (Signal::QUIT, 131),
    ] {
        let training = Training::new();
        let (mut child, run) = training.start("exec sleep 60");
        kill_process(pid(&child), signal).unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.code(), Some(code), "{signal:?}");
        training.assert_restored();
        assert!(test_kill_process(run).is_err(), "{signal:?}: it still runs");
        let mut errors = String::new();
        child.stderr.unwrap().read_to_string(&mut errors).unwrap();
        assert!(errors.contains("stopped by signal"), "{errors}");
        // It was to run three times.
        assert_eq!(training.seen().len(), 2, "{signal:?}");
    }
}

/// A program that does not want to end is ended.
#[test]
fn signal_and_a_stubborn_program() {
    let training = Training::new();
    let (mut child, run) = training.start("trap '' TERM; while :; do sleep 1; done");
    kill_process(pid(&child), Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143));
    training.assert_restored();
    assert!(test_kill_process(run).is_err());
}

#[test]
fn one_at_a_time() {
    let training = Training::new();
    let (mut child, _) = training.start("exec sleep 60");
    let (code, _, stderr) = training.run(&training.words(&[], ":"));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("somebody else trains"), "{stderr}");
    kill_process(pid(&child), Signal::INT).unwrap();
    child.wait().unwrap();
    training.assert_restored();
}

/// Errors in the middle of it.
#[test]
fn failures() {
    let training = Training::new();
    let shell = training.shell.to_str().unwrap();

    // A command that is found but cannot be started.
    let broken = training.world.path("broken");
    fs::write(&broken, "\x7fELF and nothing else").unwrap();
    fs::set_permissions(&broken, fs::Permissions::from_mode(0o755)).unwrap();
    let words = ["train", "--program", shell, "--", broken.to_str().unwrap()];
    let (code, _, stderr) = training.run(&words);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("cannot start"), "{stderr}");
    training.assert_restored();

    // The module goes away.
    let script = r#"rm "$kernel/sys/kernel/debug/pbitmap/programs""#;
    let (code, _, stderr) = training.run(&training.words(&[], script));
    assert_eq!(code, Some(1));
    assert!(stderr.contains("cannot read"), "{stderr}");
    training.assert_restored();
}

/// Nobody reads what it prints.
#[test]
fn output_that_nobody_reads() {
    let training = Training::new();
    let mut child = training
        .command(&training.words(&["-n", "1"], "sleep 0.1"))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    assert_eq!(status.signal(), None);
    training.assert_restored();
}

/// A setting that cannot be put back is named, and the others are put back all the same.
#[test]
fn setting_that_cannot_be_put_back() {
    let training = Training::new();
    let script = r#"cd "$kernel/proc/sys/vm" && rm pbitmap_merge && mkdir pbitmap_merge"#;
    let (code, _, stderr) = training.run(&training.words(&["-n", "1"], script));
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains("`sysctl vm.pbitmap_merge=1` does"),
        "{stderr}"
    );
    let without_merge = |settings: &[(String, String)]| -> Vec<_> {
        let others = settings.iter().filter(|(name, _)| !name.contains("merge"));
        others.cloned().collect()
    };
    assert_eq!(
        without_merge(&training.kernel.settings()),
        without_merge(&training.before)
    );
}

/// Without debugfs, or where the kernel is locked down.
#[test]
fn fault_around_that_cannot_be_changed() {
    let training = Training::new();
    let file = training.kernel.path("sys/kernel/debug/fault_around_bytes");
    fs::remove_file(file).unwrap();
    let (code, _, stderr) = training.run(&training.words(&["-n", "1"], ":"));
    assert_eq!(code, Some(8));
    assert!(stderr.contains("may be less exact"), "{stderr}");
}

#[test]
fn refused() {
    let training = Training::new();
    let untouched = |code: i32, words: &str| {
        let (got, stdout, stderr) = training.run(&training.words(&[], LOOK));
        assert_eq!((got, &*stdout), (Some(code), ""), "{words}: {stderr}");
        assert!(stderr.contains(words), "{words}: {stderr}");
        assert_eq!(training.seen(), [""; 0]);
    };
    training.kernel.set("proc/sys/vm/pbitmap_enabled", "0\n");
    untouched(7, "switched off");
    fs::remove_file(training.kernel.path("proc/sys/vm/pbitmap_enabled")).unwrap();
    untouched(7, "not loaded");
    let mode = fs::Permissions::from_mode(0o4755);
    fs::set_permissions(&training.shell, mode).unwrap();
    untouched(1, "setuid");
    on(&training.shell, &["remove"]);
    untouched(3, "`pbitmap-tool annotate ");

    let (code, _, stderr) = training.run(&["train", "--", "no-such-command"]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains("no-such-command"), "{stderr}");
    let (code, ..) = training.run(&["train"]);
    assert_eq!(code, Some(2));
}

#[test]
fn cold() {
    let training = Training::new();
    let script = r#"cat "$kernel/proc/sys/vm/drop_caches" >>"$seen"
        echo 0 >"$kernel/proc/sys/vm/drop_caches""#;
    training.run(&training.words(&["--cold", "-n", "2"], script));
    assert_eq!(training.seen(), ["3", "3"]);
}

#[test]
fn output_of_the_command() {
    let training = Training::new();
    let script = "echo printed by it";
    let (_, stdout, _) = training.run(&training.words(&["-n", "1"], script));
    assert!(!stdout.contains("\nprinted by it"), "{stdout}");
    let (_, stdout, _) = training.run(&training.words(&["-n", "1", "--output"], script));
    assert!(stdout.contains("\nprinted by it\n"), "{stdout}");
}

/// Of a script, the program that runs it is trained.
#[test]
fn scripts() {
    let training = Training::new();
    let shell = training.shell.to_str().unwrap();
    let directory = training.shell.parent().unwrap().to_str().unwrap();
    for first in [
        format!("#!{shell}"),
        format!("#! {shell} -e"),
        "#!/usr/bin/env sh".to_owned(),
        "#!/usr/bin/env -S A=b sh -e".to_owned(),
    ] {
        let script = training.world.path("script");
        fs::write(&script, format!("{first}\nexit 5\n")).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
        let ran = training
            .command(&["train", "--json", "-n1", "--", script.to_str().unwrap()])
            .env(
                "PATH",
                format!("{directory}:{}", std::env::var("PATH").unwrap()),
            )
            .output()
            .unwrap();
        let results: Value = serde_json::from_slice(&ran.stdout).unwrap();
        assert_eq!(results["program"], shell, "{first}");
        assert_eq!(results["runs"][0]["status"], "5", "{first}");
    }
}

/// Three runs, with the module played by the program itself: the first one records all that was
/// mapped, the second less, the third the same.
fn trained() -> Training {
    let training = Training::new();
    let mut file = fs::read(&training.shell).unwrap();
    let row = |row: &str| line(row, Path::new("/bin/sh"));
    let listed = fs::read_to_string(training.kernel.path("sys/kernel/debug/pbitmap/programs"));
    let header = listed.unwrap();
    let rows = [
        "1 1 0 0 0 0 0 1 0 1 -",
        "2 2 30 20 10 12 18 2 0 2 -",
        "3 3 42 32 10 24 18 2 0 2 unchanged",
    ];
    let pages: [&[usize]; 2] = [&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], &[0, 1, 2, 3]];
    for (index, text) in rows.iter().enumerate() {
        if let Some(pages) = pages.get(index) {
            record(&mut file, pages, 1_700_000_000 + index as u64);
            training.world.add(&format!("recorded.{index}"), &file);
        }
        let path = training.shell.display().to_string();
        let text = row(text).replace("/bin/sh", &path);
        let name = format!("programs.{index}");
        fs::write(training.world.path(&name), format!("{header}{text}")).unwrap();
    }
    training
}

/// Also waits for the module: it takes a moment.
const PLAY_MODULE: &str = r#"
    run=$(cat "$seen" 2>/dev/null | wc -l)
    echo run >>"$seen"
    cd "$kernel/.." && stats=kernel/sys/kernel/debug/pbitmap/stats
    printf 'recorders_live 1\nwork_pending 0\n' >$stats
    {
        sleep 0.2
        cp programs.$run kernel/sys/kernel/debug/pbitmap/programs
        test ! -e recorded.$run || mv recorded.$run sh
        printf 'recorders_live 0\nwork_pending 0\n' >$stats
    } &
    exit $run
"#;

#[test]
fn results() {
    let training = trained();
    let (code, stdout, stderr) = training.run(&training.words(&[], PLAY_MODULE));
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    let (_, table) = stdout.split_once("\n\n").unwrap();
    insta::assert_snapshot!("trained", table);
    training.assert_restored();
}

#[test]
fn results_for_machines() {
    let training = trained();
    let (code, stdout, stderr) = training.run(&training.words(&["--json"], PLAY_MODULE));
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    let results: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(results["precision_before"], Value::Null);
    assert_eq!(results["precision_after"], 100.0);
    let runs = results["runs"].as_array().unwrap();
    let column = |name: &str| -> Vec<Value> { runs.iter().map(|run| run[name].clone()).collect() };
    assert_eq!(column("stored"), [true, true, false]);
    assert_eq!(column("reason")[2], "unchanged");
    assert_eq!(column("wanted"), [0, 30, 12]);
    assert_eq!(column("hits"), [0, 12, 12]);
    assert_eq!(column("status"), ["0", "1", "2"]);
}
