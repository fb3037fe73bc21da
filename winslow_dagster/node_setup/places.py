"""Where the files of a node lie."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from winslow_dagster.engines.slurm.node_facts import DEFAULT_FILE

ETC_SLURM = Path("/etc/slurm")
SLURM_CONF = ETC_SLURM / "slurm.conf"
GRES_CONF = ETC_SLURM / "gres.conf"
CGROUP_CONF = ETC_SLURM / "cgroup.conf"
EPILOG = ETC_SLURM / "winslow-epilog"
MUNGE_KEY = Path("/etc/munge/munge.key")
MUNGE_SOCKET = Path("/run/munge/munge.socket.2")
NODE_FILE = DEFAULT_FILE
CA_FILE = DEFAULT_FILE.with_name("control-plane.pem")
NODE_DIR = Path("/var/lib/winslow")
UNITS = Path("/etc/systemd/system")
SLURMD_UNIT = UNITS / "slurmd.service.d" / "winslow.conf"
REAPER_UNIT = UNITS / "winslow-reaper.service"
REAPER_TIMER = UNITS / "winslow-reaper.timer"
OURS = (GRES_CONF, CGROUP_CONF, SLURM_CONF, EPILOG, NODE_FILE, CA_FILE, SLURMD_UNIT, REAPER_UNIT, REAPER_TIMER)
"""What `winslow node join` writes, and `leave` deletes."""


def put(path: Path, content: str | bytes, mode: int, owner: tuple[int, int] = (0, 0)) -> bool:
    """Make the file hold this. Returns whether it did not yet."""
    data = content.encode() if isinstance(content, str) else content
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.winslow")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), "wb") as file:
        file.write(data)
    draft.chmod(mode)
    shutil.chown(draft, *owner)
    draft.replace(path)
    return True
