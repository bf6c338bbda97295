"""What the page on stuck orders asks: what is not moving, since when, against whom it is slow, and who moves it next."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import pandas as pd

from sync_engine.insight.reports.overview import STUCK_COLUMNS, STUCK_TYPES, about_open
from sync_engine.insight.reports.reading import Reports
from sync_engine.model.exceptions import kind_of

LEVELS = ("stuck", "silent", "unknown", "watch", "waiting", "moving")
"""Silent: nothing heard of it although its system answers; unknown: nothing heard, and the system does not answer either. Waiting: by
agreement, until a date that has not come."""

BECAUSE = {
    "exception": "an exception stops it",
    "date": "the agreed date has passed",
    "pace": "slower than its peers",
    "deadline": "past the step's objective",
    "silence": "nothing has been heard of it",
}
"""Why a document counts as stuck; for pace also as one to watch, for silence as silent or unknown."""


@dataclass(frozen=True, slots=True)
class Way:
    """Who moves a document that stands for a reason, and how, where no exception says it."""

    team: str
    next_step: str


WAYS = {
    "master data": Way("procurement", "Repair the master data, then reprocess."),
    "budget refused": Way("finance operations", "Raise the budget, reduce the amount, or reject the requisition."),
    "approval mismatch": Way("procurement", "Settle the decision in the system that owns it, then reprocess."),
    "possible duplicate": Way("procurement", "Compare both; cancel this one or accept it with a reason."),
    "match blocked": Way("reviewers", "Decide on the variance in the approval tool."),
    "posting refused": Way("finance operations", "Read the ERP's message, repair its cause, then reprocess."),
    "order refused by the ERP": Way("finance operations", "Read the ERP's message, repair its cause, then reprocess."),
    "sent, no answer": Way(
        "integration support", "The engine looks in the target before it sends again; see the attempts on the trace."
    ),
    "a system is down": Way(
        "integration support", "It goes on by itself when the system is back; see Integration health."
    ),
    "order not known yet": Way(
        "integration support", "It is taken up as soon as the order arrives; check the number if it stays."
    ),
    "receipt missing": Way("receivers", "Ask the receiver to post the goods receipt; the match repeats by itself."),
    "other exception": Way("finance operations", "Open the exception: it says what to do."),
    "awaiting approval": Way("approvers", "Remind the approver, or have somebody decide for them."),
    "awaiting budget": Way(
        "integration support", "The budget is read from both systems; see the attempts on the trace."
    ),
    "approved, order not requested": Way(
        "integration support", "The engine drafts the order next; see the attempts on the trace."
    ),
    "order requested": Way(
        "finance operations", "One of its orders is not in the ERP yet: open that order on the trace."
    ),
    "order number not back in procurement": Way(
        "integration support", "The engine returns the number next; see the attempts on the trace."
    ),
    "waiting for goods": Way("suppliers", "Ask the supplier for a delivery date."),
    "waiting for the invoice": Way("suppliers", "Ask the supplier for the invoice, or accrue it at period end."),
    "payment block": Way(
        "finance operations", "Clear the blocking reason in the ERP; readiness is checked again by itself."
    ),
    "waiting for payment": Way("finance operations", "Check that it is in the next payment run."),
    "in progress": Way("integration support", "The engine is working on it; see the attempts on the trace."),
}
"""Every reason of sql/views/30_open_document.sql; a test holds the two together."""

COLUMNS = (
    *STUCK_COLUMNS,
    "peer_unit",
    "pace",
    "because",
    "over_limit_s",
    "stage_p50_s",
    "stage_p70_s",
    "stage_p85_s",
    "stage_p95_s",
    "known_as",
    "last_event_at",
    "silent_business_s",
    "limit_at",
    "p_on_time",
    "source_system",
)
BANDS = {"0-1k": (0, 1_000), "1k-10k": (1_000, 10_000), "10k-100k": (10_000, 100_000), "100k": (100_000, None)}
"""Amounts in group currency by size: from, and up to but without; the same as exceptions are compared by."""

DAY_COLUMNS = ("day", "stopped", "begun", "ended", "self_cured")


def open_documents(
    reports: Reports, units: Sequence[str] | None, *, as_of: datetime, types: Sequence[str] = STUCK_TYPES
) -> pd.DataFrame:
    """Everything open with its `level`, most money first; `team`, `waits_on` and `next_step` say who moves it and how. Ages and
    over_limit_s in seconds. A requisition whose orders have been drafted counts through its orders: the same money stands still
    once, not twice.
    """
    frame = reports.frame("report_stuck.open", COLUMNS, **about_open(units, types, as_of=as_of))
    frame = frame[(frame["document_type"] != "requisition") | (frame["state"] != "ordering")].reset_index(drop=True)
    numbers = (
        "age_business_s",
        "age_wall_s",
        "peer_p50_s",
        "peer_p85_s",
        "peer_p95_s",
        "pace",
        "over_limit_s",
        "stage_p50_s",
        "stage_p70_s",
        "stage_p85_s",
        "stage_p95_s",
        "silent_business_s",
        "p_on_time",
    )
    frame = frame.assign(**{name: pd.to_numeric(frame[name]).astype(float) for name in numbers})
    frame["team"] = [
        case_team or _way(reason).team for case_team, reason in zip(frame["owner_team"], frame["reason"], strict=True)
    ]
    frame["band"] = [band_of(amount) for amount in frame["group_amount"]]
    frame["waits_on"] = [_waits_on(row) for row in frame.to_dict("records")]
    frame["next_step"] = [
        kind_of(code).next_step if code else _way(reason).next_step
        for code, reason in zip(frame["case_code"], frame["reason"], strict=True)
    ]
    return frame


def band_of(amount: Decimal | float | None) -> str:
    """The band of an amount in group currency; empty where there is none.

    >>> band_of(1000), band_of(250000), band_of(None)
    ('1k-10k', '100k', '')
    """
    if amount is None:
        return ""
    return next((name for name, (_, below) in BANDS.items() if below is None or amount < below), "")


def stopped_by_day(
    reports: Reports,
    units: Sequence[str] | None,
    *,
    since: datetime,
    until: datetime,
    types: Sequence[str] = STUCK_TYPES,
) -> pd.DataFrame:
    """Per day: documents an exception stopped at its end, and stops that began and ended in it, self_cured of these by themselves."""
    return reports.frame(
        "report_stuck.stopped_by_day",
        DAY_COLUMNS,
        units=list(units) if units else None,
        document_types=list(types),
        since=since,
        until=until,
    )


def _way(reason: str) -> Way:
    return WAYS.get(reason, WAYS["in progress"])


def _waits_on(row: Mapping[Hashable, object]) -> str:
    """Who or what it waits for, by name where somebody has it: the person who took the exception on, the approver, the goods."""
    if row["owner"]:
        return str(row["owner"])
    if row["case_code"]:
        return ""
    return str(row["waiting_for"] or "")
