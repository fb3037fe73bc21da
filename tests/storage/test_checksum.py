from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from blake3 import blake3

from winslow_dagster.storage.checksum import BUFFER_BYTES, checksum


@pytest.mark.parametrize("size_bytes", [0, 1, BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES * 3 + 7])
def test_the_checksum_is_that_of_the_whole_file_and_every_byte_is_told(tmp_path: Path, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    (tmp_path / "f").write_bytes(content)
    told: list[int] = []
    assert checksum(tmp_path / "f", told.append) == blake3(content).hexdigest()
    assert sum(told) == size_bytes


def test_a_large_file_takes_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(400 << 20)
    program = """
import re, sys
from pathlib import Path
from winslow_dagster.storage.checksum import checksum
checksum(Path(sys.argv[1]))
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
    run = subprocess.run([sys.executable, "-c", program, tmp_path / "large"], capture_output=True, check=True)
    assert int(run.stdout) < 64 * 1024


def test_a_child_that_was_forked_after_a_checksum_can_make_one_too(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 5_000_000)
    program = """
import os, signal, sys
from pathlib import Path
from winslow_dagster.storage.checksum import checksum
path = Path(sys.argv[1])
before = checksum(path)
if os.fork() == 0:
    signal.alarm(60)
    os._exit(0 if checksum(path) == before else 1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
"""
    subprocess.run([sys.executable, "-c", program, tmp_path / "f"], check=True)


def test_importing_the_room_imports_no_s3_client() -> None:
    program = """
import sys
from winslow_dagster.storage import cache
from winslow_dagster.storage import checksum
from winslow_dagster.storage import local
from winslow_dagster.storage import manifest
from winslow_dagster.storage import factory
from winslow_dagster.storage import store
factory.open_store("file:///nowhere")
print([name for name in sys.modules if name.split(".")[0] in {"s3fs", "obstore", "botocore", "aiobotocore", "fsspec"}])
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
