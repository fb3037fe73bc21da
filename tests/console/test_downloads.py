"""Folders are downloaded as archives from a real server: in ranges, through interruptions, by every door."""

from __future__ import annotations

import http.client
import io
import json
import subprocess
import tarfile
import time
import urllib.parse
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from installation import kill, until
from project_server import Server, running

from winslow_dagster.cli import main
from winslow_dagster.client import WinslowClient
from winslow_dagster.console.ranged import CHECK_AGAIN_S
from winslow_dagster.errors import NotFound, ProjectConflict, StoreError, UsageError

pytestmark = pytest.mark.slow

HOSTILE = "<img src=x onerror=alert(1)>.txt"
LARGE_BYTES = 48 << 20
NAMES = ["größe 日本語.csv", 'quo"te.txt', "n" * 255, "deep/er/b.bin", "a; rm -rf.txt"]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("downloads")) as started:
        started.open_gate()
        started.winslow.run("steps", "made", stop_after="make").ended()
        started.winslow.run("quick", "many").wait()
        started.winslow.project("many").redo("only", env={"SCORE": "2"}).wait()
        yield started


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[WinslowClient]:
    server.winslow.accounts.add("vera", role="viewer")
    key = server.winslow.accounts.create_token("vera", "tests").key
    with WinslowClient(server.place.services.address, key) as client:
        yield client


@pytest.fixture
def pooled(server: Server, tmp_path: Path) -> str:
    """A directory of the pool with two large files."""
    source = tmp_path / "footage"
    source.mkdir()
    for name in ("first.bin", "second.bin"):
        (source / name).write_bytes(bytes(range(256)) * (LARGE_BYTES // 256))
    name = f"footage-{tmp_path.name}"
    server.winslow.pool.add(source, name)
    return name


def of_project(server: Server, project: str) -> dict[str, bytes]:
    """Stage and path -> content, of the current outputs."""
    handle = server.winslow.project(project)
    found = {}
    for file in handle.files():
        with handle.open_file(file) as content:
            found[f"{file.stage}/{file.path}"] = content.read()
    return found


def unzipped(content: bytes) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as opened:
        assert opened.testzip() is None
        return {name: opened.read(name) for name in opened.namelist()}


def untarred(content: bytes) -> dict[str, bytes]:
    with tarfile.open(fileobj=io.BytesIO(content)) as opened:
        return {each.name: opened.extractfile(each).read() for each in opened}  # type: ignore[union-attr]


def test_a_project_a_stage_and_an_attempt_are_served_as_archives(server: Server) -> None:
    made = of_project(server, "made")
    assert f"make/{HOSTILE}" in made
    answer = server.api("made/archive?format=zip")
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/zip")
    assert answer.headers["Content-Disposition"] == "attachment; filename=\"made.zip\"; filename*=UTF-8''made.zip"
    assert unzipped(answer.body) == {f"made/{path}": content for path, content in made.items()}
    stage = server.api("made/archive?stage=make")
    assert (stage.headers["Content-Type"], int(stage.headers["Content-Length"])) == (
        "application/x-tar",
        len(stage.body),
    )
    assert untarred(stage.body) == {f"made-make-1/{path.removeprefix('make/')}": made[path] for path in made}
    first, now = (server.api(f"many/archive?stage=only{more}") for more in ("&attempt=1", ""))
    assert untarred(first.body) == {"many-only-1/score.txt": b"1\n"}
    assert untarred(now.body) == {"many-only-2/score.txt": b"2\n"}


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_an_archive_is_served_in_ranges_and_keeps_its_tag(server: Server, form: str) -> None:
    path = f"made/archive?stage=make&format={form}"
    whole = server.api(path)
    size, tag = len(whole.body), whole.headers["ETag"]
    head = server.api(path, "HEAD")
    assert (head.body, int(head.headers["Content-Length"]), head.headers["ETag"]) == (b"", size, tag)
    for asked, begin, end in (
        ("bytes=0-0", 0, 1),
        (f"bytes={size // 2}-", size // 2, size),
        ("bytes=-200", size - 200, size),
        ("bytes=500000-500999", 500_000, 501_000),
    ):
        part = server.api(path, Range=asked, If_Range=tag)
        assert (part.status, part.body) == (206, whole.body[begin:end]), asked
        assert part.headers["Content-Range"] == f"bytes {begin}-{end - 1}/{size}"
    other = server.api(path, Range="bytes=0-9", If_Range='"another"')
    assert (other.status, len(other.body)) == (200, size)
    assert server.api(path, If_None_Match=tag).status == 304
    assert server.api(path, Range=f"bytes={size}-").status == 416
    assert server.api(f"{path}&version={tag.strip(chr(34))}").status == 200
    changed = server.api(f"{path}&version=0000")
    assert (changed.status, changed.data["error"]) == (409, "ProjectConflict")


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("nowhere/archive", 404),
        ("made/archive?stage=nothing", 404),
        ("made/archive?stage=gate", 404),
        ("made/archive?attempt=1", 422),
        ("made/archive?stage=make&attempt=9", 404),
        ("made/archive?format=rar", 422),
    ],
)
def test_what_is_no_folder_is_refused(server: Server, path: str, status: int) -> None:
    answer = server.api(path)
    assert answer.status == status
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_curl_goes_on_where_it_stopped_although_the_server_was_killed(
    server: Server, pooled: str, tmp_path: Path
) -> None:
    address = f"{server.place.services.address}/api/v1/pool/{pooled}/archive?format=zip"
    (header,) = server.place.authorization.values()
    whole = server.send(f"/api/v1/pool/{pooled}/archive?format=zip").body
    target = tmp_path / "got.zip"
    target.write_bytes(whole[: LARGE_BYTES + 4_321])
    assert kill(server.place.service("web-server")) == 1
    until(server.place.services.running, "the web server is back")
    command = ["curl", "--silent", "--fail", "-C", "-", "-H", f"Authorization: {header}", "-o", str(target), address]
    subprocess.run(command, check=True)
    assert target.read_bytes() == whole
    with zipfile.ZipFile(target) as opened:
        assert opened.testzip() is None


@pytest.mark.parametrize("what", ["archive?format=tar", "archive?format=zip", "files/second.bin"])
def test_what_is_deleted_while_it_is_sent_never_looks_complete(server: Server, pooled: str, what: str) -> None:
    address = urllib.parse.urlsplit(server.place.services.address)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("GET", f"/api/v1/pool/{pooled}/{what}", headers=server.place.authorization)
    answer = connection.getresponse()
    assert answer.status == 200
    assert len(answer.read(100_000)) == 100_000
    server.winslow.context.store.delete_tree(server.winslow.pool.files.file(pooled).manifest.address)
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    assert server.send(f"/api/v1/pool/{pooled}/{what}").status == 502
    server.winslow.pool.remove(pooled)
    assert server.send(f"/api/v1/pool/{pooled}/{what}").status == 404


def test_files_and_directories_of_the_pool_are_served_under_any_name(server: Server, tmp_path: Path) -> None:
    source = tmp_path / "names"
    for name in NAMES:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(name.encode())
    server.winslow.pool.add(source, "names")
    whole = server.send("/api/v1/pool/names/archive?format=zip")
    assert unzipped(whole.body) == {f"names/{name}": name.encode() for name in NAMES}
    for name in NAMES:
        answer = server.send(f"/api/v1/pool/names/files/{urllib.parse.quote(name)}?download=1")
        assert (answer.status, answer.body) == (200, name.encode())
        (shown,) = answer.headers.get_all("Content-Disposition")
        encoded = urllib.parse.quote(name.rpartition("/")[2], safe="")
        assert shown.startswith('attachment; filename="')
        assert shown.endswith(f"; filename*=UTF-8''{encoded}")
        assert shown.count('"') == 2
    for path in ("../names", "%2e%2e/x", "deep", "nothing", "%00"):
        assert server.send(f"/api/v1/pool/names/files/{path}").status == 404


def test_the_client_saves_folders_and_files_and_goes_on_where_it_stopped(
    server: Server, client: WinslowClient, tmp_path: Path
) -> None:
    made, project = of_project(server, "made"), client.project("made")
    moved: list[int] = []
    began: list[tuple[str, int]] = []

    def started(name: str, size_bytes: int) -> Callable[[int], None]:
        began.append((name, size_bytes))
        return moved.append

    got = project.download(tmp_path / "made.zip", form="zip", started=started)
    assert began == [("made.zip", got.stat().st_size)]
    assert unzipped(got.read_bytes()) == {f"made/{path}": content for path, content in made.items()}
    assert sum(moved) == got.stat().st_size
    with pytest.raises(ProjectConflict, match="the file exists"):
        project.download(got, form="zip")
    with pytest.raises(NotFound):
        project.download(tmp_path / "no.tar", "gate")

    # What an interrupted call has left is continued, and only that.
    tag = server.api("made/archive?stage=make").headers["ETag"].strip('"')
    content = server.api("made/archive?stage=make").body
    (tmp_path / f".{tag}.part").write_bytes(content[:400_000])
    moved.clear()
    got = project.download(tmp_path / "again.tar", "make", started=started)
    assert got.read_bytes() == content
    assert moved[0] == 400_000
    assert list(tmp_path.glob(".*")) == []

    server.winslow.pool.add(tmp_path / "made.zip", "saved")
    kept = client.pool.download("saved", tmp_path / "saved.zip", "zip")
    assert kept.read_bytes() == server.winslow.pool.download("saved", tmp_path / "local.zip", "zip").read_bytes()
    assert list(unzipped(kept.read_bytes())) == ["saved/made.zip"]

    for file in project.files():
        assert project.fetch(file, tmp_path / "out").read_bytes() == made[f"{file.stage}/{file.path}"]
    with pytest.raises(ValueError, match="not a path inside a tree"):
        project.fetch(file.model_copy(update={"path": "../../escaped"}), tmp_path / "out")


@pytest.mark.usefixtures("client")
def test_the_shell_writes_the_same_archive_here_and_from_a_server(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in server.place.environment.items():
        monkeypatch.setenv(name, value)

    def winslow(*arguments: str) -> int:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        return int(ended.value.code or 0)

    target = tmp_path / "made.tar"
    assert winslow("files", "made", "--archive", str(target), "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"archive": str(target), "size_bytes": target.stat().st_size}
    assert target.read_bytes() == server.api("made/archive").body
    there = server.place.services.address
    monkeypatch.setenv("WINSLOW_TOKEN", server.winslow.accounts.create_token("vera", "shell").key)
    remote = tmp_path / "remote.tar"
    assert winslow("files", "made", "--archive", str(remote), "--from", there, "--json") == 0
    assert json.loads(capsys.readouterr().out)["size_bytes"] == target.stat().st_size
    assert remote.read_bytes() == target.read_bytes()
    assert winslow("files", "made", "--from", there) == UsageError.exit_code
    assert "--from is for --archive" in capsys.readouterr().err
    assert winslow("files", "made", "--archive", str(target)) == ProjectConflict.exit_code
    assert "the file exists" in capsys.readouterr().err
    assert winslow("files", "made", "--archive", "made.rar") == UsageError.exit_code
    assert "neither .tar nor .zip" in capsys.readouterr().err


def test_a_file_that_the_store_has_lost_is_an_error_before_anything_is_sent(
    server: Server, client: WinslowClient, tmp_path: Path
) -> None:
    server.winslow.run("quick", "lost").wait()
    (file,) = server.winslow.project("lost").files()
    assert file.local_path is not None
    file.local_path.parent.chmod(0o700)
    file.local_path.unlink()
    answer = server.api("lost/archive")
    assert (answer.status, answer.data["error"]) == (502, "StoreError")
    with pytest.raises(StoreError, match="is missing"):
        client.project("lost").download(tmp_path / "lost.tar")


def test_the_pages_of_a_stage_lead_to_its_archive(server: Server) -> None:
    page = server.send("/projects/many/stages/only/files?attempt=1").text
    for form in ("zip", "tar"):
        assert f'href="/api/v1/projects/many/archive?stage=only&amp;attempt=1&amp;format={form}" download' in page
    assert "winslow files many --stage only --archive only.zip --attempt 1" in page
    assert "/api/v1/projects/many/archive?format=zip" in server.send("/projects/many/stages/only/result").text


def test_a_file_and_a_folder_are_shared_as_they_were_until_the_project_is_deleted(
    server: Server, client: WinslowClient
) -> None:
    server.winslow.run("quick", "shared").wait()
    file = client.shares.create("shared", "only", path="score.txt", days=1)
    folder = client.shares.create("shared", form="tar")
    assert [each.name for each in client.shares.list()[:2]] == ["shared.tar", "score.txt"]
    server.winslow.project("shared").redo("only", env={"SCORE": "2"}).wait()
    assert server.api("shared/files/only/score.txt").text == "2\n"
    assert server.send(f"{file.path}/content").text == "1\n"
    assert untarred(server.send(f"{folder.path}/content").body) == {"shared/only/score.txt": b"1\n"}
    page = server.send(folder.path)
    assert (page.status, "Shared by vera" in page.text, "1 file in one archive" in page.text) == (200, True, True)
    with pytest.raises(NotFound):
        client.shares.create("shared", "only", path="nothing.txt")
    server.winslow.project("shared").delete("enough")
    assert {server.send(f"{each.path}/content").status for each in (file, folder)} == {410}
    server.winslow.project("shared").restore()
    assert client.shares.revoke(file.share.id).revoked_by == "vera"
    assert [server.send(f"{each.path}/content").status for each in (file, folder)] == [404, 200]


def test_a_download_ends_soon_after_its_link_is_revoked(server: Server, pooled: str) -> None:
    new = server.winslow.shares.create_for_pool(pooled)
    address = urllib.parse.urlsplit(server.place.services.address)
    connection = http.client.HTTPConnection(address.hostname or "", address.port)
    connection.request("GET", f"{new.path}/content")
    answer = connection.getresponse()
    assert len(answer.read(100_000)) == 100_000
    server.winslow.shares.revoke(new.share.id)
    revoked_at = time.monotonic()
    until(lambda: time.monotonic() - revoked_at > CHECK_AGAIN_S, "the server looks again")
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()


def test_the_page_of_the_pool_leads_to_its_files(server: Server, tmp_path: Path) -> None:
    (tmp_path / "one file.txt").write_text("one")
    (tmp_path / "two").mkdir()
    for name in ("a", "b"):
        (tmp_path / "two" / name).write_text(name)
    server.winslow.pool.add(tmp_path / "one file.txt", "linked-file")
    server.winslow.pool.add(tmp_path / "two", "linked-folder")
    page = server.send("/files").text
    paths = (
        "/api/v1/pool/linked-file/files/one%20file.txt?download=true",
        "/api/v1/pool/linked-folder/archive?format=zip",
    )
    for path in paths:
        assert f'href="{path}" download' in page
    assert server.send(paths[0]).text == "one"
    # The page of the pool has its own, and another file of the name does not change what is downloaded.
    server.winslow.pool.remove("linked-file")
    (tmp_path / "one file.txt").write_text("another")
    server.winslow.pool.add(tmp_path / "one file.txt", "linked-file")
    assert untarred(server.send("/api/v1/pool/linked-file/archive").body) == {"linked-file/one file.txt": b"another"}
    assert unzipped(server.send(paths[1]).body) == {"linked-folder/a": b"a", "linked-folder/b": b"b"}
