#!/usr/bin/env bash
# Every test of the workspace; the arguments name the plugins (see Makefile). What the server's own runner
# says comes last.
set -euo pipefail

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run "$@" --no-tests=pass
    cargo nextest run --no-fail-fast
else
    cargo test "$@"
    cargo test --no-fail-fast
fi
