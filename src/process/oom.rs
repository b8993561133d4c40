//! A process as the kernel's OOM killer sees it: the texts of `oom_score`, `oom_score_adj`,
//! `status`, `stat` and `cgroup`.
//!
//! `oom_badness` (mm/oom_kill.c) adds resident pages, pages in swap and page tables. `oom_score`
//! (`proc_oom_score`, fs/proc/base.c) shows the result in units of 1/1500 of all memory and swap of
//! the host: too coarse for a choice.
//!
//! The counters of the pages are inexact: each CPU keeps a part to itself. `stat` prints them as
//! they are (`get_mm_rss`), and so does `status` before Linux 6.16, which then has exact sums. The
//! killer compares either, depending on the kernel, so both numbers bound the points.

use super::cgroup;
use super::status::{self, Glimpse, ProcessKind, StatFigures};
use crate::units::Kib;

/// The adjustment of a process that is never chosen (`OOM_SCORE_ADJ_MIN`).
const NEVER: i64 = -1000;

/// A process as the OOM killer sees it. `None` is unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OomFigures {
    /// comm: foreign bytes.
    pub comm: Vec<u8>,
    /// `oom_score`; 0 also for a process that is never chosen.
    pub score: Option<u64>,
    /// `oom_score_adj`: -1000 to 1000.
    pub adj: Option<i64>,
    /// The memory that counts: resident, in swap, page tables.
    pub memory: Option<Kib>,
    /// The resident part of it.
    pub resident: Option<Kib>,
    /// Resident pages by the counters as they are.
    pub counted_pages: Option<u64>,
    /// Whether a part is in swap.
    pub has_swap: bool,
    /// The path of the control group whose memory is charged: foreign bytes.
    pub cgroup: Option<Vec<u8>>,
    /// Whether it has no memory, or is a kernel thread.
    pub is_exempt: bool,
}

impl OomFigures {
    /// Parses `status`. If the leading thread is dead, `living` has the `status` of another one.
    pub fn parse(status: &[u8], living: Option<&[u8]>) -> OomFigures {
        let kind = status::kind(status, true);
        let is_leaderless = kind == ProcessKind::Leaderless;
        let with_memory = if is_leaderless { living.unwrap_or_default() } else { status };
        OomFigures {
            comm: Glimpse::from_status(status).comm,
            memory: memory(with_memory),
            resident: status::resident(with_memory),
            has_swap: status::swap(with_memory) > Some(Kib(0)),
            is_exempt: !matches!(kind, ProcessKind::User | ProcessKind::Leaderless),
            ..OomFigures::default()
        }
    }

    /// Parses `stat`.
    #[must_use]
    pub fn with_stat(self, stat: &[u8]) -> OomFigures {
        OomFigures { counted_pages: StatFigures::counted_pages(stat), ..self }
    }

    /// Parses the other texts that could be read.
    #[must_use]
    pub fn with_texts(
        self,
        score: Option<&[u8]>,
        adj: Option<&[u8]>,
        cgroup: Option<&[u8]>,
    ) -> OomFigures {
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.trim().parse::<i64>().ok();
        OomFigures {
            score: score.and_then(number).and_then(|score| u64::try_from(score).ok()),
            adj: adj.and_then(number),
            cgroup: cgroup.and_then(cgroup::paths).map(|paths| paths.charged.to_vec()),
            ..self
        }
    }

    /// The points of `oom_badness` in pages, where the killer divides this many; `None` if the
    /// process is never chosen, or its figures are unknown.
    pub fn points(&self, total_pages: u64, page_bytes: u64) -> Option<i64> {
        let adj = self.adj.filter(|adj| *adj != NEVER && !self.is_exempt)?;
        let pages = i64::try_from(self.memory?.bytes() / page_bytes.max(1)).ok()?;
        let thousandth = i64::try_from(total_pages / 1000).ok()?;
        pages.checked_add(adj.checked_mul(thousandth)?)
    }

    /// Whether the points are unknown of a process that may be chosen.
    pub fn is_unknown(&self) -> bool {
        let may_be_chosen = !self.is_exempt && self.adj != Some(NEVER);
        may_be_chosen && (self.adj.is_none() || self.memory.is_none())
    }

    /// The pages by which the counters as they are exceed the exact ones, or fall below; `None` if
    /// unknown.
    pub fn miscount(&self, page_bytes: u64) -> Option<i64> {
        let exact = i64::try_from(self.resident?.bytes() / page_bytes.max(1)).ok()?;
        Some(i64::try_from(self.counted_pages?).ok()? - exact)
    }
}

fn memory(status: &[u8]) -> Option<Kib> {
    let swap = status::swap(status).unwrap_or_default();
    Some(status::resident(status)? + status::page_tables(status)? + swap)
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &[u8] = b"Name:\tsh\nState:\tS (sleeping)\nVmSize:\t 9000 kB\nVmRSS:\t 400 kB\n\
        VmPTE:\t 40 kB\nVmSwap:\t 80 kB\nThreads:\t1\n";

    #[test]
    fn points_are_those_of_the_kernel() {
        let of = |adj: &[u8]| {
            let figures = OomFigures::parse(STATUS, None);
            figures.with_texts(Some(b"667\n"), Some(adj), Some(b"3:memory:/a\n0::/b\n"))
        };
        let usual = of(b"0\n");
        assert_eq!((usual.score, usual.memory), (Some(667), Some(Kib(520))));
        assert_eq!(usual.cgroup.as_deref(), Some(&b"/a"[..]));
        // 130 pages; the kernel divides the total before it multiplies.
        for (adj, total, points) in [
            (&b"0\n"[..], 16_384, Some(130)),
            (b"500\n", 16_384, Some(130 + 500 * 16)),
            (b"-999\n", 16_384, Some(130 - 999 * 16)),
            (b"1000\n", 999, Some(130)),
            (b"-1000\n", 16_384, None),
            (b"x\n", 16_384, None),
        ] {
            assert_eq!(of(adj).points(total, 4096), points, "{}", adj.escape_ascii());
        }
    }

    #[test]
    fn processes_without_memory_are_never_chosen() {
        for status in [
            &b"Name:\tkworker\nState:\tI (idle)\nKthread:\t1\nThreads:\t1\n"[..],
            b"Name:\tsh\nState:\tZ (zombie)\nKthread:\t0\nThreads:\t1\n",
            b"",
        ] {
            let figures = OomFigures::parse(status, Some(STATUS));
            let figures = figures.with_texts(Some(b"0\n"), Some(b"0\n"), None);
            assert_eq!(figures.points(1 << 20, 4096), None, "{}", status.escape_ascii());
        }
        let dead = b"Name:\tsh\nState:\tZ (zombie)\nKthread:\t0\nThreads:\t2\n";
        for (living, points) in [(None, None), (Some(STATUS), Some(130))] {
            let leaderless = OomFigures::parse(dead, living).with_texts(None, Some(b"0\n"), None);
            assert_eq!(leaderless.points(0, 4096), points);
            let known = points.is_some();
            assert_eq!((leaderless.is_unknown(), leaderless.has_swap), (!known, known));
        }
    }
}
