"""The whole on what a group runs it on: PostgreSQL for the tables and Dagster's own, S3 for the store."""

from __future__ import annotations

from pathlib import Path

import pytest
from installation import Installation

from winslow_dagster import Winslow
from winslow_dagster.storage.factory import open_store

pytestmark = pytest.mark.slow

TWO = """
name: two
command: [sh, -c]
stages:
  - {name: make, args: ['echo made > "$WINSLOW_OUTPUT_DIR/thing.txt"'], outputs: [thing.txt]}
  - {name: use, args: ['cat "$WINSLOW_INPUT_DIR/make/thing.txt" > "$WINSLOW_OUTPUT_DIR/used.txt"']}
"""


@pytest.mark.postgres
@pytest.mark.s3
def test_a_project_runs_on_postgresql_and_s3(
    tmp_path: Path, postgres_url: str, s3_endpoint: str, s3_bucket_url: str
) -> None:
    store_url = f"{s3_bucket_url}/winslow"
    installation = Installation(tmp_path, None, {"two": TWO}, database_url=postgres_url)
    installation.use(WINSLOW_STORE_URL=store_url, WINSLOW_S3_ENDPOINT=s3_endpoint)
    installation.up()
    try:
        with Winslow(installation.settings) as winslow:
            winslow.run("two", project="far").wait()
            outputs = winslow.project("far").outputs()["use"]
    finally:
        installation.down()
    store = open_store(store_url, s3_endpoint)
    assert store.read_range(outputs, outputs.files[0], 0, 5) == b"made\n"
    assert not list(installation.settings.home.rglob("*.db")), "nothing of it is kept in SQLite"
