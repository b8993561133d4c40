#!/usr/bin/env bash
# Runs the tests that depend on the kernel under Debian's own kernels, in emulated machines, and
# writes the results into docs/KERNELS.md:
#
#     scripts/kernels.sh                     all kernels, about an hour on two idle CPUs
#     scripts/kernels.sh bookworm trixie     these kernels; leaves the document unchanged
#
# Needs a Debian host with qemu-system-x86 and mmdebstrap, and root. Installs nothing and changes no
# list of sources: kernels and all other files are kept in target/kernels. LIMIT=1800 gives each
# machine 1800 seconds instead of 900, for a busy host.
set -euo pipefail
cd "$(dirname "$0")/.."

suites=(bullseye bookworm trixie forky trixie-backports)
tests=(it pagemap)
limit=${LIMIT:-900}
here=$PWD
work=$(scripts/target-dir.sh)/kernels
debian=http://deb.debian.org/debian
keys=/usr/share/keyrings/debian-archive-keyring.gpg
machine=

die() {
    echo "kernels.sh: $*" >&2
    exit 1
}

clean_up() {
    [ -z "$machine" ] || kill "$machine" 2>/dev/null || true
    rm -rf "$work/root" "$work/initrd"
}

check_tools() {
    local tool
    for tool in qemu-system-x86_64:qemu-system-x86 mmdebstrap:mmdebstrap apt-get:apt dpkg-deb:dpkg \
        cargo:rustup cc:gcc; do
        command -v "${tool%:*}" >/dev/null || die "${tool%:*} is missing: install ${tool#*:}"
    done
    [ -e "$keys" ] || die "$keys is missing: install debian-archive-keyring"
}

# apt SUITE COMMAND...: runs a command of apt with one suite and its own package lists.
apt() {
    local suite=$1 command=$2 dir=$work/apt/$1
    shift 2
    mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
    echo "deb [signed-by=$keys] $debian $suite main" >"$dir/sources.list"
    "$command" -qq -o Dir::Etc::sourcelist="$dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::State::lists="$dir/lists" -o Dir::State::status=/dev/null \
        -o Dir::Cache="$dir/cache" -o APT::Architectures=amd64 -o APT::Sandbox::User=root \
        -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false \
        "$@"
}

# Downloads a package unless the file exists, and prints the path.
deb() {
    local suite=$1 package=$2 version file
    version=$(apt "$suite" apt-cache show --no-all-versions "$package" |
        sed -n 's/^Version: //p')
    file=$work/debs/${package}_${version//:/%3a}_amd64.deb
    mkdir -p "$work/debs"
    [ -e "$file" ] || (cd "$work/debs" && apt "$suite" apt-get download "$package" >&2)
    echo "$file"
}

# Prints the path of the newest kernel of a suite. Newer packages are split: the kernel image is in
# linux-binary.
kernel_of() {
    local suite=$1 package file image
    apt "$suite" apt-get update || die "no package lists of $suite from $debian"
    package=$(apt "$suite" apt-cache depends linux-image-amd64 |
        sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p')
    [ -n "$package" ] || die "$suite has no linux-image-amd64"
    if apt "$suite" apt-cache show "${package/image/binary}" >/dev/null 2>&1; then
        package=${package/image/binary}
    fi
    file=$(deb "$suite" "$package") || die "$package could not be downloaded"
    image=$work/vmlinuz-${package#linux-*-}
    dpkg-deb --fsys-tarfile "$file" | tar -xO --wildcards '*/vmlinuz*' >"$image"
    echo "$image"
}

busybox_of() {
    local file
    file=$(deb "$1" busybox-static) || die "busybox-static could not be downloaded"
    dpkg-deb --fsys-tarfile "$file" | tar -xO --wildcards '*bin/busybox' >"$work/busybox"
    chmod +x "$work/busybox"
}

# Downloads the tools of the acceptance suite, unpacked only: nothing of them is set up.
userland_of() {
    local tools=bash,coreutils,grep,libcap2-bin,libpam-modules,mawk,mount,procps,sed,strace
    [ -e "$work/userland.tar" ] && return
    mmdebstrap --quiet --mode=root --variant=extract --include="$tools,util-linux" "$1" \
        "$work/userland.new.tar" "$debian" || die "the tools of the suite could not be downloaded"
    mv "$work/userland.new.tar" "$work/userland.tar"
}

# Prints a target that links statically: musl, or the host's own C library.
static_target() {
    local musl=x86_64-unknown-linux-musl
    if [ -e "$(rustc --print sysroot)/lib/rustlib/$musl" ] ||
        rustup target add $musl >/dev/null 2>&1; then
        echo $musl
    else
        echo x86_64-unknown-linux-gnu
    fi
}

# Builds the program and the tests with light optimization and all checks. Prints the executables.
build() {
    local target
    target=$(static_target)
    # musl links statically by default.
    [ "$target" != x86_64-unknown-linux-gnu ] || export RUSTFLAGS="-C target-feature=+crt-static"
    nice -n 5 cargo test --no-run --quiet --locked \
        --target "$target" --target-dir "$work/cargo" --config profile.dev.opt-level=1 \
        --config profile.dev.debug=false --config profile.dev.strip=true \
        "${tests[@]/#/--test=}" --message-format json-render-diagnostics |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
}

# Lays out a small Debian for the acceptance suite, which the machine enters with chroot.
lay_out_debian() {
    local debian=$work/root/debian
    mkdir -p "$debian"/{etc,mnt,proc,sys,dev,tmp,privilege}
    tar -xf "$work/userland.tar" -C "$debian" --exclude='./usr/lib/*/perl*' \
        --exclude='./usr/share/perl*' --exclude='./usr/share/doc' --exclude='./usr/share/man' \
        --exclude='./usr/share/locale'
    ln -s bash "$debian/bin/sh"
    ln -s mawk "$debian/usr/bin/awk"
    printf '%s\n' root:x:0:0::/:/bin/sh nobody:x:65534:65534::/:/bin/sh >"$debian/etc/passwd"
    printf '%s\n' root:x:0: nogroup:x:65534: >"$debian/etc/group"
    cp tests/privilege/acceptance.sh "$debian/privilege/"
    tests/privilege/build.sh "$debian/privilege"
}

# Lays out the files of a machine: the tests, and their data at the paths they were built with.
lay_out() {
    local root=$work/root file name
    rm -rf "$root"
    mkdir -p "$root"/{bin,dev,etc,proc,sys,tests,tmp} "$root$here/tests/data"
    chmod 1777 "$root/tmp"
    cp "$work/busybox" "$root/bin/"
    cp scripts/kernels/init "$root/init"
    cc -O1 -static -o "$root/bin/zoo" tests/pagemap/zoo.c
    cp -a tests/data/procfs tests/data/corpus "$root$here/tests/data/"
    printf '%s\n' root:x:0:0::/:/bin/sh user:x:1000:1000::/:/bin/sh >"$root/etc/passwd"
    printf '%s\n' root:x:0: user:x:1000: >"$root/etc/group"
    while read -r file; do
        name=${file##*/}
        case $file in
        */deps/*) cp "$file" "$root/tests/${name%-*}" ;;
        *)
            mkdir -p "$root${file%/*}"
            cp "$file" "$root$file"
            ln -s "$file" "$root/bin/$name"
            ;;
        esac
    done
    [ "$(find "$root/tests" -type f | wc -l)" = ${#tests[@]} ] || die "not every test was built"
    lay_out_debian
    cp "$root/bin/psm-uring" "$root/debian/privilege/"
    (cd "$root" && find . | "$work/busybox" cpio -o -H newc -R 0:0 2>/dev/null) |
        gzip -1 >"$work/initrd"
}

# boot IMAGE CONSOLE: boots a kernel and writes its console to a file.
boot() {
    local image=$1 console=$2
    timeout "$limit" nice -n 5 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1024 \
        -nodefaults -no-user-config -display none -no-reboot -serial "file:$console" \
        -kernel "$image" -initrd "$work/initrd" -append "console=ttyS0 quiet panic=-1" \
        </dev/null &
    machine=$!
    wait "$machine" || true
    machine=
}

# rows SUITE CONSOLE: prints rows of the table from a console.
rows() {
    awk -v suite="$1" -v today="$(date +%F)" '
        function row() {
            if (phase != "")
                printf "| %s | %s | %s | %s | %s | %s | %d | %d | %d | %s |\n", kernel, suite,
                    io, user, engine, ring, passed, failed, skipped, today
            phase = ""
        }
        { sub(/\r+$/, "") }
        /^@@ kernel / { kernel = $3 }
        /^@@ phase / {
            row(); phase = $3; io = $3; user = $4; engine = ring = "-"
            passed = failed = skipped = 0
        }
        /^@@ engine / { engine = substr($0, 11) }
        /^io_uring: / { ring = substr($0, 11) }
        /^SKIPPED / { skipped++ }
        /^PASS / { passed++ }
        /^FAIL / { failed++; told = 1 }
        /^test result: / { passed += $4; failed += $6; told = $6 }
        /^@@ exit / { if ($4 != 0 && !told) failed++; told = 0 }
        /^@@ complaint / { failed++ }
        /^@@ end/ { ended = 1 }
        END {
            if (!ended) failed++
            if (kernel == "") { kernel = phase = "does not boot"; io = user = engine = ring = "-" }
            row()
        }' "$2"
}

# Writes the table between its marks in docs/KERNELS.md.
write_table() {
    awk -v table="$1" '
        /^<!-- table -->/ { print; print ""; while ((getline line < table) > 0) print line
            print ""; inside = 1 }
        /^<!-- end -->/ { inside = 0 }
        !inside && !/^<!-- table -->/' docs/KERNELS.md >"$work/document"
    cp "$work/document" docs/KERNELS.md
}

main() {
    local suite image chosen=("$@") table=$work/table failed=0
    [ $# -gt 0 ] || chosen=("${suites[@]}")
    check_tools
    mkdir -p "$work"
    trap clean_up EXIT
    trap 'exit 130' INT TERM
    kernel_of bookworm >/dev/null
    busybox_of bookworm
    userland_of bookworm
    build >"$work/executables"
    lay_out <"$work/executables"
    {
        echo "| kernel | Debian | io_uring | user | auto engine | ring" \
            "| passed | failed | skipped | date |"
        echo "|---|---|---|---|---|---|---|---|---|---|"
    } >"$table"
    for suite in "${chosen[@]}"; do
        image=$(kernel_of "$suite")
        boot "$image" "$work/console-$suite"
        rows "$suite" "$work/console-$suite" | tee -a "$table"
    done
    failed=$(awk -F' [|] ' 'NR > 2 { sum += $8 } END { print sum + 0 }' "$table")
    [ $# -gt 0 ] || write_table "$table"
    [ "$failed" = 0 ] || die "$failed checks failed: see $work/console-*"
}

main "$@"
