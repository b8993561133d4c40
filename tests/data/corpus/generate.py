#!/usr/bin/env python3
"""Texts of /proc/PID/smaps and smaps_rollup as nine Linux versions print them.

    generate.py                     write every corpus file and expected.tsv next to this script
    generate.py --check /proc/self  is the format below, byte for byte, what this kernel prints?

One set of mappings (MAPPINGS) is printed in the format of each version (VERSIONS), so the sums of
two versions can be compared. Page counts are kept the way the kernel keeps them (Pss in fixed
point, shifted by 12), so printed values are truncated per mapping in smaps and once in the rollup:
a rollup's Pss can exceed the sum of the smaps lines by less than 1 kB for each mapping.

The real-*.smaps files are captures and are only read here, for their lines in expected.tsv.
"""

import argparse
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
PAGE_KB = 4
PSS_SHIFT = 12


# --- formats ------------------------------------------------------------------------------------
#
# fs/proc/task_mmu.c, show_smap() and, since 4.19, __show_smap(). x86-64, CONFIG_PROC_PAGE_MONITOR.
# "read": the print statements were read in that source. "derived": read in the sources around it.
# Release numbers of single fields are from proc_pid_smaps(5) or from memory.
#
# version  provenance
# 2.6.32   derived: 2.6.28 source (Size .. Referenced, Swap) + KernelPageSize and MMUPageSize, which
#          proc_pid_smaps(5) dates to 2.6.29; Anonymous (2.6.36), Locked (2.6.37) and AnonHugePages
#          (2.6.38) came later in mainline, although RHEL 6 carries Anonymous and AnonHugePages
# 3.10     read: a 3.8..3.11 source with VmFlags (3.8); "Nonlinear" is printed
#          only for remap_file_pages mappings, of which there is none here
# 4.4      read: torvalds/linux at 25ee01a2fca0 (4.4-rc1: Shared_Hugetlb, Private_Hugetlb)
# 4.14     read: torvalds/linux at 493b0e9d945f (4.14-rc1: smaps_rollup; page sizes move up).
#          Locked prints the whole Pss, locked or not: a bug of that commit, kept here. A second one
#          is not kept: shmem mappings overwrite the rollup's Swap instead of adding to it
# 5.4      read: commit c06306696f83 (5.3: THPeligible with tabs) and the patch that undoes it,
#          which has FilePmdMapped one column short; dumps with both quirks agree.
#          Pss_Anon, Pss_File and Pss_Shmem are in the rollup only (5.3)
# 5.15     read: the patch that mends both alignments, and a 5.16 one that shows the result
# 6.1      read: a 6.0..6.5 __show_smap (Pss_Dirty, no KSM); patches that touch
#          hugepage_vma_check() there: THPeligible is still "%d"; rollup header: a 6.1.0 tree
# 6.12     read: a source of 6.8..6.12 (KSM and "%8u" for THPeligible are from 6.6)
# 6.18     run: --check on a 6.18.44 host, and the real-6.18 captures
#
# ProtectionKey appears where the CPU has protection keys (x86: OSPKE), since 4.6; before 4.20
# arch_show_smap() printed it, at the same place. Here: 5.15 and 6.12 have it.

COUNTED = "Shared_Clean Shared_Dirty Private_Clean Private_Dirty Referenced"
SIZES = "Size KernelPageSize MMUPageSize"
HUGETLB = "Shared_Hugetlb Private_Hugetlb"

SMAPS_KEYS = {
    "2.6.32": f"Size Rss Pss {COUNTED} Swap KernelPageSize MMUPageSize",
    "3.10": f"Size Rss Pss {COUNTED} Anonymous AnonHugePages Swap KernelPageSize MMUPageSize"
    " Locked VmFlags",
    "4.4": f"Size Rss Pss {COUNTED} Anonymous AnonHugePages {HUGETLB} Swap SwapPss"
    " KernelPageSize MMUPageSize Locked VmFlags",
    "4.14": f"{SIZES} Rss Pss {COUNTED} Anonymous LazyFree AnonHugePages ShmemPmdMapped"
    f" {HUGETLB} Swap SwapPss Locked VmFlags",
    "5.4": f"{SIZES} Rss Pss {COUNTED} Anonymous LazyFree AnonHugePages ShmemPmdMapped"
    f" FilePmdMapped {HUGETLB} Swap SwapPss Locked THPeligible VmFlags",
    "5.15": f"{SIZES} Rss Pss {COUNTED} Anonymous LazyFree AnonHugePages ShmemPmdMapped"
    f" FilePmdMapped {HUGETLB} Swap SwapPss Locked THPeligible ProtectionKey VmFlags",
    "6.1": f"{SIZES} Rss Pss Pss_Dirty {COUNTED} Anonymous LazyFree AnonHugePages ShmemPmdMapped"
    f" FilePmdMapped {HUGETLB} Swap SwapPss Locked THPeligible VmFlags",
    "6.12": f"{SIZES} Rss Pss Pss_Dirty {COUNTED} Anonymous KSM LazyFree AnonHugePages"
    f" ShmemPmdMapped FilePmdMapped {HUGETLB} Swap SwapPss Locked THPeligible ProtectionKey"
    " VmFlags",
    "6.18": f"{SIZES} Rss Pss Pss_Dirty {COUNTED} Anonymous KSM LazyFree AnonHugePages"
    f" ShmemPmdMapped FilePmdMapped {HUGETLB} Swap SwapPss Locked THPeligible VmFlags",
}
VERSIONS = {name: tuple(keys.split()) for name, keys in SMAPS_KEYS.items()}

# A rollup leaves out what belongs to one mapping, and since 5.3 splits Pss after Pss or Pss_Dirty.
ROLLUP_SINCE = (4, 14)
ROLLUP_SPLIT_SINCE = (5, 3)
ONLY_PER_MAPPING = {
    *SIZES.split(), "THPeligible", "ProtectionKey", "VmFlags",
}  # fmt: skip

# Every line is "%-16s%8lu kB" but these.
LINE = {
    "Private_Hugetlb": "Private_Hugetlb: %7d kB",
    "ProtectionKey": "ProtectionKey:  %8d",
    "THPeligible": "THPeligible:    %8d",
    ("5.4", "THPeligible"): "THPeligible:\t\t%d",
    ("5.15", "THPeligible"): "THPeligible:    %d",
    ("6.1", "THPeligible"): "THPeligible:    %d",
    ("5.4", "FilePmdMapped"): "FilePmdMapped: %8d kB",
}
NAME_COLUMN = 73  # 25 + 6 * sizeof(void *): where the path starts, if the header is not longer


def number(version):
    """"4.14" -> (4, 14), to compare versions."""
    return tuple(int(part) for part in version.split("."))


def line(version, key, value):
    """One line of a record, without the newline."""
    if key == "VmFlags":
        return b"VmFlags: " + b"".join(b"%b " % flag.encode() for flag in value.split())
    form = LINE.get((version, key)) or LINE.get(key) or f"{key + ':':<16}%8d kB"
    return (form % value).encode()


def header(start, end, perms, offset, dev, inode, name):
    """The line that opens a mapping. A nameless one ends in a space, as the kernel's does."""
    text = b"%08x-%08x %b %08x %b %d " % (start, end, perms, offset, dev, inode)
    return text + b" " * max(1, NAME_COLUMN - len(text)) + name if name else text


# --- mappings -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pages:
    """Resident pages that are alike: how much, mapped by how many, dirty or not, of which kind."""

    kb: int
    sharers: int = 1
    dirty: bool = False
    kind: str = "file"  # file, anon or shmem: what the page is, not what the mapping is


@dataclass(frozen=True)
class Mapping:
    start: int
    size_kb: int
    perms: str
    name: bytes = b""
    pages: tuple = ()
    swap: tuple = ()  # of (kb, sharers)
    flags: str = ""
    offset: int = 0
    inode: int = 0
    dev: str = ""
    page_kb: int = PAGE_KB
    shared_hugetlb: int = 0
    private_hugetlb: int = 0
    idle_kb: int = 0  # resident but not referenced
    thp_kb: int = 0
    lazyfree_kb: int = 0
    since: str = "2.6"
    names: tuple = field(default=())  # of (version, name): the name from that version on
    gate: bool = False  # [vsyscall]: printed in smaps, not part of the address space

    @property
    def end(self):
        return self.start + self.size_kb * 1024

    def name_in(self, version):
        name = self.name
        for since, later in self.names:
            if number(version) >= number(since):
                name = later
        return name

    def perms_in(self, version):
        """[vsyscall] is execute-only since 5.3."""
        return b"r-xp" if self.gate and number(version) < (5, 3) else self.perms.encode()

    def flags_in(self, version):
        """dw was dropped in 5.15; sd needs CONFIG_MEM_SOFT_DIRTY (3.11), off on the 6.18 host."""
        flags = self.flags.split()
        if self.gate:
            return "rd ex" if number(version) < (5, 3) else "ex"
        if number(version) >= (5, 15):
            flags = [flag for flag in flags if flag != "dw"]
        if (3, 11) <= number(version) < (6, 18) and "io" not in flags:
            flags.append("sd")
        return " ".join(flags)


def pss_of(groups):
    """Pss in the kernel's fixed point: every page is divided, and truncated, on its own."""
    per_page = PAGE_KB * 1024 << PSS_SHIFT
    return sum(group.kb // PAGE_KB * (per_page // group.sharers) for group in groups)


def kib(fixed):
    return fixed >> (10 + PSS_SHIFT)


def counters(mapping):
    """What the page walk adds up over one mapping: kB, and Pss-like values in fixed point."""
    pages = mapping.pages

    def kb(shared, dirty):
        return sum(p.kb for p in pages if (p.sharers > 1) == shared and p.dirty == dirty)

    def pss_kind(kind):
        return pss_of([p for p in pages if p.kind == kind])

    rss = sum(p.kb for p in pages)
    swap = [Pages(size, sharers) for size, sharers in mapping.swap]
    return {
        "Rss": rss,
        "Pss": pss_of(pages),
        "Pss_Dirty": pss_of([p for p in pages if p.dirty]),
        "Pss_Anon": pss_kind("anon"),
        "Pss_File": pss_kind("file"),
        "Pss_Shmem": pss_kind("shmem"),
        "Shared_Clean": kb(True, False),
        "Shared_Dirty": kb(True, True),
        "Private_Clean": kb(False, False),
        "Private_Dirty": kb(False, True),
        "Referenced": rss - mapping.idle_kb,
        "Anonymous": sum(p.kb for p in pages if p.kind == "anon"),
        "KSM": 0,
        "LazyFree": mapping.lazyfree_kb,
        "AnonHugePages": mapping.thp_kb,
        "ShmemPmdMapped": 0,
        "FilePmdMapped": 0,
        "Shared_Hugetlb": mapping.shared_hugetlb,
        "Private_Hugetlb": mapping.private_hugetlb,
        "Swap": sum(size for size, _ in mapping.swap),
        "SwapPss": pss_of(swap),
        "Locked": pss_of(pages) if "lo" in mapping.flags.split() else 0,
    }


FIXED_POINT = {"Pss", "Pss_Dirty", "Pss_Anon", "Pss_File", "Pss_Shmem", "SwapPss", "Locked"}


def printed(version, sums):
    """Counters as the kernel prints them, in kB."""
    if version == "4.14":
        sums = sums | {"Locked": sums["Pss"]}
    return {key: kib(value) if key in FIXED_POINT else value for key, value in sums.items()}


def in_version(mappings, version):
    return [m for m in mappings if number(m.since) <= number(version)]


def smaps_values(mapping, version):
    """Every line of one mapping, as a dictionary."""
    return printed(version, counters(mapping)) | {
        "Size": mapping.size_kb,
        "KernelPageSize": mapping.page_kb,
        "MMUPageSize": mapping.page_kb,
        "THPeligible": int(mapping.thp_kb > 0),
        "ProtectionKey": 0,
        "VmFlags": mapping.flags_in(version),
    }


def smaps(mappings, version):
    lines = []
    for m in in_version(mappings, version):
        dev = (m.dev or ("fe:00" if m.inode else "00:00")).encode()
        name, perms = m.name_in(version), m.perms_in(version)
        lines.append(header(m.start, m.end, perms, m.offset, dev, m.inode, name))
        values = smaps_values(m, version)
        lines += [line(version, key, values[key]) for key in VERSIONS[version]]
    return b"".join(text + b"\n" for text in lines)


def rollup_keys(version):
    keys = [key for key in VERSIONS[version] if key not in ONLY_PER_MAPPING]
    if number(version) >= ROLLUP_SPLIT_SINCE:
        after = keys.index("Pss_Dirty" if "Pss_Dirty" in keys else "Pss") + 1
        keys[after:after] = ["Pss_Anon", "Pss_File", "Pss_Shmem"]
    return keys


def rollup_values(mappings, version):
    total = {}
    for mapping in in_version(mappings, version):
        for key, value in counters(mapping).items():
            total[key] = total.get(key, 0) + value
    return printed(version, total)


def rollup(mappings, version):
    # Up to 4.18 the walk included the gate mapping, and the header spanned it.
    present = in_version(mappings, version)
    spanned = [m for m in present if not m.gate or number(version) < (4, 19)]
    values = rollup_values(mappings, version)
    lines = [header(spanned[0].start, spanned[-1].end, b"---p", 0, b"00:00", 0, b"[rollup]")]
    lines += [line(version, key, values[key]) for key in rollup_keys(version)]
    return b"".join(text + b"\n" for text in lines)


def has_rollup(version):
    return number(version) >= ROLLUP_SINCE


EXE = "rd mr mw me dw"
TEXT = "rd ex mr mw me dw"
DATA = "rd wr mr mw me dw ac"
ANON = "rd wr mr mw me ac"
FILE = "rd mr mw me"
SHARED = "rd wr sh mr mw me ms"

VSYSCALL = Mapping(0xFFFFFFFFFF600000, 4, "--xp", b"[vsyscall]", gate=True)

MAPPINGS = (
    Mapping(0x559D4E200000, 212, "r--p", b"/usr/bin/app-server", (Pages(164, 3),),
            flags=EXE, inode=1311768),
    Mapping(0x559D4E235000, 1848, "r-xp", b"/usr/bin/app-server",
            (Pages(1244, 3), Pages(88)), flags=TEXT, offset=0x35000, inode=1311768, idle_kb=24),
    Mapping(0x559D4E403000, 36, "rw-p", b"/usr/bin/app-server",
            (Pages(20, 1, True, "anon"), Pages(8, 3)), flags=DATA, offset=0x202000, inode=1311768),
    Mapping(0x559D4F5A1000, 8192, "rw-p", b"[heap]",
            (Pages(5228, 1, True, "anon"), Pages(364, 7, True, "anon")), swap=((1016, 1), (72, 5)),
            flags=ANON, idle_kb=640),
    Mapping(0x7F1C2C000000, 65536, "rw-p", b"",
            (Pages(40964, 1, True, "anon"), Pages(12, 1, False, "anon")), swap=((8192, 1),),
            flags=ANON, thp_kb=4096, lazyfree_kb=12, idle_kb=1000),
    Mapping(0x7F1C30000000, 65536, "---p", b"", flags="mr mw me nr"),
    Mapping(0x7F1C34021000, 8192, "rw-p", b"", (Pages(56, 1, True, "anon"),), flags=ANON,
            names=(("3.4", b"[stack:4711]"), ("4.5", b""))),
    Mapping(0x7F1C34900000, 3072, "rw-p", b"",
            (Pages(1536, 1, True, "anon"),), swap=((404, 3),), flags=ANON,
            names=(("5.17", b"[anon:worker arena]"),)),
    Mapping(0x7F1C34C00000, 4096, "rw-p", b"/anon_hugepage (deleted)", flags="rd wr mr mw me de ht",
            inode=92817, dev="00:0f", page_kb=2048, private_hugetlb=4096),
    Mapping(0x7F1C35000000, 2048, "rw-s", b"/dev/hugepages/buffer pool",
            flags="rd wr sh mr mw me ms de ht", inode=92840, dev="00:2d", page_kb=2048,
            shared_hugetlb=2048),
    Mapping(0x7F1C35400000, 1024, "rw-p", b"", (Pages(1024, 1, True, "anon"),),
            flags="rd wr mr mw me lo ac"),
    Mapping(0x7F1C35600000, 2052, "r--s", b"/srv/data sets/year 2024/index  file.idx",
            (Pages(1400, 2), Pages(212)), flags="rd mr me ms", inode=393221),
    Mapping(0x7F1C35A00000, 16, "r--p", rb"/srv/odd/first\012second.db", (Pages(12),), flags=FILE,
            inode=393230),
    Mapping(0x7F1C35A04000, 8, "r--p", rb"/srv/odd/x\012Pss: 999 kB", (Pages(8, 2),), flags=FILE,
            inode=393231),
    Mapping(0x7F1C35A06000, 68, "r-xp", b"/usr/lib/libold.so.1 (deleted)", (Pages(52),),
            flags="rd ex mr mw me", inode=1313001),
    Mapping(0x7F1C35A80000, 4096, "rw-s", b"/dev/shm/ring buffer.1",
            (Pages(2600, 3, True, "shmem"), Pages(48, 1, True, "shmem")), flags=SHARED, inode=77,
            dev="00:1a"),
    Mapping(0x7F1C35F00000, 512, "rw-s", b"/dev/zero (deleted)",
            (Pages(300, 1, True, "shmem"),), flags=SHARED, inode=1029, dev="00:01",
            names=(("3.17", b"/memfd:frame pool (deleted)"),)),
    Mapping(0x7F1C36000000, 160, "r--p", b"/usr/lib/x86_64-linux-gnu/libc.so.6",
            (Pages(156, 61),), flags=EXE, inode=1312402),
    Mapping(0x7F1C36028000, 1620, "r-xp", b"/usr/lib/x86_64-linux-gnu/libc.so.6",
            (Pages(1088, 61), Pages(96, 7)), flags=TEXT, offset=0x28000, inode=1312402),
    Mapping(0x7F1C361BD000, 8, "rw-p", b"/usr/lib/x86_64-linux-gnu/libc.so.6",
            (Pages(8, 1, True, "anon"),), flags=DATA, offset=0x1BD000, inode=1312402),
    Mapping(0x7F1C361BF000, 52, "rw-p", b"", (Pages(24, 1, True, "anon"),), flags=ANON),
    Mapping(0x7FFD12C3A000, 132, "rw-p", b"[stack]", (Pages(44, 1, True, "anon"),), swap=((8, 1),),
            flags="rd wr mr mw me gd ac"),
    Mapping(0x7FFD12DC4000, 16, "r--p", b"[vvar]", flags="rd mr pf io de dd", since="3.15"),
    Mapping(0x7FFD12DC8000, 8, "r--p", b"[vvar_vclock]", flags="rd mr pf io de dd", since="6.13"),
    Mapping(0x7FFD12DCA000, 8, "r-xp", b"[vdso]", (Pages(4, 4),), flags="rd ex mr mw me de"),
    VSYSCALL,
)  # fmt: skip


# --- hostile texts ------------------------------------------------------------------------------

PLAIN = (
    Mapping(0x55D000000000, 64, "r-xp", b"/usr/bin/plain", (Pages(40, 2),), flags="rd ex mr mw me",
            inode=1311000),
    Mapping(0x55D000400000, 132, "rw-p", b"[heap]", (Pages(100, 1, True, "anon"),), ((16, 1),),
            flags=ANON),
)  # fmt: skip
HOSTILE_VERSION = "6.12"


def hostile():
    """File stem -> text. README.md says what each is for."""
    text = smaps(PLAIN, HOSTILE_VERSION)
    one = smaps(PLAIN[:1], HOSTILE_VERSION)
    long_name = b"".join(b"/" + b"d" * 250 for _ in range(40)) + b"/liblongpath.so.1"
    long_path = Mapping(0x55D000000000, 64, "r-xp", long_name, (Pages(40, 2),),
                        flags="rd ex mr mw me", inode=1311000)  # fmt: skip
    huge = Mapping(0x100000000000, 4 << 30, "rw-p", b"", (Pages(2_147_483_648, 1, True, "anon"),),
                   ((123_456_788, 1),), flags=ANON, private_hugetlb=1_073_741_824,
                   page_kb=4)  # fmt: skip

    def with_value(value, key=b"Pss"):
        """The first line of that key, with another value from column 16 on."""
        return re.sub(rb"(?m)^%b: +\d+ kB$" % key, b"%-16s%b" % (key + b":", value), text, count=1)

    header_like = [b"/srv/00-11 r--p", b"/srv/7f00-7fff rw-p 00000000 00:00 0 [heap]", b"[heap]x"]
    headers = tuple(
        Mapping(0x55D000000000 + 0x100000 * i, 8, "r--p", name, (Pages(4),), flags=FILE, inode=9)
        for i, name in enumerate(header_like)
    )
    names = [
        (b"", 0), (b"", 77), (b"[heap]", 0), (b"[stack]", 0), (b"[vdso]", 0),
        (b"[anon: glibc: malloc arena]", 0), (b"[anon_shmem:ring: 0-63 (a b)]", 0),
        (rb"/tmp/two\012lines\012", 9), (b"/usr/bin/java (deleted)", 9),
        (b"/usr/bin/java (deleted) (deleted)", 9), (b"/memfd:pool (deleted)", 9),
        (b"/SYSV0052e2c1 (deleted)", 0), (b"/dev/shm/pool", 9), (b"/dev/zero (deleted)", 9),
        (b"anon_inode:[io_uring]", 9), (b"/" + b"d/" * 2047, 9),
    ]  # fmt: skip
    named = tuple(
        Mapping(0x55D000000000 + 0x100000 * i, 8, "r--p", name, (Pages(4),), flags=FILE,
                inode=inode, dev="00:01")
        for i, (name, inode) in enumerate(names)
    )
    return {
        "long-header": smaps((long_path, *PLAIN[1:]), HOSTILE_VERSION),
        "twenty-digits": with_value(b"18446744073709551615 kB"),
        "overflow": with_value(b"99999999999999999999 kB"),
        "sum-overflow": with_value(b"18446744073709551615 kB") + text,
        "negative": with_value(b"      -4 kB"),
        "plus-sign": with_value(b"      +4 kB"),
        "hex": with_value(b"    0x14 kB"),
        "fraction": with_value(b"    20.5 kB"),
        "no-number": with_value(b"         kB"),
        "no-unit": with_value(b"      20"),
        "unit-mb": with_value(b"      20 mB"),
        "unit-run-on": with_value(b"      20kB"),
        "trailing-junk": with_value(b"      20 kB and more"),
        "uncounted-bad": with_value(b"      zz kB", b"KSM"),
        "cut-last-line": text[: text.rindex(b"Locked:") + 24],
        "cut-in-number": text[: text.rindex(b"Private_Dirty:") + 23],
        "cut-in-key": text[: text.rindex(b"SwapPss:") + 5],
        "no-final-newline": text[:-1],
        "only-nuls": b"\0" * 4096,
        "nul-inside": text.replace(b"Shared_Clean:", b"Shared\0Clean:", 1),
        "empty": b"",
        "one-newline": b"\n",
        "blank-lines": text.replace(b"Referenced:", b"\nReferenced:"),
        "no-header": text.split(b"\n", 1)[1],
        "only-header": text.split(b"\n", 1)[0] + b"\n",
        "crlf": text.replace(b"\n", b"\r\n"),
        "unknown-fields": text.replace(
            b"Shared_Clean:",
            b"Pss_Future:          7 kB\nZswap-Pss:           9 kB\nNewFlag:        1\n"
            b"A:                   1 kB\n" + b"K" * 300 + b":   5 kB\nShared_Clean:",
        ),
        "huge-values": smaps((huge,), HOSTILE_VERSION),
        "names": smaps(named, HOSTILE_VERSION),
        "header-in-name": smaps(headers, HOSTILE_VERSION),
        "prefix-keys": one.replace(
            b"\nSwap:", b"\nSwa:                   1 kB\nSwaps:                 2 kB\n"
                        b"SwapPssX:              4 kB\nSwap:"
        ).replace(
            b"\nPss:", b"\nPs:                    8 kB\nPsss:                 16 kB\n"
                       b"Pss_:                 32 kB\nPss:"
        ),
        "swapped-order": one.replace(b"Swap:                  0 kB\nSwapPss:               0 kB\n",
                                     b"SwapPss:              12 kB\nSwap:                 24 kB\n"),
        "lower-case": text.replace(b"\nPss:", b"\npss:"),
        "leading-space": text.replace(b"\nPss:", b"\n Pss:"),
        "twice": one.replace(b"Pss_Dirty:", b"Pss:                   3 kB\nPss_Dirty:"),
        "not-utf8": text.replace(b"/usr/bin/plain", b"/usr/bin/pl\xe9in\xff\x1b[31m"),
        "odd-flags": text.replace(b"VmFlags: rd", b"VmFlags: ?? zz   rd", 1)
                         .replace(b"VmFlags: rd wr mr mw me ac sd \n", b"VmFlags:\n"),
    }  # fmt: skip


# --- expected.tsv -------------------------------------------------------------------------------

COLUMNS = {
    "rss": "Rss", "pss": "Pss", "shared_clean": "Shared_Clean", "shared_dirty": "Shared_Dirty",
    "private_clean": "Private_Clean", "private_dirty": "Private_Dirty", "swap": "Swap",
    "swap_pss": "SwapPss", "private_hugetlb": "Private_Hugetlb",
    "shared_hugetlb": "Shared_Hugetlb", "anonymous": "Anonymous", "pss_anon": "Pss_Anon",
    "pss_file": "Pss_File", "pss_shmem": "Pss_Shmem", "lazyfree": "LazyFree",
}  # fmt: skip


def expected_row(name, mappings, keys, records, heap):
    """One row: sums over the records of the values as printed, `-` for keys that are not there."""
    cells = [name, str(mappings)]
    for key in COLUMNS.values():
        cells.append(str(sum(r[key] for r in records)) if key in keys else "-")
    return "\t".join([*cells, "-" if heap is None else str(heap)])


def expected_smaps(name, mappings, version):
    present = in_version(mappings, version)
    records = [smaps_values(m, version) for m in present]
    heap = sum(r["Pss"] for m, r in zip(present, records) if m.name_in(version) == b"[heap]")
    return expected_row(name, len(present), VERSIONS[version], records, heap)


def expected_rollup(name, mappings, version):
    records = [rollup_values(mappings, version)]
    return expected_row(name, 1, rollup_keys(version), records, None)


def expected_capture(path):
    """A capture has no mapping set behind it: its sums are read from its own lines."""
    records, heap, name = [], 0, b""
    for text in path.read_bytes().splitlines():
        if m := HEADER.fullmatch(text):
            records.append({})
            name = m["name"] or b""
        elif m := re.fullmatch(rb"(\w+): +(\d+) kB", text):
            records[-1][m[1].decode()] = int(m[2])
            heap += int(m[2]) if m[1] == b"Pss" and name == b"[heap]" else 0
    is_rollup = path.suffix == ".smaps_rollup"
    return expected_row(path.name, len(records), records[0], records, None if is_rollup else heap)


def texts():
    """Every generated file: name -> bytes."""
    files, rows = {}, []
    for version in VERSIONS:
        name = f"linux-{version}.smaps"
        files[name] = smaps(MAPPINGS, version)
        rows.append(expected_smaps(name, MAPPINGS, version))
        if has_rollup(version):
            name = f"linux-{version}.smaps_rollup"
            files[name] = rollup(MAPPINGS, version)
            rows.append(expected_rollup(name, MAPPINGS, version))
    rows += [expected_capture(path) for path in sorted(HERE.glob("real-*"))]
    head = "\t".join(["file", "mappings", *COLUMNS, "heap"])
    files["expected.tsv"] = ("\n".join([head, *rows]) + "\n").encode()
    files |= {f"hostile-{stem}.smaps": text for stem, text in hostile().items()}
    return files


# --- check against a live kernel ----------------------------------------------------------------

HEADER = re.compile(
    rb"(?P<start>[0-9a-f]{8,16})-(?P<end>[0-9a-f]{8,16}) (?P<perms>[r-][w-][x-][ps])"
    rb" (?P<offset>[0-9a-f]{8,}) (?P<dev>[0-9a-f]{2,}:[0-9a-f]{2,}) (?P<inode>\d+)"
    rb" (?: +(?P<name>.+))?"
)


def reprint(text, version):
    """Take a real text apart and print it again in the format of `version`; None if it is odd."""
    lines = []
    for got in text.splitlines():
        if m := HEADER.fullmatch(got):
            start, end, offset = (int(m[part], 16) for part in ("start", "end", "offset"))
            name = m["name"] or b""
            lines.append(header(start, end, m["perms"], offset, m["dev"], int(m["inode"]), name))
        elif m := re.fullmatch(rb"(\w+):\s*(.*?)(?: kB)?\s*", got):
            key = m[1].decode()
            lines.append(line(version, key, m[2].decode() if key == "VmFlags" else int(m[2])))
        else:
            return None
    return b"".join(text + b"\n" for text in lines)


def records_of(text):
    """The key order of each record."""
    records = []
    for got in text.splitlines():
        if HEADER.fullmatch(got):
            records.append([])
        else:
            records[-1].append(got.split(b":")[0].decode())
    return records


def check(directory, version):
    """Complain about every difference between a live smaps and the table above."""
    wrong = []
    for name, keys in ("smaps", list(VERSIONS[version])), ("smaps_rollup", rollup_keys(version)):
        text = (Path(directory) / name).read_bytes()
        if not text:
            wrong.append(f"{name}: empty; choose a process with memory")
            continue
        again = reprint(text, version)
        if again != text:
            pairs = zip(text.splitlines(), (again or b"").splitlines())
            different = next(((a, b) for a, b in pairs if a != b), None)
            wrong.append(f"{name}: not byte-identical when printed again: {different}")
        for got in records_of(text):
            optional = [key for key in keys if key != "ProtectionKey" or key in got]
            if "ProtectionKey" in got and "ProtectionKey" not in optional:
                optional.insert(optional.index("VmFlags"), "ProtectionKey")
            if got != optional:
                wrong.append(f"{name}: keys are {got}, expected {optional}")
                break
        print(f"{name}: {len(records_of(text))} records, {len(text)} bytes compared")
    for complaint in wrong:
        print(f"differs from {version}: {complaint}", file=sys.stderr)
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", metavar="DIR", help="a process directory, such as /proc/self")
    parser.add_argument("--version", default="6.18", choices=VERSIONS, help="format to check")
    arguments = parser.parse_args()
    if arguments.check:
        try:
            return check(arguments.check, arguments.version)
        except OSError as error:
            sys.exit(f"cannot compare, choose a living process of your own: {error}")
    for name, text in texts().items():
        (HERE / name).write_bytes(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
