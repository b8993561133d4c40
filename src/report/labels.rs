//! Fates in the words of machine formats.

use crate::process::{Coverage, Fate};
use crate::program::{Programs, Uniform, user_name};

/// The word of a fate.
pub(super) fn word(fate: Fate) -> &'static str {
    match fate {
        Fate::Measured => "measured",
        Fate::NotSelected => "not_selected",
        Fate::KernelThread => "kernel_threads",
        Fate::Zombie => "zombies",
        Fate::Gone => "gone",
        Fate::Changed => "changed",
        Fate::Denied => "denied",
        Fate::TimedOut => "timed_out",
        Fate::NotAsked => "not_asked",
        Fate::Malformed => "malformed",
        Fate::Failed(_) => "failed",
    }
}

/// Every fate with the number of processes that met it.
pub(super) fn counts(coverage: &Coverage) -> [(&'static str, usize); 11] {
    let Coverage { measured, not_selected, kernel_threads, zombies, gone, changed, .. } = *coverage;
    let Coverage { denied, timed_out, not_asked, malformed, failed, .. } = *coverage;
    [
        ("measured", measured),
        ("not_selected", not_selected),
        ("kernel_threads", kernel_threads),
        ("zombies", zombies),
        ("gone", gone),
        ("changed", changed),
        ("denied", denied),
        ("timed_out", timed_out),
        ("not_asked", not_asked),
        ("malformed", malformed),
        ("failed", failed),
    ]
}

/// Stands for what is not the same of all.
const SEVERAL: &[u8] = b"*";

/// The user: foreign bytes.
pub(super) fn user(programs: &Programs<'_>, uid: Uniform<u32>) -> Option<Vec<u8>> {
    match uid {
        Uniform::Unknown => None,
        Uniform::Mixed => Some(SEVERAL.to_vec()),
        Uniform::Same(uid) => Some(user_name(programs.users, uid)),
    }
}

/// The control group: foreign bytes. It begins with `/`, so none is `*`.
pub(super) fn cgroup(path: Uniform<&[u8]>) -> Option<&[u8]> {
    match path {
        Uniform::Unknown => None,
        Uniform::Mixed => Some(SEVERAL),
        Uniform::Same(path) => Some(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Errno;

    /// A process is counted under the word of its fate.
    #[test]
    fn words_are_those_of_the_counts() {
        use Fate::*;
        let few = [Measured, NotSelected, KernelThread, Zombie, Gone, Changed, Denied];
        for fate in few.into_iter().chain([TimedOut, NotAsked, Malformed, Failed(Errno::SRCH)]) {
            let mut coverage = Coverage::default();
            coverage.count(fate);
            let counted = counts(&coverage).into_iter().filter(|(_, count)| *count == 1);
            assert_eq!(counted.collect::<Vec<_>>(), [(word(fate), 1)]);
        }
    }
}
