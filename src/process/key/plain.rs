//! Blanks, digits and signs beyond ASCII, which count like those of ASCII. Letters stay: names that
//! look alike are different ones.

/// The zeros of decimal digits, besides those of Indic scripts and the full-width one.
const ZEROS: [u32; 10] = [0x660, 0x6f0, 0x7c0, 0xe50, 0xed0, 0xf20, 0x1040, 0x17e0, 0x1810, 0x1946];
const INDIC_FIRST: u32 = 0x966;
const INDIC_LAST: u32 = 0xd66;
const INDIC_STEP: usize = 0x80;

/// The distance of full-width forms to ASCII.
const FULL_WIDTH: u32 = 0xfee0;

/// The name in ASCII, as far as it has blanks, digits and signs; `None` if it has no other ones.
pub(super) fn plain(name: &[u8]) -> Option<Vec<u8>> {
    let may_have = |byte: &u8| !byte.is_ascii() || byte.is_ascii_control();
    let has = |text: &str| text.chars().any(|char| ascii(char).is_some());
    if !name.iter().any(may_have) || !name.utf8_chunks().any(|part| has(part.valid())) {
        return None;
    }
    let mut plain = Vec::with_capacity(name.len());
    for part in name.utf8_chunks() {
        let chars = part.valid().chars().map(|char| ascii(char).unwrap_or(char));
        plain.extend_from_slice(chars.collect::<String>().as_bytes());
        plain.extend_from_slice(part.invalid());
    }
    Some(plain)
}

/// The blank, the digit or the sign of ASCII that another character stands for.
fn ascii(char: char) -> Option<char> {
    if char != ' ' && char.is_whitespace() {
        return Some(' ');
    }
    match char {
        _ if char.is_ascii() => None,
        '\u{ff01}'..='\u{ff5e}' => {
            let sign = char::from_u32(u32::from(char) - FULL_WIDTH)?;
            (!sign.is_ascii_alphabetic()).then_some(sign)
        }
        // Arabic; the small forms of CJK.
        '\u{66a}' | '\u{fe6a}' => Some('%'),
        '\u{66b}' | '\u{6d4}' | '\u{fe52}' => Some('.'),
        '\u{60c}' | '\u{66c}' | '\u{fe50}' => Some(','),
        '\u{61b}' | '\u{fe54}' => Some(';'),
        '\u{61f}' | '\u{fe56}' => Some('?'),
        '\u{fe55}' => Some(':'),
        _ => char::from_digit(digit(char)?, 10),
    }
}

/// The value of a decimal digit beyond ASCII that has no full width.
fn digit(char: char) -> Option<u32> {
    let code = u32::from(char);
    let indic = (INDIC_FIRST..=INDIC_LAST).step_by(INDIC_STEP);
    let zero = ZEROS.into_iter().chain(indic).find(|zero| (*zero..*zero + 10).contains(&code))?;
    Some(code - zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_digit_has_its_value() {
        for zero in ['\u{660}', '\u{6f0}', '\u{966}', '\u{9e6}', '\u{d66}', '\u{e50}', '\u{ff10}'] {
            for value in 0..10 {
                let char = char::from_u32(u32::from(zero) + value).expect("a digit");
                assert!(char.is_numeric(), "{char}");
                assert_eq!(ascii(char), char::from_digit(value, 10), "{char}");
            }
        }
        for zero in ZEROS.into_iter().chain([INDIC_LAST]) {
            for code in zero..zero + 10 {
                assert!(char::from_u32(code).is_some_and(char::is_numeric), "{code:x}");
            }
        }
        for char in ['\u{ff41}', '\u{e9}', '\u{b2}', '\u{4e03}', ' ', '7'] {
            assert_eq!(ascii(char), None, "{char}");
        }
    }
}
