"""An installation with services that really run, used from the command line."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from processes import running

from winslow_dagster.cli import main

PROGRAM = [sys.executable, "-c", "from winslow_dagster.cli import main; main()"]
SPEEDING = """\
name: speeding
command: [sh, -c]
inputs:
  speeds: {{kind: table, suffixes: [.csv]}}
env: {{LIMIT: "{limit}"}}
stages:
  - name: pick
    args: ['awk -F, "\\$2 > $LIMIT" "$WINSLOW_RESOURCE_SPEEDS" > "$WINSLOW_OUTPUT_DIR/fast.csv"; echo picked >&2']
    outputs: [fast.csv]
  - name: count
    args: ['echo "WINSLOW_RESULT: vehicles=$(wc -l < "$WINSLOW_INPUT_DIR/pick/fast.csv")"; exit ${{EXIT:-0}}']
    errors: ['^WINSLOW_RESULT']
"""
SLOWEST = """\
name: slowest
command: [sh, -c]
inputs:
  speeds: {kind: table, suffixes: [.csv]}
stages:
  - name: sort
    args: ['sort -t, -k2n "$WINSLOW_RESOURCE_SPEEDS" > "$WINSLOW_OUTPUT_DIR/sorted.csv"; echo sorted; echo "${WORD:-}"']
    outputs: [sorted.csv]
  - name: count
    args: ['echo "WINSLOW_RESULT: slowest=$(head -n 1 "$WINSLOW_INPUT_DIR/sort/sorted.csv")"']
"""
BREAKING = """\
name: breaking
stages:
  - {name: silent, command: ["true"]}
  - name: long
    command: [sh, -c]
    args: ['echo "frame 1/10"; echo "frame 2/10"; printf "FATAL %0200d\\n" 7 >&2; exit 3']
    progress: [{subject: frames, pattern: 'frame (?P<current>\\d+)/(?P<total>\\d+)'}]
    errors: ['^FATAL']
  - {name: absent, command: [no-such-program], after: [silent]}
"""
WAITING = """\
name: waiting
command: [sh, -c]
stages:
  - name: wait
    args: ['echo begun; until [ -e "${GATE}" ]; do sleep 0.05; done; echo passed']
"""
WONDERING = """\
name: wondering
command: [sh, -c]
stages:
  - name: wonder
    args:
      - |
        if [ -z "$REPLY" ]; then echo "WINSLOW_AWAIT_INPUT: which way?"; exit 75; fi
        echo "$REPLY" > "$WINSLOW_OUTPUT_DIR/way"
    env: {REPLY: ""}
"""


@dataclass(frozen=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


@dataclass
class Installation:
    """A directory with pipelines and services."""

    place: Path
    settings: dict[str, str]
    port: int

    @property
    def environment(self) -> dict[str, str]:
        return {name: value for name, value in os.environ.items() if not name.startswith("WINSLOW_")} | self.settings

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        command = [*PROGRAM, "up", "--json"]
        with running(command, cwd=self.place, env=self.environment, stdout=subprocess.PIPE, text=True) as services:
            # The one object that says that the services answer.
            ready = json.loads("".join(iter(services.stdout.readline, "}\n")) + "}")
            assert ready["address"] == f"http://127.0.0.1:{self.port}"
            assert ready["login_address"].startswith(f"{ready['address']}/login/link?key=")
            yield
            services.send_signal(signal.SIGINT)
        assert services.returncode == 0

    def begin(self, *arguments: str) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
        return running(
            [*PROGRAM, *arguments],
            cwd=self.place,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def winslow(self, *arguments: str) -> Ran:
        """The same in this process: a second of imports less."""
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            patch.chdir(self.place)
            for name, value in self.settings.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, out.getvalue(), err.getvalue())

    def said(self, *arguments: str, exit_code: int = 0) -> Any:
        ran = self.winslow(*arguments, "--json")
        assert ran.returncode == exit_code, ran.stderr
        return json.loads(ran.stdout)

    def refused(self, *arguments: str) -> tuple[int, str]:
        ran = self.winslow(*arguments, "--json")
        return ran.returncode, json.loads(ran.stderr)["what"]

    def run(self, project: str, *more: str) -> Any:
        return self.said("run", "speeding", "--project", project, "--input", "speeds=speeds.csv", *more)


def stages(status: Any) -> dict[str, Any]:
    """The stages of a project's status, by name."""
    return {stage["stage"]: stage for stage in status["stages"]}
