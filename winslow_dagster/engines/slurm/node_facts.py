"""What a node of a cluster knows about itself: a TOML file, written when it joins and read by every agent on it."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import Field, ValidationError

from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.stages.task.model import NodeGpu

DEFAULT_FILE = Path("/etc/winslow/node.toml")
FILE_VARIABLE = "WINSLOW_NODE_FILE"


class NodeFacts(Frozen):
    """One node, as its agents know it. The file may contain credentials: only its owner may read it."""

    node_dir: Path = Field(description="Directory of the node: stage attempts and cached inputs. One file system.")
    python: Path = Field(description="The Python interpreter in whose environment Winslow is installed.")
    control_plane_url: str = Field(description="Where agents reach the web server of the installation.")
    ca_file: Path | None = Field(
        default=None, description="PEM file of the authority of the web server's certificate; by default the system's."
    )
    environment: dict[str, str] = Field(
        default_factory=dict, description="Variables for agents, such as the credentials of the store."
    )
    gpus: tuple[NodeGpu, ...] = Field(
        default=(),
        description="The GPUs in the order of the lines in gres.conf: Slurm numbers them so. If there are none, they "
        "are detected.",
    )

    @classmethod
    def read(cls, path: Path | None = None) -> Self:
        """The facts in `path`; by default in the file that WINSLOW_NODE_FILE names, or DEFAULT_FILE.

        Raises SettingsInvalid.
        """
        path = path or Path(os.environ.get(FILE_VARIABLE) or DEFAULT_FILE)
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise SettingsInvalid(
                "there is no such file", where=str(path), remedy="Let the machine join first"
            ) from error
        except ValidationError as error:
            problems = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
            raise SettingsInvalid(problems, where=str(path)) from error
        except (OSError, ValueError) as error:
            raise SettingsInvalid(f"cannot be read: {error}", where=str(path)) from error

    def write(self, path: Path) -> None:
        """Replace the file; only its owner may read it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as file:
            file.write(self.toml())
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)

    def toml(self) -> str:
        """The text of the file."""
        values = self.model_dump(mode="json", exclude_none=True)
        environment, gpus = values.pop("environment"), values.pop("gpus")
        parts = [_lines(values)]
        if environment:
            parts.append("[environment]\n" + _lines(environment))
        parts += ["[[gpus]]\n" + _lines(gpu) for gpu in gpus]
        return "\n".join(parts)


def _lines(values: dict[str, Any]) -> str:
    """One `key = value` per line. A basic string of TOML is written as a string of JSON."""
    return "".join(f"{_key(name)} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in values.items())


def _key(name: str) -> str:
    return name if name.replace("_", "").isalnum() and name.isascii() else json.dumps(name)
