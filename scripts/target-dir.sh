#!/bin/sh
# Prints cargo's target directory: CARGO_TARGET_DIR, `build.target-dir` of a configuration file, or
# target.
cd "$(dirname "$0")/.."
dir=$(cargo metadata --no-deps --format-version 1 |
    sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
echo "${dir:?cargo names no target directory}"
