#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Boots the stock kernel under QEMU and runs the guest tests in it.

Called by qemu-test.sh, inside the root; see there for its use and for what a
test's header may say. One boot runs many tests, and what one of them breaks
(a crash, a hang, a complaint in the kernel's log) costs only that test: the
rest go on in a new boot. Two guests run side by side where the machine has two
processors to spare.

The guests share build/logs/guest/ with this script: each takes the next test by
making a directory in claims/, and guest-run.sh leaves its results in guestN/,
where the console is kept, too.
"""

import argparse
import dataclasses
import json
import os
import pathlib
import queue
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import kernellog

SRC = pathlib.Path("/src")
HEADER = re.compile(r"^#\s*(needs|smp|mem|timeout|boot|cmdline|disk|may-skip|kernel):\s*(.*?)\s*$")
BOOT_TIMEOUT = 300
# A test's timeout is meant for a machine that does nothing else: the guest
# multiplies it by this at least, by more if it was slow to boot, and says so.
PATIENCE = 2


@dataclasses.dataclass
class Test:
    """One file below tests/guest/ and what its header asks for."""

    path: pathlib.Path
    needs: list = dataclasses.field(default_factory=list)
    smp: int = 1
    mem: str = "1G"
    timeout: int = 120
    boot: str = "shared"
    cmdline: str = ""
    disk: str = "1G"
    may_skip: str = ""
    variant: str = ""
    kernel: str = "any"

    @property
    def name(self):
        """(A test that is run in variants finds its name in PBITMAP_TEST.)"""
        return f"{self.path.stem}-{self.variant}" if self.variant else self.path.stem

    def in_variant(self, variant):
        return dataclasses.replace(self, variant=variant)

    @property
    def kind(self):
        """Tests of one kind can share a boot."""
        return (self.smp, self.mem, self.cmdline, self.disk, self.name if self.boot == "own" else "")

    @classmethod
    def read(cls, path):
        test = cls(path)
        for line in path.read_text(encoding="utf-8").splitlines():
            if not line.startswith("#"):
                break
            match = HEADER.match(line)
            if not match:
                continue
            key, value = match.groups()
            # "# smp: 2   processors of the guest": words after the value are a comment
            word = value.split()[0] if value else ""
            if key == "needs":
                test.needs = value.split()
            elif key in ("smp", "timeout"):
                setattr(test, key, int(word))
            elif key in ("mem", "disk"):
                setattr(test, key, word)
            elif key == "boot":
                if word not in ("own", "shared"):
                    raise ValueError(f"{path}: boot: '{word}' is neither 'own' nor 'shared'")
                test.boot = word
            elif key == "kernel":
                if word not in ("any", "stock", "debug"):
                    raise ValueError(f"{path}: kernel: '{word}' is none of 'any', 'stock' and 'debug'")
                test.kernel = word
            elif key == "cmdline":
                test.cmdline = value
            else:
                test.may_skip = value or "yes"
        return test


class Reporter:
    """What the person who waits is told, line by line."""

    def __init__(self, logs):
        self.logs = logs
        self.lock = threading.Lock()
        self.results = {}
        self.start = float(os.environ.get("PBITMAP_START", time.time()))

    def say(self, text):
        with self.lock:
            print(f"[{time.time() - self.start:4.0f}s] {text}", flush=True)

    def result(self, test, verdict, reason, seconds):
        """VERDICT is ok, FAIL or SKIP."""
        if verdict == "SKIP" and not test.may_skip:
            verdict, reason = "FAIL", f"it skipped itself, which its header does not allow: {reason}"
        self.results[test.name] = (verdict, reason, seconds)
        text = f"{verdict:<4} {test.name} ({seconds:.0f} s)"
        if reason:
            text += f": {reason}"
        self.say(text)
        if verdict == "FAIL":
            for suffix, title in (("log", "its output"), ("dmesg", "the kernel's log")):
                log = self.logs / f"{test.name}.{suffix}"
                lines = log.read_text(errors="replace").splitlines() if log.exists() else []
                if lines:
                    with self.lock:
                        print(f"    --- {title} ({log.relative_to(SRC)}), last lines")
                        for line in lines[-30:]:
                            print(f"    {line}")
                        sys.stdout.flush()


@dataclasses.dataclass
class Kernel:
    """What is booted: the root's stock kernel, or one that test-kernel.sh has built in TREE."""

    tree: str = ""

    @property
    def name(self):
        return "debug" if self.tree else "stock"

    def arguments(self):
        """virtme-run's."""
        if not self.tree:
            return ["--kimg", self.stock("IMAGE"), "--mods", "auto"]
        # On 5-level paging KASAN reports something early in the boot that is not ours. The
        # module's own tests are kunit-test.sh's: here they would run at every insmod. And RAM
        # disks take longer to make than all else. On a busy machine it boots too slowly for
        # the timer to be found good.
        #
        # virtiofsd writes into the guest's memory behind the emulator's back, which goes on with the code that was
        # there before unless the guest wipes each page first, as the stock kernel does by default.
        options = [
            "no5lvl",
            "init_on_alloc=1",
            "brd.rd_nr=0",
            "no_timer_check",
            "kunit.enable=0",
            f"PBITMAP_MODULES={self.tree}/modules/lib/modules",
        ]
        # (without an initramfs, which the kernel does not need, the last init= would count)
        command = ["--kimg", f"{self.tree}/arch/x86/boot/bzImage", "--mods", "none", "--force-initramfs"]
        for option in options:
            command += ["--kopt", option]
        return command

    @property
    def boot_timeout(self):
        """Seconds. A debug kernel takes a minute where the stock kernel takes a few seconds."""
        return 3 * BOOT_TIMEOUT if self.tree else BOOT_TIMEOUT

    @property
    def pause(self):
        """Seconds that a guest may spend between two tests, or after the last: a debug kernel looks for leaks then."""
        return 600 if self.tree else 60

    def memory(self, mem):
        """A debug kernel keeps a shadow of all memory, and what was freed for a while."""
        return f"{2 * int(mem[:-1])}{mem[-1]}" if self.tree else mem

    @staticmethod
    def stock(what):
        """IMAGE or RELEASE, from the variables that the root keeps about its kernel."""
        for line in pathlib.Path("/etc/pbitmap-root").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            if name == f"KERNEL_{what}":
                return value.strip("'")
        raise ValueError(f"/etc/pbitmap-root has no KERNEL_{what}")


def virtme_command(
    kernel, accel, smp, mem, cmdline, share, disks, drive="format=raw,cache=unsafe,discard=unmap"
):
    """virtme-run's arguments that every guest has."""
    command = ["virtme-run", *kernel.arguments()]
    if accel != "kvm":
        command.append("--disable-kvm")
    # PCI, for the disks and to have the same machine with and without KVM.
    command.append("--disable-microvm")
    command += ["--cpus", str(smp), "--memory", kernel.memory(mem)]
    # (it takes a share only below an overlay; our init makes none)
    command += ["--overlay-rwdir=/mnt", f"--rwdir=/mnt/host={share}"]
    options = [
        # (the first init= is the one that counts)
        "init=/src/scripts/guest-init.sh",
        "panic=-1",
        "loglevel=5",
        # Emulated processors wait for each other longer than the watchdogs think.
        "rcupdate.rcu_cpu_stall_timeout=120",
        "watchdog_thresh=60",
        "tsc=nowatchdog",
        # On a busy machine the emulated timer may not tick while the kernel looks, which then panics.
        "no_timer_check",
        "log_buf_len=4M",
        # Sampled detection of use after free and overruns, at hardly any cost.
        "kfence.sample_interval=100",
    ]
    for option in options + cmdline.split():
        command += ["--kopt", option]
    qemu = ["-no-reboot"]
    if accel != "kvm" and smp > 1:
        # Emulated in turns: with a thread each, a processor may go on with instructions that another has replaced, and
        # the kernel patches itself whenever a tracepoint gets or loses its first user, as the module's loading does.
        qemu += ["-accel", "tcg,thread=single"]
    for number, disk in enumerate(disks):
        qemu += [
            "-drive",
            f"if=none,id=pbitmap{number},file={disk},{drive}",
            "-device",
            f"virtio-blk-pci,drive=pbitmap{number},serial=pbitmap{number}",
        ]
    return command, qemu


def make_disk(path, size):
    """A sparse file: it takes what is written to it."""
    units = {"M": 1 << 20, "G": 1 << 30}
    with open(path, "wb") as disk:
        disk.truncate(int(size[:-1]) * units[size[-1]])
    return path


class Guest:
    """One boot, which takes tests of one kind as long as there are any."""

    serial = 0
    lock = threading.Lock()

    def __init__(self, runner, tests):
        with Guest.lock:
            Guest.serial += 1
            self.number = Guest.serial
        self.runner = runner
        self.tests = tests
        self.share = runner.logs / f"guest{self.number}"
        self.share.mkdir(parents=True)
        self.process = None
        self.done = set()

    def command(self):
        any_test = self.tests[0]
        disks = self.runner.disks(self.number, any_test)
        return virtme_command(
            self.runner.kernel,
            self.runner.accel,
            any_test.smp,
            any_test.mem,
            any_test.cmdline,
            self.runner.logs,
            disks,
        )

    def boot(self):
        command, qemu = self.command()
        plan = "".join(
            f"{test.name} {test.timeout} {test.path} {' '.join(test.needs)}\n"
            for test in self.tests
        )
        (self.share / "plan").write_text(plan, encoding="utf-8")
        # With a script (ours is run by our own init) virtme-run leaves the
        # terminal alone.
        command += ["--show-boot-console", "--script-sh", "true"]
        command += ["--kopt", f"PBITMAP_GUEST=guest{self.number}"]
        command += ["--qemu-opts", *qemu]
        # QEMU opens the console's file anew and truncates it: give it a pipe.
        self.process = subprocess.Popen(
            command,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        threading.Thread(target=self.copy_console, daemon=True).start()

    def copy_console(self):
        with open(self.share / "console.log", "wb", buffering=0) as out:
            while chunk := self.process.stdout.read1(65536):
                out.write(chunk)

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def console_tail(self):
        """What the kernel said last, for a guest that died."""
        log = self.share / "console.log"
        return log.read_text(errors="replace").splitlines()[-60:] if log.exists() else []

    def run(self):
        """Returns whether anything came of this boot."""
        reporter = self.runner.reporter
        began = time.time()
        self.boot()
        deadline = began + self.runner.kernel.boot_timeout
        current, current_since = None, began
        booted = False
        why = None
        while True:
            ended = self.process.poll() is not None
            started = self.read("current")
            if started and not booted:
                booted = True
                slow = int(self.read("patience") or PATIENCE)
                reporter.say(
                    f"guest {self.number} is up after {time.time() - began:.0f} s"
                    + (f"; a slow machine, so timeouts are {slow} times longer" if slow > PATIENCE else "")
                )
            unfit = False
            for test in self.tests:
                if test.name in self.done:
                    continue
                verdict = self.verdict(test)
                if verdict:
                    self.done.add(test.name)
                    unfit = self.collect(test, *verdict) or unfit
                    current, deadline = None, time.time() + self.runner.kernel.pause
                elif test.name == started and test.name != current:
                    current, current_since = test.name, time.time()
                    patience = int(self.read("patience") or PATIENCE)
                    deadline = current_since + test.timeout * patience + 60
            if ended:
                if self.read("finished") is None:
                    why = "the guest crashed"
                break
            if unfit:
                # In a guest where something went wrong a later failure would
                # mean nothing. What it has begun since goes to another one.
                self.kill()
                break
            if time.time() > deadline:
                why = "the guest hung"
                self.kill()
                break
            time.sleep(0.1)
        # A test that took its guest with it has failed; the others go on.
        for test in self.tests:
            if test.name in self.done or not (self.share / f"{test.name}.claimed").exists():
                continue
            if why and test.name == current:
                self.done.add(test.name)
                tail = "\n".join(self.console_tail())
                (self.share / f"{test.name}.dmesg").write_text(tail + "\n", encoding="utf-8")
                self.collect(test, "FAIL", why, time.time() - current_since)
            else:
                (self.runner.claims / test.name).rmdir()
        if why and not current:
            reporter.say(f"{why} while it ran no test; the end of its console:")
            for line in self.console_tail()[-25:]:
                print(f"    {line}")
        self.look_back()
        for disk in pathlib.Path("/tmp").glob(f"guest{self.number}-*"):
            disk.unlink()
        return bool(self.done) or self.read("finished") is not None

    def look_back(self):
        """On a debug kernel: what no test can be blamed for alone."""
        if not self.runner.kernel.tree:
            return
        console = (self.share / "console.log").read_text(errors="replace")
        for what, said in (
            ("boot", kernellog.complaints(console.partition("guest-run:")[0])),
            ("leaks", (self.read("leaks") or "").splitlines()),
        ):
            if said:
                name = f"guest{self.number}-{what}"
                (self.runner.logs / f"{name}.log").write_text("\n".join(said) + "\n", encoding="utf-8")
                self.runner.reporter.result(Test(pathlib.Path(name)), "FAIL", said[0], 0)

    def read(self, name):
        try:
            return (self.share / name).read_text(encoding="utf-8").strip()
        except FileNotFoundError:
            return None

    def verdict(self, test):
        """(ok|FAIL|SKIP, reason, seconds) when the test has ended here."""
        text = self.read(f"{test.name}.result")
        if not text:
            return None
        seconds, verdict, reason = (text.split(" ", 2) + ["", ""])[:3]
        return verdict, reason, float(seconds)

    def collect(self, test, verdict, reason, seconds):
        """Report a test. Returns whether its guest is no longer to be trusted."""
        for suffix in ("log", "dmesg"):
            log = self.share / f"{test.name}.{suffix}"
            if log.exists():
                shutil.copy(log, self.runner.logs / log.name)
        dmesg = self.runner.logs / f"{test.name}.dmesg"
        said = kernellog.complaints(dmesg.read_text(errors="replace")) if dmesg.exists() else []
        if said and verdict != "FAIL":
            verdict, reason = "FAIL", f"the kernel's log complains: {said[0]}"
        elif said and "kernel's log" not in reason:
            reason += f", and the kernel's log complains: {said[0]}"
        self.runner.reporter.result(test, verdict, reason, seconds)
        return bool(said)


class Runner:
    """All tests, in as many boots as they need."""

    def __init__(self, kernel, accel, environment, logs):
        self.kernel = kernel
        self.accel = accel
        self.logs = logs
        self.claims = logs / "claims"
        shutil.rmtree(logs, ignore_errors=True)
        self.claims.mkdir(parents=True)
        (logs / "env").write_text(environment, encoding="utf-8")
        self.reporter = Reporter(logs)

    def disks(self, number, test):
        """A guest's two disks, SCRATCH_DEV and EXTRA_DEV: files, or FILE,OPTION=... of QEMU's."""
        return [make_disk(f"/tmp/guest{number}-{name}", test.disk) for name in ("scratch", "extra")]

    def run(self, tests, parallel):
        kinds = {}
        for test in tests:
            kinds.setdefault(test.kind, []).append(test)
        # The longest first, so that nothing long is left to the end.
        work = queue.Queue()
        for group in sorted(kinds.values(), key=lambda group: -sum(test.timeout for test in group)):
            group.sort(key=lambda test: -test.timeout)
            # A boot costs as much as a few tests.
            for _ in range(min(parallel, 1 + len(group) // 4)):
                work.put(group)

        def worker():
            while True:
                try:
                    self.boots(work.get_nowait())
                except queue.Empty:
                    return

        threads = [threading.Thread(target=worker) for _ in range(parallel)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def run_again(self, tests):
        """A second try, one guest at a time, for tests that failed without a complaint of the kernel. Emulated
        processors that share real ones with another guest can be late for anything; what fails alone has failed. Such
        a test is named in the end, so that nobody takes it for sound."""
        unsteady = []
        for test in tests:
            verdict, reason, _ = self.reporter.results[test.name]
            if verdict != "FAIL" or "kernel's log" in reason:
                continue
            self.reporter.say(f"{test.name}: once more, alone")
            for suffix in ("log", "dmesg"):
                log = self.logs / f"{test.name}.{suffix}"
                if log.exists():
                    log.rename(self.logs / f"{test.name}.first.{suffix}")
            if (self.claims / test.name).exists():
                (self.claims / test.name).rmdir()
            self.run([test], 1)
            if self.reporter.results[test.name][0] == "ok":
                unsteady.append(f"{test.name} ({reason})")
        return unsteady

    def boots(self, group):
        fruitless = 0
        while fruitless < 2:
            left = [test for test in group if not (self.claims / test.name).exists()]
            if not left:
                return
            guest = Guest(self, left)
            self.reporter.say(
                f"booting guest {guest.number} ({self.accel}, {left[0].smp} cpu, {left[0].mem}) for "
                + " ".join(test.name for test in left)
            )
            fruitless = 0 if guest.run() else fruitless + 1


def find_tests(names, kernel):
    """Those named, or all that are for this kernel."""
    directory = SRC / "tests" / "guest"
    files = {
        path.stem: path
        for path in sorted(directory.glob("*.sh"))
        # (what a test sources cannot be run)
        if path.stem != "build" and path.stat().st_mode & 0o100
    }
    if not names:
        tests = [Test.read(path) for path in files.values()]
        return [test for test in tests if test.kernel in ("any", kernel)]
    chosen = []
    for name in names:
        stem = pathlib.Path(name).stem
        if stem in files:
            chosen.append(Test.read(files[stem]))
            continue
        matches = [path for key, path in files.items() if pathlib.PurePath(key).match(stem)]
        if not matches:
            sys.exit(f"qemu-test.sh: no test '{name}'; there are: {' '.join(files)}")
        chosen += [Test.read(path) for path in matches]
    return chosen


def shell(kernel, accel, environment, smp, mem, cmdline):
    """A prompt in the guest, in this terminal."""
    logs = SRC / "build" / "logs" / "shell"
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    disks = [make_disk("/tmp/scratch", "1G"), make_disk("/tmp/extra", "1G")]
    (logs / "env").write_text(environment, encoding="utf-8")
    command, qemu = virtme_command(kernel, accel, smp, mem, cmdline, logs, disks)
    if sys.stdin.isatty():
        size = os.get_terminal_size()
        command += ["--kopt", f"PBITMAP_STTY=rows,{size.lines},cols,{size.columns}"]
    command += ["--qemu-opts", *qemu]
    os.chdir("/")
    os.execvp(command[0], command)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--shell", action="store_true")
    parser.add_argument("--kernel", default="", help="a build tree of test-kernel.sh")
    parser.add_argument("--logs", default="guest")
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--env", default="")
    parser.add_argument("--parallel", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--timeout", type=int)
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--mem", default="1G")
    parser.add_argument("--cmdline", default="")
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()

    kernel = Kernel(args.kernel)
    if args.shell:
        shell(kernel, args.accel, args.env, args.smp, args.mem, args.cmdline)
    try:
        tests = find_tests(args.tests, kernel.name)
    except ValueError as error:
        sys.exit(f"qemu-test.sh: {error}")
    if args.list:
        for test in tests:
            print(f"{test.name:<28} smp {test.smp}  mem {test.mem}  timeout {test.timeout:>4} s  {' '.join(test.needs)}")
        return 0
    for test in tests:
        test.timeout = args.timeout or test.timeout
    runner = Runner(kernel, args.accel, args.env, SRC / "build" / "logs" / args.logs)
    runner.run(tests, args.parallel)

    results = runner.reporter.results
    for test in tests:
        if test.name not in results:
            runner.reporter.result(test, "FAIL", "it never ran", 0)
    unsteady = runner.run_again(tests)
    failed = sorted(name for name, result in results.items() if result[0] == "FAIL")
    skipped = sum(result[0] == "SKIP" for result in results.values())
    passed = len(results) - len(failed) - skipped
    with open(runner.logs / "results.json", "w", encoding="utf-8") as out:
        json.dump(results, out, indent=1)
    if skipped:
        print(f"{skipped} skipped")
    if unsteady:
        print(f"UNSTEADY, passed only when tried alone: {', '.join(unsteady)}")
    if failed:
        print(f"failed: {' '.join(failed)}")
        print(f"again, alone: scripts/qemu-test.sh {' '.join(failed)}")
    print(f"{passed} passed, {len(failed)} failed")
    return 0 if not failed and passed else 1


if __name__ == "__main__":
    sys.exit(main())
