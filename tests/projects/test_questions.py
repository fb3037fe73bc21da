"""Questions behind the front door: drafts, answers that are given again, files from streams, and judgements."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from test_front_door import NoServices

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.errors import AnswerRejected, Forbidden, InputRejected, NotFound, ProjectConflict
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.inputs.uploads import InputStream
from winslow_dagster.projects.installation import Installation
from winslow_dagster.settings import Settings
from winslow_dagster.storage.factory import open_store

PIPELINE = """
name: asking
command: [sh, -c]
stages:
  - name: choose
    args: ["true"]
    needs_input:
      when: once
      message: Which side?
      form:
        - {kind: choice, name: side, options: [north, south]}
        - {kind: number, name: count, min: 1, max: 9, default: 3}
        - {kind: file, name: notes, suffixes: [.txt], required: false}
  - {name: silent, args: ["true"], after: [choose]}
"""


@dataclass(frozen=True)
class Place:
    """An installation with the project `ulm`, whose first stage asks."""

    settings: Settings
    store: Path

    def open(self) -> Installation:
        store = open_store(self.store.as_uri())
        return Installation(self.settings, NoServices(), Actor("anna"), store=store, engine=InMemoryEngine())


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Place:
    pipelines = tmp_path / "pipelines"
    pipelines.mkdir()
    (pipelines / "asking.yaml").write_text(PIPELINE)
    settings = Settings.read(
        {
            "WINSLOW_HOME": str(tmp_path / "home"),
            "WINSLOW_PIPELINES_DIR": str(pipelines),
            "WINSLOW_DATABASE_URL": database_url,
        }
    )
    settings.home.mkdir()
    return Place(settings, tmp_path / "store")


@pytest.fixture
def installation(place: Place) -> Iterator[Installation]:
    with place.open() as opened:
        opened.create("asking", "ulm")
        yield opened


def of(installation: Installation, who: str) -> ProjectHandle:
    return installation.acting_as(Actor(who)).project("ulm")


def test_a_draft_is_kept_for_its_author_and_seen_by_others(installation: Installation, place: Place) -> None:
    first = of(installation, "anna").save_draft("choose", {"side": "nor", "count": "many"})
    assert (first.author, first.version) == ("anna", 1)
    of(installation, "ben").save_draft("choose", {"side": "south"})
    second = of(installation, "anna").save_draft("choose", {"side": "north"}, after=1)
    # Another process, as after a restart.
    with place.open() as again:
        drafts = again.project("ulm").question("choose").drafts
    assert [(each.author, each.version, each.values) for each in drafts] == [
        ("anna", 2, {"side": "north"}),
        ("ben", 1, {"side": "south"}),
    ]
    assert drafts[0].saved_at == second.saved_at


def test_a_second_window_does_not_write_over_the_draft_of_the_first(installation: Installation) -> None:
    anna = of(installation, "anna")
    anna.save_draft("choose", {"side": "north"})
    anna.save_draft("choose", {"side": "south"}, after=1)
    with pytest.raises(ProjectConflict, match="you saved a newer draft at"):
        anna.save_draft("choose", {"side": "north"}, after=1)
    assert anna.question("choose").drafts[0].values == {"side": "south"}


def test_a_draft_of_another_form_is_not_offered(installation: Installation, place: Place) -> None:
    of(installation, "anna").save_draft("choose", {"side": "north"})
    path = place.settings.pipelines_dir / "asking.yaml"
    path.write_text(PIPELINE.replace("north, south", "left, right"))
    other = installation.create("asking", "bonn")
    assert other.question("choose").drafts == ()
    assert len(of(installation, "anna").question("choose").drafts) == 1


def test_a_draft_is_removed_and_refused_if_it_is_too_large_or_not_ones_own_project(installation: Installation) -> None:
    anna = of(installation, "anna")
    with pytest.raises(InputRejected, match="too large"):
        anna.save_draft("choose", {"side": "x" * (4 << 20)})
    anna.save_draft("choose", {"side": "north"})
    anna.remove_draft("choose")
    assert anna.question("choose").drafts == ()
    with pytest.raises(Forbidden):
        installation.acting_as(Actor("vera", role="viewer")).project("ulm").save_draft("choose", {})
    with pytest.raises(ProjectConflict, match="silent has no open question"):
        anna.save_draft("silent", {})
    with pytest.raises(NotFound):
        anna.save_draft("nothing", {})


def test_the_first_answer_wins_and_the_draft_of_the_second_person_stays(installation: Installation) -> None:
    anna, ben = of(installation, "anna"), of(installation, "ben")
    anna.save_draft("choose", {"side": "north"})
    ben.save_draft("choose", {"side": "south"})
    anna.answer("choose", {"side": "north"}, resume=False)
    with pytest.raises(ProjectConflict, match="choose has no open question: anna answered it at"):
        ben.answer("choose", {"side": "south"}, resume=False)
    question = ben.question("choose")
    assert not question.is_open
    assert question.previous is not None
    assert (question.previous.given_by, question.previous.values) == ("anna", {"side": "north", "count": 3})
    assert [(each.author, each.values) for each in question.drafts] == [("ben", {"side": "south"})]


def test_an_answer_is_given_again_by_naming_the_one_it_replaces(installation: Installation) -> None:
    anna, ben = of(installation, "anna"), of(installation, "ben")
    anna.answer("choose", {"side": "north"}, resume=False)
    ben.answer("choose", {"side": "south"}, resume=False, replaces=1)
    assert [(each.version, each.given_by, each.values["side"]) for each in anna.answers()] == [
        (1, "anna", "north"),
        (2, "ben", "south"),
    ]
    # Anna has not seen the answer of Ben.
    with pytest.raises(ProjectConflict, match="ben answered it at"):
        anna.answer("choose", {"side": "north"}, resume=False, replaces=1)
    question = anna.question("choose")
    assert (question.question.message, question.question.form) == ("Which side?", question.question.form)
    assert question.previous is not None
    assert question.previous.version == 2


def test_a_file_of_an_answer_may_come_from_a_stream(installation: Installation, place: Place) -> None:
    anna = of(installation, "anna")
    with pytest.raises(AnswerRejected, match=r"expected a file name ending in \.txt"):
        anna.answer("choose", {"side": "north"}, {"notes": InputStream("a.csv", io.BytesIO(b"1"))}, resume=False)
    with pytest.raises(InputRejected, match="not a file name"):
        anna.answer("choose", {"side": "north"}, {"notes": InputStream("../a.txt", io.BytesIO(b"1"))}, resume=False)
    anna.answer("choose", {"side": "north"}, {"notes": InputStream("a.txt", io.BytesIO(b"seen"))}, resume=False)
    (answer,) = anna.answers()
    assert answer.values["notes"] == "notes/a.txt"
    assert next(place.store.rglob("a.txt")).read_bytes() == b"seen"
    assert list((place.settings.home / "incoming").iterdir()) == []


def test_what_is_wrong_with_an_answer_is_said_before_it_is_given(installation: Installation) -> None:
    judgement = of(installation, "anna").judge_answer("choose", {"side": "up", "count": 3})
    (fault,) = judgement.faults
    assert (fault.field, fault.message) == ("side", 'is "up"; expected one of north, south')
    assert of(installation, "anna").judge_answer("choose", {"side": "north"}).faults == ()
    assert of(installation, "anna").answers() == ()
