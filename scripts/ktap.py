#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: ktap.py [--sources DIR] [--minimum N] LOG

Reads the KTAP that KUnit prints into a kernel's log, nested to any depth, and
says which tests passed and failed.

insmod succeeds even when a test fails, and a kernel without CONFIG_KUNIT runs
none at all without a word. So what must have run is taken from the sources:
with --sources every kunit_tests(NAME) found there must be a suite in the log
that holds at least as many tests as the file marks with #[test], and with
--minimum that many must have run in all.

The last line is "N passed, N failed, N skipped"; the exit status is 1 if
anything failed or is missing.
"""

import argparse
import pathlib
import re
import sys

# "[    1.234567] " or "[    1.234567][   T12] " before each line of a console
PREFIX = re.compile(r"^(<\d+>)?\[\s*\d+\.\d+\](\[\s*[TC]\d+\])? ?")
VERSION = re.compile(r"^( *)(?:KTAP version|TAP version) \d+\s*$")
PLAN = re.compile(r"^( *)1\.\.(\d+)(?: # [Ss][Kk][Ii][Pp].*)?\s*$")
SUBTEST = re.compile(r"^( *)# Subtest: (.+?)\s*$")
RESULT = re.compile(r"^( *)(ok|not ok) (\d+)(?: -)?(?: ([^#]*?))?\s*(?:# *(.*?))?\s*$")


class Node:
    """A test: a suite if it has children, else a case."""

    def __init__(self, name=None):
        self.name = name
        self.children = []
        self.plan = None
        self.ok = None  # None: it never ended
        self.skipped = False
        self.notes = []

    def cases(self, path=()):
        """All leaves below, with their full names."""
        path = path + ((self.name or "?"),)
        if not self.children:
            yield "/".join(path), self
        for child in self.children:
            yield from child.cases(path)


def parse(text):
    """The top-level suites of a log, and what is wrong with its form."""
    problems = []
    top = Node("")
    # Open suites by depth: stack[0] holds the results of depth 0. A result
    # line of depth d closes what was opened at depth d + 1.
    stack = [top]
    started = False
    notes = []

    def close(depth):
        while len(stack) > depth + 1:
            node = stack.pop()
            if node.plan is not None and node.plan != len(node.children):
                problems.append(f"{node.name or '?'}: {node.plan} tests planned, {len(node.children)} ended")

    for raw in text.splitlines():
        line = PREFIX.sub("", raw.rstrip("\r"))
        match = VERSION.match(line)
        if match:
            depth = len(match[1]) // 4
            if depth == 0:
                # Each module's tests come with a header of their own.
                close(0)
                started = True
                stack[0].plan = None
            continue
        if not started:
            continue
        match = SUBTEST.match(line)
        if match:
            depth = len(match[1]) // 4
            close(depth - 1)
            if depth != len(stack):
                problems.append(f"{match[2]}: opened at depth {depth} below nothing")
                continue
            stack.append(Node(match[2]))
            notes = []
            continue
        match = PLAN.match(line)
        if match:
            depth = len(match[1]) // 4
            if 0 < depth < len(stack):
                stack[depth].plan = int(match[2])
            continue
        match = RESULT.match(line)
        if match:
            depth = len(match[1]) // 4
            if depth >= len(stack):
                problems.append(f"a result below nothing: {line.strip()}")
                continue
            suite = stack[depth + 1] if len(stack) > depth + 1 else None
            close(depth)
            name = match[4] or f"{match[3]}"
            if suite is None:
                suite = Node(name)
            suite.name = name
            suite.ok = match[2] == "ok"
            suite.skipped = (match[5] or "").upper().startswith("SKIP")
            suite.notes = notes
            notes = []
            stack[depth].children.append(suite)
            continue
        if len(stack) > 1 and line.strip():
            notes.append(line.strip())

    for node in stack[1:]:
        problems.append(f"{node.name}: began and never ended")
        node.ok = False
        top.children.append(node)
    return top.children, problems


def expected(directory):
    """Suite -> number of #[test] in the sources below DIRECTORY."""
    suites = {}
    for source in sorted(pathlib.Path(directory).rglob("*.rs")):
        name = None
        for line in source.read_text(encoding="utf-8").splitlines():
            match = re.search(r"\bkunit_tests\((\w+)\)", line)
            if match and not line.lstrip().startswith("//"):
                name = match[1]
                suites.setdefault(name, 0)
            elif name and line.strip() == "#[test]":
                suites[name] += 1
    return suites


def judge(text, want, minimum):
    """Everything that a report needs, as a dictionary."""
    suites, problems = parse(text)
    passed, failed, skipped = [], [], []
    ran = {}
    for suite in suites:
        ran[suite.name] = 0
        for name, case in suite.cases():
            if not suite.children and suite.ok is not False:
                continue  # an empty suite is no test
            ran[suite.name] += 1
            if case.skipped:
                skipped.append(name)
            elif case.ok:
                passed.append(name)
            else:
                failed.append((name, case.notes))
        if suite.children and suite.ok is False and all(c.ok or c.skipped for _, c in suite.cases()):
            failed.append((suite.name, ["the suite failed though no case of it did"]))
    for name, count in want.items():
        if name not in ran:
            problems.append(f"suite {name} did not run; is the kernel built with CONFIG_KUNIT=y?")
        elif ran[name] < count:
            problems.append(f"suite {name} ran {ran[name]} of the {count} tests in its source")
    total = len(passed) + len(failed)
    if total < minimum:
        problems.append(f"{total} tests ran, at least {minimum} must")
    return {
        "passed": passed,
        "failed": failed,
        "skipped": skipped,
        "problems": problems,
        "suites": ran,
    }


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--sources")
    parser.add_argument("--minimum", type=int, default=1)
    parser.add_argument("log")
    args = parser.parse_args()

    with open(args.log, encoding="utf-8", errors="replace") as log:
        text = log.read()
    report = judge(text, expected(args.sources) if args.sources else {}, args.minimum)
    for name, count in report["suites"].items():
        print(f"suite {name}: {count} tests")
    for name in report["skipped"]:
        print(f"SKIP {name}")
    for name, notes in report["failed"]:
        print(f"FAIL {name}")
        for note in notes[-20:]:
            print(f"     {note}")
    for problem in report["problems"]:
        print(f"FAIL {problem}")
    failures = len(report["failed"]) + len(report["problems"])
    print(f"{len(report['passed'])} passed, {failures} failed, {len(report['skipped'])} skipped")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
