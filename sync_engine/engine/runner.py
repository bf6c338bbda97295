"""Drives an engine in real time: a thread per lane and as many for its calls, one each for intake and decisions.

A loop that finds nothing waits until another loop of this engine has recorded something, or for `POLL_S` when the news
can only come from another engine. Whatever goes wrong in a loop is logged and the loop goes on: a lost database is
reconnected to, a deadlock is simply tried again.
"""

import gc
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from queue import Empty, SimpleQueue
from types import MappingProxyType
from uuid import UUID

import psycopg
import sqlalchemy as sa
import structlog

from sync_engine.database.connections import borrowed
from sync_engine.engine import store
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import Engine, database_now
from sync_engine.engine.lanes import Lane
from sync_engine.engine.outcomes import Item, Kind
from sync_engine.engine.results import Result
from sync_engine.model.flows import Role

POLL_S = 0.5
"""How long work from elsewhere (another engine, a person) may lie before this engine sees it."""

PREFETCH = 4
"""Claimed ahead per call under way, at least: enough that no thread waits for a claim, few enough to be done well within a
lease."""

AHEAD_S = 0.25
"""How many seconds' worth of calls is claimed ahead: the latency that large batches may cost."""

AHEAD_MAX = 500
"""The largest batch: beyond it a commit costs nothing any more, and others wait longer for their turn."""

OTHER_JOBS = 7
"""Scheduled jobs beside those that read feeds."""

OUT_OF_REACH = frozenset({Kind.NOT_SENT, Kind.UNKNOWN})

RECONNECT_S = (0.2, 0.5, 1.0, 2.0, 3.0)

log = structlog.get_logger()

Step = Callable[[psycopg.Connection], int]
"""One pass of a loop; answers how much it found to do."""

NONE: Mapping[str, Step] = MappingProxyType({})


class Signal:
    """Wakes the loops of an engine that have nothing to do."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._for_all = 0
        self._for_one: Counter[str] = Counter()

    def raise_(self, loops: Iterable[str] | None = None) -> None:
        """Something has been recorded that concerns the loops of these names; by default every loop."""
        with self._condition:
            if loops is None:
                self._for_all += 1
            else:
                self._for_one.update(loops)
            self._condition.notify_all()

    def seen(self, loop: str) -> int:
        """What a loop remembers before it looks for work, so that it misses nothing raised while it looked."""
        with self._condition:
            return self._for_all + self._for_one[loop]

    def wait(self, loop: str, seen: int, timeout_s: float) -> None:
        """Return when something was raised for the loop after `seen`, or after `timeout_s`."""
        with self._condition:
            self._condition.wait_for(lambda: self._for_all + self._for_one[loop] != seen, timeout_s)


class Calls:
    """The calls of one lane: threads that ask, what waits for them, and what has come of it.

    A plain queue and not an executor: a future for each call would cost more than recording it.
    """

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._waiting: SimpleQueue[Item | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._under_way: dict[Claim, Item] = {}
        self._done: list[Result] = []
        self._late: list[Item] = []
        self._news = threading.Event()
        self._threads = [
            threading.Thread(target=self._ask, name=f"call-{lane.system.name}-{n}", daemon=True)
            for n in range(lane.system.max_in_flight)
        ]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        return len(self._under_way)

    @property
    def items(self) -> list[Item]:
        """What is waiting, being asked, or asked and not recorded yet."""
        with self._lock:
            return list(self._under_way.values())

    def put(self, items: list[Item]) -> None:
        """Ask about these as soon as a thread is free."""
        with self._lock:
            self._under_way.update((_claim(item), item) for item in items)
        for item in items:
            self._waiting.put(item)

    def done(self) -> list[Result]:
        """What has been answered; stays until it is `forget`-ed, so that losing the database loses no answer."""
        self._news.clear()
        return self._done[:]

    def forget(self, items: Iterable[Item]) -> None:
        """These are recorded, or handed back."""
        gone = {_claim(item) for item in items}
        with self._lock:
            for claim in gone:
                del self._under_way[claim]
            self._done = [result for result in self._done if _claim(result.item) not in gone]

    def take_late(self) -> list[Item]:
        """What waited here for so long that nobody may begin with it any more."""
        with self._lock:
            late, self._late = self._late, []
        return late

    def take_back(self) -> list[Item]:
        """What no thread has begun with; nobody will."""
        back = self.take_late()
        with suppress(Empty):
            while True:
                item = self._waiting.get_nowait()
                if item is not None:
                    back.append(item)
        return back

    def wait(self, timeout_s: float) -> None:
        """Return when something has been answered since `done` was asked, or after `timeout_s`."""
        self._news.wait(timeout_s)

    def close(self) -> None:
        """Let the threads end."""
        for _ in self._threads:
            self._waiting.put(None)

    def _ask(self) -> None:
        while (item := self._waiting.get()) is not None:
            result = self._lane.ask(item) if self._lane.may_begin(item) else None
            with self._lock:
                if result is None:
                    self._late.append(item)
                else:
                    self._done.append(result)
            self._news.set()


Claim = tuple[UUID, int]
"""An item as it was claimed: it may be claimed again, under a higher token, while the first claim still lies here."""


def _claim(item: Item) -> Claim:
    return item.work_item_id, item.fencing_token


class Pace:
    """How many calls a lane claims ahead: what it gets through in `AHEAD_S`. A system that answers in a second has few items
    waiting in one engine while another engine is idle; one that answers at once is recorded in large batches."""

    def __init__(self, capacity: int) -> None:
        self._least = capacity * PREFETCH
        self._per_s = 0.0
        self._since = time.monotonic()
        self._answered = 0

    @property
    def ahead(self) -> int:
        """Items to hold at most."""
        return max(self._least, min(AHEAD_MAX, int(self._per_s * AHEAD_S)))

    def answered(self, many: int) -> None:
        """So many calls have been answered and recorded."""
        self._answered += many
        elapsed = time.monotonic() - self._since
        if elapsed >= AHEAD_S:
            self._per_s = self._answered / elapsed
            self._since, self._answered = time.monotonic(), 0


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
            *[self._thread(f"lane-{name}", lambda lane=lane: self._lane(lane)) for name, lane in engine.lanes.items()],  # type: ignore[misc]
            self._thread("intake", lambda: self._loop("intake", self.engine.apply)),
            *[
                self._thread(f"decide-{n}", lambda: self._loop(Role.FINSYNC.value, self.engine.decide))
                for n in range(deciders)
            ],
            *[self._thread(name, lambda name=name, step=step: self._loop(name, step)) for name, step in also.items()],  # type: ignore[misc]
        ]

    @staticmethod
    def connections_needed(engine: Engine, *, deciders: int = 1, also: Mapping[str, Step] = NONE) -> int:
        """How many connections the pool has to hold: one per loop, and as many for scheduled jobs as may run at once."""
        return len(engine.lanes) + 1 + deciders + len(also) + len(engine.collectors) + OTHER_JOBS

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
        def run(connection: psycopg.Connection) -> None:
            while not self._stop.is_set():
                seen = self.signal.seen(name)
                if self._try(name, lambda: step(connection)):
                    self.signal.raise_()
                else:
                    self.signal.wait(name, seen, POLL_S)

        self._connected(name, run)

    def _try(self, name: str, step: Callable[[], int]) -> int:
        """One step. A collision with another transaction, or a bug, is logged; the step is tried again by itself."""
        try:
            return step()
        except (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, store.Stale) as error:
            log.info("collided with another transaction", loop=name, error=str(error).splitlines()[0])
        except psycopg.OperationalError:
            raise
        except Exception:
            log.exception("a step failed", loop=name)
            self._stop.wait(1.0)
        return 0

    def _lane(self, lane: Lane) -> None:
        name, calls, pace = lane.system.name, Calls(lane), Pace(lane.system.max_in_flight)

        def run(connection: psycopg.Connection) -> None:
            lane.recover(connection, calls.items)
            while not (self._stop.is_set() and not calls):
                seen = self.signal.seen(name)
                if self._stop.is_set():
                    self._try(name, lambda: _give_back(connection, lane, calls))
                if self._try(name, lambda: self._lane_step(connection, lane, calls, pace)):
                    continue
                if calls:
                    calls.wait(POLL_S)
                else:
                    self.signal.wait(name, seen, POLL_S)

        try:
            self._connected(f"lane-{name}", run)
        finally:
            calls.close()

    def _lane_step(self, connection: psycopg.Connection, lane: Lane, calls: Calls, pace: Pace) -> int:
        ahead = pace.ahead
        room = 0 if self._stop.is_set() else ahead - len(calls)
        claimed = lane.claim(connection, room) if room * 2 >= ahead else []
        calls.put(claimed)
        results = calls.done()
        if results:
            concerned = lane.record(connection, results)
            calls.forget(result.item for result in results)
            pace.answered(len(results))
            self.signal.raise_(concerned)
            if any(result.outcome.kind in OUT_OF_REACH for result in results):
                # It is throttled, or down. What has not begun waits in the table, where every engine sees for how long.
                _give_back(connection, lane, calls)
        _hand_back(connection, lane, calls, calls.take_late())
        return len(claimed) + len(results)


def _give_back(connection: psycopg.Connection, lane: Lane, calls: Calls) -> int:
    """Hand back what was claimed ahead and has not begun."""
    return _hand_back(connection, lane, calls, calls.take_back())


def _hand_back(connection: psycopg.Connection, lane: Lane, calls: Calls, idle: list[Item]) -> int:
    if idle:
        try:
            lane.give_back(connection, idle)
        finally:
            calls.forget(idle)  # if the database is lost now, `recover` hands them back
    return len(idle)


def calm_collector() -> None:
    """Suit Python's cyclic garbage collector to an engine's process; to be called once, when everything is imported.

    A batch makes some ten thousand objects that live for a moment and are freed by their counts. With the default of 700 the
    collector would look through them again and again for cycles that are not there: a seventh of the engine's time.
    """
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
