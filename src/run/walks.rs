//! Big processes: the priority at which they are read, and the notes on them.

use std::time::Duration;

use super::settings::Settings;
use crate::engine::Survey;
use crate::process::{MappingsWanted, Source, WINDOW_BYTES, hold};
use crate::report::Format;
use crate::report::stall::{self, StallCause};
use crate::smaps::{Field, Smaps};
use crate::sys::{host_files, pages, this_process};
use crate::units::{Kib, Pid};

/// The first kernel whose rollup has `LazyFree`.
const KNOWS_LAZYFREE: (u32, u32) = (4, 12);

/// A rollup that holds the lock for less has no note.
const NOTED_MIN: Duration = Duration::from_millis(10);

/// Undoes a low priority before page tables are walked. Returns a note if that is not allowed.
pub(super) fn undo_nice(settings: &Settings) -> Option<String> {
    let has_frames = settings.frames.is_some_and(|rule| rule.is_ok());
    if settings.plan.walk.is_none() && !has_frames {
        return None;
    }
    this_process::undo_nice().err().map(stall::low_priority)
}

/// A note on series of `lazyfree` that OpenMetrics lacks; JSON has null there.
fn lacks_lazyfree(settings: &Settings, survey: &Survey) -> Option<String> {
    let is_shown = settings.output.format == Format::OpenMetrics
        && settings.plan.mappings != MappingsWanted::ByName;
    if !is_shown || settings.plan.walk.is_none() {
        return None;
    }
    let lacks = |smaps: &Smaps| smaps.rss() > Kib(0) && smaps.get(Field::LazyFree).is_none();
    let walked = survey.processes().filter(|one| lacks(&one.smaps)).map(|one| one.pid);
    let mut walked: Vec<Pid> = walked.collect();
    walked.sort_unstable();
    let knows = || host_files::kernel(&settings.root) >= Some(KNOWS_LAZYFREE);
    (!walked.is_empty() && knows()).then(|| stall::no_lazyfree(&walked))
}

/// A note on page tables that were asked for, and are not read.
fn not_walked(settings: &Settings) -> Option<String> {
    let is_asked = settings.source == Source::Pagemap && settings.plan.walk.is_none();
    let refused = is_asked.then(|| pages::walk_rule(&settings.root, WINDOW_BYTES).err());
    refused.flatten().map(stall::no_walk)
}

/// Notes on a survey.
pub(super) fn notes(settings: &Settings, survey: &Survey) -> Vec<String> {
    let mut torn: Vec<Pid> = survey.torn().collect();
    torn.sort_unstable();
    let torn = stall::torn(&torn);
    let hidden = settings.frames.and_then(Result::err).map(stall::no_frames);
    let hidden = hidden.into_iter().chain(not_walked(settings));
    let torn = torn.into_iter().chain(lacks_lazyfree(settings, survey)).chain(hidden);
    let are_mappings = settings.plan.mappings == MappingsWanted::ByName;
    // By choice of the user, or because page frames are hidden from this one?
    let is_asked = matches!(settings.source, Source::Rollup | Source::Smaps) && !are_mappings;
    if settings.plan.walk.is_some() || is_asked || !settings.root.is_proc() {
        return torn.collect();
    }
    let page_bytes = this_process::page_bytes();
    let holds = survey.processes().map(|one| hold(one.smaps.rss(), page_bytes));
    let long: Vec<Duration> = holds.filter(|hold| *hold >= NOTED_MIN).collect();
    let longest = long.iter().max().copied().unwrap_or_default();
    let may_walk = || pages::walk_rule(&settings.root, WINDOW_BYTES).is_ok();
    let cause = match settings.plan.source {
        _ if are_mappings => StallCause::Mappings,
        Source::Auto | Source::Smaps if !long.is_empty() && may_walk() => StallCause::Figure,
        _ => StallCause::Hidden,
    };
    torn.chain(stall::stalled(long.len(), longest, cause)).collect()
}
