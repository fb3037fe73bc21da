"""Links by which somebody without an account downloads one file or one folder."""

from __future__ import annotations

from winslow_dagster.client.http import Http
from winslow_dagster.projects.domain.shares import SHARE_DAYS, NewShare, Share
from winslow_dagster.storage.archives import ArchiveFormat


class ShareClient:
    """The links of the person whose token it is. The address of a new one is that of the server and its `path`."""

    def __init__(self, http: Http) -> None:
        self._http = http

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
        body = {"project": project, "stage": stage, "attempt": attempt, "path": path, "pipeline": pipeline}
        return self._http.post(NewShare, "/shares", body | {"format": form, "days": days})

    def create_for_pool(self, name: str, *, form: ArchiveFormat = "zip", days: float = SHARE_DAYS) -> NewShare:
        """A link to a file of the pool, or to a directory of it as an archive. Raises NotFound, InputRejected."""
        return self._http.post(NewShare, "/shares", {"pool": name, "format": form, "days": days})

    def list(self, *, everybody: bool = False) -> tuple[Share, ...]:
        """One's own links, the newest first; those of all people for administrators."""
        return self._http.get(tuple[Share, ...], "/shares", everybody=everybody)

    def revoke(self, number: int) -> Share:
        """End a link. Its downloads end within seconds. Raises NotFound, Forbidden."""
        return self._http.delete(Share, f"/shares/{number}")
