#!/usr/bin/env bash
# Compares two commits on this machine: see --help.
set -euo pipefail

usage="\
Usage: scripts/compare.sh [OPTIONS] BASE [HEAD]

Builds two commits, runs them in turn over the same crowds, and prints medians, spread and ratios of
wall and CPU time, peak memory and counted work. Without HEAD, the second is the working tree with
its changes.

Options:
  --crowd LIST       crowds: small, many, swapped, thrash, huge, idle [default: small,many]
  --processes N      processes of each crowd [default: by crowd]
  --rounds N         runs of each commit [default: 21]
  --source FILE      auto, rollup or smaps [default: auto]
  --engine ENGINE    auto, uring, threads or sync [default: auto]
  --max-ratio RATIO  exit with 4 when a figure of HEAD is more than RATIO times that of BASE
  -h, --help         print this help

Environment:
  PREFIX             words before each measurement, such as \`taskset -c 0,1\`

Exit codes: 0 compared; 1 failed; 2 usage error; 4 a figure exceeds --max-ratio."

refuse() {
    echo "compare.sh: $1" >&2
    exit "${2:-2}"
}

crowds=small,many processes='' rounds=21 source=auto engine=auto max_ratio='' commits=()
while [ $# -gt 0 ]; do
    case $1 in
    -h | --help) echo "$usage" && exit ;;
    --crowd | --processes | --rounds | --source | --engine | --max-ratio)
        [ $# -ge 2 ] || refuse "$1 needs a value: see --help"
        value=$2
        case $1 in
        --crowd) crowds=$value ;;
        --processes) processes=$value ;;
        --rounds) rounds=$value ;;
        --source) source=$value ;;
        --engine) engine=$value ;;
        --max-ratio) max_ratio=$value ;;
        esac
        shift
        ;;
    -*) refuse "unknown option $1: see --help" ;;
    *) commits+=("$1") ;;
    esac
    shift
done
[ ${#commits[@]} -ge 1 ] || refuse "no commit to compare with: scripts/compare.sh BASE [HEAD]"
[ ${#commits[@]} -le 2 ] || refuse "more than two commits: ${commits[*]}"
[[ ,$crowds, =~ ^(,(small|many|swapped|thrash|huge|idle))+,$ ]] || refuse "--crowd $crowds: not a list of crowds: see --help"
[[ $processes =~ ^([1-9][0-9]{0,6})?$ ]] || refuse "--processes $processes: not a number"
[[ $rounds =~ ^[1-9][0-9]{0,2}$ ]] || refuse "--rounds $rounds: not a number from 1 to 999"
[[ $source =~ ^(auto|rollup|smaps)$ ]] || refuse "--source $source: not auto, rollup or smaps"
[[ $engine =~ ^(auto|uring|threads|sync)$ ]] || refuse "--engine $engine: not auto, uring, threads or sync"
[[ $max_ratio =~ ^([0-9]+(\.[0-9]+)?)?$ ]] || refuse "--max-ratio $max_ratio: not a number such as 1.10"

cd "$(dirname "$0")/.."
target=$(scripts/target-dir.sh)
mkdir -p "$target/compare"
trees=()
remove_trees() {
    for tree in "${trees[@]}"; do
        git worktree remove --force "$tree" || true
    done
}
trap remove_trees EXIT

# Builds a commit in a worktree of its own and saves the program: build_commit NAME COMMIT.
build_commit() {
    local commit tree=$target/compare/$1
    commit=$(git rev-parse --verify --quiet "$2^{commit}") || refuse "unknown commit $2 (in a \
shallow clone: git fetch --unshallow)" 1
    if [ -e "$tree" ]; then # Left behind by a killed run.
        git worktree remove --force "$tree" || refuse "$tree is in the way: remove it" 1
    fi
    git worktree add --quiet --detach "$tree" "$commit" || refuse "git cannot make a worktree of $2" 1
    trees+=("$tree")
    build "$tree" "$1" || refuse "$2 does not build" 1
}

# Both builds share their dependencies. A copy, because the next build overwrites the program.
build() {
    cargo build --quiet --release --locked --manifest-path "$1/Cargo.toml" \
        --target-dir "$target/compare/build" &&
        cp -f "$target/compare/build/release/psm-uring" "$target/compare/psm-uring-$2"
}

build_commit base "${commits[0]}"
if [ ${#commits[@]} -eq 2 ]; then
    build_commit head "${commits[1]}"
else
    build . head || refuse "the working tree does not build" 1
fi
bench=$(scripts/bench-path.sh commands)

options=(--source "$source" --engine "$engine")
code=0
for crowd in ${crowds//,/ }; do
    words=(--rounds "$rounds")
    [ "$crowd" = idle ] && words+=(--idle) || words+=(--crowd "$crowd")
    [ -z "$processes" ] || [ "$crowd" = idle ] || words+=(--processes "$processes")
    [ -z "$max_ratio" ] || words+=(--max-ratio "$max_ratio")
    for name in base head; do
        words+=(--run "$name=$target/compare/psm-uring-$name ${options[*]}")
    done
    # The worst code of all crowds: a failed comparison is worse than an exceeded ratio.
    ended=0
    ${PREFIX:-} "$bench" "${words[@]}" --bench || ended=$?
    case $ended in
    0) ;;
    4) [ $code -ne 0 ] || code=4 ;;
    *) code=1 ;;
    esac
done
exit $code
