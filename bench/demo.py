#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Starts programs cold without and with the module, and shows what that makes of them.

scripts/demo.sh calls this inside the root; see there for what a user sets.
"""

import argparse
import json
import shlex
import shutil
import sys
from pathlib import Path

import harness
import programs as described
import table
from harness import Failed, say


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tree", type=Path, required=True, help="an unpacked Debian with the programs' packages")
    parser.add_argument("--work", type=Path, required=True, help="where images go; on the tree's file system")
    parser.add_argument("--binaries", type=Path, required=True, help="where bench-launcher is")
    parser.add_argument("--tool", type=Path, help="pbitmap-tool")
    parser.add_argument("--module", type=Path, help="pbitmap.ko; without it only the side without it is measured")
    parser.add_argument("--kernel-source", type=Path, required=True)
    parser.add_argument("--programs", type=Path, help="what to start (see programs.toml)")
    parser.add_argument("--only", default="", help="names out of that, separated by blanks")
    parser.add_argument("--json", type=Path, required=True, help="where the results are written")
    parser.add_argument("--latency-us", type=int, default=500)
    parser.add_argument("--mb-per-s", type=int, default=200)
    parser.add_argument("--read-ahead-kb", type=int, default=128)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--require-gain", action="store_true", help="fail if a program gains too little (see shortfalls)")
    return parser.parse_args()


class Results:
    """What the guest said, by program and by what was measured."""

    def __init__(self, options, programs):
        self.options = options
        self.programs = programs
        self.kernel = None
        self.runs = {}
        self.faults = {}
        self.bitmaps = {}
        self.counters = {}

    TOLD = {
        "first": "first start, not counted",
        "cold_without": "cold without the module",
        "warm": "warm",
        "cold_unloaded": "cold, annotated, without the module",
        "train": "trained in an ordinary run",
        "cold_with": "cold with the module",
        "warm_with": "warm with the module",
        "cold_exact": "cold, trained exactly",
        "cold_whole": "cold, without the module, all files read whole",
    }

    def add(self, kind, value):
        if kind == "kernel":
            self.kernel = value
            say(f"the guest is up: Linux {value}")
        elif kind == "counter":
            name, _, count = value.partition(" ")
            self.counters[name] = int(count)
        elif kind == "trained":
            name, _, bitmap = value.partition(" ")
            self.bitmap(name, harness.parse(bitmap))
        elif kind == "run":
            run = harness.parse(value)
            name, what = run["label"].split(" ")
            runs = self.runs.setdefault((name, what), [])
            runs.append(run)
            if len(runs) == self.expected(what):
                times = " ".join(f"{run['ns'] / 1e6:.1f}" for run in runs)
                say(f"{name}: {self.TOLD[what]}: {times} ms, {run['majflt']} major faults, {run['reads']} reads")
        elif kind == "faults":
            faults = harness.parse(value)
            name, what = faults["label"].split(" ")
            self.faults[name, what] = faults
            say(f"{name}: of {faults['seen']} major faults {what} the module, {faults['own']} were on its own pages")

    def expected(self, what):
        """How many runs of a kind the guest makes of each program (guest/demo.sh)."""
        return 1 if what in ["first", "cold_unloaded", "cold_whole", "train", "warm_with"] else self.options.repeat

    def bitmap(self, name, bitmap):
        """A program whose training left no bitmap has not shown anything."""
        self.bitmaps[name] = bitmap
        if not self.counters.get("writes"):
            counted = ", ".join(f"{counter} {count}" for counter, count in self.counters.items() if count)
            raise Failed(
                f"{name}: its run left no bitmap (state {bitmap['state']}, generation {bitmap['generation']});"
                f" the module counted: {counted}"
            )
        say(f"{name}: its bitmap has {bitmap['pages_set']} of {bitmap['pages_total']} pages")

    def median(self, name, what, field):
        runs = sorted(run[field] for run in self.runs.get((name, what), []))
        return runs[len(runs) // 2] if runs else None

    def spread(self, name, what):
        """The distance between the fastest and the slowest run, in percent."""
        times = [run["ns"] for run in self.runs.get((name, what), [])]
        return round(100 * (max(times) - min(times)) / min(times), 2) if times else None

    def check(self):
        """A faster start of a program that does something else would be no success."""
        for program in self.programs:
            name = program["name"]
            outputs = {run["output"] for (of, _), runs in self.runs.items() if of == name for run in runs}
            if len(outputs) > 1:
                raise Failed(f"{name} printed different things in different runs")

    def program(self, program):
        name = program["name"]
        microseconds = lambda what: (lambda ns: None if ns is None else round(ns / 1000))(self.median(name, what, "ns"))
        own = lambda what: self.faults[name, what]["own"] if (name, what) in self.faults else None
        bitmap = self.bitmaps.get(name, {})
        return {
            "name": name,
            "command": shlex.join(program["command"]),
            "cold_without_us": microseconds("cold_without"),
            "cold_with_us": microseconds("cold_with"),
            "warm_us": microseconds("warm"),
            "majflt_without": self.median(name, "cold_without", "majflt"),
            "majflt_with": self.median(name, "cold_with", "majflt"),
            "reads_without": self.median(name, "cold_without", "reads"),
            "reads_with": self.median(name, "cold_with", "reads"),
            "kb_without": self.median(name, "cold_without", "kb_read"),
            "kb_with": self.median(name, "cold_with", "kb_read"),
            # Beyond what was agreed:
            "executable": program["executable"],
            "own_majflt_without": own("without"),
            "own_majflt_with": own("with"),
            "cold_unloaded_us": microseconds("cold_unloaded"),
            "train_us": microseconds("train"),
            "warm_with_us": microseconds("warm_with"),
            "cold_exact_us": microseconds("cold_exact"),
            "kb_exact": self.median(name, "cold_exact", "kb_read"),
            "cold_whole_us": microseconds("cold_whole"),
            "kb_whole": self.median(name, "cold_whole", "kb_read"),
            "spread_pct": {what: self.spread(name, what) for what in ["cold_without", "cold_with", "warm"]},
            "samples": {
                what: [{field: run[field] for field in ["ns", "majflt", "minflt", "reads", "kb_read", "writes"]} for run in runs]
                for (of, what), runs in self.runs.items()
                if of == name
            },
            "bitmap_pages": bitmap.get("pages_set"),
            "executable_pages": bitmap.get("pages_total"),
            "majflt_by_file_without": self.faults.get((name, "without"), {}).get("by_file"),
            "majflt_by_file_with": self.faults.get((name, "with"), {}).get("by_file"),
        }

    def document(self):
        return {
            "device": {
                "latency_us": self.options.latency_us,
                "mb_per_s": self.options.mb_per_s,
                "read_ahead_kb": self.options.read_ahead_kb,
            },
            "kernel": self.kernel,
            "programs": [self.program(program) for program in self.programs],
            "clock": "virtual: one instruction is one nanosecond",
            "runs": self.options.repeat,
            "counters": self.counters,
        }


def shortfalls(programs):
    """What the project promises of the demo's own programs and these did not get."""
    for program in programs:
        without, with_ = program["cold_without_us"], program["cold_with_us"]
        if with_ >= without:
            yield f"{program['name']} did not start faster: {with_} us with the module, {without} us without"
        if program["kb_whole"] and 2 * program["kb_with"] > program["kb_whole"]:
            yield (
                f"{program['name']} read {program['kb_with']} KB with the module, more than half of the"
                f" {program['kb_whole']} KB of whole files"
            )
        own, own_with = program["own_majflt_without"], program["own_majflt_with"]
        # One is exec's own, for the bytes after the data that it clears: it waits for a page that is being read, which
        # the kernel counts as major when it is the kernel that waits.
        if own_with > max(1, own * 0.1):
            yield f"{program['name']} still takes {own_with} of {own} major faults on its own pages"


def main():
    options = parse_arguments()
    programs = described.choose(options.programs, options.only)
    options.work.mkdir(parents=True, exist_ok=True)

    say("making the disk image")
    image = options.work / "image.ext4"
    stage = options.work / "stage"
    described.prepare(stage, options.tree, programs, options.kernel_source, options.tool)
    # Two more of each executable: a copy, and another while that is annotated.
    spare = sum(2 * described.in_tree(stage, program["executable"]).stat().st_size for program in programs)
    size = harness.make_image(stage, image, spare)
    shutil.rmtree(stage)
    initramfs = options.work / "initramfs.cpio"
    settings = {
        "IMAGE_MB": size,
        "LATENCY_US": options.latency_us,
        "MB_PER_S": options.mb_per_s,
        "READ_AHEAD_KB": options.read_ahead_kb,
        "REPEAT": options.repeat,
    }
    scripts = [(program["name"], described.guest_script(program)) for program in programs]
    harness.make_initramfs(
        options.work / "initramfs", initramfs, "demo", settings, scripts, options.binaries, options.module
    )

    say(f"booting the guest and filling its disk of {size} MB")
    results = Results(options, programs)
    for kind, value in harness.boot(options.work, [image], size, initramfs):
        results.add(kind, value)
    image.unlink()
    results.check()
    say("done")

    document = results.document()
    options.json.write_text(json.dumps(document, indent=2) + "\n")
    print(table.render(document), flush=True)
    short = list(shortfalls(document["programs"])) if options.require_gain and options.module else []
    if short:
        raise Failed("; ".join(short))


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"demo: error: {failure}")
