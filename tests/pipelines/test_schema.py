"""The JSON Schema and the reference say what the loader does, and are current."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest
import yaml

from winslow_dagster.errors import PipelineInvalid
from winslow_dagster.pipelines import json_schema, parse_pipeline, schema_text
from winslow_dagster.pipelines.schema.pipeline_fields import Document
from winslow_dagster.pipelines.schema.reference_page import field_reference, main, with_reference

ROOT = Path(__file__).parents[2]
VALIDATOR = jsonschema.Draft7Validator(json_schema())
RENEW = "run: make docs"


def documents() -> list[type[Document]]:
    found, todo = [], [Document]
    while todo:
        found += (kinds := todo.pop().__subclasses__())
        todo += kinds
    # Other files (watches, channels) are read in the same way, and are no part of a pipeline.
    return [document for document in found if document.__module__.startswith("winslow_dagster.pipelines.")]


def test_the_schema_is_a_schema() -> None:
    jsonschema.Draft7Validator.check_schema(json_schema())


def test_the_schema_that_ships_is_current() -> None:
    assert (ROOT / "pipeline_configs" / "pipeline.schema.json").read_text(encoding="utf-8") == schema_text(), RENEW


def test_the_documentation_is_current() -> None:
    document = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
    assert document == with_reference(document), RENEW


def test_one_call_renews_both(tmp_path: Path) -> None:
    document, schema = tmp_path / "a.md", tmp_path / "a.json"
    original = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
    document.write_text(original.replace("**required**", "outdated"), encoding="utf-8")
    main(document, schema)
    assert document.read_text(encoding="utf-8") == original
    assert schema.read_text(encoding="utf-8") == schema_text()


def test_every_field_is_described_in_the_models_the_schema_and_the_reference() -> None:
    reference = field_reference()
    for document in documents():
        for name, field in document.model_fields.items():
            assert field.description, f"{document.__name__}.{name}"
            # An answer to a form is no part of a pipeline file.
            assert f"| `{name}` |" in reference or document.__module__.endswith("answer_fields")
    for definition in [json_schema(), *json_schema()["definitions"].values()]:
        assert definition["additionalProperties"] is False
        assert all(described["description"] for described in definition["properties"].values())


def test_a_field_of_a_document_becomes_a_field_of_the_model() -> None:
    decided_by_the_loader = {"command", "defaults", "image"}
    for document in documents():
        for name in document.model_fields.keys() - decided_by_the_loader:
            if hasattr(document, "model"):
                assert document.target(name) in document.model_of(name).model_fields, f"{document.__name__}.{name}"


def test_the_documented_defaults_are_the_actual_ones() -> None:
    stage = json_schema()["definitions"]["Stage"]["properties"]
    documented = {name: described["default"] for name, described in stage.items() if "default" in described}
    spelt_out = {"name": "tracks", "image": "x", "stages": [{"name": "a", **documented}]}
    silent = {"name": "tracks", "image": "x", "stages": [{"name": "a"}]}
    assert documented["stop_grace_period"] == 10
    assert parsed(spelt_out) == parsed(silent)


VALID = [
    {"stages": [{"name": "a", "image": "x"}]},
    {"stages": [{"name": "a", "command": "run it", "args": ["--x", 1.5, True], "env": {"A": 1}, "after": []}]},
    {"image": "x", "stages": [{"name": "a"}, {"name": "b", "after": "a"}, {"name": "c", "after": ["a", "b"]}]},
    {"image": "x", "inputs": {"video": {"kind": "video", "suffixes": [".mp4"]}}, "stages": [{"name": "a"}]},
    {"image": "x", "defaults": {"gpu": 1, "timeout": "1d 2h"}, "stages": [{"name": "a", "gpu": {"count": 2}}]},
    {
        "image": "x",
        "stages": [
            {"name": "a", "memory": "8GiB", "shm_size": 1048576, "timeout": 1.5, "stop_grace_period": "0"},
        ],
    },
    {"image": "x", "stages": [{"name": "a", "checks": [{"kind": "csv", "glob": "a", "range": {"b": {"min": 1}}}]}]},
    {"image": "x", "stages": [{"name": "a", "checks": [{"kind": "json", "glob": "a", "equals": True}]}]},
    {
        "image": "x",
        "stages": [
            {"name": "a"},
            {
                "name": "b",
                "needs_input": {
                    "form": [
                        {"kind": "choice", "name": "c", "options": [1, "b", {"value": 2.5, "label": "d"}]},
                        {"kind": "points", "name": "p", "image": "a/*.jpg", "world": "optional"},
                        {"kind": "confirm", "name": "ok"},
                    ]
                },
            },
        ],
    },
    {"image": "x", "stages": [{"name": "a", "retries": {"when": ["lost", 3]}, "outputs": ["a", {"glob": "b"}]}]},
]

INVALID = [
    {},
    {"stages": []},
    {"stages": [{"name": "Not A Name", "image": "x"}]},
    {"stages": [{"image": "x"}]},
    {"image": "x", "stages": [{"name": "a", "bogus": 1}]},
    {"image": "x", "bogus": 1, "stages": [{"name": "a"}]},
    {"image": "x", "defaults": {"after": "a"}, "stages": [{"name": "a"}]},
    {"image": "x", "env": {"1A": "x"}, "stages": [{"name": "a"}]},
    {"image": "x", "stages": [{"name": "a", "network": "on"}]},
    {"image": "x", "stages": [{"name": "a", "timeout": "2 hours"}]},
    {"image": "x", "stages": [{"name": "a", "timeout": None}]},
    {"image": "x", "stages": [{"name": "a", "memory": "8 Gig"}]},
    {"image": "x", "stages": [{"name": "a", "gpu": {"vendor": "nvida"}}]},
    {"image": "x", "stages": [{"name": "a", "retries": {"when": ["faild"]}}]},
    {"image": "x", "stages": [{"name": "a", "success_exit_codes": [256]}]},
    {"image": "x", "stages": [{"name": "a", "needs_input": {"form": [{"kind": "txt", "name": "a"}]}}]},
    {"image": "x", "stages": [{"name": "a", "needs_input": {"form": [{"name": "a"}]}}]},
    {"image": "x", "stages": [{"name": "a", "needs_input": {"form": [{"kind": "text", "name": "a", "min": 1}]}}]},
    {"image": "x", "stages": [{"name": "a", "checks": [{"kind": "csv", "glob": "a", "range": {"b": 1}}]}]},
    {"image": "x", "inputs": {"video": {"kind": "vidio"}}, "stages": [{"name": "a"}]},
]


def parsed(data: object) -> object:
    return parse_pipeline(yaml.safe_dump(data).encode(), "tracks.yaml", "tracks")


@pytest.mark.parametrize("data", VALID)
def test_the_schema_accepts_what_the_loader_accepts(data: dict[str, object]) -> None:
    parsed({"name": "tracks", **data})
    VALIDATOR.validate({"name": "tracks", **data})


@pytest.mark.parametrize("data", INVALID)
def test_the_loader_rejects_what_the_schema_rejects(data: dict[str, object]) -> None:
    assert not VALIDATOR.is_valid({"name": "tracks", **data})
    with pytest.raises(PipelineInvalid):
        parsed({"name": "tracks", **data})
