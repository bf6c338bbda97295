"""Drives an engine on a fast clock: months of a company's business in minutes, by the very code that runs in real time.

Time jumps to whatever happens next: somebody in the company does something, a feed is read, a step becomes due. Feeds are
read on the same grid as in real time, but only where a system has news (and every `SAFETY_POLL_S`, so that freshness is
known): the reads left out would have brought nothing. Calls take the time the stand-ins say they took.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import psycopg

from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.engine import Engine
from sync_engine.model.flows import Role

SAFETY_POLL_S = 6 * 3600
FAILED_POLL_S = 300
CALLS_PER_ROUND = 200
IDLE_STEP_S = 1.0
"""How far time moves when something is due but may not be done yet (a rate limit fills up)."""


class World(Protocol):
    """What goes on outside the engine."""

    def next_action_at(self) -> datetime | None:
        """When somebody does something next; None: never again."""
        ...

    def act(self, now: datetime) -> bool:
        """Do everything that is due by `now`. Answers whether anything was asked of the engine."""
        ...

    def revision(self, system: str, feed: str) -> int:
        """A number that changes whenever a feed has news."""
        ...


class FastForward:
    """Runs an engine and its world until a moment.

    Args:
        engine: On a `VirtualClock`.
        connection: As the engine's role.
        world: The company.
        spent_s: Counts the seconds that calls have taken.
        also: What else an engine does in every round (carrying out commands); each answers how much that was.
        on_progress: Called now and then with the present moment.
    """

    def __init__(
        self,
        engine: Engine,
        connection: psycopg.Connection,
        world: World,
        *,
        spent_s: Callable[[], float],
        also: Sequence[Callable[[], int]] = (),
        on_progress: Callable[[datetime], None] = lambda _: None,
    ) -> None:
        if not isinstance(engine.clock, VirtualClock):
            raise TypeError("the fast clock has to be a virtual one")
        self.engine = engine
        self.clock = engine.clock
        self._connection = connection
        self._world = world
        self._spent_s = spent_s
        self._also = also
        self._on_progress = on_progress
        self._feed_due: dict[tuple[str, str], datetime] = {}
        self._quiet_until = self.clock.now()
        """Before this moment nothing in the database becomes due by itself."""
        self._left_with: dict[tuple[str, str], int] = {}
        self._feeds = [(name, feed) for name, system in engine.setup.systems.items() for feed in system.feeds]
        for name, feed in self._feeds:
            self._feed_due[name, feed.name] = self.clock.now()

    def run_until(self, until: datetime) -> None:
        """Go on until `until`; whatever is due then has been done."""
        self._quiet_until = self.clock.now()  # whoever calls may have changed anything meanwhile
        self._heed(self._left_with)
        while True:
            self._let_the_world_act()
            self._settle(until)
            following = self._next(until)
            self._on_progress(self.clock.now())
            if following is None or following > until:
                self.clock.advance_to(until)
                self._left_with = self._revisions()
                return
            self.clock.advance_to(following)

    def _settle(self, until: datetime) -> None:
        """Do everything that is due at this moment, and what becomes due by doing it."""
        while True:
            did = self._collect()
            if not did and self.clock.now() < self._quiet_until:
                return
            pulse = self.engine.pulse(self._connection)
            if pulse["commands"]:
                did += sum(step() for step in self._also)
            if pulse["rereads"]:
                did += self.engine.reread(self._connection)
            if pulse["messages"]:
                did += self.engine.apply(self._connection)
            if Role.FINSYNC.value in pulse["lanes"] or pulse["messages"]:
                did += self.engine.decide(self._connection)
            calls = [name for name in sorted(pulse["lanes"]) if name in self.engine.lanes]
            did += self._call(calls) if calls else 0
            if not did:
                if not pulse["lanes"]:
                    self._quiet_until = pulse["next_at"] or until
                    return
                # Due, and yet nothing may be done: a bucket fills up or a breaker cools down. Let time pass.
                self.clock.advance(IDLE_STEP_S)
                if self.clock.now() > until or self._world_is_due():
                    return

    def _world_is_due(self) -> bool:
        following = self._world.next_action_at()
        return following is not None and following <= self.clock.now()

    def _call(self, names: list[str]) -> int:
        """One round over several lanes: claimed together, asked one after the other, recorded together."""
        lanes = [self.engine.lanes[name] for name in names]
        claimed = [(lane, lane.claim(self._connection, CALLS_PER_ROUND)) for lane in lanes]
        results, longest = [], 0.0
        for lane, items in claimed:
            if items:
                before = self._spent_s()
                results += [lane.ask(item) for item in items]
                # In real time they would have been made side by side: together they take as long as one of them.
                longest = max(longest, (self._spent_s() - before) / len(items))
        self.clock.advance(longest)
        if results:
            self.engine.recorder.record(self._connection, results)
        return len(results)

    def _let_the_world_act(self) -> None:
        """Somebody does something, and the feeds that have news of it are read at their next turn. What our own calls changed
        is no news: we know it."""
        before = self._revisions()
        if self._world.act(self.clock.now()):
            self._quiet_until = self.clock.now()
        self._heed(before)

    def _heed(self, before: dict[tuple[str, str], int]) -> None:
        """Feeds whose revision is not what it was before are read at their next turn."""
        now = self.clock.now()
        for (name, feed), revision in self._revisions().items():
            if before.get((name, feed)) != revision:
                interval_s = self.engine.setup.systems[name].feed(feed).interval_s
                grid = datetime.fromtimestamp((now.timestamp() // interval_s + 1) * interval_s, tz=now.tzinfo)
                self._feed_due[name, feed] = min(self._feed_due[name, feed], grid)

    def _revisions(self) -> dict[tuple[str, str], int]:
        return {(name, feed.name): self._world.revision(name, feed.name) for name, feed in self._feeds}

    def _collect(self) -> int:
        """Read the feeds whose turn it is. Answers how many records they brought."""
        read, now = 0, self.clock.now()
        for name, feed in self._feeds:
            if self._feed_due[name, feed.name] > now:
                continue
            self._feed_due[name, feed.name] = now + timedelta(seconds=SAFETY_POLL_S)
            collected = self.engine.collectors[name].collect(self._connection, feed, hinted=True)
            if collected is None or collected.error:
                self._feed_due[name, feed.name] = now + timedelta(seconds=FAILED_POLL_S)
            read += collected.records if collected else 0
        if read:
            self._quiet_until = now
        return read

    def _next(self, until: datetime) -> datetime | None:
        moments = [self._world.next_action_at(), self._quiet_until, *self._feed_due.values()]
        ahead = [moment for moment in moments if moment is not None]
        earliest = self.clock.now() + timedelta(milliseconds=1)
        return min(max(min(ahead), earliest), until + timedelta(seconds=1)) if ahead else None
