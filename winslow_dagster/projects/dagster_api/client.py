"""The client of Dagster's web server: GraphQL over HTTP or within its process, without importing Dagster."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

import yaml
from pydantic import Field

from winslow_dagster.actions import Action
from winslow_dagster.errors import InputRejected, NotFound, PipelineInvalid, ProjectConflict, ServiceUnavailable
from winslow_dagster.pipelines.model.frozen import Frozen
from winslow_dagster.projects.dagster_api import graphql
from winslow_dagster.projects.dagster_api.serving import DAGIT_PATH

RunStatus = Literal[
    "QUEUED",
    "NOT_STARTED",
    "MANAGED",
    "STARTING",
    "STARTED",
    "SUSPENDED",
    "SUCCESS",
    "FAILURE",
    "CANCELING",
    "CANCELED",
]
ENDED: frozenset[RunStatus] = frozenset({"SUCCESS", "FAILURE", "CANCELED"})
QUEUED: tuple[RunStatus, ...] = ("QUEUED", "NOT_STARTED")
IN_PROGRESS: tuple[RunStatus, ...] = ("STARTING", "STARTED", "CANCELING")
ACTIVE = QUEUED + IN_PROGRESS
STARTING: frozenset[RunStatus] = frozenset({"NOT_STARTED", "STARTING"})
STARTS_WITHIN_S = 60.0
LOOK_AGAIN_S = 0.2
PROJECT_TAG = "winslow/project"
REQUESTER_TAG = "winslow/requested_by"
DIGEST_TAG = "winslow/pipeline_digest"
ANSWER_TIMEOUT_S = 60.0
"""A reload compiles pipelines; everything else takes milliseconds."""
PAGE = 100
"""The limit of `graphql.RUNS`."""
LONG_PAGE = 1000
Execute = Callable[[str, dict[str, Any]], Any]
"""Executes a query with its variables, and returns the answer as GraphQL's JSON."""
NOBODY = frozenset({"ReloadNotSupported", "RepositoryLocationNotFound"})


class Job(Frozen):
    """A job, and its place in Dagster. `digest` is the version of the pipeline file it was compiled from."""

    name: str
    repository: str
    location: str
    digest: str | None = None


class Step(Frozen):
    """One stage of a run, as Dagster reports it."""

    stage: str
    status: Literal["SKIPPED", "SUCCESS", "FAILURE", "IN_PROGRESS"] | None


class DagsterRun(Frozen):
    """A run, as Dagster reports it."""

    run_id: str
    job: str
    status: RunStatus
    project: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    steps: tuple[Step, ...] = ()
    tags: dict[str, str] = Field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether the status is final."""
        return self.status in ENDED


class RunEvent(Frozen):
    """One entry of a run's event log."""

    at: datetime
    kind: str
    stage: str | None
    level: str
    message: str


class EventPage(Frozen):
    """Events in order, and the cursor for the next page."""

    events: tuple[RunEvent, ...]
    cursor: str
    has_more: bool


class DagsterClient:
    """Every method raises ServiceUnavailable if the web server does not answer, or answers with an error.

    Nothing that another installation's server says is believed: each answer comes with the id of the installation. The
    web server's own process passes `execute`, and needs neither HTTP nor that check.
    """

    def __init__(  # noqa: PLR0913  # all but the first two by name
        self,
        address: str,
        installation_id: str,
        *,
        key: str = "",
        timeout_s: float = ANSWER_TIMEOUT_S,
        certificate: str | None = None,
        execute: Execute | None = None,
    ) -> None:
        """`key` proves that the program belongs to the installation (`credential.py`).

        `certificate` is the web server's own, as PEM, if it speaks https: no other one is accepted.
        """
        self._address = address
        self._installation_id = installation_id
        self._proof = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout_s = timeout_s
        self._tls = None if certificate is None else _only(certificate)
        self._execute = execute

    def alive(self) -> bool:
        """Whether the installation's web server answers."""
        try:
            self._send(graphql.IDENTITY)
        except ServiceUnavailable:
            return False
        return True

    def pipelines_loaded(self) -> bool:
        """Whether the web server answers, and has loaded the pipelines."""
        try:
            workspace = self._ask(graphql.JOBS)["workspaceOrError"]
        except ServiceUnavailable:
            return False
        loaded = [entry["locationOrLoadError"] for entry in workspace.get("locationEntries", ())]
        return bool(loaded) and all(each and each["__typename"] == "RepositoryLocation" for each in loaded)

    def skip_welcome(self) -> None:
        """Mark Dagit's welcome dialog, which covers the page and asks for a mail address, as seen."""
        self._ask(graphql.SKIP_WELCOME)

    def job_names(self) -> tuple[str, ...]:
        """The names of all jobs. Raises PipelineInvalid if the pipelines could not be loaded at all."""
        return tuple(sorted(job.name for job in self._jobs()))

    def locations(self) -> tuple[str, ...]:
        """The names of all code locations, including those that could not be loaded."""
        workspace = self._ask(graphql.JOBS)["workspaceOrError"]
        return tuple(entry["name"] for entry in _expect(workspace, "Workspace")["locationEntries"])

    def job(self, name: str) -> Job:
        """The job, with its version. Raises NotFound."""
        found = next((job for job in self._jobs() if job.name == name), None)
        if found is None:
            raise NotFound(
                f"Dagster has no job {name!r}", where=self._address, remedy="Check that its pipeline file exists"
            )
        answer = self._ask(graphql.JOB_TAGS, job=_selector(found))["pipelineOrError"]
        tags = {tag["key"]: tag["value"] for tag in _expect(answer, "Pipeline")["tags"]}
        return found.model_copy(update={"digest": tags.get(DIGEST_TAG)})

    def reload(self, location: str) -> None:
        """Have the code server read the pipeline files again. Raises PipelineInvalid if that fails."""
        answer = self._ask(graphql.RELOAD, location=location)["reloadRepositoryLocation"]
        if answer["__typename"] in NOBODY:
            raise NotFound(answer["message"], where=self._address)
        loaded = _expect(answer, "WorkspaceLocationEntry")["locationOrLoadError"]
        if loaded["__typename"] == "PythonError":
            raise _not_loaded(location, loaded)

    def launch(self, job: Job, run_config: dict[str, Any], tags: dict[str, str]) -> str:
        """Queue a run of the job. Returns its id.

        Raises InputRejected, with every error, if the run config does not fit the job.
        """
        parameters = {
            "selector": _selector(job),
            "runConfigData": run_config,
            "executionMetadata": {"tags": [{"key": key, "value": value} for key, value in tags.items()]},
        }
        answer = self._ask(graphql.LAUNCH, parameters=parameters)["launchRun"]
        if answer["__typename"] == "RunConfigValidationInvalid":
            raise InputRejected(
                "; ".join(_config_fault(fault) for fault in answer["errors"]),
                where=f"run config of {job.name}",
                remedy=Action("show_pipeline", {"pipeline": job.name}),
            )
        run_id: str = _expect(answer, "LaunchRunSuccess")["run"]["runId"]
        return run_id

    def run(self, run_id: str) -> DagsterRun:
        """The run with its steps. Raises NotFound."""
        return _run(self._run_answer(graphql.RUN, run_id))

    def runs(self, *, project: str | None = None, statuses: tuple[RunStatus, ...] = ()) -> tuple[DagsterRun, ...]:
        """Up to 100 runs of a project (by tag) or of all, in some states or all, the latest first."""
        chosen: dict[str, Any] = {}
        if project is not None:
            chosen["tags"] = [{"key": PROJECT_TAG, "value": project}]
        if statuses:
            chosen["statuses"] = list(statuses)
        answer = self._ask(graphql.RUNS, filter=chosen)["runsOrError"]
        return tuple(_run(run) for run in _expect(answer, "Runs")["results"])

    def active_runs(self, known: MutableMapping[str, DagsterRun] | None = None) -> tuple[DagsterRun, ...]:
        """All runs that are queued or in progress, in the order in which they were queued.

        `known` keeps those that were queued when somebody asked last: what is asked here does not change while they
        are. Threads may share it.
        """
        before = dict(known or {})
        in_progress = {run.run_id: run for run in self._runs_in(IN_PROGRESS)}
        ids = self._ask(graphql.RUN_IDS, filter={"statuses": list(ACTIVE)})["runIdsOrError"]
        run_ids: list[str] = _expect(ids, "RunIds")["results"]
        waiting = [run_id for run_id in run_ids if run_id not in in_progress]
        new = [run_id for run_id in waiting if run_id not in before]
        many = len(new) > PAGE
        found = {run.run_id: run for run in self._runs_in(QUEUED)} if many else self.runs_by_id(new)
        queued = {run_id: run for run_id in waiting if (run := before.get(run_id) or found.get(run_id)) is not None}
        if known is not None:
            known.clear()
            known.update({run_id: run for run_id, run in queued.items() if run.status in QUEUED})
        runs = {**queued, **in_progress}
        return tuple(runs[run_id] for run_id in reversed(run_ids) if run_id in runs and not runs[run_id].ended)

    def _runs_in(self, statuses: tuple[RunStatus, ...]) -> Iterator[DagsterRun]:
        """All runs in these states, the latest first."""
        cursor: str | None = None
        while True:
            variables = {"filter": {"statuses": list(statuses)}, "limit": LONG_PAGE, "cursor": cursor}
            answer = self._ask(graphql.ACTIVE_RUNS, **variables)["runsOrError"]
            page = [_run(run) for run in _expect(answer, "Runs")["results"]]
            yield from page
            if len(page) < LONG_PAGE:
                return
            cursor = page[-1].run_id

    def runs_by_id(self, run_ids: Iterable[str]) -> dict[str, DagsterRun]:
        """Run id -> run, for those of these runs that Dagster has."""
        wanted = list(run_ids)
        found: dict[str, DagsterRun] = {}
        for at in range(0, len(wanted), PAGE):
            answer = self._ask(graphql.RUNS, filter={"runIds": wanted[at : at + PAGE]})["runsOrError"]
            found |= {run["runId"]: _run(run) for run in _expect(answer, "Runs")["results"]}
        return found

    def events(self, run_id: str, cursor: str | None = None) -> EventPage:
        """The run's events after the cursor. Raises NotFound."""
        answer = self._ask(graphql.EVENTS, runId=run_id, cursor=cursor)["logsForRun"]
        if answer["__typename"] == "RunNotFoundError":
            raise _no_run(run_id)
        page = _expect(answer, "EventConnection")
        return EventPage(
            events=tuple(_event(event) for event in page["events"]), cursor=page["cursor"], has_more=page["hasMore"]
        )

    def terminate(self, run_id: str) -> None:
        """Request the end of a run and its stages. Raises NotFound, and ProjectConflict if it has ended.

        Dagster ends a run that is queued or under way, and refuses while its worker starts: that is waited for.
        """
        pause, until_s, starts = threading.Event(), time.monotonic() + STARTS_WITHIN_S, True
        while True:
            answer = self._ask(graphql.TERMINATE, runId=run_id)["terminateRun"]
            if answer["__typename"] == "RunNotFoundError":
                raise _no_run(run_id)
            if answer["__typename"] != "TerminateRunFailure":
                break
            if not starts or time.monotonic() > until_s:
                raise ProjectConflict(answer["message"], where=f"run {run_id}")
            # It may have started just now, after it was refused: then it is asked for once more.
            starts = self.run(run_id).status in STARTING
            pause.wait(LOOK_AGAIN_S if starts else 0)
        _expect(answer, "TerminateRunSuccess")

    def delete_run(self, run_id: str) -> None:
        """Delete a run and its events. One that does not exist needs no deletion."""
        answer = self._ask(graphql.DELETE_RUN, runId=run_id)["deletePipelineRun"]
        if answer["__typename"] != "RunNotFoundError":
            _expect(answer, "DeletePipelineRunSuccess")

    def silent_daemons(self) -> tuple[str, ...]:
        """The required daemons that are not running. Without them, queued runs are never started."""
        health = self._ask(graphql.DAEMONS)["instance"]["daemonHealth"]["allDaemonStatuses"]
        return tuple(status["daemonType"] for status in health if status["required"] and not status["healthy"])

    def _jobs(self) -> list[Job]:
        workspace = self._ask(graphql.JOBS)["workspaceOrError"]
        jobs = []
        for entry in _expect(workspace, "Workspace")["locationEntries"]:
            loaded = entry["locationOrLoadError"]
            if loaded is None:
                continue  # still loading
            if loaded["__typename"] == "PythonError":
                raise _not_loaded(entry["name"], loaded)
            jobs += [
                Job(name=job["name"], repository=repository["name"], location=entry["name"])
                for repository in loaded["repositories"]
                for job in repository["pipelines"]
            ]
        return jobs

    def _run_answer(self, query: str, run_id: str) -> dict[str, Any]:
        answer = self._ask(query, runId=run_id)["runOrError"]
        if answer["__typename"] == "RunNotFoundError":
            raise _no_run(run_id)
        return _expect(answer, "Run")

    def _ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """The answer of this installation's server. A change is sent only after the server has named itself."""
        if self._execute is not None:
            return self._send(query, identified=True, **variables)
        if query.lstrip().startswith("mutation"):
            self._send(graphql.IDENTITY)
            return self._send(query, identified=True, **variables)
        return self._send(graphql.with_identity(query), **variables)

    def _send(self, query: str, *, identified: bool = False, **variables: Any) -> dict[str, Any]:
        answer = (self._execute or self._post)(query, variables)
        if isinstance(answer, dict) and answer.get("errors"):
            messages = "; ".join(fault["message"] for fault in answer["errors"])
            raise ServiceUnavailable(f"the web server failed: {messages}", where=self._address)
        data: dict[str, Any] | None = answer.get("data") if isinstance(answer, dict) else None
        if data is None or not (identified or _installation_of(data) == self._installation_id):
            raise ServiceUnavailable(
                "the web server belongs to another installation, or is another program",
                where=self._address,
                remedy=Action("start_services"),
            )
        return data

    def _post(self, query: str, variables: dict[str, Any]) -> Any:
        request = urllib.request.Request(  # noqa: S310  # the address is a setting, and http
            f"{self._address}{DAGIT_PATH}/graphql",
            data=json.dumps({"query": query, "variables": variables}).encode(),
            headers={"Content-Type": "application/json"} | self._proof,
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s, context=self._tls) as response:  # noqa: S310  # as above
                return json.load(response)
        except urllib.error.HTTPError as error:
            said = error.read(2000).decode(errors="replace")
            raise ServiceUnavailable(f"the web server refused: {error} {said}", where=self._address) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise ServiceUnavailable(
                f"the web server does not answer: {error}",
                where=self._address,
                remedy=Action("start_services"),
            ) from error


def _only(certificate: str) -> ssl.SSLContext:
    """Accepts this certificate, whatever name it is for: programs of this machine connect to its address."""
    context = ssl.create_default_context(cadata=certificate)
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _installation_of(data: dict[str, Any]) -> str | None:
    """The id that the server's run launcher was configured with (`services/instance.py`)."""
    return _installation_in((data.get("identity") or {}).get("info") or "{}")


@lru_cache(maxsize=8)
def _installation_in(instance_yaml: str) -> str | None:
    # It comes with every answer, and is the same each time.
    launcher = yaml.load(instance_yaml, Loader=yaml.CSafeLoader).get("run_launcher")
    return launcher["config"].get("installation") if isinstance(launcher, dict) else None


def _expect(answer: dict[str, Any], kind: str) -> dict[str, Any]:
    """The answer, if it is of that kind. Raises ServiceUnavailable with the message of any other."""
    if answer["__typename"] != kind:
        raise ServiceUnavailable(f"Dagster: {answer.get('message') or answer['__typename']}")
    return answer


def _selector(job: Job) -> dict[str, str]:
    return {"pipelineName": job.name, "repositoryName": job.repository, "repositoryLocationName": job.location}


def _no_run(run_id: str) -> NotFound:
    return NotFound(f"Dagster has no run {run_id}", remedy=Action("list_projects"))


def _not_loaded(location: str, failure: dict[str, Any]) -> PipelineInvalid:
    # The last cause is the actual error; those before it only wrap it.
    message = [failure, *failure["causes"]][-1]["message"].strip()
    return PipelineInvalid(f"the pipelines could not be loaded: {message}", where=f"code location {location}")


def _config_fault(fault: dict[str, Any]) -> str:
    """One error in our words: Dagster's messages start with a path through its internals."""
    steps = [str(step) for entry in fault["stack"]["entries"] for step in entry.values()]
    where = ".".join(steps) or "run config"
    match fault["__typename"]:
        case "FieldNotDefinedConfigError":
            return f"{where} has no field {fault['fieldName']!r}"
        case "FieldsNotDefinedConfigError":
            return f"{where} has no fields {', '.join(map(repr, fault['fieldNames']))}"
        case "MissingFieldConfigError":
            return f"{where} lacks the field {fault['field']['name']!r}"
        case _:
            return f"{where}: {fault['message'].splitlines()[0]}"


def _run(answer: dict[str, Any]) -> DagsterRun:
    tags = {tag["key"]: tag["value"] for tag in answer["tags"]}
    return DagsterRun(
        run_id=answer["runId"],
        job=answer["jobName"],
        status=answer["status"],
        project=tags.get(PROJECT_TAG),
        tags=tags,
        created_at=datetime.fromtimestamp(answer["creationTime"], UTC),
        started_at=_time(answer["startTime"]),
        ended_at=_time(answer["endTime"]),
        steps=tuple(Step(stage=step["stepKey"], status=step["status"]) for step in answer.get("stepStats", ())),
    )


def _time(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def _event(answer: dict[str, Any]) -> RunEvent:
    return RunEvent(
        at=datetime.fromtimestamp(float(answer["timestamp"]) / 1000, UTC),
        kind=answer["eventType"] or "LOG",
        stage=answer["stepKey"],
        level=answer["level"],
        message=answer["message"],
    )
