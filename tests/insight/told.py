"""A small company's events, made up from a seed and written as the engine writes them: journeys that take turns, invoices that find
their order late, news that comes days after the fact, clocks that contradict each other, recordings that are committed late."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.model.lifecycles import LIFECYCLES

UNITS = ("DE-SOUTH", "DE-NORTH", "US-EAST")
FIRST_DAY = datetime(2026, 5, 18, 6, 0, tzinfo=UTC)
TABLES = "event, event_object, recording, document, rollup, rollup_series, rollup_begun, document_milestone, journey, journey_stage, objective_result, document_path, step_day, step_document, step_told, order_moment, order_told, order_movement, document_payload, standing, standing_kind, standing_group, standing_limit, standing_news"


@dataclass
class Event:
    """One event before it has a place in a recording."""

    document: UUID
    kind: str
    family: UUID
    unit: str
    activity: str
    before: str | None
    after: str
    event_at: datetime
    recorded_at: datetime


@dataclass
class Recording:
    """Events that one transaction recorded."""

    recording_id: UUID
    written_order: int
    recorded_at: datetime
    events: list[Event] = field(default_factory=list)


class Company:
    """Journeys from `seed`.

    Args:
        seed: Another seed, another company.
        journeys: How many requisitions.
        days: Over how many days they begin.
    """

    def __init__(self, seed: int, *, journeys: int = 8, days: int = 40) -> None:
        self.rng = Random(seed)
        self.days = days
        self._events: list[Event] = []
        for _ in range(journeys):
            self._journey()
        self._events.sort(key=lambda event: event.recorded_at)
        self.recordings = list(self._recorded())

    def id(self) -> UUID:
        """An id of this company."""
        return UUID(int=self.rng.getrandbits(128), version=4)

    def _journey(self) -> None:
        rng = self.rng
        unit = rng.choice(UNITS)
        self._now = FIRST_DAY + timedelta(days=rng.uniform(0, self.days))
        requisition = self.id()
        submitted = self._now
        self._pass(minutes=rng.uniform(0, 5))
        move = self._mover(requisition, "requisition", requisition, unit)
        move("requisition_received", "received", event_at=submitted)
        move("validated", "awaiting_budget")
        move("budget_confirmed", "awaiting_approval")
        if rng.random() < 0.2:
            self._pass(hours=rng.expovariate(1 / 30))
            move("changed", "received")
            move("validated", "awaiting_budget")
            move("budget_confirmed", "awaiting_approval")
        self._pass(hours=rng.expovariate(1 / 30))
        if rng.random() < 0.1:
            return
        if rng.random() < 0.1:
            move("procurement_rejected", "rejected")
            return
        move("approval_completed", "approved", event_at=self._earlier())
        move("decision_propagated", "approved")
        move("orders_drafted", "ordering")
        self._order(requisition, unit, move)

    def _order(self, requisition: UUID, unit: str, move: Any) -> None:
        rng = self.rng
        for _ in range(rng.choice((1, 1, 2))):
            order = self._mover(self.id(), "purchase_order", requisition, unit)
            order("order_drafted", "drafted")
            self._pass(hours=rng.expovariate(1 / 5))
            order("order_accepted", "posted", event_at=self._earlier())
            order("order_number_returned", "ordered")
        contradicts = rng.random() < 0.1
        move("orders_confirmed", "ordered", event_at=self._now - timedelta(days=9) if contradicts else self._earlier())
        for _ in range(rng.choice((0, 1, 1, 2))):
            self._pass(hours=rng.expovariate(1 / 100))
            order("goods_received", "partially_received", event_at=self._earlier())
            self._invoice(requisition, unit)

    def _invoice(self, requisition: UUID, unit: str) -> None:
        """An invoice, which sometimes does not know yet whose it is."""
        rng = self.rng
        invoice = self.id()
        is_lost = rng.random() < 0.4
        move = self._mover(
            invoice, "invoice", invoice if is_lost else requisition, rng.choice(UNITS) if is_lost else unit
        )
        self._pass(hours=rng.expovariate(1 / 40))
        move("invoice_received", "received", event_at=self._earlier())
        if is_lost and rng.random() < 0.3:
            move("invoice_posted", "posted", event_at=self._earlier())
        self._pass(hours=rng.expovariate(1 / 40))
        found = self._mover(invoice, "invoice", requisition, unit, at=move)
        found("matched", "matched")
        if rng.random() < 0.2:
            return
        found("invoice_posted", "posted", event_at=self._earlier())
        self._pass(minutes=rng.expovariate(1 / 10))
        found("match_result_returned", "posted")

    def _mover(self, document: UUID, kind: str, family: UUID, unit: str, at: Any = None) -> Any:
        """What writes the events of one document; it goes on where `at` has come to."""
        state: list[str | None] = at.state if at else [None]

        def move(activity: str, after: str, event_at: datetime | None = None) -> None:
            self._events.append(
                Event(document, kind, family, unit, activity, state[0], after, event_at or self._now, self._now)
            )
            state[0] = after
            self._pass(minutes=self.rng.expovariate(1 / 3))

        move.state = state  # type: ignore[attr-defined]
        return move

    def _earlier(self) -> datetime:
        """News is seconds old, or now and then days."""
        return self._now - (
            timedelta(days=self.rng.uniform(1, 20))
            if self.rng.random() < 0.15
            else timedelta(seconds=self.rng.uniform(0, 90))
        )

    def _pass(self, **time: float) -> None:
        self._now += timedelta(**time)

    def _recorded(self) -> Iterator[Recording]:
        """The events in recordings of one to four, each with one time for all of them."""
        rest, order = self._events, 0
        while rest:
            many = self.rng.randint(1, 4)
            taken, rest = rest[:many], rest[many:]
            order += 1
            yield Recording(self.id(), order, taken[-1].recorded_at, taken)


class Books:
    """Writes recordings and the documents as they stand after each, in whatever order they are committed."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self._seq: dict[UUID, int] = {}
        self._since: dict[UUID, datetime] = {}
        self._number: dict[tuple[UUID, int], tuple[int, datetime | None]] = {}
        self._first: dict[UUID, tuple[Event, datetime]] = {}

    def expect(self, recordings: list[Recording]) -> None:
        """Give every event its place in its document's history, in the order in which the recordings were written."""
        for recording in recordings:
            for ordinal, event in enumerate(recording.events):
                seq = self._seq[event.document] = self._seq.get(event.document, 0) + 1
                self._number[recording.recording_id, ordinal] = (seq, self._since.get(event.document))
                if event.before != event.after:
                    self._since[event.document] = recording.recorded_at
                self._first.setdefault(event.document, (event, recording.recorded_at))

    def write(self, recordings: list[Recording]) -> None:
        """Commit recordings, each with its documents as they stand after it: as the engine does, so that the folder finds them."""
        with self.connection.transaction(), self.connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO recording (recording_id, engine_id, recorded_at, event_count, merkle_root, written_order) VALUES (%s, 'told', %s, %s, '', %s)",
                [(one.recording_id, one.recorded_at, len(one.events), one.written_order) for one in recordings],
            )
            cursor.executemany(
                "INSERT INTO event (recording_id, ordinal, recorded_at, document_id, seq, document_type, correlation_id, business_unit, source, activity, event_at, observed_at, system, actor,"
                " state_from, state_to, state_from_since, approval_status, posting_status, document_version)"
                " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 'finsync', %s, %s, %s, 'finsync', 'engine', %s, %s, %s, 'pending', 'not_submitted', 1)",
                [self._row(recording, ordinal) for recording in recordings for ordinal in range(len(recording.events))],
            )
            cursor.executemany(
                "INSERT INTO document (document_id, document_type, correlation_id, number, business_unit, source_system, state, approval_status, posting_status, state_since, submitted_at,"
                " created_at, updated_at, closed_at, last_event_seq, last_event_at) VALUES (%s, %s, %s, %s, %s, 'coupa', %s, 'pending', 'not_submitted', %s, %s, %s, %s, %s, %s, %s)"
                " ON CONFLICT (document_id) DO UPDATE SET correlation_id = excluded.correlation_id, business_unit = excluded.business_unit, state = excluded.state, state_since = excluded.state_since,"
                " updated_at = excluded.updated_at, closed_at = excluded.closed_at, last_event_seq = excluded.last_event_seq, last_event_at = excluded.last_event_at",
                [
                    self._standing(recording, ordinal)
                    for recording in recordings
                    for ordinal in range(len(recording.events))
                ],
            )

    def _row(self, recording: Recording, ordinal: int) -> tuple[Any, ...]:
        event = recording.events[ordinal]
        seq, since = self._number[recording.recording_id, ordinal]
        return (
            recording.recording_id, ordinal, recording.recorded_at, event.document, seq, event.kind, event.family, event.unit, event.activity, event.event_at, recording.recorded_at,
            event.before, event.after, since,
        )  # fmt: skip

    def _standing(self, recording: Recording, ordinal: int) -> tuple[Any, ...]:
        """The document of an event as it stands with it."""
        event = recording.events[ordinal]
        first, first_at = self._first[event.document]
        seq, since = self._number[recording.recording_id, ordinal]
        since = since if event.before == event.after else recording.recorded_at
        is_final = event.kind in LIFECYCLES and event.after in LIFECYCLES[event.kind].final  # type: ignore[index]
        return (
            event.document, event.kind, event.family, str(event.document), event.unit, event.after, since, first.event_at,
            first_at, recording.recorded_at, since if is_final else None, seq, recording.recorded_at,
        )  # fmt: skip


def told(cell: Any, connection: psycopg.Connection, seed: int, **size: int) -> tuple[Company, Books]:
    """A company's documents, and its recordings, none of them committed yet, in a cell that has been emptied: cheaper than a new one."""
    database, _ = cell
    with database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {database.cell}")
        owner.execute(f"TRUNCATE {TABLES}")
        owner.execute("UPDATE rollup_closed SET months_until = '0001-01-01', years_until = '0001-01-01'")
        owner.execute("UPDATE standing_judged SET judged_at = '0001-01-01'")
    company, books = Company(seed, **size), Books(connection)
    books.expect(company.recordings)
    return company, books
