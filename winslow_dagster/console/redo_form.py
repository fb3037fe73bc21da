"""The form of the redo drawer: what a person has entered, as the front door takes it, and as a command."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import FormData

from winslow_dagster.console.commands import command
from winslow_dagster.errors import InputRejected
from winslow_dagster.projects.domain.run_plan import RunFault, SettableStage, StageParameters
from winslow_dagster.projects.domain.setting_text import read_setting
from winslow_dagster.projects.domain.sweep_values import read_values


@dataclass(frozen=True, slots=True)
class EnteredRedo:
    """A redo as it was entered. With `values`, it is a sweep. `faults` are texts that could not be read."""

    stage: str
    pipeline: str | None
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    inputs: dict[str, str] = field(default_factory=dict)
    use: dict[str, str] = field(default_factory=dict)
    only: bool = False
    stop_after: str | None = None
    reuse: bool = False
    values: dict[str, tuple[str, ...]] | None = None
    max_concurrent: int | None = None
    reason: str = ""
    faults: tuple[RunFault, ...] = ()

    @property
    def plannable(self) -> dict[str, Any]:
        """The arguments of `plan` by name."""
        names = ("pipeline", "settings", "inputs", "use", "only", "stop_after", "reuse", "values", "max_concurrent")
        return {name: getattr(self, name) for name in names}

    @property
    def redoable(self) -> dict[str, Any]:
        """The arguments of `redo` by name."""
        names = ("pipeline", "settings", "inputs", "use", "only", "stop_after", "reuse", "reason")
        return {name: getattr(self, name) for name in names}

    @property
    def sweepable(self) -> dict[str, Any]:
        """The arguments of `sweep` by name."""
        names = ("values", "pipeline", "settings", "use", "stop_after", "reuse", "max_concurrent", "reason")
        return {name: getattr(self, name) for name in names}


def entered(form: FormData, known: StageParameters, pipeline: str | None) -> EnteredRedo:
    """What differs from the defaults. A text that cannot be read is a fault of its field."""
    texts = {name: value.replace("\r\n", "\n") for name, value in form.multi_items() if isinstance(value, str)}
    reading = _Reading(texts)
    sweeps = texts.get("sweep") == "yes"
    values = reading.stage(known, "", sweeps=sweeps) | reading.more_variables(known.stage, sweeps=sweeps)
    until = texts.get("until", "")
    # A sweep runs the stage alone, unless it is told where to stop.
    reached = known.later.get(until, ()) if until or sweeps else tuple(known.later)
    for each in known.following:
        if each.stage in reached:
            reading.stage(each, field_prefix(known.stage, each.stage))
    named = {each.name: texts.get(f"input.{each.name}", "").strip() for each in known.inputs}
    inputs = {name: text for name, text in named.items() if text}
    if sweeps:
        reading.faults += [
            RunFault(field=f"input.{name}", message="A sweep keeps the project's inputs") for name in inputs
        ]
        if not values:
            reading.faults.append(RunFault(field="sweep", message="Give a variable several values, such as 1, 2, 5"))
    return EnteredRedo(
        stage=known.stage,
        pipeline=pipeline,
        settings=reading.changed,
        inputs=inputs,
        use={name.removeprefix("use."): value for name, value in texts.items() if name.startswith("use.") and value},
        only=not sweeps and until == known.stage,
        stop_after=until if until not in {"", known.stage} else None,
        reuse=texts.get("reuse") == "yes",
        values=values if sweeps else None,
        max_concurrent=reading.limit(texts.get("max_concurrent", "")) if sweeps else None,
        reason=texts.get("reason", "").strip(),
        faults=tuple(reading.faults),
    )


def field_prefix(chosen: str, stage: str) -> str:
    """What the names of a stage's fields begin with: those of the chosen stage with nothing."""
    return "" if stage == chosen else f"{stage}/"


class _Reading:
    """Reads the fields of one stage after the other, and keeps what is wrong with each."""

    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts
        self.changed: dict[str, dict[str, Any]] = {}
        self.faults: list[RunFault] = []

    def stage(self, known: SettableStage, prefix: str, *, sweeps: bool = False) -> dict[str, tuple[str, ...]]:
        """Set what differs from the defaults. Returns the variables that a sweep has several values for."""
        env: dict[str, Any] = {}
        values: dict[str, tuple[str, ...]] = {}
        for each in known.variables:
            field = f"{prefix}env.{each.name}"
            if each.last_secret is not None and self._texts.get(field) == "yes":
                env[each.name] = {"secret": each.last_secret}
            if each.secret or field not in self._texts:
                continue
            text = self._texts[field]
            listed = self._listed(field, text) if sweeps and text and text != each.default else (text,)
            if len(listed) > 1:
                values[each.name] = listed
            elif listed[0] != each.default:
                env[each.name] = listed[0]
        if env:
            self.changed.setdefault(known.stage, {})["env"] = env
        self._settings(known, prefix)
        return values

    def _listed(self, field: str, text: str) -> tuple[str, ...]:
        try:
            return read_values(text)
        except InputRejected as error:
            self._fault(field, error)
            return (text,)

    def more_variables(self, stage: str, *, sweeps: bool) -> dict[str, tuple[str, ...]]:
        """The same for variables of the stage that neither the file nor its last attempt has."""
        values: dict[str, tuple[str, ...]] = {}
        for line in self._texts.get("more_env", "").splitlines():
            name, equals, value = (part.strip() for part in line.partition("="))
            if equals and name:
                listed = self._listed("more_env", value) if sweeps and value else (value,)
                if len(listed) > 1:
                    values[name] = listed
                else:
                    self.changed.setdefault(stage, {}).setdefault("env", {})[name] = listed[0]
            elif line.strip():
                self.faults.append(RunFault(field="more_env", message=f"{line.strip()!r} is not NAME=VALUE"))
        return values

    def _settings(self, known: SettableStage, prefix: str) -> None:
        """Set arguments, image and limits that differ from their defaults. An empty field keeps its default."""
        for each in known.settings:
            field = f"{prefix}set.{each.name}"
            text = self._texts.get(field, "").strip()
            if text and text != each.default:
                try:
                    self.changed.setdefault(known.stage, {})[each.name] = read_setting(each.name, text)
                except InputRejected as error:
                    self._fault(field, error)

    def limit(self, text: str) -> int | None:
        """How many runs of the sweep run at once."""
        if text.strip() and not text.strip().isdecimal():
            self.faults.append(RunFault(field="max_concurrent", message="This is not a number"))
            return None
        return int(text) if text.strip() else None

    def _fault(self, name: str, error: InputRejected) -> None:
        expected = f"; expected {error.expected}" if error.expected else ""
        self.faults.append(RunFault(field=name, message=f"{error.what[:1].upper()}{error.what[1:]}{expected}"))


def command_of(project: str, redo: EnteredRedo) -> str:
    """The command that does the same."""
    sweeps = redo.values is not None
    words = ["sweep" if sweeps else "redo", project, redo.stage]
    for name, listed in (redo.values or {}).items():
        words += ["--env", f"{name}={', '.join(map(_quoted, listed))}"]
    for stage, changed in redo.settings.items():
        for name, value in changed.items():
            words += _words(stage, name, value, own=stage == redo.stage and not sweeps)
    for name, path in redo.inputs.items():
        words += ["--input", f"{name}={path}"]
    for name, attempt in redo.use.items():
        words += ["--use", f"{name}={attempt}"]
    words += ["--only"] if redo.only else []
    words += ["--stop-after", redo.stop_after] if redo.stop_after else []
    words += ["--reuse"] if redo.reuse else []
    words += ["--max-concurrent", str(redo.max_concurrent)] if redo.max_concurrent else []
    words += ["--pipeline", redo.pipeline] if redo.pipeline else []
    words += ["--reason", redo.reason] if redo.reason else []
    return command(*words)


def _words(stage: str, name: str, value: Any, *, own: bool) -> list[str]:
    if name != "env":
        return ["--set", f"{stage}.{name}={shlex.join(value) if name == 'args' else value}"]
    words: list[str] = []
    for variable, text in value.items():
        if isinstance(text, Mapping):
            words += ["--secret", f"{variable}={text['secret']}"] if own else []
        else:
            words += ["--env", f"{variable}={text}"] if own else ["--set", f"{stage}.env.{variable}={text}"]
    return words


def _quoted(value: str) -> str:
    return '"' + value.replace('"', '""') + '"' if "," in value or '"' in value else value
