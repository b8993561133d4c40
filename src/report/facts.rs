//! A report as a whole, before it has a form: what was found, what is missing, and how it was come
//! by. Every format says the same of it.

use std::time::Duration;

use super::notes::Missing;
use crate::program::{Column, Grouping, Ledger, Programs};

/// All there is to say.
#[derive(Clone, Copy, Debug)]
pub struct Report<'run> {
    /// Rows and their sum.
    pub programs: &'run Programs<'run>,
    /// What a row stands for.
    pub grouping: Grouping,
    /// Whether the caller wants nothing but the sum.
    pub is_total: bool,
    /// The columns, from left to right, for formats that have some.
    pub columns: &'run [Column],
    /// Whether it was asked who owns processes, and which control groups they are in.
    pub has_owner: bool,
    /// See `has_owner`.
    pub has_cgroup: bool,
    /// What is not in it, and why.
    pub missing: &'run Missing<'run>,
    /// What else there is to say besides, for people.
    pub notes: &'run [String],
    /// The memory of the machine, if it is asked for.
    pub host: Option<&'run Ledger>,
    /// How it was come by.
    pub facts: &'run Facts,
}

/// The facts of a run.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The version of this program.
    pub version: &'static str,
    /// The names of the host and of its kernel's release.
    pub host: String,
    /// See `host`.
    pub kernel: String,
    /// The engine that was used.
    pub engine: &'static str,
    /// Why it was not the one wished for.
    pub fallback: Option<String>,
    /// The words of the command line for the memory file, for what a row stands for and for the
    /// rule of names.
    pub source: String,
    /// See `source`.
    pub by: String,
    /// See `source`.
    pub name: String,
    /// Which processes were selected, in the words of the command line; all if `None`.
    pub selection: Option<String>,
    /// When it began, since 1970.
    pub started: Duration,
    /// The same as people write it (RFC 3339).
    pub started_at: String,
    /// How long it took so far.
    pub duration: Duration,
}
