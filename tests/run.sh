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

  ready() { grep -o "\"$1\": *\"[^\"]*\"" target/dev/ready.json | cut -d'"' -f4; }
  api() { curl -sS --cacert "$(ready ca_cert)" "$@"; echo; }
  URL=$(ready url)/api/v1
  TOKEN=$(api $URL/token/create -d "{\"username\": \"$(ready admin_username)\", \"password\": \"$(ready admin_password)\"}" |
    grep -o '"access_token": *"[^"]*"' | cut -d'"' -f4)

  api $URL/secrets/create -H "Authorization: Bearer $TOKEN" -d '{"secret_id": "kv/hello", "value": "world", "ttl": "1m"}'
  api $URL/secrets/kv/hello -H "Authorization: Bearer $TOKEN"

README.md goes on from here. Ctrl-C stops the server.

NEXT
) &

exec cargo run --quiet -- server --dev --listen "${COFFER_LISTEN:-127.0.0.1:8200}" --data-dir "$folder" --ready-file "$ready"
