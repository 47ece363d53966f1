#!/usr/bin/env bash
# What a plugin costs in each language: builds what `coffer plugin new` makes, and measures it. The table goes to
# standard error; host/docs/9-plugins-costs.md tells how to read it. COFFER_BENCH_PROFILE=dev spares a release build.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD
target=${CARGO_TARGET_DIR:-$here/target}
kept=$target/languages
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/components" "$kept"

cargo build -p coffer
PATH="$target/debug:$PATH"
for lang in rust c js python; do
    name="$lang-greets"
    coffer plugin new "$name" --lang "$lang" --within "$work" > /dev/null
    cd "$work/$name"
    case $lang in
        js) npm install --silent >&2 ;;
        c | python)
            [ -e "$kept/$lang/pyvenv.cfg" ] || python3 -m venv "$kept/$lang"
            "$kept/$lang/bin/pip" install -q -r requirements.txt >&2
            ln -s "$kept/$lang" .venv
            ;;
    esac
    # Once for what others have written, and once for the plugin: the second is what an author waits for.
    CARGO_TARGET_DIR="$kept/rust" coffer plugin build > /dev/null
    rm -f ./*.wasm
    for source in plugin.* src/lib.rs; do [ ! -e "$source" ] || touch "$source"; done
    begun=$(date +%s%N)
    CARGO_TARGET_DIR="$kept/rust" coffer plugin build > /dev/null
    echo "$lang is built again in $((($(date +%s%N) - begun) / 1000000)) ms" >&2
    cp ./*.wasm "$work/components/$lang.wasm"
    cd "$here"
done

profile=()
[ "${COFFER_BENCH_PROFILE:-release}" = dev ] || profile=(--release)
COFFER_BENCH_PLUGINS="$work/components" cargo test "${profile[@]}" -p coffer --lib \
    runtime::tests::bench::a_plugin_of_each -- --ignored --nocapture
