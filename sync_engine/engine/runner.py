"""Drives an engine in real time: a thread per lane and as many for its calls, one each for intake and decisions.

A loop that finds nothing waits until another loop of this engine has recorded something, or for `POLL_S` when the news
can only come from another engine. Whatever goes wrong in a loop is logged and the loop goes on: a lost database is
reconnected to, a deadlock is simply tried again.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog

from sync_engine.database.connections import borrowed
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import Engine, database_now
from sync_engine.engine.lanes import Lane
from sync_engine.engine.results import Result

POLL_S = 0.5
"""How long work from elsewhere (another engine, a person) may lie before this engine sees it."""

PREFETCH = 4
"""Claimed ahead per call under way: enough that no thread waits for a claim, few enough to be done well within a lease."""

RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 3.0)

log = structlog.get_logger()


class Signal:
    """Wakes every loop of an engine that has nothing to do."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._count = 0

    def raise_(self) -> None:
        """Something has been recorded that may concern others."""
        with self._condition:
            self._count += 1
            self._condition.notify_all()

    def seen(self) -> int:
        """What a loop remembers before it looks for work, so that it misses nothing raised while it looked."""
        with self._condition:
            return self._count

    def wait(self, seen: int, timeout_s: float) -> None:
        """Return when something was raised after `seen`, or after `timeout_s`."""
        with self._condition:
            self._condition.wait_for(lambda: self._count != seen, timeout_s)


class Runner:
    """Runs an engine until told to stop.

    Args:
        engine: What to run; its clock is kept on the database's time.
        pool: Connections as the engine's role; needs one per loop.
        deciders: Threads that decide. One keeps a core busy; a second helps while the first waits for the database.
    """

    def __init__(self, engine: Engine, pool: sa.Engine, *, deciders: int = 1) -> None:
        self.engine = engine
        self.pool = pool
        self.signal = Signal()
        self._stop = threading.Event()
        self._threads = [
            *[self._thread(f"lane-{name}", lambda lane=lane: self._lane(lane)) for name, lane in engine.lanes.items()],  # type: ignore[misc]
            self._thread("intake", lambda: self._loop("intake", self.engine.apply)),
            *[
                self._thread(f"decide-{n}", lambda: self._loop("decide", self.engine.decide))
                for n in range(deciders)
            ],
        ]

    @staticmethod
    def connections_needed(engine: Engine, *, deciders: int = 1) -> int:
        """How many connections the pool has to hold: one per loop, and some for scheduled jobs."""
        return len(engine.lanes) + 1 + deciders + len(engine.collectors) + 3

    def _thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 35.0) -> None:
        """Finish what is under way, record it, and return."""
        self._stop.set()
        self.signal.raise_()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.1, deadline - time.monotonic()))

    def _connected(self, name: str, work: Callable[[psycopg.Connection], None]) -> None:
        """Run `work` with a connection, and again with a new one whenever it is lost."""
        failures = 0
        while not self._stop.is_set():
            try:
                with borrowed(self.pool) as connection:
                    if isinstance(self.engine.clock, DatabaseClock):
                        self.engine.clock.anchor(database_now(connection))
                    failures = 0
                    work(connection)
            except (psycopg.OperationalError, psycopg.InterfaceError, sa.exc.DBAPIError, sa.exc.TimeoutError) as error:
                pause = RECONNECT_S[min(failures, len(RECONNECT_S) - 1)]
                failures += 1
                log.warning("database lost", loop=name, error=str(error).strip(), retry_in_s=pause)
                self.pool.dispose()
                self._stop.wait(pause)

    def _loop(self, name: str, step: Callable[[psycopg.Connection], int]) -> None:
        def run(connection: psycopg.Connection) -> None:
            while not self._stop.is_set():
                seen = self.signal.seen()
                if self._try(name, lambda: step(connection)):
                    self.signal.raise_()
                else:
                    self.signal.wait(seen, POLL_S)

        self._connected(name, run)

    def _try(self, name: str, step: Callable[[], int]) -> int:
        """One step. A collision with another transaction, or a bug, is logged; the step is tried again by itself."""
        try:
            return step()
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure) as error:
            log.info("collided with another transaction", loop=name, error=str(error).splitlines()[0])
        except psycopg.OperationalError:
            raise
        except Exception:
            log.exception("a step failed", loop=name)
            self._stop.wait(1.0)
        return 0

    def _lane(self, lane: Lane) -> None:
        name, capacity = f"lane-{lane.system.name}", lane.system.max_in_flight
        with ThreadPoolExecutor(capacity, thread_name_prefix=name) as calls:
            under_way: set[Future[Result]] = set()

            def run(connection: psycopg.Connection) -> None:
                while not (self._stop.is_set() and not under_way):
                    seen = self.signal.seen()
                    moved = self._try(name, lambda: self._lane_step(connection, lane, calls, under_way))
                    if moved:
                        self.signal.raise_()
                    elif under_way:
                        wait(under_way, timeout=POLL_S, return_when=FIRST_COMPLETED)
                    else:
                        self.signal.wait(seen, POLL_S)

            self._connected(name, run)

    def _lane_step(
        self, connection: psycopg.Connection, lane: Lane, calls: ThreadPoolExecutor, under_way: set[Future[Result]]
    ) -> int:
        capacity = lane.system.max_in_flight
        room = 0 if self._stop.is_set() else capacity * PREFETCH - len(under_way)
        claimed: list[Any] = lane.claim(connection, room) if room >= capacity else []
        under_way.update(calls.submit(lane.ask, item) for item in claimed)
        ready = [future for future in under_way if future.done()]
        if ready:
            lane.record(connection, [future.result() for future in ready])
            under_way.difference_update(ready)
        return len(claimed) + len(ready)


def run_until(stop: threading.Event, runner: Runner) -> None:
    """Run until `stop` is set, then leave in good order."""
    runner.start()
    try:
        while not stop.wait(0.5):
            pass
    finally:
        with suppress(Exception):
            runner.stop()
