"""Settings are read once, and a value that cannot be used is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from winslow_dagster.errors import SettingsInvalid
from winslow_dagster.services.supervisor import service_environment
from winslow_dagster.settings import Settings


def test_nothing_has_to_be_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = Settings.read({})
    assert settings.home == tmp_path / ".winslow"
    assert settings.store_url == (tmp_path / ".winslow" / "store").as_uri()
    assert settings.database_url == f"sqlite:///{tmp_path / '.winslow' / 'winslow.db'}"


def test_pipelines_beside_you_come_before_the_shipped_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = Settings.read({}).pipelines_dir
    assert (shipped / "traffic_analysis.yaml").is_file()
    (tmp_path / "pipeline_configs").mkdir()
    assert Settings.read({}).pipelines_dir == tmp_path / "pipeline_configs"


def test_a_directory_of_pipelines_that_was_named_is_taken_even_before_it_exists(tmp_path: Path) -> None:
    assert Settings.read({"WINSLOW_PIPELINES_DIR": str(tmp_path / "later")}).pipelines_dir == tmp_path / "later"


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1", ""])
def test_a_port_that_is_none_is_an_error_that_names_the_variable(port: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"WINSLOW_PORT is .*; expected a port from 1 to 65535"):
        Settings.read({"WINSLOW_PORT": port})


def test_a_stage_mode_that_there_is_not_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(SettingsInvalid, match="WINSLOW_STAGE_MODE is 'podman'; expected one of auto, docker, process"):
        Settings.read({"WINSLOW_STAGE_MODE": "podman"})


def test_a_node_has_a_directory_and_tags_of_its_own(tmp_path: Path) -> None:
    settings = Settings.read({"WINSLOW_HOME": str(tmp_path / "home")})
    assert (settings.node.node_dir, settings.node.node_tags) == (tmp_path / "home", ())
    settings = Settings.read({"WINSLOW_NODE_DIR": str(tmp_path / "node"), "WINSLOW_NODE_TAGS": "fast-disk, ulm.07,,"})
    assert settings.node.tasks_dir == tmp_path / "node" / "tasks"
    assert settings.node.node_tags == ("fast-disk", "ulm.07")


def test_a_malformed_node_tag_is_an_error_that_names_it() -> None:
    with pytest.raises(
        SettingsInvalid, match="WINSLOW_NODE_TAGS contains 'big gpu'; expected tags separated by commas"
    ):
        Settings.read({"WINSLOW_NODE_TAGS": "fast, big gpu"})


def test_allowed_hosts_are_kept_in_one_spelling() -> None:
    settings = Settings.read({"WINSLOW_ALLOWED_HOSTS": "Winslow.Example., winslow.example,[2001:DB8::0:7], 192.0.2.7,"})
    assert settings.allowed_hosts == ("winslow.example", "2001:db8::7", "192.0.2.7")


@pytest.mark.parametrize("host", ["http://winslow.example", "winslow.example:3000", "*.example", "*", "[::1]:80"])
def test_an_allowed_host_that_is_none_is_an_error_that_names_it(host: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"WINSLOW_ALLOWED_HOSTS contains .*; expected host names or addresses"):
        Settings.read({"WINSLOW_ALLOWED_HOSTS": f"localhost,{host}"})


@pytest.mark.parametrize(
    "url",
    [
        "winslow.example",
        "ftp://winslow.example",
        "https://",
        "https://a/b",
        "https://u:p@a",
        "https://a?b",
        "http://a:b",
    ],
)
def test_a_public_url_that_is_none_is_an_error_that_names_it(url: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"WINSLOW_PUBLIC_URL is .*; expected http:// or https:// and a host"):
        Settings.read({"WINSLOW_PUBLIC_URL": url})


def test_links_begin_with_the_public_url_whose_host_is_known() -> None:
    assert Settings.read({}).link_base == "http://127.0.0.1:3000"
    settings = Settings.read({"WINSLOW_PUBLIC_URL": "https://Winslow.Example:8443/", "WINSLOW_ALLOWED_HOSTS": "proxy"})
    assert settings.link_base == "https://Winslow.Example:8443"
    assert settings.known_hosts == ("proxy", "127.0.0.1", "winslow.example")


def test_the_services_get_every_setting() -> None:
    variables = {"WINSLOW_NODE_DIR": "/node", "WINSLOW_NODE_TAGS": "fast,ulm.07", "WINSLOW_S3_ENDPOINT": "http://s3"}
    variables |= {"WINSLOW_RUN_RETENTION_DAYS": "3", "WINSLOW_ALLOWED_HOSTS": "winslow.example,2001:db8::7"}
    variables |= {"WINSLOW_PUBLIC_URL": "https://winslow.example"}
    variables |= {"WINSLOW_INPUT_DIRS": "/data/films,/data/maps"}
    variables |= {"WINSLOW_SESSION_DAYS": "7", "WINSLOW_ROLE_NAMES": "staff=operator,cn=heads=admin"}
    variables |= {"WINSLOW_TRUSTED_PROXIES": "10.0.0.5,10.1.0.0/16,::1", "WINSLOW_PROXY_USER_HEADER": "X-Remote-User"}
    variables |= {"WINSLOW_OIDC_ISSUER": "https://id.example/realm", "WINSLOW_OIDC_CLIENT_ID": "winslow"}
    variables |= {"WINSLOW_OIDC_CLIENT_SECRET_FILE": "/secret", "WINSLOW_OIDC_ROLE_CLAIM": "groups"}
    variables |= {"WINSLOW_QUEUE_SHARE_BY": "project", "WINSLOW_QUEUE_WEIGHTS": "ulm=2,a=b=0.1"}
    settings = Settings.read(variables)
    assert Settings.read(service_environment(settings)) == settings


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WINSLOW_SESSION_DAYS", "0"),
        ("WINSLOW_SESSION_DAYS", "nan"),
        ("WINSLOW_ROLE_NAMES", "staff"),
        ("WINSLOW_ROLE_NAMES", "staff=owner"),
        ("WINSLOW_ROLE_NAMES", "=admin"),
        ("WINSLOW_TRUSTED_PROXIES", "proxy.example"),
        ("WINSLOW_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("WINSLOW_OIDC_ISSUER", "http://id.example"),
        ("WINSLOW_OIDC_ISSUER", "file:///etc/passwd"),
        ("WINSLOW_OIDC_ISSUER", "id.example"),
    ],
)
def test_a_setting_of_the_log_in_that_cannot_be_used_is_named(name: str, value: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name} .*expected"):
        Settings.read({name: value, "WINSLOW_OIDC_CLIENT_ID": "winslow"})


def test_the_queue_is_shared_by_owners_unless_somebody_says_otherwise() -> None:
    assert Settings.read({}).queue.queue_share_by == "owner"
    queue = Settings.read({"WINSLOW_QUEUE_SHARE_BY": "none", "WINSLOW_QUEUE_WEIGHTS": "anna=2, bert = 0.5"}).queue
    assert (queue.queue_share_by, queue.queue_weights) == ("none", {"anna": 2.0, "bert": 0.5})


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("WINSLOW_QUEUE_SHARE_BY", "person", "one of owner, project, none"),
        *(
            ("WINSLOW_QUEUE_WEIGHTS", value, "name=weight separated by commas, with weights greater than 0")
            for value in ("anna", "anna=0", "anna=-1", "anna=much", "=2", "anna=inf", "anna=nan")
        ),
    ],
)
def test_a_setting_of_the_queue_that_cannot_be_used_is_named(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"{name} .*expected {expected}"):
        Settings.read({name: value})


def test_an_openid_provider_needs_the_name_by_which_it_knows_this_program() -> None:
    with pytest.raises(SettingsInvalid, match="WINSLOW_OIDC_CLIENT_ID is not set"):
        Settings.read({"WINSLOW_OIDC_ISSUER": "https://id.example"})


def test_the_highest_of_several_roles_counts() -> None:
    access = Settings.read({"WINSLOW_ROLE_NAMES": "staff=operator, heads=admin"}).access
    assert access.role_of(["guests"]) is None
    assert access.role_of(["admin", "staff"]) == "operator"
    assert access.role_of(["heads", "staff"]) == "admin"
    assert Settings.read({}).access.role_of(["viewer", "operator"]) == "operator"


def test_settings_do_not_change() -> None:
    settings = Settings.read({})
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # what is tested


def test_an_engine_that_there_is_not_is_an_error_that_lists_those_there_are() -> None:
    with pytest.raises(SettingsInvalid, match="WINSLOW_ENGINE is 'swarm'; expected one of local, slurm"):
        Settings.read({"WINSLOW_ENGINE": "swarm"})


def test_a_cluster_needs_an_address_by_which_nodes_reach_the_web_server() -> None:
    with pytest.raises(SettingsInvalid, match="WINSLOW_CONTROL_PLANE_URL is not set; expected the URL"):
        Settings.read({"WINSLOW_ENGINE": "slurm"})
    with pytest.raises(SettingsInvalid, match=r"WINSLOW_CONTROL_PLANE_URL is 'winslow\.example'"):
        Settings.read({"WINSLOW_ENGINE": "slurm", "WINSLOW_CONTROL_PLANE_URL": "winslow.example"})

    settings = Settings.read({"WINSLOW_ENGINE": "slurm", "WINSLOW_CONTROL_PLANE_URL": "https://cluster.example:8443"})

    assert "cluster.example" in settings.known_hosts
    assert settings.slurm.slurm_node_file == "/etc/winslow/node.toml"
