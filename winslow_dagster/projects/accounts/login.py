"""How people prove who they are: a password, a link from the shell, or somebody who vouches for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from winslow_dagster.actions import Action
from winslow_dagster.errors import NotLoggedIn, ProjectConflict
from winslow_dagster.projects.accounts.keys import hash_password, matches, outdated
from winslow_dagster.projects.accounts.login_limit import LoginLimit
from winslow_dagster.projects.accounts.model import (
    LONGEST_DISPLAY_NAME,
    NAME,
    Identity,
    Method,
    Opened,
    Person,
    checked_line,
    checked_person,
)
from winslow_dagster.projects.accounts.people import People
from winslow_dagster.projects.accounts.sessions import Sessions
from winslow_dagster.projects.accounts.tokens import LoginLinks, Tokens
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.actor import Actor, Role


class Browser(NamedTuple):
    """Where a log-in comes from."""

    address: str
    user_agent: str = ""


class LinkTarget(NamedTuple):
    """What a link does: it logs `person` in, or lets the first person choose a name if that is None."""

    person: Person | None


@dataclass(frozen=True, slots=True)
class Vouched:
    """What an OpenID provider or a trusted proxy says about somebody. `role` is None if it does not say one."""

    name: str
    display_name: str = ""
    subject: str | None = None
    role: Role | None = None


@dataclass(frozen=True)
class Login:
    """Log-ins and log-outs of one installation. All raise NotLoggedIn, in words that tell a stranger nothing."""

    database: Database
    people: People
    sessions: Sessions
    tokens: Tokens
    links: LoginLinks
    clock: Callable[[], datetime]

    def session(self, key: str) -> Identity | None:
        """Who a browser's key belongs to. None if its session has ended."""
        return self.sessions.identify(key, self.clock())

    def token(self, key: str, address: str) -> Identity | None:
        """Who a program's token acts as. None if it is not valid."""
        return self.tokens.identify(key, address, self.clock())

    def by_password(self, name: str, password: str, browser: Browser) -> Opened:
        """Log in by name and password. Raises TooManyTries."""
        name = name.strip().lower()
        self.require_password(name, password, browser.address)
        return self._open(name, "password", browser)

    def require_password(self, name: str, password: str, address: str) -> None:
        """Raise NotLoggedIn if it is not the password of this name, and TooManyTries after too many wrong ones."""
        known = self.people.password_hash(name) if NAME.fullmatch(name) else None
        limit = LoginLimit(self.database)
        limit.begin(name, address, self.clock())
        if not matches(known, password):
            if known is not None:
                Audit(self.database).note(Actor(name, "console", address), "login_failed")
            raise NotLoggedIn("name or password is wrong")
        limit.succeeded(name, address)
        if known is not None and outdated(known):
            self.people.change(name, password_hash=hash_password(password))

    def link_target(self, key: str) -> LinkTarget:
        """What a link does, without using it up."""
        found = self.links.find(key, self.clock())
        if found is None or (found[0] is None and self.people.any()):
            raise NotLoggedIn("this link has been used, or is too old", remedy=Action("print_login_link"))
        return LinkTarget(None if found[0] is None else self.people.get(found[0]))

    def by_link(self, key: str, browser: Browser) -> Opened:
        """Log in the person whom the link is for, and use it up."""
        person = self.link_target(key).person
        if person is None or person.disabled or not self.links.use(key, self.clock()):
            raise NotLoggedIn("this link cannot be used")
        return self._open(person.name, "link", browser)

    def first(self, key: str, name: str, password: str | None, browser: Browser, display_name: str = "") -> Opened:
        """Add the first person, an administrator, by a link for that, and log in. Without a password, on this machine.

        Raises InputRejected for an invalid name or password; the link can then be used again.
        """
        if self.link_target(key).person is not None:
            raise NotLoggedIn("this link is not for the first person")
        name = checked_person(name.strip().lower())
        row = {
            "name": name,
            "display_name": checked_line(display_name or name, "display name", LONGEST_DISPLAY_NAME),
            "role": "admin",
            "password_hash": None if password is None else hash_password(password),
            "subject": None,
            "created_at": self.clock(),
            "disabled_at": None,
        }
        if not self.links.use(key, self.clock()):
            raise NotLoggedIn("this link has been used")
        self.people.add(row, first=True)
        Audit(self.database).note(Actor(name, "console", browser.address), "person_add", name=name, role="admin")
        return self._open(name, "link", browser)

    def by_provider(self, vouched: Vouched, browser: Browser) -> Opened:
        """Log in somebody whom an OpenID provider vouches for. A new one is added, with the role viewer by default.

        A subject is known by itself: its name may change, and is never taken for a person that is there already.
        """
        person = self.people.find(subject=vouched.subject)
        if person is None:
            person = self._add(vouched)
        return self._open(self._let_in(person, vouched).name, "oidc", browser)

    def by_proxy(self, vouched: Vouched) -> Identity:
        """Who a trusted proxy says the sender of a request is: whoever it calls anna is anna."""
        person = self.people.find(vouched.name) or self._add(vouched)
        person = self._let_in(person, vouched)
        return Identity(person.name, person.display_name, person.role)

    def _add(self, vouched: Vouched) -> Person:
        row = {
            "name": checked_person(vouched.name),
            "display_name": checked_line(vouched.display_name or vouched.name, "display name", LONGEST_DISPLAY_NAME),
            "role": vouched.role or "viewer",
            "password_hash": None,
            "subject": vouched.subject,
            "created_at": self.clock(),
            "disabled_at": None,
        }
        try:
            self.people.add(row)
        except ProjectConflict as error:
            if vouched.subject is None:  # two first requests at once
                return self.people.get(vouched.name)
            raise NotLoggedIn(
                f"there is another person {vouched.name} here",
                remedy=Action("connect_person", {"person": vouched.name, "subject": vouched.subject}),
            ) from error
        Audit(self.database).note(Actor(vouched.name, "console", ""), "person_add", name=vouched.name, role=row["role"])
        return self.people.get(vouched.name)

    def _let_in(self, person: Person, vouched: Vouched) -> Person:
        if person.disabled:
            raise NotLoggedIn(f"{person.name} is disabled", remedy="Ask an administrator")
        if vouched.role is None or vouched.role == person.role:
            return person
        try:
            self.people.change(person.name, role=vouched.role)
        except ProjectConflict:  # the last administrator stays one, whatever others say
            return person
        Audit(self.database).note(Actor(person.name, "console", ""), "person_role", name=person.name, role=vouched.role)
        return self.people.get(person.name)

    def log_out(self, identity: Identity, address: str) -> None:
        """End the session of this identity."""
        if identity.session is not None:
            self.sessions.end(self.clock(), identity.session)
            Audit(self.database).note(Actor(identity.person, "console", address), "logout")

    def _open(self, person: str, method: Method, browser: Browser) -> Opened:
        opened = self.sessions.open(person, method, browser.address, browser.user_agent, self.clock())
        Audit(self.database).note(Actor(person, "console", browser.address), "login", method=method)
        return opened
