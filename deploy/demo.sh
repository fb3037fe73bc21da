#!/usr/bin/env bash
# `make demo`: what the main job needs, then the main job. Arguments go to `winslow demo`.
#
# Where Docker answers, the stages run in containers, and their image is built while .venv is made. Where it cannot be
# built the demo says so and runs the same programs as processes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LOG=${WINSLOW_HOME:-.winslow}/demo-image.log
build_pid=

say() { printf 'demo: %s\n' "$*" >&2; }

if [[ ${WINSLOW_STAGE_MODE:-auto} == process ]]; then
    say "WINSLOW_STAGE_MODE=process: the stages run as processes"
elif docker version >/dev/null 2>&1; then
    mkdir -p "$(dirname "$LOG")"
    say "Docker answers: building the stage image beside the rest (its log: $LOG)"
    deploy/images/build.sh >"$LOG" 2>&1 </dev/null &
    build_pid=$!
    trap 'kill "$build_pid" 2>/dev/null || true' EXIT
else
    say "no Docker daemon answers: the stages run as processes"
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
        say "the stage image could not be built (above; all of it: $LOG): the stages run as processes instead"
        export WINSLOW_STAGE_MODE=process
    fi
fi

exec winslow demo "$@"
