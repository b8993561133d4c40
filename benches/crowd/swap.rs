//! The crowd's own swap file, and the pages that are pushed out to it so that reading them costs
//! disk I/O.
//!
//! One `MADV_PAGEOUT` is not enough: it takes pages from a process and writes them, but they stay
//! in the swap cache, and dropping the page cache does not drop the swap cache (12,800 pages pushed
//! out, both caches dropped, ten pages read: `pswpin` 0). A page that is mapped again after it was
//! written is clean, and the second `MADV_PAGEOUT` frees it.

use std::fs::{File, read_to_string};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use psm_uring::units::Pid;
use rustix::process::{PidfdFlags, pidfd_open};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use super::spec::Spec;
use super::sys::{self, Range};

/// The pages of a member's arguments and environment, and room for pages of other processes.
const PAGES_BESIDES: usize = 8;
/// The header and spare room.
const PAGES_SPARE: usize = 4096;
const SIGNATURE: &[u8] = b"SWAPSPACE2";
/// The offset of the header's fields (`union swap_header`, include/linux/swap.h).
const FIELDS: usize = 1024;
/// The time after which pages that the kernel keeps are an error.
const PUSH_LIMIT: Duration = Duration::from_secs(60);
/// About the time that a disk needs to write.
const PAUSE: Duration = Duration::from_millis(50);
/// One page for this number of members may be in the cache: other processes may have put it there.
const MEMBERS_PER_PAGE: u64 = 100;

/// The size of the file.
pub(super) fn bytes(spec: &Spec) -> u64 {
    let each = spec.private.saturating_add(PAGES_BESIDES);
    // If an area is more than half full, the kernel frees slots as soon as pages are read, and has
    // to write the pages again (`vm_swap_full`, include/linux/swap.h).
    let pages = each.saturating_mul(2 * spec.processes).saturating_add(PAGES_SPARE);
    (pages as u64).saturating_mul(rustix::param::page_size() as u64)
}

/// The file of this root. The starter knows the root and can remove its file.
pub(super) fn path(dir: &Path, root: u32) -> PathBuf {
    dir.join(format!("psm-uring-crowd-{root}.swap"))
}

/// Creates the file and adds it as swap; leaves no file behind when it fails.
pub(super) fn on(path: &Path, bytes: u64) -> Result<(), String> {
    let failed = |error| format!("swap file {}: {error}", path.display());
    let added = create(path, bytes).and_then(|()| sys::swap_on(path)).map_err(failed);
    added.inspect_err(|_| drop(std::fs::remove_file(path)))
}

fn create(path: &Path, bytes: u64) -> std::io::Result<()> {
    let page = rustix::param::page_size();
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let mut header = vec![0; page];
    let last_page = u32::try_from(bytes / page as u64 - 1).map_err(std::io::Error::other)?;
    header[FIELDS..FIELDS + 4].copy_from_slice(&1_u32.to_ne_bytes());
    header[FIELDS + 4..FIELDS + 8].copy_from_slice(&last_page.to_ne_bytes());
    header[page - SIGNATURE.len()..].copy_from_slice(SIGNATURE);
    // Written, not only reserved: a swap file must not have holes.
    let zeros = vec![0; page * 256];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(zeros.len() as u64);
        file.write_all(&zeros[..usize::try_from(len).unwrap_or(zeros.len())])?;
        left -= len;
    }
    file.write_all_at(&header, 0)?;
    file.sync_all()
}

/// Stops swapping to the file and deletes it. A missing file is not an error.
pub(super) fn off(path: &Path) -> Result<(), String> {
    let failed = |action, error| Err(format!("{action} {}: {error}", path.display()));
    match sys::swap_off(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        // Created, but never added as swap.
        Err(error) if error.kind() != ErrorKind::InvalidInput => return failed("swapoff", error),
        _ => {}
    }
    std::fs::remove_file(path).or_else(|error| failed("delete", error))
}

/// The pages of members that must be in swap and nowhere else.
pub(super) struct SwappedPages {
    members: Vec<(Pid, Vec<Range>)>,
    pages: u64,
    /// Pages of other processes in the swap cache: at first those from before the crowd, later
    /// those in the cache when every page of the crowd had to be read from disk.
    cached_of_others: u64,
}

impl SwappedPages {
    pub(super) fn new(cached_of_others: u64) -> SwappedPages {
        SwappedPages { members: Vec::new(), pages: 0, cached_of_others }
    }

    /// Adds the pages of a member's arguments and of its private memory.
    pub(super) fn add(&mut self, pid: Pid, private: Range) -> Result<(), String> {
        let size = rustix::param::page_size();
        let (start, end) = argument_bounds(pid).ok_or_else(|| format!("stat of {pid}"))?;
        let start = start - start % size;
        let arguments = Range { start, len: (end - start).next_multiple_of(size) };
        let pages = |range: Range| {
            (0..range.len / size).map(move |n| Range { start: range.start + n * size, len: size })
        };
        let pages: Vec<Range> = pages(arguments).chain(pages(private)).collect();
        self.pages += pages.len() as u64;
        self.members.push((pid, pages));
        Ok(())
    }

    /// Takes the pages from the members until they are not in the swap cache either.
    ///
    /// The kernel counts the pages in its swap cache for the whole host. A page of another process
    /// that was in swap and is used again stays there until a write to it or the end of its owner.
    /// So when the disk delivered as many bytes as the crowd has, all cached pages count as those
    /// of other processes. This is an estimate: read-ahead for other processes counts as well.
    pub(super) fn push_out(&mut self) -> Result<(), String> {
        let allowed = self.members.len() as u64 / MEMBERS_PER_PAGE;
        let began = Instant::now();
        loop {
            self.settle()?;
            self.each("page out", page_out)?;
            let cached = swap_cached();
            // Other processes cannot have more pages than there are.
            self.cached_of_others = self.cached_of_others.min(cached);
            if cached <= self.cached_of_others + allowed {
                return Ok(());
            }
            if began.elapsed() > PUSH_LIMIT {
                let (cached, pages) = (cached - self.cached_of_others, self.pages);
                return Err(format!(
                    "the kernel keeps {cached} of {pages} pages in its swap cache"
                ));
            }
            std::thread::sleep(PAUSE);
            let before = sys::bytes_read_from_disk()?;
            self.each("touch", sys::touch)?;
            if sys::bytes_read_from_disk()? - before >= self.bytes() {
                self.cached_of_others = cached;
            }
        }
    }

    /// Moves recently read pages to the list of reclaimable pages. Each CPU first collects some of
    /// its own, and a call of `process_madvise` begins with those of its CPU.
    fn settle(&self) -> Result<(), String> {
        let failed = |error| format!("sched_setaffinity: {error}");
        let Some((pid, pages)) = self.members.first() else { return Ok(()) };
        let all = sched_getaffinity(None).map_err(failed)?;
        for cpu in (0..CpuSet::MAX_CPU).filter(|cpu| all.is_set(*cpu)) {
            let mut one = CpuSet::new();
            one.set(cpu);
            sched_setaffinity(None, &one).map_err(failed)?;
            page_out(*pid, &pages[..1]).map_err(|error| format!("page out {pid}: {error}"))?;
        }
        sched_setaffinity(None, &all).map_err(failed)
    }

    fn bytes(&self) -> u64 {
        self.pages * rustix::param::page_size() as u64
    }

    fn each(
        &self,
        what: &str,
        act: impl Fn(Pid, &[Range]) -> std::io::Result<()>,
    ) -> Result<(), String> {
        for (pid, pages) in &self.members {
            act(*pid, pages).map_err(|error| format!("{what} {pid}: {error}"))?;
        }
        Ok(())
    }
}

fn page_out(pid: Pid, pages: &[Range]) -> std::io::Result<()> {
    let raw = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw);
    let process = pidfd_open(raw.ok_or(ErrorKind::NotFound)?, PidfdFlags::empty())?;
    pages.chunks(sys::RANGES_MAX).try_for_each(|pages| sys::page_out(process.as_fd(), pages))
}

/// The bounds of the arguments of a process: fields 48 and 49 of `stat`.
pub(super) fn argument_bounds(pid: Pid) -> Option<(usize, usize)> {
    let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field, comm, ends with a parenthesis and may hold any bytes.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(45).map_while(|field| field.parse().ok());
    Some((fields.next()?, fields.next()?))
}

/// Pages in the swap cache of the host.
pub(super) fn swap_cached() -> u64 {
    // Each CPU counts for itself; without a refresh the sum is off by some 30 pages for each.
    let _ = std::fs::read("/proc/sys/vm/stat_refresh");
    let meminfo = read_to_string("/proc/meminfo").unwrap_or_default();
    let value = meminfo.lines().find_map(|line| line.strip_prefix("SwapCached:"));
    let kib = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024 / rustix::param::page_size() as u64
}
