"""Approvals as they were known on an evening (PRODUCT.md D15): from the same rows, less what was recorded later. Pure.

A decision is final once it is recorded, so what was reported is what was recorded by then. How a document was changed afterwards is
told by the day on which that happened.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import pandas as pd

from sync_engine.insight.reports import approval_measures as measures
from sync_engine.insight.reports.approvals import Tasks, kept
from sync_engine.insight.statistics import FEW

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Known:
    """The decisions of the same whole UTC days: as known on the evening (`then`) and now, and what was learned between.

    Args:
        since_on: The first day.
        until_on: The last day, no later than the evening.
        then: Rows of `Tasks.decided`, with `is_quick` and `is_reflex`, known by the end of the evening.
        now: The same days as known now.
        open_then: How many requests stood without a decision at the end of the evening.
        restated: (day on which it was learned, decisions).
    """

    since_on: date
    until_on: date
    then: pd.DataFrame
    now: pd.DataFrame
    open_then: int
    restated: Sequence[tuple[date, int]]


def known_on(found: Tasks, everything: pd.DataFrame, *, since: datetime, until: datetime, evening: date) -> Known:
    """What was known on the evening of a UTC day of the decisions from `since` to `until`; `everything` are the rows that the reader's
    choice of roles and types leaves over."""
    since_on = since.astimezone(UTC).date()
    until_on = min(until.astimezone(UTC).date(), evening)
    begin, end = (datetime.combine(on, time(), UTC) for on in (since_on, until_on + DAY))
    cut = datetime.combine(evening + DAY, time(), UTC)
    decided = everything[everything["outcome"].isin(["approved", "rejected"])]
    decided = kept(decided, (task_id in found.waits and begin <= at < end for task_id, at in zip(decided["task_id"], decided["decided_at"], strict=True)))  # fmt: skip
    seen = [at.astimezone(UTC) for at in decided["seen_at"]]
    then = _as_of(kept(decided, (at < cut for at in seen)), cut)
    late: dict[date, int] = {}
    for at in seen:
        if at >= cut:
            late[at.date()] = late.get(at.date(), 0) + 1
    past = kept(found.everything, (at is None or pd.isna(at) or at < cut for at in found.everything["seen_at"]))
    waits = kept(everything, (asked < cut and (pd.isna(at) or at >= cut) for asked, at in zip(everything["requested_at"], everything["seen_at"], strict=True)))  # fmt: skip
    return Known(
        since_on, until_on, _measured(then, past), _measured(_as_of(decided, None), found.everything), len(waits), sorted(late.items())
    )  # fmt: skip


def _as_of(rows: pd.DataFrame, cut: datetime | None) -> pd.DataFrame:
    """The rows with `is_returned` as it was before a moment; None: as it is."""
    if cut is None:
        return rows
    return rows.assign(is_returned=[not pd.isna(at) and at < cut for at in rows["changed_at"]])


def _measured(rows: pd.DataFrame, everything: pd.DataFrame) -> pd.DataFrame:
    heard = [(seen - at).total_seconds() for at, seen in zip(rows["decided_at"], rows["seen_at"], strict=True)]
    rows = rows.assign(business_s=pd.to_numeric(rows["business_s"]).astype(float), heard_s=pd.Series(heard, index=rows.index, dtype=float))  # fmt: skip
    return measures.flagged(rows, everything)


def median(seconds: pd.Series) -> float | None:
    """The median; None: fewer than ten."""
    return float(seconds.median()) if len(seconds) >= FEW else None
