"""Opening the project database: how its tables come about and move forward, and what is said when it cannot be used."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.operations import Operations

from winslow_dagster.errors import ServiceUnavailable, SettingsInvalid
from winslow_dagster.projects.database import engine as database_module
from winslow_dagster.projects.database import migrations
from winslow_dagster.projects.database.engine import SCHEMA_HEAD, Database
from winslow_dagster.projects.database.schema import metadata, schema_version


def ours(name: str | None, kind: str, _parents: object) -> bool:
    return kind != "table" or (name or "").startswith("winslow_")


def test_the_steps_lead_to_the_tables_as_the_code_knows_them(database_url: str) -> None:
    database = Database(database_url)
    with database.reading() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": ours, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        uniques = [index["name"] for index in sa.inspect(connection).get_indexes("winslow_attempts") if index["unique"]]
    assert uniques == ["uq_winslow_attempts_one_success"]
    database.close()


def test_the_head_is_the_version_the_last_step_leads_to() -> None:
    assert migrations.FIRST_VERSION + len(migrations.STEPS) == SCHEMA_HEAD


def test_opening_again_applies_no_step_again(database_url: str) -> None:
    Database(database_url).close()
    database = Database(database_url)
    with database.reading() as connection:
        applied = connection.execute(sa.select(schema_version.c.version)).scalars().all()
    assert list(applied) == list(range(1, SCHEMA_HEAD + 1))
    database.close()


def add_remarks(op: Operations) -> None:
    op.add_column("winslow_projects", sa.Column("remarks", sa.Text, nullable=False, server_default=""))


def fail_half_way(op: Operations) -> None:
    op.add_column("winslow_projects", sa.Column("remarks", sa.Text))
    op.execute("SELECT * FROM nowhere")


def insert_project(database: Database) -> None:
    with database.writing() as connection:
        connection.execute(
            metadata.tables["winslow_projects"]
            .insert()
            .values(
                name="a",
                pipeline="p",
                pipeline_digest="d",
                env={},
                created_at=datetime.now(UTC),
                created_by="me",
                owner="me",
                tags=[],
                notes="",
            )
        )


def test_a_later_step_keeps_what_the_tables_hold(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    old = Database(database_url)
    insert_project(old)
    old.close()
    monkeypatch.setattr(database_module, "SCHEMA_HEAD", SCHEMA_HEAD + 1)
    monkeypatch.setattr(migrations.upgrade, "__defaults__", ((*migrations.STEPS, add_remarks),))
    new = Database(database_url)
    with new.reading() as connection:
        assert connection.execute(sa.text("SELECT name, remarks FROM winslow_projects")).one() == ("a", "")
    new.close()


def test_a_step_that_fails_leaves_the_tables_as_they_were(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Database(database_url).close()
    with monkeypatch.context() as patch:
        patch.setattr(database_module, "SCHEMA_HEAD", SCHEMA_HEAD + 1)
        patch.setattr(migrations.upgrade, "__defaults__", ((*migrations.STEPS, fail_half_way),))
        with pytest.raises(ServiceUnavailable, match="nowhere"):
            Database(database_url)
    database = Database(database_url)
    with database.reading() as connection:
        columns = [column["name"] for column in sa.inspect(connection).get_columns("winslow_projects")]
    assert "remarks" not in columns
    database.close()


def test_tables_of_a_newer_winslow_are_left_alone(database_url: str) -> None:
    database = Database(database_url)
    with database.writing() as connection:
        connection.execute(schema_version.insert().values(version=SCHEMA_HEAD + 1, applied_at=datetime.now(UTC)))
    database.close()
    with pytest.raises(ServiceUnavailable, match="Install the Winslow version that wrote them"):
        Database(database_url)


def test_sqlite_lets_readers_read_while_someone_writes(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'a.db'}")
    with database.writing() as writer, database.reading() as reader:
        writer.execute(schema_version.insert().values(version=99, applied_at=datetime.now(UTC)))
        assert reader.execute(sa.select(sa.func.max(schema_version.c.version))).scalar_one() == SCHEMA_HEAD
        assert reader.execute(sa.text("PRAGMA journal_mode")).scalar_one() == "wal"
    database.close()


def test_a_time_without_a_zone_is_not_stored(database_url: str) -> None:
    database = Database(database_url)
    with pytest.raises(sa.exc.StatementError, match="has no time zone"), database.writing() as connection:
        connection.execute(schema_version.insert().values(version=9, applied_at=datetime(2026, 1, 1)))  # noqa: DTZ001
    database.close()


@pytest.mark.parametrize("url", ["nonsense", "mysql://a/b", "sqlite://", "postgresql+nothing://a/b"])
def test_an_address_that_names_no_database_we_use_is_a_wrong_setting(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="WINSLOW_DATABASE_URL cannot be used"):
        Database(url)


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        Database("postgresql+psycopg2://anna:secret@127.0.0.1:1/winslow")
    assert "127.0.0.1:1/winslow" in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_that_is_no_database_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "a.db").write_bytes(b"this is a text, and not a database" * 50)
    with pytest.raises(ServiceUnavailable, match="not a database"):
        Database(f"sqlite:///{tmp_path / 'a.db'}")


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ServiceUnavailable, match="cannot create the database"):
        Database(f"sqlite:///{tmp_path / 'file' / 'a.db'}")
