"""What a run will do, before anything is started, and what a person can set for it."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field

from winslow_dagster.formatting import count_of, format_duration
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.projects.domain.views import VariableOrigin, View

FEW = 3
"""As many stages are named; of more, the number is said."""
ALONE = 1
UNITS = {
    "SECONDS": "s",
    "S": "s",
    "MS": "ms",
    "MINUTES": "min",
    "HOURS": "h",
    "HZ": "Hz",
    "M": "m",
    "MM": "mm",
    "CM": "cm",
    "KM": "km",
    "KMH": "km/h",
    "PX": "px",
    "DEG": "°",
    "PERCENT": "%",
    "MB": "MB",
    "GB": "GB",
}
"""The end of a variable's name -> its unit, as people write it."""
ONE_OF = re.compile(
    r"\b(?:one of|either)[:\s]\s*(?P<values>[^.;]+)|\bof (?P<words>[\w-]+(?:, [\w-]+){2,})", re.IGNORECASE
)
WORD = re.compile(r"[\w./+-]{1,40}")

ParameterKind = Literal["text", "number", "boolean"]


class RunFault(View):
    """What is wrong with one field: `env.NAME`, `set.memory`, `input.NAME`, …; empty: with all of them together."""

    field: str
    message: str


class RunPlan(View):
    """What a run would do. Nothing has been started or changed for it.

    `stages` run, each after its upstream stages; `kept` keep their outputs, which stay up to date; `outdated` keep
    theirs, too, but these are out of date afterwards. `questions` are stages before which the run waits for an answer.
    `estimated_s` is the duration of one run by the last attempts of its stages, None if one of them has none. `gpus` is
    the most that one of its stages needs, and `optional_gpus` the most that one uses if the node has them. `runs` is
    more than 1 for a sweep. `busy`: why it cannot be started now. `text` says all that in one sentence.
    """

    project: str
    pipeline: str
    stages: tuple[str, ...]
    kept: tuple[str, ...] = ()
    outdated: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    estimated_s: float | None = None
    gpus: int = 0
    optional_gpus: int = 0
    runs: int = 1
    max_concurrent: int | None = None
    again: bool = True
    busy: str = ""
    text: str = ""


class Parameter(View):
    """One variable that a stage may have, as the file and the last attempt wrote it.

    `default` is what it has without settings of a run, from `origin`; `last` what the last attempt had, None before the
    first; `set_by_run` whether that attempt's run set it. A secret has neither, only its name; `last_secret` is the
    stored secret that the run set it to.
    """

    name: str
    kind: ParameterKind = "text"
    unit: str = ""
    choices: tuple[str, ...] = ()
    description: str = ""
    default: str = ""
    origin: VariableOrigin = "stage"
    last: str | None = None
    last_origin: VariableOrigin | None = None
    secret: bool = False
    last_secret: str | None = None

    @property
    def set_by_run(self) -> bool:
        """Whether the last attempt's run set it."""
        return self.last_origin in {"run", "settings"}


class Setting(View):
    """Arguments, image or a limit of a stage, as text. `last` is None before the first attempt."""

    name: str
    default: str
    last: str | None = None
    set_by_run: bool = False


class CandidateOutputs(View):
    """Earlier outputs of an upstream stage that a run can start from. `current`: they are the stage's outputs now."""

    stage: str
    number: int
    task_id: str
    current: bool


class InputParameter(View):
    """An input of the project: the file that it has now, and the one that the last attempt read. Empty without one."""

    name: str
    current: str = ""
    last: str = ""


class SettableStage(View):
    """What a person may set for one stage when it runs again. `attempt` is the one that `last` is about."""

    stage: str
    attempt: int | None
    variables: tuple[Parameter, ...]
    settings: tuple[Setting, ...]


class StageParameters(SettableStage):
    """Everything that a person may set when a stage and those that follow it run again.

    `following` are the stages that follow, each after its upstream stages, beside the attempts whose outputs they have.
    `later`: each of them -> the stages that follow and run if the run stops after it.
    """

    project: str
    pipeline: str
    inputs: tuple[InputParameter, ...] = ()
    candidates: tuple[CandidateOutputs, ...] = ()
    following: tuple[SettableStage, ...] = ()
    later: dict[str, tuple[str, ...]] = Field(default_factory=dict)


def kind_of(*values: str | None) -> ParameterKind:
    """What a variable seems to be, by its values: the file declares no types."""
    given = [value for value in values if value]
    if given and all(value.lower() in {"true", "false"} for value in given):
        return "boolean"
    return "number" if given and all(parse_finite(value) is not None for value in given) else "text"


def unit_of(name: str) -> str:
    """The unit in a variable's name, such as `m` of `MIN_TRAVEL_M`."""
    if name.upper().endswith("KM_H"):
        return "km/h"
    first, _, last = name.upper().rpartition("_")
    return UNITS.get(last, "") if first else ""


def choices_of(description: str, default: str) -> tuple[str, ...]:
    """The values that a comment lists, as `one of: a, b` or `the first of a, b, c`: suggestions only."""
    match = ONE_OF.search(description)
    if match is None:
        return ()
    listed = [WORD.match(part.strip()) for part in re.split(r",|\bor\b", match["values"] or match["words"])]
    found = dict.fromkeys([default, *(word[0] for word in listed if word)])
    return tuple(value for value in found if value)


def sentence_of(plan: RunPlan) -> str:
    """What will happen, in one sentence."""
    parts = [_what_runs(plan), _how_long(plan)]
    if plan.gpus:
        parts.append("one GPU" if plan.gpus == ALONE else f"{plan.gpus} GPUs")
    elif plan.optional_gpus:
        parts.append(
            "one GPU if there is one" if plan.optional_gpus == ALONE else f"{plan.optional_gpus} GPUs if there are any"
        )
    text = ", ".join(parts)
    if plan.questions:
        text += f"; it waits for an answer before {_named(plan.questions, 'stages')}"
    if plan.runs > ALONE:
        text += "; pick one afterwards"
    elif plan.outdated:
        verb = "is" if len(plan.outdated) == ALONE else "are"
        text += f"; {_named(plan.outdated, 'stages')} {verb} out of date afterwards"
    if plan.kept and plan.runs == ALONE:
        text += f"; {_named(plan.kept, '')} {'is' if len(plan.kept) == ALONE else 'are'} kept"
    return f"{text}."


def _what_runs(plan: RunPlan) -> str:
    again = " again" if plan.again else ""
    if plan.runs > ALONE:
        at_once = f", at most {plan.max_concurrent} at once" if plan.max_concurrent else ""
        return f"{plan.runs} runs of {_named(plan.stages, 'stages')}{at_once}"
    alone = len(plan.stages) == ALONE
    return f"{plan.stages[0] if alone else count_of(len(plan.stages), 'stage')} run{'s' if alone else ''}{again}"


def _how_long(plan: RunPlan) -> str:
    each = " each" if plan.runs > ALONE else ""
    if plan.estimated_s is None:
        return f"for how long{each} is not known yet"
    return f"about {format_duration(plan.estimated_s)}{each} judged by the last attempts"


def _named(stages: tuple[str, ...], noun: str) -> str:
    if len(stages) > FEW:
        return f"{len(stages)} {noun}".strip()
    *before, last = stages
    return f"{', '.join(before)} and {last}" if before else last
