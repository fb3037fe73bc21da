"""`winslow pool check`, and what is said of a damaged video when it is taken; without services."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from numbered_films import write_film

from winslow_dagster.cli.main import main

PIPELINE = "name: watching\ncommand: [sh]\ninputs:\n  video: {kind: video}\nstages: [{name: look, args: [x]}]\n"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    with pytest.raises(SystemExit) as ended:
        main([*words])
    output = capsys.readouterr()
    assert ended.value.code == 0, output
    return output.out, output.err


def test_a_damaged_video_is_found_and_whoever_takes_it_is_warned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WINSLOW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("WINSLOW_PIPELINES_DIR", str(tmp_path / "pipelines"))
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "watching.yaml").write_text(PIPELINE)
    film = write_film(tmp_path / "film.avi", 100, codec="mjpeg")
    content = film.read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: len(content) // 2])
    for name in ("film.avi", "cut.avi"):
        said(capsys, "pool", "add", str(tmp_path / name))
    out, _ = said(capsys, "pool", "check", "cut.avi", "--json")
    (video,) = json.loads(out)["videos"]
    assert video["problem"].startswith("It is damaged: ")
    table, _ = said(capsys, "pool", "check")
    assert "mjpeg, 256 x 64" in table
    for name, warned in (("film", False), ("cut", True)):
        _, told = said(capsys, "create", "watching", "--project", name, "--input", f"video=pool:{name}.avi")
        assert (f"warning: input video, pool:{name}.avi: It is damaged: " in told) is warned
