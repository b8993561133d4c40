//! The engine `uring`: on a model of the ring, and seen by `strace`.
//!
//! - `loop_thread` what the thread that submits does not touch
//! - `model_ring`  schedules at random, every operation failed
//! - `refusals`    a kernel that refuses `io_uring_enter`

mod loop_thread;
mod model_ring;
mod refusals;
