"""`winslow user | session | token | login-link | owner`: who may log in, and act on what."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from winslow_dagster.cli.opening import open_installation
from winslow_dagster.cli.output import json_option, print_json, print_line, print_table, say
from winslow_dagster.cli.streams import hidden_text

if TYPE_CHECKING:
    from winslow_dagster.projects.accounts.model import Person
    from winslow_dagster.projects.domain.actor import Role

role_type = click.Choice(("viewer", "operator", "admin"))


def show_person(person: Person, text: str, *, as_json: bool) -> None:
    """What became of a person."""
    if as_json:
        print_json(person.model_dump(mode="json"))
    else:
        say(text)


@click.group("user")
def user() -> None:
    """Manage the people who may log in: viewers see everything, operators act on projects, admins manage people.

    Where a command prints a person, --json gives {name, display_name, role, groups, has_password, subject, created_at,
    disabled_at, disabled}.
    """


@user.command("add")
@click.argument("name")
@click.option("--display-name", default="", help="Name shown on pages.  [default: NAME]")
@click.option("--role", type=role_type, default="viewer", show_default=True, help="What the person may do.")
@click.option("--no-password", is_flag=True, help="Ask for no password: the person logs in by a link.")
@json_option
def add(name: str, display_name: str, role: Role, *, no_password: bool, as_json: bool) -> None:
    """Add the person NAME. The password is asked for on a terminal, or read from stdin.

    With --json, the person.
    """
    password = None if no_password else hidden_text("password")
    with open_installation() as winslow:
        person = winslow.accounts.add(name, display_name=display_name, role=role, password=password)
    show_person(person, f"added {name}, {role}", as_json=as_json)


@user.command("list")
@json_option
def list_people(*, as_json: bool) -> None:
    """List all people.

    With --json, {"people": [person, …]}.
    """
    with open_installation() as winslow:
        people = winslow.accounts.people()
    if as_json:
        print_json({"people": [each.model_dump(mode="json") for each in people]})
        return
    print_table(
        ("name", "display name", "role", "groups", "log-in"),
        [(each.name, each.display_name, each.role, ", ".join(each.groups), how_to_log_in(each)) for each in people],
    )


def how_to_log_in(person: Person) -> str:
    """The ways in that a person has."""
    if person.disabled:
        return "disabled"
    ways = (("password", person.has_password), ("OpenID", person.subject is not None))
    return ", ".join(way for way, has in ways if has) or "link"


@user.command("role")
@click.argument("name")
@click.argument("role", type=role_type)
@json_option
def role(name: str, role: Role, *, as_json: bool) -> None:
    """Give the person NAME another role. The last admin stays one.

    With --json, the person.
    """
    with open_installation() as winslow:
        person = winslow.accounts.set_role(name, role)
    show_person(person, f"{name} is {role} now", as_json=as_json)


@user.command("disable")
@click.argument("name")
@json_option
def disable(name: str, *, as_json: bool) -> None:
    """Log NAME out everywhere, and keep the person and all his tokens out.

    With --json, the person.
    """
    with open_installation() as winslow:
        person = winslow.accounts.disable(name)
    show_person(person, f"{name} is disabled", as_json=as_json)


@user.command("enable")
@click.argument("name")
@json_option
def enable(name: str, *, as_json: bool) -> None:
    """Let NAME in again.

    With --json, the person.
    """
    with open_installation() as winslow:
        person = winslow.accounts.enable(name)
    show_person(person, f"{name} may log in again", as_json=as_json)


@user.command("password")
@click.argument("name")
@json_option
def password(name: str, *, as_json: bool) -> None:
    """Set the password of NAME, and log the person out everywhere. It is asked for, or read from stdin.

    With --json, the person.
    """
    text = hidden_text("password")
    with open_installation() as winslow:
        winslow.accounts.set_password(name, text)
        person = winslow.accounts.person(name)
    show_person(person, f"{name} has a new password", as_json=as_json)


@user.command("group")
@click.argument("name")
@click.argument("groups", nargs=-1)
@json_option
def group(name: str, groups: tuple[str, ...], *, as_json: bool) -> None:
    """Put NAME into exactly these GROUPS, without any into none. A group is created with its first member.

    With --json, the person.
    """
    with open_installation() as winslow:
        person = winslow.accounts.set_groups(name, groups)
    show_person(person, f"groups of {name}: {', '.join(person.groups) or 'none'}", as_json=as_json)


@user.command("subject")
@click.argument("name")
@click.argument("subject", required=False)
@json_option
def subject(name: str, subject: str | None, *, as_json: bool) -> None:
    """Let SUBJECT of the OpenID provider ("ISSUER ID") log in as NAME; without SUBJECT, nobody.

    With --json, the person.
    """
    with open_installation() as winslow:
        person = winslow.accounts.set_subject(name, subject)
    show_person(person, f"{subject or 'nobody'} of the OpenID provider is {name}", as_json=as_json)


@click.group("session")
def session() -> None:
    """Manage log-ins: one for each browser of each person."""


@session.command("list")
@click.argument("person", required=False)
@json_option
def list_sessions(person: str | None, *, as_json: bool) -> None:
    """List the log-ins of PERSON, or of all.

    With --json, {"sessions": [{id, person, method, address, user_agent, created_at, seen_at, expires_at}, …]}.
    """
    from winslow_dagster.formatting import format_time

    with open_installation() as winslow:
        sessions = winslow.accounts.sessions(person)
    if as_json:
        print_json({"sessions": [each.model_dump(mode="json") for each in sessions]})
        return
    print_table(
        ("id", "person", "by", "from", "browser", "logged in", "last seen"),
        [
            (
                str(each.id),
                each.person,
                each.method,
                each.address,
                each.user_agent,
                format_time(each.created_at),
                format_time(each.seen_at),
            )
            for each in sessions
        ],
    )


@session.command("revoke")
@click.argument("number", type=int, metavar="ID")
@json_option
def revoke_session(number: int, *, as_json: bool) -> None:
    """Log the browser of the session ID out.

    With --json, the session.
    """
    with open_installation() as winslow:
        ended = winslow.accounts.end_session(number)
    if as_json:
        print_json(ended.model_dump(mode="json"))
    else:
        say(f"session {number} of {ended.person} has ended")


@click.group("token")
def token() -> None:
    """Manage tokens: keys of programs, sent as `Authorization: Bearer KEY`.

    Where a command prints a token, --json gives {id, person, label, role, created_at, expires_at, used_at, used_from}.
    """


@token.command("create")
@click.argument("person")
@click.argument("label")
@click.option("--role", type=role_type, help="What the token may do at most.  [default: the person's role]")
@click.option("--days", type=float, help="Days until it expires.  [default: never]")
@json_option
def create_token(person: str, label: str, role: Role | None, days: float | None, *, as_json: bool) -> None:
    """Create a token that acts as PERSON, and print its key, which cannot be shown again. LABEL says what it is for.

    With --json, {"token": token, "key": KEY}.
    """
    with open_installation() as winslow:
        new = winslow.accounts.create_token(person, label, role=role, days=days)
    if as_json:
        print_json(new.model_dump(mode="json"))
    else:
        say(f"token {new.token.id} of {person}, {new.token.role}; this is the only time that its key is shown:")
        print_line(new.key)


@token.command("list")
@click.argument("person", required=False)
@json_option
def list_tokens(person: str | None, *, as_json: bool) -> None:
    """List the tokens of PERSON, or of all.

    With --json, {"tokens": [token, …]}.
    """
    from winslow_dagster.formatting import format_time

    with open_installation() as winslow:
        tokens = winslow.accounts.tokens(person)
    if as_json:
        print_json({"tokens": [each.model_dump(mode="json") for each in tokens]})
        return
    print_table(
        ("id", "person", "label", "role", "created", "expires", "last used", "from"),
        [
            (
                str(each.id),
                each.person,
                each.label,
                each.role,
                format_time(each.created_at),
                "never" if each.expires_at is None else format_time(each.expires_at),
                "never" if each.used_at is None else format_time(each.used_at),
                each.used_from,
            )
            for each in tokens
        ],
    )


@token.command("revoke")
@click.argument("number", type=int, metavar="ID")
@json_option
def revoke_token(number: int, *, as_json: bool) -> None:
    """Delete the token ID.

    With --json, the token.
    """
    with open_installation() as winslow:
        revoked = winslow.accounts.revoke_token(number)
    if as_json:
        print_json(revoked.model_dump(mode="json"))
    else:
        say(f"token {number} of {revoked.person} is revoked")


@click.command("login-link")
@click.argument("person", required=False)
@json_option
def login_link(person: str | None, *, as_json: bool) -> None:
    """Print an address that logs PERSON in once, within a day; as long as there is nobody, the first admin.

    Without PERSON, it is for you, or else for the only admin. With --json, {"address"}.
    """
    from winslow_dagster.projects.accounts.tokens import link_address

    with open_installation() as winslow:
        key = winslow.accounts.login_link(person)
        address = link_address(winslow.context.resources.services.address, key)
    if as_json:
        print_json({"address": address})
    else:
        print_line(address)


@click.command("owner")
@click.argument("project")
@click.option("--to", "owner", help="The new owner.")
@click.option("--group", help="The group whose members may act on it.")
@click.option("--no-group", is_flag=True, help="Let every operator act on it.")
@json_option
def owner(project: str, owner: str | None, group: str | None, *, no_group: bool, as_json: bool) -> None:
    """Show or change who may act on PROJECT: its owner and the members of its group; without a group, every operator.

    With --json, {"owner", "group"}.
    """
    from winslow_dagster.errors import UsageError

    if group is not None and no_group:
        raise UsageError("--group and --no-group exclude each other")
    with open_installation() as winslow:
        handle = winslow.project(project)
        changes = owner is not None or group is not None or no_group
        found = handle.give(owner, group="" if no_group else group) if changes else handle.owner()
    if as_json:
        print_json(found._asdict())
    else:
        print_line(f"owner {found.owner}, group {found.group or 'none: every operator may act on it'}")
