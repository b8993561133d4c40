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
    fn known(&self, frame: u64) -> Option<u64> {
        let (block, place) = place_of(frame);
        self.blocks.get(&block)?[place].checked_sub(1).map(u64::from)
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
    fn load(&mut self, frames: &[u64]) -> Result<(), Errno> {
        if self.blocks.len() + frames.len() > BLOCKS_MAX {
            self.blocks.clear();
        }
        let mut run: Option<(u64, u64)> = None;
        for frame in frames {
            if self.known(*frame).is_some() {
                continue;
            }
            run = match run {
                Some((first, last)) if frame - last <= GAP_MAX && frame - first < RUN_MAX => {
                    Some((first, *frame))
                }
                Some((first, last)) => {
                    self.read_run(first, last - first + 1)?;
                    Some((*frame, *frame))
                }
                None => Some((*frame, *frame)),
            };
        }
        run.map_or(Ok(()), |(first, last)| self.read_run(first, last - first + 1))
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

    fn count(&self, frame: u64) -> u64 {
        self.known(frame).unwrap_or(0)
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

    #[test]
    fn counts_are_those_of_their_frames() {
        let (_file, mut pages) = counted();
        let frames: Vec<u64> = (0..4990).filter(|n| n % 7 == 0 || n % 100 < 20).collect();
        for part in frames.chunks(900) {
            pages.load(part).expect("read");
            part.iter().for_each(|frame| assert_eq!(pages.count(*frame), *frame));
        }
        // A frame behind the last one is mapped by no process.
        pages.load(&[4999, 5001]).expect("read");
        assert_eq!([4999, 5001].map(|frame| pages.count(frame)), [4999, 0]);
    }

    /// A process whose counts cannot be read is left to its rollup, and so is the next one.
    #[test]
    fn a_failed_read_leaves_no_counts() {
        let (file, mut pages) = counted();
        let writable = File::options().write(true).open(file.path()).expect("open");
        let readable = pages.counts.replace(writable);
        assert!(pages.load(&[7]).is_err());
        assert!(pages.load(&[7]).is_err(), "the count is not known");
        pages.counts = readable;
        pages.load(&[7]).expect("read");
        assert_eq!(pages.count(7), 7);
    }

    #[test]
    fn known_counts_are_not_read_again() {
        let (file, mut pages) = counted();
        pages.load(&[10, 12, 1000]).expect("read");
        std::fs::write(file.path(), vec![0; 5000 * 8]).expect("written");
        pages.load(&[11, 12, 1000, 2000]).expect("read");
        assert_eq!([11, 12, 1000, 2000].map(|frame| pages.count(frame)), [11, 12, 1000, 0]);
        pages.forget();
        pages.load(&[12]).expect("read");
        assert_eq!(pages.count(12), 0);
    }
}
