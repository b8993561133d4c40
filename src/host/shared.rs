//! Shared memory by owner: file systems in memory, and segments of System V.

use std::path::PathBuf;

use serde::Serialize;

use super::{Item, Meminfo};
use crate::units::Kib;

/// A file system in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tmpfs {
    /// One of the places where it is mounted.
    pub point: PathBuf,
    /// Its pages in memory and in swap, which the kernel does not tell apart. `None` if another
    /// mount hides it, or if it has no size limit, because the kernel counts only then.
    pub used: Option<Kib>,
}

/// The segments of System V in the IPC namespace of this process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SysvSegments {
    /// Pages in memory.
    pub ram: Kib,
    /// Pages in swap.
    pub swap: Kib,
    /// The part of `ram` that may be huge pages instead of shared memory: the kernel does not say
    /// which a segment has.
    pub perhaps_huge: Kib,
}

/// The huge page that is assumed if meminfo names none.
const HUGE_PAGE: Kib = Kib(2048);

impl SysvSegments {
    /// Parses `/proc/sysvipc/shm` (`sysvipc_shm_proc_show`, ipc/shm.c); `None` before 2.6.33.
    pub fn parse(text: &[u8], meminfo: &Meminfo) -> Option<SysvSegments> {
        let mut lines = std::str::from_utf8(text).ok()?.lines();
        let head: Vec<&str> = lines.next()?.split_whitespace().collect();
        let place = |name: &str| head.iter().position(|field| *field == name);
        let places = [place("size")?, place("rss")?, place("swap")?];
        let huge_page = meminfo.get(Item::Hugepagesize).unwrap_or(HUGE_PAGE).bytes().max(1);
        let in_use = meminfo.hugetlb_used().unwrap_or_default().bytes();
        let mut sum = SysvSegments::default();
        for line in lines {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let values = places.map(|place| fields.get(place)?.parse::<u64>().ok());
            let [Some(size), Some(ram), Some(swap)] = values else { return None };
            // Huge pages, which newer kernels (seen on 6.18) multiply by their size twice.
            if ram > size.checked_next_multiple_of(huge_page).unwrap_or(u64::MAX) {
                continue;
            }
            sum.ram += Kib(ram / 1024);
            sum.swap += Kib(swap / 1024);
            if swap == 0 && ram % huge_page == 0 && ram <= in_use {
                sum.perhaps_huge += Kib(ram / 1024);
            }
        }
        Some(sum)
    }
}

/// The bit of a segment that ends with its last mapping (`SHM_DEST`, include/uapi/linux/shm.h).
const DYING: u64 = 0o1000;

/// The ids of the segments that are marked to be destroyed, by `/proc/sysvipc/shm`.
pub fn dying_segments(text: &[u8]) -> Vec<u64> {
    let lines = std::str::from_utf8(text).unwrap_or_default().lines().skip(1);
    let dying = lines.filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (id, mode) = (fields.next()?.parse().ok()?, fields.next()?);
        (u64::from_str_radix(mode, 8).ok()? & DYING != 0).then_some(id)
    });
    dying.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "key shmid perms size cpid lpid nattch uid gid cuid cgid atime dtime ctime \
                        rss swap\n";

    fn parse(segments: &[[u64; 3]], huge: &str) -> Option<SysvSegments> {
        let line = |[size, ram, swap]: &[u64; 3]| {
            format!("0 1 600 {size} 9 9 1 0 0 0 0 0 0 0 {ram:>21} {swap:>21}\n")
        };
        let text = HEAD.to_owned() + &segments.iter().map(line).collect::<String>();
        SysvSegments::parse(text.as_bytes(), &Meminfo::parse(huge.as_bytes()))
    }

    const MIB: u64 = 1 << 20;
    const NO_POOL: &str = "HugePages_Total: 0\nHugePages_Free: 0\nHugepagesize: 2048 kB\n";
    const POOL: &str = "HugePages_Total: 4\nHugePages_Free: 3\nHugepagesize: 2048 kB\n";

    #[test]
    fn segments_are_in_memory_or_in_swap() {
        let found = parse(&[[4 * MIB, 2 * MIB, MIB], [4096, 4096, 0]], NO_POOL);
        let (ram, swap) = (Kib(2052), Kib(1024));
        assert_eq!(found, Some(SysvSegments { ram, swap, perhaps_huge: Kib(0) }));
        assert_eq!(parse(&[], ""), Some(SysvSegments::default()));
        assert_eq!(SysvSegments::parse(b"key shmid perms size\n", &Meminfo::default()), None);
        let cut = format!("{HEAD}0 1 600 4096 9\n");
        assert_eq!(SysvSegments::parse(cut.as_bytes(), &Meminfo::default()), None);
    }

    #[test]
    fn dying_segments_are_marked() {
        let text = format!("{HEAD}0 7 600 4096 9\n0 8 1600 4096 9\n0 9 1000 1\n0 x 1600 1\n");
        assert_eq!(dying_segments(text.as_bytes()), [8, 9]);
        assert!(dying_segments(b"").is_empty());
    }

    /// Huge pages are another part of host memory. Linux 6.18 prints 1 GiB for one huge page of
    /// 2 MiB, older kernels 2 MiB.
    #[test]
    fn segments_of_huge_pages_are_left_out_or_called_possible() {
        assert_eq!(parse(&[[4 * MIB, 1024 * MIB, 0]], POOL), Some(SysvSegments::default()));
        let perhaps = |segment| parse(&[segment], POOL).expect("segments").perhaps_huge;
        assert_eq!(perhaps([4 * MIB, 2 * MIB, 0]), Kib(2048));
        // Not whole huge pages; swapped; more than the pool has in use.
        for segment in [[4 * MIB, MIB, 0], [4 * MIB, 2 * MIB, 4096], [4 * MIB, 4 * MIB, 0]] {
            assert_eq!(perhaps(segment), Kib(0), "{segment:?}");
        }
    }
}
