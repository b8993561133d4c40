//! The text of `/sys/block/zramN/mm_stat` (`mm_stat_show`, drivers/block/zram/zram_drv.c).

use crate::units::Kib;

/// Memory that stands for a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Zram {
    /// What it holds, before it was compressed (`orig_data_size`).
    pub holds: Kib,
    /// What it takes (`mem_used_total`). No line of meminfo has it.
    pub takes: Kib,
}

impl Zram {
    /// Reads the text of one device.
    pub fn parse(text: &[u8]) -> Option<Zram> {
        let text = std::str::from_utf8(text).ok()?;
        let mut fields = text.split_whitespace().map(|field| field.parse::<u64>().ok());
        let (holds, _, takes) = (fields.next()??, fields.next()??, fields.next()??);
        Some(Zram { holds: Kib(holds / 1024), takes: Kib(takes / 1024) })
    }

    /// Adds another device.
    pub fn add(&mut self, other: &Zram) {
        self.holds += other.holds;
        self.takes += other.takes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_their_places() {
        let text = b"  4096000   102400   131072        0   131072     12        0        0\n";
        let found = Zram::parse(text).expect("numbers");
        assert_eq!((found.holds, found.takes), (Kib(4000), Kib(128)));
        for text in [&b""[..], b"1 2", b"1 2 x"] {
            assert_eq!(Zram::parse(text), None);
        }
    }
}
