"""Whether a file can be what a pipeline asks a project to bring: looked at before anything is copied or launched.

The look needs no program beside Winslow, so that it finds the same on every machine: a video is known by its first
bytes, and an MP4 is walked box by box, which finds the upload that broke off half way.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePath
from typing import BinaryIO

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected
from winslow_dagster.pipelines import Pipeline, nearest
from winslow_dagster.pipelines.model.form import FileField, Form
from winslow_dagster.pipelines.model.pipeline import ProjectInput

HEAD_BYTES = 400
BOX_HEAD_BYTES = 8
LARGE_BOX_HEAD_BYTES = 16
TRANSPORT_PACKET_BYTES = 188
SAMPLE_BYTES = 1 << 20

IMAGES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"II*\0", b"MM\0*", b"BM", b"GIF8")


def check_inputs(pipeline: Pipeline, given: dict[str, Path], there: frozenset[str]) -> None:
    """Whether the files given, and the inputs already there, are what the pipeline asks for. Raises InputRejected."""
    check_names(pipeline, given, there)
    for name, path in given.items():
        check_input(name, path, pipeline.inputs[name])


def check_names(pipeline: Pipeline, given: Collection[str], there: Collection[str]) -> None:
    """Whether the pipeline takes inputs of these names, and lacks none. Raises InputRejected."""
    for name in given:
        if name not in pipeline.inputs:
            meant = nearest(name, pipeline.inputs)
            raise InputRejected(
                f"the pipeline {pipeline.name} takes no input {name!r}",
                expected=f"one of {', '.join(pipeline.inputs)}" if pipeline.inputs else "none",
                remedy=f"Did you mean {meant}?" if meant else "",
            )
    missing = [
        name for name, asked in pipeline.inputs.items() if asked.required and name not in given and name not in there
    ]
    if missing:
        asked = pipeline.inputs[missing[0]]
        raise InputRejected(
            f"the pipeline {pipeline.name} needs the input{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            expected=" ".join((f"a {asked.kind}", *asked.suffixes)),
            remedy=Action("provide_input", {"input": missing[0]}),
        )


def check_input(name: str, path: Path, asked: ProjectInput) -> None:
    """Whether the file can be this input. Raises InputRejected."""
    where = f"input {name}, {path}"
    if asked.kind == "directory":
        if not path.is_dir():
            raise InputRejected("this is no directory", where=where, expected="a directory")
        return
    if not path.is_file():
        what = "this is a directory" if path.is_dir() else "there is no such file"
        raise InputRejected(what, where=where, expected=f"a {asked.kind}")
    check_suffix(path.name, asked, where)
    try:
        with path.open("rb") as file:
            check_content(file, path.stat().st_size, asked, where)
    except OSError as error:
        raise InputRejected(f"it cannot be read: {error.strerror}", where=where) from error


def check_answer_files(form: Form, files: Mapping[str, Path]) -> None:
    """Whether each uploaded file of an answer is of the kind that its field asks for. Raises InputRejected."""
    for field in form.form:
        if isinstance(field, FileField) and field.name in files:
            check_input(field.name, files[field.name], ProjectInput(kind=field.input_kind, suffixes=field.suffixes))


def check_suffix(name: str, asked: ProjectInput, where: str) -> None:
    """Whether a file of this name can be this input. Raises InputRejected, which says `where`."""
    suffixes = [suffix.lower() for suffix in asked.suffixes]
    if suffixes and not name.lower().endswith(tuple(suffixes)):
        ends_in = PurePath(name).suffix or "nothing"
        raise InputRejected(f"its name ends in {ends_in}", where=where, expected=" or ".join(suffixes))


def check_content(file: BinaryIO, size_bytes: int, asked: ProjectInput, where: str) -> None:
    """Whether what is in a file, wherever it is, can be this input; reads little of it. Raises InputRejected."""
    fault = "it is empty" if size_bytes == 0 else _LOOKS.get(asked.kind, _nothing_wrong)(file, size_bytes)
    if fault:
        raise InputRejected(fault, where=where, expected=f"a {asked.kind}", remedy="Is it complete, and the right one?")


def _nothing_wrong(_file: BinaryIO, _size_bytes: int) -> str:
    return ""


def _fault_of_video(file: BinaryIO, size_bytes: int) -> str:
    head = file.read(HEAD_BYTES)
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"}:
        return _fault_of_boxes(file, size_bytes)
    known = (
        head.startswith((b"\x1aE\xdf\xa3", b"OggS", b"FLV", b"\0\0\1\xba", b"\0\0\1\xb3", b"0&\xb2u\x8ef\xcf\x11"))
        or (head.startswith(b"RIFF") and head[8:12] == b"AVI ")
        or (head[:1] == b"G" and head[TRANSPORT_PACKET_BYTES : TRANSPORT_PACKET_BYTES + 1] in {b"G", b""})
    )
    return "" if known else "it does not begin as a video does"


def _fault_of_boxes(file: BinaryIO, size_bytes: int) -> str:
    """An MP4 or MOV is a row of boxes, each with its length; one of them, `moov`, says where the frames are."""
    at, index_there = 0, False
    while at + BOX_HEAD_BYTES <= size_bytes:
        file.seek(at)
        head = file.read(LARGE_BOX_HEAD_BYTES)
        length = int.from_bytes(head[:4])
        if length == 1:
            length = int.from_bytes(head[8:16])
        elif length == 0:  # to the end of the file
            length = size_bytes - at
        if length < BOX_HEAD_BYTES:
            return f"it is damaged at byte {at}"
        if at + length > size_bytes:
            return f"it breaks off: {at + length} bytes were announced, and there are {size_bytes}"
        index_there = index_there or head[4:8] in {b"moov", b"moof"}
        at += length
    return "" if index_there else "it has no index of its frames (moov): its recording or its copy broke off"


def _fault_of_image(file: BinaryIO, _size_bytes: int) -> str:
    head = file.read(HEAD_BYTES)
    known = head.startswith(IMAGES) or (head.startswith(b"RIFF") and head[8:12] == b"WEBP")
    return "" if known else "it does not begin as an image does"


def _fault_of_table(file: BinaryIO, _size_bytes: int) -> str:
    return "it is not a text" if b"\0" in file.read(SAMPLE_BYTES) else ""


def _fault_of_json(file: BinaryIO, _size_bytes: int) -> str:
    try:
        json.load(file)
    except ValueError as error:
        return f"it is not JSON: {error}"
    return ""


_LOOKS: dict[str, Callable[[BinaryIO, int], str]] = {
    "video": _fault_of_video,
    "image": _fault_of_image,
    "table": _fault_of_table,
    "json": _fault_of_json,
}
