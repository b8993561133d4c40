#!/bin/sh
# Builds the command `crowd` and replaces itself with it, which keeps signals and exit codes: --help.
crowd=$("$(dirname "$0")/bench-path.sh" crowd) || exit
exec "$crowd" "$@" --bench
