//! The source of the choices of a schedule. The same source gives the same schedule.

/// A source of numbers.
pub struct Dice(Box<dyn FnMut() -> u64>);

impl Dice {
    pub fn new(source: impl FnMut() -> u64 + 'static) -> Dice {
        Dice(Box::new(source))
    }

    /// Two bytes are one number; exhausted bytes read as zeros. So a fuzzer that changes a byte
    /// changes one choice, and any bytes are a schedule.
    pub fn of_bytes(bytes: Vec<u8>) -> Dice {
        let mut bytes = bytes.into_iter();
        let mut next = move || u64::from(bytes.next().unwrap_or(0));
        Dice::new(move || next() << 8 | next())
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: u64) -> u64 {
        (self.0)() % end
    }

    /// A number from `begin` up to, but excluding, `end`.
    pub fn between(&mut self, begin: u64, end: u64) -> u64 {
        begin + self.below(end - begin)
    }

    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).expect("below a usize")
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.index(from.len())]
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }
}
