"""The command `tracker annotate`."""

from __future__ import annotations

from pathlib import Path

from tracker.annotation.labels import LABELS_FILE, Labels
from tracker.annotation.proposals import DEFAULT_EVERY, film_of, key_frames, proposed
from tracker.annotation.server import AnnotationServer
from tracker.annotation.session import Session
from tracker.annotation.view import View
from tracker.contract import Report, StageFiles
from tracker.errors import ParameterInvalid
from tracker.proxy import Proxy, open_proxy


def annotate(  # noqa: PLR0913  what a person chooses
    outputs: Path, output: Path, report: Report, *, every: int | None = None, from_s: float | None = None,
    seconds: float | None = None, port: int = 0,
) -> None:  # fmt: skip
    """Serve the page until the person is done; then write `truth.csv` beside `labels.json`."""
    files = StageFiles(outputs, output, outputs)
    output.mkdir(parents=True, exist_ok=True)
    with open_proxy(files) as proxy:
        path = output / LABELS_FILE
        if path.exists():
            labels = _begun(path, files, begin_anew=(every, from_s, seconds) != (None, None, None))
        else:
            labels = _new(proxy, files, every or DEFAULT_EVERY, from_s or 0.0, seconds)
        labels.write(path)
        session = Session(labels, View.of(proxy, files), path)
        with AnnotationServer(session, proxy, port) as server:
            report.say(f"Open {server.address} in a browser. Every change is saved at once; to stop, press Ctrl-C.")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                report.say("")
        report.say(session.write_truth(output / "truth.csv"))


def _new(proxy: Proxy, files: StageFiles, every: int, from_s: float, seconds: float | None) -> Labels:
    if every < 1:
        raise ParameterInvalid(f"--every is {every}", remedy="Expected a number of frames, at least 1")
    return proposed(files, key_frames(proxy.times_s, every, from_s, seconds))


def _begun(path: Path, files: StageFiles, *, begin_anew: bool) -> Labels:
    """The labels of an earlier session."""
    labels = Labels.read(path)
    remedy = "Name another directory with --output, or move the file away to begin anew"
    if begin_anew:
        raise ParameterInvalid(f"{path} has labels already, of frames that are chosen", remedy=remedy)
    if labels.film != film_of(files):
        raise ParameterInvalid(f"the labels of {path} belong to another film or other reference points", remedy=remedy)
    return labels
