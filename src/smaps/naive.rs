//! The obvious scanner: the whole text at once, line by line, as the format is described.
//!
//! Slow and plain on purpose. Property tests and benches check that [`Scanner`] returns the same
//! result for every text, cut anywhere.
//!
//! [`Scanner`]: super::Scanner

use super::mapping_name::raw_name;
use super::scanner::LINE_MAX;
use super::{Field, Kib, Malformed, MappingSums, Smaps};

/// Parses a whole text.
///
/// # Errors
/// [`Malformed`] if a counted line has no proper value or a required field is missing.
pub fn scan(text: &[u8]) -> Result<Smaps, Malformed> {
    let mut smaps = Smaps::default();
    let last = text.rsplit(|byte| *byte == b'\n').next();
    let mut malformed = last.is_some_and(header);
    let mut in_heap = false;
    for line in text.split(|byte| *byte == b'\n') {
        if header(line) {
            let words: Vec<&[u8]> = line.splitn(6, |byte| *byte == b' ').collect();
            let name = words.get(5).copied().unwrap_or_default();
            let padding = name.iter().take_while(|byte| **byte == b' ').count();
            in_heap = line.len() < LINE_MAX && &name[padding..] == b"[heap]";
            if smaps.mappings == 0 {
                smaps.addresses = addresses(&line[..line.len().min(LINE_MAX)]);
                let is_path = line.contains(&b'/');
                smaps.is_rollup = line.len() < LINE_MAX && line.ends_with(b" [rollup]") && !is_path;
            }
            smaps.mappings += 1;
            continue;
        }
        let Some((key, value)) = key_and_value(line) else { continue };
        for field in Field::ALL {
            if field.key().as_bytes() != key {
                continue;
            }
            let kib = number(value).filter(|_| line.len() < LINE_MAX);
            match kib.ok_or(Malformed).and_then(|kib| smaps.add(field, kib)) {
                Ok(()) if in_heap && field == Field::Pss => smaps.heap += kib.unwrap_or(0),
                Ok(()) => {}
                Err(Malformed) => malformed = true,
            }
        }
    }
    let needed = [Field::Pss, Field::PrivateClean, Field::PrivateDirty];
    if malformed || needed.iter().any(|field| smaps.get(*field).is_none()) {
        return Err(Malformed);
    }
    Ok(smaps)
}

/// The mappings of a whole text by name, in the order in which the names come first.
pub fn by_name(text: &[u8]) -> Vec<(Vec<u8>, MappingSums)> {
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let begins: Vec<usize> = (0..lines.len()).filter(|line| header(lines[*line])).collect();
    let mut all: Vec<(Vec<u8>, MappingSums)> = Vec::new();
    for (n, begin) in begins.iter().enumerate() {
        let end = begins.get(n + 1).copied().unwrap_or(lines.len());
        let sum = |lines: &[&[u8]], key: &str| {
            let figures = lines.iter().filter_map(|line| key_and_value(line));
            figures.filter(|(k, _)| *k == key.as_bytes()).filter_map(|(_, v)| number(v)).sum()
        };
        let of = |key: &str| Kib(sum(&lines[begin + 1..end], key));
        // Older kernels print no shares.
        let has_shares = lines[..end].iter().any(|line| line.starts_with(b"SwapPss:"));
        let share = of("SwapPss");
        let sums = MappingSums {
            mappings: 1,
            rss: of("Rss"),
            pss: of("Pss"),
            uss: of("Private_Clean") + of("Private_Dirty"),
            private_hugetlb: of("Private_Hugetlb"),
            shared_hugetlb: of("Shared_Hugetlb"),
            swap: if has_shares { share } else { of("Swap") },
            swap_beyond: if has_shares { of("Swap").saturating_sub(share) } else { Kib(0) },
        };
        let name = raw_name(lines[*begin]);
        match all.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) => known.add(&sums),
            None => all.push((name.to_vec(), sums)),
        }
    }
    all
}

/// Headers begin with an address in lower-case hexadecimal, all other lines with a capital letter.
fn header(line: &[u8]) -> bool {
    line.first().is_some_and(|first| b"0123456789abcdef".contains(first))
}

fn addresses(line: &[u8]) -> Option<(u64, u64)> {
    let blank = line.iter().position(|byte| *byte == b' ')?;
    let (start, end) = std::str::from_utf8(&line[..blank]).ok()?.split_once('-')?;
    let is_digit = |c| "0123456789abcdef".contains(c);
    let is_small = |text: &str| text.len() <= 16 && text.chars().all(is_digit);
    if !is_small(start) || !is_small(end) {
        return None;
    }
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

fn key_and_value(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let beginning = &line[..line.len().min(LINE_MAX)];
    let colon = beginning.iter().position(|byte| *byte == b':')?;
    let (key, value) = (&beginning[..colon], &line[colon + 1..]);
    key.first().is_some_and(u8::is_ascii_uppercase).then_some((key, value))
}

fn number(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = text.strip_suffix(" kB")?.trim_start_matches([' ', '\t', '\x0c', '\r', '\n']);
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}
