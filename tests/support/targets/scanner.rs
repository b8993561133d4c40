//! Any text, whole, in pieces of any length and by the naive twin: the same sums, or the same
//! error. The first bytes select the cuts.

use psm_uring::smaps::{Malformed, Scanner, Smaps, naive};

/// The number of lengths that the input selects. They repeat until the end of the text.
pub(super) const LENGTHS: usize = 4;

pub fn run(bytes: &[u8]) {
    let (lengths, text) = bytes.split_at(bytes.len().min(LENGTHS));
    let expected = naive::scan(text);
    assert_eq!(in_pieces([text]), expected, "whole");
    assert_eq!(in_pieces(text.chunks(1)), expected, "byte by byte");
    assert_eq!(in_pieces(cut(text, lengths)), expected, "in pieces of {lengths:?}");
    if let Ok(smaps) = expected {
        assert!(
            smaps.heap().is_none_or(|heap| heap <= smaps.pss()),
            "more heap than memory: {smaps:?}"
        );
    }
}

fn in_pieces<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Smaps, Malformed> {
    let mut scanner = Scanner::new();
    pieces.into_iter().for_each(|piece| scanner.feed(piece));
    scanner.finish()
}

/// Pieces of these lengths, repeated; including empty ones.
pub(super) fn cut<'a>(text: &'a [u8], lengths: &[u8]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    let mut rest = text;
    // Lengths of only 0 never reach the end.
    let any = lengths.iter().any(|length| *length > 0);
    for length in lengths.iter().cycle().take_while(|_| any) {
        let (piece, behind) = rest.split_at(usize::from(*length).min(rest.len()));
        pieces.push(piece);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    pieces.push(rest);
    pieces
}
