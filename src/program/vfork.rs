//! Rows of processes that share the address space of another process, whose row counts the memory.

use std::collections::HashMap;

use super::{Grouping, Labels, Program};
use crate::process::ProcessUsage;
use crate::units::Pid;

/// A row of processes without memory of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sharing<'run> {
    /// The label.
    pub name: &'run [u8],
    /// The process, if the row has one process.
    pub pid: Option<Pid>,
    /// The label of the row that counts the memory.
    pub owner: &'run [u8],
    /// The process that owns the memory, if rows are processes.
    pub owner_pid: Option<Pid>,
    /// The number of processes.
    pub count: u64,
}

/// The process that owns an address space, and the label of its row.
#[derive(Clone, Copy)]
pub(super) struct MemoryOwner<'run> {
    pid: Pid,
    pub(super) name: &'run [u8],
}

impl<'run> Sharing<'run> {
    pub(super) fn new(
        pid: Pid,
        name: &'run [u8],
        owner: &MemoryOwner<'run>,
        grouping: Grouping,
    ) -> Sharing<'run> {
        let owner_pid = grouping.is_process().then_some(owner.pid);
        Sharing { name, pid: Some(pid), owner: owner.name, owner_pid, count: 1 }
    }

    /// Whether this row counts the memory.
    pub(super) fn is_of(&self, row: &Program<'_>) -> bool {
        self.owner == row.name && self.owner_pid.is_none_or(|pid| row.pid == Some(pid))
    }
}

/// Maps each process that shares an address space to the owner.
pub(super) fn owners<'run>(
    processes: impl Iterator<Item = ProcessUsage<'run>>,
    labels: &'run Labels<'run>,
    sharing: &HashMap<Pid, Pid>,
) -> HashMap<Pid, MemoryOwner<'run>> {
    if sharing.is_empty() {
        return HashMap::new(); // The usual case.
    }
    let owner = |process: ProcessUsage<'run>| MemoryOwner {
        pid: process.pid,
        name: labels.label(&process),
    };
    let by_pid: HashMap<Pid, _> = processes.map(|process| (process.pid, owner(process))).collect();
    let owner = |(pid, owner): (&Pid, &Pid)| Some((*pid, *by_pid.get(owner)?));
    sharing.iter().filter_map(owner).collect()
}

/// Merges rows of one label and one owner, unless rows are processes.
pub(super) fn merged(mut sharing: Vec<Sharing<'_>>) -> Vec<Sharing<'_>> {
    sharing.sort_unstable_by_key(|one| (one.name, one.owner_pid.and(one.pid), one.owner, one.pid));
    sharing.dedup_by(|next, row| {
        let is_process = row.owner_pid.is_some();
        let is_one = !is_process && (next.name, next.owner) == (row.name, row.owner);
        if is_one {
            row.count += next.count;
            row.pid = None;
        }
        is_one
    });
    sharing
}

#[cfg(test)]
mod tests {
    use super::super::{Annotations, Column, Order, Shares, Usage, group};
    use super::*;
    use crate::process::StatFigures;
    use crate::smaps::Scanner;
    use crate::units::Kib;

    /// A process that shares an address space is counted in the row of the owner, or has a row
    /// without figures.
    #[test]
    fn shared_address_spaces_count_once() {
        let usage = |pid, name: &'static str, pss: u64| {
            let mut scanner = Scanner::new();
            let rest = "Private_Clean: 0 kB\nPrivate_Dirty: 0 kB\n";
            scanner.feed(format!("Pss: {pss} kB\n{rest}").as_bytes());
            let smaps = scanner.finish().expect("smaps");
            ProcessUsage {
                pid: Pid(pid),
                name: name.as_bytes(),
                smaps,
                uid: None,
                cgroup: None,
                page_tables: None,
                stat: StatFigures::default(),
            }
        };
        let all = [
            usage(1, "shell", 50),
            usage(2, "shell", 50),
            usage(3, "job", 50),
            usage(4, "job", 50),
            usage(5, "big", 900),
        ];
        let sharing = HashMap::from([2, 3, 4].map(|child| (Pid(child), Pid(1))));
        let (sharing, shares) = (&sharing, &Shares::new());
        let annotations = Annotations::new(sharing, shares);
        let labels = |grouping| Labels::new(std::iter::empty(), grouping, None);
        let (names, pids) = (labels(Grouping::Program), labels(Grouping::Pid));
        let group = |labels, top| {
            group(all.into_iter(), labels, annotations, Order { top, ..Order::default() })
        };
        let ram = |usage: &Usage| usage.get(Column::Ram);
        let programs = group(&names, None);
        let rows: Vec<_> = programs.rows.iter().map(|row| (row.count, ram(&row.usage))).collect();
        assert_eq!(rows, [(2, Some(Kib(50))), (1, Some(Kib(900)))]);
        let [job] = &programs.sharing[..] else { panic!("{:?}", programs.sharing) };
        assert_eq!((job.name, job.owner, job.count), (&b"job"[..], &b"shell"[..], 2));
        let by_pid = group(&pids, None);
        assert_eq!(by_pid.sharing.len(), 3);
        for programs in [&programs, &by_pid] {
            assert_eq!(programs.total.and_then(|total| ram(&total)), Some(Kib(950)));
        }
        // A row without figures is cut with the row that counts its memory.
        assert_eq!(group(&pids, Some(1)).sharing, []);
        assert_eq!(group(&pids, Some(2)).sharing.len(), 3);
    }
}
