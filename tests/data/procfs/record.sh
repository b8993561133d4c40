#!/bin/sh
# Records the tree `recorded`: what the running kernel says of a few ordinary programs, as it says
# it. Needs root, for a process id namespace: ids, groups and names of the host stay out of it.
set -eu
cd "$(dirname "$0")"
[ "${RECORDING:-}" ] || {
    rm -rf recorded
    RECORDING=1 exec unshare --pid --fork --mount-proc --mount --cgroup --kill-child "./${0##*/}"
}

mkdir -p recorded
cd /
sleep 1000 &
dash -c 'read -r line; : "$line"' </dev/zero &
bash --norc -c 'while :; do sleep 1000; done' &
perl -e '$0 = "perl: worker"; @all = (1 .. 20000); sleep 1000' &
python3 -c 'import json, time; text = "x" * 3000000; time.sleep(1000)' &
tail -f /dev/null &
sleep 1
for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    # Not this script and what it runs.
    [ "$pid" -gt 1 ] && [ -r "$dir/smaps" ] && [ "$(cat "$dir/comm")" != cat ] || continue
    to=$OLDPWD/recorded/$pid
    mkdir "$to"
    for file in cgroup cmdline comm smaps smaps_rollup stat status; do
        cat "$dir/$file" >"$to/$file"
    done
    ln -s "$(readlink "$dir/exe")" "$to/exe"
done
