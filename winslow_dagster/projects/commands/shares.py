"""Links by which somebody without an account downloads one file or one folder, and sees nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from winslow_dagster.errors import Forbidden, InputRejected, NotFound
from winslow_dagster.pipelines.model.form import INPUT
from winslow_dagster.projects.accounts.keys import hash_of, new_key
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.downloads import open_archive
from winslow_dagster.projects.commands.pool import PoolCommands
from winslow_dagster.projects.commands.project import ProjectHandle
from winslow_dagster.projects.database.shares import Shares
from winslow_dagster.projects.domain.actor import Actor
from winslow_dagster.projects.domain.shares import (
    LONGEST_SHARE_DAYS,
    SHARE_DAYS,
    NewShare,
    Share,
    SharedFile,
    SharedFolder,
    SharedPoolFile,
    SharedThing,
)
from winslow_dagster.projects.domain.views import ProjectFile
from winslow_dagster.projects.inputs.resource_pool import POOL
from winslow_dagster.storage.archives import FORMATS, Archive, ArchiveFormat


@dataclass(frozen=True, slots=True)
class Shared:
    """What a link leads to: a file or an archive."""

    share: Share
    content: ProjectFile | Archive

    @property
    def size_bytes(self) -> int:
        """How much is downloaded."""
        return self.content.size_bytes


class ShareCommands:
    """The links of the actor, and for administrators those of all people."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._shares = Shares(context.records.database)

    def create(  # noqa: PLR0913  # what is shared, by name
        self,
        project: str,
        stage: str | None = None,
        attempt: str | int | None = None,
        *,
        path: str | None = None,
        pipeline: str | None = None,
        form: ArchiveFormat = "zip",
        days: float = SHARE_DAYS,
    ) -> NewShare:
        """A link to one file of a stage, with `path`, or to a folder as an archive, as they are now.

        Raises NotFound, InputRejected.
        """
        handle = ProjectHandle(self._context, project)
        if path is not None:
            if stage is None:
                raise InputRejected("a file belongs to a stage", expected="the stage, too")
            file = handle.file(stage, path, attempt, pipeline=pipeline)
            task_id = None
            if not stage.startswith(INPUT):
                # Later attempts are not what is shared.
                outputs = handle.output_folder(stage, attempt, pipeline=pipeline).outputs
                task_id = outputs[0].task_id
            thing: SharedThing = SharedFile(
                stage=stage, path=path, pipeline=pipeline, task_id=task_id, blake3=file.blake3
            )
            return self._create(project, path.rpartition("/")[2], thing, days)
        folder = handle.output_folder(stage, attempt, pipeline=pipeline)
        open_archive(self._context, folder, form)
        return self._create(project, folder.name + FORMATS[form].suffix, SharedFolder(folder=folder, format=form), days)

    def create_for_pool(self, name: str, *, form: ArchiveFormat = "zip", days: float = SHARE_DAYS) -> NewShare:
        """A link to a file of the pool, or to a directory of it as an archive. Raises NotFound, InputRejected."""
        pooled = PoolCommands(self._context).files.file(name)
        single = len(pooled.manifest.files) == 1
        thing = SharedPoolFile(name=name, address=pooled.manifest.address, format=None if single else form)
        shown = pooled.manifest.files[0].path.rpartition("/")[2] if single else name + FORMATS[form].suffix
        return self._create(None, shown, thing, days)

    def list(self, *, everybody: bool = False) -> tuple[Share, ...]:
        """The actor's own links, the newest first; those of all people for administrators."""
        if everybody:
            self._context.actor.require("admin")
        return self._shares.list(None if everybody else self._context.actor.who)

    def revoke(self, number: int) -> Share:
        """End a link. Its downloads end within seconds. Raises NotFound, Forbidden."""
        share, actor = self._shares.get(number), self._context.actor
        if not actor.unlimited and share.created_by != actor.who:
            raise Forbidden(
                f"this link belongs to {share.created_by}, not to {actor.who}",
                where=f"link {number}",
                remedy="Ask its owner, or an administrator",
            )
        if self._shares.revoke(number, actor.who, self._context.clock()):
            self._context.audit("share_revoke", share.project, share=number, name=share.name)
        return self._shares.get(number)

    def open(self, key: str) -> Shared:
        """What the link with this key leads to. Raises NotFound if it is not valid, or the content is gone."""
        share, thing = self._find(key)
        match thing:
            case SharedFile():
                assert share.project is not None  # noqa: S101  # only files of the pool have none
                handle = ProjectHandle(self._context, share.project)
                file = handle.file(thing.stage, thing.path, thing.task_id, pipeline=thing.pipeline)
                if file.blake3 != thing.blake3:
                    raise self._gone(share)
                return Shared(share, file)
            case SharedFolder():
                assert share.project is not None  # noqa: S101  # as above
                self._context.records.project(share.project)
                return Shared(share, open_archive(self._context, thing.folder, thing.format))
            case SharedPoolFile():
                pool, file_id = PoolCommands(self._context), thing.address.rpartition("/")[2]
                # It may have another name now, and another file its name.
                found = pool.files.rows.entries([file_id])
                if not found:
                    raise self._gone(share)
                name = found[0].name
                stored = pool.stored_file(name) if thing.format is None else None
                return Shared(share, stored or pool.archive(name, thing.format or "zip"))

    def require_valid(self, key: str) -> None:
        """Raise NotFound unless the link is still valid."""
        self._find(key)

    def count_use(self, share: Share, address: str) -> None:
        """Record that somebody downloads."""
        if self._shares.use(share.id, address, self._context.clock()):
            by_link = Actor(f"link {share.id} of {share.created_by}", "console", address, "viewer")
            self._context.acting_as(by_link).audit("share_use", share.project, share=share.id, name=share.name)

    def _create(self, project: str | None, name: str, thing: SharedThing, days: float) -> NewShare:
        if not 0 < days <= LONGEST_SHARE_DAYS:
            raise InputRejected(
                f"{days:g} days", where="expiry", expected=f"more than 0, at most {LONGEST_SHARE_DAYS:g}"
            )
        now, key, actor = self._context.clock(), new_key(), self._context.actor
        share = Share(
            id=0,
            project=project,
            name=name,
            created_by=actor.who,
            created_at=now,
            expires_at=now + timedelta(days=days),
        )
        added = self._shares.add(hash_of(key), share, thing)
        what = f"{POOL}{thing.name}" if isinstance(thing, SharedPoolFile) else ""
        self._context.audit("share", project, share=added.id, name=name, days=days, file=what)
        return NewShare(share=added, key=key)

    def _find(self, key: str) -> tuple[Share, SharedThing]:
        found = self._shares.find(hash_of(key), self._context.clock())
        if found is None:
            raise NotFound(
                "the link is not valid",
                remedy="It has expired or was revoked, or a part of its address is missing: ask whoever sent it",
            )
        return found

    def _gone(self, share: Share) -> NotFound:
        return NotFound(
            f"{share.name} is not what was shared any more", remedy=f"Ask {share.created_by} for another link"
        )
