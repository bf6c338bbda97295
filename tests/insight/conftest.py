"""A cell in which events can be told and folded: one for all tests of a file, emptied between them."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import pytest
import sqlalchemy as sa

from config import FOLDER
from sync_engine.database.connections import Database, borrowed
from sync_engine.engine import promote
from tests.conftest import _server, drop_cell, new_cell


@contextmanager
def made_cell(_servers) -> Iterator[tuple[Database, sa.Engine]]:
    """A cell with the configuration in force, and the engine's connections to it."""
    database = new_cell(_server(_servers, "embedded", None))
    pool = database.engine("finsync_engine", pool_size=3)
    with borrowed(pool) as connection:
        promote.put_in_force(
            connection, promote.load(FOLDER), today=date(2026, 9, 15), now=datetime(2026, 9, 15, tzinfo=UTC), by="test"
        )
    yield database, pool
    pool.dispose()
    drop_cell(database)


@pytest.fixture(scope="module")
def cell(_servers) -> Iterator[tuple[Database, sa.Engine]]:
    """A cell for all tests of a file."""
    with made_cell(_servers) as made:
        yield made


@pytest.fixture
def new(_servers) -> Iterator[tuple[Database, sa.Engine]]:
    """A cell in which nothing has happened yet."""
    with made_cell(_servers) as made:
        yield made
