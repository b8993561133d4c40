//! `tests/support/targets/escape.rs` under libFuzzer.
#![no_main]

use psm_uring_fuzz::targets::escape::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
