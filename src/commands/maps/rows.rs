//! From processes and their mappings to rows: summed by name, for the whole host or for each
//! program, sorted, cut.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::HashMap;

use serde::Serialize;

use super::column::MapColumn;
use super::usage::{MapUsage, apportion};
use crate::process::{self, NameRule};
use crate::program::{ColumnKind, Share};
use crate::report::Name;
use crate::run::Measured;
use crate::smaps::{Field, MappingLog, MappingSums, mapping_name};
use crate::units::{Kib, Pid};

/// A mapping of the kernel in each process, which `vm.max_map_count` does not count
/// (`get_gate_vma`, arch/x86/entry/vsyscall/vsyscall_64.c).
const GATE: &[u8] = b"[vsyscall]";

/// The rows of a report.
#[derive(Debug, Default)]
pub(super) struct Maps<'a> {
    /// One for each program, or one for all.
    pub(super) programs: Vec<ProgramMaps<'a>>,
    /// The sum of the programs that `--top` cuts.
    pub(super) rest: Option<MapRest>,
    /// The sum of all rows; `None` if none of the processes was measured, or if `hidepid` hides
    /// all.
    pub(super) total: Option<MapUsage>,
    /// The process with the most mappings, and their number.
    pub(super) fullest: Option<Fullest<'a>>,
    /// The number of processes in the address space of another one, which counts it.
    pub(super) sharing: usize,
    /// Whether a process counts shared swapped pages whole.
    pub(super) swap_is_unshared: bool,
}

/// The mappings of a program, or of all.
#[derive(Debug)]
pub(super) struct ProgramMaps<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) usage: MapUsage,
    pub(super) rows: Vec<MapRow<'a>>,
    pub(super) rest: Option<MapRest>,
}

/// The mappings of one name.
#[derive(Clone, Debug)]
pub(super) struct MapRow<'a> {
    pub(super) name: Cow<'a, [u8]>,
    pub(super) usage: MapUsage,
}

/// Rows that `--top` cuts.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct MapRest {
    #[serde(rename = "cut")]
    pub(super) rows: usize,
    #[serde(flatten)]
    pub(super) usage: MapUsage,
}

/// The process with the most mappings.
#[derive(Debug, Serialize)]
pub(super) struct Fullest<'a> {
    pub(super) pid: Pid,
    #[serde(flatten)]
    pub(super) name: Name<'a>,
    pub(super) mappings: u64,
}

/// The order of rows, and the number of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct MapOrder {
    pub(super) key: MapColumn,
    pub(super) reverse: bool,
    pub(super) top: Option<usize>,
}

/// The meaning of the outer rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outer {
    /// None: all processes together.
    All,
    /// Programs by name.
    Program,
    /// Programs by key.
    Key(NameRule),
}

/// A process, and where its mappings are.
struct Member<'a> {
    log: usize,
    place: usize,
    pid: Pid,
    name: &'a [u8],
    label: Cow<'a, [u8]>,
    has_swap: bool,
    share: Option<Share>,
}

/// A row that grows.
struct OpenRow {
    name: usize,
    usage: MapUsage,
    /// The process that is being added, and the number of its mappings.
    member: usize,
    in_member: u64,
}

/// RowSums the mappings of the measured processes.
pub(super) fn group<'a>(
    measured: &'a Measured,
    outer: Outer,
    order: MapOrder,
    is_incomplete: bool,
) -> Maps<'a> {
    let logs: Vec<&MappingLog> = measured.survey.mapping_logs().map(|(log, _)| log).collect();
    let (names, numbers) = name_rows(&logs);
    let mut maps = Maps::default();
    let mut members = members(measured, outer, &mut maps);
    let has_total = !is_incomplete || !members.is_empty();
    members.sort_by(|a, b| a.label.cmp(&b.label));
    let mut sums = RowSums::new(&logs, &numbers, names.len());
    let (mut programs, mut total) = (Vec::new(), MapUsage::NOTHING);
    for members in members.chunk_by(|a, b| a.label == b.label) {
        let mut usage = MapUsage::NOTHING;
        let rows = sums.rows(members, &mut usage);
        total.join(&usage);
        total.processes = total.processes.zip(usage.processes).map(|(sum, more)| sum + more);
        total.most = total.most.max(usage.most);
        let rows: Vec<MapRow<'_>> = rows
            .into_iter()
            .map(|row| MapRow { name: names[row.name].clone(), usage: row.usage })
            .collect();
        let (rows, rest) = ordered(rows, order, |row| (&row.usage, &row.name[..]));
        let rest = rest.map(|(rest, _)| rest);
        programs.push(ProgramMaps { name: members[0].label.clone(), usage, rows, rest });
    }
    // `--top` cuts rows: all processes together are none.
    let order = MapOrder { top: order.top.filter(|_| outer != Outer::All), ..order };
    let (programs, rest) = ordered(programs, order, |one| (&one.usage, &one.name[..]));
    let fullest = sums.fullest.map(|(mappings, member)| Fullest {
        pid: member.pid,
        name: Name(member.name),
        mappings,
    });
    // Programs have no process in common.
    let rest = rest
        .map(|(rest, processes)| MapRest { usage: MapUsage { processes, ..rest.usage }, ..rest });
    Maps { programs, rest, total: has_total.then_some(total), fullest, ..maps }
}

/// The names of rows, and for each log the row of each number.
fn name_rows<'a>(logs: &[&'a MappingLog]) -> (Vec<Cow<'a, [u8]>>, Vec<Vec<u32>>) {
    let mut rows: HashMap<Cow<'a, [u8]>, u32> = HashMap::new();
    let mut row = |name| {
        let next = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        *rows.entry(name).or_insert(next)
    };
    let numbers = logs.iter().map(|log| log.names().map(|raw| row(mapping_name(raw))).collect());
    let numbers = numbers.collect();
    let mut names: Vec<(Cow<'a, [u8]>, u32)> = rows.into_iter().collect();
    names.sort_unstable_by_key(|(_, number)| *number);
    (names.into_iter().map(|(name, _)| name).collect(), numbers)
}

/// The processes that count. Facts about all are left in `maps`.
fn members<'a>(measured: &'a Measured, outer: Outer, maps: &mut Maps<'_>) -> Vec<Member<'a>> {
    let mut members = Vec::new();
    for (log, (_, processes)) in measured.survey.mapping_logs().enumerate() {
        for (place, process) in processes.enumerate() {
            if measured.spaces.owners.contains_key(&process.pid) {
                maps.sharing += 1;
                continue;
            }
            let smaps = &process.smaps;
            maps.swap_is_unshared |= smaps.swap_is_unshared() && smaps.swap() > Some(Kib(0));
            members.push(Member {
                log,
                place,
                pid: process.pid,
                name: process.name,
                label: match outer {
                    Outer::All => Cow::Borrowed(&[][..]),
                    Outer::Program => Cow::Borrowed(process.name),
                    Outer::Key(rule) => process::key(rule, process.name),
                },
                has_swap: smaps.get(Field::Swap).is_some(),
                share: measured.common.shares.get(&process.pid).copied(),
            });
        }
    }
    members
}

/// The logs of mappings, and the rows of their names.
struct RowSums<'a, 'run> {
    logs: &'a [&'run MappingLog],
    /// For each log the row of each number, and the number of the gate.
    numbers: &'a [Vec<u32>],
    gates: Vec<Option<usize>>,
    /// For each name its row of the current program, plus 1.
    places: Vec<u32>,
    /// The most mappings of a process, without the gate, and the process.
    fullest: Option<(u64, &'a Member<'run>)>,
}

impl<'a, 'run> RowSums<'a, 'run> {
    fn new(logs: &'a [&'run MappingLog], numbers: &'a [Vec<u32>], names: usize) -> Self {
        let gates = logs.iter().map(|log| log.names().position(|raw| raw == GATE)).collect();
        RowSums { logs, numbers, gates, places: vec![0; names], fullest: None }
    }

    /// The rows of some processes, and their sum.
    fn rows(&mut self, members: &'a [Member<'run>], sum: &mut MapUsage) -> Vec<OpenRow> {
        let mut rows: Vec<OpenRow> = Vec::new();
        let mut shared = Vec::new();
        for (number, member) in members.iter().enumerate() {
            let (_, found) = self.logs[member.log].process(member.place);
            let mut mappings = 0;
            let mut take = |(name, sums): (usize, MappingSums)| {
                let is_gate = self.gates[member.log] == Some(name);
                mappings += if is_gate { 0 } else { sums.mappings };
                self.add(&mut rows, (number, member), name, &sums);
                sum.add(&sums, member.has_swap);
            };
            match &member.share {
                None => found.for_each(take),
                Some(share) => {
                    shared.clear();
                    shared.extend(found);
                    apportion(&mut shared, share);
                    shared.iter().copied().for_each(&mut take);
                }
            }
            sum.count(mappings);
            let is_fuller = |(most, one): (u64, &Member<'_>)| {
                mappings > most || mappings == most && member.pid < one.pid
            };
            if self.fullest.is_none_or(is_fuller) {
                self.fullest = Some((mappings, member));
            }
        }
        for row in &mut rows {
            row.end_member();
            self.places[row.name] = 0;
        }
        rows
    }

    /// Adds the mappings of one name of a process, which may have several raw names of a row.
    fn add(
        &mut self,
        rows: &mut Vec<OpenRow>,
        (number, member): (usize, &Member<'_>),
        name: usize,
        sums: &MappingSums,
    ) {
        let name = self.numbers[member.log][name] as usize;
        let place = self.places[name].checked_sub(1).map_or(rows.len(), |place| place as usize);
        if place == rows.len() {
            rows.push(OpenRow { name, usage: MapUsage::NOTHING, member: number, in_member: 0 });
            self.places[name] = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        }
        let row = &mut rows[place];
        if row.member != number {
            row.end_member();
            row.member = number;
        }
        row.usage.add(sums, member.has_swap);
        row.in_member += sums.mappings;
    }
}

impl OpenRow {
    fn end_member(&mut self) {
        let mappings = std::mem::take(&mut self.in_member);
        self.usage.count(mappings);
    }
}

/// Sorts rows, the smallest first, and cuts them. RAM decides among equal rows unless the key is
/// the name, then the name. The sum of the rows that are cut is without the number of processes,
/// which comes beside it for rows that have none in common.
fn ordered<Row>(
    mut rows: Vec<Row>,
    order: MapOrder,
    parts: impl Fn(&Row) -> (&MapUsage, &[u8]),
) -> (Vec<Row>, Option<(MapRest, Option<u64>)>) {
    let is_by_text = order.key.kind() == ColumnKind::Text;
    rows.sort_unstable_by(|a, b| {
        let ((a, a_name), (b, b_name)) = (parts(a), parts(b));
        let by_key = a.amount(order.key).cmp(&b.amount(order.key));
        let by_key = by_key.then_with(|| a.number(order.key).cmp(&b.number(order.key)));
        let by_ram = if is_by_text { Ordering::Equal } else { a.ram.cmp(&b.ram) };
        by_key.then(by_ram).then_with(|| a_name.cmp(b_name))
    });
    let excess = order.top.map_or(0, |top| rows.len().saturating_sub(top));
    let cut: Vec<Row> = match is_by_text {
        true => rows.split_off(rows.len() - excess),
        false => rows.drain(..excess).collect(),
    };
    if order.reverse {
        rows.reverse();
    }
    let mut usage = MapUsage { processes: None, most: None, ..MapUsage::NOTHING };
    cut.iter().for_each(|row| usage.join(parts(row).0));
    let processes = cut.iter().map(|row| parts(row).0.processes).sum();
    (rows, (excess > 0).then_some((MapRest { rows: excess, usage }, processes)))
}
