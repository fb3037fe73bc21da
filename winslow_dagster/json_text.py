"""JSON written by people and by programs that are not ours."""

from __future__ import annotations

import json
from typing import Any


class JsonMalformed(ValueError):
    """The text is not JSON, or not JSON that can be read: the message says where and why."""


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text, in UTF-8 if it is bytes. Raises JsonMalformed."""
    try:
        return json.loads(text.decode("utf-8-sig") if isinstance(text, bytes) else text)
    except json.JSONDecodeError as error:
        raise JsonMalformed(f"line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeDecodeError as error:
        raise JsonMalformed(f"byte {error.start}: not UTF-8") from error
    except RecursionError as error:
        raise JsonMalformed("nested too deeply") from error
    except ValueError as error:  # int() of thousands of digits
        raise JsonMalformed("a number has too many digits") from error
