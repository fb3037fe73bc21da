from __future__ import annotations

from pathlib import Path

import pytest

from winslow_dagster.errors import InputRejected, NotFound
from winslow_dagster.storage.secrets import SecretStore


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path / "secrets")


def test_a_secret_has_the_value_that_was_set_last(store: SecretStore) -> None:
    store.set("LAB_DB", "first value")
    store.set("LAB_DB", "second\nvalue\r\n")
    assert store.value("LAB_DB") == "second\nvalue\r\n"
    assert [each.name for each in store.secrets()] == ["LAB_DB"]


def test_only_the_user_can_read_secrets_even_where_the_directory_was_open(store: SecretStore) -> None:
    store.directory.mkdir(mode=0o755)
    store.set("LAB_DB", "some value")
    store.digest("some value")
    assert store.directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in store.directory.iterdir()} == {0o600}


def test_a_removed_secret_is_gone(store: SecretStore) -> None:
    store.set("LAB_DB", "some value")
    store.remove("LAB_DB")
    assert store.secrets() == ()
    for ask in (store.value, store.remove):
        with pytest.raises(NotFound, match="the secret LAB_DB is not stored"):
            ask("LAB_DB")


@pytest.mark.parametrize("name", ["", ".key", "../winslow.db", "a/b", "a b", "x" * 201, "naïve"])
def test_a_name_that_is_no_file_of_the_store_is_refused(store: SecretStore, name: str) -> None:
    with pytest.raises(InputRejected, match="not a valid name"):
        store.set(name, "some value")
    with pytest.raises(NotFound):
        store.value(name)


@pytest.mark.parametrize("value", ["", "seven c", "with a NUL\0 inside", "x" * 200_000])
def test_a_value_that_cannot_be_masked_or_passed_on_is_refused_without_being_shown(
    store: SecretStore, value: str
) -> None:
    with pytest.raises(InputRejected, match="secret LAB_DB: the value has") as caught:
        store.set("LAB_DB", value)
    assert not value or value not in str(caught.value)


def test_digests_tell_values_apart_and_mean_nothing_in_another_installation(store: SecretStore, tmp_path: Path) -> None:
    assert store.digest("one value") == store.digest("one value") != store.digest("another value")
    assert SecretStore(tmp_path / "other").digest("one value") != store.digest("one value")
