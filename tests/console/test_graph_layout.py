"""Where stages stand in a drawing, for any pipeline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.console.graph_layout import MARGIN, MOST_COLUMNS, WIDTH, Box, Drawing, Edge, draw

Pipeline = Mapping[str, Sequence[str]]
TOLERANCE = 0.01


@st.composite
def pipelines(draws: st.DrawFn) -> dict[str, list[str]]:
    """Up to 30 stages in any order of the file, each behind some of the others, without a circle."""
    count = draws(st.integers(1, 30))
    names = [f"s{number}" for number in range(count)]
    after = {
        name: draws(st.lists(st.sampled_from(names[:index]), unique=True, max_size=4)) if index else []
        for index, name in enumerate(names)
    }
    return {name: after[name] for name in draws(st.permutations(names))}


def chain(count: int) -> dict[str, list[str]]:
    return {f"s{number}": [f"s{number - 1}"] if number else [] for number in range(count)}


def overlap(one: Box, other: Box) -> bool:
    apart = (
        one.x + one.width <= other.x + TOLERANCE
        or other.x + other.width <= one.x + TOLERANCE
        or one.y + one.height <= other.y + TOLERANCE
        or other.y + other.height <= one.y + TOLERANCE
    )
    return not apart


def passes_through(edge: Edge, box: Box) -> bool:
    """Whether a straight part of the edge runs through the inside of the box."""
    for (x1, y1), (x2, y2) in pairwise(edge.points):
        level = y1 == y2 and box.y + TOLERANCE < y1 < box.y + box.height - TOLERANCE
        upright = x1 == x2 and box.x + TOLERANCE < x1 < box.x + box.width - TOLERANCE
        if level and min(x1, x2) < box.x + box.width - TOLERANCE and max(x1, x2) > box.x + TOLERANCE:
            return True
        if upright and min(y1, y2) < box.y + box.height - TOLERANCE and max(y1, y2) > box.y + TOLERANCE:
            return True
    return False


def reachable(edges: Sequence[Edge]) -> set[tuple[str, str]]:
    pairs = {(edge.source, edge.target) for edge in edges}
    while more := {(a, d) for a, b in pairs for c, d in pairs if b == c} - pairs:
        pairs |= more
    return pairs


@given(pipelines())
def test_no_two_stages_overlap_and_all_are_inside(pipeline: Pipeline) -> None:
    drawing = draw(pipeline)
    assert [box.name for box in drawing.boxes] == list(pipeline)
    assert not any(overlap(one, other) for one, other in combinations(drawing.boxes, 2))
    for box in drawing.boxes:
        assert box.x + TOLERANCE >= MARGIN
        assert box.y + TOLERANCE >= MARGIN
        assert box.x + box.width + MARGIN <= drawing.width + TOLERANCE
        assert box.y + box.height + MARGIN <= drawing.height + TOLERANCE
    assert drawing.width <= WIDTH + TOLERANCE


@given(pipelines())
def test_every_edge_goes_forward(pipeline: Pipeline) -> None:
    drawing = draw(pipeline)
    boxes = {box.name: box for box in drawing.boxes}
    for edge in drawing.edges:
        source, target = boxes[edge.source], boxes[edge.target]
        assert source.layer < target.layer
        # Later in reading order: further right, or in a lower line.
        assert source.x + source.width < target.x or source.y + source.height < target.y
        assert edge.points[0] == (source.x + source.width, source.y + source.height / 2)
        assert edge.points[-1] == (target.x, target.y + target.height / 2)


@given(pipelines())
def test_no_edge_runs_through_a_stage(pipeline: Pipeline) -> None:
    drawing = draw(pipeline)
    assert not any(passes_through(edge, box) for edge in drawing.edges for box in drawing.boxes)


@given(pipelines())
def test_the_edges_say_of_every_stage_what_comes_before_it_and_none_says_it_twice(pipeline: Pipeline) -> None:
    drawing = draw(pipeline)
    drawn = {(edge.source, edge.target) for edge in drawing.edges}
    asked = {(before, name) for name, each in pipeline.items() for before in each}
    assert drawn <= asked
    assert asked <= reachable(drawing.edges)
    for edge in drawing.edges:
        others = [each for each in drawing.edges if each != edge]
        assert (edge.source, edge.target) not in reachable(others)


@given(pipelines())
def test_the_same_pipeline_is_drawn_the_same(pipeline: Pipeline) -> None:
    assert draw(pipeline) == draw({name: tuple(before) for name, before in pipeline.items()})


def lines_of(drawing: Drawing) -> int:
    return len({box.y for box in drawing.boxes})


def test_chains_are_read_as_text_is() -> None:
    assert [lines_of(draw(chain(count))) for count in (1, 3, 5, 6, 10, 25)] == [1, 1, 1, 2, 2, 5]
    ten = draw(chain(10)).boxes
    assert [box.x for box in ten[:MOST_COLUMNS]] == [box.x for box in ten[MOST_COLUMNS:]]
    assert sorted(ten, key=lambda box: (box.y, box.x)) == list(ten)


def test_stages_of_one_layer_keep_the_order_of_the_file() -> None:
    drawing = draw({"start": [], "b": ["start"], "a": ["start"], "c": ["start"]})
    assert [box.name for box in sorted(drawing.boxes[1:], key=lambda box: box.y)] == ["b", "a", "c"]


def test_crossings_are_avoided() -> None:
    drawing = draw({"a": [], "b": [], "below": ["b"], "above": ["a"]})
    by_name = {box.name: box for box in drawing.boxes}
    assert by_name["above"].y < by_name["below"].y


def test_no_stages_are_an_empty_drawing() -> None:
    assert draw({}) == Drawing(MARGIN, 0, (), ())
