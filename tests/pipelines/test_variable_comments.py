from __future__ import annotations

from winslow_dagster.pipelines.variable_comments import variable_comments

FILE = """\
env:
  BESIDE: "a # b" # said beside
  QUOTED: 'it''s' # said of a quoted value
  EMPTY: # said of no value
  PLAIN: x
  # Said above,
  # in two lines.
  ABOVE: y
  HASH: a#b
  SECRET: {secret: true} # said of a secret
stages:
  - name: detect
    env:
      PLAIN: z # said of one stage
      TEXT: "no # comment"
"""


def test_comments_beside_and_above_a_variable_describe_it() -> None:
    assert variable_comments(FILE.encode()) == {
        ("", "BESIDE"): "said beside",
        ("", "QUOTED"): "said of a quoted value",
        ("", "EMPTY"): "said of no value",
        ("", "ABOVE"): "Said above, in two lines.",
        ("", "SECRET"): "said of a secret",
        ("detect", "PLAIN"): "said of one stage",
    }


def test_a_file_that_cannot_be_read_has_no_comments() -> None:
    assert variable_comments(b"env: [") == {}
    assert variable_comments(b"env: [a]\nstages: 3\n") == {}
    assert variable_comments(b"\xff\xfe") == {}
