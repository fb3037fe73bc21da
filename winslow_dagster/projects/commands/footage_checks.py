"""Videos of the pool are read to their end before a stage spends hours on them, each content once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath

from winslow_dagster.errors import FootageUnreadable, NotFound
from winslow_dagster.footage import Footage
from winslow_dagster.formatting import format_duration
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.files import files_of, source_of
from winslow_dagster.projects.database import schema
from winslow_dagster.projects.database.footage_checks import FootageChecks
from winslow_dagster.projects.domain.pool import PooledFile, PoolEntry
from winslow_dagster.projects.domain.upload import CheckedFootage, PoolVideo, PoolVideos
from winslow_dagster.projects.inputs.resource_pool import POOL, GivenInput, Pool, Source
from winslow_dagster.storage.manifest import FileEntry

LATELY = timedelta(days=7)
FOOTAGE = frozenset({".mp4", ".mov", ".avi", ".mkv", ".m4v", ".webm", ".mts", ".m2ts", ".ts", ".mpg", ".mpeg"})


@dataclass(frozen=True, slots=True)
class PoolCheck:
    """What was found in a file of the pool. None: it is not checked yet."""

    file: PoolEntry
    checked: CheckedFootage | None

    @property
    def view(self) -> PoolVideo:
        """The same for programs."""
        if self.checked is None:
            return PoolVideo(name=self.file.name, users=self.file.used_by)
        found = self.checked.model_dump(exclude={"blake3"})
        return PoolVideo(name=self.file.name, users=self.file.used_by, **found)


class FootageCheckCommands:
    """The checks of one installation."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._rows = FootageChecks(context.records.database)

    def of_pool(self) -> dict[str, PoolCheck]:
        """Pool file -> its check, of those that are videos by their name."""
        return self._of(self._pool.rows.entries(), self._rows.of_pool())

    def of(self, files: Sequence[PoolEntry]) -> dict[str, PoolCheck]:
        """Like `of_pool`, of some of the files."""
        return self._of(files, self._rows.of_pool([file.id for file in files]))

    def videos(self) -> PoolVideos:
        """The videos of the pool, and what was found in them."""
        return PoolVideos(videos=tuple(each.view for each in self.of_pool().values()))

    def damaged_lately(self) -> tuple[PoolCheck, ...]:
        """The videos of the pool that were found lately not to be readable to their end."""
        since = self._context.clock() - LATELY
        # Most of the time there is none, and then nothing else is asked for.
        if not self._rows.any_problem(since):
            return ()
        return tuple(each for each in self.of_pool().values() if each.checked and each.checked.is_problem_since(since))

    def waiting(self) -> tuple[PoolEntry, ...]:
        """The videos of the pool that are not checked yet, the oldest first."""
        files = [each.file for each in self.of_pool().values() if each.checked is None]
        return tuple(sorted(files, key=lambda file: file.added_at))

    def check(self, video: PoolEntry) -> CheckedFootage:
        """Read a video of the pool to its end, and keep what was found. Raises NotFound, StoreError."""
        stored = self._pool.rows.with_id(video.id)
        if stored is None:
            raise NotFound("it was removed from the pool meanwhile", where=f"{POOL}{video.name}")
        (file,) = files_of(self._context.store, "", {schema.POOL_ADDRESS: stored.manifest}, [schema.POOL_ADDRESS])
        known = self._rows.of(file.blake3)
        if known is not None:
            return known
        try:
            read = self._context.resources.footage.check(source_of(self._context.store, file))
            found, problem = described(read.footage), read.problem
        except FootageUnreadable as error:
            found, problem = "", f"It is no video that can be read: {error.what}"
        checked = CheckedFootage(blake3=file.blake3, found=found, problem=problem, checked_at=self._context.clock())
        self._rows.keep(checked)
        return checked

    def damage(self, source: GivenInput | Source) -> str:
        """What was found to be wrong with an input that is a video of the pool, or nothing. Raises NotFound."""
        if isinstance(source, str) and source.startswith(POOL):
            source = self._pool.file(source.removeprefix(POOL))
        video = video_of(source) if isinstance(source, PooledFile) else None
        checked = None if video is None else self._rows.of(video.blake3)
        if checked is None or not checked.problem:
            return ""
        return f"{checked.problem}. A stage may fail only when it gets there"

    def _of(self, files: Iterable[PoolEntry], known: Mapping[str, CheckedFootage]) -> dict[str, PoolCheck]:
        return {
            file.name: PoolCheck(file, known.get(file.id))
            for file in files
            if file.files == 1 and is_footage(file.file_name)
        }

    @property
    def _pool(self) -> Pool:
        return Pool(self._context.records.database, self._context.store)


def video_of(file: PooledFile) -> FileEntry | None:
    """The entry of a file that is a video by its name."""
    entries = file.manifest.files
    return entries[0] if len(entries) == 1 and is_footage(entries[0].path) else None


def is_footage(path: str) -> bool:
    """Whether a file is a video by its name."""
    return PurePosixPath(path).suffix.lower() in FOOTAGE


def described(footage: Footage) -> str:
    """Codec, size, rate and length, for a person."""
    return (
        f"{footage.codec}, {footage.width} x {footage.height}, {footage.rate:.4g} frames per second, "
        f"{format_duration(footage.duration_s)}"
    )
