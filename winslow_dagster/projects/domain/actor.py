"""Who acts."""

from __future__ import annotations

import getpass
import platform
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Actor:
    """A person or a sensor, by name; through which door (cli, python, sensor), and on which machine."""

    who: str = field(default_factory=getpass.getuser)
    via: str = "python"
    host: str = field(default_factory=platform.node)
