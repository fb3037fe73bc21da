"""Decodes one file and ends: `main(request)`, whose answer on stdout is a line of JSON and then bytes."""

from __future__ import annotations

import json
import os
import sys
from typing import Any, BinaryIO

from winslow_dagster.footage.decoding.confinement import confine, forbid_files


def main(text: str) -> None:
    """Do what the request says. The libraries are loaded only once the limits hold."""
    request = json.loads(text)
    confine(request["parent"], request["memory_bytes"], request["cpu_s"])
    from winslow_dagster.footage.decoding import check, films, proxies, stills
    from winslow_dagster.footage.decoding.files import opened
    from winslow_dagster.footage.decoding.refusal import Refusal

    stills.prepare()
    films.prepare()
    forbid_files(request["written_bytes"])
    # Libraries write on stdout, too: the answer has a descriptor of its own.
    answers = os.dup(1)
    os.dup2(2, 1)
    request["report"] = lambda line: _write(answers, line)
    try:
        with opened(request["file"], request["size_bytes"], by_ranges=request["by_ranges"]) as file:
            head, content = _done(request, file, (stills, films, proxies, check))
    except Refusal as refusal:
        head, content = {"refused": refusal.what, "expected": refusal.expected}, b""
    except MemoryError:
        head, content = {"refused": "it needs too much memory to be decoded"}, b""
    except Exception as error:  # noqa: BLE001  # a library may raise anything for a damaged file
        head, content = {"refused": f"it is damaged: {(str(error) or type(error).__name__)[:200]}"}, b""
    _write(answers, json.dumps(head).encode() + b"\n" + content)
    sys.stdout.flush()
    os._exit(0)  # what a library would do at the end of a damaged file is of no interest


def _done(  # noqa: PLR0911  # one for each task
    request: dict[str, Any], file: BinaryIO, libraries: Any
) -> tuple[dict[str, Any], bytes]:
    stills, films, proxies, check = libraries
    match request["task"]:
        case "read":
            if stills.is_still(file):
                return stills.still_facts(file), b""
            facts, index = films.read_film(file, request["size_bytes"])
            return facts, index
        case "still":
            head, content = stills.decode_still(file, request["width"])
            return head, content
        case "frame":
            head, content = films.decode_frame(file, request["index"], request["number"], request["width"])
            return head, content
        case "strip":
            head, content = films.decode_strip(file, request["index"], request["numbers"], request["width"])
            return head, content
        case "proxy":
            proxies.write_proxy(file, request["target"], request["report"])
            return {}, b""
        case "check":
            facts = check.check_film(file, request["index"], request["numbers"], request["report"])
            return facts, b""
        case unknown:
            raise ValueError(unknown)


def _write(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
