"""What the engine is measured with where the network must not count: systems in the same process that answer at once, and
purchase orders that go through every step of their flow without waiting for anybody.

An order takes five transitions: four calls (accepted, confirmed, number returned, export marked) and one decision taken
here (billed in full, because what was received and billed is booked beside it from the start).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from random import SystemRandom
from typing import Any

import psycopg

from config import FOLDER
from sync_engine.configuration import load_mappings, load_policies
from sync_engine.engine import atomic, store
from sync_engine.engine.beginning import begin_document
from sync_engine.engine.clock import Clock, DatabaseClock
from sync_engine.engine.engine import Engine, database_now
from sync_engine.engine.heads import Head
from sync_engine.engine.outcomes import Setup, Spawn
from sync_engine.engine.recording import Recording
from sync_engine.model.documents import Distribution, Line, Person, PurchaseOrder
from sync_engine.model.flows import FLOWS, Role
from sync_engine.model.ids import id_maker
from sync_engine.model.ports import Answer, Ask, Effect, Identifier, Operation, System, operations

MOVES = ("order_accepted", "commitment_confirmed", "order_number_returned", "export_marked", "invoiced_in_full")
"""The events of one order that move its work item: what is counted as a transition."""

DRAFT_BATCH = 500


class Instant:
    """A session to a system that answers at once and remembers nothing."""

    @contextmanager
    def tracing(self, _trace_id: str) -> Iterator[list[Any]]:
        """No calls are made that could be traced."""
        yield []


def _create(_session: Instant, ask: Ask) -> Answer:
    return Answer(identifiers=(Identifier("erp", "purchase_order", f"45-{ask.reference(12)}"),))


def _set(_session: Instant, _ask: Ask) -> Answer:
    return Answer()


def _system(role: Role) -> System:
    asked = sorted({step.does for flow in FLOWS.values() for step in flow.steps if step.asks is role})
    return System(
        name=role.value,
        title=role.value,
        role=role,
        api_version="1",
        feeds=(),
        operations=operations(
            *(
                Operation(name, Effect.CREATE, _create, _create)
                if name == "create_purchase_order"
                else Operation(name, Effect.SET, _set)
                for name in asked
            )
        ),
        requests_per_s=1e9,
        burst=1_000_000_000,
        max_in_flight=8,
        quiet_period_s=10,
        idempotency="by reference",
        connect=lambda *_: None,
    )


def instant_systems() -> dict[str, System]:
    """One system for each role, which answers at once, by name."""
    return {role.value: _system(role) for role in Role if role is not Role.FINSYNC}


def instant_engine(connection: psycopg.Connection, name: str, clock: Clock | None = None) -> Engine:
    """An engine over systems that answer at once, registered."""
    systems = instant_systems()
    rng = SystemRandom()
    setup = Setup(
        systems, lambda role, _unit: role.value, load_mappings(FOLDER), load_policies(FOLDER), rng, id_maker(rng)
    )
    clock = clock or DatabaseClock(database_now(connection))
    engine = Engine(setup, {one: Instant() for one in systems}, clock, engine_id=name)
    engine.register(connection, release="benchmark")
    return engine


def draft(connection: psycopg.Connection, engine: Engine, first: int, many: int) -> None:
    """Purchase orders number `first` and on, each with its receipt and bill booked already."""
    for start in range(first, first + many, DRAFT_BATCH):
        now = engine.clock.now()
        recording = Recording(engine.engine_id, now, engine.setup.new_id)
        for number in range(start, min(start + DRAFT_BATCH, first + many)):
            order = _order(order_number(number), now)
            head = begin_document(recording, Spawn(order, "order_drafted"), engine.setup, parent=None)
            _book(recording, head, order, engine.setup.new_id)
        with atomic.transaction(connection):
            store.write(connection, recording)


def order_number(nth: int) -> str:
    """What the nth order is called."""
    return f"B{nth:07}"


def _book(recording: Recording, head: Head, order: PurchaseOrder, new_id: Callable[[datetime], Any]) -> None:
    for kind in ("received", "billed"):
        source = new_id(recording.now)
        for line in order.lines:
            recording.movements.add(
                source,
                line.number,
                kind,
                head.document_id,
                line.number,
                line.quantity,
                line.amount,
                order.ordered_on,
                head.business_unit,
            )


def _order(number: str, now: datetime) -> PurchaseOrder:
    return PurchaseOrder(
        number=number,
        business_unit="DE-SOUTH",
        company_code="1010",
        requisition_number="1",
        requisition_source_id="1",
        requester=Person(user="plant.manager.1"),
        supplier="10300001",
        currency="EUR",
        amount=Decimal("100.00"),
        purchasing_organization="1010",
        purchasing_group="001",
        ordered_on=now.date(),
        lines=(
            Line(
                number=10,
                quantity=Decimal(1),
                unit_price=Decimal("100.00"),
                amount=Decimal("100.00"),
                distributions=(Distribution(cost_centre="4711", amount=Decimal("100.00")),),
            ),
        ),
    )
