"""The diagnosis of an installation: each check is one function that yields findings and changes nothing."""

from __future__ import annotations

import os
import platform
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.parse import urlsplit
from uuid import uuid4

from winslow_dagster.actions import Action
from winslow_dagster.engines.engine import Engine, Node, NodeGpu, NodeImage, NodeUsage
from winslow_dagster.errors import ServiceUnavailable, WinslowError
from winslow_dagster.formatting import format_size
from winslow_dagster.hosts import canonical_host, is_loopback
from winslow_dagster.pipelines import Catalogue, Pipeline
from winslow_dagster.projects.commands.context import Context
from winslow_dagster.projects.commands.quotas import QuotaCommands
from winslow_dagster.projects.commands.space import SpaceCommands
from winslow_dagster.projects.dagster_api.serving import supervised
from winslow_dagster.projects.database.records import ProjectRecords
from winslow_dagster.settings import ANY_ADDRESS, Settings
from winslow_dagster.stages.launchers.docker.missing_image import built_here, how_to_copy, how_to_get
from winslow_dagster.storage.factory import open_store

State = Literal["ok", "warn", "missing"]
PYTHONS = ((3, 11), (3, 13))
PROGRAMS = {
    "tracker": "Run `make setup` in the source tree, or install tracker_application with pip",
    "ffmpeg": "Run `apt-get install ffmpeg`",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. `missing` keeps Winslow from working, `warn` from doing everything it can."""

    name: str
    state: State
    detail: str
    remedy: str | Action = ""


def findings(context: Context) -> Iterator[Finding]:
    """All findings, the basics first."""
    settings = context.settings
    catalogue = Catalogue.read(settings.pipelines_dir)
    pipelines = [loaded.pipeline for loaded in catalogue.pipelines.values()]
    nodes = context.engine.nodes()
    yield python()
    yield from map(machine, nodes)
    yield pipeline_files(catalogue)
    yield from containers(settings, context.engine, pipelines)
    yield gpus(nodes, pipelines)
    yield from programs(settings)
    yield store(settings)
    yield database(settings)
    yield from map(disk, context.engine.node_usage())
    yield links(settings)
    yield from filling_disks(context)
    yield from overrun_quotas(context)
    yield from services(context)


def versions() -> dict[str, str]:
    """Program -> version."""
    try:
        own = version("winslow-dagster")
    except PackageNotFoundError:
        own = "from a source tree that is not installed"
    return {
        "Winslow": own,
        "Dagster": version("dagster"),
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
    }


def python() -> Finding:
    """The interpreter."""
    lowest, highest = PYTHONS
    fits = lowest <= sys.version_info[:2] <= highest
    detail = f"{platform.python_version()} ({sys.executable})"
    return Finding("python", "ok" if fits else "missing", detail, "" if fits else "Use Python 3.11, 3.12 or 3.13")


def machine(node: Node) -> Finding:
    """Processors and memory that stages may use on a node, and whether it takes any."""
    detail = f"{node.name}: {node.cpus} processors, {format_size(node.memory_bytes)} of memory"
    if node.drain is not None:
        return Finding(
            "machine",
            "warn",
            f"{node.name} takes no new stage: it was {node.drain}",
            Action("resume_node", {"node": node.name}),
        )
    return Finding("machine", "ok", f"{detail}; tags: {', '.join(node.tags)}" if node.tags else detail)


def pipeline_files(catalogue: Catalogue) -> Finding:
    """The pipeline directory."""
    detail = f"{len(catalogue.pipelines)} in {catalogue.directory}"
    if catalogue.problems:
        files = len({problem.file for problem in catalogue.problems})
        return Finding("pipelines", "warn", f"{detail}; {files} cannot be used", Action("check_pipelines"))
    if not catalogue.pipelines:
        return Finding("pipelines", "warn", detail, "Write one, or set WINSLOW_PIPELINES_DIR")
    return Finding("pipelines", "ok", detail)


def containers(settings: Settings, engine: Engine, pipelines: list[Pipeline]) -> Iterator[Finding]:
    """Docker, and the images that the pipelines name."""
    if settings.stage_mode == "process":
        yield Finding("docker", "ok", "not used: WINSLOW_STAGE_MODE is process")
        return
    stages = [stage for pipeline in pipelines for stage in pipeline.stages]
    names = sorted({stage.image for stage in stages if stage.image and "${" not in stage.image})
    if settings.engine == "slurm":
        yield Finding("docker", "ok", "each node of the cluster pulls the images that it does not have")
        yield from map(image_to_copy, filter(built_here, names))
        return
    try:
        images = engine.images(names)
    except ServiceUnavailable as error:
        needed = settings.stage_mode == "docker"
        rest = "" if needed else "; stages with a `command` run as processes"
        where = f" ({error.where})" if error.where else ""
        yield Finding("docker", "missing" if needed else "warn", f"{error.what}{where}{rest}", error.remedy)
        return
    yield Finding("docker", "ok", ", ".join(dict.fromkeys(node.containers or "" for node in engine.nodes())))
    for image in images:
        yield image_on_nodes(image)


def image_on_nodes(image: NodeImage) -> Finding:
    """Whether an image is on a node, or how to get it."""
    name = f"image {image.name}"
    if image.present:
        return Finding(name, "ok", "present")
    source = "in no registry either" if built_here(image.name) else "a stage that needs it tries to pull it"
    return Finding(name, "warn", f"not on any node; {source}", how_to_get(image.name))


def image_to_copy(image: str) -> Finding:
    """An image that the nodes of a cluster cannot pull. Which of them have it is not known."""
    detail = "in no registry: a stage that needs it fails on a node that has no copy"
    return Finding(f"image {image}", "warn", detail, how_to_copy(image, "NODE"))


def gpus(nodes: Sequence[Node], pipelines: list[Pipeline]) -> Finding:
    """The GPUs, and whether a pipeline requires one."""
    found = [gpu for node in nodes for gpu in node.gpus]
    if found:
        return Finding("gpus", "ok", ", ".join(map(_with_memory, found)))
    needing = sorted(
        {pipeline.name for pipeline in pipelines for stage in pipeline.stages if stage.gpu and not stage.gpu.optional}
    )
    detail = "; ".join(("none", *(note for node in nodes for note in node.gpu_notes)))
    if needing:
        return Finding("gpus", "warn", f"{detail}; needed by {', '.join(needing)}", "Install the driver of the GPU")
    return Finding("gpus", "ok", f"{detail}; no pipeline needs one")


def _with_memory(gpu: NodeGpu) -> str:
    """The name of a GPU and its memory, which is 0 where it is not known yet."""
    return f"{gpu.name} ({format_size(gpu.memory_bytes)})" if gpu.memory_bytes else gpu.name


def programs(settings: Settings) -> Iterator[Finding]:
    """What stages that run as processes call."""
    path = f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"
    for program, remedy in PROGRAMS.items():
        found = shutil.which(program, path=path)
        if found:
            yield Finding(program, "ok", found)
        elif settings.stage_mode != "docker":
            yield Finding(program, "warn", "not found; stages that need it must run in containers", remedy)


def store(settings: Settings) -> Finding:
    """Whether something can be written to the store, and deleted again."""
    try:
        opened = open_store(settings.store_url, settings.s3_endpoint)
        with TemporaryDirectory() as directory:
            source = Path(directory) / "probe"
            source.write_text("written by the diagnosis\n")
            address = f"diagnosis/{uuid4().hex}"
            opened.put_file(source, address)
            opened.delete_tree(address)
    except WinslowError as error:
        return Finding("store", "missing", f"{settings.store_url}: {error.what}", error.remedy)
    return Finding("store", "ok", f"{settings.store_url} is writable")


def database(settings: Settings) -> Finding:
    """Whether the project tables can be read."""
    try:
        records = ProjectRecords.open(settings.database_url)
        count = len(records.projects())
        records.close()
    except WinslowError as error:
        return Finding("database", "missing", f"{error.where}: {error.what}", error.remedy)
    return Finding("database", "ok", f"{count} project{'' if count == 1 else 's'}")


def links(settings: Settings) -> Finding:
    """Where links in messages lead."""
    detail = f"links in messages begin with {settings.link_base}"
    host = canonical_host(urlsplit(settings.link_base).hostname or "") or ""
    others = settings.allowed_hosts or settings.bind in ANY_ADDRESS
    if is_loopback(host) and others:
        return Finding("links", "warn", detail, "Set WINSLOW_PUBLIC_URL to the address by which people reach it")
    return Finding("links", "ok", detail)


def disk(usage: NodeUsage) -> Finding:
    """The space for what stages write on a node."""
    detail = f"{usage.name}: {format_size(usage.disk_free_bytes)} of {format_size(usage.disk_total_bytes)} free"
    if usage.disk_state == "full":
        return Finding("disk", "missing", detail, "Free some space; no stage starts on a full disk")
    low = usage.disk_state == "low"
    return Finding("disk", "warn" if low else "ok", detail, "Free some space soon" if low else "")


def filling_disks(context: Context) -> Iterator[Finding]:
    """Disks that will be full soon, and those with little space left."""
    try:
        found = SpaceCommands(context).disks()
    except ServiceUnavailable:
        return  # the database has a finding of its own
    for each in found:
        if each.warns:
            yield Finding("disk", "warn", each.text, Action("show_space"))


def overrun_quotas(context: Context) -> Iterator[Finding]:
    """Quotas that are nearly used up or overrun."""
    try:
        found = QuotaCommands(context).overview()
    except ServiceUnavailable:
        return  # the database has a finding of its own
    if found.fault:
        yield Finding("quota", "missing", found.fault, f"Mend {found.file}: nothing is started or sent until then")
    for use in found.uses:
        if use.current_state != "ok":
            yield Finding("quota", "warn", use.sentence, Action("show_space"))


def services(context: Context) -> Iterator[Finding]:
    """Whether the services are running, or could be."""
    settings, handle = context.settings, context.resources.services
    try:
        dagster = context.resources.dagster_if_running()
    except ServiceUnavailable as error:
        yield Finding("services", "warn", f"not checked: {error.what}", error.remedy)
        if not supervised(settings):
            yield _port(settings)
        return
    if dagster is not None:
        silent = dagster.silent_daemons()
        if silent:
            yield Finding(
                "services",
                "warn",
                f"{handle.address} answers; no heartbeat yet from {', '.join(silent)}",
                "If this persists, restart the services",
            )
        else:
            yield Finding("services", "ok", handle.address)
        return
    yield _port(settings)
    yield Finding(
        "services", "warn", "not running; a run starts them for as long as it takes", Action("start_services")
    )


def _port(settings: Settings) -> Finding:
    if _port_is_free(settings):
        return Finding("port", "ok", f"{settings.port} is free", "")
    return Finding(
        "port", "missing", f"{settings.port} is taken by another program", "Choose another with WINSLOW_PORT"
    )


def _port_is_free(settings: Settings) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in settings.bind else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.bind, settings.port))
        except OSError:
            return False
    return True
