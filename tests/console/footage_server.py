"""A web server with a project whose inputs are films and pictures. No stage runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from web_server import Console, serving

from winslow_dagster import Winslow
from winslow_dagster.projects.domain.actor import Actor

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PROJECT = "ulm"


@contextlib.contextmanager
def footage_server(folder: Path, files: Mapping[str, Path]) -> Iterator[Console]:
    """The project `ulm` has these files as inputs."""
    pipelines = folder / "pipelines"
    pipelines.mkdir()
    inputs = "\n".join(f"  {name}: {{kind: file}}" for name in files)
    (pipelines / "filmed.yaml").write_text(
        f'name: filmed\ninputs:\n{inputs}\nstages:\n  - {{name: nothing, command: ["true"]}}\n'
    )
    with serving(folder / "home", WINSLOW_PIPELINES_DIR=str(pipelines)) as console:
        with Winslow(console.settings, Actor("anna")) as winslow:
            winslow.create("filmed", PROJECT, dict(files))
        yield console


@contextlib.contextmanager
def looking(  # noqa: PLR0913  # a screen, by name
    browser: Browser,
    console: Console,
    path: str,
    *,
    scale: float = 1,
    width: int = 1280,
    height: int = 800,
    trusting: bool = False,
) -> Iterator[Page]:
    """A page of the server, on a screen of this scale. Errors of its scripts are errors of the test.

    A `trusting` browser runs scripts that the page does not allow.
    """
    with browser.new_context(
        base_url=console.address,
        device_scale_factor=scale,
        viewport={"width": width, "height": height},
        bypass_csp=trusting,
    ) as context:
        context.add_cookies([console.cookie.of(console.address)])  # type: ignore[list-item]  # of its typed dictionary
        context.set_default_timeout(90_000)
        page = context.new_page()
        errors: list[object] = []

        def note(error: object) -> None:
            errors.append(error)

        page.on("pageerror", note)
        page.on("console", lambda message: note(message.text) if message.type == "error" else None)
        page.goto(path)
        yield page
        assert errors == []
