"""Sending files to the pool in parts: begun, continued after any interruption, and stored once they are complete."""

from __future__ import annotations

import os
from collections.abc import Collection
from datetime import timedelta
from itertools import count
from pathlib import Path, PurePosixPath
from uuid import uuid4

from winslow_dagster.errors import (
    DiskFull,
    FootageUnreadable,
    Forbidden,
    InputRejected,
    NotFound,
    ProjectConflict,
    StoreError,
    UploadBusy,
    UploadEnded,
    WinslowError,
)
from winslow_dagster.formatting import format_size
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.files import files_of, source_of
from winslow_dagster.projects.commands.footage_checks import described, video_of
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.uploads import Uploads
from winslow_dagster.projects.domain.model import LONGEST_NAME, checked_name, valid_name
from winslow_dagster.projects.domain.pool import PooledFile
from winslow_dagster.projects.domain.upload import Upload, UploadKind
from winslow_dagster.projects.inputs.received_file import RESERVE_BYTES, ReceivedFile, Receiver
from winslow_dagster.projects.inputs.resource_pool import Pool
from winslow_dagster.storage.directories import remove_directory
from winslow_dagster.storage.disk import disk_errors, free_bytes, locked, make_directories
from winslow_dagster.storage.folder_stream import unpack

LONGEST_NAME_BYTES = 255
LARGEST_BYTES = 1 << 50
FORGOTTEN_AFTER = timedelta(days=14)


class UploadCommands:
    """The uploads of one installation. Operators see their own, administrators all."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rows = Uploads(context.records.database)
        self._directory = context.settings.home / "uploads"

    def begin(  # noqa: PLR0913  # what is known of a file, by name
        self,
        file_name: str,
        size_bytes: int,
        *,
        name: str | None = None,
        fingerprint: str = "",
        kind: UploadKind = "file",
        replaces: str | None = None,
    ) -> Upload:
        """Begin to send a file or a directory to the pool, under this name or one that is close to its own and free.

        Once it is there, it takes the place and the name of the file that it `replaces`. Without a name, a file with a
        fingerprint that the person is sending already, to the same end, is continued. Raises InputRejected, NotFound,
        ProjectConflict for a name that is taken, and DiskFull if it would not fit.
        """
        self._context.actor.require("operator")
        _check(file_name, size_bytes)
        with disk_errors(str(self._directory), disk=self._context.settings.home):
            make_directories(self._directory)
        # Two at once would both take the space that is left.
        with locked(self._directory.with_suffix(".lock")):
            replaced = None if replaces is None else self._pool.rows.entry(replaces).id
            return self._begin(file_name, size_bytes, name, fingerprint, kind, replaced)

    def _begin(  # noqa: PLR0913, PLR0917  # see `begin`
        self,
        file_name: str,
        size_bytes: int,
        name: str | None,
        fingerprint: str,
        kind: UploadKind,
        replaces: str | None,
    ) -> Upload:
        if fingerprint and name is None:
            wanted = (self._context.actor.who, file_name, size_bytes, fingerprint, kind, replaces)
            for each in self.unfinished():
                if (each.owner, each.file_name, each.size_bytes, each.fingerprint, each.kind, each.replaces) == wanted:
                    return each
        taken = self._pool.rows.names() | {each.name for each in self._rows.unfinished()}
        pool_name = _free_name(file_name, taken) if name is None else checked_name(name, "pool name")
        if pool_name in self._pool.rows.names():
            raise ProjectConflict(
                f"the pool has a file {pool_name!r} already", remedy="Choose another name, or remove that file"
            )
        coming_bytes = sum(
            _needed_bytes(each.kind, each.size_bytes) - each.received_bytes for each in self.unfinished(everybodys=True)
        )
        free = free_bytes(self._directory) - coming_bytes - RESERVE_BYTES
        needed_bytes = _needed_bytes(kind, size_bytes)
        if needed_bytes > free:
            raise DiskFull(
                f"{format_size(needed_bytes)} do not fit: {format_size(max(0, free))} can still be sent",
                where=str(self._directory),
                remedy="Free space on the disk, or cancel uploads that nobody continues",
            )
        context = self._context
        context.quotas.require_room(None, context.actor.who, size_bytes)
        upload = Upload(
            id=uuid4().hex,
            name=pool_name,
            file_name=file_name,
            size_bytes=size_bytes,
            received_bytes=0,
            fingerprint=fingerprint,
            owner=context.actor.who,
            begun_at=context.clock(),
            kind=kind,
            replaces=replaces,
        )
        self._file(upload).create()
        self._rows.begin(upload)
        return upload

    def unfinished(self, *, everybodys: bool = False) -> tuple[Upload, ...]:
        """What can be continued: the person's own, or everybody's."""
        mine = (each for each in self._rows.unfinished() if everybodys or self._may(each))
        return tuple(self._with_received(each) for each in mine)

    def ended(self) -> tuple[Upload, ...]:
        """What ended lately."""
        return tuple(each for each in self._rows.ended() if self._may(each))

    def upload(self, upload_id: str) -> Upload:
        """One of them. Raises NotFound, Forbidden."""
        return self._with_received(self._own(upload_id))

    def receive(self, upload_id: str, offset_bytes: int) -> Receiver:
        """Go on at this offset.

        Raises NotFound, Forbidden, UploadBusy, UploadOffsetWrong, UploadEnded, StoreError.
        """
        upload = self._own(upload_id)
        if upload.state != "receiving":
            raise UploadEnded(f"it is {upload.state}", where=f"upload of {upload.file_name}")
        return self._file(upload).receive(offset_bytes)

    def cancel(self, upload_id: str) -> None:
        """Forget an upload and what has arrived. One that has ended stays as it is. Raises NotFound, Forbidden."""
        upload = self._own(upload_id)
        if upload.state != "receiving":
            return
        file = self._file(upload)
        with file.alone():
            self._rows.end(upload.id, "cancelled", "", self._context.clock())
            file.remove()

    def store(self, upload_id: str) -> Upload:
        """Put a complete upload into the pool, and look at what it is. May be called again after a crash.

        A fault of the file or of its name ends it as failed; one that passes, such as of the store, is raised, and is
        its message until then.
        """
        upload = self._own(upload_id)
        if upload.state != "receiving":
            return upload
        file = self._file(upload)
        with file.alone():
            # Without its content it is in the store already: the process was killed before it noted that.
            if file.content.exists() and file.received_bytes() < upload.size_bytes:
                return self._with_received(upload)
            try:
                stored = self._take(upload, file)
            except (ProjectConflict, InputRejected) as error:
                self._rows.end(upload.id, "failed", str(error), self._context.clock())
            except StoreError as error:
                self._rows.tell(upload.id, f"It cannot be put into the pool yet, and is tried again: {error}")
                raise
            else:
                message = " ".join(filter(None, (self._replaced(upload), self._seen(stored))))
                self._rows.end(upload.id, "stored", message, self._context.clock())
                self._context.audit("pool_add", name=stored.name, path=upload.file_name)
            file.remove()
        return self._rows.find(upload_id)

    def _take(self, upload: Upload, file: ReceivedFile) -> PooledFile:
        if upload.kind == "file":
            digest = file.digest()
            known = {} if digest is None else {upload.file_name: digest}
            return self._pool.take(file.content, name=upload.name, key=upload.id, by=upload.owner, known=known)
        tree = file.directory / "unpacked"
        if file.path.exists():
            # Also what a killed process has unpacked in part.
            remove_directory(tree)
            unpack(file.path, tree)
        return self._pool.take(tree, name=upload.name, key=upload.id, by=upload.owner, original_path=upload.file_name)

    def _replaced(self, upload: Upload) -> str:
        """Have it take the place of the file that it replaces, and say so. May be called again after a crash.

        If somebody else has removed or replaced that file meanwhile, both stay: nothing that was sent is lost.
        """
        if upload.replaces is None:
            return ""
        rows, by, at = self._pool.rows, upload.owner, self._context.clock()
        if all(each["id"] != upload.replaces for each in rows.replaced_by(upload.id)):
            sent, old = rows.entries([upload.id]), rows.entries([upload.replaces])
            if not sent or not old:
                return "The file that it was to replace was removed or replaced meanwhile, so that it has its own name."
            try:
                rows.replace_by(old[0].name, sent[0].name, by=by, at=at)
            except NotFound:
                return "The file that it was to replace has just been changed, so that it has its own name."
            self._context.audit("pool_replace", name=old[0].name, by=upload.file_name)
        return "It has taken the place of the earlier file."

    def tidy(self) -> None:
        """Store what is complete, and forget what nobody has continued for two weeks, or what has ended."""
        unfinished = self.unfinished(everybodys=True)
        for upload in unfinished:
            try:
                if upload.received_bytes == upload.size_bytes or not self._file(upload).content.exists():
                    self.store(upload.id)
                elif upload.begun_at < self._context.clock() - FORGOTTEN_AFTER:
                    self.cancel(upload.id)
            except (UploadBusy, StoreError):
                continue  # somebody is at it; or it says itself why it waits, and the others need not
        known = {each.id for each in unfinished}
        for directory in self._directory.iterdir() if self._directory.is_dir() else ():
            if directory.name not in known and self._rows.has_ended(directory.name):
                remove_directory(directory)

    def _seen(self, stored: PooledFile) -> str:
        """What is in it, for a person; for a file that claims to be a video also that it is none."""
        if video_of(stored) is None:
            return ""
        (file,) = files_of(self._context.store, "", {schema.POOL_ADDRESS: stored.manifest}, [schema.POOL_ADDRESS])
        try:
            return described(self._context.resources.footage.footage(source_of(self._context.store, file)))
        except FootageUnreadable as error:
            return f"It is no video that can be read: {error.what}"
        except WinslowError as error:
            return f"It could not be looked at: {error.what}"

    def _own(self, upload_id: str) -> Upload:
        self._context.actor.require("operator")
        upload = self._rows.find(upload_id)
        if not self._may(upload):
            raise Forbidden(f"it is an upload of {upload.owner}", where=f"upload of {upload.file_name}")
        return upload

    def _may(self, upload: Upload) -> bool:
        return self._context.actor.unlimited or upload.owner == self._context.actor.who

    def _with_received(self, upload: Upload) -> Upload:
        if upload.state != "receiving":
            return upload
        return upload.model_copy(update={"received_bytes": self._file(upload).received_bytes()})

    def _file(self, upload: Upload) -> ReceivedFile:
        return ReceivedFile(
            self._directory / upload.id, upload.file_name, upload.size_bytes, self._context.resources.digests
        )

    @property
    def _pool(self) -> Pool:
        return Pool(self._context.records.database, self._context.store)


def _needed_bytes(kind: UploadKind, size_bytes: int) -> int:
    """A directory is on the disk twice while it is unpacked."""
    return 2 * size_bytes if kind == "directory" else size_bytes


def _check(file_name: str, size_bytes: int) -> None:
    plain = Path(file_name).name == file_name and file_name not in {"", ".", ".."}
    try:
        encoded = os.fsencode(file_name)
    except UnicodeEncodeError:
        plain, encoded = False, b""
    if not plain or not file_name.isprintable():
        raise InputRejected(f"{file_name!r} is not a file name", expected="a printable name without a directory")
    if len(encoded) > LONGEST_NAME_BYTES:
        raise InputRejected(f"the name has {len(encoded)} bytes", expected=f"at most {LONGEST_NAME_BYTES}")
    if not 0 < size_bytes <= LARGEST_BYTES:
        raise InputRejected(f"a file of {size_bytes} bytes", where=file_name, expected="at least one byte")


def _free_name(file_name: str, taken: Collection[str]) -> str:
    name = valid_name(file_name) or "file"
    stem, suffix = PurePosixPath(name).stem, PurePosixPath(name).suffix
    for number in count(2):
        if name not in taken:
            break
        end = f"-{number}{suffix}"
        name = f"{stem[: LONGEST_NAME - len(end)]}{end}"
    return name
