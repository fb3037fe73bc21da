"""The project names of ingested files."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.projects.domain.model import checked_name
from winslow_dagster.projects.ingest.naming import DIGEST_LENGTHS, candidates, project_name, template_fields

DIGEST = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("template", "values", "name"),
    [
        ("{stem}", {"stem": "ulm-07"}, "ulm-07"),
        ("{site}_{date}", {"site": "Münster", "date": "2026-05-01"}, "Munster_2026-05-01"),
        ("{stem}", {"stem": "Kreuzung 7 (Süd)"}, "Kreuzung-7-Sud"),
        ("{stem}", {"stem": "../../etc/passwd"}, "etc-passwd"),
        ("{stem}", {"stem": "a...b"}, "a.b"),
        ("{stem}", {"stem": "日本"}, "file"),
        ("{stem}", {"stem": "x" * 100}, "x" * 63),
        ("{{{stem}}}", {"stem": "a"}, "a"),
    ],
)
def test_a_template_becomes_a_safe_name(template: str, values: dict[str, str], name: str) -> None:
    assert project_name(template, values) == name


@given(stem=st.text(), parent=st.text(), template=st.sampled_from(["{stem}", "{parent}-{stem}", "{stem}.files"]))
def test_every_file_name_leads_to_a_valid_project_name(stem: str, parent: str, template: str) -> None:
    name = project_name(template, {"stem": stem, "parent": parent})
    names = list(candidates(name, DIGEST))
    assert [checked_name(one) for one in names] == names
    assert names[0] == name
    assert len(set(names)) == 1 + len(DIGEST_LENGTHS)


@given(text=st.text())
def test_a_template_is_read_or_rejected_with_a_message(text: str) -> None:
    try:
        fields = template_fields(text)
    except ValueError as error:
        assert str(error)  # noqa: PT017  # both ends are looked at
    else:
        assert project_name(text, dict.fromkeys(fields, "x"))


@pytest.mark.parametrize("template", ["{0}", "{}", "{stem.__class__}", "{stem[0]}", "{stem!r}", "{stem:>9}", "{"])
def test_only_plain_fields_are_accepted(template: str) -> None:
    with pytest.raises(ValueError, match=r"is not a plain field|expected|Single"):
        template_fields(template)


def test_alternatives_to_a_taken_name_end_in_the_digest_of_the_file() -> None:
    assert list(islice(candidates("ulm", DIGEST), 2)) == ["ulm", "ulm-012345"]
    assert list(candidates("x" * 63, DIGEST))[1] == "x" * 56 + "-012345"
