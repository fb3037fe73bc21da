#!/usr/bin/env bash
# `make demo`: sets up what the demo needs, then runs `winslow demo` with the given arguments.
#
# If Docker is available, the stages run in containers, whose image is built while .venv is created. If the build fails,
# the demo says so and runs the stages as processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LOG=${WINSLOW_HOME:-.winslow}/demo-image.log
build_pid=

say() { printf 'demo: %s\n' "$*" >&2; }

if [[ ${WINSLOW_STAGE_MODE:-auto} == process ]]; then
    say "WINSLOW_STAGE_MODE=process: the stages run as processes"
elif docker version >/dev/null 2>&1; then
    mkdir -p "$(dirname "$LOG")"
    say "Docker is available: building the stage image in the background (log: $LOG)"
    deploy/images/build.sh >"$LOG" 2>&1 </dev/null &
    build_pid=$!
    trap 'kill "$build_pid" 2>/dev/null || true' EXIT
else
    say "Docker is not available: the stages run as processes"
fi

make --no-print-directory setup

if [[ -n $build_pid ]]; then
    build_ended=0
    wait "$build_pid" || build_ended=$?
    trap - EXIT
    if ((build_ended == 0)); then
        say "the stages run in containers"
    else
        tail -n 5 "$LOG" >&2
        [[ ${WINSLOW_STAGE_MODE:-auto} == auto ]] || exit 1
        say "the stage image could not be built (full log: $LOG): the stages run as processes instead"
        export WINSLOW_STAGE_MODE=process
    fi
fi

exec winslow demo "$@"
