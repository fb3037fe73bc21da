"""The loader with arbitrary input, and round trips of valid pipelines."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines import Pipeline, Problem, json_schema, parse_pipeline
from winslow_dagster.pipelines.changes import changes
from winslow_dagster.pipelines.model.form import (
    ChoiceField,
    FileField,
    LinesField,
    NumberField,
    Option,
    PointsField,
    TextField,
)
from winslow_dagster.pipelines.model.output_checks import CsvCheck, FileCheck, JsonCheck, Range, ResultCheck
from winslow_dagster.pipelines.model.pipeline import Highlight, NeedsInput, ProjectInput, RetentionRule, Retries, Stage
from winslow_dagster.pipelines.model.stage_rules import Gpu, LogRules, ProgressRule, PromisedOutput
from winslow_dagster.pipelines.schema.value_parsers import RESERVED_NAMES

VALIDATOR = jsonschema.Draft7Validator(json_schema())
# Python warns of patterns such as [[a] that a later release may read otherwise; random texts hold them.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")

PIECES = """
name: tracks;stages:;  - name: a;- {;};[;];image: x;&a;*a;<<: *a;!!int;? ;: ;after: a;env: {A: ${A;timeout: 2h;gpu: 1
';";|;>-;#;---;...;%YAML 1.1;~;\t; ;\n;\n  ;\r\n
"""
WORDS = [piece.encode().decode("unicode_escape") for line in PIECES.strip().split("\n") for piece in line.split(";")]


def used_or_refused(content: bytes) -> None:
    """Either a pipeline, or problems that all have a place in the file; never anything else."""
    problems = problems_of(content)
    lines = content.count(b"\n") + content.count(b"\r") + 2
    # YAML 1.1 counts these as line ends too.
    lines += sum(content.count(end.encode()) for end in "\u0085\u2028\u2029")
    for problem in problems:
        assert 1 <= problem.line <= lines
        assert problem.column >= 1
        assert problem.what
        assert "\n" not in str(problem)


def problems_of(content: bytes) -> tuple[Problem, ...]:
    try:
        pipeline = parse_pipeline(content, "tracks.yaml", "tracks")
    except PipelineInvalid as error:
        return error.problems or pytest.fail("a file was refused without a reason")
    assert pipeline.name == "tracks"
    return ()


@given(st.binary())
def test_any_bytes_are_accepted_or_rejected(content: bytes) -> None:
    used_or_refused(content)


@given(st.text())
def test_any_text_is_accepted_or_rejected(text: str) -> None:
    used_or_refused(text.encode())


@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_pieces_of_yaml_are_accepted_or_rejected(pieces: list[str]) -> None:
    used_or_refused("".join(pieces).encode())


WHOLE: dict[str, Any] = yaml.safe_load(r"""
name: tracks
description: All of it.
image: x:1
command: run --it
env: {A: b}
inputs: {video: {kind: video, suffixes: [.mp4], required: true, description: x}}
defaults: {cpus: 2, env: {C: d}}
stages:
  - name: a
    args: [--x, "${A:-b}"]
    env: {B: "${A}"}
    memory: 8GiB
    shm_size: 64M
    gpu: {count: 1, vendor: nvidia, memory: 1GiB, optional: true}
    node_tags: [fast]
    network: false
    timeout: 2h
    stop_grace_period: 3
    retries: {count: 1, when: [lost, 3], wait: 10, backoff: 2}
    progress: [{subject: frames, pattern: '(?P<current>\d+)'}]
    warnings: [W]
    errors: [E]
    fail_on_error_line: true
    success_exit_codes: [0, 1]
    awaiting_input_exit_code: 75
    needs_input:
      when: asked
      message: m
      variables: [P]
      form:
        - {kind: text, name: t, label: l, help: h, required: false, variable: T2, default: d, max_length: 9, pattern: d}
        - {kind: number, name: n, default: 2, min: 1, max: 3, step: 1, unit: m, integer: true}
        - {kind: choice, name: c, options: [1, two, {value: 2.5, label: l}], default: two}
        - {kind: boolean, name: b, default: true}
        - {kind: file, name: f, suffixes: [.csv], input_kind: table}
        - {kind: points, name: p, image: ./a.jpg, labels: [l], world: metres, min_count: 1, max_count: 2}
        - {kind: polygon, name: area, image: ./a.jpg, min_points: 3, max_count: 2}
        - {kind: lines, name: line, image: ./a.jpg, min_points: 2}
    checks:
      - {kind: file, name: x, glob: a, exists: true, min_size: 1, max_size: 2KB, severity: warn, blocking: true}
      - {kind: csv, glob: a, delimiter: ;, columns: [a], min_rows: 1, max_rows: 2, range: {a: {min: 1, max: 2}}}
      - {kind: json, glob: a, pointer: /a, equals: 1, min: 0, max: 2}
      - {kind: result, key: a, min: 0}
    outputs: [a, {glob: b, min_size: 1KB}]
    highlights: [a, {glob: b, title: t}]
    retention: [{glob: a, attempts: 1, days: 2}]
  - {name: b, after: a}
  - {name: c, after: [a, b], needs_input: {form: [{kind: confirm, name: ok, stage: a}]}}
""")
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["a", "b", "c", "${", "(", "1h", "1GiB", "lost", "nvidia", "0" * 5000, "(" * 5000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [*([path] if path else []), *(found for step, item in steps for found in places(item, (*path, step)))]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    """The whole example with up to three places replaced, removed, or given one more key."""
    data = copy.deepcopy(WHOLE)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(places(data)))
        target: Any = data
        for step in above:
            target = target[step]
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                target[last] = draw(VALUES)
            case "remove":
                del target[last]
            case _ if isinstance(target, dict):
                target[draw(st.text(max_size=6))] = draw(VALUES)
            case _:
                target.insert(last, draw(VALUES))
        if not places(data):
            break
    return data


@settings(max_examples=300)
@given(mutated(), st.booleans())
def test_a_valid_file_with_any_change_is_accepted_or_rejected(data: dict[str, Any], flow: bool) -> None:  # noqa: FBT001 # a drawn value
    used_or_refused(yaml.safe_dump(data, default_flow_style=flow, allow_unicode=True, sort_keys=False).encode())


def test_a_form_s_variable_that_is_no_text_is_a_problem_also_beside_secrets() -> None:
    form = [{"name": "speed", "kind": "number", "variable": ["A"]}]
    stage = {"name": "a", "env": {"B": {"secret": True}}, "args": [], "needs_input": {"message": "?", "form": form}}
    content = yaml.safe_dump({"name": "tracks", "image": "x:1", "stages": [stage]}).encode()
    assert "`variable` is a list" in [problem.what for problem in problems_of(content)]


class Quoting(yaml.SafeDumper):
    """Puts every text in quotes: PyYAML leaves some bare that only YAML 1.1 takes for a text, such as 0E0."""


Quoting.add_representer(str, lambda dumper, text: dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"'))

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]) | st.sampled_from("\t\n"), max_size=12)
NAMES = st.from_regex(r"[a-z](_?[a-z0-9]){0,8}", fullmatch=True).filter(
    # A name that ends as a unit does is left out: `written` would take it for a field.
    lambda name: name not in RESERVED_NAMES and not name.endswith(("_s", "_bytes"))
)
VARIABLES = st.from_regex(r"[A-Z][A-Z0-9_]{0,5}", fullmatch=True)
TEMPLATES = st.text(st.characters(codec="utf-8", exclude_characters="$\0"), max_size=8) | st.sampled_from(
    ["${A:-b}", "$$"]
)
GLOBS = st.sampled_from(["*.csv", "**/a.mp4", "video é.mp4"])
SIZES = st.integers(6 * 1024**2, 2**50)
AMOUNTS = st.integers(0, 10**6).map(float) | st.floats(0, 10**6, allow_subnormal=False)
OUTPUTS = st.builds(PromisedOutput, glob=GLOBS, min_size_bytes=st.integers(0, 2**50))
PROGRESS = st.builds(
    ProgressRule, subject=TEXTS.filter(bool), pattern=st.sampled_from([r"(?P<current>\d+)", "(?P<percent>.)"])
)
PATTERNS = st.lists(st.sampled_from(["^W", "a|b", r"\d+: '\"#"]), max_size=2).map(tuple)
FIELD_NAMES = st.sampled_from(["a", "speed_limit", "input"])
FIELDS = (
    st.builds(TextField, name=FIELD_NAMES, label=TEXTS, required=st.booleans(), max_length=st.integers(12, 99))
    | st.builds(NumberField, name=FIELD_NAMES, unit=TEXTS, min=st.none() | st.floats(-9, 9), integer=st.booleans())
    | st.builds(
        ChoiceField,
        name=FIELD_NAMES,
        options=st.lists(
            st.builds(Option, value=st.integers() | st.sampled_from(["x", "1.0", 2.5]), label=TEXTS),
            min_size=1,
            max_size=3,
            unique_by=lambda option: str(option.value),
        ).map(tuple),
    )
    | st.builds(FileField, name=FIELD_NAMES, suffixes=st.just((".csv",)))
    | st.builds(PointsField, name=FIELD_NAMES, image=st.just("./*.jpg"), world=st.sampled_from(["none", "metres"]))
    | st.builds(LinesField, name=FIELD_NAMES, image=st.just("./a"), min_count=st.integers(0, 2), max_count=st.just(3))
)
BOUNDS = st.none() | st.floats(-1e6, 0)
CHECKS = (
    st.builds(FileCheck, name=FIELD_NAMES, glob=GLOBS, exists=st.booleans(), min_size_bytes=st.none() | SIZES)
    | st.builds(
        CsvCheck,
        name=FIELD_NAMES,
        glob=GLOBS,
        severity=st.sampled_from(["error", "warn"]),
        columns=st.lists(TEXTS.filter(bool), max_size=2).map(tuple),
        range=st.dictionaries(VARIABLES, st.builds(Range, min=BOUNDS, allow_empty=st.booleans()), max_size=2),
    )
    | st.builds(JsonCheck, name=FIELD_NAMES, glob=GLOBS, pointer=st.sampled_from(["", "/a~1/0"]), min=BOUNDS)
    | st.builds(ResultCheck, name=FIELD_NAMES, key=TEXTS.filter(bool), min=BOUNDS)
)
ENVIRONMENTS = st.dictionaries(VARIABLES, TEMPLATES, max_size=3)
STAGES = st.builds(
    Stage,
    name=NAMES,
    description=TEXTS,
    image=st.sampled_from(["x", "registry.example.org:5000/a/b:1.0"]),
    command=st.lists(TEMPLATES, max_size=3).map(tuple),
    args=st.lists(TEMPLATES, max_size=3).map(tuple),
    env=ENVIRONMENTS,
    cpus=st.floats(0.01, 64),
    memory_bytes=st.none() | SIZES,
    shm_size_bytes=st.none() | SIZES,
    gpu=st.none()
    | st.builds(
        Gpu,
        count=st.integers(1, 8),
        vendor=st.sampled_from([None, "amd"]),
        memory_bytes=st.none() | SIZES,
        optional=st.booleans(),
    ),
    node_tags=st.lists(st.sampled_from(["fast", "ulm-07"]), max_size=2).map(tuple),
    network=st.booleans(),
    timeout_s=st.none() | st.floats(0.001, 10**6),
    stop_grace_period_s=AMOUNTS,
    retries=st.builds(
        Retries,
        count=st.integers(0, 9),
        when=st.lists(st.sampled_from(["lost", "timed_out", 3]), max_size=3).map(tuple),
        wait_s=AMOUNTS,
        backoff=st.floats(1, 10),
    ),
    log=st.builds(
        LogRules,
        progress=st.lists(PROGRESS, max_size=2).map(tuple),
        warnings=PATTERNS,
        errors=PATTERNS,
        fail_on_error_line=st.booleans(),
    ),
    success_exit_codes=st.sets(st.integers(0, 74), min_size=1, max_size=3).map(tuple),
    awaiting_input_exit_code=st.integers(75, 255),
    needs_input=st.none()
    | st.builds(
        NeedsInput,
        when=st.just("asked"),
        message=TEXTS,
        variables=st.lists(VARIABLES, min_size=1, max_size=2).map(tuple),
        form=st.lists(FIELDS, max_size=3, unique_by=lambda field: field.name).map(tuple),
    ),
    checks=st.lists(CHECKS, max_size=3, unique_by=lambda check: check.name).map(tuple),
    outputs=st.lists(OUTPUTS, max_size=2).map(tuple),
    highlights=st.lists(st.builds(Highlight, glob=GLOBS, title=TEXTS), max_size=2).map(tuple),
    retention=st.lists(st.builds(RetentionRule, glob=GLOBS, attempts=st.none() | st.integers(1, 9)), max_size=2).map(
        tuple
    ),
)


@st.composite
def pipelines(draw: st.DrawFn) -> Pipeline:
    """Any valid pipeline: a stage may come after any stages drawn before it."""
    stages: list[Stage] = []
    for stage in draw(st.lists(STAGES, min_size=1, max_size=4, unique_by=lambda stage: stage.name)):
        after = draw(st.lists(st.sampled_from([other.name for other in stages]), unique=True)) if stages else []
        stages.append(stage.model_copy(update={"after": tuple(after)}))
    return Pipeline(
        name="tracks",
        description=draw(TEXTS),
        env=draw(ENVIRONMENTS),
        inputs=draw(
            st.dictionaries(NAMES, st.builds(ProjectInput, description=TEXTS, required=st.booleans()), max_size=2)
        ),
        stages=tuple(draw(st.permutations(stages))),
    )


def written(value: Any) -> Any:
    """A resolved value as a file may have it, with every field written out."""
    if isinstance(value, dict):
        fields = {key: item for key, item in value.items() if key != "log"} | value.get("log", {})
        return {
            key.removesuffix("_s").removesuffix("_bytes"): written(item)
            for key, item in fields.items()
            if item is not None
        }
    return [written(item) for item in value] if isinstance(value, (list, tuple)) else value


@given(pipelines(), st.booleans())
def test_every_valid_pipeline_is_read_back_as_it_was_written(pipeline: Pipeline, flow: bool) -> None:  # noqa: FBT001 # a drawn value
    surface = written(pipeline.model_dump())
    text = yaml.dump(surface, Dumper=Quoting, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    back = parse_pipeline(text.encode(), "tracks.yaml", "tracks")
    assert back == pipeline
    assert changes(pipeline, back) == ()
    VALIDATOR.validate(surface)
