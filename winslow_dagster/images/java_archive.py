"""What a jar says of itself: its main class, and the jars that it looks for beside it."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

from winslow_dagster.errors import ImageNotBuilt, NotFound

MANIFEST = "META-INF/MANIFEST.MF"
EXPECTED = f"a jar: a ZIP file with {MANIFEST}"
FOLD = re.compile(rb"(?:\r\n|\r|\n) ")
"""A manifest's lines have 72 bytes at most; longer ones go on behind a blank."""


@dataclass(frozen=True, slots=True)
class JavaArchive:
    """A jar that can be read. `main_class` is empty where the manifest names none."""

    path: Path
    main_class: str
    class_path: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> JavaArchive:
        """Look into a jar. Raises NotFound, and ImageNotBuilt where the file is none."""
        if not path.is_file():
            raise NotFound("there is no such file", where=str(path), expected=EXPECTED)
        try:
            with zipfile.ZipFile(path) as archive:
                attributes = main_attributes(archive.read(MANIFEST))
        except KeyError as error:
            raise ImageNotBuilt(f"it has no {MANIFEST}", where=str(path), expected=EXPECTED) from error
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
            raise ImageNotBuilt(f"it cannot be read as a jar: {error}", where=str(path), expected=EXPECTED) from error
        except OSError as error:
            raise ImageNotBuilt(f"it cannot be read: {error.strerror}", where=str(path)) from error
        return cls(path, attributes.get("main-class", ""), tuple(attributes.get("class-path", "").split()))


def main_attributes(manifest: bytes) -> dict[str, str]:
    """The main section of a manifest, up to its first empty line; names in lower case, as they mean the same."""
    # Unfolded as bytes: a line may break within a character.
    unfolded = FOLD.sub(b"", manifest.removeprefix(b"\xef\xbb\xbf"))
    attributes = {}
    for line in re.split(r"\r\n|\r|\n", unfolded.decode(errors="replace")):
        if not line:
            break
        name, colon, value = line.partition(":")
        if colon:
            attributes[name.strip().lower()] = value.strip()
    return attributes
