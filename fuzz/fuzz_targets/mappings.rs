//! `tests/support/targets/mappings.rs` under libFuzzer.
#![no_main]

use psm_uring_fuzz::targets::mappings::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
