//! Texts of smaps to figures.
//!
//! - `named`   mappings by name
//! - `scanner` compared with its naive twin

mod named;
mod scanner;
