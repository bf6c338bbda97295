"""What the overview asks: the finance leader's thirty seconds, and what has changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import pandas as pd

from sync_engine.insight.reports.reading import Reports, rounded, table
from sync_engine.insight.standing import STUCK_TYPES

RISK_DAYS = 5
"""An invoice that is due within so many days and not ready for payment is at risk."""

Units = Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Gap:
    """What the business has agreed and the ledger has not accepted."""

    documents: int
    value: Decimal
    oldest_h: float | None
    by_day: pd.DataFrame
    """day (date), documents, value: the gap as it stood at the end of each day."""


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many; None where there is nothing to take a share of."""

    part: int
    whole: int

    @property
    def share(self) -> float | None:
        """The share, 0 to 1; None when the denominator is empty."""
        return self.part / self.whole if self.whole else None


@dataclass(frozen=True, slots=True)
class Moved:
    """What happened since a moment, which is the person's last visit where `was_here`; `causes`: those first seen since, most money first."""

    since: datetime
    was_here: bool
    raised: int
    closed: int
    self_cured: int
    ordered: int
    posted: int
    decided: int
    causes: pd.DataFrame


def _units(units: Units) -> list[str] | None:
    return list(units) if units else None


def finality_gap(reports: Reports, units: Units, *, since: datetime, as_of: datetime) -> Gap:
    """The gap now, and as it stood on each day since `since`."""
    rows = reports.remembered("report_overview.gap", units=_units(units), since=since, until=rounded(as_of))
    now = next(row for row in rows if row["day"] is None)
    by_day = table([row for row in rows if row["day"] is not None], ["day", "documents", "value"])
    oldest_h = now["oldest_h"]
    return Gap(now["documents"], now["value"], None if oldest_h is None else float(oldest_h), by_day)


GAP_COLUMNS = (
    "document_id",
    "number",
    "business_unit",
    "currency",
    "amount",
    "group_amount",
    "state",
    "posting_status",
    "approved_at",
    "age_s",
)


def finality_gap_rows(reports: Reports, units: Units, *, as_of: datetime) -> pd.DataFrame:
    """The requisitions behind the gap, most money first; age_s since their approval, in seconds."""
    return reports.frame("finality_gap_rows", GAP_COLUMNS, units=_units(units), as_of=as_of)


def exception_share(
    reports: Reports, units: Units, *, before: datetime, since: datetime, until: datetime
) -> tuple[Share, Share]:
    """Documents that entered in the period, and how many of them ever met an exception; and the same of the period from `before` on."""
    rows = reports.remembered(
        "report_overview.exception_share", units=_units(units), before=before, since=since, until=until, document_types=list(STUCK_TYPES),
    )  # fmt: skip
    by_period = {row["in_period"]: Share(row["with_exception"], row["entered"]) for row in rows}
    return by_period.get(True, Share(0, 0)), by_period.get(False, Share(0, 0))


RISK_COLUMNS = (
    "document_id",
    "number",
    "supplier_name",
    "business_unit",
    "currency",
    "amount",
    "group_amount",
    "due_on",
    "days_left",
    "reason",
    "case_id",
    "case_message",
    "owner_team",
)


def invoices_at_risk(reports: Reports, units: Units, *, as_of: datetime, days: int = RISK_DAYS) -> pd.DataFrame:
    """Invoices due within `days` (or past due) and not ready for payment, most money first."""
    return reports.frame("invoice_risk", RISK_COLUMNS, units=_units(units), as_of=as_of, days=days)


CAUSE_COLUMNS = ("fingerprint", "code", "open", "value", "first_seen", "message")

LONGEST_ABSENCE = timedelta(days=14)


def moved(reports: Reports, units: Units, *, as_of: datetime) -> Moved:
    """What has happened since the person was here before: a day without such a visit, two weeks at most. Asked anew each time: it is
    about one person."""
    row = reports.rows(
        "report_overview.moved_since", units=_units(units), until=as_of, at_least=as_of - timedelta(days=1), at_most=as_of - LONGEST_ABSENCE,
    )[0]  # fmt: skip
    causes = [cause | {"first_seen": datetime.fromisoformat(cause["first_seen"])} for cause in row.pop("causes")]
    return Moved(**row, causes=table(causes, CAUSE_COLUMNS))


LEDGER_COLUMNS = ("document_type", "approval_status", "posting_status", "documents", "value", "oldest_s")


def ledger(reports: Reports, units: Units, *, as_of: datetime) -> pd.DataFrame:
    """What the business agreed beside what the ledger accepted (PRODUCT.md D02): a row per document type and pair of facts that something
    open has, most money first; oldest_s in its present state, wall seconds."""
    return reports.frame("report_overview.ledger", LEDGER_COLUMNS, units=_units(units), as_of=as_of)


LEDGER_ROW_COLUMNS = (
    "document_id", "document_type", "number", "business_unit", "supplier_name", "state", "currency", "amount", "group_amount", "posting_status", "state_since", "age_s",
)  # fmt: skip


def ledger_rows(
    reports: Reports, units: Units, *, as_of: datetime, document_type: str, approval_status: str, posting_status: str
) -> pd.DataFrame:
    """The documents behind one line of the ledger, most money first."""
    return reports.frame(
        "report_overview.ledger_rows", LEDGER_ROW_COLUMNS, units=_units(units), as_of=as_of, document_type=document_type, approval_status=approval_status, posting_status=posting_status,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Unresolved:
    """What is open in the queue: exceptions, their different causes, the worth of their documents, and the oldest in seconds."""

    exceptions: int
    causes: int
    value: Decimal
    oldest_s: float | None


def unresolved(reports: Reports, units: Units, *, as_of: datetime) -> Unresolved:
    """The queue in four numbers."""
    return Unresolved(**reports.remembered("report_overview.unresolved", units=_units(units), as_of=as_of)[0])
