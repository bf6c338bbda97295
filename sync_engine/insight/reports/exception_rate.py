"""What the page on the exception rate asks: how many of the documents that entered met an exception, which, and how those ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

import pandas as pd

from sync_engine.insight.once import once, shared
from sync_engine.insight.reports.reading import Reports, table
from sync_engine.insight.standing import STUCK_TYPES
from sync_engine.insight.statistics import FEW


@dataclass(frozen=True, slots=True)
class Population:
    """Which documents, and which exceptions of theirs count. None leaves a condition out."""

    since: datetime
    until: datetime
    units: tuple[str, ...] | None = None
    types: tuple[str, ...] = STUCK_TYPES
    categories: tuple[str, ...] | None = None

    def arguments(self) -> dict[str, Any]:
        """As the statements take them."""
        return {
            "since": self.since,
            "until": self.until,
            "units": list(self.units) if self.units else None,
            "document_types": list(self.types),
            "categories": list(self.categories) if self.categories else None,
        }


@dataclass(frozen=True, slots=True)
class Rate:
    """Documents that entered and those that ever met an exception, in count and value (group currency)."""

    entered: int
    with_exception: int
    value: Decimal
    value_with_exception: Decimal

    @property
    def share(self) -> float | None:
        """By count; None: nothing entered."""
        return self.with_exception / self.entered if self.entered else None

    @property
    def value_share(self) -> float | None:
        """By value; None: nothing of value entered."""
        return float(self.value_with_exception / self.value) if self.value else None


@dataclass(frozen=True)
class Rates:
    """The rate in the period and in the one before it; by unit, type and week of the period."""

    rows: pd.DataFrame

    @once
    def of(self, *, before: bool = False) -> Rate:
        """Over everything asked for."""
        found = self._part(before=before)
        found = found[found["business_unit"].isna() & found["document_type"].isna() & found["week"].isna()]
        return _rate(found.iloc[0]) if len(found) else Rate(0, 0, Decimal(0), Decimal(0))

    @once
    def by(self, name: str, *, before: bool = False) -> pd.DataFrame:
        """By "business_unit", "document_type" or "week": that column, entered, with_exception, value, value_with_exception, share, value_share."""
        found = self._part(before=before)
        found = (
            found[found[name].notna()][[name, "entered", "with_exception", "value", "value_with_exception"]]
            .sort_values(name)
            .reset_index(drop=True)
        )
        rates = [_rate(row) for row in found.to_dict("records")]
        found["share"] = pd.Series([rate.share for rate in rates], dtype=float)
        found["value_share"] = pd.Series([rate.value_share for rate in rates], dtype=float)
        return found

    def _part(self, *, before: bool) -> pd.DataFrame:
        return self.rows[self.rows["in_period"].astype(bool) != before]


@dataclass(frozen=True, slots=True)
class Closing:
    """How long exceptions took to be closed, open ones counted with their age. Seconds; None: so many are open that it is not reached."""

    n: int
    open: int
    p50_business_s: float | None
    p85_business_s: float | None
    p50_wall_s: float | None


RATE_COLUMNS = (
    "in_period",
    "business_unit",
    "document_type",
    "week",
    "entered",
    "with_exception",
    "value",
    "value_with_exception",
)
CAUSE_COLUMNS = (
    "document_id", "document_type", "business_unit", "value", "submitted_at", "code", "category", "fingerprints", "exceptions", "open", "closed", "self_cured", "came_back", "raised_at",
)  # fmt: skip
ROW_COLUMNS = (
    "document_id", "document_type", "number", "title", "business_unit", "supplier_name", "requester", "currency", "amount", "group_amount", "state", "submitted_at", "week",
    "exceptions", "open", "closed", "self_cured", "codes", "categories", "raised_at", "case_id", "known_as",
)  # fmt: skip
ATTRIBUTE_COLUMNS = (
    "attribute",
    "value",
    "entered",
    "with_exception",
    "all_entered",
    "all_with_exception",
    "goes_with",
)
ATTRIBUTES_COMPARED = 40
"""So many values of attributes are compared with each other; nobody reads more."""

BACKLOG_COLUMNS = ("day", "begun", "ended", "self_cured", "stands")
NEW_CAUSE_COLUMNS = (
    "fingerprint", "code", "category", "exceptions", "documents", "open", "first_seen", "message", "found",
)  # fmt: skip
MOST_NEW = 50
"""So many new causes are listed; more at once is one cause that is told apart badly."""

ATTEMPT_COLUMNS = ("system", "attempts", "failed", "throttled", "repeats", "last_failed_at")


def rates(reports: Reports, wanted: Population, *, before: datetime, zone: str) -> Rates:
    """The rate from `wanted.since` on, and between `before` and `wanted.since`; weeks are those of `zone`."""
    return Rates(reports.frame("exception_rate", RATE_COLUMNS, before=before, zone=zone, **wanted.arguments()))


def causes(reports: Reports, wanted: Population) -> pd.DataFrame:
    """Each document with each cause it met: so many exceptions, open, closed, self_cured, came_back (again within 30 days)."""
    return reports.frame("exception_rate_causes", CAUSE_COLUMNS, **wanted.arguments())


def attributes(reports: Reports, wanted: Population) -> pd.DataFrame:
    """By attribute and value: documents that entered and met an exception, the same of all documents, and the values that mean
    nearly the same documents; those with most exceptions above the others' rate first.
    """
    return reports.frame(
        "report_exception_rate.attributes",
        ATTRIBUTE_COLUMNS,
        fewest=FEW,
        most=ATTRIBUTES_COMPARED,
        **wanted.arguments(),
    )


def rows(reports: Reports, wanted: Population, *, zone: str) -> pd.DataFrame:
    """The documents with an exception, most money first; case_id: the newest of them that is open."""
    return reports.frame("exception_rate_rows", ROW_COLUMNS, zone=zone, **wanted.arguments())


def time_to_close(reports: Reports, wanted: Population, *, as_of: datetime) -> Closing:
    """Raised to closed over the exceptions of these documents (Kaplan-Meier)."""
    [row] = reports.remembered("exception_time_to_close", as_of=as_of, **wanted.arguments())
    return Closing(
        row["n"], row["open"], _float(row["p50_business_s"]), _float(row["p85_business_s"]), _float(row["p50_wall_s"])
    )


@dataclass(frozen=True)
class Backlog:
    """Exceptions by day (day, begun, ended, self_cured, stands at its end), and the documents that are open and held up now."""

    days: pd.DataFrame
    open_documents: int
    held_documents: int


def backlog(reports: Reports, wanted: Population, *, zone: str) -> Backlog:
    """What was raised and closed on each day of the period, whenever its document entered, and what stands open."""
    found = reports.remembered("report_exception_rate.backlog", zone=zone, **wanted.arguments())
    first = found[0] if found else {"open_documents": 0, "held_documents": 0}
    return Backlog(shared(table(found, BACKLOG_COLUMNS)), first["open_documents"], first["held_documents"])


def new_causes(reports: Reports, wanted: Population, *, since: datetime) -> pd.DataFrame:
    """Causes met for the first time since a moment of the period, most documents first; `found` says how many there are."""
    arguments = wanted.arguments() | {"since": since}
    return reports.frame("report_exception_rate.new_causes", NEW_CAUSE_COLUMNS, most=MOST_NEW, **arguments)


def technical_failures(
    reports: Reports, units: Sequence[str] | None, *, since: datetime, until: datetime
) -> pd.DataFrame:
    """Attempts by system, with those that failed: about calls, never about documents."""
    return reports.frame(
        "technical_failures", ATTEMPT_COLUMNS, units=list(units) if units else None, since=since, until=until
    )


def _rate(row: Any) -> Rate:
    return Rate(
        int(row["entered"]), int(row["with_exception"]), Decimal(row["value"]), Decimal(row["value_with_exception"])
    )


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
