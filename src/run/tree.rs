//! `--by tree`: the parents of processes, also of those that the report lacks.

use std::collections::{HashMap, HashSet};

use super::settings::Settings;
use crate::engine::Survey;
use crate::process::{self, ProcFile};
use crate::program::{Grouping, Lineage};
use crate::units::Pid;

/// The most processes without figures whose parents are looked up.
const OTHERS_MAX: usize = 1 << 16;

/// The lineage of the measured processes; `None` unless rows are a tree. `status`, which never
/// blocks, has the parents of their ancestors that are not measured.
pub(super) fn lineage(settings: &Settings, survey: &Survey) -> Option<Lineage> {
    if settings.rules.by != Grouping::Tree {
        return None;
    }
    let measured: HashSet<Pid> = survey.processes().map(|one| one.pid).collect();
    let mut others: HashMap<Pid, Pid> = HashMap::new();
    for mut above in survey.processes().filter_map(|one| one.stat.parent) {
        let is_new = |above, others: &HashMap<Pid, Pid>| {
            above != Pid(0) && !measured.contains(&above) && !others.contains_key(&above)
        };
        while others.len() < OTHERS_MAX && is_new(above, &others) {
            let status = settings.root.read_once(ProcFile::Status, above).ok();
            let parent = status.as_deref().and_then(process::parent).unwrap_or_default();
            others.insert(above, parent);
            above = parent;
        }
    }
    Some(Lineage::new(survey.processes(), &others))
}
