"""People, roles and groups, and that somebody always remains who can manage them."""

from __future__ import annotations

import threading

import pytest
from account_clock import PASSWORD, acting

from winslow_dagster.errors import Forbidden, InputRejected, NotFound, ProjectConflict, WinslowError
from winslow_dagster.projects.accounts.service import AccountService
from winslow_dagster.projects.installation import Installation

HOSTILE = ["", " ", "Anna", "a b", "../x", "<b>", "a\0b", "a" * 64, "-x", "ünal", "a\n", "a'--", "{{7*7}}", "%00"]


def test_a_person_is_added_with_a_role_and_no_secret_is_shown_or_audited(
    accounts: AccountService, installation: Installation
) -> None:
    added = accounts.add("anna", display_name="Anna Maier", role="operator", password=PASSWORD)
    assert (added.display_name, added.role, added.has_password, added.disabled) == (
        "Anna Maier",
        "operator",
        True,
        False,
    )
    assert accounts.people() == (added,)
    (entry,) = installation.audit()
    assert (entry.who, entry.action, entry.details) == ("root", "person_add", {"name": "anna", "role": "operator"})
    with installation.context.records.database.reading() as connection:
        from sqlalchemy import text

        stored = connection.execute(text("SELECT * FROM winslow_people")).mappings().one()
    assert stored["password_hash"].startswith("$argon2id$")
    assert PASSWORD not in str(dict(stored))


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_is_not_a_plain_word_is_refused(accounts: AccountService, name: str) -> None:
    with pytest.raises(InputRejected):
        accounts.add(name, password=PASSWORD)
    accounts.add("anna")
    with pytest.raises(InputRejected):
        accounts.set_groups("anna", [name])


@pytest.mark.parametrize("display_name", ["x\x1b[31m", "a\u202eb", "a" * 101, "a\nb"])
def test_a_display_name_has_no_control_characters(accounts: AccountService, display_name: str) -> None:
    with pytest.raises(InputRejected):
        accounts.add("anna", display_name=display_name)


@pytest.mark.parametrize("password", ["", "short", "a" * 201])
def test_a_password_that_is_too_short_or_too_long_is_refused(accounts: AccountService, password: str) -> None:
    with pytest.raises(InputRejected, match="10 to 200"):
        accounts.add("anna", password=password)


def test_a_name_is_given_once(accounts: AccountService) -> None:
    accounts.add("anna")
    with pytest.raises(ProjectConflict, match="there is a person 'anna' already"):
        accounts.add("anna")


def test_the_last_administrator_stays_one(accounts: AccountService) -> None:
    accounts.add("anna", role="admin")
    accounts.add("ben", role="operator")
    with pytest.raises(ProjectConflict, match="last administrator"):
        accounts.set_role("anna", "operator")
    with pytest.raises(ProjectConflict, match="last administrator"):
        accounts.disable("anna")
    accounts.set_role("ben", "admin")
    accounts.disable("anna")
    with pytest.raises(ProjectConflict, match="last administrator"):
        accounts.set_role("ben", "viewer")
    accounts.enable("anna")
    assert accounts.set_role("ben", "viewer").role == "viewer"


def test_two_administrators_who_remove_each_other_at_once_do_not_both_succeed(accounts: AccountService) -> None:
    for _ in range(5):
        for name in ("anna", "ben"):
            if name in {each.name for each in accounts.people()}:
                accounts.set_role(name, "admin")
            else:
                accounts.add(name, role="admin")
        start, failures = threading.Barrier(2), []

        def remove(name: str, start: threading.Barrier = start, failures: list[str] = failures) -> None:
            start.wait()
            try:
                accounts.set_role(name, "viewer")
            except ProjectConflict:
                failures.append(name)

        threads = [threading.Thread(target=remove, args=(name,)) for name in ("anna", "ben")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(failures) == 1
        assert [each.role for each in accounts.people()].count("admin") == 1


def test_only_administrators_manage_people_and_everybody_what_is_his_own(installation: Installation) -> None:
    root = installation.accounts
    for name in ("anna", "ben"):
        root.add(name, role="operator", password=PASSWORD)
    anna = acting(installation, "anna", "operator").accounts
    for refused in (
        lambda: anna.add("eve", role="admin"),
        lambda: anna.set_role("anna", "admin"),
        lambda: anna.disable("ben"),
        lambda: anna.set_groups("anna", ["tracking"]),
        lambda: anna.set_subject("anna", "https://id.example 1"),
        lambda: anna.set_password("ben", PASSWORD),
        lambda: anna.create_token("ben", "theft"),
        anna.sessions,
        lambda: anna.sessions("ben"),
        lambda: anna.end_sessions("ben"),
        lambda: anna.tokens("ben"),
        lambda: anna.login_link("ben"),
        anna.login_link,
    ):
        with pytest.raises(Forbidden):
            refused()
    assert anna.set_display_name("anna", "Anna").display_name == "Anna"
    assert anna.create_token("anna", "script").token.role == "operator"
    with pytest.raises(InputRejected):
        anna.create_token("anna", "script", role="admin")


def test_a_group_is_there_as_long_as_it_has_members(accounts: AccountService) -> None:
    accounts.add("anna")
    accounts.add("ben")
    accounts.set_groups("anna", ["tracking", "ulm"])
    accounts.set_groups("ben", ["ulm"])
    assert [(group.name, group.members) for group in accounts.groups()] == [
        ("tracking", ("anna",)),
        ("ulm", ("anna", "ben")),
    ]
    assert accounts.set_groups("anna", []).groups == ()
    assert [group.name for group in accounts.groups()] == ["ulm"]


def test_an_unknown_person_is_named_in_the_error(accounts: AccountService) -> None:
    for call in (accounts.person, accounts.disable, accounts.login_link, accounts.end_sessions):
        with pytest.raises((NotFound, WinslowError), match="no person 'nobody'"):
            call("nobody")
