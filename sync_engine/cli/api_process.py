"""The canonical API as a process: uvicorn until it is told to stop."""

import threading

import structlog
import uvicorn

from sync_engine import cores
from sync_engine.api.service import make_api, make_pool
from sync_engine.cli.stopping import told_to_stop
from sync_engine.configuration import load_systems
from sync_engine.engine import promote
from sync_engine.opening import opened
from sync_engine.settings import Settings

IN_FLIGHT_MAX = 100
"""Requests at a time; more are told to come back (503) instead of waiting for a connection they will not get."""

STOP_S = 10
"""How long requests under way may take to finish when the process is told to stop."""

log = structlog.get_logger()


def run_api(settings: Settings) -> None:
    """Serve the API until told to stop."""
    configuration, systems = promote.load(settings.config), load_systems(settings.config)
    with opened(settings) as database, told_to_stop() as stop:
        pool = make_pool(database)
        server = uvicorn.Server(
            uvicorn.Config(
                make_api(database, pool, configuration, systems),
                host=settings.api_host,
                port=settings.api_port,
                limit_concurrency=IN_FLIGHT_MAX,
                timeout_graceful_shutdown=STOP_S,
                server_header=False,
                access_log=False,
                log_config=None,
            )
        )
        # In the main thread uvicorn would end the process by the signal it caught, before the database is closed.
        serving = threading.Thread(target=server.run, name="api", daemon=True)
        with cores.on_one(wanted=settings.one_core):
            serving.start()
            log.info("api started", host=settings.api_host, port=settings.api_port, cell=database.cell)
            try:
                while serving.is_alive() and not stop.wait(0.5):
                    pass
            finally:
                server.should_exit = True
                serving.join(STOP_S + 5)
                pool.dispose()
                log.info("api stopped")
