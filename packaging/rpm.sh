#!/usr/bin/env bash
# Builds target/package/psm-uring-VERSION-1.MACHINE.rpm and prints its path. Needs rpmbuild.
source "$(dirname "$0")/stage.sh"

root=$out/rpm
stage "$root" usr/share/zsh/site-functions
install -m 644 CHANGELOG.md "$root/usr/share/doc/psm-uring"
install -Dm 644 LICENSE "$root/usr/share/licenses/psm-uring/LICENSE"
mv "$root/usr/share/doc/psm-uring/LICENSES.txt" "$root/usr/share/licenses/psm-uring"
rpmbuild -bb --quiet --target "$machine" --define "_topdir $out/rpmbuild" \
    --define "_rpmdir $out" --define "_rpmfilename %%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm" \
    ${homepage:+--define "homepage $homepage"} \
    --define "version $version" --define "staged $root" packaging/rpm/psm-uring.spec >&2
echo "$out/psm-uring-$version-1.$machine.rpm"
