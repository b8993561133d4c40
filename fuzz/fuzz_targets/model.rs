//! `tests/support/targets/model.rs` under libFuzzer.
#![no_main]

use psm_uring_fuzz::targets::model::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
