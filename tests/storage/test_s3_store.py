"""What an S3 store promises beyond the contract, against a real server, and what it says when there is none."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from committed_trees import addresses
from s3fs import S3FileSystem

from winslow_dagster.errors import StoreError, StoreUnreachable
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.s3 import S3Store
from winslow_dagster.storage.s3_clients import S3Clients, keys_of_environment
from winslow_dagster.storage.s3_errors import S3Place

Tree = dict[str, bytes]
Plant = Callable[[Tree], Path]
Harvest = Callable[..., Tree]
LARGE_BYTES = 40 << 20
SHORT_S = 1.0  # how long a server that will not answer is waited for


@pytest.fixture
def s3(s3_url: str, s3_endpoint: str) -> S3Store:
    store = open_store(s3_url, s3_endpoint)
    assert isinstance(store, S3Store)
    return store


class Behind:
    """The server behind the store's back: what is really there below the store's prefix."""

    def __init__(self, url: str, endpoint: str) -> None:
        self.url = url
        self.endpoint = endpoint
        self.bucket, self.prefix = url.removeprefix("s3://").split("/")
        self.files = S3FileSystem(endpoint_url=endpoint, skip_instance_cache=True, use_listings_cache=False)

    def ask(self, request: str, key: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.files.call_s3(request, Bucket=self.bucket, Key=f"{self.prefix}/{key}")
        return answer

    def write(self, key: str, content: bytes) -> None:
        self.files.pipe_file(f"{self.url}/{key}", content)

    def keys(self) -> list[str]:
        return sorted(key.removeprefix(f"{self.bucket}/{self.prefix}/") for key in self.files.find(self.url))

    def unfinished(self) -> int:
        answer = self.files.call_s3("list_multipart_uploads", Bucket=self.bucket, Prefix=self.prefix)
        return len(answer.get("Uploads", ()))


@pytest.fixture
def behind(s3_url: str, s3_endpoint: str) -> Behind:
    return Behind(s3_url, s3_endpoint)


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "somebody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")


@pytest.mark.s3
def test_a_tree_is_objects_with_its_names_and_one_marker(s3: S3Store, behind: Behind, plant: Plant) -> None:
    s3.commit_tree(plant({"a b": b"1", "deep/c": b"2"}), "projects/x")
    assert behind.keys() == [
        "manifests/projects/x.manifest.json",
        "trees/projects/x.files/a b",
        "trees/projects/x.files/deep/c",
    ]
    s3.delete_tree("projects/x")
    assert behind.keys() == []


@pytest.mark.s3
def test_more_files_than_the_server_lists_or_deletes_at_once(s3: S3Store, plant: Plant) -> None:
    tree = {f"frames/{number:05}": b"" for number in range(1100)}
    manifest = s3.commit_tree(plant(tree), "many")
    assert len(manifest.files) == 1100
    assert s3.commit_tree(plant(tree), "many") == manifest
    s3.delete_tree("many")
    assert addresses(s3) == []


DIE_AFTER = """
import os, signal, sys
from pathlib import Path
from winslow_dagster.storage.factory import open_store
url, endpoint, source, steps = sys.argv[1:]
left = int(steps)
def moved(count):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
store = open_store(url, endpoint)
store.commit_tree(Path(source), "a", moved)
"""


@pytest.mark.s3
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_commit_that_is_killed_is_done_again_to_the_same_end(
    s3: S3Store, behind: Behind, plant: Plant, harvest: Harvest, steps: int
) -> None:
    tree = {"small": b"small", "video 1.mp4": os.urandom(LARGE_BYTES), "video 2.mp4": os.urandom(LARGE_BYTES)}
    source = plant(tree)
    program = [sys.executable, "-c", DIE_AFTER, behind.url, behind.endpoint, str(source), str(steps)]
    assert subprocess.run(program, check=False).returncode == -signal.SIGKILL
    assert s3.manifest("a") is None
    assert addresses(s3) == []
    manifest = s3.commit_tree(source, "a")
    assert s3.manifest("a") == manifest
    assert harvest(s3, "a") == tree
    assert behind.unfinished() == 0


@pytest.mark.s3
def test_what_a_killed_commit_stored_whole_is_not_sent_again_and_what_is_not_ours_goes(
    s3: S3Store, behind: Behind, plant: Plant, harvest: Harvest
) -> None:
    tree = {"stays": b"s" * 1000, "other size": b"12", "other content": b"abc"}
    s3.commit_tree(plant(tree), "a")
    behind.ask("delete_object", "manifests/a.manifest.json")
    behind.write("trees/a.files/stray", b"from another attempt")
    before = behind.ask("head_object", "trees/a.files/stays")["LastModified"]
    changed = tree | {"other size": b"123", "other content": b"xyz"}
    told: list[int] = []
    manifest = s3.commit_tree(plant(changed), "a", told.append)
    assert sum(told) == manifest.size_bytes
    assert harvest(s3, "a") == changed
    assert behind.keys() == ["manifests/a.manifest.json", *(f"trees/a.files/{name}" for name in sorted(tree))]
    assert behind.ask("head_object", "trees/a.files/stays")["LastModified"] == before


@pytest.mark.s3
def test_an_upload_that_was_left_unfinished_is_freed_with_its_tree(s3: S3Store, behind: Behind) -> None:
    behind.ask("create_multipart_upload", "trees/a.files/video.mp4")
    behind.ask("create_multipart_upload", "trees/ab.files/video.mp4")
    s3.delete_tree("a")
    assert behind.unfinished() == 1
    s3.delete_tree("ab")
    assert behind.unfinished() == 0


@pytest.mark.s3
@pytest.mark.parametrize("change", [b"shorter", b"longer than it was"])
def test_an_object_that_was_changed_behind_our_back_is_not_handed_out(
    s3: S3Store, behind: Behind, tmp_path: Path, change: bytes
) -> None:
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "f").write_bytes(b"as it was")
    manifest = s3.commit_tree(tmp_path / "source", "a")
    behind.write("trees/a.files/f", change)
    with pytest.raises(StoreError, match=r"bytes shorter than what was committed|differs from what was committed"):
        s3.fetch_file(manifest, manifest.files[0], tmp_path / "f")
    assert [path for path in tmp_path.iterdir() if path.is_file()] == []


@pytest.mark.s3
def test_a_damaged_manifest_and_a_missing_object_are_told(
    s3: S3Store, behind: Behind, plant: Plant, tmp_path: Path
) -> None:
    manifest = s3.commit_tree(plant({"f": b"content"}), "a")
    behind.ask("delete_object", "trees/a.files/f")
    with pytest.raises(StoreError, match=r"trees/a\.files/f at http.*: the object does not exist \(NoSuchKey\)"):
        s3.fetch_file(manifest, manifest.files[0], tmp_path / "f")
    behind.write("manifests/a.manifest.json", b'{"address"')
    with pytest.raises(StoreError, match="the manifest cannot be read"):
        s3.manifest("a")


@pytest.mark.s3
def test_a_name_that_is_too_long_for_s3_is_told_before_anything_is_sent(
    s3: S3Store, behind: Behind, plant: Plant
) -> None:
    long = "/".join(["x" * 200] * 5)
    with pytest.raises(StoreError, match="the name is too long for S3; expected at most 1024 bytes"):
        s3.commit_tree(plant({"short": b"", long: b""}), "a")
    assert behind.keys() == []


MOVE_AND_MEASURE = """
import re, sys
from pathlib import Path
from winslow_dagster.storage.factory import open_store
url, endpoint, place = sys.argv[1:]
store = open_store(url, endpoint)
manifest = store.put_file(Path(place, "large"), "a")
store.fetch_file(manifest, manifest.files[0], Path(place, "back"))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.s3
def test_a_file_larger_than_the_memory_it_may_take_goes_up_and_comes_back(
    s3_url: str, s3_endpoint: str, tmp_path: Path
) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(500 << 20)
    program = [sys.executable, "-c", MOVE_AND_MEASURE, s3_url, s3_endpoint, str(tmp_path)]
    measured = subprocess.run(program, capture_output=True, text=True, check=True)
    assert int(measured.stdout) < 350 * 1024
    assert (tmp_path / "back").stat().st_size == 500 << 20


@pytest.mark.s3
@pytest.mark.parametrize(
    ("variable", "code"),
    [("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"), ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch")],
)
def test_wrong_credentials_are_told_with_what_to_set(
    behind: Behind, plant: Plant, monkeypatch: pytest.MonkeyPatch, variable: str, code: str
) -> None:
    monkeypatch.setenv(variable, "wrong")
    store = open_store(behind.url, behind.endpoint)
    source = plant({"f": b""})
    expected = rf"the server does not accept the credentials \({code}\)\. Set AWS_ACCESS_KEY_ID"
    for use in (
        lambda: store.manifest("a"),
        lambda: store.commit_tree(source, "a"),
        lambda: store.delete_tree("a"),
    ):
        with pytest.raises(StoreError, match=expected):
            use()


@pytest.mark.s3
def test_a_missing_bucket_is_told(s3_endpoint: str, plant: Plant) -> None:
    store = open_store("s3://no-such-bucket-here/prefix", s3_endpoint)
    source = plant({"f": b""})
    for use in (
        lambda: store.manifest("a"),
        lambda: store.put_file(source / "f", "a"),
        lambda: store.delete_tree("a"),
    ):
        with pytest.raises(
            StoreError, match=r"s3://no-such-bucket-here/.*: the bucket does not exist \(NoSuchBucket\)"
        ):
            use()


def test_no_credentials_at_all_are_told_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in list(os.environ):
        if variable.startswith("AWS_"):
            monkeypatch.delenv(variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    store = S3Store("bucket", endpoint="http://127.0.0.1:1", patience_s=SHORT_S)
    for use in (lambda: store.manifest("a"), lambda: store.delete_tree("a")):
        with pytest.raises(StoreError, match=r"no credentials for the server are configured\. Set AWS_ACCESS_KEY_ID"):
            use()


COMMIT = """
import sys
from pathlib import Path
from winslow_dagster.storage.factory import open_store
url, endpoint, source, target = sys.argv[1:]
store = open_store(url, endpoint)
manifest = store.commit_tree(Path(source), "a")
store.fetch_file(manifest, manifest.files[0], Path(target))
print([name for name in sys.modules if name in {"botocore.session", "s3fs"}])
"""


@pytest.mark.s3
def test_with_keys_in_the_environment_a_stage_transfers_files_without_botocores_session(
    s3_url: str, s3_endpoint: str, plant: Plant, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", COMMIT, s3_url, s3_endpoint, str(plant({"a": b"1"})), str(tmp_path / "fetched")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (tmp_path / "fetched").read_bytes() == b"1"
    assert done.stdout.strip() == "[]"


@pytest.mark.usefixtures("credentials")
def test_temporary_keys_are_left_to_botocore_which_renews_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert keys_of_environment() is not None
    monkeypatch.setenv("AWS_SESSION_TOKEN", "for an hour")
    assert keys_of_environment() is None


@pytest.mark.usefixtures("credentials")
def test_the_region_of_a_profile_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "config").write_text("[default]\nregion = eu-central-1\n")
    for variable in ("AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    bulk = S3Clients(S3Place("bucket", "http://127.0.0.1:1"), SHORT_S).bulk
    assert bulk.config["region"] == "eu-central-1"


@pytest.fixture
def closed_port() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@pytest.fixture
def silent_server() -> Iterator[str]:
    """A server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


class NotS3(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_error(404)

    def log_message(self, *_arguments: object) -> None:
        pass


@pytest.fixture
def web_server() -> Iterator[str]:
    """A web server that is no S3 server."""
    with HTTPServer(("127.0.0.1", 0), NotS3) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.usefixtures("credentials")
@pytest.mark.parametrize("endpoint", ["closed_port", "silent_server"])
def test_a_server_that_does_not_answer_is_told_after_a_while(
    endpoint: str, request: pytest.FixtureRequest, plant: Plant
) -> None:
    address = request.getfixturevalue(endpoint)
    store = S3Store("bucket", endpoint=address, patience_s=SHORT_S)
    source = plant({"f": b""})
    for use in (
        lambda: store.manifest("a"),
        lambda: store.delete_tree("a"),
        lambda: store.commit_tree(source, "a"),
    ):
        with pytest.raises(
            StoreUnreachable, match=rf"at {address}: the server does not respond: .*WINSLOW_S3_ENDPOINT"
        ):
            use()


@pytest.mark.usefixtures("credentials")
def test_something_else_than_an_s3_server_is_told(web_server: str) -> None:
    store = S3Store("bucket", endpoint=web_server, patience_s=SHORT_S)
    for use in (lambda: store.manifest("a"), lambda: store.sweep(datetime.now(UTC))):
        with pytest.raises(StoreError, match=r"the server responds, but is not an S3 server \(404\)\. Correct WINS"):
            use()


@pytest.mark.s3
def test_uploads_that_began_long_ago_are_swept_away_and_others_are_left(s3: S3Store, behind: Behind) -> None:
    behind.ask("create_multipart_upload", "trees/a.files/video.mp4")
    behind.ask("create_multipart_upload", "elsewhere/video.mp4")
    assert s3.sweep(datetime.now(UTC) - timedelta(days=1)) == 0
    assert behind.unfinished() == 2
    assert s3.sweep(datetime.now(UTC) + timedelta(hours=1)) == 1
    assert behind.unfinished() == 1


@pytest.mark.s3
def test_a_commit_can_be_stopped_before_anything_is_sent(s3: S3Store, behind: Behind, plant: Plant) -> None:
    def stop(count_bytes: int) -> None:
        assert count_bytes == 0
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        s3.commit_tree(plant({"video.mp4": bytes(LARGE_BYTES)}), "a", stop)
    assert behind.keys() == []


@pytest.mark.s3
def test_zeros_are_fetched_as_a_hole(s3: S3Store, plant: Plant, tmp_path: Path) -> None:
    content = bytes(10 << 20) + b"data" + bytes(10 << 20)
    manifest = s3.commit_tree(plant({"sparse.bin": content}), "a")
    s3.fetch_file(manifest, manifest.files[0], tmp_path / "fetched")
    assert (tmp_path / "fetched").read_bytes() == content
    assert (tmp_path / "fetched").stat().st_blocks * 512 <= 4 << 20
