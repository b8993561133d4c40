#!/usr/bin/env bash
# Builds target/package/psm-uring_VERSION-1_ARCH.deb and prints its path. Needs dpkg-deb.
source "$(dirname "$0")/stage.sh"

arch=$(dpkg --print-architecture)
# Debian's tools use the same variables. The project has no mail address, so the default names a
# reserved domain.
maintainer="${DEBFULLNAME:-psm-uring maintainers} <${DEBEMAIL:-maintainers@psm-uring.invalid}>"
root=$out/deb
stage "$root" usr/share/zsh/vendor-completions
doc=$root/usr/share/doc/psm-uring
gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
gzip -9n >"$doc/changelog.Debian.gz" <<END
psm-uring ($version-1) unstable; urgency=medium

  * See changelog.gz for the changes.

 -- $maintainer  $(date -R -u -d "@$SOURCE_DATE_EPOCH")
END
{
    echo "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/"
    echo "Comment: LICENSES.txt has the licenses of the crates and libraries in the binary."
    echo
    echo "Files: *"
    sed -n 's/^Copyright (c)/Copyright:/p' LICENSE
    echo "License: Expat"
    sed -n '/^Permission/,$s/^$/./; /^Permission/,$s/^/ /p' LICENSE
} >"$doc/copyright"

install -d "$root/DEBIAN"
install -m 755 packaging/debian/{config,postinst,prerm,postrm} "$root/DEBIAN"
install -m 644 packaging/debian/templates "$root/DEBIAN"
{
    echo "Package: psm-uring"
    echo "Version: $version-1"
    echo "Architecture: $arch"
    echo "Maintainer: $maintainer"
    [ -z "$homepage" ] || echo "Homepage: $homepage"
    echo "Installed-Size: $(du -sk "$root/usr" | cut -f1)"
    cat packaging/debian/control
} >"$root/DEBIAN/control"
(cd "$root" && find usr -type f -print0 | LC_ALL=C sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
deb=$out/psm-uring_$version-1_$arch.deb
dpkg-deb --root-owner-group --build "$root" "$deb" >&2
echo "$deb"
