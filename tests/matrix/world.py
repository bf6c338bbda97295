"""A house that can be put back to where it stood: its database row by row, its systems, its clock.

A case of the matrix begins just before the step it is about. Playing the journey up to there every time would cost more
than the case itself, and a database of its own would forget every statement the engine has prepared.
"""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from sync_engine.control.execute import execute_commands
from sync_engine.database.connections import Database, borrowed
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.engine import Engine
from sync_engine.engine.fast_forward import FastForward
from sync_engine.engine.results import CrashPoint, no_crash
from tests.house import TUESDAY, House
from tests.matrix.wire import Line

TABLES = """
SELECT c.relname, array_agg(a.attname ORDER BY a.attnum)
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
 GROUP BY c.relname ORDER BY c.relname"""

CONFIGURED = frozenset({"calendar_interval", "business_unit", "config_version", "objective", "schema_migration"})
"""Tables that only a promotion writes, and no journey promotes anything."""


@dataclass(frozen=True)
class Picture:
    """A world as it stood at one moment."""

    rows: dict[str, bytes]
    sequences: dict[str, int]
    systems: dict[str, dict[str, Any]]
    now: datetime
    elapsed_s: float


class Shift:
    """One engine at work, on a connection of its own."""

    def __init__(self, world: "World", crash_point: CrashPoint = no_crash) -> None:
        self._world = world
        self.engine: Engine = world.house.new_engine(crash_point)
        self.connection = world.connect()
        self._forward = self._driver()
        self.engine.register(self.connection, release="test")

    def _driver(self) -> FastForward:
        return FastForward(
            self.engine,
            self.connection,
            self._world,
            spent_s=self._world.house.stopwatch,
            also=[self._carry_out],
        )

    def _carry_out(self) -> int:
        return execute_commands(
            self.connection, self.engine.setup, engine_id=self.engine.engine_id, now=self._world.now()
        )

    def work_until(self, until: datetime) -> None:
        """Let time pass, and the engine do what it does."""
        self._forward.run_until(until)

    def reconnect(self) -> None:
        """Its session was ended by the server: it works on with another, as the runner does."""
        self._world.give_back(self.connection)
        self.connection = self._world.connect()
        self._forward = self._driver()

    def end(self) -> None:
        """The process is gone: the server rolls back what it had open."""
        self._world.give_back(self.connection)


class World:
    """One house, its owner's eyes on the database, and the network between them all."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._pool = database.engine("finsync_engine", pool_size=4)
        self._lent: dict[int, tuple[Any, psycopg.Connection]] = {}
        self.eyes = database.connect_owner()
        self.eyes.execute(f"SET search_path = {database.cell}")
        self.house = House(VirtualClock(TUESDAY), self.connect(), database)
        self.line = Line(self.house.transport, self.house.standins, self.house.stopwatch, self.now)
        self.house.transport = self.line
        self._tables = dict(self.eyes.execute(TABLES, [database.cell]).fetchall())
        self._sequences = [
            name
            for (name,) in self.eyes.execute(
                "SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = %s::regnamespace", [database.cell]
            )
        ]

    def close(self) -> None:
        """Let go of everything."""
        for connection in [lent for _, lent in self._lent.values()]:
            self.give_back(connection)
        self._pool.dispose()
        self.eyes.close()

    def now(self) -> datetime:
        """The time in this world."""
        return self.house.clock.now()

    # -- connections ------------------------------------------------------------------------------------------------

    def connect(self) -> psycopg.Connection:
        """A connection as the engine's role; `give_back` it."""
        lending = borrowed(self._pool)
        connection = lending.__enter__()
        self._lent[id(connection)] = (lending, connection)
        return connection

    def give_back(self, connection: psycopg.Connection) -> None:
        """What was open on it is rolled back, as the server does when a client is gone."""
        lending, _ = self._lent.pop(id(connection), (None, connection))
        if not connection.closed and connection.info.transaction_status != psycopg.pq.TransactionStatus.IDLE:
            connection.rollback()
        if lending is not None:
            lending.__exit__(None, None, None)

    def cut_off(self, connection: psycopg.Connection) -> None:
        """The server ends a session, as it does with one that sits in a transaction for longer than it may."""
        self.eyes.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])

    # -- the world as the fast clock sees it --------------------------------------------------------------------------

    def next_action_at(self) -> datetime | None:
        """When a message that was held up arrives."""
        return self.line.next_arrival_at()

    def act(self, now: datetime) -> bool:
        """What was held up arrives."""
        self.line.let_arrive(now)
        return False

    def revision(self, system: str, feed: str) -> int:
        """Changes whenever a system has news."""
        return self.house.revision(system, feed)

    # -- there and back -----------------------------------------------------------------------------------------------

    def picture(self) -> Picture:
        """The world as it stands."""
        rows = {name: b"".join(self._copied(name)) for name in self._tables if name not in CONFIGURED}
        sequences = {
            name: self.eyes.execute(f'SELECT last_value FROM "{name}"').fetchone()[0] for name in self._sequences
        }
        systems = {
            name: copy.deepcopy(vars(standin), self._itself(standin)) for name, standin in self.house.standins.items()
        }
        return Picture(rows, sequences, systems, self.now(), self.house.clock.timer())

    def put_back(self, picture: Picture) -> None:
        """Stand as in the picture again."""
        with self.eyes.transaction(), self.eyes.cursor() as cursor:
            cursor.execute("SET LOCAL session_replication_role = replica")  # no look at foreign keys, row by row
            cursor.execute(";".join(f'DELETE FROM "{name}"' for name in picture.rows))
            for name, content in picture.rows.items():
                if len(content) > EMPTY:
                    with cursor.copy(f'COPY "{name}" ({self._columns(name)}) FROM STDIN (FORMAT binary)') as copying:
                        copying.write(content)
            for name, value in picture.sequences.items():
                cursor.execute("SELECT setval(%s::regclass, %s)", [name, value])
        for name, standin in self.house.standins.items():
            vars(standin).update(copy.deepcopy(picture.systems[name], self._itself(standin)))
        clock = self.house.clock
        clock._now, clock._elapsed_s = picture.now, picture.elapsed_s
        self.house.stopwatch.elapsed_s = 0.0
        self.house.engines = 1
        self.line.forget()

    def _columns(self, table: str) -> str:
        return ", ".join(f'"{column}"' for column in self._tables[table])

    def _copied(self, table: str) -> Iterator[bytes]:
        with (
            self.eyes.cursor() as cursor,
            cursor.copy(f'COPY "{table}" ({self._columns(table)}) TO STDOUT (FORMAT binary)') as copying,
        ):
            yield from map(bytes, copying)

    def _itself(self, standin: Any) -> dict[int, Any]:
        """What a copy of a system shares with the original: itself, its lock, the world's clock."""
        return {id(one): one for one in (standin, standin.lock, self.house.clock)}


EMPTY = 21
"""Bytes of a binary copy without rows: signature, flags, length of the header, and the end."""
