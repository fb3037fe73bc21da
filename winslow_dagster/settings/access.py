"""How people log in to the web interface."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.paths import resolved
from winslow_dagster.settings.variables import comma_separated, days, given, is_safe_issuer, networks

Role = Literal["viewer", "operator", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""Each may do everything that those before it may: see; act on projects; manage people and the installation."""


class AccessSettings(BaseModel):
    """How people log in to the web interface, beside passwords and links."""

    model_config = ConfigDict(frozen=True)

    session_days: float = Field(
        default=30, description="Days after its last use that a browser is logged out of the web interface."
    )
    role_names: dict[str, Role] = Field(
        default={},
        description="What a provider or a proxy calls the roles: `name=role`, separated by commas, such as "
        "`staff=operator,lab-heads=admin`. Without it, it has to call them `viewer`, `operator` and `admin`.",
    )
    trusted_proxies: tuple[str, ...] = Field(
        default=(),
        description="Addresses and networks, separated by commas, of proxies whose `X-Forwarded-For`, "
        "`X-Forwarded-Proto` and user headers are believed.",
    )
    proxy_user_header: str = Field(
        default="", description="Header in which a trusted proxy names the person, such as `X-Remote-User`."
    )
    proxy_role_header: str = Field(
        default="", description="Header in which a trusted proxy names the person's roles, separated by commas."
    )
    oidc_issuer: str = Field(default="", description="URL of an OpenID provider through which people log in.")
    oidc_client_id: str = Field(default="", description="The name by which the OpenID provider knows Winslow.")
    oidc_client_secret_file: Path | None = Field(
        default=None, description="File with the secret that the OpenID provider gave to Winslow."
    )
    oidc_scopes: str = Field(
        default="openid profile", description="What is asked of the OpenID provider, separated by spaces."
    )
    oidc_name_claim: str = Field(
        default="preferred_username", description="Claim from which a new person's name is taken."
    )
    oidc_role_claim: str = Field(
        default="",
        description="Claim with the person's roles, such as `groups`. Without it, new people are viewers, and "
        "administrators give them other roles.",
    )

    @property
    def by_provider(self) -> bool:
        """Whether people log in through an OpenID provider."""
        return bool(self.oidc_issuer)

    @property
    def by_proxy(self) -> bool:
        """Whether a proxy logs people in."""
        return bool(self.trusted_proxies and self.proxy_user_header)

    def role_of(self, names: Iterable[str]) -> Role | None:
        """The highest role that these names mean; None if they mean none."""
        known: dict[str, Role] = self.role_names or {role: role for role in ROLES}
        found = [known[name] for name in names if name in known]
        return max(found, key=ROLES.index, default=None)

    def variables(self) -> dict[str, str]:
        """These settings as environment variables."""
        texts = {
            "session_days": str(self.session_days),
            "role_names": ",".join(f"{name}={role}" for name, role in self.role_names.items()),
            "trusted_proxies": ",".join(self.trusted_proxies),
            "oidc_client_secret_file": str(self.oidc_client_secret_file or ""),
        }
        return {f"WINSLOW_{name.upper()}": texts.get(name, str(value)) for name, value in self}

    @classmethod
    def read(cls, source: Mapping[str, str]) -> AccessSettings:
        """Read the variables. Raises SettingsInvalid."""
        issuer = source.get("WINSLOW_OIDC_ISSUER", "").rstrip("/")
        if issuer and not is_safe_issuer(issuer):
            raise SettingsInvalid(
                f"WINSLOW_OIDC_ISSUER is {issuer!r}",
                where="environment",
                expected="an https:// address; http:// only of this machine",
            )
        client = source.get("WINSLOW_OIDC_CLIENT_ID", "")
        if issuer and not client:
            raise SettingsInvalid(
                "WINSLOW_OIDC_CLIENT_ID is not set",
                where="environment",
                expected="the name by which the OpenID provider knows Winslow",
            )
        secret = source.get("WINSLOW_OIDC_CLIENT_SECRET_FILE")
        texts = given(
            source, "proxy_user_header", "proxy_role_header", "oidc_scopes", "oidc_name_claim", "oidc_role_claim"
        )
        return cls(
            session_days=days(source, "WINSLOW_SESSION_DAYS", "30", least=1.0),
            role_names=role_names(source, "WINSLOW_ROLE_NAMES"),
            trusted_proxies=networks(source, "WINSLOW_TRUSTED_PROXIES"),
            oidc_issuer=issuer,
            oidc_client_id=client,
            oidc_client_secret_file=resolved(secret) if secret else None,
            **texts,
        )


def role_names(source: Mapping[str, str], name: str) -> dict[str, Role]:
    """The roles in a comma-separated list of `name=role`. Raises SettingsInvalid."""
    found: dict[str, Role] = {}
    for text in comma_separated(source, name):
        key, _, value = text.rpartition("=")
        role = next((each for each in ROLES if each == value.strip()), None)
        if role is None or not key.strip():
            raise SettingsInvalid(
                f"{name} contains {text!r}",
                where="environment",
                expected=f"name=role separated by commas, with one of the roles {', '.join(ROLES)}",
            )
        found[key.strip()] = role
    return found
