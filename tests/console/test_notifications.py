"""Notifications: a person's own channel, tried from the page, and a question that is answered from a phone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from every_state import photograph
from installation import until
from log_in import log_in
from project_server import Server, running
from receiver import Receiver

from winslow_dagster.client import WinslowClient
from winslow_dagster.errors import Forbidden, ProjectConflict
from winslow_dagster.projects.domain.notifications import Subscription

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = [pytest.mark.slow]

PASSWORD = "correct horse battery"  # of a test
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("notified")) as server:
        server.winslow.accounts.add("anna", role="admin", password=PASSWORD)
        server.winslow.accounts.add("vera", role="viewer", password=PASSWORD)
        yield server


@pytest.mark.chromium
def test_a_person_subscribes_is_told_of_a_question_and_answers_it_from_a_phone(
    browser: Browser, server: Server
) -> None:
    address = server.place.services.address
    with Receiver() as receiver:
        with browser.new_context(base_url=address, viewport={"width": 1280, "height": 800}) as context:
            context.set_default_timeout(60_000)
            context.add_cookies([log_in(server.place.settings, name="anna").of(address)])  # type: ignore[list-item]
            page = context.new_page()
            page.goto("/settings")
            page.get_by_role("link", name="Notifications").click()
            page.get_by_text("You get no messages yet").wait_for()
            adding = page.locator("form", has=page.get_by_role("button", name="Add a channel of mine"))
            adding.get_by_label("Name").fill("phone")
            adding.get_by_label("Address").fill(
                f"json://user:{PASSWORD.replace(' ', '%20')}@127.0.0.1:{receiver.port}/"
            )
            adding.get_by_label("Only my projects").check()
            projects = adding.get_by_label("Only projects that match")
            projects.fill("ow")
            adding.get_by_role("option", name="owner:").click()
            assert projects.input_value() == "owner:", "words are completed as in the list of projects"
            projects.fill("tag:ulm")
            adding.get_by_role("button").click()
            channel = page.locator("#channel-own-phone")
            channel.locator("summary").get_by_text("owner:anna tag:ulm").wait_for()
            channel.locator("summary").click()
            channel.get_by_role("button", name="Send a test message").click()
            page.get_by_text("handed over to anna/phone").wait_for()
            until(lambda: receiver.titles == ["Test message from Winslow"], "the test message arrived", 30)
            assert "horse" not in page.content()
            photograph(page, "notifications-own-desktop")

        server.winslow.run("asking", "without-tag").ended()
        server.winslow.run("asking", "told", tags=["ulm"]).ended()
        until(lambda: "told needs your input" in receiver.titles, "the message about the question arrived", 60)
        text = receiver.messages[-1]["message"]
        link = re.search(r"http\S+", text)
        assert link is not None, text
        assert link[0] == f"{address}/projects/told/questions/choose"

        with browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True) as context:  # type: ignore[arg-type]
            context.set_default_timeout(60_000)
            page = context.new_page()
            page.goto(link[0])
            page.get_by_label("Name").fill("anna")
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Log in").click()
            page.wait_for_url(link[0])
            page.get_by_label("Side").select_option("north")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider"
            photograph(page, "question-from-a-message-phone")
            page.get_by_role("button", name="Answer").click()
            until(lambda: server.state("told") == "succeeded", "the project went on", 120)
        until(lambda: "told finished" in receiver.titles, "the message about its end arrived", 60)
        assert sorted(receiver.titles) == ["Test message from Winslow", "told finished", "told needs your input"]


@pytest.mark.chromium
def test_the_page_says_in_words_why_a_message_was_not_sent(browser: Browser, server: Server) -> None:
    address = server.place.services.address
    with browser.new_context(base_url=address, viewport=PHONE) as context:  # type: ignore[arg-type]
        context.set_default_timeout(60_000)
        context.add_cookies([log_in(server.place.settings, name="anna").of(address)])  # type: ignore[list-item]
        page = context.new_page()
        page.goto("/settings/notifications")
        adding = page.locator("form", has=page.get_by_role("button", name="Add a channel for everybody"))
        adding.get_by_label("Name").fill("nowhere")
        adding.get_by_label("Address").fill("json://127.0.0.1:1/")
        adding.get_by_role("button").click()
        channel = page.locator("#channel-all-nowhere")
        channel.locator("summary").click()
        channel.get_by_role("button", name="Send a test message").click()
        page.get_by_text("cannot send message").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider"
        photograph(page, "notifications-everybody-phone")
        page.on("dialog", lambda dialog: dialog.accept())
        channel.get_by_role("button", name="Remove").click()
        channel.wait_for(state="detached")


def test_the_client_does_what_the_page_does(server: Server) -> None:
    accounts = server.winslow.accounts
    with (
        Receiver() as receiver,
        WinslowClient(server.place.services.address, accounts.create_token("anna", "tests").key) as anna,
        WinslowClient(server.place.services.address, accounts.create_token("vera", "tests").key) as vera,
    ):
        team = anna.notifications.add("team", f"json://127.0.0.1:{receiver.port}/", own=False)
        own = vera.notifications.add("mail", "mailtos://a:secret@mail.example", [Subscription(filter="tag:ulm")])
        assert team in vera.notifications.channels().channels
        assert own in vera.notifications.channels().channels
        assert own not in anna.notifications.channels().channels
        assert anna.notifications.test("team").sent
        assert receiver.titles == ["Test message from Winslow"]
        with pytest.raises(Forbidden):
            vera.notifications.test("team")
        changed = vera.notifications.change("mail", version=own.version, subscriptions=[])
        assert changed.subscriptions == ()
        with pytest.raises(ProjectConflict, match="meanwhile"):
            vera.notifications.change("mail", version=own.version, address="mailtos://a:b@mail.example")
        assert vera.notifications.remove("mail", version=changed.version) == changed
        assert anna.notifications.remove("team", own=False, version=team.version) == team
        assert anna.notifications.messages() == server.winslow.notifications.messages()


@pytest.mark.chromium
def test_retention_rules_are_tried_before_they_are_put_in_force(browser: Browser, server: Server) -> None:
    address = server.place.services.address
    server.winslow.run("quick", "kept").wait()
    server.winslow.project("kept").redo("only", env={"SCORE": "2"}).wait()
    with browser.new_context(base_url=address, viewport=PHONE) as context:  # type: ignore[arg-type]
        context.set_default_timeout(60_000)
        context.add_cookies([log_in(server.place.settings, name="anna").of(address)])  # type: ignore[list-item]
        page = context.new_page()
        page.goto("/settings/retention")
        rules = page.get_by_label("Rules, as in a pipeline file")
        rules.fill("retention: [{what: logs, dayz: 0}]\n")
        page.get_by_role("button", name="See what would change").click()
        page.get_by_text("did you mean days").wait_for()
        rules.fill("retention: [{what: logs, days: 0}]  # as agreed\n")
        page.get_by_role("button", name="See what would change").click()
        row = page.locator("#preview tr", has_text="kept")
        row.get_by_text("older than 0 days").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider"
        photograph(page, "retention-preview-phone")
        assert server.winslow.retention.house_rules().version == 0, "nothing was changed"
        page.get_by_role("button", name="Put in force").click()
        page.get_by_text("The rules are in force").wait_for()
        page.get_by_text("Changed by anna").wait_for()
        assert rules.input_value() == "retention: [{what: logs, days: 0}]  # as agreed\n"
        with WinslowClient(address, server.winslow.accounts.create_token("anna", "tests").key) as client:
            seen = client.retention.house_rules()
            assert (seen.version, seen.rules) == (1, server.winslow.retention.house_rules().rules)
            assert client.retention.preview_house_rules("retention: []\n").kept_bytes > 0
            client.retention.set_house_rules("retention: []\n", version=1)
        page.get_by_role("button", name="Put in force").click()
        page.get_by_text("anna has changed this meanwhile").wait_for()


@pytest.mark.chromium
def test_variables_are_tried_put_in_force_and_given_to_the_next_stage(browser: Browser, server: Server) -> None:
    address = server.place.services.address
    with browser.new_context(base_url=address, viewport=PHONE) as context:  # type: ignore[arg-type]
        context.set_default_timeout(60_000)
        context.add_cookies([log_in(server.place.settings, name="anna").of(address)])  # type: ignore[list-item]
        page = context.new_page()
        page.goto("/settings/variables")
        variables = page.get_by_label("Variables, as in a pipeline file")
        variables.fill("groups: [{name: sites, pipelines: quick, env: {SITE_NUMBER: 42, SCORE: 9}}]\n")
        page.get_by_role("button", name="See what would change").click()
        page.locator("#preview tr", has_text="quick").get_by_text("SCORE, SITE_NUMBER").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "nothing is wider"
        photograph(page, "variables-preview-phone")
        page.get_by_role("button", name="Put in force").click()
        page.get_by_text("Stages that start from now on get these variables.").wait_for()
        page.get_by_text("Changed by anna").wait_for()
    shown = {"only": {"args": ['echo "WINSLOW_RESULT: score=$SITE_NUMBER.$SCORE"']}}
    status = server.winslow.run("quick", "sited", settings=shown).wait()
    assert status.stage("only").results["score"] == "42.1", "the pipeline's own value comes first"
    with WinslowClient(address, server.winslow.accounts.create_token("anna", "tests").key) as client:
        assert client.variables.view() == server.winslow.variables.view()
        assert [each.pipeline for each in client.variables.preview("# none\n")] == ["quick"]
        assert client.variables.set("# none\n", version=1).version == 2
