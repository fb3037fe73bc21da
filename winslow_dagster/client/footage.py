"""Pictures, videos and tables of a project over HTTP."""

from __future__ import annotations

from typing import Any

from httpx import Response

from winslow_dagster.client.http import Http, part
from winslow_dagster.client.tables import TableClient
from winslow_dagster.footage import Footage, Picture, Strip
from winslow_dagster.projects.domain.views import ProjectFile

FileAddress = str | ProjectFile
"""`STAGE/PATH` of an output, `input:NAME` or `input:NAME/PATH` of an input, or the file itself."""


class ProjectFootageClient:
    """What can be seen of a project's pictures, videos and tables.

    A file is one of the current outputs, or of `attempt`, of the project's pipeline or of `pipeline`.
    """

    def __init__(self, http: Http, name: str) -> None:
        self._http = http
        self.name = name

    @property
    def _path(self) -> str:
        return f"/projects/{part(self.name)}"

    def footage(self, file: FileAddress, *, attempt: str | int | None = None, pipeline: str | None = None) -> Footage:
        """Size, rate and number of frames of a video. The first look at a long one may take a while."""
        return self._http.get(Footage, f"{self._path}/footage", **_place(file, attempt, pipeline))

    def frame(
        self,
        file: FileAddress,
        index: int,
        *,
        width: int | None = None,
        attempt: str | int | None = None,
        pipeline: str | None = None,
    ) -> Picture:
        """The frame of a video with exactly this index, in the order of showing from 0; downscaled to a width."""
        return self._picture("frames", index=index, width=width, **_place(file, attempt, pipeline))

    def frame_at(
        self,
        file: FileAddress,
        time_s: float,
        *,
        width: int | None = None,
        attempt: str | int | None = None,
        pipeline: str | None = None,
    ) -> Picture:
        """The frame that is shown at this time after the first one."""
        return self._picture("frames", time_s=time_s, width=width, **_place(file, attempt, pipeline))

    def picture_of(
        self,
        file: FileAddress,
        *,
        width: int | None = None,
        attempt: str | int | None = None,
        pipeline: str | None = None,
    ) -> Picture:
        """A picture as every browser shows it, or the middle frame of a video; downscaled to a width."""
        return self._picture("pictures", width=width, **_place(file, attempt, pipeline))

    def strip(  # noqa: PLR0913  # which frames of which file, by name
        self,
        file: FileAddress,
        first: int,
        last: int,
        *,
        count: int = 12,
        width: int = 160,
        attempt: str | int | None = None,
        pipeline: str | None = None,
    ) -> Strip:
        """Small frames of a video beside each other, from one index to another."""
        asked = {"first": first, "last": last, "count": count, "width": width}
        answer = self._http.send("GET", f"{self._path}/filmstrip", query=asked | _place(file, attempt, pipeline))
        return Strip(
            content=answer.content,
            width=_number(answer, "Picture-Width"),
            height=_number(answer, "Picture-Height"),
            indices=tuple(map(int, answer.headers["Frame-Indices"].split(","))),
            times_s=tuple(map(float, answer.headers["Frame-Times"].split(","))),
        )

    def table(self, file: FileAddress, *, attempt: str | int | None = None, pipeline: str | None = None) -> TableClient:
        """A CSV, Parquet or GeoJSON file as a table: rows by windows, and what is drawn of them."""
        return TableClient(self._http, self._path, _place(file, attempt, pipeline))

    def growing_table(self, stage: str, path: str, *, pipeline: str | None = None) -> TableClient:
        """A CSV file that the stage is writing, each time as it is then."""
        return TableClient(self._http, self._path, _place(f"{stage}/{path}", None, pipeline) | {"growing": True})

    def _picture(self, what: str, **query: Any) -> Picture:
        answer = self._http.send("GET", f"{self._path}/{what}", query=query)
        return Picture(
            media_type=answer.headers["Content-Type"],
            content=answer.content,
            width=_number(answer, "Picture-Width"),
            height=_number(answer, "Picture-Height"),
            index=int(answer.headers["Frame-Index"]),
            time_s=float(answer.headers["Frame-Time"]),
        )


def _place(file: FileAddress, attempt: str | int | None, pipeline: str | None) -> dict[str, Any]:
    if isinstance(file, ProjectFile):
        address = f"{file.stage}/{file.path}"
        # An attempt is one of a pipeline already.
        return {
            "file": address,
            "attempt": attempt,
            "pipeline": pipeline or (file.pipeline if attempt is None else None),
        }
    return {"file": file, "attempt": attempt, "pipeline": pipeline}


def _number(answer: Response, header: str) -> int:
    return int(answer.headers[header])
