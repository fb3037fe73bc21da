"""Sends messages through Apprise: mail, Slack, Teams, webhooks and others. The only file that imports it."""

from __future__ import annotations

import logging

from winslow_dagster.errors import InputRejected, ServiceUnavailable


def send(address: str, title: str, body: str) -> None:
    """Send one message. Raises InputRejected for an unsupported address, and ServiceUnavailable."""
    import apprise

    # Its log may contain the whole address, and with that secrets.
    logging.getLogger("apprise").propagate = False
    server = apprise.Apprise()
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as log:  # type: ignore[no-untyped-call]  # its own signature
        if not server.add(address):
            raise InputRejected(
                f"unsupported service {scheme(address)}", expected="an Apprise URL: mailto://, slack://, json://, …"
            )
        sent = server.notify(body=body, title=title)
        reason = " ".join(log.getvalue().split())
    if not sent:
        raise ServiceUnavailable(f"cannot send message: {reason or 'no reason given'}", where=scheme(address))


def scheme(address: str) -> str:
    """Shorten an address to what can be shown: the rest may contain secrets."""
    return f"{address.partition('://')[0]}://…"
