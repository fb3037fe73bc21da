"""The values of a sweep, as people write them."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.domain.sweep_values import MAX_COMBINATIONS, read_values

NUMBERS = st.decimals(-1_000, 1_000, places=3, allow_nan=False)
STEPS = st.decimals(Decimal("0.01"), 50, places=2, allow_nan=False)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=12)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("1, 2, 5", ("1", "2", "5")),
        ("30,50,70", ("30", "50", "70")),
        ("0.1..0.5 step 0.1", ("0.1", "0.2", "0.3", "0.4", "0.5")),
        ("1..3", ("1", "2", "3")),
        ("3..1", ("3", "2", "1")),
        ("0..1 step 0.4", ("0", "0.4", "0.8")),
        ("-1..1, 10", ("-1", "0", "1", "10")),
        ("network, motion", ("network", "motion")),
        ('"a, b", c', ("a, b", "c")),
        ("2, 2, 2", ("2",)),
        ("../left.txt", ("../left.txt",)),
        ("one", ("one",)),
    ],
)
def test_lists_and_ranges_are_read(text: str, values: tuple[str, ...]) -> None:
    assert read_values(text) == values


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "a value is empty"),
        ("1, , 2", "a value is empty"),
        ("1, 2,", "a value is empty"),
        ("0.1..0.5", "has no step"),
        ("1..5 step 0", "not positive"),
        ("1..5 step -1", "not positive"),
        ("1..1000", "too many values"),
        ("1..300, 301..600", "too many values"),
        ('"a, b', "cannot be read"),
        ("a\nb", "cannot be read"),
        ("1" * 30_000, "30000 characters"),
    ],
)
def test_what_cannot_be_read_is_refused_with_an_example(text: str, says: str) -> None:
    with pytest.raises(InputRejected, match=says):
        read_values(text)


@given(NUMBERS, NUMBERS, STEPS)
def test_a_range_goes_from_one_end_to_the_other_in_equal_steps(first: Decimal, last: Decimal, step: Decimal) -> None:
    text = f"{first}..{last} step {step}"
    if abs(last - first) / step > MAX_COMBINATIONS - 1:
        return
    found = [Decimal(value) for value in read_values(text)]
    assert found[0] == first
    towards = step if last >= first else -step
    assert all(right - left == towards for left, right in pairwise(found))
    assert abs(last - found[-1]) < step
    assert min(first, last) <= min(found) <= max(found) <= max(first, last)


@given(st.lists(NUMBERS, min_size=1, max_size=20, unique=True))
def test_a_list_of_numbers_is_read_as_it_is_written(numbers: list[Decimal]) -> None:
    texts = tuple(str(number) for number in numbers)
    assert read_values(", ".join(texts)) == texts


@given(WORDS, WORDS)
def test_quotes_keep_any_value_together(left: str, right: str) -> None:
    escaped = f"{left},{right}".replace('"', '""')
    assert read_values(f'"{escaped}"') == (f"{left},{right}",)


@given(st.text(max_size=200))
def test_any_text_is_values_or_an_error_that_says_what_is_expected(text: str) -> None:
    try:
        found = read_values(text)
    except InputRejected as error:
        found = tuple(error.expected.split(", "))
    assert 1 <= len(found) <= MAX_COMBINATIONS
    assert all(found)
