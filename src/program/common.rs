//! What processes of a row have in common, or have not.

/// What one row can say of all its processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Common<T> {
    /// Nobody knows, or nobody asked.
    #[default]
    Unknown,
    /// The same of all of them.
    One(T),
    /// They differ, or it is known of some only.
    Several,
}

impl<T: Copy + PartialEq> Common<T> {
    /// Of one process.
    pub(super) fn of(value: Option<T>) -> Common<T> {
        value.map_or(Common::Unknown, Common::One)
    }

    /// Of one process more.
    pub(super) fn join(&mut self, value: Option<T>) {
        if *self != Common::of(value) {
            *self = Common::Several;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn different_is_several() {
        for (first, then, expected) in [
            (Some(1), Some(1), Common::One(1)),
            (Some(1), Some(2), Common::Several),
            (Some(1), None, Common::Several),
            (None, Some(1), Common::Several),
            (None, None, Common::Unknown),
        ] {
            let mut common = Common::of(first);
            common.join(then);
            assert_eq!(common, expected);
            common.join(then);
            assert_eq!(common, expected);
        }
    }
}
