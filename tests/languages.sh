#!/usr/bin/env bash
# What Coffer promises to people of other languages, tried with their own tools: each script in
# tests/languages is run with a built server, and one that fails fails the whole.
#
#   tests/languages.sh [SCRIPT...]
set -euo pipefail
cd "$(dirname "$0")/.."

for program in node npm python3; do
    command -v "$program" >/dev/null || {
        echo "languages: $program is missing: install Node.js (20 or newer) and Python (3.10 or newer)" >&2
        exit 1
    }
done

cargo build -p coffer
COFFER_BIN="${CARGO_TARGET_DIR:-$PWD/target}/debug/coffer"
COFFER_LANGUAGES_TMP="$(mktemp -d)"
export COFFER_BIN COFFER_LANGUAGES_TMP
trap 'rm -rf "$COFFER_LANGUAGES_TMP"' EXIT

shopt -s nullglob
[ $# -gt 0 ] || set -- tests/languages/*.sh
for script in "$@"; do
    echo "languages: $script" >&2
    bash "$script"
done
