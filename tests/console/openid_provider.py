"""A small OpenID provider: real HTTP, real signatures. A test says who logs in, and what is wrong with the answer."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT = "winslow"
SECRET = "a secret of the provider's"


@dataclass
class Provider:
    """What the provider answers. `claims` and `header` change its identity tokens, `key` signs them."""

    issuer: str = ""
    claims: dict[str, Any] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    header: dict[str, Any] = field(default_factory=lambda: {"alg": "RS256"})
    key: Any = field(default_factory=lambda: RSAKey.generate_key(2048))
    published: Any = None
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    raw_token: str | None = None

    def authorize(self, address: str) -> dict[str, str]:
        """A person logs in at the address to which the browser was sent. Returns what the browser brings back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert address.startswith(f"{self.issuer}/authorize?")
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (CLIENT, "code", "S256")
        assert "openid" in asked["scope"].split()
        code = f"code-{len(self.codes)}"
        self.codes[code] = asked
        return {"code": code, "state": asked["state"]}

    def token(self, form: dict[str, str], authorization: str) -> tuple[int, dict[str, Any]]:
        asked = self.codes.pop(form.get("code", ""), None)
        expected = base64.b64encode(f"{CLIENT}:{SECRET.replace(' ', '+').replace(chr(39), '%27')}".encode()).decode()
        if authorization != f"Basic {expected}":
            return 401, {"error": "invalid_client"}
        if asked is None or form["redirect_uri"] != asked["redirect_uri"]:
            return 400, {"error": "invalid_grant", "error_description": "the code is not known"}
        challenge = base64.urlsafe_b64encode(sha256(form["code_verifier"].encode()).digest()).decode().rstrip("=")
        if challenge != asked["code_challenge"]:
            return 400, {"error": "invalid_grant", "error_description": "the verifier is wrong"}
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "sub": "17", "iat": now, "exp": now + 300, "nonce": asked["nonce"]}
        claims |= {"preferred_username": "Ben@example.org", "name": "Ben B.", **self.claims}
        for name in self.left_out:
            del claims[name]
        token = self.raw_token or jwt.encode(self.header, claims, self.key, algorithms=[self.header["alg"]])
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": token}


@contextlib.contextmanager
def openid_provider() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/.well-known/openid-configuration":
                self.answer(
                    200,
                    {
                        "issuer": provider.issuer,
                        "authorization_endpoint": f"{provider.issuer}/authorize",
                        "token_endpoint": f"{provider.issuer}/token",
                        "jwks_uri": f"{provider.issuer}/keys",
                    },
                )
            else:
                key = provider.published or provider.key
                self.answer(200, {"keys": [key.as_dict(private=False)]})

        def do_POST(self) -> None:
            content = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(content).items()}
            self.answer(*provider.token(form, self.headers.get("Authorization", "")))

        def answer(self, status: int, content: dict[str, Any]) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(json.dumps(content).encode())

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        provider.issuer = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield provider
        finally:
            server.shutdown()
            thread.join()
