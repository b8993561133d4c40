//! The targets of `tests/targets`, for the programs in `fuzz_targets`. Has nothing of its own.

#[path = "../../tests/model/mod.rs"]
mod model;
#[path = "../../tests/targets/mod.rs"]
pub mod targets;
#[path = "../../tests/support/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;
