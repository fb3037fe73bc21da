"""Pages, one module per room."""

from winslow_dagster.console.pages import <<<<<<< HEAD     new_project, =======     login, >>>>>>> 5751107 Ask people to log in to the console: passwords, OpenID, audit, health, home, links, log, people, pipelines, tokens and roles

ROOMS = (
    login.room,
    home.room,
    projects.room,
    projects.pictures,
    log.room,
    audit.room,
    health.room,
    project.room,
    project_acts.room,
    project_question.room,
    new_project.room,
    pipelines.room,
    people.room,
)
