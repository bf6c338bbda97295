"""One engine as a schedule drives it: every phase is a step of its own, between any two of which something else may happen,
or the engine may be killed. A killed engine is dropped in whatever state it is; a new one starts in its place."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg

from sync_engine.control.execute import execute_commands
from sync_engine.engine import atomic
from sync_engine.engine.engine import Engine
from sync_engine.engine.lanes import Lane
from sync_engine.engine.outcomes import Item
from sync_engine.engine.results import Result


class Crash(BaseException):
    """The engine's process is gone. No code of the engine may catch it."""


@dataclass
class Actor:
    """An engine, its connection, and what it holds in memory.

    Attributes:
        place: Which of the schedule's engines it is; its successor after a crash has the same.
        desk: Its connection for commands: one that is refused is rolled back, and psycopg forgets what is prepared with it.
        hand: Claimed and not asked yet, by lane.
        results: Asked and not recorded yet, by lane.
        restarts_s: When it starts again, in true elapsed seconds; None while it runs.
        is_busy: In the middle of a step, from which another actor's step is run.
    """

    place: int
    engine: Engine
    connection: psycopg.Connection
    desk: psycopg.Connection
    wire: Any
    hand: dict[str, list[Item]] = field(default_factory=dict)
    results: dict[str, list[Result]] = field(default_factory=dict)
    restarts_s: float | None = None
    is_busy: bool = False

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self.restarts_s is None

    def steps(self) -> list[tuple[str, str]]:
        """What it can do with what it holds: (what, lane)."""
        asks = [("ask", lane) for lane, items in self.hand.items() if items]
        return asks + [("record", lane) for lane, results in self.results.items() if results]

    def collect(self, system: str, feed: str) -> Any:
        """Read a feed that is due."""
        collector = self.engine.collectors[system]
        self.wire.where = f"feed:{system}.{feed}"
        return collector.collect(self.connection, collector.system.feed(feed))

    def apply(self, wanted: int) -> int:
        """Apply messages."""
        return self.engine.apply(self.connection, wanted)

    def decide(self, wanted: int) -> int:
        """Decide what is due here."""
        return self.engine.decide(self.connection, wanted)

    def command(self) -> int:
        """Carry out what people asked."""
        engine = self.engine
        return execute_commands(self.desk, engine.setup, engine_id=engine.engine_id, now=engine.clock.now())

    def claim(self, lane: str, wanted: int) -> list[Item]:
        """Take items of a lane into the hand."""
        items = self.engine.lanes[lane].claim(self.connection, wanted)
        if items:
            self.hand.setdefault(lane, []).extend(items)
        return items

    def ask(self, name: str, note: Callable[[Item], None]) -> int:
        """Ask about everything in the hand of a lane, one after the other; what has waited for too long is handed back, as
        the engine's runner does."""
        lane, late = self.engine.lanes[name], []
        asked = 0
        while self.hand.get(name):
            item = self.hand[name].pop(0)
            if not lane.may_begin(item):
                late.append(item)
                continue
            self.wire.where = f"{item.flow.name}.{item.step.name}"
            note(item)
            self.results.setdefault(name, []).append(lane.ask(item))
            asked += 1
        if late:
            lane.give_back(self.connection, late)
        return asked

    def record(self, name: str) -> int:
        """Record everything that has been asked in a lane."""
        results, lane = self.results[name], self.engine.lanes[name]
        self._recorded(lane, results)
        self.results[name] = []
        return len(results)

    def _recorded(self, lane: Lane, results: list[Result]) -> None:
        lane.record(self.connection, results)

    def die(self, restarts_s: float) -> None:
        """Drop everything; the database undoes what was not committed."""
        self.hand, self.results = {}, {}
        self.restarts_s = restarts_s
        self.is_busy = False
        for connection in (self.connection, self.desk):
            if not connection.closed:
                atomic.roll_back(connection)


COLLISIONS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, atomic.Stale)
"""What two engines may do to each other without anything being wrong; the step is tried again."""
