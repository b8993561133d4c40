//! Numbers to text. Knows no engine.
//!
//! - `table`  for people
//! - `line`   a line of it
//! - `layout` where its columns stand
//! - `share`  what part an amount is of another
//! - `color`  how its lines look on a terminal
//! - `amount` an amount of memory in a unit
//! - `escape` foreign names made safe
//! - `notes`  what is missing in the report, for standard error
//! - `width`  how wide a text is, and how to cut it
//! - `stats`  the facts of the run, for standard error
#![forbid(unsafe_code)]

mod amount;
mod color;
pub mod escape;
mod layout;
mod line;
pub mod notes;
mod share;
mod stats;
mod table;
mod width;

pub use amount::Unit;
pub use color::Color;
pub use stats::{RunStats, stats};
pub use table::{COLUMNS, TableOptions, table, total};

/// So many of a thing, which has a plural like most.
fn plural(count: usize, thing: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {thing}{s}")
}
