#!/bin/sh
# Records the tree `named`: programs whose runtimes name their memory, on a kernel that keeps such
# names (CONFIG_ANON_VMA_NAME), in User Mode Linux. Needs root, debootstrap, flex, bison, bc and a C
# compiler; takes some 20 minutes and 4 GiB below DIRECTORY, which it leaves for another recording.
#
#     named.sh DIRECTORY SOURCE     SOURCE: a tree of Linux 6.2 or newer
#
# It is also the init of the machine. busybox is static: it shares no page with the programs.
set -eu
if [ "${RECORDING:-}" ]; then
    export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp
    mount -t proc proc /proc
    mount -t tmpfs tmpfs /tmp
    /worker &
    GLIBC_TUNABLES=glibc.mem.decorate_maps=1 /threads &
    GLIBC_TUNABLES=glibc.mem.decorate_maps=1 \
        node -e 'all = Array(1e5).fill(0).map(String); setTimeout(() => all, 1e8)' &
    python3.15 -X dev -c 'import time; all = [str(n) for n in range(100000)]; time.sleep(1e5)' &
    php -n -r '$all = range(1, 100000); sleep(100000);' &
    busybox sleep 10
    kill -STOP -1
    busybox sleep 1
    for dir in /proc/[0-9]*; do
        exe=$(busybox readlink "$dir/exe") && [ "$exe" != "$(busybox readlink /proc/1/exe)" ] ||
            continue
        to=/named/${dir#/proc/}
        busybox mkdir -p "$to"
        for file in cmdline comm smaps smaps_rollup stat status; do
            busybox cat "$dir/$file" >"$to/$file"
        done
        busybox ln -s "$exe" "$to/exe"
    done
    busybox poweroff -f
fi

work=$(realpath "$1") here=$(realpath "${0%/*}")
root=$work/root kernel=$work/kernel
[ -d "$root" ] || debootstrap --variant=minbase --include=gcc,libc6-dev,golang-1.26-go,nodejs,\
python3.15,php-cli,busybox-static forky "$root" http://deb.debian.org/debian \
    /usr/share/debootstrap/scripts/sid
[ -x "$kernel" ] || (
    cd "$2"
    make ARCH=um defconfig
    ./scripts/config -e ANON_VMA_NAME -e PROC_PAGE_MONITOR -e HOSTFS -e SHMEM
    make ARCH=um olddefconfig
    nice -n 15 make ARCH=um -j2 linux
    cp linux "$kernel"
)
cp "$here/named.sh" "$root/init"
cat >"$root/worker.go" <<'GO'
package main

import ("bytes"; "time")

var heap [][]byte

func main() {
	for range 64 { go time.Sleep(time.Hour) }
	for range 128 { heap = append(heap, bytes.Repeat([]byte{1}, 1<<16)) }
	time.Sleep(time.Hour)
}
GO
cp "$here/named.c" "$root/threads.c"
unshare --mount --pid --fork chroot "$root" sh -ec 'mount -t proc proc /proc
    gcc -O1 -pthread -o threads threads.c
    export HOME=/tmp GOROOT=/usr/lib/go-1.26 CGO_ENABLED=0
    $GOROOT/bin/go build -o worker worker.go'
rm -rf "$root/named" "$here/named"
"$kernel" root=/dev/root rootfstype=hostfs rootflags="$root" rw mem=1G con=null \
    con0=null,fd:1 uml_dir="$work/" init=/bin/busybox RECORDING=1 -- sh /init </dev/null | cat
cp -a "$root/named" "$here/named"
