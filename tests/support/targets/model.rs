//! The engine `uring` on the model of the ring: every byte of the input is a choice of its script.
//! `schedule::run` checks the outcome against the model.

use super::super::model::dice::Dice;
use super::super::model::schedule;
use super::super::model::script::Script;

pub fn run(bytes: &[u8]) {
    schedule::run(Script::random(Dice::of_bytes(bytes.to_vec())));
}
