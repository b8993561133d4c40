#!/usr/bin/env bash
# Builds target/package/psm-uring_VERSION-1_ARCH.deb and prints its path. Needs dpkg-deb.
source "$(dirname "$0")/stage.sh"

arch=$(dpkg --print-architecture)
root=$out/deb
stage "$root" usr/share/zsh/vendor-completions
doc=$root/usr/share/doc/psm-uring
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
gzip -9n >"$doc/changelog.Debian.gz" <<END
psm-uring ($version-1) unstable; urgency=medium

  * What is new stands in changelog.gz.

 -- $(sed -n 's/^Maintainer: //p' packaging/debian/control)  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
END
{
    echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
    echo
    echo "Files: *"
    sed -n 's/^Copyright (c)/Copyright:/p' LICENSE
    echo "License: Expat"
    sed -n '/^Permission/,$s/^$/./; /^Permission/,$s/^/ /p' LICENSE
} >"$doc/copyright"

install -d "$root/DEBIAN"
install -m 755 packaging/debian/{postinst,prerm,postrm} "$root/DEBIAN"
sed "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@KIB@/$(du -sk "$root/usr" | cut -f1)/" \
    packaging/debian/control >"$root/DEBIAN/control"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
deb=$out/psm-uring_$version-1_$arch.deb
dpkg-deb --root-owner-group --build "$root" "$deb" >&2
echo "$deb"
