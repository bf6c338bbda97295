"""What the page on the process map asks: the steps that documents really took, their variants, and where they leave the intended order.

Object-centric: a step counts for each document it is a step of, and is never multiplied by the others. Durations in wall seconds;
amounts in group currency.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd

from sync_engine.insight.once import once
from sync_engine.insight.reports.reading import Reports

Units = Sequence[str] | None

REVISIONS = (
    "changed", "order_changed", "receipt_reversed", "receipt_partly_reversed", "order_refused", "posting_refused", "match_blocked", "review_refused",
    "approval_refused", "procurement_rejected", "approval_contradicted", "change_refused", "abandoned",
)  # fmt: skip
"""What counts as work done again or in vain unless the reader chooses otherwise."""

EXACT_TO = 10_000
"""So many steps are read one by one; of more, what each day came to."""

KIND_COLUMNS = ("document_type", "documents")
MAP_COLUMNS = ("document_type", "from_activity", "activity", "n", "documents", "value", "repeats", "place", "negative", "total_s", "p50_s", "p85_s")  # fmt: skip
JOIN_COLUMNS = ("from_type", "from_activity", "document_type", "activity", "n")
VARIANT_COLUMNS = ("document_type", "activities", "documents", "of", "variants", "p50_s", "value", "exceptions")
ROW_COLUMNS = ("document_id", "number", "document_type", "business_unit", "supplier_name", "state", "currency", "amount", "group_amount", "n", "s", "last_at")  # fmt: skip
PATTERN_COLUMNS = ("pattern", "documents", "value", "document_id")
MOMENTS = ("requisition_at", "approved_at", "ordered_at", "goods_at", "invoice_at", "needs_goods", "has_contract")


@dataclass(frozen=True, slots=True)
class Asked:
    """Which part of which log: one source, a period, business units and document types (None: all)."""

    source: str
    since: datetime
    until: datetime
    units: Units = None
    types: Sequence[str] | None = None

    @property
    def where(self) -> dict[str, Any]:
        """As the statements take it, without the types."""
        units = list(self.units) if self.units else None
        return {"source": self.source, "units": units, "since": self.since, "until": self.until}

    @property
    def typed(self) -> dict[str, Any]:
        """As the statements take it."""
        return self.where | {"types": list(self.types) if self.types else None}


@dataclass(frozen=True, slots=True)
class Straight:
    """Documents that ended: how many, how many without a revision, and their steps with those of people."""

    documents: int
    first_time_right: int
    steps: int
    by_people: int

    @property
    def right(self) -> float | None:
        """The share without a revision; None: nothing ended."""
        return self.first_time_right / self.documents if self.documents else None

    @property
    def automatic(self) -> float | None:
        """The share of steps that no person did; None: there are none."""
        return 1 - self.by_people / self.steps if self.steps else None


def kinds(reports: Reports, asked: Asked) -> pd.DataFrame:
    """document_type, documents: what moved in the period."""
    return reports.frame("report_process.kinds", KIND_COLUMNS, **asked.where)


def span(reports: Reports, source: str) -> tuple[datetime, datetime] | None:
    """From when to when a log reaches; None: nothing of it may be seen."""
    [row] = reports.remembered("report_process.span", source=source)
    return None if row["first_at"] is None else (row["first_at"], row["last_at"])


def steps(reports: Reports, asked: Asked) -> pd.DataFrame:
    """Activities (from_activity None) and the steps between them ("": the document begins there), MAP_COLUMNS, and `rework`: the share of
    repeats. Percentiles are exact up to EXACT_TO steps, beyond to 1 %."""
    return _measured(reports.frame("report_process.map", MAP_COLUMNS, **asked.typed, exact_to=EXACT_TO))


@once
def _measured(frame: pd.DataFrame) -> pd.DataFrame:
    numbers = {name: frame[name].astype(float) for name in ("value", "total_s", "p50_s", "p85_s", "place")}
    return frame.assign(rework=frame["repeats"].astype(float) / frame["n"].astype(float), **numbers)


def joins(reports: Reports, asked: Asked) -> pd.DataFrame:
    """Where documents of one type begin behind linked ones of another: JOIN_COLUMNS."""
    return reports.frame("report_process.joins", JOIN_COLUMNS, **asked.typed)


def behind(reports: Reports, asked: Asked, document_type: str, activity: str, before: str | None) -> pd.DataFrame:
    """Exactly the documents of an activity, or of the step to it from `before` ("": those that began with it)."""
    return reports.frame(
        "report_process.behind", ROW_COLUMNS, **asked.where, document_type=document_type, from_activity=before, activity=activity
    )  # fmt: skip


def between(reports: Reports, asked: Asked, document_type: str, first: str, then: str) -> pd.DataFrame:
    """document_id, s: from the first `first` to the first `then` after it."""
    return reports.frame(
        "report_process.between", ("document_id", "s"), **asked.where, document_type=document_type, from_activity=first, activity=then
    )  # fmt: skip


def variants(reports: Reports, asked: Asked) -> pd.DataFrame:
    """The most frequent paths of what ended in the period, with their share and the share up to them."""
    return _shares(reports.frame("report_process.variants", VARIANT_COLUMNS, **asked.typed))


@once
def _shares(frame: pd.DataFrame) -> pd.DataFrame:
    share = frame["documents"].astype(float) / frame["of"].astype(float)
    return frame.assign(share=share, cumulative=share.cumsum())


def of_variant(reports: Reports, asked: Asked, document_type: str, activities: Sequence[str]) -> pd.DataFrame:
    """The documents that went exactly this way."""
    return reports.frame(
        "report_process.of_variant", ROW_COLUMNS, **asked.where, document_type=document_type, activities=list(activities)
    )  # fmt: skip


def straight(reports: Reports, asked: Asked, revisions: Sequence[str]) -> Straight:
    """First time right and automation of what ended in the period."""
    [row] = reports.remembered("report_process.straight", **asked.typed, revisions=list(revisions))
    return Straight(row["documents"], row["first_time_right"], row["steps"], row["by_people"])


def revised(reports: Reports, asked: Asked, revisions: Sequence[str]) -> pd.DataFrame:
    """The documents that ended in the period and had a revision."""
    return reports.frame("report_process.revised", ROW_COLUMNS, **asked.typed, revisions=list(revisions))


# -- leaving the intended order -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scenario:
    """One way of buying past the process.

    Args:
        name: In the address.
        title: As people read it.
        applies: Which orders it can be said of (the denominator).
        holds: Which of those it is true of.
        where: What it depends on, in words.
    """

    name: str
    title: str
    applies: Callable[[pd.DataFrame], pd.Series]
    holds: Callable[[pd.DataFrame], pd.Series]
    where: str = "every order"


def _known(*columns: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda rows: rows[list(columns)].notna().all(axis=1)


def _before(first: str, then: str) -> Callable[[pd.DataFrame], pd.Series]:
    """`first` happened, and `then` later or not at all."""
    return lambda rows: rows[first].notna() & (rows[then].isna() | (rows[first] < rows[then]))


def _without(first: str, never: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda rows: rows[first].notna() & rows[never].isna()


def _too_early(first: str, then: str) -> Callable[[pd.DataFrame], pd.Series]:
    return lambda rows: rows[first].notna() & rows[then].notna() & (rows[first] < rows[then])


def _matched_three_ways(rows: pd.DataFrame) -> pd.Series:
    return rows["invoice_at"].notna() & (rows["needs_goods"] == True)  # noqa: E712 - three-valued: None is neither


def _ordered(rows: pd.DataFrame) -> pd.Series:
    return rows["document_id"].notna()


SCENARIOS = (
    Scenario("no_contract", "No contract", _known("has_contract"), lambda rows: rows["has_contract"] == False, "orders whose lines are known"),  # noqa: E712
    Scenario("no_requisition", "Order without requisition", _ordered, lambda rows: rows["requisition_at"].isna()),
    Scenario("goods_before_order", "Goods before the order item", _known("goods_at"), _before("goods_at", "ordered_at"), "orders with goods"),
    Scenario("goods_before_approval", "Goods before the approval", _known("goods_at"), _too_early("goods_at", "approved_at"), "orders with goods"),
    Scenario("goods_without_approval", "Goods without an approval", _known("goods_at"), _without("goods_at", "approved_at"), "orders with goods"),
    Scenario("invoice_before_goods", "Invoice before goods", _matched_three_ways, _too_early("invoice_at", "goods_at"), "invoiced orders matched three ways; two-way lines may be billed first"),
    Scenario("invoice_without_goods", "Invoice without goods", _matched_three_ways, _without("invoice_at", "goods_at"), "invoiced orders matched three ways; two-way lines have no receipt"),
    Scenario("invoice_before_requisition", "Invoice before the requisition", _known("invoice_at"), _too_early("invoice_at", "requisition_at"), "invoiced orders"),
    Scenario("invoice_before_order", "Invoice before the order item", _known("invoice_at"), _before("invoice_at", "ordered_at"), "invoiced orders"),
    Scenario("invoice_before_approval", "Invoice before the approval", _known("invoice_at"), _too_early("invoice_at", "approved_at"), "invoiced orders"),
    Scenario("invoice_without_approval", "Invoice without an approval", _known("invoice_at"), _without("invoice_at", "approved_at"), "invoiced orders"),
)  # fmt: skip
"""The eleven of UiPath's purchase-to-pay process app. Whether an invoice may come before the goods depends on how its lines are matched."""


def orders(reports: Reports, asked: Asked) -> pd.DataFrame:
    """The orders that began in the period, by pattern: one order of each with the moments the scenarios compare, and how many are like
    it: PATTERN_COLUMNS and MOMENTS. What is true of one order of a pattern is true of all."""
    return reports.frame("report_process.order_patterns", (*PATTERN_COLUMNS, *MOMENTS), **asked.where)


@once
def deviations(found: pd.DataFrame) -> pd.DataFrame:
    """Each scenario over those patterns: name, title, where, documents (it is true of), of (it can be said of), value."""
    said = []
    for one in SCENARIOS:
        can = found[one.applies(found)]
        true = can[one.holds(can).astype(bool)] if len(can) else can
        value = float(pd.to_numeric(true["value"]).sum())
        said.append((one.name, one.title, one.where, int(true["documents"].sum()), int(can["documents"].sum()), value))
    return pd.DataFrame(said, columns=["name", "title", "where", "documents", "of", "value"])


@once
def off_the_way(found: pd.DataFrame) -> int:
    """How many orders at least one scenario is true of."""
    away = {pattern for one in SCENARIOS for pattern in _patterns(found, one)}
    return int(found[found["pattern"].isin(away)]["documents"].sum())


def deviating(reports: Reports, asked: Asked, found: pd.DataFrame, name: str) -> pd.DataFrame:
    """The orders one scenario is true of."""
    [one] = [scenario for scenario in SCENARIOS if scenario.name == name]
    return reports.frame("report_process.deviations", ROW_COLUMNS, **asked.where, patterns=_patterns(found, one))


def _patterns(found: pd.DataFrame, scenario: Scenario) -> list[int]:
    can = found[scenario.applies(found)]
    return [int(one) for one in (can[scenario.holds(can).astype(bool)] if len(can) else can)["pattern"]]
