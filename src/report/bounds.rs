//! Notes on memory that a report may count more than once.

use super::notes::list;
use super::{Unit, plural};
use crate::program::Split;
use crate::units::{Kib, Pid};

/// Pages that several processes may hold, and that the kernel counts whole in each.
#[derive(Clone, Copy, Debug)]
pub enum HeldPages {
    /// Pages of hugetlbfs that are private by their page tables, which processes may share.
    PrivateHugetlb,
    /// Pages of hugetlbfs that are shared.
    SharedHugetlb,
    /// Shared memory in swap.
    SwappedShmem,
}

/// An amount of such pages.
#[derive(Clone, Copy, Debug)]
pub struct HeldAmount<'run> {
    /// The kind.
    pub pages: HeldPages,
    /// The amount and its bounds.
    pub split: &'run Split,
    /// The number of processes with such pages whose mappings could not be read.
    pub unread: usize,
    /// The number of those whose mappings were read, but are malformed or of another address space.
    pub unmatched: usize,
    /// Whether each process with such pages is measured.
    pub knows_users: bool,
}

/// The reason that processes with equal figures were not compared.
#[derive(Clone, Copy, Debug)]
pub enum Uncompared {
    /// Their ids are those of another `/proc`.
    OtherProc,
    /// No thread could be started.
    NoThread,
    /// The time was over.
    TookLong,
    /// The kernel does not compare them.
    Refused,
    /// They are too many.
    TooMany,
}

impl HeldPages {
    fn word(self) -> &'static str {
        match self {
            HeldPages::PrivateHugetlb => "private hugetlb pages",
            HeldPages::SharedHugetlb => "shared hugetlb pages",
            HeldPages::SwappedShmem => "swapped pages of shared memory",
        }
    }

    /// The reason that their sharers are unknown if all mappings are known.
    fn doubt(self) -> &'static str {
        match self {
            HeldPages::PrivateHugetlb => {
                "kernels before 6.2 count pages of shared page tables as private in each process"
            }
            HeldPages::SharedHugetlb | HeldPages::SwappedShmem => {
                "the kernel does not report which of them processes share"
            }
        }
    }
}

impl HeldAmount<'_> {
    /// A note if the amount is an upper bound.
    pub fn note(&self) -> Option<String> {
        let Split { total, least, .. } = *self.split;
        let is_vague = total > least;
        let vague = is_vague.then(|| self.vagueness()).into_iter().flatten();
        let is_lacking = total > Kib(0) && !self.knows_users;
        let lacking = "processes that were not measured may hold a part of them, which counts \
                       whole here";
        let lacking = is_lacking.then(|| lacking.to_owned());
        let reasons: Vec<String> = vague.chain(lacking).collect();
        let has_least = is_vague && least >= Unit::Mib.least_shown();
        let least = if has_least { format!(" (at least {})", mib(least)) } else { String::new() };
        let (total, pages) = (mib(total), self.pages.word());
        let reasons = (!reasons.is_empty()).then(|| reasons.join("; "))?;
        Some(format!("{total} in {pages} is an upper bound{least}: {reasons}"))
    }

    /// The reasons that the sharers of the pages are unknown.
    fn vagueness(&self) -> Vec<String> {
        let of = |count| format!("the mappings of {}", plural(count, "process"));
        let unread = (self.unread > 0).then(|| format!("{} could not be read", of(self.unread)));
        let unmatched = (self.unmatched > 0).then(|| {
            let mappings = of(self.unmatched);
            format!("{mappings} are malformed, or of another address space than the figures")
        });
        let reasons: Vec<String> = unread.into_iter().chain(unmatched).collect();
        if reasons.is_empty() { vec![self.pages.doubt().to_owned()] } else { reasons }
    }
}

fn mib(amount: Kib) -> String {
    format!("{} MiB", Unit::Mib.format(amount))
}

/// A note if processes had more hugetlb pages than are in use after the survey.
pub fn hugetlb_excess(sum: Kib, used: Kib) -> Option<String> {
    let excess = sum.saturating_sub(used);
    let note = || {
        format!(
            "the processes had {} in hugetlb pages, {} more than are in use now: some ended or \
             freed pages during the survey",
            mib(sum),
            mib(excess)
        )
    };
    (excess > Kib(0)).then(note)
}

/// A note on processes with equal figures that may share an address space.
pub fn uncompared(processes: usize, why: Uncompared) -> Option<String> {
    let why = match why {
        Uncompared::OtherProc => "kcmp(2) does not know the process ids of another /proc",
        Uncompared::NoThread => "there is no room for a thread that compares them",
        Uncompared::TookLong => "the comparison (kcmp) took too long",
        Uncompared::Refused => "the kernel does not compare them (kcmp)",
        Uncompared::TooMany => "they are too many to be compared each with each",
    };
    let note = || {
        format!(
            "{processes} processes with equal figures may count twice: {why}, so it is unknown \
             whether they share an address space (vfork, CLONE_VM)"
        )
    };
    (processes > 0).then(note)
}

/// A note on measured processes whose address space others use that are not measured.
pub fn used_outside(pairs: &[(Pid, Pid)]) -> Option<String> {
    let shown = || list(pairs, |(pid, other)| format!("PID {pid} with {other}"));
    let note = || {
        format!(
            "the figures of {} are an upper bound: an address space is shared with a process that \
             was not measured ({})",
            plural(pairs.len(), "process"),
            shown()
        )
    };
    (!pairs.is_empty()).then(note)
}

/// A note on processes of another `/proc` whose address space others may use.
pub fn suspects(pairs: &[(Pid, Pid)]) -> Option<String> {
    let shown = || list(pairs, |(pid, other)| format!("PID {pid} and {other}"));
    let note = || {
        format!(
            "the figures of {} may be an upper bound: a process that was not measured has an \
             address space of the same size, perhaps the same one (vfork, CLONE_VM), and kcmp(2) \
             does not know the process ids of another /proc ({})",
            plural(pairs.len(), "process"),
            shown()
        )
    };
    (!pairs.is_empty()).then(note)
}

/// A note on a capability that does not compare address spaces.
pub fn cannot_compare() -> String {
    "with CAP_PERFMON, address spaces cannot be compared: processes that share one (vfork) may \
     count twice"
        .to_owned()
}

/// A note on a kernel that counts swapped pages whole in each process.
pub fn unshared_swap() -> String {
    "SWAPPED counts shared pages whole in each process: this kernel has no SwapPss (4.3 or newer \
     has)"
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_of_nothing_are_not_shown() {
        let told_of = |total, least, unread, unmatched| {
            let split = &Split { total: Kib(total), least: Kib(least), ..Split::default() };
            let pages = HeldPages::SharedHugetlb;
            HeldAmount { pages, split, unread, unmatched, knows_users: true }.note()
        };
        let told = |total, least, unread| told_of(total, least, unread, 0);
        assert_eq!(told(8192, 8192, 0), None);
        let bound = "8.0 MiB in shared hugetlb pages is an upper bound";
        let why = "the kernel does not report which of them processes share";
        assert_eq!(told(8192, 2048, 0), Some(format!("{bound} (at least 2.0 MiB): {why}")));
        assert_eq!(told(8192, 40, 0), Some(format!("{bound}: {why}")));
        let why = "the mappings of 1 process could not be read";
        assert_eq!(told(8192, 40, 1), Some(format!("{bound}: {why}")));
        let other = "the mappings of 2 processes are malformed, or of another address space than \
                     the figures";
        assert_eq!(told_of(8192, 40, 0, 2), Some(format!("{bound}: {other}")));
        assert_eq!(told_of(8192, 40, 1, 2), Some(format!("{bound}: {why}; {other}")));
    }
}
