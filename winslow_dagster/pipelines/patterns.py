"""Regular expressions in pipeline files and on the command line: RE2 syntax (https://github.com/google/re2/wiki/Syntax).

RE2 matches in time linear in the text whatever the pattern is, so that no pattern can hang a program. The price: no
look-around and no back-references.
"""

from __future__ import annotations

import re

import re2


class PatternMalformed(Exception):
    """A text is not a regular expression in RE2 syntax. The message says why."""


def compile_pattern(source: str, *, capture: bool = True, within_lines: bool = False) -> re2._Regexp[str]:
    r"""The compiled pattern; it searches texts and bytes alike. Raises PatternMalformed.

    `within_lines`: no match contains a line feed, not even one of `\s` or `[^x]`.
    """
    options = re2.Options()
    options.log_errors = False
    options.never_capture = not capture
    options.never_nl = within_lines
    try:
        return re2.compile(source, options=options)
    except UnicodeEncodeError as error:
        raise PatternMalformed("not valid Unicode") from error
    except re2.error as error:
        raise PatternMalformed(error.args[0].decode(errors="replace")) from error


def escaped(text: str) -> str:
    """A pattern that finds exactly the text."""
    pattern: str = re2.escape(text)
    return pattern


def group_names(source: str) -> tuple[str, ...]:
    """The names of the pattern's groups. Raises PatternMalformed, also if a name is used twice."""
    names = tuple(compile_pattern(source).groupindex)
    for name in names:
        if len(re.findall(rf"\(\?P?<{name}>", source)) > 1:  # RE2 accepts that and returns the first group only.
            raise PatternMalformed(f"two groups are named {name}")
    return names
