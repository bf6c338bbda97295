"""A schedule that has come to its end, as the invariants look at it: what the database holds, read once, beside the ledgers of
the systems."""

from functools import cached_property
from typing import Any
from uuid import UUID

from sandbox.simulation.landscape import Landscape
from sandbox.simulation.plan import Plan
from sandbox.simulation.schedule import Notes, Schedule
from sandbox.simulation.stories import Journey
from sync_engine.engine import store

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

    def number(self, document_id: UUID) -> str:
        """What people call a document."""
        row = self.documents.get(document_id)
        return f"{row['document_type']} {row['number']}" if row else str(document_id)
