"""What "explain this number" asks: a figure as it was reported on an evening, and what has restated it since (PRODUCT.md D15)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

import pandas as pd

from sync_engine.insight.reports import rolled
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
    begin, end = (datetime.combine(on, time(), UTC) for on in (since_on, until_on))
    if end <= begin:
        return AsReported(evening, since_on, until_on, {}, {}, ())

    def known(reported_on: date | None) -> dict[str, Counted]:
        found = rolled.figures(
            reports, measures, units, since=begin, until=end, parts=[part], source=source, reported_on=reported_on, shares=(0.5,)
        )  # fmt: skip
        return {
            str(row["measure"]): Counted(int(row["n"]), None if pd.isna(row["p50_s"]) else float(row["p50_s"]))
            for row in found.to_dict("records")
        }

    late = rolled.restated(
        reports, measures, units, since=begin, until=end, parts=[part], source=source, reported_on=evening
    )
    by_day: dict[tuple[date, str], int] = {}
    for row in late.to_dict("records"):
        by_day[row["learned_on"], row["measure"]] = by_day.get((row["learned_on"], row["measure"]), 0) + int(row["n"])
    restated = tuple((on, measure, n) for (on, measure), n in sorted(by_day.items()) if n)
    return AsReported(evening, since_on, until_on, known(evening), known(None), restated)
