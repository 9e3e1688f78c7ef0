# SPDX-License-Identifier: GPL-2.0
"""The bench's host side: makes a disk image and an initramfs, boots the guest, and reads what it reports.

The guest is Debian's unmodified kernel in QEMU with `-icount`: one instruction is one nanosecond of the guest's time,
so its clock does not care how busy or how fast the host is. Its only file system besides the disk under test is its
initramfs. (virtme-ng, which the tests boot with, gives the guest a share of the host as its root; waiting for that
takes real time, which virtual time then runs away from.)

Runs inside the project's root (scripts/in-root.sh).
"""

import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
STARTED = float(os.environ.get("PBITMAP_START", time.time()))

# What the guest's kernel lacks for a null_blk disk with ext4 that is filled from a virtio disk.
MODULES = ["ext4", "squashfs", "null_blk", "virtio_blk"]
MODULE_OPTIONS = {"null_blk": "nr_devices=0"}


class Failed(Exception):
    """The bench cannot go on; the text says why and what to do."""


def say(text):
    """A progress line with the time since the first script began, as scripts/lib.sh prints it."""
    print(f"[{time.time() - STARTED:4.0f}s] {text}", file=sys.stderr, flush=True)


def run(*command, **options):
    """Runs a command; its output is shown only if it fails."""
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options
    )
    if done.returncode != 0:
        raise Failed(f"{shlex.join(map(str, command))}: exit status {done.returncode}\n{done.stdout[-3000:]}")
    return done.stdout


def kernel():
    """The release and the image of the stock kernel, as scripts/root-kernel.sh wrote them down."""
    facts = dict(line.split("=", 1) for line in Path("/etc/pbitmap-root").read_text().splitlines())
    return facts["KERNEL_RELEASE"], Path(facts["KERNEL_IMAGE"])


def make_image(stage, image, spare=0):
    """Writes the directory `stage` as an ext4 file system with room for `spare` bytes; returns its size in MiB."""
    used = int(run("du", "-s", "--block-size=1M", stage).split()[0])
    size = used + used // 10 + 32 + spare // 2**20
    image.unlink(missing_ok=True)
    # A fixed UUID and hash seed, and no lazily written tables: the same files make the same disk.
    run(
        *("mke2fs", "-q", "-t", "ext4", "-b", "4096", "-m", "0", "-U", "9e1f1b1a-0000-4000-8000-000000000000"),
        *("-E", "hash_seed=9e1f1b1a-0000-4000-8000-000000000001,lazy_itable_init=0,lazy_journal_init=0,nodiscard"),
        *("-J", "size=8", "-d", stage, image, f"{size}m"),
    )
    return size


def make_squashfs(stage, image):
    """Writes the directory `stage` as a squashfs; returns its size in MiB."""
    image.unlink(missing_ok=True)
    # (the files keep their times: python compiles anew what is older than its source)
    run("mksquashfs", stage, image, "-comp", "zstd", "-noappend", "-quiet", "-no-progress", "-mkfs-time", "0")
    return image.stat().st_size // 2**20 + 1


def _module_files(release):
    """The modules of MODULES with what they depend on, each after what it needs."""
    directory = Path("/lib/modules") / release
    depends = {}
    for line in (directory / "modules.dep").read_text().splitlines():
        module, needs = line.split(":", 1)
        depends[module] = needs.split()
    by_name = {Path(module).name.split(".")[0]: module for module in depends}
    order = []
    for name in MODULES:
        if name not in by_name:  # built into this kernel
            continue
        for module in [*reversed(depends[by_name[name]]), by_name[name]]:
            if module not in order:
                order.append(module)
    return [directory / module for module in order]


def make_initramfs(place, archive, job, settings, programs, binaries, module, extra=()):
    """Packs busybox, the launcher, the guest's scripts and the modules.

    `programs` are pairs of a name and a guest script, `binaries` where cargo put the launcher, `module` is pbitmap.ko
    or None, `extra` are pairs of a place and a file's path or contents.
    """
    shutil.rmtree(place, ignore_errors=True)
    for directory in ["bin", "bench/programs", "modules", "proc", "sys", "dev"]:
        (place / directory).mkdir(parents=True)
    shutil.copy("/usr/bin/busybox", place / "bin/busybox")
    shutil.copy(HERE / "guest/init", place / "init")
    (place / "init").chmod(0o755)
    shutil.copy(HERE / "guest/lib.sh", place / "bench/lib.sh")
    shutil.copy(HERE / f"guest/{job}.sh", place / "bench/job")
    for binary in ["bench-launcher", "bench-true"]:
        shutil.copy(binaries / binary, place / "bench" / binary)
    (place / "bench/settings").write_text("".join(f"{name}={shlex.quote(str(value))}\n" for name, value in settings.items()))
    for number, (name, script) in enumerate(programs):
        (place / f"bench/programs/{number:02}-{name}").write_text(script)
    release, _ = kernel()
    for number, file in enumerate(_module_files(release)):
        name = file.name.split(".")[0]
        packed = {".xz": ["xz", "-dc"], ".zst": ["zstd", "-dc"], ".gz": ["gzip", "-dc"]}.get(file.suffix, ["cat"])
        with open(place / f"modules/{number:02}-{name}.ko", "wb") as target:
            subprocess.run([*packed, file], stdout=target, check=True)
        if name in MODULE_OPTIONS:
            (place / f"modules/{number:02}-{name}.options").write_text(MODULE_OPTIONS[name])
    if module:
        shutil.copy(module, place / "bench/pbitmap.ko")
    for inside, contents in extra:
        target = place / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(contents, Path):
            shutil.copy(contents, target)
        else:
            target.write_text(contents)
    with open(archive, "wb") as target:
        names = subprocess.run(["find", "."], cwd=place, stdout=subprocess.PIPE, check=True)
        subprocess.run(
            ["cpio", "--quiet", "-o", "-H", "newc", "-R", "0:0"], cwd=place, input=names.stdout, stdout=target, check=True
        )


# The guest's clock and processor, by the clock's name.
CLOCKS = {
    "virtual": [
        *("-accel", "tcg,tb-size=1024", "-cpu", "max,erms=off,fsrm=off,fsrs=off,fzrm=off,la57=off"),
        *("-icount", "shift=0,sleep=off"),
    ],
    "real": ["-accel", "kvm", "-cpu", "host"],
}


def boot(work, images, image_mb, initramfs, timeout=3600, clock="virtual"):
    """Boots the guest and yields its reports as (kind, JSON value) until it is done."""
    results, log = work / "results", work / "guest.log"
    results.write_bytes(b"")
    _, vmlinuz = kernel()
    command = [
        *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-reboot", "-machine", "q35", "-smp", "1"),
        *CLOCKS[clock],
        # The disk's memory is the guest's; programs and caches get the rest.
        *("-m", f"{image_mb + 2048}M"),
        *("-kernel", vmlinuz, "-initrd", initramfs),
        *("-append", "console=ttyS0 loglevel=4 panic=-1 oops=panic"),
        *("-serial", f"file:{log}", "-serial", f"file:{results}"),
    ]
    for number, image in enumerate(images):
        command += ["-drive", f"if=none,id=image{number},file={image},format=raw,readonly=on"]
        command += ["-device", f"virtio-blk-pci,drive=image{number}"]
    process = subprocess.Popen([str(part) for part in command], stdin=subprocess.DEVNULL)
    deadline = time.time() + timeout
    try:
        with open(results, encoding="utf-8", errors="replace") as lines:
            unfinished = ""
            while True:
                ended = process.poll() is not None
                unfinished += lines.read()
                *whole, unfinished = unfinished.split("\n")
                for line in whole:
                    kind, _, value = line.strip("\r").partition(" ")
                    if kind == "done":
                        return
                    if kind == "failed":
                        raise Failed(f"in the guest: {value}\nits log is {log}")
                    yield kind, value
                if ended:
                    raise Failed(f"the guest ended too early; the end of its log, {log}:\n{log.read_text(errors='replace')[-2000:]}")
                if time.time() > deadline:
                    raise Failed(f"the guest is not done after {timeout} s; its log is {log}")
                time.sleep(0.05)
    finally:
        if process.poll() is None:
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
        process.wait()


def parse(value):
    """A report's JSON, or why it is none."""
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise Failed(f"the guest sent what is no JSON ({error}): {value}") from error
