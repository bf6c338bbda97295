"""A house per journey."""

from collections.abc import Iterator

import psycopg
import pytest

from sync_engine.database.connections import Database
from sync_engine.engine.clock import VirtualClock
from tests.house import TUESDAY, House
from tests.insight.kept import assert_kept_as_it_stands, folded


@pytest.fixture
def house(connection: psycopg.Connection, database: Database) -> Iterator[House]:
    """Four systems, a few people, one engine, Tuesday morning. Whatever a journey was, what is kept of how its documents stand is in
    the end what it would be from scratch: every change of it has been told to the folder (PRODUCT.md 4.2).
    """
    made = House(VirtualClock(TUESDAY), connection, database, folds=True)
    yield made
    if not connection.closed:
        folded(connection, made.clock.now())
        assert_kept_as_it_stands(connection)
