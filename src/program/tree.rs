//! Processes as a tree of parents and children: which row hangs below which, and the memory of
//! everything below a row.

use std::collections::HashMap;

use super::{Column, Program};
use crate::process::ProcessUsage;
use crate::units::{Kib, Pid};

/// The columns with sums of RAM and swap over a subtree.
const SUMS: [Column; 2] = [Column::Subtree, Column::SubtreeSwap];

/// The parents of processes. It has no cycle, although the processes are not read at one instant:
/// an id can change hands in between.
#[derive(Debug, Default)]
pub struct Lineage {
    parents: HashMap<Pid, Pid>,
}

/// The place of a row in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreePlace {
    /// The number of rows above it.
    pub depth: usize,
    /// The row that it hangs below: its nearest ancestor with a row.
    pub parent: Option<Pid>,
    /// The number of processes with it: itself, and all measured processes below. Their memory is
    /// in the columns of the subtree.
    pub count: u64,
}

impl Lineage {
    /// The lineage of these processes, and of others without figures, which have these parents.
    pub fn new<'run>(
        processes: impl Iterator<Item = ProcessUsage<'run>> + Clone,
        others: &HashMap<Pid, Pid>,
    ) -> Lineage {
        let starts: HashMap<Pid, u64> =
            processes.clone().filter_map(|one| Some((one.pid, one.stat.start_time?))).collect();
        let known = processes.filter_map(|one| Some((one.pid, one.stat.parent?)));
        let others = others.iter().map(|(pid, parent)| (*pid, *parent));
        let mut links: Vec<(Pid, Pid)> = known.chain(others).collect();
        // A parent began before its children, else it is another process with the id of the parent.
        links.retain(|(pid, parent)| {
            let both = starts.get(pid).zip(starts.get(parent));
            both.is_none_or(|(start, above)| above <= start)
        });
        let mut lineage = Lineage { parents: links.into_iter().collect() };
        lineage.cut_cycles();
        lineage
    }

    /// Removes a link of each cycle. Visits each process once: a chain can have all of the host.
    fn cut_cycles(&mut self) {
        let mut pids: Vec<Pid> = self.parents.keys().copied().collect();
        pids.sort_unstable();
        // The line of ancestors that a process was first visited in.
        let mut line_of: HashMap<Pid, Pid> = HashMap::new();
        for first in pids {
            let mut last = first;
            while !line_of.contains_key(&last) {
                line_of.insert(last, first);
                let Some(parent) = self.parents.get(&last).copied() else { break };
                if line_of.get(&parent) == Some(&first) {
                    self.parents.remove(&last);
                    break;
                }
                last = parent;
            }
        }
    }

    /// The processes with parents, each in front of its own parent.
    fn upwards(&self) -> Vec<Pid> {
        let mut children: HashMap<Pid, usize> = HashMap::new();
        self.parents.values().for_each(|parent| *children.entry(*parent).or_default() += 1);
        let is_leaf = |pid: &Pid| !children.contains_key(pid);
        let mut order: Vec<Pid> = self.parents.keys().copied().filter(is_leaf).collect();
        let mut place = 0;
        while let Some(pid) = order.get(place).copied() {
            place += 1;
            let Some(parent) = self.parents.get(&pid) else { continue };
            let left = children.entry(*parent).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 && self.parents.contains_key(parent) {
                order.push(*parent);
            }
        }
        order
    }

    /// The process itself, its parent, and so on.
    fn ancestors(&self, pid: Pid) -> impl Iterator<Item = Pid> + '_ {
        std::iter::successors(Some(pid), |pid| self.parents.get(pid).copied())
    }

    /// Sets the memory of everything below each row; rows are processes.
    pub(super) fn sum(&self, rows: &mut [Program<'_>]) {
        let places = places(rows);
        for row in rows.iter_mut() {
            row.tree = Some(TreePlace { depth: 0, parent: None, count: 1 });
            let own = [Column::Ram, Column::Swap].map(|column| row.usage.get(column));
            SUMS.into_iter().zip(own).for_each(|(column, own)| row.usage.set(column, own));
        }
        // Of processes without a row, too: the memory below them counts above.
        let mut sums: HashMap<Pid, ([Option<Kib>; 2], u64)> = HashMap::new();
        for pid in self.upwards() {
            let of_row = places.get(&pid).map(|place| &rows[*place]);
            let of_row = of_row.map(|row| {
                let count = row.tree.map_or(0, |tree| tree.count);
                (SUMS.map(|column| row.usage.get(column)), count)
            });
            let sum = of_row.or_else(|| sums.remove(&pid));
            let (Some((amounts, count)), Some(parent)) = (sum, self.parents.get(&pid)) else {
                continue;
            };
            let add =
                |sum: Option<Kib>, more| sum.zip(more).map(|(sum, more): (Kib, Kib)| sum + more);
            match places.get(parent) {
                Some(place) => {
                    let Program { usage, tree, .. } = &mut rows[*place];
                    for (column, more) in SUMS.into_iter().zip(amounts) {
                        usage.set(column, add(usage.get(column), more));
                    }
                    tree.iter_mut().for_each(|tree| tree.count += count);
                }
                None => {
                    let (sum, below) = sums.entry(*parent).or_insert(([Some(Kib(0)); 2], 0));
                    *sum = [0, 1].map(|n| add(sum[n], amounts[n]));
                    *below += count;
                }
            }
        }
    }

    /// Puts each row below its nearest ancestor with a row. Siblings keep their order.
    pub(super) fn arrange(&self, rows: &mut Vec<Program<'_>>) {
        let places = places(rows);
        let parent = |row: &Program<'_>| {
            let mut above = self.ancestors(row.pid?).skip(1);
            above.find(|pid| places.contains_key(pid))
        };
        let mut children: HashMap<Option<Pid>, Vec<usize>> = HashMap::new();
        for (place, row) in rows.iter().enumerate() {
            children.entry(parent(row)).or_default().push(place);
        }
        let mut arranged = Vec::with_capacity(rows.len());
        let mut waiting: Vec<(usize, Option<Pid>, usize)> = Vec::new();
        let mut push = |waiting: &mut Vec<_>, parent, depth| {
            let below = children.remove(&parent).unwrap_or_default();
            waiting.extend(below.into_iter().rev().map(|place| (place, parent, depth)));
        };
        push(&mut waiting, None, 0);
        while let Some((place, parent, depth)) = waiting.pop() {
            let mut row = rows[place];
            row.tree = row.tree.map(|tree| TreePlace { depth, parent, ..tree });
            if row.pid.is_some() {
                push(&mut waiting, row.pid, depth + 1);
            }
            arranged.push(row);
        }
        debug_assert_eq!(arranged.len(), rows.len(), "a lineage has no cycle");
        *rows = arranged;
    }
}

/// The places of rows by their processes.
fn places(rows: &[Program<'_>]) -> HashMap<Pid, usize> {
    rows.iter().enumerate().filter_map(|(place, row)| Some((row.pid?, place))).collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Annotations, Grouping, Labels, Order, Programs, Shares, group};
    use super::*;
    use crate::process::StatFigures;
    use crate::smaps::naive;

    fn process(pid: u32, parent: u32, start: u64, pss: u64) -> ProcessUsage<'static> {
        let text = format!("Pss: {pss} kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 0 kB\n");
        ProcessUsage {
            pid: Pid(pid),
            name: b"p",
            smaps: naive::scan(text.as_bytes()).expect("smaps"),
            uid: None,
            cgroup: None,
            page_tables: None,
            stat: StatFigures {
                parent: Some(Pid(parent)),
                start_time: Some(start),
                ..StatFigures::default()
            },
        }
    }

    /// Process, parent, depth, own RAM and that of the subtree.
    type Shown = (u32, Option<u32>, usize, u64, u64);

    fn shown(programs: &Programs<'_>) -> Vec<Shown> {
        let kib = |amount: Option<Kib>| amount.map_or(0, |kib| kib.0);
        let one = |row: &Program<'_>| {
            let tree = row.tree.expect("a tree");
            let (own, all) = (row.usage.get(Column::Ram), row.usage.get(Column::Subtree));
            let (pid, parent) = (row.pid.expect("a process"), tree.parent.map(|pid| pid.0));
            (pid.0, parent, tree.depth, kib(own), kib(all))
        };
        programs.rows.iter().map(one).collect()
    }

    fn tree(all: &[ProcessUsage<'static>], others: &[(u32, u32)], order: Order) -> Vec<Shown> {
        let others = others.iter().map(|(pid, parent)| (Pid(*pid), Pid(*parent))).collect();
        let lineage = Lineage::new(all.iter().copied(), &others);
        let (sharing, shares) = (HashMap::new(), Shares::new());
        let labels = Labels::new(all.iter().copied(), Grouping::Tree, None);
        let annotations =
            Annotations { lineage: Some(&lineage), ..Annotations::new(&sharing, &shares) };
        let programs = group(all.iter().copied(), &labels, annotations, order);
        let sum: u64 = all.iter().map(|one| one.smaps.pss().0).sum();
        let total = programs.total.and_then(|total| total.get(Column::Ram));
        assert_eq!(total, Some(Kib(sum)), "the total sums own figures");
        shown(&programs)
    }

    /// Each process is visited a few times, not once for each one below it.
    #[test]
    fn a_chain_of_all_processes_takes_no_time() {
        const COUNT: u32 = 20_000;
        let all: Vec<_> = (1..=COUNT).map(|pid| process(pid, pid - 1, u64::from(pid), 1)).collect();
        let began = std::time::Instant::now();
        let rows = tree(&all, &[], Order::default());
        // Quadratic time takes a minute.
        assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
        assert_eq!(rows[0], (1, None, 0, 1, u64::from(COUNT)));
        let last = (COUNT, Some(COUNT - 1), COUNT as usize - 1, 1, 1);
        assert_eq!(rows[COUNT as usize - 1], last);
    }

    #[test]
    fn children_follow_their_parents_and_siblings_are_sorted() {
        let all = [
            process(1, 0, 1, 5),
            process(2, 1, 2, 30),
            process(3, 1, 3, 10),
            process(4, 2, 4, 7),
            process(5, 2, 5, 3),
            process(6, 0, 9, 4),
        ];
        let whole = [
            (6, None, 0, 4, 4),
            (1, None, 0, 5, 55),
            (3, Some(1), 1, 10, 10),
            (2, Some(1), 1, 30, 40),
            (5, Some(2), 2, 3, 3),
            (4, Some(2), 2, 7, 7),
        ];
        assert_eq!(tree(&all, &[], Order::default()), whole);
        let reversed = tree(&all, &[], Order { reverse: true, ..Order::default() });
        assert_eq!(reversed.iter().map(|row| row.0).collect::<Vec<_>>(), [1, 2, 4, 5, 3, 6]);
        // 5 and 6 are cut: the memory of 5 counts in the subtrees above.
        let top = tree(&all, &[], Order { top: Some(4), key: Column::Ram, reverse: false });
        assert_eq!(
            top,
            [
                (1, None, 0, 5, 55),
                (3, Some(1), 1, 10, 10),
                (2, Some(1), 1, 30, 40),
                (4, Some(2), 2, 7, 7)
            ]
        );
    }

    /// The parent of 4 is not measured; its grandparent 2 is.
    #[test]
    fn rows_hang_below_the_nearest_ancestor_with_a_row() {
        let all = [process(2, 1, 2, 30), process(4, 3, 4, 7), process(8, 9, 5, 1)];
        assert_eq!(
            tree(&all, &[(3, 2), (1, 0), (9, 0)], Order::default()),
            [(8, None, 0, 1, 1), (2, None, 0, 30, 37), (4, Some(2), 1, 7, 7)]
        );
    }

    /// Each of two processes names the other as its parent: an id changed hands between the reads.
    #[test]
    fn reused_ids_make_no_cycle() {
        let younger = [process(2, 3, 5, 1), process(3, 2, 9, 2)];
        assert_eq!(
            tree(&younger, &[], Order::default()),
            [(2, None, 0, 1, 3), (3, Some(2), 1, 2, 2)]
        );
        let same_tick = [process(2, 4, 5, 1), process(3, 2, 5, 2), process(4, 3, 5, 4)];
        assert_eq!(tree(&same_tick, &[], Order::default()).len(), 3);
        let own = [process(7, 7, 5, 1)];
        assert_eq!(tree(&own, &[], Order::default()), [(7, None, 0, 1, 1)]);
        let unread = tree(&[process(5, 6, 1, 1)], &[(6, 8), (8, 6)], Order::default());
        assert_eq!(unread, [(5, None, 0, 1, 1)]);
    }
}
