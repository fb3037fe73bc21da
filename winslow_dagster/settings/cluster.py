"""How stages run on a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.paths import resolved
from winslow_dagster.settings.variables import given, web_address


class SlurmSettings(BaseModel):
    """How stages run on a Slurm cluster, with `WINSLOW_ENGINE=slurm`."""

    model_config = ConfigDict(frozen=True)

    control_plane_url: str = Field(
        default="",
        description="URL by which the nodes of a cluster reach the web server, such as https://winslow.example.org.",
    )
    control_plane_ca_file: Path | None = Field(
        default=None,
        description="PEM file of the authority of the web server's certificate, for nodes that do not know it.",
    )
    slurm_partition: str = Field(
        default="", description="Slurm partition in which stages run; by default Slurm's default one."
    )
    slurm_node_file: str = Field(
        default="/etc/winslow/node.toml",
        description="Path on each node of the file that it got when it joined; `{node}` stands for the node's name.",
    )

    def variables(self) -> dict[str, str]:
        """These settings as environment variables."""
        return {f"WINSLOW_{name.upper()}": str(value or "") for name, value in self}

    @classmethod
    def read(cls, source: Mapping[str, str], *, required: bool) -> SlurmSettings:
        """Read the variables; those without a default must be set if `required`. Raises SettingsInvalid."""
        url = web_address(source, "WINSLOW_CONTROL_PLANE_URL")
        if required and not url:
            raise SettingsInvalid(
                "WINSLOW_CONTROL_PLANE_URL is not set",
                where="environment",
                expected="the URL by which the nodes of the cluster reach this web server, as WINSLOW_ENGINE is slurm",
            )
        ca_file = source.get("WINSLOW_CONTROL_PLANE_CA_FILE")
        texts = given(source, "slurm_partition", "slurm_node_file")
        return cls(control_plane_url=url, control_plane_ca_file=resolved(ca_file) if ca_file else None, **texts)
