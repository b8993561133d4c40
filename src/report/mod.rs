//! Numbers to text. Knows no engine.
//!
//! - `table`  for people
//! - `amount` an amount of memory in a unit
//! - `escape` foreign names made safe
//! - `notes`  what the run has to say about itself, for standard error
#![forbid(unsafe_code)]

mod amount;
pub mod escape;
pub mod notes;
mod table;

pub use amount::Unit;
pub use table::{TableOptions, table, total};
