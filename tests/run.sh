#!/usr/bin/env bash
# A server to play with: SQLite in target/dev (kept, so a restart finds everything again), sessions in the
# same file, TLS with a certificate of its own. When it is ready, says what to type next.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=target/dev
ready=$folder/ready.json
mkdir -p "$folder"
rm -f "$ready"

cargo build

# Waits beside the server, and is gone when the server is or when it has spoken.
server=$$
(
    trap 'exit 0' INT TERM
    until [ -e "$ready" ]; do
        kill -0 "$server" 2>/dev/null || exit 0
        sleep 0.1
    done
    cat <<'NEXT'

Coffer is ready. In another terminal, in this folder:

  ready() { grep -o "\"$1\": *\"[^\"]*\"" target/dev/ready.json | cut -d '"' -f 4; }
  member() { grep -o "\"$1\": *\"[^\"]*\"" | cut -d '"' -f 4; }
  call() { curl -sS --cacert "$(ready ca_cert)" "$@" && echo; }
  login() { call "$URL/token/create" -d "{\"username\": \"$1\", \"password\": \"$2\"}" | member access_token; }

  URL="$(ready url)/api/v1"
  TOKEN=$(login "$(ready admin_username)" "$(ready admin_password)")
  api() { call -H "Authorization: Bearer $TOKEN" "$@"; }

  api "$URL/secrets/create" -d '{"secret_id": "kv/hello", "value": "world", "ttl": "10s"}'
  api "$URL/secrets/kv/hello"

The same by the command line:

  PATH="$PWD/target/debug:$PATH"
  coffer login --ready-file target/dev/ready.json
  echo world | coffer secret put kv/hello --ttl 10s
  coffer secret get kv/hello

README.md goes on from here. Ctrl-C stops the server.

NEXT
) &

exec cargo run --quiet -- server --dev --listen "${COFFER_LISTEN:-127.0.0.1:8200}" --data-dir "$folder" --ready-file "$ready"
