#!/bin/sh
# Counts the instructions of the scanner with callgrind, and exits with 4 when they exceed their
# budget. The count is the same on a busy machine as on an idle one. It is the difference of two
# runs with different numbers of passes, so the start of the program does not count.
set -eu

# Budgets, 4 % above the code of rustc 1.95 (2,106 and 2,845). Lower them when the scanner gets
# better.
per_kilobyte_of_smaps=2190
per_rollup=3060

# Builds the library once, as the bench needs it, in parts that the linker joins: the count is 2 %
# lower than that of the released code, and the build takes 134 s instead of 160.
export CARGO_PROFILE_RELEASE_PANIC=unwind CARGO_PROFILE_RELEASE_CODEGEN_UNITS=8

cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    echo "SKIPPED instructions.sh: valgrind is missing" >&2
    exit 0
fi
bench=$(scripts/bench-path.sh scanner)

# count TEXT PASSES: the number of instructions, from the last line of callgrind.
count() {
    output=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" --bench --passes "$2" "$1" 2>&1) ||
        { echo "instructions.sh: callgrind failed: $output" >&2; exit 1; }
    echo "$output" | sed -n 's/.*Collected : *//p'
}

# check TEXT UNIT UNITS BUDGET: compares the instructions per unit with the budget. UNITS is the
# number of thousandths of a unit in one pass.
code=0
check() {
    found=$((($(count "$1" 11) - $(count "$1" 1)) * 100 / $3))
    echo "scanner: $found instructions per $2, at most $4"
    if [ "$found" -gt "$4" ]; then
        echo "instructions.sh: the scanner takes $found instructions per $2, its budget is $4" >&2
        code=4
    fi
}
check smaps "1,000 bytes of smaps" "$(wc -c <tests/data/corpus/real-6.18.smaps)" $per_kilobyte_of_smaps
check rollup rollup 1000 $per_rollup
exit $code
