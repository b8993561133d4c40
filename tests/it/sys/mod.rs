//! The operating system.
//!
//! - `kernel` what this kernel has
//! - `users`  what this host calls its users

mod kernel;
mod users;
