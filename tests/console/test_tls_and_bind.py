"""The web server's own certificate, and other addresses than this machine's own."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from certificates import certificate
from installation import Installation
from web_server import ALLOWED_NAME

from winslow_dagster import Winslow
from winslow_dagster.errors import ServiceUnavailable, SettingsInvalid
from winslow_dagster.projects.dagster_api.client import DagsterClient
from winslow_dagster.services.instance import installation_id
from winslow_dagster.services.listening import require_reachable_safely
from winslow_dagster.settings import Settings

ONE = "name: one\ncommand: [sh, -c]\nstages:\n  - {name: work, args: ['echo done > $WINSLOW_OUTPUT_DIR/done']}\n"


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    directory = tmp_path_factory.mktemp("secured")
    pem, key = certificate(directory, ALLOWED_NAME)
    installation = Installation(directory, None, {"one": ONE})
    installation.use(WINSLOW_TLS_CERTIFICATE=str(pem), WINSLOW_TLS_KEY=str(key), WINSLOW_ALLOWED_HOSTS=ALLOWED_NAME)
    installation.up()
    yield installation
    installation.down()


@pytest.mark.slow
def test_people_reach_it_by_https_under_the_name_of_the_certificate(secured: Installation) -> None:
    trust = ssl.create_default_context(cafile=str(secured.settings.tls_certificate))
    connection = HTTPSConnection(ALLOWED_NAME, secured.port, context=trust)
    connection.sock = trust.wrap_socket(
        socket.create_connection(("127.0.0.1", secured.port)), server_hostname=ALLOWED_NAME
    )
    connection.request("GET", "/", headers=secured.authorization)
    answer = connection.getresponse()
    assert (answer.status, b"<main" in answer.read()) == (200, True)
    connection.close()
    with pytest.raises((urllib.error.URLError, ConnectionError)):
        urllib.request.urlopen(f"http://127.0.0.1:{secured.port}/")


@pytest.mark.slow
def test_commands_on_the_machine_work_without_being_told_of_the_certificate(secured: Installation) -> None:
    environment = {name: value for name, value in secured.environment.items() if "TLS" not in name}
    command = [str(Path(sys.executable).with_name("winslow")), "run", "one", "--project", "ulm", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert json.loads(done.stdout)["state"] == "succeeded"
    with Winslow(Settings.read(environment)) as winslow:
        assert winslow.services_running
        assert winslow.status("ulm").state == "succeeded"


@pytest.mark.slow
def test_a_client_accepts_no_other_certificate(secured: Installation, tmp_path: Path) -> None:
    other, _ = certificate(tmp_path, ALLOWED_NAME)
    ours = installation_id(secured.settings)
    for trusted in (other.read_text(), None):
        with pytest.raises(ServiceUnavailable, match=r"does not answer: .*certificate verify failed"):
            DagsterClient(secured.settings.address, ours, certificate=trusted).job_names()


def test_the_address_names_the_scheme_and_a_host_that_programs_can_connect_to() -> None:
    def address(**variables: str) -> str:
        return Settings.read({f"WINSLOW_{name}": value for name, value in variables.items()}).address

    tls = {"TLS_CERTIFICATE": "/c.pem", "TLS_KEY": "/c.key"}
    assert address() == "http://127.0.0.1:3000"
    assert address(BIND="0.0.0.0", PORT="8443", **tls) == "https://127.0.0.1:8443"
    assert address(BIND="0:0::0") == "http://[::1]:3000"
    assert address(BIND="192.0.2.7", **tls) == "https://192.0.2.7:3000"


@pytest.mark.parametrize("text", ["localhost", "0.0.0.0:3000", "*", "192.0.2"])
def test_an_address_to_listen_on_that_is_none_is_an_error_that_names_it(text: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"WINSLOW_BIND is .*; expected an address of this machine"):
        Settings.read({"WINSLOW_BIND": text})


@pytest.mark.parametrize("given", ["CERTIFICATE", "KEY"])
def test_a_certificate_without_its_key_is_an_error(given: str) -> None:
    with pytest.raises(SettingsInvalid, match="is not set; expected both WINSLOW_TLS_CERTIFICATE and WINSLOW_TLS_KEY"):
        Settings.read({f"WINSLOW_TLS_{given}": "/some/file.pem"})


def test_a_certificate_that_cannot_be_used_is_an_error_before_anything_starts(tmp_path: Path) -> None:
    def refusal(pem: Path, key: Path) -> str:
        settings = Settings.read({"WINSLOW_TLS_CERTIFICATE": str(pem), "WINSLOW_TLS_KEY": str(key)})
        with pytest.raises(SettingsInvalid, match="the certificate cannot be used") as error:
            require_reachable_safely(settings)
        assert str(pem) in error.value.where
        return str(error.value)

    pem, key = certificate(tmp_path, "one")
    _, other = certificate(tmp_path, "other")
    assert "No such file" in refusal(tmp_path / "none.pem", key)
    assert "mismatch" in refusal(pem, other).lower()
    locked = tmp_path / "locked.key"
    unlocked = ["openssl", "pkcs8", "-topk8", "-in", str(key), "-passout", "pass:secret", "-out", str(locked)]
    subprocess.run(unlocked, check=True, capture_output=True)
    assert "without a password" in refusal(pem, locked)
    (tmp_path / "text.pem").write_text("no certificate\n")
    refusal(tmp_path / "text.pem", key)


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.0.2.7"])
def test_other_machines_do_not_reach_a_server_where_nobody_has_to_log_in(tmp_path: Path, bind: str) -> None:
    environment = {"WINSLOW_HOME": str(tmp_path / "home"), "WINSLOW_BIND": bind, "PATH": "/usr/bin:/bin"}
    command = [str(Path(sys.executable).with_name("winslow")), "up"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == SettingsInvalid.exit_code
    assert "nobody can log in yet" in done.stderr
    assert "Leave out WINSLOW_BIND" in done.stderr
