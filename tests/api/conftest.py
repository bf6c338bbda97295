"""A canonical API over a fresh cell, as its callers meet it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from starlette.testclient import TestClient

from config import FOLDER
from sync_engine.api.service import make_api, make_pool
from sync_engine.configuration import load_systems
from sync_engine.control import access
from sync_engine.control.access import Person
from sync_engine.control.roles import Role
from sync_engine.database.connections import Database, borrowed
from sync_engine.engine import promote
from sync_engine.engine.clock import VirtualClock
from tests.house import TUESDAY, House


@pytest.fixture
def house(connection: psycopg.Connection, database: Database) -> House:
    """Four systems, a few people, one engine, Tuesday morning."""
    return House(VirtualClock(TUESDAY), connection, database)


@pytest.fixture(scope="session")
def configuration() -> promote.Configuration:
    """The configuration of the repository."""
    return promote.load(Path(FOLDER))


@pytest.fixture
def client(database: Database, configuration: promote.Configuration) -> Iterator[TestClient]:
    """Sends requests to the API; a bug is answered as a caller would see it."""
    pool = make_pool(database)
    api = make_api(database, pool, configuration, load_systems(FOLDER))
    with TestClient(api, raise_server_exceptions=False) as open_client:
        yield open_client
    pool.dispose()


Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def bearer(database: Database) -> Bearer:
    """Makes somebody known and answers the header that proves them."""

    def prove(*units: str, role: Role = Role.FINANCE_OPERATIONS, hours: float = 1) -> dict[str, str]:
        user_id = f"service.{'.'.join(units) or 'all'}.{role}"
        gate = database.engine("finsync_gate", pool_size=1)
        with borrowed(gate) as connection:
            access.put_people(connection, [Person(user_id, user_id, frozenset({role}), units or ("*",))], now=TUESDAY)
        session = access.open_session(gate, user_id, hours=hours)
        gate.dispose()
        return {"authorization": f"Bearer {session.token}"}

    return prove
