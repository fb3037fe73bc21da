"""How tests get past the log-in: as a program of the installation, or as the browser of a person."""

from __future__ import annotations

import urllib.request
from dataclasses import dataclass
from urllib.parse import urlsplit

from winslow_dagster.console.cookies import cookie_name
from winslow_dagster.projects.accounts.login import Browser
from winslow_dagster.projects.dagster_api.credential import read_key
from winslow_dagster.projects.domain.actor import Actor, Role
from winslow_dagster.projects.installation import Installation
from winslow_dagster.services import Services
from winslow_dagster.settings import Settings


@dataclass(frozen=True)
class Cookie:
    """The cookie of a session."""

    name: str
    value: str

    @property
    def header(self) -> dict[str, str]:
        return {"Cookie": f"{self.name}={self.value}"}

    def of(self, address: str) -> dict[str, str]:
        """As playwright's `add_cookies` takes it."""
        return {"name": self.name, "value": self.value, "url": address}


def authorization(settings: Settings) -> dict[str, str]:
    """The headers that the web server accepts from programs of the installation."""
    return {"Authorization": f"Bearer {read_key(settings)}"}


class Programs(urllib.request.BaseHandler):
    """Adds the proof of a program to requests to the web servers of tests, unless they have one of their own."""

    def __init__(self) -> None:
        self.settings: dict[str, Settings] = {}

    def http_request(self, request: urllib.request.Request) -> urllib.request.Request:
        settings = self.settings.get(urlsplit(request.full_url).netloc)
        if settings is not None and not request.has_header("Authorization") and not request.has_header("Cookie"):
            request.add_unredirected_header("Authorization", authorization(settings)["Authorization"])
        return request


PROGRAMS = Programs()


def let_in(settings: Settings) -> None:
    """Have `urlopen` of this process act as a program of this installation, as `winslow` does."""
    PROGRAMS.settings[urlsplit(settings.address).netloc] = settings
    urllib.request.install_opener(urllib.request.build_opener(PROGRAMS))


def log_in(settings: Settings, role: Role = "admin", name: str | None = None) -> Cookie:
    """Log a person of this role in, who is added if necessary. The name is by default that of the role."""
    name = name or role
    with Installation(settings, Services(settings), Actor("tests", "cli")) as installation:
        accounts = installation.accounts
        if name not in {each.name for each in accounts.people()}:
            accounts.add(name, role=role)
        opened = accounts.login.by_link(accounts.login_link(name), Browser("127.0.0.1", "tests"))
        return Cookie(cookie_name(installation, secure=False), opened.key)
