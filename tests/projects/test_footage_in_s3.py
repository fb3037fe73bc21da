"""Films in an S3 store: the decoder gets the ranges that it asks for, and no copy of the film is made."""

from __future__ import annotations

from pathlib import Path

import pytest
from numbered_films import number_of, write_film

from winslow_dagster import Winslow
from winslow_dagster.errors import FootageUnreadable
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.settings import Settings

FILMED = (
    "name: filmed\ninputs:\n  video: {kind: video}\n  notes: {kind: file}\nstages:\n  - {name: nothing, command: [a]}\n"
)
FRAMES = 60


@pytest.mark.s3
def test_a_frame_of_a_film_in_s3_is_exact_and_the_film_is_not_copied(
    tmp_path: Path, s3_bucket_url: str, s3_endpoint: str
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "filmed.yaml").write_text(FILMED)
    film = write_film(tmp_path / "film.mp4", FRAMES, scale=4, noise=True, options={"x264-params": "qp=1"})
    (tmp_path / "notes.txt").write_text("no film")
    settings = Settings.read(
        {
            "WINSLOW_HOME": str(tmp_path / "home"),
            "WINSLOW_PIPELINES_DIR": str(tmp_path / "pipelines"),
            "WINSLOW_STORE_URL": s3_bucket_url,
            "WINSLOW_S3_ENDPOINT": s3_endpoint,
        }
    )
    with Winslow(settings, Actor("anna")) as winslow:
        project = winslow.create("filmed", "ulm", {"video": film, "notes": tmp_path / "notes.txt"})
        assert project.file_at("input:video").local_path is None
        assert project.footage("input:video").frame_count == FRAMES
        assert [number_of(project.frame("input:video", index, width=512).content) for index in (0, 31, 59)] == [
            0,
            31,
            59,
        ]
        assert number_of(project.frame_at("input:video", 0.5).content) == 12
        with pytest.raises(FootageUnreadable, match=r"notes\.txt: it cannot be decoded"):
            project.footage("input:notes")
    kept_bytes = sum(path.stat().st_size for path in settings.home.rglob("*") if path.is_file())
    assert kept_bytes < film.stat().st_size / 2
