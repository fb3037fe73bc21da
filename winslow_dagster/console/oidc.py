"""Logging in through an OpenID provider: the authorization code flow with PKCE, and a signed identity token."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote_plus, urlsplit

import httpx
from authlib.common.security import generate_token  # type: ignore[import-untyped]
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from winslow_dagster.errors import NotLoggedIn, ServiceUnavailable
from winslow_dagster.projects.accounts.login import Vouched
from winslow_dagster.settings import AccessSettings

DISCOVERY = "/.well-known/openid-configuration"
TIMEOUT_S = 10.0
KEYS_KEPT_S = 3600.0
LEEWAY_S = 60
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures with a public key. `none` and those with a shared secret are not accepted."""


@dataclass(frozen=True, slots=True)
class Flow:
    """One log-in in progress, which the browser keeps in a cookie: nobody else can finish it."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    next: str

    @classmethod
    def begin(cls, redirect_uri: str, target: str) -> Flow:
        """With fresh random values."""
        return cls(generate_token(48), generate_token(48), generate_token(64), redirect_uri, target)

    def text(self) -> str:
        """As a cookie holds it."""
        return json.dumps([self.state, self.nonce, self.verifier, self.redirect_uri, self.next]).encode().hex()

    @classmethod
    def read(cls, text: str) -> Flow:
        """From a cookie. Raises NotLoggedIn."""
        try:
            return cls(*map(str, json.loads(bytes.fromhex(text))))
        except (ValueError, TypeError) as error:
            raise NotLoggedIn("this log-in was not begun in this browser", remedy="Begin it again") from error


@dataclass
class Provider:
    """The OpenID provider of an installation. What it publishes about itself is kept for a while."""

    settings: AccessSettings
    _kept: dict[str, tuple[float, Any]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def host(self) -> str:
        """What people know it by."""
        return urlsplit(self.settings.oidc_issuer).hostname or self.settings.oidc_issuer

    def address(self, flow: Flow) -> str:
        """Where the browser goes to log in. Raises ServiceUnavailable."""
        address: str = prepare_grant_uri(
            self._metadata()["authorization_endpoint"],
            self.settings.oidc_client_id,
            "code",
            redirect_uri=flow.redirect_uri,
            scope=self.settings.oidc_scopes,
            state=flow.state,
            nonce=flow.nonce,
            code_challenge=create_s256_code_challenge(flow.verifier),
            code_challenge_method="S256",
        )
        return address

    def finish(self, flow: Flow, answer: Mapping[str, str]) -> Vouched:
        """Who has logged in, by what the browser brings back. Raises NotLoggedIn, ServiceUnavailable."""
        if answer.get("state") != flow.state:
            raise NotLoggedIn("this log-in was not begun in this browser", remedy="Begin it again")
        if "code" not in answer:
            problem = answer.get("error_description") or answer.get("error") or "it did not say why"
            raise NotLoggedIn(f"{self.host} refused the log-in: {problem[:200]}")
        return self._vouched(self._claims(self._id_token(flow, answer["code"]), flow))

    def _id_token(self, flow: Flow, code: str) -> str:
        """What the provider gives for the code."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.verifier,
        }
        client, secret = self.settings.oidc_client_id, self._secret()
        if secret is None:
            fields["client_id"] = client
        # As RFC 6749 wants it: both parts are encoded before they are put together.
        auth = None if secret is None else (quote_plus(client), quote_plus(secret))
        try:
            response = httpx.post(self._metadata()["token_endpoint"], data=fields, auth=auth, timeout=TIMEOUT_S)
            told = response.json()
        except (httpx.HTTPError, ValueError) as error:
            raise self._unreachable(error) from error
        if not isinstance(told, dict) or not isinstance(told.get("id_token"), str):
            problem = told.get("error_description") or told.get("error") if isinstance(told, dict) else ""
            raise NotLoggedIn(f"{self.host} refused the log-in: {str(problem or response.status_code)[:200]}")
        id_token: str = told["id_token"]
        return id_token

    def _claims(self, id_token: str, flow: Flow) -> dict[str, Any]:
        """The claims of the identity token, once signature, issuer, audience, time and nonce are right."""
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._metadata()["issuer"]},
            aud={"essential": True, "value": self.settings.oidc_client_id},
            exp={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": flow.nonce},
        )
        try:
            try:
                decoded = jwt.decode(id_token, self._keys(), algorithms=list(ALGORITHMS))
            except (JoseError, ValueError):
                # The provider may have changed its keys.
                decoded = jwt.decode(id_token, self._keys(fresh=True), algorithms=list(ALGORITHMS))
            registry.validate(decoded.claims)
        except (JoseError, ValueError) as error:
            raise NotLoggedIn(f"{self.host} sent an identity that cannot be trusted: {error}") from error
        claims: dict[str, Any] = decoded.claims
        # With several audiences, the token must have been made for this one.
        if claims.get("azp", self.settings.oidc_client_id) != self.settings.oidc_client_id:
            raise NotLoggedIn(f"{self.host} sent an identity that is meant for another program")
        return claims

    def _vouched(self, claims: Mapping[str, Any]) -> Vouched:
        settings = self.settings
        name = str(claims.get(settings.oidc_name_claim) or "")
        if not name:
            raise NotLoggedIn(
                f"{self.host} does not say the person's name",
                expected=f"the claim {settings.oidc_name_claim}",
                remedy="An administrator can name another with WINSLOW_OIDC_NAME_CLAIM",
            )
        role = None
        if settings.oidc_role_claim:
            told = claims.get(settings.oidc_role_claim)
            names = [str(each) for each in told] if isinstance(told, list) else [str(told)] if told else []
            # Who has lost all roles at the provider keeps none here.
            role = settings.role_of(names) or "viewer"
        # An address as a name: the part before the @ fits.
        local = name.lower().partition("@")[0]
        shown = "".join(letter for letter in str(claims.get("name") or name) if letter.isprintable())[:100]
        return Vouched(local, shown.strip(), f"{claims['iss']} {claims['sub']}", role)

    def _secret(self) -> str | None:
        secret_file = self.settings.oidc_client_secret_file
        try:
            return None if secret_file is None else secret_file.read_text().strip()
        except OSError as error:
            raise ServiceUnavailable(f"the client secret cannot be read: {error}", where=str(secret_file)) from error

    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = self._get(f"{self.settings.oidc_issuer}{DISCOVERY}")
        if str(metadata.get("issuer", "")).rstrip("/") != self.settings.oidc_issuer:
            raise ServiceUnavailable(
                f"it calls itself {str(metadata.get('issuer'))[:200]}",
                where=self.settings.oidc_issuer,
                remedy="Correct WINSLOW_OIDC_ISSUER",
            )
        return metadata

    def _keys(self, *, fresh: bool = False) -> KeySet:
        return KeySet.import_key_set(self._get(self._metadata()["jwks_uri"], fresh=fresh))

    def _get(self, address: str, *, fresh: bool = False) -> Any:
        """What the provider publishes there."""
        with self._lock:
            kept = self._kept.get(address)
            if kept is not None and not fresh and time.monotonic() - kept[0] < KEYS_KEPT_S:
                return kept[1]
            try:
                response = httpx.get(address, timeout=TIMEOUT_S).raise_for_status()
                found = response.json()
            except (httpx.HTTPError, ValueError) as error:
                raise self._unreachable(error) from error
            self._kept[address] = (time.monotonic(), found)
            return found

    def _unreachable(self, error: Exception) -> ServiceUnavailable:
        return ServiceUnavailable(
            f"the OpenID provider does not answer as it should: {error}",
            where=self.settings.oidc_issuer,
            remedy="Log in with a password or a link meanwhile",
        )


def provider_of(settings: AccessSettings) -> Provider | None:
    """The provider that the settings name."""
    return Provider(settings) if settings.by_provider else None
