//! `tests/support/targets/walk.rs` under libFuzzer.
#![no_main]

use psm_uring_fuzz::targets::walk::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
