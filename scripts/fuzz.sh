#!/bin/sh
# Runs fuzz targets one after another: fuzz.sh [TARGET|all] [SECONDS], 600 seconds each by default.
#
# With a nightly compiler and cargo-fuzz, libFuzzer guides the inputs by coverage, under
# AddressSanitizer. Otherwise the stable compiler runs the same targets on random inputs. New inputs
# are kept in target/fuzz/corpus. KEEP=1 adds those that increase the coverage of tests/data/seeds to
# tests/data/seeds, cut to KEEP_BYTES (512). A failure leaves its input in target/fuzz and ends the run.
set -eu
cd "$(dirname "$0")/.."
target=${1:-all} seconds=${2:-600}
all=$(ls fuzz/fuzz_targets | sed 's/\.rs$//')
if [ "$target" = all ]; then
    targets=$all
elif [ -f "fuzz/fuzz_targets/$target.rs" ]; then
    targets=$target
else
    echo "fuzz.sh: no target '$target'; targets:" $all >&2
    exit 2
fi

if ! cargo +nightly fuzz --version >/dev/null 2>&1; then
    echo "fuzz.sh: no nightly compiler or no cargo-fuzz, so coverage does not guide the inputs:" \
        "rustup toolchain install nightly && cargo install cargo-fuzz" >&2
    for target in $targets; do
        PSM_FUZZ_SECONDS=$seconds cargo test --release --locked --test it "fuzz::$target"
    done
    exit
fi

work=$(scripts/target-dir.sh)/fuzz
cargo +nightly fuzz build --target-dir "$work"
for target in $targets; do
    new=$work/corpus/$target seeds=tests/data/seeds/$target more=
    case $target in mappings | rollup | scanner) more=tests/data/corpus ;; esac
    mkdir -p "$new" "$seeds"
    # Even on a busy machine, only a target that hangs takes 60 s for one input.
    nice -n 10 cargo +nightly fuzz run --target-dir "$work" "$target" "$new" "$seeds" $more \
        -- -max_total_time="$seconds" -timeout=60 -rss_limit_mb=2048 -max_len=8192 \
        -artifact_prefix="$work/$target-" -print_final_stats=1
    [ "${KEEP:-0}" = 0 ] || cargo +nightly fuzz run --target-dir "$work" "$target" \
        "$seeds" $more "$new" -- -merge=1 -max_len="${KEEP_BYTES:-512}"
done
