# SPDX-License-Identifier: GPL-2.0
"""How guest.py reads a test's header, and what it makes of results."""

import contextlib
import io
import pathlib
import sys
import tempfile
import unittest
import unittest.mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import guest  # noqa: E402


class Headers(unittest.TestCase):
    def read(self, text):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "some-test.sh"
            path.write_text(text, encoding="utf-8")
            return guest.Test.read(path)

    def test_defaults(self):
        test = self.read("#!/bin/bash\necho hello\n")
        self.assertEqual((test.name, test.smp, test.mem, test.needs), ("some-test", 1, "1G", []))

    def test_everything_said(self):
        test = self.read(
            "#!/bin/bash\n# needs: module tool xfs\n# smp: 2\tprocessors\n# mem: 2G\n"
            "# timeout: 300\n# boot: own\n# cmdline: a=b c\n# disk: 4G\n# may-skip: no such disk\n"
            "# kernel: debug\n"
            "\n# smp: 7\n"
        )
        self.assertEqual(test.needs, ["module", "tool", "xfs"])
        self.assertEqual((test.smp, test.mem, test.timeout, test.disk), (2, "2G", 300, "4G"))
        self.assertEqual((test.boot, test.cmdline, test.may_skip), ("own", "a=b c", "no such disk"))
        self.assertEqual(test.kernel, "debug")

    def test_nonsense_is_refused(self):
        with self.assertRaises(ValueError):
            self.read("# smp: many\n")
        with self.assertRaises(ValueError):
            self.read("# boot: maybe\n")
        with self.assertRaises(ValueError):
            self.read("# kernel: some\n")

    def test_only_alike_tests_share_a_boot(self):
        plain = self.read("#\n")
        self.assertEqual(plain.kind, self.read("# timeout: 9\n").kind)
        self.assertNotEqual(plain.kind, self.read("# smp: 2\n").kind)
        self.assertNotEqual(plain.kind, self.read("# boot: own\n").kind)


class Kernels(unittest.TestCase):
    def test_each_kernel_has_its_tests(self):
        with tempfile.TemporaryDirectory() as directory:
            tests = pathlib.Path(directory) / "tests" / "guest"
            tests.mkdir(parents=True)
            for name, header in (("any", ""), ("one", "# kernel: stock\n"), ("other", "# kernel: debug\n")):
                (tests / f"{name}.sh").write_text(header, encoding="utf-8")
                (tests / f"{name}.sh").chmod(0o755)
            with unittest.mock.patch.object(guest, "SRC", pathlib.Path(directory)):
                self.assertEqual([test.name for test in guest.find_tests([], "stock")], ["any", "one"])
                self.assertEqual([test.name for test in guest.find_tests([], "debug")], ["any", "other"])
                # who names a test wants it
                self.assertEqual([test.name for test in guest.find_tests(["other"], "stock")], ["other"])

    def test_a_debug_kernel_needs_more_memory(self):
        self.assertEqual(guest.Kernel().memory("1G"), "1G")
        self.assertEqual(guest.Kernel("/cache/debug").memory("1G"), "2G")


class Results(unittest.TestCase):
    def report(self, verdict, may_skip):
        with tempfile.TemporaryDirectory() as logs, contextlib.redirect_stdout(io.StringIO()):
            reporter = guest.Reporter(pathlib.Path(logs))
            test = guest.Test(pathlib.Path("t.sh"), may_skip=may_skip)
            reporter.result(test, verdict, "why", 1)
            return reporter.results["t"][0]

    def test_a_skip_must_be_allowed(self):
        self.assertEqual(self.report("SKIP", "no such disk"), "SKIP")
        self.assertEqual(self.report("SKIP", ""), "FAIL")

    def test_others_stay(self):
        self.assertEqual(self.report("ok", ""), "ok")
        self.assertEqual(self.report("FAIL", "x"), "FAIL")


if __name__ == "__main__":
    unittest.main()
