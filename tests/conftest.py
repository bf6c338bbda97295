"""One PostgreSQL per run and version, one cell (schema) per test; time stands where a test puts it."""

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import psycopg
import pytest

from sync_engine.database import postgres
from sync_engine.database.connections import Database
from sync_engine.database.migrate import migrate
from sync_engine.database.postgres import Embedded

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
_cells = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first: workers take tests from each other, and a long one at the end is waited for by all."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture(scope="session")
def _servers() -> Iterator[dict[str, Embedded]]:
    running: dict[str, Embedded] = {}
    with tempfile.TemporaryDirectory(prefix="finsync-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        running["home"] = folder  # type: ignore[assignment]
        yield running
        for server in running.values():
            if isinstance(server, Embedded):
                server.stop(mode="immediate")


def _server(servers: dict[str, Embedded], name: str, bin_dir: Path | None) -> Embedded:
    if name not in servers:
        home = Path(str(servers["home"])) / name
        home.mkdir(mode=0o755)
        # A test database survives nothing but its test, so it need not wait for the disk.
        fast = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}
        servers[name] = postgres.start_embedded(home, bin_dir=bin_dir, settings=fast)
    return servers[name]


@pytest.fixture
def server(_servers: dict[str, Embedded]) -> Embedded:
    """The PostgreSQL of the embedded extra."""
    return _server(_servers, "embedded", None)


@pytest.fixture(params=["embedded", "15"])
def any_server(request: pytest.FixtureRequest, _servers: dict[str, Embedded]) -> Embedded:
    """Every PostgreSQL the program has to run on and this machine has."""
    if request.param == "embedded":
        return _server(_servers, "embedded", None)
    if not (DEBIAN_15 / "postgres").exists():
        pytest.skip("this machine has no PostgreSQL 15 binaries")
    return _server(_servers, "15", DEBIAN_15)


def new_cell(server: Embedded) -> Database:
    """A fresh, migrated cell."""
    database = Database(server.url(), cell=f"cell_{next(_cells)}", roles_log_in=True)
    with database.connect_owner() as connection:
        migrate(connection, cell=database.cell, release="test")
    database.let_roles_log_in()
    return database


@pytest.fixture
def database(server: Embedded) -> Database:
    """A fresh, migrated cell on the embedded server."""
    return new_cell(server)


@pytest.fixture
def any_database(any_server: Embedded) -> Database:
    """A fresh, migrated cell on every server there is."""
    return new_cell(any_server)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """The engine's connection to a fresh cell."""
    with database.connected("finsync_engine") as open_connection:
        yield open_connection


@pytest.fixture
def noon() -> datetime:
    """A Tuesday, when every office but Tokyo's is open or about to be."""
    return datetime(2026, 9, 15, 12, 0, tzinfo=UTC)
