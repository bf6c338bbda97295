"""Figures from the rollups, for every page: counts, sums and percentiles of a measure over any period, divided by part, business unit
and calendar period, now or as they were reported on a past evening; and what has changed since (PRODUCT D03, D15).

Percentiles come from histograms with buckets of 2 %: they are at most 1 % off. Counts and sums are exact. The measures are listed in
`sql/queries/fold.sql`: "ordered_business" is the time from first submit to order of what was ordered in the period, on the business
calendar; "objective_due" counts documents by objective; and so on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import pandas as pd

from sync_engine.insight.reports.reading import Reports

OWN = "finsync"
"""The log that our own engine writes; an imported log has a name of its own."""

PRECISION = 0.01
"""How far off a percentile may be, as a share of itself."""

EXACT_TO = 4000
"""A cohort of up to so many has its survival from the durations themselves: in few, the order within a bucket decides."""

SHARES = (0.5, 0.85, 0.95)

Step = Literal["day", "week", "month", "quarter", "year"]
By = Literal["part", "unit"]

FIGURES = ("measure", "part", "business_unit", "starts_on", "n", "durations", "negative", "total_s")


@dataclass(frozen=True, slots=True)
class Survival:
    """n things, `under_way` of them not done; after how many seconds each share is. None: so many are open that it is not reached."""

    n: int
    under_way: int
    p: tuple[float | None, ...]


def figures(
    reports: Reports,
    measures: Sequence[str],
    units: Sequence[str] | None,
    *,
    since: datetime,
    until: datetime,
    step: Step | None = None,
    zone: str = "UTC",
    by: Sequence[By] = (),
    parts: Sequence[str] | None = None,
    source: str = OWN,
    reported_on: date | None = None,
    shares: Sequence[float] = SHARES,
) -> pd.DataFrame:
    """Measures from `since` to before `until`, of the `units` (None or empty: all that the person may see) and the `parts` (a stage, an
    objective; None: all). `step` divides by calendar periods of `zone`, `by` by part and unit. With `reported_on` as it stood on the
    evening of that UTC day, in whole UTC days.

    Returns:
        FIGURES and one column per share ("p50_s"). starts_on, part and business_unit are None where not divided by. n counts all;
        percentiles are of the `durations` among them that are not below zero. Without rows: nothing happened there, which is not 0 %.
    """
    rows = reports.remembered(
        "report_rolled.figures",
        source=source,
        measures=list(measures),
        parts=_list(parts),
        units=_list(units),
        since=since,
        until=until,
        step=step,
        zone=zone,
        by=list(by),
        reported_on=reported_on,
        shares=list(shares),
    )
    names = [percentile_name(share) for share in shares]
    frame = pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in FIGURES})
    return frame.assign(
        **{
            name: pd.Series([None if row["p"] is None else row["p"][i] for row in rows], dtype=float)
            for i, name in enumerate(names)
        }
    )


def histogram(
    reports: Reports,
    measure: str,
    units: Sequence[str] | None,
    *,
    since: datetime,
    until: datetime,
    parts: Sequence[str] | None = None,
    source: str = OWN,
) -> pd.DataFrame:
    """How the durations of a measure are spread: over_s, up_to_s (bounds of a bucket, seconds) and n; empty buckets are not there."""
    return reports.frame(
        "report_rolled.histogram",
        ("over_s", "up_to_s", "n"),
        source=source,
        measure=measure,
        parts=_list(parts),
        units=_list(units),
        since=since,
        until=until,
    )


def survival(
    reports: Reports,
    units: Sequence[str] | None,
    *,
    since: datetime,
    until: datetime,
    as_of: datetime,
    clock: Literal["business", "wall"],
    source: str = OWN,
    shares: Sequence[float] = SHARES,
) -> Survival:
    """First submit to order over everything submitted in the period, what is under way counted with its age (Kaplan-Meier)."""
    [row] = reports.remembered(
        "report_rolled.survival",
        source=source,
        units=_list(units),
        since=since,
        until=until,
        as_of=as_of,
        clock=clock,
        shares=list(shares),
        exact_to=EXACT_TO,
    )
    return Survival(row["n"], row["under_way"], tuple(row["p"]))


def restated(
    reports: Reports,
    measures: Sequence[str],
    units: Sequence[str] | None,
    *,
    since: datetime,
    until: datetime,
    reported_on: date,
    parts: Sequence[str] | None = None,
    source: str = OWN,
) -> pd.DataFrame:
    """What has come to be known of the period since the evening of `reported_on`: measure, part, day (that is restated), learned_on, n
    (below zero: taken away) and total_s."""
    return reports.frame(
        "report_rolled.restated",
        ("measure", "part", "day", "learned_on", "n", "total_s"),
        source=source,
        measures=list(measures),
        parts=_list(parts),
        units=_list(units),
        since=since,
        until=until,
        reported_on=reported_on,
    )


def percentile_name(share: float) -> str:
    """The column of a percentile.

    >>> [percentile_name(share) for share in (0.5, 0.85, 0.995)]
    ['p50_s', 'p85_s', 'p99.5_s']
    """
    return f"p{share * 100:g}_s"


def _list(wanted: Sequence[Any] | None) -> list[Any] | None:
    return list(wanted) if wanted else None
