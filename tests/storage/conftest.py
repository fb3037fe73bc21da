"""Every kind of store, for the one contract suite. The S3 server is a real one; each run makes its own bucket there."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from winslow_dagster.storage.directories import remove_directory
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.store import Store

Tree = dict[str, bytes]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of the S3 server, with the credentials for it in the environment."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AWS_ACCESS_KEY_ID", os.environ.get("WINSLOW_TEST_S3_ACCESS_KEY", "dev"))
        environment.setenv("AWS_SECRET_ACCESS_KEY", os.environ.get("WINSLOW_TEST_S3_SECRET_KEY", "devsecret"))
        yield os.environ["WINSLOW_TEST_S3_ENDPOINT"]


@pytest.fixture(scope="session")
def s3_bucket(s3_endpoint: str) -> Iterator[str]:
    """A bucket of this run alone."""
    from s3fs import S3FileSystem

    files = S3FileSystem(endpoint_url=s3_endpoint, skip_instance_cache=True, use_listings_cache=False)
    bucket = f"winslow-test-{uuid.uuid4().hex}"
    files.call_s3("create_bucket", Bucket=bucket)
    yield bucket
    for key in files.find(bucket):
        files.call_s3("delete_object", Bucket=bucket, Key=key.removeprefix(f"{bucket}/"))
    files.call_s3("delete_bucket", Bucket=bucket)


@pytest.fixture
def s3_url(s3_bucket: str) -> str:
    return f"s3://{s3_bucket}/{uuid.uuid4().hex}"


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.s3)])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind."""
    if request.param == "local":
        return LocalStore(tmp_path / "store")
    from winslow_dagster.storage.factory import open_store

    return open_store(request.getfixturevalue("s3_url"), request.getfixturevalue("s3_endpoint"))


@pytest.fixture
def local(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


@pytest.fixture
def plant(tmp_path: Path) -> Callable[..., Path]:
    """Write files into a new directory and give it: `plant({"a/b.txt": b"..."})`."""

    def write(tree: Tree, name: str | None = None) -> Path:
        root = tmp_path / (name or f"source-{uuid.uuid4().hex}")
        root.mkdir()
        for path, content in tree.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
        return root

    return write


@pytest.fixture
def nest(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Make a directory with so many directories `d` in each other, and a file `f` in the innermost."""

    def make(depth: int) -> Path:
        root = tmp_path / f"nested-{depth}"
        root.mkdir()
        directory = os.open(root, os.O_RDONLY)
        for _ in range(depth):
            os.mkdir("d", dir_fd=directory)
            below = os.open("d", os.O_RDONLY, dir_fd=directory)
            os.close(directory)
            directory = below
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=directory))
        os.close(directory)
        return root

    yield make
    for path in tmp_path.iterdir():  # pytest cannot delete it
        remove_directory(path)


@pytest.fixture
def harvest(tmp_path: Path) -> Callable[..., Tree]:
    """Fetch every file of a manifest and give what is in them."""

    def read(store: Store, address: str) -> Tree:
        manifest = store.manifest(address)
        assert manifest is not None
        tree = {}
        for entry in manifest.files:
            target = tmp_path / f"fetched-{uuid.uuid4().hex}"
            store.fetch_file(manifest, entry, target)
            tree[entry.path] = target.read_bytes()
            target.unlink()
        return tree

    return read
