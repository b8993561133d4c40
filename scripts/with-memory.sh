#!/usr/bin/env bash
# Runs a command on a host with more kinds of memory, and takes them away after it:
#
#     scripts/with-memory.sh cargo test --test pagemap
#
# Adds a swap file of 256 MiB unless there is swap, 48 huge pages and one of 1 GiB, turns KSM on, and
# lets shared memory have huge pages on advice. What the kernel does not give is left out. Exits with
# the code of the command, or with 125 if this user may not add memory. Only one such script runs at a
# time.
set -euo pipefail

[ $# -gt 0 ] || {
    echo "with-memory.sh: no command: scripts/with-memory.sh COMMAND..." >&2
    exit 2
}

kernel=/sys/kernel/mm
pool=/proc/sys/vm/nr_hugepages
gigantic=$kernel/hugepages/hugepages-1048576kB/nr_hugepages
swap=''
# The file and the value of each setting that was changed, the last one first.
changed=()

# The word in brackets of a file of alternatives, or its whole line.
value_of() {
    local line
    line=$(<"$1")
    [[ $line != *\[*\]* ]] || line=${line#*\[}
    echo "${line%%\]*}"
}

# set_to FILE VALUE
set_to() {
    local before
    [ -w "$1" ] || return 0
    before=$(value_of "$1")
    [ "$before" != "$2" ] || return 0
    changed=("$1" "$before" "${changed[@]}")
    echo "$2" 2>/dev/null >"$1" || true
}

add() {
    set_to $pool $(($(<$pool) + 48))
    [ ! -w $gigantic ] || set_to $gigantic $(($(<$gigantic) + 1))
    set_to $kernel/transparent_hugepage/shmem_enabled advise
    set_to $kernel/ksm/pages_to_scan 10000
    set_to $kernel/ksm/sleep_millisecs 10
    set_to $kernel/ksm/run 1
    [ "$(wc -l </proc/swaps)" = 1 ] || return 0
    swap=$(mktemp /var/tmp/psm-uring-XXXXXX.swap)
    dd if=/dev/zero of="$swap" bs=1M count=256 status=none
    mkswap -q "$swap" && swapon "$swap" || refuse
}

refuse() {
    echo "with-memory.sh: this user cannot add swap and huge pages" >&2
    exit 125
}

remove() {
    local place
    if [ -n "$swap" ]; then
        swapoff "$swap" 2>/dev/null || true
        rm -f "$swap"
    fi
    for ((place = 0; place < ${#changed[@]}; place += 2)); do
        echo "${changed[place + 1]}" >"${changed[place]}" || true
    done
}

[ -w $pool ] || refuse
exec {lock}<$kernel
flock "$lock"
trap remove EXIT
trap 'exit 130' INT TERM
add
# A process that outlives the command must not keep the lock.
"$@" {lock}>&-
