# The scripts in this directory source this file. It builds the static binary and lays out the files
# of a package. The binary prints its manual page and completions; all other files are in the tree.
set -euo pipefail
# A command substitution that fails ends the script, with the message of the failed command.
shopt -s inherit_errexit
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=$(cargo pkgid)
version=${version##*[#@]}
# Empty until Cargo.toml has a homepage.
homepage=$(sed -n 's/^homepage = "\(.*\)"/\1/p' Cargo.toml)
machine=$(uname -m)
target=$machine-unknown-linux-musl
target_dir=$(scripts/target-dir.sh)
out=$target_dir/package
# With the commit's time in it, the same commit gives the same package, byte for byte.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
umask 022

# Builds the static binary and prints its path.
build() {
    # Without rustup, the target comes from a package of the distribution.
    if command -v rustup >/dev/null && ! rustup target list --installed | grep -qx "$target"; then
        rustup target add "$target" >&2
    fi
    cargo build --release --locked --target "$target" >&2
    echo "$target_dir/$target/release/psm-uring"
}

# stage ROOT ZSH: puts all files below ROOT, and the completions of zsh below ROOT/ZSH.
stage() {
    local root=$1 zsh=$2 binary doc=$1/usr/share/doc/psm-uring
    binary=$(build)
    rm -rf "$root"
    install -Ds "$binary" "$root/usr/bin/psm-uring"
    install -d "$root"/usr/share/{man/man1,bash-completion/completions,fish/vendor_completions.d} \
        "$root/$zsh" "$doc/docs" "$root"/usr/lib/{systemd/system,sysusers.d}
    "$binary" man | gzip -9n >"$root/usr/share/man/man1/psm-uring.1.gz"
    "$binary" completions bash >"$root/usr/share/bash-completion/completions/psm-uring"
    "$binary" completions fish >"$root/usr/share/fish/vendor_completions.d/psm-uring.fish"
    "$binary" completions zsh >"$root/$zsh/_psm-uring"
    install -m 644 packaging/systemd/psm-uring.{service,timer} "$root/usr/lib/systemd/system"
    install -m 644 packaging/systemd/psm-uring.sysusers "$root/usr/lib/sysusers.d/psm-uring.conf"
    install -m 644 README.md "$doc"
    # The documents for users, at the paths that README.md links to.
    install -m 644 docs/{COLUMNS,FORMATS,GROUPING,HOST,RELIABILITY}.md docs/*.schema.json \
        "$doc/docs"
    packaging/licenses.sh "$target" >"$doc/LICENSES.txt"
}
