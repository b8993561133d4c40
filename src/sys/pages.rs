//! Counts and flags of page frames: `/proc/kpagecount`, `/proc/kpageflags` (fs/proc/page.c). Only
//! root may open them. A read takes no lock of any process, but it takes 155 ns per frame on 6.18,
//! so every count is kept until the end of the survey.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::process::{PageCounts, WalkRule};
use crate::sys::proc_root::ProcRoot;
use crate::sys::this_process::page_bytes;
use crate::sys::threads::cpus;
use crate::units::Errno;

/// The frames of one block of counts.
const BLOCK_FRAMES: usize = 512;
/// The maximum number of blocks: 64 MiB. Beyond, all counts are dropped and read again.
const BLOCKS_MAX: usize = (64 << 20) / (4 * BLOCK_FRAMES);
/// A read of counts costs as much as this many counts: smaller gaps are read too.
const GAP_MAX: u64 = 5;
/// The frames of one read.
const RUN_MAX: u64 = 512;
const COUNT_BYTES: u64 = 8;
/// The pages by which each CPU may delay the counters of a process (`MM_PERCPU`).
const SLACK_PER_CPU: usize = 64;

/// The counts of one survey.
#[derive(Default)]
pub struct KernelPages {
    counts: Option<File>,
    flags: Option<File>,
    /// Counts plus one by frame; 0: not read.
    blocks: HashMap<u64, Box<[u32; BLOCK_FRAMES]>>,
    /// Mappings seen in the current group, by frame.
    seen: HashMap<u64, Box<[u32; BLOCK_FRAMES]>>,
    room: Vec<u8>,
}

impl KernelPages {
    /// Replaces `counts` by those of these frames. Returns the frames whose counts are not known.
    fn known(&self, frames: &[u64], counts: &mut Vec<u32>) -> Vec<u64> {
        counts.clear();
        let mut unknown = Vec::new();
        // Most frames are in the block of the one before.
        let mut last = None;
        for frame in frames {
            let (block, place) = place_of(*frame);
            let known = last.filter(|(number, _)| *number == block);
            last = known.or_else(|| Some((block, self.blocks.get(&block)?)));
            let known = last.map_or(0, |(_, counts)| counts[place]);
            if known == 0 {
                unknown.push(*frame);
            }
            counts.push(known.saturating_sub(1));
        }
        unknown
    }

    fn record(&mut self, frame: u64, count: u64) {
        let (block, place) = place_of(frame);
        let block = self.blocks.entry(block).or_insert_with(|| Box::new([0; BLOCK_FRAMES]));
        block[place] = u32::try_from(count + 1).unwrap_or(u32::MAX);
    }

    /// Reads the counts from `first` on. A frame that does not exist has none.
    fn read_run(&mut self, first: u64, len: u64) -> Result<(), Errno> {
        let mut room = std::mem::take(&mut self.room);
        room.clear();
        room.resize(usize::try_from(len * COUNT_BYTES).unwrap_or(0), 0);
        opened(&mut self.counts, "/proc/kpagecount")?.read_at(&mut room, first * COUNT_BYTES)?;
        for (frame, count) in (first..).zip(room.chunks_exact(8)) {
            self.record(frame, u64::from_ne_bytes(count.try_into().expect("eight bytes")));
        }
        self.room = room;
        Ok(())
    }
}

impl PageCounts for KernelPages {
    fn counts(&mut self, frames: &[u64], counts: &mut Vec<u32>) -> Result<(), Errno> {
        let mut unknown = self.known(frames, counts);
        if unknown.is_empty() {
            return Ok(());
        }
        if self.blocks.len() + unknown.len() > BLOCKS_MAX {
            self.blocks.clear();
            unknown = frames.to_vec();
        }
        unknown.sort_unstable();
        let mut run = (unknown[0], unknown[0]);
        for frame in unknown {
            let (first, last) = run;
            if frame - last <= GAP_MAX && frame - first < RUN_MAX {
                run = (first, frame);
            } else {
                self.read_run(first, last - first + 1)?;
                run = (frame, frame);
            }
        }
        self.read_run(run.0, run.1 - run.0 + 1)?;
        self.known(frames, counts);
        Ok(())
    }

    fn forget(&mut self) {
        self.blocks.clear();
        self.seen.clear();
    }

    fn see(&mut self, frame: u64) -> u64 {
        let (block, place) = place_of(frame);
        let seen =
            &mut self.seen.entry(block).or_insert_with(|| Box::new([0; BLOCK_FRAMES]))[place];
        *seen = seen.saturating_add(1);
        u64::from(*seen)
    }

    fn flags(&mut self, frame: u64) -> Result<u64, Errno> {
        let mut flags = [0; 8];
        opened(&mut self.flags, "/proc/kpageflags")?.read_exact_at(&mut flags, frame * 8)?;
        Ok(u64::from_ne_bytes(flags))
    }
}

/// The block of a frame, and its place there.
fn place_of(frame: u64) -> (u64, usize) {
    let frames = BLOCK_FRAMES as u64;
    (frame / frames, usize::try_from(frame % frames).unwrap_or(0))
}

fn opened<'a>(file: &'a mut Option<File>, path: &str) -> Result<&'a File, Errno> {
    if file.is_none() {
        *file = Some(File::open(path)?);
    }
    file.as_ref().ok_or(Errno::NOENT)
}

/// The rule for walks, if the kernel shows page frames to this process.
///
/// # Errors
/// Those of an open of `/proc/kpagecount` or of the own `pagemap`; `EPERM` if entries have no
/// frames (`CAP_SYS_ADMIN`).
pub fn walk_rule(root: &ProcRoot, window_bytes: usize) -> Result<WalkRule, Errno> {
    if !root.is_proc() || !root.is_own() {
        return Err(Errno::NOT_SUPPORTED);
    }
    File::open("/proc/kpagecount")?;
    let page_bytes = page_bytes();
    let resident = 0_u64;
    let address = std::ptr::from_ref(&resident).addr() as u64;
    let mut entry = [0; 8];
    File::open("/proc/self/pagemap")?.read_exact_at(&mut entry, address / page_bytes * 8)?;
    // The frame is in the lowest 55 bits.
    if u64::from_ne_bytes(entry) << 9 == 0 {
        return Err(Errno::PERM);
    }
    let slack_pages = (SLACK_PER_CPU * cpus()) as u64;
    let host = rustix::system::sysinfo();
    let has_swap = host.totalswap > host.freeswap;
    let (is_forced, is_whole_host) = (false, false);
    Ok(WalkRule { is_forced, is_whole_host, has_swap, window_bytes, page_bytes, slack_pages })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts in a file: frame n is mapped n times.
    fn counted() -> (tempfile::NamedTempFile, KernelPages) {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let bytes: Vec<u8> = (0..5000_u64).flat_map(u64::to_ne_bytes).collect();
        std::fs::write(file.path(), bytes).expect("written");
        let counts = Some(File::open(file.path()).expect("open"));
        (file, KernelPages { counts, ..KernelPages::default() })
    }

    fn counts(pages: &mut KernelPages, frames: &[u64]) -> Result<Vec<u32>, Errno> {
        let mut counts = Vec::new();
        pages.counts(frames, &mut counts).map(|()| counts)
    }

    #[test]
    fn counts_are_those_of_their_frames() {
        let (_file, mut pages) = counted();
        let frames = (0..4990).filter(|n| n % 7 == 0 || n % 100 < 20);
        // In no order: 7 is prime to their number.
        let frames: Vec<u32> = frames.collect();
        assert_ne!(frames.len() % 7, 0);
        let mixed: Vec<u32> = (0..frames.len()).map(|n| frames[7 * n % frames.len()]).collect();
        for part in mixed.chunks(900) {
            let of_part: Vec<u64> = part.iter().copied().map(u64::from).collect();
            assert_eq!(counts(&mut pages, &of_part).expect("read"), part);
        }
        // A frame behind the last one is mapped by no process.
        assert_eq!(counts(&mut pages, &[4999, 5001, 4999]).expect("read"), [4999, 0, 4999]);
        assert_eq!(counts(&mut pages, &[]), Ok(Vec::new()));
    }

    /// A process whose counts cannot be read is left to its rollup, and so is the next one.
    #[test]
    fn a_failed_read_leaves_no_counts() {
        let (file, mut pages) = counted();
        let writable = File::options().write(true).open(file.path()).expect("open");
        let readable = pages.counts.replace(writable);
        assert!(counts(&mut pages, &[7]).is_err());
        assert!(counts(&mut pages, &[7]).is_err(), "the count is not known");
        pages.counts = readable;
        assert_eq!(counts(&mut pages, &[7]).expect("read"), [7]);
    }

    #[test]
    fn known_counts_are_not_read_again() {
        let (file, mut pages) = counted();
        counts(&mut pages, &[10, 12, 1000]).expect("read");
        std::fs::write(file.path(), vec![0; 5000 * 8]).expect("written");
        assert_eq!(counts(&mut pages, &[11, 12, 1000, 2000]).expect("read"), [11, 12, 1000, 0]);
        pages.forget();
        assert_eq!(counts(&mut pages, &[12]).expect("read"), [0]);
    }
}
