"""The services of an installation are reached through the guard only."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import psutil
import pytest
from installation import Installation, until

PIPELINE = "name: one\ncommand: [sh, -c]\nstages:\n  - name: work\n    args: ['echo done']\n"


@pytest.fixture
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("guarded"), None, {"one": PIPELINE})
    installation.up()
    yield installation
    installation.down()


@pytest.mark.slow
def test_no_service_listens_on_the_network_but_the_guarded_one(running: Installation) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for process in running.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {("127.0.0.1", running.port)}
    request = urllib.request.Request(running.settings.address, headers={"Host": "evil.example"})
    with pytest.raises(urllib.error.HTTPError, match="421"):
        urllib.request.urlopen(request)

    (web_server,) = running.service("web-server")
    psutil.Process(web_server).kill()
    until(lambda: running.service("web-server") != [web_server] and running.services.running(), "a new web server")
    with pytest.raises(urllib.error.HTTPError, match="421"):
        urllib.request.urlopen(request)
