# SPDX-License-Identifier: GPL-2.0
"""The programs that are started, as programs.toml and bench.toml describe them."""

import os
import shlex
import shutil
import tomllib

import harness
from harness import Failed


def choose(file, only):
    programs = tomllib.loads(file.read_text())["program"]
    names = only.split()
    unknown = set(names) - {program["name"] for program in programs}
    if unknown:
        raise Failed(f"no such program: {', '.join(sorted(unknown))}")
    return [program for program in programs if not names or program["name"] in names]


def in_tree(tree, path):
    return tree / str(path).lstrip("/")


def prepare(stage, tree, programs, kernel_source, tool):
    """Makes the disk's contents in `stage`: the tree, the programs' inputs, and the tool. The guest annotates: mke2fs
    leaves out blocks of zeros, and the module rightly writes no bitmap into a hole."""
    shutil.rmtree(stage, ignore_errors=True)
    # Hard links: the cached tree is only read, never changed.
    harness.run("cp", "-al", tree, stage)
    for directory in ["dev", "proc", "tmp", "run", "sys"]:
        shutil.rmtree(stage / directory)
        (stage / directory).mkdir()
    for program in programs:
        place = stage / "bench" / program["name"]
        place.mkdir(parents=True)
        environment = {**os.environ, "INPUT": str(place), "KERNEL_SOURCE": str(kernel_source)}
        harness.run("bash", "-euc", program.get("prepare", ":"), env=environment)
    if tool:
        shutil.copy2(tool, stage / "bench/pbitmap-tool")


def guest_script(program):
    command = shlex.join(program["command"])
    return (
        f"name={shlex.quote(program['name'])}\n"
        f"executable={shlex.quote(program['executable'])}\n"
        f"profile_by={shlex.quote(program.get('profile_by', 'name'))}\n"
        f'program() {{ "$@" {command}; }}\n'
    )
