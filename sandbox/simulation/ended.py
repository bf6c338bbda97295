"""A schedule that has come to its end, as the invariants look at it: what the database holds, read once, beside the ledgers of
the systems."""

from functools import cached_property
from typing import Any
from uuid import UUID

from sandbox.simulation.clocks import EngineClock
from sandbox.simulation.journeys import Journey
from sandbox.simulation.landscape import Landscape
from sandbox.simulation.notes import Notes
from sandbox.simulation.plan import Plan
from sandbox.simulation.schedule import Schedule
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.engine import store
from sync_engine.insight.reconcile import Reconciliation, reconcile

Row = dict[str, Any]


class Ended:
    """The end of a schedule.

    Args:
        schedule: It has run.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.plan: Plan = schedule.plan
        self.landscape: Landscape = schedule.landscape
        self.notes: Notes = schedule.notes
        self.journeys: list[Journey] = schedule.people.journeys

    def rows(self, statement: str, **values: Any) -> list[Row]:
        """What a named statement answers to the engine's role."""
        return store.rows(self.schedule.eyes, statement, **values)

    @cached_property
    def documents(self) -> dict[UUID, Row]:
        """Every document by its id."""
        return {row["document_id"]: row for row in self.rows("simulate.documents")}

    @cached_property
    def named(self) -> dict[tuple[str, str, str], Row]:
        """Documents by what each system calls them."""
        rows = self.rows("simulate.names")
        return {(row["system"], row["kind"], row["external_id"]): self.documents[row["document_id"]] for row in rows}

    @cached_property
    def events(self) -> list[Row]:
        """Every event, recording by recording, in order."""
        return self.rows("simulate.events")

    @cached_property
    def histories(self) -> dict[UUID, list[Row]]:
        """The events of each document in its own order."""
        found: dict[UUID, list[Row]] = {}
        for event in sorted(self.events, key=lambda event: (event["document_id"], event["seq"])):
            found.setdefault(event["document_id"], []).append(event)
        return found

    @cached_property
    def compared(self) -> Reconciliation:
        """The product's comparison of all books, over lines without faults."""
        clock = EngineClock(self.schedule.clock)
        calm = InProcessTransport(self.landscape.standins, Stopwatch())
        engine = self.landscape.connect(0, clock, transport=calm)
        sessions = {name: lane.session for name, lane in engine.lanes.items()}
        return reconcile(self.schedule.eyes, engine.setup, sessions)

    def orders(self, journey: Journey) -> list[Row]:
        """The live orders of a journey, by the ERP's own ledger."""
        return self.schedule.people.orders(journey)

    def deciders(self, journey: Journey) -> set[str]:
        """Who agreed to a journey in the service desk, by its own ledger: whoever last touched an approved row."""
        return self.schedule.people.deciders(journey)

    def was_told_otherwise(self, journey: Journey) -> bool:
        """Whether a vendor told something of a journey with other values than it has: what can be read counts, and has to be decided
        anew when it is told rightly, so that such a journey may rightly end elsewhere."""
        coupa = self.landscape.coupa
        names = {("coupa", str(journey.requisition))} | {("basware", bill) for bill in journey.bills}
        for order in self.orders(journey):
            names |= {("coupa", str(row["id"])) for row in coupa.orders(po_number=order["PurchaseOrder"])}
        return bool(names & self.schedule.wire.spoiled)

    def number(self, document_id: UUID) -> str:
        """What people call a document."""
        row = self.documents.get(document_id)
        return f"{row['document_type']} {row['number']}" if row else str(document_id)
