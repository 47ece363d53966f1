#!/usr/bin/env bash
# Runs a command with a Redis and a PostgreSQL of its own, and clears them away after:
#
#   tests/services.sh cargo test
#
# Both listen on free loopback ports, live in one temporary folder and are told to the command as
# COFFER_TEST_REDIS_URL and COFFER_TEST_POSTGRES_URL. Where both are set already, nothing is started.
set -euo pipefail

if [ $# -eq 0 ]; then
    echo "usage: tests/services.sh COMMAND [ARGUMENT...]" >&2
    exit 2
fi
if [ -n "${COFFER_TEST_REDIS_URL:-}" ] && [ -n "${COFFER_TEST_POSTGRES_URL:-}" ]; then
    exec "$@"
fi

say() { echo "services: $*" >&2; }
fail() {
    say "$*"
    exit 1
}

# --- programs ---------------------------------------------------------------------------------

# Debian keeps PostgreSQL's server programs out of PATH; the newest version wins.
find_postgres() {
    local folder
    for folder in $(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -Vr); do
        if [ -x "$folder/initdb" ] && [ -x "$folder/postgres" ]; then
            echo "$folder"
            return
        fi
    done
    if command -v initdb >/dev/null && command -v postgres >/dev/null; then
        dirname "$(command -v initdb)"
    fi
}

missing=()
command -v redis-server >/dev/null || missing+=(redis-server)
[ -n "$(find_postgres)" ] || missing+=(postgresql)
if [ ${#missing[@]} -gt 0 ]; then
    if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
        fail "the stories need ${missing[*]}. Install them (Debian, Ubuntu: sudo apt-get install ${missing[*]}; macOS: brew install redis postgresql), or set COFFER_TEST_REDIS_URL and COFFER_TEST_POSTGRES_URL."
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    { apt-get -qq update && apt-get -qq install -y --no-install-recommends "${missing[@]}"; } >&2 ||
        fail "could not install ${missing[*]}"
fi
command -v redis-server >/dev/null || fail "redis-server is still not there"
postgres_bin=$(find_postgres)
[ -n "$postgres_bin" ] || fail "initdb and postgres are still not there"

# PostgreSQL refuses to run as root.
as_postgres=()
if [ "$(id -u)" -eq 0 ]; then
    owner=nobody
    id postgres >/dev/null 2>&1 && owner=postgres
    as_postgres=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --clear-groups)
    command -v setpriv >/dev/null || as_postgres=(runuser -u "$owner" --)
fi

# --- a folder, and its end --------------------------------------------------------------------

folder=$(mktemp -d "${TMPDIR:-/tmp}/coffer-services.XXXXXX")
redis_pid=
postgres_pid=
command_pid=

# Waits, at most so many tenths of a second, until the process is gone.
gone() {
    local left=$2
    while kill -0 "$1" 2>/dev/null && [ "$left" -gt 0 ]; do
        sleep 0.1
        left=$((left - 1))
    done
    ! kill -0 "$1" 2>/dev/null
}

stop() {
    local status=$?
    trap '' INT TERM HUP
    if [ -n "$command_pid" ] && kill -0 "$command_pid" 2>/dev/null; then
        kill -TERM -- "-$command_pid" 2>/dev/null || true
        gone "$command_pid" 150 || kill -KILL -- "-$command_pid" 2>/dev/null || true
    fi
    if [ -n "$postgres_pid" ] && kill -0 "$postgres_pid" 2>/dev/null; then
        # SIGQUIT: at once, without a last checkpoint; the folder goes anyway.
        kill -QUIT "$postgres_pid" 2>/dev/null || true
        gone "$postgres_pid" 100 || kill -KILL "$postgres_pid" 2>/dev/null || true
    fi
    if [ -n "$redis_pid" ] && kill -0 "$redis_pid" 2>/dev/null; then
        kill -TERM "$redis_pid" 2>/dev/null || true
        gone "$redis_pid" 50 || kill -KILL "$redis_pid" 2>/dev/null || true
    fi
    rm -rf "$folder"
    exit "$status"
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

random() { od -An -N16 -tx1 /dev/urandom | tr -d ' \n'; }
# A port that nobody answers on. Somebody may take it before we do: the caller tries again.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

password=$(random)
# Each service leads a process group, so that Ctrl-C reaches the command and not what it works with.
set -m

# --- Redis ------------------------------------------------------------------------------------

# Every server under test takes a database number of its own, hence so many.
start_redis() {
    local port=$1 left=100
    cat >"$folder/redis.conf" <<CONF
bind 127.0.0.1
port $port
requirepass $password
databases 16384
maxmemory-policy noeviction
save ""
appendonly no
dir $folder
CONF
    redis-server "$folder/redis.conf" >"$folder/redis.log" 2>&1 &
    redis_pid=$!
    while [ "$left" -gt 0 ]; do
        grep -qs "Ready to accept connections" "$folder/redis.log" && return 0
        kill -0 "$redis_pid" 2>/dev/null || return 1
        sleep 0.1
        left=$((left - 1))
    done
    kill -KILL "$redis_pid" 2>/dev/null || true
    return 1
}

redis_port=
for _ in 1 2 3 4 5; do
    port=$(free_port)
    if start_redis "$port"; then
        redis_port=$port
        break
    fi
done
if [ -z "$redis_port" ]; then
    cat "$folder/redis.log" >&2
    fail "Redis does not start"
fi

# --- PostgreSQL -------------------------------------------------------------------------------

data=$folder/postgres
mkdir "$data"
printf '%s\n' "$password" >"$folder/password"
if [ "$(id -u)" -eq 0 ]; then
    chmod 711 "$folder"
    chown "$owner" "$data" "$folder/password"
fi
(cd "$data" && "${as_postgres[@]}" "$postgres_bin/initdb" -D "$data/data" -U coffer -E UTF8 --locale=C \
    --auth-local=trust --auth-host=scram-sha-256 --pwfile="$folder/password" --no-sync) >"$folder/initdb.log" 2>&1 || {
    cat "$folder/initdb.log" >&2
    fail "initdb failed"
}
# fsync stays on: the server refuses a database that was told not to.
cat >>"$data/data/postgresql.conf" <<CONF
listen_addresses = '127.0.0.1'
unix_socket_directories = '$data'
max_connections = 400
shared_buffers = 64MB
fsync = on
logging_collector = off
CONF

start_postgres() {
    local port=$1 left=300
    : >"$folder/postgres.log"
    (cd "$data" && exec "${as_postgres[@]}" "$postgres_bin/postgres" -D "$data/data" -p "$port") >"$folder/postgres.log" 2>&1 &
    postgres_pid=$!
    while [ "$left" -gt 0 ]; do
        grep -q "database system is ready to accept connections" "$folder/postgres.log" && return 0
        kill -0 "$postgres_pid" 2>/dev/null || return 1
        sleep 0.1
        left=$((left - 1))
    done
    kill -KILL "$postgres_pid" 2>/dev/null || true
    return 1
}

postgres_port=
for _ in 1 2 3 4 5; do
    port=$(free_port)
    if start_postgres "$port"; then
        postgres_port=$port
        break
    fi
done
if [ -z "$postgres_port" ]; then
    cat "$folder/postgres.log" >&2
    fail "PostgreSQL does not start"
fi

# --- the command ------------------------------------------------------------------------------

export COFFER_TEST_REDIS_URL="redis://:$password@127.0.0.1:$redis_port"
export COFFER_TEST_POSTGRES_URL="postgres://coffer:$password@127.0.0.1:$postgres_port/postgres"
say "Redis on port $redis_port, PostgreSQL on port $postgres_port, both in $folder"

"$@" </dev/null &
command_pid=$!
status=0
wait "$command_pid" || status=$?
command_pid=
exit "$status"
