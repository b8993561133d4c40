//! A series of surveys by one engine, which keeps files open in between: `--watch`.
//!
//! The pair of rollup and name that stays open saves two opens and often the read of the name
//! (`process::probe` says why that is right), and takes 5 KiB of the kernel. An engine keeps the
//! files of a process open if
//!
//! - two surveys in a row measured the process. A survey may find a process between vfork and exec,
//!   in the address space of its parent. That takes less than a millisecond: the next survey opens
//!   the files of the new program.
//! - it shares its address space with no other process, as far as the report compared them
//!   ([`SurveySeries::forget`]): after an exec the rollup would have the figures of the other one.
//! - there is room for it in the limit of open files. The first processes have it.
//!
//! A survey of a part of the processes between two reports is not one of the series
//! ([`Plan::surveys_per_name`]), and opens every file.
//!
//! The files of a process that is not listed any more, or was not measured, are closed at once: the
//! rollup holds the address space of a dead process.

use std::collections::HashMap;
use std::sync::Arc;

use crate::process::{Plan, Probe, ProcFile};
use crate::smaps::{Scanner, Smaps};
use crate::sys::proc_root::ProcRoot;
use crate::units::Pid;

/// The files are opened again after this many reads. That bounds the time for which a comparison
/// that the report could not make leaves a wrong figure, and costs less than a hundredth.
const READS_MAX: u32 = 32;
/// The room for the text of a rollup, which has 800 bytes.
const ROLLUP_BYTES: usize = 4096;

/// The processes that the last survey measured. `Files` is the engine's handle of an open pair.
#[derive(Debug)]
pub(super) struct SurveySeries<Files> {
    processes: HashMap<Pid, KnownProcess<Files>>,
    /// The number of processes with open files, without those that are taken out.
    open_pairs: usize,
    /// The number of the survey.
    survey: u32,
}

/// A process that the last survey measured.
#[derive(Debug)]
pub(super) struct KnownProcess<Files> {
    /// The open files.
    pub(super) files: Option<Files>,
    name: Vec<u8>,
    /// Whether the file of the name is among them.
    is_name_open: bool,
    /// The number of reads of the open rollup.
    reads: u32,
    /// The number of the survey that asks the process.
    survey: u32,
}

impl<Files> Default for SurveySeries<Files> {
    fn default() -> SurveySeries<Files> {
        SurveySeries { processes: HashMap::new(), open_pairs: 0, survey: 0 }
    }
}

impl<Files> SurveySeries<Files> {
    /// Begins a survey of these processes, which ascend. Returns the files of others, to be closed.
    pub(super) fn begin(&mut self, pids: &[Pid]) -> Vec<Files> {
        self.survey = self.survey.wrapping_add(1);
        self.forget(|pid| pids.binary_search(&pid).is_err())
    }

    /// Forgets processes. Returns their files, to be closed.
    pub(super) fn forget(&mut self, is_forgotten: impl Fn(Pid) -> bool) -> Vec<Files> {
        let mut files = Vec::new();
        self.processes.retain(|pid, known| {
            let is_forgotten = is_forgotten(*pid);
            files.extend(known.files.take_if(|_| is_forgotten));
            !is_forgotten
        });
        self.open_pairs -= files.len();
        files
    }

    /// Takes out a process that is asked. If it is not put back, the next survey does not know it.
    pub(super) fn take(&mut self, pid: Pid) -> Option<KnownProcess<Files>> {
        let known = self.processes.remove(&pid)?;
        self.open_pairs -= usize::from(known.files.is_some());
        Some(KnownProcess { survey: self.survey, ..known })
    }

    /// Puts a measured process back with its files, or in without them if it is new. Returns files
    /// that do not stay open.
    #[must_use]
    pub(super) fn put(
        &mut self,
        probe: &Probe,
        known: Option<KnownProcess<Files>>,
        mut files: Option<Files>,
    ) -> Option<Files> {
        let (pid, is_known) = (probe.pid(), known.is_some());
        // Processes open their files again in different surveys.
        let (name, reads) = (Vec::new(), pid.0 % READS_MAX);
        let new = || KnownProcess { files: None, name, is_name_open: false, reads, survey: 0 };
        let mut known = known.unwrap_or_else(new);
        known.files = files.take_if(|_| is_known);
        known.is_name_open = probe.is_name_open();
        self.open_pairs += usize::from(known.files.is_some());
        if known.files.is_some() && known.name != probe.name() {
            known.name.clear();
            known.name.extend_from_slice(probe.name());
        }
        self.processes.insert(pid, known);
        files
    }

    /// The number of processes with open files, without those that are taken out.
    pub(super) fn open_pairs(&self) -> usize {
        self.open_pairs
    }
}

impl<Files> KnownProcess<Files> {
    /// Starts a probe with the process, and with its open files unless these are due to be opened
    /// again.
    pub(super) fn start(&mut self, probe: &mut Probe, pid: Pid, plan: &Arc<Plan>) {
        if self.files.is_none() {
            return probe.restart(pid, plan);
        }
        if self.reads >= READS_MAX {
            self.reads = 0;
            return probe.restart(pid, plan);
        }
        self.reads += 1;
        // Names of different processes are read in different surveys.
        let turn = plan.surveys_per_name.map(|count| self.survey.wrapping_add(pid.0) % count);
        let name = Some(&self.name[..]).filter(|_| turn != Some(0));
        probe.resume(pid, plan, name, self.is_name_open);
    }
}

/// Whether a rollup that stays open has the figures of the moment at every read. In Linux 4.15 to
/// 4.18 each read adds to the last. A directory that replaces `/proc` is not read this way: its
/// files may be replaced.
pub(super) fn can_reread(root: &ProcRoot) -> bool {
    let Ok(own) = ProcRoot::open("/proc".as_ref()) else { return false };
    root.is_procfs() && read_own_twice(&own).is_some_and(|[once, again]| is_sound(&once, &again))
}

/// The rollup of this process, read twice from one descriptor.
fn read_own_twice(root: &ProcRoot) -> Option<[Smaps; 2]> {
    let file = ProcFile::SmapsRollup;
    let mut open = root.open_file(file, &file.path(Pid(std::process::id()), None)).ok()?;
    let mut read = || {
        let mut room = vec![0; ROLLUP_BYTES];
        open.rewind();
        let len = open.read(&mut room).ok()?;
        let mut scanner = Scanner::new();
        scanner.feed(&room[..len]);
        scanner.finish().ok()
    };
    Some([read()?, read()?])
}

/// Memory that this process takes between two reads is far less than half of it.
fn is_sound(once: &Smaps, again: &Smaps) -> bool {
    let [once, again] = [once, again].map(|smaps| smaps.rss().0);
    once > 0 && again < once + once / 2
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;

    fn smaps(rss: u64) -> Smaps {
        let mut scanner = Scanner::new();
        let text = format!("Rss: {rss} kB\nPss: 8 kB\nPrivate_Clean: 0 kB\nPrivate_Dirty: 8 kB\n");
        scanner.feed(text.as_bytes());
        scanner.finish().expect("smaps")
    }

    #[test]
    fn doubled_values_are_not_sound() {
        for (once, again, expected) in [
            (4000, 4000, true),
            (4000, 4400, true),
            (4000, 3000, true),
            (4000, 8000, false),
            (4000, 8400, false),
            (0, 0, false),
        ] {
            assert_eq!(is_sound(&smaps(once), &smaps(again)), expected, "{once}, then {again}");
        }
    }

    #[test]
    fn this_kernel_rereads_its_own_proc_and_no_other_directory() {
        let proc = ProcRoot::open("/proc".as_ref()).expect("a /proc");
        let release = crate::sys::this_process::name_and_kernel().1;
        let doubles = ["4.15.", "4.16.", "4.17.", "4.18."].iter().any(|it| release.starts_with(it));
        assert!(can_reread(&proc) || doubles, "{release}");
        let other = ProcRoot::open("/sys".as_ref()).expect("a /sys");
        assert!(!can_reread(&other));
    }

    /// Two processes with open files: each reads its name in a quarter of the surveys, in turn
    /// with the other, and opens its files again in four.
    #[test]
    fn names_take_turns_and_files_are_opened_again() {
        let plan = Arc::new(Plan { surveys_per_name: NonZeroU32::new(4), ..Plan::default() });
        let mut series = SurveySeries::default();
        let mut probe = Probe::new();
        let (mut names, mut opens) = ([0; 2], [0; 2]);
        let pids = [Pid(40), Pid(41)];
        let known = |pid| KnownProcess {
            files: Some(()),
            name: b"x".into(),
            is_name_open: true,
            reads: pid % 32,
            survey: 0,
        };
        series.processes.extend(pids.map(|pid| (pid, known(pid.0))));
        series.open_pairs = 2;
        for _ in 0..132 {
            assert!(series.begin(&pids).is_empty());
            let both = [0, 1].map(|place| {
                let mut known = series.take(pids[place]).expect("it is known");
                known.start(&mut probe, pids[place], &plan);
                let is_pair = matches!(probe.want(), Some(crate::process::Want::Pair { .. }));
                opens[place] += usize::from(!probe.is_open(ProcFile::SmapsRollup));
                names[place] += usize::from(is_pair && probe.is_open(ProcFile::SmapsRollup));
                series.processes.insert(pids[place], known);
                series.open_pairs += 1;
                is_pair && probe.is_open(ProcFile::SmapsRollup)
            });
            assert!(!(both[0] && both[1]), "they take turns");
        }
        assert_eq!(opens, [4, 4]);
        assert!(names.iter().all(|count| (31..=33).contains(count)), "{names:?}");
        assert_eq!(series.begin(&[Pid(41)]), [()]);
        assert!(series.take(Pid(40)).is_none());
    }
}
