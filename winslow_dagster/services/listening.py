"""Where the web server listens: its address, its certificate, and who may reach it there."""

from __future__ import annotations

import contextlib
import socket
import ssl

from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.hosts import is_loopback
from winslow_dagster.projects.accounts.people import People
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.settings import Settings


def listening_socket(settings: Settings) -> socket.socket:
    """A socket bound to the address and the port of the settings. Raises OSError if that is impossible."""
    family = socket.AF_INET6 if ":" in settings.bind else socket.AF_INET
    bound = socket.socket(family)
    with contextlib.ExitStack() as undo:
        undo.callback(bound.close)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((settings.bind, settings.port))
        undo.pop_all()
    return bound


def require_reachable_safely(settings: Settings) -> None:
    """Raise SettingsInvalid if the certificate cannot be used, or others could reach a server without a log-in."""
    if settings.tls_certificate and settings.tls_key:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
                settings.tls_certificate, settings.tls_key, password=""
            )
        except (OSError, ValueError) as error:
            raise SettingsInvalid(
                f"the certificate cannot be used: {error}",
                where=f"{settings.tls_certificate}, {settings.tls_key}",
                expected="WINSLOW_TLS_CERTIFICATE and WINSLOW_TLS_KEY: PEM files of a certificate and its key, "
                "without a password",
            ) from error
    if not is_loopback(settings.bind) and not _people_can_log_in(settings):
        raise SettingsInvalid(
            f"WINSLOW_BIND is {settings.bind}, and nobody can log in yet",
            where="environment",
            expected="127.0.0.1 as long as there are no people, because everybody could do everything",
            remedy="Leave out WINSLOW_BIND, start the services, and add people first",
        )


def _people_can_log_in(settings: Settings) -> bool:
    if settings.access.by_provider or settings.access.by_proxy:
        return True
    with contextlib.closing(ProjectRecords.open(settings.database_url)) as records:
        return People(records.database).any_can_prove_identity()
