"""Where a measurement is made: a cell of its own, dropped afterwards, and what is said of the machine beside the figures."""

import os
import platform
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.sql import SQL, Identifier

from sync_engine.database.connections import Database, borrowed
from sync_engine.database.migrate import migrate

PATIENCE_S = 600.0
"""After so long without an end a measurement is given up."""


@contextmanager
def cell(database: Database) -> Iterator[Database]:
    """A cell of one's own beside the one that is configured, dropped in the end."""
    url = database.owner_url.render_as_string(hide_password=False)
    made = Database(url, cell=f"bench_{secrets.token_hex(4)}", roles_log_in=database.roles_log_in)
    with made.connect_owner() as owner:
        migrate(owner, cell=made.cell, release="benchmark")
    if made.roles_log_in:
        made.let_roles_log_in()
    try:
        yield made
    finally:
        with made.connect_owner() as owner:
            owner.execute(SQL("DROP SCHEMA {} CASCADE").format(Identifier(made.cell)))


@contextmanager
def connected(database: Database) -> Iterator[psycopg.Connection]:
    """A connection as the engine has it."""
    pool = database.engine("finsync_engine", pool_size=1)
    try:
        with borrowed(pool) as connection:
            yield connection
    finally:
        pool.dispose()


@contextmanager
def owned(database: Database) -> Iterator[psycopg.Connection]:
    """The owner's connection, in the cell."""
    with database.connect_owner() as owner:
        owner.execute(SQL("SET search_path TO {}").format(Identifier(database.cell)))
        yield owner


def one(connection: psycopg.Connection, query: Any, *values: Any) -> Any:
    """The single value that a query answers."""
    row = connection.execute(query, values).fetchone()
    return row[0] if row else None


def wait_until_done(connection: psycopg.Connection) -> None:
    """Return when nothing is due or under way any more.

    Raises:
        RuntimeError: not within `PATIENCE_S`.
    """
    give_up_at = time.monotonic() + PATIENCE_S
    while one(
        connection,
        "SELECT EXISTS (SELECT 1 FROM work_item WHERE status = 'due') OR EXISTS (SELECT 1 FROM work_item WHERE status = 'in_call')",
    ):
        if time.monotonic() > give_up_at:
            raise RuntimeError("the engine did not get done")
        time.sleep(0.02)


def machine(database: Database) -> dict[str, Any]:
    """What the figures were made on."""
    with database.connect_owner() as owner:
        settings = {
            name: one(owner, "SELECT current_setting(%s)", name)
            for name in ("fsync", "synchronous_commit", "shared_buffers")
        }
        version = one(owner, "SELECT current_setting('server_version')")
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "postgresql": version,
        **settings,
        "load_before": round(os.getloadavg()[0], 2),
    }
