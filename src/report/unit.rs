//! The unit of amounts.

use crate::units::{Kib, labels};

/// The unit of all amounts in a table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// The largest unit in which the biggest amount is at least 1.
    Auto,
    /// Bytes.
    Bytes,
    /// 1,024 bytes.
    Kib,
    /// 1,048,576 bytes, with one decimal.
    #[default]
    Mib,
    /// 1,073,741,824 bytes, with two decimals.
    Gib,
}

labels!(Unit {
    Auto => "auto", "The unit that fits the biggest amount";
    Bytes => "B", "Bytes";
    Kib => "KiB", "1,024 bytes";
    Mib => "MiB", "1,024 KiB";
    Gib => "GiB", "1,024 MiB";
});

impl Unit {
    /// The unit of a table with this biggest amount; never `Auto`.
    pub fn resolve(self, biggest: Kib) -> Unit {
        match self {
            Unit::Auto if biggest.0 >= 1 << 20 => Unit::Gib,
            Unit::Auto if biggest.0 >= 1 << 10 => Unit::Mib,
            Unit::Auto => Unit::Kib,
            unit => unit,
        }
    }

    /// The unit in the header of a table.
    pub fn head(self) -> &'static str {
        match self {
            Unit::Auto | Unit::Mib => "MiB",
            Unit::Bytes => "B",
            Unit::Kib => "KiB",
            Unit::Gib => "GiB",
        }
    }

    /// The smallest amount that is not shown as 0; of `Auto`, in its smallest unit.
    pub fn least_shown(self) -> Kib {
        match self {
            Unit::Auto | Unit::Bytes | Unit::Kib => Kib(1),
            Unit::Mib => Kib(52),
            Unit::Gib => Kib(5243),
        }
    }

    /// The amount in this unit, rounded to its decimals, half up.
    pub fn format(self, amount: Kib) -> String {
        match self {
            Unit::Bytes => amount.bytes().to_string(),
            Unit::Kib => amount.0.to_string(),
            Unit::Auto | Unit::Mib => {
                let tenths = scaled(amount, 10, 1 << 10);
                format!("{}.{}", tenths / 10, tenths % 10)
            }
            Unit::Gib => {
                let hundredths = scaled(amount, 100, 1 << 20);
                format!("{}.{:02}", hundredths / 100, hundredths % 100)
            }
        }
    }
}

/// `amount * parts / whole`, rounded half up.
fn scaled(amount: Kib, parts: u128, whole: u128) -> u128 {
    (u128::from(amount.0) * parts + whole / 2) / whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_up_in_integers() {
        for (unit, kib, expected) in [
            (Unit::Mib, 0, "0.0"),
            (Unit::Mib, 51, "0.0"),
            (Unit::Mib, 52, "0.1"),
            (Unit::Mib, 1024, "1.0"),
            (Unit::Mib, 687_411, "671.3"),
            (Unit::Gib, 1 << 20, "1.00"),
            (Unit::Gib, u64::MAX, "17592186044416.00"),
            (Unit::Kib, 7, "7"),
            (Unit::Bytes, 7, "7168"),
        ] {
            assert_eq!(unit.format(Kib(kib)), expected);
        }
    }

    #[test]
    fn a_smaller_amount_is_shown_as_0() {
        for unit in [Unit::Bytes, Unit::Kib, Unit::Mib, Unit::Gib] {
            let least = unit.least_shown();
            assert_ne!(unit.format(least), unit.format(Kib(0)));
            assert_eq!(unit.format(Kib(least.0 - 1)), unit.format(Kib(0)));
        }
    }

    #[test]
    fn auto_follows_the_biggest_amount() {
        assert_eq!(Unit::Auto.resolve(Kib(1023)), Unit::Kib);
        assert_eq!(Unit::Auto.resolve(Kib(1024)), Unit::Mib);
        assert_eq!(Unit::Auto.resolve(Kib(1 << 20)), Unit::Gib);
        assert_eq!(Unit::Bytes.resolve(Kib(1 << 20)), Unit::Bytes);
    }
}
