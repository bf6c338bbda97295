"""A house per journey."""

import psycopg
import pytest

from sync_engine.database.connections import Database
from sync_engine.engine.clock import VirtualClock
from tests.house import TUESDAY, House


@pytest.fixture
def house(connection: psycopg.Connection, database: Database) -> House:
    """Four systems, a few people, one engine, Tuesday morning."""
    return House(VirtualClock(TUESDAY), connection, database)
