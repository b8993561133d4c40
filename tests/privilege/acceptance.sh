#!/usr/bin/env bash
# Installs the program with a capability, as an administrator would, runs it as an ordinary user, and
# attacks it: acceptance.sh BINARY [CAPABILITY]. As root, about 15 s. Prints PASS or FAIL for each
# check, and exits with 1 if one failed. BUILT=DIR takes the programs of build.sh from a directory, for
# a machine without a compiler.
#
# Every attack runs first where it must succeed, so that a program that does nothing fails. The user
# is entered with runuser, never with setpriv, which keeps capabilities over the change of ids, so
# that the exec leaves the program dumpable.
set -u
export LC_ALL=C
binary=$(readlink -f "$1")
capability=${2:-cap_sys_ptrace}
user=nobody
uid=$(id -u "$user")
here=$(readlink -f "$(dirname "$0")")
dir=$(mktemp -d /tmp/privilege.XXXXXX)
failures=0

clean_up() {
    local jobs
    mapfile -t jobs < <(jobs -p)
    [ ${#jobs[@]} -eq 0 ] || kill "${jobs[@]}" 2>/dev/null
    wait
    rm -rf "$dir"
}
trap clean_up EXIT

check() { # STATUS NAME [DETAIL]
    if [ "$1" = 0 ]; then
        echo "PASS $2"
    else
        echo "FAIL $2: ${3:-}"
        failures=$((failures + 1))
    fi
}

as_user() { timeout 60 runuser -u "$user" -- "$@"; }

# The processes of the installed program.
ours() {
    local pid
    for pid in $(pgrep -x psm); do
        [ "$(readlink "/proc/$pid/exe")" != "$dir/psm" ] || echo "$pid"
    done
}

keepers() {
    local pid all
    all=" $(ours | tr '\n' ' ')"
    for pid in $all; do
        [ -e "/proc/$pid/status" ] || continue
        [[ $all != *" $(awk '/^PPid/ {print $2}' "/proc/$pid/status" 2>/dev/null) "* ]] || echo "$pid"
    done
}

# Whether a thread holds more than it may: the parser nothing, the keeper one capability behind a
# filter of system calls.
holds_too_much() { # PID STATUS
    local held
    held=$(awk '/^Cap(Prm|Eff|Inh|Amb):/ {print $2}' "$2" 2>/dev/null | sort -u | tr '\n' ' ')
    # The thread has ended meanwhile, or holds nothing.
    [ -n "$held" ] && [ "$held" != "0000000000000000 " ] || return 1
    keepers | grep -qx "$1" && grep -q '^Seccomp:.2' "$2" &&
        [[ $held == "0000000000000000 "@(0000000000080000|0000004000000000)" " ]] && return 1
    return 0
}

# The threads that hold too much at every look of three seconds: one look may meet a start or an end.
excess() {
    local held _
    held=$(held_in_excess | sort)
    for _ in $(seq 10); do
        [ -n "$held" ] || return
        sleep 0.3
        held=$(comm -12 <(echo "$held") <(held_in_excess | sort))
    done
    echo "$held"
}

held_in_excess() {
    local pid status
    for pid in $(ours); do
        for status in /proc/"$pid"/task/*/status; do
            if holds_too_much "$pid" "$status"; then echo "$status"; fi
        done
    done
}

# Waits until a command succeeds, at most 20 s.
await() {
    local _
    for _ in $(seq 200); do
        "$@" && return
        sleep 0.1
    done
    return 1
}

# Waits for the keeper and for the first survey. Prints the keeper.
await_keeper() {
    await has_keeper
    sleep 0.5
    keepers
}

has_keeper() { [ -n "$(keepers)" ]; }
is_there() { pgrep -x "$1" >/dev/null; }

measured() { sed -n 's/.*listed: \([0-9]*\) measured.*/\1/p'; }
denied() { sed -n 's/.*listed: .* \([0-9]*\) denied.*/\1/p'; }
is_between() { [ "${1:-0}" -ge "$2" ] && [ "$1" -le "$3" ]; }

cp "$binary" "$dir/psm"
chmod 755 "$dir" "$dir/psm"
setcap "$capability+p" "$dir/psm" || exit 2
if [ -n "${BUILT:-}" ]; then
    cp "$BUILT"/{target,attack,preload.so} "$dir/" || exit 2
else
    "$here/build.sh" "$dir" || exit 2
fi
mkdir -m 700 "$dir/secret"
mkdir -m 777 "$dir/secret/drop" "$dir/open"
chmod 777 "$dir/secret/drop" "$dir/open"
printf 'TOPSECRET\0' >"$dir/secret/drop/text"
printf 'PUBLIC\0' >"$dir/open/text"
for _ in $(seq 50); do sleep 300 & done
"$dir/target" wait "$dir/secret/drop" >"$dir/ready" &
hidden=$!
await test -s "$dir/ready"

# Measurement
as_root=$("$binary" --stats -t 2>&1 >/dev/null)
refused=$(denied <<<"$as_root")
as_root=$(measured <<<"$as_root")

# Whether a report is refused no more processes than one of root. Their number changes all the time.
is_whole() { # FILE
    is_between "$(measured <"$1" | head -1)" 50 100000 &&
        is_between "$(denied <"$1" | head -1)" 0 "$refused"
}
for engine in auto uring threads sync; do
    as_user "$dir/psm" --engine $engine --stats -t >/dev/null 2>"$dir/stats"
    is_whole "$dir/stats"
    check $? "$engine measures every process" "$(cat "$dir/stats")"
done

# What the processes hold
as_user "$dir/psm" --watch 1s >/dev/null 2>&1 &
watch=$!
keeper=$(await_keeper)
faults=$(excess)
for pid in $(ours); do
    grep -q 'NoNewPrivs:.1' "/proc/$pid/status" || faults+=" $pid may get privileges"
    [ "$(stat -c %u "/proc/$pid/mem")" = 0 ] || faults+=" $pid is dumpable"
    as_user strace -p "$pid" -o /dev/null 2>&1 | grep -q 'not permitted' || faults+=" $pid is traced"
done
[ -n "$keeper" ] && [ -z "$faults" ]
check $? "the parser holds nothing, the keeper one capability behind a filter" "$faults"
ways='ptrace process_vm_readv process_vm_writev pidfd_getfd mem'
runuser -u "$user" -- sleep 300 &
until own=$(pgrep -u "$user" -x sleep); do sleep 0.05; done
[ "$(as_user "$dir/attack" "$own")" = "" ]
check $? "control: the user reaches into an own process"
[ "$(as_user "$dir/attack" "$keeper")" = "$ways" ]
check $? "the user does not reach into the keeper" "refused: $(as_user "$dir/attack" "$keeper")"
kill "$own" $(ours)
wait "$watch" 2>/dev/null

strace -f -qq -o "$dir/trace" -e trace=openat,open,capset,execve \
    runuser -u "$user" -- "$dir/psm" -t >/dev/null 2>&1
awk -v "psm=execve(\"$dir/psm\"" 'index($0, psm) {on = 1}
    on && /capset\(/ && /effective=0, permitted=0/ {last = NR}
    on && /open(at)?\(/ && !/\.so|\/dev\/null|"\/proc",|\/proc\/self\/maps/ && !first {first = NR}
    END {exit !(last && last < first)}' "$dir/trace"
check $? "privilege is dropped before the first file is opened"

# Paths of the caller
mkdir -p "$dir/tree/7"
cp /proc/self/smaps_rollup /proc/self/status "$dir/tree/7/"
reads() { # TARGET TEXT
    ln -sfn "$1" "$dir/tree/7/cmdline"
    as_user "${psm:-$dir/psm}" --proc-root "$dir/tree" --name cmdline --json 2>/dev/null | grep -q "$2"
}
reads "$dir/open/text" PUBLIC
check $? "control: --proc-root reads a public file"
! reads "/proc/$hidden/cwd/text" TOPSECRET
check $? "--proc-root reads nothing more"
as_user "$dir/psm" --json --output-file "$dir/open/report" 2>/dev/null && [ -s "$dir/open/report" ]
check $? "control: --output-file writes where the user may"
! as_user "$dir/psm" --json --output-file "/proc/$hidden/cwd/planted" 2>/dev/null &&
    [ ! -e "$dir/secret/drop/planted" ]
check $? "--output-file writes nowhere else"
as_user "$dir/psm" diff "$dir/open/report" "$dir/open/report" >/dev/null 2>&1
check $? "control: diff reads reports of the user"
as_user "$dir/psm" diff "/proc/$hidden/maps" "/proc/$hidden/maps" 2>&1 | grep -q 'Permission denied'
check $? "diff opens nothing more"
as_user "$dir/psm" --watch --count 1 --since "$dir/open/report" >/dev/null 2>&1
check $? "control: --since reads a report of the user"
as_user "$dir/psm" --watch --count 1 --since "/proc/$hidden/cwd/text" 2>&1 | grep -q 'Permission denied'
check $? "--since opens nothing more"

# hidepid stays in force, also for requests that name a process
cat >"$dir/hidepid" <<END
mount -t proc -o hidepid=2 proc /proc
sleep 20 & theirs=\$!
runuser -u $user -- sleep 20 &
until own=\$(pgrep -u $user -x sleep); do sleep 0.05; done
for pid in \$own \$theirs; do
    timeout 9 runuser -u $user -- $dir/psm -p \$pid --json --name cmdline 2>&1 | grep -c '"name": "sleep'
done
kill \$theirs \$own
runuser -u $user -- $dir/psm -t 2>/dev/null | grep -q '^[0-9]' && echo itself
END
rows=$(unshare -m --propagation private --pid --fork sh "$dir/hidepid" 2>/dev/null | tr '\n' ' ')
[ "$rows" = "1 0 itself " ]
check $? "hidepid=2 stays in force, and the program measures itself" "rows of an own and of a hidden process: $rows"

# Starts that give no capability
is_ordinary() {
    local found
    found=$("$@" 2>&1 >/dev/null | measured)
    [ -n "$found" ] && [ "$found" -lt $((as_root / 2)) ]
}
is_ordinary as_user strace -f -o /dev/null "$dir/psm" --stats -t
check $? "a traced start is an ordinary one"
is_ordinary as_user setpriv --no-new-privs "$dir/psm" --stats -t
check $? "a start with no_new_privs is an ordinary one"
is_ordinary timeout 20 capsh --drop="$capability" -- -c "exec runuser -u $user -- $dir/psm --stats -t"
check $? "a start without the capability in the bounding set is an ordinary one"
is_ordinary unshare -m --propagation private sh -c "mount -t tmpfs -o nosuid,mode=755 none /mnt &&
    cp $dir/psm /mnt/psm && setcap $capability+p /mnt/psm &&
    exec timeout 20 runuser -u $user -- /mnt/psm --stats -t"
check $? "a start on a nosuid mount is an ordinary one"

# Environment and streams
env LD_PRELOAD="$dir/preload.so" true 2>&1 | grep -q PRELOADED
check $? "control: LD_PRELOAD works"
! as_user env LD_PRELOAD="$dir/preload.so" "$dir/psm" --version 2>&1 | grep -q PRELOADED
check $? "LD_PRELOAD is ignored"
as_user sh -c "$dir/psm -t <&- >&-" 2>"$dir/err"
status=$?
# The C library of a static build opens /dev/null for them itself.
[ $status = 1 ] || { [ $status = 0 ] && ! grep -q ld-linux "$dir/psm"; }
check $? "closed streams are an error" "exit $status, $(cat "$dir/err")"
mkdir -m 777 "$dir/core"
chmod 777 "$dir/core"
# The change of the user resets the limit.
leaves_core() { # COMMAND
    (cd "$dir/core" && as_user sh -c "ulimit -c unlimited; $1") >/dev/null 2>&1
    [ -n "$(ls "$dir/core")" ]
}
! leaves_core "$dir/psm --watch 5s & sleep 0.8; kill -ABRT \$!; wait"
check $? "no core file"
if [[ $(cat /proc/sys/kernel/core_pattern) != "|"* ]]; then
    leaves_core 'kill -ABRT $$'
    check $? "control: a shell leaves a core file"
fi

# Without io_uring
watch_without() { # CALL COUNT: a watch of the user without a system call
    timeout 60 "$dir/target" "$1" runuser -u "$user" -- "$dir/psm" --watch 1s --count "$2" --stats \
        >/dev/null 2>"$dir/stats" &
    await_keeper >/dev/null
    faults=$(excess)
    wait %%
    status=$?
}
watch_without noring 5
grep -q '^engine *threads (uring:' "$dir/stats" && [ $status = 0 ] && [ -z "$faults" ] &&
    is_whole "$dir/stats"
check $? "without io_uring every process is measured" "exit $status, $faults, $(cat "$dir/stats")"

# Without capset(2), which a service may forbid
found=$("$dir/target" nocapset timeout 20 runuser -u "$user" -- "$dir/psm" -t 2>&1)
[ $? = 1 ] && [[ $found == *"cannot drop capabilities"* ]]
check $? "without capset a file capability is an error" "$found"

# Without capget(2) the capabilities are unknown, and without prctl(2) they can be dropped, but the
# way back to them stays open
watch_without nocapget 3
[ $status = 0 ] && [ -z "$faults" ]
check $? "without capget capabilities are dropped" "exit $status, $faults, $(cat "$dir/stats")"
found=$(timeout 20 "$dir/target" noprctl runuser -u "$user" -- "$dir/psm" --stats -t 2>&1 >/dev/null)
[ $? = 0 ] && [[ $found == *"permit prctl(2)"* ]] &&
    is_between "$(measured <<<"$found")" 1 $((as_root / 2))
check $? "without prctl a file capability gives an ordinary report" "$found"

# An ambient capability, as a service has it
cp "$binary" "$dir/plain"
ambient() { # COMMAND...: sets it and runs a command
    setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups \
        --inh-caps="+${capability#cap_}" --ambient-caps="+${capability#cap_}" "$@"
}
found=$(ambient "$dir/target" nocapset "$dir/plain" --stats -t 2>&1 >/dev/null | head -20)
[[ $found == *"measuring without them"* ]] && is_between "$(measured <<<"$found")" 1 $((as_root / 2))
check $? "without capset an ambient capability gives an ordinary report" "$found"
ambient "$dir/plain" --watch 1s --count 2 --stats >/dev/null 2>"$dir/stats" &
await is_there plain
sleep 0.3
faults=
for parser in $(pgrep -x plain); do
    # A zombie has no program.
    [ -e "/proc/$parser/exe" ] && break
done
for status in /proc/"$parser"/task/*/status; do
    if holds_too_much "$parser" "$status"; then faults+=" $status"; fi
done
wait $!
is_whole "$dir/stats" && [ -z "$faults" ]
check $? "an ambient capability is dropped, and every process is measured" "$faults $(cat "$dir/stats")"

# Installed setuid root
cp "$binary" "$dir/suid"
chmod 4755 "$dir/suid"
printf important >"$dir/secret/root"
chmod 600 "$dir/secret/root"
as_user "$dir/suid" --json --output-file "$dir/open/suid" 2>/dev/null
[ "$(stat -c %u "$dir/open/suid")" = "$uid" ]
check $? "control: a setuid-root copy writes as the user"
as_user "$dir/suid" -t --output-file "$dir/secret/root" >/dev/null 2>&1
[ "$(cat "$dir/secret/root")" = important ]
check $? "a setuid-root copy writes no file of root"
printf 'ROOTONLY\0' >"$dir/secret/root"
! psm=$dir/suid reads "$dir/secret/root" ROOTONLY
check $? "a setuid-root copy reads no file of root"
rm -f "$dir/suid"

# Requests that no parser sends end the keeper; the report comes without it
request() { # KIND PID OTHER [LENGTH]
    local bytes
    bytes=$(printf '%016d' 0 && printf '%02x000000' "$1" && printf '%02x%02x%02x%02x' \
        $(($2 & 255)) $(($2 >> 8 & 255)) $(($2 >> 16 & 255)) $(($2 >> 24 & 255)) &&
        printf '%02x%02x%02x%02x' $(($3 & 255)) $(($3 >> 8 & 255)) $(($3 >> 16 & 255)) $(($3 >> 24 & 255)))
    strace -f -qq -o "$dir/trace" -e trace=sendto,exit_group \
        -e "inject=sendto:poke_enter=@arg2=$bytes${4:+,@arg3=$4}:when=1" \
        runuser -u "$user" -- "$dir/psm" --engine threads -t >"$dir/out" 2>"$dir/err"
    local status=$?
    [ $status -le 1 ] && grep -q 'exit_group(3' "$dir/trace"
}
! request 0 1 0
check $? "control: a valid request does not end the keeper"
request 3 1 0
check $? "an unknown kind ends the keeper"
request 0 0 0
check $? "a process id of 0 ends the keeper"
request 0 8388608 0
check $? "a process id out of range ends the keeper"
request 2 1 4294967295
check $? "another id out of range ends the keeper"
[ -s "$dir/err" ]
check $? "the report without the keeper is honest" "$(cat "$dir/err")"

# Either process is killed
as_user "$dir/psm" --watch 1s >/dev/null 2>"$dir/err" &
keeper=$(await_keeper)
[ -n "$keeper" ] && kill -KILL $keeper
await test -s "$dir/err"
watch=$(ours)
[ -n "$watch" ] && kill $watch
wait %% 2>/dev/null
status=$?
# It goes on until this suite ends it. The kills below check the exit code of a run that ends itself.
[ -n "$keeper" ] && [ $status = 143 ] && [ -s "$dir/err" ]
check $? "the keeper is killed: an honest report" "keeper ${keeper:-none}, exit $status"
cat >"$dir/kill" <<'END'
# Kills the keeper and the parser in turn, at random times. Prints what outlives it.
kills=0 longest=16
for round in $(seq 800); do
    [ $kills -lt 200 ] || break
    "$1" -t >/dev/null 2>&1 &
    parser=$!
    sleep "$(printf '0.%03d' $((RANDOM % longest)))"
    keeper=$(cat "/proc/$parser/task/$parser/children" 2>/dev/null)
    keeper=${keeper%% *}
    # The run is over already, or has no keeper yet: so long is a run here.
    [ -n "$keeper" ] || { longest=$((longest > 3 ? longest - 1 : 16)); continue; }
    ((kills++))
    killed=$((round % 2 ? keeper : parser))
    kill -KILL "$killed" 2>/dev/null
    wait "$parser" 2>/dev/null
    status=$?
    [ "$killed" = "$parser" ] || [ $status -le 1 ] || echo "round $round: exit $status"
    for _ in $(seq 100); do
        [ -e "/proc/$keeper/exe" ] && kill -0 "$keeper" 2>/dev/null || continue 2
        sleep 0.01
    done
    grep -q '^State:.Z' "/proc/$keeper/status" || echo "round $round: keeper $keeper lives"
done
[ $kills = 200 ] || echo "only $kills runs were killed, not 200"
END
chmod 644 "$dir/kill"
faults=$(timeout 180 runuser -u "$user" -- bash "$dir/kill" "$dir/psm" 2>&1)
[ $? = 0 ] && [ -z "$faults" ]
check $? "200 kills at random times leave no process" "$faults"

# One address space counts once
setsid "$dir/target" vfork >"$dir/pair" &
pair=$!
await test -s "$dir/pair"
bytes=$(as_user "$dir/psm" -p "$(pgrep -d, -g "$pair")" -t 2>"$dir/err")
if [ "$capability" = cap_perfmon ]; then
    is_between "$bytes" 209715200 230000000 && grep -q 'may count twice' "$dir/err"
    check $? "the report says that a vfork pair may count twice" "$bytes bytes of 104857600"
else
    is_between "$bytes" 104857600 157286400
    check $? "a vfork pair counts once" "$bytes bytes of 104857600"
fi
kill -KILL -- "-$pair"
wait "$pair" 2>/dev/null

# A daemon of root that acts as the user. strace lets the parser open another file of it than the
# title, as a parser that an attacker controls would.
opens() { # FILE
    local bytes
    bytes=$(printf '/proc/%d/%s\0' "$daemon" "$1" | od -An -v -tx1 | tr -d ' \n')
    strace -f -qq -o "$dir/trace" -P "$daemon/cmdline" -e trace=openat \
        -e "inject=openat:poke_enter=@arg2=$bytes" \
        runuser -u "$user" -- "$dir/psm" --engine sync -p "$daemon" -t >/dev/null 2>&1
    grep -Eq '= [0-9]+ \(INJECTED: args\)' "$dir/trace"
}
"$dir/target" daemon "$uid" >"$dir/daemon" &
daemon=$!
await test -s "$dir/daemon"
opens status
check $? "control: a parser in other hands opens a public file of a daemon that acts as the user"
! opens mem && grep -q 'EACCES.*INJECTED' "$dir/trace"
check $? "it does not open the memory of the daemon" "$(cat "$dir/trace")"
as_user "$dir/attack" "$daemon" | grep -q 'mem$'
check $? "the memory of the daemon stays closed to the user"

echo "$failures failed"
[ $failures = 0 ]
