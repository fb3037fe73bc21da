#!/usr/bin/env bash
# `make demo`: sets up what the demo needs, then runs `winslow demo` with the given arguments.
#
# If Docker is available, the stages run in containers, whose image is built while .venv is created. If the build fails,
# the demo says so and runs the stages as processes. Ctrl-C ends the build, too.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly LOG=${WINSLOW_HOME:-.winslow}/demo-image.log
readonly REPORT_INTERVAL_S=10
build_pid=
reporter_pid=

say() { printf 'demo: %s\n' "$*" >&2; }

report_build() { # until the build ends
    until timeout "$REPORT_INTERVAL_S" tail --pid="$build_pid" --follow /dev/null; do
        say "building the stage image ($SECONDS s): $(tail -n 1 "$LOG" | tr -d '\r' | cut -c 1-100)"
    done
}

end_build() {
    trap '' INT TERM HUP
    kill -TERM -- "-$build_pid" 2>/dev/null || kill -TERM "$build_pid" 2>/dev/null || true
    wait "$build_pid" "$reporter_pid" || true
}

if [[ ${WINSLOW_STAGE_MODE:-auto} == process ]]; then
    say "WINSLOW_STAGE_MODE=process: the stages run as processes"
elif docker version >/dev/null 2>&1; then
    mkdir -p "$(dirname "$LOG")"
    say "Docker is available: building the stage image in the background (log: $LOG)"
    # A process group of its own, which can be ended as a whole. The shell's own background processes ignore Ctrl-C.
    setsid deploy/images/build.sh >"$LOG" 2>&1 </dev/null &
    build_pid=$!
    report_build &
    reporter_pid=$!
    trap end_build EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
else
    say "Docker is not available: the stages run as processes"
fi

make --no-print-directory setup

if [[ -n $build_pid ]]; then
    build_ended=0
    wait "$build_pid" || build_ended=$?
    wait "$reporter_pid"
    trap - EXIT INT TERM HUP
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
