//! What rows had in the report before, for marks beside those that changed.

use std::collections::HashMap;

use super::seen::{Identity, Key, Seen};
use super::{Grouping, Programs};
use crate::units::Kib;

/// RAM of every row at the last look.
#[derive(Clone, Debug, Default)]
pub struct LastLook {
    rows: HashMap<Key, (Identity, Option<Kib>)>,
    /// Whether there were no others, which were cut.
    is_whole: bool,
}

impl LastLook {
    /// Remembers the rows of a report.
    pub fn of(programs: &Programs<'_>, grouping: Grouping) -> LastLook {
        let cut = programs.cut.iter().map(|row| Seen::known(row, grouping));
        let rows = Seen::all(programs, grouping).into_iter().chain(cut);
        let row = |seen: Seen| (seen.identity.key(), (seen.identity, seen.amounts.ram));
        let is_whole = programs.unknown_rest.is_none();
        LastLook { rows: rows.map(row).collect(), is_whole }
    }

    fn row(&self, identity: &Identity) -> Option<&(Identity, Option<Kib>)> {
        self.rows.get(&identity.key()).filter(|(then, _)| then.is(identity))
    }

    /// What a row had; `None` when nobody knows.
    pub fn ram(&self, identity: &Identity) -> Option<Kib> {
        self.row(identity).and_then(|(_, ram)| *ram)
    }

    /// Whether a row was not there.
    pub fn is_new(&self, identity: &Identity) -> bool {
        self.is_whole && self.row(identity).is_none()
    }
}
