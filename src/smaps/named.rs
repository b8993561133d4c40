//! The mappings of processes, summed by name. Pure.
//!
//! [`NamedMappings`] takes those of one process while its text is read. A text that ends properly
//! moves to a [`MappingLog`], which holds those of many processes in few bytes; of a text that does
//! not, no figure is left.

use super::mapping_name::raw_name;
use super::names::Names;
use super::{Field, Smaps};
use crate::units::{Kib, Pid};

/// The longest line of a mapping that is kept. The kernel prints paths of more than 4 KiB if
/// directories are nested deeply enough; the rest of such a path is cut.
const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Room for the names of one process: those of 65,530 files with paths of 120 bytes.
const NAMES_BYTES_MAX: usize = 8 << 20;
/// Room for the names of all processes.
const LOG_NAMES_BYTES_MAX: usize = 32 << 20;
/// With more names than this, the memory is freed before the next process: there is a place for
/// each process in flight.
const NAMES_KEPT_MAX: usize = 512;

/// The number of figures of a mapping.
const FIGURES: usize = 8;

/// Sums over the mappings of a name, as the kernel prints them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MappingSums {
    /// The number of mappings.
    pub mappings: u64,
    /// `Rss`.
    pub rss: Kib,
    /// `Pss`.
    pub pss: Kib,
    /// `Private_Clean` and `Private_Dirty`.
    pub uss: Kib,
    /// `Private_Hugetlb`.
    pub private_hugetlb: Kib,
    /// `Shared_Hugetlb`, counted whole in each process.
    pub shared_hugetlb: Kib,
    /// `SwapPss`, or `Swap` from kernels that print no `SwapPss`.
    pub swap: Kib,
    /// `Swap` beyond `SwapPss`, counted whole in each process.
    pub swap_beyond: Kib,
}

impl MappingSums {
    /// The figures of a mapping from the sums at its header and behind its last line.
    fn between(before: &Smaps, after: &Smaps) -> MappingSums {
        let of = |field: Field| Kib(after.part(field).0 - before.part(field).0);
        let (swap, share) = (of(Field::Swap), of(Field::SwapPss));
        let has_shares = after.get(Field::SwapPss).is_some();
        MappingSums {
            mappings: 1,
            rss: of(Field::Rss),
            pss: of(Field::Pss),
            uss: of(Field::PrivateClean) + of(Field::PrivateDirty),
            private_hugetlb: of(Field::PrivateHugetlb),
            shared_hugetlb: of(Field::SharedHugetlb),
            swap: if has_shares { share } else { swap },
            swap_beyond: if has_shares { swap.saturating_sub(share) } else { Kib(0) },
        }
    }

    /// Adds the figures of other mappings.
    pub fn add(&mut self, other: &MappingSums) {
        *self = MappingSums {
            mappings: self.mappings + other.mappings,
            rss: self.rss + other.rss,
            pss: self.pss + other.pss,
            uss: self.uss + other.uss,
            private_hugetlb: self.private_hugetlb + other.private_hugetlb,
            shared_hugetlb: self.shared_hugetlb + other.shared_hugetlb,
            swap: self.swap + other.swap,
            swap_beyond: self.swap_beyond + other.swap_beyond,
        };
    }

    fn figures(&self) -> [u64; FIGURES] {
        let MappingSums { mappings, rss, pss, uss, .. } = *self;
        let MappingSums { private_hugetlb, shared_hugetlb, swap, swap_beyond, .. } = *self;
        let amounts = [rss, pss, uss, private_hugetlb, shared_hugetlb, swap, swap_beyond];
        std::array::from_fn(|place| place.checked_sub(1).map_or(mappings, |at| amounts[at].0))
    }

    fn from_figures(figures: [u64; FIGURES]) -> MappingSums {
        let [mappings, rss, pss, uss, private_hugetlb, shared_hugetlb, swap, swap_beyond] = figures;
        MappingSums {
            mappings,
            rss: Kib(rss),
            pss: Kib(pss),
            uss: Kib(uss),
            private_hugetlb: Kib(private_hugetlb),
            shared_hugetlb: Kib(shared_hugetlb),
            swap: Kib(swap),
            swap_beyond: Kib(swap_beyond),
        }
    }
}

/// The mappings of one process by name, while its text is read.
#[derive(Clone, Debug)]
pub struct NamedMappings {
    names: Names,
    /// By the number of the name.
    sums: Vec<MappingSums>,
    /// The name of the current mapping, and the sums of the process at its header.
    current: Option<(usize, Smaps)>,
    /// The name of the mapping before: those of a library and anonymous ones follow one another.
    last: usize,
    /// The header that the last chunk ended in.
    pub(super) kept: Vec<u8>,
}

impl Default for NamedMappings {
    fn default() -> NamedMappings {
        let names = Names::new(NAMES_BYTES_MAX);
        NamedMappings { names, sums: Vec::new(), current: None, last: 0, kept: Vec::new() }
    }
}

impl NamedMappings {
    /// Starts with another process.
    pub(crate) fn clear(&mut self) {
        if self.sums.len() > NAMES_KEPT_MAX || self.kept.capacity() > HEADER_BYTES_MAX / 4 {
            *self = NamedMappings::default();
        }
        self.names.clear();
        self.sums.clear();
        (self.current, self.last) = (None, 0);
        self.kept.clear();
    }

    /// Takes a part of a header that chunks cut, as far as there is room.
    pub(super) fn keep(&mut self, part: &[u8]) {
        let room = HEADER_BYTES_MAX - self.kept.len();
        self.kept.extend_from_slice(&part[..part.len().min(room)]);
    }

    /// A mapping begins. `line` is its header, or the beginning of the one that was kept.
    pub(super) fn begin(&mut self, line: &[u8], before: &Smaps) {
        self.end(before);
        let kept = std::mem::take(&mut self.kept);
        let line = if kept.is_empty() { line } else { &kept };
        let name = raw_name(&line[..line.len().min(HEADER_BYTES_MAX)]);
        let is_last = self.last < self.sums.len() && self.names.get(self.last) == name;
        let number = if is_last { self.last } else { self.names.number(name) };
        if number == self.sums.len() {
            self.sums.push(MappingSums::default());
        }
        self.current = Some((number, *before));
        self.last = number;
        self.kept = kept;
        self.kept.clear();
    }

    /// The current mapping ends.
    pub(super) fn end(&mut self, after: &Smaps) {
        if let Some((number, before)) = self.current.take() {
            self.sums[number].add(&MappingSums::between(&before, after));
        }
    }

    /// The names and their sums.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &MappingSums)> {
        self.sums.iter().enumerate().map(|(number, sums)| (self.names.get(number), sums))
    }
}

/// The mappings of many processes by name, in few bytes.
#[derive(Debug)]
pub struct MappingLog {
    names: Names,
    /// For each name of each process its number, the kinds of figures that are not 0, and these.
    bytes: Vec<u8>,
    /// The end of each process in `bytes`.
    ends: Vec<(Pid, usize)>,
}

impl Default for MappingLog {
    fn default() -> MappingLog {
        MappingLog { names: Names::new(LOG_NAMES_BYTES_MAX), bytes: Vec::new(), ends: Vec::new() }
    }
}

impl MappingLog {
    /// Adds a process.
    pub fn record(&mut self, pid: Pid, mappings: &NamedMappings) {
        for (name, sums) in mappings.iter() {
            write_number(&mut self.bytes, self.names.number(name) as u64);
            let figures = sums.figures();
            let bits = figures.iter().enumerate().map(|(bit, figure)| u8::from(*figure > 0) << bit);
            self.bytes.push(bits.fold(0, |all, bit| all | bit));
            figures.iter().filter(|n| **n > 0).for_each(|n| write_number(&mut self.bytes, *n));
        }
        self.ends.push((pid, self.bytes.len()));
    }

    /// The names, by number, as the kernel prints them.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.names.len()).map(|number| self.names.get(number))
    }

    /// The number of processes.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are no processes.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The process at a place, in the order in which they were added: its id, and for each of its
    /// names the number and the sums. A number can repeat once there is no room for names.
    pub fn process(&self, place: usize) -> (Pid, impl Iterator<Item = (usize, MappingSums)>) {
        let begin = place.checked_sub(1).map_or(0, |before| self.ends[before].1);
        let (pid, end) = self.ends[place];
        let mut rest = &self.bytes[begin..end];
        let next = move || {
            if rest.is_empty() {
                return None;
            }
            let number = usize::try_from(read_number(&mut rest)).ok()?;
            let (bits, behind) = rest.split_first()?;
            rest = behind;
            let figures = std::array::from_fn(|bit| match bits >> bit & 1 {
                0 => 0,
                _ => read_number(&mut rest),
            });
            Some((number, MappingSums::from_figures(figures)))
        };
        (pid, std::iter::from_fn(next))
    }
}

/// Writes seven bits a byte, the lowest first; the highest bit says that more follow (LEB128).
fn write_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let low = (number & 0x7f) as u8;
        number >>= 7;
        if number == 0 {
            return bytes.push(low);
        }
        bytes.push(low | 0x80);
    }
}

fn read_number(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some((byte, rest)) = bytes.split_first() {
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_returns_the_figures() {
        const AMOUNTS: [u64; 6] = [0, 1, 127, 128, 16_384, u64::MAX / 1024];
        let sums = |n: usize| {
            MappingSums::from_figures(std::array::from_fn(|at| {
                AMOUNTS[(n + at) % 6] / (at as u64 + 1)
            }))
        };
        let mut log = MappingLog::default();
        let mut expected = Vec::new();
        for pid in 1..40 {
            let mut mappings = NamedMappings::default();
            for n in 0..pid {
                let name = format!("/{}", n * pid);
                assert_eq!(mappings.names.number(name.as_bytes()), n);
                mappings.sums.push(sums(n * pid));
                expected.push((pid, name, sums(n * pid)));
            }
            log.record(Pid(u32::try_from(pid).expect("it is small")), &mappings);
        }
        let names: Vec<String> =
            log.names().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
        let mut found = Vec::new();
        for place in 0..log.len() {
            let (pid, entries) = log.process(place);
            found.extend(entries.map(|(n, sums)| (pid.0 as usize, names[n].clone(), sums)));
        }
        assert_eq!(found, expected);
    }
}
