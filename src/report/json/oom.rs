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
        };
        estimate.choices.iter().map(one).collect()
    }
}

impl VictimObject {
    fn new(estimate: &OomEstimate<'_>, pid: Pid) -> VictimObject {
        VictimObject { pid, comm: lossy(estimate.comm(pid)) }
    }
}
