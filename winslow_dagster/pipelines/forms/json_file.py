"""Parses a form that a running stage wrote as JSON, in the syntax of `needs_input`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from winslow_dagster.errors import InputRejected
from winslow_dagster.json_text import JsonMalformed, parse_json
from winslow_dagster.pipelines.forms.answer_values import without_nulls
from winslow_dagster.pipelines.forms.validation import faults_between_fields, with_default_stage
from winslow_dagster.pipelines.model.form import AWAITING_INPUT_FILE, Form
from winslow_dagster.pipelines.problems import CONTROL, shown, texts
from winslow_dagster.pipelines.schema.form_fields import FormDocument
from winslow_dagster.pipelines.schema.validation_messages import Finding, findings

LARGEST_FORM_BYTES = 1 << 20
MOST_FAULTS = 20
EXPECTED = '{"message": "…", "form": [{"kind": "text", "name": "…"}, …]}'


def parse_form(
    written: str | bytes | Mapping[str, Any], *, where: str = AWAITING_INPUT_FILE, after: Sequence[str] = ()
) -> Form:
    """The form in a JSON text, or in parsed JSON. Null values count as missing.

    `after` are the direct predecessors of the asking stage: a confirm field without a `stage` refers to the only one.
    Raises InputRejected with all faults.
    """
    faults: list[Finding] = []
    document: FormDocument | None = None
    try:
        data = without_nulls(_parsed(written, where) if isinstance(written, (str, bytes)) else dict(written))
        faults += [
            Finding(path, "has a control character", "printable characters, tabs and line breaks")
            for path, text in texts(data)
            if CONTROL.search(text)
        ]
        document = FormDocument.model_validate(data)
    except ValidationError as error:
        faults += findings(error, FormDocument)
    except RecursionError as error:
        raise InputRejected("the form is nested too deeply", where=where, expected=EXPECTED) from error
    between = faults_between_fields(data.get("form"))
    faults += [Finding(("form", *found.path), found.what, found.expected) for found in between]
    if document is not None and not faults:
        resolved = with_default_stage(document.resolved(), after)
        for index, field in enumerate(resolved.get("form", ())):
            if field["kind"] == "confirm" and "stage" not in field:
                faults.append(Finding(("form", index), "the confirm field needs a `stage`", "`stage`: …"))
        if not faults:
            return Form.model_validate(resolved)
    text = "; ".join(dict.fromkeys(map(str, faults[:MOST_FAULTS])))
    more = f"; and {len(faults) - MOST_FAULTS} more" if len(faults) > MOST_FAULTS else ""
    raise InputRejected(text + more, where=where)


def _parsed(text: str | bytes, where: str) -> Any:
    size = len(text if isinstance(text, bytes) else text.encode(errors="surrogatepass"))
    if size > LARGEST_FORM_BYTES:
        raise InputRejected("the form is too large", where=where, expected=f"at most {LARGEST_FORM_BYTES} bytes")
    try:
        data = parse_json(text)
    except JsonMalformed as error:
        raise InputRejected(f"not valid JSON: {error}", where=where, expected=EXPECTED) from error
    if not isinstance(data, dict):
        raise InputRejected(f"the form is {shown(data)}", where=where, expected=EXPECTED)
    return data
