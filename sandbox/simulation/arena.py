"""Where schedules run: one cell of a PostgreSQL whose durability is switched off, emptied between schedules, with the
connections of its engines kept, because preparing some hundred statements anew would cost more than the schedule."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import psycopg
from psycopg import sql as compose

from sandbox.simulation.landscape import UNITS, configuration
from sync_engine.control.access import AppSession, Person, open_session, put_people
from sync_engine.control.roles import Role
from sync_engine.database import postgres
from sync_engine.database.connections import Database, borrowed
from sync_engine.database.migrate import migrate
from sync_engine.database.statements import sql
from sync_engine.engine import promote

FAST = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "track_activities": "off",
    "track_counts": "off",
    "update_process_title": "off",
}
"""A simulated database survives nothing but its run, so it need not wait for a disk."""

KEPT = frozenset(
    {
        "schema_migration",
        "schema_view",
        "calendar_interval",
        "business_unit",
        "objective",
        "config_version",
        "app_user",
        "app_session",
    }
)
"""What is the same in every schedule."""

REBUILT_EVERY = 40
"""Schedules after which the tables are truncated instead: deleting is twice as fast and keeps every prepared plan, but leaves
dead rows behind that later schedules step over."""

UNTIED = (
    "DROP INDEX work_due, work_in_turn, work_in_call",
    "CREATE INDEX work_due ON work_item (system, due_at, work_item_id) WHERE status = 'due'",
    "CREATE INDEX work_in_turn ON work_item (system, priority, due_at, work_item_id) WHERE status = 'due'",
    "CREATE INDEX work_in_call ON work_item (system, lease_until, work_item_id) WHERE status = 'in_call'",
)
"""Of items that are due at the same instant, a claim that may not have all takes those that stand first on the disk, which no seed
decides. Here the same indexes go on by id, so that a run can be repeated."""

IN_FORCE_SINCE = datetime(2026, 9, 1, tzinfo=UTC)

LEAVER = "operations.4"
"""Whoever loses their rights between asking and being heard."""

PEOPLE = (
    *(Person(f"operations.{n}", f"Operations {n}", frozenset({Role.FINANCE_OPERATIONS}), ("*",)) for n in (1, 2, 3, 4)),
    *(Person(f"analyst.{unit.lower()}", unit, frozenset({Role.PROCUREMENT_ANALYST}), (unit,)) for unit in UNITS),
)


@contextmanager
def server() -> Iterator[str]:
    """A PostgreSQL for simulations, in memory where the machine has a file system for that; its address."""
    memory = Path("/dev/shm")  # noqa: S108 - the kernel's own file system in memory
    where = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="finsync-sim-", dir=where, ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        home.chmod(0o755)
        running = postgres.start_embedded(home, settings=FAST)
        try:
            yield running.url()
        finally:
            running.stop(mode="immediate")
            shutil.rmtree(home, ignore_errors=True)


class Arena:
    """One worker's cell.

    Args:
        url: Where the server is.
        cell: The schema, made if need be.
    """

    def __init__(self, url: str, cell: str) -> None:
        self._closing = ExitStack()
        self.database = Database(url, cell=cell, roles_log_in=True)
        with self.database.connect_owner() as connection:
            migrate(connection, cell=cell, release="simulation")
        self.database.let_roles_log_in()
        self.owner = self._closing.enter_context(self.database.connect_owner())
        self.owner.execute(compose.SQL("SET search_path TO {}").format(compose.Identifier(cell)))
        for change in UNTIED:
            self.owner.execute(change)
        self._pool = self.database.engine("finsync_engine", pool_size=10)
        self._closing.callback(self._pool.dispose)
        self.app = self.database.engine("finsync_app", pool_size=2)
        self._closing.callback(self.app.dispose)
        self._connections: list[psycopg.Connection] = []
        self._runs = 0
        self._tables = [
            row[0]
            for row in self.owner.execute(sql("simulate.tables"), {"cell": cell}).fetchall()
            if row[0] not in KEPT
        ]
        self._put_in_force()
        self.sessions = self._open_sessions()

    def close(self) -> None:
        """Let go of all connections."""
        self._closing.close()

    def connection(self, number: int) -> psycopg.Connection:
        """A connection as an engine's role, the same for the same number."""
        while len(self._connections) <= number:
            self._connections.append(self._closing.enter_context(borrowed(self._pool)))
        return self._connections[number]

    def empty(self) -> None:
        """Forget everything the last schedule has left."""
        self._runs += 1
        names = [compose.Identifier(name) for name in self._tables]
        with self.owner.transaction(), self.owner.pipeline():
            if self._runs % REBUILT_EVERY == 0:
                self.owner.execute(compose.SQL("TRUNCATE {} RESTART IDENTITY").format(compose.SQL(", ").join(names)))
                return
            self.owner.execute("SET LOCAL session_replication_role = replica")
            for name in names:
                self.owner.execute(compose.SQL("DELETE FROM {}").format(name))

    def _put_in_force(self) -> None:
        with borrowed(self._pool) as connection:
            promote.put_in_force(
                connection, configuration(), today=IN_FORCE_SINCE.date(), now=IN_FORCE_SINCE, by="simulation"
            )
            put_people(connection, PEOPLE, now=IN_FORCE_SINCE)

    def _open_sessions(self) -> dict[str, AppSession]:
        gate = self.database.engine("finsync_gate", pool_size=1)
        try:
            return {person.user_id: open_session(gate, person.user_id, hours=24) for person in PEOPLE}
        finally:
            gate.dispose()
