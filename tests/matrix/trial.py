"""Plays a journey, lets one thing go wrong in it, and looks at what came of it.

The undisturbed journey is played first: it tells in which act each step comes up at which place, what the world looks like
at the end, and how it stood before each act. A case begins with the act in which its step comes up for the last time, where
the step is not only tried but done.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from datetime import timedelta
from functools import cache
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.database.connections import Database
from sync_engine.engine.lanes import LEASE_S
from sync_engine.engine.outcomes import Item
from sync_engine.engine.results import Moment
from sync_engine.insight.reconcile import reconcile
from sync_engine.model.documents import DocumentType
from sync_engine.model.flows import Role
from sync_engine.model.lifecycles import LIFECYCLES
from tests.matrix.cases import Case
from tests.matrix.journeys import JOURNEYS, Act, Journey
from tests.matrix.wire import Plan
from tests.matrix.world import Picture, Shift, World

PROGRESS_S = 5
"""Seconds after the lease within which whoever takes over has got somewhere (F9)."""

RECOVERY = timedelta(minutes=10)
"""What everything may take longer because of the fault: twice the lease, quiet periods, a backoff."""

Place = tuple[str, str, str]
"""Flow, step, point."""


class Crash(BaseException):
    """The engine's process ends here."""


class Watch:
    """Follows an engine from one place to the next and knows which steps are under way there.

    Several steps may be decided in one transaction; all of them are under way until it is committed.
    """

    def __init__(self) -> None:
        self.passed: Counter[Place] = Counter()
        self._decided: list[tuple[str, str, UUID]] = []

    def __call__(self, moment: Moment) -> None:
        steps = [(item.flow.name, item.step.name, item.work_item_id) for item in moment.items]
        if self.is_decision(moment.items):
            if moment == "before_record":
                self._decided += steps
            else:
                steps = self._decided[:]
            if moment == "after_record":
                self._decided.clear()
        for flow, step in {(flow, step) for flow, step, _ in steps}:
            place = (flow, step, str(moment))
            self.passed[place] += 1
            self.at(place, moment, [item for f, s, item in steps if (f, s) == (flow, step)])

    @staticmethod
    def is_decision(items: Sequence[Item]) -> bool:
        return any(item.system == Role.FINSYNC.value for item in items)

    def at(self, place: Place, moment: Moment, items: list[UUID]) -> None:
        """Called at every place for every step; a watch that only counts does nothing."""


@dataclass(frozen=True)
class End:
    """What a journey comes to: what must be the same whatever went wrong on the way."""

    documents: list[tuple[Any, ...]]
    moves: dict[str, list[str]]
    cases: list[tuple[Any, ...]]
    outside: dict[str, dict[str, int]]


@dataclass
class Played:
    """An undisturbed journey."""

    before: list[Picture] = field(default_factory=list)
    after: Picture | None = None
    found: dict[Place, tuple[int, int]] = field(default_factory=dict)
    """Where each place comes up for the last time: the act, and the how-manieth time in it."""
    end: End | None = None


class Theatre:
    """One world in which journeys are played again and again."""

    def __init__(self, database: Database) -> None:
        self.world = World(database)
        self._start = self.world.picture()
        self._played: dict[str, Played] = {}

    def played(self, name: str) -> Played:
        """A journey as it goes when nothing goes wrong."""
        if name not in self._played:
            self._played[name] = self._play(JOURNEYS[name])
        return self._played[name]

    def _play(self, journey: Journey) -> Played:
        before = self.played(journey.after).after if journey.after else self._start
        self.world.put_back(before)
        played = Played()
        for number, act in enumerate(journey.acts):
            picture = self.world.picture()
            played.before.append(picture)
            self.world.put_back(picture)
            watch = Watch()
            shift = Shift(self.world, watch)
            act.do(self.world.house)
            shift.work_until(self.world.now() + act.passes)
            shift.end()
            played.found.update({place: (number, times) for place, times in watch.passed.items()})
        played.after = self.world.picture()
        played.end = end_of(self.world)
        complaints = list(unsound(self.world))
        assert not complaints, f"{journey.name}: {complaints}"
        return played

    @cache  # noqa: B019 - lives as long as the theatre
    def where(self, flow: str, step: str) -> dict[str, tuple[Journey, int, int]]:
        """Point of a step to the journey, act and time at which it comes up: the first journey that has them all."""
        for journey in JOURNEYS.values():
            found = self.played(journey.name).found
            places = {point: at for (f, s, point), at in found.items() if (f, s) == (flow, step)}
            if places:
                return {point: (journey, *at) for point, at in places.items()}
        return {}

    def close(self) -> None:
        """Let go of the world."""
        self.world.close()


# -- one case --------------------------------------------------------------------------------------------------------------


class Disturbed(Watch):
    """Watches for the moment of a case, and lets it go wrong."""

    def __init__(self, trial: "Trial", place: Place, nth: int) -> None:
        super().__init__()
        self._trial = trial
        self._place = place
        self._nth = nth
        self.fired = False

    def at(self, place: Place, moment: Moment, items: list[UUID]) -> None:
        if place == self._place and self.passed[place] == self._nth and not self.fired:
            self.fired = True
            self._trial.go_wrong(moment, items)
        elif self.fired and moment == "after_call":
            self._trial.world.line.plan_ends()


class Again(Watch):
    """Lets whoever takes over die too, the last moment before it has got anywhere with the same items."""

    def __init__(self, items: list[UUID]) -> None:
        super().__init__()
        self._items = set(items)
        self._is_over = False

    def at(self, place: Place, moment: Moment, items: list[UUID]) -> None:
        last = "before_commit" if self.is_decision(moment.items) else "before_record"
        if moment == last and self._items & set(items) and not self._is_over:
            self._is_over = True
            raise Crash(str(place))


class Trial:
    """One case, from the act in which its step comes up to the journey's end."""

    def __init__(self, theatre: Theatre, case: Case, *, nth_write: int = 1) -> None:
        self.case = case
        self.world = theatre.world
        self.journey, self._act, self._time = theatre.where(case.flow, case.step)[case.point]
        self._expected = theatre.played(self.journey.name).end
        self._picture = theatre.played(self.journey.name).before[self._act]
        self._nth_write = nth_write
        self._until = self.world.now()
        self._at_work: Shift | None = None
        self._disturbed = Disturbed(self, (case.flow, case.step, case.point), self._time)
        self.items: list[UUID] = []
        self.progress_s: float | None = None

    def run(self) -> bool:
        """Play it. Answers whether anything went wrong: False when the call has fewer writes than `nth_write`.

        Raises:
            AssertionError: it came to another end, or what came of it is unsound.
        """
        self.world.put_back(self._picture)
        self._at_work = Shift(self.world, self._disturbed)
        for act in self.journey.acts[self._act :]:
            self._play(act)
        self._at_work.end()
        assert self._disturbed.fired, "the moment of the case never came"
        plan = self.world.line.plan
        if plan is not None and not plan.fired:
            return False
        assert self.world.line.held == [], "a message is still on its way"
        complaints = [*differences(end_of(self.world), self._expected), *unsound(self.world)]
        assert not complaints, "\n".join(complaints)
        return True

    def _play(self, act: Act) -> None:
        act.do(self.world.house)
        self._until = self.world.now() + act.passes
        shift = self._at_work
        try:
            shift.work_until(self._until)
        except Crash:
            shift.end()
            self._at_work = self._take_over()
        except psycopg.OperationalError:
            shift.reconnect()
            shift.work_until(self._until)
        self._at_work.work_until(self._until + RECOVERY)

    def go_wrong(self, moment: Moment, items: list[UUID]) -> None:
        """The moment of the case has come."""
        self.items = items
        fault = self.case.fault
        if fault in {"crash", "crash twice"}:
            raise Crash(str(self.case))
        if fault == "hang":
            shift = self._at_work
            in_transaction = Watch.is_decision(moment.items) and moment != "after_record"
            if in_transaction:
                self.world.cut_off(shift.connection)
            other = self._take_over()
            other.end()
            return
        quiet = timedelta(seconds=self.world.house.engine.setup.systems[moment.items[0].system].quiet_period_s)
        delay = max(timedelta(0), quiet - timedelta(seconds=1))
        self.world.line.plan = Plan(fault, self._nth_write, delay)

    def _take_over(self) -> Shift:
        """Another engine goes on, and gets somewhere within the lease and a few seconds."""
        watch = Again(self.items) if self.case.fault == "crash twice" else Watch()
        other = Shift(self.world, watch)
        try:
            self._work_on(other)
        except Crash:
            other.end()
            other = Shift(self.world)
            self._work_on(other)
        return other

    def _work_on(self, other: Shift) -> None:
        began = self.world.now()
        open_work = self._unfinished()
        other.work_until(began + timedelta(seconds=LEASE_S + 1))
        other.work_until(began + timedelta(seconds=LEASE_S + PROGRESS_S))
        stuck = open_work & self._unfinished()
        assert not stuck, f"no progress within {LEASE_S + PROGRESS_S} s after the crash: {stuck}"
        other.work_until(max(self._until, self.world.now()) + RECOVERY)

    def _unfinished(self) -> set[tuple[Any, ...]]:
        """The items of the case that somebody holds or that are due, as they stand."""
        return set(
            self.world.eyes.execute(
                """SELECT work_item_id, step, fencing_token, status FROM work_item WHERE work_item_id = ANY (%s)
                   AND (status = 'in_call' OR status = 'due' AND due_at <= %s)""",
                [self.items, self.world.now()],
            )
        )


# -- what came of it -------------------------------------------------------------------------------------------------------

NOT_EFFECTS = {"repeatability", "servicenow.sys_journal_field"}
"""Tables of the stand-ins' bookkeeping: what a system remembers of a call, not what the call has made."""


def end_of(world: World) -> End:
    """What a world has come to."""
    documents = world.eyes.execute(
        "SELECT document_type, number, state, approval_status, posting_status, currency, amount FROM document ORDER BY 1, 2"
    ).fetchall()
    moves: dict[str, list[str]] = {}
    for document_type, number, activity in world.eyes.execute(
        """SELECT d.document_type, d.number, e.activity FROM event e JOIN document d USING (document_id)
            ORDER BY d.document_type, d.number, e.document_id, e.seq"""
    ):
        if activity in LIFECYCLES[DocumentType(document_type)].events and activity != "answer_lost":
            moves.setdefault(f"{document_type} {number}", []).append(activity)
    cases = world.eyes.execute(
        "SELECT code, number, step, blocks, status, close_reason FROM exception_case ORDER BY 1, 2, 3"
    )
    outside = {
        name: {table.name: len(table.rows) for table in standin.ledger.tables()}
        for name, standin in world.house.standins.items()
    }
    return End(documents, moves, cases.fetchall(), outside)


def differences(end: End, expected: End) -> Iterator[str]:
    """How an end differs from the one of the undisturbed journey."""
    for part in fields(End):
        now, then = getattr(end, part.name), getattr(expected, part.name)
        pairs = [(now, then)] if not isinstance(now, dict) else [(now.get(key), then.get(key)) for key in {*now, *then}]
        yield from (f"{part.name}: {one!r} instead of {other!r}" for one, other in pairs if one != other)


UNSOUND = {
    "histories with a gap": """
        SELECT d.number FROM document d LEFT JOIN event e USING (document_id) GROUP BY d.document_id
        HAVING count(e.seq) <> d.last_event_seq OR count(DISTINCT e.seq) <> count(e.seq) OR max(e.seq) <> d.last_event_seq OR min(e.seq) <> 1""",
    "moves that do not follow each other": """
        SELECT number FROM (SELECT d.number, e.state_from, lag(e.state_to) OVER (PARTITION BY e.document_id ORDER BY e.seq) AS stood, e.seq
                              FROM event e JOIN document d USING (document_id)) h
         WHERE seq > 1 AND state_from IS DISTINCT FROM stood""",
    "recordings that miss events": """
        SELECT recording_id::text FROM recording r WHERE event_count <> (SELECT count(*) FROM event e WHERE e.recording_id = r.recording_id)""",
    "items somebody still holds": "SELECT flow || ' ' || step FROM work_item WHERE status = 'in_call'",
    "intents nobody settled": "SELECT step || ' ' || outcome FROM intent WHERE outcome IN ('open', 'unknown')",
}


def unsound(world: World) -> Iterator[str]:
    """What is not whole in the hub's own books, or does not agree with everybody else's."""
    for what, query in UNSOUND.items():
        yield from (f"{what}: {row}" for row in world.eyes.execute(query).fetchall())
    connection = world.connect()
    engine = world.house.new_engine()
    sessions = {name: lane.session for name, lane in engine.lanes.items()}
    result = reconcile(connection, engine.setup, sessions)
    world.give_back(connection)
    yield from (one.sentence for one in result.differences)
    if result.events_lost or result.parked_without_reason or result.requisitions_with_two_live_orders:
        yield f"the books: {result.as_json()}"
