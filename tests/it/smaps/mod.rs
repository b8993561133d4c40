//! Texts of smaps to figures.
//!
//! - `scanner` held against its naive twin

mod scanner;
