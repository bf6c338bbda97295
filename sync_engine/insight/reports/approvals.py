"""What the page on approvals asks: who is asked to decide, how long it takes, why it waits (D08), and what the limits do.

One row is one task: a step of procurement's chain, or a group of the approval tool whose first member's word counts. Approvers are
named to the roles in NAMES_APPROVERS alone; to everybody else a task belongs to a role. Durations in seconds.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from sync_engine.control.roles import NAMES_APPROVERS
from sync_engine.insight import waiting
from sync_engine.insight.reports.reading import Reports, rounded
from sync_engine.insight.waiting import Cause, Decided, Interval, Waited

MOST_TASKS = 10_000
"""So many tasks are measured at once; where there are more, the newest, and the page says so."""

MOST_ROWS = 2_000

CONTEXT = timedelta(days=14)
"""What was decided so long before the period, or for as long as the period is, is read too: it says what approvers were at while the
first of the period waited, and what the period is compared with."""

NEAR_SHARE, SPLIT_DAYS = 0.05, 3
"""Below a limit by less than this share, or split within so many days (PRODUCT.md 4.10)."""

TASK_COLUMNS = (
    "task_id", "document_id", "number", "document_type", "business_unit", "supplier_name", "currency", "amount", "group_amount", "submitted_at", "system", "role", "position",
    "members", "person", "approver", "asked_person", "requester", "outcome", "requested_at", "decided_at", "seen_at", "opened_at", "is_delegated", "is_returned", "changed_at", "ready_at", "returned_at", "erp_at",
    "calendar", "time_zone", "limit_amount", "other_reason", "business_s", "age_business_s", "there",
)  # fmt: skip
LIMIT_COLUMNS = (
    "document_id", "number", "business_unit", "supplier_name", "currency", "amount", "group_amount", "submitted_at", "state", "limit_amount", "requester", "pattern", "reached",
    "compared", "uncompared", "above", "there",
)  # fmt: skip
MISMATCH_COLUMNS = (
    "case_id", "document_id", "number", "document_type", "business_unit", "system", "message", "group_amount", "raised_at", "closed_at", "close_reason", "there",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Asked:
    """Which approvals: decided (or asked for) in a period, of some business units (None: all), seen by whom."""

    since: datetime
    until: datetime
    units: Sequence[str] | None
    as_of: datetime
    named: bool
    """Whether the person's roles name approvers; the database looks for itself too."""


@dataclass(frozen=True)
class Tasks:
    """What was found: `decided` in the period, `open` now, `arrived` in the period, and those whose clocks contradict each other.

    Args:
        everything: With what was decided shortly before the period.
        decided: One row per decision of the period; `wall_s`, `business_s`, `heard_s`, `wait_s` and the six causes beside it.
        before: The same of the stretch of the same length before the period; without rows where not all of them were read.
        open: One row per task nobody has decided yet, oldest first, with `age_s`.
        arrived: One row per task that was asked for in the period.
        backwards: Decisions of the period whose clocks contradict each other; they are in no duration.
        there: How many tasks there are; more than were read where `everything` has MOST_TASKS rows.
        waits: By task, why it waited.
    """

    everything: pd.DataFrame
    decided: pd.DataFrame
    before: pd.DataFrame
    open: pd.DataFrame
    arrived: pd.DataFrame
    backwards: pd.DataFrame
    there: int
    waits: Mapping[Hashable, Waited]


def names_approvers(roles: frozenset[str]) -> bool:
    """Whether somebody with these roles is told who an approver is."""
    return bool(NAMES_APPROVERS & roles)


def tasks(reports: Reports, asked: Asked) -> Tasks:
    """Every task that is open or was decided in the period, measured."""
    arguments = {
        "units": list(asked.units) if asked.units else None,
        "since": asked.since - max(CONTEXT, asked.until - asked.since),
        "as_of": rounded(asked.as_of),
        "named": asked.named,
    }
    found: Tasks = reports.derived(
        "approvals.tasks", lambda: _tasks(reports, asked, arguments), weight=MOST_TASKS, until=asked.until, **arguments
    )  # fmt: skip
    return found


def _tasks(reports: Reports, asked: Asked, arguments: dict[str, Any]) -> Tasks:
    frame = reports.frame("report_approvals.tasks", TASK_COLUMNS, most=MOST_TASKS, **arguments)
    there = int(frame["there"].iloc[0]) if len(frame) else 0
    is_decided = frame["outcome"].isin(["approved", "rejected"])
    past = frame[is_decided]
    waits = _waits(reports, past, asked)
    inside = kept(past, (asked.since <= at < asked.until for at in past["decided_at"]))
    backwards = kept(inside, (task_id not in waits for task_id in inside["task_id"]))
    decided = _measured(kept(inside, (task_id in waits for task_id in inside["task_id"])), waits)
    earlier = asked.since - (asked.until - asked.since)
    before = kept(past, (one in waits and earlier <= at < asked.since and there <= len(frame) for one, at in zip(past["task_id"], past["decided_at"], strict=True)))  # fmt: skip
    open_now = frame[frame["outcome"] == "open"].sort_values("requested_at", kind="stable")
    open_now = open_now.assign(
        age_s=[(asked.as_of - at).total_seconds() for at in open_now["requested_at"]],
        age_business_s=pd.to_numeric(open_now["age_business_s"]).astype(float),
    )
    arrived = kept(frame, (asked.since <= at < asked.until for at in frame["requested_at"]))
    return Tasks(frame, decided, _measured(before, waits), open_now, arrived, backwards, there, waits)


def kept(rows: pd.DataFrame, are: Iterable[bool]) -> pd.DataFrame:
    """The rows for which it is so; without rows, their columns still."""
    return rows[pd.Series(list(are), index=rows.index, dtype=bool)]


def _waits(reports: Reports, past: pd.DataFrame, asked: Asked) -> dict[Hashable, Waited]:
    if past.empty:
        return {}
    calendars = sorted({one for one in past["calendar"] if one})
    rows = reports.remembered(
        "report_approvals.hours", calendars=calendars, since=rounded(past["requested_at"].min() - timedelta(days=1)), until=rounded(asked.as_of + timedelta(days=4)),
    )  # fmt: skip
    hours: dict[str, list[Interval]] = {}
    for row in rows:
        hours.setdefault(row["calendar"], []).append((row["opens_at"], row["closes_at"]))
    columns = ("task_id", "person", "requested_at", "decided_at", "ready_at", "seen_at", "opened_at", "calendar")
    decisions, of_person = [], {}
    for task_id, person, created, decided, ready, seen, opened, calendar in zip(
        *(past[name] for name in columns), strict=True
    ):
        decisions.append(Decided(task_id, person, created, decided, ready, seen, opened))
        of_person[person] = hours.get(calendar, [])
    return waiting.split(decisions, of_person)


def _measured(frame: pd.DataFrame, waits: Mapping[Hashable, Waited]) -> pd.DataFrame:
    parts = [waits[task_id].parts_s for task_id in frame["task_id"]]
    causes = {cause.value: [float(part[cause]) for part in parts] for cause in Cause}
    seconds = {
        "wall_s": [(d - c).total_seconds() for c, d in zip(frame["requested_at"], frame["decided_at"], strict=True)],
        "heard_s": [(s - d).total_seconds() for d, s in zip(frame["decided_at"], frame["seen_at"], strict=True)],
        "wait_s": [waits[task_id].whole_s for task_id in frame["task_id"]],
    }
    business = pd.to_numeric(frame["business_s"]).astype(float)
    return frame.assign(business_s=business, **{k: pd.Series(v, index=frame.index, dtype=float) for k, v in (seconds | causes).items()})  # fmt: skip


def near_limits(reports: Reports, asked: Asked) -> pd.DataFrame:
    """Requisitions just below their limit or split below it, most money first. `compared`, `uncompared` and `above` are the same in
    every row; where nothing is near, there is one row without a document."""
    return reports.frame(
        "report_approvals.near_limits", LIMIT_COLUMNS, units=list(asked.units) if asked.units else None, since=asked.since, until=asked.until, named=asked.named,
        share=NEAR_SHARE, days=SPLIT_DAYS, most=MOST_ROWS,
    )  # fmt: skip


def mismatches(reports: Reports, asked: Asked) -> pd.DataFrame:
    """Decisions on which two systems disagreed, newest first."""
    return reports.frame(
        "report_approvals.mismatches", MISMATCH_COLUMNS, units=list(asked.units) if asked.units else None, since=asked.since, until=asked.until, most=MOST_ROWS,
    )  # fmt: skip
