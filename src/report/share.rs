//! What part an amount is of another: as a number, and as a bar for eyes.

use crate::units::Kib;

/// How long a whole bar is.
pub(super) const BAR: usize = 10;

/// The part in per cent with one decimal, rounded half up; nobody knows the part of nothing.
pub(super) fn percent(part: Option<Kib>, whole: Kib) -> Option<String> {
    let part = part.filter(|_| whole > Kib(0))?;
    let (part, whole) = (u128::from(part.0), u128::from(whole.0));
    let tenths = (part * 1000 + whole / 2) / whole;
    Some(format!("{}.{}", tenths / 10, tenths % 10))
}

/// A bar, and blanks to its whole length.
pub(super) fn bar(part: Kib, whole: Kib) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(part.0) * 8 * BAR as u128 / u128::from(whole.0.max(1));
    let eighths = usize::try_from(eighths).map_or(8 * BAR, |eighths| eighths.min(8 * BAR));
    let bar = "█".repeat(eighths / 8) + EIGHTHS[eighths % 8];
    format!("{bar:<BAR$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_rounded_and_bars_are_not() {
        for (part, whole, number, drawn) in [
            (0, 3, Some("0.0"), "          "),
            (1, 3, Some("33.3"), "███▎      "),
            (2, 3, Some("66.7"), "██████▋   "),
            (3, 3, Some("100.0"), "██████████"),
            (u64::MAX, u64::MAX, Some("100.0"), "██████████"),
            (0, 0, None, "          "),
        ] {
            assert_eq!(percent(Some(Kib(part)), Kib(whole)).as_deref(), number);
            assert_eq!(bar(Kib(part), Kib(whole)), drawn);
        }
        assert_eq!(percent(None, Kib(3)), None);
    }
}
