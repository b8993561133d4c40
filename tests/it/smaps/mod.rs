//! Texts of smaps to figures.
//!
//! - `scanner` compared with its naive twin

mod scanner;
