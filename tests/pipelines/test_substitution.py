from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from winslow_dagster.errors import TemplateMalformed, VariableMissing
from winslow_dagster.pipelines import escape, references, resolve_environment, substitute

SET = {"A": "1", "EMPTY": "", "PATH_IN": "/in put"}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${A}", "1"),
        ("x${A}y${PATH_IN}", "x1y/in put"),
        ("${EMPTY}", ""),
        ("${B:-b}", "b"),
        ("${EMPTY:-b}", "b"),
        ("${EMPTY-b}", ""),
        ("${A:-b}", "1"),
        ("${B-b}", "b"),
        ("${B:-${C:-c}}", "c"),
        ("${B:-<${A}>}", "<1>"),
        ("${B:-}", ""),
        ("${A:+set}", "set"),
        ("${EMPTY:+set}", ""),
        ("${EMPTY+set}", "set"),
        ("${B+set}", ""),
        ("${A:?needed}", "1"),
        ("${EMPTY?needed}", ""),
        ("${A+${B:?never looked at}}${C:-}".replace("${A+", "${B+"), ""),
        (r"${B:-a\}b}", "a}b"),
        (r"${B:-a\\}", "a\\"),
        (r"${B:-\d+}", r"\d+"),
        ("$${A}", "${A}"),
        ("$$", "$"),
        ("$$${A}", "$1"),
        ("cost: 5$", "cost: 5$"),
        ("$A $1 ^.*$ $(ls)", "$A $1 ^.*$ $(ls)"),
        ("}{", "}{"),
    ],
)
def test_a_text_is_filled_in_as_written(text: str, result: str) -> None:
    assert substitute(text, SET) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "${B}",
            "${B}: ${B} has no value; expected B in the environment of the pipeline, the stage, the project or the run",
        ),
        ("${B:?set it}", "${B:?set it}: B: set it; expected B in"),
        ("${EMPTY:?not ${A}}", "${EMPTY:?not ${A}}: EMPTY: not 1; expected EMPTY in"),
        ("${B?}", "${B?}: B: has no value; expected B in"),
    ],
)
def test_a_variable_without_a_value_is_an_error_with_its_message(text: str, message: str) -> None:
    with pytest.raises(VariableMissing) as raised:
        substitute(text, SET)
    assert str(raised.value).startswith(message)


def test_an_error_names_where_the_text_is_from() -> None:
    with pytest.raises(VariableMissing) as raised:
        substitute("--size ${SIZE}", {}, where="args of the stage detect")
    assert str(raised.value).startswith("args of the stage detect: ${SIZE} has no value")


@pytest.mark.parametrize(
    ("text", "position"),
    [("${", 1), ("a${A", 2), ("${A:-${B}", 1), ("${1}", 1), ("${}", 1), ("${A b}", 4), ("${A:=b}", 4), ("${A[0]}", 4)],
)
def test_a_malformed_text_is_an_error_with_its_position(text: str, position: int) -> None:
    with pytest.raises(TemplateMalformed) as raised:
        substitute(text, SET)
    assert raised.value.position == position


def test_too_deeply_nested_variables_are_an_error() -> None:
    with pytest.raises(TemplateMalformed, match="nested too deeply"):
        substitute("${A:-" * 5000 + "}" * 5000, {})


def test_names_in_operands_are_references_too() -> None:
    assert references("${A:-${B}} $C $${D}") == {"A", "B"}


def test_later_layers_override_earlier_ones() -> None:
    assert resolve_environment([{"A": "1", "B": "1"}, {"A": "2"}], {}) == {"A": "2", "B": "1"}


def test_values_may_refer_to_each_other_in_any_order() -> None:
    assert resolve_environment([{"C": "${B}3", "B": "${A}2", "A": "1"}], {}) == {"A": "1", "B": "12", "C": "123"}


def test_a_value_that_refers_to_its_own_name_sees_the_layer_below() -> None:
    layers = [{"A": "1"}, {"A": "${A}2"}, {"B": "${A}"}, {"A": "${A}3"}]
    assert resolve_environment(layers, {}) == {"A": "123", "B": "123"}


def test_a_value_that_refers_to_its_own_name_finds_nothing_below_the_lowest_layer() -> None:
    assert resolve_environment([{"A": "${A:-none}"}, {"A": "${A}!"}], {}) == {"A": "none!"}
    with pytest.raises(VariableMissing):
        resolve_environment([{"A": "${A}"}], {})


def test_a_lower_layer_sees_the_final_value_of_other_variables() -> None:
    assert resolve_environment([{"A": "${B}"}, {"A": "${A}2", "B": "x"}, {"B": "y"}], {}) == {"A": "y2", "B": "y"}


def test_builtin_values_are_final_and_are_not_read_as_templates() -> None:
    resolved = resolve_environment([{"OUT": "mine", "COPY": "${OUT}/a"}], {"OUT": "/${A}$$"})
    assert resolved == {"OUT": "/${A}$$", "COPY": "/${A}$$/a"}


def test_the_environment_of_the_host_is_never_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINSLOW_TEST_ON_HOST", "there")
    assert resolve_environment([{"A": "${WINSLOW_TEST_ON_HOST:-not there}"}], {}) == {"A": "not there"}


def test_a_cycle_is_an_error_that_names_it() -> None:
    with pytest.raises(VariableMissing) as raised:
        resolve_environment([{"X": "${A}", "A": "${B}", "B": "${C:-${A}}"}], {})
    assert str(raised.value) == "A: variables refer to each other in a cycle: A -> B -> A"


def test_a_chain_of_thousands_of_variables_is_followed() -> None:
    layer = {f"A{n}": f"${{A{n + 1}}}" for n in range(3000)} | {"A3000": "end"}
    assert resolve_environment([layer], {})["A0"] == "end"


def test_values_that_double_each_other_stop_at_the_limit_of_the_system() -> None:
    layer = {f"A{n}": f"${{A{n + 1}}}" * 2 for n in range(64)} | {"A64": "x"}
    with pytest.raises(VariableMissing, match="the value is too long; expected at most 131071 bytes"):
        resolve_environment([layer], {})


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_an_escaped_text_stays_as_it_is(text: str) -> None:
    assert substitute(escape(text), {}) == text


@pytest.mark.parametrize("text", ["a\0b", "${A:-\0}", "\udcff"])
def test_a_character_that_no_program_can_be_passed_is_rejected(text: str) -> None:
    with pytest.raises(TemplateMalformed, match="cannot be passed to a program") as raised:
        substitute(text, {"A": "x"})
    assert raised.value.position == next(at for at, char in enumerate(text, 1) if char in "\0\udcff")


@given(st.text(alphabet="${}:-?+AB\\ \0", max_size=40))
def test_any_text_gives_a_text_or_one_of_two_errors(text: str) -> None:
    try:
        result = substitute(text, {"A": "x"})
    except (TemplateMalformed, VariableMissing):
        return
    assert isinstance(result, str)


NAMES = st.sampled_from("ABCD")
LITERALS = st.text(alphabet="abc019 :-+?=/.,{'#%*~[]", max_size=6)
# Inside an operand bash takes ' for a quote; here it is a letter like any other.
OPERAND_LITERALS = LITERALS.filter(lambda text: "'" not in text) | st.sampled_from([r"\}", r"\\"])


def reference(operands: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    operators = st.sampled_from([":-", "-", ":+", "+", ":?", "?"])
    plain = NAMES.map(lambda name: f"${{{name}}}")
    return plain | st.builds(
        lambda name, operator, operand: f"${{{name}{operator}{operand}}}", NAMES, operators, operands
    )


def joined(parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.lists(parts, max_size=3).map("".join)


TEMPLATES = joined(
    LITERALS
    | reference(
        st.recursive(joined(OPERAND_LITERALS), lambda inner: joined(OPERAND_LITERALS | reference(inner)), max_leaves=4)
    )
)


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not there")
@settings(max_examples=300)
@given(TEMPLATES, st.dictionaries(NAMES, st.text(alphabet="xyz $\\}\"' ", max_size=4)))
def test_bash_gives_the_same_result(template: str, variables: dict[str, str]) -> None:
    script = f'set -u; printf %s "{template}"'
    bash = subprocess.run(["bash", "--norc", "-c", script], env=variables, capture_output=True, check=False)
    try:
        ours = substitute(template, variables)
    except VariableMissing:
        assert bash.returncode != 0
    else:
        assert (bash.returncode, bash.stdout.decode()) == (0, ours)
