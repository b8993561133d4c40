//! `tests/support/targets/rollup.rs` under libFuzzer.
#![no_main]

use psm_uring_fuzz::targets::rollup::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
