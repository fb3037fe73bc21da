"""The frame of the console: what a browser loads, what it may do, and how errors look."""

from __future__ import annotations

import gzip
import json
import re
import urllib.error
import urllib.request
from email.message import Message
from hashlib import sha256
from pathlib import Path

import pytest
from web_server import Console

import winslow_dagster.console
from winslow_dagster.console.navigation import PLACES
from winslow_dagster.console.rendering import TEMPLATES

STATIC = Path(winslow_dagster.console.__file__).with_name("static")
VENDOR = STATIC / "vendor"


def get(console: Console, path: str, **headers: str) -> tuple[int, str, Message]:
    request = urllib.request.Request(f"{console.address}{path}", headers={**console.cookie.header, **headers})
    try:
        with urllib.request.urlopen(request) as response:
            return response.status, response.read().decode(), response.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers


def test_vendored_files_are_those_of_the_manifest() -> None:
    packages = json.loads((VENDOR / "manifest.json").read_text())
    listed = {entry["file"]: entry["sha256"] for package in packages for entry in package["files"]}
    there = {
        path.name: sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir() if path.suffix in {".js", ".css"}
    }
    assert there == listed


def test_every_vendored_package_comes_with_its_licence() -> None:
    packages = json.loads((VENDOR / "manifest.json").read_text())
    names = {package["name"].removesuffix(".org") for package in packages}
    assert {path.stem for path in VENDOR.glob("*.LICENSE")} == names


def test_a_page_loads_only_files_of_this_server_that_are_there(console: Console) -> None:
    _, text, _ = get(console, "/")
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', text)
    assert len(addresses) >= 4
    assert {get(console, address)[0] for address in addresses} == {200}
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)


def test_a_page_has_no_inline_script_or_style_and_a_strict_policy(console: Console) -> None:
    _, text, headers = get(console, "/")
    assert not re.search(r"<style|<script(?![^>]* src=)| style=| on[a-z]+=|javascript:", text)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_files_may_be_kept_for_ever_and_pages_not_at_all(console: Console) -> None:
    _, text, headers = get(console, "/")
    found = re.search(r'href="(/static/[^"]+base\.css)"', text)
    assert found is not None
    assert headers["Cache-Control"] == "no-store"
    assert "immutable" in get(console, found[1])[2]["Cache-Control"]


@pytest.mark.parametrize("path", ["/static/x/../../app.py", "/static/x/%2e%2e/app.py", "/static/x/%00", "/static/"])
def test_only_files_below_static_are_served(console: Console, path: str) -> None:
    assert get(console, path)[0] == 404


def test_an_error_is_a_page_for_a_person_a_problem_for_a_program_and_a_message_for_a_part(console: Console) -> None:
    status, text, _ = get(console, "/no-such-page")
    assert (status, "There is no such page" in text, "<main" in text) == (404, True, True)
    status, text, headers = get(console, "/api/v1/no-such-route")
    assert (status, json.loads(text)["error"]) == (404, "NotFound")
    assert headers["Content-Type"] == "application/problem+json"
    status, _, headers = get(console, "/no-such-page", **{"HX-Request": "true"})
    assert (status, headers["HX-Reswap"]) == (404, "none")
    assert "There is no such page" in headers["HX-Trigger"]


def test_pages_and_json_are_compressed_for_those_who_can_read_that(console: Console) -> None:
    for path in ("/", "/api/v1/openapi.json"):
        plain = urllib.request.Request(f"{console.address}{path}")
        with urllib.request.urlopen(plain) as response:
            whole, headers = response.read(), response.headers
            assert "Content-Encoding" not in headers
        packed = urllib.request.Request(f"{console.address}{path}", headers={"Accept-Encoding": "br, gzip"})
        with urllib.request.urlopen(packed) as response:
            body, headers = response.read(), response.headers
        assert (headers["Content-Encoding"], headers["Vary"]) == ("gzip", "Accept-Encoding")
        assert int(headers["Content-Length"]) == len(body) < len(whole)
        assert gzip.decompress(body) == whole


def test_what_is_streamed_or_short_is_sent_as_it_is(console: Console) -> None:
    for path in ("/api/v1/health", "/live"):
        request = urllib.request.Request(f"{console.address}{path}", headers={"Accept-Encoding": "gzip"})
        with urllib.request.urlopen(request) as response:
            assert "Content-Encoding" not in response.headers
            assert response.readline().strip()


def test_every_template_can_be_used() -> None:
    for name in TEMPLATES.list_templates():
        TEMPLATES.get_template(name)


@pytest.mark.parametrize(
    ("path", "title"),
    [
        ("/", "Needs you"),
        ("/projects/ulm/stages/detect", "Projects"),
        ("/new-project", "Projects"),
        ("/pool/film", "Files"),
        ("/trash", "Files"),
        ("/space", "Health"),
        ("/poolside", ""),
    ],
)
def test_a_page_without_a_place_of_its_own_belongs_to_the_one_it_is_reached_from(path: str, title: str) -> None:
    assert [place.title for place in PLACES if place.has(path)] == ([title] if title else [])
