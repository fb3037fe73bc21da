"""Files sent in parts, through everything that can happen to a connection and to a server."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from math import inf
from pathlib import Path

import psutil
import pytest
from blake3 import blake3
from certificates import certificate
from installation import kill, until
from upload_server import PART, Server, Tap, content_of, told, upload_server

from winslow_dagster.client import WinslowClient
from winslow_dagster.errors import DiskFull, Forbidden, InputRejected, NotFound, ProjectConflict, ServiceUnavailable
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.inputs.received_file import RESERVE_BYTES
from winslow_dagster.projects.installation import Installation as FrontDoor
from winslow_dagster.services import Services

pytestmark = pytest.mark.slow

KILLS = 20
UPLOADS = 4


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with upload_server(tmp_path_factory.mktemp("uploads")) as started:
        yield started


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("encrypted")
    pem, key = certificate(directory, "localhost")
    with upload_server(directory, WINSLOW_TLS_CERTIFICATE=str(pem), WINSLOW_TLS_KEY=str(key)) as started:
        yield started


@pytest.fixture(params=["server", "encrypted"])
def each_server(request: pytest.FixtureRequest) -> Server:
    """One that reads large bodies from the connection itself, and one that cannot, since they are encrypted."""
    found: Server = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def front(server: Server) -> FrontDoor:
    return server.front


def head_of_a_part(location: str, length_bytes: int) -> str:
    lines = {**PART, "Upload-Offset": "0", "Content-Length": str(length_bytes)}
    return "\r\n".join([f"PATCH {location} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())])


def test_what_arrived_in_parts_is_in_the_pool_byte_for_byte(server: Server, front: FrontDoor) -> None:
    content = os.urandom(300_001)
    location = server.begin("three-parts.bin", len(content))
    assert server.offset(location) == 0
    for begin in range(0, len(content), 100_000):
        status, headers, _ = server.send(location, begin, content[begin : begin + 100_000])
        assert (status, headers["tus-resumable"]) == (204, "1.0.0")
    assert server.stored(location)["state"] == "stored"
    assert content_of(front, "three-parts.bin") == content
    assert [each.who for each in front.audit() if each.details.get("name") == "three-parts.bin"] == ["anna"]
    assert not list((server.place.settings.home / "uploads").iterdir())


def test_kills_of_the_server_at_random_bytes_lose_and_change_nothing(each_server: Server, tmp_path: Path) -> None:
    server, front, contents = each_server, each_server.front, {}
    kills = KILLS if server.place.settings.tls_certificate is None else KILLS // 4
    for number in range(UPLOADS):
        path = tmp_path / f"film-{number}.bin"
        path.write_bytes(random.randbytes(kills * 3_000_000))
        contents[path.name] = path
    tap = Tap()
    with (
        server.another_client() as other,
        ThreadPoolExecutor(UPLOADS + 1) as pool,
    ):
        running = [pool.submit(server.client.uploads.send, path, None, tap.sent) for path in contents.values()]
        # Another program sends one of the same files at the same time.
        running.append(pool.submit(other.uploads.send, path, None, tap.sent))
        tap.wait_for_senders(UPLOADS + 1)
        for _ in range(kills):
            tap.let_pass(random.randrange(1, 16_000_000))
            assert not all(each.done() for each in running)
            until(lambda: kill(server.place.service("web-server")) == 1, "it runs, and is killed")
        tap.let_pass(inf)
        ended = [each.result() for each in running]
    assert {each.state for each in ended} == {"stored"}
    assert len({each.id for each in ended}) == UPLOADS
    for name, path in contents.items():
        assert content_of(front, name) == path.read_bytes(), name
        front.pool.remove(name)


def test_what_was_complete_when_the_server_was_killed_is_stored_at_its_next_start(
    server: Server, front: FrontDoor
) -> None:
    content = os.urandom(5_000_000)
    location = server.begin("complete.bin", len(content))
    (web,) = server.place.service("web-server")
    # As if it had been killed after the last byte: the file is complete, and nobody has put it into the pool.
    os.kill(web, signal.SIGSTOP)
    uploads = front.uploads
    with uploads.receive(location.rpartition("/")[2], 0) as receiver:
        receiver.append(content)
    assert kill([web]) == 1
    until(lambda: "complete.bin" in {each.name for each in front.pool.list()}, "it is stored")
    assert content_of(front, "complete.bin") == content


def test_only_the_place_where_it_stopped_continues_it(server: Server) -> None:
    location = server.begin("offsets.bin", 100)
    assert server.send(location, 0, b"x" * 40)[0] == 204
    for wrong in (0, 39, 41, 100, 10**12):
        status, _, body = server.send(location, wrong, b"y" * 10)
        assert status == 409
        assert "40 bytes of it are here" in json.loads(body)["what"]
    assert server.offset(location) == 40
    status, _, body = server.send(location, 40, b"z" * 61)
    assert status == 409
    assert "more than the announced 100 bytes" in json.loads(body)["what"]
    status, _, _ = server.ask("PATCH", location, b"z", Upload_Offset="40", Content_Type="text/plain")
    assert status == 400
    assert server.ask("DELETE", location)[0] == 204
    assert server.upload(location)["state"] == "cancelled"
    assert server.send(location, 40, b"z")[0] == 409


def test_a_connection_that_breaks_keeps_what_it_brought_and_lets_the_next_one_go_on(each_server: Server) -> None:
    server = each_server
    location = server.begin("broken.bin", 10_000_000)
    with server.open(head_of_a_part(location, 10_000_000)) as lying:
        lying.sendall(b"a" * 6_000_000)
        until(lambda: server.offset(location) > 0, "some of it is on the disk")
        # Meanwhile nobody else may send.
        assert server.send(location, server.offset(location), b"b")[0] == 423
    until(lambda: server.send(location, server.offset(location), b"")[0] == 204, "the next one may go on")
    offset = server.offset(location)
    assert 0 < offset <= 6_000_000
    assert server.send(location, offset, b"a" * (10_000_000 - offset))[0] == 204
    assert server.stored(location)["state"] == "stored"


def test_a_connection_goes_on_after_a_part_and_behind_one_that_was_refused(each_server: Server) -> None:
    server, front = each_server, each_server.front
    content, cut = random.randbytes(5_000_000), 1_234_567
    location, small = server.begin("parts.bin", len(content)), server.begin("small.bin", 3_000_000)
    named = {"Authorization": f"Bearer {server.token}", **PART}
    with contextlib.closing(server.connect()) as connection:

        def send(to: str, offset: int, part: bytes) -> tuple[int, bytes]:
            connection.request("PATCH", to, part, {**named, "Upload-Offset": str(offset)})
            answer = connection.getresponse()
            return answer.status, answer.read()

        assert send(location, 0, content[:cut])[0] == 204
        first = connection.sock
        status, body = send(small, 0, content)
        assert (status, json.loads(body)["what"]) == (409, "more than the announced 3000000 bytes were sent")
        assert send(location, cut, content[cut:])[0] == 204
        assert connection.sock is first
    assert server.stored(location)["state"] == "stored"
    assert content_of(front, "parts.bin") == content
    front.pool.remove("parts.bin")
    front.uploads.cancel(small.rpartition("/")[2])


def test_a_sender_that_asks_first_whether_to_go_on_is_told_so(each_server: Server) -> None:
    server = each_server
    location = server.begin("asks.bin", 2_000_000)
    with server.open(head_of_a_part(location, 2_000_000) + "\r\nExpect: 100-continue") as asking:
        assert asking.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        asking.sendall(b"a" * 2_000_000)
        assert asking.recv(100).startswith(b"HTTP/1.1 204 ")
    assert server.stored(location)["state"] == "stored"


def test_a_request_behind_the_last_one_of_a_connection_disturbs_no_answer(each_server: Server) -> None:
    """A sender that has asked to close the connection may still write: its answers arrive, and nothing else."""
    server = each_server
    location = server.begin("last.bin", 2_000_000)
    with server.open(head_of_a_part(location, 2_000_000)) as sending:
        last = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        sending.sendall(b"a" * 2_000_000 + last.encode() + b"GET /behind HTTP/1.1\r\nHost: localhost\r\n\r\n")
        answers = b"".join(iter(lambda: sending.recv(65536), b""))
    assert [int(line[:3]) for line in answers.split(b"HTTP/1.1 ")[1:]] == [204, 200]
    assert server.stored(location)["state"] == "stored"


def test_a_part_whose_length_is_not_announced_arrives_too(server: Server, front: FrontDoor) -> None:
    content = os.urandom(5_000_000)
    location = server.begin("chunked.bin", len(content))
    with contextlib.closing(server.connect()) as connection:
        headers = {"Authorization": f"Bearer {server.token}", **PART, "Upload-Offset": "0"}
        chunks = (content[begin : begin + 700_000] for begin in range(0, len(content), 700_000))
        connection.request("PATCH", location, chunks, headers, encode_chunked=True)
        assert connection.getresponse().status == 204
    assert server.stored(location)["state"] == "stored"
    assert content_of(front, "chunked.bin") == content
    front.pool.remove("chunked.bin")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../up.bin", "a/b.bin", "/etc/passwd", "nul\0.bin", "line\nfeed.bin", "\x1b[31mred.bin"]
)
def test_a_name_that_is_no_file_name_is_refused(front: FrontDoor, name: str) -> None:
    with pytest.raises(InputRejected, match="is not a file name"):
        front.uploads.begin(name, 10, name="named")


@pytest.mark.parametrize("name", ["Kreuzung Süd.mp4", "交差点.mp4", "تقاطع.mp4", "é" * 120 + ".mp4", "a" * 255])
def test_names_of_every_script_stay_what_they_are(front: FrontDoor, name: str) -> None:
    upload = front.uploads.begin(name, 3, name="scripts")
    with front.uploads.receive(upload.id, 0) as receiver:
        receiver.append(b"abc")
    assert front.uploads.store(upload.id).state == "stored"
    assert [each.path for each in front.pool.files.file("scripts").manifest.files] == [name]
    front.pool.remove("scripts")


def test_what_a_request_says_of_a_file_changes_no_other_one_and_no_header(server: Server, front: FrontDoor) -> None:
    for name in ("../../escaped.bin", "/tmp/escaped.bin", "a\r\nX-Injected: yes", "..", "a\\..\\b\n"):
        status, headers, body = server.ask("POST", "/api/v1/uploads", Upload_Length="3", Upload_Metadata=told(name))
        assert (status, "x-injected" in headers) == (422, False)
        assert "is not a file name" in json.loads(body)["what"]
    named = told("plain.bin", name="../../escaped")
    status, _, body = server.ask("POST", "/api/v1/uploads", Upload_Length="3", Upload_Metadata=named)
    assert (status, json.loads(body)["error"]) == (422, "InputRejected")
    for upload_id in ("..", "..%2F..%2Fdagster", "%00", "0" * 32, "a" * 5000):
        for method in ("GET", "HEAD", "DELETE"):
            assert server.ask(method, f"/api/v1/uploads/{upload_id}")[0] in {404, 405, 414}
    assert front.uploads.unfinished(everybodys=True) == ()


def test_a_token_that_is_revoked_in_between_is_told_and_another_one_goes_on(server: Server, front: FrontDoor) -> None:
    revoked = front.accounts.create_token("anna", "short")
    location = server.begin("two-tokens.bin", 100)
    first = Server(server.place, revoked.key, front)
    assert first.send(location, 0, b"a" * 60)[0] == 204
    front.accounts.revoke_token(revoked.token.id)
    status, _, body = first.send(location, 60, b"b" * 40)
    assert (status, json.loads(body)["what"]) == (401, "the token is not valid")
    assert server.offset(location) == 60
    assert server.send(location, 60, b"b" * 40)[0] == 204
    assert server.stored(location)["state"] == "stored"
    assert content_of(front, "two-tokens.bin") == b"a" * 60 + b"b" * 40
    front.pool.remove("two-tokens.bin")
    first.client.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_full_in_between_is_told_and_the_rest_follows_once_there_is_space(
    server: Server, front: FrontDoor
) -> None:
    uploads, reserve_mib = server.place.settings.home / "uploads", RESERVE_BYTES >> 20
    mounted = ["mount", "-t", "tmpfs", "none", str(uploads), "-o"]
    uploads.mkdir(exist_ok=True)
    content = os.urandom(40 << 20)
    subprocess.run([*mounted, f"size={reserve_mib + 50}m"], check=True)
    try:
        location = server.begin("large.bin", len(content))
        # What the first one still needs is not there for another one.
        with pytest.raises(DiskFull, match="can still be sent"):
            front.uploads.begin("second.bin", 20 << 20)
        subprocess.run([*mounted, f"remount,size={reserve_mib + 20}m"], check=True)
        status, _, body = server.send(location, 0, content)
        assert (status, json.loads(body)["what"]) == (507, "the disk is almost full")
        here_bytes = server.offset(location)
        assert 0 < here_bytes < len(content)
        subprocess.run([*mounted, f"remount,size={reserve_mib + 50}m"], check=True)
        assert server.send(location, here_bytes, content[here_bytes:])[0] == 204
        assert server.stored(location)["state"] == "stored"
    finally:
        # Lazily: the server may be looking into it just now.
        subprocess.run(["umount", "--lazy", str(uploads)], check=True)
    assert content_of(front, "large.bin") == content
    front.pool.remove("large.bin")


def test_what_arrives_is_checked_on_the_way_and_read_again_only_after_a_restart(front: FrontDoor) -> None:
    content = random.randbytes(64 << 20)

    def read_bytes_of_storing(upload_id: str, storing: FrontDoor) -> int:
        before = psutil.Process().io_counters().read_chars
        assert storing.uploads.store(upload_id).state == "stored"
        return int(psutil.Process().io_counters().read_chars) - before

    def received(name: str, parts: int) -> str:
        upload, size = front.uploads.begin(name, len(content), name=name), len(content) // parts
        for begin in range(0, len(content), size):
            with front.uploads.receive(upload.id, begin) as receiver:
                receiver.append(content[begin : begin + size])
        return upload.id

    assert read_bytes_of_storing(received("seen.bin", 4), front) < len(content) // 2
    upload_id = received("unseen.bin", 1)
    with FrontDoor(front.settings, Services(front.settings), Actor("tests", "cli")) as restarted:
        assert read_bytes_of_storing(upload_id, restarted) >= len(content)
    for name in ("seen.bin", "unseen.bin"):
        assert front.pool.files.file(name).manifest.files[0].blake3 == blake3(content).hexdigest()
        front.pool.remove(name)


def test_what_cannot_fit_is_refused_before_a_byte_is_sent(front: FrontDoor) -> None:
    with pytest.raises(DiskFull, match="can still be sent"):
        front.uploads.begin("too-large.bin", 1 << 49)
    first = front.uploads.begin("wanted.bin", 10)
    with pytest.raises(ProjectConflict, match="is being sent already"):
        front.uploads.begin("other.bin", 10, name="wanted.bin")
    # Without a name of its choice, it gets one that is free.
    second = front.uploads.begin("wanted.bin", 10)
    assert (first.name, second.name) == ("wanted.bin", "wanted-2.bin")
    for each in (first, second):
        front.uploads.cancel(each.id)
    with pytest.raises(InputRejected, match="at most 255"):
        front.uploads.begin("ä" * 200, 10, name="long")


def test_uploads_are_their_owners_and_the_administrators(server: Server, front: FrontDoor) -> None:
    location = server.begin("annas.bin", 10)
    upload_id = location.rpartition("/")[2]
    bert, chief = (
        front.acting_as(Actor(name, "console", role=role)) for name, role in (("bert", "operator"), ("chief", "admin"))
    )
    for refused in (bert.uploads.upload, bert.uploads.cancel, lambda each: bert.uploads.receive(each, 0)):
        with pytest.raises(Forbidden, match="an upload of anna"):
            refused(upload_id)
    assert bert.uploads.unfinished() == ()
    assert [each.name for each in chief.uploads.unfinished()] == ["annas.bin"]
    with pytest.raises(Forbidden, match="needs the role operator"):
        front.acting_as(Actor("eva", "console", role="viewer")).uploads.begin("x.bin", 1)
    with pytest.raises(NotFound):
        front.uploads.upload("0" * 32)
    chief.uploads.cancel(upload_id)


def test_a_person_is_told_what_the_file_is(server: Server, tmp_path: Path) -> None:
    import av

    film = tmp_path / "film.mp4"
    with av.open(film, "w") as made:
        stream = made.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(50):
            made.mux(stream.encode(av.VideoFrame(64, 48, "yuv420p")))
        made.mux(stream.encode())
    told_of = server.client.uploads.send(film, "good.mp4")
    assert told_of.message == "h264, 64 x 48, 25 frames per second, 2 s"
    film.write_bytes(b"no video at all")
    assert "no video that can be read" in server.client.uploads.send(film, "bad.mp4").message


def test_the_same_file_is_continued_wherever_it_was_begun(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "continued.bin"
    path.write_bytes(os.urandom(3_000_000))
    begun = server.client.uploads.begin(path)
    assert server.send(f"/api/v1/uploads/{begun.id}", 0, path.read_bytes()[:1_000_000])[0] == 204
    sent: list[int] = []
    ended = server.client.uploads.send(path, None, sent.append)
    assert (ended.id, ended.state) == (begun.id, "stored")
    assert (sent[0], sum(sent)) == (1_000_000, 3_000_000)


def test_who_finds_a_file_completed_by_another_sender_is_told_that_it_is_stored(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "twice.bin"
    path.write_bytes(os.urandom(3_000_000))
    location = f"/api/v1/uploads/{server.client.uploads.begin(path).id}"
    assert server.send(location, 0, path.read_bytes()[:1_000_000])[0] == 204

    def complete(_: int) -> None:
        """Called once it is known how much is there, before more is sent."""
        if server.upload(location)["state"] == "receiving":
            assert server.send(location, 1_000_000, path.read_bytes()[1_000_000:])[0] == 204
            server.stored(location)

    assert server.client.uploads.send(path, None, complete).state == "stored"


def test_a_file_that_becomes_shorter_meanwhile_is_sent_no_further(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "shorter.bin"
    path.write_bytes(os.urandom(3_000_000))
    begun = server.client.uploads.begin(path)
    assert server.send(f"/api/v1/uploads/{begun.id}", 0, path.read_bytes()[:1_000_000])[0] == 204
    with pytest.raises(InputRejected, match="has become shorter"):
        server.client.uploads.send(path, None, lambda _: os.truncate(path, 1_500_000))
    until(lambda: server.ask("DELETE", f"/api/v1/uploads/{begun.id}")[0] == 204, "the server knows that it has ended")


def test_what_was_sent_in_vain_is_not_counted(server: Server, front: FrontDoor, tmp_path: Path) -> None:
    path = tmp_path / "again.bin"
    path.write_bytes(os.urandom(3_000_000))
    begun = server.client.uploads.begin(path)
    other = front.uploads.receive(begun.id, 0)
    sent: list[int] = []

    def count(more_bytes: int) -> None:
        sent.append(more_bytes)
        if more_bytes < 0:
            other.close()

    with other:
        assert server.client.uploads.send(path, None, count).state == "stored"
    assert min(sent) < 0
    assert sum(sent) == 3_000_000


def test_a_server_that_is_not_there_is_told(tmp_path: Path) -> None:
    path = tmp_path / "unsent.bin"
    path.write_bytes(b"x")
    with (
        WinslowClient("http://127.0.0.1:9", "token") as client,
        pytest.raises(ServiceUnavailable, match="does not answer"),
    ):
        client.uploads.lists()
    with WinslowClient("http://127.0.0.1:9", "token") as client, pytest.raises(InputRejected, match="no such file"):
        client.uploads.send(tmp_path / "nothing.bin")
