#!/usr/bin/env bash
# Measures all figures of docs/BENCHMARKS.md and writes them there: see --help.
set -euo pipefail

usage="\
Usage: scripts/benchmarks.sh [OPTIONS] [RECORD...]

Installs the other tools, measures the records (all, or those that are named), saves them under
benches/record, and writes the tables and plots of docs/BENCHMARKS.md. Needs root, 10 GiB of memory,
20,500 process ids, 2 GiB of disk for swap, and a host that is quiet for twenty minutes.

Options:
  --rounds N         runs of each command [default: 11]
  --list             list the records
  --draw             only write tables and plots from the saved records
  -h, --help         print this help

Environment:
  PREFIX             words before each measurement, such as \`taskset -c 0,1\`"

refuse() {
    echo "benchmarks.sh: $1" >&2
    exit "${2:-2}"
}

sizes=(100 200 500 1000 2000 5000 10000 20000)
# Loaded hosts come first, because they are the use case.
records=(engines-thrash engines-small-busy engines-small-busy-same)
records+=(scanner rivals floor engines-small engines-many engines-swapped engines-smaps engines-idle)
records+=(memory-rollup memory-smaps latency latency-8g latency-mappings "${sizes[@]/#/size-}")

rounds=11 draw='' wanted=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) echo "$usage" && exit ;;
    --list) printf '%s\n' "${records[@]}" && exit ;;
    --draw) draw=1 ;;
    --rounds) rounds=${2:-} && shift ;;
    *) [[ " ${records[*]} " == *" $1 "* ]] || refuse "unknown record $1: see --list" && wanted+=("$1") ;;
    esac
    shift
done
[[ $rounds =~ ^[1-9][0-9]{0,2}$ ]] || refuse "--rounds $rounds: not a number from 1 to 999"
[ ${#wanted[@]} -gt 0 ] || wanted=("${records[@]}")

cd "$(dirname "$0")/.."
target=$(scripts/target-dir.sh)

# Pinned versions, so that the next record compares with the same tools.
install_rivals() {
    local dir=$target/rivals
    [ -x $dir/metop/bin/metop ] || cargo install --quiet --locked --root $dir/metop \
        --target-dir $dir/build metop@0.4.0
    [ -e $dir/ps_mem/bin/ps_mem ] ||
        python3 -m pip install --quiet --no-deps --target $dir/ps_mem ps_mem==3.14
    if ! command -v smem >/dev/null || ! command -v smemstat >/dev/null; then
        apt-get update -qq && apt-get install -qq -y --no-install-recommends smem smemstat
    fi
}

program=$target/release/psm-uring
commands() {
    local record=$1
    shift
    echo "== $record"
    ${PREFIX:-} "$commands" --save "benches/record/$record.json" --commit "$commit" --date "$date" \
        --rounds "$rounds" "$@" --bench
}

engines() {
    local engine words=() more=${source:+ --source $source}
    for engine in threads uring sync; do
        words+=(--run "$engine=$program --engine $engine$more")
    done
    commands "$@" "${words[@]}"
}

measure() {
    local others=(--rivals "$target/rivals" --only metop,ps_mem)
    case $1 in
    scanner)
        echo "== $1"
        ${PREFIX:-} "$scanner" --save benches/record/scanner.json --commit "$commit" --date "$date" \
            --bench ;;
    rivals) commands "$1" --crowd small --run "psm-uring=$program" --rivals "$target/rivals" ;;
    floor) # A published record has no host name, and no suffix of a distributor's kernel.
        echo "== $1"
        ${PREFIX:-} "$crowd" small -- "$program" bench --rounds "$rounds" --save "$target/floor.json" \
            --bench && sed "/^\"about\"/{
                s/\"host\":\"[^\"]*\"/\"host\":\"\"/; s/\(\"kernel\":\"[0-9.]*\)[^\"]*/\1/
                s/\"commit\":\"\"/\"commit\":\"$commit\"/; s/\"date\":\"\"/\"date\":\"$date\"/
            }" "$target/floor.json" >benches/record/floor.json ;;
    latency*)
        local of=(--mib 2048)
        [ "$1" != latency-8g ] || of=(--mib 8192)
        [ "$1" != latency-mappings ] || of=(--mib 118 --mappings 30000)
        echo "== $1"
        "$latency" --save "benches/record/$1.json" --commit "$commit" --date "$date" "${of[@]}" \
            --bench ;;
    engines-thrash) engines "$1" --crowd thrash "${others[@]}" ;;
    engines-small-busy) engines "$1" --crowd small --busy 64 "${others[@]}" ;;
    engines-small-busy-same) engines "$1" --crowd small --busy 8 --busy-session same ;;
    engines-smaps) source=smaps engines "$1" --crowd small ;;
    engines-idle) engines "$1" --idle ;;
    engines-*) engines "$1" --crowd "${1#engines-}" ;;
    memory-*) rounds=1 commands "$1" --crowd many \
        --run "uring=$program --engine uring --source ${1#memory-}" ;;
    size-*) engines "$1" --crowd many --processes "${1#size-}" ;;
    esac
}

if [ -z "$draw" ]; then
    [ "$(id -u)" = 0 ] || refuse "only root can read all processes and add swap: run as root"
    # The records that other tools are in.
    if [[ " ${wanted[*]} " =~ \ (rivals|engines-thrash|engines-small-busy)\  ]]; then
        install_rivals
    fi
    cargo build --quiet --release --locked
    commands=$(scripts/bench-path.sh commands)
    crowd=$(scripts/bench-path.sh crowd)
    scanner=$(scripts/bench-path.sh scanner)
    latency=$(scripts/bench-path.sh latency)
    commit=$(git rev-parse --short=12 HEAD)
    [ -z "$(git status --porcelain -- src Cargo.toml Cargo.lock)" ] || commit+=" and changes"
    date=$(date -u +%F)
    mkdir -p benches/record
    failed=()
    for record in "${wanted[@]}"; do
        measure "$record" || failed+=("$record")
    done
    [ ${#failed[@]} -eq 0 ] || refuse "failed records, measure them again: scripts/benchmarks.sh ${failed[*]}" 1
fi

venv=$target/plots-venv
if [ ! -x $venv/bin/python3 ]; then
    python3 -m venv $venv
    $venv/bin/pip install --quiet matplotlib==3.11.2
fi
$venv/bin/python3 scripts/plots.py benches/record docs/plots
UPDATE_GOLDEN=1 cargo test --quiet --locked --test it benchmarks
