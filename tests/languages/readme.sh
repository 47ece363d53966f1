#!/usr/bin/env bash
# README's "A plugin in ten lines", done as it is written: what `coffer plugin new` makes, built, tried and installed,
# and then the ten lines themselves in its place.
set -euo pipefail
cd "$(dirname "$0")"
here=$(cd ../.. && pwd)
. lib/server.sh

work=$COFFER_LANGUAGES_TMP/readme
mkdir -p "$work"
start_server "$work"
kept=${CARGO_TARGET_DIR:-$here/target}/languages
bin=$COFFER_BIN
for name in $(compgen -e COFFER_ || true); do unset "$name"; done
PATH="$(dirname "$bin"):$PATH"
export PATH XDG_STATE_HOME="$work/state" CARGO_TARGET_DIR="$kept/rust"
cd "$work"

fail() { echo "readme: $*" >&2; tail -n 20 "$work/said" "$work/tools.log" >&2; exit 1; }

python3 - "$here/README.md" <<'END'
import re, sys
section = open(sys.argv[1]).read().split("\n## A plugin in ten lines\n")[1].split("\n## ")[0]
for kind, text in re.findall(r"^```(\w+)\n(.*?)^```$", section, re.M | re.S):
    open(f"readme.{kind}", "w").write(text)
END
coffer login --ready-file ready.json > said 2>&1 || fail "no login"
(set -e; eval "$(cat readme.sh)") > said 2>> tools.log || fail "it does not work as it is written"
grep -q '"said": *"hello world"' said || fail "another answer than hello world"

# The same again with the ten lines for a plugin, under a name that is not taken.
coffer plugin new hello > said 2>&1
cp readme.rust hello/src/lib.rs
cd hello
# The template's plugin has a setting and a test of its own; the ten lines have none.
sed -i '/^\[config/,$d' plugin.toml
rm -rf tests
coffer plugin build > ../said 2>> ../tools.log || fail "the ten lines do not build"
coffer plugin install hello-0.1.0.wasm --mount hello > ../said 2>&1 || fail "the ten lines are not installed"
coffer secret get hello/world -o json > ../said 2>&1 || fail "the ten lines do not answer"
grep -q '"hello": *"world"' ../said || fail "another answer than hello"
echo "readme: done" >&2
