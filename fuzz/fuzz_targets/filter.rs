//! `tests/support/targets/filter.rs` under libFuzzer.
#![no_main]

use psm_uring_fuzz::targets::filter::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
