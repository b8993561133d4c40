//! From processes to the rows of a report: grouped, summed, sorted, cut.
//!
//! - `grouping`  the meaning of a row, and its label
//! - `cgroup`    control group to systemd unit and container
//! - `charges`   the memory that control groups are charged for, by row
//! - `column`    the columns: word, help, header, kind
//! - `faults`    major page faults between two reports
//! - `gpu`       the host memory that GPU drivers hold
//! - `tree`      processes as a tree
//! - `usage`     the memory of a row
//! - `shares`    memory that processes hold together, split among them
//! - `levels`    the control groups above a process
//! - `oom`       the likely choices of the OOM killer
//! - `row`       rows of processes that were measured
//! - `unread`    rows of processes whose memory is unknown
//! - `vfork`     rows of processes that share the address space of another
//! - `host`      host memory by parts
//! - `order`     sorting and `--top`
//! - `snapshot`  the rows of one report, for comparison with another
//! - `diff`      the rows that changed between two reports
#![forbid(unsafe_code)]

mod cgroup;
mod charges;
mod column;
mod diff;
mod faults;
mod gpu;
mod grouping;
mod host;
mod levels;
mod oom;
mod order;
mod row;
mod shares;
mod snapshot;
mod tree;
mod unread;
mod usage;
mod vfork;

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

pub use self::cgroup::{GroupName, container, unit};
pub use self::charges::{Charges, LevelLimit, RowCharge};
pub use self::column::{Column, ColumnKind};
pub use self::diff::{
    BeforeAfter, Change, Delta, Diff, DiffRow, EventsChange, Presence, Threshold, diff,
};
pub use self::faults::{FaultCounts, FaultRate, Faults, RowFaults};
pub use self::gpu::{GpuShares, HeldByGpu};
pub use self::grouping::{Grouping, Labels, PlacedLabels, RowWords, UserNames, user_name};
pub use self::host::{GpuBounds, HostMemory, HostPart, PossibleOwner, SharedMemory};
pub use self::oom::{
    OomChoice, OomEstimate, OomHost, OomMark, OomMarks, RowOom, estimate as estimate_oom,
};
pub use self::order::Order;
pub use self::row::{FreedMemory, Program, Rest, Uniform};
pub use self::shares::{MappedObject, MappedPages, Share, Shares, Split, split};
pub use self::snapshot::{Amounts, Snapshot, SnapshotRow};
pub use self::tree::{Lineage, TreePlace};
pub use self::unread::{Known, Obstacle, Unknown, UnknownRest, Unread};
pub use self::usage::Usage;
pub use self::vfork::Sharing;
use crate::host::GroupEvents;
use crate::process::{GpuMemory, NameRule, ProcessUsage};
use crate::units::{Kib, Pid};

/// Facts about processes beside their own figures.
#[derive(Clone, Copy, Debug)]
pub struct Annotations<'a> {
    /// Whether the memory of a process is unknown, also of one that `/proc` does not list.
    pub is_incomplete: bool,
    /// The processes of them that have a row.
    pub unread: &'a [&'a Unread<'a>],
    /// Maps each process that shares an address space to the process that owns it.
    pub sharing: &'a HashMap<Pid, Pid>,
    /// The shares of processes in memory that the kernel counts whole in each.
    pub shares: &'a Shares,
    /// All memory of the host, if percentages are asked for and it is known.
    pub all_memory: Option<Kib>,
    /// The figures of control groups, if the run asked for them.
    pub charges: Option<&'a Charges<'a>>,
    /// The major page faults, if the run asked for them.
    pub faults: Option<&'a Faults>,
    /// The host memory that GPU drivers hold, if the run asked for it.
    pub gpu: Option<&'a GpuShares>,
    /// The likely choices of the OOM killer, if the run asked for them.
    pub oom: Option<&'a OomEstimate<'a>>,
    /// The parents of processes, if rows are a tree.
    pub lineage: Option<&'a Lineage>,
}

impl<'a> Annotations<'a> {
    /// Those of processes whose memory is known; nothing else is asked for.
    pub fn new(sharing: &'a HashMap<Pid, Pid>, shares: &'a Shares) -> Annotations<'a> {
        Annotations {
            is_incomplete: false,
            unread: &[],
            sharing,
            shares,
            all_memory: None,
            charges: None,
            faults: None,
            gpu: None,
            oom: None,
            lineage: None,
        }
    }
}

/// The rows of a report and their total.
#[derive(Debug)]
pub struct Programs<'run> {
    /// The meaning of a row.
    pub grouping: Grouping,
    /// The rows with figures, in the order of the report.
    pub rows: Vec<Program<'run>>,
    /// The rows that `--top` cuts.
    pub cut: Vec<Program<'run>>,
    /// The sum of the rows in `cut`, if there are any.
    pub rest: Option<Rest>,
    /// The number of processes that were measured.
    pub count: u64,
    /// The sum of all rows, including `cut`; `None` if none of the processes was measured, or if
    /// `hidepid` hides all.
    pub total: Option<Usage>,
    /// The events at limits of all rows, if the run asked for them and they are known.
    pub events: Option<GroupEvents>,
    /// The major page faults of all rows, under the same conditions.
    pub faults: RowFaults,
    /// The GPU memory of all rows, under the same conditions.
    pub gpu: Option<GpuMemory>,
    /// The time since the last report, if there was one and faults are asked for.
    pub interval: Option<Duration>,
    /// Rows whose memory is counted in a row of `rows`.
    pub sharing: Vec<Sharing<'run>>,
    /// Rows whose memory is unknown, in the order of the report.
    pub unknown: Vec<Unknown<'run>>,
    /// The rows of unknown memory that `--top` cuts, if there are any.
    pub unknown_rest: Option<UnknownRest>,
    /// The labels with all details, which are keys.
    pub placed: &'run PlacedLabels,
    /// The names of users, if rows show them.
    pub users: Option<&'run UserNames>,
    /// All memory of the host, which percentages relate to.
    pub all_memory: Option<Kib>,
    /// Whether a process counts shared swapped pages whole (kernels before 4.3).
    pub swap_is_unshared: bool,
}

impl Programs<'_> {
    /// The key of a row with this name.
    pub fn key<'a>(
        &'a self,
        rule: NameRule,
        name: &'a [u8],
        process: Option<Pid>,
    ) -> Cow<'a, [u8]> {
        self.grouping.key(rule, name, self.placed.of(name), process)
    }
}

/// Processes summed up, neither sorted nor cut.
#[derive(Default)]
struct Gathered<'run> {
    rows: Vec<Program<'run>>,
    sharers: Vec<Sharing<'run>>,
    count: u64,
    swap_is_unshared: bool,
}

fn gather<'run>(
    processes: impl Iterator<Item = ProcessUsage<'run>> + Clone,
    labels: &'run Labels<'run>,
    annotations: &Annotations<'run>,
) -> Gathered<'run> {
    let grouping = labels.grouping;
    let owners = vfork::owners(processes.clone(), labels, annotations.sharing);
    let mut by_name: HashMap<&[u8], usize> = HashMap::new();
    let mut gathered = Gathered::default();
    for process in processes {
        let Gathered { rows, sharers, count, swap_is_unshared } = &mut gathered;
        *count += 1;
        let (name, owner) = (labels.label(&process), owners.get(&process.pid));
        let is_elsewhere =
            |owner: &&vfork::MemoryOwner<'_>| grouping.is_process() || owner.name != name;
        if let Some(owner) = owner.filter(is_elsewhere) {
            sharers.push(Sharing::new(process.pid, name, owner, grouping));
            continue;
        }
        let place = match grouping {
            Grouping::Pid | Grouping::Tree => rows.len(),
            _ => *by_name.entry(name).or_insert(rows.len()),
        };
        match rows.get_mut(place) {
            Some(row) => row.join(&process),
            None => rows.push(Program::new(name, &process, grouping)),
        }
        let since = annotations.faults.and_then(|faults| faults.of(process.pid));
        rows[place].faults.add(RowFaults { all: process.stat.major_faults, since });
        if let Some(oom) = annotations.oom {
            rows[place].oom.add(oom.of(process.pid));
        }
        if owner.is_none() {
            let smaps = &process.smaps;
            let share = annotations.shares.get(&process.pid).copied();
            let share = share.unwrap_or_else(|| Share::whole(smaps));
            let gpu = annotations.gpu.and_then(|gpu| gpu.of(process.pid));
            rows[place].add(smaps, &share, process.page_tables, gpu);
            *swap_is_unshared |= smaps.swap_is_unshared() && smaps.swap() > Some(Kib(0));
        }
    }
    gathered
}

/// Sums processes up into rows: one for each label, or for each process.
pub fn group<'run>(
    processes: impl Iterator<Item = ProcessUsage<'run>> + Clone,
    labels: &'run Labels<'run>,
    annotations: Annotations<'run>,
    order: Order,
) -> Programs<'run> {
    let Gathered { mut rows, mut sharers, count, swap_is_unshared } =
        gather(processes, labels, &annotations);
    // An unknown total is not 0.
    let knows_total = !annotations.is_incomplete || !rows.is_empty();
    annotations.charges.into_iter().for_each(|charges| charges.apply(&mut rows));
    if let Some(lineage) = annotations.lineage {
        lineage.sum(&mut rows);
    }
    let all = Rest::sum(&rows);
    order::sort(&mut rows, order);
    let cut = order::cut(&mut rows, order).unwrap_or_default();
    let rest = (!cut.is_empty()).then(|| Rest::sum(&cut));
    if rest.is_some() {
        sharers.retain(|one| rows.iter().any(|row| one.is_of(row)));
    }
    if order.reverse {
        rows.reverse();
    }
    if let Some(lineage) = annotations.lineage {
        lineage.arrange(&mut rows);
    }
    let (unknown, unknown_rest) = unread::rows(annotations.unread, labels, order);
    Programs {
        grouping: labels.grouping,
        rows,
        cut,
        rest,
        count,
        total: knows_total.then_some(all.usage),
        events: all.events.filter(|_| knows_total),
        faults: if knows_total { all.faults } else { RowFaults::UNKNOWN },
        gpu: all.gpu.filter(|_| knows_total),
        interval: annotations.faults.and_then(|faults| faults.interval),
        sharing: vfork::merged(sharers),
        unknown,
        unknown_rest,
        placed: &labels.placed,
        users: labels.users,
        all_memory: annotations.all_memory,
        swap_is_unshared,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Glimpse;

    fn unread(pid: u32, comm: &str, rss: Option<u64>) -> Unread<'_> {
        let (comm, rss) = (comm.into(), rss.map(Kib));
        let glimpse = Glimpse { comm, rss, ..Glimpse::default() };
        Unread { pid: Pid(pid), obstacle: Obstacle::TimedOut, glimpse, cgroup: None }
    }

    fn names(programs: &Programs<'_>) -> Vec<String> {
        let name = |row: &Unknown<'_>| String::from_utf8_lossy(&row.name).into_owned();
        programs.unknown.iter().map(name).collect()
    }

    #[test]
    fn rows_of_unknown_memory_are_sorted_and_cut() {
        let all = [
            unread(1, "stuck", None),
            unread(2, "big", Some(300)),
            unread(3, "twin", Some(20)),
            unread(4, "twin", Some(20)),
        ];
        let (unread, sharing, shares) = (&all.each_ref()[..], &HashMap::new(), &Shares::new());
        let annotations =
            Annotations { is_incomplete: true, unread, ..Annotations::new(sharing, shares) };
        let labels = Labels::new([].into_iter(), Grouping::Program, None);
        let group = |order| group([].into_iter(), &labels, annotations, order);
        let whole = group(Order::default());
        assert_eq!(names(&whole), ["stuck", "twin", "big"]);
        assert_eq!((whole.total, whole.unknown_rest), (None, None));
        let top = group(Order { top: Some(1), ..Order::default() });
        assert_eq!(names(&top), ["big"]);
        let known = Known { rss: Some(Kib(40)), swap: None };
        let rest = UnknownRest { rows: 2, obstacle: Some(Obstacle::TimedOut), known };
        assert_eq!(top.unknown_rest, Some(rest));
        let reverse = group(Order { reverse: true, ..Order::default() });
        assert_eq!(names(&reverse), ["big", "twin", "stuck"]);
    }

    #[test]
    fn the_total_of_no_rows_is_0_unless_memory_is_unknown() {
        let total = |is_incomplete| {
            let (sharing, shares) = (&HashMap::new(), &Shares::new());
            let annotations = Annotations { is_incomplete, ..Annotations::new(sharing, shares) };
            let labels = Labels::new([].into_iter(), Grouping::Program, None);
            group([].into_iter(), &labels, annotations, Order::default()).total
        };
        assert_eq!(total(false), Some(Usage::NOTHING));
        assert_eq!(total(true), None);
    }
}
