"""What the pages ask of an imported log: how long its documents took by its own times, and what had not come to an end when it did.

An imported log does not go on, names no working calendar, and knows nothing of exceptions or owners: durations are wall seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import pandas as pd

from sync_engine.insight.reports.everywhere import BusinessUnit
from sync_engine.insight.reports.reading import Reports, table

Units = Sequence[str] | None
Which = Literal["all", "ended", "open"]

MOST_ROWS = 2000
EVERY_ROW = 2**31 - 1

JOURNEY_COLUMNS = ("document_type", "business_unit", "documents", "ended", "total_s", "mean_s", "p50_s", "p85_s", "p95_s")  # fmt: skip
STAGE_COLUMNS = ("stage", "documents", "total_s", "p50_s", "p85_s")
ROW_COLUMNS = ("document_id", "number", "business_unit", "state", "s", "events", "is_repeated", "first_at", "last_at", "found")  # fmt: skip
EVENT_COLUMNS = ("event_at", "activity", "actor", "state_from", "state_to", "beside", "is_suspect", "waited_s")


def units(reports: Reports, source: str) -> tuple[BusinessUnit, ...]:
    """The business units that a log's documents belong to, of those the person may see, by code."""
    return tuple(BusinessUnit(**row) for row in reports.remembered("report_imported.units", source=source))


@dataclass(frozen=True, slots=True)
class Within:
    """Which documents of a log: those whose last event lies in the period, of these business units (None: all)."""

    source: str
    since: datetime
    until: datetime
    units: Units = None

    @property
    def where(self) -> dict[str, Any]:
        """As the statements take it."""
        units = list(self.units) if self.units else None
        return {"source": self.source, "units": units, "since": self.since, "until": self.until}


def journeys(reports: Reports, within: Within) -> pd.DataFrame:
    """By document type (business_unit None), the one of which most come to an end first, then the one that most time went into, and by type and unit: JOURNEY_COLUMNS."""
    return _numbers(reports.frame("report_imported.journeys", JOURNEY_COLUMNS, **within.where), "total_s", "mean_s", "p50_s", "p85_s", "p95_s")  # fmt: skip


def journey_stages(reports: Reports, within: Within, document_type: str) -> pd.DataFrame:
    """Where the time of one type went, the longest first: STAGE_COLUMNS and the `share` of all time. The parts add up to the whole."""
    found = _numbers(reports.frame("report_imported.journey_stages", STAGE_COLUMNS, **within.where, document_type=document_type), "total_s", "p50_s", "p85_s")  # fmt: skip
    return found.assign(share=found["total_s"] / (found["total_s"].sum() or 1.0))


def journey_rows(
    reports: Reports, within: Within, document_type: str, which: Which = "all", *, most: int = MOST_ROWS
) -> pd.DataFrame:
    """The documents themselves, slowest first: ROW_COLUMNS."""
    found = reports.frame("report_imported.journey_rows", ROW_COLUMNS, **within.where, document_type=document_type, which=which, most=most)  # fmt: skip
    return _numbers(found, "s")


def events(reports: Reports, document_id: UUID) -> pd.DataFrame:
    """What happened to one document by its times, with the events that name it beside another: EVENT_COLUMNS."""
    return table(reports.rows("report_imported.events_of", document_id=document_id), EVENT_COLUMNS)


def _numbers(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    return frame.assign(**{name: pd.to_numeric(frame[name]).astype(float) for name in names})
