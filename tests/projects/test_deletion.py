"""Deleted projects on real tables, a real store and a real node: hidden, restored, and removed for good."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from house import House
from sqlalchemy import func, select

from winslow_dagster.errors import Forbidden, InputRejected, NotFound, ProjectConflict, ProjectDeleted
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.annotations import Annotations
from winslow_dagster.projects.database.new_inputs import projects_by_pipeline
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.ingest import IngestFile, IngestState
from winslow_dagster.projects.domain.views import ProjectQuery
from winslow_dagster.projects.ingest.table import IngestTable
from winslow_dagster.projects.installation import Installation
from winslow_dagster.projects.notifications.outbox import Message, Outbox
from winslow_dagster.projects.planning.result_cache import reusable
from winslow_dagster.projects.retention.purge import Purge
from winslow_dagster.projects.status.results_csv import results
from winslow_dagster.services import Services

ULM, BONN = "ulm-07", "ulm-08"


@pytest.fixture
def front(house: House) -> Installation:
    return Installation(
        house.settings, Services(house.settings), Actor("anna"), records=house.records, store=house.store
    )


def purging(house: House, forgotten: list[str] | None = None) -> Purge:
    noted = [] if forgotten is None else forgotten
    return Purge(house.records, house.cleanup, noted.append)


def rows(house: House, project: str) -> dict[str, int]:
    """Table -> how many rows name the project."""
    counts = {}
    with house.records.database.reading() as connection:
        for table in schema.metadata.sorted_tables:
            if "project" in table.c:
                query = select(func.count()).select_from(table).where(table.c.project == project)
                counts[table.name] = connection.execute(query).scalar_one()
    return {name: count for name, count in counts.items() if count}


def test_a_deleted_project_is_in_no_list_and_no_count_until_it_is_restored(house: House, front: Installation) -> None:
    house.run(1, succeeds=False)
    house.run(2, project=BONN)
    Annotations(house.records.database).set_tags(ULM, ["rare"])
    seen: dict[str, Callable[[], object]] = {
        "projects": lambda: [each.project for each in front.projects()],
        "found": lambda: [each.project for each in front.find_projects(ProjectQuery()).projects],
        "total": lambda: front.find_projects(ProjectQuery(limit=1)).total,
        "groups": lambda: front.find_projects(ProjectQuery(group="state")).groups,
        "needs": lambda: [each.project for each in front.needs().needs],
        "counters": front.counters,
        "words": front.filter_words,
        "progress": lambda: sorted(front.progress_of([ULM, BONN])),
        "users": lambda: house.records.projects_with("traffic"),
        "partitions": lambda: projects_by_pipeline(house.records.database),
    }
    before = {name: look() for name, look in seen.items()}

    front.project(ULM).delete("a test film")

    hidden = {name: look() for name, look in seen.items()}
    assert [name for name in seen if hidden[name] == before[name]] == []
    assert ULM not in repr(hidden)
    front.project(ULM).restore()
    assert {name: look() for name, look in seen.items()} == before


def test_what_a_deleted_project_refuses_says_who_deleted_it_and_how_to_restore_it(
    house: House, front: Installation
) -> None:
    house.run(1)
    ulm = front.project(ULM)
    ulm.delete("a test film")
    refused: list[Callable[[ProjectHandle], object]] = [
        lambda project: project.status(),
        lambda project: project.attempts(),
        lambda project: project.tag(["a"]),
        lambda project: project.pause(),
        lambda project: project.redo("detect"),
        lambda project: project.give(group=""),
        lambda _: front.run("traffic", ULM),
        lambda _: front.create("traffic", ULM),
        lambda _: front.retention.pin(ULM, "detect", 1),
        lambda _: front.retention.set_rules(ULM, ()),
    ]

    for act in refused:
        with pytest.raises(ProjectDeleted, match=r"was deleted by anna on 20.* UTC\. Restore it first") as error:
            act(ulm)
        assert error.value.action is not None
        assert error.value.action.name == "restore_project"
        assert error.value.action.arguments == {"project": ULM}


def test_deleting_and_restoring_twice_is_the_same_as_once(front: Installation) -> None:
    ulm = front.project(ULM)
    first = ulm.delete("why")
    assert front.acting_as(Actor("ben")).project(ULM).delete("another reason") == first
    assert (first.deleted_by, first.reason) == ("anna", "why")
    ulm.restore()
    ulm.restore()
    assert ulm.deletion() is None
    assert [entry.action for entry in ulm.audit()] == ["restore", "delete"]


def test_a_project_with_a_run_that_has_not_ended_is_not_deleted(house: House, front: Installation) -> None:
    house.run(1, ends=False)
    with pytest.raises(ProjectConflict, match="a run is in progress") as error:
        front.project(ULM).delete()
    assert error.value.action is not None
    assert error.value.action.name == "cancel_project"
    assert front.project(ULM).deletion() is None


def test_only_those_who_may_act_on_a_project_delete_it_and_only_administrators_for_good(front: Installation) -> None:
    front.accounts.add("anna", role="operator")
    front.accounts.add("cleo", role="operator")
    front.accounts.set_groups("anna", ["tracking"])
    front.project(ULM).give("anna", group="tracking")
    cleo, anna = (front.acting_as(Actor(name, role="operator")) for name in ("cleo", "anna"))
    with pytest.raises(Forbidden):
        cleo.project(ULM).delete()
    anna.project(ULM).delete()
    for act in (lambda: cleo.project(ULM).restore(), lambda: anna.purge(ULM)):
        with pytest.raises(Forbidden):
            act()
    assert front.act_on([ULM], "restore")[0].done
    assert cleo.may_act_on([ULM, BONN]) == {BONN}


def test_many_projects_are_deleted_and_restored_at_once(front: Installation) -> None:
    deleted = front.act_on([ULM, BONN, "none"], "delete")
    assert [(each.project, each.done) for each in deleted] == [(ULM, True), (BONN, True), ("none", False)]
    assert [each.project for each in front.deleted_projects()] == [BONN, ULM]
    assert [each.done for each in front.act_on([ULM, BONN], "restore")] == [True, True]
    assert front.deleted_projects() == ()
    with pytest.raises(InputRejected):
        front.act_on([ULM], "delete", ["a tag"])


def test_what_it_means_to_delete_a_project_is_said_before(house: House, front: Installation) -> None:
    first = house.run(1)
    house.run(2, succeeds=False)
    house.reuse(3, first.task_id, BONN)
    effect = front.project(ULM).deletion_effect()
    assert (effect.attempts, effect.used_by, effect.kept_days) == (2, (BONN,), 30)
    usage = front.retention.usage(ULM)
    assert effect.size_bytes == sum(
        each.outputs_bytes + each.logs_bytes + each.leftovers_bytes for each in usage.stages
    )
    assert front.project(BONN).deletion_effect().used_by == ()
    front.project(ULM).delete()
    (deleted,) = front.deleted_projects()
    assert deleted.purge_at == deleted.deleted_at + timedelta(days=30)
    assert (deleted.size_bytes, deleted.used_by) == (effect.size_bytes, (BONN,))


def test_the_rules_remove_nothing_of_a_deleted_project_and_nobody_reuses_its_outputs_any_more(
    house: House, front: Installation
) -> None:
    house.run(1)
    house.run(2)
    with house.records.database.writing() as connection:
        connection.execute(schema.attempts.update().values(fingerprint="same"))
    assert reusable(house.records.database, "same", None) is not None
    assert house.cleanup.plan().removals
    assert list(results(house.records.database)) == []

    front.project(ULM).delete()

    assert house.cleanup.plan().removals == ()
    assert reusable(house.records.database, "same", None) is None


def test_for_good_means_that_files_and_rows_are_gone_the_audit_trail_stays_and_the_name_is_free(
    house: House, front: Installation, tmp_path: Path
) -> None:
    house.run(1)
    house.run(2, succeeds=False)
    kept = house.run(3, project=BONN)
    film = tmp_path / "film.mp4"
    film.write_bytes(b"f" * 1000)
    stored = house.store.put_file(film, f"projects/{ULM}/inputs/video/1")
    house.records.add_input(ULM, "video", stored, original_path=str(film), added_by="anna")
    pooled = front.pool.add(film, name="shared")
    for project in (ULM, BONN):
        house.records.add_input(project, "shared", pooled.manifest, original_path="pool:shared", added_by="anna")
    front.project(ULM).add_todo("look")
    front.retention.pin(ULM, "detect", 1)
    front.retention.set_rules(ULM, ())
    with pytest.raises(ProjectConflict, match="it is not deleted"):
        front.purge(ULM)
    front.project(ULM).delete()
    size_bytes = front.deleted_projects()[0].size_bytes
    forgotten: list[str] = []
    purge = purging(house, forgotten)

    assert purge.begin(ULM)
    result = purge.carry_out(ULM)

    assert (result.gone, result.freed_bytes, forgotten) == (True, size_bytes - 1000, [ULM])
    assert set(rows(house, ULM)) == {"winslow_audit", "winslow_changes"}
    assert house.trees() == sorted([kept.output_address, kept.log_address, pooled.manifest.address])
    with pytest.raises(NotFound):
        front.project(ULM)
    assert front.audit(ULM)[0].action == "delete"
    front.create("traffic", ULM)
    assert front.project(ULM).status().state == "idle"


def test_files_of_watched_folders_are_hidden_with_their_project_and_not_ingested_again_when_it_is_gone(
    house: House, front: Installation
) -> None:
    table, at = IngestTable(house.records.database), house.now
    states: tuple[IngestState, ...] = ("failed", "done", "running")
    table.apply(
        [IngestFile(0, "films", f"{state}.mp4", 1, "t", state, "", ULM, "run1", at, at, at) for state in states], []
    )
    assert (front.ingest.needs(9).total, len(front.ingest.files().files)) == (1, 3)
    front.project(ULM).delete()
    assert (front.ingest.needs(9).total, len(front.ingest.files().files)) == (0, 0)
    purge = purging(house)
    assert purge.begin(ULM)
    assert purge.carry_out(ULM).gone
    assert [(each.state, each.project) for each in front.ingest.files().files] == [
        ("failed", None),
        ("done", None),
        ("failed", None),
    ]


def test_no_message_about_a_deleted_project_is_sent(house: House, front: Installation) -> None:
    outbox = Outbox(house.records.database)
    outbox.add([Message("team", "failed:run1", ULM, "failed", "ulm-07 failed", house.now)])
    front.project(ULM).delete()
    assert outbox.waiting("team") == ()
    front.project(ULM).restore()
    assert [each.project for each in outbox.waiting("team")] == [ULM]


def test_outputs_that_another_project_uses_stay_and_the_rows_until_it_no_longer_does(
    house: House, front: Installation
) -> None:
    first = house.run(1)
    second = house.run(2)
    house.reuse(3, first.task_id, BONN)
    front.project(ULM).delete()
    purge = purging(house)
    assert purge.begin(ULM)

    result = purge.carry_out(ULM)

    assert (result.gone, result.used_by) == (False, (BONN,))
    assert house.store.manifest(second.output_address) is None
    assert house.readable(BONN)
    with pytest.raises(ProjectDeleted, match="its files are being removed"):
        front.project(ULM).restore()
    front.project(BONN).delete()
    assert purge.begin(BONN)
    assert purge.carry_out(BONN).gone
    assert purge.carry_out(ULM).gone
    for project in (ULM, BONN):
        assert rows(house, project).keys() <= {"winslow_audit", "winslow_changes"}
    assert house.trees() == []


def test_a_purge_that_is_due_passes_over_what_was_restored_or_deleted_again(house: House, front: Installation) -> None:
    ulm, purge = front.project(ULM), purging(house)
    deletion = ulm.delete()
    assert not purge.begin(ULM, deleted_before=deletion.deleted_at)
    ulm.restore()
    assert not purge.begin(ULM, deleted_before=deletion.deleted_at + timedelta(days=1))
    ulm.delete()
    assert purge.begin(ULM, deleted_before=deletion.deleted_at + timedelta(days=1))
    with pytest.raises(ProjectDeleted, match="its files are being removed"):
        ulm.restore()


REMOVE = """
import os, signal, sys
from winslow_dagster.engines.factory import open_engine
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.installation import Installation
from winslow_dagster.projects.retention.cleanup import Cleanup
from winslow_dagster.projects.retention.purge import Purge
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings
from winslow_dagster.storage.factory import open_store

steps, act = int(sys.argv[1]), sys.argv[2]

def count():
    global steps
    steps -= 1
    if steps == 0:
        os.kill(os.getpid(), signal.SIGKILL)

from sqlalchemy import event
from sqlalchemy.engine import Engine

settings = Settings.read()
records = ProjectRecords.open(settings.database_url)
store = open_store(settings.store_url)
front = Installation(settings, Services(settings), Actor("anna"), records=records, store=store)
event.listen(Engine, "before_cursor_execute", lambda *_: count())
sys.addaudithook(lambda name, _: count() if name in {"os.rename", "os.remove", "os.rmdir", "shutil.rmtree"} else None)
if act == "delete":
    front.project("ulm-07").delete("killed")
else:
    purge = Purge(records, Cleanup(records, store, settings, open_engine(settings)), lambda project: count())
    if purge.begin("ulm-07"):
        purge.carry_out("ulm-07")
"""


@pytest.mark.slow
def test_killed_at_any_step_of_deleting_and_removing_the_next_try_finishes_and_nothing_of_others_is_lost(
    house: House, front: Installation
) -> None:
    first = house.run(1)
    house.run(2, succeeds=False)
    house.run(3)
    house.run(4, project=BONN)
    house.reuse(5, first.task_id, BONN)
    environment = {
        **os.environ,
        "WINSLOW_HOME": str(house.settings.home),
        "WINSLOW_DATABASE_URL": house.settings.database_url,
        "WINSLOW_PIPELINES_DIR": str(house.settings.pipelines_dir),
    }

    def kill(act: str, steps: int) -> bool:
        ended = subprocess.run([sys.executable, "-c", REMOVE, str(steps), act], env=environment, check=False)
        assert ended.returncode in {0, -signal.SIGKILL}
        assert house.readable(BONN)
        return ended.returncode != 0

    assert sum(kill("delete", steps) for steps in (1, 3, 5, 7)) >= 2
    front.project(ULM).delete()
    assert sum(kill("purge", steps) for steps in (2, 30, 9, 45, 20, 60, 25)) >= 3
    purge = purging(house)
    assert purge.begin(ULM)
    assert not purge.carry_out(ULM).gone
    front.project(BONN).delete()
    assert purge.begin(BONN)
    assert purge.carry_out(BONN).gone
    assert purge.carry_out(ULM).gone
    assert house.records.names() == frozenset()
    assert house.trees() == []
