"""What a scan of a watched folder finds: files that arrive, grow, complete, are invalid, change, and disappear."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from films import film

from winslow_dagster.errors import NotFound, ProjectConflict
from winslow_dagster.pipelines.model.pipeline import ProjectInput
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.ingest import IngestFile, IngestQuery
from winslow_dagster.projects.ingest.config import Watch
from winslow_dagster.projects.ingest.scan import ScanResult, scan
from winslow_dagster.projects.ingest.sources import OpenWatch, open_source
from winslow_dagster.projects.ingest.table import IngestTable
from winslow_dagster.settings import Settings

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
VIDEO = ProjectInput(kind="video", suffixes=(".mp4", ".mov"))


@dataclass
class Scanner:
    """Scans a source with a clock that only it moves."""

    table: IngestTable
    settings: Settings
    watch: Watch
    now: datetime = field(default=NOON)

    def scan(self, after_s: float = 0, **changed: object) -> ScanResult:
        self.now += timedelta(seconds=after_s)
        watch = self.watch.model_copy(update=changed)
        return scan(OpenWatch(watch, open_source(watch, self.settings), "video", VIDEO), self.table, self.now)

    def states(self) -> dict[str, str]:
        return {path: file.state for path, file in self.table.of_watch("drone").items()}

    def at(self, path: str) -> IngestFile:
        return self.table.of_watch("drone")[path]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "source").mkdir()
    return tmp_path / "source"


@pytest.fixture
def scanner(database_url: str, source: Path, tmp_path: Path) -> Iterator[Scanner]:
    database = Database(database_url)
    settings = Settings.read({"WINSLOW_HOME": str(tmp_path / "home")})
    yield Scanner(IngestTable(database), settings, Watch(name="drone", source=str(source), pipeline="traffic"))
    database.close()


def test_a_file_is_ready_once_it_has_not_changed_for_long_enough(scanner: Scanner, source: Path) -> None:
    (source / "ulm.mp4").write_bytes(film())
    assert scanner.scan() == ScanResult(new=1, ready=0, rejected=0)
    assert scanner.scan(9.9) == ScanResult(0, 0, 0)
    assert scanner.states() == {"ulm.mp4": "receiving"}
    assert scanner.scan(0.1) == ScanResult(0, 1, 0)
    assert scanner.states() == {"ulm.mp4": "ready"}
    assert scanner.scan(100) == ScanResult(0, 0, 0)


def test_a_growing_file_is_left_alone_until_it_is_stable(scanner: Scanner, source: Path) -> None:
    whole = film(b"frames" * 1000)
    for part in range(1, 6):
        (source / "ulm.mp4").write_bytes(whole[: len(whole) * part // 5])
        scanner.scan(9)
        assert scanner.at("ulm.mp4").size_bytes == len(whole) * part // 5
        assert scanner.states() == {"ulm.mp4": "receiving"}
    scanner.scan(9)
    assert scanner.states() == {"ulm.mp4": "receiving"}
    scanner.scan(1)
    assert scanner.states() == {"ulm.mp4": "ready"}


def test_a_changed_time_is_a_change(scanner: Scanner, source: Path) -> None:
    (source / "ulm.mp4").write_bytes(film())
    scanner.scan()
    os.utime(source / "ulm.mp4", (1, 1))
    scanner.scan(10)
    assert scanner.states() == {"ulm.mp4": "receiving"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", film(), "its name ends in .txt; expected .mp4 or .mov"),
        ("notes.mp4", b"these are notes, and no film", "it does not start like a video; expected a video"),
        ("short.mp4", film()[:-1], "it is incomplete: it should have 39 bytes, and has 38; expected a video"),
        ("empty.mp4", b"", "it is empty; expected a video"),
    ],
)
def test_an_invalid_file_is_rejected_with_the_reason_and_stays_where_it_is(
    scanner: Scanner, source: Path, name: str, content: bytes, reason: str
) -> None:
    (source / name).write_bytes(content)
    scanner.scan()
    assert scanner.scan(10) == ScanResult(0, 0, rejected=1)
    assert (scanner.at(name).state, scanner.at(name).reason) == ("rejected", reason)
    assert (source / name).read_bytes() == content


def test_a_rejected_file_that_becomes_complete_is_ready(scanner: Scanner, source: Path) -> None:
    (source / "ulm.mp4").write_bytes(film()[:-5])
    scanner.scan()
    scanner.scan(10)
    assert scanner.states() == {"ulm.mp4": "rejected"}
    (source / "ulm.mp4").write_bytes(film())
    scanner.scan()
    scanner.scan(10)
    assert (scanner.at("ulm.mp4").state, scanner.at("ulm.mp4").reason) == ("ready", "")


def test_a_rejected_file_is_moved_to_the_quarantine_with_its_reason_beside_it(scanner: Scanner, source: Path) -> None:
    aside = source / "bad"
    for _ in range(2):
        (source / "notes.mp4").write_bytes(b"no film")
        scanner.scan(quarantine_dir=aside)
        scanner.scan(10, quarantine_dir=aside)
    assert sorted(path.name for path in aside.iterdir()) == [
        "notes-2.mp4",
        "notes-2.mp4.reason.txt",
        "notes.mp4",
        "notes.mp4.reason.txt",
    ]
    assert (aside / "notes.mp4.reason.txt").read_text().startswith("it does not start like a video")
    assert sorted(path.name for path in source.iterdir()) == ["bad"]


def test_hidden_files_directories_and_files_that_match_no_glob_are_ignored(scanner: Scanner, source: Path) -> None:
    for name in (".ulm.mp4.part", "day/ulm.mp4", "day/.hidden/x.mp4", "ULM.MP4", "notes.txt"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(film())
    (source / "broken.mp4").symlink_to("nowhere")
    scanner.scan(glob=("*.mp4",))
    assert set(scanner.states()) == {"ULM.MP4"}
    scanner.scan(glob=("**/*.mp4",))
    assert set(scanner.states()) == {"ULM.MP4", "day/ulm.mp4"}


def test_a_link_to_a_directory_is_followed_where_a_glob_names_it_in_any_case(scanner: Scanner, source: Path) -> None:
    (source / "cards" / "ulm").mkdir(parents=True)
    (source / "cards" / "ulm" / "a.mp4").write_bytes(film())
    (source / "Today").symlink_to("cards/ulm")
    (source / "cards" / "circle").symlink_to("..")
    scanner.scan(glob=("**/*.mp4",))
    assert set(scanner.states()) == {"cards/ulm/a.mp4"}
    scanner.scan(glob=("today/*.MP4",))
    assert set(scanner.states()) == {"Today/a.mp4"}


def test_a_file_that_disappears_before_it_is_ingested_is_forgotten(scanner: Scanner, source: Path) -> None:
    (source / "ulm.mp4").write_bytes(film())
    scanner.scan()
    (source / "ulm.mp4").unlink()
    scanner.scan()
    assert scanner.states() == {}


def test_the_record_of_an_ingested_file_outlives_it(scanner: Scanner, source: Path) -> None:
    (source / "ulm.mp4").write_bytes(film())
    scanner.scan()
    scanner.table.save(replace(scanner.at("ulm.mp4"), project="ulm").to("done", NOON))
    (source / "ulm.mp4").unlink()
    scanner.scan()
    assert scanner.states() == {"ulm.mp4": "done"}


def test_another_video_under_the_name_of_an_ingested_one_is_a_new_file(scanner: Scanner, source: Path) -> None:
    (source / "DJI_0001.mp4").write_bytes(film())
    scanner.scan()
    scanner.table.save(replace(scanner.at("DJI_0001.mp4"), project="ulm", run_id="r").to("done", NOON))
    os.utime(source / "DJI_0001.mp4", (1, 1))
    scanner.scan()
    assert scanner.states() == {"DJI_0001.mp4": "done"}, "a new time alone is no new video"
    (source / "DJI_0001.mp4").write_bytes(film(b"of the next day"))
    scanner.scan()
    again = scanner.at("DJI_0001.mp4")
    assert (again.state, again.project, again.run_id) == ("receiving", None, None)
    assert again.reason == "an earlier file of this name became project ulm"


def test_a_missing_source_is_an_error_and_nothing_is_forgotten(scanner: Scanner, source: Path) -> None:
    (source / "ulm.mp4").write_bytes(film())
    scanner.scan()
    source.rename(source.with_name("unmounted"))
    with pytest.raises(NotFound, match="directory does not exist"):
        scanner.scan()
    assert scanner.states() == {"ulm.mp4": "receiving"}


@pytest.mark.slow
def test_five_thousand_files_are_recorded_once_and_become_ready_in_turn(scanner: Scanner, source: Path) -> None:
    for number in range(5000):
        (source / f"{number:04}.mp4").write_bytes(film())
    assert scanner.scan() == ScanResult(new=5000, ready=0, rejected=0)
    assert [scanner.scan(10).ready for _ in range(11)] == [500] * 10 + [0]
    assert set(scanner.states().values()) == {"ready"}


def test_a_rejected_file_is_retried_on_request(scanner: Scanner, source: Path) -> None:
    (source / "notes.mp4").write_bytes(b"no film")
    scanner.scan()
    scanner.scan(10)
    again = scanner.table.retry(scanner.at("notes.mp4").id, scanner.now)
    assert (again.state, again.reason) == ("receiving", "")
    with pytest.raises(ProjectConflict, match="the file is receiving"):
        scanner.table.retry(again.id, scanner.now)
    with pytest.raises(NotFound, match="no ingested file has the id 99"):
        scanner.table.retry(99, scanner.now)


def test_no_two_files_get_the_same_name(scanner: Scanner, source: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (source / name).write_bytes(film())
    scanner.scan()
    first, second = (scanner.table.reserve(scanner.at(name), ("ulm", "ulm-1"), NOON) for name in ("a.mp4", "b.mp4"))
    assert (first.project, second.project) == ("ulm", "ulm-1")
    with pytest.raises(ProjectConflict, match="every possible name"):
        scanner.table.reserve(second, ("ulm",), NOON)


@pytest.mark.s3
def test_an_object_is_complete_as_soon_as_it_is_listed(
    scanner: Scanner, s3_bucket_url: str, s3_endpoint: str, put_object: Callable[[str, bytes], None]
) -> None:
    scanner.settings = scanner.settings.model_copy(update={"s3_endpoint": s3_endpoint})
    scanner.watch = scanner.watch.model_copy(update={"source": f"{s3_bucket_url}/in/"})
    put_object("in/ulm.mp4", film(b"x" * 100_000))
    put_object("in/short.mp4", film()[:-1])
    put_object("in/notes.txt", b"no film")
    put_object("in/deep/below.mp4", film())
    put_object("inside.mp4", film())
    assert scanner.scan() == ScanResult(new=3, ready=1, rejected=2)
    assert scanner.states() == {"ulm.mp4": "ready", "short.mp4": "rejected", "notes.txt": "rejected"}
    assert "it is incomplete" in scanner.at("short.mp4").reason


@pytest.fixture
def put_object(s3_bucket_url: str, s3_endpoint: str) -> Callable[[str, bytes], None]:
    import boto3

    bucket = boto3.resource("s3", endpoint_url=s3_endpoint).Bucket(s3_bucket_url.removeprefix("s3://"))
    return lambda key, content: bucket.put_object(Key=key, Body=content) and None


def test_a_dismissed_file_waits_for_nobody_until_it_changes_or_is_retried(scanner: Scanner, source: Path) -> None:
    table = scanner.table
    for name in ("a.mp4", "b.mp4"):
        (source / name).write_bytes(b"no film")
    scanner.scan()
    scanner.scan(10)
    assert table.waiting_for_person(10)[1] == 2
    reason = scanner.at("a.mp4").reason
    dismissed = table.dismiss(scanner.at("a.mp4").id, scanner.now)
    assert (dismissed.state, dismissed.reason) == ("dismissed", reason)
    assert [file.path for file in table.waiting_for_person(10)[0]] == ["b.mp4"]
    with pytest.raises(ProjectConflict, match="the file is dismissed"):
        table.dismiss(dismissed.id, scanner.now)
    with pytest.raises(NotFound):
        table.dismiss(10_000, scanner.now)
    scanner.scan(100)
    assert scanner.states() == {"a.mp4": "dismissed", "b.mp4": "rejected"}

    assert table.retry(dismissed.id, scanner.now).state == "receiving"
    scanner.scan(10)
    assert scanner.states() == {"a.mp4": "rejected", "b.mp4": "rejected"}
    for name in ("a.mp4", "b.mp4"):
        table.dismiss(scanner.at(name).id, scanner.now)
    (source / "a.mp4").write_bytes(film())
    scanner.scan(10)
    scanner.scan(10)
    assert scanner.states() == {"a.mp4": "ready", "b.mp4": "dismissed"}


def test_files_are_found_page_by_page_and_counted(scanner: Scanner, source: Path) -> None:
    for number in range(5):
        (source / f"{number}.mp4").write_bytes(film() if number % 2 else b"no film")
    scanner.scan()
    scanner.scan(10)
    assert scanner.table.counts() == {"drone": {"rejected": 3, "ready": 2}}
    ids, before = [], None
    while True:
        page = scanner.table.find(IngestQuery(state="rejected", before=before, limit=2))
        ids += [file.id for file in page.files]
        if (before := page.before) is None:
            break
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 3
    assert scanner.table.find(IngestQuery(watch="another")).files == ()


def test_the_problems_of_scans_are_known_since_when_they_began(scanner: Scanner) -> None:
    table, later = scanner.table, NOON + timedelta(hours=1)
    table.record_problems({"drone": "no bucket", "other": ""}, NOON)
    table.record_problems({"drone": "no bucket", "other": ""}, later)
    assert table.problems() == {"drone": ("no bucket", NOON)}
    table.record_problems({"drone": "no network", "other": "no bucket"}, later)
    assert table.problems() == {"drone": ("no network", later), "other": ("no bucket", later)}
    table.record_problems({"drone": ""}, later)
    assert table.problems() == {}, "a watch that is gone has no problem"
