# SPDX-License-Identifier: GPL-2.0
"""How suites.py reads what the suites print, and what it calls equal."""

import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import suites  # noqa: E402

SELFTESTS = """\
TAP version 13
1..4
# overriding timeout to 90
# selftests: exec: execveat
# TAP version 13
# 1..3
# ok 1 Check success of execveat(3, '../execveat', 0)...
# not ok 2 Check failure of execveat(8, '', 4096) # errno 22
# # not a result: ok 1
# ok 3 # SKIP no such file
# # Totals: pass:1 fail:1 xfail:0 xpass:0 skip:1 error:0
not ok 1 selftests: exec: execveat # exit=1
# overriding timeout to 90
# selftests: clone3: clone3
# #            OK  global.nothing
# ok 1 global.nothing
# ok 1 global.nothing
ok 2 selftests: clone3: clone3
# selftests: proc: read
not ok 3 selftests: proc: read # TIMEOUT 90 seconds
ok 4 selftests: proc: fd # SKIP
"""


class Tap(unittest.TestCase):
    def test_results_of_tests_and_what_is_in_them(self):
        self.assertEqual(
            suites.tap(SELFTESTS),
            {
                "exec:execveat/1 Check success of execveat(N, '../execveat', N)...": "ok",
                "exec:execveat/2 Check failure of execveat(N, '', N)": "not ok",
                "exec:execveat/3 ": "skip",
                "exec:execveat": "not ok",
                "clone3:clone3/1 global.nothing": "ok",
                "clone3:clone3/1 global.nothing'": "ok",
                "clone3:clone3": "ok",
                "proc:read": "timeout",
                "proc:fd": "skip",
            },
        )

    def test_nothing_printed_is_nothing_compared(self):
        self.assertEqual(suites.tap(""), {})

    def test_results_and_counts_of_other_suites(self):
        text = "RESULT sum gzip.o = 12ab\nRESULT exec = status 0\nCOUNT used 12\nmake: RESULT x\n"
        self.assertEqual(
            suites.results_of(text), ({"sum gzip.o": "12ab", "exec": "status 0"}, {"used": 12})
        )


class Compare(unittest.TestCase):
    def test_what_is_not_the_same_is_different(self):
        plain = {"a": "ok", "b": "ok", "gone": "ok"}
        module = {"a": "ok", "b": "not ok", "new": "ok"}
        self.assertEqual(suites.compare([plain], [module]), (["a"], [], ["b", "gone", "new"]))

    def test_of_a_test_that_was_ended_only_that_counts(self):
        plain = {"exec:a": "timeout", "exec:a/1 x": "ok"}
        module = {"exec:a": "timeout", "exec:a/1 x": "ok", "exec:a/2 y": "not ok"}
        self.assertEqual(suites.compare([plain], [module]), (["exec:a"], [], []))

    def test_a_difference_that_goes_away_is_unsteady(self):
        plain = [{"a": "ok"}, {"a": "ok"}]
        self.assertEqual(suites.compare(plain, [{"a": "not ok"}, {"a": "ok"}]), ([], ["a"], []))

    def test_what_differs_without_the_module_is_unsteady(self):
        module = [{"a": "timeout"}, {"a": "timeout"}]
        self.assertEqual(suites.compare([{"a": "ok"}, {"a": "not ok"}], module), ([], ["a"], []))

    def test_a_difference_that_stays_is_one(self):
        plain, module = [{"a": "ok"}, {"a": "ok"}], [{"a": "not ok"}, {"a": "not ok"}]
        self.assertEqual(suites.compare(plain, module), ([], [], ["a"]))


if __name__ == "__main__":
    unittest.main()
