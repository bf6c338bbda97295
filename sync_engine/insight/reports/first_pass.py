"""First-pass yield (PRODUCT.md 4.3): of the documents that ended as intended, how many needed nobody and nothing twice.

By the day on which they ended: what is still open may yet need somebody, and would flatter a yield of what entered.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import pandas as pd

from sync_engine.insight.once import once
from sync_engine.insight.reports.process_map import REVISIONS
from sync_engine.insight.reports.reading import Reports

AS_INTENDED = {"requisition": "ordered", "purchase_order": "closed", "change_order": "returned", "invoice": "paid"}
"""The end each type of document is meant to come to; refused, withdrawn and given up is another one. The column is_as_intended says so of each."""

TOUCHES = (*REVISIONS, "review_requested", "review_approved", "cancellation_asked", "cancellation_begun", "reprocessing_asked", "answer_lost")  # fmt: skip
"""Steps that show that somebody had to act, or something had to be done again, beside the process's own steps of people. The column
is_touched says so of each path."""

OWN_STEPS = ("requisition_received", "order_drafted", "approval_completed", "approval_granted", "approval_denied", "change_received", "change_approved", "invoice_received", "goods_received", "goods_received_in_full")  # fmt: skip
"""Steps in which people do what the process asks of them: submit, approve, receive."""

MOST_ROWS = 2_000

COLUMNS = ("in_period", "business_unit", "document_type", "week", "ended", "first_pass", "met", "touched", "otherwise")
COUNTS = COLUMNS[4:]
ROW_COLUMNS = (
    "document_id", "document_type", "number", "business_unit", "supplier_name", "currency", "amount", "group_amount", "submitted_at", "closed_at", "codes", "steps", "there",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Ended:
    """Which documents: of which types, that ended when, in which units (None: all one may see), and which exceptions count (None: all)."""

    since: datetime
    until: datetime
    types: Sequence[str]
    units: Sequence[str] | None = None
    categories: Sequence[str] | None = None

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
class Yield:
    """Documents that ended as intended, those of them that went through in the first pass, those that met an exception, those that were
    touched without one, and beside them those that ended otherwise."""

    ended: int
    first_pass: int
    met: int
    touched: int
    otherwise: int

    @property
    def share(self) -> float | None:
        """The yield; None: nothing ended, which is not 0 %."""
        return self.first_pass / self.ended if self.ended else None


@dataclass(frozen=True)
class Yields:
    """The yield in the period and in the one before it, in all and by its parts."""

    rows: pd.DataFrame

    @once
    def of(self, *, before: bool = False) -> Yield:
        """Over everything asked for."""
        found = self._part(before=before)
        found = found[found["business_unit"].isna() & found["document_type"].isna()]
        return Yield(*(int(found.iloc[0][name]) for name in COUNTS)) if len(found) else Yield(0, 0, 0, 0, 0)

    @once
    def by_type(self, *, before: bool = False) -> pd.DataFrame:
        """document_type and COUNTS, in the order of the flow."""
        found = self._part(before=before)
        found = found[found["document_type"].notna() & found["week"].isna()]
        order = list(AS_INTENDED)
        return _counted(found, ["document_type"]).sort_values("document_type", key=lambda kinds: kinds.map(order.index), ignore_index=True)  # fmt: skip

    @once
    def by_unit(self) -> pd.DataFrame:
        """business_unit and COUNTS."""
        found = self._part(before=False)
        return _counted(found[found["business_unit"].notna()], ["business_unit"])

    @once
    def by_week(self) -> pd.DataFrame:
        """week, document_type and COUNTS, of the period."""
        found = self._part(before=False)
        return _counted(found[found["week"].notna()], ["week", "document_type"])

    def _part(self, *, before: bool) -> pd.DataFrame:
        return self.rows[self.rows["in_period"].astype(bool) != before]


def _counted(found: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    found = found[[*names, *COUNTS]].reset_index(drop=True).astype(dict.fromkeys(COUNTS, int))
    return found.assign(share=(found["first_pass"] / found["ended"].where(found["ended"] > 0)).astype(float))


def yields(reports: Reports, wanted: Ended, *, before: datetime, zone: str) -> Yields:
    """The yield of what ended from `wanted.since` on, and between `before` and `wanted.since`; weeks are those of `zone`."""
    return Yields(reports.frame("report_exception_rate.first_pass", COLUMNS, before=before, zone=zone, **wanted.arguments()))  # fmt: skip


def rows(reports: Reports, wanted: Ended, *, is_first: bool, zone: str, week: date | None = None) -> pd.DataFrame:
    """The documents that went through in the first pass, or those that did not, of the period or of one week of it; `there` in all."""
    return reports.frame("report_exception_rate.first_pass_rows", ROW_COLUMNS, is_first=is_first, zone=zone, week=week, touches=list(TOUCHES), most=MOST_ROWS, **wanted.arguments())  # fmt: skip
