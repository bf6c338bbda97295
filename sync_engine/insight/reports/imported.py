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

Place = tuple[list[float], UUID]
"""Where a row of a list stands: what the list is in the order of, and the document."""

MOST_ROWS = 2000
EXPORT_ROWS = 10_000
"""So many rows are asked for at once when all of them are exported."""

JOURNEY_COLUMNS = ("document_type", "business_unit", "documents", "ended", "total_s", "mean_s", "p50_s", "p85_s", "p95_s")  # fmt: skip
STAGE_COLUMNS = ("stage", "documents", "total_s", "p50_s", "p85_s")
ROW_COLUMNS = ("document_id", "number", "business_unit", "state", "s", "events", "is_repeated", "first_at", "last_at", "place", "found")  # fmt: skip
TROUBLE_COLUMNS = ("document_type", "business_unit", "documents", "again", "held", "alone", "straight")
TROUBLED_COLUMNS = (
    "document_id",
    "number",
    "business_unit",
    "state",
    "events",
    "again",
    "held",
    "s",
    "last_at",
    "place",
    "found",
)
STANDING_COLUMNS = ("document_type", "state", "level", "documents", "oldest_s", "peers", "p50_s", "p85_s", "p95_s", "as_of")  # fmt: skip
STANDS_COLUMNS = (
    "document_id", "document_type", "number", "business_unit", "state", "state_since", "age_s", "level", "pace", "peers", "p50_s", "p95_s", "value_name", "value", "place", "found",
)  # fmt: skip
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
        return {"source": self.source, "units": _listed(self.units), "since": self.since, "until": self.until}


def journeys(reports: Reports, within: Within) -> pd.DataFrame:
    """By document type (business_unit None), the one of which most come to an end first, then the one that most time went into, and by type and unit: JOURNEY_COLUMNS."""
    return _numbers(reports.frame("report_imported.journeys", JOURNEY_COLUMNS, **within.where), "total_s", "mean_s", "p50_s", "p85_s", "p95_s")  # fmt: skip


def journey_stages(reports: Reports, within: Within, document_type: str) -> pd.DataFrame:
    """Where the time of one type went, the longest first: STAGE_COLUMNS and the `share` of all time. The parts add up to the whole."""
    found = _numbers(reports.frame("report_imported.journey_stages", STAGE_COLUMNS, **within.where, document_type=document_type), "total_s", "p50_s", "p85_s")  # fmt: skip
    return found.assign(share=found["total_s"] / (found["total_s"].sum() or 1.0))


def journey_rows(
    reports: Reports, within: Within, document_type: str, which: Which = "all", *, after: Place | None = None, most: int = MOST_ROWS, remember: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """The documents themselves, slowest first, as every list here at most so many after the place of one (`place_of`); `found` says how many
    there are in all: ROW_COLUMNS. Not to `remember` is for what is asked for once and is large."""
    found = reports.frame("report_imported.journey_rows", ROW_COLUMNS, remember=remember, **within.where, document_type=document_type, which=which, **from_place(after), most=most)  # fmt: skip
    return _numbers(found, "s")


HELD = ("in_review", "payment_blocked", "rejected", "reversed", "cancelled")
"""Stages that hold a document up or end it in vain, by the words of our own; the log's mapping says which activity comes to them."""


def trouble(reports: Reports, within: Within) -> pd.DataFrame:
    """By document type (business_unit None), and by type and unit: how many documents did something again, came to a stage of HELD, went a
    path alone, and neither of the first two (straight): TROUBLE_COLUMNS."""
    found = reports.frame("report_imported.trouble", TROUBLE_COLUMNS, **within.where, stages=list(HELD))
    return found.assign(**{name: found[name].astype(int) for name in TROUBLE_COLUMNS[2:]})


def trouble_activities(reports: Reports, within: Within, document_type: str) -> pd.DataFrame:
    """Kind (again, held), activity, documents, times: what was done again, and what brought them to a stage of HELD."""
    return reports.frame("report_imported.trouble_activities", ("kind", "activity", "documents", "times"), **within.where, document_type=document_type, stages=list(HELD))  # fmt: skip


def trouble_rows(
    reports: Reports, within: Within, document_type: str, which: str, activity: str | None = None, *, after: Place | None = None, most: int = MOST_ROWS,
    remember: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """The documents behind `trouble` (which: again, held, alone, straight, all), or behind one of `trouble_activities`: TROUBLED_COLUMNS."""
    found = reports.frame("report_imported.trouble_rows", TROUBLED_COLUMNS, remember=remember, **within.where, document_type=document_type, stages=list(HELD), which=which, activity=activity, **from_place(after), most=most)  # fmt: skip
    return _numbers(found, "s")


def standing(reports: Reports, source: str, units: Units, types: Units) -> pd.DataFrame:
    """How a log's documents stood when it ended (as_of), counted by type, stage and level: STANDING_COLUMNS. Levels are those of the page on
    our own documents, and "ended" for what has come to a final stage."""
    found = reports.frame("report_imported.standing", STANDING_COLUMNS, source=source, units=_listed(units), types=_listed(types))  # fmt: skip
    found = _numbers(found, "oldest_s", "p50_s", "p85_s", "p95_s")
    return found.assign(documents=found["documents"].astype(int), peers=found["peers"].astype(int))


def standing_rows(
    reports: Reports, source: str, units: Units, types: Units, *, level: str | None = None, stage: str | None = None, after: Place | None = None,
    most: int = MOST_ROWS, remember: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """The documents that had not come to a final stage, of a level and a stage (None: of all), slowest beside their peers first:
    STANDS_COLUMNS."""
    found = reports.frame("report_imported.standing_rows", STANDS_COLUMNS, remember=remember, source=source, units=_listed(units), types=_listed(types), level=level, stage=stage, **from_place(after), most=most)  # fmt: skip
    return _numbers(found, "age_s", "pace", "p50_s", "p95_s")


def place_of(row: "pd.Series[Any]") -> Place:
    """Where a row of a list stands."""
    return row["place"], row["document_id"]


def from_place(after: Place | None) -> dict[str, Any]:
    """As the statements take a place."""
    place, document_id = after or (None, None)
    return {"after_place": place, "after_id": document_id}


def _listed(values: Units) -> list[str] | None:
    return list(values) if values else None


def events(reports: Reports, document_id: UUID) -> pd.DataFrame:
    """What happened to one document by its times, with the events that name it beside another: EVENT_COLUMNS."""
    return table(reports.rows("report_imported.events_of", document_id=document_id), EVENT_COLUMNS)


def _numbers(frame: pd.DataFrame, *names: str) -> pd.DataFrame:
    return frame.assign(**{name: pd.to_numeric(frame[name]).astype(float) for name in names})
