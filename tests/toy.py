"""A system small enough to read at a glance, for tests of the engine itself: it orders things, and forgets nothing.

It is no stand-in for a product: those are in `sandbox`. Its ledger is a plain list, so that a test can count effects.
"""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from random import Random
from typing import Any

from config import FOLDER
from sync_engine.configuration import load_mappings, load_policies
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.engine import Engine
from sync_engine.engine.outcomes import Setup
from sync_engine.model.documents import Distribution, Line, Person, PurchaseOrder
from sync_engine.model.errors import SyncError
from sync_engine.model.flows import Role
from sync_engine.model.ids import id_maker
from sync_engine.model.ports import Answer, Ask, Effect, Identifier, Operation, System, operations

NOON = datetime(2026, 9, 15, 12, 0, tzinfo=UTC)


@dataclass
class ToyErp:
    """What the toy has done: one entry per order really created, by reference."""

    orders: list[str] = field(default_factory=list)
    fail_with: list[SyncError] = field(default_factory=list)
    """Raised by the next calls, before anything is done."""
    lose: int = 0
    """How many of the next answers are lost after the effect."""
    calls: int = 0


class ToySession:
    """What a connector's session is to the lane."""

    def __init__(self, erp: ToyErp) -> None:
        self.erp = erp

    @contextmanager
    def tracing(self, _trace_id: str) -> Any:
        yield []


def _create(session: ToySession, ask: Ask) -> Answer:
    from sync_engine.model.errors import AnswerLost

    session.erp.calls += 1
    if session.erp.fail_with:
        raise session.erp.fail_with.pop(0)
    session.erp.orders.append(ask.reference(12))
    if session.erp.lose:
        session.erp.lose -= 1
        raise AnswerLost("the answer was lost", system="toy")
    return _answer(ask)


def _answer(ask: Ask) -> Answer:
    order = ask.document
    assert isinstance(order, PurchaseOrder)
    return Answer(
        identifiers=(Identifier("toy", "purchase_order", f"45-{order.number}"),),
        document=order.model_copy(update={"erp_number": f"45-{order.number}"}),
    )


def _look_up(session: ToySession, ask: Ask) -> Answer | None:
    session.erp.calls += 1
    if session.erp.fail_with:
        raise session.erp.fail_with.pop(0)
    return _answer(ask) if ask.reference(12) in session.erp.orders else None


def _set(session: ToySession, _ask: Ask) -> Answer:
    session.erp.calls += 1
    if session.erp.fail_with:
        raise session.erp.fail_with.pop(0)
    return Answer()


def _names(role: Role) -> list[str]:
    from sync_engine.model.flows import FLOWS

    return sorted({step.does for flow in FLOWS.values() for step in flow.steps if step.asks is role})


TOY = System(
    name="toy",
    title="Toy",
    role=Role.ERP,
    api_version="1",
    feeds=(),
    operations=operations(
        Operation("create_purchase_order", Effect.CREATE, _create, _look_up),
        *(
            Operation(name, Effect.SET, _set)
            for role in Role
            if role is not Role.FINSYNC
            for name in _names(role)
            if name != "create_purchase_order"
        ),
    ),
    requests_per_s=1e6,
    burst=1_000_000,
    max_in_flight=8,
    quiet_period_s=10,
    idempotency="by reference",
    connect=lambda *_: None,
)


def order(number: str, amount: str = "100.00") -> PurchaseOrder:
    """An order of one line."""
    return PurchaseOrder(
        number=number,
        business_unit="DE-SOUTH",
        company_code="1010",
        requisition_number="1",
        requisition_source_id="1",
        requester=Person(user="plant.manager.1"),
        supplier="10300001",
        currency="EUR",
        amount=Decimal(amount),
        purchasing_organization="1010",
        purchasing_group="001",
        ordered_on=NOON.date(),
        lines=(
            Line(
                number=10,
                quantity=Decimal(1),
                unit_price=Decimal(amount),
                amount=Decimal(amount),
                distributions=(Distribution(cost_centre="4711", amount=Decimal(amount)),),
            ),
        ),
    )


def toy_engine(
    erp: ToyErp,
    clock: VirtualClock,
    *,
    name: str = "engine-1",
    seed: int = 1,
    crash_point: Callable[[str], None] = lambda _: None,
) -> Engine:
    """An engine whose every system is the toy."""
    rng = Random(f"{seed} {name}")
    setup = Setup(
        {"toy": TOY}, lambda _role, _unit: "toy", load_mappings(FOLDER), load_policies(FOLDER), rng, id_maker(rng)
    )
    return Engine(setup, {"toy": ToySession(erp)}, clock, engine_id=name, crash_point=crash_point)
