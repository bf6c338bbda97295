"""The API put together: guards outside, operations inside, and the schema that describes both."""

from functools import partial
from typing import Any

import sqlalchemy as sa
from fastapi import FastAPI
from starlette.middleware import Middleware

from sync_engine.api import documents, events, hints, invoices, operation, requisitions
from sync_engine.api.asking import Room
from sync_engine.api.guards import SecurityHeaders, SizeLimit
from sync_engine.api.metrics import Metrics
from sync_engine.api.problems import MEDIA_TYPE, handle_problems
from sync_engine.configuration import Systems
from sync_engine.database.connections import Database
from sync_engine.engine.promote import Configuration
from sync_engine.model.flows import Role

API_VERSION = "1.0"
POOL_SIZE = 8
CONNECT_S, POOL_WAIT_S = 3, 5
"""How long to wait for a new connection, and for one that others use; then the caller is told to come back."""


def make_pool(database: Database) -> sa.Engine:
    """Connections as the application's role, which can change nothing."""
    return database.engine(
        "finsync_app", pool_size=POOL_SIZE, pool_timeout=POOL_WAIT_S, connect_args={"connect_timeout": CONNECT_S}
    )


def make_api(database: Database, pool: sa.Engine, configuration: Configuration, systems: Systems) -> FastAPI:
    """The API over a database, checking requisitions by `configuration`."""
    api = FastAPI(
        title="Finance Workflow Sync",
        summary="Where requisitions, orders and invoices stand, whatever systems are behind them.",
        version=API_VERSION,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # they load scripts from elsewhere
        redoc_url=None,
        middleware=[Middleware(SecurityHeaders), Middleware(SizeLimit)],
    )
    procurement = systems.roles.system(Role.PROCUREMENT, "")
    room = Room(pool, configuration, procurement, database.cell, frozenset(systems.systems))
    api.state.room = room
    api.state.metrics = Metrics(partial(operation.figures, room))
    handle_problems(api)
    for part in (operation, invoices, documents, requisitions, events, hints):
        api.include_router(part.router)
    described = api.openapi

    def openapi() -> dict[str, Any]:
        return _with_problems(described())

    api.openapi = openapi  # type: ignore[method-assign]
    return api


def _with_problems(schema: dict[str, Any]) -> dict[str, Any]:
    """Problems come in a media type of their own, which FastAPI cannot be told per status."""
    problem = {"$ref": "#/components/schemas/ProblemDetails"}
    for path in schema["paths"].values():
        for operation_of_path in path.values():
            for response in operation_of_path["responses"].values():
                content = response.get("content", {})
                if content.get("application/json", {}).get("schema") == problem:
                    content[MEDIA_TYPE] = content.pop("application/json")
    return schema
