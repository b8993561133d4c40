#!/usr/bin/env bash
# Builds the packages, installs them and checks the installed files. In a clean Debian with the .deb
# it tries the program, the manual page, the completions and, under their own systemd, the units. It
# installs the .rpm into an empty root. It prints SKIPPED and the reason for each check that cannot
# run here.
#
#     scripts/package-check.sh              a minute or two, with the download of a Debian
#
# Needs root, mmdebstrap, dpkg and rpmbuild. All its files are below target/package. SUITE=trixie
# checks trixie instead of bookworm.
set -euo pipefail
shopt -s inherit_errexit
cd "$(dirname "$0")/.."

suite=${SUITE:-bookworm}
out=$(scripts/target-dir.sh)/package
base=$out/debian-$suite.tar
root=$out/root
cgroup=
booted=

die() {
    echo "package-check.sh: $*" >&2
    exit 1
}

skip() {
    echo "SKIPPED $*"
}

# check WHAT COMMAND...: prints one line if the command succeeds, else ends the script.
check() {
    local what=$1
    shift
    "$@" >"$out/check.log" 2>&1 || { cat "$out/check.log" >&2 && die "$what: failed: $*"; }
    echo "ok      $what"
}

clean_up() {
    [ -z "$booted" ] || kill -KILL "$booted" 2>/dev/null || true
    if [ -n "$cgroup" ]; then
        sleep 0.3
        find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
    fi
    rm -rf "$root" "$out/rpm-root" "$out/static"
}

is_missing() {
    ! command -v "$1" >/dev/null
}

# Runs a command in the clean Debian, in its own PID namespace.
inside() {
    unshare --fork --pid --mount-proc --kill-child chroot "$root" sh -ec \
        'mount -t proc proc /proc; exec "$@"' sh "$@"
}

install_debian() {
    mkdir -p "$out"
    if [ ! -e "$base" ]; then
        mmdebstrap --quiet --variant=minbase --include=man-db,bash-completion,systemd,libcap2-bin,debconf \
            "$suite" "$out/new.tar" http://deb.debian.org/debian || return 1
        mv "$out/new.tar" "$base"
    fi
    rm -rf "$root"
    mkdir "$root" && tar -C "$root" -xf "$base"
}

check_deb() {
    local deb=$1 manual completed
    if is_missing lintian; then skip "lintian: lintian is missing"; else
        check "lintian finds no error" lintian --fail-on error --allow-root "$deb"
    fi
    cp "$deb" "$root/root/psm-uring.deb"
    check "the .deb installs in a clean Debian $suite" inside dpkg -i /root/psm-uring.deb
    check "its files are those it lists" inside dpkg --verify psm-uring
    check "its documents and licenses are there" inside sh -ec 'cd /usr/share/doc/psm-uring
        for file in README.md docs/GROUPING.md docs/report.schema.json LICENSES.txt; do
            test -s $file; done; grep -q "^musl " LICENSES.txt'
    check "the program measures" inside sh -ec 'test "$(psm-uring --total)" -gt 0'
    check "each engine prints a table" inside sh -ec '
        for engine in auto threads sync; do psm-uring --engine $engine | grep -q TOTAL; done'
    # MANWIDTH sets the width of the page. The clean Debian has man(1).
    manual=$(inside env MANWIDTH=80 LC_ALL=C.UTF-8 man psm-uring) || die "man psm-uring failed"
    check "man psm-uring shows the page" grep -q "^EXIT CODES" <<<"$manual"
    completed=$(inside bash -c '. /usr/share/bash-completion/bash_completion
        _completion_loader psm-uring; COMP_WORDS=(psm-uring --stri) COMP_CWORD=1
        f=($(complete -p psm-uring)); "${f[-2]}" psm-uring --stri psm-uring; echo "$COMPREPLY"')
    check "bash completes --stri" test "$completed" = --strict
    check "the user of the service exists" inside getent passwd psm-uring
    check "the timer is not enabled" test "$(systemctl --root="$root" is-enabled \
        psm-uring.timer)" = disabled
}

# Answers the question of the package with yes, then with no; an override takes precedence.
check_group() {
    local program=/usr/bin/psm-uring
    answer() {
        echo "psm-uring psm-uring/group boolean $1" | inside debconf-set-selections &&
            inside dpkg-reconfigure -f noninteractive psm-uring
    }
    check "the question is answered with yes" answer true
    check "the program is for a group" \
        test "$(inside stat -c %a:%U:%G $program)" = 750:root:memview
    check "with a capability that is not in force" \
        test "$(inside getcap $program)" = "$program cap_sys_ptrace=p"
    check "a stranger may not run it" \
        inside sh -c "! runuser -u nobody -- $program --version"
    check "a member measures" inside sh -ec "usermod --append --groups memview nobody
        test \"\$(runuser -u nobody -- $program --total)\" -gt 0; gpasswd -d nobody memview"
    check "an upgrade keeps that" inside dpkg -i /root/psm-uring.deb
    check "the upgraded program has the capability" \
        test "$(inside getcap $program)" = "$program cap_sys_ptrace=p"
    inside dpkg-statoverride --add --update root root 0755 $program
    check "an override takes precedence" inside dpkg -i /root/psm-uring.deb
    check "the program is as the override says" \
        test "$(inside stat -c %a:%U:%G $program)$(inside getcap $program)" = 755:root:root
    inside dpkg-statoverride --remove $program
    check "the question is answered with no" answer false
    check "the program is for all, without a capability" \
        test "$(inside stat -c %a:%U:%G $program)$(inside getcap $program)" = 755:root:root
}

check_units() {
    local units=$root/usr/lib/systemd/system
    check "systemd accepts the units" inside systemd-analyze verify --man=no \
        /usr/lib/systemd/system/psm-uring.service /usr/lib/systemd/system/psm-uring.timer
    systemd-analyze security --offline=yes --threshold=20 "$units/psm-uring.service" \
        >"$out/security.txt" || die "systemd rates the exposure above 2.0: $out/security.txt"
    echo "ok      $(tail -1 "$out/security.txt")"
}

# Becomes the first process of a Debian that boots in namespaces.
boot() {
    local root=$1
    mount --make-rprivate /
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount -t sysfs -o ro sysfs "$root/sys"
    mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup" 2>/dev/null || {
        mount -t tmpfs tmpfs "$root/sys/fs"
        mkdir "$root/sys/fs/cgroup"
        mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
    }
    for dir in run tmp dev; do mount -t tmpfs tmpfs "$root/$dir"; done
    for device in null zero full random urandom tty; do
        touch "$root/dev/$device"
        mount --bind "/dev/$device" "$root/dev/$device"
    done
    mkdir "$root/dev/pts" "$root/dev/shm"
    mount -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
    mount -t tmpfs tmpfs "$root/dev/shm"
    ln -s pts/ptmx "$root/dev/ptmx"
    ln -s /proc/self/fd "$root/dev/fd"
    exec env -i container=check PATH=/usr/sbin:/usr/bin:/sbin:/bin \
        chroot "$root" /lib/systemd/systemd --unit=multi-user.target
}

# Boots the Debian, and sets $booted to the id of its first process.
start_systemd() {
    local of_v2 unshared state
    of_v2=$(findmnt -n -t cgroup2 -o TARGET | head -1)
    [ -n "$of_v2" ] || return 1
    cgroup=$of_v2/psm-uring-package-check
    mkdir -p "$cgroup"
    (
        echo "$BASHPID" >"$cgroup/cgroup.procs"
        exec timeout -s KILL 120 unshare --fork --pid --mount --uts --ipc --net --cgroup \
            --kill-child bash -ec "$(declare -f boot); boot $root"
    ) </dev/null >"$out/boot.log" 2>&1 &
    unshared=$!
    for _ in $(seq 100); do
        sleep 0.2
        booted=$(pgrep -P "$(pgrep -P $unshared unshare || echo $unshared)" -f systemd || true)
        # "degraded": some service of that Debian cannot run in a container.
        [ -n "$booted" ] || continue
        state=$(in_systemd systemctl is-system-running 2>/dev/null || true)
        [[ $state != @(running|degraded) ]] || return 0
    done
    return 1
}

in_systemd() {
    nsenter -t "$booted" -a -r -w "$@"
}

# check_run WHAT CONFIG: the service with the extra CONFIG measures all processes with io_uring.
check_run() {
    local what=$1 dir=/run/systemd/system/psm-uring.service.d file=/var/lib/psm-uring/psm-uring.prom
    in_systemd sh -ec "rm -f $file; mkdir -p $dir; printf '[Service]\n$2\n' >$dir/check.conf
        systemctl daemon-reload"
    check "$what: the service runs" in_systemd systemctl start psm-uring.service
    check "$what: nothing is missing" in_systemd grep -qx "psm_uring_complete 1" "$file"
    check "$what: the engine is io_uring" in_systemd grep -q 'run_info{.*engine="uring"' "$file"
    check "$what: the collector can read the file" \
        in_systemd sh -ec "test \"\$(stat -c %a:%U $file)\" = 644:psm-uring"
}

check_service() {
    if ! start_systemd; then
        skip "the service under systemd: systemd does not boot here, see $out/boot.log"
        return
    fi
    check_run "as shipped" ""
    if [ "$(printf '%s\n' 6.15 "$(uname -r)" | sort -V | head -1)" = 6.15 ]; then
        check_run "with CAP_PERFMON" \
            'AmbientCapabilities=\nAmbientCapabilities=CAP_PERFMON\nCapabilityBoundingSet=\nCapabilityBoundingSet=CAP_PERFMON'
    else
        skip "the service with CAP_PERFMON: this kernel is older than 6.15"
    fi
    check "the timer can be enabled" in_systemd systemctl enable --now psm-uring.timer
    check "removing the package stops the timer" in_systemd sh -ec '
        dpkg --purge psm-uring; ! systemctl is-active psm-uring.timer
        test ! -e /etc/systemd/system/timers.target.wants/psm-uring.timer
        test ! -e /usr/bin/psm-uring -a ! -e /var/lib/psm-uring'
}

check_rpm() {
    local rpm=$1 empty=$out/rpm-root listed
    rm -rf "$empty"
    mkdir "$empty"
    listed=$(rpm -qpl "$rpm" 2>/dev/null)
    check "the .rpm installs in an empty root" rpm --root "$empty" -i --nodeps --noscripts "$rpm"
    # The other paths are those of the .deb.
    for file in bin/psm-uring share/man/man1/psm-uring.1.gz lib/systemd/system/psm-uring.timer \
        share/zsh/site-functions/_psm-uring share/licenses/psm-uring/LICENSES.txt; do
        check "the .rpm has $file" grep -qx "/usr/$file" <<<"$listed"
    done
    check "rpm verifies the installed files" rpm --root "$empty" -V --nodeps --noscripts psm-uring
    check "the program of the .rpm runs" "$empty/usr/bin/psm-uring" --total
}

check_static() {
    mkdir -p "$out/static"
    tar -C "$out/static" --strip-components=1 -xf "$1"
    check "the static binary needs no library" sh -c "! ldd $out/static/usr/bin/psm-uring ||
        ldd $out/static/usr/bin/psm-uring | grep -q 'statically linked'"
    check "the static binary runs" "$out/static/usr/bin/psm-uring" --version
}

[ "$(id -u)" = 0 ] || die "it installs packages into a clean root: run it as root"
for tool in mmdebstrap dpkg-deb rpmbuild unshare nsenter; do
    is_missing "$tool" && die "$tool is missing: apt-get install mmdebstrap dpkg rpm util-linux"
done
trap clean_up EXIT
static=$(packaging/static.sh)
deb=$(packaging/deb.sh)
rpm=$(packaging/rpm.sh)
check_static "$static"
check_rpm "$rpm"
if install_debian; then
    check_deb "$deb"
    check_group
    check_units
    check_service
else
    skip "the .deb in a clean Debian: mmdebstrap cannot download $suite"
fi
