"""Runs one plan to its quiet end: people, systems, engines and faults take turns in one thread, and everything that is left to
chance is drawn from the seed.

Three parts. While faults are on, engines work side by side, are killed and come back, and people do what they do. Then the
faults end: systems come up, vendors repair what they had spoiled, operators reprocess. Then time runs until nothing is due,
and the invariants look at what is there.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from sandbox.company.company import FEED_TABLES
from sandbox.simulation.actors import COLLISIONS, Actor, Crash
from sandbox.simulation.arena import Arena
from sandbox.simulation.bounds import (
    ASIDE,
    CHAOS_PASSES,
    CHAOS_ROUNDS,
    CHAOS_S,
    CLOCK_FACTOR,
    CRASH_FACTOR,
    CROWD_FACTOR,
    GRIDS_S,
    HEEDED_WITHIN_S,
    HEEDS_ANEW,
    IDLE_S,
    LOOKS_ROUND,
    PARTS_OF_QUIET,
    QUIET_S,
    ROUNDS_MAX,
    STEP_S,
)
from sandbox.simulation.clocks import EngineClock, WorldClock
from sandbox.simulation.faults import Faults
from sandbox.simulation.findings import Finding
from sandbox.simulation.landscape import Landscape
from sandbox.simulation.notes import Notes
from sandbox.simulation.operators import Operators
from sandbox.simulation.plan import Plan
from sandbox.simulation.stories import People
from sandbox.simulation.trace import Trace
from sandbox.simulation.watching import Watch
from sandbox.simulation.wire import Wire
from sync_engine.engine import store
from sync_engine.engine.results import Moment
from sync_engine.model.flows import Role

OPEN_POINTS = frozenset({"before_intent", "after_intent", "before_call", "after_call", "after_cursor"})
"""Boundaries at which an engine holds nothing in the database that another could wait for."""

Alteration = Callable[[Arena], AbstractContextManager[None]]
"""Something about the program that is different for one run: a planted bug."""


def unaltered(_arena: Arena) -> AbstractContextManager[None]:
    """The program as it is."""
    return nullcontext()


class Schedule:
    """One run of a plan.

    Args:
        plan: What to run.
        arena: Where; is emptied first.
    """

    def __init__(self, plan: Plan, arena: Arena) -> None:
        self.plan = plan
        self.arena = arena
        self.trace = Trace()
        self.notes = Notes()
        self.clock = WorldClock(plan.begins_at)
        self.faults = Faults(plan, self.trace)
        self.landscape = Landscape(plan.seed, self.clock)
        self.wire = Wire(self.landscape, self.clock, self.faults, self.trace)
        self.watch = Watch(self.notes, self.clock, self.wire)
        self.operators = Operators(arena, Random(f"{plan.seed} operators"), self.clock)
        self.people = People(plan, self.landscape, self.operators)
        self._rng = Random(f"{plan.seed} turns")
        self._grid_s = self._rng.choice(GRIDS_S)
        self._next_due: datetime | None = None
        self._is_due = False
        self._started = 0
        self._rounds = 0
        self._busy_passes = 0
        self._feed_due: dict[tuple[str, str], datetime] = {}
        self._told: dict[tuple[str, str], int] = {}
        self._cut_off: set[tuple[str, str]] = set()
        """Feeds that somebody began to read and did not read to their end."""
        arena.empty()
        self.eyes = arena.connection(plan.engines)
        self.actors = [self._start(place) for place in range(plan.engines)]

    # -- the whole --------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """To the quiet end.

        Raises:
            RuntimeError: it goes round in circles.
        """
        self._set_clocks()
        self._go_on(until_s=CHAOS_S, while_people=True)
        self._end_faults()
        for part in range(PARTS_OF_QUIET):
            self._go_on(until_s=self.clock.elapsed_s + QUIET_S / PARTS_OF_QUIET, while_people=False)
            if part < PARTS_OF_QUIET - 1:
                self.operators.tidy_up()
            else:
                self._heed_untold()
                self._go_on(until_s=self.clock.elapsed_s + 3_600, while_people=False)
        self.trace.say("end", self.clock.elapsed_s, self._rounds)

    def _go_on(self, *, until_s: float, while_people: bool) -> None:
        idle_until_s = 0.0
        while True:
            self._rounds += 1
            if self._rounds > ROUNDS_MAX:
                raise RuntimeError(f"still busy after {ROUNDS_MAX} passes")
            something_new = self._let_people_act() | self._start_again() | self._deliver_late()
            if (something_new or self.clock.elapsed_s >= idle_until_s) and self._pass():
                self._busy_passes += 1
                idle_until_s = 0.0
                if not (while_people and self._busy_passes > CHAOS_PASSES):
                    continue
                return
            if while_people and self._rounds > CHAOS_ROUNDS:
                return
            idle_until_s = self._due_again_s()
            following = min(idle_until_s, self._others_act_s())
            if while_people and self.people.next_s() is None and not self._in_hand():
                return
            if following > until_s:
                self.clock.advance(max(0.0, until_s - self.clock.elapsed_s))
                return
            self.clock.advance(max(following - self.clock.elapsed_s, 0.001))

    def _set_clocks(self) -> None:
        for name, vendor in self.landscape.clocks.items():
            if self.faults.strikes("clock", name):
                vendor.off_s = self.faults.chance("clock").choice((-86_400.0, -3_600.0, -3.0, 3.0, 60.0))

    def _end_faults(self) -> None:
        self.trace.say("calm", self.clock.elapsed_s)
        self.faults.are_on = False
        self.wire.clear_up()
        for name, vendor in self.landscape.clocks.items():
            vendor.off_s = 0.0
            self.landscape.standins[name].faults.update({"schema_drift": ""})
        self.clock.advance(61)
        self._tell_again()
        self._heed_untold()

    def _tell_again(self) -> None:
        """Vendors repair what they had told wrongly: it is changed once more, and so told once more."""
        for system in sorted(
            {where.partition(":")[2].partition(".")[0] for name, where in self.faults.struck if name == "schema"}
        ):
            self.wire.spoiled |= {(system, number) for number in self.landscape.told_by(system)}
        for system, number in sorted(self.wire.spoiled):
            self.landscape.touch(system, number)

    # -- engines ----------------------------------------------------------------------------------------------------

    def _start(self, place: int) -> Actor:
        self._started += 1
        number = self._started
        off_s = Random(f"{self.plan.seed} clock {number}").choice((0.0, 0.0, -0.5, 0.5))
        clock = EngineClock(self.clock, off_s if self.plan.rates.get("clock") else 0.0)
        connection, desk = self.arena.connection(place), self.arena.connection(self.plan.engines + 1 + place)
        actor: Actor
        engine = self.landscape.connect(
            number,
            clock,
            transport=self.wire.transport(),
            crash_point=lambda where: self._at(actor, where),
        )
        actor = Actor(place, engine, connection, desk, self.wire)
        engine.register(connection, release="simulation")
        self.trace.say("start", engine.engine_id, "at", self.clock.elapsed_s)
        if number <= self.plan.engines or self._rng.random() < HEEDS_ANEW:
            self._heed_all()
        return actor

    def _start_again(self) -> bool:
        dead = [
            actor.place
            for actor in self.actors
            if actor.restarts_s is not None and actor.restarts_s <= self.clock.elapsed_s
        ]
        for place in dead:
            self.actors[place] = self._start(place)
        return bool(dead)

    def _deliver_late(self) -> bool:
        if not any(late.due_s <= self.clock.elapsed_s for late in self.wire.late):
            return False
        with self._heeding_news():
            return self.wire.deliver_late()

    def _at(self, actor: Actor, where: Moment) -> None:
        """An engine has come to a boundary: it may die here, or be overtaken."""
        step, about = self.wire.where, self.wire.about
        if where == "before_intent":
            self.watch.claimed(actor.engine, where.items)
        if self.faults.strikes("crash", str(where), factor=CRASH_FACTOR):
            about = {f"{item.flow.name}.{item.step.name}" for item in where.items} or {step}
            self.notes.crashes.update(f"{where} {one}" for one in about)
            raise Crash(where)
        if where in OPEN_POINTS and len(self.actors) > 1 and self._rng.random() < ASIDE:
            others = [other for other in self.actors if other.is_alive and not other.is_busy and other is not actor]
            if others:
                self._one_pass(others, self._rng.randint(1, 3))
        self.wire.where, self.wire.about = step, about

    # -- one pass ---------------------------------------------------------------------------------------------------

    def _pass(self) -> bool:
        """Everything that is due now, in an order of chance. Answers whether anything was done."""
        if self._rng.random() < 0.1:
            self._read_a_history()
        self._step_clock()
        if self.faults.strikes("crowd", "exceptions", factor=CROWD_FACTOR):
            self.trace.say("crowd", self.operators.crowd())
        living = [actor for actor in self.actors if actor.is_alive]
        did = bool(living) and self._one_pass(living, None)
        self.watch.looked(in_vain=self._is_due and bool(living) and not did)
        return did

    def _one_pass(self, actors: list[Actor], most: int | None) -> bool:
        doing: list[tuple[Actor, tuple[str, Any]]] = [(actor, step) for actor in actors for step in actor.steps()]
        if most is not None or not doing or self._rng.random() < LOOKS_ROUND:
            doing += [(self._rng.choice(actors), step) for step in self._due()]
        self._rng.shuffle(doing)
        did = False
        for actor, (what, about) in doing[:most]:
            if actor.is_alive and not actor.is_busy:
                did = self._do(actor, what, about) or did
        return did

    def _due(self) -> list[tuple[str, Any]]:
        """What the database says is due, and feeds with news."""
        now = self.clock.database_now()
        steps: list[tuple[str, Any]] = [("collect", feed) for feed, due in self._feed_due.items() if due <= now]
        pulse = store.rows(self.eyes, "work.pulse", now=now)[0]
        self._next_due, self._is_due = pulse["next_at"], bool(pulse["lanes"] or pulse["messages"] or pulse["rereads"])
        if pulse["commands"]:
            steps.append(("command", None))
        if pulse["messages"]:
            steps.append(("apply", None))
        if pulse["rereads"]:
            steps.append(("reread", None))
        return steps + [
            ("decide", None) if lane == Role.FINSYNC.value else ("claim", lane) for lane in sorted(pulse["lanes"])
        ]

    def _do(self, actor: Actor, what: str, about: Any) -> bool:
        """One step of one engine. Answers whether it did anything."""
        actor.is_busy = True
        self.clock.advance(STEP_S)
        self.wire.where, self.wire.about = what, None
        try:
            done = getattr(self, f"_{what}")(actor, about)
        except Crash as crash:
            self.trace.say(actor.engine.engine_id, "dies", crash)
            actor.die(self.clock.elapsed_s + self._rng.choice((0.0, 5.0, 60.0, 600.0)))
            return True
        except COLLISIONS as error:
            self.trace.say(actor.engine.engine_id, what, "collided", type(error).__name__)
            return True
        except psycopg.Error as error:
            self._fault(actor, what, error)
            return True
        except Exception as error:  # noqa: BLE001 - it is what the simulator looks for, and is told as a finding
            self._fault(actor, what, error)
            return True
        finally:
            actor.is_busy = False
        self.trace.say(actor.engine.engine_id, what, about, done)
        return bool(done)

    def _fault(self, actor: Actor, what: str, error: Exception) -> None:
        says = f"{what} raised {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        self.trace.say(actor.engine.engine_id, says)
        self.notes.findings.append(Finding("no_step_raises", actor.engine.engine_id, says))
        actor.die(self.clock.elapsed_s + 60.0)

    def _collect(self, actor: Actor, feed: tuple[str, str]) -> int:
        self._feed_due[feed] = self.clock.database_now() + timedelta(days=400)
        revision, was_cut_off = self.landscape.revision(feed), feed in self._cut_off
        self._cut_off.add(feed)
        collected = actor.collect(*feed)
        if collected is None or collected.error:
            self._feed_due[feed] = self._may_be_read_at(*feed)
        elif not was_cut_off:
            self._told[feed] = revision
        elif not self.faults.are_on:
            # Whoever goes on where another failed or died does not look again at what that one had read.
            self._feed_due[feed] = self._may_be_read_at(*feed)
            was_cut_off = False
        if not was_cut_off and not (collected and collected.error):
            self._cut_off.remove(feed)
        return collected.records if collected is not None else 0

    def _may_be_read_at(self, system: str, feed: str) -> datetime:
        """When a feed that could not be read is due again: it backs off, is being read, or its system is paused."""
        found: datetime = store.rows(self.eyes, "simulate.feed_due", system=system, feed=feed)[0]["due_at"]
        return max(found, self.clock.database_now() + timedelta(seconds=1))

    def _apply(self, actor: Actor, _: None) -> int:
        return actor.apply(self._rng.choice((1, 500, 500, 500)))

    def _decide(self, actor: Actor, _: None) -> int:
        return actor.decide(self._rng.choice((1, 500, 500, 500)))

    def _command(self, actor: Actor, _: None) -> int:
        return actor.command()

    def _reread(self, actor: Actor, _: None) -> int:
        return actor.engine.reread(actor.connection)

    def _claim(self, actor: Actor, lane: str) -> int:
        return len(actor.claim(lane, self._rng.choice((1, 50, 50, 50))))

    def _ask(self, actor: Actor, lane: str) -> int:
        return actor.ask(lane, self.watch.begins) or 1

    def _record(self, actor: Actor, lane: str) -> int:
        results = actor.results[lane]
        held = {
            result.item.work_item_id
            for result in results
            if self.notes.newest[result.item.work_item_id] == result.item.fencing_token
        }
        # Whoever took an item that it had lost before may write it.
        lost = {result.item.work_item_id for result in results} - held
        before = self._work(lost)
        many = actor.record(lane)
        for work_item_id, after in self._work(lost).items():
            if after != before[work_item_id]:
                says = f"{actor.engine.engine_id} had lost it, and wrote: {before[work_item_id]} became {after}"
                self.notes.findings.append(Finding("fencing", str(work_item_id), says))
        self.watch.asked_to_wait(lane, results)
        return many

    def _work(self, ids: set[UUID]) -> dict[UUID, dict[str, Any]]:
        return (
            {row["work_item_id"]: row for row in self._rows("simulate.work") if row["work_item_id"] in ids}
            if ids
            else {}
        )

    # -- time and news ----------------------------------------------------------------------------------------------

    def _in_hand(self) -> bool:
        return any(actor.steps() for actor in self.actors)

    def _step_clock(self) -> None:
        """The database's clock is corrected. Forward only while no call is under way: an answer that takes an hour by the
        database's time has lost its lease whatever anybody does."""
        if not self.faults.strikes("clock", "database", factor=CLOCK_FACTOR):
            return
        step_s = self.faults.chance("clock").choice((-3_600.0, -60.0, -1.0, 1.0, 60.0, 3_600.0))
        if step_s < 0 or not self._in_hand():
            self.clock.database_off_s += step_s
            self.notes.left_alone_until.clear()

    def _let_people_act(self) -> bool:
        done = []
        acts_s = self.people.next_s()
        if acts_s is not None and acts_s <= self.clock.elapsed_s:
            with self._heeding_news():
                done = self.people.act(self.clock.elapsed_s)
        for words in done:
            self.trace.say("people", words)
        asked, self.operators.have_asked = self.operators.have_asked, False
        return bool(done) or asked

    @contextmanager
    def _heeding_news(self) -> Iterator[None]:
        """Feeds that have something to tell because of what is done meanwhile are read at their next turn. What our own calls
        changed is no news: it is read when there is some."""
        before = self.landscape.revisions()
        yield
        for feed, revision in self.landscape.revisions().items():
            if before[feed] != revision:
                self._heed(feed)

    def _heed_all(self) -> None:
        for feed in FEED_TABLES:
            self._heed(feed)

    def _heed_untold(self) -> None:
        """Read what has changed since it was last read to its end, by whomever, or is held back, and one feed of every other system: it
        is to be seen that each answers again."""
        heard = set()
        for feed in FEED_TABLES:
            is_untold = self._told.get(feed) != self.landscape.revision(feed)
            if is_untold or feed in self._cut_off or self.wire.holds_back(feed[0]):
                self._heed(feed)
                heard.add(feed[0])
        for feed in FEED_TABLES:
            if feed[0] not in heard:
                self._heed(feed)
                heard.add(feed[0])

    def _heed(self, feed: tuple[str, str]) -> None:
        at = self.clock.database_now() + timedelta(seconds=self._rng.uniform(0, HEEDED_WITHIN_S))
        self._feed_due[feed] = min(at, self._feed_due.get(feed, at))

    def _due_again_s(self) -> float:
        """When the engines have something to do again, in elapsed seconds: on a grid as coarse as this schedule's, so that what
        is due at nearly the same time is done together, as it is behind a busy engine."""
        if not any(actor.is_alive for actor in self.actors):
            return math.inf
        if self._is_due:
            return self.clock.elapsed_s + IDLE_S
        now = self.clock.database_now()
        moments = [*self._feed_due.values(), *([self._next_due] if self._next_due is not None else [])]
        ahead = max((min(moments) - now).total_seconds(), 0.001)
        due_s = (self.clock.elapsed_s + ahead) / self._grid_s
        return math.ceil(due_s) * self._grid_s

    def _others_act_s(self) -> float:
        """When anybody but a running engine does something, in elapsed seconds."""
        ahead = [late.due_s for late in self.wire.late]
        ahead += [actor.restarts_s for actor in self.actors if actor.restarts_s is not None]
        people = self.people.next_s()
        return min([*ahead, math.inf if people is None else people])

    def _rows(self, statement: str) -> list[dict[str, Any]]:
        return store.rows(self.eyes, statement)

    def _read_a_history(self) -> None:
        """Somebody looks at what happened so far; nothing they saw may ever change."""
        seen: dict[UUID, list[tuple[int, str]]] = {}
        for row in store.rows(self.eyes, "simulate.history"):
            seen.setdefault(row["document_id"], []).append((row["seq"], row["activity"]))
        self.notes.reads.append(seen)
