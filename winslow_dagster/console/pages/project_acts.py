"""What the buttons and fields of a project's page do. Every answer is a short message."""

from __future__ import annotations

from typing import Annotated

from fastapi import Form
from starlette.responses import Response

from winslow_dagster.console.acts import done
from winslow_dagster.console.caller import Front
from winslow_dagster.console.room import Room, RowId

room = Room(prefix="/projects/{project}")

Text = Annotated[str, Form()]
Optional = Annotated[str, Form()]


@room.route_for("/run", role="operator", method="POST")
def run(front: Front, project: str) -> Response:
    """Run what is missing or out of date."""
    front.run(front.status(project).pipeline, project)
    return done(f"{project} runs.")


@room.route_for("/pause", role="operator", method="POST")
def pause(front: Front, project: str, after: Optional = "") -> Response:
    """Start no further stage, or none that follows `after`."""
    front.project(project).pause(after or None)
    return done(f"{project} pauses after {after or 'its running stages'}.")


@room.route_for("/resume", role="operator", method="POST")
def resume(front: Front, project: str, pipeline: Optional = "") -> Response:
    """Continue where it stopped, or withdraw a pause."""
    front.project(project).resume(pipeline=pipeline or None)
    return done(f"{project} continues.")


@room.route_for("/cancel", role="operator", method="POST")
def cancel(front: Front, project: str) -> Response:
    """End its runs with their stages."""
    front.project(project).cancel()
    return done(f"The run of {project} is being cancelled.")


@room.route_for("/undismiss", role="operator", method="POST")
def undismiss(front: Front, project: str) -> Response:
    """Have its failure wait for somebody again."""
    front.project(project).undismiss()
    return done(f"{project} waits for somebody again.")


@room.route_for("/pick", role="operator", method="POST")
def pick(front: Front, project: str, stage: Text, attempt: Text) -> Response:
    """Make the outputs of an attempt the stage's outputs."""
    front.project(project).pick(stage, attempt)
    return done(f"The outputs of this attempt are those of {stage} now.")


@room.route_for("/pin", role="operator", method="POST")
def pin(front: Front, project: str, stage: Text, attempt: Text) -> Response:
    """Keep everything of an attempt."""
    front.retention.pin(project, stage, attempt)
    return done("The attempt is pinned: retention rules remove nothing of it.")


@room.route_for("/unpin", role="operator", method="POST")
def unpin(front: Front, project: str, stage: Text, attempt: Text) -> Response:
    """Apply the rules to an attempt again."""
    front.retention.unpin(project, stage, attempt)
    return done("The attempt is no longer pinned.")


@room.route_for("/notes", role="operator", method="POST")
def notes(front: Front, project: str, notes: Optional = "") -> Response:
    """Replace the notes. Browsers send line ends as in mails."""
    front.project(project).note(notes.replace("\r\n", "\n"))
    return done("The notes are saved.")


@room.route_for("/todos", role="operator", method="POST")
def add_todo(front: Front, project: str, text: Text) -> Response:
    """Add a to-do."""
    front.project(project).add_todo(text)
    return done("The to-do is added.")


@room.route_for("/todos/{number}", role="operator", method="POST")
def finish_todo(front: Front, project: str, number: RowId, done_now: Annotated[bool, Form(alias="done")]) -> Response:
    """Tick a to-do off, or open it again."""
    front.project(project).finish_todo(number, done=done_now)
    return done("The to-do is done." if done_now else "The to-do is open again.")


@room.route_for("/tags/add", role="operator", method="POST")
def add_tag(front: Front, project: str, tag: Text) -> Response:
    """Add a tag."""
    front.project(project).change_tags(add=(tag,))
    return done(f"The tag {tag.strip()} is added.")


@room.route_for("/tags/remove", role="operator", method="POST")
def remove_tag(front: Front, project: str, tag: Text) -> Response:
    """Remove a tag."""
    front.project(project).change_tags(remove=(tag,))
    return done(f"The tag {tag} is removed.")
