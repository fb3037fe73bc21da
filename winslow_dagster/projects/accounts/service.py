"""What people and administrators can do with accounts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from winslow_dagster.errors import Forbidden, InputRejected
from winslow_dagster.projects.accounts.keys import hash_password
from winslow_dagster.projects.accounts.login import Login
from winslow_dagster.projects.accounts.model import (
    LONGEST_DISPLAY_NAME,
    LONGEST_LABEL,
    Group,
    NewToken,
    Person,
    Session,
    Token,
    checked_line,
    checked_person,
)
from winslow_dagster.projects.accounts.people import People
from winslow_dagster.projects.accounts.sessions import Sessions
from winslow_dagster.projects.accounts.tokens import LoginLinks, Tokens
from winslow_dagster.projects.database.audit import Audit
from winslow_dagster.projects.database.engine import Database
from winslow_dagster.projects.domain.actor import Actor, Role, at_least
from winslow_dagster.settings import Settings

LINK_VALID_FOR = timedelta(hours=24)
LONGEST_TOKEN_DAYS = 3650


class AccountService:
    """People, groups, sessions and tokens of one installation, for an actor.

    Everybody may look after what is his own; the rest is for administrators. Every act is in the audit trail. Methods
    raise Forbidden, NotFound, InputRejected and ProjectConflict.
    """

    def __init__(self, database: Database, settings: Settings, actor: Actor, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._settings = settings
        self._actor = actor
        self._clock = clock
        self._people = People(database)
        self._sessions = Sessions(database, timedelta(days=settings.access.session_days))
        self._tokens = Tokens(database)
        self._links = LoginLinks(database)

    @property
    def login(self) -> Login:
        """The ways to log in."""
        return Login(self._database, self._people, self._sessions, self._tokens, self._links, self._clock)

    # people

    def people(self) -> tuple[Person, ...]:
        """All people, by name. Everybody may see them: projects name them."""
        return self._people.all()

    def anybody(self) -> bool:
        """Whether there is a person."""
        return self._people.any()

    def person(self, name: str) -> Person:
        """One person. Raises NotFound."""
        return self._people.get(name)

    def groups(self) -> tuple[Group, ...]:
        """All groups with their members, by name."""
        return self._people.groups()

    def add(self, name: str, *, display_name: str = "", role: Role = "viewer", password: str | None = None) -> Person:
        """Add a person. Without a password, the person logs in by a link or through an OpenID provider."""
        self._actor.require("admin")
        row = {
            "name": checked_person(name),
            "display_name": checked_line(display_name or name, "display name", LONGEST_DISPLAY_NAME),
            "role": role,
            "password_hash": None if password is None else hash_password(password),
            "subject": None,
            "created_at": self._clock(),
            "disabled_at": None,
        }
        self._people.add(row)
        self._note("person_add", name=name, role=role)
        return self.person(name)

    def set_role(self, name: str, role: Role) -> Person:
        """Give a person another role. Raises ProjectConflict if no administrator would be left."""
        self._actor.require("admin")
        self._people.change(name, role=role)
        self._note("person_role", name=name, role=role)
        return self.person(name)

    def disable(self, name: str) -> Person:
        """Log a person out everywhere, and keep him and his tokens out. Raises ProjectConflict for the last admin."""
        self._actor.require("admin")
        self._people.change(name, disabled_at=self._clock())
        self._sessions.end(self._clock(), person=name)
        self._note("person_disable", name=name)
        return self.person(name)

    def enable(self, name: str) -> Person:
        """Let a disabled person in again."""
        self._actor.require("admin")
        self._people.change(name, disabled_at=None)
        self._note("person_enable", name=name)
        return self.person(name)

    def set_display_name(self, name: str, display_name: str) -> Person:
        """Change how a person is called on pages."""
        self._require_own(name)
        self._people.change(name, display_name=checked_line(display_name, "display name", LONGEST_DISPLAY_NAME))
        self._note("person_display_name", name=name)
        return self.person(name)

    def set_password(self, name: str, password: str, *, current: str | None = None, session: int | None = None) -> None:
        """Change a password, and log the person out everywhere but in `session`.

        Whoever changes his own password through a page has to know the current one, if there is one.
        """
        self._require_own(name)
        if self._actor.role is not None and self._actor.who == name and self.person(name).has_password:
            self.login.require_password(name, current or "", self._actor.host)
        self._people.change(name, password_hash=hash_password(password))
        self._sessions.end(self._clock(), person=name, but=session)
        self._note("person_password", name=name)

    def set_groups(self, name: str, groups: Iterable[str]) -> Person:
        """Replace the groups of a person. A group exists as long as it has members or projects."""
        self._actor.require("admin")
        wanted = sorted({checked_person(group, "name of a group") for group in groups})
        self._people.set_groups(name, wanted, self._clock())
        self._note("person_groups", name=name, groups=wanted)
        return self.person(name)

    def set_subject(self, name: str, subject: str | None) -> Person:
        """Let the OpenID provider's subject (`issuer subject`) log in as this person; None undoes it."""
        self._actor.require("admin")
        if subject is not None and (len(subject) > 500 or not subject.isprintable()):  # noqa: PLR2004  # the column's
            raise InputRejected("the subject is not valid", expected="the issuer and the subject, with a space between")
        self._people.change(name, subject=subject)
        self._note("person_subject", name=name, subject=subject)
        return self.person(name)

    # links

    def login_link(self, person: str | None = None) -> str:
        """The key of a link that logs a person in once; as long as there is nobody, the first one.

        Without a name, for the actor, or for the only administrator.
        """
        self._actor.require("admin")
        if person is None and self._people.any():
            admins = [each.name for each in self.people() if each.role == "admin" and not each.disabled]
            own = self._actor.who in {each.name for each in self.people() if not each.disabled}
            if not own and len(admins) != 1:
                raise InputRejected(
                    "the link needs a person", expected=f"a name, such as {admins[0]}" if admins else "a name"
                )
            person = self._actor.who if own else admins[0]
        if person is not None and self.person(person).disabled:
            raise InputRejected(f"{person} is disabled", remedy="Enable the person first")
        now = self._clock()
        key = self._links.create(person, now + LINK_VALID_FOR, now)
        self._note("login_link", name=person)
        return key

    def entry_link(self) -> str | None:
        """The key of a link for whoever starts the services; None if somebody can log in by other means.

        It is for the first person as long as there is nobody, otherwise for the actor or the first administrator.
        """
        if self._settings.access.by_proxy or self._people.any_can_prove_identity():
            return None
        people = {each.name: each for each in self.people() if not each.disabled}
        admins = [name for name, each in people.items() if each.role == "admin"]
        if people and not admins:
            return None
        own = self._actor.who if self._actor.who in people else None
        return self.login_link(own or next(iter(admins), None))

    # sessions and tokens

    def sessions(self, person: str | None = None) -> tuple[Session, ...]:
        """The browsers that are logged in: of one person, or of all."""
        if person is None:
            self._actor.require("admin")
        else:
            self._require_own(person)
        return self._sessions.list(self._clock(), person)

    def end_session(self, number: int) -> Session:
        """Log a browser out. Raises NotFound."""
        session = self._sessions.get(number)
        self._require_own(session.person)
        self._sessions.end(self._clock(), number)
        self._note("session_end", name=session.person, session=number)
        return session

    def end_sessions(self, person: str, *, but: int | None = None) -> int:
        """Log a person out everywhere, or everywhere but in one session. Returns how many sessions ended."""
        self._require_own(person)
        ended = self._sessions.end(self._clock(), person=self.person(person).name, but=but)
        self._note("session_end", name=person, sessions=ended)
        return ended

    def tokens(self, person: str | None = None) -> tuple[Token, ...]:
        """The tokens of one person, or of all."""
        if person is None:
            self._actor.require("admin")
        else:
            self._require_own(person)
        return self._tokens.list(person)

    def create_token(self, person: str, label: str, *, role: Role | None = None, days: float | None = None) -> NewToken:
        """A token for a program that acts as the person, with at most `role`, for so many days or for ever."""
        self._require_own(person)
        owner = self.person(person)
        role = role or owner.role
        if not at_least(owner.role, role):
            raise InputRejected(f"{person} is a {owner.role}", where="role", expected=f"at most {owner.role}")
        if days is not None and not 0 < days <= LONGEST_TOKEN_DAYS:
            raise InputRejected(f"{days:g} days", where="expiry", expected=f"more than 0, at most {LONGEST_TOKEN_DAYS}")
        now = self._clock()
        expires_at = None if days is None else now + timedelta(days=days)
        new = self._tokens.create(person, checked_line(label, "label", LONGEST_LABEL), role, expires_at, now)
        self._note("token_create", name=person, token=new.token.id, label=new.token.label, role=role)
        return new

    def revoke_token(self, number: int) -> Token:
        """Delete a token. Raises NotFound."""
        token = self._tokens.get(number)
        self._require_own(token.person)
        self._tokens.delete(number)
        self._note("token_revoke", name=token.person, token=number, label=token.label)
        return token

    def _require_own(self, person: str) -> None:
        if not self._actor.unlimited and self._actor.who != person:
            raise Forbidden(
                f"this belongs to {person}, not to {self._actor.who}",
                where=f"person {person}",
                remedy="Ask an administrator",
            )

    def _note(self, action: str, **details: Any) -> None:
        Audit(self._database).note(self._actor, action, **details)
