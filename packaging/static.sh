#!/usr/bin/env bash
# Builds the static binary, which runs on any Linux of this architecture, and packs it with the
# manual page and completions into target/package/psm-uring-VERSION-MACHINE-linux.tar.gz. Prints the
# path.
source "$(dirname "$0")/stage.sh"

name=psm-uring-$version-$machine-linux
stage "$out/$name" usr/share/zsh/site-functions
cp LICENSE CHANGELOG.md "$out/$name/usr/share/doc/psm-uring"
tar -C "$out" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    -cf - "$name" | gzip -9n >"$out/$name.tar.gz"
echo "$out/$name.tar.gz"
