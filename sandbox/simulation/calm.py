"""How each kind of journey ends in a calm world: the same people, one engine, nothing goes wrong. A journey under faults has to end
in the same states (confluence): whatever is lost, late, doubled or killed on the way may cost time, never the result."""

from dataclasses import dataclass
from typing import Any

from sandbox.simulation.arena import Arena
from sandbox.simulation.ended import Ended
from sandbox.simulation.journeys import Journey
from sandbox.simulation.kinds import KINDS
from sandbox.simulation.plan import Plan, Story
from sandbox.simulation.schedule import Schedule

TOGETHER = 8
"""Journeys that share a calm schedule: they have cost centres of their own and do not meet."""


@dataclass(frozen=True, slots=True)
class JourneyEnd:
    """Where a journey's documents stand in our books, and what the systems' own ledgers say of it."""

    requisition: tuple[str, ...]
    orders: tuple[tuple[str, ...], ...]
    bills: tuple[tuple[str, ...], ...]
    in_procurement: str
    live_orders: int
    booked: int

    def differs(self, other: "JourneyEnd") -> list[str]:
        """What is not the same, in words."""
        return [
            f"{name} {getattr(self, name)}, in a calm world {getattr(other, name)}"
            for name in JourneyEnd.__slots__
            if getattr(self, name) != getattr(other, name)
        ]


def calm_ends(arena: Arena) -> dict[str, JourneyEnd]:
    """How every kind of journey ends when nothing goes wrong."""
    kinds = sorted(KINDS)
    ends: dict[str, JourneyEnd] = {}
    for first in range(0, len(kinds), TOGETHER):
        stories = tuple(
            Story(number, kind, begins_s=0, pace_s=600, quantity=10, price_cents=2000 + 100 * number, unit="DE-SOUTH")
            for number, kind in enumerate(kinds[first : first + TOGETHER], start=1)
        )
        schedule = Schedule(Plan(seed=0, stories=stories, engines=1), arena)
        schedule.run()
        ended = Ended(schedule)
        ends |= {journey.story.kind: end_of(ended, journey) for journey in ended.journeys}
    return ends


def end_of(ended: Ended, journey: Journey) -> JourneyEnd:
    """How a journey has ended."""
    named = ended.named
    requisition = str(journey.requisition)
    erp = ended.landscape.s4hana
    orders = [
        order
        for order in erp.orders.values()
        if any(item["PurchaseOrderItemText"].startswith(journey.story.tag) for item in order["_items"])
    ]
    numbers = {order["PurchaseOrder"] for order in orders}
    standing = tuple(sorted(_standing(named, ("s4hana", "purchase_order", number)) for number in numbers))
    # A buyer who cancels before we know the order's number ends the requisition with it; one who does so later does not.
    is_cancelled = bool(standing) and all(order[:1] == ("cancelled",) for order in standing)
    return JourneyEnd(
        requisition=() if is_cancelled else _standing(named, ("coupa", "requisition", requisition)),
        orders=standing,
        # Of the same bill twice, whichever is told first goes on, and the other is stopped.
        bills=tuple(sorted(_standing(named, ("basware", "invoice", bill)) for bill in journey.bills)),
        in_procurement=(
            str(ended.landscape.coupa.requisition(journey.requisition)["status"]) if journey.requisition else ""
        ),
        live_orders=sum(not order.get("PurchasingDocumentDeletionCode") for order in orders),
        booked=sum(
            any(item["PurchaseOrder"] in numbers for item in invoice.get("_items", ()))
            for invoice in erp.invoices.values()
        ),
    )


def _standing(named: dict[tuple[str, str, str], dict[str, Any]], name: tuple[str, str, str]) -> tuple[str, ...]:
    row = named.get(name)
    return (row["state"], row["approval_status"], row["posting_status"]) if row else ()
