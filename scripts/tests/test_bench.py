# SPDX-License-Identifier: GPL-2.0
"""The bench's host side: what can be told without booting a guest."""

import contextlib
import io
import json
import pathlib
import shutil
import sys
import tempfile
import tomllib
import unittest
import unittest.mock

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench"
sys.path.insert(0, str(BENCH))

import any_program  # noqa: E402
import bench  # noqa: E402
import costs  # noqa: E402
import demo  # noqa: E402
import harness  # noqa: E402
import table  # noqa: E402


def program(**changes):
    figures = {
        "name": "git",
        "cold_without_us": 138000,
        "cold_with_us": 69000,
        "warm_us": 50300,
        "cold_unloaded_us": 138100,
        "majflt_without": 79,
        "majflt_with": 41,
        "own_majflt_without": 38,
        "own_majflt_with": 0,
        "reads_without": 1203,
        "reads_with": 179,
        "kb_without": 6964,
        "kb_with": 1272,
        "cold_exact_us": 68000,
        "cold_whole_us": 90000,
        "kb_exact": 1270,
        "kb_whole": 6248,
    }
    return figures | changes


class Table(unittest.TestCase):
    def test_columns_line_up(self):
        long = program(name="a-long-name", cold_without_us=1234567)
        for rows in [draw([program(), long]) for draw in (table.times, table.causes, table.others)]:
            self.assertEqual(len({len(row) for row in rows}), 1, rows)

    def test_times_are_in_milliseconds_and_the_change_in_percent(self):
        row = table.times([program()])[1].split()
        self.assertEqual(row, ["git", "138.0", "69.0", "-50", "%", "50.3", "138.1"])

    def test_without_a_module_its_side_stays_empty(self):
        nothing = {f"{key}_with": None for key in ["majflt", "own_majflt", "reads", "kb"]}
        one = program(cold_with_us=None, cold_unloaded_us=None, **nothing)
        self.assertEqual(table.times([one])[1].split(), ["git", "138.0", "-", "-", "50.3", "-"])
        self.assertIn("1,203 -> -", table.causes([one])[1])
        self.assertEqual(len(table.bars([one])), 3)

    def test_the_slowest_bar_is_the_longest(self):
        lengths = [line.count("█") for line in table.bars([program()]) if line]
        self.assertEqual(lengths[0], table.BAR_WIDTH)
        self.assertEqual(lengths[1], table.BAR_WIDTH // 2)


class Promise(unittest.TestCase):
    def test_faster_and_with_hardly_a_fault_is_enough(self):
        self.assertEqual(list(demo.shortfalls([program(own_majflt_with=3)])), [])

    def test_each_shortfall_is_told(self):
        slow = program(name="slow", cold_with_us=138000)
        faulty = program(name="faulty", own_majflt_with=4)
        greedy = program(name="greedy", kb_with=3125)
        told = list(demo.shortfalls([slow, faulty, greedy, program()]))
        self.assertEqual([one.split()[0] for one in told], ["slow", "faulty", "greedy"])

    def test_whole_files_need_not_be_measured(self):
        self.assertEqual(list(demo.shortfalls([program(kb_whole=None)])), [])


class AnyProgram(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.tree = pathlib.Path(directory.name)
        (self.tree / "usr/bin").mkdir(parents=True)
        (self.tree / "etc").mkdir()
        (self.tree / "bin").symlink_to("usr/bin")
        (self.tree / "usr/bin/real").write_bytes(b"\x7fELF...")
        (self.tree / "etc/alternative").symlink_to("/usr/bin/real")
        (self.tree / "usr/bin/linked").symlink_to("/etc/alternative")
        (self.tree / "usr/bin/script").write_text("#!/usr/bin/perl -w\n")

    def describe(self, path, arguments=""):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            any_program.describe(self.tree, path, arguments)
        return tomllib.loads(printed.getvalue())["program"][0]

    def test_links_are_followed_inside_the_tree(self):
        described = self.describe("/bin/linked", "--say 'a b' \"c\\\"\"")
        self.assertEqual(described["executable"], "/usr/bin/real")
        self.assertEqual(described["command"], ["/bin/linked", "--say", "a b", 'c"'])

    def test_what_cannot_be_annotated_is_refused_with_a_reason(self):
        for path, reason in [("/bin/script", "interpreter"), ("/bin/none", "PACKAGES"), ("bin/real", "whole path")]:
            with self.assertRaises(SystemExit) as refused:
                self.describe(path)
            self.assertIn(reason, str(refused.exception))


class Programs(unittest.TestCase):
    def test_the_demo_has_what_it_promises(self):
        programs = tomllib.loads((BENCH / "programs.toml").read_text())["program"]
        self.assertLessEqual({"clang", "gcc", "git", "python3", "perl"}, {one["name"] for one in programs})
        for one in programs:
            self.assertEqual(one["command"][0], one["executable"])
            # scripts/demo.sh finds them by this form.
            self.assertIn(f"packages = {one['packages']}".replace("'", '"'), (BENCH / "programs.toml").read_text())


class Cells(unittest.TestCase):
    def setUp(self):
        self.out = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(unittest.mock.patch("harness.kernel", lambda: ("7.2", None)))

    def plan(self, *arguments, identity="module"):
        with unittest.mock.patch("sys.argv", ["bench.py", "--out", str(self.out), "--identity", identity, *arguments]):
            return bench.Plan(bench.parse_arguments())

    def fill(self, plan):
        for program in plan.programs:
            for device, rivals in list(plan.missing(program)):
                for rival in rivals:
                    plan.keep(*plan.cell(program, device, rival), {"cold_us": 1, "files_kb": 2})
                    plan.timeline(program, device["name"], rival["name"]).write_text("{}")

    def test_every_rival_and_device_is_one_cell_of_a_program(self):
        plan = self.plan("--programs", "git")
        cells = [rivals for program in plan.programs for _, rivals in plan.missing(program)]
        self.assertEqual(len(cells), len(plan.devices))
        self.assertEqual({len(rivals) for rivals in cells}, {len(plan.rivals)})

    def test_what_was_measured_is_not_measured_again(self):
        self.fill(self.plan("--quick"))
        plan = self.plan("--quick")
        self.assertEqual([name for program in plan.programs for name in plan.missing(program)], [])

    def test_another_module_is_measured_again_but_not_what_needs_none(self):
        self.fill(self.plan("--quick"))
        plan = self.plan("--quick", identity="another")
        missing = {rival["name"] for program in plan.programs for _, rivals in plan.missing(program) for rival in rivals}
        self.assertEqual(missing, {"pbitmap"})

    def test_what_was_published_can_be_taken_but_for_time_lines(self):
        published = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        plan = self.plan("--quick", "--commit", "abc")
        self.fill(plan)
        results = bench.write_results(plan)
        for name in ("results.json", "about.json"):
            shutil.copy(self.out / name, published)
        shutil.rmtree(plan.cells)
        plan = self.plan("--quick")
        plan.take(published)
        missing = {(program["name"], rival["name"]) for program in plan.programs for _, rivals in plan.missing(program) for rival in rivals}
        self.assertEqual(missing, {(program, rival) for program in ("git", "python3") for rival in ("none", "pbitmap")})
        self.assertEqual(bench.write_results(plan), results)
        self.assertEqual(json.loads((self.out / "about.json").read_text())["programs"][0]["files_kb"], 2)
        another = self.plan("--quick", identity="another")
        pbitmap = next(rival for rival in another.rivals if rival.get("module"))
        self.assertFalse(another.known(*another.cell(another.programs[0], another.devices[0], pbitmap)))

    def test_an_unknown_program_is_named(self):
        with self.assertRaisesRegex(harness.Failed, "gti"):
            self.plan("--programs", "git gti")

    def test_the_limit_is_the_slower_of_processor_and_disk_and_one_latency(self):
        plan = self.plan("--programs", "git", "--devices", "network")
        measurement = bench.Measurement(plan, plan.programs[0], {"git": None}, lambda: 0)
        run = {"ns": 9_000_000, "idle_ns": 6_500_000, "majflt": 1, "reads": 2, "kb_read": 3, "cached_kb": 4}
        measurement.base = {("network", "warm"): [{"ns": 2_000_000}], ("network", "needed"): [{"kb_read": 1024}]}
        figures = measurement.figures("network", [run])
        self.assertEqual((figures["cold_us"], figures["limit_us"]), (9000, 5000 + 500))
        self.assertEqual(figures["idle_us"], 6500)
        measurement.base["network", "warm"] = [{"ns": 7_000_000}]
        self.assertEqual(measurement.figures("network", [run])["limit_us"], 7000 + 500)
        # Of several processors one may be idle while another works.
        self.assertIsNone(measurement.figures("network", [{**run, "idle_ns": None}])["idle_us"])

    def test_results_are_a_list_of_the_known_cells(self):
        plan = self.plan("--quick")
        self.fill(plan)
        results = bench.write_results(plan)
        self.assertEqual(len(results), 9)
        self.assertLessEqual({"program": "git", "device": "network", "rival": "none", "cold_us": 1}.items(), results[0].items())

    def test_the_parts_are_chosen(self):
        plan = self.plan("--parts", "costs")
        self.assertEqual([name for program in plan.programs for name in plan.missing(program)], [])

    def test_costs_hold_until_the_module_changes(self):
        plan = self.plan()
        plan.keep(*plan.costs(), {"exit": {"calm": [[1000, 1.0]]}})
        known = plan.known(*plan.costs())
        self.assertEqual(known["exit"], {"calm": [[1000, 1.0]]})
        self.assertEqual(set(known["by"]), {"command", "commit"})
        self.assertIsNone(plan.known(*self.plan(identity="another").costs()))


class Costs(unittest.TestCase):
    def test_overheads_are_in_percent_of_the_time_without_the_module(self):
        figures = {
            "exec": {"unloaded": [[1, 200.0], [10000, 210.0]], "unannotated": [[1, 201.0]], "annotated": [[1, 198.0]]},
            "exit": {"unloaded": [[10, 1.0], [1000, 50.0]], "calm": [[1000, 40.0]], "recorded": [[1000, 51.0]]},
        }
        self.assertEqual(costs.overheads(figures), {"unannotated_pct": 0.5, "annotated_warm_pct": -1.0, "exit_pct": 2.0})

    def test_only_what_was_measured_is_drawn(self):
        plots = list(costs.plots({"write": {"write": [[10, 2.0]]}}))
        self.assertEqual([plot["series"][0]["points"] for plot in plots], [[[10, 2.0]]])


if __name__ == "__main__":
    unittest.main()
