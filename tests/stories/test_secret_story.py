"""Secrets on real services: a stage has them, and nothing else does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest
import sqlalchemy as sa
from installation import Installation, until

from winslow_dagster import Winslow
from winslow_dagster.errors import InputRejected, NotFound

pytestmark = pytest.mark.slow

TOKEN, KEY, OTHER, REFUSED = (f"sentinel-{name}-5b1e" for name in ("token", "key", "other-token", "refused"))
VAULT = """
name: vault
{program}
env:
  TOKEN: {{secret: true}}
  KEY: {{secret: LAB_KEY, in_env: true}}
  HOLD: "1"
stages:
  - name: use
    {args}
      - |
        cd "$WINSLOW_OUTPUT_DIR"
        test -z "$HOLD" || until test -e go; do sleep 0.1; done
        token=$(cat "$WINSLOW_SECRETS_DIR/TOKEN")
        echo "token $token"; echo "key $KEY" >&2; echo "variable [$TOKEN]"
        echo "WINSLOW_RESULT: token=$token"
        echo "$${{#token}} $${{#KEY}}" > lengths
        printf 'the end is %s' "$token"
  - name: enter
    errors: [FATAL]
    {args}
      - 'echo "FATAL no login with $(cat "$WINSLOW_SECRETS_DIR/TOKEN")" >&2; exit 3'
"""


@pytest.fixture(params=["process", pytest.param("docker", marks=[pytest.mark.docker, pytest.mark.postgres])])
def there(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    """Processes with SQLite, and containers with PostgreSQL."""
    image = request.getfixturevalue("test_image") if request.param == "docker" else None
    url = request.getfixturevalue("postgres_url") if image else None
    program = f"image: {image}" if image else "command: [sh, -c]"
    args = "args:\n      - sh\n      - -c" if image else "args:"
    made = Installation(tmp_path, image, {"vault": VAULT.format(program=program, args=args)}, url)
    made.up()
    yield made
    made.down()


def winslow_command(there: Installation, *arguments: str, stdin: str = "") -> str:
    """What the command prints, on both streams."""
    done = subprocess.run(
        [str(Path(sys.executable).parent / "winslow"), *arguments],
        env=there.environment,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def asked(there: Installation, query: str, **variables: Any) -> str:
    """The answer of Dagster's web server."""
    content = json.dumps({"query": query, "variables": variables}).encode()
    address = f"{there.settings.address}/dagit/graphql"
    request = Request(address, content, {"Content-Type": "application/json", **there.authorization}, method="POST")
    with urlopen(request) as answer:
        text: str = answer.read().decode()
    return text


def files_with(value: str, folder: Path) -> set[str]:
    """The files below the folder that contain the value, relative to it.

    Searched by another process: closing a file of a SQLite database drops the locks that this process has on it.
    """
    done = subprocess.run(
        ["grep", "-rlaFs", "--devices=skip", "-e", value, "."], cwd=folder, capture_output=True, text=True, check=False
    )
    return {line.removeprefix("./") for line in done.stdout.splitlines()}


def dumped(there: Installation) -> str:
    """All rows of all tables of the PostgreSQL database; SQLite's are files of the home."""
    if there.database_url is None:
        return ""
    engine = sa.create_engine(there.database_url)
    with engine.connect() as connection:
        names = sa.inspect(connection).get_table_names()
        rows = [str(row[0]) for name in names for row in connection.execute(sa.text(f'SELECT t::text FROM "{name}" t'))]
    engine.dispose()
    assert rows
    return "\n".join(rows)


def command_lines() -> str:
    lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                lines.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            except OSError:
                continue
    return "\n".join(lines)


def only_the_running_stage_has_them(there: Installation, task_id: str, stored: str) -> None:
    """The values are in the store, and in the attempt's own files, in a directory that only this user can enter."""
    home = there.settings.home
    assert files_with(TOKEN, home) == {f"secrets/{stored}", f"tasks/{task_id}/secrets/files/TOKEN"}
    assert files_with(KEY, home) == {"secrets/LAB_KEY", f"tasks/{task_id}/secrets/files/KEY"}
    assert (home / "tasks" / task_id / "secrets").stat().st_mode & 0o777 == 0o700
    if there.image:
        shown = subprocess.run(
            ["docker", "inspect", f"winslow-{task_id}"], capture_output=True, text=True, check=True
        ).stdout
        assert TOKEN not in shown
        assert shown.count(KEY) == 1, "only in the variable that the pipeline asks for"
    lines = command_lines()
    assert TOKEN not in lines
    assert KEY not in lines


EVENTS = """query { runsOrError { ... on Runs { results {
  runId runConfigYaml tags { key value }
  assetMaterializations { metadataEntries { label ... on TextMetadataEntry { text } } }
  eventConnection { events { __typename ... on MessageEvent { message stepKey }
    ... on ExecutionStepFailureEvent { error { message stack } } } } } } } }"""
LAUNCH = """mutation($params: ExecutionParams!) { launchRun(executionParams: $params) { __typename } }"""


def test_only_the_stage_has_its_secrets(there: Installation) -> None:
    said = winslow_command(there, "secret", "set", "LAB_KEY", stdin=f"{KEY}\n")
    assert "the secret LAB_KEY is stored" in said
    with Winslow(there.settings) as winslow:
        with pytest.raises(NotFound, match="stage use: the secret TOKEN is not stored"):
            winslow.run("vault", "p")
        run = winslow.run("vault", "p", env={"TOKEN": TOKEN})
        until(lambda: winslow.status("p").stage("use").state == "running", "the stage runs")
        task_id = winslow.status("p").stage("use").task_id

        (stored,) = [each.name for each in winslow.secrets.list() if each.name.startswith("TOKEN-")]
        only_the_running_stage_has_them(there, str(task_id), stored)

        (there.settings.node.tasks_dir / str(task_id) / "output" / "go").touch()
        assert run.ended().state == "failed"
        status = winslow.status("p")
        assert status.stage("use").results == {"token": "***"}
        assert status.stage("enter").reason.endswith("FATAL no login with ***")
        (lengths,) = [file for file in winslow.project("p").files("use") if file.path == "lengths"]
        assert lengths.local_path is not None
        assert lengths.local_path.read_text() == f"{len(TOKEN)} {len(KEY)}\n"
        texts = [line.text for line in winslow.project("p").logs("use").lines() if line.stream != "winslow"]
        assert sorted(texts) == sorted(
            ["token ***", "key ***", "variable []", "WINSLOW_RESULT: token=***", "the end is ***"]
        )

        # A redo with another secret differs; one with the same value under another name does not.
        winslow.secrets.set("OTHER_TOKEN", OTHER)
        winslow.secrets.set("SAME_TOKEN", TOKEN)
        project = winslow.project("p")
        for secret in ("OTHER_TOKEN", "SAME_TOKEN"):
            project.redo("use", env={"TOKEN": {"secret": secret}, "HOLD": ""}, only=True).wait()
        attempts = project.history("use")
        assert len(attempts) == 3, project.status().model_dump_json(indent=1)
        _, other, same = attempts
        assert other.settings == {"env": {"TOKEN": {"secret": "OTHER_TOKEN"}, "HOLD": ""}}
        reused = project.redo("use", env={"TOKEN": {"secret": "SAME_TOKEN"}, "HOLD": ""}, only=True, reuse=True)
        reused.wait()
        assert project.history("use")[-1].reused_from == same.task_id
        with pytest.raises(InputRejected, match="TOKEN is a secret, and its value would be shown here"):
            project.sweep("use", {"TOKEN": [REFUSED, OTHER]})

    # Dagit's Launchpad takes references, and Dagster does not store the run config of a run with a value.
    job = there.dagster().job("vault")
    selector = {"repositoryLocationName": job.location, "repositoryName": job.repository, "jobName": "vault"}
    config = {"project": "p", "stages": {"use": {"env": {"TOKEN": REFUSED}}}}
    params = {"selector": selector, "runConfigData": config, "mode": "default"}
    assert "RunConfigValidationInvalid" in asked(there, LAUNCH, params=params)

    outputs = "\n".join(
        [
            *(
                winslow_command(there, *arguments.split(), *flag)
                for flag in ((), ("--json",))
                for arguments in (
                    "status p",
                    "status",
                    "history p",
                    "audit",
                    "logs p use",
                    "logs p enter",
                    "compare p use 1 2",
                    "files p",
                    "pipelines show vault",
                    "secret list",
                    "doctor",
                )
            ),
            asked(there, EVENTS),
            asked(there, "query { runsOrError { ... on Runs { results { runConfigYaml } } } }"),
            dumped(there),
        ]
    )
    assert "(secret OTHER_TOKEN)" in outputs
    assert "secret: OTHER_TOKEN" in outputs
    for value in (TOKEN, KEY, OTHER, REFUSED):
        assert value not in outputs
    kept = {
        TOKEN: {f"secrets/{stored}", "secrets/SAME_TOKEN"},
        KEY: {"secrets/LAB_KEY"},
        OTHER: {"secrets/OTHER_TOKEN"},
    }
    for value in (TOKEN, KEY, OTHER, REFUSED):
        assert files_with(value, there.folder) == {f"home/{path}" for path in kept.get(value, set())}
