"""Tables and charts of output files over HTTP, on real services with real stages."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
from installation import until
from numbered_films import number_of
from project_server import Server, running
from result_pipelines import results

from winslow_dagster.client import WinslowClient
from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.tables.charts import ChartQuery, chart
from winslow_dagster.tables.shapes import shapes_of
from winslow_dagster.tables.table import Table
from winslow_dagster.tables.tracks import TrackColumns, tracks_of

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("tables"), results) as started:
        assert started.winslow.run("results", "made").ended().state == "succeeded"
        yield started


def table(server: Server, file: str, **query: Any) -> Any:
    """The window, once the table has been read."""
    address = f"made/table?{urlencode({'file': f'make/{file}', **query}, doseq=True)}"
    found: list[Any] = []

    def was_read() -> bool:
        found.append(server.api(address))
        return found[-1].status != 200 or found[-1].data["reading"] is None

    until(was_read, "the table is read")
    return found[-1]


def test_a_window_of_a_table_is_sorted_and_filtered_on_the_server(server: Server) -> None:
    whole = table(server, "tracks.csv", rows=2).data
    assert whole["matching"] == whole["shape"]["rows"] == 3000
    assert whole["columns"][:2] == ["track_id", "time_s"]
    assert whole["numbers"] == [1, 2]
    found = table(
        server,
        "tracks.csv",
        **{"from": 1, "rows": 2, "sort": "-time_s", "columns": ["time_s", "kind"], "where": ["kind = truck"]},
    ).data
    assert found["columns"] == ["time_s", "kind"]
    assert found["matching"] == 600
    assert {row[1] for row in found["rows"]} == {"truck"}
    assert found["rows"][0][0] == "29.9"


@pytest.mark.parametrize(
    ("file", "query", "status", "said"),
    [
        ("none.csv", {}, 404, "no output file"),
        ("tracks.csv", {"where": "nothing"}, 422, "is not a condition"),
        ("tracks.csv", {"sort": "nothing"}, 404, "no column"),
        ("tracks.csv", {"rows": 100_000}, 422, "rows"),
        ("tracks.csv", {"from": -1}, 422, "from"),
        ("picture.png", {}, 422, "not shown as a table"),
        ("broken.csv", {}, 422, "zero bytes"),
        ("broken.geojson", {}, 422, "not JSON"),
    ],
)
def test_what_cannot_be_shown_is_said_in_a_sentence(
    server: Server, file: str, query: dict[str, Any], status: int, said: str
) -> None:
    answer = table(server, file, **query)
    assert answer.status == status
    assert said in answer.data["detail"]


def test_a_file_is_named_by_its_stage_and_path(server: Server) -> None:
    assert server.api("made/table?file=make").status == 404
    assert server.api("made/table?file=none/tracks.csv").status == 404
    assert server.api("none/table?file=make/tracks.csv").status == 404
    assert server.api("made/table?file=make/tracks.csv&attempt=7").status == 404


def test_a_chart_has_few_points_and_one_series_per_group(server: Server) -> None:
    table(server, "tracks.csv")
    drawn = server.api("made/chart?file=make/tracks.csv&x=time_s&y=speed_kmh&group=kind&points=50").data
    assert [each["name"] for each in drawn["series"]] == ["car", "truck"]
    assert drawn["rows"] == 3000
    assert all(len(each["x"]) <= 400 for each in drawn["series"])
    assert server.api("made/chart?file=make/tracks.csv&y=kind").status == 422
    assert server.api("made/chart?file=make/tracks.csv").status == 422


def test_a_large_table_is_read_in_the_background(server: Server) -> None:
    began = time.monotonic()
    first = server.api("made/table?file=make/large.csv")
    assert first.status == 200
    assert first.data["reading"] is not None or time.monotonic() - began < 60
    assert table(server, "large.csv", **{"from": 299_999, "rows": 1}).data["rows"] == [["299999", "599998"]]


def test_a_table_that_a_stage_is_writing_is_shown_as_it_is(server: Server) -> None:
    server.shut_gate()
    run = server.winslow.run("growing", "live")
    rows: list[int] = []

    def has_grown() -> bool:
        answer = server.api("live/table?file=grow/metrics.csv&growing=1")
        if answer.status == 200 and answer.data["shape"] is not None:
            rows.append(answer.data["shape"]["rows"])
        return len(set(rows)) > 2

    until(has_grown, "the table has grown twice")
    assert rows == sorted(rows)
    for path in ("link.csv", "pipe.csv", "../task.json", "none.csv", "..", ""):
        assert server.api(f"live/table?file=grow/{path}&growing=1").status == 404, path
    page = server.send("/projects/live/stages/grow/result").text
    assert 'data-kind="growing"' in page
    assert "link.csv" not in page
    server.open_gate()
    assert run.ended().state == "succeeded"
    assert server.api("live/table?file=grow/metrics.csv").status == 200


def test_charts_are_saved_for_a_stage_over_rest(server: Server) -> None:
    place = "/api/v1/pipelines/results/charts"
    new = {"stage": "make", "name": "Speeds", "file": "tracks.csv", "query": {"kind": "box", "y": ["speed_kmh"]}}
    assert server.send(place, "PUT", new).data["saved_by"]
    assert server.send(place, "PUT", new | {"file": "large.csv"}).status == 200
    assert [(each["name"], each["file"]) for each in server.send(place).data] == [("Speeds", "large.csv")]
    assert server.send(f"{place}?stage=other").data == []
    for wrong, status in (
        ({"stage": "none"}, 404),
        ({"name": " "}, 422),
        ({"name": "x" * 64}, 422),
        ({"name": "a\0b"}, 422),
        ({"query": {"kind": "box"}}, 422),
        ({"query": {"kind": "pie", "y": ["a"]}}, 422),
    ):
        assert server.send(place, "PUT", new | wrong).status == status, wrong
    assert server.send(f"{place}?stage=make&chart=Speeds", "DELETE").status == 204
    assert server.send(f"{place}?stage=make&chart=Speeds", "DELETE").status == 404


def test_tracks_and_shapes_are_drawn_from_files(server: Server) -> None:
    table(server, "tracks.csv")
    columns = "track=track_id&time=time_s&x=x_px&y=y_px&speed=speed_kmh&kind=kind"
    found = server.api(f"made/tracks?file=make/tracks.csv&{columns}").data
    assert [(each["name"], each["kind"]) for each in found["tracks"]][7:9] == [("7", "car"), ("8", "truck")]
    assert server.api(f"made/tracks?file=make/tracks.csv&{columns}&x=kind").status == 422
    table(server, "lanes.geojson")
    shapes = server.api("made/shapes?file=make/lanes.geojson&from=8").data
    assert [each["properties"]["lane"] for each in shapes["shapes"]] == ["L8 <i>", "L9 <i>"]
    assert shapes["total"] == 10
    assert server.api("made/shapes?file=make/tracks.csv").status == 422


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[WinslowClient]:
    accounts = server.winslow.accounts
    accounts.add("otto", role="operator")
    with WinslowClient(server.place.services.address, accounts.create_token("otto", "tests").key) as opened:
        yield opened


def read(server: Server, path: str) -> Table:
    """The file as a table of the Python API."""
    project = server.winslow.project("made")
    found = project.table(project.file("make", path), 60)
    assert isinstance(found, Table)
    return found


def test_tables_and_what_is_drawn_of_them_are_the_same_over_http(server: Server, client: WinslowClient) -> None:
    here, there = read(server, "tracks.csv"), client.project("made").table("make/tracks.csv")
    assert there.shape == here.shape
    asked: dict[str, Any] = {"columns": ("time_s", "kind"), "sort": "-time_s", "where": ("kind = truck",)}
    assert there.window(1, 5, **asked) == here.window(1, 5, **asked)
    for query in (
        ChartQuery(x="time_s", y=("speed_kmh",), group="kind"),
        ChartQuery(kind="box", y=("speed_kmh",), group="kind", where=("track_id < 3",)),
    ):
        assert there.chart(query, 500) == chart(here, query, 500)
    columns = TrackColumns(track="track_id", time="time_s", x="x_px", y="y_px", kind="kind")
    assert there.tracks(columns, 1000) == tracks_of(here, columns, 1000)
    (file,) = (each for each in client.project("made").files("make") if each.path == "lanes.geojson")
    lanes = client.project("made").table(file)
    assert lanes.shapes(3, 4) == shapes_of(read(server, "lanes.geojson"), 3, 4)
    with pytest.raises(InputRejected, match="not shown as a table"):
        _ = client.project("made").table("make/picture.png").shape
    saved = client.charts.save("results", "make", "Speeds", "tracks.csv", ChartQuery(y=("speed_kmh",)))
    assert client.charts.of("results", "make") == server.winslow.charts.of("results", "make") == (saved,)
    client.charts.delete("results", "make", "Speeds")
    assert client.charts.of("results") == ()


def test_frames_and_pictures_are_the_same_over_http(server: Server, client: WinslowClient) -> None:
    here, there = server.winslow.project("made"), client.project("made")
    film = "make/film.mp4"
    assert there.footage(film) == here.footage(film)
    for picture, other in (
        (there.frame(film, 41), here.frame(film, 41)),
        (there.frame(film, 40, width=64, attempt=1), here.frame(film, 40, width=64)),
        (there.frame_at(film, 1.01), here.frame_at(film, 1.01)),
        (there.picture_of(film, width=96), here.picture_of(film, width=96)),
        (there.picture_of("make/picture.png"), here.picture_of("make/picture.png")),
    ):
        assert picture == other
    assert number_of(there.frame(film, 41).content) == 41
    assert there.strip(film, 3, 70, count=5, width=64) == here.strip(film, 3, 70, count=5, width=64)
    with pytest.raises(NotFound, match="no frame 75"):
        there.frame(film, 75)
