//! The likely choices of the OOM killer as a text, and the notes on them.

use super::{Unit, escape, plural};
use crate::program::{OomChoice, OomEstimate, OomMark, RowOom};

/// The most groups that a note names, and the most processes of each.
const GROUPS_MAX: usize = 3;
const VICTIMS_MAX: usize = 3;

/// The score and the marks: `671 next cgroup?`.
pub(super) fn cell(row: RowOom) -> String {
    let score = row.score.map_or_else(|| "-".to_owned(), |score| score.to_string());
    let words = marks(row);
    if words.is_empty() { score } else { format!("{score} {words}") }
}

/// `next` of the host, `cgroup` of a control group; `?` where several are too close to call.
pub(super) fn marks(row: RowOom) -> String {
    let word = |word: &str, mark| match mark {
        OomMark::No => None,
        OomMark::Tie => Some(format!("{word}?")),
        OomMark::Next => Some(word.to_owned()),
    };
    let words = [word("next", row.marks.host), word("cgroup", row.marks.group)];
    words.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// A note on the choices: of the host, and of the groups that are nearest to their limits.
pub fn choices(estimate: &OomEstimate<'_>) -> Option<String> {
    let one = |choice: &OomChoice<'_>| match choice.path {
        None => format!("of the host: {}", victims(estimate, choice)),
        Some(path) => {
            let left = choice
                .left
                .map_or_else(String::new, |left| format!(" ({} MiB left)", Unit::Mib.format(left)));
            format!("in {}{left}: {}", escape::name(path), victims(estimate, choice))
        }
    };
    let shown = estimate.choices.iter().take(1 + GROUPS_MAX).map(one);
    let mut words: Vec<String> = shown.collect();
    let others = estimate.choices.len().saturating_sub(words.len());
    if others > 0 {
        words.push(format!("{} more", plural(others, "control group")));
    }
    let is_any = !words.is_empty();
    is_any.then(|| format!("the OOM killer's next choice, an estimate: {}", words.join("; ")))
}

/// The processes, or the reason why there is none.
fn victims(estimate: &OomEstimate<'_>, choice: &OomChoice<'_>) -> String {
    if let Some(obstacle) = choice.obstacle {
        return obstacle.to_owned();
    }
    let named = choice.victims.iter().take(VICTIMS_MAX).map(|pid| {
        let comm = escape::name(estimate.comm(*pid));
        format!("{comm} (PID {pid})")
    });
    let mut named: Vec<String> = named.collect();
    let others = choice.victims.len() - named.len();
    if others > 0 {
        named.push(format!("{others} more"));
    }
    let tie = if choice.victims.len() > 1 { ", too close to call" } else { "" };
    let with = choice.kills.map_or_else(String::new, |group| {
        format!(", and with it all of {} (memory.oom.group)", escape::name(group))
    });
    if named.is_empty() { "none".to_owned() } else { format!("{}{tie}{with}", named.join(", ")) }
}

/// A note on processes that the estimate lacks.
pub fn unread(processes: usize) -> Option<String> {
    (processes > 0).then(|| {
        let processes = plural(processes, "process");
        format!("the OOM killer's next choice may be another: {processes} could not be read")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::OomFigures;
    use crate::program::{OomHost, OomMarks, estimate_oom};
    use crate::units::{Kib, Pid};

    #[test]
    fn marks_follow_the_score() {
        let row =
            |score, host, group| cell(RowOom { score, adj: None, marks: OomMarks { host, group } });
        let (no, tie, next) = (OomMark::No, OomMark::Tie, OomMark::Next);
        assert_eq!(row(Some(671), no, no), "671");
        assert_eq!(row(Some(671), next, no), "671 next");
        assert_eq!(row(Some(671), next, tie), "671 next cgroup?");
        assert_eq!(row(None, tie, no), "- next?");
    }

    #[test]
    fn the_note_names_the_choice_and_calls_it_an_estimate() {
        let task = |pid: u32| {
            let figures = OomFigures {
                comm: b"a\n".to_vec(),
                adj: Some(0),
                memory: Some(Kib(4096)),
                ..OomFigures::default()
            };
            (Pid(pid), figures)
        };
        let note = |count: u32, obstacle| {
            let host = OomHost { page_bytes: 4096, obstacle, ..OomHost::default() };
            let tasks: Vec<(Pid, OomFigures)> = (2..2 + count).map(task).collect();
            choices(&estimate_oom(&tasks, None, host)).expect("a note")
        };
        let begin = "the OOM killer's next choice, an estimate: of the host: ";
        assert_eq!(note(0, None), format!("{begin}none"));
        assert_eq!(note(1, None), format!("{begin}a\\n (PID 2)"));
        let names = "a\\n (PID 2), a\\n (PID 3), a\\n (PID 4), 2 more, too close to call";
        assert_eq!(note(5, None), format!("{begin}{names}"));
        assert_eq!(note(1, Some("it is off")), format!("{begin}it is off"));
        let many = "the OOM killer's next choice may be another: 2 processes could not be read";
        assert_eq!((unread(0), unread(2).as_deref()), (None, Some(many)));
    }
}
