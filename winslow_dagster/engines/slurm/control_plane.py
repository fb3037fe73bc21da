"""An agent's connection to the control plane. Standard library only: a job's first seconds are imports."""

from __future__ import annotations

import http.client
import ssl
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urlsplit

from winslow_dagster.engines.slurm.messages import PATH
from winslow_dagster.errors import EngineError, Fenced

TIMEOUT_S = 20.0
SERVER_ERRORS = 500


class ControlPlaneAway(EngineError):
    """The control plane does not answer now; the message can be sent again later."""


class ControlPlane:
    """One connection, kept open. Used by one thread at a time."""

    def __init__(self, url: str, ca_file: Path | None, task_id: str, submission: int) -> None:
        parts = urlsplit(url)
        self._url = url
        self._path = f"{parts.path}{PATH}/{quote(task_id, safe='')}/{submission}"
        self._headers = {"Content-Type": "application/json"}
        host, port = parts.hostname or "", parts.port
        self._used = False
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=ca_file)
            self._connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_S, context=context)
        else:
            self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)

    def authorize(self, scheme: str, credential: str) -> None:
        """What the next messages bear: a proof by `Munge`, or the key that the first answer brought, as `Bearer`."""
        self._headers["Authorization"] = f"{scheme} {credential}"

    def say(self, verb: str, message: str) -> bytes:
        """Send a message. Returns the answer. Raises Fenced, ControlPlaneAway, EngineError if it is refused."""
        try:
            answer, content = self._exchange(verb, message)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ControlPlaneAway(f"the control plane does not answer: {error}", where=self._url) from error
        if answer.status == HTTPStatus.OK:
            return content
        said = content.decode(errors="replace")
        if answer.status == HTTPStatus.GONE:
            raise Fenced(said, where=self._url)
        kind = ControlPlaneAway if answer.status >= SERVER_ERRORS else EngineError
        raise kind(f"the control plane answers with status {answer.status}: {said}", where=self._url)

    def _exchange(self, verb: str, message: str) -> tuple[http.client.HTTPResponse, bytes]:
        """Send the message and read the answer; again, where the server has closed a connection that was idle."""
        try:
            return self._once(verb, message)
        except ConnectionError:
            if not self._used:
                raise
        self.close()
        return self._once(verb, message)

    def _once(self, verb: str, message: str) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request("POST", f"{self._path}/{verb}", message.encode(), self._headers)
        answer = self._connection.getresponse()
        content = answer.read()
        self._used = True
        return answer, content

    def close(self) -> None:
        """Close the connection; the next message opens another."""
        self._connection.close()
        self._used = False
