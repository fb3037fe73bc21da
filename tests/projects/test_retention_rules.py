"""What retention removes, for all rules, picks and pins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from winslow_dagster.globs import matches
from winslow_dagster.pipelines.model.pipeline import Highlight, Pipeline, RetentionRule, Stage
from winslow_dagster.projects.domain.lineage import Pick
from winslow_dagster.projects.domain.model import Attempt
from winslow_dagster.projects.retention.rules import (
    History,
    Removal,
    StoredAttempt,
    removals_by_rules,
)
from winslow_dagster.storage.manifest import FileEntry, Manifest, replaced

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FILES = ("result.mp4", "trajectories.csv", "frames/0001.jpg", "charts/speed.png")
GLOBS = ("**", "*.mp4", "*.csv", "frames/**", "**/*.png", "nothing")


def attempt(number: int, **changed: object) -> Attempt:
    started_at = NOW - timedelta(days=100 - number)
    stored = Attempt(
        task_id=f"run{number}.detect.1",
        project="ulm-07",
        pipeline="traffic",
        pipeline_digest="d",
        stage="detect",
        attempt=1,
        run_id=f"run{number}",
        started_at=started_at,
        ended_at=started_at + timedelta(hours=1),
        outcome="succeeded",
        message="",
        node="",
        mode=None,
        image_digest=None,
    )
    return replace(stored, **changed)  # type: ignore[arg-type]  # the fields of the test at hand


def tree(address: str, files: tuple[str, ...] = FILES) -> Manifest:
    return Manifest(
        address=address, files=tuple(FileEntry(path=path, size_bytes=10, blake3=address + path) for path in files)
    )


def success(number: int, files: tuple[str, ...] = FILES, **changed: object) -> StoredAttempt:
    one = attempt(number, **changed)
    outputs = tree(f"{one.task_id}/output", files)
    return StoredAttempt(replace(one, output_address=outputs.address), outputs, tree(f"{one.task_id}/log", ("log",)))


def failure(number: int, leftover_bytes: int | None = 7) -> StoredAttempt:
    one = attempt(number, outcome="failed")
    return StoredAttempt(one, None, tree(f"{one.task_id}/log", ("log",)), leftover_bytes)


def pipeline(*keep: RetentionRule, highlight: str | None = None) -> Pipeline:
    shown = () if highlight is None else (Highlight(glob=highlight),)
    return Pipeline(name="traffic", stages=(Stage(name="detect", retention=keep, highlights=shown),))


def gone(*histories: History) -> dict[str, tuple[str, ...] | None]:
    return {removal.address: removal.paths for removal in removals_by_rules(histories, NOW)}


def test_without_rules_everything_stays() -> None:
    assert removals_by_rules([History("ulm-07", pipeline(), (success(1), failure(2), success(3)))], NOW) == ()


def test_the_latest_attempts_stay_and_the_reason_counts_the_newer_ones() -> None:
    history = History("ulm-07", pipeline(RetentionRule(attempts=2)), (success(1), success(2), failure(3), success(4)))
    assert [
        (each.task_id, each.kind, each.paths, each.size_bytes, each.reason)
        for each in removals_by_rules([history], NOW)
    ] == [("run1.detect.1", "outputs", None, 40, "2 newer attempts")]


def test_a_rule_with_attempts_and_days_removes_only_what_neither_keeps() -> None:
    stored = (success(50), success(60), success(99), success(100))
    history = History("ulm-07", pipeline(RetentionRule(attempts=2, days=45)), stored)
    assert [(each.task_id, each.reason) for each in removals_by_rules([history], NOW)] == [
        ("run50.detect.1", "2 newer attempts and older than 45 days")
    ]


def test_the_first_matching_rule_applies_and_the_projects_own_precede() -> None:
    stored = (success(1), success(2))
    rules = (RetentionRule(glob="*.csv"), RetentionRule(attempts=1))
    assert gone(History("ulm-07", pipeline(*rules), stored)) == {
        "run1.detect.1/output": ("result.mp4", "frames/0001.jpg", "charts/speed.png")
    }
    assert gone(History("ulm-07", pipeline(*rules), stored, own_rules=(RetentionRule(),))) == {}
    assert gone(History("ulm-07", pipeline(*rules), stored, own_rules=(RetentionRule(attempts=1),))) == {
        "run1.detect.1/output": None
    }


def test_failed_attempts_lose_their_log_and_leftovers() -> None:
    history = History(
        "ulm-07", pipeline(RetentionRule(what="failed", days=30)), (success(1), failure(2), failure(99), success(100))
    )
    assert [(each.task_id, each.kind, each.address, each.size_bytes) for each in removals_by_rules([history], NOW)] == [
        ("run2.detect.1", "leftovers", "run2.detect.1", 7),
        ("run2.detect.1", "log", "run2.detect.1/log", 10),
    ]


def test_logs_of_successful_attempts_have_a_rule_of_their_own() -> None:
    history = History("ulm-07", pipeline(RetentionRule(what="logs", days=30)), (success(1), failure(2), success(100)))
    assert gone(history) == {"run1.detect.1/log": None}


def test_stored_files_leave_the_node_after_a_day_without_any_rule() -> None:
    old, young = replace(success(50), leftover_bytes=5), replace(success(100), leftover_bytes=5)
    nowhere_else = replace(success(51), leftover_bytes=5, log=None)
    assert gone(History("ulm-07", pipeline(), (old, nowhere_else, young))) == {"run50.detect.1": None}
    assert gone(History("ulm-07", pipeline(), (old, young), busy=True)) == {}


def test_a_file_that_another_project_reuses_stays_until_its_rules_remove_it_too() -> None:
    source = success(1)
    taken = StoredAttempt(replace(attempt(3), project="ulm-08", reused_from=source.attempt.task_id), source.outputs)
    rule = pipeline(RetentionRule(attempts=1))
    ulm = History("ulm-07", rule, (source, success(2)))
    assert gone(ulm) == {"run1.detect.1/output": None}
    assert gone(ulm, History("ulm-08", pipeline(), (taken,))) == {}
    other = History("ulm-08", rule, (taken, replace(success(4), attempt=replace(attempt(4), project="ulm-08"))))
    (removal,) = removals_by_rules([ulm, other], NOW)
    assert removal.task_ids == ("run1.detect.1", "run3.detect.1")


def test_a_file_in_a_composed_manifest_stays_with_it() -> None:
    source = success(1)
    assert source.outputs is not None
    composed = replaced(source.outputs, "result.mp4", by=tree("upload", ("new.mp4",)))
    history = History("ulm-07", pipeline(RetentionRule(attempts=1)), (source, StoredAttempt(attempt(2), composed)))
    assert gone(history) == {"run1.detect.1/output": ("result.mp4",)}


def test_a_replaced_file_is_removed_with_its_attempt() -> None:
    source = success(1)
    assert source.outputs is not None
    by_hand = attempt(2)
    composed = replaced(source.outputs, "result.mp4", by=tree(f"{by_hand.task_id}/by_hand", ("new.mp4",)))
    stored = (source, StoredAttempt(by_hand, composed))
    assert gone(History("ulm-07", pipeline(RetentionRule(attempts=1)), (*stored, success(3)))) == {
        "run1.detect.1/output": None,
        "run2.detect.1/by_hand": None,
    }
    assert gone(History("ulm-07", pipeline(RetentionRule(attempts=1)), stored)) == {
        "run1.detect.1/output": ("result.mp4",)
    }


RULES = st.lists(
    st.builds(
        RetentionRule,
        what=st.sampled_from(["outputs", "failed", "logs"]),
        glob=st.sampled_from(GLOBS),
        attempts=st.none() | st.integers(1, 3),
        days=st.none() | st.sampled_from([0.0, 20.0, 90.0]),
    ),
    max_size=3,
).map(tuple)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[History, ...]:
    """Two projects of one pipeline; attempts that failed, run, reuse one another's outputs, or are composed of them."""
    shared = Pipeline(
        name="traffic",
        stages=tuple(
            Stage(
                name=name,
                retention=draw(RULES),
                highlights=tuple(
                    Highlight(glob=glob) for glob in draw(st.lists(st.sampled_from(GLOBS[1:]), max_size=1))
                ),
            )
            for name in ("detect", "track")
        ),
    )
    stored: list[StoredAttempt] = []
    for number in range(draw(st.integers(0, 9))):
        outcome = draw(st.sampled_from(["succeeded", "succeeded", "succeeded", "failed", None]))
        one = attempt(
            number * 11,
            project=draw(st.sampled_from(["ulm-07", "ulm-08"])),
            stage=draw(st.sampled_from(["detect", "track"])),
            outcome=outcome,
        )
        if outcome is None:
            one = replace(one, ended_at=None)
        outputs = tree(f"{one.task_id}/output", tuple(draw(st.sets(st.sampled_from(FILES), min_size=1))))
        sources = [each for each in stored if each.outputs is not None and each.attempt.reused_from is None]
        if outcome == "succeeded" and sources and draw(st.integers(0, 3)) == 0:
            source = draw(st.sampled_from(sources))
            assert source.outputs is not None
            one = replace(one, reused_from=source.attempt.task_id)
            outputs = source.outputs
            if draw(st.booleans()) and not outputs.composed:
                place = draw(st.sampled_from([f"upload/{number}", f"{one.task_id}/by_hand"]))
                outputs = replaced(outputs, outputs.files[0].path, by=tree(place, ("new",)))
        left = outputs if outcome == "succeeded" else None
        log = None if outcome is None else tree(f"{one.task_id}/log", ("log",))
        stored.append(
            StoredAttempt(
                replace(one, output_address=None if left is None else left.address),
                left,
                log,
                draw(st.none() | st.just(3)),
            )
        )
    done = [each.attempt for each in stored if each.attempt.outcome == "succeeded"]
    picked = draw(st.lists(st.sampled_from(done), max_size=2)) if done else []
    pinned = draw(st.sets(st.sampled_from([each.attempt.task_id for each in stored]), max_size=2)) if stored else set()
    return tuple(
        History(
            project=project,
            pipeline=shared,
            attempts=tuple(each for each in stored if each.attempt.project == project),
            picks=tuple(
                Pick(project, "traffic", each.stage, each.task_id, NOW, "anna")
                for each in picked
                if each.project == project
            ),
            sweep_runs=draw(st.sets(st.sampled_from(["run0", "run11", "run22"]), max_size=1)),
            pinned=pinned,
            own_rules=draw(RULES),
            busy=draw(st.integers(0, 4)) == 0,
        )
        for project in ("ulm-07", "ulm-08")
    )


def places(manifest: Manifest | None) -> set[tuple[str, str]]:
    files = () if manifest is None else manifest.files
    return (
        {(place.address, place.path) for entry in files for place in (manifest.location(entry),)} if manifest else set()
    )


def places_of(removals: tuple[Removal, ...], histories: tuple[History, ...]) -> set[tuple[str, str]]:
    whole = {removal.address for removal in removals if removal.paths is None}
    everything = {place for history in histories for stored in history.attempts for place in places(stored.outputs)}
    logs = {place for history in histories for stored in history.attempts for place in places(stored.log)}
    return {place for place in everything | logs if place[0] in whole} | {
        (removal.address, path) for removal in removals for path in removal.paths or ()
    }


@given(worlds())
def test_protected_files_are_never_removed(histories: tuple[History, ...]) -> None:
    removals = removals_by_rules(histories, NOW)
    taken = places_of(removals, histories)
    for history in histories:
        shown = {} if history.pipeline is None else {each.name: each.highlights for each in history.pipeline.stages}
        for stored in history.attempts:
            one = stored.attempt
            if history.busy or one.ended_at is None or one.task_id in history.pinned or one.task_id in history.current:
                assert not places(stored.outputs) & taken
                assert not places(stored.log) & taken
            for entry in () if stored.outputs is None else stored.outputs.files:
                if any(matches(entry.path, each.glob) for each in shown[one.stage]):
                    assert stored.outputs is not None
                    place = stored.outputs.location(entry)
                    assert (place.address, place.path) not in taken
            if places(stored.outputs) & taken:
                assert any(one.task_id in removal.task_ids for removal in removals)
    assert not {address for address, _ in taken if address.startswith("upload")}


@given(worlds())
def test_after_one_pass_there_is_nothing_more_to_remove(histories: tuple[History, ...]) -> None:
    removals = removals_by_rules(histories, NOW)
    taken = places_of(removals, histories)
    losing = {task_id for removal in removals for task_id in removal.task_ids}
    leftovers = {removal.address for removal in removals if removal.kind == "leftovers"}

    def left(manifest: Manifest | None) -> Manifest | None:
        if manifest is None:
            return None
        files = tuple(
            entry
            for entry in manifest.files
            for place in (manifest.location(entry),)
            if (place.address, place.path) not in taken
        )
        return manifest.model_copy(update={"files": files}) if files else None

    after = tuple(
        replace(
            history,
            attempts=tuple(
                StoredAttempt(
                    replace(stored.attempt, outputs_removed_at=NOW)
                    if stored.attempt.task_id in losing
                    else stored.attempt,
                    left(stored.outputs),
                    left(stored.log),
                    None if stored.attempt.task_id in leftovers else stored.leftover_bytes,
                )
                for stored in history.attempts
            ),
        )
        for history in histories
    )
    assert removals_by_rules(after, NOW) == ()
    assert [history.current for history in after] == [history.current for history in histories]
