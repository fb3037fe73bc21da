"""The form that a stage writes when it awaits input. Few do, and importing this takes longer than many a stage runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from winslow_dagster.errors import InputRejected
from winslow_dagster.globs import matching_files
from winslow_dagster.pipelines.forms.json_file import LARGEST_FORM_BYTES, parse_form
from winslow_dagster.pipelines.model.form import AWAITING_INPUT_FILE, OWN_OUTPUT, Form, ImageFieldBase


def written_form(output: Path, after: Sequence[str]) -> Form | None:
    """The form in the output directory, or None if the stage wrote none. `after` are the upstream stages.

    Raises InputRejected if nobody could answer it: it is malformed, or an image is missing.
    """
    path = output / AWAITING_INPUT_FILE
    if not path.exists() and not path.is_symlink():
        return None
    if path.is_symlink() or not path.is_file():
        raise InputRejected("not a regular file", where=AWAITING_INPUT_FILE, expected="a JSON file")
    with path.open("rb") as file:
        form = parse_form(file.read(LARGEST_FORM_BYTES + 1), after=after)
    own_images = [
        field for field in form.form if isinstance(field, ImageFieldBase) and field.shown.startswith(OWN_OUTPUT)
    ]
    for field in own_images:
        if not matching_files(output, field.image_glob):
            what = f"the field {field.name} shows {field.shown}, but the stage did not write that file"
            raise InputRejected(what, where=AWAITING_INPUT_FILE)
    return form
