//! docs/BENCHMARKS.md shows the records: these tests generate its tables, and check that its plots
//! come from the same bytes. `UPDATE_GOLDEN=1 cargo test benchmarks` writes the tables,
//! `scripts/benchmarks.sh --draw` the plots as well.

mod record;
mod tables;

use std::fs::{read, read_dir, read_to_string};
use std::path::{Path, PathBuf};

use regex::Regex;

const DOCUMENT: &str = "docs/BENCHMARKS.md";

fn path(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(below)
}

#[test]
fn tables_show_the_records() {
    let document = read_to_string(path(DOCUMENT)).expect("the document");
    let mut wanted = document.clone();
    for (name, make) in tables::BLOCKS {
        let [begin, end] = ["begin", "end"].map(|edge| format!("<!-- {edge} {name} -->\n"));
        let (head, rest) = wanted.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
        let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
        wanted = format!("{head}{begin}\n{}\n{end}{tail}", make());
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(path(DOCUMENT), wanted).expect("the document can be written");
    }
    let differs = document.lines().zip(wanted.lines()).position(|(is, wanted)| is != wanted);
    let line = differs.unwrap_or_else(|| document.lines().count().min(wanted.lines().count()));
    assert!(
        document == wanted,
        "{DOCUMENT}:{}: differs from the records, expected {:?}: UPDATE_GOLDEN=1 cargo test \
         benchmarks",
        line + 1,
        wanted.lines().nth(line)
    );
}

/// The same checksum as in `scripts/plots.py`.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

#[test]
fn plots_were_drawn_from_the_records() {
    let document = read_to_string(path(DOCUMENT)).expect("the document");
    let drawn_from = Regex::new(r"<!-- records: (.*) -->").expect("a regular expression");
    let mut plots = 0;
    for entry in read_dir(path("docs/plots")).expect("plots").flatten() {
        let plot = read_to_string(entry.path()).expect("a plot");
        let name = entry.file_name().into_string().expect("UTF-8");
        assert!(document.contains(&format!("(plots/{name})")), "{DOCUMENT} does not show {name}");
        let records =
            drawn_from.captures(&plot).unwrap_or_else(|| panic!("{name} names no records"));
        for record in records[1].split(' ') {
            let (record, sum) = record.split_once('=').expect("a record and its checksum");
            let bytes = read(path(&format!("benches/record/{record}.json"))).expect("a record");
            let is_same = format!("{:016x}", fnv1a(&bytes)) == sum;
            assert!(is_same, "{name}: {record} has changed: scripts/benchmarks.sh --draw");
        }
        plots += 1;
    }
    assert_eq!(plots, document.matches("(plots/").count(), "plots that {DOCUMENT} shows");
}
