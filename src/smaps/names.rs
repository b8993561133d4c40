//! Names, each stored once: a number stands for a name. Pure; allocates for new names alone.

use std::hash::{BuildHasher, RandomState};

/// The name that stands for all others once the room for names is used up. The kernel prints none
/// that begins with a parenthesis.
pub const OTHER_NAMES: &[u8] = b"(other names)";

/// A set of names. Their numbers ascend from 0.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    /// The names, back to back.
    bytes: Vec<u8>,
    bytes_max: usize,
    /// The end of each name in `bytes`, and its hash.
    ends: Vec<(u32, u32)>,
    /// The number of a name plus 1 at its hash or behind; 0 is free. The length is a power of two,
    /// and half of it is free.
    index: Vec<u32>,
    /// Random: a process may choose its names.
    hasher: RandomState,
}

impl Names {
    /// No names, with room for `bytes_max` bytes, at most `u32::MAX`.
    pub(crate) fn new(bytes_max: usize) -> Names {
        let (bytes, ends, index) = (Vec::new(), Vec::new(), Vec::new());
        Names { bytes, bytes_max, ends, index, hasher: RandomState::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn get(&self, number: usize) -> &[u8] {
        let begin = number.checked_sub(1).map_or(0, |before| self.ends[before].0);
        &self.bytes[begin as usize..self.ends[number].0 as usize]
    }

    /// The number of a name, which may be new. Without room it is that of [`OTHER_NAMES`].
    pub(crate) fn number(&mut self, name: &[u8]) -> usize {
        if self.index.len() < 2 * (self.len() + 1) {
            self.grow();
        }
        // The upper half.
        let hash = u32::try_from(self.hasher.hash_one(name) >> 32).unwrap_or_default();
        let place = match self.find(name, hash) {
            Ok(number) => return number,
            Err(place) => place,
        };
        let has_room = self.bytes.len() + name.len() <= self.bytes_max;
        if !has_room && name != OTHER_NAMES {
            return self.number(OTHER_NAMES);
        }
        self.bytes.extend_from_slice(name);
        // The room is less than 4 GiB, and so is the number of names.
        self.ends.push((u32::try_from(self.bytes.len()).unwrap_or(u32::MAX), hash));
        self.index[place] = u32::try_from(self.ends.len()).unwrap_or(u32::MAX);
        self.len() - 1
    }

    /// The number of a name, or the free place for it.
    fn find(&self, name: &[u8], hash: u32) -> Result<usize, usize> {
        let mask = self.index.len() - 1;
        let mut place = hash as usize & mask;
        loop {
            let Some(number) = self.index[place].checked_sub(1) else { return Err(place) };
            let number = number as usize;
            if self.ends[number].1 == hash && self.get(number) == name {
                return Ok(number);
            }
            place = (place + 1) & mask;
        }
    }

    fn grow(&mut self) {
        const LEAST: usize = 64;
        let len = (2 * self.index.len()).max(LEAST);
        self.index.clear();
        self.index.resize(len, 0);
        for (number, (_, hash)) in (1..).zip(&self.ends) {
            let mut place = *hash as usize & (len - 1);
            while self.index[place] != 0 {
                place = (place + 1) & (len - 1);
            }
            self.index[place] = number;
        }
    }

    /// Forgets all names, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.index.fill(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_number() {
        let mut names = Names::new(1 << 20);
        let all: Vec<String> = (0..1000).map(|n| format!("/lib/{n}")).collect();
        for _ in 0..2 {
            for (number, name) in all.iter().enumerate() {
                assert_eq!(names.number(name.as_bytes()), number);
            }
        }
        assert_eq!(
            (names.len(), names.get(0), names.get(999)),
            (1000, &b"/lib/0"[..], &b"/lib/999"[..])
        );
        names.clear();
        assert_eq!((names.len(), names.number(b"")), (0, 0));
        assert_eq!((names.number(b"/lib/7"), names.get(0)), (1, &b""[..]));
    }

    #[test]
    fn without_room_new_names_are_others() {
        let mut names = Names::new(8);
        assert_eq!((names.number(b"12345"), names.number(b"1234")), (0, 1));
        assert_eq!((names.number(b"5678"), names.number(b"12345"), names.number(b"67")), (1, 0, 1));
        assert_eq!(names.get(1), OTHER_NAMES);
    }
}
