#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Cuts the power of guests that write bitmaps, and counts what is left.

Called by crash-test.sh through qemu-test.sh, inside the root; see there for its
use. The cuts of a log are made inside one guest by tests/guest/crash/log.sh. The
others are made here, by killing QEMU:

What a kill cuts is everything that the guest has in memory, and what its kernel
has not yet handed to the disk. A disk that is a raw file would lose nothing more,
as the host keeps what QEMU has written, flushed or not: its write cache would
survive. So each boot writes to a fresh qcow2 layer with clusters of 4 KiB. Where
such a cluster lies is noted in memory by QEMU, and in the file only when the
guest flushes (even with cache=unsafe, which only leaves out the host's fsync). A
block that is written for the first time in a boot, and not flushed, is lost with
QEMU; one that is written again is not. Both are what a disk with a volatile cache
may do. That it loses some blocks and keeps others at will, also parts of them, is
what the replayed logs are for.
"""

import argparse
import collections
import fcntl
import json
import os
import pathlib
import random
import signal
import struct
import subprocess
import sys
import threading
import time

import guest

FILESYSTEMS = [
    "ext4-ordered",
    "ext4-writeback",
    "ext4-journal",
    "ext4-nodelalloc",
    "xfs",
    "btrfs",
    "btrfs-nodatacow",
]
QUICK_FILESYSTEMS = ["ext4-ordered", "xfs", "btrfs"]
CRASH_TESTS = guest.SRC / "tests" / "guest" / "crash"
DISK_SIZE = 300 << 20


class Cut(collections.namedtuple("Cut", "name cut kind at old new clean problems")):
    """What check-cut says about one power cut."""

    @classmethod
    def all_in(cls, text):
        """Those in a test's output, between other lines."""
        cuts = []
        for line in text.splitlines():
            if not line.startswith('{"name"'):
                continue
            try:
                cuts.append(cls(**json.loads(line)))
            except (json.JSONDecodeError, TypeError):
                pass  # the line that is being written
        return cuts


class Tally:
    """The cuts of one filesystem, made in one way."""

    def __init__(self, name, cuts):
        self.name = name
        self.cuts = len(cuts)
        self.old = sum(cut.old for cut in cuts)
        self.new = sum(cut.new for cut in cuts)
        self.clean = sum(cut.clean for cut in cuts)
        self.damaged = [cut._asdict() for cut in cuts if cut.problems or not cut.clean]

    @staticmethod
    def header():
        return f"{'':<20} {'cuts':>6} {'bitmap old':>11} {'bitmap new':>11} {'fsck clean':>11} {'damaged':>8}"

    def row(self):
        return (
            f"{self.name:<20} {self.cuts:>6,} {self.old:>11,} {self.new:>11,} {self.clean:>11,} {len(self.damaged):>8,}"
        )

    @classmethod
    def total(cls, tallies):
        total = cls("all", [])
        for tally in tallies:
            total.cuts += tally.cuts
            total.old += tally.old
            total.new += tally.new
            total.clean += tally.clean
            total.damaged += tally.damaged
        return total


def make_layers(disks, backing):
    """Make qcow2 files over those in `backing`, or empty ones. QEMU can do it without qemu-img."""
    requests = [{"execute": "qmp_capabilities"}]
    for number, disk in enumerate(disks):
        disk.touch()
        file = {"driver": "file", "node-name": f"file{number}", "filename": str(disk)}
        options = {"driver": "qcow2", "file": f"file{number}", "size": DISK_SIZE, "cluster-size": 4096}
        if backing:
            options.update({"backing-file": str(backing[number]), "backing-fmt": "qcow2"})
        requests.append({"execute": "blockdev-add", "arguments": file})
        requests.append({"execute": "blockdev-create", "arguments": {"job-id": f"job{number}", "options": options}})
    qemu = subprocess.Popen(
        ["qemu-system-x86_64", "-machine", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    for request in requests:
        qemu.stdin.write(json.dumps(request) + "\n")
    qemu.stdin.flush()
    left = len(disks)
    for line in qemu.stdout:
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"QEMU makes no disk: {line}")
        if answer.get("event") == "JOB_STATUS_CHANGE" and answer["data"]["status"] == "concluded":
            left -= 1
            if not left:
                break
    qemu.stdin.write('{"execute": "quit"}\n')
    qemu.stdin.close()
    qemu.wait()


def is_open(disk):
    """Whether a QEMU has it, which locks it."""
    whole_file = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    with open(disk, "rb+") as file:
        conflict = fcntl.fcntl(file, fcntl.F_OFD_GETLK, whole_file)
    return struct.unpack("hhqqi4x", conflict)[0] != fcntl.F_UNLCK


class Victim(guest.Guest):
    """A boot that is killed."""

    def __init__(self, runner, test, disks):
        super().__init__(runner, [test])
        self.disks = disks

    def command(self):
        test = self.tests[0]
        return guest.virtme_command(
            self.runner.kernel,
            self.runner.accel,
            test.smp,
            test.mem,
            test.cmdline,
            self.runner.logs,
            self.disks,
            drive="format=qcow2,cache=unsafe",
        )

    def wait_for(self, path, seconds):
        """Whether the file `path` appears before the test ends."""
        deadline = time.time() + seconds
        while time.time() < deadline and self.process.poll() is None and not self.verdict(self.tests[0]):
            if path.exists():
                return True
            time.sleep(0.05)
        return path.exists()

    def kill(self):
        # All of it at once: virtme-run, QEMU and what serves its root.
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        # virtme-run has ended, but QEMU may take longer.
        while any(is_open(disk) for disk in self.disks):
            time.sleep(0.05)


def kill_guests(runner, filesystems, kills, chance):
    """Boot, kill, boot again. Returns whether every boot went as it should; what the cuts left is in kill/cuts."""
    share = runner.logs / "kill"
    share.mkdir()
    (share / "filesystems").write_text(" ".join(filesystems) + "\n", encoding="utf-8")
    test = guest.Test.read(CRASH_TESTS / "kill.sh")
    layers = None
    for number in range(kills + 1):
        disks = [pathlib.Path(f"/tmp/kill-{name}-{number}") for name in filesystems]
        make_layers(disks, layers)
        layers = disks
        (share / "writing").unlink(missing_ok=True)
        if number == kills:
            (share / "last").touch()
        claim = runner.claims / test.name
        if claim.exists():
            claim.rmdir()
        victim = Victim(runner, test, disks)
        victim.boot()
        if number == kills:
            victim.wait_for(victim.share / "finished", guest.BOOT_TIMEOUT + test.timeout)
            verdict = victim.verdict(test)
            victim.kill()
            if not verdict:
                runner.reporter.result(test, "FAIL", "the last boot hung or crashed", 0)
                return False
            victim.collect(test, *verdict)
            return verdict[0] == "ok"
        if not victim.wait_for(share / "writing", guest.BOOT_TIMEOUT + test.timeout):
            time.sleep(2)  # for its output
            victim.kill()
            verdict = victim.verdict(test) or ("FAIL", "the guest hung or crashed", 0)
            victim.collect(test, "FAIL", verdict[1], verdict[2])
            return False
        time.sleep(chance.uniform(0.2, 6))
        victim.kill()
        cuts = share / "cuts"
        text = cuts.read_text(encoding="utf-8") if cuts.exists() else ""
        runner.reporter.say(
            f"killed guest {victim.number} ({number + 1} of {kills}); the cuts before it left "
            + tell(Cut.all_in(text))
        )
    return True


def tell(cuts):
    tally = Tally("", cuts)
    return f"{tally.old} old and {tally.new} new bitmaps, {len(tally.damaged)} of {tally.cuts} disks damaged"


def watch(runner, tests, over):
    """Say every now and then how far the logs are."""
    while not over.wait(20):
        for test in tests:
            if test.name in runner.reporter.results:
                continue
            logs = list(runner.logs.glob(f"guest*/{test.name}.log"))
            cuts = Cut.all_in(logs[0].read_text(errors="replace")) if logs else []
            if cuts:
                runner.reporter.say(f"{test.name}: {tell(cuts)}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--env", default="")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cuts", type=int)
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 31))
    parser.add_argument("--parallel", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("tests", nargs="*")
    args = parser.parse_args()
    filesystems = QUICK_FILESYSTEMS if args.quick else FILESYSTEMS
    cuts = (12 if args.quick else 50) if args.cuts is None else args.cuts
    kills = (2 if args.quick else 8) if args.kills is None else args.kills

    log = guest.Test.read(CRASH_TESTS / "log.sh")
    log.timeout = max(log.timeout, 6 * cuts)
    variants = {f"log-{name}": name for name in FILESYSTEMS}
    for name in args.tests:
        if name != "kill" and name not in variants:
            sys.exit(f"crash-test.sh: no test '{name}'; there are: kill {' '.join(variants)}")
    chosen = args.tests or ["kill"] * bool(kills) + [f"log-{name}" for name in filesystems if cuts]
    tests = [log.in_variant(variants[name]) for name in chosen if name != "kill"]

    rounds = 6 if args.quick else 18
    environment = (
        f"{args.env}PBITMAP_CUTS={cuts}\nPBITMAP_ROUNDS={rounds}\nPBITMAP_SEED={args.seed}\n"
        "PBITMAP_KILL=/mnt/host/kill\n"
    )
    runner = guest.Runner(guest.Kernel(), args.accel, environment, guest.SRC / "build" / "logs" / "crash")
    runner.reporter.say(f"{' '.join(chosen)}; seed {args.seed}")
    over = threading.Event()
    watcher = threading.Thread(target=watch, args=(runner, tests, over))
    watcher.start()
    unwell = []
    lane = None
    if tests:
        # Killing takes one guest at a time; the logs have what is left of the machine.
        lanes = max(1, args.parallel - ("kill" in chosen))
        lane = threading.Thread(target=runner.run, args=(tests, lanes))
        lane.start()
    if "kill" in chosen and not kill_guests(runner, filesystems, kills, random.Random(args.seed)):
        unwell.append("kill")
    if lane:
        lane.join()
    over.set()
    watcher.join()

    tallies = []
    for test in tests:
        output = runner.logs / f"{test.name}.log"
        tallies.append(Tally(test.name, Cut.all_in(output.read_text(errors="replace") if output.exists() else "")))
        if runner.reporter.results.get(test.name, ("FAIL",))[0] != "ok":
            unwell.append(test.name)
    if "kill" in chosen:
        output = runner.logs / "kill" / "cuts"
        all_cuts = Cut.all_in(output.read_text(errors="replace") if output.exists() else "")
        for name in filesystems:
            tallies.append(Tally(f"kill-{name}", [cut for cut in all_cuts if cut.name == f"kill-{name}"]))
            # What looks at the disk may have crashed itself.
            if tallies[-1].cuts != kills and "kill" not in unwell:
                unwell.append("kill")

    total = Tally.total(tallies)
    print(f"\nPower cuts, Linux {guest.Kernel.stock('RELEASE')}, seed {args.seed}\n")
    print(Tally.header())
    for tally in [*tallies, total]:
        print(tally.row())
    print()
    for cut in total.damaged:
        print(f"damaged: {cut['name']}, cut {cut['cut']} ({cut['kind']} at {cut['at']}): {cut['problems']}")
    # A test that went wrong without a damaged disk has failed all the same.
    failed = len(total.damaged)
    for name in unwell:
        if not any(tally.damaged for tally in tallies if name in (tally.name, tally.name.split("-")[0])):
            print(f"failed: {name}")
            failed += 1
    passed = total.cuts - len(total.damaged)
    with open(guest.SRC / "build" / "crash.json", "w", encoding="utf-8") as out:
        report = {
            "kernel": guest.Kernel.stock("RELEASE"),
            "quick": args.quick,
            "seed": args.seed,
            "passed": passed,
            "failed": failed,
            "tests": [vars(tally) for tally in tallies],
        }
        json.dump(report, out, indent=1)
    print(f"{passed} passed, {failed} failed")
    return 0 if not failed and passed else 1


if __name__ == "__main__":
    sys.exit(main())
