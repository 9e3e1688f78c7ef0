#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Runs the suites of tests/suites and compares what they print.

Called by suites.sh, inside the root; see there. Each suite is run three times,
each time in a guest of its own: "first" and "second" without the module on the
disk plain.img, "module" with it on annotated.img. What is equal in the first two
must be equal in the third. What differs there is run again, both ways: a result
that the baseline shows as well, or that goes away, is unsteady by itself.
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
BASELINE = ("first", "second")
# Two runs differ in these.
VOLATILE = re.compile(r"0x[0-9a-f]+|\d+")


class Runner(guest.Runner):
    """All suites one way."""

    def __init__(self, way, accel, images, suites, only=""):
        module = way.startswith("module")
        self.image = images / ("annotated.img" if module else "plain.img")
        environment = {
            "PBITMAP_KO": "/src/build/module/rust/pbitmap/pbitmap.ko",
            "SUITES_MODULE": "yes" if module else "",
            "SUITES_ONLY": f"'{only}'",
            "QUICK": os.environ.get("QUICK", ""),
        }
        lines = "".join(f"{name}={value}\n" for name, value in environment.items())
        super().__init__(guest.Kernel(), accel, lines, LOGS / way)
        self.way = way
        self.suites = suites

    def disks(self, number, test):
        """The Debian, of which nothing is changed for the next run, and a disk that nobody needs."""
        return [f"{self.image},snapshot=on", super().disks(number, test)[1]]

    def output(self, suite):
        log = self.logs / f"{suite}.log"
        return log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""


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


def results_of(suite, text):
    """(what is compared, what is only told) of a suite's output."""
    results = tap(text) if suite == "selftests" else {}
    counts = {}
    for line in text.splitlines():
        match = re.match(r"RESULT (.*) = (.*)$", line)
        if match:
            results[match[1]] = match[2].strip()
        match = re.match(r"COUNT (\S+) (-?\d+)$", line)
        if match:
            counts[match[1]] = int(match[2])
    return results, counts


def compare(baselines, with_module):
    """(equal, unsteady, different) keys; with_module is a list, too: one that agrees is enough."""
    keys = set().union(*baselines, *with_module)
    equal, unsteady, different = [], [], []
    for key in sorted(keys):
        base = {results.get(key) for results in baselines}
        module = {results.get(key) for results in with_module}
        if len(base) == 1 and module == base:
            equal.append(key)
        elif len(base) > 1 or module & base:
            unsteady.append(key)
        else:
            different.append(key)
    return equal, unsteady, different


def run_all(runners, parallel):
    """Every runner's suites; a guest at a time for each of PARALLEL threads."""
    work = queue.Queue()
    for runner in runners:
        for suite in runner.suites:
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


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--accel", default="tcg")
    parser.add_argument("--images", type=pathlib.Path, required=True)
    parser.add_argument("--parallel", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("parts", nargs="*")
    args = parser.parse_args()

    known = {path.stem: path for path in sorted(SUITES.glob("*.sh")) if path.stem != "lib"}
    parts = args.parts or (["selftests", "stress"] if os.environ.get("QUICK") else list(known))
    for part in parts:
        if part not in known:
            sys.exit(f"suites.sh: no suite '{part}'; there are: {' '.join(known)}")
    suites = [guest.Test.read(known[part]) for part in parts]

    runners = [Runner(way, args.accel, args.images, suites) for way in (*BASELINE, "module")]
    run_all(runners, args.parallel)

    report = {"annotated": int((args.images / "annotated").read_text()), "suites": {}}
    passed = failed = 0
    print()
    for suite in suites:
        outputs = [results_of(suite.name, runner.output(suite.name)) for runner in runners]
        results = [output[0] for output in outputs]
        problems = [
            f"{runner.way}: {verdict[1]}"
            for runner in runners
            if (verdict := runner.reporter.results.get(suite.name, ("FAIL", "it never ran", 0)))[0] != "ok"
        ]
        equal, unsteady, different = compare(results[:2], results[2:])
        if different and suite.name == "selftests":
            # Some pass or fail by chance, more seldom than two runs show.
            only = " ".join(sorted({key.split("/")[0] for key in different}))
            print(f"selftests that differ, once more: {only}")
            again = [Runner(f"{way}-again", args.accel, args.images, [suite], only) for way in ("first", "module")]
            run_all(again, args.parallel)
            more = [results_of(suite.name, runner.output(suite.name))[0] for runner in again]
            of_these = lambda results: {key: value for key, value in results.items() if key in different}
            _, more_unsteady, different = compare(
                [of_these(results[0]), of_these(more[0])], [of_these(results[2]), of_these(more[1])]
            )
            unsteady += more_unsteady
        if not equal:
            problems.append("nothing was compared")
        passed += len(equal)
        failed += len(different) + len(problems)
        counts = outputs[2][1]
        print(f"{suite.name}: {len(equal)} equal, {len(different)} different, {len(unsteady)} unsteady by themselves")
        for key in different:
            print(f"    DIFFERS {key}: {[result.get(key) for result in results]}")
        for key in unsteady:
            print(f"    unsteady {key}: {[result.get(key) for result in results]}")
        for problem in problems:
            print(f"    FAIL {problem}")
        for name, count in counts.items():
            print(f"    with the module: {name} {count:,}")
        verdicts = [results[0][key] for key in equal]
        report["suites"][suite.name] = {
            "equal": {verdict: verdicts.count(verdict) for verdict in sorted(set(verdicts)) if len(verdict) < 40},
            "compared": len(equal),
            "different": different,
            "unsteady": unsteady,
            "problems": problems,
            "counts": {runner.way: output[1] for runner, output in zip(runners, outputs)},
        }
    report |= {"passed": passed, "failed": failed}
    (guest.SRC / "build" / "suites.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
