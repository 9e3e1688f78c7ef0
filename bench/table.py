# SPDX-License-Identifier: GPL-2.0
"""Draws the demo's results: a table, bars, and what to try next.

    python3 bench/table.py build/demo.json     draws them once more
"""

import json
import sys

BAR_WIDTH = 50
EIGHTHS = " ▏▎▍▌▋▊▉"


def milliseconds(microseconds):
    return "-" if microseconds is None else f"{microseconds / 1000:,.1f}"


def count(number):
    return "-" if number is None else f"{number:,}"


def fewer(without, with_):
    """The change in percent, as a signed whole number."""
    if not without or with_ is None:
        return "-"
    return f"{100 * (with_ - without) / without:+.0f} %"


def align(rows):
    """The first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return lines


def times(programs):
    rows = [["cold start, ms", "without", "with", "change", "warm", "annotated, module not loaded"]]
    for program in programs:
        without, with_ = program["cold_without_us"], program["cold_with_us"]
        rows.append([
            program["name"],
            milliseconds(without),
            milliseconds(with_),
            fewer(without, with_),
            milliseconds(program["warm_us"]),
            milliseconds(program["cold_unloaded_us"]),
        ])
    return align(rows)


def causes(programs):
    columns = [("majflt", "major faults"), ("own_majflt", "on its own pages"), ("reads", "read requests"), ("kb", "KB read")]
    rows = [["without -> with"] + [title for _, title in columns]]
    for program in programs:
        cells = [f"{count(program[f'{key}_without'])} -> {count(program[f'{key}_with'])}" for key, _ in columns]
        rows.append([program["name"], *cells])
    return align(rows)


def others(programs):
    """The same start by other means: after exact training, and after reading whole files."""
    if all(program.get("cold_whole_us") is None for program in programs):
        return []
    rows = [["by other means", "trained exactly, ms", "whole files, ms", "trained exactly, KB", "whole files, KB"]]
    for program in programs:
        rows.append([
            program["name"],
            milliseconds(program.get("cold_exact_us")),
            milliseconds(program.get("cold_whole_us")),
            count(program.get("kb_exact")),
            count(program.get("kb_whole")),
        ])
    return align(rows)


def bar(value, longest):
    eighths = round(8 * BAR_WIDTH * value / longest)
    return "█" * (eighths // 8) + EIGHTHS[eighths % 8].strip()


def bars(programs):
    """One scale for each program: what matters is how far `with` gets from `without` to `warm`."""
    kinds = [("cold without", "cold_without_us"), ("cold with", "cold_with_us"), ("warm", "warm_us")]
    lines = []
    width = max(len(program["name"]) for program in programs)
    for program in programs:
        longest = max(program[key] or 0 for _, key in kinds) or 1
        name = program["name"]
        for title, key in kinds:
            if program[key] is not None:
                lines.append(f"{name:{width}}  {title:12} {bar(program[key], longest)} {milliseconds(program[key])} ms")
                name = ""
        lines.append("")
    return lines


def next_steps(document):
    device = document["device"]
    return [
        "Next, try",
        "  make demo PROGRAM='/usr/bin/gawk' ARGS=\"'BEGIN {print 1}'\" PACKAGES='gawk'   any other program of Debian",
        f"  make demo LATENCY_US={device['latency_us'] * 4} MB_PER_S={device['mb_per_s'] // 4}   on a slower disk; ONLY='git perl' starts only these",
        "  make overhead                    what programs without a bitmap pay",
        "  scripts/qemu-test.sh --shell     a prompt in a guest with the module loaded",
        "All figures, and which file each major fault was for, are in build/demo.json.",
    ]


def render(document):
    device = document["device"]
    programs = document["programs"]
    latency = f"{device['latency_us'] / 1000:g} ms"
    parts = [
        [
            "",
            f"Linux {document['kernel']}, a disk of {latency} and {device['mb_per_s']} MB/s,"
            f" read_ahead_kb {device['read_ahead_kb']};",
            f"virtual time (an instruction is a nanosecond), median of {document['runs']}.",
            "",
        ],
        times(programs),
        [""],
        causes(programs),
        [""],
        *([others(programs), [""]] if others(programs) else []),
        bars(programs),
        next_steps(document),
    ]
    return "\n".join(line for part in parts for line in part)


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print(render(json.load(file)))
