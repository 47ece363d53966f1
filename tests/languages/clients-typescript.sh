#!/usr/bin/env bash
# A client for TypeScript, its types generated from the openapi.json of a running server, goes through a story. The
# compiler is as strict as it can be: a type that got lost is an error.
set -euo pipefail
cd "$(dirname "$0")"
. lib/server.sh

folder=$COFFER_LANGUAGES_TMP/clients-typescript
mkdir -p "$folder"
cp clients-typescript/* "$folder"
(cd "$folder" && npm ci --silent --no-audit --no-fund --ignore-scripts)

start_server "$folder"
ask_document "$folder/openapi.json"
cd "$folder"
npx openapi-typescript openapi.json --output schema.d.ts >generated.log 2>&1 || {
    cat generated.log >&2
    exit 1
}
npx tsc --project tsconfig.json
NODE_EXTRA_CA_CERTS="$CA" node story.js
