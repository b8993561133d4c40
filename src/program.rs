//! From processes to the rows of a report: grouped, summed, sorted, cut.
//!
//! - `sharing` rows of processes that run in the memory of others
#![forbid(unsafe_code)]

mod sharing;

use std::collections::{BTreeMap, HashMap};
use std::ops::Add;

pub use self::sharing::Sharing;
use crate::process::{Glimpse, ProcessUsage};
use crate::smaps::Smaps;
use crate::units::{Kib, Pid};

/// What a row stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Grouping {
    /// All processes of one name.
    #[default]
    Program,
    /// One process.
    Pid,
}

/// Which figure decides the order of rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    /// [`Usage::ram`].
    #[default]
    Ram,
    /// [`Usage::shared`].
    Shared,
    /// [`Usage::swap`].
    Swap,
    /// [`Usage::heap`].
    Heap,
    /// The number of processes.
    Count,
    /// The name, as bytes.
    Name,
}

/// The memory of a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Proportional set size and hugetlb pages, which the kernel keeps out of it.
    pub ram: Kib,
    /// The part of `ram` that other processes share.
    pub shared: Kib,
    /// The proportional share of swap.
    pub swap: Kib,
    /// The part of `ram` in heaps grown by `brk(2)`; 0 unless full smaps was read.
    pub heap: Kib,
}

impl Usage {
    /// The memory of one process.
    fn of(smaps: &Smaps) -> Usage {
        let ram = smaps.pss() + smaps.private_hugetlb();
        Usage {
            ram,
            shared: ram.saturating_sub(smaps.uss() + smaps.private_hugetlb()),
            swap: smaps.swap(),
            heap: smaps.heap(),
        }
    }

    fn add(&mut self, other: &Usage) {
        self.ram += other.ram;
        self.shared += other.shared;
        self.swap += other.swap;
        self.heap += other.heap;
    }
}

/// One row of a report.
#[derive(Clone, Copy, Debug)]
pub struct Program<'run> {
    /// The name of all its processes.
    pub name: &'run [u8],
    /// The process, when rows are processes.
    pub pid: Option<Pid>,
    /// How many processes it has.
    pub count: u64,
    /// Their memory.
    pub usage: Usage,
    /// Hugetlb pages that more than one process maps. The kernel counts them whole in every one
    /// and does not say who shares with whom, so the largest figure stands for the program.
    shared_hugetlb: Kib,
}

impl<'run> Program<'run> {
    fn new(process: &ProcessUsage<'run>, grouping: Grouping) -> Program<'run> {
        let pid = (grouping == Grouping::Pid).then_some(process.pid);
        let name = process.name;
        Program { name, pid, count: 0, usage: Usage::default(), shared_hugetlb: Kib(0) }
    }

    fn add(&mut self, smaps: &Smaps) {
        self.usage.add(&Usage::of(smaps));
        self.shared_hugetlb = self.shared_hugetlb.max(smaps.shared_hugetlb());
    }

    fn finish(&mut self) {
        self.usage.ram += self.shared_hugetlb;
        self.usage.shared += self.shared_hugetlb;
    }
}

/// A process that could not be measured in time, and what can still be told of it.
#[derive(Clone, Debug)]
pub struct TimedOut {
    /// The process.
    pub pid: Pid,
    /// What the kernel tells without waiting.
    pub glimpse: Glimpse,
}

/// A row of processes whose memory is not known.
#[derive(Clone, Debug, Default)]
pub struct Unknown {
    /// comm of all of them; other names can take as long as the memory.
    pub name: Vec<u8>,
    /// The process, when rows are processes.
    pub pid: Option<Pid>,
    /// How many there are.
    pub count: u64,
    /// What is known all the same.
    pub known: Known,
}

/// What the kernel still tells of processes whose memory is not known; `None` when it does not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// Resident pages, shared ones counted whole in each process.
    pub rss: Option<Kib>,
    /// Swapped pages, counted likewise.
    pub swap: Option<Kib>,
}

impl Known {
    fn add(&mut self, rss: Option<Kib>, swap: Option<Kib>) {
        self.rss = self.rss.into_iter().chain(rss).reduce(Kib::add);
        self.swap = self.swap.into_iter().chain(swap).reduce(Kib::add);
    }
}

/// What else was found out about processes, besides their own figures.
#[derive(Clone, Copy, Debug)]
pub struct Found<'a> {
    /// How many there are whose memory is not known.
    pub unknown: usize,
    /// Those of them that could not be measured in time.
    pub timed_out: &'a [TimedOut],
    /// Those that run in the memory of another measured one: that one, by process.
    pub sharing: &'a HashMap<Pid, Pid>,
}

/// The rows of a report and their sum.
#[derive(Debug, Default)]
pub struct Programs<'run> {
    /// The rows, in the order they are shown.
    pub rows: Vec<Program<'run>>,
    /// Rows that were cut: how many, and their sum.
    pub rest: Option<(usize, Usage)>,
    /// The sum over all rows, cut ones included; `None` when nothing was measured of what is there.
    pub total: Option<Usage>,
    /// Rows without figures, since their memory is in rows that are shown.
    pub sharing: Vec<Sharing<'run>>,
    /// Rows without figures, since nobody knows, in the order they are shown.
    pub unknown: Vec<Unknown>,
    /// Those of them that were cut: how many, and what is known of them.
    pub unknown_rest: Option<(usize, Known)>,
    /// Whether shared swapped pages are counted whole in some process (kernels before 4.3).
    pub swap_is_unshared: bool,
}

/// The order and number of rows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Order {
    /// What decides.
    pub key: SortKey,
    /// Biggest first (or Z first) instead of last.
    pub reverse: bool,
    /// Only so many rows, the biggest ones.
    pub top: Option<usize>,
}

/// Sums processes up into rows.
pub fn group<'run>(
    processes: impl Iterator<Item = ProcessUsage<'run>> + Clone,
    found: Found<'_>,
    grouping: Grouping,
    order: Order,
) -> Programs<'run> {
    let owners = sharing::owners(processes.clone(), found.sharing);
    let mut sharers = Vec::new();
    let mut rows: Vec<Program<'run>> = Vec::new();
    let mut by_name: HashMap<&[u8], usize> = HashMap::new();
    let mut swap_is_unshared = false;
    for process in processes {
        let owner = owners.get(&process.pid);
        if let Some(owner) = owner.filter(|owner| !sharing::is_row_of(&process, owner, grouping)) {
            sharers.push(Sharing::new(&process, owner, grouping));
            continue;
        }
        let place = match grouping {
            Grouping::Program => *by_name.entry(process.name).or_insert(rows.len()),
            Grouping::Pid => rows.len(),
        };
        if place == rows.len() {
            rows.push(Program::new(&process, grouping));
        }
        rows[place].count += 1;
        if owner.is_none() {
            rows[place].add(&process.smaps);
            swap_is_unshared |= process.smaps.swap_is_unshared() && process.smaps.swap() > Kib(0);
        }
    }
    rows.iter_mut().for_each(Program::finish);
    // Missing is never 0.
    let total = (found.unknown == 0 || !rows.is_empty()).then(|| sum(&rows));
    sort(&mut rows, order.key);
    let rest = cut(&mut rows, order).map(|cut| (cut.len(), sum(&cut)));
    if rest.is_some() {
        sharers.retain(|one| rows.iter().any(|row| one.is_of(row)));
    }
    let mut unknown = unknown(found.timed_out, grouping);
    sort_unknown(&mut unknown, order.key);
    let unknown_rest = cut(&mut unknown, order).map(|cut| (cut.len(), known(&cut)));
    if order.reverse {
        rows.reverse();
        unknown.reverse();
    }
    let sharing = sharing::merged(sharers);
    Programs { rows, rest, total, sharing, unknown, unknown_rest, swap_is_unshared }
}

/// Processes of one comm in one row.
fn unknown(timed_out: &[TimedOut], grouping: Grouping) -> Vec<Unknown> {
    let mut rows: BTreeMap<(&[u8], Option<Pid>), Unknown> = BTreeMap::new();
    for TimedOut { pid, glimpse } in timed_out {
        let pid = (grouping == Grouping::Pid).then_some(*pid);
        let row = rows.entry((&glimpse.comm, pid)).or_default();
        row.count += 1;
        row.known.add(glimpse.rss, glimpse.swap);
    }
    let named = |((name, pid), row): (_, _)| Unknown { name: <[u8]>::to_vec(name), pid, ..row };
    rows.into_iter().map(named).collect()
}

/// By what is resident, as the best guess at RAM. They come by name and process id, and stay so
/// where that is equal.
fn sort_unknown(rows: &mut [Unknown], key: SortKey) {
    if key != SortKey::Name {
        rows.sort_by_key(|row| row.known.rss);
    }
}

fn known(rows: &[Unknown]) -> Known {
    rows.iter().fold(Known::default(), |mut sum, row| {
        sum.add(row.known.rss, row.known.swap);
        sum
    })
}

fn sum(rows: &[Program<'_>]) -> Usage {
    rows.iter().fold(Usage::default(), |mut sum, row| {
        sum.add(&row.usage);
        sum
    })
}

/// Smallest first. Of equal rows the one with more RAM is the bigger; then name and process id
/// decide, so that the order is always the same.
fn sort(rows: &mut [Program<'_>], key: SortKey) {
    let figure = |row: &Program<'_>| match key {
        SortKey::Ram => row.usage.ram.0,
        SortKey::Shared => row.usage.shared.0,
        SortKey::Swap => row.usage.swap.0,
        SortKey::Heap => row.usage.heap.0,
        SortKey::Count => row.count,
        SortKey::Name => 0,
    };
    let ram = |row: &Program<'_>| if key == SortKey::Name { Kib(0) } else { row.usage.ram };
    rows.sort_unstable_by(|a, b| {
        let figures = figure(a).cmp(&figure(b)).then_with(|| ram(a).cmp(&ram(b)));
        figures.then_with(|| a.name.cmp(b.name)).then_with(|| a.pid.cmp(&b.pid))
    });
}

/// Keeps the rows that `--top` asks for, the biggest or the first names, and returns the others.
fn cut<Row>(rows: &mut Vec<Row>, order: Order) -> Option<Vec<Row>> {
    let excess = rows.len().checked_sub(order.top?).filter(|excess| *excess > 0)?;
    Some(match order.key {
        SortKey::Name => rows.split_off(rows.len() - excess),
        _ => rows.drain(..excess).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timed_out(pid: u32, comm: &str, rss: Option<u64>) -> TimedOut {
        let glimpse = Glimpse { comm: comm.into(), state: None, rss: rss.map(Kib), swap: None };
        TimedOut { pid: Pid(pid), glimpse }
    }

    fn names(programs: &Programs<'_>) -> Vec<String> {
        let name = |row: &Unknown| String::from_utf8_lossy(&row.name).into_owned();
        programs.unknown.iter().map(name).collect()
    }

    #[test]
    fn rows_without_figures_are_sorted_and_cut_too() {
        let all = [
            timed_out(1, "dark", None),
            timed_out(2, "big", Some(300)),
            timed_out(3, "twin", Some(20)),
            timed_out(4, "twin", Some(20)),
        ];
        let found = Found { unknown: all.len(), timed_out: &all, sharing: &HashMap::new() };
        let group = |order| group([].into_iter(), found, Grouping::Program, order);
        let whole = group(Order::default());
        assert_eq!(names(&whole), ["dark", "twin", "big"]);
        assert_eq!((whole.total, whole.unknown_rest), (None, None));
        let top = group(Order { top: Some(1), ..Order::default() });
        assert_eq!(names(&top), ["big"]);
        assert_eq!(top.unknown_rest, Some((2, Known { rss: Some(Kib(40)), swap: None })));
        let reverse = group(Order { reverse: true, ..Order::default() });
        assert_eq!(names(&reverse), ["big", "twin", "dark"]);
    }

    #[test]
    fn the_sum_of_nothing_is_0_when_nothing_is_missing() {
        let total = |count| {
            let found = Found { unknown: count, timed_out: &[], sharing: &HashMap::new() };
            group([].into_iter(), found, Grouping::Program, Order::default()).total
        };
        assert_eq!(total(0), Some(Usage::default()));
        assert_eq!(total(1), None);
    }

    #[test]
    fn what_is_known_of_stuck_processes_is_summed() {
        let stuck = |pid, rss, swap| TimedOut {
            pid: Pid(pid),
            glimpse: Glimpse { comm: b"db".to_vec(), rss, swap, ..Glimpse::default() },
        };
        let (kib, none) = (|kib| Some(Kib(kib)), None);
        let all = [stuck(1, kib(5), kib(7)), stuck(2, none, none), stuck(3, kib(1), kib(2))];
        let [row] = &unknown(&all, Grouping::Program)[..] else { panic!("one program") };
        assert_eq!((row.count, row.known), (3, Known { rss: kib(6), swap: kib(9) }));
        let by_pid = unknown(&all, Grouping::Pid);
        assert_eq!(by_pid[1].known, Known::default(), "missing is never 0");
        assert_eq!(known(&by_pid), row.known);
    }
}
