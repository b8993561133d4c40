//! Checks that members have the promised memory, by the kernel's accounting of a few of them.

use std::fs::read_to_string;

use psm_uring::units::Pid;

use super::member::{self, Layout};
use super::spec::Spec;
use super::sys::{self, Range};

/// The number of checked members, evenly spread.
const SAMPLES: usize = 16;

/// One mapping of a process, or several of them together.
#[derive(Default)]
struct Mapping {
    start: usize,
    rss_kib: u64,
    private_kib: u64,
}

/// The checked members with their places.
fn samples(members: &[Pid]) -> impl Iterator<Item = (usize, Pid)> {
    let step = members.len().div_ceil(SAMPLES).max(1);
    members.iter().copied().enumerate().step_by(step)
}

/// Forked members: the number of mappings, of private pages and of shared pages.
pub(super) fn forked(spec: &Spec, members: &[Pid], layout: &Layout) -> Result<(), String> {
    for (_, pid) in samples(members) {
        let mappings = mappings(pid)?;
        equal(pid, "mappings", mappings.len() as u64, spec.mappings as u64)?;
        let private = sum(&mappings, layout.private());
        equal(pid, "KiB of private memory", private.private_kib, kib(spec.private))?;
        if let Some(shared) = layout.shared() {
            let shared = sum(&mappings, shared);
            equal(pid, "KiB of shared memory", shared.rss_kib, kib(spec.shared))?;
            let private = if members.len() > 1 { 0 } else { shared.private_kib };
            equal(pid, "KiB of unshared memory", shared.private_kib, private)?;
        }
    }
    Ok(())
}

/// The huge member: all of its pages, none of them huge.
pub(super) fn huge(spec: &Spec, pid: Pid) -> Result<(), String> {
    let rss = field(pid, "smaps_rollup", "Rss:")?;
    let huge = field(pid, "smaps_rollup", "AnonHugePages:")?;
    equal(pid, "KiB of huge pages", huge, 0)?;
    at_least(pid, "KiB", rss, kib(spec.private))
}

/// Swapped members: memory in swap, a title of their own, and disk I/O for reading it.
pub(super) fn swapped(spec: &Spec, members: &[Pid]) -> Result<(), String> {
    for (n, pid) in samples(members) {
        let promised = kib(spec.private);
        at_least(pid, "KiB in swap (VmSwap)", field(pid, "status", "VmSwap:")?, promised)?;
        let shares = field(pid, "smaps_rollup", "SwapPss:")?;
        at_least(pid, "KiB in swap (SwapPss)", shares, promised)?;
        let before = sys::bytes_read_from_disk()?;
        let cmdline = read_to_string(format!("/proc/{pid}/cmdline"));
        let cmdline = cmdline.map_err(|error| format!("cmdline of {pid}: {error}"))?;
        let from_disk = sys::bytes_read_from_disk()? - before;
        at_least(pid, "KiB read from disk for its title", from_disk / 1024, kib(1))?;
        let title = cmdline.split('\0').next().unwrap_or_default();
        let wanted = member::title(spec, n);
        if title != wanted {
            return Err(format!("member {pid} is called {title:?}, not {wanted:?}"));
        }
    }
    Ok(())
}

/// Thrashing members: all of their memory that does not fit is in swap. Reads only files that do
/// not wait for the memory of a member.
pub(super) fn thrash(spec: &Spec, members: &[Pid]) -> Result<(), String> {
    let swapped = members.iter().map(|pid| field(*pid, "status", "VmSwap:"));
    let swapped = swapped.sum::<Result<u64, String>>()?;
    let wanted = kib(spec.private) * members.len() as u64 - spec.memory_bytes() / 1024;
    if swapped >= wanted {
        return Ok(());
    }
    Err(format!("the members have {swapped} KiB in swap, not {wanted} or more"))
}

fn kib(pages: usize) -> u64 {
    pages as u64 * rustix::param::page_size() as u64 / 1024
}

fn equal(pid: Pid, figure: &str, found: u64, wanted: u64) -> Result<(), String> {
    if found == wanted {
        return Ok(());
    }
    Err(format!("member {pid} has {found} {figure}, not {wanted}"))
}

fn at_least(pid: Pid, figure: &str, found: u64, wanted: u64) -> Result<(), String> {
    if found >= wanted {
        return Ok(());
    }
    Err(format!("member {pid} has {found} {figure}, not {wanted} or more"))
}

/// A figure in a file of a process, in kB.
fn field(pid: Pid, file: &str, key: &str) -> Result<u64, String> {
    let path = format!("/proc/{pid}/{file}");
    let text = read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let value = text.lines().find_map(|line| amount(line, key));
    value.ok_or_else(|| format!("{path} has no {key}"))
}

fn amount(line: &str, key: &str) -> Option<u64> {
    line.strip_prefix(key)?.trim().strip_suffix(" kB")?.parse().ok()
}

/// All mappings of a process.
fn mappings(pid: Pid) -> Result<Vec<Mapping>, String> {
    let path = format!("/proc/{pid}/smaps");
    let text = std::fs::read(&path).map_err(|error| format!("{path}: {error}"))?;
    let mut mappings: Vec<Mapping> = Vec::new();
    for line in String::from_utf8_lossy(&text).lines() {
        if let Some(start) = head(line) {
            mappings.push(Mapping { start, ..Mapping::default() });
        } else if let Some(mapping) = mappings.last_mut() {
            mapping.rss_kib += amount(line, "Rss:").unwrap_or(0);
            let private = ["Private_Clean:", "Private_Dirty:"].map(|key| amount(line, key));
            mapping.private_kib += private.into_iter().flatten().sum::<u64>();
        }
    }
    Ok(mappings)
}

/// The start of a mapping: `7f00aa000-7f00ab000 rw-p ...`.
fn head(line: &str) -> Option<usize> {
    let (start, rest) = line.split_once('-')?;
    rest.contains(' ').then(|| usize::from_str_radix(start, 16).ok())?
}

/// The sum of all mappings that begin in a range.
fn sum(mappings: &[Mapping], range: Range) -> Mapping {
    let mut sum = Mapping { start: range.start, ..Mapping::default() };
    for mapping in mappings.iter().filter(|mapping| range.contains(mapping.start)) {
        sum.rss_kib += mapping.rss_kib;
        sum.private_kib += mapping.private_kib;
    }
    sum
}
