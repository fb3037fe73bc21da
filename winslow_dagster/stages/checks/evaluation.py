"""What a stage wrote, held against the checks of its pipeline. Nothing that is in a file is an error here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from winslow_dagster.formatting import count_of, format_size
from winslow_dagster.globs import matching_files
from winslow_dagster.pipelines.model.output_checks import Check, CsvCheck, FileCheck, JsonCheck, ResultCheck
from winslow_dagster.pipelines.problems import nearest, printable, shown
from winslow_dagster.pipelines.units import parse_finite
from winslow_dagster.stages.checks.findings import Found, out_of_bounds
from winslow_dagster.stages.checks.json_check import checked_json
from winslow_dagster.stages.checks.promised_outputs import near_misses
from winslow_dagster.stages.checks.table_check import checked_table
from winslow_dagster.stages.task.model import CheckResult

LONGEST_MESSAGE = 500


def evaluate(checks: Sequence[Check], output: Path, results: Mapping[str, str]) -> tuple[CheckResult, ...]:
    """What came of each check. `results` are those that the stage said in its log. Raises nothing."""
    return tuple(_result(check, _found(check, output, results)) for check in checks)


def _result(check: Check, found: Found) -> CheckResult:
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


def _found(check: Check, output: Path, results: Mapping[str, str]) -> Found:
    if isinstance(check, ResultCheck):
        return _said(check, results)
    try:
        return _in_files(check, output)
    except OSError as error:
        return Found(f"{check.glob} cannot be read: {error.strerror or error}")


def _in_files(check: FileCheck | CsvCheck | JsonCheck, output: Path) -> Found:
    """All files that match, together. Raises OSError."""
    names = matching_files(output, check.glob)
    if isinstance(check, FileCheck) and not check.exists:
        return Found(f"{names[0]} is there, and should not be" if names else "", f"{check.glob} is not there")
    if not names:
        return Found(f"{check.glob} is not there{_meant(check.glob, output)}")
    found = [_in_file(check, output, name) for name in names]
    bad = [one for one in found if one.fault]
    if len(bad) > 1:
        return Found(f"{bad[0].fault}; and {count_of(len(bad) - 1, 'more file')}", "", bad[0].file, bad[0].observed)
    if bad or len(found) == 1:
        return (bad or found)[0]
    return Found("", f"{count_of(len(found), 'file')} match {check.glob}", "", {"files": len(found)})


def _in_file(check: FileCheck | CsvCheck | JsonCheck, output: Path, name: str) -> Found:
    path = output / name
    if not path.resolve().is_relative_to(output.resolve()):
        # What lies elsewhere on the node is nobody's to read.
        return Found(f"{name} is a link that leads out of the output directory", file=name)
    match check:
        case CsvCheck():
            return checked_table(check, path, name)
        case JsonCheck():
            return checked_json(check, path, name)
        case FileCheck():
            return _size(check, path, name)


def _size(check: FileCheck, path: Path, name: str) -> Found:
    size = path.stat().st_size
    message = f"{name} has {format_size(size)}"
    fault = ""
    if check.min_size_bytes is not None and size < check.min_size_bytes:
        fault = f"{message}, below {format_size(check.min_size_bytes)}"
    elif check.max_size_bytes is not None and size > check.max_size_bytes:
        fault = f"{message}, above {format_size(check.max_size_bytes)}"
    return Found(fault, message, name, {"size_bytes": size})


def _meant(glob: str, output: Path) -> str:
    near = near_misses(glob, matching_files(output, "**"))
    return f"; did you mean {near[0]}?" if near else ""


def _said(check: ResultCheck, results: Mapping[str, str]) -> Found:
    written = results.get(check.key)
    if written is None:
        close = nearest(check.key, results)
        hint = f"; did you mean {close}?" if close else ""
        return Found(f"the stage did not say the result {shown(check.key)}{hint}")
    value = parse_finite(written)
    if value is None:
        bounded = check.min is not None or check.max is not None
        fault = f"{check.key} is {shown(written)}, which is no number" if bounded else ""
        return Found(fault, f"{check.key} is {shown(written)}", observed={check.key: written})
    outside = out_of_bounds(value, check.min, check.max)
    message = f"{check.key} is {value:g}"
    return Found(f"{message}, {outside}" if outside else "", message, observed={check.key: value})
