"""Reads the texts of environment variables: numbers, lists, addresses, hosts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from math import inf, isfinite, nan
from pathlib import Path
from urllib.parse import urlsplit

from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.hosts import canonical_host, is_loopback, split_authority
from winslow_dagster.paths import resolved

NODE_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def number(  # noqa: PLR0913  # one keyword for each limit
    source: Mapping[str, str], name: str, default: str, expected: str, *, least: float = 0.0, most: float = inf
) -> float:
    """A finite number. Raises SettingsInvalid."""
    text = source.get(name, default)
    try:
        found = float(text)
    except ValueError:
        found = nan
    if not (least <= found <= most and isfinite(found)):
        raise SettingsInvalid(f"{name} is {text!r}", where="environment", expected=expected)
    return found


def days(source: Mapping[str, str], name: str, default: str, *, least: float = 0.0) -> float:
    """A number of days. Raises SettingsInvalid."""
    expected = "a number of days, such as 90" if least <= 0 else f"a number of days, at least {least:g}"
    return number(source, name, default, expected, least=least)


def comma_separated(source: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The parts of a comma-separated list, each once."""
    return tuple(dict.fromkeys(filter(None, (part.strip() for part in source.get(name, "").split(",")))))


def given(source: Mapping[str, str], *names: str) -> dict[str, str]:
    """The texts of those settings that are set and not empty."""
    values = {name: source.get(f"WINSLOW_{name.upper()}") for name in names}
    return {name: value for name, value in values.items() if value}


def tags(source: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The node tags in a comma-separated list, each once. Raises SettingsInvalid."""
    found = comma_separated(source, name)
    for tag in found:
        if not NODE_TAG.fullmatch(tag):
            raise SettingsInvalid(
                f"{name} contains {tag!r}",
                where="environment",
                expected="tags separated by commas, made of letters, digits, `_`, `.` and `-`",
            )
    return found


def networks(source: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The addresses and networks in a comma-separated list. Raises SettingsInvalid."""
    found = comma_separated(source, name)
    for text in found:
        try:
            ip_network(text)
        except ValueError as error:
            raise SettingsInvalid(
                f"{name} contains {text!r}",
                where="environment",
                expected="addresses or networks separated by commas, such as 10.0.0.5 or 10.0.0.0/24",
            ) from error
    return found


def weights(source: Mapping[str, str], name: str) -> dict[str, float]:
    """The weights in a comma-separated list of `name=weight`. Raises SettingsInvalid."""
    found: dict[str, float] = {}
    for text in comma_separated(source, name):
        key, _, value = text.rpartition("=")
        try:
            weight = float(value)
        except ValueError:
            weight = 0.0
        if not key.strip() or not 0 < weight < inf:
            raise SettingsInvalid(
                f"{name} contains {text!r}",
                where="environment",
                expected="name=weight separated by commas, with weights greater than 0, such as anna=2",
            )
        found[key.strip()] = weight
    return found


def hosts(source: Mapping[str, str], name: str) -> tuple[str, ...]:
    """The hosts in a comma-separated list, in one spelling. Raises SettingsInvalid."""
    found = []
    for text in comma_separated(source, name):
        host = canonical_host(text)
        if host is None:
            raise SettingsInvalid(
                f"{name} contains {text!r}",
                where="environment",
                expected="host names or addresses separated by commas, without scheme and port",
            )
        found.append(host)
    return tuple(dict.fromkeys(found))


def bind_address(source: Mapping[str, str]) -> str:
    """The address to listen on, in its shortest form. Raises SettingsInvalid."""
    text = source.get("WINSLOW_BIND") or "127.0.0.1"
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise SettingsInvalid(
            f"WINSLOW_BIND is {text!r}",
            where="environment",
            expected="an address of this machine, such as 127.0.0.1, or 0.0.0.0 for all",
        ) from error


def web_address(source: Mapping[str, str], name: str) -> str:
    """An address of the web server, without a slash at its end. Raises SettingsInvalid."""
    text = source.get(name, "").removesuffix("/")
    found = re.fullmatch(r"https?://([^/?#@\s]+)", text)
    if text and (found is None or split_authority(found[1]) is None):
        raise SettingsInvalid(
            f"{name} is {text!r}",
            where="environment",
            expected="http:// or https:// and a host, with a port if necessary, and without a path",
        )
    return text


def is_safe_issuer(issuer: str) -> bool:
    """Whether what the provider sends cannot be changed on its way."""
    parts = urlsplit(issuer)
    host = canonical_host(parts.hostname or "")
    return host is not None and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host)))


def tls_files(source: Mapping[str, str]) -> tuple[Path | None, Path | None]:
    """Certificate and key, or neither. Raises SettingsInvalid if there is only one of them."""
    files = {name: source.get(name) for name in ("WINSLOW_TLS_CERTIFICATE", "WINSLOW_TLS_KEY")}
    missing = [name for name, value in files.items() if not value]
    if len(missing) == 1:
        raise SettingsInvalid(
            f"{missing[0]} is not set",
            where="environment",
            expected="both WINSLOW_TLS_CERTIFICATE and WINSLOW_TLS_KEY, or neither",
        )
    certificate, key = (resolved(value) if value else None for value in files.values())
    return certificate, key
