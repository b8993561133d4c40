//! What a worker does for each kind of request: one step after another.

use psm_uring::sys::ring::Place;

use super::fault::Op;

/// One request of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub place: Place,
    pub op: Op,
}

const fn step(place: Place, op: Op) -> Step {
    Step { place, op }
}

/// Name and memory.
pub const PAIR: &[Step] = &[
    step(Place::Second, Op::Open),
    step(Place::First, Op::Open),
    step(Place::First, Op::Read),
    step(Place::Second, Op::Read),
];
/// The same when the name is that of the executable.
pub const PAIR_WITH_LINK: &[Step] =
    &[step(Place::Second, Op::Open), step(Place::First, Op::Link), step(Place::Second, Op::Read)];
/// One file.
pub const ONE: &[Step] = &[step(Place::First, Op::Open), step(Place::First, Op::Read)];
/// The name of the executable alone.
pub const LINK: &[Step] = &[step(Place::First, Op::Link)];
/// More of a file that is open, by its place.
pub const MORE: [&[Step]; 2] = [&[step(Place::First, Op::Read)], &[step(Place::Second, Op::Read)]];
