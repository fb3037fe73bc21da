"""Checks whether a file can be an input of a pipeline, before anything is copied or launched.

The checks need no other program, so they give the same result on every machine: a video is recognized by its first
bytes, and the boxes of an MP4 are read one by one, which finds incomplete uploads.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path, PurePath
from typing import BinaryIO

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected
from winslow_dagster.footage.recognition import boxes, is_picture
from winslow_dagster.json_text import JsonMalformed, parse_json
from winslow_dagster.pipelines import Pipeline, nearest
from winslow_dagster.pipelines.model.form import FileField, Form
from winslow_dagster.pipelines.model.pipeline import ProjectInput

HEAD_BYTES = 400
TRANSPORT_PACKET_BYTES = 188
SAMPLE_BYTES = 1 << 20
LARGEST_JSON_BYTES = 64 << 20
"""JSON has to be read as a whole; of a larger file, only the beginning is checked."""


def check_names(pipeline: Pipeline, provided: Collection[str], existing: Collection[str]) -> None:
    """Check that the pipeline has inputs of these names, and that no required one is missing. Raises InputRejected."""
    for name in provided:
        if name not in pipeline.inputs:
            meant = nearest(name, pipeline.inputs)
            raise InputRejected(
                f"the pipeline {pipeline.name} has no input {name!r}",
                expected=f"one of {', '.join(pipeline.inputs)}" if pipeline.inputs else "none",
                remedy=f"Did you mean {meant}?" if meant else "",
            )
    if missing := pipeline.missing_inputs((*provided, *existing)):
        declared = pipeline.inputs[missing[0]]
        raise InputRejected(
            f"the pipeline {pipeline.name} needs the input{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            expected=" ".join((f"a {declared.kind}", *declared.suffixes)),
            remedy=Action("provide_input", {"input": missing[0]}),
        )


def check_input(name: str, path: Path, declared: ProjectInput) -> None:
    """Check that the file can be this input. Raises InputRejected."""
    where = f"input {name}, {path}"
    try:
        if declared.kind == "directory":
            if not path.is_dir():
                raise InputRejected("not a directory", where=where, expected="a directory")
            return
        if declared.parts and path.is_dir():
            names = [str(each.relative_to(path)) for each in sorted(path.rglob("*")) if each.is_file()]
            for part in parts_of(names, declared, where):
                with (path / part).open("rb") as file:
                    check_content(file, (path / part).stat().st_size, declared, f"{where}/{part}")
            return
        if not path.is_file():
            what = "it is a directory" if path.is_dir() else "no such file"
            raise InputRejected(what, where=where, expected=f"a {declared.kind}")
        check_suffix(path.name, declared, where)
        with path.open("rb") as file:
            check_content(file, path.stat().st_size, declared, where)
    except OSError as error:
        raise InputRejected(f"cannot be read: {error.strerror}", where=where) from error


def check_answer_files(form: Form, files: Mapping[str, Path]) -> None:
    """Check that each file of an answer is of the kind that its field declares. Raises InputRejected."""
    for field in form.form:
        if isinstance(field, FileField) and field.name in files:
            check_input(field.name, files[field.name], ProjectInput(kind=field.input_kind, suffixes=field.suffixes))


def parts_of(names: Collection[str], declared: ProjectInput, where: str) -> list[str]:
    """Those files of a directory that are the parts of the input. Raises InputRejected if there are none."""
    suffixes = tuple(suffix.lower() for suffix in declared.suffixes)
    parts = [name for name in names if not suffixes or name.lower().endswith(suffixes)]
    if not parts:
        raise InputRejected(
            "no file in it can be a part",
            where=where,
            expected=f"files that end in {' or '.join(suffixes) or 'anything'}",
        )
    return parts


def check_suffix(name: str, declared: ProjectInput, where: str) -> None:
    """Check that a file of this name can be this input. Raises InputRejected with `where`."""
    suffixes = [suffix.lower() for suffix in declared.suffixes]
    if suffixes and not name.lower().endswith(tuple(suffixes)):
        ends_in = PurePath(name).suffix or "nothing"
        raise InputRejected(f"its name ends in {ends_in}", where=where, expected=" or ".join(suffixes))


def check_content(file: BinaryIO, size_bytes: int, declared: ProjectInput, where: str) -> None:
    """Check that the content of a file can be this input; reads only a small part. Raises InputRejected."""
    fault = "it is empty" if size_bytes == 0 else _CHECKS.get(declared.kind, _no_fault)(file, size_bytes)
    if fault:
        raise InputRejected(
            fault, where=where, expected=f"a {declared.kind}", remedy="Check that it is the right file, and complete"
        )


def _no_fault(_file: BinaryIO, _size_bytes: int) -> str:
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
    return "" if known else "it does not start like a video"


def _fault_of_boxes(file: BinaryIO, size_bytes: int) -> str:
    """An MP4 or MOV is a sequence of boxes, each with its length; one of them, `moov`, is the index of the frames."""
    has_index = False
    for box in boxes(file, size_bytes):
        if box.is_damaged:
            return f"it is damaged at byte {box.begin}"
        if box.end > size_bytes:
            return f"it is incomplete: it should have {box.end} bytes, and has {size_bytes}"
        has_index = has_index or box.name in {b"moov", b"moof"}
    return "" if has_index else "it has no index of its frames (moov): the recording or the copy is incomplete"


def _fault_of_image(file: BinaryIO, _size_bytes: int) -> str:
    head = file.read(HEAD_BYTES)
    return "" if is_picture(head) else "it does not start like an image"


def _fault_of_table(file: BinaryIO, _size_bytes: int) -> str:
    return "it is not a text file" if b"\0" in file.read(SAMPLE_BYTES) else ""


def _fault_of_json(file: BinaryIO, size_bytes: int) -> str:
    if size_bytes > LARGEST_JSON_BYTES:
        return _fault_of_table(file, size_bytes)
    try:
        parse_json(file.read())
    except JsonMalformed as error:
        return f"it is not JSON: {error}"
    return ""


_CHECKS: dict[str, Callable[[BinaryIO, int], str]] = {
    "video": _fault_of_video,
    "image": _fault_of_image,
    "table": _fault_of_table,
    "json": _fault_of_json,
}
