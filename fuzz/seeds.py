#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Writes the seeds of the corpus: sound inputs, and one for each way of being wrong.

    python3 fuzz/seeds.py

The names say what an input is; what libFuzzer found has a hash for a name and is left alone.
This is written from Documentation/format.rst and on purpose shares nothing with the code that it
tests.
"""

import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
PT_LOAD, PT_GNU_STACK, BITMAP = 1, 0x6474E551, 0x6FFFFC18
MAX64, MAX32, MAX16 = 2**64 - 1, 2**32 - 1, 2**16 - 1


def crc32c(data):
    crc = MAX32
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ MAX32


def patch(data, offset, fmt, *values):
    data = bytearray(data)
    struct.pack_into("<" + fmt, data, offset, *values)
    return bytes(data)


# --- ELF files -----------------------------------------------------------------------------------

PHDR, SHDR = 64, 64 + 3 * 56


def phdr(kind, flags, offset, size, align=0x1000):
    return struct.pack("<IIQQQQQQ", kind, flags, offset, offset, offset, size, size, align)


def elf():
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        b"\x7fELF\x02\x01\x01",
        3, 62, 1, 0x1040, PHDR, SHDR, 0, 64, 56, 3, 64, 2, 1,
    )
    phdrs = phdr(PT_LOAD, 5, 0, 0x100) + phdr(PT_LOAD, 6, 0x1000, 0x100)
    phdrs += phdr(PT_GNU_STACK, 14, 0x2000, 0x2000, 16)
    name = SHDR + 128
    shdrs = struct.pack("<IIQQQQIIQQ", 1, BITMAP, 0, 0, name, 0x2000, 0, 0, 4096, 0)
    shdrs += struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, name, 9, 0, 0, 1, 0)
    return header + phdrs + shdrs + b".pbitmap\0"


def elf_seeds():
    good = elf()
    yield "sound", good
    yield "no-bytes", b""
    yield "magic-only", good[:4]
    yield "header-only", good[:64]
    yield "program-headers-cut", good[: PHDR + 100]
    yield "section-headers-cut", good[: SHDR + 100]
    yield "32-bit", patch(good, 4, "B", 1)
    yield "big-endian", patch(good, 5, "B", 2)
    yield "relocatable", patch(good, 16, "H", 1)
    yield "phoff-wraps", patch(good, 32, "Q", MAX64 - 55)
    yield "phoff-negative", patch(good, 32, "Q", 1 << 63)
    yield "phoff-over-header", patch(good, 32, "Q", 0)
    yield "phnum-zero", patch(good, 56, "H", 0)
    yield "phnum-escape", patch(good, 56, "H", MAX16)
    yield "phnum-more-than-there", patch(good, 56, "H", 128)
    yield "phentsize-odd", patch(good, 54, "H", 57)
    yield "shoff-wraps", patch(good, 40, "Q", MAX64 - 63)
    yield "shoff-over-program-headers", patch(good, 40, "Q", PHDR)
    yield "shnum-zero", patch(good, 60, "H", 0)
    yield "shnum-huge", patch(good, 60, "H", MAX16)
    yield "shentsize-zero", patch(good, 58, "H", 0)
    stack = PHDR + 2 * 56
    yield "locator-wraps", patch(good, stack + 8, "Q", MAX64)
    yield "locator-huge", patch(good, stack + 32, "Q", MAX64)
    yield "locator-empty", patch(good, stack + 8, "Q", 0)
    yield "no-stack-header", patch(good, stack, "I", 0)
    yield "two-stack-headers", patch(good, PHDR, "I", PT_GNU_STACK)
    yield "not-armed", patch(good, stack + 4, "I", 6)
    yield "load-wraps", patch(good, PHDR + 8, "Q", MAX64)
    yield "load-huge", patch(good, PHDR + 32, "Q", MAX64)
    yield "load-empty-at-zero", patch(patch(good, PHDR + 40, "Q", 0), PHDR + 24, "Q", 0)
    yield "section-outside", patch(good, SHDR + 24, "Q", MAX64)
    yield "section-name-outside", patch(good, SHDR, "I", MAX32)
    yield "two-sections", patch(good, SHDR + 68, "I", BITMAP)


# --- sections ------------------------------------------------------------------------------------

SLOT, PROFILES, FILES, DATA, USED = 512, 128, 192, 320, 360


def seal(slot):
    used = struct.unpack_from("<I", slot, 0x24)[0]
    if used <= len(slot):
        slot = patch(slot, 0x28, "I", 0)
        slot = patch(slot, 0x28, "I", crc32c(slot[:used]))
    return slot


def slot(generation, pages=300, planes=1, size=SLOT):
    stride = (pages + 63) // 64 * 8
    used = DATA + stride * planes
    header = struct.pack(
        "<8sHHIIIQIIII20sB3xQIHHIIQ24x",
        b"PBITMAP\0", 1, 128, 4096, 0, 0, generation, size, used, 0, 0x12345678,
        b"build id", 8, 1700000000, PROFILES, 1, 0, FILES, 1, 300 * 4096,
    )
    profile = struct.pack("<HHIIIIIQ32x", 0, 0, 0, 0, 0, 1, 3, 1700000000)
    record = struct.pack(
        "<HHHHIIQIIIIQQQqII20s28x",
        0, 0, 0, planes, 0, 0, 0, pages, stride, DATA, 0, 0, 0, 0, 0, 0, 0, b"",
    )
    data = bytes(0x5A ^ n & 0xFF for n in range(stride * planes))
    data = data if not planes or pages % 64 == 0 else patch(data, stride - 8, "Q", 1 << pages % 64 - 1)
    return seal((header + profile + record + data).ljust(size, b"\0"))


def two_files():
    """A slot with two profiles, of which the second has a library with a path."""
    data = 128 + 2 * 64 + 2 * 128
    header = patch(slot(1, 64)[:128], 0x20, "II", 1024, data + 8 + 16 + 16)
    header = patch(header, 0x54, "H", 2)
    header = patch(header, 0x58, "II", 256, 2)
    first = struct.pack("<HHIIIIIQ32x", 0, 0, 0, 0, 0, 1, 3, 5)
    second = struct.pack("<HHIIIIIQ32x", 1, 0, 2, data, 1, 1, 3, 5)
    own = struct.pack(
        "<HHHHIIQIIIIQQQqII20s28x",
        0, 0, 0, 1, 0, 0, 0, 64, 8, data + 8, 0, 0, 0, 0, 0, 0, 0, b"",
    )
    library = struct.pack(
        "<HHHHIIQIIIIQQQqII20s28x",
        1, 0, 0, 2, data + 16, 6, 7, 60, 8, data + 24, 1, 2, 3, 1 << 20, -5, 999, 4, b"abcd",
    )
    assert len(library) == 128
    tail = b"vi".ljust(8, b"\0") + b"\xf0" * 8 + b"/a/lib".ljust(8, b"\0") + b"\x0f" * 16
    return seal((header + first + second + own + library + tail).ljust(1024, b"\0"))


def section_seeds():
    """The first byte says whether the checksums are made right; the seeds bring their own."""
    good, empty = slot(1), bytes(SLOT)

    def both(first, second=empty):
        return b"\0" + first + second

    def changed(offset, fmt, *values):
        return both(seal(patch(slot(2), offset, fmt, *values)), good)

    yield "fresh", both(good)
    yield "two-slots", both(slot(7), slot(8))
    yield "same-generation", both(slot(7), slot(7))
    yield "last-generation", both(slot(MAX64))
    yield "two-files", both(two_files(), bytes(1024))
    yield "eight-planes", both(slot(1, 64, 8))
    yield "no-plane", both(slot(1, 300, 0))
    yield "no-pages", both(slot(1, 0, 0))
    yield "empty", both(empty)
    yield "one-byte", b"\1"
    yield "odd-length", both(good)[:-1]
    yield "slots-swapped", both(empty, good)
    yield "torn-newer-slot", both(good, patch(slot(2), 330, "B", 0xFF))
    yield "torn-header", both(good, good[:24] + slot(2)[24:40] + good[40:])
    yield "both-torn", both(patch(good, 330, "B", 0xFF), patch(slot(2), 350, "B", 1))
    yield "resealed", b"\1" + good + slot(2)
    yield "magic-wrong", changed(0, "B", 0)
    yield "version-two", changed(8, "H", 2)
    yield "header-size-zero", changed(10, "H", 0)
    yield "page-size-zero", changed(12, "I", 0)
    yield "compat-unknown", changed(16, "I", MAX32)
    yield "incompat-unknown", changed(20, "I", 1)
    yield "generation-zero", changed(24, "Q", 0)
    yield "slot-size-zero", changed(32, "I", 0)
    yield "slot-size-huge", changed(32, "I", MAX32)
    yield "slot-size-not-half", changed(32, "I", SLOT - 8)
    yield "used-zero", changed(36, "I", 0)
    yield "used-more-than-slot", changed(36, "I", SLOT + 8)
    yield "used-huge", changed(36, "I", MAX32)
    yield "used-less-than-tables", changed(36, "I", 200)
    yield "stale", changed(44, "I", 0)
    yield "build-id-long", changed(0x44, "B", 255)
    yield "profiles-over-header", changed(0x50, "I", 64)
    yield "profiles-outside", changed(0x50, "I", MAX32 - 7)
    yield "profiles-unaligned", changed(0x50, "I", 129)
    yield "profile-count-huge", changed(0x54, "H", MAX16)
    yield "files-over-profiles", changed(0x58, "I", PROFILES)
    yield "files-outside", changed(0x58, "I", MAX32 - 7)
    yield "file-count-huge", changed(0x5C, "I", MAX32)
    yield "profile-kind-unknown", changed(PROFILES, "H", MAX16)
    yield "key-outside", changed(PROFILES + 4, "II", 100, MAX32 - 50)
    yield "key-in-header", changed(PROFILES + 4, "II", 8, 0)
    yield "first-file-outside", changed(PROFILES + 12, "I", MAX32)
    yield "profile-files-huge", changed(PROFILES + 16, "I", MAX32)
    yield "runs-saturated", changed(PROFILES + 20, "I", MAX32)
    yield "file-kind-unknown", changed(FILES, "H", 2)
    yield "encoding-unknown", changed(FILES + 4, "H", 1)
    yield "planes-too-many", changed(FILES + 6, "H", MAX16)
    yield "path-of-the-executable", changed(FILES + 8, "II", DATA, 8)
    yield "path-outside", changed(FILES + 8, "II", MAX32, MAX32)
    yield "first-page-of-the-executable", changed(FILES + 16, "Q", 1)
    yield "first-page-wraps", changed(FILES + 16, "Q", MAX64)
    yield "page-count-huge", changed(FILES + 24, "I", MAX32)
    yield "stride-huge", changed(FILES + 28, "I", MAX32 - 7)
    yield "stride-odd", changed(FILES + 28, "I", 39)
    yield "stride-zero", changed(FILES + 28, "I", 0)
    yield "plane-in-header", changed(FILES + 32, "I", 0)
    yield "plane-in-its-record", changed(FILES + 32, "I", FILES)
    yield "plane-past-used", changed(FILES + 32, "I", USED - 8)
    yield "plane-outside", changed(FILES + 32, "I", MAX32 - 7)
    yield "plane-unaligned", changed(FILES + 32, "I", DATA + 1)
    yield "file-build-id-long", changed(FILES + 76, "I", MAX32)
    pair = two_files()
    record = 256 + 128
    yield "profiles-share-files", both(seal(patch(pair, 128 + 16, "I", 2)), bytes(1024))
    yield "files-share-a-plane", both(seal(patch(pair, record + 32, "I", 520)), bytes(1024))
    yield "path-is-a-plane", both(seal(patch(pair, record + 8, "I", 520)), bytes(1024))
    yield "remembers-four", both(seal(patch(pair, 0x68, "HH", 3, 4)), bytes(1024))
    yield "remembers-more-than-there-can-be", both(
        seal(patch(patch(pair, 0x56, "H", MAX16), 0x68, "HH", MAX16, MAX16)), bytes(1024)
    )
    yield "eight-remembered", both(seal(patch(slot(1, 64, 8), 0x68, "HH", 1, 8)))
    yield "no-recording", both(seal(patch(slot(1, 64, 8), PROFILES + 20, "I", 0)))
    for page in (1, 40, MAX32):
        yield f"data-from-page-{page}", both(seal(patch(pair, record + 0x64, "I", page)), bytes(1024))
    yield "library-at-the-last-page", both(
        seal(patch(pair, record + 16, "Q", MAX64 - 60)), bytes(1024)
    )


# --- plans and slots to build --------------------------------------------------------------------


def plan_seeds():
    def limits(gap=0, maximum=(255, 23), pages=(255, 55), first=(0, 0), cut=0):
        return bytes([gap, *maximum, *pages, *first, cut])

    bits = b"\x0c\x01\0\0\xfe" + b"\xff" * 12 + b"\x7f\0\x80"
    yield "no-limits", limits() + bits
    yield "gaps", limits(gap=5) + bits
    yield "budget", limits(gap=255, maximum=(20, 0)) + bits
    yield "no-budget", limits(maximum=(0, 0)) + bits
    yield "short-file", limits(pages=(9, 0)) + bits
    yield "first-page", limits(first=(3, 2), pages=(60, 0)) + bits
    yield "first-page-at-the-end", limits(first=(255, 56)) + bits
    yield "partial-byte", limits(cut=3) + b"\xff" * 9
    yield "all-set", limits(cut=1) + b"\xff" * 33
    yield "alternating", limits(gap=1, maximum=(77, 0)) + b"\x55" * 40
    yield "no-bits", limits()


def round_trip_seeds():
    def start(size, words, profiles, files):
        return bytes([size, words, profiles, files, 7]) + b"b" * 21

    profile, named, own, library = 0x00, 0x32, 0x21, 0x4B
    ops = bytes([profile, own, library, named, own, library]).ljust(64, b"\x21")
    yield "everything", start(32, 0, 4, 20) + ops + bytes(range(1, 251)) * 4
    yield "tight", start(8, 8, 2, 2) + ops + b"\xff" * 600
    yield "no-room-for-tables", start(2, 8, 9, 9) + ops + b"\xff" * 300
    yield "file-before-profile", start(20, 0, 1, 1) + bytes([own, profile, own]) + b"\xff" * 300
    yield "profile-of-unknown-kind", start(20, 0, 3, 3) + bytes([0x08, own]) + b"\xff" * 300
    yield "too-small", start(0, 9, 1, 1)
    yield "no-records", start(2, 0, 0, 0) + ops + b"\xff" * 100
    yield "many-planes", start(60, 0, 1, 9) + bytes([profile] + [0xE1] * 9) + b"\xa5" * 900


def update_seeds():
    def start(room=255, planes=4, profiles=4, pages=255):
        return bytes([room, planes, profiles, pages])

    def recording(files, merge=2, kind=0, key=0, late=0):
        out = bytes([merge | kind << 2 | key << 4 | late << 6, len(files)])
        for path, data in files:
            out += bytes([path | len(data) << 3]) + data
        return out

    both = [(0, b"\x0f"), (1, b"\x01\x02")]
    yield "ages", start() + b"".join(recording([(0, bytes([1 << n]))]) for n in range(8))
    yield "same-again", start() + recording(both) * 8
    yield "file-goes", start() + recording(both) + recording(both[:1]) * 6
    yield "file-comes", start() + recording(both[:1]) * 3 + recording(both) * 3
    yield "replace", start() + recording(both, 0) + recording([(0, b"\xf0"), (2, b"\x01")], 0)
    yield "or", start() + recording(both, 1) + recording([(0, b"\xf0"), (2, b"\x01")], 1)
    yield "all-merges", start() + b"".join(recording(both, merge) for merge in (0, 1, 2, 0, 2, 1))
    yield "one-of-128", start() + recording([(0, b"\xff" * 16)]) * 5 + recording([(0, b"\xff" * 15 + b"\x7f")])
    yield "same-path-twice", start() + recording([(1, b"\x01"), (1, b"\x02"), (0, b"\x04"), (0, b"\x08")]) * 2
    yield "modes", start() + b"".join(recording(both, 2, 1, key, 1) for key in (1, 2, 3, 1, 0, 2))
    yield "too-many-modes", start(profiles=2) + b"".join(recording(both, 2, 1, key, 1) for key in (1, 2, 3))
    yield "default-then-mode", start() + recording(both) + recording(both, 2, 1, 1)
    yield "modes-in-little-room", start(40) + b"".join(recording(both, 2, 1, key, 1) for key in (1, 2, 3, 1))
    yield "files-in-little-room", start(20) + recording([(n, b"\xff" * 24) for n in range(8)]) * 3
    yield "no-room", start(0, 9) + recording(both) * 3
    yield "no-pages", start(pages=0) + recording(both) * 3
    yield "nothing-seen", start() + recording([]) * 3
    yield "a-day-later", start() + recording(both, 2, 1, 1, 3) + recording(both, 2, 1, 2, 3) + recording(both, 2, 1, 1)


# --- packed slots --------------------------------------------------------------------------------


class Bits:
    """A string of bits, the first in the lowest bit of the first byte."""

    def __init__(self):
        self.value = self.count = 0

    def bits(self, value, count):
        self.value |= (value & (1 << count) - 1) << self.count
        self.count += count

    def numbers(self, *values):
        for value in values:
            count = value.bit_length()
            self.bits(count, 7)
            self.bits(value, max(count - 1, 0))

    def bytes(self, data):
        self.numbers(len(data))
        self.count = (self.count + 7) // 8 * 8
        for byte in data:
            self.bits(byte, 8)

    def code(self, value, parameter):
        high = (value >> parameter) + 1
        count = high.bit_length()
        self.bits(1 << count - 1, count)
        self.bits(high, count - 1)
        self.bits(value, parameter)

    def runs(self, runs, parameters=(2, 1)):
        """A plane of runs, each with the zeroes before it and its ones."""
        self.numbers(len(runs))
        for parameter in parameters if runs else ():
            self.bits(parameter, 4)
        for gap, ones in runs:
            self.code(gap, parameters[0])
            self.code(ones - 1, parameters[1])

    def packed(self):
        stream = self.value.to_bytes((self.count + 7) // 8, "little")
        return b"PBM1" + struct.pack("<I", crc32c(stream)) + stream


def packed_slot(slot_size=1024, room=4000, build_id=b"build id", generation=7, counts=(2, 2),
                planes=2, page_count=300, path=b"/a/lib", flags=(0,), runs=((0, 3), (9, 1), (100, 64)), parameters=(2, 1)):
    out = Bits()
    out.numbers(slot_size, room, 4096, 0, 0x12345678)
    out.bytes(build_id)
    out.numbers(300 * 4096, 1, 4, 4, generation, 1700000000, *counts)
    out.numbers(1)
    out.bytes(b"vi")
    out.numbers(3, 1700000000, 12, 9, 2)
    out.numbers(0, 0, planes, 0, page_count)
    out.bytes(b"")
    out.numbers(0, 0, 0, 0, 0, 0)
    out.bytes(b"")
    for plane in range(planes):
        out.runs(runs if plane == 0 else [(290, 2)], parameters)
    out.numbers(1, *flags, 1, 7, 60)
    out.bytes(path)
    out.numbers(1, 2, 3, 1 << 20, MAX64 - 4, 999)
    out.bytes(b"abcd")
    out.runs([])
    out.numbers(0)
    out.bytes(b"")
    out.numbers(1, 5, 0, 0, 0)
    return out.packed()


def packed_seeds():
    """The first byte is flags, the second the room to pack with again."""

    def given(packed):
        return b"\0\0" + packed

    yield "sound", given(packed_slot())
    yield "magic-wrong", given(patch(packed_slot(), 0, "B", 0))
    yield "checksum-wrong", given(patch(packed_slot(), 4, "I", 0))
    yield "checksum-made-right", b"\1\0" + patch(packed_slot(), 4, "I", 0)
    yield "nothing", given(b"")
    yield "head-only", given(Bits().packed())
    yield "slot-too-small", given(packed_slot(slot_size=504))
    yield "slot-size-odd", given(packed_slot(slot_size=1023))
    yield "slot-size-huge", given(packed_slot(slot_size=MAX64))
    yield "room-too-small", given(packed_slot(room=255))
    yield "room-huge", given(packed_slot(room=65537))
    yield "build-id-long", given(packed_slot(build_id=b"i" * 21))
    yield "generation-zero", given(packed_slot(generation=0))
    yield "fewer-profiles-than-said", given(packed_slot(counts=(3, 2)))
    yield "more-files-than-said", given(packed_slot(counts=(2, 1)))
    yield "profiles-too-many", given(packed_slot(counts=(65, 2)))
    yield "nine-planes", given(packed_slot(planes=9))
    yield "no-plane", given(packed_slot(planes=0))
    yield "page-count-huge", given(packed_slot(page_count=MAX32))
    yield "data-from-page-40", given(packed_slot(flags=(6, 40)))
    yield "data-from-page-0", given(packed_slot(flags=(4, 0)))
    yield "data-from-a-page-too-high", given(packed_slot(flags=(5, MAX32 + 1)))
    yield "path-long", given(packed_slot(path=b"/" * 4096))
    yield "run-past-the-end", given(packed_slot(runs=((290, 11),)))
    yield "gap-huge", given(packed_slot(runs=((MAX32 - 1, 1),), parameters=(0, 0)))
    yield "code-too-long", given(packed_slot(runs=((MAX32 << 15, 1),), parameters=(15, 0)))
    yield "largest-parameters", given(packed_slot(parameters=(15, 15)))
    yield "runs-without-end", given(packed_slot(runs=((0, 1),) * 301, parameters=(0, 0)))
    yield "slot-to-pack", b"\2\0" + two_files()
    yield "slot-with-data-to-pack", b"\2\0" + seal(patch(two_files(), 256 + 128 + 0x64, "I", 40))
    yield "slot-to-pack-in-little-room", b"\2\0" + slot(1, 64 * 300, 8, 1 << 15)
    yield "build-id-with-more-behind-it-to-pack", b"\3\0" + patch(slot(1), 0x38, "I", 0x44B)
    yield "eight-planes-to-pack", b"\2\1" + slot(1, 64, 8)


for target, seeds in {
    "elf": elf_seeds(),
    "section": section_seeds(),
    "plan": plan_seeds(),
    "round_trip": round_trip_seeds(),
    "update": update_seeds(),
    "packed": packed_seeds(),
}.items():
    directory = CORPUS / target
    directory.mkdir(parents=True, exist_ok=True)
    for name, data in seeds:
        (directory / name).write_bytes(data)
