//! The operating system.
//!
//! - `keeper` the program with a capability, run by an ordinary user
//! - `kernel` features of this kernel
//! - `users`  user names of this host

mod keeper;
mod kernel;
mod users;
