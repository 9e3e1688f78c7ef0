# SPDX-License-Identifier: GPL-2.0
"""How the module's costs grow: with recorded pages, with annotated programs, with programs started at once.

The guest's side is guest/costs.sh; bench.py calls this.
"""

import shutil
import statistics

import harness

PAGES = [10, 100, 1000, 10000, 50000]
PROGRAMS = [1, 10, 100, 1000, 10000]
CROWDS = [1, 4, 16, 64]
# Programs that run at a time while memory is looked at.
MEMORY_COUNT = 32
# Execs and exits of each kind.
REPEAT = 200

# Starts and ends by itself; ten thousand copies of a program with a C library would be gigabytes.
SMALL = """
.globl _start
_start: mov $60, %eax
xor %edi, %edi
syscall
.section .note.GNU-stack, "", @progbits
"""

UNLOADED, CALM, RECORDED = "module not loaded", "with the module", "recorded at each start"
# Title, titles of the axes, and the curves: the guest's name and the reader's.
PLOTS = {
    "exec": (
        ("A start beside annotated programs", "annotated programs that were started before", "µs for fork, exec and exit"),
        {"unloaded": UNLOADED, "unannotated": "not annotated", "annotated": "annotated, warm"},
    ),
    "again": (
        ("Annotated programs that are started in turns", "annotated programs", "µs for fork, exec and exit"),
        {"annotated": "annotated, warm"},
    ),
    "crowd": (
        ("Programs that are started at once, of 1,000 pages, warm", "programs", "µs for each"),
        {"unloaded": UNLOADED, "calm": CALM, "recorded": RECORDED},
    ),
    "exit": (
        ("The end of a program", "pages that it touched", "µs"),
        {"unloaded": UNLOADED, "calm": CALM, "recorded": RECORDED},
    ),
    "write": (
        ("From the end of a program to its bitmap on the disk, behind its back", "pages that it touched", "µs"),
        {"write": "0.5 ms, 200 MB/s"},
    ),
    "memory": (
        ("Memory of a running program", "pages that it touched", "KiB"),
        {"unloaded": UNLOADED, "recorded": "while it is recorded"},
    ),
}


def measure(work, options):
    """Boots the guest; returns the figures by plot, curve and place."""
    binaries = options.binaries
    stage = work / "stage"
    shutil.rmtree(work, ignore_errors=True)
    for directory in ["dev", "proc", "tmp", "bench"]:
        (stage / directory).mkdir(parents=True)
    for name in ["true", "touch"]:
        shutil.copy2(binaries / f"bench-{name}", stage / name)
    shutil.copy2(options.tool, stage / "bench/pbitmap-tool")
    source = work / "small.s"
    source.write_text(SMALL)
    harness.run("gcc-14", "-nostdlib", "-static", "-s", "-Wl,--build-id", "-Wl,-z,noseparate-code", "-o", stage / "small", source)
    image, initramfs = work / "image.ext4", work / "initramfs.cpio"
    size = harness.make_image(stage, image, spare=640 << 20)
    settings = {
        "IMAGE_MB": size, "LATENCY_US": 500, "MB_PER_S": 200, "READ_AHEAD_KB": 128,
        "PAGES": " ".join(map(str, PAGES)), "PROGRAMS": " ".join(map(str, PROGRAMS)), "CROWDS": " ".join(map(str, CROWDS)),
        "MEMORY_COUNT": MEMORY_COUNT, "REPEAT": REPEAT,
    }
    harness.make_initramfs(work / "initramfs", initramfs, "costs", settings, [], binaries, options.module)
    figures = {}
    for kind, value in harness.boot(work, [image], size, initramfs, clock=options.clock):
        if kind != "cost":
            continue
        report = harness.parse(value)
        if not (report.get("ns") or report.get("bytes")):
            raise harness.Failed(f"nothing was measured: {value}")
        plot, curve, place = report["label"].split(" ")
        # us, KiB
        numbers = [ns / 1000 for ns in report["ns"]] if "ns" in report else [count / 1024 for count in report["bytes"]]
        figures.setdefault(plot, {}).setdefault(curve, {}).setdefault(int(place), []).extend(numbers)
    shutil.rmtree(work)
    return {
        plot: {curve: [[place, round(statistics.median(numbers), 3)] for place, numbers in points.items()] for curve, points in curves.items()}
        for plot, curves in figures.items()
    }


def plots(figures):
    """The same as bench-report takes them."""
    for plot, ((title, x_title, y_title), curves) in PLOTS.items():
        series = [{"name": name, "points": figures[plot][curve]} for curve, name in curves.items() if figures.get(plot, {}).get(curve)]
        if series:
            yield {"title": title, "x_title": x_title, "y_title": y_title, "log_x": True, "series": series}


def overheads(figures):
    """What is promised of single figures, in percent of the time without the module."""
    at = lambda plot, curve, place: dict(figures[plot][curve])[place]
    percent = lambda plot, curve, place: round(100 * (at(plot, curve, place) / at(plot, "unloaded", place) - 1), 3)
    return {
        "unannotated_pct": percent("exec", "unannotated", 1),
        "annotated_warm_pct": percent("exec", "annotated", 1),
        "exit_pct": percent("exit", "recorded", 1000),
    }
