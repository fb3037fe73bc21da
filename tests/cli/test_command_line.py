"""What the command line prints and ends with, as another program sees it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click
import pytest
from processes import running

from winslow_dagster.cli.main import COMMANDS, main
from winslow_dagster.cli.main import winslow as group

PROGRAM = [sys.executable, "-c", "from winslow_dagster.cli import main; main()"]
HEAVY = ("dagster", "sqlalchemy", "docker", "s3fs", "boto3", "obstore", "pydantic", "rich.progress")
PIPELINE = """\
name: counting
description: Counts.
command: [sh, -c]
inputs:
  numbers: {kind: table, suffixes: [.csv]}
stages:
  - name: count
    args: ['wc -l "$WINSLOW_RESOURCE_NUMBERS"']
    env: {SCALE: "${SCALE:?the scale of the picture}"}
"""


@dataclass(frozen=True)
class Ran:
    returncode: int
    stdout: str
    stderr: str


class Winslow(Protocol):
    def __call__(self, *arguments: str, **settings: str) -> Ran: ...


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "pipeline_configs").mkdir()
    (tmp_path / "pipeline_configs" / "counting.yaml").write_text(PIPELINE)
    (tmp_path / "numbers.csv").write_text("1\n2\n")
    for name in [name for name in os.environ if name.startswith("WINSLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("WINSLOW_STAGE_MODE", "process")
    monkeypatch.setenv("WINSLOW_PORT", str(free_port()))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def winslow(place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Winslow:
    """The whole command line in this process, as its own program would run."""
    del place

    def call(*arguments: str, **settings: str) -> Ran:
        with monkeypatch.context() as patch:
            for name, value in settings.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main(arguments)
        said = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        return Ran(ended.value.code, said.out, said.err)

    return call


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def problem(ran: Ran) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(ran.stderr)
    assert set(said) == {"error", "what", "where", "expected", "remedy", "action", "command"}
    return said


def test_help_names_every_command_and_imports_nothing_heavy(place: Path) -> None:
    script = (
        "import sys\nfrom winslow_dagster.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=place, capture_output=True, text=True, check=True)
    assert ran.stderr.strip() == "[]"
    assert all(name in ran.stdout for name in COMMANDS)


def test_the_package_alone_imports_nothing_heavy(place: Path) -> None:
    script = f"import sys, winslow_dagster; print([name for name in {HEAVY!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", script], cwd=place, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def all_commands(group: click.Group, context: click.Context) -> Iterator[click.Command]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from all_commands(command, context)
        else:
            yield command


def test_every_command_takes_json_and_has_help() -> None:
    for command in all_commands(group, click.Context(group)):
        assert "--json" in {name for option in command.params for name in option.opts}, command.name
        assert command.help


def test_the_exit_code_and_the_error_reach_the_shell(place: Path) -> None:
    command = [*PROGRAM, "status", "nowhere"]
    as_text = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
    assert as_text.returncode == 4
    assert as_text.stderr.startswith("error: there is no project 'nowhere'. List the projects: `")
    assert as_text.stderr.endswith("winslow status`\n")
    as_json = subprocess.run([*command, "--json"], cwd=place, capture_output=True, text=True, check=False)
    assert (as_json.returncode, json.loads(as_json.stderr)["error"]) == (4, "NotFound")


def test_the_version_is_printed(winslow: Winslow) -> None:
    assert winslow("--version").stdout.startswith("winslow")


@pytest.mark.parametrize(
    ("arguments", "exit_code", "error"),
    [
        (("frobnicate",), 2, "UsageError"),
        (("run",), 2, "UsageError"),
        (("status", "nowhere"), 4, "NotFound"),
        (("files", "nowhere"), 4, "NotFound"),
        (("logs", "nowhere", "count"), 4, "NotFound"),
        (("pipelines", "show", "countign"), 4, "NotFound"),
        (("run", "countign", "--project", "p"), 4, "NotFound"),
        (("run", "counting", "--project", "no/name"), 6, "InputRejected"),
        (("run", "counting", "--project", "p"), 6, "InputRejected"),
        (("run", "counting", "--project", "p", "--input", "numbers"), 6, "InputRejected"),
        (("run", "counting", "--project", "p", "--input", "numbers=gone.csv"), 6, "InputRejected"),
        (("run", "counting", "--project", "p", "--input", "numbers=pipeline_configs"), 6, "InputRejected"),
        (("run", "counting", "--project", "p", "--set", "count.colour=red"), 6, "InputRejected"),
        (("run", "counting", "--project", "p", "--set", "count.cpus=many"), 6, "InputRejected"),
        (("run", "counting", "--project", "p", "--input", "numbers=numbers.csv"), 3, "VariableMissing"),
        (("run", "counting", "--project", "p", "--input", "numbers=numbers.csv", "--detach"), 9, "ServiceUnavailable"),
        (("run", "counting", "--project", "p", "--input", "numbers=numbers.csv", "--stop-after", "x"), 4, "NotFound"),
    ],
)
def test_an_error_has_its_exit_code_and_one_shape(
    winslow: Winslow, arguments: tuple[str, ...], exit_code: int, error: str
) -> None:
    ran = winslow(*arguments, "--json")
    assert (ran.returncode, problem(ran)["error"], ran.stdout) == (exit_code, error, "")


def test_nothing_is_left_of_a_run_that_was_refused(winslow: Winslow) -> None:
    winslow("run", "counting", "--project", "p", "--input", "numbers=numbers.csv")
    assert json.loads(winslow("status", "--json").stdout) == {"projects": []}


def test_a_setting_that_cannot_be_used_is_an_error(winslow: Winslow) -> None:
    ran = winslow("status", "--json", WINSLOW_PORT="many")
    assert (ran.returncode, problem(ran)["error"]) == (2, "SettingsInvalid")


def test_a_database_that_is_away_is_an_error_with_a_remedy(winslow: Winslow) -> None:
    ran = winslow("status", "--json", WINSLOW_DATABASE_URL="postgresql+psycopg2://a:b@127.0.0.1:1/c")
    assert ran.returncode == 9
    assert "WINSLOW_DATABASE_URL" in problem(ran)["remedy"]


def test_no_projects_are_said_to_be_none(winslow: Winslow) -> None:
    assert "no projects yet" in winslow("status").stdout


def test_a_filter_selects_projects_and_tags_are_added_and_removed(winslow: Winslow) -> None:
    for name in ("ulm-1", "ulm-2", "bonn"):
        winslow("create", "counting", "--project", name)
    winslow("tag", "ulm-1", "--add", "wet", "--add", "night", "--json")
    assert json.loads(winslow("tag", "ulm-1", "--add", "old", "--remove", "wet", "--json").stdout) == {
        "tags": ["night", "old"]
    }

    def found(words: str) -> list[str]:
        return [
            each["project"] for each in json.loads(winslow("status", "--filter", words, "--json").stdout)["projects"]
        ]

    assert found("ulm state:idle -tag:old") == ["ulm-2"]
    assert found("pipeline:counting") == ["bonn", "ulm-1", "ulm-2"]
    assert "no project matches" in winslow("status", "--filter", "paris").stdout
    wrong = winslow("status", "--filter", "a colour:red", "--json")
    assert (wrong.returncode, json.loads(wrong.stderr)["position"]) == (2, 3)
    assert winslow("status", "bonn", "--filter", "x").returncode == 2
    assert winslow("tag", "bonn", "new", "--add", "x").returncode == 2


def test_pipelines_are_listed_also_beside_a_bad_one(winslow: Winslow, place: Path) -> None:
    (place / "pipeline_configs" / "bad.yaml").write_text("name: bad\nstages: []\n")
    ran = winslow("pipelines", "list")
    assert "counting" in ran.stdout
    assert "pipeline files with errors: 1" in ran.stderr
    listed = json.loads(winslow("pipelines", "list", "--json").stdout)
    (pipeline,) = listed["pipelines"]
    assert set(pipeline) == {"name", "description", "path", "digest", "stages", "inputs"}
    assert (pipeline["name"], pipeline["stages"], list(pipeline["inputs"])) == ("counting", ["count"], ["numbers"])
    assert listed["problems"]


def test_check_prints_each_problem_with_its_place_and_ends_with_three(winslow: Winslow, place: Path) -> None:
    assert winslow("pipelines", "check").returncode == 0
    bad = place / "pipeline_configs" / "bad.yaml"
    bad.write_text("name: bad\ncommand: [sh]\nstages:\n  - name: one\n    comand: [ls]\n    after: [zero]\n")
    ran = winslow("pipelines", "check")
    assert ran.returncode == 3
    assert f"{bad}:5:5: " in ran.stdout
    assert f"{bad}:6:" in ran.stdout
    one = winslow("pipelines", "check", str(bad), "--json")
    assert one.returncode == 3
    said = json.loads(one.stdout)
    assert said["ok"] is False
    assert {(found["line"], found["suggestion"]) for found in said["problems"]} >= {(5, "command")}
    good = winslow("pipelines", "check", "pipeline_configs/counting.yaml", "--json")
    assert (good.returncode, json.loads(good.stdout)) == (0, {"ok": True, "problems": []})


def test_show_gives_the_pipeline_with_its_defaults(winslow: Winslow) -> None:
    assert "count" in winslow("pipelines", "show", "counting").stdout
    said = json.loads(winslow("pipelines", "show", "counting", "--json").stdout)
    assert set(said) == {"path", "digest", "pipeline"}
    assert said["pipeline"]["stages"][0]["cpus"] == 1.0


def test_the_schema_is_printed_or_written(winslow: Winslow, place: Path) -> None:
    printed = winslow("pipelines", "schema").stdout
    assert json.loads(printed)["properties"]["stages"]
    winslow("pipelines", "schema", "--output", "schema.json")
    assert (place / "schema.json").read_text() == printed


def test_doctor_says_what_is_there_and_how_to_get_what_is_not(winslow: Winslow) -> None:
    ran = winslow("doctor", "--json")
    said = json.loads(ran.stdout)
    checks = {check["name"]: check for check in said["checks"]}
    assert ran.returncode == 0
    assert said["ok"] is True
    assert {"python", "machine", "pipelines", "docker", "gpus", "tracker", "ffmpeg", "store", "database"} <= set(checks)
    assert {"disk", "links", "port", "services"} <= set(checks)
    assert checks["services"]["state"] == "warn"
    assert all(check["remedy"] for check in said["checks"] if check["state"] != "ok")


def test_doctor_warns_of_links_that_people_on_other_machines_cannot_follow(winslow: Winslow) -> None:
    def links(**variables: str) -> tuple[str, str]:
        checks = json.loads(winslow("doctor", "--json", WINSLOW_ALLOWED_HOSTS="winslow.example", **variables).stdout)
        found = next(check for check in checks["checks"] if check["name"] == "links")
        return found["state"], found["detail"].rpartition(" ")[2]

    assert links()[0] == "warn"
    assert links(WINSLOW_PUBLIC_URL="https://winslow.example") == ("ok", "https://winslow.example")


def test_doctor_ends_with_nine_where_something_is_missing(winslow: Winslow) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        ran = winslow(
            "doctor",
            "--json",
            WINSLOW_PORT=str(taken.getsockname()[1]),
            WINSLOW_STAGE_MODE="docker",
            DOCKER_HOST="unix:///nowhere/docker.sock",
            WINSLOW_STORE_URL="ftp://nowhere",
            WINSLOW_DATABASE_URL="postgresql+psycopg2://a:b@127.0.0.1:1/c",
        )
    missing = {check["name"] for check in json.loads(ran.stdout)["checks"] if check["state"] == "missing"}
    assert ran.returncode == 9
    assert missing == {"docker", "store", "database", "port"}
    assert "\nmissing" in f"\n{winslow('doctor', WINSLOW_STORE_URL='ftp://nowhere').stdout}"


@pytest.mark.docker
def test_doctor_knows_which_images_are_there(winslow: Winslow, place: Path, test_image: str) -> None:
    names = (test_image, "winslow/not-there:1", "winslow/tracker-application:0.0.1")
    stages = "".join(f"  - {{name: s{number}, image: '{name}'}}\n" for number, name in enumerate(names))
    (place / "pipeline_configs" / "images.yaml").write_text(f"name: images\nstages:\n{stages}")
    said = json.loads(winslow("doctor", "--json", WINSLOW_STAGE_MODE="auto").stdout)
    states = {check["name"]: check["state"] for check in said["checks"]}
    remedies = {check["name"]: check["remedy"] for check in said["checks"]}
    assert states["docker"] == "ok"
    assert states[f"image {test_image}"] == "ok"
    assert states["image winslow/not-there:1"] == "warn"
    assert "docker pull winslow/not-there:1" in remedies["image winslow/not-there:1"]
    own = remedies["image winslow/tracker-application:0.0.1"]
    assert ("make images" in own, "pull" in own) == (True, False), "it is in no registry"


def test_a_reader_that_goes_away_ends_the_command_quietly(place: Path) -> None:
    command = f"{sys.executable} -c 'from winslow_dagster.cli import main; main()' pipelines schema"
    script = f"{command} | head -c 1 >/dev/null; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", script], cwd=place, capture_output=True, text=True, check=False)
    assert "Traceback" not in ran.stderr
    assert ran.stdout.strip() in {"0", "141"}


def test_a_demo_wants_the_film_that_its_points_belong_to(winslow: Winslow) -> None:
    ran = winslow("demo", "--points", "points.json", "--json")
    assert (ran.returncode, problem(ran)["error"]) == (6, "InputRejected")


def test_up_says_first_what_is_wrong_with_pipeline_files(place: Path) -> None:
    (place / "pipeline_configs" / "broken.yaml").write_text("name: broken\nimage: x\nstagges: []\n")
    settings = {"WINSLOW_HOME": str(place / "home"), "WINSLOW_PORT": str(free_port())}
    with running([*PROGRAM, "up"], cwd=place, env={**os.environ, **settings}, stderr=subprocess.PIPE, text=True) as up:
        assert up.stderr.readline() == "starting the services ...\n"
        said = up.stderr.readline()
        up.terminate()
    assert said.startswith("error in a pipeline file: ")
    assert "broken.yaml:1:1: a pipeline has no `stages`" in said
