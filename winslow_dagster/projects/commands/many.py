"""One action on many projects: each succeeds or fails for itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from winslow_dagster.errors import InputRejected, WinslowError
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.domain.views import ActResult, ManyAct

MOST_AT_ONCE = 200
DONE: dict[ManyAct, str] = {
    "pause": "pauses once its running stages finish",
    "resume": "resumed",
    "cancel": "is being cancelled",
    "tag": "tagged",
    "untag": "no longer tagged",
    "delete": "deleted",
    "restore": "restored",
    "dismiss": "noted",
    "undismiss": "waits for somebody again",
}


def act_on(
    context: Context, act: ManyAct, projects: Iterable[str], tags: Iterable[str], reason: str = ""
) -> tuple[ActResult, ...]:
    """Do it to each of the projects. Raises InputRejected for too many, and for tags that are missing or not needed."""
    names, given = tuple(dict.fromkeys(projects)), tuple(tags)
    if len(names) > MOST_AT_ONCE:
        raise InputRejected(f"these are {len(names)} projects", expected=f"at most {MOST_AT_ONCE} at once")
    if bool(given) != (act in {"tag", "untag"}):
        raise InputRejected(f"{act} has {'' if given else 'no '}tags", expected="tags with tag and untag only")
    calls: dict[ManyAct, Callable[[ProjectHandle], object]] = {
        "pause": lambda project: project.pause(),
        "resume": lambda project: project.resume(),
        "cancel": lambda project: project.cancel(),
        "tag": lambda project: project.change_tags(add=given),
        "untag": lambda project: project.change_tags(remove=given),
        "delete": lambda project: project.delete(reason),
        "restore": lambda project: project.restore(),
        "dismiss": lambda project: project.dismiss(),
        "undismiss": lambda project: project.undismiss(),
    }
    return tuple(_result(context, name, act, calls[act], given) for name in names)


def _result(
    context: Context, name: str, act: ManyAct, call: Callable[[ProjectHandle], object], tags: tuple[str, ...]
) -> ActResult:
    try:
        context.records.require_project(name)
        call(ProjectHandle(context, name))
    except WinslowError as error:
        return ActResult(project=name, done=False, text=error.what)
    return ActResult(project=name, done=True, text=" ".join((DONE[act], ", ".join(tags))).strip())
