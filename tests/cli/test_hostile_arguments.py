"""No argument, variable, file or stream is answered with a traceback: it works, or an error says what is wrong."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from winslow_dagster.cli.main import main
from winslow_dagster.cli.main import winslow as group

PROGRAM = [sys.executable, "-c", "from winslow_dagster.cli import main; main()"]
PIPELINE = """\
name: counting
description: Zählt Fahrzeuge, 计数.
command: [sh, -c]
inputs:
  numbers: {kind: json, required: false}
  table: {kind: table, required: false}
stages:
  - name: count
    args: ['true']
"""
LONG = "a" * 5000
NOT_TRIED = {"up", "cancel", "demo", "doctor", "images", "delete"}
"""Commands that start services, render a film, or look at Docker rather than at their arguments; and the one that takes
the project away from the other tests: its arguments are tried below, with a project that there is not.
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An installation with a project, whose services do not run and are not reachable."""
    directory = tmp_path_factory.mktemp("hostile")
    (directory / "pipeline_configs").mkdir()
    (directory / "pipeline_configs" / "counting.yaml").write_text(PIPELINE, encoding="utf-8")
    (directory / "numbers.json").write_text("[1, 2]")
    (directory / "deep.json").write_text("[" * 200_000)
    (directory / "digits.json").write_text("9" * 5000)
    (directory / "loop").symlink_to("loop")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("WINSLOW_")]:
            patch.delenv(name)
        patch.setenv("WINSLOW_STAGE_MODE", "process")
        patch.setenv("WINSLOW_HOME", str(directory / "home"))
        patch.chdir(directory)
        assert ended_with("create", "counting", "--project", "one", "--input", "numbers=numbers.json") == 0
        yield directory


def ended_with(*arguments: str) -> int:
    """The exit code of the command; whatever else it raises fails the test."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


def said(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = ended_with(*arguments, "--json")
    return code, json.loads(capfd.readouterr().err)["what"]


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("deep.json", "it is not JSON: nested too deeply"),
        ("digits.json", "it is not JSON: a number has too many digits"),
        (LONG, "cannot be read: File name too long"),
        ("loop", "no such file"),
        ("numbers.json/below", "no such file"),
        ("~nobody-of-this-name/file", "no such file"),
        ("pool:nothing", "there is no 'nothing' in the pool"),
        ("pool:" + LONG, f"there is no '{LONG}' in the pool"),
        ("", "it is a directory"),
    ],
)
def test_a_file_that_cannot_be_an_input_is_named_with_the_reason(
    capfd: pytest.CaptureFixture[str], file: str, expected: str
) -> None:
    code, what = said(capfd, "create", "counting", "--project", "two", "--input", f"numbers={file}")
    assert (code in {4, 6}, what) == (True, expected)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "option",
    [
        "--set=count.cpus=nan",
        "--set=count.cpus=1e999",
        "--set=count.gpu=" + "9" * 5000,
        "--set=count.args=" + "[" * 5000,
        "--set=count.args='",
        "--set=count.memory=" + "9" * 30 + "TiB",
        "--set=count.env.A=${",
        "--set=count.image=..",
        "--set=count.timeout=nan",
        "--set=" + LONG + ".cpus=1",
        "--env=A=${",
        "--env=A=" + "x" * 200_000,
        "--env==x",
        "--use=count=" + "9" * 5000,
        "--start-from=" + LONG,
        "--stop-after=",
    ],
)
def test_a_setting_of_a_run_that_cannot_be_used_is_an_error_before_services_start(
    capfd: pytest.CaptureFixture[str], option: str
) -> None:
    code, _ = said(capfd, "run", "counting", "--project", "one", option)
    assert code in {2, 3, 4, 5, 6}


@pytest.mark.usefixtures("place")
def test_an_argument_that_is_not_utf8_is_rejected_with_its_number(capfd: pytest.CaptureFixture[str]) -> None:
    assert said(capfd, "note", "one", "stra\udcdfe") == (2, r"argument 3, 'stra\udcdfe', is not UTF-8")


@pytest.mark.parametrize(
    ("variable", "value", "code"),
    [
        ("WINSLOW_PORT", "²", 2),
        ("WINSLOW_PORT", "9" * 5000, 2),
        ("WINSLOW_RUN_RETENTION_DAYS", "nan", 2),
        ("WINSLOW_HOME", "stra\udcdfe", 2),
        ("WINSLOW_HOME", "loop", 9),
        ("WINSLOW_HOME", LONG, 9),
        ("WINSLOW_HOME", "numbers.json", 9),
        ("WINSLOW_HOME", "", 0),
        ("WINSLOW_PIPELINES_DIR", LONG, 0),
        ("WINSLOW_DATABASE_URL", "nothing", 2),
        ("WINSLOW_DATABASE_URL", "sqlite:////proc/nothing/a.db", 9),
        ("WINSLOW_STORE_URL", "file://" + LONG, 0),
    ],
)
def test_a_setting_that_cannot_be_used_is_an_error_and_no_crash(
    place: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, code: int
) -> None:
    del place
    monkeypatch.setenv(variable, value)
    assert ended_with("status", "--json") == code


def options() -> list[tuple[str, ...]]:
    """Every command with its arguments, as names of its parameters."""
    found = []

    def walk(command: click.Command, path: tuple[str, ...]) -> None:
        if isinstance(command, click.Group):
            context = click.Context(command)
            for name in command.list_commands(context):
                if name not in NOT_TRIED and (child := command.get_command(context, name)):
                    walk(child, (*path, name))
        else:
            found.append(path)

    walk(group, ())
    return found


HOSTILE = st.sampled_from(
    [
        "", " ", "-", "--", ".", "..", "/", "~", "~nobody-of-this-name", "/dev/null", "/proc/self/mem", "loop", LONG,
        "one", "counting", "count", "numbers.json", "deep.json", "deep.json/x", "pipeline_configs", "numbers=deep.json",
        "numbers=" + LONG, "numbers=loop", "numbers=", "=", "a=", "a=b=c", "count.cpus=nan", "count.cpus=1e999",
        "count.gpu=" + "9" * 5000, "count.gpu=-1", "count.memory=9999999999999999999TiB", "count.args=" + "[" * 5000,
        "count.args='", "count.env.A=${", "count.env.=x", "count.image=..", "reply=" + "[" * 5000, "one:count:1", "a:b",
        "one:count:" + "9" * 50, ":::", "0", "-1", "9" * 30, "9" * 5000, "1e400", "nan", "²", "1_0", "\x1b[31m", "a\nb",
        "ä", "计", "\udcff", "\u202e", "{}", "[]", "null", "${A}", "%s", "{project}", "'; drop table projects; --",
    ]
)  # fmt: skip
WORDS = HOSTILE | st.text(st.characters(exclude_characters="\0"), max_size=6)


@st.composite
def command_lines(draw: st.DrawFn) -> list[str]:
    """A command with hostile arguments and options, most of them in places where they are taken."""
    path = draw(st.sampled_from(options()))
    command: click.Command = group
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    words: list[str] = []
    for parameter in command.params:
        if parameter.name == "detach":
            words.append("--detach")  # so that no services are started
        elif isinstance(parameter, click.Option):
            if draw(st.integers(0, 3)) == 0 and parameter.name not in {"help", "follow"}:
                words.append(parameter.opts[0])
                if not parameter.is_flag:
                    words.append(draw(WORDS))
        elif parameter.required or draw(st.booleans()):
            first = "counting" if parameter.name == "pipeline" else "one"
            words.append(draw(st.just(first) | WORDS))
    return [*path, *words]


@pytest.mark.usefixtures("place")
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(command_lines())
def test_any_command_line_ends_with_an_exit_code(arguments: list[str]) -> None:
    assert ended_with(*arguments) in range(12)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("word", ["", "..", "nobody", LONG, "a\nb", "\x1b[31m", "计"])
@pytest.mark.parametrize("options", [(), ("--for-good", "--yes"), ("--dry-run",), ("--reason", "\u202e")])
def test_a_project_that_cannot_be_deleted_is_an_error(word: str, options: tuple[str, ...]) -> None:
    assert ended_with("delete", word, *options) in {2, 4, 6}


@pytest.mark.parametrize(
    "locale",
    [
        pytest.param({"LC_ALL": "C", "PYTHONUTF8": "0"}, marks=pytest.mark.slow),
        pytest.param({"LANG": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}, marks=pytest.mark.slow),
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "latin-1"},
        pytest.param({"PYTHONIOENCODING": "latin-1"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_every_locale_and_every_pipe_will_do(place: Path, locale: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in {"LC_ALL", "LANG", "LC_CTYPE"}}

    def winslow(*arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*PROGRAM, *arguments], cwd=place, env=environment | locale, capture_output=True, check=True
        )

    winslow("note", "one", "Brücke 桥")
    encoding = locale.get("PYTHONIOENCODING", "utf-8")
    expected = "Brücke 桥\n".encode(encoding, "backslashreplace")
    assert winslow("note", "one").stdout == expected
    assert json.loads(winslow("note", "one", "--json").stdout) == {"notes": "Brücke 桥"}
    assert "Zählt".encode(encoding, "backslashreplace") in winslow("pipelines", "show", "counting").stdout


@pytest.mark.parametrize(
    ("redirection", "code"),
    [(">&-", 0), ("2>&-", 0), (">&- 2>&-", 0), ("<&-", 0), (">/dev/full", 1), ("| true", 141)],
)
@pytest.mark.parametrize("command", ["status", pytest.param("note one --json", marks=pytest.mark.slow)])
def test_a_closed_full_or_deserted_output_ends_the_command_in_order(
    place: Path, command: str, redirection: str, code: int
) -> None:
    script = f'set -o pipefail; "$@" {command} {redirection}'
    ran = subprocess.run(
        ["bash", "-c", script, "bash", *PROGRAM], cwd=place, capture_output=True, text=True, check=False
    )
    assert ran.returncode == code
    if code == 1:
        assert "No space left on device" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert "Exception ignored" not in ran.stderr


@pytest.mark.usefixtures("place")
def test_a_secret_that_is_not_utf8_is_an_error(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"secret \xff")))
    assert said(capfd, "secret", "set", "TOKEN") == (6, "byte 8 is not UTF-8")
