# SPDX-License-Identifier: GPL-2.0
"""What ktap.py makes of logs as kernels print them."""

import pathlib
import sys
import tempfile
import textwrap
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import ktap  # noqa: E402

GOOD = """\
[    1.368344] pbitmap: loading out-of-tree module taints kernel.
[    1.400000] KTAP version 1
[    1.400001] 1..2
[    1.400002]     KTAP version 1
[    1.400003]     # Subtest: pbitmap_elf
[    1.400004]     # speed: normal
[    1.400005]     1..2
[    1.400006]     ok 1 reads_a_header
[    1.400007]     ok 2 refuses_32_bit # SKIP not here
[    1.400008] # pbitmap_elf: pass:1 fail:0 skip:1 total:2
[    1.400009] ok 1 pbitmap_elf
[    1.400010]     KTAP version 1
[    1.400011]     # Subtest: pbitmap_slot
[    1.400012]     1..1
[    1.400013]         KTAP version 1
[    1.400014]         # Subtest: newest
[    1.400015]         ok 1 first
[    1.400016]         ok 2 second
[    1.400017]     ok 1 newest
[    1.400018] ok 2 pbitmap_slot
"""


class Logs(unittest.TestCase):
    def judge(self, text, want=None, minimum=1):
        return ktap.judge(text, want or {}, minimum)

    def test_all_good(self):
        report = self.judge(GOOD, {"pbitmap_elf": 2, "pbitmap_slot": 1})
        self.assertEqual(
            report["passed"],
            ["pbitmap_elf/reads_a_header", "pbitmap_slot/newest/first", "pbitmap_slot/newest/second"],
        )
        self.assertEqual(report["skipped"], ["pbitmap_elf/refuses_32_bit"])
        self.assertEqual(report["failed"], [])
        self.assertEqual(report["problems"], [])

    def test_a_failure_comes_with_its_reason(self):
        text = GOOD.replace(
            "    ok 1 reads_a_header",
            "    # reads_a_header: ASSERTION FAILED at elf.rs:33\n[ 1.5]     Expected a == b\n"
            "[    1.5]     not ok 1 reads_a_header",
        ).replace("ok 1 pbitmap_elf", "not ok 1 pbitmap_elf")
        (name, notes), = self.judge(text)["failed"]
        self.assertEqual(name, "pbitmap_elf/reads_a_header")
        self.assertTrue(any("elf.rs:33" in note for note in notes))

    def test_a_suite_that_failed_by_itself(self):
        text = GOOD.replace("] ok 2 pbitmap_slot", "] not ok 2 pbitmap_slot")
        self.assertEqual([name for name, _ in self.judge(text)["failed"]], ["pbitmap_slot"])

    def test_no_suite_at_all(self):
        report = self.judge("[    1.0] kunit: disabled\n", {"pbitmap_elf": 2})
        self.assertIn("pbitmap_elf did not run", report["problems"][0])
        self.assertIn("at least 1 must", report["problems"][1])

    def test_a_suite_that_shrank(self):
        report = self.judge(GOOD, {"pbitmap_elf": 3})
        self.assertEqual(report["problems"], ["suite pbitmap_elf ran 2 of the 3 tests in its source"])

    def test_too_few(self):
        self.assertTrue(self.judge(GOOD, minimum=4)["problems"])
        self.assertFalse(self.judge(GOOD, minimum=3)["problems"])

    def test_a_crash_in_the_middle(self):
        text = GOOD[: GOOD.index("[    1.400007]")] + "[    1.5] BUG: kernel NULL pointer dereference\n"
        report = self.judge(text, {"pbitmap_elf": 2})
        self.assertIn("pbitmap_elf: began and never ended", report["problems"])

    def test_a_plan_that_was_not_kept(self):
        text = GOOD.replace("] 1..1\n", "] 1..1\n").replace("    1..2", "    1..5")
        self.assertTrue(any("5 tests planned" in problem for problem in self.judge(text)["problems"]))

    def test_two_modules_one_after_the_other(self):
        report = self.judge(GOOD + GOOD.replace("pbitmap_", "other_"))
        self.assertEqual(len(report["passed"]), 6)
        self.assertEqual(report["problems"], [])

    def test_bytes_that_are_no_ktap(self):
        report = self.judge("\x00\r\n        ok 1 deep\nKTAP version 1\n            ok 7 deeper\n")
        self.assertEqual(report["passed"], [])


class Sources(unittest.TestCase):
    def test_suites_and_their_tests_are_counted(self):
        with tempfile.TemporaryDirectory() as directory:
            (pathlib.Path(directory) / "a.rs").write_text(
                textwrap.dedent(
                    """\
                    // kunit_tests(not_this_one)
                    #[cfg_attr(pbitmap_kernel, kernel::macros::kunit_tests(pbitmap_a))]
                    mod tests {
                        #[test]
                        fn one() {}
                        // #[test]
                        #[test]
                        fn two() {}
                    }
                    """
                ),
                encoding="utf-8",
            )
            self.assertEqual(ktap.expected(directory), {"pbitmap_a": 2})


if __name__ == "__main__":
    unittest.main()
