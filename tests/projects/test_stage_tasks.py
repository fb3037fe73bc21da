"""From what a run asks to the task a runner serves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.pipelines.model.pipeline import Pipeline, Stage
from winslow_dagster.pipelines.model.stage_rules import Gpu
from winslow_dagster.projects.domain.answer import Answer
from winslow_dagster.projects.domain.model import Project
from winslow_dagster.projects.domain.run_request import RunRequest
from winslow_dagster.projects.planning.result_cache import fingerprint
from winslow_dagster.projects.planning.stage_tasks import StageInRun, stage_task
from winslow_dagster.settings import Settings
from winslow_dagster.stages.launchers.docker.spec import PLACES
from winslow_dagster.stages.launchers.stage_variables import own_variables, planned_variables
from winslow_dagster.stages.task.model import StageTask
from winslow_dagster.storage.manifest import FileEntry, Manifest
from winslow_dagster.storage.secrets import SecretStore

DETECT = Stage(
    name="detect", image="tracker", args=("-v",), env={"LEVEL": "stage", "A": "stage"}, gpu=Gpu(vendor="amd")
)
PIPELINE = Pipeline(name="p", env={"LEVEL": "pipeline"}, stages=(DETECT, Stage(name="export", image="tracker")))
SAID = Manifest(address="answers/1", files=(FileEntry(path="answer.json", size_bytes=2, blake3="b"),))


def task(tmp_path: Path, stage: Stage = DETECT, answer: Answer | None = None, **settings: Any) -> StageTask:
    project = Project("ulm", "p", "d", {"LEVEL": "project"}, datetime.now(UTC), "anna")
    request = RunRequest.checked(
        PIPELINE, {"project": "ulm", "stages": {stage.name: settings}} if settings else {"project": "ulm"}
    )
    part = StageInRun(PIPELINE, "d", stage, project, request, "run1", 1)
    return stage_task(Settings.read({"WINSLOW_HOME": str(tmp_path)}), part, {}, answer)


def test_what_a_run_says_wins_over_the_pipeline_file(tmp_path: Path) -> None:
    changed = task(tmp_path, image="other", args=["-q"], cpus=3, memory="2GiB", timeout="1h", env={"A": "run"})
    assert (changed.image, changed.args, changed.cpus) == ("other", ("-q",), 3)
    assert (changed.memory_bytes, changed.timeout_s) == (2 * 1024**3, 3600)
    assert changed.env_layers[-1] == {"A": "run"}
    assert task(tmp_path).image == "tracker"


def test_a_run_gives_a_stage_more_gpus_or_none(tmp_path: Path) -> None:
    assert task(tmp_path).gpu == Gpu(vendor="amd")
    assert task(tmp_path, gpu=2).gpu == Gpu(vendor="amd", count=2)
    assert task(tmp_path, gpu=0).gpu is None
    assert task(tmp_path, PIPELINE.stage("export"), gpu=1).gpu == Gpu(count=1)
    with pytest.raises(InputRejected, match=r"stages\.detect\.gpu"):
        task(tmp_path, gpu=-1)


def test_an_image_s_variables_are_filled_in_as_the_stage_would_see_them(tmp_path: Path) -> None:
    tagged = Stage(name="detect", image="tracker:${TAG:-1.0}", env={"TAG": ""})
    assert task(tmp_path, tagged).image == "tracker:1.0"
    assert task(tmp_path, tagged, env={"TAG": "2.1"}).image == "tracker:2.1"
    with pytest.raises(InputRejected, match=r"image of stage detect.*is not an image name"):
        task(tmp_path, tagged, env={"TAG": "no such"})


def test_an_answer_is_a_resource_and_its_variables_lie_between_project_and_run(tmp_path: Path) -> None:
    answer = Answer("ulm", "p", "detect", SAID, "anna", variables={"SIDE": "north"})
    answered = task(tmp_path, answer=answer, env={"SIDE": "south"})
    assert answered.resources == {"answer": SAID}
    assert answered.env_layers[3:] == (
        {"LEVEL": "project"},
        {"WINSLOW_ANSWER_FILE": "${WINSLOW_RESOURCES_DIR}/answer/answer.json", "SIDE": "north"},
        {},
        {"SIDE": "south"},
    )
    assert task(tmp_path).resources == {}


def test_a_task_names_the_tags_of_the_nodes_it_can_run_on(tmp_path: Path) -> None:
    assert task(tmp_path, Stage(name="detect", image="tracker", node_tags=("fast-disk",))).node_tags == ("fast-disk",)
    assert task(tmp_path).node_tags == ()


@pytest.mark.parametrize("memory_bytes", [None, 1 << 30])
def test_the_fingerprint_of_a_task_is_the_same_on_every_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory_bytes: int | None
) -> None:
    names = ("WINSLOW_CPUS", "WINSLOW_MEMORY_BYTES", "WINSLOW_GPU_COUNT", "CUDA_VISIBLE_DEVICES")
    args = tuple(f"${{{name}}}" for name in names)
    stage = Stage(name="detect", image="tracker", args=args, env={"HEAP": args[1]}, cpus=16, memory_bytes=memory_bytes)

    def on_machine(cpus: int, total_bytes: int) -> str:
        memory = psutil.virtual_memory()._replace(total=total_bytes)
        monkeypatch.setattr(psutil, "cpu_count", lambda: cpus)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
        return fingerprint(task(tmp_path, stage))

    assert on_machine(2, 4 << 30) == on_machine(64, 512 << 30)
    assert fingerprint(task(tmp_path, stage)) != fingerprint(task(tmp_path, stage, cpus=4))
    assert fingerprint(task(tmp_path, stage)) != fingerprint(task(tmp_path, stage, memory="2GiB"))


def test_what_only_a_node_knows_stands_for_itself_in_a_plan(tmp_path: Path) -> None:
    stage = Stage(name="detect", image="tracker", gpu=Gpu(optional=True))
    own = planned_variables(task(tmp_path, stage), PLACES)
    assert (own["WINSLOW_MEMORY_BYTES"], own["WINSLOW_GPU_COUNT"]) == (
        "${WINSLOW_MEMORY_BYTES}",
        "${WINSLOW_GPU_COUNT}",
    )
    assert set(own) == set(own_variables(task(tmp_path, stage), PLACES, ()))


def test_a_task_has_references_to_secrets_and_its_fingerprint_follows_their_values(tmp_path: Path) -> None:
    store = SecretStore(Settings.read({"WINSLOW_HOME": str(tmp_path)}).secrets_dir)
    stage = Stage(name="detect", image="tracker", env={"TOKEN": {"secret": True}})
    with pytest.raises(NotFound, match="stage detect: the secret TOKEN is not stored"):
        task(tmp_path, stage)
    prints = []
    for name, value in (("TOKEN", "one value"), ("TOKEN", "another value"), ("OTHER", "one value")):
        store.set(name, value)
        made = task(tmp_path, stage, env={"TOKEN": {"secret": name}})
        assert value not in made.model_dump_json()
        assert made.secrets["TOKEN"].secret == name
        prints.append(fingerprint(made))
    assert prints[0] != prints[1]
    assert prints[0] == prints[2], "the same value under another name makes the same outputs"
