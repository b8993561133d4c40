//! The program from its start to its end.
//!
//! - `columns`     figures that a column adds
//! - `descriptors` a low limit of descriptors
//! - `diff`        the command
//! - `faults`      major page faults
//! - `keys`        titles that change
//! - `output`      readers that exit, full disks
//! - `output_file` atomic replacement of the file
//! - `progress`    the progress line on a terminal
//! - `reasons`     the reasons for a lack of figures
//! - `screen`      `--watch` as a terminal shows it
//! - `selection`   files that a selection does not read
//! - `stats`       `--stats`
//! - `stuck`       processes whose files never answer
//! - `tree`        `--by tree`
//! - `watch`       `--watch`

mod columns;
mod descriptors;
mod diff;
mod faults;
mod keys;
mod output;
pub(crate) mod output_file;
mod progress;
mod reasons;
mod screen;
mod selection;
mod stats;
mod stuck;
mod tree;
mod watch;
