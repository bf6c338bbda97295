"""What was due, as it was known on an evening (PRODUCT.md D15): by when each payment was learned of, which may be days after it was made."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sync_engine.insight.asking import Asks, Row

DAY = timedelta(days=1)
AHEAD = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Counted:
    """Invoices that were due and those of them paid by their due date."""

    due: int
    in_time: int


@dataclass(frozen=True)
class Known:
    """Paid on time over the days `since_on` to `until_on`, as known on the evening and now; and what was learned between:
    (day, invoices that turned out to be paid in time)."""

    since_on: date
    until_on: date
    then: Counted
    now: Counted
    restated: Sequence[tuple[date, int]]


def paid_on_time(
    reports: Asks, units: Sequence[str] | None, *, since_on: date, until_on: date, evening: date, suppliers: Sequence[str] | None = None,
) -> Known:  # fmt: skip
    """Paid on time of what was due from `since_on` to before `until_on`, no later than the evening of a UTC day."""
    last = min(until_on - DAY, evening)
    cut = _end_of(evening)
    rows = _rows(reports, units, suppliers, since_on, last + DAY, cut)
    late: dict[date, int] = {}
    for row in rows:
        if row["learned_at"] is not None and row["learned_at"] >= cut and row["paid_on"] <= row["due_on"]:
            on = row["learned_at"].astimezone(UTC).date()
            late[on] = late.get(on, 0) + 1
    return Known(since_on, last, _counted(rows, cut), _counted(rows, None), sorted(late.items()))


def due_ahead(reports: Asks, units: Sequence[str] | None, *, evening: date, suppliers: Sequence[str] | None = None) -> tuple[int, float]:  # fmt: skip
    """What stood open at the end of an evening and was due on it or in the 30 days after: how many, and their value (group currency) as it
    is known now."""
    cut = _end_of(evening)
    rows = _rows(reports, units, suppliers, evening, evening + AHEAD + DAY, cut)
    waits = [row for row in rows if row["was_there"] and not _before(row["given_up_at"], cut) and not _before(row["learned_at"], cut)]  # fmt: skip
    return len(waits), float(sum(row["value"] for row in waits))


def _rows(reports: Asks, units: Sequence[str] | None, suppliers: Sequence[str] | None, since_on: date, until_on: date, cut: datetime) -> list[Row]:  # fmt: skip
    return reports.remembered(
        "report_invoices_due.known_on", units=list(units) if units else None, suppliers=list(suppliers) if suppliers else None, since_on=since_on, until_on=until_on, evening_until=cut,
    )  # fmt: skip


def _counted(rows: Sequence[Row], cut: datetime | None) -> Counted:
    """As known at a moment; None: now."""
    there = [row for row in rows if (cut is None or row["was_there"]) and not _before(row["given_up_at"], cut)]
    in_time = sum(row["paid_on"] is not None and row["paid_on"] <= row["due_on"] and _before(row["learned_at"], cut) for row in there)  # fmt: skip
    return Counted(len(there), in_time)


def _before(at: datetime | None, cut: datetime | None) -> bool:
    return at is not None and (cut is None or at < cut)


def _end_of(evening: date) -> datetime:
    return datetime.combine(evening + DAY, time(), UTC)
