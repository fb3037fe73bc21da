"""What a look at a watched place notices: files that come, grow, settle, are bad, change, and go."""

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
from winslow_dagster.projects.ingest.config import Watch
from winslow_dagster.projects.ingest.scan import Look, look
from winslow_dagster.projects.ingest.sources import Watched, open_place
from winslow_dagster.projects.ingest.table import Landing, Landings
from winslow_dagster.settings import Settings

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
VIDEO = ProjectInput(kind="video", suffixes=(".mp4", ".mov"))


@dataclass
class Looker:
    """Looks at a place with a clock that only it moves."""

    landings: Landings
    settings: Settings
    watch: Watch
    now: datetime = field(default=NOON)

    def look(self, after_s: float = 0, **changed: object) -> Look:
        self.now += timedelta(seconds=after_s)
        watch = self.watch.model_copy(update=changed)
        return look(Watched(watch, open_place(watch, self.settings), "video", VIDEO), self.landings, self.now)

    def states(self) -> dict[str, str]:
        return {path: landing.state for path, landing in self.landings.of_watch("drone").items()}

    def at(self, path: str) -> Landing:
        return self.landings.of_watch("drone")[path]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "place").mkdir()
    return tmp_path / "place"


@pytest.fixture
def looker(database_url: str, place: Path, tmp_path: Path) -> Iterator[Looker]:
    database = Database(database_url)
    settings = Settings.read({"WINSLOW_HOME": str(tmp_path / "home")})
    yield Looker(Landings(database), settings, Watch(name="drone", place=str(place), pipeline="traffic"))
    database.close()


def test_a_file_waits_for_its_turn_once_it_has_not_changed_for_long_enough(looker: Looker, place: Path) -> None:
    (place / "ulm.mp4").write_bytes(film())
    assert looker.look() == Look(new=1, settled=0, set_aside=0)
    assert looker.look(9.9) == Look(0, 0, 0)
    assert looker.states() == {"ulm.mp4": "growing"}
    assert looker.look(0.1) == Look(0, 1, 0)
    assert looker.states() == {"ulm.mp4": "waiting"}
    assert looker.look(100) == Look(0, 0, 0)


def test_a_file_that_grows_is_left_alone_until_it_is_steady(looker: Looker, place: Path) -> None:
    whole = film(b"frames" * 1000)
    for part in range(1, 6):
        (place / "ulm.mp4").write_bytes(whole[: len(whole) * part // 5])
        looker.look(9)
        assert looker.at("ulm.mp4").size_bytes == len(whole) * part // 5
        assert looker.states() == {"ulm.mp4": "growing"}
    looker.look(9)
    assert looker.states() == {"ulm.mp4": "growing"}
    looker.look(1)
    assert looker.states() == {"ulm.mp4": "waiting"}


def test_a_time_that_changes_is_a_change_too(looker: Looker, place: Path) -> None:
    (place / "ulm.mp4").write_bytes(film())
    looker.look()
    os.utime(place / "ulm.mp4", (1, 1))
    looker.look(10)
    assert looker.states() == {"ulm.mp4": "growing"}


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", film(), "its name ends in .txt; expected .mp4 or .mov"),
        ("notes.mp4", b"these are notes, and no film", "it does not begin as a video does; expected a video"),
        ("short.mp4", film()[:-1], "it breaks off: 39 bytes were announced, and there are 38; expected a video"),
        ("empty.mp4", b"", "it is empty; expected a video"),
    ],
)
def test_a_bad_file_is_set_aside_with_the_reason_and_stays_where_it_is(
    looker: Looker, place: Path, name: str, content: bytes, reason: str
) -> None:
    (place / name).write_bytes(content)
    looker.look()
    assert looker.look(10) == Look(0, 0, set_aside=1)
    assert (looker.at(name).state, looker.at(name).reason) == ("set_aside", reason)
    assert (place / name).read_bytes() == content


def test_a_bad_file_that_becomes_whole_is_taken_after_all(looker: Looker, place: Path) -> None:
    (place / "ulm.mp4").write_bytes(film()[:-5])
    looker.look()
    looker.look(10)
    assert looker.states() == {"ulm.mp4": "set_aside"}
    (place / "ulm.mp4").write_bytes(film())
    looker.look()
    looker.look(10)
    assert (looker.at("ulm.mp4").state, looker.at("ulm.mp4").reason) == ("waiting", "")


def test_a_bad_file_is_moved_where_the_watch_says_with_its_reason_beside_it(looker: Looker, place: Path) -> None:
    aside = place / "bad"
    for _ in range(2):
        (place / "notes.mp4").write_bytes(b"no film")
        looker.look(set_aside_dir=aside)
        looker.look(10, set_aside_dir=aside)
    assert sorted(path.name for path in aside.iterdir()) == [
        "notes-2.mp4",
        "notes-2.mp4.reason.txt",
        "notes.mp4",
        "notes.mp4.reason.txt",
    ]
    assert (aside / "notes.mp4.reason.txt").read_text().startswith("it does not begin as a video does")
    assert sorted(path.name for path in place.iterdir()) == ["bad"]


def test_hidden_files_directories_and_what_matches_nothing_are_not_looked_at(looker: Looker, place: Path) -> None:
    for name in (".ulm.mp4.part", "day/ulm.mp4", "day/.hidden/x.mp4", "ULM.MP4", "notes.txt"):
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(film())
    (place / "broken.mp4").symlink_to("nowhere")
    looker.look(glob=("*.mp4",))
    assert set(looker.states()) == {"ULM.MP4"}
    looker.look(glob=("**/*.mp4",))
    assert set(looker.states()) == {"ULM.MP4", "day/ulm.mp4"}


def test_a_file_that_is_gone_before_anything_came_of_it_is_forgotten(looker: Looker, place: Path) -> None:
    (place / "ulm.mp4").write_bytes(film())
    looker.look()
    (place / "ulm.mp4").unlink()
    looker.look()
    assert looker.states() == {}


def test_what_became_of_a_file_outlives_it(looker: Looker, place: Path) -> None:
    (place / "ulm.mp4").write_bytes(film())
    looker.look()
    looker.landings.keep(replace(looker.at("ulm.mp4"), project="ulm").now("taken", NOON))
    (place / "ulm.mp4").unlink()
    looker.look()
    assert looker.states() == {"ulm.mp4": "taken"}


def test_another_film_under_the_name_of_one_that_was_taken_is_a_new_one(looker: Looker, place: Path) -> None:
    (place / "DJI_0001.mp4").write_bytes(film())
    looker.look()
    looker.landings.keep(replace(looker.at("DJI_0001.mp4"), project="ulm", run_id="r").now("taken", NOON))
    os.utime(place / "DJI_0001.mp4", (1, 1))
    looker.look()
    assert looker.states() == {"DJI_0001.mp4": "taken"}, "a new time alone is no new film"
    (place / "DJI_0001.mp4").write_bytes(film(b"of the next day"))
    looker.look()
    again = looker.at("DJI_0001.mp4")
    assert (again.state, again.project, again.run_id) == ("growing", None, None)
    assert again.reason == "what was here before became ulm"


def test_a_place_that_is_not_there_is_an_error_and_nothing_is_forgotten(looker: Looker, place: Path) -> None:
    (place / "ulm.mp4").write_bytes(film())
    looker.look()
    place.rename(place.with_name("unmounted"))
    with pytest.raises(NotFound, match="there is no such directory"):
        looker.look()
    assert looker.states() == {"ulm.mp4": "growing"}


def test_five_thousand_files_are_noted_once_and_settle_in_turn(looker: Looker, place: Path) -> None:
    for number in range(5000):
        (place / f"{number:04}.mp4").write_bytes(film())
    assert looker.look() == Look(new=5000, settled=0, set_aside=0)
    assert [looker.look(10).settled for _ in range(11)] == [500] * 10 + [0]
    assert set(looker.states().values()) == {"waiting"}


def test_what_was_set_aside_is_looked_at_again_when_a_person_says_so(looker: Looker, place: Path) -> None:
    (place / "notes.mp4").write_bytes(b"no film")
    looker.look()
    looker.look(10)
    again = looker.landings.retry(looker.at("notes.mp4").id, looker.now)
    assert (again.state, again.reason) == ("growing", "")
    with pytest.raises(ProjectConflict, match="it is growing"):
        looker.landings.retry(again.id, looker.now)
    with pytest.raises(NotFound, match="nothing landed as number 99"):
        looker.landings.retry(99, looker.now)


def test_no_two_files_are_given_one_name(looker: Looker, place: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (place / name).write_bytes(film())
    looker.look()
    first, second = (looker.landings.reserve(looker.at(name), ("ulm", "ulm-1"), NOON) for name in ("a.mp4", "b.mp4"))
    assert (first.project, second.project) == ("ulm", "ulm-1")
    with pytest.raises(ProjectConflict, match="every name"):
        looker.landings.reserve(second, ("ulm",), NOON)


@pytest.mark.s3
def test_an_object_is_complete_as_soon_as_it_is_seen(
    looker: Looker, s3_bucket_url: str, s3_endpoint: str, put_object: Callable[[str, bytes], None]
) -> None:
    looker.settings = looker.settings.model_copy(update={"s3_endpoint": s3_endpoint})
    looker.watch = looker.watch.model_copy(update={"place": f"{s3_bucket_url}/in/"})
    put_object("in/ulm.mp4", film(b"x" * 100_000))
    put_object("in/short.mp4", film()[:-1])
    put_object("in/notes.txt", b"no film")
    put_object("in/deep/below.mp4", film())
    put_object("inside.mp4", film())
    assert looker.look() == Look(new=3, settled=1, set_aside=2)
    assert looker.states() == {"ulm.mp4": "waiting", "short.mp4": "set_aside", "notes.txt": "set_aside"}
    assert "it breaks off" in looker.at("short.mp4").reason


@pytest.fixture
def put_object(s3_bucket_url: str, s3_endpoint: str) -> Callable[[str, bytes], None]:
    import boto3

    bucket = boto3.resource("s3", endpoint_url=s3_endpoint).Bucket(s3_bucket_url.removeprefix("s3://"))
    return lambda key, content: bucket.put_object(Key=key, Body=content) and None
