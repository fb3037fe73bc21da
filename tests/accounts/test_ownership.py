"""Who may act on which project."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from account_clock import acting

from winslow_dagster.errors import Forbidden, InputRejected, NotFound
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.database.permission import Permissions
from winslow_dagster.projects.domain.actor import Role
from winslow_dagster.projects.installation import Installation

LOOKS = frozenset(
    {
        *("answers", "attempt", "attempts", "audit", "compare", "compare_all", "context", "error_lines", "fetch"),
        *("files", "history", "log", "logs", "notes", "open_file", "open_question_image", "outcome_of", "outputs"),
        *("may_act", "owner", "details", "file", "pipeline_of_stage", "results", "settings", "history_page"),
        *("example_answer", "judge_answer", "proposals", "question", "question_image", "question_films"),
        *("picture", "pipeline", "questions", "run", "runs", "status", "tags", "todos"),
        *("deletion", "deletion_effect", "dismissal"),
        *("file_at", "footage", "frame", "frame_at", "goes_out_of_date", "growing_table", "growing_tables"),
        *("archive", "download", "lineage", "output_folder", "parameters", "picture_of", "plan", "read_file"),
        *("proxy", "proxy_path", "strip", "sweep_runs", "sweeps", "table", "thumbnail", "usage"),
    }
)
CHECKS_ITSELF = frozenset({"give"})
REFUSED: tuple[tuple[str, Role], ...] = (("cleo", "operator"), ("anna", "viewer"))
ALLOWED: tuple[tuple[str, Role], ...] = (("anna", "operator"), ("ben", "operator"), ("cleo", "admin"))
ACTS: dict[str, Callable[[ProjectHandle], object]] = {
    "pause": lambda project: project.pause(),
    "resume": lambda project: project.resume(),
    "answer": lambda project: project.answer("work"),
    "save_draft": lambda project: project.save_draft("work", {}),
    "remove_draft": lambda project: project.remove_draft("work"),
    "redo": lambda project: project.redo("work"),
    "sweep": lambda project: project.sweep("work", {"A": ["1"]}),
    "pick": lambda project: project.pick("work", 1),
    "replace": lambda project: project.replace("work", "a", "b"),
    "cancel": lambda project: project.cancel(),
    "note": lambda project: project.note("a note"),
    "tag": lambda project: project.tag(["a"]),
    "change_tags": lambda project: project.change_tags(add=["a"]),
    "add_todo": lambda project: project.add_todo("look"),
    "finish_todo": lambda project: project.finish_todo(1),
    "delete": lambda project: project.delete(),
    "dismiss": lambda project: project.dismiss(),
    "undismiss": lambda project: project.undismiss(),
    "restore": lambda project: project.restore(),
}


@pytest.fixture
def ulm(installation: Installation) -> str:
    for name in ("anna", "ben", "cleo"):
        installation.accounts.add(name, role="operator")
    installation.accounts.set_groups("ben", ["tracking"])
    installation.context.records.create_project(
        "ulm", pipeline="one", pipeline_digest="0" * 64, env={}, created_by="anna"
    )
    return "ulm"


def test_every_method_of_a_project_either_looks_or_asks_who_may_act() -> None:
    methods = {name for name in dir(ProjectHandle) if not name.startswith("_")}
    asking = {name for name in methods if hasattr(getattr(ProjectHandle, name), "changes_project")}
    assert asking == set(ACTS)
    assert methods == asking | LOOKS | CHECKS_ITSELF


@pytest.mark.parametrize("action", ACTS)
def test_only_owner_group_and_administrators_act_on_a_project_with_a_group(
    installation: Installation, ulm: str, action: str
) -> None:
    installation.project(ulm).give(group="tracking")

    for name, role in REFUSED:
        with pytest.raises(Forbidden):
            ACTS[action](acting(installation, name, role).project(ulm))
    # The acts themselves would need services.
    for name, role in ALLOWED:
        acting(installation, name, role).context.require_may_act(ulm)


def test_without_a_group_every_operator_may_act(installation: Installation, ulm: str) -> None:
    assert acting(installation, "cleo", "operator").project(ulm).tag(["a"]) == ("a",)
    with pytest.raises(Forbidden, match="needs the role operator"):
        acting(installation, "cleo", "viewer").project(ulm).tag(["b"])


def test_only_the_owner_and_administrators_give_a_project_away(installation: Installation, ulm: str) -> None:
    with pytest.raises(Forbidden, match="belongs to anna"):
        acting(installation, "ben", "operator").project(ulm).give("ben")
    with pytest.raises(Forbidden):
        acting(installation, "anna", "viewer").project(ulm).give("ben")
    anna = acting(installation, "anna", "operator").project(ulm)
    with pytest.raises(InputRejected, match="no group 'nobodies'"):
        anna.give(group="nobodies")
    with pytest.raises(NotFound, match="no person 'eve'"):
        anna.give("eve")
    assert anna.give("cleo", group="tracking") == ("cleo", "tracking")
    with pytest.raises(Forbidden):
        anna.tag(["a"])
    assert acting(installation, "cleo", "operator").project(ulm).give(group="") == ("cleo", None)
    assert [entry.action for entry in installation.project(ulm).audit()] == ["give", "give"]


def test_a_group_stays_as_long_as_a_project_needs_it(installation: Installation, ulm: str) -> None:
    installation.project(ulm).give(group="tracking")
    installation.accounts.set_groups("ben", [])
    assert [group.name for group in installation.accounts.groups()] == ["tracking"]


def test_what_concerns_the_whole_installation_needs_a_role(installation: Installation, ulm: str) -> None:
    viewer = acting(installation, "cleo", "viewer")
    operator = acting(installation, "cleo", "operator")
    for refused in (
        lambda: viewer.create("one", "new"),
        lambda: viewer.run("one", "new"),
        lambda: viewer.pool.add("film.mp4"),
        lambda: viewer.pool.remove("film.mp4"),
        lambda: viewer.pool.rename("film.mp4", "other.mp4"),
        lambda: viewer.pool.replace("film.mp4", "other.mp4"),
        lambda: viewer.pool.restore("film.mp4"),
        lambda: operator.pool.purge("film.mp4"),
        lambda: viewer.secrets.set("KEY", "long enough"),
        lambda: viewer.secrets.remove("KEY"),
        lambda: viewer.ingest.retry(1),
        lambda: viewer.retention.set_rules(ulm, []),
        lambda: viewer.retention.prune(ulm),
        operator.retention.prune,
    ):
        with pytest.raises(Forbidden):
            refused()


def test_only_who_may_act_on_every_project_acts_where_projects_are_not_told_apart(
    installation: Installation, ulm: str
) -> None:
    ownership = Permissions(installation.context.records.database)
    people = ("anna", "ben", "cleo")
    assert [name for name in people if ownership.may_act_on_all(name)] == list(people)
    installation.project(ulm).give(group="tracking")
    assert [name for name in people if ownership.may_act_on_all(name)] == ["anna", "ben"]


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "ulm.mp4").write_bytes(b"film")
    (folder / "link.mp4").symlink_to(tmp_path / "home" / "services.key")
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "services.key").write_text("a key")
    return folder


def test_through_the_web_an_operator_names_no_file_of_the_server_but_in_listed_directories(
    installation: Installation, films: Path
) -> None:
    home = installation.settings.home
    settings = installation.settings.model_copy(update={"input_dirs": (films, home)})
    installation.context = replace(installation.context, settings=settings)
    operator = acting(installation, "cleo", "operator")
    hidden = (home / "services.key", films / "link.mp4", films / ".." / "home" / "services.key", Path("/etc/passwd"))
    for path in hidden:
        for refused in (
            lambda path=path: operator.create("one", "new", {"film": path}),
            lambda path=path: operator.run("one", "new", {"film": str(path)}),
            lambda path=path: operator.pool.add(path),
        ):
            with pytest.raises(Forbidden, match="WINSLOW_INPUT_DIRS"):
                refused()
    assert operator.pool.add(films / "ulm.mp4").name == "ulm.mp4"
    with pytest.raises(NotFound, match="no pipeline"):
        operator.create("none", "new", {"film": films / "ulm.mp4"})
    with pytest.raises(NotFound, match="no pipeline"):
        acting(installation, "anna", "admin").create("none", "new", {"film": home / "services.key"})


def test_without_listed_directories_an_operator_sends_files_or_takes_those_of_the_pool(
    installation: Installation, films: Path
) -> None:
    operator = acting(installation, "cleo", "operator")
    with pytest.raises(Forbidden, match="pool:NAME"):
        operator.create("one", "new", {"film": films / "ulm.mp4"})
    with (films / "ulm.mp4").open("rb") as stream:
        assert operator.pool.add_stream("ulm.mp4", stream).name == "ulm.mp4"
    with pytest.raises(NotFound, match="no pipeline"):
        operator.create("none", "new", {"film": "pool:ulm.mp4"})
