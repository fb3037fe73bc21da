"""The shipped pipeline file matches the program: stages, parameters and defaults, version, log lines."""

from __future__ import annotations

import dataclasses
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml

from tracker import __version__
from tracker.contract import Report
from tracker.stages import STAGES

FILE = Path(__file__).resolve().parents[2] / "pipeline_configs" / "traffic_analysis.yaml"


@pytest.fixture(scope="module")
def pipeline() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


def test_it_has_every_stage_in_order_with_its_subcommand(pipeline: dict[str, Any]) -> None:
    assert [stage["name"] for stage in pipeline["stages"]] == list(STAGES)
    assert all(stage["args"] == [stage["name"].replace("_", "-")] for stage in pipeline["stages"])


def test_it_names_the_image_of_this_version(pipeline: dict[str, Any]) -> None:
    assert pipeline["image"] == f"winslow/tracker-application:{__version__}"


@pytest.mark.parametrize("name", list(STAGES))
def test_its_variables_are_parameters_with_the_programs_own_defaults(name: str, pipeline: dict[str, Any]) -> None:
    parameters = import_module(f"tracker.stages.{name}").Parameters
    # An empty string counts as not given.
    defaults = {
        item.name.upper(): "" if item.default is None else item.default for item in dataclasses.fields(parameters)
    }
    written = next(stage for stage in pipeline["stages"] if stage["name"] == name).get("env", {})
    assert written == {variable: defaults.get(variable) for variable in written}


def test_common_variables_are_parameters_of_some_stage(pipeline: dict[str, Any]) -> None:
    every = [dataclasses.fields(import_module(f"tracker.stages.{name}").Parameters) for name in STAGES]
    assert set(pipeline["env"]) <= {item.name.upper() for fields in every for item in fields}
    assert set(pipeline["env"].values()) == {""}


def source_of(stage: str) -> str:
    """Of its module, and of our own modules that it imports."""
    module = Path(import_module(f"tracker.stages.{stage}").__file__)
    text = module.read_text()
    parts = re.findall(r"^from tracker\.(detectors\.\w+) import", text, re.MULTILINE)
    return text + "".join((module.parents[1] / f"{part.replace('.', '/')}.py").read_text() for part in parts)


def test_a_stage_sees_every_stage_it_reads(pipeline: dict[str, Any]) -> None:
    for stage in pipeline["stages"]:
        source = source_of(stage["name"])
        read = set(re.findall(r'upstream\("(\w+)"', source))
        read |= {"track_reference_points"} if "open_proxy(" in source else set()
        assert read == set(stage["after"]), stage["name"]


def test_its_progress_rules_match_the_printed_lines(
    pipeline: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for stage in pipeline["stages"]:
        source = source_of(stage["name"])
        subjects = set(re.findall(r'report\.progress\(\s*"(\w+)"', source))
        rules = stage.get("progress", pipeline["defaults"]["progress"])
        if stage["name"] not in {"extract_frame", "define_reference_points"}:  # runs before there is anything to count
            assert {rule["subject"] for rule in rules} == subjects
        for rule in rules:
            Report().progress(rule["subject"], 7, 7)
            found = re.search(rule["pattern"], capsys.readouterr().out)
            assert found["current"] == found["total"] == "7"


def test_its_rules_match_warnings_and_errors(pipeline: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    report = Report()
    report.warning("dark")
    report.error("dark")
    warning, error = capsys.readouterr().err.splitlines()
    assert re.search(pipeline["defaults"]["warnings"][0], warning)
    assert re.search(pipeline["defaults"]["errors"][0], error)
