"""Logging in and out: passwords, sessions, tokens and links, and what slows guessing down."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from account_clock import PASSWORD, Clock, acting
from sqlalchemy import text

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, NotFound, NotLoggedIn, ProjectConflict, TooManyTries
from winslow_dagster.projects.accounts.login import Browser, Vouched
from winslow_dagster.projects.accounts.login_limit import FREE_TRIES, FREE_TRIES_OF_ADDRESS
from winslow_dagster.projects.accounts.service import AccountService
from winslow_dagster.projects.installation import Installation

OFFICE = Browser("10.0.0.7", "Firefox")
ELSEWHERE = Browser("203.0.113.9", "curl")


@pytest.fixture
def anna(accounts: AccountService) -> AccountService:
    accounts.add("anna", role="admin", password=PASSWORD)
    return accounts


def guess(accounts: AccountService, browser: Browser, name: str = "anna") -> None:
    with pytest.raises(NotLoggedIn) as caught:
        accounts.login.by_password(name, "wrong password", browser)
    assert not isinstance(caught.value, TooManyTries)


def test_name_and_password_open_a_session_whose_key_is_stored_nowhere(
    anna: AccountService, installation: Installation
) -> None:
    session, key = anna.login.by_password(" Anna ", PASSWORD, OFFICE)
    assert (session.person, session.method, session.address, session.user_agent) == (
        "anna",
        "password",
        "10.0.0.7",
        "Firefox",
    )
    identity = anna.login.session(key)
    assert identity is not None
    assert (identity.person, identity.role, identity.session) == ("anna", "admin", session.id)
    with installation.context.records.database.reading() as connection:
        row = connection.execute(text("SELECT * FROM winslow_sessions")).mappings().one()
    assert key not in str(dict(row))
    assert [entry.action for entry in installation.audit()] == ["login", "person_add"]


@pytest.mark.parametrize(
    ("name", "password"),
    [("anna", "wrong password"), ("eve", PASSWORD), ("", ""), ("a\0", "\0"), ("anna", "x" * 10**6)],
)
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(anna: AccountService, name: str, password: str) -> None:
    with pytest.raises(NotLoggedIn, match=r"^name or password is wrong$"):
        anna.login.by_password(name, password, OFFICE)


def test_a_key_with_any_other_character_is_nobodys(anna: AccountService) -> None:
    _, key = anna.login.by_password("anna", PASSWORD, OFFICE)
    for wrong in ("", key[:-1], key + "A", key.swapcase(), "\0", "\ud800", "' OR 1=1 --"):
        assert anna.login.session(wrong) is None
        assert anna.login.token(wrong, "") is None


def test_logging_out_ends_the_session_for_good(anna: AccountService) -> None:
    _, key = anna.login.by_password("anna", PASSWORD, OFFICE)
    identity = anna.login.session(key)
    assert identity is not None
    anna.login.log_out(identity, OFFICE.address)
    assert anna.login.session(key) is None
    assert anna.sessions() == ()


def test_a_session_expires_unless_it_is_used(anna: AccountService, clock: Clock) -> None:
    _, used = anna.login.by_password("anna", PASSWORD, OFFICE)
    _, unused = anna.login.by_password("anna", PASSWORD, OFFICE)
    clock.pass_(days=29)
    assert anna.login.session(used) is not None
    clock.pass_(days=2)
    assert anna.login.session(unused) is None
    assert anna.login.session(used) is not None
    (session,) = anna.sessions("anna")
    assert session.seen_at == clock.now


def test_a_revoked_session_and_those_of_a_disabled_person_are_worth_nothing(anna: AccountService) -> None:
    anna.add("ben", password=PASSWORD)
    first, second = (anna.login.by_password("ben", PASSWORD, OFFICE) for _ in range(2))
    anna.end_session(first.session.id)
    assert anna.login.session(first.key) is None
    assert anna.login.session(second.key) is not None
    token = anna.create_token("ben", "script")
    anna.disable("ben")
    assert anna.login.session(second.key) is None
    assert anna.login.token(token.key, "") is None
    guess(anna, OFFICE, "ben")
    anna.enable("ben")
    assert anna.login.session(second.key) is None
    assert anna.login.token(token.key, "") is not None
    with pytest.raises(NotFound):
        anna.end_session(10_000)


def test_a_new_password_ends_all_other_sessions(anna: AccountService, installation: Installation) -> None:
    kept, lost = (anna.login.by_password("anna", PASSWORD, OFFICE) for _ in range(2))
    own = acting(installation, "anna", "admin").accounts
    with pytest.raises(NotLoggedIn):
        own.set_password("anna", "another password", current="wrong password", session=kept.session.id)
    own.set_password("anna", "another password", current=PASSWORD, session=kept.session.id)
    assert anna.login.session(kept.key) is not None
    assert anna.login.session(lost.key) is None
    guess(anna, ELSEWHERE)
    anna.login.by_password("anna", "another password", OFFICE)


def test_after_some_wrong_passwords_each_further_try_waits_longer_but_never_more_than_a_minute(
    anna: AccountService, clock: Clock
) -> None:
    for _ in range(FREE_TRIES):
        guess(anna, ELSEWHERE)
    waits = []
    for _ in range(10):
        with pytest.raises(TooManyTries) as caught:
            anna.login.by_password("anna", PASSWORD, ELSEWHERE)
        waits.append(caught.value.wait_s)
        clock.pass_(seconds=caught.value.wait_s)
        guess(anna, ELSEWHERE)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_guesses_from_elsewhere_do_not_make_the_person_wait_at_a_known_address(
    anna: AccountService, clock: Clock
) -> None:
    opened = anna.login.by_password("anna", PASSWORD, OFFICE)
    anna.end_session(opened.session.id)
    for _ in range(FREE_TRIES):
        guess(anna, ELSEWHERE)
    with pytest.raises(TooManyTries):
        anna.login.by_password("anna", PASSWORD, Browser("198.51.100.1"))
    anna.login.by_password("anna", PASSWORD, OFFICE)
    clock.pass_(seconds=60)
    anna.login.by_password("anna", PASSWORD, Browser("198.51.100.1"))


def test_one_address_that_tries_many_names_has_to_wait(anna: AccountService) -> None:
    for number in range(FREE_TRIES_OF_ADDRESS):
        guess(anna, ELSEWHERE, f"person-{number}")
    with pytest.raises(TooManyTries):
        anna.login.by_password("anna", PASSWORD, ELSEWHERE)
    anna.login.by_password("anna", PASSWORD, OFFICE)


def test_many_guesses_at_once_are_no_way_around_the_limit(anna: AccountService) -> None:
    def attempt(number: int) -> type[Exception]:
        try:
            anna.login.by_password("anna", f"wrong password {number}", ELSEWHERE)
        except NotLoggedIn as error:
            return type(error)
        raise AssertionError

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(attempt, range(24)))
    assert outcomes.count(NotLoggedIn) == FREE_TRIES


def test_a_token_acts_as_its_person_with_at_most_its_role(anna: AccountService, clock: Clock) -> None:
    viewing = anna.create_token("anna", "dashboard", role="viewer", days=7)
    full = anna.create_token("anna", "backup")
    assert viewing.key != full.key
    identity = anna.login.token(viewing.key, "10.0.0.9")
    assert identity is not None
    assert (identity.person, identity.role, identity.token) == ("anna", "viewer", viewing.token.id)
    assert [(each.label, each.used_from) for each in anna.tokens("anna")] == [("backup", ""), ("dashboard", "10.0.0.9")]
    anna.add("ben", role="admin")
    anna.set_role("anna", "operator")
    lessened = anna.login.token(full.key, "")
    assert lessened is not None
    assert lessened.role == "operator"
    clock.pass_(days=8)
    assert anna.login.token(viewing.key, "") is None
    anna.revoke_token(full.token.id)
    assert anna.login.token(full.key, "") is None


@pytest.mark.parametrize("days", [0, -1, 4000, float("nan"), float("inf")])
def test_a_token_that_would_never_or_always_be_expired_is_refused(anna: AccountService, days: float) -> None:
    with pytest.raises(InputRejected, match="more than 0"):
        anna.create_token("anna", "script", days=days)


def test_the_first_link_makes_the_first_administrator_and_works_once(accounts: AccountService) -> None:
    link, other = accounts.login_link(), accounts.login_link()
    assert accounts.entry_link() is not None
    assert accounts.login.link_target(link).person is None
    with pytest.raises(InputRejected):
        accounts.login.first(link, "anna", "short", OFFICE)
    opened = accounts.login.first(link, "Anna", None, OFFICE)
    identity = accounts.login.session(opened.key)
    assert identity is not None
    assert (identity.person, identity.role) == ("anna", "admin")
    again = accounts.entry_link()
    assert again is not None
    assert accounts.login.by_link(again, OFFICE).session.person == "anna"
    for used in (link, other, "", "x"):
        with pytest.raises(NotLoggedIn):
            accounts.login.first(used, "eve", PASSWORD, ELSEWHERE)
    assert [each.name for each in accounts.people()] == ["anna"]
    accounts.set_password("anna", PASSWORD)
    assert accounts.entry_link() is None


def test_a_link_logs_one_person_in_once_within_a_day(anna: AccountService, clock: Clock) -> None:
    link = anna.login_link("anna")
    assert anna.login.by_link(link, OFFICE).session.method == "link"
    with pytest.raises(NotLoggedIn):
        anna.login.by_link(link, OFFICE)
    late = anna.login_link()
    clock.pass_(hours=25)
    with pytest.raises(NotLoggedIn) as too_late:
        anna.login.by_link(late, OFFICE)
    assert too_late.value.action == Action("print_login_link")
    anna.add("ben")
    disabled = anna.login_link("ben")
    anna.disable("ben")
    with pytest.raises(NotLoggedIn):
        anna.login.by_link(disabled, OFFICE)


def test_two_browsers_with_one_link_do_not_both_get_in(anna: AccountService) -> None:
    link = anna.login_link("anna")

    def follow(_: int) -> bool:
        try:
            anna.login.by_link(link, OFFICE)
        except NotLoggedIn:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(follow, range(8))).count(True) == 1


def test_a_provider_adds_unknown_people_as_viewers_and_never_takes_a_name_that_is_there(anna: AccountService) -> None:
    ben = Vouched("ben", "Ben B.", "https://id.example 17")
    identity = anna.login.session(anna.login.by_provider(ben, OFFICE).key)
    assert identity is not None
    assert (identity.person, identity.role) == ("ben", "viewer")
    renamed = Vouched("benjamin", "Ben B.", "https://id.example 17", "operator")
    identity = anna.login.session(anna.login.by_provider(renamed, OFFICE).key)
    assert identity is not None
    assert (identity.person, identity.role) == ("ben", "operator")
    with pytest.raises(NotLoggedIn, match="another person anna"):
        anna.login.by_provider(Vouched("anna", "", "https://id.example 18", "admin"), OFFICE)
    anna.set_subject("anna", "https://id.example 18")
    assert anna.login.by_provider(Vouched("anna", "", "https://id.example 18"), OFFICE).session.person == "anna"
    with pytest.raises(ProjectConflict):
        anna.set_subject("ben", "https://id.example 18")


def test_what_a_provider_says_does_not_take_the_last_administrator_away(anna: AccountService) -> None:
    anna.set_subject("anna", "https://id.example 18")
    opened = anna.login.by_provider(Vouched("anna", "", "https://id.example 18", "viewer"), OFFICE)
    identity = anna.login.session(opened.key)
    assert identity is not None
    assert identity.role == "admin"


def test_a_person_whom_a_proxy_names_is_that_person_unless_disabled(anna: AccountService) -> None:
    assert anna.login.by_proxy(Vouched("anna")).role == "admin"
    assert anna.login.by_proxy(Vouched("ben", "Ben")).role == "viewer"
    anna.disable("ben")
    with pytest.raises(NotLoggedIn, match="disabled"):
        anna.login.by_proxy(Vouched("ben"))
    with pytest.raises(InputRejected):
        anna.login.by_proxy(Vouched("../ben"))
