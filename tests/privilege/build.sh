#!/bin/sh
# Builds the programs of acceptance.sh: build.sh DIR.
set -eu
here=$(dirname "$0")
for source in target attack; do
    cc -w -O1 -static -o "$1/$source" "$here/$source.c"
done
cc -O1 -shared -fPIC -o "$1/preload.so" "$here/preload.c"
