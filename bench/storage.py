"""Cost of handing outputs on: on one machine compared with `cp`, and over S3 compared with the clients not chosen.

Every ratio is a median over rounds in which both sides took turns on the same data. S3 is measured if
WINSLOW_TEST_S3_ENDPOINT is set (credentials: WINSLOW_TEST_S3_ACCESS_KEY, WINSLOW_TEST_S3_SECRET_KEY).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

from bench.figure import Figure
from winslow_dagster.storage.adding import checksums
from winslow_dagster.storage.cache import NodeCache
from winslow_dagster.storage.disk import sync
from winslow_dagster.storage.local import LocalStore
from winslow_dagster.storage.tree import TreeFile, survey

GIB = 1 << 30
HANDOVER_BYTES = 4 * GIB
UNWRITTEN_BYTES = GIB
TRANSFER_BYTES = 2 * GIB
ROUNDS = 3
PART_BYTES = 16 << 20
CONCURRENCY = 8


def figures() -> Iterator[Figure]:
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="winslow-bench-") as place:
        yield from handover(Path(place))
        yield from transfers(Path(place))


def handover(place: Path) -> Iterator[Figure]:
    """From the end of a stage with one output file of 4 GiB to the directory that the next stage mounts.

    For both sides, the file is in the page cache and on disk. The copy goes to the same file system and, like `cp`,
    does not wait for the disk.
    """
    if shutil.disk_usage(place).free < 3 * HANDOVER_BYTES:
        print(f"{place}: less than {3 * HANDOVER_BYTES} bytes free, hand-over skipped", file=sys.stderr)
        yield Figure("handover_4gib_vs_cp", None, "ratio", "<= 0.05", None)
        return
    source = place / "output"
    source.mkdir()
    write(source / "detections.bin", HANDOVER_BYTES)
    os.sync()
    store = LocalStore(place / "store")
    cache = NodeCache(place / "cache", HANDOVER_BYTES)
    hands: list[float] = []
    copies: list[float] = []
    sums: list[float] = []
    for round_number in range(ROUNDS):
        copies.append(timed(lambda: copy(source, place / "copy")))
        (place / "copy").unlink()
        os.sync()
        found = survey(source)
        begun = time.perf_counter()
        known = digests(found)
        sums.append(time.perf_counter() - begun)
        begun = time.perf_counter()
        manifest = store.commit_tree(source, f"round/{round_number}", known=known)
        view = cache.view(store, manifest, place / "input" / str(round_number))
        hands.append(time.perf_counter() - begun)
        # The next round gets the same file, still in the page cache, when it has no other name any more.
        os.link(view / "detections.bin", place / "kept")
        store.delete_tree(f"round/{round_number}")
        source.mkdir()
        (place / "kept").rename(source / "detections.bin")
    ratio = median(hand / one for hand, one in zip(hands, copies, strict=True))
    yield Figure("handover_4gib_vs_cp", round(ratio, 5), "ratio", "<= 0.05", ratio <= 0.05)
    yield Figure("handover_4gib", round(median(hands), 4), "s", "", None)
    yield Figure("handover_4gib_cp", round(median(copies), 3), "s", "", None)
    yield Figure("handover_4gib_checksum", round(median(sums), 3), "s", "", None)
    shutil.rmtree(source)
    yield unwritten(place, store)


def unwritten(place: Path, store: LocalStore) -> Figure:
    """The worst case: nothing of the output is on disk yet, and the commit has to wait for it.

    Compared with a copy that also waits.
    """
    ratios = []
    for round_number in range(ROUNDS):
        copied, taken = place / "copied", place / "taken"
        for directory in (copied, taken):
            directory.mkdir()
        os.sync()
        write(copied / "detections.bin", UNWRITTEN_BYTES)
        begun = time.perf_counter()
        copy(copied, place / "copy")
        os.sync()
        one = time.perf_counter() - begun
        (place / "copy").unlink()
        shutil.rmtree(copied)
        os.sync()
        write(taken / "detections.bin", UNWRITTEN_BYTES)
        found = survey(taken)
        known = digests(found)
        begun = time.perf_counter()
        store.commit_tree(taken, f"unwritten/{round_number}", known=known)
        ratios.append((time.perf_counter() - begun) / one)
        store.delete_tree(f"unwritten/{round_number}")
    return Figure("handover_1gib_unwritten_vs_synced_cp", round(median(ratios), 3), "ratio", "", None)


def digests(found: tuple[TreeFile, ...]) -> dict[str, str]:
    """Path -> checksum: the runner of a stage has them before the commit."""
    return {entry.path: entry.blake3 for entry in checksums(found)}


def transfers(place: Path) -> Iterator[Figure]:
    """One file of 2 GiB up, and down to the disk.

    Our upload computes the checksum on the way. Checking the download is not included, as the other clients do not
    check.
    """
    endpoint = os.environ.get("WINSLOW_TEST_S3_ENDPOINT")
    if not endpoint:
        print("S3 skipped: WINSLOW_TEST_S3_ENDPOINT is not set", file=sys.stderr)
        return
    os.environ["AWS_ACCESS_KEY_ID"] = os.environ.get("WINSLOW_TEST_S3_ACCESS_KEY", "dev")
    os.environ["AWS_SECRET_ACCESS_KEY"] = os.environ.get("WINSLOW_TEST_S3_SECRET_KEY", "devsecret")
    from s3fs import S3FileSystem

    bucket = f"winslow-bench-{uuid.uuid4().hex}"
    files = S3FileSystem(endpoint_url=endpoint, skip_instance_cache=True, use_listings_cache=False)
    files.call_s3("create_bucket", Bucket=bucket)
    source, target = place / "video", place / "back"
    write(source, TRANSFER_BYTES)
    os.sync()
    ways = {"winslow": winslow(bucket, endpoint), "s3fs": s3fs(bucket, endpoint)}
    if find_spec("boto3"):
        ways["boto3"] = boto3(bucket, endpoint)
    seconds: dict[tuple[str, str], list[float]] = {}
    for round_number in range(ROUNDS):
        names = [*ways][round_number % len(ways) :] + [*ways][: round_number % len(ways)]
        for name in names:
            up, down = ways[name]
            seconds.setdefault((name, "upload"), []).append(timed(partial(up, source)))
            seconds.setdefault((name, "download"), []).append(timed(partial(down, target)))
            target.unlink()
            clear(files, bucket)
    files.call_s3("delete_bucket", Bucket=bucket)
    for direction in ("upload", "download"):
        ours = seconds["winslow", direction]
        yield Figure(f"s3_{direction}_2gib", round(TRANSFER_BYTES / median(ours) / 1e6), "MB/s", "", None)
        for name in ways.keys() - {"winslow"}:
            ratio = median(our / their for our, their in zip(ours, seconds[name, direction], strict=True))
            yield Figure(f"s3_{direction}_2gib_vs_{name}", round(ratio, 3), "ratio", "<= 1.0", ratio <= 1.0)


Way = tuple[Callable[[Path], object], Callable[[Path], object]]


def winslow(bucket: str, endpoint: str) -> Way:
    from winslow_dagster.storage.s3_bucket import S3Bucket
    from winslow_dagster.storage.s3_errors import S3Place

    ours = S3Bucket(S3Place(bucket, endpoint), patience_s=60)
    return (
        lambda source: ours.upload(source, "winslow", None),
        lambda target: ours.download("winslow", TRANSFER_BYTES, target, None),
    )


def s3fs(bucket: str, endpoint: str) -> Way:
    from s3fs import S3FileSystem

    files = S3FileSystem(endpoint_url=endpoint, max_concurrency=CONCURRENCY, skip_instance_cache=True)
    key = f"{bucket}/s3fs"

    def down(target: Path) -> None:
        files.get_file(key, str(target))
        sync(target)

    return lambda source: files.put_file(str(source), key, chunksize=PART_BYTES, max_concurrency=CONCURRENCY), down


def boto3(bucket: str, endpoint: str) -> Way:
    import boto3
    from boto3.s3.transfer import TransferConfig

    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    transfer_config = TransferConfig(multipart_chunksize=PART_BYTES, max_concurrency=CONCURRENCY, io_chunksize=1 << 20)

    def down(target: Path) -> None:
        client.download_file(bucket, "boto3", str(target), Config=transfer_config)
        sync(target)

    return lambda source: client.upload_file(str(source), bucket, "boto3", Config=transfer_config), down


def clear(files: Any, bucket: str) -> None:
    """Empty the bucket. `files` is a file system of s3fs, which has no types."""
    for key in files.find(bucket):
        files.call_s3("delete_object", Bucket=bucket, Key=key.removeprefix(f"{bucket}/"))


def write(path: Path, size_bytes: int) -> None:
    block = os.urandom(32 << 20)
    with path.open("wb", buffering=0) as file:
        for _ in range(size_bytes // len(block)):
            file.write(block)


def copy(source: Path, target: Path) -> None:
    # Without sharing blocks: measures a copy on file systems that cannot share them.
    subprocess.run(["cp", "--reflink=never", source / "detections.bin", target], check=True)


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
