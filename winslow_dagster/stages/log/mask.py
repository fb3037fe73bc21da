"""Masks the values of secrets in what a stage prints, before it is stored."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Final

MASK: Final = b"***"
SHORTEST: Final = 8
"""Characters. A shorter line of a longer secret is not masked."""


class SecretMask:
    """Replaces each value by `***`, and each line of a value of several lines.

    The value is found as it is and as JSON writes it: not its parts, and not in another notation, such as Base64.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        parts = {line.strip() for value in values for line in re.split(r"[\r\n]+", value)}
        parts = {part for part in parts if len(part) >= SHORTEST}
        parts |= {json.dumps(part, ensure_ascii=ascii_only)[1:-1] for part in parts for ascii_only in (True, False)}
        # The longest first: a value may contain another.
        found = sorted((part.encode() for part in parts), key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, found))) if found else None

    def finds(self, text: bytes) -> bool:
        """Whether the text contains a secret."""
        return self._pattern is not None and self._pattern.search(text) is not None

    def masked(self, text: bytes) -> bytes:
        """Whole lines without the secrets; the number of lines stays the same."""
        return text if self._pattern is None else self._pattern.sub(MASK, text)

    def masked_values(self, data: Any) -> Any:
        """Plain data with all texts masked, except the keys of mappings."""
        match data:
            case str():
                return self.masked(data.encode("utf-8", "surrogatepass")).decode("utf-8", "surrogatepass")
            case dict():
                return {key: self.masked_values(value) for key, value in data.items()}
            case list() | tuple():
                return type(data)(self.masked_values(value) for value in data)
            case _:
                return data
