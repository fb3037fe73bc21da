"""Sends messages through Apprise: mail, Slack, Teams, webhooks and others. The only file that imports it."""

from __future__ import annotations

import logging

from winslow_dagster.errors import InputRejected, ServiceUnavailable


def send(address: str, title: str, body: str) -> None:
    """Send one message. Raises InputRejected for an unsupported address, and ServiceUnavailable."""
    import apprise

    # Its log may contain the whole address, and with that secrets.
    logging.getLogger("apprise").propagate = False
    # Where a message is sent is checked; where a server would send it on to is not.
    server = apprise.Apprise(asset=apprise.AppriseAsset(http_redirects=False))
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:  # type: ignore[no-untyped-call]  # its own signature
        if not server.add(address):
            raise _unsupported(address)
        sent = server.notify(body=body, title=title)
        reason = " ".join(log.getvalue().split())
    if not sent:
        raise ServiceUnavailable(f"cannot send message: {reason or 'no reason given'}", where=scheme(address))


def check(address: str) -> None:
    """Raise InputRejected for an unsupported or incomplete address."""
    import apprise

    logging.getLogger("apprise").propagate = False
    if apprise.Apprise.instantiate(address) is None:
        raise _unsupported(address)


def _unsupported(address: str) -> InputRejected:
    return InputRejected(
        f"unsupported service {scheme(address)}", expected="an Apprise URL: mailto://, slack://, json://, …"
    )


def scheme(address: str) -> str:
    """Shorten an address to what can be shown: the rest may contain secrets."""
    return f"{address.partition('://')[0]}://…" if "://" in address else "…"
