//! The kinds of crowds, their usual sizes, and the options that change them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// The kinds of crowds that performance is measured on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub enum Kind {
    /// Forked processes: 2,000 with 100 mappings, 200 private and 256 shared pages each
    Small,
    /// Forked processes: 10,000 with 60 mappings and 60 private pages each
    Many,
    /// Programs with titles of their own, 2,000, arguments and 16 more pages each in swap
    Swapped,
    /// Forked processes, 120 of 8 MiB in 400 MiB of memory, which touch their pages at random
    Thrash,
    /// One process of 2 GiB in 4 KiB pages, which records the latency of its own mmap
    Huge,
}

impl Kind {
    /// The word of the command line.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Small => "small",
            Kind::Many => "many",
            Kind::Swapped => "swapped",
            Kind::Thrash => "thrash",
            Kind::Huge => "huge",
        }
    }

    /// Whether the crowd adds a swap file to the host.
    pub(super) fn has_swap_file(self) -> bool {
        matches!(self, Kind::Swapped | Kind::Thrash)
    }
}

/// The session of busy loops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Session {
    /// One of their own, which gets as much CPU time as that of the measured command
    #[default]
    Own,
    /// That of the measured command (not with thrash, which has a session of its own)
    Same,
}

/// A crowd with all its sizes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Spec {
    /// The kind.
    pub kind: Kind,
    /// The number of members.
    pub processes: usize,
    /// Mappings of each forked member, including those of the program itself. Of a huge process:
    /// those that hold its pages.
    pub mappings: usize,
    /// Private anonymous pages of each.
    pub private: usize,
    /// Pages that all of them map; forked members only.
    pub shared: usize,
    /// The pause of a huge process between two of its times.
    pub pause: Duration,
    /// The directory of the swap file.
    pub swap_dir: PathBuf,
    /// The number of busy loops beside the members.
    pub busy: usize,
    /// The session of the busy loops.
    pub busy_session: Session,
}

impl Spec {
    /// A kind with its usual sizes.
    pub fn usual(kind: Kind) -> Spec {
        let (processes, mappings, private, shared) = match kind {
            Kind::Small => (2_000, 100, 200, 256),
            Kind::Many => (10_000, 60, 60, 0),
            Kind::Swapped => (2_000, 0, 16, 0),
            Kind::Thrash => (120, 0, pages_of_mib(8), 0),
            Kind::Huge => (1, 1, pages_of_mib(2048), 0),
        };
        // Unlike /tmp, it is on a disk everywhere.
        let swap_dir = PathBuf::from("/var/tmp");
        let (busy, busy_session) = (0, Session::Own);
        // It leaves a CPU to the reader.
        let pause = Duration::from_micros(100);
        Spec { kind, processes, mappings, private, shared, pause, swap_dir, busy, busy_session }
    }

    /// The private memory of all members that fits into memory: five twelfths of a crowd `thrash`,
    /// which are 400 MiB by default.
    pub(super) fn memory_bytes(&self) -> u64 {
        let pages = (self.private as u64).saturating_mul(self.processes as u64);
        let bytes = pages.saturating_mul(rustix::param::page_size() as u64);
        if self.kind == Kind::Thrash { bytes / 12 * 5 } else { bytes }
    }
}

/// Sizes other than the usual ones.
#[derive(Args, Clone, Debug, Default)]
pub struct Sizes {
    /// Number of processes (not for huge)
    #[arg(long, value_name = "N", value_parser = parse_size)]
    pub processes: Option<usize>,

    /// Mappings of each process, including its program's (small, many), or of its pages (huge)
    #[arg(long, value_name = "N", value_parser = parse_size)]
    pub mappings: Option<usize>,

    /// Private pages of each process (not for huge)
    #[arg(long, value_name = "PAGES", value_parser = parse_size)]
    pub private: Option<usize>,

    /// Pages that all processes share (small, many)
    #[arg(long, value_name = "PAGES")]
    pub shared: Option<usize>,

    /// Size of the process (huge)
    #[arg(long, value_name = "MIB", value_parser = parse_size)]
    pub mib: Option<usize>,

    /// Directory of the swap file (swapped, thrash) [default: /var/tmp]
    #[arg(long, value_name = "DIR")]
    pub swap_dir: Option<PathBuf>,

    /// Busy loops beside the crowd, from the moment it is ready
    #[arg(long, value_name = "N", value_parser = parse_size)]
    pub busy: Option<usize>,

    /// Session of the busy loops
    #[arg(long, value_name = "SESSION", default_value = "own", requires = "busy")]
    pub busy_session: Session,
}

impl Sizes {
    /// A kind with these sizes.
    ///
    /// # Errors
    /// This kind does not have one of the sizes.
    pub fn of(&self, kind: Kind) -> Result<Spec, String> {
        let is_forked = matches!(kind, Kind::Small | Kind::Many);
        let is_huge = kind == Kind::Huge;
        let wrong = [
            ("--processes", self.processes.is_some() && is_huge),
            ("--mappings", self.mappings.is_some() && !(is_forked || is_huge)),
            ("--private", self.private.is_some() && is_huge),
            ("--shared", self.shared.is_some() && !is_forked),
            ("--mib", self.mib.is_some() && !is_huge),
            ("--swap-dir", self.swap_dir.is_some() && !kind.has_swap_file()),
            ("--busy-session same", kind == Kind::Thrash && self.busy_session == Session::Same),
        ];
        if let Some((word, _)) = wrong.iter().find(|(_, is_wrong)| *is_wrong) {
            return Err(format!("a crowd `{}` has no {word}: leave it out", kind.word()));
        }
        let usual = Spec::usual(kind);
        let private = self.mib.map(pages_of_mib).or(self.private).unwrap_or(usual.private);
        let mappings = self.mappings.unwrap_or(usual.mappings);
        if is_huge && mappings > private {
            return Err(format!(
                "{mappings} mappings are too many for {private} pages: raise --mib"
            ));
        }
        Ok(Spec {
            kind,
            processes: self.processes.unwrap_or(usual.processes),
            mappings,
            private,
            shared: self.shared.unwrap_or(usual.shared),
            pause: usual.pause,
            swap_dir: self.swap_dir.clone().unwrap_or(usual.swap_dir),
            busy: self.busy.unwrap_or(usual.busy),
            busy_session: self.busy_session,
        })
    }
}

fn pages_of_mib(mib: usize) -> usize {
    mib.saturating_mul((1 << 20) / rustix::param::page_size())
}

fn parse_size(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(size) => Ok(size),
        Err(error) => Err(format!("{error}")),
    }
}
