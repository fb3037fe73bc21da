"""Watch folders on a page and over REST: what landed, why not, and what cannot be read."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from in_process import Server, in_process

from winslow_dagster.projects.domain.ingest import STATES, IngestFile
from winslow_dagster.projects.ingest.table import IngestTable

AT = datetime(2026, 11, 30, 2, 0, tzinfo=UTC)
PIPELINE = """
name: films
command: [sh, -c]
inputs: {video: {kind: video, required: true}}
stages: [{name: only, args: [true]}]
"""
WATCHES = """
watches:
  - {{name: drone, source: {folder}/drone, pipeline: films, glob: ['*.mp4'], quarantine_dir: {folder}/rejected}}
  - {{name: gone, source: {folder}/gone, pipeline: films}}
  - {{name: closed, source: {folder}/a-file, pipeline: films}}
  - {{name: lost, source: {folder}/drone, pipeline: nothing}}
"""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "drone").mkdir()
    (tmp_path / "a-file").write_text("no directory")
    watch_file = tmp_path / "watch.yaml"
    watch_file.write_text(WATCHES.format(folder=tmp_path))
    with in_process(tmp_path / "home", WINSLOW_WATCH_FILE=str(watch_file)) as server:
        (tmp_path / "home" / "pipelines" / "films.yaml").write_text(PIPELINE)
        server.installation.accounts.add("olga", role="operator")
        server.installation.accounts.add("vera", role="viewer")
        files = [
            IngestFile(0, "drone", f"{state} <b>.mp4", 7, "t", state, f"why {state}", None, None, AT, AT, AT)
            for state in STATES
        ]
        earlier = IngestFile(0, "earlier", "old.mp4", 7, "t", "done", "", None, None, AT, AT, AT)
        table(server).apply([*files, earlier], [])
        yield server


def table(server: Server) -> IngestTable:
    return IngestTable(server.installation.context.records.database)


def test_every_folder_is_listed_with_its_files_and_what_keeps_it_from_being_used(server: Server) -> None:
    table(server).record_problems({"drone": "cannot move rejected file here"}, AT)
    answer = server.get("/api/v1/ingest/folders", headers=server.token("olga")).json()
    folders = {each["name"]: each for each in answer["folders"]}
    assert list(folders) == ["drone", "gone", "closed", "lost", "earlier"]
    assert folders["drone"]["counts"] == dict.fromkeys(STATES, 1)
    assert (folders["drone"]["problem"], folders["drone"]["problem_since"]) == (
        "cannot move rejected file here",
        "2026-11-30T02:00:00Z",
    )
    assert "directory does not exist" in folders["gone"]["problem"]
    assert "cannot read directory: Not a directory" in folders["closed"]["problem"]
    assert "there is no pipeline 'nothing'" in folders["lost"]["problem"]
    assert (folders["earlier"]["watched"], folders["earlier"]["counts"]) == (False, {"done": 1})
    page = server.get("/watch-folders", cookies=server.cookies("olga")).text
    for text in ("Cannot move rejected file here", "directory does not exist", "no longer watched", "*.mp4"):
        assert text in page
    assert "rejected &lt;b&gt;.mp4" in page
    assert "Why rejected." in page


def test_a_watch_file_with_mistakes_is_shown_with_them(server: Server) -> None:
    server.installation.settings.watch_file.write_text("watches:\n  - {name: drone, sources: /x}\n")
    answer = server.get("/api/v1/ingest/folders", headers=server.token("olga")).json()
    assert "sources" in answer["problem"]
    assert {each["watched"] for each in answer["folders"]} == {True}
    page = server.get("/watch-folders", cookies=server.cookies("olga")).text
    assert "The watch file cannot be read" in page
    assert "watch.yaml:2" in page


def test_files_are_filtered_and_paged(server: Server) -> None:
    def paths(query: str) -> list[str]:
        found = server.get(f"/api/v1/ingest/files?{query}", headers=server.token("olga")).json()
        return [each["path"] for each in found["files"]]

    assert paths("watch=drone&state=failed") == ["failed <b>.mp4"]
    assert paths("watch=earlier") == ["old.mp4"]
    assert len(paths("limit=4")) == 4
    first = server.get("/api/v1/ingest/files?limit=4", headers=server.token("olga")).json()
    assert paths(f"limit=100&before={first['before']}") == paths("")[4:]
    assert server.get("/api/v1/ingest/files?state=lost", headers=server.token("olga")).status_code == 422
    page = server.get("/watch-folders?watch=&state=ready", cookies=server.cookies("olga")).text
    assert "ready &lt;b&gt;.mp4" in page
    assert "failed &lt;b&gt;.mp4" not in page
    assert "No file matches" in server.get("/watch-folders?watch=gone", cookies=server.cookies("olga")).text


def test_a_file_is_dismissed_and_retried_with_the_checks_of_the_shell(server: Server) -> None:
    rejected = table(server).of_watch("drone")["rejected <b>.mp4"].id
    done = table(server).of_watch("drone")["done <b>.mp4"].id
    cookies = server.cookies("olga")
    needs = server.installation.needs().total
    assert f"/watch-folders?watch=drone#file-{rejected}" in server.get("/", cookies=cookies).text
    answer = server.post(f"/ingest/{rejected}/dismiss", cookies=cookies)
    assert (answer.status_code, "waits for nobody" in answer.headers["HX-Trigger"]) == (204, True)
    assert server.installation.needs().total == needs - 1
    retried = server.post(f"/api/v1/ingest/files/{rejected}/retry", headers=server.token("olga"))
    assert retried.json()["state"] == "receiving"
    again = server.post(f"/api/v1/ingest/files/{rejected}/dismiss", headers=server.token("olga"))
    assert (again.status_code, "the file is receiving" in again.text) == (409, True)
    for act in ("retry", "dismiss"):
        assert server.post(f"/api/v1/ingest/files/{done}/{act}", headers=server.token("olga")).status_code == 409
        assert server.post(f"/api/v1/ingest/files/999999/{act}", headers=server.token("olga")).status_code == 404
        refused = server.post(f"/api/v1/ingest/files/{rejected}/{act}", headers=server.token("vera"))
        assert refused.status_code == 403
    actions = [(each.action, each.who) for each in server.installation.audit() if each.details.get("file") == rejected]
    assert actions == [("retry_ingest", "olga"), ("dismiss_ingest", "olga")]


def test_viewers_have_no_such_place(server: Server) -> None:
    assert "/watch-folders" not in server.get("/projects", cookies=server.cookies("vera")).text
    assert server.get("/watch-folders", cookies=server.cookies("vera")).status_code == 403
    assert "/watch-folders" in server.get("/projects", cookies=server.cookies("olga")).text
