#!/bin/sh
# Counts the instructions of the scanner under callgrind, which are the same on a busy machine as on
# an idle one, and exits with 4 when they exceed their budget. Two runs that differ only in how often
# the text is scanned are subtracted, so that the start of the program does not count.
set -eu

# Budgets, four per cent above what rustc 1.95 makes of it (2,106 and 2,845). Lower them when the
# scanner gets better.
per_kilobyte_of_smaps=2190
per_rollup=2960

cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null; then
    echo "SKIPPED instructions.sh: no valgrind here (apt-get install valgrind)" >&2
    exit 0
fi
bench=$(scripts/bench-path.sh scanner)

# How many instructions so many passes take. The last line of callgrind tells.
count() {
    told=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$bench" --bench --passes "$2" "$1" 2>&1) ||
        { echo "instructions.sh: callgrind failed: $told" >&2; exit 1; }
    echo "$told" | sed -n 's/.*Collected : *//p'
}

# What one pass takes: check WHAT UNIT UNITS BUDGET, where a pass has so many thousandths of a unit.
code=0
check() {
    found=$((($(count "$1" 11) - $(count "$1" 1)) * 100 / $3))
    echo "scanner: $found instructions per $2, at most $4"
    if [ "$found" -gt "$4" ]; then
        echo "instructions.sh: the scanner takes $found instructions per $2, its budget is $4" >&2
        code=4
    fi
}
check smaps "1,000 bytes of smaps" "$(wc -c <tests/corpus/real-6.18.smaps)" $per_kilobyte_of_smaps
check rollup rollup 1000 $per_rollup
exit $code
