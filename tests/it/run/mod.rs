//! The program from its start to its end.
//!
//! - `descriptors` when there are few
//! - `diff`        the command
//! - `output`      readers that leave, disks that are full
//! - `output_file` a file that is replaced as a whole
//! - `progress`    what is seen by who waits
//! - `screen`      `--watch` as a terminal shows it
//! - `selection`   what is not read
//! - `stats`       `--stats`
//! - `stuck`       processes whose files never answer
//! - `watch`       `--watch`

mod descriptors;
mod diff;
mod output;
pub(crate) mod output_file;
mod progress;
mod screen;
mod selection;
mod stats;
mod stuck;
mod watch;
