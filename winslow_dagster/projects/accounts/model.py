"""People, groups, sessions and tokens as values. None has a key or a hash in it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Literal, NamedTuple

from pydantic import ConfigDict, computed_field

from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.projects.domain.actor import Role

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
LONGEST_DISPLAY_NAME = 100
LONGEST_LABEL = 100

Method = Literal["password", "link", "oidc"]


class Person(Frozen):
    """Somebody who may log in, unless `disabled_at` says since when not. `subject`: known to an OpenID provider."""

    model_config = ConfigDict(from_attributes=True)

    name: str
    display_name: str
    role: Role
    groups: tuple[str, ...] = ()
    has_password: bool
    subject: str | None
    created_at: datetime
    disabled_at: datetime | None

    @computed_field  # type: ignore[prop-decorator]  # as pydantic documents
    @property
    def disabled(self) -> bool:
        """Whether the person cannot log in."""
        return self.disabled_at is not None


class Group(Frozen):
    """People who act on the same projects."""

    name: str
    members: tuple[str, ...]


class Session(Frozen):
    """One browser of one person, from log-in to log-out or `expires_at`."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    person: str
    method: Method
    address: str
    user_agent: str
    created_at: datetime
    seen_at: datetime
    expires_at: datetime


class Token(Frozen):
    """The key of a program, without the key: it acts as `person`, with at most `role`."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    person: str
    label: str
    role: Role
    created_at: datetime
    expires_at: datetime | None
    used_at: datetime | None
    used_from: str


class NewToken(Frozen):
    """A token with its key, which is shown only now."""

    token: Token
    key: str


class Opened(NamedTuple):
    """A session, and the key that its browser keeps."""

    session: Session
    key: str


class Identity(NamedTuple):
    """Who a key belongs to, and what it may do. `session` and `token` are the id of the one that it is."""

    person: str
    display_name: str
    role: Role
    session: int | None = None
    token: int | None = None


def checked_person(name: str, what: str = "name of a person") -> str:
    """The name, if people and groups may have it. Raises InputRejected."""
    if NAME.fullmatch(name) is None:
        raise InputRejected(
            f"{name!r} is not a valid {what}",
            expected="1 to 63 lower-case letters, digits and . _ -, starting with a letter or digit",
        )
    return name


def checked_line(text: str, what: str, longest: int) -> str:
    """One line of text without control characters. Raises InputRejected."""
    text = text.strip()
    if not text or len(text) > longest or not text.isprintable():
        raise InputRejected(
            f"{text[:longest]!r} is not a valid {what}", expected=f"1 to {longest} printable characters"
        )
    return text
