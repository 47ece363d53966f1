#!/usr/bin/env bash
# Plugins in four languages, from their sources to answers over HTTP: the tutorial as it is written, the examples, and
# what `coffer plugin new` makes. What others have written (compilers, interpreters) is kept in target/languages.
set -euo pipefail
here=$(cd "$(dirname "$0")/../.." && pwd)
kept=${CARGO_TARGET_DIR:-$here/target}/languages
work=$COFFER_LANGUAGES_TMP/plugins
mkdir -p "$kept" "$work/blocks"
bin=$COFFER_BIN
for name in $(compgen -e COFFER_ || true); do unset "$name"; done
PATH="$(dirname "$bin"):$PATH"
export PATH XDG_STATE_HOME="$work/state" CARGO_TARGET_DIR="$kept/rust"
cd "$work"

say() { echo "plugins: ${SECONDS}s: $*" >&2; }
fail() { say "$*"; cd "$work"; tail -n 20 tools.log >&2; tail -n 20 server.log >&2; exit 1; }
expect() { case "$2" in *"$1"*) ;; *) fail "expected $1, got $2" ;; esac; }

# The tutorial's commands, one file each, and what the last line of some must say.
python3 - "$here/host/docs/8-plugins-tutorial.md" <<'END'
import re, sys
blocks = re.findall(r"^```(\w+)\n(.*?)^```$", open(sys.argv[1]).read(), re.M | re.S)
at = 0
for kind, text in blocks:
    at += kind == "sh"
    open(f"blocks/{at:02}.{kind}", "w").write(text)
END

compare='import json, sys
said, wanted = json.loads(sys.argv[1]), json.load(open(sys.argv[2]))
assert said.items() >= wanted.items(), f"{said}, and not {wanted}"'

server=
finish() { [ -z "$server" ] || { kill "$server" && wait "$server"; } 2>/dev/null || true; }
trap finish EXIT
for block in blocks/*.sh; do
    block=$work/$block
    if grep -q '^coffer server' "$block"; then
        say "a server"
        eval "exec $(cat "$block") --listen 127.0.0.1:0" 2> server.log > server.out &
        server=$!
        for _ in $(seq 600); do [ -e coffer-dev/ready.json ] && break; sleep 0.1; done
        [ -e coffer-dev/ready.json ] || fail "the server does not start"
        continue
    fi
    say "the tutorial: $(head -1 "$block")"
    eval "$(cat "$block")" > "$work/said" 2>> "$work/tools.log" || { cd "$work"; fail "$block: $(cat said)"; }
    if [ -e "${block%.sh}.json" ]; then
        python3 -c "$compare" "$(tail -n 1 "$work/said")" "${block%.sh}.json" || { cd "$work"; fail "$block: $(cat said)"; }
    fi
done
cd "$work"

# On a busy machine compiling may take longer than a request; what was begun is there the next time.
install() {
    for _ in 1 2 3 4; do
        coffer plugin install . --mount "$1" > said 2>&1 && return
        sleep 5
    done
    fail "$1: $(cat said)"
}

# A Python with what a project demands, made once.
environment() {
    [ -e "$kept/$1/pyvenv.cfg" ] || python3 -m venv "$kept/$1"
    "$kept/$1/bin/pip" install -q -r requirements.txt >&2
    ln -s "$kept/$1" .venv
}
prepare() {
    case $1 in
        js) npm install --silent --no-package-lock >&2 ;;
        python | c) environment "$1" ;;
    esac
}

# The next version says when to come again, which the client is told; and it is what is tested, not the one before.
come_again() {
    sed -i.old 's/^version = "0.1.0"/version = "0.2.0"/' plugin.toml
    case $1 in
        js) sed -i.old 's/throw refuse("unsupported")/throw refuse("rate-limited", "", [], 3000)/' plugin.js ;;
        python) sed -i.old 's/raise refuse("unsupported")/raise refuse("rate-limited", "", (), 3000)/' plugin.py ;;
        c) sed -i.old 's/return refuse(error, "unsupported", "")/return refuse_for(error, "rate-limited", "", 3000)/' plugin.c ;;
    esac
    coffer plugin build > said 2>> "$work/tools.log" || { cd "$work"; fail "$1 does not build a second time"; }
    coffer plugin test . calls.json > said 2>&1 && fail "$1: the version before is tested"
    expect "rate-limited" "$(cat said)"
    [ "$1" != js ] || ! npm test > said 2>&1 || fail "npm test: the version before is tested"
    # By the same publisher: what is held there is its own.
    coffer plugin sign "new-$1-secrets-0.2.0.wasm" --key key.pem > said
    install "new-$1-secrets"
    expect "retry-after: 3" "$(api -i -X DELETE "$URL/secrets/new-$1-secrets/world" | tr 'A-Z' 'a-z')"
}

for lang in js python c; do
    for kind in secrets auth; do
        say "a new project: $lang, $kind"
        coffer plugin new "new-$lang-$kind" --lang "$lang" --kind "$kind" > said
        cd "new-$lang-$kind"
        if [ "$kind" = secrets ]; then
            # Without its tools it says what to install.
            env PATH="$(dirname "$bin")" "$bin" plugin build 2> said && fail "it builds without tools"
            expect "is not installed" "$(cat said)"
        fi
        prepare "$lang" 2>> "$work/tools.log" || fail "what $lang needs is not to be had"
        coffer plugin build > said 2>> "$work/tools.log" || { cd "$work"; fail "$lang, $kind does not build"; }
        coffer plugin test . calls.json > said || fail "$lang, $kind"
        coffer plugin sign "new-$lang-$kind-0.1.0.wasm" --key key.pem --new-key > said
        expect "ed25519:" "$(coffer plugin inspect "new-$lang-$kind-0.1.0.wasm")"
        install "new-$lang-$kind"
        [ "$kind" = auth ] || {
            expect '"hello world"' "$(api "$URL/secrets/new-$lang-$kind/world")"
            come_again "$lang"
        }
        cd "$work"
    done
done

# A login goes without the token that the tutorial's `api` brings.
log_in() { curl -sS --cacert "$CA" "$URL/token/create" -d "$1"; }

# Nobody has a PIN there yet; who is not known is answered the same.
for lang in js python c; do
    for user in admin nobody; do
        expect '"invalid_grant"' "$(log_in "{\"grant_type\": \"new-$lang-auth\", \"username\": \"$user\", \"pin\": \"1\"}")"
    done
    # With one, who has set it is let in by it, and by no other.
    expect '"invalid_value"' "$(api "$URL/users/admin/credentials/new-$lang-auth" -d '{"pin": "1"}')"
    api "$URL/users/admin/credentials/new-$lang-auth" -d '{"pin": "4711"}' > said
    pin() { log_in "{\"grant_type\": \"new-$lang-auth\", \"username\": \"admin\", \"pin\": \"$1\"}"; }
    expect '"access_token"' "$(pin 4711)"
    expect '"invalid_grant"' "$(pin 4712)"
done

example() {
    say "the example in $1"
    cp -r "$here/plugins/examples/$1" "example-$1" 2>/dev/null
    # The one in Rust is built on the SDK of this repository.
    [ "$1" != rust ] || sed -i "s|\.\./\.\./\.\./plugin-sdk|$here/plugin-sdk|" example-rust/Cargo.toml
    cd "example-$1"
    rm -rf .venv build node_modules
    prepare "$1" 2>> "$work/tools.log" || fail "what $1 needs is not to be had"
    coffer plugin build > said 2>> "$work/tools.log" || { cd "$work"; fail "$1 does not build"; }
    coffer plugin test . calls.json > said 2>&1 || fail "$1: $(cat said)"
    install "$2"
    cd "$work"
}

example rust notes
api "$URL/secrets/create" -d '{"secret_id": "notes/for/ada", "value": "meet me"}' > said
expect '"meet me"' "$(api "$URL/secrets/notes/for/ada:open" -X POST)"
expect '"not_found"' "$(api "$URL/secrets/notes/for/ada:open" -X POST)"

example js render
body='{"data": {"template": "postgres://{{user}}:{{password}}@db", "user": "ada", "password": "grüße"}}'
api "$URL/secrets/render/db" -X PUT -d "$body" > said
expect 'postgres://ada:grüße@db' "$(api "$URL/secrets/render/db:render" -X POST)"
expect '"render/db"' "$(api "$URL/secrets?prefix=render/")"
api "$URL/secrets/render/db" -X DELETE > said
expect '"not_found"' "$(api "$URL/secrets/render/db")"

example python recovery
code=$(api "$URL/users/admin/credentials/recovery" -d '{}' | grep -o '"[a-z2-7]\{16\}"' | head -n 1 | tr -d '"')
[ -n "$code" ] || fail "no code"
recovery="{\"grant_type\": \"recovery\", \"username\": \"admin\", \"code\": \"$code\"}"
expect '"access_token"' "$(log_in "$recovery")"
expect '"invalid_grant"' "$(log_in "$recovery")"

example c serial
for _ in $(seq 20); do api "$URL/secrets/serial/invoices:next" -X POST & done | grep -o '"number": *[0-9]*' | sort -u > numbers
[ "$(wc -l < numbers)" = 20 ] || fail "numbers came twice: $(cat numbers)"

# What a plugin prints and what goes wrong in it is told to the operator.
grep -q 'panicked' server.log && fail "the server panicked"
say "done"
