"""A host has one spelling."""

from __future__ import annotations

import pytest

from winslow_dagster.hosts import canonical_host, is_loopback, split_authority


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("Winslow.Example.", "winslow.example"),
        ("node_07", "node_07"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:DB8:0::7", "2001:db8::7"),
        ("[2001:db8::7]", "2001:db8::7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ],
)
def test_names_and_addresses_have_one_spelling(text: str, host: str) -> None:
    assert canonical_host(text) == host
    assert canonical_host(host) == host


@pytest.mark.parametrize(
    "text",
    [
        *("", ".", "a..b", "-a", "a-", "a b", "*.example", "a/b", "a:80", "user@a", "http://a", "m\u00fcnchen", "a\n"),
        *("a" * 64, ".".join(["a" * 60] * 5), "[localhost]", "[::1", "::1]"),
    ],
)
def test_anything_else_is_no_host(text: str) -> None:
    assert canonical_host(text) is None


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("localhost", ("localhost", None)),
        ("LOCALHOST.:3000", ("localhost", 3000)),
        ("[::1]:3000", ("::1", 3000)),
        ("::1", None),
        ("localhost:", None),
        ("localhost:3000\n", None),
    ],
)
def test_host_and_port_are_told_apart(text: str, parts: tuple[str, int | None] | None) -> None:
    assert split_authority(text) == parts


def test_loopback_is_recognized_by_name_and_by_address() -> None:
    assert [host for host in ("localhost", "127.0.0.1", "127.9.9.9", "::1") if not is_loopback(host)] == []
    assert [host for host in ("0.0.0.0", "::", "192.0.2.7", "localhost.example") if is_loopback(host)] == []
