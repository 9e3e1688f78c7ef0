#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the suites of tests/suites and compares what they print.

Called by suites.sh, inside the root; see there. Each suite is run two ways, in
guests of their own: "plain", without the module on the disk plain.img, and
"module", with it on annotated.img. What differs is run again, both ways: what is
not the same in all plain runs, or once the same in both, is unsteady by itself.
"""

import argparse
import json
import os
import pathlib
import queue
import re
import sys
import threading

import guest

SUITES = guest.SRC / "tests" / "suites"
LOGS = guest.SRC / "build" / "logs" / "suites"
WAYS = ("plain", "module")
SELFTESTS = ("selftests", "mm")
QUICK = ("selftests", "stress")
# Two runs differ in these.
VOLATILE = re.compile(r"0x[0-9a-f]+|\d+")


class Runner(guest.Runner):
    """All suites one way."""

    def __init__(self, way, args, suites, only="", again=""):
        module = way == "module"
        self.image = args.images / ("annotated.img" if module else "plain.img")
        environment = {
            "PBITMAP_KO": "/src/build/module/rust/pbitmap/pbitmap.ko",
            "SUITES_MODULE": "yes" if module else "",
            "SUITES_ONLY": f"'{only}'",
            "PBITMAP_QUICK": "yes" if args.quick else "",
        }
        lines = "".join(f"{name}={value}\n" for name, value in environment.items())
        super().__init__(guest.Kernel(), args.accel, lines, LOGS / f"{way}{again}")
        self.way = way
        self.suites = suites

    def disks(self, number, test):
        """The Debian, of which nothing is changed for the next run, and a disk that nobody needs."""
        return [f"{self.image},snapshot=on", super().disks(number, test)[1]]

    def results(self, suite):
        """(what is compared, what is only told) of what a suite printed."""
        log = self.logs / f"{suite.name}.log"
        return results_of(log.read_text(encoding="utf-8", errors="replace") if log.exists() else "")

    def problem(self, suite):
        """Why its run says nothing, or that the kernel complained."""
        verdict, reason, _ = self.reporter.results.get(suite.name, ("FAIL", "it never ran", 0))
        return "" if verdict == "ok" else f"{self.way}: {reason}"


def tap(text):
    """The results in what run_kselftest.sh printed: "collection:test/number name" -> "ok"."""
    results = {}
    test = None
    for line in text.splitlines():
        match = re.match(r"# selftests: (\S+): (\S+)$", line)
        if match:
            test = f"{match[1]}:{match[2]}"
            continue
        match = re.match(r"(not ok|ok) \d+ selftests: (\S+): (\S+)(?: # (.*))?$", line)
        if match:
            verdict = "skip" if (match[4] or "").startswith("SKIP") else match[1]
            if (match[4] or "").startswith("TIMEOUT"):
                verdict = "timeout"
            results[f"{match[2]}:{match[3]}"] = verdict
            test = None
            continue
        match = re.match(r"#\s+(?:#\s*)?(not ok|ok) (\d+)\s*-?\s*([^#]*)(?:# *(\w+))?", line)
        if match and test:
            name = VOLATILE.sub("N", match[3]).strip()
            key = f"{test}/{match[2]} {name}"
            while key in results:
                key += "'"
            results[key] = "skip" if (match[4] or "").upper() == "SKIP" else match[1]
    return results


def results_of(text):
    """(what is compared, what is only told) of a suite's output."""
    results = tap(text)
    counts = {}
    for line in text.splitlines():
        match = re.match(r"RESULT (.*) = (.*)$", line)
        if match:
            results[match[1]] = match[2].strip()
        match = re.match(r"COUNT (\S+) (-?\d+)$", line)
        if match:
            counts[match[1]] = int(match[2])
    return results, counts


def compare(plain, module):
    """(equal, unsteady, different) keys of two lists of runs, one each or more."""
    equal, unsteady, different = [], [], []
    # How far a test came until it was ended says nothing.
    ended = {key for results in plain + module for key, verdict in results.items() if verdict == "timeout"}
    for key in sorted(set().union(*plain, *module)):
        if "/" in key and key.split("/")[0] in ended:
            continue
        without = {results.get(key) for results in plain}
        with_it = {results.get(key) for results in module}
        if len(without | with_it) == 1:
            equal.append(key)
        elif len(without) > 1 or without & with_it:
            unsteady.append(key)
        else:
            different.append(key)
    return equal, unsteady, different


def run_all(runners, parallel):
    """The suites of all runners, both ways of one side by side; PARALLEL guests at a time."""
    work = queue.Queue()
    for suite in runners[0].suites:
        for runner in runners:
            work.put((runner, suite))

    def worker():
        while True:
            try:
                runner, suite = work.get_nowait()
            except queue.Empty:
                return
            runner.run([suite], 1)

    threads = [threading.Thread(target=worker) for _ in range(parallel)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def compare_suite(suite, plain, module, args):
    """What the report says of a suite that was run both ways."""
    runs = {runner.way: [runner.results(suite)] for runner in (plain, module)}
    results = lambda way: [run[0] for run in runs[way]]
    equal, unsteady, different = compare(results("plain"), results("module"))
    problems = [problem for runner in (plain, module) if (problem := runner.problem(suite))]
    if different and equal:
        # Some pass or fail by chance.
        only = " ".join(sorted({key.split("/")[0] for key in different})) if suite.name in SELFTESTS else ""
        print(f"{suite.name}: {len(different)} results differ; once more: {only or 'all'}")
        again = [Runner(way, args, [suite], only, "-again") for way in WAYS]
        run_all(again, args.parallel)
        for runner in again:
            runs[runner.way].append(runner.results(suite))
            if problem := runner.problem(suite):
                problems.append(problem)
        of_these = lambda way: [{key: results.get(key) for key in different} for results in results(way)]
        _, unsteady, different = compare(of_these("plain"), of_these("module"))
        # What was ended the first time may have come to its end.
        anew, _, odd = compare(results("plain")[1:], results("module")[1:])
        equal += sorted(set(anew) - set(equal) - set(unsteady) - set(different))
        different += sorted(set(odd) - set(equal) - set(unsteady) - set(different))
    if not equal:
        problems.append("nothing was compared")
    for count in ("used", "recordings", "writes"):
        if not runs["module"][0][1].get(count):
            problems.append(f"with the module: no {count}")
    verdicts = [results("plain")[0].get(key) or results("plain")[-1][key] for key in equal]
    said = lambda key: [[run[0].get(key) for run in runs[way]] for way in WAYS]
    return {
        "compared": len(equal) + len(different),
        "equal": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts)) if len(verdict) < 40},
        "different": {key: said(key) for key in different},
        "unsteady": {key: said(key) for key in unsteady},
        "problems": problems,
        "counts": {way: runs[way][0][1] for way in WAYS},
    }


def show(name, report):
    """The same, for the person who waits."""
    equal = report["compared"] - len(report["different"])
    print(
        f"{name}: {equal} equal, {len(report['different'])} different,"
        f" {len(report['unsteady'])} unsteady by themselves"
    )
    for what in ("different", "unsteady"):
        for key, (plain, module) in report[what].items():
            print(f"    {what}: {key}: {plain} without, {module} with the module")
    for problem in report["problems"]:
        print(f"    FAIL {problem}")
    for count, number in report["counts"]["module"].items():
        print(f"    with the module: {count} {number:,}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--parallel", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("parts", nargs="*")
    args = parser.parse_args()

    known = {path.stem: path for path in sorted(SUITES.glob("*.sh")) if path.stem != "lib"}
    parts = args.parts or (QUICK if args.quick else list(known))
    for part in parts:
        if part not in known:
            sys.exit(f"suites.sh: no suite '{part}'; there are: {' '.join(known)}")
    suites = [guest.Test.read(known[part]) for part in parts]

    runners = [Runner(way, args, suites) for way in WAYS]
    run_all(runners, args.parallel)
    print()
    reports = {suite.name: compare_suite(suite, *runners, args) for suite in suites}
    for name, report in reports.items():
        show(name, report)
    passed = sum(report["compared"] - len(report["different"]) for report in reports.values())
    failed = sum(len(report["different"]) + len(report["problems"]) for report in reports.values())
    report = {
        "annotated": int((args.images / "annotated").read_text()),
        "suites": reports,
        "passed": passed,
        "failed": failed,
    }
    (guest.SRC / "build" / "suites.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
