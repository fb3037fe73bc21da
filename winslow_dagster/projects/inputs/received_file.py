"""A file that arrives in parts, over hours and several connections, and that no crash may damage.

Its size on the disk is how much has arrived: a part is appended where the last one ended, by one connection at a time.
What a killed process had written stays. After a power cut, a file may be longer than what has reached the disk: how
much had been synced is noted beside it, with the boot of the machine, and the rest is cut off.
"""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from blake3 import blake3

from winslow_dagster.engines.spawn import boot_id
from winslow_dagster.errors import DiskFull, ProjectConflict, UploadBusy, UploadOffsetWrong
from winslow_dagster.projects.inputs.digests import Digests
from winslow_dagster.storage.directories import remove_directory
from winslow_dagster.storage.disk import disk_errors, free_bytes, make_directories, sync, try_lock, write_durably

SYNC_EVERY_BYTES = 256 << 20
RESERVE_BYTES = 2 << 30
"""Stays free on the disk: the database and the logs of running stages need it."""
BLOCK_BYTES = 4096
"""Of a disk: what is written past the page cache consists of whole ones."""
NICE = 15
"""Of threads that receive: beside ten of them, a page takes two thirds of the time that it took beside equal ones."""
Part = bytes | bytearray | memoryview


class ReceivedFile:
    """The file `file_name` of `size_bytes`, in a directory of its own. Methods raise StoreError."""

    def __init__(self, directory: Path, file_name: str, size_bytes: int, digests: Digests) -> None:
        self.directory = directory
        self.content = directory / "content"
        """The directory that holds the file, and nothing else."""
        self.path = self.content / file_name
        self.size_bytes = size_bytes
        self._note = directory / "synced.json"
        self._digests = digests

    def create(self) -> None:
        """Make room for it. Raises DiskFull."""
        with disk_errors(str(self.directory), disk=self.directory.parent, needed_bytes=self.size_bytes):
            make_directories(self.content)
            self.path.touch(exist_ok=True)
            self._note_synced(0)

    def received_bytes(self) -> int:
        """How much of it is here, and stays here."""
        with disk_errors(str(self.path), disk=self.directory):
            try:
                size_bytes = self.path.stat().st_size
            except FileNotFoundError:  # it may be cancelled at this moment
                size_bytes = 0
            note = self._read_note()
        return size_bytes if note["boot"] == boot_id() else min(size_bytes, int(note["synced_bytes"]))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others from it inside the block. Raises UploadBusy."""
        lock = self._lock()
        try:
            yield
        finally:
            os.close(lock)

    def receive(self, offset_bytes: int) -> Receiver:
        """Take over receiving, from this offset on.

        Raises UploadBusy while another connection receives it, UploadOffsetWrong if it goes on elsewhere.
        """
        lock = self._lock()
        try:
            with disk_errors(str(self.path), disk=self.directory):
                descriptor = self._open(offset_bytes)
        except BaseException:
            os.close(lock)
            raise
        return Receiver(self, descriptor, lock, offset_bytes, self._digests.take(self.directory.name, offset_bytes))

    def digest(self) -> str | None:
        """The blake3 of the complete file, if it was computed on the way."""
        return self._digests.digest(self.directory.name, self.size_bytes)

    def seen(self, offset_bytes: int, hasher: blake3) -> None:
        """Keep the hasher of what has arrived."""
        self._digests.keep(self.directory.name, offset_bytes, hasher)

    def _lock(self) -> int:
        with disk_errors(str(self.directory), disk=self.directory):
            lock = try_lock(self.directory / "lock") if self.directory.is_dir() else None
        if lock is None:
            raise UploadBusy("another connection is sending this file", remedy="Try again in a moment")
        return lock

    def _open(self, offset_bytes: int) -> int:
        here_bytes = self.received_bytes()
        if offset_bytes != here_bytes:
            raise UploadOffsetWrong(
                f"{here_bytes} bytes of it are here", expected=f"offset {here_bytes}, not {offset_bytes}"
            )
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        os.ftruncate(descriptor, here_bytes)
        self._note_synced(min(here_bytes, int(self._read_note()["synced_bytes"])))
        return descriptor

    def remove(self) -> None:
        """Forget it, and what has arrived."""
        self._digests.forget(self.directory.name)
        if self.directory.exists():
            with disk_errors(str(self.directory), disk=self.directory.parent):
                remove_directory(self.directory)

    def _read_note(self) -> dict[str, str | int]:
        try:
            note: dict[str, str | int] = json.loads(self._note.read_bytes())
        except FileNotFoundError:
            note = {"boot": "", "synced_bytes": 0}
        return note

    def _note_synced(self, synced_bytes: int) -> None:
        note = json.dumps({"boot": boot_id(), "synced_bytes": synced_bytes}).encode()
        write_durably(self._note, note, scratch=self.directory / "synced.new")

    def synced(self, synced_bytes: int) -> None:
        """So much of it has reached the disk."""
        with disk_errors(str(self.directory), disk=self.directory):
            self._note_synced(synced_bytes)


class Receiver:
    """The one connection that appends to a file. A context manager.

    A part is written while its checksum is computed and the next one arrives, past the page cache where the file system
    can do that: a film of tens of gigabytes would drive everything else out of it, and cost twice the time.
    """

    def __init__(
        self, file: ReceivedFile, descriptor: int, lock: int, offset_bytes: int, hasher: blake3 | None
    ) -> None:
        self._file = file
        self._descriptor = descriptor
        self._direct = _open_direct(file.path)
        self._lock = lock
        self._synced_bytes = offset_bytes
        self._hasher = hasher
        self._closed = False
        # Who gives up waiting for a part that is being written closes it meanwhile.
        self._busy = threading.Lock()
        self._writer = ThreadPoolExecutor(1, "upload-writer", initializer=yield_to_others)
        self._writing: Future[None] | None = None
        self.offset_bytes = offset_bytes
        """How much of the file is here."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def complete(self) -> bool:
        """Whether all of it is here."""
        return self.offset_bytes == self._file.size_bytes

    def append(self, part: Part) -> None:
        """Add a part, which must not change before the next call, or `close`, has returned.

        Raises ProjectConflict for more than was announced, DiskFull, StoreError: for this part, or for the one before.
        """
        with self._busy:
            self._append(part)

    def _append(self, part: Part) -> None:
        if self._closed:
            raise ProjectConflict("it is not received any more", where=self._file.path.name)
        self._await_written()
        if self.offset_bytes + len(part) > self._file.size_bytes:
            raise ProjectConflict(
                f"more than the announced {self._file.size_bytes} bytes were sent",
                where=self._file.path.name,
                remedy="The file may have grown meanwhile: send it anew",
            )
        if free_bytes(self._file.directory) - len(part) < RESERVE_BYTES:
            raise DiskFull(
                "the disk is almost full", where=str(self._file.directory), remedy="Free space on it, then go on"
            )
        self._writing = self._writer.submit(self._write, part)
        if self._hasher is not None:
            self._hasher.update(part)

    def _await_written(self) -> None:
        writing, self._writing = self._writing, None
        if writing is None:
            return
        hasher, self._hasher = self._hasher, None
        writing.result()
        # Where writing fails, some of the part may be there: the file is then read for its checksum.
        self._hasher = hasher

    def close(self) -> None:
        """Let others go on. What is complete is synced first. Raises DiskFull and StoreError for the last part."""
        with self._busy:
            self._close()

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        try:
            self._await_written()
            if self._hasher is not None:
                self._file.seen(self.offset_bytes, self._hasher)
            if self.complete and self._synced_bytes < self.offset_bytes:
                self._sync()
        finally:
            self._writer.shutdown()
            for descriptor in (self._descriptor, self._direct, self._lock):
                if descriptor is not None:
                    os.close(descriptor)

    def _write(self, part: Part) -> None:
        with disk_errors(str(self._file.path), disk=self._file.directory):
            if not self._write_past_cache(part):
                self._write_to_cache(part)
        self.offset_bytes += len(part)
        if self.offset_bytes - self._synced_bytes >= SYNC_EVERY_BYTES:
            self._sync()

    def _write_past_cache(self, part: Part) -> bool:
        """Whether the part could be written so: addresses, offset and length must be those of whole blocks."""
        if self._direct is None or self.offset_bytes % BLOCK_BYTES or len(part) % BLOCK_BYTES:
            return False
        try:
            return os.pwrite(self._direct, part, self.offset_bytes) == len(part)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return False

    def _write_to_cache(self, part: Part) -> None:
        view, at_bytes = memoryview(part), self.offset_bytes
        while view:
            written = os.pwrite(self._descriptor, view, at_bytes)
            view, at_bytes = view[written:], at_bytes + written

    def _sync(self) -> None:
        with disk_errors(str(self._file.path), disk=self._file.directory):
            os.fdatasync(self._descriptor)
            sync(self._file.content)
        self._file.synced(self.offset_bytes)
        self._synced_bytes = self.offset_bytes


def yield_to_others() -> None:
    """Let this thread wait for the processor while others, such as those that answer pages, need it."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _open_direct(path: Path) -> int | None:
    """For writing past the page cache; None where the file system cannot."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return None
