from __future__ import annotations

from pathlib import Path

import pytest

from winslow_dagster.errors import StoreError
from winslow_dagster.storage.factory import open_store
from winslow_dagster.storage.local import LocalStore


def test_a_file_address_opens_a_directory_even_one_with_blanks(tmp_path: Path) -> None:
    place = tmp_path / "my store"
    store = open_store(place.as_uri())
    assert isinstance(store, LocalStore)
    assert store.root == place
    assert not place.exists()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "store",
        "/var/store",
        "file://server/share",
        "file:relative",
        "s3://",
        "s3:///prefix",
        "gs://bucket",
        "http://x",
    ],
)
def test_what_is_no_address_of_a_store_is_told_with_what_would_be(url: str) -> None:
    with pytest.raises(StoreError, match=r"expected file:///directory or s3://bucket/prefix\. Correct WINSLOW_STORE"):
        open_store(url)
