//! `tests/support/targets/name.rs` under libFuzzer.
#![no_main]

use psm_uring_fuzz::targets::name::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
