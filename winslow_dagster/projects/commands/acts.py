"""Marks what changes a project: only those do it who may act on the project."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from winslow_dagster.projects.commands.project_questions import ProjectQuestions

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Handle = TypeVar("Handle", bound="ProjectQuestions")


def act(
    method: Callable[Concatenate[Handle, Arguments], Result],
) -> Callable[Concatenate[Handle, Arguments], Result]:
    """A method of a project's handle that changes the project. It raises Forbidden for those who may only look,
    and ProjectDeleted for a deleted project.
    """
    return _checked(method, lambda handle: handle.context.require_may_act(handle.name))


def act_on_deleted(
    method: Callable[Concatenate[Handle, Arguments], Result],
) -> Callable[Concatenate[Handle, Arguments], Result]:
    """The same for a method that is also for deleted projects."""
    return _checked(method, lambda handle: handle.context.require_permission(handle.name))


def _checked(
    method: Callable[Concatenate[Handle, Arguments], Result], require: Callable[[ProjectQuestions], None]
) -> Callable[Concatenate[Handle, Arguments], Result]:
    @functools.wraps(method)
    def checked(handle: Handle, /, *arguments: Arguments.args, **named: Arguments.kwargs) -> Result:
        require(handle)
        return method(handle, *arguments, **named)

    checked.__dict__["changes_project"] = True
    return checked
