"""Messages through Apprise: mail, Slack, Teams, webhooks and the rest. The only file that imports it."""

from __future__ import annotations

import logging

from winslow_dagster.errors import InputRejected, ServiceUnavailable


def send(address: str, title: str, body: str) -> None:
    """Send one message. Raises InputRejected for an address that Apprise does not know, and ServiceUnavailable."""
    import apprise

    # What it logs may hold the whole address, and with that secrets.
    logging.getLogger("apprise").propagate = False
    server = apprise.Apprise()
    with apprise.LogCapture(level=logging.WARNING, fmt="%(message)s") as said:  # type: ignore[no-untyped-call]  # its own signature
        if not server.add(address):
            raise InputRejected(
                f"no service is known for {scheme(address)}", expected="an Apprise URL: mailto://, slack://, json://, …"
            )
        done = server.notify(body=body, title=title)
        why = " ".join(said.getvalue().split())
    if not done:
        raise ServiceUnavailable(
            f"the message could not be sent: {why or 'no reason was given'}", where=scheme(address)
        )


def scheme(address: str) -> str:
    """As much of an address as can be shown: the rest may hold secrets."""
    return f"{address.partition('://')[0]}://…"
