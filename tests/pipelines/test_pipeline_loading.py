"""What a valid file becomes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

import winslow_dagster.pipelines as door
from winslow_dagster.errors import AmountMalformed
from winslow_dagster.pipelines import (
    Pipeline,
    load,
    load_pipeline,
    parse_duration_s,
    parse_pipeline,
    parse_size_bytes,
)
from winslow_dagster.pipelines.model.form import PointsField
from winslow_dagster.pipelines.model.output_checks import FileCheck, ResultCheck
from winslow_dagster.pipelines.model.pipeline import Highlight, NeedsInput, ProjectInput, RetentionRule, Retries, Stage
from winslow_dagster.pipelines.model.stage_rules import Gpu, LogRules, ProgressRule, PromisedOutput
from winslow_dagster.pipelines.schema.value_parsers import RESERVED_NAMES
from winslow_dagster.pipelines.units import written_duration, written_size

ROOT = Path(__file__).parents[2]


def parsed(text: str) -> Pipeline:
    return parse_pipeline(dedent(text).encode(), "tracks.yaml", "tracks")


def test_every_field_of_the_surface_arrives_in_the_model() -> None:
    pipeline = parsed(
        r"""
        name: tracks
        description: All of it.
        image: tracker:1
        command: python -m "tracker app"
        env: {SCALE: 0.50, FLAG: yes}
        inputs:
          video: {kind: video, suffixes: [.mp4, .tar.gz], required: false, description: From above.}
        stages:
          - name: detect
            description: Finds cars.
            image: registry.example.org:5000/group/detector:2.1@sha256:%s
            args: [--threshold, 0.10, "${SCALE}"]
            command: [python, -m, detector]
            env: {MODEL: "${SCALE:-1}.onnx", EMPTY: ""}
            after: []
            cpus: 2
            memory: 8GiB
            shm_size: 512M
            gpu: {count: 2, vendor: nvidia, memory: 8GB, optional: true}
            node_tags: [fast-disk, ulm.07]
            network: true
            timeout: 1d 2h
            stop_grace_period: 30
            retries: {count: 3, when: [lost, failed, 137], wait: 1m 30s, backoff: 1.5}
            progress:
              - {subject: frames, pattern: '(?P<current>\d+)/(?P<total>\d+) (?P<unit>\w+)'}
              - {subject: whole, pattern: '(?P<percent>[\d.]+) %%'}
            warnings: [^WARN]
            errors: [^ERROR, Exception]
            fail_on_error_line: true
            success_exit_codes: [0, 3]
            awaiting_input_exit_code: 42
            needs_input: {when: asked, message: Go, variables: [POINTS], form: [{kind: points, name: p, image: ./f}]}
            outputs: ["*.csv", {glob: video.mp4, min_size: 1KB}]
            checks: [{kind: file, glob: a.csv, max_size: 1KB}, {kind: result, key: n, severity: warn, name: many}]
            highlights: ["*.png", {glob: video.mp4, title: The result}]
            retention: [{glob: "*.mp4", attempts: 3}, {days: 30}]
    """
        % ("0" * 64)
    )
    assert pipeline == Pipeline(
        name="tracks",
        description="All of it.",
        env={"SCALE": "0.50", "FLAG": "yes"},
        inputs={
            "video": ProjectInput(kind="video", suffixes=(".mp4", ".tar.gz"), required=False, description="From above.")
        },
        stages=(
            Stage(
                name="detect",
                description="Finds cars.",
                image=f"registry.example.org:5000/group/detector:2.1@sha256:{'0' * 64}",
                command=("python", "-m", "detector"),
                args=("--threshold", "0.10", "${SCALE}"),
                env={"MODEL": "${SCALE:-1}.onnx", "EMPTY": ""},
                cpus=2,
                memory_bytes=8 * 1024**3,
                shm_size_bytes=512 * 1024**2,
                gpu=Gpu(count=2, vendor="nvidia", memory_bytes=8 * 1000**3, optional=True),
                node_tags=("fast-disk", "ulm.07"),
                network=True,
                timeout_s=26 * 3600,
                stop_grace_period_s=30,
                retries=Retries(count=3, when=("lost", "failed", 137), wait_s=90, backoff=1.5),
                log=LogRules(
                    progress=(
                        ProgressRule(subject="frames", pattern=r"(?P<current>\d+)/(?P<total>\d+) (?P<unit>\w+)"),
                        ProgressRule(subject="whole", pattern=r"(?P<percent>[\d.]+) %"),
                    ),
                    warnings=("^WARN",),
                    errors=("^ERROR", "Exception"),
                    fail_on_error_line=True,
                ),
                success_exit_codes=(0, 3),
                awaiting_input_exit_code=42,
                needs_input=NeedsInput(
                    when="asked",
                    message="Go",
                    variables=("POINTS",),
                    form=(PointsField(name="p", image="./f"),),
                ),
                outputs=(PromisedOutput(glob="*.csv"), PromisedOutput(glob="video.mp4", min_size_bytes=1000)),
                checks=(
                    FileCheck(name="file_a_csv", glob="a.csv", max_size_bytes=1000, blocking=True),
                    ResultCheck(name="many", key="n", severity="warn", blocking=False),
                ),
                highlights=(Highlight(glob="*.png"), Highlight(glob="video.mp4", title="The result")),
                retention=(RetentionRule(glob="*.mp4", attempts=3), RetentionRule(days=30)),
            ),
        ),
    )


def test_a_stage_without_anything_has_the_defaults_of_the_model() -> None:
    (stage,) = parsed("{name: tracks, stages: [{name: a, image: x}]}").stages
    assert stage == Stage(name="a", image="x")


def test_a_stage_comes_after_the_one_above_by_default() -> None:
    pipeline = parsed("""
        name: tracks
        image: x
        stages: [{name: a}, {name: b}, {name: c, after: a}, {name: d, after: [b, c]}, {name: e, after: []}, {name: f}]
    """)
    assert {stage.name: stage.after for stage in pipeline.stages} == {
        "a": (),
        "b": ("a",),
        "c": ("a",),
        "d": ("b", "c"),
        "e": (),
        "f": ("e",),
    }


def test_a_stage_may_stand_above_what_it_comes_after() -> None:
    pipeline = parsed("{name: tracks, image: x, stages: [{name: a, after: b}, {name: b, after: []}]}")
    assert [stage.after for stage in pipeline.stages] == [("b",), ()]


def test_defaults_apply_to_stages_without_their_own_value() -> None:
    pipeline = parsed("""
        name: tracks
        image: top:1
        command: run
        defaults:
          image: default:1
          cpus: 4
          gpu: 1
          warnings: [W]
          retries: {count: 3, wait: 5}
          awaiting_input_exit_code: 9
        stages:
          - name: a
          - {name: b, image: own:1, command: [], gpu: 0, warnings: [], retries: {count: 1}}
    """)
    a, b = pipeline.stages
    assert (a.image, a.command, a.cpus, a.gpu) == ("default:1", ("run",), 4, Gpu())
    assert (a.log.warnings, a.retries, a.awaiting_input_exit_code) == (("W",), Retries(count=3, wait_s=5), 9)
    assert (b.image, b.command, b.cpus, b.gpu, b.log.warnings) == ("own:1", (), 4, None, ())
    assert b.retries == Retries(count=1)


def test_variables_of_the_pipeline_stay_a_layer_below_those_of_a_stage() -> None:
    pipeline = parsed("""
        name: tracks
        image: x
        env: {A: pipeline}
        defaults: {env: {B: default}}
        stages: [{name: a, env: {A: "${A} stage"}}, {name: b}]
    """)
    assert pipeline.env == {"A": "pipeline", "B": "default"}
    assert [stage.env for stage in pipeline.stages] == [{"A": "${A} stage"}, {}]
    seen = door.resolve_environment([pipeline.env, pipeline.stage("a").env], {})
    assert seen == {"A": "pipeline stage", "B": "default"}


def test_a_variable_that_only_a_project_or_run_can_supply_is_no_problem() -> None:
    assert parsed("{name: tracks, image: x, stages: [{name: a, env: {A: '${FROM_PROJECT}'}}]}").stages


def test_arguments_in_one_string_are_split_like_in_a_shell() -> None:
    (stage,) = parsed("""{name: tracks, image: x, stages: [{name: a, args: "--x 'a b' ${Y} 1"}]}""").stages
    assert stage.args == ("--x", "a b", "${Y}", "1")


def test_numbers_and_booleans_in_texts_stay_as_written() -> None:
    (stage,) = parsed(
        "{name: tracks, image: x, stages: [{name: a, args: [1.10, 010, yes, 0x1F], env: {A: True}}]}"
    ).stages
    assert (stage.args, stage.env) == (("1.10", "010", "yes", "0x1F"), {"A": "True"})


def test_aliases_may_be_used() -> None:
    pipeline = parsed("""
        name: tracks
        image: x
        stages:
          - {name: a, gpu: &gpu {count: 2}}
          - {name: b, gpu: *gpu}
    """)
    assert pipeline.stage("b").gpu == Gpu(count=2)


def test_a_byte_order_mark_and_windows_line_ends_are_no_problem() -> None:
    content = b"\xef\xbb\xbfname: tracks\r\nimage: x\r\nstages:\r\n- name: a\r\n"
    assert parse_pipeline(content, "tracks.yaml", "tracks").name == "tracks"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("2h", 7200),
        ("1d 2h", 93600),
        ("1h30m", 5400),
        ("15min", 900),
        ("90", 90),
        (0.5, 0.5),
        (" 1.5 m ", 90),
    ],
)
def test_a_duration_is_read(text: str | float, seconds: float) -> None:
    assert parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("8GiB", 8 * 1024**3),
        ("512M", 512 * 1024**2),
        ("512m", 512 * 1024**2),
        ("1.5 GB", 1_500_000_000),
        ("10kb", 10_000),
        ("77", 77),
        ("0.3KB", 300),
        (5, 5),
    ],
)
def test_a_size_is_read(text: str | int, size: int) -> None:
    assert parse_size_bytes(text) == size


@pytest.mark.parametrize("text", ["", " ", "s", "1 2", "1x", "-1s", "1s 2", "\u0661s", "1e3", "nan", "1.s"])
def test_a_text_that_is_not_a_duration_is_rejected(text: str) -> None:
    with pytest.raises(AmountMalformed, match="a duration"):
        parse_duration_s(text)


@pytest.mark.parametrize("text", ["", "GiB", "1XB", "1 G B", "-1", "1e3", "1GiB 2MiB"])
def test_a_text_that_is_not_a_size_is_rejected(text: str) -> None:
    with pytest.raises(AmountMalformed, match="a size"):
        parse_size_bytes(text)


def test_a_misspelt_unit_comes_with_a_suggestion() -> None:
    with pytest.raises(AmountMalformed) as raised:
        parse_duration_s("2 days 3 hours")
    assert raised.value.suggestion == "2d 3h"


def test_durations_and_sizes_are_written_as_in_a_file() -> None:
    assert [written_duration(seconds) for seconds in (0, 0.5, 90, 93600)] == ["0s", "0.5s", "1m 30s", "1d 2h"]
    assert [written_size(size) for size in (0, 1000, 8 * 1024**3)] == ["0B", "1000B", "8GiB"]


def test_the_reserved_names_are_those_of_dagster() -> None:
    from dagster._core.definitions.utils import DISALLOWED_NAMES

    assert RESERVED_NAMES == DISALLOWED_NAMES


def test_the_example_in_the_documentation_is_valid(tmp_path: Path) -> None:
    _, _, rest = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8").partition("```yaml\n")
    path = tmp_path / "count_cars.yaml"
    path.write_text(rest.partition("```")[0], encoding="utf-8")
    pipeline = load_pipeline(path)
    assert {stage.name: stage.after for stage in pipeline.stages} == {
        "decode": (),
        "detect": ("decode",),
        "sketch": ("decode",),
        "report": ("detect", "sketch"),
    }


def test_the_stages_in_the_documentation_are_valid() -> None:
    _, *blocks = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8").split("```yaml\nstages:\n")
    assert len(blocks) == 2
    for block in blocks:
        text = "name: tracks\nimage: x\nstages:\n" + block.partition("```")[0]
        assert parse_pipeline(text.encode(), "tracks.yaml", "tracks").stages


def test_the_form_in_the_documentation_is_valid() -> None:
    _, _, rest = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8").partition("```json\n")
    assert door.parse_form(rest.partition("```")[0]).variables == ("CORNERS",)


def test_a_confirm_field_refers_to_the_only_stage_before_by_default() -> None:
    pipeline = parsed("""
        name: tracks
        image: x
        defaults: {needs_input: {form: [{kind: confirm, name: ok}]}}
        stages:
          - {name: a, needs_input: {when: always}}
          - {name: b}
          - {name: c, needs_input: {form: [{kind: confirm, name: ok, stage: a}]}}
    """)
    stages = [stage.needs_input.form[0].stage for stage in pipeline.stages[1:] if stage.needs_input]
    assert stages == ["a", "a"]


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline_configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_shipped_pipeline_is_valid_and_names_the_schema(path: Path) -> None:
    assert load(path).pipeline.name == path.stem
    assert path.read_text(encoding="utf-8").startswith("# yaml-language-server: $schema=pipeline.schema.json\n")


def test_the_package_lists_its_public_names() -> None:
    assert all(hasattr(door, name) for name in door.__all__)


def test_the_package_is_imported_without_dagster_docker_or_a_database() -> None:
    modules = modules_after("from winslow_dagster.pipelines import *")
    assert "yaml" in modules
    assert not {"dagster", "docker", "sqlalchemy", "jsonschema"} & modules


def test_its_values_are_imported_without_what_reads_files() -> None:
    assert "yaml" not in modules_after("from winslow_dagster.pipelines import Pipeline")


def modules_after(statement: str) -> set[str]:
    program = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split())
