"""Lets a thread read a large body from its connection itself, past the event loop.

Through the event loop, a body is copied five times, in pieces of some hundred kilobytes, and every other request waits
for the processor meanwhile. Only an unencrypted connection has such a body; nginx passes it on as one.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator

import httptools
from starlette.types import Scope
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from winslow_dagster.console.pieces import Pieces

EXTENSION = "winslow.body_socket"


class BodySocket:
    """The body of one request: what has arrived of it, and the connection on which the rest arrives."""

    def __init__(
        self, arrived: bytes, descriptor: int, left_bytes: int, silence_s: float, give_back: Callable[[int], None]
    ) -> None:
        self._arrived = memoryview(arrived)
        self._left_bytes = left_bytes
        self._socket = socket.socket(fileno=os.dup(descriptor))
        # It stays non-blocking, as the event loop has it: Python waits by polling.
        self._socket.settimeout(silence_s)
        self._give_back = give_back

    def pieces(self, piece_bytes: int, begin_bytes: int = 0) -> Iterator[memoryview]:
        """The body, cut at the multiples of `piece_bytes` of a file in which it begins at `begin_bytes`.

        They end early where the sender hangs up or is silent for too long, or `stop` is called; the last one then has
        what has arrived.
        """
        pieces, left_bytes = Pieces(piece_bytes, begin_bytes), len(self._arrived) + self._left_bytes
        while left_bytes and (count := self._receive(pieces.room[:left_bytes])):
            left_bytes -= count
            if (piece := pieces.filled(count)) is not None:
                yield piece
        if rest := pieces.rest:
            yield rest

    def _receive(self, room: memoryview) -> int:
        if self._arrived:
            count = min(len(room), len(self._arrived))
            room[:count], self._arrived = self._arrived[:count], self._arrived[count:]
            return count
        try:
            count = self._socket.recv_into(room)
        except (ConnectionError, TimeoutError):
            return 0
        self._left_bytes -= count
        return count

    def stop(self) -> None:
        """End reading, from any thread."""
        with contextlib.suppress(OSError):  # the sender may have hung up
            self._socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Give the connection back to the event loop, in whose thread this is called, and which skips what is left."""
        self._socket.close()
        self._give_back(self._left_bytes)


class BodySocketProtocol(HttpToolsProtocol):
    """The server's end of a connection, which offers its socket to the application."""

    _skipped_bytes = 0

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: {"take": self._take}}

    @override
    def data_received(self, data: bytes) -> None:
        if self._skipped_bytes:
            self._unset_keepalive_if_required()
            skipped_bytes = min(len(data), self._skipped_bytes)
            self._skipped_bytes -= skipped_bytes
            data = data[skipped_bytes:]
        if data:
            super().data_received(data)

    def _take(self, length_bytes: int, silence_s: float) -> BodySocket | None:
        cycle = self.cycle
        if self.scheme != "http" or cycle.disconnected or not cycle.more_body:
            return None
        self.flow.pause_reading()
        if cycle.waiting_for_100_continue:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            cycle.waiting_for_100_continue = False
        arrived, cycle.body = bytes(cycle.body), bytearray()
        descriptor = self.transport.get_extra_info("socket").fileno()
        return BodySocket(arrived, descriptor, length_bytes - len(arrived), silence_s, self._go_on_after)

    def _go_on_after(self, unread_bytes: int) -> None:
        """The parser has not seen the body, so a new one waits for the next request, behind what is unread."""
        self._skipped_bytes = unread_bytes
        self.cycle.more_body = False
        if not self.cycle.disconnected:
            self.parser = httptools.HttpRequestParser(self)
            # As uvicorn has it: what a sender writes behind its last request must not take that one's answer away.
            self.parser.set_dangerous_leniencies(lenient_data_after_close=True)


def take_body_socket(scope: Scope, silence_s: float) -> BodySocket | None:
    """The connection of a request whose body nobody has read yet; `close` it in the event loop.

    None where the body must be read through the event loop: it is encrypted, of unknown length, or complete already.
    """
    extension = scope.get("extensions", {}).get(EXTENSION)
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    if extension is None or len(lengths) != 1:
        return None
    body: BodySocket | None = extension["take"](int(lengths[0]), silence_s)
    return body
