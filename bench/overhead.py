#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Says what the module costs a program that gains nothing by it: fork, exec and exit of a static `true`, warm.

scripts/overhead.sh calls this inside the root; see there for what a user sets.
"""

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
from pathlib import Path

import harness
from harness import Failed, say

# What the project promises, in percent of the time without the module.
LIMITS = {"unannotated": 1.0, "annotated_warm": 3.0, "after_window": 0.5}

# Against what: all but the loops are fork, exec and exit.
BASE = {"after_window": "unloaded_loops"}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="where images go")
    parser.add_argument("--binaries", type=Path, required=True, help="where bench-launcher and bench-true are")
    parser.add_argument("--tool", type=Path, required=True, help="pbitmap-tool")
    parser.add_argument("--module", type=Path, required=True, help="pbitmap.ko")
    parser.add_argument("--json", type=Path, help="where the results are written")
    parser.add_argument("--repeat", type=int, default=200, help="execs in a turn")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each kind")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    return parser.parse_args()


def print_profiles(profiles):
    """Where the annotated program's time goes with the module, against without it."""
    names = {name for profile in profiles.values() for name in [*profile["own"], *profile["whole"]]}
    names = sorted(names)
    # Rust's names are mangled.
    filtered = subprocess.run(["c++filt"], input="\n".join(names), stdout=subprocess.PIPE, text=True, check=True)
    readable = dict(zip(names, re.sub(r"\[[0-9a-f]{12,}\]", "", filtered.stdout).splitlines()))
    without, with_ = profiles["unloaded_annotated"], profiles["annotated_warm"]

    print(f"\nsampled, annotated: without the module {without['ns'] / 1000:.1f} us, with it {with_['ns'] / 1000:.1f} us\n")
    for kind, title in [("whole", "with all that it calls"), ("own", "itself")]:
        more = {name: with_[kind].get(name, 0) - without[kind].get(name, 0) for name in names}
        print(f"  more time in ({title}):")
        for name in sorted(names, key=lambda name: -more[name])[:40]:
            if more[name] >= 200:
                print(f"    {more[name] / 1000:8.2f} us  {readable[name]}")
        print()


def main():
    options = parse_arguments()
    options.work.mkdir(parents=True, exist_ok=True)
    stage = options.work / "stage"
    shutil.rmtree(stage, ignore_errors=True)
    for directory in ["dev", "proc", "tmp", "bench"]:
        (stage / directory).mkdir(parents=True)
    shutil.copy2(options.binaries / "bench-true", stage / "true")
    shutil.copy2(options.binaries / "bench-loops", stage / "loops")
    shutil.copy2(options.tool, stage / "bench/pbitmap-tool")
    image, initramfs = options.work / "image.ext4", options.work / "initramfs.cpio"
    size = harness.make_image(stage, image)
    shutil.rmtree(stage)
    settings = {
        "IMAGE_MB": size,
        "LATENCY_US": 500,
        "MB_PER_S": 200,
        "READ_AHEAD_KB": 128,
        "REPEAT": options.repeat,
        "ROUNDS": options.rounds,
        "PROFILE": int(options.profile),
    }
    harness.make_initramfs(
        options.work / "initramfs", initramfs, "overhead", settings, [], options.binaries, options.module
    )
    say("booting the guest")
    turns = {}
    profiles = {}
    counters = {}
    kernel = None
    for kind, value in harness.boot(options.work, [image], size, initramfs):
        if kind == "loop":
            turn = harness.parse(value)
            turns.setdefault(turn["label"], []).append(turn["ns"])
            say(f"{turn['label']}: median {statistics.median(turn['ns']) / 1000:.2f} us of {len(turn['ns'])}")
        elif kind == "profile":
            profile = harness.parse(value)
            profiles[profile["label"]] = profile
        elif kind == "counter":
            name, _, count = value.partition(" ")
            counters[name] = int(count)
        elif kind == "kernel":
            kernel = value
    if counters.get("used", 0) < options.repeat:
        raise Failed(f"the module did not use the bitmap of the annotated program; it counted {counters}")

    medians = {what: [statistics.median(turn) for turn in of] for what, of in turns.items()}
    overall = {what: statistics.median(ns for turn in of for ns in turn) for what, of in turns.items()}
    percent = lambda what: round(100 * (overall[what] / overall[BASE.get(what, "unloaded")] - 1), 3)
    document = {
        "unannotated_pct": percent("unannotated"),
        "annotated_warm_pct": percent("annotated_warm"),
        # Beyond what was agreed:
        "after_window_pct": percent("after_window"),
        "kernel": kernel,
        "execs": options.repeat * options.rounds,
        "clock": "virtual: one instruction is one nanosecond",
        "median_ns": overall,
        "median_ns_of_each_round": medians,
        "mean_ns": {what: round(statistics.fmean(ns for turn in of for ns in turn)) for what, of in turns.items()},
    }
    if options.json:
        options.json.write_text(json.dumps(document, indent=2) + "\n")

    print(f"\nLinux {kernel}; fork, exec and exit of a static `true` in virtual time (an instruction is a nanosecond),")
    print(f"median of {options.repeat} in each of {options.rounds} rounds:\n")
    told = {
        "unloaded": "module not loaded",
        "unloaded_annotated": "  annotated",
        "unannotated": "module loaded, not annotated",
        "annotated_warm": "module loaded, annotated, warm",
        "no_early_fault": "  vm.pbitmap_early_fault = 0",
        "disabled": "  vm.pbitmap_enabled = 0",
        "unloaded_loops": "running on, module not loaded",
        "after_window": "running on, after its window",
    }
    for what, text in told.items():
        spread = 100 * (max(medians[what]) - min(medians[what])) / min(medians[what])
        change = "" if what in ("unloaded", "unloaded_loops") else f"{percent(what):+7.2f} %"
        limit = f"  (at most {LIMITS[what]:g} %)" if what in LIMITS else ""
        print(f"  {text:32} {overall[what] / 1000:9.2f} us  +-{spread / 2:.2f} % {change}{limit}".rstrip())
    if profiles:
        print_profiles(profiles)
    over = [what for what, limit in LIMITS.items() if percent(what) > limit]
    if over:
        raise Failed("too much: " + ", ".join(f"{told[what]}: {percent(what):+.2f} %" for what in over))


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"overhead: error: {failure}")
