"""The page's server: on this machine only, and only for who knows its address, which has a secret in it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files as package_files
from threading import Lock, Thread
from typing import Any

import cv2

from tracker.annotation.session import Session
from tracker.detectors.boxes import KINDS
from tracker.errors import TrackerError
from tracker.proxy import Proxy

PAGE = package_files("tracker.annotation") / "page"
PAGE_FILES = {
    "": ("index.html", "text/html; charset=utf-8"),
    "annotate.js": ("annotate.js", "text/javascript; charset=utf-8"),
    "boxes.js": ("boxes.js", "text/javascript; charset=utf-8"),
    "annotate.css": ("annotate.css", "text/css; charset=utf-8"),
}
ONLY_OWN = "default-src 'none'; img-src 'self' data:; script-src 'self'; style-src 'self'; connect-src 'self'"
JPEG_QUALITY = 90
# Of one act, and digits of a frame; far more than any has.
MOST_BYTES, LONGEST_NUMBER = 10_000, 10


class AnnotationServer(ThreadingHTTPServer):
    """Serves the page, the frames of the proxy and the boxes on them, and takes the acts of a person.

    `serve_forever` returns when the person is done.
    """

    daemon_threads = True

    def __init__(self, session: Session, proxy: Proxy, port: int) -> None:
        self.session, self.proxy = session, proxy
        self.secret = secrets.token_urlsafe(16)
        # The requests of a browser come at the same time; one decoder and one session serve them all.
        self.lock = Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.server_port}/{self.secret}/"

    def film(self) -> dict[str, Any]:
        """What the page needs once."""
        view, labels = self.session.view, self.session.labels
        return {
            "width": view.width_px,
            "height": view.height_px,
            "classes": KINDS,
            "frames": [{"frame": frame, "time_s": float(view.times_s[frame])} for frame in labels.frames],
            "checked": sorted(labels.checked),
        }

    def frame(self, frame: int) -> dict[str, Any]:
        """What is on a frame."""
        return {"boxes": self.session.boxes(frame), "checked": sorted(self.session.labels.checked)}

    def picture(self, frame: int) -> bytes:
        """A frame as JPEG."""
        (decoded,) = self.proxy.frames_at([frame])
        picture = decoded.colours(self.proxy.width_px, self.proxy.height_px)
        return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()

    def stop(self) -> None:
        """Let `serve_forever` return, once the answer to the present request is written."""
        Thread(target=self.shutdown).start()


class _Handler(BaseHTTPRequestHandler):
    server: AnnotationServer

    def do_GET(self) -> None:
        """The page, a picture, or what is drawn on it."""
        path = self._path()
        if path in PAGE_FILES:
            name, kind = PAGE_FILES[path]
            self._send(HTTPStatus.OK, (PAGE / name).read_bytes(), kind)
        elif path == "film":
            with self.server.lock:
                self._send_json(self.server.film())
        elif (frame := self._frame(path, "frames/", ".jpg")) is not None:
            with self.server.lock:
                picture = self.server.picture(frame)
            self._send(HTTPStatus.OK, picture, "image/jpeg")
        elif (frame := self._frame(path, "frames/", "")) is not None:
            with self.server.lock:
                self._send_json(self.server.frame(frame))
        else:
            self._missing()

    def do_POST(self) -> None:
        """An act, answered with what is then on its frame; or the end."""
        path = self._path()
        if path == "done":
            self._send_json({})
            self.server.stop()
        elif (frame := self._frame(path, "frames/", "")) is not None:
            try:
                act = self._act()
                with self.server.lock:
                    self.server.session.do({**act, "frame": frame})
                    self._send_json(self.server.frame(frame))
            except TrackerError as error:
                self._send_json({"error": str(error)}, HTTPStatus.BAD_REQUEST)
        else:
            self._missing()

    def _act(self) -> Mapping[str, Any]:
        size = self.headers.get("Content-Length", "")
        text = self.rfile.read(int(size)) if size.isdecimal() and int(size) <= MOST_BYTES else b""
        try:
            act = json.loads(text)
        except ValueError:
            act = None
        return act if isinstance(act, dict) else {}

    def _path(self) -> str | None:
        """The path below the secret; None without it."""
        _, secret, *rest = [*self.path.partition("?")[0].split("/"), ""]
        known = secrets.compare_digest(secret.encode(), self.server.secret.encode())
        return "/".join(rest).removesuffix("/") if known else None

    def _frame(self, path: str | None, before: str, after: str) -> int | None:
        """The number of a frame to label in a path."""
        number = (path or "").removeprefix(before).removesuffix(after)
        if f"{before}{number}{after}" != path or not (
            number.isascii() and number.isdecimal() and len(number) < LONGEST_NUMBER
        ):
            return None
        return int(number) if int(number) in self.server.session.labels.frames else None

    def _missing(self) -> None:
        self._send_json({"error": "there is nothing here: open the address that the command printed"}, 404)

    def _send_json(self, data: Mapping[str, Any], status: int = HTTPStatus.OK) -> None:
        self._send(status, json.dumps(data).encode(), "application/json")

    def _send(self, status: int, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Security-Policy", ONLY_OWN)
        self.send_header("Cache-Control", "private, max-age=600" if kind == "image/jpeg" else "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: the address is a secret."""
