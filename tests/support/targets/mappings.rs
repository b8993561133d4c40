//! Mappings of any text by name: whole, in pieces, through a log and by the naive twin. The first
//! bytes select the cuts.

use psm_uring::smaps::{
    Field, Malformed, MappingLog, MappingSums, NamedMappings, Scanner, Smaps, mapping_name, naive,
};
use psm_uring::units::{Kib, Pid};

use super::scanner::{LENGTHS, cut};

/// Raw names and their sums.
pub type ByName = Vec<(Vec<u8>, MappingSums)>;

pub fn run(bytes: &[u8]) {
    let (lengths, text) = bytes.split_at(bytes.len().min(LENGTHS));
    let expected = naive::scan(text).map(|_| naive::by_name(text));
    assert_eq!(by_name([text]), expected, "whole");
    assert_eq!(by_name(text.chunks(1)), expected, "byte by byte");
    assert_eq!(by_name(cut(text, lengths)), expected, "in pieces of {lengths:?}");
    for (raw, _) in expected.iter().flatten() {
        let name = mapping_name(raw);
        assert!(!name.is_empty(), "a row without a name: {}", raw.escape_ascii());
        assert!(!name.ends_with(b" (deleted) (deleted)"), "{}", raw.escape_ascii());
    }
}

/// The mappings of a text by name, through two processes of a log.
pub fn by_name<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<ByName, Malformed> {
    // The allocations of another process.
    let mut scanner = Scanner::with_names(Box::default());
    scanner.feed(b"55d0-55e0 rw-p 00000000 00:00 0      [heap]\nPss: 4 kB\n55d0-55e0 rw-p");
    let named = scanner.take_named().expect("the mappings");
    let mut scanner = Scanner::with_names(named);
    pieces.into_iter().for_each(|piece| scanner.feed(piece));
    scanner.end()?;
    let named = scanner.named().expect("the mappings");
    let direct: ByName = named.iter().map(|(raw, sums)| (raw.to_vec(), *sums)).collect();
    assert_eq!(logged(named), [direct.clone(), direct.clone()], "in the log");
    Ok(direct)
}

fn logged(named: &NamedMappings) -> [ByName; 2] {
    let mut log = MappingLog::default();
    [Pid(7), Pid(9)].iter().for_each(|pid| log.record(*pid, named));
    let names: Vec<&[u8]> = log.names().collect();
    [0, 1].map(|place| {
        log.process(place).1.map(|(number, sums)| (names[number].to_vec(), sums)).collect()
    })
}

/// The figures of a process as those of a mapping, as far as the kernel prints them.
pub fn sums(smaps: &Smaps) -> MappingSums {
    let field = |field| smaps.get(field).unwrap_or_default();
    MappingSums {
        mappings: smaps.mappings(),
        rss: smaps.rss(),
        pss: smaps.pss(),
        uss: smaps.uss(),
        private_hugetlb: field(Field::PrivateHugetlb),
        shared_hugetlb: field(Field::SharedHugetlb),
        swap: smaps.swap().unwrap_or_default(),
        swap_beyond: Kib(0),
    }
}
