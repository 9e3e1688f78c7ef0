#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Usage: any_program.py TREE PROGRAM ARGUMENTS

Describes any program of a tree as programs.toml describes the demo's own, after a look whether it can be annotated.
"""

import json
import os
import shlex
import sys
from pathlib import Path


def resolve(tree, path):
    """Follows symbolic links as if `tree` were the root; returns the path inside it."""
    found, left = Path("/"), list(reversed(Path(path).parts))
    for _ in range(256):
        if not left:
            return found
        part = left.pop()
        if part == "/":
            found = Path("/")
        elif part == "..":
            found = found.parent
        elif (tree / str(found / part).lstrip("/")).is_symlink():
            left.extend(reversed(Path(os.readlink(tree / str(found / part).lstrip("/"))).parts))
        else:
            found /= part
    sys.exit(f"{path}: too many symbolic links")


def describe(tree, program, arguments):
    """Prints the description; ends with a message if the program is not one to annotate."""
    if not program.startswith("/"):
        sys.exit(f"demo: error: PROGRAM has to be a whole path such as /usr/bin/{program}")
    executable = resolve(tree, program)
    file = tree / str(executable).lstrip("/")
    if not file.is_file():
        sys.exit(f"demo: error: the packages hold no {program}; PACKAGES='...' names the one that does")
    with open(file, "rb") as contents:
        start = contents.read(256)
    if start.startswith(b"#!"):
        interpreter = start[2:].split(b"\n")[0].decode(errors="replace").strip()
        sys.exit(
            f"demo: error: {program} is a script; what is annotated is its interpreter:\n"
            f"  make demo PROGRAM='{interpreter.split()[0]}' ARGS='{program} ...' PACKAGES='...'"
        )
    if not start.startswith(b"\x7fELF"):
        sys.exit(f"demo: error: {program} is no ELF file")
    # Each of these is TOML as much as JSON.
    print("[[program]]")
    print(f"name = {json.dumps(Path(program).name)}")
    print(f"executable = {json.dumps(str(executable))}")
    print(f"command = {json.dumps([program, *shlex.split(arguments)])}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    describe(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
