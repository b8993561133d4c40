#!/bin/sh
# Runs under Miri what touches no kernel: the pure floors by their own tests, and the ring's engine
# with its buffers on the model, PSM_SCHEDULES schedules (20). Minutes. Says SKIPPED, and why, where
# there is no Miri.
set -eu
cd "$(dirname "$0")/.."
if ! cargo +nightly miri --version >/dev/null 2>&1; then
    echo "SKIPPED miri.sh: no Miri here:" \
        "rustup toolchain install nightly --component miri,rust-src" >&2
    exit
fi
# The clock is read. Variables go by flags: those of the environment are taken when the test is
# built, and stay so.
export MIRIFLAGS="${MIRIFLAGS:-} -Zmiri-disable-isolation \
    -Zmiri-env-set=PSM_SCHEDULES=${PSM_SCHEDULES:-20} \
    -Zmiri-env-set=PSM_SEED=${PSM_SEED:-$(date +%s)}"
work=$(scripts/target-dir.sh)/miri
miri() { cargo +nightly miri test --locked --target-dir "$work" "$@"; }
# Miri has words of its own for error numbers, which the one that is skipped compares.
miri --lib -- smaps:: process:: program:: report:: units:: sys::buffer:: \
    --skip failures_say_their_error_and_remedy
miri --test model_ring schedules_at_random
