from __future__ import annotations

import pytest

from winslow_dagster.errors import PipelineInvalid, VariableMissing
from winslow_dagster.pipelines import (
    SecretReference,
    parse_pipeline,
    plain_variables,
    read_variables,
    resolve_environment,
    secrets_of,
    substitute,
)

LAB = """
name: lab
command: sh
env:
  TOKEN: {secret: true}
  PASSWORD: {secret: LAB_DB, in_env: true}
stages:
  - name: work
    env: {OWN: {secret: "true", in_env: false}, PASSWORD_FILE: "${WINSLOW_SECRETS_DIR}/PASSWORD"}
"""


def test_a_file_declares_secrets_named_like_their_variables_or_otherwise() -> None:
    pipeline = parse_pipeline(LAB.encode(), "lab.yaml", "lab")
    assert pipeline.env == {
        "TOKEN": SecretReference(secret="TOKEN"),
        "PASSWORD": SecretReference(secret="LAB_DB", in_env=True),
    }
    assert pipeline.stages[0].env["OWN"] == SecretReference(secret="OWN", in_env=False)
    assert pipeline.secret_variables == {"TOKEN", "PASSWORD", "OWN"}
    assert type(pipeline).model_validate_json(pipeline.model_dump_json()) == pipeline


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("A: {secret: false}", "lab.yaml:5:6: `A` is a mapping, which names no secret; expected {secret: true} or"),
        ("A: {}", "`A` is a mapping, which names no secret"),
        ("A: {secret: a/b}", "`A` is a mapping, which names no secret"),
        ("A: {secrets: true}", "`A`: a secret has no field `secrets`"),
        ("A: {secret: true, digest: x}", "`A`: a secret has no field `digest`"),
        ("A: {secret: true, in_env: perhaps}", '`A`: `in_env` is "perhaps"; expected true or false'),
        ('A: "x${TOKEN}"', "lab.yaml:5:6: the secret `TOKEN` cannot be part of another value"),
        ("OWN: plain", "lab.yaml:5:8: `OWN` is a secret elsewhere in this file, but has a plain value here"),
    ],
)
def test_a_faulty_secret_is_reported_at_its_place(change: str, message: str) -> None:
    text = LAB.replace("env:\n", f"env:\n  {change}\n", 1)
    with pytest.raises(PipelineInvalid) as caught:
        parse_pipeline(text.encode(), "lab.yaml", "lab")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("args: '--token ${TOKEN}'", "the secret `TOKEN` cannot be part of another value"),
        ("args: [a, 'x${PASSWORD:-y}']", "the secret `PASSWORD` cannot be part of another value"),
        ("image: 'lab:${OWN}'", "the secret `OWN` cannot be part of another value"),
        ("needs_input: {form: [{kind: text, name: token}]}", "a form cannot ask for the secret `TOKEN`"),
        (
            "needs_input: {form: [{kind: text, name: a, variable: OWN}]}",
            "a form cannot ask for the secret `OWN`",
        ),
    ],
)
def test_a_stage_that_would_show_a_secret_is_refused(field: str, message: str) -> None:
    with pytest.raises(PipelineInvalid) as caught:
        parse_pipeline(f"{LAB}    {field}\n".encode(), "lab.yaml", "lab")
    assert message in str(caught.value)


def test_the_last_layer_decides_which_secret_a_variable_has_and_whether_it_is_set() -> None:
    declared = {"A": SecretReference(secret="A", in_env=True), "B": SecretReference(secret="B")}
    chosen = {"A": SecretReference(secret="OTHER"), "B": SecretReference(secret="B", in_env=True)}
    assert secrets_of([declared, chosen]) == {
        "A": SecretReference(secret="OTHER", in_env=True),
        "B": SecretReference(secret="B", in_env=True),
    }
    assert secrets_of([declared, {"A": "plain"}]) == {"B": SecretReference(secret="B")}
    assert secrets_of([{"A": "plain"}, chosen])["A"].secret == "OTHER"


def test_a_secret_is_neither_part_of_the_environment_nor_of_another_value() -> None:
    layers = [{"TOKEN": "overridden", "PLAIN": "1"}, {"TOKEN": SecretReference(secret="TOKEN")}]
    env = resolve_environment(layers, {"WINSLOW_STAGE": "work"})
    assert env == {"PLAIN": "1", "WINSLOW_STAGE": "work"}
    assert env.secrets == {"TOKEN": SecretReference(secret="TOKEN")}
    for text in ("${TOKEN}", "${TOKEN:-none}", "${TOKEN:+set}"):
        with pytest.raises(VariableMissing, match="TOKEN is a secret, which cannot be part of another value"):
            substitute(text, env)
        with pytest.raises(VariableMissing, match="PLAIN: TOKEN is a secret"):
            resolve_environment([*layers, {"PLAIN": text}], {})


def test_plain_data_names_secrets_in_the_same_way() -> None:
    variables = read_variables({"A": "text", "B": {"secret": True}, "C": {"secret": "LAB_DB", "in_env": True}})
    plain = plain_variables(variables)
    assert plain == {"A": "text", "B": {"secret": "B"}, "C": {"secret": "LAB_DB", "in_env": True}}
    assert read_variables(plain) == variables
    for malformed in ({"A": 1}, {"A": {"secret": False}}, {"A": {"secret": "a b"}}, {"A": {"value": "x"}}):
        with pytest.raises(ValueError, match="validation error"):
            read_variables(malformed)
