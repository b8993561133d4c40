//! The likely choices of the OOM killer as parts of the JSON document.

use serde::Serialize;

use super::{hex, lossy};
use crate::program::{OomChoice, OomEstimate, OomMark, RowOom};
use crate::units::{Kib, Pid};

/// The figures of a row.
#[derive(Serialize)]
pub(super) struct OomFields {
    oom_score: Option<u64>,
    oom_score_adj: Option<i64>,
    oom_next: Option<&'static str>,
    oom_next_in_cgroup: Option<&'static str>,
}

/// The likely choice at one limit.
#[derive(Serialize)]
pub(super) struct OomChoiceObject {
    cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_bytes: Option<String>,
    size: Kib,
    left: Option<Kib>,
    is_tie: bool,
    victims: Vec<VictimObject>,
    kills_cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    kills_cgroup_bytes: Option<String>,
    /// The setting that turns the killer off.
    obstacle: Option<&'static str>,
}

#[derive(Serialize)]
struct VictimObject {
    pid: Pid,
    comm: String,
}

impl OomFields {
    pub(super) fn new(row: RowOom) -> OomFields {
        let word = |mark| match mark {
            OomMark::No => None,
            OomMark::Tie => Some("tie"),
            OomMark::Next => Some("likely"),
        };
        OomFields {
            oom_score: row.score,
            oom_score_adj: row.adj,
            oom_next: word(row.marks.host),
            oom_next_in_cgroup: word(row.marks.group),
        }
    }
}

impl OomChoiceObject {
    pub(super) fn all(estimate: &OomEstimate<'_>) -> Vec<OomChoiceObject> {
        let one = |choice: &OomChoice<'_>| OomChoiceObject {
            cgroup: choice.path.map(lossy),
            cgroup_bytes: choice.path.and_then(hex),
            size: choice.size,
            left: choice.left,
            is_tie: choice.victims.len() > 1,
            victims: choice.victims.iter().map(|pid| VictimObject::new(estimate, *pid)).collect(),
            kills_cgroup: choice.kills.map(lossy),
            kills_cgroup_bytes: choice.kills.and_then(hex),
            obstacle: choice.obstacle,
        };
        estimate.choices.iter().map(one).collect()
    }
}

impl VictimObject {
    fn new(estimate: &OomEstimate<'_>, pid: Pid) -> VictimObject {
        VictimObject { pid, comm: lossy(estimate.comm(pid)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_is_not_utf_8_has_its_bytes() {
        let mut estimate = OomEstimate::default();
        for path in [&b"/a\xff"[..], b"/b"] {
            let (victims, size) = (Vec::new(), Kib(0));
            let (path, kills) = (Some(path), Some(path));
            estimate.choices.push(OomChoice {
                path,
                size,
                left: None,
                victims,
                kills,
                obstacle: None,
            });
        }
        let choices = serde_json::to_value(OomChoiceObject::all(&estimate)).expect("an object");
        for key in ["cgroup", "kills_cgroup"] {
            let bytes = format!("{key}_bytes");
            assert_eq!(
                (&choices[0][key], &choices[0][&bytes]),
                (&"/a\u{fffd}".into(), &"2f61ff".into())
            );
            assert_eq!((&choices[1][key], choices[1].get(&bytes)), (&"/b".into(), None));
        }
    }
}
