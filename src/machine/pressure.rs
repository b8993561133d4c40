//! The text of `/proc/pressure/memory` (`psi_show`, kernel/sched/psi.c).

/// How long tasks waited for memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pressure {
    /// Some of them, while others ran.
    pub some: Stall,
    /// All of them, while nothing else was done.
    pub full: Stall,
}

/// Parts of the time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stall {
    /// Of the last 10 seconds, in per cent.
    pub avg10: f64,
    /// Of the last 60.
    pub avg60: f64,
    /// Of the last 300.
    pub avg300: f64,
    /// All of it since the kernel started, in microseconds.
    pub total_us: u64,
}

impl Pressure {
    /// Reads the text.
    pub fn parse(text: &[u8]) -> Option<Pressure> {
        let text = std::str::from_utf8(text).ok()?;
        let line = |word: &str| {
            let mut lines = text.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(first, _)| *first == word).and_then(|(_, rest)| Stall::parse(rest))
        };
        Some(Pressure { some: line("some")?, full: line("full")? })
    }
}

impl Stall {
    fn parse(text: &str) -> Option<Stall> {
        let value = |key: &str| {
            text.split(' ').filter_map(|part| part.split_once('=')).find(|part| part.0 == key)
        };
        let percent = |key| value(key)?.1.parse().ok().filter(|part: &f64| part.is_finite());
        Some(Stall {
            avg10: percent("avg10")?,
            avg60: percent("avg60")?,
            avg300: percent("avg300")?,
            total_us: value("total")?.1.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lines_are_needed() {
        let some = "some avg10=0.50 avg60=1.25 avg300=99.00 total=47670469\n";
        let full = "full avg10=0.00 avg60=0.00 avg300=0.04 total=14841120\n";
        let found = Pressure::parse(format!("{some}{full}").as_bytes()).expect("pressure");
        assert_eq!((found.some.avg60, found.full.total_us), (1.25, 14_841_120));
        for text in [some, "", "some avg10=0.50\nfull avg10=0\n", "some avg10=nan"] {
            assert_eq!(Pressure::parse(text.as_bytes()), None, "{text}");
        }
    }
}
