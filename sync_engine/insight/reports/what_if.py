"""What if an objective promised something else: the share that would have been in time over the last ninety days, and what does not
count towards an objective (PRODUCT.md 4.4).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pandas as pd

from sync_engine.insight.reports.reading import OWN_LOG, Reports, rounded

WHAT_IF_DAYS = 90


@dataclass(frozen=True)
class Took:
    """How long documents took, start to done, whose present deadline fell in the last ninety days."""

    done: tuple[tuple[float, int], ...]
    """(seconds, documents), ascending, within 1 %: of those that are done."""
    still_open: tuple[tuple[float, int], ...]
    """The same of those that are not, by the age they have."""

    def at(self, threshold_s: float) -> tuple[int, int]:
        """(good, due) if so many seconds had been promised. What is open and younger than that would not be due yet."""
        good = sum(n for s, n in self.done if s <= threshold_s)
        due = sum(n for _, n in self.done) + sum(n for s, n in self.still_open if s >= threshold_s)
        return good, due


def took(reports: Reports, objective: str, units: Sequence[str] | None, *, as_of: datetime, source: str = OWN_LOG) -> Took:  # fmt: skip
    """How long the documents of an objective took over the last ninety days, in seconds of its clock."""
    until = rounded(as_of)
    rows = reports.remembered(
        "report_service_levels.took", objective=objective, units=list(units) if units else None, since=until - timedelta(days=WHAT_IF_DAYS), as_of=until, source=source,
    )  # fmt: skip

    def held(*, is_done: bool) -> tuple[tuple[float, int], ...]:
        return tuple(
            (0.0 if row["bucket"] <= -32767 else 2 * 1.02 ** row["bucket"] / 2.02, row["documents"])
            for row in rows
            if row["is_done"] == is_done
        )

    return Took(held(is_done=True), held(is_done=False))


EXCLUSION_COLUMNS = (
    "exclusion_id", "objective", "business_unit", "starts_at", "ends_at", "weekday", "from_time", "to_time", "time_zone", "reason", "author", "written_at", "withdrawn_at", "withdrawn_by",
)  # fmt: skip


def exclusions(reports: Reports, objective: str) -> pd.DataFrame:
    """What does not count towards an objective and what did not for a while: those in force first. Asked anew each time: whoever has
    just left something out wants to see it."""
    rows = reports.rows("report_service_levels.exclusions", objective=objective)
    return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=object) for name in EXCLUSION_COLUMNS})
