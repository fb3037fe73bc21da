"""Whether a configuration file is under version control: then it is changed there, and by nobody here."""

from __future__ import annotations

import subprocess
from pathlib import Path

GIT_S = 5.0


def is_tracked(file: Path) -> bool:
    """Whether git tracks the file. Where there is no git: whether it lies in a repository."""
    path = file.resolve()
    if not any((parent / ".git").exists() for parent in path.parents):
        return False
    try:
        # Whose repository it is does not matter, and nothing that its configuration names may be started.
        listed = subprocess.run(  # no shell
            [  # of the PATH
                *("git", "-c", "safe.directory=*", "-c", "core.fsmonitor=false", "-C", str(path.parent)),
                *("ls-files", "--error-unmatch", "--", path.name),
            ],
            capture_output=True,
            check=False,
            timeout=GIT_S,
        )
    except (OSError, subprocess.TimeoutExpired):
        return path.exists()
    return listed.returncode == 0
