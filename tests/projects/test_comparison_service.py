"""Real attempts in both databases, their files in a real store, compared by name and number."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.pipelines.model.stage_rules import LogRules
from winslow_dagster.projects.comparison.service import MOST_ATTEMPTS, ComparisonService
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.attempts import find_attempt
from winslow_dagster.stages.task.model import LogSummary, StageResult, StageTask
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.manifest import Manifest
from winslow_dagster.storage.store import Store

BEGIN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TRACKS = "id,speed,class\n1,10,car\n2,30,car\n3,20,bus\n"
SLOWER = "id,speed,lane\n1,5,a\n2,15,b\n"


@dataclass
class Place:
    records: ProjectRecords
    store: Store
    folder: Path

    @property
    def comparing(self) -> ComparisonService:
        return ComparisonService(self.records, self.store)

    def project(self, name: str) -> None:
        self.records.create_project(name, pipeline="traffic", pipeline_digest="d" * 64, env={}, created_by="anna")

    def attempt(
        self, run_id: str, files: dict[str, str | bytes] | None, project: str = "ulm-07", **told: object
    ) -> str:
        """An attempt that left these files; None: it has not ended. Each begins a minute after the last."""
        name = f"{run_id}.detect.1"
        task = StageTask.model_validate(
            {
                "task_id": name,
                "project": project,
                "pipeline": "traffic",
                "stage": "detect",
                "run_id": run_id,
                "output_address": f"projects/{project}/detect/{name}/output",
                "log_address": "l",
                "store_url": "file:///store",
                "log_rules": LogRules(),
                **told,
            }
        )
        self.records.attempt_started(task)
        if files is not None:
            started = BEGIN + timedelta(minutes=len(self.records.attempts(project)))
            ended = StageResult(
                task_id=name,
                outcome="succeeded",
                message="done",
                started_at=started,
                ended_at=started + timedelta(seconds=30 * len(files)),
                node="here",
                outputs=self.commit(task.output_address, files),
                log=LogSummary(results={"vehicles": str(len(files))}),
            )
            self.records.attempt_ended(name, ended)
        return name

    def commit(self, address: str, files: dict[str, str | bytes]) -> Manifest:
        tree = self.folder / address.replace("/", "-")
        for path, content in files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(content if isinstance(content, bytes) else content.encode())
        return self.store.commit_tree(tree, address)


@pytest.fixture
def place(database_url: str, tmp_path: Path) -> Iterator[Place]:
    records = ProjectRecords.open(database_url)
    there = Place(records, LocalStore(tmp_path / "store"), tmp_path)
    there.project("ulm-07")
    yield there
    records.close()


def test_two_attempts_are_told_apart_by_what_they_were_told_and_what_they_made(place: Place) -> None:
    first = place.attempt(
        "a",
        {"tracks.csv": TRACKS, "chart.png": b"\x89PNG one", "same.txt": "s", "gone.txt": "g"},
        env_layers=[{"THRESHOLD": "0.5"}],
    )
    second = place.attempt(
        "b",
        {"tracks.csv": SLOWER, "chart.png": b"\x89PNG two", "same.txt": "s"},
        env_layers=[{"THRESHOLD": "0.5"}, {"THRESHOLD": "0.4"}],
    )
    found = place.comparing.two(first, second)
    assert [(row.path, row.left, row.right) for row in found.parameters] == [("env.THRESHOLD", "0.5", "0.4")]
    assert [(pair.left, pair.right, pair.difference, pair.ratio) for pair in found.results] == [("4", "3", -1, 0.75)]
    assert [pair.path for pair in found.files.removed] == ["gone.txt"]
    assert [pair.path for pair in found.files.changed] == ["chart.png", "tracks.csv"]
    assert found.files.unchanged_count == 1
    (table,) = found.tables
    assert (table.left.rows, table.right.rows) == (3, 2)
    assert (table.columns_added, table.columns_removed) == (("lane",), ("class",))
    speed = next(column for column in table.columns if column.name == "speed")
    assert speed.left is not None
    assert speed.right is not None
    assert (speed.left.mean, speed.left.median, speed.left.max) == (20, 20, 30)
    assert (speed.right.mean, speed.right.min) == (10, 5)
    (picture,) = found.pictures
    assert picture.left is not None
    assert picture.left.address.endswith("a.detect.1/output")
    duration = next(pair for pair in found.measures if pair.name == "duration_s")
    assert (duration.left, duration.right, duration.difference) == (120, 90, -30)


def test_what_is_no_table_is_compared_as_a_file_and_said_to_be_none(place: Place) -> None:
    first = place.attempt("a", {"t.csv": b"\0\1\2", "empty.csv": b""})
    second = place.attempt("b", {"t.csv": "a,b\n1,2\n", "empty.csv": "a\n1\n"})
    empty, garbage = place.comparing.two(first, second).tables
    assert (empty.left.rows, empty.left.fault, empty.right.rows, empty.columns_added) == (0, "", 1, ("a",))
    assert garbage.left.fault == "cannot be read as a table: not a text file"


def test_an_input_that_is_another_file_is_a_parameter(place: Place) -> None:
    upstream = [place.commit(f"upstream/{name}", {"cut.mp4": name, "same.txt": "s"}) for name in ("one", "two")]
    first, second = (
        place.attempt(tree.address[-3:], {"x.txt": "x"}, inputs={"cut": tree.model_dump()}) for tree in upstream
    )
    assert [row.path for row in place.comparing.two(first, second).parameters] == ["inputs.cut/cut.mp4"]


def test_an_attempt_whose_outputs_were_taken_away_is_still_compared(place: Place) -> None:
    first, second = place.attempt("a", {"t.csv": "a\n1\n"}), place.attempt("b", {"t.csv": "a\n2\n"})
    place.store.delete_tree("projects/ulm-07/detect/a.detect.1/output")
    (table,) = place.comparing.two(first, second).tables
    assert table.left.fault == "its outputs are no longer in the store"
    assert table.right.rows == 1


def test_an_attempt_that_still_runs_is_compared_by_what_it_was_told(place: Place) -> None:
    first, second = place.attempt("a", {"x": "x"}), place.attempt("b", None, image="detector:2")
    found = place.comparing.two(first, second)
    assert [(row.path, row.right) for row in found.parameters] == [("image", "detector:2")]
    assert found.right.outcome is None
    assert [pair.path for pair in found.files.removed] == ["x"]


def test_attempts_of_two_projects_are_compared(place: Place) -> None:
    place.project("ulm-08")
    place.attempt("z", {"x": "x"})
    second = place.attempt("a", {"x": "x"})
    third = place.attempt("b", {"x": "y"}, project="ulm-08")
    found = place.comparing.two(second, third)
    assert (found.left.name, found.right.name) == ("ulm-07:detect:2", "ulm-08:detect:1")
    assert [pair.path for pair in found.files.changed] == ["x"]


def test_attempts_are_counted_from_one_over_all_runs(place: Place) -> None:
    ids = [place.attempt(run_id, {"x": run_id}) for run_id in ("c", "a", "b")]
    comparing = place.comparing
    attempts = place.records.attempts("ulm-07")
    assert [find_attempt(attempts, "detect", number).task_id for number in (1, 2, 3)] == ids
    assert [row.attempt.number for row in comparing.many([ids[2], ids[0]]).rows] == [3, 1]


def test_a_sweep_is_a_table_of_what_differs(place: Place) -> None:
    for number, threshold in enumerate(("0.3", "0.4", "0.5")):
        files: dict[str, str | bytes] = {f"{index}": "x" for index in range(number + 1)}
        place.attempt(f"run{number}", files, env_layers=[{"THRESHOLD": threshold, "SCALE": "1"}])
    place.attempt("running", None, env_layers=[{"THRESHOLD": "0.6"}])
    comparing = place.comparing
    table = comparing.many(comparing.finished("ulm-07", "traffic", "detect"))
    assert table.parameters == ("env.THRESHOLD",)
    assert table.results == ("vehicles",)
    assert [
        (row.parameters["env.THRESHOLD"], row.results["vehicles"], row.attempt.duration_s) for row in table.rows
    ] == [
        ("0.3", "1", 30),
        ("0.4", "2", 60),
        ("0.5", "3", 90),
    ]


@pytest.mark.parametrize(("stage", "number"), [("detect", 2), ("detect", 0), ("track", 1)])
def test_an_attempt_that_never_was_is_not_found(place: Place, stage: str, number: int) -> None:
    place.attempt("a", {"x": "x"})
    with pytest.raises(NotFound):
        find_attempt(place.records.attempts("ulm-07"), stage, number)


def test_an_unknown_task_or_project_is_not_found(place: Place) -> None:
    first = place.attempt("a", {"x": "x"})
    with pytest.raises(NotFound, match="nothing"):
        place.comparing.two(first, "nothing")
    with pytest.raises(NotFound, match="no project"):
        place.comparing.finished("nowhere", "traffic", "detect")
    with pytest.raises(NotFound, match="no attempt of the stage has ended"):
        place.comparing.finished("ulm-07", "traffic", "track")


def test_more_attempts_than_a_table_can_hold_are_refused(place: Place) -> None:
    with pytest.raises(InputRejected, match="too many"):
        place.comparing.many(["x"] * (MOST_ATTEMPTS + 1))


def test_attempts_are_found_by_words_and_numbers_the_latest_first(place: Place) -> None:
    place.project("bonn_5")
    for run in ("a", "b", "c"):
        place.attempt(run, {"x": "x"})
    place.attempt("d", {"x": "x"}, project="bonn_5")

    def found(text: str) -> list[str]:
        return [facts.name for facts in place.comparing.find(text)]

    assert sorted(found("")) == ["bonn_5:detect:1", "ulm-07:detect:1", "ulm-07:detect:2", "ulm-07:detect:3"]
    assert [name for name in found("DET ulm") if name] == ["ulm-07:detect:3", "ulm-07:detect:2", "ulm-07:detect:1"]
    assert found("ulm 2") == ["ulm-07:detect:2"]
    assert found("n_5") == ["bonn_5:detect:1"]
    assert found("u_m") == found("x\0y") == []
    assert len(place.comparing.find("", 2)) == 2


def test_equal_parameters_are_named_if_everything_is_wanted(place: Place) -> None:
    layers = [{"THRESHOLD": "0.5", "SAME": "1"}], [{"THRESHOLD": "0.4", "SAME": "1"}]
    first, second = (place.attempt(str(number), {"x": "x"}, env_layers=each) for number, each in enumerate(layers))
    rows = {row.path: row for row in place.comparing.two(first, second, everything=True).parameters}
    assert (rows["env.SAME"].differs, rows["env.THRESHOLD"].differs) == (False, True)
    assert [row.path for row in place.comparing.two(first, second).parameters] == ["env.THRESHOLD"]
