"""Parsers for single values in a YAML file.

Each takes a plain YAML value and returns the parsed value, or raises the PydanticCustomError made by `refusal`, which
the loader turns into a problem with its position in the file.
"""

from __future__ import annotations

import keyword
import math
import re
import shlex
from collections.abc import Callable
from typing import Any, TypeVar, get_args

from pydantic_core import PydanticCustomError

from winslow_dagster.errors import AmountMalformed, TemplateMalformed
from winslow_dagster.globs import problem_of
from winslow_dagster.pipelines.model.form import INPUT
from winslow_dagster.pipelines.model.pipeline import RetryCause
from winslow_dagster.pipelines.problems import named, nearest, shown
from winslow_dagster.pipelines.substitution import VARIABLE_NAME, parse_template
from winslow_dagster.pipelines.units import DURATION, SIZE, parse_duration_s, parse_size_bytes, written_size
from winslow_dagster.pipelines.variables import STORED_NAME, SecretReference

Values = TypeVar("Values")

LONGEST_NAME = 63
HIGHEST_EXIT_CODE = 255
BOOLEANS: dict[str, bool] = {"true": True, "false": False}
# Dagster rejects these names; tests/pipelines compares the list with Dagster's own.
RESERVED_NAMES = frozenset(
    {"context", "conf", "config", "meta", "arg_dict", "dict", "input_arg_dict", "output_arg_dict"}
    | {"int", "str", "float", "bool", "input", "output", "type"}
    | set(keyword.kwlist)
)
# No __: Dagster's op is named <pipeline>__<stage>, which must be unambiguous.
NAME = re.compile(r"[a-z](?:_?[a-z0-9])*_?", re.ASCII)
IMAGE_OWNER = re.compile(rf"\.|{NAME.pattern}", re.ASCII)
PROGRESS_GROUPS = ("current", "total", "unit", "percent")


def refusal(what: str, expected: str = "", suggestion: str = "") -> PydanticCustomError:
    """The error for an invalid value; `what` continues the sentence after the field's name."""
    return PydanticCustomError("refused", "{what}", {"what": what, "expected": expected, "suggestion": suggestion})


def text_of(value: Any, kind: str) -> str:
    """The value, if it is a string."""
    if not isinstance(value, str):
        raise refusal(f"is {shown(value)}", kind, f'"{value}"' if isinstance(value, (int, float)) else "")
    return value


def read_field_name(value: Any) -> str:
    """The name of a form field or of a check."""
    expected = (
        f"lowercase letters, digits and single underscores, starting with a letter, at most {LONGEST_NAME} characters"
    )
    text = text_of(value, expected)
    if not NAME.fullmatch(text) or len(text) > LONGEST_NAME:
        slug = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_0123456789")[:LONGEST_NAME]
        raise refusal(f"{shown(text)} is not a valid name", expected, slug)
    return text


def read_name(value: Any) -> str:
    """A name that is also valid in Dagster."""
    text = read_field_name(value)
    if text in RESERVED_NAMES:
        raise refusal(f"{shown(text)} is reserved by Dagster", "another name", f"{text}_stage")
    return text


def read_variable_name(value: Any) -> str:
    """The name of an environment variable that a file may set."""
    text = text_of(value, "a variable name")
    if not VARIABLE_NAME.fullmatch(text):
        raise refusal(f"{shown(text)} is not a valid variable name", "letters, digits and _, not starting with a digit")
    if text.startswith("WINSLOW_") or text == "CUDA_VISIBLE_DEVICES":
        raise refusal(f"`{text}` is set by Winslow when the stage starts", "another name")
    return text


def read_template(value: Any) -> str:
    """A string whose `${…}` are well-formed."""
    text = text_of(value, "a string")
    try:
        parse_template(text)
    except TemplateMalformed as error:
        raise refusal(f"{error.what}, at character {error.position} of {shown(text)}", error.expected) from error
    return text


def read_variable(value: Any) -> str | dict[str, str | bool]:
    """The value of a variable: a string whose `${…}` are well-formed, or a reference to a secret."""
    if not isinstance(value, dict):
        return read_template(value)
    expected = "{secret: true} or {secret: NAME}, if necessary with `in_env: true`"
    for key in value:
        if key not in SecretReference.model_fields or key == "digest":
            raise refusal(f"a secret has no field {named(key)}", expected, nearest(key, ("secret", "in_env")))
    # In `env`, the reader keeps true and false as they are written.
    written = {key: BOOLEANS.get(text, text) if isinstance(text, str) else text for key, text in value.items()}
    secret = written.get("secret")
    if secret is not True and not (isinstance(secret, str) and re.fullmatch(STORED_NAME, secret)):
        raise refusal(f"is {shown(value)}, which names no secret", expected)
    if not isinstance(written.get("in_env", False), bool):
        raise refusal(f"`in_env` is {shown(value['in_env'])}", "true or false")
    return written


def read_words(value: Any) -> list[str]:
    """A list as it is, or a string split like in a shell."""
    words = value
    if isinstance(value, str):
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise refusal(f"{shown(value)} cannot be split into words: {error}", "closed quotes, or a list") from error
    if not isinstance(words, list):
        raise refusal(f"is {shown(value)}", "a list of strings, or one string that is split at spaces")
    return words


def read_image(value: Any) -> str:
    """The name of a container image, possibly with variables."""
    text = text_of(value, "an image name")
    if "${" in text:
        return read_template(text)
    if not is_image_name(text):
        close = re.sub(r"\s+", "-", text.strip().lower())
        raise refusal(f"{shown(text)} is not a valid image name", "a name such as registry/name:tag", close)
    return text


def is_image_name(text: str) -> bool:
    """Whether the text is a valid image name."""
    return bool(re.fullmatch(r"[a-z0-9][a-z0-9._/:-]*(:[\w][\w.-]{0,127})?(@sha256:[0-9a-f]{64})?", text, re.ASCII))


def read_pattern(value: Any) -> str:
    """A regular expression in RE2 syntax."""
    text = text_of(value, "a regular expression")
    _group_names(text)
    return text


def read_progress_pattern(value: Any) -> str:
    """A regular expression that captures progress."""
    text = text_of(value, "a regular expression")
    names = _group_names(text)
    expected = "a group (?P<current>…), optionally with (?P<total>…) and (?P<unit>…), or a group (?P<percent>…)"
    for name in names:
        if name not in PROGRESS_GROUPS:
            close = nearest(name, PROGRESS_GROUPS)
            raise refusal(f"{shown(text)} has an unknown group `{name}`", expected, f"(?P<{close}>" if close else "")
    if not {"current", "percent"}.intersection(names):
        raise refusal(f"{shown(text)} captures no progress", expected)
    return text


def _group_names(text: str) -> tuple[str, ...]:
    from winslow_dagster.pipelines.patterns import PatternMalformed, group_names

    try:
        return group_names(text)
    except PatternMalformed as error:
        what = f"is {shown(text)}, which is not a valid regular expression: {error}"
        raise refusal(what, "RE2 syntax (no look-around, no back-references)") from error


def read_glob(value: Any) -> str:
    """A glob pattern (globs.py)."""
    expected = "a relative path such as result.csv, *.png or **/*.jpg"
    text = text_of(value, expected)
    if problem := problem_of(text):
        relative = re.sub(r"/+", "/", text.removeprefix("/winslow/output")).strip("/")
        relative = re.sub(r"(?<![^/])\*\*(?=[^/])", "**/*", relative)
        close = relative if relative and not problem_of(relative) else ""
        raise refusal(f"{shown(text)} {problem}", expected, shown(close) if close else "")
    return text


def read_suffix(value: Any) -> str:
    """A file name suffix, with its dot."""
    text = text_of(value, "a file name suffix")
    if not re.fullmatch(r"(\.[A-Za-z0-9_-]+)+", text):
        word = text.strip(" *.")
        raise refusal(f"{shown(text)} is not a file name suffix", "a suffix such as .mp4", f".{word}" if word else "")
    return text


def read_node_tag(value: Any) -> str:
    """A tag of a node."""
    text = text_of(value, "a node tag")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", text):
        raise refusal(f"{shown(text)} is not a valid node tag", "letters, digits, `_`, `.` and `-`")
    return text


def read_image_reference(value: Any) -> str:
    """An output of a stage: `<stage>/<glob>`, or `./<glob>` for one of the asking stage itself."""
    expected = "a stage output such as decode/frame.jpg, or ./frame.jpg for an output of the asking stage"
    text = text_of(value, expected)
    stage, slash, glob = text.partition("/")
    if not slash or problem_of(glob) or not IMAGE_OWNER.fullmatch(stage):
        inside = not slash and "." in text
        raise refusal(f"{shown(text)} is not a stage output", expected, f"./{text}" if inside else "")
    return text


def read_stage_file(value: Any) -> str:
    """An output file of a stage: `<stage>/<path>`."""
    expected = "the name of a stage and the path of its file, such as record_video/result.mp4"
    text = text_of(value, expected)
    stage, slash, path = text.partition("/")
    if not slash or problem_of(path) or not NAME.fullmatch(stage) or any(each in path for each in "*?["):
        raise refusal(f"{shown(text)} is not a file of a stage", expected)
    return text


def read_video_reference(value: Any) -> str:
    """An output of a stage, as `read_image_reference` reads it, or an input of the project: `input:<name>`."""
    if isinstance(value, str) and value.startswith(INPUT):
        if not NAME.fullmatch(value.removeprefix(INPUT)):
            raise refusal(f"{shown(value)} names no input", "an input such as input:video")
        return value
    return read_image_reference(value)


def read_option(value: Any) -> str | int | float:
    """A value to choose from: a non-empty string, or a number."""
    expected = "a string or a number"
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise refusal(f"is {shown(value)}", expected, f'"{shown(value)}"' if isinstance(value, bool) else "")
    if value == "" or (isinstance(value, float) and not math.isfinite(value)):
        raise refusal("is empty" if value == "" else f"is {shown(value)}", expected)
    return value


def read_pointer(value: Any) -> str:
    """A JSON pointer (RFC 6901)."""
    expected = "a JSON pointer such as /lanes/0/width_m, in which ~1 is a / and ~0 a ~"
    text = text_of(value, expected)
    if not re.fullmatch(r"(/([^~/]|~[01])*)*", text):
        close = f"/{text}" if re.fullmatch(r"[^~/][^~]*", text) else ""
        raise refusal(f"{shown(text)} is not a JSON pointer", expected, close)
    return text


def read_plain(value: Any) -> str | float | bool:
    """A string, a number, true or false."""
    if not isinstance(value, (str, int, float, bool)):
        raise refusal(f"is {shown(value)}", "a string, a number, true or false")
    return value


def ordered(values: Values, low: str, high: str) -> Values:
    """The values, if the field `low` is not greater than the field `high`."""
    least, most = getattr(values, low), getattr(values, high)
    if least is not None and most is not None and least > most:
        raise refusal(f"`{low}` ({least:g}) is greater than `{high}` ({most:g})", f"`{low}` not greater than `{high}`")
    return values


def read_retry_cause(value: Any) -> str | int:
    """A cause for a retry: an outcome or an exit code."""
    expected = f"one of {', '.join(get_args(RetryCause))}, or an exit code from 1 to {HIGHEST_EXIT_CODE}"
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= HIGHEST_EXIT_CODE:
        return value
    if isinstance(value, str) and value in get_args(RetryCause):
        return value
    close = nearest(value, get_args(RetryCause)) if isinstance(value, str) else ""
    raise refusal(f"is {shown(value)}", expected, close)


def one_or_list(value: Any) -> Any:
    """A list; a string is a list of one."""
    return [value] if isinstance(value, str) else value


def short_for(name: str, kind: type) -> Callable[[Any], Any]:
    """A parser that takes a bare value of type `kind` as a mapping with the single field `name`."""
    return lambda value: {name: value} if type(value) is kind else value


def duration_reader(*, above_zero: bool) -> Callable[[Any], float]:
    """A parser of durations."""

    def read(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (str, int, float)):
            raise refusal(f"is {shown(value)}", DURATION)
        seconds: float = _amount(parse_duration_s, value)
        if above_zero and not seconds:
            raise refusal(f"is {shown(value)}", "more than 0 seconds")
        return seconds

    return read


def size_reader(smallest: int) -> Callable[[Any], int]:
    """A parser of sizes of at least `smallest` bytes."""

    def read(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, (str, int)):
            raise refusal(f"is {shown(value)}", SIZE)
        size: int = _amount(parse_size_bytes, value)
        if size < smallest:
            # `memory: 8` lacks the unit.
            unit_forgotten = isinstance(value, int) and value > 0
            expected = f"at least {written_size(smallest)}; a number without a unit is in bytes"
            raise refusal(f"is {shown(value)}", expected, f"{value}GiB" if unit_forgotten else "")
        return size

    return read


def _amount(parse: Callable[[Any], Any], value: Any) -> Any:
    try:
        return parse(value)
    except AmountMalformed as error:
        raise refusal(error.what, error.expected, error.suggestion) from error
