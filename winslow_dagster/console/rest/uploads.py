"""Files sent in parts, by the tus protocol 1.0 (https://tus.io): begun, continued after any interruption, cancelled.

A part goes from the connection to the disk, in pieces; the process holds some megabytes of it at most. Once the last
byte has arrived, the file is put into the pool in the background: `GET` says when that is done, and what was found.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import Annotated, cast, get_args

from anyio import CapacityLimiter, to_thread
from fastapi import Header, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from winslow_dagster.console.body_socket import BodySocket, take_body_socket
from winslow_dagster.console.caller import Front
from winslow_dagster.console.pieces import Pieces
from winslow_dagster.console.room import Room
from winslow_dagster.errors import InputRejected, UploadBusy, UsageError, WinslowError
from winslow_dagster.projects.domain.upload import PoolVideos, Upload, UploadKind, UploadLists
from winslow_dagster.projects.inputs.received_file import Receiver, yield_to_others
from winslow_dagster.projects.installation import Installation

VERSION = "1.0.0"
TUS = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}
PART_TYPE = "application/offset+octet-stream"
PIECE_BYTES = 2 << 20
"""Of a part, two of which are in memory. For each, two threads wait for each other: of 1 MiB, they take longer."""
KINDS: tuple[str, ...] = get_args(UploadKind)
SILENCE_S = 60.0
"""A connection that sends nothing for so long is given up: another one may go on."""
TIDY_EVERY_S = 600.0
THREADS = CapacityLimiter(8)
"""Threads that answer everything else about uploads."""
RECEIVING = ThreadPoolExecutor(128, "upload-receiver", initializer=yield_to_others)
"""Threads that read parts from their connections: one for each that is sent at this moment."""

STORING = CapacityLimiter(2)
"""Threads that put complete files into the pool."""

CHECKING = CapacityLimiter(1)
"""The thread that waits for videos to be read to their end."""

check_room = Room(prefix="/footage-checks", tags=["uploads"])
room = Room(prefix="/uploads", tags=["uploads"], threads=THREADS)
_background: set[asyncio.Task[None]] = set()

Offset = Annotated[int, Header(alias="upload-offset", ge=0, le=2**62)]


@room.route_for("", role="operator")
def list_uploads(front: Front) -> UploadLists:
    """What can be continued, and what ended lately."""
    return UploadLists(unfinished=front.uploads.unfinished(), ended=front.uploads.ended())


@room.route_for("", role="operator", method="OPTIONS", status_code=HTTPStatus.NO_CONTENT, response_class=Response)
async def describe() -> Response:
    """What this end of the protocol can do."""
    return Response(
        status_code=HTTPStatus.NO_CONTENT,
        headers=TUS | {"Tus-Version": VERSION, "Tus-Extension": "creation,termination"},
    )


@room.route_for("", role="operator", method="POST", status_code=HTTPStatus.CREATED, response_class=Response)
def begin(
    front: Front,
    upload_length: Annotated[int, Header(ge=1, le=2**50)],
    upload_metadata: Annotated[str, Header(max_length=4096)] = "",
) -> Response:
    """Begin. `Upload-Metadata` has `filename`, and perhaps `name` (in the pool), `fingerprint`, `kind` and `replaces`.

    The last is the name of a file of the pool whose place it takes once all of it is there.
    """
    told = _metadata(upload_metadata)
    upload = front.uploads.begin(
        told.get("filename", ""),
        upload_length,
        name=told.get("name"),
        fingerprint=told.get("fingerprint", "")[:64],
        kind=_kind(told.get("kind", "file")),
        replaces=told.get("replaces"),
    )
    return Response(
        status_code=HTTPStatus.CREATED,
        headers=TUS | {"Location": f"/api/v1/uploads/{upload.id}", "Upload-Offset": str(upload.received_bytes)},
    )


@room.route_for("/{upload}", role="operator")
def show(front: Front, upload: str) -> Upload:
    """How far an upload is, and what became of it."""
    found: Upload = front.uploads.upload(upload)
    return found


@room.route_for("/{upload}", role="operator", method="HEAD", response_class=Response)
def offset(front: Front, upload: str) -> Response:
    """Where to go on."""
    found = front.uploads.upload(upload)
    lengths = {"Upload-Offset": str(found.received_bytes), "Upload-Length": str(found.size_bytes)}
    return Response(headers=TUS | lengths)


@room.route_for(
    "/{upload}", role="operator", method="PATCH", status_code=HTTPStatus.NO_CONTENT, response_class=Response
)
async def append(request: Request, front: Front, upload: str, upload_offset: Offset) -> Response:
    """Send the next part, as long as one likes. What has arrived stays, however the connection ends."""
    if request.headers.get("content-type") != PART_TYPE:
        raise UsageError("a part of a file has another type", expected=f"Content-Type: {PART_TYPE}")
    receiver = await to_thread.run_sync(front.uploads.receive, upload, upload_offset, limiter=THREADS)
    connection = take_body_socket(request.scope, SILENCE_S)
    try:
        if connection is None:
            await _receive(request, receiver)
        else:
            await _receive_in_thread(connection, receiver)
    finally:
        # Also when the request is cancelled: the next connection waits for the lock.
        await asyncio.shield(to_thread.run_sync(receiver.close, limiter=THREADS))
    if receiver.complete:
        store_soon(front, upload)
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=TUS | {"Upload-Offset": str(receiver.offset_bytes)})


@room.route_for("/{upload}", role="operator", method="DELETE", status_code=HTTPStatus.NO_CONTENT)
def cancel(front: Front, upload: str) -> Response:
    """Forget an upload, and what has arrived of it."""
    front.uploads.cancel(upload)
    return Response(status_code=HTTPStatus.NO_CONTENT, headers=TUS)


@check_room.route_for("", role="viewer")
def list_checks(front: Front) -> PoolVideos:
    """The videos of the pool, and what was found when they were read to their end."""
    return front.footage_checks.videos()


def store_soon(front: Installation, upload: str) -> None:
    """Put a complete upload into the pool in the background."""

    async def store() -> None:
        try:
            await to_thread.run_sync(front.uploads.store, upload, limiter=STORING)
        except UploadBusy:
            return  # another request of it does that
        except WinslowError as error:
            logging.getLogger(__name__).warning("upload %s is not stored yet: %s", upload, error)
        await check_footage(front)

    task = asyncio.create_task(store())
    _background.add(task)
    task.add_done_callback(_background.discard)


async def tidy_now_and_then(installation: Installation) -> None:
    """What an earlier process left is stored when the server starts, and what nobody continues is forgotten."""
    while True:
        try:
            await to_thread.run_sync(installation.uploads.tidy, limiter=STORING)
        except WinslowError as error:
            logging.getLogger(__name__).warning("uploads are tidied later: %s", error)
        await check_footage(installation)
        await asyncio.sleep(TIDY_EVERY_S)


async def check_footage(front: Installation) -> None:
    """Read the videos of the pool that nobody has read to their end yet, whoever has put them there."""
    try:
        waiting = await to_thread.run_sync(front.footage_checks.waiting, limiter=CHECKING)
        for file in waiting:
            await to_thread.run_sync(front.footage_checks.check, file, limiter=CHECKING)
    except WinslowError as error:
        logging.getLogger(__name__).warning("videos are checked later: %s", error)


async def _receive_in_thread(connection: BodySocket, receiver: Receiver) -> None:
    def receive() -> None:
        for piece in connection.pieces(PIECE_BYTES, receiver.offset_bytes):
            receiver.append(piece)

    receiving = asyncio.get_running_loop().run_in_executor(RECEIVING, receive)
    try:
        await asyncio.shield(receiving)
    except asyncio.CancelledError:  # the server stops
        connection.stop()
        await receiving
        raise
    finally:
        connection.close()


async def _receive(request: Request, receiver: Receiver) -> None:
    """Through the event loop: what is encrypted, or of unknown length."""
    loop, pieces = asyncio.get_running_loop(), Pieces(PIECE_BYTES, receiver.offset_bytes)
    with contextlib.suppress(ClientDisconnect, TimeoutError):
        async with asyncio.timeout(SILENCE_S) as silence:
            async for part in request.stream():
                silence.reschedule(None)  # the disk may take its time
                left = memoryview(part)
                while left:
                    count = min(len(left), len(pieces.room))
                    pieces.room[:count], left = left[:count], left[count:]
                    if (piece := pieces.filled(count)) is not None:
                        await loop.run_in_executor(RECEIVING, receiver.append, piece)
                silence.reschedule(loop.time() + SILENCE_S)
    if rest := pieces.rest:
        await loop.run_in_executor(RECEIVING, receiver.append, rest)


def _kind(text: str) -> UploadKind:
    if text not in KINDS:
        raise InputRejected(f"{text!r} in Upload-Metadata is no kind of upload", expected=" or ".join(KINDS))
    return cast("UploadKind", text)


def _metadata(header: str) -> dict[str, str]:
    found = {}
    for pair in filter(None, (each.strip() for each in header.split(","))):
        key, _, value = pair.partition(" ")
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InputRejected(f"{key!r} in Upload-Metadata is not Base64 of UTF-8") from error
    return found
