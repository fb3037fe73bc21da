"""The console that commands print to. Apart from `output`, because importing rich takes longer than many commands."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text
from typing_extensions import override

from winslow_dagster.cli.escaping import escaped


class Output(Console):
    """Escapes whatever it prints on a terminal. Its own colors are not part of the text."""

    @override
    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(escaped(text) if self.is_terminal else text, **options)

    @override
    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # rich would end the program
