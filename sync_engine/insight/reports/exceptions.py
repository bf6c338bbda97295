"""What the exception queue asks: what is open, why, what was done about it, and how far reprocessings have come.

None of it is remembered: people act on these rows, and act on what they see.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pandas as pd

from sync_engine.control.waves import Standing
from sync_engine.insight.asking import Row
from sync_engine.insight.reports.reading import Reports, table

QUEUE_COLUMNS = (
    "case_id", "version", "document_id", "number", "document_type", "title", "business_unit", "supplier_name", "requester", "category", "code", "origin", "retryable",
    "fingerprint", "system", "flow", "step", "message", "currency", "amount", "group_amount", "due_on", "status", "blocks", "owner_team", "owner", "raised_at", "occurrences",
    "state", "approval_status", "posting_status", "age_s", "age_business_s", "days_left", "priority",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class QueueFilter:
    """Which open exceptions; None leaves a condition out."""

    units: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    codes: tuple[str, ...] | None = None
    owner_teams: tuple[str, ...] | None = None
    fingerprint: str | None = None
    redrive_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """One exception with its document. Times aware; amounts in the document's currency and in the group's."""

    case_id: UUID
    version: int
    document_id: UUID | None
    message_id: UUID | None
    work_item_id: UUID | None
    number: str
    document_type: str
    title: str | None
    business_unit: str
    supplier_name: str | None
    requester: str | None
    category: str
    code: str
    origin: str
    retryable: str
    fingerprint: str
    system: str
    flow: str | None
    step: str | None
    message: str
    facts: dict[str, Any]
    currency: str | None
    amount: Decimal | None
    group_amount: Decimal | None
    due_on: date | None
    need_by_on: date | None
    status: str
    blocks: bool
    owner_team: str
    owner: str | None
    raised_at: datetime
    last_seen_at: datetime
    occurrences: int
    closed_at: datetime | None
    closed_by: str | None
    close_reason: str | None
    state: str | None
    approval_status: str | None
    posting_status: str | None
    work_status: str | None
    work_step: str | None
    waiting_for: str | None
    tries: int | None

    @property
    def is_under_repair(self) -> bool:
        """Whether a reprocessing of it is on its way."""
        return self.status in {"queued", "sent", "accepted"}


@dataclass(frozen=True, slots=True)
class Redrive:
    """A reprocessing as it was asked for."""

    redrive_id: UUID
    asked_by: str
    asked_at: datetime
    action: str
    reason_code: str
    reason: str
    scope: str
    item_count: int
    group_amount: Decimal
    finished_at: datetime | None
    state: str
    state_because: str
    state_by: str
    state_at: datetime | None
    canary_size: int
    wave_size: int
    per_minute: int
    halt_percent: int
    wave: int
    judged_from: int
    next_wave_at: datetime | None
    confirmed_by: str | None
    confirmed_at: datetime | None

    def held_back(self, items: pd.DataFrame) -> list[Standing]:
        """The causes of which nothing more is sent while the others go on, because too many of them were refused."""
        if self.state != "running":
            return []
        judged = items["wave"] >= self.judged_from
        counted = items.assign(waits=items["status"] == "waiting", verified=judged & (items["status"] == "verified"), refused=judged & (items["status"] == "refused"))  # fmt: skip
        by_cause = counted.groupby("cause", sort=False)[["waits", "verified", "refused"]].sum().to_dict("index")
        standing = [
            Standing(str(cause), int(n["waits"]), 0, int(n["verified"]), int(n["refused"]))
            for cause, n in by_cause.items()
        ]
        return [one for one in standing if one.waiting and one.is_held_back(self.halt_percent)]

    def seconds_left(self, items: pd.DataFrame, now: datetime) -> float | None:
        """When it will be through at the pace at which its items have ended so far, though not faster than its rate; None: it is
        not on its way, or too little has ended to say."""
        ended = items[items["status"].isin(["verified", "refused"]) & items["sent_at"].notna()]
        left = int(items["status"].isin(["waiting", "queued", "sent", "accepted"]).sum())
        if self.state != "running" or not left or ended.empty:
            return None
        since = pd.to_datetime(ended["sent_at"], utc=True).min()
        per_item = max((now - since).total_seconds() / len(ended), 60 / self.per_minute)
        return float(left * per_item)


def queue(reports: Reports, wanted: QueueFilter, *, as_of: datetime) -> pd.DataFrame:
    """Open exceptions, most urgent money first (value over the days left to the nearest date). Ages in seconds; `counts_as` is the same for
    exceptions of one document, and of messages nobody could tie to a document but that carry one number."""
    rows = reports.rows(
        "open_exceptions",
        units=_list(wanted.units),
        categories=_list(wanted.categories),
        codes=_list(wanted.codes),
        owner_teams=_list(wanted.owner_teams),
        fingerprint=wanted.fingerprint,
        redrive_id=wanted.redrive_id,
        as_of=as_of,
    )
    return table(rows, QUEUE_COLUMNS).assign(counts_as=[_counts_as(row) for row in rows])


def _counts_as(row: Row) -> str:
    if row["document_id"] is not None:
        return str(row["document_id"])
    return f"{row['system']!s} {row['document_type']!s} {row['number'] or row['case_id']!s}"


def distinct_documents(rows: pd.DataFrame) -> pd.DataFrame:
    """The first row of each document: one document with four unreadable versions is four exceptions and one amount."""
    return rows[~rows["counts_as"].duplicated()]


def value_of(rows: pd.DataFrame) -> Decimal:
    """What the documents behind these exceptions are worth, each counted once, in group currency."""
    return sum((Decimal(value) for value in distinct_documents(rows)["group_amount"] if value is not None), Decimal(0))


def closed_today(reports: Reports, units: Sequence[str] | None, *, as_of: datetime) -> tuple[int, int]:
    """(closed in the last 24 hours, of these by themselves)."""
    row = reports.rows("closed_today", units=_list(units), as_of=as_of)[0]
    return row["closed"], row["self_cured"]


def case(reports: Reports, case_id: UUID) -> Case | None:
    """One exception; None when there is none that this session may see."""
    row = reports.row("case", case_id=case_id)
    return Case(**row) if row else None


def history(reports: Reports, case_id: UUID) -> list[Row]:
    """What was done about a case, in order: happened_at, actor, action, comment, details."""
    return reports.rows("case_history", case_id=case_id)


def redrive(reports: Reports, redrive_id: UUID) -> Redrive | None:
    """One reprocessing; None when there is none of which this session may see an item."""
    row = reports.row("redrive", redrive_id=redrive_id)
    return Redrive(**row) if row else None


ITEM_COLUMNS = (
    "case_id",
    "document_id",
    "number",
    "document_type",
    "business_unit",
    "currency",
    "amount",
    "group_amount",
    "code",
    "cause",
    "status",
    "result",
    "updated_at",
    "wave",
    "sent_at",
)


def redrive_items(reports: Reports, redrive_id: UUID) -> pd.DataFrame:
    """The items of a reprocessing that this session may see, each with its result."""
    return table(reports.rows("redrive_items", redrive_id=redrive_id), ITEM_COLUMNS)


def redrives(reports: Reports, *, limit: int = 20) -> list[Row]:
    """The newest reprocessings, with how many of their items are verified, under way, refused and skipped."""
    return reports.rows("redrives", limit=limit)


def _list(values: Sequence[str] | None) -> list[str] | None:
    return list(values) if values else None
