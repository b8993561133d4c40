//! `tests/support/targets/key.rs` under libFuzzer.
#![no_main]

use psm_uring_fuzz::targets::key::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
