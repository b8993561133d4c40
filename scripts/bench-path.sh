#!/bin/sh
# Builds a bench and prints the path of its program: bench-path.sh NAME.
path=$(cargo bench --quiet --locked --manifest-path "$(dirname "$0")/../Cargo.toml" \
    --bench "${1:?NAME of a bench}" --no-run --message-format json-render-diagnostics |
    sed -n 's/.*"executable":"\([^"]*\/'"$1"'-[^"]*\)".*/\1/p')
echo "${path:?$1 was not built}"
