#!/usr/bin/env bash
# A PostgreSQL test server on loopback, with its own data directory.
#
#   deploy/services/postgres.sh up      start it, unless it is running, and print its address
#   deploy/services/postgres.sh down    stop it and delete its data
#
# Needs Debian's package postgresql. If started by root, it runs as the user postgres, because PostgreSQL refuses root.
#
#   WINSLOW_POSTGRES_DIR     its directory  (default: /var/tmp/winslow-postgres)
#   WINSLOW_POSTGRES_PORT    its port       (default: a free one)
set -euo pipefail

readonly DIR=${WINSLOW_POSTGRES_DIR:-/var/tmp/winslow-postgres}
readonly HOST=127.0.0.1 USER_NAME=winslow

fail() {
    printf 'postgres.sh: %s\n' "$*" >&2
    [[ -e $DIR/log ]] && tail -n 20 "$DIR/log" >&2
    exit 1
}

# Debian keeps the server's programs outside PATH, in one directory per version; use the newest.
programs_dir() {
    local dir
    dir=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    if [[ -x $dir/pg_ctl ]]; then
        echo "$dir"
    elif command -v pg_ctl >/dev/null; then
        dirname "$(command -v pg_ctl)"
    else
        fail "PostgreSQL is not installed; on Debian: apt-get install --no-install-recommends postgresql"
    fi
}

as_server_user() {
    if ((EUID == 0)); then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}

runs() { [[ -e $DIR/data/postmaster.pid ]] && as_server_user "$BIN/pg_ctl" -D "$DIR/data" status >/dev/null 2>&1; }

address() { echo "postgresql+psycopg2://$USER_NAME@$HOST:$(sed -n 4p "$DIR/data/postmaster.pid")/postgres"; }

free_port() {
    local port
    for port in $(shuf -i 20000-32000 -n 50); do
        (exec 3<>"/dev/tcp/$HOST/$port") 2>/dev/null || { echo "$port" && return; }
    done
    fail "no free port between 20000 and 32000"
}

up() {
    if runs; then
        address
        return
    fi
    rm -rf "$DIR"
    mkdir -p "$DIR"
    ((EUID == 0)) && chown postgres: "$DIR"
    as_server_user "$BIN/initdb" --pgdata="$DIR/data" --username="$USER_NAME" --auth=trust --encoding=UTF8 \
        --locale=C --no-sync >"$DIR/initdb.out" 2>&1 || { cat "$DIR/initdb.out" >&2 && fail "initdb failed"; }
    local port=${WINSLOW_POSTGRES_PORT:-$(free_port)}
    # No fsync: test data need not survive a power failure.
    as_server_user "$BIN/pg_ctl" -D "$DIR/data" -l "$DIR/log" -w -s start -o "\
        -c listen_addresses=$HOST -c port=$port -c unix_socket_directories='' -c max_connections=300 \
        -c fsync=off -c synchronous_commit=off -c full_page_writes=off" </dev/null >/dev/null ||
        fail "the server did not start"
    address
}

down() {
    if runs; then as_server_user "$BIN/pg_ctl" -D "$DIR/data" -m immediate -w -s stop; fi
    rm -rf "$DIR"
}

BIN=$(programs_dir)
readonly BIN
case ${1:-} in
    up) up ;;
    down) down ;;
    *)
        echo "usage: ${0##*/} up|down" >&2
        exit 2
        ;;
esac
