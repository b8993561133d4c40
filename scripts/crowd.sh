#!/bin/sh
# Builds and becomes the command `crowd`, so that signals and exit codes are its own: see --help.
crowd=$("$(dirname "$0")/bench-path.sh" crowd) || exit
exec "$crowd" "$@" --bench
