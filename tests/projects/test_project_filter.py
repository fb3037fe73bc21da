"""The filter line of projects: what its words mean, and where it says that one is wrong."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.errors import FilterInvalid
from winslow_dagster.projects.domain.project_filter import format_filter, parse_filter
from winslow_dagster.projects.domain.views import ProjectFilter, ProjectMark, ProjectState

VALUES = st.lists(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1), max_size=3, unique=True
).map(tuple)
KNOWN = {
    name: st.lists(st.sampled_from(get_args(values)), max_size=3, unique=True).map(tuple)
    for name, values in (("states", ProjectState), ("marks", ProjectMark))
}
LINES = st.text(st.sampled_from('-:"\\ stateag\t\u2003xÖ') | st.characters(exclude_categories=["Cs"]))


@given(
    st.builds(
        ProjectFilter,
        **{name: KNOWN.get(name.removeprefix("not_"), VALUES) for name in ProjectFilter.model_fields},
    )
)
def test_a_filter_and_its_line_say_the_same(wanted: ProjectFilter) -> None:
    assert parse_filter(format_filter(wanted)) == wanted


@given(LINES)
def test_any_line_is_a_filter_or_wrong_at_a_place_in_it(line: str) -> None:
    try:
        wanted = parse_filter(line)
    except FilterInvalid as error:
        wrong = error
    else:
        assert parse_filter(format_filter(wanted)) == wanted
        return
    assert 1 <= wrong.position <= len(line)
    assert 1 <= wrong.length <= len(line) - wrong.position + 1


def test_words_select_and_exclude() -> None:
    line = (
        "state:failed State:Cancelled tag:ulm -tag:old pipeline:traffic owner:anna -is:Noted "
        'rain -"in the \\"sun\\"" - a-b'
    )
    assert parse_filter(line) == ProjectFilter(
        states=("failed", "cancelled"),
        tags=("ulm",),
        not_tags=("old",),
        pipelines=("traffic",),
        owners=("anna",),
        not_marks=("noted",),
        texts=("rain", "-", "a-b"),
        not_texts=('in the "sun"',),
    )


def test_an_empty_line_selects_everything_and_repeated_words_count_once() -> None:
    assert parse_filter("  \t ") == ProjectFilter()
    assert format_filter(ProjectFilter()) == ""
    assert parse_filter("tag:a tag:a b b") == ProjectFilter(tags=("a",), texts=("b",))


@pytest.mark.parametrize(
    ("line", "wrong", "what"),
    [
        ("rain stat:failed", "stat:", "Did you mean state:?"),
        ("-colour:red", "-colour:", "Put a text with a colon in double quotes"),
        ("a state:fialed b", "state:fialed", "Did you mean failed?"),
        ("is:known", "is:known", "no project is 'known'; expected noted"),
        ("-is: x", "-is:", "a value, such as is:noted"),
        ("tag: x", "tag:", "tag: has no value"),
        ('a tag:"x y', '"x y', "not closed"),
        ('"a"b', '"a"', "no space after"),
        ('""', '""', "the text is empty"),
        ("a\0b", "\0", "NUL"),
        (f"{'a ' * 50}b c", "b c", "too many words"),
    ],
)
def test_a_word_that_makes_no_sense_is_refused_where_it_stands(line: str, wrong: str, what: str) -> None:
    with pytest.raises(FilterInvalid) as caught:
        parse_filter(line)
    begin = caught.value.position - 1
    assert line[begin : begin + caught.value.length] == wrong
    assert what in str(caught.value)
    assert caught.value.problem()["position"] == caught.value.position
