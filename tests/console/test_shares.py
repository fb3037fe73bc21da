"""Links to one file or one folder: who may make them, what they open, and when they end."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from in_process import Server, in_process

from winslow_dagster.projects.database import schema
from winslow_dagster.projects.domain.actor import Actor

CONTENT = bytes(range(256)) * 2000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("shares")
    with in_process(folder / "home") as server:
        for name, role in (("anna", "admin"), ("vera", "viewer"), ("bruno", "operator")):
            server.installation.accounts.add(name, role=role)
        (folder / "film <b>.mp4").write_bytes(CONTENT)
        (folder / "many").mkdir()
        for name in ("a.txt", "b.txt"):
            (folder / "many" / name).write_text(name)
        server.installation.pool.add(folder / "film <b>.mp4", "film")
        server.installation.pool.add(folder / "many")
        yield server


def made(server: Server, who: str = "vera", **body: object) -> str:
    """The path of a new link."""
    answer = server.post("/api/v1/shares", json={"pool": "film", **body}, headers=server.token(who))
    assert answer.status_code == 201, answer.text
    return f"/shared/{answer.json()['key']}"


def newest(server: Server) -> int:
    with server.installation.context.records.database.reading() as connection:
        ids = connection.execute(schema.shares.select().order_by(schema.shares.c.id.desc())).scalars()
        return int(next(iter(ids)))


def test_a_link_shows_what_it_is_and_who_shared_it_and_lets_anybody_download_it(server: Server) -> None:
    path = made(server)
    page = server.get(path)
    assert page.status_code == 200
    assert "film &lt;b&gt;.mp4" in page.text
    assert "Shared by vera" in page.text
    assert 'class="frame"' not in page.text
    answer = server.get(f"{path}/content")
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="film__b_.mp4"')
    assert any(value.startswith("sandbox") for value in answer.headers.get_list("Content-Security-Policy"))
    part = server.get(f"{path}/content", headers={"Range": "bytes=10-19", "If-Range": answer.headers["ETag"]})
    assert (part.status_code, part.content) == (206, CONTENT[10:20])
    assert server.send("HEAD", f"{path}/content").headers["Content-Length"] == str(len(CONTENT))


def test_a_link_to_a_folder_is_an_archive(server: Server) -> None:
    path = made(server, pool="many")
    assert "2 files in one archive" in server.get(path).text
    answer = server.get(f"{path}/content")
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="many.zip"')
    with zipfile.ZipFile(io.BytesIO(answer.content)) as opened:
        assert opened.namelist() == ["many/a.txt", "many/b.txt"]


def test_a_link_opens_nothing_else_and_changes_nothing(server: Server) -> None:
    path = made(server)
    key = path.rpartition("/")[2]
    for method, other in (("POST", path), ("PUT", f"{path}/content"), ("DELETE", f"{path}/content")):
        assert server.send(method, other).status_code in {401, 405}
    for other in ("/files", "/api/v1/pool/film/archive", f"/shared/{key}/other", f"/shared/{key}/../files"):
        assert server.get(other).status_code in {303, 401, 404}
    for headers in ({"Authorization": f"Bearer {key}"}, {"Cookie": f"winslow_00000000={key}"}):
        assert server.get("/api/v1/me", headers=headers).status_code == 401
    for wrong in (key[:-1], key.swapcase(), f"{key}x", "x"):
        answer = server.get(f"/shared/{wrong}/content")
        assert answer.status_code == 404
        assert "the link is not valid" in answer.text
        assert server.get(f"/shared/{wrong}").status_code == 404


def test_a_link_ends_when_it_expires_is_revoked_or_its_maker_is_disabled(server: Server) -> None:
    def statuses(path: str) -> list[int]:
        return [server.get(each).status_code for each in (path, f"{path}/content")]

    expired = made(server, days=0.5)
    with server.installation.context.records.database.writing() as connection:
        mine = schema.shares.c.id == newest(server)
        before = server.installation.context.clock() - timedelta(seconds=1)
        connection.execute(schema.shares.update().where(mine).values(expires_at=before))
    assert statuses(expired) == [404, 404]

    revoked = made(server)
    number = newest(server)
    assert statuses(revoked) == [200, 200]
    for _ in range(2):
        answer = server.send("DELETE", f"/api/v1/shares/{number}", headers=server.token("vera"))
        assert (answer.status_code, answer.json()["revoked_by"]) == (200, "vera")
    assert statuses(revoked) == [404, 404]
    assert "expired or was revoked" in server.get(revoked).text

    of_bruno = made(server, "bruno")
    server.installation.accounts.disable("bruno")
    assert statuses(of_bruno) == [404, 404]
    server.installation.accounts.enable("bruno")
    assert statuses(of_bruno) == [200, 200]


def test_people_see_and_revoke_their_own_links_and_administrators_all(server: Server) -> None:
    made(server, "vera")
    number = newest(server)
    tokens = {name: server.token(name) for name in ("anna", "vera", "bruno")}

    def listed(who: str, query: str = "") -> httpx.Response:
        return server.get(f"/api/v1/shares{query}", headers=tokens[who])

    assert {each["created_by"] for each in listed("vera").json()} == {"vera"}
    assert number in {each["id"] for each in listed("anna", "?everybody=true").json()}
    assert listed("vera", "?everybody=true").status_code == 403
    refused = server.send("DELETE", f"/api/v1/shares/{number}", headers=tokens["bruno"])
    assert (refused.status_code, "belongs to vera" in refused.text) == (403, True)
    assert server.send("DELETE", f"/api/v1/shares/{number}", headers=tokens["anna"]).status_code == 200
    assert server.send("DELETE", "/api/v1/shares/999999", headers=tokens["anna"]).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "text"),
    [
        ({"days": 31}, 422, "at most 30"),
        ({"days": 0}, 422, "more than 0"),
        ({"days": -1}, 422, "more than 0"),
        ({"pool": "nothing"}, 404, "nothing"),
        ({"pool": None}, 422, "what is to be shared?"),
        ({"project": "ulm"}, 422, "either a project or a file of the pool"),
        ({"pool": None, "project": "nowhere"}, 404, "nowhere"),
        ({"format": "rar"}, 422, "tar"),
        ({"key": "mine"}, 422, "key"),
    ],
)
def test_what_cannot_be_shared_is_refused(server: Server, body: dict[str, object], status: int, text: str) -> None:
    answer = server.post("/api/v1/shares", json={"pool": "film", **body}, headers=server.token("vera"))
    assert (answer.status_code, text in answer.text) == (status, True), answer.text


def test_uses_are_counted_and_in_the_audit_trail(server: Server) -> None:
    path = made(server)
    number = newest(server)
    for headers in ({}, {"Range": "bytes=5-"}, {"Range": "bytes=9-"}):
        server.get(f"{path}/content", peer="192.0.2.7", headers=headers)
    server.send("HEAD", f"{path}/content", peer="192.0.2.9")
    server.get(f"{path}/content", peer="192.0.2.8")
    (share,) = (each for each in server.installation.shares.list(everybody=True) if each.id == number)
    assert (share.uses, share.used_from) == (2, "192.0.2.8"), "ranges of one address are one download"
    entries = [each for each in server.installation.audit() if each.details.get("share") == number]
    assert [(each.action, each.who, each.host) for each in entries] == [
        ("share_use", f"link {number} of vera", "192.0.2.8"),
        ("share_use", f"link {number} of vera", "192.0.2.7"),
        ("share", "vera", "127.0.0.1"),
    ]


def test_another_file_of_the_same_name_is_not_what_was_shared(server: Server, tmp_path: Path) -> None:
    (tmp_path / "replaced.txt").write_text("first")
    server.installation.pool.add(tmp_path / "replaced.txt", "replaced")
    path = made(server, pool="replaced")
    server.installation.pool.rename("replaced", "renamed")
    assert server.get(f"{path}/content").text == "first"
    server.installation.pool.remove("renamed")
    assert server.get(f"{path}/content").status_code == 404
    (tmp_path / "replaced.txt").write_text("secret")
    server.installation.pool.add(tmp_path / "replaced.txt", "replaced")
    answer = server.get(f"{path}/content")
    assert (answer.status_code, "not what was shared" in answer.text) == (404, True)


def test_keys_are_not_stored(server: Server) -> None:
    key = made(server).rpartition("/")[2]
    with server.installation.context.records.database.reading() as connection:
        rows = connection.execute(schema.shares.select()).all()
    assert rows
    assert not any(key in str(row) for row in rows)


def test_a_link_is_made_and_revoked_on_pages(server: Server) -> None:
    cookies = server.cookies("vera")
    shown = server.post("/shares", data={"pool": "film", "days": "1"}, cookies=cookies)
    assert shown.status_code == 200
    address = shown.text.partition("http://127.0.0.1:3000")[2].partition("<")[0]
    assert server.get(f"{address}/content").content == CONTENT
    number = newest(server)
    assert f"/settings/links/{number}/revoke" in server.get("/settings/links", cookies=cookies).text
    assert server.post(f"/settings/links/{number}/revoke", cookies=cookies).status_code == 204
    assert f"/settings/links/{number}/revoke" not in server.get("/settings/links", cookies=cookies).text
    assert server.get(f"{address}/content").status_code == 404


def test_somebody_with_the_installations_files_shares_too(server: Server) -> None:
    acting = server.installation.acting_as(Actor("root", "cli"))
    new = acting.shares.create_for_pool("film", days=2)
    assert server.get(f"{new.path}/content").content == CONTENT
    assert acting.shares.revoke(new.share.id).revoked_by == "root"
