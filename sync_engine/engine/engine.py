"""One engine: its lanes, its feeds and its decisions over one set of configuration.

`Engine` knows what can be done; when and on how many threads is the business of whoever drives it: `runner` in real time,
`fast_forward` on the fast clock, a test step by step.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg

from sync_engine.database.statements import sql
from sync_engine.engine import atomic, store
from sync_engine.engine.clock import Clock
from sync_engine.engine.collect import Collector
from sync_engine.engine.decide import BATCH, decide
from sync_engine.engine.intake import apply_messages
from sync_engine.engine.lanes import Lane
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.rereading import Rereader
from sync_engine.engine.results import CrashPoint, Recorder, no_crash


@dataclass(slots=True)
class Round:
    """What one pass over everything found to do."""

    records: int = 0
    messages: int = 0
    decisions: int = 0
    calls: int = 0

    @property
    def is_idle(self) -> bool:
        """Whether there was nothing to do at all."""
        return not (self.records or self.messages or self.decisions or self.calls)


class Engine:
    """What an engine can do.

    Args:
        setup: The configuration in force.
        sessions: The network to each system, by name.
        clock: The time it goes by.
        engine_id: Its name, unique among all engines that ever ran on the database.
        crash_point: See `results.CrashPoint`.
    """

    def __init__(
        self,
        setup: Setup,
        sessions: Mapping[str, Any],
        clock: Clock,
        *,
        engine_id: str,
        crash_point: CrashPoint = no_crash,
    ) -> None:
        self.setup = setup
        self.clock = clock
        self.engine_id = engine_id
        self._crash_point = crash_point
        how: dict[str, Any] = {
            "engine_id": engine_id,
            "now": clock.now,
            "timer": clock.timer,
            "crash_point": crash_point,
        }
        self.recorder = Recorder(setup, engine_id=engine_id, now=clock.now, crash_point=crash_point)
        self.lanes = {name: Lane(system, sessions[name], setup, **how) for name, system in setup.systems.items()}
        self.collectors = {
            name: Collector(system, sessions[name], setup, **how) for name, system in setup.systems.items()
        }
        how.pop("crash_point")
        self.rereaders = {
            name: Rereader(system, sessions[name], setup, **how)
            for name, system in setup.systems.items()
            if system.feeds
        }

    def register(self, connection: psycopg.Connection, *, release: str) -> None:
        """Report for duty: make sure that the database knows us, our systems and their feeds."""
        now = self.clock.now()
        with atomic.transaction(connection):
            store.run(connection, "engine.register_engine", engine_id=self.engine_id, release=release, now=now)
            systems = list(self.setup.systems.values())
            store.run(
                connection,
                "intake.register_systems",
                system=[system.name for system in systems],
                role=[system.role.value for system in systems],
                title=[system.title for system in systems],
                requests_per_s=[float(system.requests_per_s) for system in systems],
                burst=[float(system.burst) for system in systems],
                now=now,
            )
            feeds = [(system.name, feed) for system in systems for feed in system.feeds]
            store.run(
                connection,
                "intake.register_feeds",
                system=[name for name, _ in feeds],
                feed=[feed.name for _, feed in feeds],
                silent_after_s=[float(feed.silent_after_s) for _, feed in feeds],
                now=now,
            )

    def pulse(self, connection: psycopg.Connection) -> dict[str, Any]:
        """What there is to do now (`lanes`, `messages`, `commands`) and when there will be more (`next_at`)."""
        return store.rows(connection, "work.pulse", now=self.clock.now())[0]

    def collect(self, connection: psycopg.Connection) -> int:
        """Read every feed that is due. Returns how many records they brought."""
        records = 0
        for collector in self.collectors.values():
            for feed in collector.system.feeds:
                collected = collector.collect(connection, feed)
                records += collected.records if collected else 0
        return records

    def reread(self, connection: psycopg.Connection) -> int:
        """Ask for records again that somebody wants to be asked for again. Returns how many were answered."""
        return sum(rereader.reread(connection) for rereader in self.rereaders.values())

    def apply(self, connection: psycopg.Connection, wanted: int = BATCH, *, lanes: set[str] | None = None) -> int:
        """Apply messages that wait. Returns how many; `lanes` learns who has something to do by it."""
        return apply_messages(
            connection,
            self.setup,
            engine_id=self.engine_id,
            now=self.clock.now(),
            wanted=wanted,
            crash_point=self._crash_point,
            lanes=lanes,
        )

    def decide(self, connection: psycopg.Connection, wanted: int = BATCH, *, lanes: set[str] | None = None) -> int:
        """Decide what is due here. Returns how many items; `lanes` learns who has something to do by it."""
        return decide(
            connection,
            self.setup,
            engine_id=self.engine_id,
            now=self.clock.now(),
            wanted=wanted,
            crash_point=self._crash_point,
            lanes=lanes,
        )

    def call(self, connection: psycopg.Connection, lane: Lane, wanted: int) -> int:
        """Claim, ask and record for one lane, in this thread. Returns how many items."""
        items = lane.claim(connection, wanted)
        if items:
            lane.record(connection, [lane.ask(item) for item in items])
        return len(items)

    def run_once(self, connection: psycopg.Connection, *, wanted: int = 50) -> Round:
        """One pass over everything that is due now, in this thread."""
        done = Round(records=self.collect(connection) + self.reread(connection))
        done.messages = self.apply(connection)
        done.decisions = self.decide(connection)
        due = set(self.pulse(connection)["lanes"])
        for name, lane in self.lanes.items():
            if name in due:
                done.calls += self.call(connection, lane, wanted)
        return done

    def run_until_idle(self, connection: psycopg.Connection, *, rounds_max: int = 200) -> int:
        """Pass after pass until nothing is due any more. Returns how many passes that took.

        Raises:
            RuntimeError: still busy after `rounds_max` passes: something goes round in circles.
        """
        for rounds in range(1, rounds_max + 1):
            if self.run_once(connection).is_idle:
                return rounds
        raise RuntimeError(f"still busy after {rounds_max} passes")


def database_now(connection: psycopg.Connection) -> Any:
    """The time everybody goes by."""
    row = connection.execute(sql("engine.now")).fetchone()
    return row[0] if row else None
