//! The tables of docs/GROUPING.md, row by row: the program follows each row.

use super::sources::{fail_if_any, read};

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const ID2: &str = "0123456789ab0000000000000000000000000000000000000000000000000000";
const POD: &str = "8c1f2e5a-77aa-4d4e-9d35-0a2f5c6b7e81";

/// The cells of each row of the table below a heading, without their backquotes.
pub fn table(heading: &str) -> Vec<Vec<String>> {
    let document = read("docs/GROUPING.md");
    let below = document.split(heading).nth(1).expect("the heading");
    let lines = below.lines().skip_while(|line| !line.starts_with("| `"));
    let rows = lines.take_while(|line| line.starts_with('|'));
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    rows.map(|line| line.trim_matches('|').split(" | ").map(cell).collect()).collect()
}

/// Replaces the placeholders of the document with their values.
pub fn whole(text: &str) -> String {
    let text = text.replace("POD_", &POD.replace('-', "_")).replace("POD", POD);
    text.replace("ID2", ID2).replace("ID", ID)
}

pub fn check(heading: &str, least: usize, word: &str, found: impl Fn(&[u8]) -> Option<Vec<u8>>) {
    let rows = table(heading);
    assert!(rows.len() >= least, "{heading}: {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in rows {
        let (given, expected) = (&row[0], &row[row.len() - 1]);
        let found = found(whole(given).as_bytes()).unwrap_or_else(|| word.into());
        let found = String::from_utf8_lossy(&found).into_owned();
        if found != whole(expected) {
            wrong.push(format!("docs/GROUPING.md: {given}: {found}, not {expected}"));
        }
    }
    fail_if_any(&wrong);
}
