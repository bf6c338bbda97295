"""What the page on invoices that are due asks: which invoice will be late, what that costs, and what to work on first (PRODUCT.md 4.11, D12);
what of the past was in time, and what has not been billed.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pandas as pd

from sync_engine.insight import foretold, open_invoices
from sync_engine.insight.due import Paid
from sync_engine.insight.foretold import Bin, Past, Told
from sync_engine.insight.once import shared
from sync_engine.insight.open_invoices import COLUMNS, Rules
from sync_engine.insight.reports.reading import Reports, rounded, table

MOST_ROWS = 2_000
FORETOLD_DAYS = 91
"""The quarter over which what would have been foretold is held against what happened."""


@dataclass(frozen=True)
class Found:
    """Open invoices with everything that is worked out of them, and what that rests on. `there` are open in all, of which `rows`
    holds those due first."""

    rows: pd.DataFrame
    there: int
    past: Sequence[Past]
    paid: Paid
    taken: Paid
    """The same as `paid`, of the discounts: ready by the cut-off of the last run before a discount ended, and paid by its end."""


def open_ones(reports: Reports, units: Sequence[str] | None, known: Rules, *, as_of: datetime, suppliers: Sequence[str] | None = None) -> Found:  # fmt: skip
    """Open invoices in the order in which work on them is worth most, as `open_invoices.judge` has them."""
    as_of = rounded(as_of)

    def judged() -> Found:
        made = open_invoices.judge(reports, units, known, as_of=as_of, suppliers=suppliers)
        return Found(shared(table(made.rows, COLUMNS)), made.there, made.past, made.paid, made.taken)

    found: Found = reports.derived(
        "open invoices",
        judged,
        weight=open_invoices.MOST_OPEN,
        as_of=as_of,
        units=list(units) if units else None,
        suppliers=list(suppliers) if suppliers else None,
        most=open_invoices.MOST_OPEN,
    )
    return found


@dataclass(frozen=True, slots=True)
class Calibration:
    """What would have been foretold of n invoices against what happened: Brier's score, that of always foretelling the share that
    was in time, the tenths, and each invoice."""

    n: int
    brier: float | None
    brier_of_share: float | None
    bins: Sequence[Bin]
    told: Sequence[Told] = ()

    def of(self, tenth: int) -> list[Told]:
        """The invoices of a tenth, from 0."""
        return [one for one in self.told if foretold.place_of(one.p) == tenth]


def calibration(found: Found, *, as_of: datetime) -> Calibration:
    """P(on time) as it would have been said in the last quarter, once per invoice, with what was known then (D04)."""
    at_s = as_of.timestamp()
    moments = [at_s - days * 86400 for days in range(1, FORETOLD_DAYS + 1, 3)]
    told = foretold.told(found.past, moments, until=as_of.astimezone(UTC).date())
    said = [(one.p, one.in_time) for one in told]
    share = sum(happened for _, happened in said) / len(said) if said else 0.0
    of_share = foretold.brier([(share, happened) for _, happened in said])
    return Calibration(len(said), foretold.brier(said), of_share, foretold.calibration(said), told)


# -- what was due, what has not been billed ----------------------------------------------------------------------------------------

DAY_COLUMNS = ("day", "due", "due_value", "in_time", "in_time_value", "paid_late", "not_paid", "given_up")
DUE_COLUMNS = ("document_id", "number", "business_unit", "supplier_name", "currency", "amount", "group_amount", "due_on", "paid_on", "state", "days_late", "there")  # fmt: skip
TOLD_COLUMNS = ("document_id", "number", "business_unit", "supplier_name", "currency", "amount", "group_amount", "due_on", "paid_on")  # fmt: skip
NOT_INVOICED_COLUMNS = (
    "document_id", "number", "business_unit", "supplier_name", "currency", "amount", "group_amount", "received_on", "days", "has_invoice", "there", "all_value", "all_without", "all_value_without",
)  # fmt: skip


def due_by_day(reports: Reports, units: Sequence[str] | None, *, since_on: date, until_on: date, suppliers: Sequence[str] | None = None) -> pd.DataFrame:  # fmt: skip
    """By due day before `until_on`: how many were due and what of them was paid in time, late, or not."""
    return reports.frame("report_invoices_due.due_by_day", DAY_COLUMNS, units=_list(units), suppliers=_list(suppliers), since_on=since_on, until_on=until_on)  # fmt: skip


def due_rows(
    reports: Reports, units: Sequence[str] | None, *, since_on: date, until_on: date, in_time: bool, suppliers: Sequence[str] | None = None,
) -> pd.DataFrame:  # fmt: skip
    """The invoices due in a period that were paid by their due date (`in_time`) or were not; `there` in all."""
    return reports.frame(
        "report_invoices_due.due_rows", DUE_COLUMNS, units=_list(units), suppliers=_list(suppliers), since_on=since_on, until_on=until_on, in_time=in_time, most=MOST_ROWS,
    )  # fmt: skip


def told_rows(reports: Reports, told: Sequence[Told]) -> pd.DataFrame:
    """The invoices of which something was foretold, with what it was (`foretold`) and whether they were paid in time, surest first."""
    said = {one.document: one for one in told}
    rows = reports.frame("report_invoices_due.by_id", TOLD_COLUMNS, document_ids=sorted(said))
    rows = rows.assign(
        foretold=[said[str(one)].p for one in rows["document_id"]],
        in_time=[said[str(one)].in_time for one in rows["document_id"]],
    )
    return rows.sort_values(["foretold", "number"], ascending=[False, True], kind="stable").reset_index(drop=True)


def suppliers(reports: Reports, units: Sequence[str] | None, *, since_on: date, until_on: date) -> dict[str, str]:
    """The ERP's numbers and names of the suppliers this page has something of, by name."""
    rows = reports.remembered("report_invoices_due.suppliers", units=_list(units), since_on=since_on, until_on=until_on)
    return {row["supplier"]: row["supplier_name"] or row["supplier"] for row in rows}


def not_invoiced(reports: Reports, units: Sequence[str] | None, *, as_of: datetime, suppliers: Sequence[str] | None = None) -> pd.DataFrame:  # fmt: skip
    """Open orders with more received than billed, largest first; `there` in all, `all_value` in group currency (net)."""
    return reports.frame("report_invoices_due.not_invoiced", NOT_INVOICED_COLUMNS, units=_list(units), suppliers=_list(suppliers), as_of=as_of, most=MOST_ROWS)  # fmt: skip


def _list(chosen: Sequence[str] | None) -> list[str] | None:
    return list(chosen) if chosen else None
