//! What a member has and does: it takes its memory, tells the root, and sleeps until it is killed.

use std::fs::read_to_string;
use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use psm_uring::sys::this_process;
use psm_uring::units::Pid;

use super::spec::Spec;
use super::sys::{self, Area, Range};
use super::{CHILD, MEMBER, ROOT};

/// What a member writes when it stands: its id, and where its private memory is.
const RECORD_BYTES: usize = 12;

/// The memory of forked members: mapped by the root, touched by each of them.
pub(super) struct Layout {
    private: Vec<Area>,
    /// How many pages of each private area are touched.
    touched: Vec<usize>,
    shared: Option<Area>,
    shared_pages: usize,
}

impl Layout {
    /// Maps what the members shall have: exactly as many mappings as were asked for.
    pub(super) fn map(spec: &Spec) -> Result<Layout, String> {
        let error = |error| format!("mmap: {error}");
        let own = read_to_string("/proc/self/maps").map_err(|error| format!("maps: {error}"))?;
        let own = own.lines().count() + usize::from(spec.shared > 0);
        let areas = spec.mappings.checked_sub(own).filter(|areas| *areas > 0);
        let areas = areas.ok_or_else(|| {
            let mappings = spec.mappings;
            format!("{own} mappings are those of the program itself: {mappings} are too few")
        })?;
        let share = |n| spec.private / areas + usize::from(n < spec.private % areas);
        let touched: Vec<usize> = (0..areas).map(share).collect();
        let mapped: Vec<usize> = touched.iter().map(|pages| 1.max(*pages)).collect();
        let shared = (spec.shared > 0).then(|| Area::shared(spec.shared)).transpose();
        let shared = shared.map_err(error)?;
        if let Some(shared) = &shared {
            (0..spec.shared).for_each(|page| shared.write(page));
        }
        let private = Area::private_apart(&mapped).map_err(error)?;
        Ok(Layout { private, touched, shared, shared_pages: spec.shared })
    }

    /// Takes the pages: private ones by writing, shared ones, which are there, by reading.
    fn touch(&self) {
        for (area, pages) in self.private.iter().zip(&self.touched) {
            (0..*pages).for_each(|page| area.write(page));
        }
        if let Some(shared) = &self.shared {
            (0..self.shared_pages).for_each(|page| shared.read(page));
        }
    }

    /// From the first private page to the last one; nothing else is between.
    pub(super) fn private(&self) -> Range {
        let start = self.private.first().map_or(0, |area| area.range().start);
        let end = self.private.last().map_or(0, |area| area.range().start + area.range().len);
        Range { start, len: end - start }
    }

    pub(super) fn shared(&self) -> Option<Range> {
        self.shared.as_ref().map(Area::range)
    }
}

/// Makes a member by fork.
pub(super) fn fork(layout: &Layout, ready: &PipeWriter) -> Result<Pid, String> {
    let member = || {
        layout.touch();
        tell(ready, layout.private().start);
        stand();
    };
    sys::fork(member).map_err(|error| format!("fork: {error}"))
}

/// Makes a member by exec, with a title of its own.
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

/// What the member calls itself.
pub(super) fn title(spec: &Spec, n: usize) -> String {
    format!("crowd: member {n} of {}", spec.processes)
}

/// An exec'ed member, from its beginning.
pub(super) fn stand_by_orders(orders: &str) -> ! {
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
    tell(&ready, area.range().start);
    stand();
}

/// Says that this member has its memory. A root that is gone needs no answer.
pub(super) fn tell(mut ready: &PipeWriter, start: usize) {
    let mut record = [0; RECORD_BYTES];
    record[..4].copy_from_slice(&std::process::id().to_ne_bytes());
    record[4..].copy_from_slice(&(start as u64).to_ne_bytes());
    let _ = ready.write_all(&record);
}

fn stand() -> ! {
    loop {
        rustix::event::pause();
    }
}

/// What a member that stands wrote: its id, and where its private memory is.
pub(super) fn read_record(mut ready: &PipeReader) -> std::io::Result<(Pid, usize)> {
    let mut pid = [0; 4];
    let mut start = [0; RECORD_BYTES - 4];
    ready.read_exact(&mut pid)?;
    ready.read_exact(&mut start)?;
    let start = usize::try_from(u64::from_ne_bytes(start)).unwrap_or(0);
    Ok((Pid(u32::from_ne_bytes(pid)), start))
}
