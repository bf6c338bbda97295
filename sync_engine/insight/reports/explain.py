"""What "explain this number" asks: a figure as it was reported on an evening, and what has restated it since (PRODUCT.md D15)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sync_engine.insight.reports.reading import OWN_LOG, Reports


@dataclass(frozen=True, slots=True)
class Counted:
    """One measure: how many documents it counted and their median in seconds (within 1 %; None without durations)."""

    documents: int
    p50_s: float | None


@dataclass(frozen=True)
class AsReported:
    """Measures as they were known on an evening and as they stand now, over the same whole UTC days."""

    evening: date
    since_on: date
    until_on: date
    """The first day that is not part of it."""
    then: dict[str, Counted]
    now: dict[str, Counted]
    restated: tuple[tuple[date, str, int], ...]
    """(day on which it was learned, measure, documents that came to it; negative: that left it)."""


NOTHING = Counted(0, None)


def as_reported(
    reports: Reports, measures: Sequence[str], units: Sequence[str] | None, *, since: datetime, until: datetime, evening: date, part: str = "", source: str = OWN_LOG,
) -> AsReported:  # fmt: skip
    """Measures of the rollups (sync_engine/insight/fold.py names them) as known on the evening of a UTC day, and the same days now.

    Args:
        reports: Who asks.
        measures: Their names, such as "ordered_wall".
        units: Business units; None: every one the person sees.
        since: Where the period begins: whole UTC days, so its edges move to the midnight before.
        until: Where it ends.
        evening: The UTC day.
        part: Of the measures.
        source: The log.
    """
    since_on = since.astimezone(UTC).date()
    until_on = min(until.astimezone(UTC).date(), evening) + timedelta(days=1)
    seen = list(units) if units else ["*"] if reports.person.sees_all else list(reports.person.units)
    asked = {
        "source": source, "measures": list(measures), "part": part, "units": seen, "since_on": since_on, "until_on": until_on, "evening": evening,
    }  # fmt: skip
    found = {row["measure"]: row for row in reports.remembered("report_explain.as_reported", **asked)}
    late = reports.remembered("report_explain.restated", **asked)
    return AsReported(
        evening,
        since_on,
        until_on,
        {name: Counted(row["reported"], row["reported_p50_s"]) for name, row in found.items()},
        {name: Counted(row["now"], row["now_p50_s"]) for name, row in found.items()},
        tuple((row["known_on"], row["measure"], row["documents"]) for row in late),
    )
