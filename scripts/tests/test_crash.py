# SPDX-License-Identifier: GPL-2.0
"""How crash.py counts, and what replay-log makes of a log of dm-log-writes."""

import fcntl
import os
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

import crash  # noqa: E402

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "tests/guest/helpers/replay-log.c"
SECTOR = 512
FLUSH, FUA, MARK = 1, 2, 8
LINE = (
    '{"name": "log-xfs", "cut": 1, "kind": "flush", "at": 7, "old": 1, "new": 2, "clean": true, "problems": "%s"}'
)


class Counting(unittest.TestCase):
    def test_only_whole_lines_of_cuts_count(self):
        text = "  ok    something\n" + LINE % "" + "\n" + LINE % "small: gone" + "\n" + (LINE % "")[:40]
        cuts = crash.Cut.all_in(text)
        self.assertEqual([cut.problems for cut in cuts], ["", "small: gone"])
        tally = crash.Tally("log-xfs", cuts)
        self.assertEqual((tally.cuts, tally.old, tally.new, tally.clean, len(tally.damaged)), (2, 2, 4, 2, 1))

    def test_a_disk_that_fsck_complains_of_is_damaged(self):
        cut = crash.Cut.all_in(LINE % "")[0]._replace(clean=False)
        self.assertEqual(len(crash.Tally("log-xfs", [cut]).damaged), 1)


class Disks(unittest.TestCase):
    def test_a_disk_is_open_as_long_as_somebody_locks_it(self):
        with tempfile.NamedTemporaryFile() as disk:
            # As QEMU does: single bytes, for reading.
            for lock, expected in ((fcntl.F_RDLCK, True), (fcntl.F_UNLCK, False)):
                byte = struct.pack("hhqqi4x", lock, os.SEEK_SET, 201, 1, 0)
                fcntl.fcntl(disk, fcntl.F_OFD_SETLK, byte)
                self.assertEqual(crash.is_open(disk.name), expected)


class Replay(unittest.TestCase):
    """A disk of 8 sectors. A sector that was written by entry N is full of N."""

    LOG = [
        (0, 1, 0, ""),
        (0, 0, FLUSH, ""),
        (0, 0, MARK, "one"),
        (1, 1, FUA, ""),
        (2, 4, 0, ""),
        (6, 1, 0, ""),
        (0, 0, FLUSH, ""),
        (0, 0, MARK, "two"),
        (7, 1, 0, ""),
    ]

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.place = pathlib.Path(cls.directory.name)
        subprocess.run(["gcc", "-o", cls.place / "replay-log", SOURCE], check=True)
        log = struct.pack("<QQQI", 0x6A736677736872, 1, len(cls.LOG), SECTOR).ljust(SECTOR, b"\0")
        for number, (sector, count, flags, mark) in enumerate(cls.LOG, 1):
            log += struct.pack("<QQQQ", sector, count, flags, len(mark)).ljust(32) + mark.encode().ljust(480, b"\0")
            log += bytes([number]) * (count * SECTOR)
        (cls.place / "log").write_bytes(log)

    @classmethod
    def tearDownClass(cls):
        cls.directory.cleanup()

    def cuts(self, count, check="true"):
        """[(kind, at, disk, marks)] of so many cuts, and the exit status."""
        (self.place / "state").write_bytes(bytes(8 * SECTOR))
        script = f"cp image image.$CUT_NUMBER; echo $CUT_KIND $CUT_AT $(cat marks) >>cuts; {check}"
        (self.place / "cuts").write_text("")
        status = subprocess.run(
            ["./replay-log", "-n", str(count), "log", "state", "image", "marks", "sh", "-c", script],
            cwd=self.place,
            stdout=subprocess.DEVNULL,
            check=False,
        ).returncode
        found = []
        for number, line in enumerate((self.place / "cuts").read_text().splitlines(), 1):
            kind, at, *marks = line.split()
            found.append((kind, int(at), (self.place / f"image.{number}").read_bytes(), marks))
        return found, status

    def test_prefixes(self):
        found, status = self.cuts(100)
        self.assertEqual((len(found), status), (100, 0))
        self.assertEqual([at for _, at, _, _ in found], sorted(at for _, at, _, _ in found))
        self.assertEqual([at for kind, at, _, _ in found if kind == "flush"], [2, 4, 7])
        for kind, at, disk, marks in found:
            self.assertEqual(marks, ["one"] * (at >= 3) + ["two"] * (at >= 8))
            if kind == "subset":
                continue
            expected = bytearray(8 * SECTOR)
            for number, (sector, count, _, _) in enumerate(self.LOG[:at], 1):
                expected[sector * SECTOR : (sector + count) * SECTOR] = bytes([number]) * (count * SECTOR)
            self.assertEqual(disk, bytes(expected))

    def test_subsets(self):
        """What a flush has followed is kept; of the writes before the next one anything may be, and nothing else."""
        outcomes = {}
        for kind, at, disk, _ in self.cuts(400)[0]:
            if kind == "subset":
                outcomes.setdefault(at, set()).add(tuple(disk[::SECTOR]))
        self.assertEqual(set(outcomes), {0, 4, 8})
        self.assertEqual(outcomes[0], {(0,) * 8, (1,) + (0,) * 7})
        for disk in outcomes[4]:
            self.assertEqual((disk[0], disk[1], disk[7]), (1, 4, 0))
            self.assertLessEqual(set(disk[2:6]), {0, 5})
            self.assertIn(disk[6], (0, 6))
        self.assertTrue(any(len(set(disk[2:6])) == 2 for disk in outcomes[4]), "none was torn")
        self.assertIn((1, 4, 0, 0, 0, 0, 6, 0), outcomes[4], "the first of two was never lost alone")
        self.assertEqual(outcomes[8], {(1, 4, 5, 5, 5, 5, 6, last) for last in (0, 9)})

    def test_the_first_failure_is_kept(self):
        found, status = self.cuts(20, "[ $CUT_NUMBER -lt 7 ]")
        self.assertEqual((len(found), status), (20, 1))
        self.assertEqual((self.place / "image.failed").read_bytes(), found[6][2])


if __name__ == "__main__":
    unittest.main()
