//! `tests/support/targets/scanner.rs` under libFuzzer.
#![no_main]

use psm_uring_fuzz::targets::scanner::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
