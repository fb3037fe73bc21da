"""`python -m winslow_dagster.services.code_server`: serves the pipelines, as jobs, to the web server and the daemon.

Dagster's own command for it keeps the code in a second process, so that a reload can start that anew. Only pipeline
files change here while the services run; they are read again in this process, and one that is killed is simply started
again by the supervisor.

Every private Dagster name in this file has a contract test.
"""

from __future__ import annotations

import importlib
import logging
import sys
from threading import Event
from typing import Any
from uuid import uuid4

from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.utils import FuturesAwareThreadPoolExecutor
from dagster._grpc.__generated__.dagster_api_pb2 import ReloadCodeReply
from dagster._grpc.server import DagsterApiServer, DagsterGrpcServer, LoadedRepositories
from dagster._utils.error import serializable_error_info_from_exc_info
from dagster._utils.interrupts import setup_interrupt_handlers
from typing_extensions import override

from winslow_dagster.services.instance import LOCATION, code_socket
from winslow_dagster.settings import Settings

DEFINITIONS = "winslow_dagster.definitions"
ENTRY_POINT = (sys.executable, "-m", "dagster")


class CodeServer(DagsterApiServer):
    """Dagster's server of code, which reloads within its process."""

    @override
    def ReloadCode(self, _request: Any, _context: Any) -> ReloadCodeReply:
        """Read the pipeline files again. Requests in progress finish with what they began with.

        If that fails, the error is served instead, until the next reload.
        """
        with self._reload_lock:
            try:
                # If it could not be imported yet, loading does that.
                if DEFINITIONS in sys.modules:
                    importlib.reload(sys.modules[DEFINITIONS])
                self._loaded_repositories = self._load()
                self._serializable_load_error = None
            except Exception:  # whatever it is, people see it in place of the pipelines
                self._logger.exception("the pipelines cannot be loaded")
                self._serializable_load_error = serializable_error_info_from_exc_info(sys.exc_info())
                self._loaded_repositories = None
            # By this, the web server and the daemon see that there is something new.
            self._server_id = str(uuid4())
        return ReloadCodeReply()

    def _load(self) -> LoadedRepositories:
        return LoadedRepositories(
            self._loadable_target_origin,
            entry_point=self._entry_point,
            container_image=self._container_image,
            container_context=self._container_context,
            code_location_name=LOCATION,
        )


def serve(settings: Settings) -> None:
    """Serve until TERM or INT."""
    setup_interrupt_handlers()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logger = logging.getLogger("dagster.code_server")
    ended = Event()
    threads = FuturesAwareThreadPoolExecutor()
    servicer = CodeServer(
        server_termination_event=ended,
        logger=logger,
        server_threadpool_executor=threads,
        loadable_target_origin=LoadableTargetOrigin(executable_path=sys.executable, module_name=DEFINITIONS),
        # An error is shown in place of the pipelines.
        lazy_load_user_code=True,
        entry_point=ENTRY_POINT,
        location_name=LOCATION,
    )
    server = DagsterGrpcServer(ended, servicer, logger, threads, socket=str(code_socket(settings)))
    try:
        server.serve()  # type: ignore[no-untyped-call]  # Dagster's own signature
    except KeyboardInterrupt:
        return


if __name__ == "__main__":
    serve(Settings.read())
