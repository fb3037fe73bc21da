# Messages and processes of the scripts beside this file, which source it after they have set DIR, their directory.

say() { printf '%s\n' "$*" >&2; }

fail() {
    say "${0##*/}: $*"
    [[ -d $DIR/log ]] && say "logs: $DIR/log"
    exit 1
}

wait_until() { # seconds, description, command...
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || fail "timed out waiting for $what"
        sleep 0.1
    done
}

# Pids are reused: a recorded pid is ours only if the process has our directory in its command line.
is_ours() { [[ -n $1 ]] && { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -qF -- "$DIR/"; }
