#!/bin/sh
# Runs the tests that make no system calls under Miri: the unit tests of the pure modules, and the
# io_uring engine and its buffers on the model ring with PSM_SCHEDULES schedules (20). Takes
# minutes. Without Miri it prints SKIPPED and the reason.
set -eu
cd "$(dirname "$0")/.."
if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "SKIPPED miri.sh: Miri is missing:" \
        "rustup toolchain install nightly --component miri,rust-src" >&2
    exit
fi
# The tests read the clock. Flags pass the variables, because Miri takes the environment when it
# builds the test.
export MIRIFLAGS="${MIRIFLAGS:-} -Zmiri-disable-isolation \
    -Zmiri-env-set=PSM_SCHEDULES=${PSM_SCHEDULES:-20} \
    -Zmiri-env-set=PSM_SEED=${PSM_SEED:-$(date +%s)}"
work=$(scripts/target-dir.sh)/miri
miri() { cargo +nightly miri test --locked --target-dir "$work" "$@"; }
# The skipped test compares texts of error numbers, and Miri has other texts.
miri --lib -- smaps:: process:: program:: report:: units:: sys::buffer:: \
    --skip failures_say_their_error_and_remedy
miri --test it schedules_at_random
