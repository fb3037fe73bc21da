"""Attempts side by side in the REST API and over HTTP, of real stages that write tables, pictures and logs."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from compare_pipelines import HOSTILE, HOSTILE_PIPELINE, compared
from project_server import Server

from winslow_dagster.client import WinslowClient
from winslow_dagster.errors import InputRejected, NotFound


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with compared(tmp_path_factory.mktemp("compare")) as server:
        yield server


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[WinslowClient]:
    accounts = server.winslow.accounts
    accounts.add("bruno", role="viewer")
    with WinslowClient(server.place.services.address, accounts.create_token("bruno", "tests").key) as client:
        yield client


def address(part: str, *attempts: str, **query: str | int) -> str:
    named = "&".join(
        [f"attempts={quote(each)}" for each in attempts] + [f"{k}={quote(str(v))}" for k, v in query.items()]
    )
    return f"/api/v1/compare{part}?{named}"


def test_two_attempts_of_different_projects_are_compared_part_by_part(server: Server) -> None:
    pair = ("left:make:1", "right:make:1")
    whole = server.send(address("", *pair)).data
    assert [row["path"] for row in whole["parameters"]] == ["env.SPEED"]
    assert server.send(address("/parameters", *pair)).data == whole["parameters"]
    (result,) = (each for each in server.send(address("/results", *pair)).data if each["name"] == "mean_speed")
    assert (result["left"], result["right"], result["difference"], result["ratio"]) == ("10", "15", 5, 1.5)
    files = server.send(address("/files", *pair)).data
    assert [each["path"] for each in files["changed"]] == ["film.mp4", "picture.png", "tracks.csv", "zones.parquet"]
    assert (files["unchanged_count"], files["unchanged"]) == (2, [])
    everything = server.send(address("/files", *pair, everything=1)).data
    assert [each["path"] for each in everything["unchanged"]] == ["same.png", "same.txt"]
    everything = server.send(address("/parameters", *pair, everything=1)).data
    assert {"env.SPEED", "env.PLACE", "image"} & {row["path"] for row in everything} == {"env.SPEED", "env.PLACE"}


def test_rows_curves_and_logs_over_http_are_those_of_python(server: Server, client: WinslowClient) -> None:
    pair = ("left:make:1", "right:make:1")
    beside = server.winslow.comparisons
    table = client.comparisons.table(*pair, "tracks.csv", key=["id"], kinds=["changed"], first=2, count=3)
    assert table == beside.table(*pair, "tracks.csv", key=["id"], kinds=["changed"], first=2, count=3)
    assert (table.counts["changed"], len(table.rows), table.rows[0].changed) == (200, 3, ("speed",))
    assert client.comparisons.chart(pair, "tracks.csv") == beside.chart(pair, "tracks.csv")
    (lane,) = client.comparisons.table(*pair, "zones.parquet").rows
    assert (lane.left, lane.right, lane.changed) == (("b", "10"), ("b", "15"), ("count",))
    log = client.comparisons.log(*pair, ignore_times=True)
    assert log == beside.log(*pair, ignore_times=True)
    assert [(row.kind, row.text) for row in log.rows if row.kind != "same"] == [
        ("removed", "driving at 10 km/h"),
        ("added", "driving at 15 km/h"),
        ("skipped", ""),
        ("removed", "WINSLOW_RESULT: mean_speed=10"),
        ("removed", "WINSLOW_RESULT: vehicles=190"),
        ("added", "WINSLOW_RESULT: mean_speed=15"),
        ("added", "WINSLOW_RESULT: vehicles=185"),
    ]
    assert (log.next_left, log.next_right) == (None, None)
    assert client.comparisons.log(*pair).removed > 1
    assert client.comparisons.two(*pair) == beside.two(*pair, tables=False)
    many = ("left:make:1", "right:make:1", "right:make:2")
    assert client.comparisons.many(many) == beside.many(many)
    assert client.comparisons.find("right make") == beside.find("right make")
    assert [each.name for each in client.comparisons.find("right 2")] == ["right:make:2"]


def test_projects_are_compared_by_the_stages_that_they_share(server: Server, client: WinslowClient) -> None:
    shared = client.comparisons.shared_stages(["left", "right"])
    assert [each.stage for each in shared] == ["make", "report"]
    make = shared[0].attempts
    assert [each.project for each in make] == ["left", "right"]
    assert make[1].task_id == server.winslow.project("right").status().stage("make").in_use
    assert client.comparisons.shared_stages(["left"]) == ()
    with pytest.raises(NotFound, match="nobody"):
        client.comparisons.shared_stages(["left", "nobody"])


def test_a_task_id_names_an_attempt_of_any_project(server: Server, client: WinslowClient) -> None:
    (one,) = server.winslow.comparisons.attempts(["left:make:1"])
    assert client.comparisons.two(one.task_id, "right:make:1").left == one


@pytest.mark.parametrize(
    ("attempts", "error", "text"),
    [
        (("nobody:make:1", "left:make:1"), NotFound, "nobody"),
        (("left:mkae:1", "left:make:1"), NotFound, "Did you mean make"),
        (("left:make:9", "left:make:1"), NotFound, "stage make has no attempt 9"),
        (("left:make", "left:make:1"), InputRejected, "expected PROJECT:STAGE:ATTEMPT"),
        (("never-started", "left:make:1"), NotFound, "never started"),
        (("left:make:\0", "left:make:1"), InputRejected, "does not name an attempt"),
    ],
)
def test_what_names_no_attempt_says_why(
    client: WinslowClient, attempts: tuple[str, str], error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        client.comparisons.two(*attempts)


def test_what_needs_two_attempts_refuses_others(server: Server) -> None:
    for part in ("/parameters", "/results", "/files", "/log"):
        answer = server.send(address(part, "left:make:1"))
        assert (answer.status, answer.data["expected"]) == (422, "two")
    assert server.send(address("", *["left:make:1"] * 101)).status == 422


def read(server: Server, path: str, pair: tuple[str, str]) -> None:
    """Returns once both files were read, or cannot be."""
    server.winslow.comparisons.table(*pair, path)


def test_whatever_files_contain_and_are_called_each_part_says_a_clear_word(server: Server) -> None:
    script = server.place.folder / "hostile.py"
    script.write_text(HOSTILE)
    (server.place.folder / "pipelines" / "hostile.yaml").write_text(
        HOSTILE_PIPELINE.replace("MAKE_SCRIPT", str(script))
    )
    server.winslow.run("hostile", "hostile").wait()
    server.winslow.project("hostile").redo("make", env={"SPEED": "2"}).wait()
    pair = ("hostile:make:1", "hostile:make:2")
    paths = server.winslow.comparisons.tables(pair)
    assert len(paths) > 100
    words = set()
    for path in paths:
        read(server, path, pair)
        table = server.send(address("/table", *pair, file=path))
        chart = server.send(address("/chart", *pair, file=path))
        assert (table.status, chart.status, table.data["reading"]) == (200, 200, None), path
        words |= {fault.split(": ", 1)[1] for fault in table.data["faults"]}
        assert len(table.body) < 2_000_000
        page = server.send(
            f"/compare/table?attempts={pair[0]}&attempts={pair[1]}&file={quote(path)}", HX_Request="true"
        )
        assert page.status == 200
        assert "<script>alert" not in page.text
    assert any("zero byte" in word for word in words), words
    assert any("longer than" in word or "larger than" in word for word in words), words
    assert server.send(address("/log", *pair)).status == 200
    for show in ("settings", "pictures", "charts", "tables", "log", "files", "runs", "parallel", "scatter"):
        attempts = pair if show not in {"runs", "parallel", "scatter"} else (*pair, "left:make:1")
        page = server.send(f"/compare?{'&'.join(f'attempts={each}' for each in attempts)}&show={show}")
        assert page.status == 200, show
        assert not any(each in page.text for each in ("<script>alert", "<img src=x", "<b>score", "<i>1", "49.csv"))
