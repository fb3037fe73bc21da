"""Runs the checks of a pipeline on the outputs of a stage. Malformed files are findings, not errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from winslow_dagster.formatting import count_of, format_size
from winslow_dagster.globs import matching_files
from winslow_dagster.pipelines.model.output_checks import Check, CsvCheck, FileCheck, JsonCheck, ResultCheck
from winslow_dagster.pipelines.problems import nearest, printable, shown
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.stages.checks.findings import CheckFinding, out_of_bounds
from winslow_dagster.stages.checks.json_check import check_json
from winslow_dagster.stages.checks.promised_outputs import near_misses
from winslow_dagster.stages.checks.table_check import check_table
from winslow_dagster.stages.task.model import CheckResult

LONGEST_MESSAGE = 500


def evaluate(checks: Sequence[Check], output: Path, results: Mapping[str, str]) -> tuple[CheckResult, ...]:
    """The result of each check. `results` are those that the stage reported in its log. Raises nothing."""
    return tuple(_result(check, _found(check, output, results)) for check in checks)


def _result(check: Check, found: CheckFinding) -> CheckResult:
    return CheckResult(
        name=check.name,
        passed=not found.fault,
        severity=check.severity,
        blocking=check.blocking,
        message=printable(found.fault or found.message)[:LONGEST_MESSAGE],
        file=printable(found.file),
        observed={
            printable(key): printable(seen) if isinstance(seen, str) else seen for key, seen in found.observed.items()
        },
    )


def _found(check: Check, output: Path, results: Mapping[str, str]) -> CheckFinding:
    if isinstance(check, ResultCheck):
        return _result_finding(check, results)
    try:
        return _in_files(check, output)
    except OSError as error:
        return CheckFinding(f"{check.glob} cannot be read: {error.strerror or error}")


def _in_files(check: FileCheck | CsvCheck | JsonCheck, output: Path) -> CheckFinding:
    """One finding for all matching files. Raises OSError."""
    names = matching_files(output, check.glob)
    if isinstance(check, FileCheck) and not check.exists:
        return CheckFinding(f"{names[0]} exists, but must not" if names else "", f"no file matches {check.glob}")
    if not names:
        return CheckFinding(f"no file matches {check.glob}{_suggestion(check.glob, output)}")
    found = [_in_file(check, output, name) for name in names]
    bad = [one for one in found if one.fault]
    if len(bad) > 1:
        return CheckFinding(
            f"{bad[0].fault}; and {count_of(len(bad) - 1, 'more file')}", "", bad[0].file, bad[0].observed
        )
    if bad or len(found) == 1:
        return (bad or found)[0]
    return CheckFinding("", f"{count_of(len(found), 'file')} match {check.glob}", "", {"files": len(found)})


def _in_file(check: FileCheck | CsvCheck | JsonCheck, output: Path, name: str) -> CheckFinding:
    path = output / name
    if not path.resolve().is_relative_to(output.resolve()):
        # A stage must not make the runner read other files of the node.
        return CheckFinding(f"{name} is a link that points out of the output directory", file=name)
    match check:
        case CsvCheck():
            return check_table(check, path, name)
        case JsonCheck():
            return check_json(check, path, name)
        case FileCheck():
            return _size_finding(check, path, name)


def _size_finding(check: FileCheck, path: Path, name: str) -> CheckFinding:
    size = path.stat().st_size
    message = f"the size of {name} is {format_size(size)}"
    fault = ""
    if check.min_size_bytes is not None and size < check.min_size_bytes:
        fault = f"{message}, below {format_size(check.min_size_bytes)}"
    elif check.max_size_bytes is not None and size > check.max_size_bytes:
        fault = f"{message}, above {format_size(check.max_size_bytes)}"
    return CheckFinding(fault, message, name, {"size_bytes": size})


def _suggestion(glob: str, output: Path) -> str:
    near = near_misses(glob, matching_files(output, "**"))
    return f"; did you mean {near[0]}?" if near else ""


def _result_finding(check: ResultCheck, results: Mapping[str, str]) -> CheckFinding:
    written = results.get(check.key)
    if written is None:
        close = nearest(check.key, results)
        hint = f"; did you mean {close}?" if close else ""
        return CheckFinding(f"the stage did not report the result {shown(check.key)}{hint}")
    value = parse_finite(written)
    if value is None:
        bounded = check.min is not None or check.max is not None
        fault = f"{check.key} is {shown(written)}, which is not a number" if bounded else ""
        return CheckFinding(fault, f"{check.key} is {shown(written)}", observed={check.key: written})
    outside = out_of_bounds(value, check.min, check.max)
    message = f"{check.key} is {value:g}"
    return CheckFinding(f"{message}, {outside}" if outside else "", message, observed={check.key: value})
