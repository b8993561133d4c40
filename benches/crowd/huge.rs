//! The one big process: it maps, touches and unmaps a small area again and again and records the
//! time of each. A reader that holds its `mmap_lock` for long shows up in the last percentiles.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, PipeWriter, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use psm_uring::sys::this_process;
use psm_uring::units::Pid;

use super::member;
use super::root::{is_readable, timespec};
use super::spec::Spec;
use super::sys::{self, Area};

/// The small area.
const AREA_PAGES: usize = 16;
/// Times are counted by microseconds up to this one; longer times count as this one.
const LONGEST_US: usize = 1 << 20;
/// The time that the root waits for the record.
const REPORT_LIMIT: Duration = Duration::from_secs(10);
const PERCENTILES: [(&str, f64); 4] =
    [("p50", 0.50), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)];

/// The root's connection to the process.
pub(super) struct Huge(UnixStream);

impl Huge {
    /// Starts the process. It records from [`Huge::begin`] on.
    pub(super) fn fork(spec: &Spec, ready: &PipeWriter) -> Result<(Pid, Huge), String> {
        let pair = UnixStream::pair().map_err(|error| format!("socket pair: {error}"))?;
        let (ours, theirs) = pair;
        let member = || {
            let done = live(spec, ready, &theirs);
            this_process::exit(u8::from(done.is_err()));
        };
        let pid = sys::fork(member).map_err(|error| format!("fork: {error}"))?;
        Ok((pid, Huge(ours)))
    }

    pub(super) fn begin(&self) -> Result<(), String> {
        let mut stream = &self.0;
        stream.write_all(b"x").map_err(|error| format!("the huge member: {error}"))
    }

    /// Stops the process and returns its record, or the reason that there is none.
    pub(super) fn report(self) -> String {
        let mut text = String::new();
        let asked = self.0.shutdown(Shutdown::Write);
        let limited = asked.and_then(|()| self.0.set_read_timeout(Some(REPORT_LIMIT)));
        // The root holds the other end open as well: the end of the line is the end of the record.
        let mut answer = BufReader::new(self.0);
        match limited.and_then(|()| answer.read_line(&mut text)) {
            Ok(len) if len > 0 => text.trim_end().to_owned(),
            Ok(_) => "no record: the process died".to_owned(),
            Err(error) => format!("no record: {error}"),
        }
    }
}

/// The process: takes its memory, waits for the order to begin, and records until the order to
/// stop.
fn live(spec: &Spec, ready: &PipeWriter, mut root: &UnixStream) -> std::io::Result<()> {
    let pages = member::spread(spec.private, spec.mappings);
    let memory = Area::private_apart(&pages)?;
    for (area, pages) in memory.iter().zip(pages) {
        (0..pages).for_each(|page| area.write(page));
    }
    let mut times = Times::new();
    member::report(ready, memory[0].range().start);
    root.read_exact(&mut [0])?;
    let pause = timespec(spec.pause);
    while !is_readable(root, &pause) {
        let began = Instant::now();
        let area = Area::private(AREA_PAGES)?;
        (0..AREA_PAGES).for_each(|page| area.write(page));
        area.unmap()?;
        times.add(began.elapsed());
    }
    root.write_all(times.to_text().as_bytes())
}

/// A histogram of times by microseconds.
struct Times {
    counts: Vec<u32>,
    all: u64,
    longest_us: usize,
}

impl Times {
    fn new() -> Times {
        Times { counts: vec![0; LONGEST_US + 1], all: 0, longest_us: 0 }
    }

    fn add(&mut self, time: Duration) {
        let us = usize::try_from(time.as_micros()).unwrap_or(usize::MAX);
        self.counts[us.min(LONGEST_US)] += 1;
        self.all += 1;
        self.longest_us = self.longest_us.max(us);
    }

    /// The time that this part of all times does not exceed.
    fn percentile(&self, part: f64) -> usize {
        let mut left = self.all as f64 * part;
        let exceeds = |count: &u32| {
            left -= f64::from(*count);
            left <= 0.0
        };
        self.counts.iter().position(exceeds).unwrap_or(self.longest_us)
    }

    fn to_text(&self) -> String {
        let mut text = format!("{} times, us:", self.all);
        for (name, part) in PERCENTILES {
            // Writing to a String cannot fail.
            let _ = write!(text, " {name} {}", self.percentile(part));
        }
        let _ = writeln!(text, " max {}", self.longest_us);
        text
    }
}
