"""Requests to a server's REST API, and what its answers are."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter, ValidationError

from winslow_dagster.client.problems import error_of
from winslow_dagster.errors import InputRejected, ServiceUnavailable, SettingsInvalid, StoreError, WinslowError

API = "/api/v1"
CONNECT_TIMEOUT_S = 10.0
ANSWER_TIMEOUT_S = 120.0
"""The start of a run copies its inputs."""

Value = TypeVar("Value")


class Http:
    """A connection to one server. Safe to use from many threads.

    Every request raises what the server raised, and ServiceUnavailable if it does not answer.
    """

    def __init__(self, address: str, token: str, certificate: Path | None) -> None:
        self.address = address.rstrip("/")
        if not self.address.startswith(("http://", "https://")):
            raise SettingsInvalid(f"{address!r} is not an address", expected="one such as https://winslow.example:3000")
        self._client = httpx.Client(
            base_url=self.address,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            verify=True if certificate is None else _trusting(certificate),
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def get(self, kind: type[Value], path: str, **query: Any) -> Value:
        """The value at this path. Parameters that are None are left out."""
        return self._value(kind, self.send("GET", path, query=query))

    def get_when_read(self, kind: type[Value], path: str, /, **query: Any) -> Value:
        """The value at this path, once the server has read the file that it is about."""
        while True:
            answer = self.send("GET", path, query=query)
            # Until then, it says which share of the file it has read.
            if "share" not in answer.json():
                return self._value(kind, answer)

    def post(self, kind: type[Value], path: str, body: Mapping[str, Any]) -> Value:
        """What came of an act."""
        return self._value(kind, self.send("POST", path, body=body))

    def put(self, kind: type[Value], path: str, body: Mapping[str, Any]) -> Value:
        """What is kept in place of what was there."""
        return self._value(kind, self.send("PUT", path, body=body))

    def patch(self, kind: type[Value], path: str, body: Mapping[str, Any]) -> Value:
        """What has become of what was changed."""
        return self._value(kind, self.send("PATCH", path, body=body))

    def delete(self, kind: type[Value], path: str, **query: Any) -> Value:
        """What came of a deletion."""
        return self._value(kind, self.send("DELETE", path, query=query))

    def send(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Mapping[str, Any] | None = None
    ) -> httpx.Response:
        """The answer. Raises WinslowError."""
        try:
            answer = self._client.request(method, f"{API}{path}", params=_given(query), json=body)
        except httpx.TransportError as error:
            raise self._away(error) from error
        if not answer.is_success:
            raise self._error(answer)
        return answer

    def exchange(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str],
        content: Iterable[bytes] | None = None,
        too_large_is_an_answer: bool = False,
    ) -> httpx.Response:
        """The answer to a request with headers and a body of its own. Raises WinslowError."""
        try:
            answer = self._client.request(method, f"{API}{path}", headers=headers, content=content)
        except httpx.TransportError as error:
            raise self._away(error) from error
        too_large = answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        if not answer.is_success and not (too_large and too_large_is_an_answer):
            raise self._error(answer)
        return answer

    def upload(self, kind: type[Value], path: str, content: BinaryIO, **query: Any) -> Value:
        """What came of sending a file."""
        try:
            answer = self._client.put(f"{API}{path}", params=_given(query), content=content)
        except httpx.TransportError as error:
            raise self._away(error) from error
        if not answer.is_success:
            raise self._error(answer)
        return self._value(kind, answer)

    def post_form(
        self, kind: type[Value], path: str, fields: Mapping[str, str], files: Mapping[str, Path], **query: Any
    ) -> Value:
        """What came of sending a form with files. Raises InputRejected for a file that cannot be read."""
        with contextlib.ExitStack() as stack:
            opened = {}
            for name, file in files.items():
                try:
                    opened[name] = (file.name, stack.enter_context(file.open("rb")))
                except OSError as error:
                    raise InputRejected(error.strerror or str(error), where=str(file)) from error
            try:
                answer = self._client.post(f"{API}{path}", params=_given(query), data=dict(fields), files=opened)
            except httpx.TransportError as error:
                raise self._away(error) from error
        if not answer.is_success:
            raise self._error(answer)
        return self._value(kind, answer)

    def stream(self, path: str, **query: Any) -> Iterator[bytes]:
        """The answer in pieces."""
        try:
            with self._client.stream("GET", f"{API}{path}", params=_given(query)) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._error(answer)
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._away(error) from error

    def tag_and_size(self, path: str, **query: Any) -> tuple[str, int]:
        """The ETag of what is at the path, and its length in bytes."""
        try:
            # Not HEAD: the answer to that has no room for an error.
            answer = self._client.get(f"{API}{path}", params=_given(query), headers={"Range": "bytes=0-0"})
        except httpx.TransportError as error:
            raise self._away(error) from error
        empty = answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and "etag" in answer.headers
        if not answer.is_success and not empty:
            raise self._error(answer)
        return answer.headers["ETag"], int(answer.headers["Content-Range"].rpartition("/")[2])

    def stream_from(self, path: str, begin: int, tag: str, **query: Any) -> Iterator[bytes]:
        """What is at the path from `begin` on, in pieces. Raises StoreError if it is not the one with this tag."""
        headers = {"Range": f"bytes={begin}-", "If-Range": tag}
        try:
            with self._client.stream("GET", f"{API}{path}", params=_given(query), headers=headers) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._error(answer)
                if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
                    raise StoreError("it has changed meanwhile", where=path, remedy="Begin again")
                yield from answer.iter_bytes()
        except httpx.TransportError as error:
            raise self._away(error) from error

    def read_range(self, path: str, begin: int, end: int, tag: str, **query: Any) -> bytes:
        """The bytes from `begin` to before `end` of a file. Raises StoreError if it is not the one with this tag."""
        headers = {"Range": f"bytes={begin}-{end - 1}", "If-Range": f'"{tag}"'}
        content = bytearray()
        try:
            with self._client.stream("GET", f"{API}{path}", params=_given(query), headers=headers) as answer:
                if not answer.is_success:
                    answer.read()
                    raise self._error(answer)
                if answer.status_code != HTTPStatus.PARTIAL_CONTENT:
                    raise StoreError(
                        "the file is another one now",
                        where=path,
                        remedy="List the files again, or name the attempt that made it",
                    )
                for piece in answer.iter_bytes():
                    content += piece
        except httpx.TransportError as error:
            raise self._away(error) from error
        return bytes(content)

    def _value(self, kind: type[Value], answer: httpx.Response) -> Value:
        try:
            # A newer server may say more.
            value: Value = TypeAdapter(kind).validate_json(answer.content, extra="ignore")
        except ValidationError as error:
            raise ServiceUnavailable(
                f"the answer cannot be understood: {error.errors()[0]['msg']}",
                where=str(answer.url),
                expected="a Winslow server of the same version",
            ) from error
        return value

    def _error(self, answer: httpx.Response) -> WinslowError:
        if answer.headers.get("content-type", "").startswith("application/problem+json"):
            return error_of(answer.json())
        return ServiceUnavailable(
            f"the answer is {answer.status_code} {answer.reason_phrase}",
            where=str(answer.url),
            expected="a Winslow server",
            remedy="Check the address, and what is between you and the server",
        )

    def _away(self, error: httpx.TransportError) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"the server does not answer: {error}",
            where=self.address,
            remedy="Check the address, and that the server runs",
        )


def part(name: str) -> str:
    """A name as a part of a path."""
    return quote(name, safe="")


def _given(query: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (query or {}).items() if value is not None}


def _trusting(certificate: Path) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise SettingsInvalid(
            f"the certificate cannot be read: {error.strerror or error}", where=str(certificate), expected="a PEM file"
        ) from error
