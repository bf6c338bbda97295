"""What integration health asks: whether each system answers, what waits behind it in documents and money, how calls end and how
long they take, how far the feeds have read, and whether the machinery runs.

How systems, feeds, engines and jobs stand changes without a document moving, so that is never remembered.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pandas as pd

from sync_engine.insight.asking import Row
from sync_engine.insight.reports.everywhere import Feed
from sync_engine.insight.reports.reading import Reports, rounded

Names = Sequence[str] | None

ENOUGH_CALLS = 10
"""A percentile of fewer calls is not shown."""

MOST_CALLS = 2000
"""More failed calls than anybody reads; the newest come."""

BUCKETS = (
    (timedelta(days=2), 3600),
    (timedelta(days=8), 3 * 3600),
    (timedelta(days=32), 12 * 3600),
    (timedelta(days=10_000), 86400),
)
"""Up to which length of a period its calls are counted in stretches of so many seconds."""


@dataclass(frozen=True, slots=True)
class SystemHealth:
    """One connected system. Amounts in group currency; `last_error` is empty for a session that does not see every unit."""

    system: str
    role: str
    title: str
    breaker: str
    breaker_since: datetime
    paused_until: datetime | None
    consecutive_failures: int
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str
    requests_per_s: Decimal
    quota_limit: int | None
    quota_remaining: int | None
    quota_reset_at: datetime | None
    quota_seen_at: datetime | None
    waiting: int
    waiting_value: Decimal
    oldest_at: datetime | None
    waiting_due_soon: int
    in_call: int
    feeds: int
    silent_feeds: int

    def state(self, now: datetime) -> str:
        """Not answering (its breaker is open), asked us to wait, failing, silent, never reached, or answering."""
        if self.breaker == "open":
            return "not answering"
        if self.paused_until is not None and self.paused_until > now:
            return "asked us to wait"
        if self.last_success_at is None:
            return "never reached"
        if self.silent_feeds:
            return "silent"
        return "failing" if self.consecutive_failures else "answering"


@dataclass(frozen=True, slots=True)
class Calls:
    """Calls in a period: attempts = succeeded + refused + failed, of all attempts. A refusal is a business answer."""

    attempts: int
    failed: int

    @property
    def failed_share(self) -> float | None:
        """None: nothing was called."""
        return self.failed / self.attempts if self.attempts else None


def systems(reports: Reports, units: Names, *, as_of: datetime) -> tuple[SystemHealth, ...]:
    """Every connected system, by name."""
    return tuple(SystemHealth(**row) for row in reports.rows("systems", units=_list(units), as_of=as_of))


WAITING_COLUMNS = (
    "system", "document_id", "document_type", "number", "business_unit", "supplier_name", "group_amount", "needed_on", "days_left", "steps", "tries", "waiting_since", "age_s",
)  # fmt: skip


def waiting(reports: Reports, system: str | None, units: Names, *, as_of: datetime) -> pd.DataFrame:
    """The documents that wait for a system (None: for any), most money first; one row per system and document."""
    return _frame(reports.rows("waiting_documents", system=system, units=_list(units), as_of=as_of), WAITING_COLUMNS)


FEED_COLUMNS = (
    "system",
    "title",
    "feed",
    "complete_until",
    "last_success_at",
    "age_s",
    "silent_after_s",
    "consecutive_failures",
    "last_error",
    "is_silent",
)


def feeds(found: Iterable[Feed], *, as_of: datetime) -> pd.DataFrame:
    """Every feed with its watermark and the seconds since it was last read, the silent ones first, the longest silence before others."""
    rows = [asdict(feed) | {"age_s": feed.age_s(as_of), "is_silent": feed.is_silent(as_of)} for feed in found]
    rows.sort(
        key=lambda row: (
            not row["is_silent"],
            -math.inf if row["age_s"] is None else -row["age_s"],
            row["system"],
            row["feed"],
        )
    )
    return _frame(rows, FEED_COLUMNS)


OPERATION_COLUMNS = (
    "system",
    "operation",
    "effect",
    "attempts",
    "succeeded",
    "refused",
    "failed",
    "throttled",
    "repeats",
    "last_at",
    "p50_ms",
    "p95_ms",
    "p99_ms",
    "attempts_before",
    "failed_before",
)


def operations(
    reports: Reports, chosen: Names, units: Names, *, before: datetime, since: datetime, until: datetime
) -> tuple[pd.DataFrame, Calls]:
    """Every operation that was called in the period, most failures first, and the sum over all of the period from `before` on. Latencies
    in seconds over all attempts (p50_s, p95_s, p99_s), empty for few.
    """
    frame = reports.frame(
        "operations",
        OPERATION_COLUMNS,
        systems=_list(chosen),
        units=_list(units),
        before=before,
        since=since,
        until=until,
    )
    earlier = Calls(int(frame["attempts_before"].sum()), int(frame["failed_before"].sum()))
    frame = frame[frame["attempts"] > 0].drop(columns=["attempts_before", "failed_before"]).reset_index(drop=True)
    enough = frame["attempts"] >= ENOUGH_CALLS
    latencies = {f"p{q}_s": (frame[f"p{q}_ms"].astype(float) / 1000).where(enough) for q in (50, 95, 99)}
    shares = [failed / attempts for failed, attempts in zip(frame["failed"], frame["attempts"], strict=True)]
    return frame.drop(columns=["p50_ms", "p95_ms", "p99_ms"]).assign(**latencies, failed_share=shares), earlier


def calls(found: pd.DataFrame) -> Calls:
    """The sum over operations."""
    return Calls(int(found["attempts"].sum()), int(found["failed"].sum()))


def calls_over_time(
    reports: Reports, chosen: Names, units: Names, *, since: datetime, until: datetime
) -> tuple[pd.DataFrame, int]:
    """(system, began_at, attempts, failed; no row where there was no call) and the seconds each stretch lasts."""
    bucket_s = next(seconds for length, seconds in BUCKETS if until - since <= length)
    origin = datetime.fromtimestamp(since.timestamp() // bucket_s * bucket_s, UTC)
    columns = ("system", "began_at", "attempts", "failed")
    return reports.frame(
        "calls_over_time",
        columns,
        systems=_list(chosen),
        units=_list(units),
        since=since,
        until=until,
        origin=origin,
        bucket_s=bucket_s,
    ), bucket_s


FAILED_COLUMNS = (
    "attempt_id", "recorded_at", "system", "operation", "outcome", "http_status", "error_code", "message", "try_number", "duration_s", "document_id", "document_type", "number",
    "business_unit", "group_amount", "needed_on",
)  # fmt: skip


def failed_calls(
    reports: Reports, chosen: Names, operation: str | None, units: Names, *, since: datetime, until: datetime
) -> pd.DataFrame:
    """Calls that failed technically, newest first, each with its document; at most `MOST_CALLS`."""
    return reports.frame(
        "failed_calls",
        FAILED_COLUMNS,
        systems=_list(chosen),
        operation=operation,
        units=_list(units),
        since=since,
        until=until,
        limit=MOST_CALLS,
    )


MESSAGE_COLUMNS = ("system", "received", "applied", "unchanged", "superseded", "ignored", "parked", "waiting")


def messages(reports: Reports, *, since: datetime, until: datetime) -> pd.DataFrame:
    """Messages by system and what became of them; received is the sum of the others."""
    return reports.frame("inbound_by_outcome", MESSAGE_COLUMNS, since=since, until=until)


PARKED_COLUMNS = (
    "case_id", "system", "code", "message", "number", "document_type", "business_unit", "owner_team", "raised_at", "occurrences", "group_amount", "document_id", "retryable", "age_s",
)  # fmt: skip


def parked(reports: Reports, chosen: Names, units: Names, *, as_of: datetime) -> pd.DataFrame:
    """Messages nobody could read that still stand open as exceptions, oldest first."""
    return _frame(
        reports.rows("parked_messages", systems=_list(chosen), units=_list(units), as_of=as_of), PARKED_COLUMNS
    )


UNSETTLED_COLUMNS = (
    "idempotency_key", "system", "operation", "step", "sends", "first_sent_at", "last_sent_at", "outcome", "age_s", "document_id", "document_type", "number", "business_unit", "group_amount",
)  # fmt: skip


def unsettled(reports: Reports, chosen: Names, units: Names, *, as_of: datetime) -> pd.DataFrame:
    """What was sent and has no known answer yet, longest ago first."""
    return _frame(
        reports.rows("unsettled_intents", systems=_list(chosen), units=_list(units), as_of=as_of), UNSETTLED_COLUMNS
    )


ENGINE_COLUMNS = ("engine_id", "started_at", "last_seen_at", "stopped_at", "release", "is_alive", "age_s")


def engines(reports: Reports) -> pd.DataFrame:
    """Every engine that ever reported for duty, those alive first; alive: heard of within a minute."""
    return _frame(reports.rows("engines"), ENGINE_COLUMNS)


JOB_COLUMNS = (
    "job_id",
    "planned_at",
    "engine_id",
    "started_at",
    "finished_at",
    "outcome",
    "detail",
    "next_run_at",
    "runs",
    "failures",
)


def jobs(reports: Reports, *, runs: int = 200) -> pd.DataFrame:
    """Each scheduled job once, by its newest run; `took_s` is how long that took. What a run says is for those who see every unit."""
    found = _frame(reports.rows("jobs", limit=runs), JOB_COLUMNS)
    newest = found.drop_duplicates("job_id", keep="first").sort_values("job_id").reset_index(drop=True)
    took = pd.to_datetime(newest["finished_at"], utc=True) - pd.to_datetime(newest["started_at"], utc=True)
    detail = newest["detail"] if reports.person.sees_all else ""
    return newest.assign(took_s=took.dt.total_seconds(), detail=detail)


def moment_of(as_of: datetime) -> datetime:
    """The moment questions about the present are put for, so that a figure and its rows are of the same one."""
    return rounded(as_of)


def _frame(rows: list[Row], columns: Sequence[str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(columns))


def _list(values: Names) -> list[str] | None:
    return list(values) if values else None
