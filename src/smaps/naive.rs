//! The obvious scanner: the whole text at once, line by line, as the format is described.
//!
//! Slow and plain on purpose. Property tests and benches check that [`Scanner`] returns the same
//! result for every text, cut anywhere.
//!
//! [`Scanner`]: super::Scanner

use super::scanner::LINE_MAX;
use super::{Field, Malformed, Smaps};

/// Parses a whole text.
///
/// # Errors
/// [`Malformed`] if a counted line has no proper value or a required field is missing.
pub fn scan(text: &[u8]) -> Result<Smaps, Malformed> {
    let mut smaps = Smaps::default();
    let mut malformed = false;
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
