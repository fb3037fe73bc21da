"""Reads a jar's manifest: its main class, and the jars on its class path."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.errors import ImageNotBuilt, NotFound

MANIFEST = "META-INF/MANIFEST.MF"
EXPECTED = f"a jar: a ZIP file with {MANIFEST}"
FOLD = re.compile(rb"(?:\r\n|\r|\n) ")
"""Lines of a manifest have at most 72 bytes; a line that begins with a space continues the previous one."""


@dataclass(frozen=True, slots=True)
class JavaArchive:
    """A readable jar. `main_class` is empty if the manifest has none."""

    path: Path
    main_class: str
    class_path: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> JavaArchive:
        """Read a jar. Raises NotFound, and ImageNotBuilt if the file is not a jar."""
        if not path.is_file():
            raise NotFound("the file does not exist", where=str(path), expected=EXPECTED)
        try:
            with zipfile.ZipFile(path) as archive:
                attributes = main_attributes(archive.read(MANIFEST))
        except KeyError as error:
            raise ImageNotBuilt(f"the file has no {MANIFEST}", where=str(path), expected=EXPECTED) from error
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise ImageNotBuilt(f"cannot be read as a jar: {error}", where=str(path), expected=EXPECTED) from error
        except OSError as error:
            raise ImageNotBuilt(f"cannot be read: {error.strerror}", where=str(path)) from error
        return cls(path, attributes.get("main-class", ""), tuple(attributes.get("class-path", "").split()))


def main_attributes(manifest: bytes) -> dict[str, str]:
    """The main section of a manifest, up to its first empty line. Names are not case-sensitive: given in lower case."""
    # Joined as bytes: a line may break within a character.
    unfolded = FOLD.sub(b"", manifest.removeprefix(b"\xef\xbb\xbf"))
    attributes = {}
    for line in re.split(r"\r\n|\r|\n", unfolded.decode(errors="replace")):
        if not line:
            break
        name, colon, value = line.partition(":")
        if colon:
            attributes[name.strip().lower()] = value.strip()
    return attributes
