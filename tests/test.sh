#!/usr/bin/env bash
# Every test of the workspace; the arguments name the plugins (see Makefile). What the server's own runner
# says comes last.
set -euo pipefail

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run "$@" --no-tests=pass
    # What it leaves out: the examples in what authors read.
    cargo test --doc -p coffer-plugin-sdk
    # Stories wait for servers more than they compute.
    cargo nextest run --no-fail-fast --test-threads $(($(nproc 2>/dev/null || echo 2) * 2))
else
    cargo test "$@"
    cargo test --no-fail-fast
fi
