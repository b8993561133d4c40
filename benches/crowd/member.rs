//! A member: it takes its memory, reports to the root, and sleeps until it is killed.

use std::fs::read_to_string;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use psm_uring::sys::this_process;
use psm_uring::units::Pid;

use super::spec::Spec;
use super::sys::{self, Area, Range};
use super::{CHILD, MEMBER, ROOT};

/// The report of a member that is ready: its id, and the address of its private memory.
const REPORT_BYTES: usize = 12;

/// The time after which a process that uses CPU time ends by itself, whatever became of the crowd.
pub(super) const BUSY_LIMIT: Duration = Duration::from_secs(3600);

/// The memory of forked members: the root maps it, each member touches it.
pub(super) struct Layout {
    private: Vec<Area>,
    /// The number of touched pages of each private area.
    touched: Vec<usize>,
    shared: Option<Area>,
    shared_pages: usize,
}

impl Layout {
    /// Maps the areas, so that each member has exactly `spec.mappings` mappings.
    pub(super) fn map(spec: &Spec) -> Result<Layout, String> {
        let error = |error| format!("mmap: {error}");
        let own = read_to_string("/proc/self/maps").map_err(|error| format!("maps: {error}"))?;
        let own = own.lines().count() + usize::from(spec.shared > 0);
        let areas = spec.mappings.checked_sub(own).filter(|areas| *areas > 0);
        let areas = areas.ok_or_else(|| {
            let mappings = spec.mappings;
            format!("{mappings} mappings are too few: the program itself has {own}")
        })?;
        let touched = spread(spec.private, areas);
        let mapped: Vec<usize> = touched.iter().map(|pages| 1.max(*pages)).collect();
        let shared = (spec.shared > 0).then(|| Area::shared(spec.shared)).transpose();
        let shared = shared.map_err(error)?;
        if let Some(shared) = &shared {
            (0..spec.shared).for_each(|page| shared.write(page));
        }
        let private = Area::private_apart(&mapped).map_err(error)?;
        Ok(Layout { private, touched, shared, shared_pages: spec.shared })
    }

    /// Takes the pages: private ones by writing, shared ones by reading.
    fn touch(&self) {
        for (area, pages) in self.private.iter().zip(&self.touched) {
            (0..*pages).for_each(|page| area.write(page));
        }
        if let Some(shared) = &self.shared {
            (0..self.shared_pages).for_each(|page| shared.read(page));
        }
    }

    /// The range from the first private page to the last one, without other mappings.
    pub(super) fn private(&self) -> Range {
        let start = self.private.first().map_or(0, |area| area.range().start);
        let end = self.private.last().map_or(0, |area| area.range().start + area.range().len);
        Range { start, len: end - start }
    }

    pub(super) fn shared(&self) -> Option<Range> {
        self.shared.as_ref().map(Area::range)
    }
}

/// Spreads pages over areas: the pages of each.
pub(super) fn spread(pages: usize, areas: usize) -> Vec<usize> {
    (0..areas).map(|n| pages / areas + usize::from(n < pages % areas)).collect()
}

/// Starts a member by fork.
pub(super) fn fork(layout: &Layout, ready: &PipeWriter) -> Result<Pid, String> {
    let member = || {
        layout.touch();
        report(ready, layout.private().start);
        sleep();
    };
    sys::fork(member).map_err(|error| format!("fork: {error}"))
}

/// Starts a member by exec, with a title of its own.
pub(super) fn exec(spec: &Spec, n: usize, ready: &PipeWriter) -> Result<Pid, String> {
    let error = |error| format!("member {n}: {error}");
    let program = std::env::current_exe().map_err(error)?;
    let ready: OwnedFd = ready.try_clone().map_err(error)?.into();
    let root = std::process::id();
    let mut command = Command::new(program);
    command
        .arg0(title(spec, n))
        .args(CHILD)
        .env_remove(ROOT)
        .env(MEMBER, format!("{root} {}", spec.private))
        .stdin(ready)
        .stdout(Stdio::null());
    sys::spawn(&mut command).map_err(error)
}

/// The title of a member.
pub(super) fn title(spec: &Spec, n: usize) -> String {
    format!("crowd: member {n} of {}", spec.processes)
}

/// The main function of an exec'ed member.
pub(super) fn run_orders(orders: &str) -> ! {
    let mut numbers = orders.split(' ').map_while(|word| word.parse::<usize>().ok());
    let (Some(root), Some(pages)) = (numbers.next(), numbers.next()) else { this_process::exit(1) };
    let is_in_time = u32::try_from(root).is_ok_and(|root| sys::die_with(Pid(root)).is_ok());
    let Ok(area) = Area::private(pages) else { this_process::exit(1) };
    if !is_in_time {
        this_process::exit(1);
    }
    (0..pages).for_each(|page| area.write(page));
    let Ok(ready) = rustix::io::dup(rustix::stdio::stdin()) else { this_process::exit(1) };
    let ready = PipeWriter::from(ready);
    report(&ready, area.range().start);
    sleep();
}

/// Reports that this member has its memory. A root that is gone needs no report.
pub(super) fn report(mut ready: &PipeWriter, start: usize) {
    let mut report = [0; REPORT_BYTES];
    report[..4].copy_from_slice(&std::process::id().to_ne_bytes());
    report[4..].copy_from_slice(&(start as u64).to_ne_bytes());
    let _ = ready.write_all(&report);
}

fn sleep() -> ! {
    loop {
        rustix::event::pause();
    }
}

/// Reads the report of a member: its id, and the address of its private memory.
pub(super) fn read_report(mut ready: &PipeReader) -> std::io::Result<(Pid, usize)> {
    let mut pid = [0; 4];
    let mut start = [0; REPORT_BYTES - 4];
    ready.read_exact(&mut pid)?;
    ready.read_exact(&mut start)?;
    let start = usize::try_from(u64::from_ne_bytes(start)).unwrap_or(0);
    Ok((Pid(u32::from_ne_bytes(pid)), start))
}
