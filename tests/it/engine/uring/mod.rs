//! The engine `uring`: on a model of the ring, and under `strace`.
//!
//! - `loop_thread` files that the submitting thread must not touch
//! - `model_ring`  random schedules, and a failure of every operation
//! - `refusals`    a kernel that refuses `io_uring_enter`

mod loop_thread;
mod model_ring;
mod refusals;
