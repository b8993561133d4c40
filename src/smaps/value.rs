//! The numbers of a smaps line.

use memchr::memchr;

/// Parses eight columns, a right-aligned number after blanks, as one word.
///
/// Accepts exactly the kernel's form (`%8lu`): blanks, then digits up to the last column. `None`
/// for anything else, which the caller passes to the slow path.
pub(super) fn eight_columns(text: [u8; 8]) -> Option<u64> {
    const BLANKS: u64 = u64::from_le_bytes([b' '; 8]);
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    const HIGH_NIBBLES: u64 = u64::from_le_bytes([0xf0; 8]);
    const SIX: u64 = u64::from_le_bytes([0x06; 8]);

    let word = u64::from_le_bytes(text);
    // The first column is the lowest byte, so leading blanks are trailing zeros of the difference.
    let blank_bits = (word ^ BLANKS).trailing_zeros() & !7;
    if blank_bits == u64::BITS {
        return None;
    }
    // A blank becomes the digit '0' by one bit (0x20 | 0x10 = 0x30).
    let digits = word | (ZEROS ^ BLANKS) & ((1 << blank_bits) - 1);
    // A digit has a high nibble of 3, also after adding 6: ':' (0x3a) would not.
    let is_digits =
        digits & HIGH_NIBBLES == ZEROS && digits.wrapping_add(SIX) & HIGH_NIBBLES == ZEROS;
    is_digits.then(|| eight_digits(digits & !HIGH_NIBBLES))
}

/// Whether eight columns contain only blanks, digits and their neighbours in ASCII: no newline, so
/// the 28 bytes are one line. Cheaper than parsing the number.
pub(super) fn is_one_line(text: [u8; 8]) -> bool {
    const UPPER_BITS: u64 = u64::from_le_bytes([0xe0; 8]);
    const BLANKS: u64 = u64::from_le_bytes([b' '; 8]);
    u64::from_le_bytes(text) & UPPER_BITS == BLANKS
}

/// Combines eight digit values, most significant in the lowest byte: to pairs, fours, all.
fn eight_digits(values: u64) -> u64 {
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff
}

/// Parses the text after the colon of a counted line: blanks, digits, ` kB`. `None` for anything
/// else, and for a number beyond `u64`.
pub(super) fn kib(text: &[u8]) -> Option<u64> {
    let number = text.strip_suffix(b" kB")?.trim_ascii_start();
    if number.is_empty() {
        return None;
    }
    number.iter().try_fold(0_u64, |sum, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// The maximum number of digits of an address.
const ADDRESS_DIGITS_MAX: usize = 16;

/// The addresses at the start of a header: `55d4c0a00000-7ffe10021000 `.
pub(super) fn addresses(header: &[u8]) -> Option<(u64, u64)> {
    let range = &header[..memchr(b' ', header)?];
    let dash = memchr(b'-', range)?;
    Some((address(&range[..dash])?, address(&range[dash + 1..])?))
}

fn address(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > ADDRESS_DIGITS_MAX {
        return None;
    }
    text.iter().try_fold(0, |sum, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eight_columns_are_parsed_like_any_number() {
        // Miri is a thousand times slower.
        const STEP: usize = if cfg!(miri) { 996_997 } else { 997 };
        for number in (0..=99_999_999).step_by(STEP).chain([0, 9, 10, 99_999_999]) {
            let text: [u8; 8] = format!("{number:8}").into_bytes().try_into().expect("8 columns");
            assert_eq!(eight_columns(text), Some(number));
        }
    }

    #[test]
    fn eight_columns_refuse_everything_else() {
        for text in [
            b"        ",
            b"1       ",
            b"   1   2",
            b"      -1",
            b"    0x1f",
            b"      1:",
            b"      1/",
            b"\t      1",
            b"     \n 1",
            b"\0\0\0\0\0\0\0\x001"[..8].try_into().expect("8 columns"),
            b"\xb0\xb0\xb0\xb0\xb0\xb0\xb0\xb0",
        ] {
            assert_eq!(eight_columns(*text), None, "{text:?}");
        }
    }

    #[test]
    fn addresses_of_headers() {
        let header = b"55d4c0a00000-7ffe10021000 ---p 00000000 00:00 0       [rollup]";
        assert_eq!(addresses(header), Some((0x55d4_c0a0_0000, 0x7ffe_1002_1000)));
        let last = b"ffffffffffffffff-ffffffffffffffff r";
        assert_eq!(addresses(last), Some((u64::MAX, u64::MAX)));
        for header in [
            &b"10-20"[..],
            b"10 20 ",
            b"-20 ",
            b"10- ",
            b"1A-20 ",
            b"+1-20 ",
            b"10000000000000000-20 ",
        ] {
            assert_eq!(addresses(header), None, "{}", header.escape_ascii());
        }
    }

    #[test]
    fn kib_is_strict() {
        assert_eq!(kib(b"   12 kB"), Some(12));
        assert_eq!(kib(b"18446744073709551615 kB"), Some(u64::MAX));
        for text in [
            &b"18446744073709551616 kB"[..],
            b" kB",
            b"12",
            b"12 mB",
            b"12 kB\r",
            b"-1 kB",
            b"1 2 kB",
        ] {
            assert_eq!(kib(text), None, "{text:?}");
        }
    }
}
