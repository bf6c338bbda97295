"""An engine in real time over two systems made for the purpose, whose ledger lists every call they were asked for.

The ledger may be a file, so that engines in several processes write into the same one; a line is one call, and an order
stands in the ERP if the ledger says that it was created.
"""

import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import SystemRandom
from typing import Any

import psycopg
import sqlalchemy as sa

from config import FOLDER
from sync_engine.configuration import load_mappings, load_policies
from sync_engine.database.connections import Database
from sync_engine.engine import store
from sync_engine.engine.beginning import begin_document
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import Engine, database_now
from sync_engine.engine.outcomes import Setup, Spawn
from sync_engine.engine.recording import Recording
from sync_engine.engine.runner import Runner
from sync_engine.model.errors import SyncError
from sync_engine.model.flows import FLOWS, Role
from sync_engine.model.ids import id_maker
from sync_engine.model.ports import Answer, Ask, Effect, Identifier, Operation, System, operations
from tests.toy import order

MAPPINGS, POLICIES = load_mappings(FOLDER), load_policies(FOLDER)
ROLES = {"erp": (Role.ERP,), "procurement": (Role.PROCUREMENT, Role.APPROVALS, Role.AP_AUTOMATION)}
STEPS = ("order_accepted", "commitment_confirmed", "order_number_returned", "export_marked")
"""What an order goes through outside, each step once."""


class Ledger:
    """Every call, one line each: operation and key. Safe for threads, and for processes if it is in a file."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._lines: list[str] = []
        self._known: set[str] = set()
        self._read_to = 0
        if path is not None:
            path.touch()

    def note(self, operation: str, key: str) -> None:
        """A call."""
        line = f"{operation} {key}"
        with self._lock:
            if self._path is None:
                self._lines.append(line)
                self._known.add(line)
            else:
                with self._path.open("ab", buffering=0) as file:
                    file.write(f"{line}\n".encode())  # one write: lines of two processes do not mix

    def lines(self) -> list[str]:
        """All calls so far, in order."""
        with self._lock:
            if self._path is not None:
                with self._path.open("rb") as file:
                    file.seek(self._read_to)
                    more = file.read()
                whole = more[: more.rfind(b"\n") + 1]
                self._read_to += len(whole)
                self._lines += whole.decode().splitlines()
                self._known.update(self._lines[-whole.count(b"\n") :] if whole else [])
            return list(self._lines) if self._path is not None else self._lines[:]

    def holds(self, operation: str, key: str) -> bool:
        """Whether such a call was made."""
        if self._path is not None:
            self.lines()
        with self._lock:
            return f"{operation} {key}" in self._known

    def count(self, operation: str) -> Counter[str]:
        """How often an operation was called, by key."""
        return Counter(key for name, key in (line.split() for line in self.lines()) if name == operation)


@dataclass
class Habits:
    """How one system behaves."""

    delay_s: float = 0.0
    error: Callable[[], SyncError | None] = lambda: None
    """What every call is answered with instead, as long as it says something."""


class Line:
    """What a connector's session is to the lane."""

    def __init__(self, ledger: Ledger, habits: Habits) -> None:
        self.ledger, self.habits = ledger, habits

    @contextmanager
    def tracing(self, _trace_id: str) -> Iterator[list[Any]]:
        yield []

    def call(self, operation: str, key: str) -> None:
        if self.habits.delay_s:
            time.sleep(self.habits.delay_s)
        error = self.habits.error()
        if error is not None:
            self.ledger.note("refused", operation)
            raise error
        self.ledger.note(operation, key)


def _create(line: Line, ask: Ask) -> Answer:
    line.call("create_purchase_order", ask.reference(12))
    return _answer(ask)


def _look_up(line: Line, ask: Ask) -> Answer | None:
    line.ledger.note("look_up", ask.reference(12))
    return _answer(ask) if line.ledger.holds("create_purchase_order", ask.reference(12)) else None


def _answer(ask: Ask) -> Answer:
    return Answer(identifiers=(Identifier("erp", "purchase_order", f"45-{ask.document.number}"),))


def _set(name: str) -> Callable[[Line, Ask], Answer]:
    def run(line: Line, ask: Ask) -> Answer:
        line.call(name, ask.idempotency_key)
        return Answer()

    return run


def system(name: str, **changes: Any) -> System:
    """A system that plays its roles."""
    asked = sorted({step.does for flow in FLOWS.values() for step in flow.steps if step.asks in ROLES[name]})
    declared = System(
        name=name,
        title=name.title(),
        role=ROLES[name][0],
        api_version="1",
        feeds=(),
        operations=operations(
            Operation("create_purchase_order", Effect.CREATE, _create, _look_up),
            *(Operation(one, Effect.SET, _set(one)) for one in asked if one != "create_purchase_order"),
        ),
        requests_per_s=1e6,
        burst=1_000_000,
        max_in_flight=8,
        quiet_period_s=1,
        idempotency="by reference",
        connect=lambda *_: None,
    )
    return replace(declared, **changes)


@dataclass
class Workshop:
    """A database, a ledger, the habits of the two systems, and engines that come and go."""

    database: Database
    ledger: Ledger = field(default_factory=Ledger)
    habits: dict[str, Habits] = field(default_factory=lambda: {"erp": Habits(), "procurement": Habits()})
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)
    """How a system's declaration differs from the usual."""
    pools: list[sa.Engine] = field(default_factory=list)

    def engine(
        self, name: str, connection: psycopg.Connection, crash_point: Callable[[str], None] = lambda _: None
    ) -> Engine:
        """One more engine, registered."""
        systems = {one: system(one, **self.changes.get(one, {})) for one in ROLES}
        role_of = {role: one for one, roles in ROLES.items() for role in roles}
        rng = SystemRandom()
        setup = Setup(systems, lambda role, _unit: role_of[role], MAPPINGS, POLICIES, rng, id_maker(rng))
        sessions = {one: Line(self.ledger, self.habits[one]) for one in ROLES}
        clock = DatabaseClock(database_now(connection))
        engine = Engine(setup, sessions, clock, engine_id=name, crash_point=crash_point)
        engine.register(connection, release="test")
        return engine

    def pool(self, size: int) -> sa.Engine:
        """Connections as the engine's role; closed with the workshop."""
        pool = self.database.engine("finsync_engine", pool_size=size)
        self.pools.append(pool)
        return pool

    def runner(self, name: str, **how: Any) -> Runner:
        """An engine with its threads, not yet started."""
        with self.borrowed() as connection:
            engine = self.engine(name, connection)
        return Runner(engine, self.pool(Runner.connections_needed(engine, **how)), **how)

    @contextmanager
    def running(self, *names: str, **how: Any) -> Iterator[list[Runner]]:
        """Engines at work for as long as the block lasts."""
        runners = [self.runner(name, **how) for name in names]
        for runner in runners:
            runner.start()
        try:
            yield runners
        finally:
            for runner in runners:
                runner.stop()

    def borrowed(self) -> AbstractContextManager[psycopg.Connection]:
        """A connection of the engine's role."""
        return self.database.connected("finsync_engine")

    def draft(self, *numbers: str) -> None:
        """Orders that are to be made."""
        with self.borrowed() as connection:
            engine = self.engine("drafter", connection)
            for start in range(0, len(numbers), 500):
                recording = Recording("drafter", engine.clock.now(), engine.setup.new_id)
                for number in numbers[start : start + 500]:
                    begin_document(recording, Spawn(order(number), "order_drafted"), engine.setup, parent=None)
                with connection.transaction():
                    store.write(connection, recording)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query answers, over a connection of its own."""
        with self.database.connect_owner() as connection:
            connection.execute(f'SET search_path TO "{self.database.cell}"')
            return connection.execute(query, values).fetchall()

    def done(self) -> int:
        """How many orders have gone through every step outside."""
        return int(self.ask("SELECT count(*) FROM event WHERE activity = 'export_marked'")[0][0])

    def wait_until(self, what: Callable[[], bool], *, seconds: float = 30.0) -> None:
        """Return as soon as `what` holds.

        Raises:
            AssertionError: not within `seconds`; says how far things have come.
        """
        deadline = time.monotonic() + seconds
        while not what():
            if time.monotonic() > deadline:
                items = self.ask(
                    "SELECT system, step, status, waiting_for, count(*) FROM work_item GROUP BY 1, 2, 3, 4 ORDER BY 5 DESC LIMIT 8"
                )
                raise AssertionError(
                    f"not within {seconds} s; work stands at {items}, systems at {self.ask('SELECT system, breaker, paused_until, tokens, last_error FROM system_state')}"
                )
            time.sleep(0.05)

    def assert_each_step_once(self, orders: int) -> None:
        """Every order has every event exactly once, and stands in the ERP exactly once."""
        counted = dict(
            self.ask("SELECT activity, count(*) FROM event WHERE activity = ANY (%s) GROUP BY 1", list(STEPS))
        )
        assert counted == dict.fromkeys(STEPS, orders)
        created = self.ledger.count("create_purchase_order")
        assert len(created) == orders
        assert set(created.values()) <= {1}, "an order was made twice"

    def close(self) -> None:
        """Let go of every connection."""
        for pool in self.pools:
            pool.dispose()


def main(url: str, cell: str, ledger: str, name: str, delay_s: str) -> None:
    """An engine in a process of its own, until it is killed."""
    shop = Workshop(Database(url, cell=cell, roles_log_in=True), Ledger(Path(ledger)))
    for habits in shop.habits.values():
        habits.delay_s = float(delay_s)
    shop.runner(name).start()
    print("running", os.getpid(), flush=True)  # noqa: T201 - what the test waits for
    threading.Event().wait()


if __name__ == "__main__":
    import sys

    main(*sys.argv[1:])
