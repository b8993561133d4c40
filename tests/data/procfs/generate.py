#!/usr/bin/env python3
"""Small fake /proc trees, written from the table TREES below into the directories next to this
script, names.tsv (raw names), expected.tsv (sums) and the tables at the end of README.md.

    generate.py             rewrite every tree

Texts of smaps and smaps_rollup come from tests/data/corpus/generate.py. Pages are shared by 1, 2 or 4
processes only, so no value is truncated and the sum over smaps equals the rollup to the kB.
"""

import importlib.util
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.dont_write_bytecode = True


def load_corpus():
    spec = importlib.util.spec_from_file_location("corpus", HERE.parent / "corpus/generate.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["corpus"] = module
    spec.loader.exec_module(module)
    return module


corpus = load_corpus()
Mapping, Pages = corpus.Mapping, corpus.Pages

EXE_AT, HEAP_AT = 0x55D4C0A00000, 0x55D4C1E00000
ANON_AT, SHM_AT, HUGE_AT, HUGE_SHARED_AT = (
    0x7F3A00000000, 0x7F3B00000000, 0x7F3C00000000, 0x7F3D00000000,
)  # fmt: skip
LIBC_AT, STACK_AT = 0x7F3E80000000, 0x7FFE10000000
HUGE_KB = 2048


def room(kb):
    """A mapping is larger than what is resident in it, and whole in pages."""
    return (kb * 5 // 4 + 64) // 4 * 4


def memory(text=64, heap=0, anon=0, shm=0, libc=0, swap=0, swap2=0, swap_heap=0, huge=0,
           huge_shared=0, text_sharers=1, shm_sharers=2, exe=b"/usr/bin/program"):  # fmt: skip
    """Mappings of one process; all sizes in kB, multiples of 4. swap2 is shared by two."""

    def dirty(kb, kind, sharers=1):
        return (Pages(kb, sharers, True, kind),) if kb else ()

    swaps = tuple((kb, sharers) for kb, sharers in ((swap, 1), (swap2, 2)) if kb)
    maps = [Mapping(EXE_AT, room(text), "r-xp", exe, (Pages(text, text_sharers),),
                    flags="rd ex mr mw me", inode=1311200)]  # fmt: skip
    if heap or swap_heap:
        maps.append(Mapping(HEAP_AT, room(heap + swap_heap), "rw-p", b"[heap]",
                            dirty(heap, "anon"), ((swap_heap, 1),) if swap_heap else (),
                            flags=corpus.ANON))  # fmt: skip
    if anon or swaps:
        maps.append(Mapping(ANON_AT, room(anon + swap + swap2), "rw-p", b"", dirty(anon, "anon"),
                            swaps, flags=corpus.ANON))  # fmt: skip
    if shm:
        maps.append(Mapping(SHM_AT, room(shm), "rw-s", b"/dev/zero (deleted)",
                            dirty(shm, "shmem", shm_sharers), flags=corpus.SHARED, inode=1033,
                            dev="00:01"))  # fmt: skip
    if huge:
        maps.append(Mapping(HUGE_AT, huge, "rw-p", b"/anon_hugepage (deleted)", inode=92817,
                            flags="rd wr mr mw me de ht", dev="00:0f", page_kb=HUGE_KB,
                            private_hugetlb=huge))  # fmt: skip
    if huge_shared:
        maps.append(Mapping(HUGE_SHARED_AT, huge_shared, "rw-s", b"/dev/hugepages/pool",
                            flags="rd wr sh mr mw me ms de ht", inode=92840, dev="00:2d",
                            page_kb=HUGE_KB, shared_hugetlb=huge_shared))  # fmt: skip
    if libc:
        maps.append(Mapping(LIBC_AT, room(libc), "r-xp", b"/usr/lib/x86_64-linux-gnu/libc.so.6",
                            (Pages(libc, 4),), flags="rd ex mr mw me", inode=1312402))  # fmt: skip
    maps.append(Mapping(STACK_AT, 132, "rw-p", b"[stack]", dirty(16, "anon"),
                        flags="rd wr mr mw me gd ac"))  # fmt: skip
    return (*maps, corpus.VSYSCALL)


@dataclass(frozen=True)
class Process:
    """One /proc/PID. `files` replaces (or, with None, removes) files after all else is made."""

    pid: int
    comm: bytes
    cmdline: bytes = b""
    exe: bytes = b""  # name below bin/; none: no exe link, as for kernel threads and zombies
    maps: tuple = ()  # none: kernel thread or zombie, whose smaps and smaps_rollup are empty
    ppid: int = 1
    uid: int = 0
    euid: int | None = None  # effective, where that is another one
    cgroup: bytes = b""  # none: no such file, as on a kernel without control groups
    state: str = "S (sleeping)"
    kthread: bool = False
    threads: int = 1
    tasks: tuple = ()  # of Process: below task/
    version: str = "6.12"
    files: dict = field(default_factory=dict)
    note: str = ""


def argv(*words):
    return b"".join(word + b"\0" for word in words)


def set_line(key, new):
    """Replace the first line of one key."""

    def edit(text):
        start = text.index(b"\n" + key + b":") + 1
        return text[:start] + new + text[text.index(b"\n", start) :]

    return edit


def cut_after(mark, more=0):
    """Cut the text `more` bytes after the first `mark`."""
    return lambda text: text[: text.index(mark) + len(mark) + more]


# --- the trees ----------------------------------------------------------------------------------

ORDINARY = [
    Process(101, b"nginx", argv(b"nginx: master process /usr/sbin/nginx -g daemon off;"), b"nginx",
            memory(text=1240, text_sharers=4, heap=1620, shm=2048, shm_sharers=4, libc=720),
            note="setproctitle title with a path in it"),
    Process(102, b"nginx", argv(b"nginx: worker process") + b"\0" * 31, b"nginx",
            memory(text=1240, text_sharers=4, heap=5312, shm=2048, shm_sharers=4, libc=720),
            ppid=101, uid=33, note="title padded with NULs, as nginx leaves it"),
    Process(103, b"nginx", argv(b"nginx: worker process") + b"\0" * 31, b"nginx",
            memory(text=1240, text_sharers=4, heap=5404, shm=2048, shm_sharers=4, libc=720),
            ppid=101, uid=33, note="the second process of that name"),
    Process(110, b"[celeryd@notifi", argv(b"[celeryd@notifications:MainProcess]"), b"python3.11",
            memory(text=3240, text_sharers=2, heap=24580, anon=35420, libc=880, swap=131072,
                   swap_heap=6352), uid=1001, note="bracketed title; 134.2 MiB in swap"),
    Process(111, b"[celeryd@defaul", argv(b"[celeryd@default:MainProcess]"), b"python3.11",
            memory(text=3240, text_sharers=2, heap=401200, anon=284260, libc=880), uid=1001,
            note="large heap"),
    Process(120, b"java", argv(b"/usr/lib/jvm/java-21/bin/java", b"-Xmx2g", b"-jar",
                               b"/srv/app/app server.jar"), b"java",
            memory(text=12, heap=2112, anon=1488320, libc=1020, swap2=4096), uid=1002, threads=61,
            note="above 1 GiB; absolute path in argv[0]; swap shared by two"),
    Process(130, b"bash", argv(b"-bash"), b"bash",
            memory(text=908, text_sharers=2, heap=1784, libc=960), uid=1000, note="login shell"),
    Process(131, b"bash", argv(b"bash", b"-c", b"make -j8 all"), b"bash",
            memory(text=908, text_sharers=2, heap=412, libc=960), ppid=130, uid=1000,
            note="same binary, another argv[0]"),
    Process(140, b"postgres", argv(b"/usr/lib/postgresql/16/bin/postgres", b"-D",
                                   b"/var/lib/postgresql/16/main"), b"postgres",
            memory(text=4096, text_sharers=2, heap=1912, shm=18432, libc=1100), uid=108),
    Process(141, b"postgres", argv(b"postgres: writer") + b"\0" * 20, b"postgres",
            memory(text=4096, text_sharers=2, heap=640, shm=18432, libc=1100), ppid=140, uid=108,
            note="title over a longer argv, padded with NULs"),
    Process(150, b"agent", argv(b"/opt/tools/bin/agent", b"--serve"), b"agent",
            memory(text=220, heap=3000, libc=640)),
    Process(151, b"agent", argv(b"agent", b"--once"), b"agent", memory(text=220, heap=188, swap=40),
            uid=1000, note="the same program without a path"),
]  # fmt: skip

KANJI = "データ収集".encode()  # 15 bytes: exactly what comm can hold
LONG = b"long-" + b"x" * 4994 + b"!"


def named(pid, comm, cmdline, note, exe=b"named", heap=None):
    """A process whose only point is its name; its memory is distinguishable by its PID."""
    heap = (pid - 200) * 100 if heap is None else heap
    return Process(pid, comm, cmdline, exe, memory(text=40, heap=heap), note=note)


NAMES = [
    named(201, b"fifteen-bytes-c", argv(b"/usr/bin/fifteen-bytes-commander", b"run"),
          "comm cut to 15 bytes"),
    named(202, b"quiet-daemon", b"", "empty argv, but not a kernel thread", b"quiet-daemon"),
    named(203, b"serv\xffer", argv(b"/opt/caf\xe9/serv\xffer"), "not UTF-8"),
    named(204, b"ev\x1b[31m\nred\x07", argv(b"ev\x1b[31mil\x1b]0;title\x07\n999.9 0.0 fake (1)"),
          "ESC, BEL, newline in argv[0] and comm: no escape reaches a terminal, no row is forged"),
    named(205, "re\u202egpj.\u0435".encode()[:-1], argv("re\u202egpj.exe".encode()),
          "bidi override; comm cut inside a UTF-8 sequence"),
    named(206, b"long-xxxxxxxxxx", argv(LONG, b"tail"), "argv[0] of 5,000 bytes"),
    named(207, b"longargs", argv(b"longargs", *[b"arg%03d=value" % i for i in range(384)]),
          "5,001 bytes in all, after a short argv[0]"),
    named(208, b"updated", argv(b"/usr/bin/updated"), "binary replaced on disk",
          b"updated (deleted)"),
    named(209, b"only-nuls", b"\0\0\0\0", "argv[0] is only NULs"),
    named(210, b"slash", argv(b"/opt/thing/bin/"), "argv[0] ends in /"),
    named(211, KANJI, argv(b"/opt/" + KANJI + b"/" + KANJI), "wide: 5 characters, 10 columns"),
    named(212, "cafe\u0301-nai\u0308ve".encode()[:15], argv("cafe\u0301-nai\u0308ve".encode()),
          "combining marks: no columns of their own"),
    named(213, b"my app", argv(b"/opt/My App/bin/my app", b"--x"), "spaces in the path"),
    named(214, b"sh", b"sh", "no NUL at the end"),
    named(215, b"root-only", argv(b"/"), "argv[0] is /"),
    named(216, b'=1+2,"x"', argv(b'=1+2,"x";y|z\tt'), "quotes, comma, tab, formula: for CSV"),
    named(217, b"blank", argv(b"   "), "only spaces"),
    named(218, b"chrome", argv(b"/opt/google/chrome/chrome --type=renderer --font=/usr/share/f"),
          "a whole command line in argv[0]: the last / is not the end of the path", b"chrome"),
    named(219, b"a\\b\nc", argv(b"a\\b\nc"), r"backslash and newline: status says a\\b\nc"),
    named(220, b"back\\x1b", argv(b"back\\x1b[0m"), r"a literal \x1b, to be told from ESC"),
    named(221, b"", argv(b"", b"second"), "argv[0] and comm are empty, argv[1] is not"),
    named(222, b"named", argv(b"./bin/named", b"-f"), "relative path"),
    named(223, b"(sd-pam)", argv(b"(sd-pam)"), "parentheses, as in the COUNT column"),
    named(224, "\u2028line".encode(), argv("line\u2028sep\u200bzero\ufeff".encode()),
          "U+2028 and zero-width characters"),
    named(225, b"postgres", argv(b"postgres: walwriter "), "title that ends in a space"),
    named(226, b"serv\\xffer", argv(b"serv\\xffer"), r"a literal \xff, to be told from the byte of 203"),
    named(227, b"(3 more)", argv(b"(3 more)"), "the words of the row that sums up others"),
    named(228, "\u3164".encode(), argv("\u115f\u1160\u2800\u3164\uffa0".encode()),
          "letters that are blank: Hangul fillers, an empty Braille pattern"),
    named(229, "\u0301".encode(), argv("\u0301a\u034fb\u3164\u0301".encode()),
          "a mark without a letter before it, and a joiner that is never seen"),
    named(230, b"worker", argv(b"worker: " + b"x" * 300 + b" one"), "titles that differ late"),
    named(231, b"worker", argv(b"worker: " + b"x" * 300 + b" two"), "another program than 230"),
    named(232, b"prog", argv(b"/opt/My App - beta/bin/prog"), "blank and dash in the path"),
    named(233, b"prog", argv(b"/opt/My App -rc/bin/prog", b"-v"),
          "what looks like an option is none: there are arguments"),
]  # fmt: skip


def zombie_leader(pid):
    """main() called pthread_exit(): the process is alive only below task/."""
    maps = memory(text=88, heap=65536, anon=1024, swap=512)
    line = argv(b"/usr/bin/leaderless", b"--threads")
    dead = Process(pid, b"leaderless", state="Z (zombie)", threads=3, ppid=30)
    tasks = [Process(tid, b"leaderless", line, b"leaderless", maps, 30, 1000, threads=3)
             for tid in (pid + 1, pid + 3)]  # fmt: skip
    return Process(pid, b"leaderless", ppid=30, uid=1000, state="Z (zombie)", threads=3,
                   tasks=(dead, *tasks), note="zombie leader: measured below task/")  # fmt: skip


KERNEL_THREADS = [
    Process(2, b"kthreadd", ppid=0, kthread=True, files={"task/2/children": b"3 17 50 "},
            note="kernel thread; 50 is its child and none"),
    Process(3, b"pool_workqueue_release", ppid=2, kthread=True, state="I (idle)",
            note="kernel thread; comm longer than 15 bytes"),
    Process(17, b"kworker/0:1H-kblockd", ppid=2, kthread=True, state="I (idle)",
            note="kernel thread; comm names its work"),
    Process(30, b"parent", argv(b"/usr/bin/parent"), b"parent", memory(text=120, heap=900),
            note="the only ordinary process"),
    Process(31, b"defunct", ppid=30, state="Z (zombie)", note="zombie"),
    zombie_leader(40),
    Process(50, b"core-helper", argv(b"/usr/bin/core-helper"), b"helper", memory(heap=500), ppid=2,
            note="started by the kernel, with memory"),
]  # fmt: skip

GONE = {name: None for name in ("smaps", "smaps_rollup")}
VANISHED = [
    Process(601, b"survivor", argv(b"/usr/bin/survivor"), b"survivor", memory(heap=2000),
            note="whole"),
    Process(602, b"", files={"only": b"0\n"}, note="no file of use: gone after the listing"),
    Process(603, b"cmd-only", argv(b"cmd-only"), b"survivor", memory(heap=300), files=GONE,
            note="cmdline, comm, status, exe; no smaps, no smaps_rollup"),
    Process(604, b"no-cmdline", argv(b"x"), b"survivor", memory(heap=400),
            files={"cmdline": None}, note="no cmdline"),
    Process(605, b"only-rollup", argv(b"x"), b"survivor", memory(heap=500),
            files={"cmdline": None, "comm": None, "status": None, "smaps": None, "exe": None},
            note="smaps_rollup alone: memory without any name"),
    Process(606, b"empty-files", argv(b"empty-files"), b"survivor", memory(heap=600),
            files={"smaps": b"", "smaps_rollup": b""}, note="alive by status, empty memory files"),
    Process(607, b"dangling", argv(b"dangling"), b"no-such-binary", memory(heap=700),
            note="exe leads nowhere"),
    Process(608, b"no-names", argv(b"x"), b"survivor", memory(heap=800),
            files={"cmdline": b"", "comm": None, "status": None},
            note="empty cmdline, no comm, no status"),
    Process(609, b"status-only", argv(b"x"), b"survivor", memory(heap=900),
            files=GONE | {"cmdline": None, "comm": None, "exe": None}, note="status alone"),
]  # fmt: skip

NO_ROLLUP = [
    Process(301, b"sshd", argv(b"/usr/sbin/sshd", b"-D"), b"sshd",
            memory(text=360, text_sharers=2, heap=1400, libc=560), version="4.4"),
    Process(302, b"sshd", argv(b"sshd: alice [priv]"), b"sshd",
            memory(text=360, text_sharers=2, heap=980, libc=560, swap=120, swap2=64),
            version="4.4", ppid=301, note="Swap 184, SwapPss 152"),
    Process(303, b"mysqld", argv(b"/usr/sbin/mysqld"), b"mysqld",
            memory(text=6000, heap=40960, anon=262144, libc=800, huge=4096), version="4.4",
            uid=110),
    Process(304, b"httpd", argv(b"/usr/sbin/httpd", b"-k", b"start"), b"httpd",
            memory(text=420, text_sharers=2, heap=2200, anon=800, swap=80, swap2=48),
            version="2.6.32", uid=48, note="2.6.32 format: Swap 128, no SwapPss"),
    Process(305, b"crond", argv(b"crond"), b"crond", memory(text=80, heap=240), version="3.10",
            note="3.10 format, nothing swapped"),
    Process(2, b"kthreadd", ppid=0, kthread=True, version="4.4", note="kernel thread"),
]  # fmt: skip


def broken(pid, comm, note, **files):
    """A healthy process, its memory distinguishable by its PID, but for the files given."""
    maps = memory(text=100, heap=(pid - 400) * 1000)
    return Process(pid, comm, argv(comm), b"broken", maps, files=files, note=note)


MALFORMED = [
    Process(401, b"healthy", argv(b"/usr/bin/healthy"), b"broken", memory(text=100, heap=1000),
            note="whole"),
    broken(402, b"cut-number", "rollup cut inside the number of Pss",
           smaps_rollup=cut_after(b"\nPss:", 18)),
    broken(403, b"cut-after-pss", "rollup cut after the line of Pss: every later key is missing",
           smaps_rollup=cut_after(b"\nPss_Dirty", -9)),
    broken(404, b"no-newline", "rollup complete but for the last newline",
           smaps_rollup=lambda text: text[:-1]),
    broken(405, b"garbage", "rollup of 512 arbitrary bytes",
           smaps_rollup=bytes(i * 167 % 256 for i in range(512))),
    broken(406, b"bad-digit", "Pss: 12x4 kB",
           smaps_rollup=set_line(b"Pss", b"Pss:                12x4 kB")),
    broken(407, b"overflow", "Pss of 20 digits, above u64",
           smaps_rollup=set_line(b"Pss", b"Pss:            99999999999999999999 kB")),
    broken(408, b"u64-max", "Pss of 20 digits, the largest u64",
           smaps_rollup=set_line(b"Pss", b"Pss:            18446744073709551615 kB")),
    broken(409, b"negative", "Private_Dirty: -4 kB",
           smaps_rollup=set_line(b"Private_Dirty", b"Private_Dirty:        -4 kB")),
    broken(410, b"megabytes", "Pss in mB",
           smaps_rollup=set_line(b"Pss", b"Pss:                  20 mB")),
    broken(411, b"no-header", "rollup without its header line",
           smaps_rollup=lambda text: text.split(b"\n", 1)[1]),
    broken(412, b"only-header", "rollup with nothing but its header line",
           smaps_rollup=lambda text: text.split(b"\n", 1)[0] + b"\n"),
    broken(413, b"no-pss", "rollup without the line of Pss",
           smaps_rollup=set_line(b"Pss", b"Old:                   0 kB")),
    broken(414, b"pss-twice", "rollup with a second Pss line of 1 kB",
           smaps_rollup=set_line(b"Referenced", b"Pss:                   1 kB")),
    broken(415, b"nuls", "rollup of 700 NULs", smaps_rollup=b"\0" * 700),
    broken(416, b"uncounted", "a bad number in KSM, which nobody counts",
           smaps_rollup=set_line(b"KSM", b"KSM:                  zz kB")),
    broken(417, b"cut-smaps", "good rollup; smaps cut inside a record",
           smaps=cut_after(b"[heap]\nSize:", 60)),
    broken(418, b"bad-status", "good rollup; status is garbage",
           status=b"Name\nState:\tsleeping?\nThreads:\tmany\nVmRSS:\n\xff\xfe"),
    broken(419, b"inverted", "Private_* larger than Pss: shared would be negative",
           smaps_rollup=set_line(b"Pss", b"Pss:                   8 kB")),
]  # fmt: skip

HUGETLB = [
    Process(501, b"qemu-system-x86", argv(b"/usr/bin/qemu-system-x86_64", b"-m", b"8"),
            b"qemu-system-x86_64", memory(text=5200, heap=30720, libc=400, huge=8192),
            note="private huge pages: 8,192 kB"),
    Process(502, b"dbwriter", argv(b"dbwriter", b"0"), b"dbwriter",
            memory(text=800, text_sharers=2, heap=2048, huge_shared=2048),
            note="shares one 2 MiB page with 503; the kernel says Shared_Hugetlb 2048 in both"),
    Process(503, b"dbwriter", argv(b"dbwriter", b"1"), b"dbwriter",
            memory(text=800, text_sharers=2, heap=2148, huge_shared=2048),
            note="shares one 2 MiB page with 502"),
    Process(504, b"dpdk-app", argv(b"/opt/dpdk/dpdk-app"), b"dpdk-app",
            memory(text=1600, huge=2048, huge_shared=4096), note="private and shared"),
    Process(505, b"plain", argv(b"plain"), b"plain", memory(text=60, heap=512), note="none"),
]  # fmt: skip

ID = b"3f2a9c81d0b4e6f7a8091b2c3d4e5f60718293a4b5c6d7e8f9012a3b4c5d6e7f"
ID2 = b"77d1e09a6b3c" + ID[12:]
POD = b"8c1f2e5a-77aa-4d4e-9d35-0a2f5c6b7e81"
BURSTABLE = (b"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod%s.slice/"
             % POD.replace(b"-", b"_"))  # fmt: skip
MANAGER = b"/user.slice/user-1000.slice/user@1000.service/"


def v2(path):
    return b"0::" + path + b"\n"


def v1(path, memory=None, unified=b"/"):
    """Hierarchies as a hybrid host lists them."""
    memory = path if memory is None else memory
    numbered = [(9, b"memory", memory), (4, b"cpu,cpuacct", memory), (1, b"name=systemd", path)]
    lines = [b"%d:%s:%s\n" % one for one in numbered]
    return b"".join(lines) + v2(unified)


def placed(pid, comm, cgroup, note, uid=0, **more):
    """A process whose only point is who owns it and where it stands."""
    maps = memory(text=40, heap=(pid % 700) * 100)
    return Process(pid, comm, argv(b"/usr/bin/" + comm), b"named", maps, uid=uid, cgroup=cgroup,
                   note=note, **more)  # fmt: skip


GROUPED = [
    placed(1, b"init", v2(b"/init.scope"), "the first process",
           files={"cmdline": argv(b"/sbin/init")}),
    placed(701, b"cron", v2(b"/system.slice/cron.service"), "service"),
    placed(702, b"worker", v2(b"/system.slice/cron.service"), "the same service, another user", 33),
    placed(703, b"agetty", v2(b"/system.slice/system-getty.slice/getty@tty1.service"), "instance"),
    placed(704, b"sh", v2(b"/user.slice/user-1000.slice/session-3.scope"), "login session", 1000),
    placed(705, b"su", v2(b"/user.slice/user-1000.slice/session-3.scope"), "acts as root", 1000,
           euid=0),
    placed(706, b"pipewire", v2(MANAGER + b"session.slice/pipewire.service"), "service of a user",
           1000),
    placed(707, b"pipewire", v2((MANAGER + b"session.slice/pipewire.service").replace(b"1000",
                                                                                       b"1001")),
           "that of another one", 1001),
    placed(708, b"redis", v2(b"/system.slice/docker-" + ID + b".scope"), "docker, driver systemd",
           999),
    placed(709, b"redis", v1(b"/docker/" + ID, unified=b"/system.slice/containerd.service"),
           "docker, driver cgroupfs, hybrid host: the same container for us", 999),
    placed(710, b"api", v2(BURSTABLE + b"cri-containerd-" + ID2 + b".scope"),
           "kubernetes, burstable, driver systemd", 65534),
    placed(711, b"pause", v2(b"/kubepods/pod" + POD + b"/" + ID), "guaranteed, driver cgroupfs"),
    placed(712, b"web", v2(MANAGER + b"user.slice/libpod-" + ID2 + b".scope/container"),
           "podman without root", 1000),
    placed(713, b"conmon", v2(b"/machine.slice/libpod-conmon-" + ID2 + b".scope"),
           "watches a container, is in none"),
    placed(714, b"nginx", v2(b"/lxc.payload.web/system.slice/nginx.service"),
           "systemd inside of lxc", 100033),
    placed(715, b"stray", v2(b"/"), "in the root"),
    placed(716, b"slice", v2(b"/system.slice"), "in a slice, in no unit"),
    placed(717, b"old", b"", "a kernel without control groups", 1000),
    placed(718, b"odd", v2(b"/a b/\x1b[31m\xff: (9)/x.service"), "foreign bytes", 4294967294),
    placed(719, b"sshd", v1(b"/", memory=b"/app"), "root of one hierarchy, not of the other"),
    Process(2, b"kthreadd", ppid=0, kthread=True, cgroup=v2(b"/"), note="kernel thread"),
]  # fmt: skip


def script(pid, *words, comm=None, note=""):
    """An interpreter at work."""
    name = words[0].rsplit(b"/", 1)[-1]
    maps = memory(text=40, heap=(pid - 800) * 100)
    return Process(pid, comm or name[:15], argv(*words), b"named", maps, note=note)


SCRIPTS = [
    script(801, b"/usr/bin/python3.12", b"-u", b"-W", b"ignore", b"/srv/shop/app.py", b"--port"),
    script(802, b"python3", b"-Im", b"http.server", b"8000", note="module"),
    script(803, b"/usr/bin/python3", b"-c", b"import time; time.sleep(9)", note="code is no script"),
    script(804, b"python3", note="a prompt"),
    script(805, b"/usr/bin/node", b"--require", b"dotenv/config", b"--inspect=0", b"dist/main.js"),
    script(806, b"java", b"-Xmx1g", b"-cp", b"/opt/k/libs/a.jar:" + b"b.jar:" * 1500,
           b"-Dx=y", b"kafka.Kafka", b"server.properties", note="a class behind 9 KB of class path"),
    script(807, b"/usr/lib/jvm/java-21/bin/java", b"-jar", b"/srv/app/app server.jar", b"-v"),
    script(808, b"ruby3.1", b"-Ilib", b"-r", b"bundler/setup", b"bin/rails", b"s"),
    script(809, b"/usr/bin/perl", b"-w", b"-T", b"/usr/sbin/amavisd"),
    script(810, b"/bin/bash", b"-euo", b"pipefail", b"/opt/run.sh", b"x"),
    script(811, b"sh", b"-c", b"sleep 9; exit 1", note="code is no script"),
    script(812, b"php8.2", b"-d", b"memory_limit=1G", b"/srv/www/artisan", b"queue:work"),
    script(813, b"-bash", note="login shell"),
    script(814, b"/usr/sbin/nginx", b"-g", b"daemon off;", note="no interpreter"),
    script(815, b"/usr/bin/python3", b"/srv/other/app.py", note="a script of the same name"),
    Process(816, b"python3", b"", b"named", memory(heap=1600), note="empty argument list"),
]  # fmt: skip


def bare(pid, comm, note, **more):
    """A process on a kernel without CONFIG_PROC_PAGE_MONITOR."""
    return Process(pid, comm, argv(b"/usr/sbin/" + comm), b"named",
                   files={"smaps": None, "smaps_rollup": None}, note=note, **more)  # fmt: skip


NO_SMAPS = [
    bare(901, b"nginx", "RSS 2048, swap 0", maps=memory(text=512, heap=1520), uid=33,
         cgroup=v1(b"/system.slice/web.service", memory=b"/docker/" + ID)),
    bare(902, b"nginx", "RSS 4096, swap 512", maps=memory(text=512, heap=3568, swap=512), uid=33,
         cgroup=v2(b"/system.slice/docker-" + ID + b".scope")),
    bare(903, b"mysqld", "RSS 102400, swap 1024", maps=memory(text=84, anon=102300, swap=1024),
         uid=110, cgroup=v2(b"/system.slice/mysql.service")),
    Process(2, b"kthreadd", ppid=0, kthread=True, files={"smaps": None, "smaps_rollup": None},
            note="kernel thread"),
    Process(31, b"defunct", state="Z (zombie)", files={"smaps": None, "smaps_rollup": None},
            note="zombie"),
]  # fmt: skip

HOLLOW = [
    Process(1, b"", files={"only": b"0\n"}, note="a directory with a number, and no process"),
    Process(77, b"", files={"only": b"0\n"}, note="another one"),
]  # fmt: skip

def area(at, name, pages=(), perms="rw-p", flags=corpus.ANON, **more):
    """A mapping that is a little larger than what is in it."""
    inode = more.pop("inode", 1311300 if name.startswith(b"/") else 0)
    kb = sum(group.kb for group in pages) + more.get("private_hugetlb", 0)
    return Mapping(at, room(kb), perms, name, pages, flags=flags, inode=inode, **more)


LIBC = b"/usr/lib/x86_64-linux-gnu/libc.so.6"


def mapped(*areas):
    libc = [
        area(LIBC_AT, LIBC, (Pages(1120, 4),), "r-xp", corpus.TEXT),
        area(LIBC_AT + 0x200000, LIBC, (Pages(12, 1, True, "anon"),), flags=corpus.DATA),
        Mapping(STACK_AT, 132, "rw-p", b"[stack]", (Pages(40, 1, True, "anon"),),
                flags="rd wr mr mw me gd ac"),
        Mapping(STACK_AT + 0x200000, 8, "r-xp", b"[vdso]", (Pages(4, 4),), flags="rd ex mr de"),
    ]  # fmt: skip
    return (*areas, *libc, corpus.VSYSCALL)


def postgres(pid, private):
    binary = b"/usr/lib/postgresql/17/bin/postgres"
    return Process(pid, b"postgres", argv(b"postgres"), b"postgres", mapped(
        area(EXE_AT, binary, (Pages(4096, 4),), "r-xp", corpus.TEXT),
        area(EXE_AT + 0x800000, binary, (Pages(60, 1, True, "anon"),), flags=corpus.DATA),
        area(HEAP_AT, b"[heap]", (Pages(private, 1, True, "anon"),)),
        area(ANON_AT, b"", (Pages(4 * private, 1, True, "anon"),)),
        area(SHM_AT, b"/dev/zero (deleted)", (Pages(131072, 4, True, "shmem"),), "rw-s",
             corpus.SHARED, dev="00:01"),
        area(SHM_AT + (1 << 30), b"/SYSV0052e2c1 (deleted)", (Pages(4, 4, True, "shmem"),), "rw-s",
             corpus.SHARED, dev="00:01", inode=7),
        area(SHM_AT + (2 << 30), b"/dev/shm/PostgreSQL.1804289", (Pages(28, 4, True, "shmem"),),
             "rw-s", corpus.SHARED, dev="00:1a"),
    ), note="four of one program, with a shared buffer")  # fmt: skip


MAPPED = [
    *(postgres(801 + i, private) for i, private in enumerate((1024, 1056, 1072, 2048))),
    Process(811, b"caddy", argv(b"caddy"), b"caddy", mapped(
        area(EXE_AT, b"/usr/bin/caddy", (Pages(30208),), "r-xp", corpus.TEXT),
        area(HEAP_AT, b"[heap]", (Pages(5120, 1, True, "anon"),), swap=((1024, 1),)),
        area(ANON_AT, b"[anon: Go: heap]", (Pages(184320, 1, True, "anon"),), swap=((20480, 1),)),
        area(ANON_AT + (1 << 32), b"[anon: Go: heap]", (Pages(2048, 1, True, "anon"),)),
        area(SHM_AT, rb"/srv/two\012lines.db", (Pages(260),), "r--p", corpus.FILE),
    ), note="named anonymous memory, swap, a newline in a path"),
    Process(812, b"java", argv(b"java"), b"java", mapped(
        area(EXE_AT, b"/opt/jvm/bin/java (deleted)", (Pages(8),), "r-xp", corpus.TEXT),
        area(HEAP_AT, b"[heap]", (Pages(3072, 1, True, "anon"),)),
        area(ANON_AT, b"", (Pages(262144, 1, True, "anon"),)),
        area(SHM_AT, b"/opt/jvm/lib/server/libjvm.so (deleted) (deleted)", (Pages(17408),), "r-xp",
             corpus.TEXT),
        area(SHM_AT + (1 << 30), b"/memfd:jit code (deleted)", (Pages(6144, 1, True, "shmem"),),
             "rw-s", corpus.SHARED, dev="00:01"),
        Mapping(HUGE_AT, 8192, "rw-p", b"/anon_hugepage (deleted)", inode=92817, dev="00:0f",
                flags="rd wr mr mw me de ht", page_kb=HUGE_KB, private_hugetlb=8192),
    ), note="replaced files, memfd, huge pages"),
    Process(820, b"mysqld", argv(b"mysqld"), b"mysqld", mapped(
        area(EXE_AT, b"/usr/sbin/mysqld", (Pages(20480),), "r-xp", corpus.TEXT),
        area(ANON_AT, b"", (Pages(1638400, 1, True, "anon"),)),
    ), files={"statm": b"600000 415000 5200 6400 0 500000 0\n"},
            note="a read holds its lock for 33 ms"),
]  # fmt: skip

TREES = {
    "ordinary": ORDINARY, "names": NAMES, "kernel-threads": KERNEL_THREADS,
    "vanished": VANISHED, "no-rollup": NO_ROLLUP, "malformed": MALFORMED, "hugetlb": HUGETLB,
    "grouped": GROUPED, "scripts": SCRIPTS, "no-smaps": NO_SMAPS, "hollow": HOLLOW, "empty": [],
    "mappings": MAPPED,
}  # fmt: skip
DANGLING = {b"no-such-binary"}


# --- status -------------------------------------------------------------------------------------

# As Linux 6.12 prints it, with what is needed: its parts and 93,224 kB that nobody accounts for add
# up to MemTotal.
MEMINFO = """\
MemTotal:       24689868 kB
MemFree:        10342712 kB
MemAvailable:   18031204 kB
Buffers:          312588 kB
Cached:          6871040 kB
SwapCached:         1184 kB
Active:          6244120 kB
SwapTotal:       8388604 kB
SwapFree:        8234492 kB
Zswap:             51200 kB
Zswapped:         153600 kB
AnonPages:       5816344 kB
Mapped:           812044 kB
Shmem:             40112 kB
KReclaimable:     802200 kB
Slab:            1003144 kB
SReclaimable:     802200 kB
SUnreclaim:       200944 kB
KernelStack:       24576 kB
PageTables:        61440 kB
SecPageTables:      2048 kB
VmallocTotal:   34359738367 kB
VmallocUsed:       91136 kB
VmallocChunk:          0 kB
Percpu:            12224 kB
HugePages_Total:      16
HugePages_Free:        7
Hugepagesize:       2048 kB
Hugetlb:           32768 kB
"""

# Of a host with GPUs, with a line that no version of this program knows.
MEMINFO_GPU = MEMINFO + """\
Balloon:               0 kB
GPUActive:         20480 kB
GPUReclaim:        10240 kB
NewMemory:          4096 kB
"""

# 20 MiB, of which 4 are in slab. The other lines are passed over.
ARCSTATS = """\
13 1 0x01 123 33456 7402060102 66478716886640
name                            type data
c_max                           4    33676691456
size                            4    20971520
compressed_size                 4    18874368
hdr_size                        4    3145728
l2_hdr_size                     4    1048576
"""

# Three segments: 4 MiB in memory and 1 MiB in swap; 2 MiB in memory, perhaps one huge page; one huge
# page, as Linux 6.18 prints it.
SEGMENTS = f"""\
{'key':>10} {'shmid':>10} perms {'size':>21}  cpid  lpid nattch   uid   gid  cuid  cgid      atime\
      dtime      ctime {'rss':>21} {'swap':>21}
{0:>10} {1:>10}   600 {8 << 20:>21}   502   503      2  1000  1000  1000  1000 1764374400          0\
 1764374400 {4 << 20:>21} {1 << 20:>21}
{0:>10} {2:>10}   600 {2 << 20:>21}   502   503      2  1000  1000  1000  1000 1764374400          0\
 1764374400 {2 << 20:>21} {0:>21}
{0:>10} {3:>10}   600 {4 << 20:>21}   502   503      2  1000  1000  1000  1000 1764374400          0\
 1764374400 {1 << 30:>21} {0:>21}
"""

# As Linux 3.10 prints it: no MemAvailable, no Percpu, huge pages of one size.
MEMINFO_OLD = """\
MemTotal:        4046216 kB
MemFree:          912044 kB
Buffers:          112588 kB
Cached:          1871040 kB
SwapCached:            0 kB
SwapTotal:       1048572 kB
SwapFree:        1048572 kB
AnonPages:        816344 kB
Shmem:             40112 kB
Slab:             203144 kB
KernelStack:        4576 kB
PageTables:        11440 kB
VmallocUsed:       21136 kB
HugePages_Total:       4
Hugepagesize:       2048 kB
"""

PRESSURE = """\
some avg10=3.27 avg60=1.05 avg300=0.12 total=47670469
full avg10=1.10 avg60=0.40 avg300=0.04 total=14841120
"""


def status_name(comm):
    """Name: in status escapes newline and backslash, and nothing else; comm escapes nothing."""
    return comm.replace(b"\\", b"\\\\").replace(b"\n", b"\\n")


def status(process, tgid):
    """The lines of status since the version that brought them (array.c, task_mem())."""
    values = corpus.rollup_values(process.maps, "6.12") if process.maps else {}
    maps = [m for m in process.maps if not m.gate]
    pages = [page for m in maps for page in m.pages]
    kind = {k: sum(p.kb for p in pages if p.kind == k) for k in ("anon", "file", "shmem")}
    size = sum(m.size_kb for m in maps)
    rss = values.get("Rss", 0)
    huge = values.get("Private_Hugetlb", 0) + values.get("Shared_Hugetlb", 0)
    euid = process.uid if process.euid is None else process.euid
    uids = "\t".join(str(uid) for uid in (process.uid, euid, euid, euid))
    caps = "000001ffffffffff" if process.uid == 0 else "0000000000000000"
    ignored = "f" * 16 if process.kthread else "0000000000001000"
    zombie = process.state.startswith("Z")
    lines = [
        ("99" if zombie else "4.7", "Umask", "0022"), ("2.6", "State", process.state),
        ("2.6", "Tgid", tgid), ("3.13", "Ngid", 0), ("2.6", "Pid", process.pid),
        ("2.6", "PPid", process.ppid),
        ("2.6", "TracerPid", 0), ("2.6", "Uid", uids), ("2.6", "Gid", "\t".join([str(process.uid)] * 4)),
        ("2.6", "FDSize", 0 if zombie else 64 if process.kthread else 256), ("2.6", "Groups", " "),
        ("4.1", "NStgid", tgid), ("4.1", "NSpid", process.pid),
        ("4.1", "NSpgid", 0 if process.kthread else tgid),
        ("4.1", "NSsid", 0 if process.kthread else tgid),
        ("6.8", "Kthread", int(process.kthread)),
    ]  # fmt: skip
    if maps:
        text = next(m.size_kb for m in maps if m.perms == "r-xp")
        memory_lines = [
            ("2.6", "VmPeak", size + 128), ("2.6", "VmSize", size), ("2.6", "VmLck", 0),
            ("3.2", "VmPin", 0), ("2.6", "VmHWM", rss + 64), ("2.6", "VmRSS", rss),
            ("4.5", "RssAnon", kind["anon"]), ("4.5", "RssFile", kind["file"]),
            ("4.5", "RssShmem", kind["shmem"]), ("2.6", "VmData", max(size - text - 132, 0)),
            ("2.6", "VmStk", 132), ("2.6", "VmExe", text), ("2.6", "VmLib", 1528),
            ("2.6", "VmPTE", 64), ("2.6.34", "VmSwap", values["Swap"]),
            ("4.4", "HugetlbPages", huge),
        ]  # fmt: skip
        lines += [(since, key, f"{kb:8d} kB") for since, key, kb in memory_lines]
        lines += [("4.15", "CoreDumping", 0), ("5.0", "THP_enabled", 1)]
        lines += [("6.4", "untag_mask", "0xffffffffffffffff")]
    lines += [
        ("2.6", "Threads", process.threads), ("2.6", "SigQ", "0/96365"),
        ("2.6", "SigPnd", "0" * 16), ("2.6", "ShdPnd", "0" * 16), ("2.6", "SigBlk", "0" * 16),
        ("2.6", "SigIgn", ignored), ("2.6", "SigCgt", "0" * 16), ("2.6", "CapInh", "0" * 16),
        ("2.6", "CapPrm", caps), ("2.6", "CapEff", caps), ("2.6", "CapBnd", "000001ffffffffff"),
        ("4.3", "CapAmb", "0" * 16), ("4.10", "NoNewPrivs", 0), ("3.8", "Seccomp", 0),
        ("5.9", "Seccomp_filters", 0), ("4.17", "Speculation_Store_Bypass", "vulnerable"),
        ("5.15", "SpeculationIndirectBranch", "always enabled"), ("2.6", "Cpus_allowed", "3"),
        ("2.6", "Cpus_allowed_list", "0-1"), ("2.6", "Mems_allowed", "00000001"),
        ("2.6", "Mems_allowed_list", "0"), ("2.6", "voluntary_ctxt_switches", 63),
        ("2.6", "nonvoluntary_ctxt_switches", 1),
    ]  # fmt: skip
    here = corpus.number(process.version)
    body = "".join(f"{k}:\t{v}\n" for since, k, v in lines if corpus.number(since) <= here)
    return b"Name:\t" + status_name(process.comm) + b"\n" + body.encode()


# --- writing ------------------------------------------------------------------------------------


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_process(directory, process, tgid, to_bin):
    """All files of one process. `to_bin` is the way from its directory to the tree's bin/."""
    directory.mkdir(parents=True)
    texts = {
        "cmdline": process.cmdline,
        "comm": process.comm + b"\n",
        "status": status(process, tgid),
        "smaps": corpus.smaps(process.maps, process.version) if process.maps else b"",
    }
    if process.cgroup:
        texts["cgroup"] = process.cgroup
    if corpus.has_rollup(process.version):
        maps = process.maps
        texts["smaps_rollup"] = corpus.rollup(maps, process.version) if maps else b""
    link = process.exe
    if "only" in process.files:
        texts, link = {"oom_score_adj": process.files["only"]}, b""
    for name, new in process.files.items():
        if name == "exe":
            link = b""
        elif new is None:
            texts.pop(name, None)
        elif name != "only":
            texts[name] = new(texts[name]) if callable(new) else new
    for name, content in texts.items():
        write(directory / name, content)
    if link:
        os.symlink(to_bin + "bin/" + os.fsdecode(link), directory / "exe")
    for task in process.tasks:
        write_process(directory / "task" / str(task.pid), task, tgid, "../../" + to_bin)


def write_tree(name, processes):
    tree = HERE / name
    shutil.rmtree(tree, ignore_errors=True)
    is_old = name == "no-rollup"
    meminfo = {"no-rollup": MEMINFO_OLD, "hugetlb": MEMINFO_GPU}.get(name, MEMINFO)
    write(tree / "meminfo", meminfo.encode())
    if name == "hugetlb":
        write(tree / "spl" / "kstat" / "zfs" / "arcstats", ARCSTATS.encode())
        write(tree / "sysvipc" / "shm", SEGMENTS.encode())
    if name == "mappings":
        write(tree / "sys" / "vm" / "max_map_count", b"65530\n")
    if not is_old:
        write(tree / "pressure" / "memory", PRESSURE.encode())
    write(tree / "version", b"Linux version 6.12.0 (builder@example) #1 SMP PREEMPT_DYNAMIC\n")
    everyone = [one for process in processes for one in (process, *process.tasks)]
    for exe in sorted({one.exe for one in everyone} - {b""} - DANGLING):
        write(tree / "bin" / os.fsdecode(exe), b"")
    for process in processes:
        write_process(tree / str(process.pid), process, process.pid, "../")


# --- names.tsv and expected.tsv -----------------------------------------------------------------


def shown(raw, most=64):
    """Bytes as ASCII: printable as they are, all others as \\xNN, backslash doubled."""
    text = "".join(
        chr(byte) if 32 <= byte < 127 and byte != 92 else f"\\x{byte:02x}" if byte != 92 else "\\\\"
        for byte in raw
    )
    return text if len(text) <= most else f"{text[:40]}... ({len(raw)} bytes)"


def seen(process, name):
    """What a reader gets of cmdline or comm: bytes, or None where the file is missing."""
    source = next((t for t in process.tasks if t.cmdline), process)
    content = {"cmdline": source.cmdline, "comm": source.comm, "exe": source.exe}[name]
    return None if "only" in source.files else source.files.get(name, content)


def title(argv0, comm):
    """Raw input of the rule: argv[0], from the last / if it starts with one; else [comm]."""
    base = argv0.rsplit(b"/", 1)[-1] if argv0.startswith(b"/") else argv0
    return base or (None if comm is None else b"[" + comm + b"]")


def names_of(process):
    """argv[0], title, comm, exe, cmdline; `-` for what is missing or empty."""
    cmdline, comm, exe = (seen(process, name) for name in ("cmdline", "comm", "exe"))
    argv0 = (cmdline or b"").split(b"\0")[0]
    words = (cmdline or b"").rstrip(b"\0").replace(b"\0", b" ")
    return [shown(raw or b"") or "-" for raw in (argv0, title(argv0, comm), comm, exe, words)]


def by_pid(processes):
    return sorted(processes, key=lambda one: one.pid)


def names_rows():
    yield "tree\tpid\targv[0]\ttitle\tcomm\texe\tcmdline"
    for tree, processes in TREES.items():
        for p in by_pid(processes):
            yield "\t".join([tree, str(p.pid), *names_of(p)])


MARKER = "<!-- below: written by generate.py -->\n"


def names_tables():
    """The part of README.md below the marker."""

    def code(text):
        return "-" if text == "-" else f"`{text}`".replace("|", "\\|")

    for tree, processes in TREES.items():
        if processes:
            yield f"\n### {tree}\n\n| PID | title | comm | exe | cmdline | what it is for |"
            yield "|---|---|---|---|---|---|"
        for p in by_pid(processes):
            cells = " | ".join(code(cell) for cell in names_of(p)[1:])
            yield f"| {p.pid} | {cells} | {p.note.replace('|', '/')} |"


EXPECTED = ("Rss", "Pss", "Shared_Clean", "Shared_Dirty", "Private_Clean", "Private_Dirty", "Swap",
            "SwapPss", "Private_Hugetlb", "Shared_Hugetlb")  # fmt: skip


def expected_rows():
    """What the mappings hold; other trees would say so if they were whole."""
    yield "\t".join(["tree", "pid", *(key.lower() for key in EXPECTED), "uss", "heap"])
    for tree, processes in TREES.items():
        for p in by_pid(processes):
            source = next((t for t in p.tasks if t.maps), p)
            if not source.maps:
                yield "\t".join([tree, str(p.pid), *["-"] * (len(EXPECTED) + 2)])
                continue
            sums = corpus.rollup_values(source.maps, source.version)
            known = corpus.VERSIONS[source.version]
            cells = [str(sums[key]) if key in known else "-" for key in EXPECTED]
            uss = sums["Private_Clean"] + sums["Private_Dirty"]
            heap = sum(corpus.smaps_values(m, source.version)["Pss"]
                       for m in source.maps if m.name == b"[heap]")  # fmt: skip
            yield "\t".join([tree, str(p.pid), *cells, str(uss), str(heap)])


def verify():
    """The promises of the docstring: no truncation, so smaps and rollup agree."""
    for processes in TREES.values():
        for p in processes:
            for one in (p, *p.tasks):
                if one.maps:
                    each = [corpus.smaps_values(m, one.version) for m in one.maps]
                    total = corpus.rollup_values(one.maps, one.version)
                    for key, value in total.items():
                        assert key == "Locked" or value == sum(r[key] for r in each), (p.pid, key)


def main():
    verify()
    for name, processes in TREES.items():
        write_tree(name, processes)
    write(HERE / "names.tsv", ("\n".join(names_rows()) + "\n").encode())
    write(HERE / "expected.tsv", ("\n".join(expected_rows()) + "\n").encode())
    readme = HERE / "README.md"
    top = readme.read_text().split(MARKER)[0]
    readme.write_text(top + MARKER + "\n".join(names_tables()) + "\n")


if __name__ == "__main__":
    main()
