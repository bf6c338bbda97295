"""One PostgreSQL per worker and version, one cell in a database of its own per test; time stands where a test puts it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from psycopg import sql as compose

from config import FOLDER
from sync_engine.configuration import load_calendars
from sync_engine.database import postgres
from sync_engine.database.connections import Database, dsn
from sync_engine.database.migrate import migrate
from sync_engine.database.postgres import Embedded
from sync_engine.engine.calendars import fill

if TYPE_CHECKING:
    from sandbox.simulation.simulate import Stage

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
_cells = count(1)
_COPY = "copy_"
_ROOM = 6 * 2**30
"""Bytes: what the servers of two workers never reach."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long tests first: workers take tests from each other, and a long one at the end is waited for by all."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def _roomy_memory() -> Path | None:
    """Where databases cost no disk: a copied cell is some 700 files, which a disk's journal takes half a second for."""
    memory = Path("/dev/shm")
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > _ROOM else None


@pytest.fixture(scope="session")
def _servers() -> Iterator[dict[str, Embedded]]:
    running: dict[str, Embedded] = {}
    with tempfile.TemporaryDirectory(prefix="finsync-test-", dir=_roomy_memory(), ignore_cleanup_errors=True) as folder:
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
        fast = {
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_wal_size": "512MB",
            "max_connections": "200",
        }
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


def migrated_cell(server: Embedded) -> Database:
    """A fresh cell beside others in one database, made by every migration there is."""
    database = Database(server.url(), cell=f"cell_{next(_cells)}", roles_log_in=True)
    with database.connect_owner() as connection:
        migrate(connection, cell=database.cell, release="test")
    database.let_roles_log_in()
    return database


def new_cell(server: Embedded) -> Database:
    """A fresh cell in a database of its own: a copy of one that was migrated once, with the business calendars filled, which takes an
    eighth of the time."""
    name = f"{_COPY}{next(_cells)}"
    with psycopg.connect(server.url(), autocommit=True) as root:
        if root.execute("SELECT NOT EXISTS (SELECT FROM pg_database WHERE datname = 'model')").fetchone() == (True,):
            root.execute("CREATE DATABASE model")
            model = Database(server.url(database="model"), cell="cell", roles_log_in=True)
            with model.connect_owner() as connection:
                migrate(connection, cell=model.cell, release="test")
            model.let_roles_log_in()
            with model.connected("finsync_engine") as connection:
                fill(connection, load_calendars(FOLDER).calendars, first=date(2024, 1, 1), last=date(2028, 12, 31))
        root.execute(
            compose.SQL("CREATE DATABASE {} TEMPLATE model STRATEGY file_copy").format(compose.Identifier(name))
        )
    return Database(server.url(database=name), cell="cell", roles_log_in=True)


def drop_cell(database: Database) -> None:
    """Give back the room of a `new_cell`; whoever still looks at it is cut off."""
    name = str(database.owner_url.database)
    assert name.startswith(_COPY)
    with psycopg.connect(dsn(database.owner_url.set(database="postgres")), autocommit=True) as root:
        root.execute(compose.SQL("DROP DATABASE {} WITH (FORCE)").format(compose.Identifier(name)))


@pytest.fixture
def database(server: Embedded) -> Iterator[Database]:
    """A fresh, migrated cell on the embedded server."""
    made = new_cell(server)
    yield made
    drop_cell(made)


@pytest.fixture
def any_database(any_server: Embedded) -> Iterator[Database]:
    """A fresh, migrated cell on every server there is."""
    made = new_cell(any_server)
    yield made
    drop_cell(made)


@pytest.fixture
def connection(database: Database) -> Iterator[psycopg.Connection]:
    """The engine's connection to a fresh cell."""
    with database.connected("finsync_engine") as open_connection:
        yield open_connection


@pytest.fixture
def noon() -> datetime:
    """A Tuesday, when every office but Tokyo's is open or about to be."""
    return datetime(2026, 9, 15, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="session")
def _stage() -> Iterator["Stage"]:
    # Loaded where it is wanted: most tests have nothing to do with it.
    from sandbox.simulation.arena import server
    from sandbox.simulation.simulate import Stage, settled_in

    with server() as url:
        with settled_in():
            made = Stage(url, "simulation")
        with closing(made):
            yield made


@pytest.fixture
def alone(_stage: "Stage") -> Iterator["Stage"]:
    """The simulator's stage: one per worker, because it takes seconds to learn how every journey ends in a calm world."""
    from sandbox.simulation.simulate import settled_in

    with settled_in():
        yield _stage
