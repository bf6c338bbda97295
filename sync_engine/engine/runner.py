"""Drives an engine in real time: per lane a thread that claims, one that records and as many as it has calls; one each for
intake and decisions.

A loop that finds nothing waits until another loop of this engine has recorded something, or for `POLL_S` when the news
can only come from another engine. Whatever goes wrong in a loop is logged and the loop goes on: a lost database is
reconnected to, a deadlock is simply tried again.
"""

import gc
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType

import psycopg
import sqlalchemy as sa
import structlog

from sync_engine.database.connections import borrowed
from sync_engine.engine import atomic, store
from sync_engine.engine.calls import OUT_OF_REACH, Calls, Pace
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import Engine, database_now
from sync_engine.engine.lanes import Lane
from sync_engine.model.flows import Role

POLL_S = 0.5
"""How long work from elsewhere (another engine, a person) may lie before this engine sees it."""

OTHER_JOBS = 8
"""Scheduled jobs beside those that read feeds."""

RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 3.0)

log = structlog.get_logger()

Step = Callable[[psycopg.Connection], int]
"""One pass of a loop; answers how much it found to do."""

NONE: Mapping[str, Step] = MappingProxyType({})


class Signal:
    """Wakes the loops of an engine that have nothing to do."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loops: defaultdict[str, threading.Condition] = defaultdict(lambda: threading.Condition(self._lock))
        """Each loop sleeps by itself, so that waking one does not make the others look up."""
        self._for_all = 0
        self._for_one: Counter[str] = Counter()

    def raise_(self, loops: Iterable[str] | None = None) -> None:
        """Something has been recorded that concerns the loops of these names; by default every loop."""
        with self._lock:
            if loops is None:
                self._for_all += 1
                loops = list(self._loops)
            else:
                loops = list(loops)
                self._for_one.update(loops)
            for loop in loops:
                self._loops[loop].notify_all()

    def seen(self, loop: str) -> int:
        """What a loop remembers before it looks for work, so that it misses nothing raised while it looked."""
        with self._lock:
            return self._for_all + self._for_one[loop]

    def wait(self, loop: str, seen: int, timeout_s: float) -> None:
        """Return when something was raised for the loop after `seen`, or after `timeout_s`."""
        with self._lock:
            self._loops[loop].wait_for(lambda: self._for_all + self._for_one[loop] != seen, timeout_s)


class Runner:
    """Runs an engine until told to stop.

    Args:
        engine: What to run; its clock is kept on the database's time.
        pool: Connections as the engine's role; needs one per loop.
        deciders: Threads that decide. One keeps a core busy; a second helps while the first waits for the database.
        also: Further loops by name, each in a thread and with a connection of its own: what this package may not know
            of, such as the commands of people. A loop whose step answers 0 waits like every other.
    """

    def __init__(self, engine: Engine, pool: sa.Engine, *, deciders: int = 1, also: Mapping[str, Step] = NONE) -> None:
        self.engine = engine
        self.pool = pool
        self.signal = Signal()
        self._stop = threading.Event()
        self._threads = [
            *[thread for lane in engine.lanes.values() for thread in self._lane(lane)],
            self._thread("intake", lambda: self._deciding("intake", self.engine.apply)),
            *[
                self._thread(f"decide-{n}", lambda: self._deciding(Role.FINSYNC.value, self.engine.decide))
                for n in range(deciders)
            ],
            *[self._thread(name, lambda name=name, step=step: self._loop(name, step)) for name, step in also.items()],  # type: ignore[misc]
        ]

    @staticmethod
    def connections_needed(engine: Engine, *, deciders: int = 1, also: Mapping[str, Step] = NONE) -> int:
        """How many connections the pool has to hold: one per loop, and as many for scheduled jobs as may run at once."""
        return 2 * len(engine.lanes) + 1 + deciders + len(also) + len(engine.collectors) + OTHER_JOBS

    def _lane(self, lane: Lane) -> list[threading.Thread]:
        room = partial(self.signal.raise_, [lane.system.name])
        calls, pace = Calls(lane, room), Pace(lane.system.max_in_flight)
        return [
            self._thread(f"{loop.__name__.strip('_')}-{lane.system.name}", partial(loop, lane, calls, pace))
            for loop in (self._claiming, self._recording)
        ]

    def _thread(self, name: str, run: Callable[[], None]) -> threading.Thread:
        return threading.Thread(target=run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout_s: float = 35.0) -> None:
        """Finish the calls that are under way and record them, hand back what has not begun, and return."""
        self._stop.set()
        self.signal.raise_()
        deadline = time.monotonic() + timeout_s
        for thread in self._threads:
            thread.join(max(0.1, deadline - time.monotonic()))
        with suppress(psycopg.Error, sa.exc.SQLAlchemyError), borrowed(self.pool) as connection:
            store.run(
                connection, "engine.engine_stopped", engine_id=self.engine.engine_id, now=database_now(connection)
            )

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
                self._stop.wait(pause)

    def _loop(self, name: str, step: Step) -> None:
        """Pass after pass; whatever one of them does may concern everybody."""

        def passed(connection: psycopg.Connection) -> int:
            many = step(connection)
            if many:
                self.signal.raise_()
            return many

        self._passes(name, passed)

    def _deciding(self, name: str, step: Callable[..., int]) -> None:
        """The same for a step that says who has something to do by it."""

        def passed(connection: psycopg.Connection) -> int:
            lanes: set[str] = set()
            many = step(connection, lanes=lanes)
            if many:
                self.signal.raise_(lanes)
            return many

        self._passes(name, passed)

    def _passes(self, name: str, step: Step) -> None:
        def run(connection: psycopg.Connection) -> None:
            while not self._stop.is_set():
                seen = self.signal.seen(name)
                if not self._try(name, lambda: step(connection)):
                    self.signal.wait(name, seen, POLL_S)

        self._connected(name, run)

    def _try(self, name: str, step: Callable[[], int]) -> int:
        """One step. A collision with another transaction, or a bug, is logged; the step is tried again by itself."""
        try:
            return step()
        except (*atomic.COLLISIONS, atomic.Stale) as error:
            log.info("collided with another transaction", loop=name, error=str(error).splitlines()[0])
        except psycopg.OperationalError:
            raise
        except Exception:
            log.exception("a step failed", loop=name)
            self._stop.wait(1.0)
        return 0

    def _claiming(self, lane: Lane, calls: Calls, pace: Pace) -> None:
        """Claim for a lane and hand back what nobody has begun, over a connection of its own: while one batch is being
        recorded the next is on its way."""
        name = lane.system.name

        def run(connection: psycopg.Connection) -> None:
            lane.recover(connection, calls.claims)
            while not (self._stop.is_set() and not calls):
                seen = self.signal.seen(name)
                if self._stop.is_set():
                    calls.set_aside()
                if not self._try(name, lambda: self._claim(connection, lane, calls, pace)):
                    self.signal.wait(name, seen, POLL_S)

        try:
            self._connected(f"lane-{name}", run)
        finally:
            calls.close()

    def _claim(self, connection: psycopg.Connection, lane: Lane, calls: Calls, pace: Pace) -> int:
        idle = calls.take_aside()
        if idle:
            try:
                lane.give_back(connection, idle)
            except atomic.COLLISIONS:
                calls.put_aside(idle)
                raise
            except BaseException:
                calls.forget(idle)  # whether it stands or not, `recover` hands back what is still in our name
                raise
            calls.forget(idle)
        room = 0 if self._stop.is_set() else pace.room(calls)
        turn = calls.turn
        claimed = lane.claim(connection, room) if room else []
        calls.put(claimed, turn)
        return len(idle) + len(claimed)

    def _recording(self, lane: Lane, calls: Calls, pace: Pace) -> None:
        """Record what a lane's calls have come to, as soon as there is something."""
        name = lane.system.name

        def run(connection: psycopg.Connection) -> None:
            while not (self._stop.is_set() and not calls):
                if not self._try(name, lambda: self._record(connection, lane, calls, pace)):
                    calls.wait(POLL_S)

        self._connected(f"record-{name}", run)

    def _record(self, connection: psycopg.Connection, lane: Lane, calls: Calls, pace: Pace) -> int:
        if not calls.done():
            return 0
        calls.linger()
        results = calls.done()
        concerned = lane.record(connection, results)
        if any(result.outcome.kind in OUT_OF_REACH for result in results):
            # It is throttled, or down. What has not begun waits in the table, where every engine sees for how long.
            calls.set_aside()
        calls.forget(result.item for result in results)
        pace.answered(len(results))
        # Its own lane has room again, which matters only if there was more than it could hold.
        self.signal.raise_(concerned if concerned is None else {*concerned, lane.system.name})
        return len(results)


def calm_collector() -> None:
    """Suit Python's cyclic garbage collector to an engine's process; to be called once, when everything is imported.

    A batch makes some ten thousand objects that live for a moment and are freed by their counts. With the default of 700 the
    collector would look through them again and again for cycles that are not there: a seventh of the engine's time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
