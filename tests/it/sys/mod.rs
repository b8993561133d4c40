//! The operating system.
//!
//! - `kernel` features of this kernel
//! - `users`  user names of this host

mod kernel;
mod users;
