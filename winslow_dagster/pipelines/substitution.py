r"""Substitutes `${VAR}` as bash does, and resolves environments made of layers.

| notation | result |
|---|---|
| `${VAR}` | the value; an error if VAR is unset |
| `${VAR:-text}`, `${VAR-text}` | the text if VAR is unset or empty (`:-`), or unset (`-`) |
| `${VAR:?message}`, `${VAR?message}` | an error with the message if VAR is unset or empty, or unset |
| `${VAR:+text}`, `${VAR+text}` | the text if VAR is set and not empty, or set; else nothing |
| `$$` | one `$`, so that `$${VAR}` is the literal `${VAR}` |

The value of a secret is never substituted: a stage reads it from a file.

The text of an operator may contain variables, nested to any depth; `\}` and `\\` in it are a literal `}` and `\`.
Unlike in bash, a bare `$VAR` is not substituted: `$` is common in regular expressions and Java arguments. The
environment of the host is never used: the same files give the same values on every machine.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from winslow_dagster.errors import TemplateMalformed, VariableMissing
from winslow_dagster.pipelines.variables import Layer, SecretReference, secrets_of

VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
DEEPEST = 50
# Linux's limit for one variable or argument (MAX_ARG_STRLEN); also bounds values that double each other.
LONGEST_VALUE = 128 * 1024 - 1
IMPASSABLE = re.compile(r"[\0\ud800-\udfff]")
"""What no argument and no variable of a program can contain: NUL, and halves of a character."""

_OPERATOR = re.compile(r":?[-?+]")
_TOP_LITERAL = re.compile(r"(?:[^$]|\$(?![${]))+", re.DOTALL)
_OPERAND_LITERAL = re.compile(r"(?:[^$}\\]|\$(?![${])|\\(?![\\}]))+", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reference:
    """One `${name<operator>operand}`; `operator` is empty for a plain `${name}`."""

    name: str
    operator: str = ""
    operand: Template = ()


Template = tuple[str | Reference, ...]
Lookup = Callable[[str], str | None]


class Environment(dict[str, str]):
    """The environment of a stage without its secrets, which are `secrets`."""

    def __init__(self, values: Mapping[str, str], secrets: Mapping[str, SecretReference]) -> None:
        super().__init__(values)
        self.secrets = dict(secrets)


def substitute(text: str, variables: Mapping[str, str], *, where: str = "") -> str:
    """`text` with its variables substituted. `where` names the text in errors; by default it is the text itself.

    Raises VariableMissing, also for a secret, and TemplateMalformed if the text is malformed.
    """

    def lookup(name: str) -> str | None:
        if isinstance(variables, Environment) and name in variables.secrets:
            raise _hidden(name, where or text)
        return variables.get(name)

    return _expand(parse_template(text), lookup, where or text)


def references(text: str) -> frozenset[str]:
    """The names of all variables in `text`, including those in operands. Raises TemplateMalformed."""
    return frozenset(_names(parse_template(text)))


def escape(text: str) -> str:
    """A text that `substitute` turns into `text`."""
    return text.replace("$", "$$")


def resolve_environment(layers: Sequence[Layer], builtin: Mapping[str, str]) -> Environment:
    """The environment of a stage: the templates in `layers`, substituted; later layers override earlier ones.

    `builtin` are final values, not templates; they are part of the result, and no layer overrides them. Values may
    refer to each other in any order, and to their own name for the value in the layer below.
    Raises VariableMissing for an unset variable, a secret and a cycle, TemplateMalformed for a malformed value.
    """
    resolver = _Resolver(layers, builtin)
    for name in resolver.stacks:
        if (name, 0) not in resolver.values:
            resolver.compute(name)
    values = {name: value for (name, depth), value in resolver.values.items() if depth == 0}
    return Environment(values, resolver.secrets)


Slot = tuple[str, int]
"""A variable, and the number of layers above that also have it."""


class _Needs(Exception):
    """Raised by a reference to a value that is not computed yet."""

    def __init__(self, slot: Slot) -> None:
        self.slot = slot
        super().__init__(slot)


class _Resolver:
    """Computes each value after those that it refers to; not recursive, so that chains may be long."""

    def __init__(self, layers: Sequence[Layer], builtin: Mapping[str, str]) -> None:
        self.values: dict[Slot, str] = {(name, 0): value for name, value in builtin.items()}
        self.stacks: dict[str, list[str]] = {}
        self.secrets = {name: value for name, value in secrets_of(layers).items() if name not in builtin}
        for layer in reversed(layers):
            for name, value in layer.items():
                if name not in builtin and name not in self.secrets and isinstance(value, str):
                    self.stacks.setdefault(name, []).append(value)

    def compute(self, name: str) -> None:
        waiting: dict[Slot, None] = {(name, 0): None}
        while waiting:
            slot = next(reversed(waiting))
            try:
                value = self.expanded(*slot)
            except _Needs as need:
                if need.slot in waiting:
                    names = [name for name, _ in waiting]
                    cycle = " -> ".join([*names[list(waiting).index(need.slot) :], need.slot[0]])
                    what = f"variables refer to each other in a cycle: {cycle}"
                    raise VariableMissing(what, where=need.slot[0]) from None
                waiting[need.slot] = None
            else:
                self.values[slot] = value
                del waiting[slot]

    def expanded(self, name: str, depth: int) -> str:
        def lookup(other: str) -> str | None:
            if other in self.secrets:
                raise _hidden(other, name)
            slot = (other, depth + 1 if other == name else 0)
            if slot not in self.values and slot[1] < len(self.stacks.get(other, ())):
                raise _Needs(slot)
            return self.values.get(slot)

        return _expand(parse_template(self.stacks[name][depth]), lookup, name)


def _hidden(name: str, where: str) -> VariableMissing:
    return VariableMissing(
        f"{name} is a secret, which cannot be part of another value",
        where=where,
        remedy=f"Have the program read it from the file ${{WINSLOW_SECRETS_DIR}}/{name}",
    )


def _expand(template: Template, lookup: Lookup, where: str) -> str:
    parts = [part if isinstance(part, str) else _value_of(part, lookup, where) for part in template]
    text = "".join(parts)
    if len(text.encode()) > LONGEST_VALUE:
        raise VariableMissing("the value is too long", where=where, expected=f"at most {LONGEST_VALUE} bytes")
    return text


def _value_of(reference: Reference, lookup: Lookup, where: str) -> str:
    value = lookup(reference.name)
    is_set = bool(value) if reference.operator.startswith(":") else value is not None
    kind = reference.operator[-1:]
    if kind == "+":
        return _expand(reference.operand, lookup, where) if is_set else ""
    if is_set and value is not None:
        return value
    if kind == "-":
        return _expand(reference.operand, lookup, where)
    message = _expand(reference.operand, lookup, where) or "has no value"
    raise VariableMissing(
        f"{reference.name}: {message}" if kind == "?" else f"${{{reference.name}}} has no value",
        where=where,
        expected=f"{reference.name} in the environment of the pipeline, the stage, the project or the run",
    )


def _names(template: Template) -> Iterator[str]:
    for part in template:
        if isinstance(part, Reference):
            yield part.name
            yield from _names(part.operand)


@lru_cache(maxsize=4096)
def parse_template(text: str) -> Template:
    """The literals and references of `text`. Raises TemplateMalformed with the position of the error."""
    if found := IMPASSABLE.search(text):
        what = "has a character that cannot be passed to a program"
        raise TemplateMalformed(what, position=found.start() + 1, where=text, expected="text without NUL")
    return _Parser(text).template(0)


class _Parser:
    """Parses one text from left to right; `at` is the offset of the next character."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0

    def malformed(self, what: str, at: int, expected: str) -> TemplateMalformed:
        return TemplateMalformed(what, position=at + 1, where=self.text, expected=expected)

    def template(self, depth: int) -> Template:
        """The parts up to the end of the text or, inside a reference, up to its closing brace (exclusive)."""
        literal = _OPERAND_LITERAL if depth else _TOP_LITERAL
        parts: list[str | Reference] = []
        while self.at < len(self.text):
            if found := literal.match(self.text, self.at):
                parts.append(found[0])
                self.at = found.end()
            elif self.text.startswith("${", self.at):
                parts.append(self.reference(depth))
            elif depth and self.text[self.at] == "}":
                break
            else:  # `$$`, and in operands `\}` and `\\`: the second character, literally
                parts.append(self.text[self.at + 1])
                self.at += 2
        return tuple(parts)

    def reference(self, depth: int) -> Reference:
        start = self.at
        if depth >= DEEPEST:
            raise self.malformed("variables are nested too deeply", start, f"at most {DEEPEST} levels")
        name = VARIABLE_NAME.match(self.text, start + 2)
        if name is None:
            raise self.malformed(
                "`${` is not followed by a name", start, "a name such as ${VAR}, or $${ for a literal ${"
            )
        self.at = name.end()
        operator = _OPERATOR.match(self.text, self.at)
        operand: Template = ()
        if operator:
            self.at = operator.end()
            operand = self.template(depth + 1)
        if self.at >= len(self.text):
            raise self.malformed(f"`${{{name[0]}` is not closed", start, "a closing `}`")
        if self.text[self.at] != "}":
            what = f"`{self.text[self.at]}` after `${{{name[0]}` is not an operator"
            raise self.malformed(what, self.at, "one of `}`, `:-`, `-`, `:?`, `?`, `:+`, `+`")
        self.at += 1
        return Reference(name[0], operator[0] if operator else "", operand)
