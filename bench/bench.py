#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Measures every program on every device with every rival and what the module costs, and keeps what it has measured.

scripts/bench.sh calls this inside the root; see there for what a user sets. A cell is a program on a device with a
rival. Each has a file in build/bench/cells, which holds until something that it was measured with changes; so have the
costs.
"""

import argparse
import concurrent.futures
import hashlib
import itertools
import json
import shlex
import shutil
import statistics
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import costs
import harness
import programs as described
from harness import Failed, say

HERE = Path(__file__).resolve().parent
# The starts of which the report has a time line: some of each kind, and on each device the one that was farthest from
# its limit.
TIMELINES = {
    "network": ["git", "python3", "clang", "java", "busybox", "redis"],
    "sd": ["hugo"],
    "disk": ["git"],
    "nvme": ["git"],
    "squashfs": ["clang"],
}
TIMELINE_RIVALS = ["none", "pbitmap"]
PARTS = ["starts", "costs"]
# `make bench QUICK=1`.
QUICK = {"parts": ["starts"], "programs": ["git", "python3", "perl"], "devices": ["network"], "rivals": ["none", "pbitmap", "wrapper"], "repeat": 1}


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--missing", action="store_true", help="only print the programs with cells to measure, and rivals, with their packages")
    parser.add_argument("--no-measuring", action="store_true", help="only write the report of what was measured")
    parser.add_argument("--report", type=Path, help="bench-report")
    parser.add_argument("--publish", type=Path, metavar="DIR", help="the report and what it was made of go here, too")
    parser.add_argument("--take", type=Path, metavar="DIR", help="count what was published there as measured here")
    parser.add_argument("--out", type=Path, default=Path("/src/build/bench"), help="where the results are")
    parser.add_argument("--work", type=Path, help="where images go; on the trees' file system")
    parser.add_argument("--binaries", type=Path, help="where bench-launcher is")
    parser.add_argument("--tool", type=Path, help="pbitmap-tool")
    parser.add_argument("--module", type=Path, help="pbitmap.ko")
    parser.add_argument("--kernel-source", type=Path)
    parser.add_argument("--tree", action="append", default=[], metavar="NAME=DIR", help="an unpacked Debian with a program's packages; the rivals' is 'rivals'")
    parser.add_argument("--parts", default="", help=f"of {' '.join(PARTS)}")
    parser.add_argument("--programs", default="", help="only these, separated by blanks")
    parser.add_argument("--devices", default="")
    parser.add_argument("--rivals", default="")
    parser.add_argument("--repeat", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--clock", choices=list(harness.CLOCKS), default="virtual")
    parser.add_argument("--parallel", type=int, default=1)
    parser.add_argument("--identity", default="", help="what else the figures depend on")
    parser.add_argument("--command", default="make bench", help="for the report")
    parser.add_argument("--commit", default="", help="for the report")
    return parser.parse_args()


class Plan:
    """What is to be measured, and what of it was."""

    def __init__(self, options):
        table = tomllib.loads((HERE / "bench.toml").read_text())
        usual = tomllib.loads((HERE / "programs.toml").read_text())
        quick = QUICK if options.quick else {}

        def choose(what, entries):
            names = getattr(options, what).split() or quick.get(what) or [entry["name"] for entry in entries]
            unknown = set(names) - {entry["name"] for entry in entries}
            if unknown:
                raise Failed(f"bench.toml has no such {what[:-1]}: {', '.join(sorted(unknown))}")
            return [entry for entry in entries if entry["name"] in names]

        self.parts = [entry["name"] for entry in choose("parts", [{"name": part} for part in PARTS])]
        self.programs = choose("programs", usual["program"] + table["program"])
        self.devices = choose("devices", table["device"])
        self.only_on = dict(reversed(name.split(":")) for name in options.rivals.split() if ":" in name)
        options.rivals = " ".join(name.split(":")[-1] for name in options.rivals.split())
        self.rivals = choose("rivals", table["rival"])
        self.repeat = options.repeat or quick.get("repeat") or (3 if options.clock == "virtual" else 15)
        self.options = options
        self.cells = options.out / "cells"
        self.cells.mkdir(parents=True, exist_ok=True)

    def key(self, *parts):
        """Names everything that figures depend on, but for the module."""
        parts = [*parts, self.options.clock, harness.kernel()[0]]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]

    def cell(self, program, device, rival):
        """The file and the key of a cell, and with which module it is measured."""
        name = f"{program['name']}.{device['name']}.{rival['name']}.{self.options.clock}.json"
        module = self.options.identity if rival.get("module") else ""
        return self.cells / name, self.key(program, device, rival, self.repeat), module

    def timeline(self, program, device_name, rival_name):
        return self.cells / f"{program['name']}.{device_name}.{rival_name}.timeline"

    def costs(self):
        """The same of the costs."""
        what = [costs.PAGES, costs.PROGRAMS, costs.CROWDS, costs.MEMORY_COUNT, costs.REPEAT]
        return self.cells / f"costs.{self.options.clock}.json", self.key(what), self.options.identity

    def known(self, file, key, module):
        """Figures, if they were measured as they would be now; those that are published, with any module."""
        try:
            figures = json.loads(file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return None
        same = figures.get("key") == key
        same_module = figures.get("module") == module or self.options.publish
        return figures if same and same_module else None

    def complete(self, program, device, rival):
        """Is nothing left to measure of the cell, its time line included?"""
        lined = (device["name"], rival["name"]) in self.timelines(program)
        wanted = lined and not self.timeline(program, device["name"], rival["name"]).exists()
        return self.known(*self.cell(program, device, rival)) and not wanted

    @staticmethod
    def timelines(program):
        devices = [device for device, programs in TIMELINES.items() if program["name"] in programs]
        return list(itertools.product(devices, TIMELINE_RIVALS))

    def take(self, published):
        """Cells that were measured elsewhere, as far as there are none here."""
        about = json.loads((published / "about.json").read_text())
        entries = {entry["name"]: entry for entry in self.programs + self.devices + self.rivals}
        files_kb = {program["name"]: program["files_kb"] for program in about["programs"]}
        for row in json.loads((published / "results.json").read_text()):
            names = [row.pop(what) for what in ("program", "device", "rival")]
            if not all(name in entries for name in names):
                continue
            file, _, _ = self.cell(*(entries[name] for name in names))
            if file.exists():
                continue
            by = {"command": about["command"], "commit": row.pop("commit", about["commit"])}
            file.write_text(json.dumps({"by": by, "files_kb": files_kb[names[0]], **row}) + "\n")

    def base(self, program, device):
        """What another cell knows of the program on the device whatever is done, as the guest reports it."""
        for rival in self.rivals:
            cell = self.known(*self.cell(program, device, rival)) or {}
            if "warm_us" in cell:
                return {"warm": [{"ns": cell["warm_us"] * 1000}], "needed": [{"kb_read": cell["needed_kb"]}]}
        return {}

    def keep(self, file, key, module, figures):
        partial = file.with_suffix(".part")
        by = {"command": self.options.command, "commit": self.options.commit}
        partial.write_text(json.dumps({"key": key, "module": module, "by": by, **figures}) + "\n")
        partial.rename(file)

    def missing(self, program):
        """(device, rivals) with cells that are not known."""
        if "starts" not in self.parts:
            return
        for device in self.devices:
            rivals = [
                rival for rival in self.rivals
                if self.only_on.get(rival["name"], device["name"]) == device["name"]
                and not self.complete(program, device, rival)
            ]
            if rivals:
                yield device, rivals


def device_script(device):
    return (
        f"LATENCY_US={device['latency_us']} MB_PER_S={device['mb_per_s']} DEPTH={device['depth']}\n"
        f"MAX_REQUEST_KB={device['max_request_kb']}\n"
        f"ROTATIONAL={int(device.get('rotational', False))} READ_AHEAD_KB={device.get('read_ahead_kb', 128)}\n"
        f"FILESYSTEM={device.get('filesystem', 'ext4')}\n"
    )


def rival_script(rival):
    return (
        f"options={shlex.quote(rival.get('options', ''))}\n"
        f"module={'yes' if rival.get('module') else ''}\n"
        f"setup() {{ {rival.get('setup', ':')}; }}\n"
    )


def rival_files(tree):
    """Debian's vmtouch and preload with their libraries, for the guest's memory."""
    if not tree:
        return
    for place, file in [("bench/vmtouch", "usr/bin/vmtouch"), ("bench/preload", "usr/sbin/preload")]:
        if (tree / file).exists():
            yield place, tree / file
    listed = subprocess.run(
        ["chroot", tree, "ldd", "/usr/bin/vmtouch", "/usr/sbin/preload"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False
    ).stdout
    for word in listed.split():
        if word.startswith("/") and not word.endswith(":"):
            yield word.lstrip("/"), (tree / word.lstrip("/")).resolve()
    yield "bench/preload.conf", "[system]\nmapprefix=/mnt/;!/\nexeprefix=/mnt/;!/\n"


class Measurement:
    """One boot: a program with all that is missing of it."""

    def __init__(self, plan, program, trees, rest):
        self.plan = plan
        self.program = program
        self.tree = trees[program["name"]]
        self.rivals_tree = trees.get("rivals")
        self.wanted = list(plan.missing(program))
        self.rest = rest
        self.files_kb = None
        self.base = {
            (device["name"], what): reports
            for device, _ in self.wanted
            for what, reports in plan.base(program, device).items()
        }
        self.runs = {}

    def measure(self):
        options = self.plan.options
        work = options.work / self.program["name"]
        work.mkdir(parents=True, exist_ok=True)
        stage, image, squashfs = work / "stage", work / "image.ext4", work / "image.squashfs"
        described.prepare(stage, self.tree, [self.program], options.kernel_source, options.tool)
        executable = described.in_tree(stage, self.program["executable"])
        size = harness.make_image(stage, image, 3 * executable.stat().st_size)
        images, squashfs_mb = [image], 0
        if any(device.get("filesystem") == "squashfs" for device, _ in self.wanted):
            # (a copy, of what a link points to: the file is the cached tree's)
            copy = executable.with_name(executable.name + ".copy")
            harness.run("cp", "-pL", executable, copy)
            harness.run(options.tool, "annotate", "--profile-by", self.program.get("profile_by", "name"), copy)
            copy.rename(executable)
            squashfs_mb = harness.make_squashfs(stage, squashfs)
            images.append(squashfs)
        shutil.rmtree(stage)
        timelines = " ".join(f"{device}.{rival}" for device, rival in self.plan.timelines(self.program))
        settings = {"IMAGE_MB": size, "SQUASHFS_MB": squashfs_mb, "REPEAT": self.plan.repeat, "TIMELINES": f" {timelines} "}
        extra = [(f"bench/devices/{device['name']}", device_script(device)) for device, _ in self.wanted]
        extra += [(f"bench/rivals/{rival['name']}", rival_script(rival)) for rival in self.plan.rivals]
        based = " ".join(sorted({device for device, _ in self.base}))
        settings["BASED"] = f" {based} "
        cells = "".join(f"{device['name']} {' '.join(rival['name'] for rival in rivals)}\n" for device, rivals in self.wanted)
        extra += [("bench/cells", cells), *rival_files(self.rivals_tree)]
        initramfs = work / "initramfs.cpio"
        script = described.guest_script(self.program)
        script += f"until={shlex.quote(self.program.get('until', ''))} display={'yes' if self.program.get('display') else ''}\n"
        harness.make_initramfs(
            work / "initramfs", initramfs, "bench", settings, [(self.program["name"], script)],
            options.binaries, options.module, extra,
        )
        try:
            for kind, value in harness.boot(work, images, max(size, squashfs_mb), initramfs, 4 * 3600, options.clock):
                self.add(kind, value)
        finally:
            shutil.rmtree(work)

    def add(self, kind, value):
        if kind == "broken":
            device, rival, why = (value.split(" ", 2) + [""])[:3]
            self.keep(device, rival, {"failed": why.strip()})
        if kind == "files":
            self.files_kb = int(value)
        if kind not in ("run", "timeline"):
            return
        report = harness.parse(value)
        device, what = report["label"].split(" ")
        if kind == "timeline":
            events = {"program": self.program["name"], "device": device, "rival": what}
            events |= {name: report[name] for name in ("end_us", "events")}
            self.plan.timeline(self.program, device, what).write_text(json.dumps(events))
            return
        if what in ("warm", "needed"):
            self.base.setdefault((device, what), []).append(report)
            return
        runs = self.runs.setdefault((device, what), [])
        runs.append(report)
        if len(runs) == self.plan.repeat:
            self.keep(device, what, self.figures(device, runs))

    def figures(self, device_name, runs):
        device = next(device for device in self.plan.devices if device["name"] == device_name)
        median = lambda runs, field: statistics.median_low(run[field] for run in runs)
        warm = median(self.base[device_name, "warm"], "ns") / 1000
        needed_kb = median(self.base[device_name, "needed"], "kb_read")
        transfer = needed_kb / 1024 / device["mb_per_s"] * 1e6
        cold = [run["ns"] / 1000 for run in runs]
        # (real time: several processors)
        idle = [run["idle_ns"] / 1000 for run in runs if run["idle_ns"] is not None]
        return {
            "cold_us": round(statistics.median_low(cold)),
            "warm_us": round(warm),
            "limit_us": round(max(warm, transfer) + device["latency_us"]),
            "idle_us": round(statistics.median_low(idle)) if idle else None,
            "majflt": median(runs, "majflt"),
            "reads": median(runs, "reads"),
            "kb": median(runs, "kb_read"),
            "cached_kb": median(runs, "cached_kb"),
            "needed_kb": needed_kb,
            "files_kb": self.files_kb,
            "samples_us": [round(sample) for sample in cold],
            "spread_pct": round(100 * (max(cold) - min(cold)) / min(cold), 2),
        }

    def keep(self, device_name, rival_name, cell):
        device = next(device for device in self.plan.devices if device["name"] == device_name)
        rival = next(rival for rival in self.plan.rivals if rival["name"] == rival_name)
        self.plan.keep(*self.plan.cell(self.program, device, rival), cell)
        # (of an earlier module; a new one comes after the start)
        self.plan.timeline(self.program, device_name, rival_name).unlink(missing_ok=True)
        left = self.rest()
        told = f"{cell['cold_us'] / 1000:,.1f} ms" if "cold_us" in cell else f"not measured: {cell['failed']}"
        say(f"{self.program['name']:<12} {device_name:<9} {rival_name:<10} {told:>12}  ({left} to go)")


def write_results(plan):
    """The known cells, as the report takes them."""
    results, timelines, files_kb, commands, commits = [], [], {}, {}, {}

    def note(figures, module):
        """Which command measured this, and with which pbitmap, if with one (dictionaries keep their order)."""
        by = figures.pop("by", None)
        if not by:
            return {}
        commands.update(dict.fromkeys(by["command"].splitlines(), True))
        if not module:
            return {}
        commits[by["commit"]] = True
        return {"commit": by["commit"]}

    for program in plan.programs:
        for device in plan.devices:
            for rival in plan.rivals:
                cell = plan.known(*plan.cell(program, device, rival))
                if not cell:
                    continue
                names = {"program": program["name"], "device": device["name"], "rival": rival["name"]}
                names |= note(cell, rival.get("module"))
                files_kb[program["name"]] = cell.pop("files_kb", None) or files_kb.get(program["name"])
                results.append({**names, **cell})
                file = plan.timeline(program, device["name"], rival["name"])
                if file.exists():
                    timelines.append(json.loads(file.read_text()))
    figures = plan.known(*plan.costs()) or {}
    if figures:
        note(figures, True)
    about = {
        "kernel": harness.kernel()[0],
        "command": "\n".join(commands or [plan.options.command]),
        "commit": ", ".join(commits or [plan.options.commit]),
        "date": time.strftime("%Y-%m-%d"),
        "clock": plan.options.clock,
        "repeat": plan.repeat,
        "programs": [
            {
                "name": program["name"],
                "kind": program.get("kind", ""),
                "command": shlex.join(program["command"]),
                "end": f"prints \"{program['until']}\"" if "until" in program else "exit",
                "files_kb": files_kb.get(program["name"]),
            }
            for program in plan.programs
        ],
        "devices": [{"read_ahead_kb": 128, "filesystem": "ext4", **device} for device in plan.devices],
        "rivals": [{name: rival[name] for name in ("name", "title", "about")} for rival in plan.rivals],
    }
    if figures:
        about["overheads"] = costs.overheads(figures)
    contents = {"results": results, "about": about, "timelines": timelines, "costs": list(costs.plots(figures))}
    for name, content in contents.items():
        (plan.options.out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    return results


def publish(options):
    """Leaves the report and the figures that it was made of where readers of the source find them."""
    for plot in options.publish.glob("*.svg"):
        plot.unlink()
    harness.run(options.report, options.out, "--out", options.publish)
    for name in ["about", "results", "costs"]:
        shutil.copy(options.out / f"{name}.json", options.publish)


def print_table(plan, results):
    """Cold starts in milliseconds, a line for each program and device."""
    names = [rival["name"] for rival in plan.rivals]
    print(f"\ncold start in ms, median of {plan.repeat}, {plan.options.clock} time, Linux {harness.kernel()[0]}\n")
    print(f"  {'program':<12} {'device':<9} {'warm':>9} {'limit':>9}" + "".join(f" {name:>10}" for name in names))
    by_cell = {(result["program"], result["device"], result["rival"]): result for result in results}
    for program in plan.programs:
        for device in plan.devices:
            cells = [by_cell.get((program["name"], device["name"], name), {}) for name in names]
            told = next((cell for cell in cells if "warm_us" in cell), None)
            if not told:
                continue
            line = f"  {program['name']:<12} {device['name']:<9} {told['warm_us'] / 1000:>9,.1f} {told['limit_us'] / 1000:>9,.1f}"
            for cell in cells:
                line += f" {cell['cold_us'] / 1000:>10,.1f}" if "cold_us" in cell else f" {'-':>10}"
            print(line)


def main():
    options = parse_arguments()
    plan = Plan(options)
    if options.take:
        plan.take(options.take)
    if options.no_measuring:
        plan.parts = []
    missing = [program for program in plan.programs if any(plan.missing(program))]
    if options.missing:
        for program in missing:
            print(program["name"], *program["packages"])
        rivals = {package for rival in plan.rivals for package in rival.get("packages", [])}
        if missing and rivals:
            print("rivals", *sorted(rivals))
        return
    trees = {name: Path(directory) for name, directory in (tree.split("=", 1) for tree in options.tree)}
    lock = threading.Lock()
    left = sum(len(rivals) for program in missing for _, rivals in plan.missing(program))
    say(f"{left} of {len(plan.programs) * len(plan.devices) * len(plan.rivals)} cells to measure; what is measured is kept")

    def rest():
        nonlocal left
        with lock:
            left -= 1
            return left

    def measure_costs():
        say("measuring what the module costs")
        plan.keep(*plan.costs(), costs.measure(options.work / "costs", options))

    problems = []
    with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
        measurements = {pool.submit(Measurement(plan, program, trees, rest).measure): program["name"] for program in missing}
        if "costs" in plan.parts and not plan.known(*plan.costs()):
            measurements[pool.submit(measure_costs)] = "costs"
        for done in concurrent.futures.as_completed(measurements):
            if error := done.exception():
                if not isinstance(error, Failed):
                    raise error
                problems.append(f"{measurements[done]}: {error}")
                say(f"{measurements[done]} could not be measured: {error}")
    results = write_results(plan)
    print_table(plan, results)
    if options.report:
        print(harness.run(options.report, options.out), end="")
        if options.publish:
            publish(options)
    if problems:
        raise Failed(f"{len(problems)} could not be measured:\n" + "\n".join(problems))


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"bench: error: {failure}")
