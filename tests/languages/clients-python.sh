#!/usr/bin/env bash
# A client for Python, generated from the openapi.json of a running server, goes through a story. Before that the
# document is held to the schema of OpenAPI by a validator that no generator has a part in.
set -euo pipefail
cd "$(dirname "$0")"
. lib/server.sh

folder=$COFFER_LANGUAGES_TMP/clients-python
mkdir -p "$folder"
python3 -m venv "$folder/venv"
PATH="$folder/venv/bin:$PATH"
pip install --quiet --disable-pip-version-check --requirement clients-python/requirements.txt

start_server "$folder"
ask_document "$folder/openapi.json"
openapi-spec-validator --schema 3.1 "$folder/openapi.json"
openapi-python-client generate --path "$folder/openapi.json" --meta none --output-path "$folder/coffer_client" \
    --config clients-python/generator.yaml --fail-on-warning >"$folder/generated.log" || {
    cat "$folder/generated.log" >&2
    exit 1
}
# Where a body may come in two forms, this version of the generator forgets to import a name that it uses.
sed -i 's/^from \.\.\.types import UNSET, Response$/&, Unset/' "$folder"/coffer_client/api/*/*.py
PYTHONPATH="$folder" python3 clients-python/story.py
