# Sourced by the scripts beside this folder: a dev server of their own, gone when they are.
#
# start_server FOLDER: sets URL, CA, ADMIN_USERNAME and ADMIN_PASSWORD, for the script and for what it starts.
# ask_document FILE: writes the server's openapi.json.

start_server() {
    local folder=$1 left=600
    mkdir -p "$folder"
    "$COFFER_BIN" server --dev --listen 127.0.0.1:0 --data-dir "$folder/data" --ready-file "$folder/ready.json" \
        >"$folder/server.log" 2>&1 &
    SERVER=$!
    trap 'kill "$SERVER" 2>/dev/null || true; wait "$SERVER" 2>/dev/null || true' EXIT
    until [ -e "$folder/ready.json" ]; do
        if ! kill -0 "$SERVER" 2>/dev/null || [ "$left" -eq 0 ]; then
            cat "$folder/server.log" >&2
            echo "languages: the server does not start" >&2
            return 1
        fi
        left=$((left - 1))
        sleep 0.1
    done
    ready() { grep -o "\"$1\": *\"[^\"]*\"" "$folder/ready.json" | cut -d '"' -f 4; }
    URL=$(ready url) CA=$(ready ca_cert) ADMIN_USERNAME=$(ready admin_username) ADMIN_PASSWORD=$(ready admin_password)
    export URL CA ADMIN_USERNAME ADMIN_PASSWORD
}

ask_document() {
    curl -sS --fail --noproxy '*' --cacert "$CA" -o "$1" "$URL/api/v1/openapi.json"
}
