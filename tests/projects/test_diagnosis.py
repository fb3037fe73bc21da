"""What a check of the installation finds, part by part."""

from __future__ import annotations

from pathlib import Path

from winslow_dagster.engines.memory import InMemoryEngine
from winslow_dagster.pipelines import Catalogue
from winslow_dagster.projects.commands.diagnosis import containers
from winslow_dagster.settings import Settings

PIPELINE = """\
name: images
stages:
  - {name: ours, image: "winslow/tracker-application:0.1.0"}
  - {name: theirs, image: "registry.example.org/counter:2"}
"""


def test_on_a_cluster_images_that_no_registry_has_are_named_with_the_way_to_each_node(tmp_path: Path) -> None:
    (tmp_path / "images.yaml").write_text(PIPELINE)
    settings = Settings.read(
        {
            "WINSLOW_HOME": str(tmp_path / "home"),
            "WINSLOW_ENGINE": "slurm",
            "WINSLOW_CONTROL_PLANE_URL": "https://winslow.example",
        }
    )
    pipelines = [loaded.pipeline for loaded in Catalogue.read(tmp_path).pipelines.values()]

    docker, ours = containers(settings, InMemoryEngine(), pipelines)

    assert (docker.name, docker.state) == ("docker", "ok")
    assert (ours.name, ours.state) == ("image winslow/tracker-application:0.1.0", "warn")
    assert "docker save winslow/tracker-application:0.1.0 | ssh NODE docker load" in str(ours.remedy)
