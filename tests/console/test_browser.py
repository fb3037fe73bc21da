"""A real browser: pages of other sites change nothing here, and Dagster's own pages work."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from web_server import ALLOWED_NAME, PAUSE, Console

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = [pytest.mark.chromium, pytest.mark.slow]

FOREIGN_NAME = "foreign.example"
# All names lead to this machine, as the name of an attacker may.
RESOLVER = f"--host-resolver-rules=MAP {FOREIGN_NAME} 127.0.0.1, MAP {ALLOWED_NAME} 127.0.0.1"
BODY = f"JSON.stringify({{query: '{PAUSE}'}})"
ATTACKS = {
    "an image": "new Image().src = target + '/dagit/graphql?query=' + query",
    "a script": "add('script', {src: target + '/dagit/graphql?query=' + query})",
    "a frame": "add('iframe', {src: target + '/dagit/graphql?query=' + query})",
    "text without asking": "fetch(target + '/dagit/graphql?query=' + query, "
    "{method: 'POST', mode: 'no-cors', body: 'x'})",
    "JSON as text": f"fetch(target + '/dagit/graphql', {{method: 'POST', mode: 'no-cors', body: {BODY}}})",
    "JSON": "fetch(target + '/dagit/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: "
    f"{BODY}}})",
    "a beacon": "navigator.sendBeacon(target + '/dagit/graphql?query=' + query, 'x')",
    "a form": "submit({method: 'POST', enctype: 'text/plain', action: target + '/dagit/graphql?query=' + query})",
    "a form as a page": "submit({method: 'POST', action: target + '/dagit/graphql?query=' + query, target: '_self'})",
    "a form by GET": "submit({method: 'GET', action: target + '/dagit/graphql'})",
}
POST = """async body => (
    await fetch('/dagit/graphql', {method: 'POST', headers: {'Content-Type': 'application/json'}, body})
).status"""
FOREIGN_PAGE = """<!doctype html><title>foreign</title><body><script>
    function add(tag, properties) { document.body.append(Object.assign(document.createElement(tag), properties)) }
    function submit(properties) {
        add('iframe', {name: 'hidden'})
        const form = Object.assign(document.createElement('form'), {target: 'hidden', ...properties})
        form.append(Object.assign(document.createElement('input'), {name: 'query', value: decodeURIComponent(query)}))
        document.body.append(form)
        form.submit()
    }
</script>"""


class ForeignSite(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(FOREIGN_PAGE.encode())

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def foreign_port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), ForeignSite) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[RESOLVER])
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, console: Console) -> Iterator[Page]:
    with browser.new_context() as context:
        for host in ("127.0.0.1", "localhost", ALLOWED_NAME):
            context.add_cookies([console.cookie.of(f"http://{host}:{console.port}")])  # type: ignore[list-item]
        context.set_default_timeout(0)  # a test has a limit of its own
        yield context.new_page()


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize(
    "hosts",
    [
        pytest.param(("127.0.0.1", "127.0.0.1"), id="another port of this machine"),
        pytest.param(("localhost", "127.0.0.1"), id="another site on this machine"),
        pytest.param((FOREIGN_NAME, ALLOWED_NAME), id="another site over plain http"),
    ],
)
def test_a_page_of_another_site_changes_nothing(
    console: Console, page: Page, foreign_port: int, hosts: tuple[str, str], attack: str
) -> None:
    foreign, target = f"http://{hosts[0]}:{foreign_port}", f"http://{hosts[1]}:{console.port}"
    page.goto(foreign)
    page.evaluate(f"target = '{target}'; query = '{quote(PAUSE)}'")
    with page.expect_request(lambda request: request.url.startswith(target)) as sent:
        page.evaluate(f"void ({ATTACKS[attack]})")
    answer = sent.value.response()  # none if the browser keeps it from the page
    assert answer is None or answer.status in {303, 403, 405}  # to the log-in: the browser keeps the cookie back
    assert not console.paused()


def test_a_page_of_another_site_opens_no_websocket(console: Console, page: Page, foreign_port: int) -> None:
    page.goto(f"http://127.0.0.1:{foreign_port}/")
    opens = """address => new Promise(resolve => {
        const socket = new WebSocket(address, 'graphql-ws')
        socket.onopen = () => resolve(true)
        socket.onerror = () => resolve(false)
    })"""
    address = console.address.replace("http", "ws") + "/dagit/graphql"
    assert page.evaluate(opens, address) is False
    page.goto(console.address)
    assert page.evaluate(opens, address) is True


def test_a_name_that_is_made_to_lead_here_gets_no_page(console: Console, page: Page) -> None:
    answer = page.goto(f"http://{FOREIGN_NAME}:{console.port}/")
    assert answer is not None
    assert answer.status == 421
    assert f"{FOREIGN_NAME} is not a known name of this server" in page.content()
    assert "WINSLOW_ALLOWED_HOSTS" in page.content()
    assert page.evaluate(POST, f'{{"query": "{PAUSE}"}}') == 421
    assert not console.paused()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", ALLOWED_NAME])
def test_a_page_of_this_server_may_change_things(console: Console, page: Page, host: str) -> None:
    page.goto(f"http://{host}:{console.port}/")
    assert page.evaluate(POST, f'{{"query": "{PAUSE}"}}') == 200
    assert console.paused()


@pytest.mark.parametrize("host", ["127.0.0.1", ALLOWED_NAME])
def test_a_page_of_another_site_cannot_show_this_one_in_a_frame(
    console: Console, page: Page, foreign_port: int, host: str
) -> None:
    page.goto(f"http://{FOREIGN_NAME}:{foreign_port}/")
    target = f"http://{host}:{console.port}/"
    with page.expect_event("framenavigated", lambda frame: frame.parent_frame is not None) as shown:
        page.evaluate("address => add('iframe', {src: address})", target)
    content = shown.value.content()
    assert shown.value.url.startswith("chrome-error:") or "The request was refused" in content
    assert "Dagster" not in content


def test_a_link_from_another_site_opens_dagsters_page_which_works(
    console: Console, page: Page, foreign_port: int
) -> None:
    page.goto(f"http://{FOREIGN_NAME}:{foreign_port}/")
    page.evaluate("address => add('a', {href: address, textContent: 'the runs'})", f"{console.address}/dagit/runs")
    refused = []
    page.on("response", lambda response: refused.append(response.url) if response.status >= 400 else None)
    with page.expect_websocket() as live:
        page.click("text=the runs")
    page.get_by_text("No runs found").first.wait_for()
    assert live.value.url == f"ws://127.0.0.1:{console.port}/dagit/graphql"
    assert refused == []
