#!/bin/sh
exec cargo bench --quiet --locked --manifest-path "$(dirname "$0")/../Cargo.toml" --bench crowd -- "$@"
