"""What systemd gets to start a node's services."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from winslow_dagster.node_setup.services import REAPER_TIMER, reaper_unit, slurmd_unit

DISTRIBUTION = """\
[Unit]
Description=As in Debian
[Service]
Type=simple
ExecStart=/usr/sbin/slurmd -D -s $SLURMD_OPTIONS
"""
OPTIONS = ("-Z", "-N", "ulm-1", "--conf", "CPUs=8 RealMemory=1 Feature=a_b,50%", '$HOME "\\')


def test_a_word_with_spaces_and_signs_of_systemd_stays_a_word() -> None:
    (line,) = (line for line in slurmd_unit(OPTIONS).splitlines() if line.startswith("ExecStart=/"))

    assert line == (
        'ExecStart=/usr/sbin/slurmd -D "-Z" "-N" "ulm-1" "--conf" "CPUs=8 RealMemory=1 Feature=a_b,50%%" '
        '"$$HOME \\"\\\\"'
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    (tmp_path / "slurmd.service").write_text(DISTRIBUTION)
    (tmp_path / "slurmd.service.d").mkdir()
    (tmp_path / "slurmd.service.d" / "winslow.conf").write_text(slurmd_unit(OPTIONS))
    (tmp_path / "winslow-reaper.service").write_text(reaper_unit(Path("/data/of winslow")))
    (tmp_path / "winslow-reaper.timer").write_text(REAPER_TIMER)

    verified = subprocess.run(
        ["systemd-analyze", "verify", "slurmd.service", "winslow-reaper.timer"],
        cwd=tmp_path,
        env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    complaints = [line for line in verified.stderr.splitlines() if str(tmp_path) in line]
    assert complaints == []
