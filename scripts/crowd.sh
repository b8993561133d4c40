#!/bin/sh
# Builds and becomes the command `crowd`, so that signals and exit codes are its own: see --help.
crowd=$(cargo bench --quiet --locked --manifest-path "$(dirname "$0")/../Cargo.toml" --bench crowd \
    --no-run --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\/crowd-[^"]*\)".*/\1/p')
exec "${crowd:?was not built}" "$@" --bench
