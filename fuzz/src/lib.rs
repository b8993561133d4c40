//! The targets of `tests/support/targets`, for the programs in `fuzz_targets`. Has nothing of its
//! own.

#[path = "../../tests/support/model/mod.rs"]
mod model;
#[path = "../../tests/support/tables.rs"]
#[allow(dead_code, unreachable_pub)]
mod tables;
#[path = "../../tests/support/targets/mod.rs"]
pub mod targets;
#[path = "../../tests/support/world.rs"]
#[allow(dead_code, unreachable_pub)]
mod world;
