//! The steps of a worker for each kind of request, in order.

use psm_uring::sys::ring::Half;

use super::fault::Op;

/// One request of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    pub half: Half,
    pub op: Op,
}

const fn step(half: Half, op: Op) -> Step {
    Step { half, op }
}

/// Name and memory.
pub const PAIR: &[Step] = &[
    step(Half::Second, Op::Open),
    step(Half::First, Op::Open),
    step(Half::First, Op::Read),
    step(Half::Second, Op::Read),
];
/// The same when the name is that of the executable.
pub const PAIR_WITH_LINK: &[Step] =
    &[step(Half::Second, Op::Open), step(Half::First, Op::Link), step(Half::Second, Op::Read)];
/// One file.
pub const ONE: &[Step] = &[step(Half::First, Op::Open), step(Half::First, Op::Read)];
/// Only the name of the executable.
pub const LINK: &[Step] = &[step(Half::First, Op::Link)];
/// Another read of an open file, by its half.
pub const MORE: [&[Step]; 2] = [&[step(Half::First, Op::Read)], &[step(Half::Second, Op::Read)]];
