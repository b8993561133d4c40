#!/usr/bin/env bash
# Prints the licenses of the code that a binary for TARGET contains: licenses.sh TARGET.
set -euo pipefail
shopt -s inherit_errexit nullglob
cd "$(dirname "$0")/.."

target=${1:?usage: licenses.sh TARGET}

# One line per crate: its id, which ends in #NAME@VERSION, and its directory.
directories=$(cargo metadata --locked --format-version 1 --filter-platform "$target" |
    grep -oE '"(id|manifest_path)":"[^"]*"' |
    awk -F '"' '$2 == "id" { id = $4 }
        $2 == "manifest_path" { sub(/\/Cargo\.toml$/, "", $4); print id "\t" $4 }')

# Crates that are linked in, with their license expressions. Build scripts and procedural macros are
# not among them, and neither is this crate, which has a path in parentheses.
linked() {
    cargo tree --locked --edges normal,no-proc-macro --target "$target" --prefix none \
        --format '{p}|{l}' | sed 's/ (\*)$//' | grep -v '(' | sed 's/ v\([^|]*\)/|\1/' |
        LC_ALL=C sort -u
}

# texts DIRECTORY EXPRESSION: the MIT license where it is offered, else every text there is.
texts() {
    if [ -e "$1/LICENSE-MIT" ] && [[ $2 != *" AND "* ]]; then
        echo "$1/LICENSE-MIT"
    else
        printf '%s\n' "$1"/{LICEN[CS]E,COPYING,NOTICE}*
    fi
}

section() {
    printf '\n%s\n%s\n\n' "$1" "$(tr '[:print:]' - <<<"$1")"
}

echo "The psm-uring binary contains the following software. Where a choice of licenses is offered,"
echo "it is used under the MIT license."
linked | while IFS='|' read -r name version expression; do
    directory=$(awk -F '\t' -v end="#$name@$version" \
        'substr($1, length($1) - length(end) + 1) == end { print $2 }' <<<"$directories")
    files=$(texts "$directory" "$expression")
    if [ -z "$files" ]; then
        echo "licenses.sh: $name $version ($expression) has no license text in $directory" >&2
        exit 1
    fi
    section "$name $version ($expression)"
    while read -r file; do cat "$file"; done <<<"$files"
done
section "The Rust standard library (MIT OR Apache-2.0)"
cat packaging/licenses/rust.txt
case $target in *-musl)
    section "musl (MIT)"
    cat packaging/licenses/musl.txt
    ;;
esac
