"""What the page on cycle time asks: how long, where the time goes, and whether everything that began is counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import pandas as pd

from sync_engine.insight.reports.reading import Reports

Clock = Literal["business", "wall"]
Stop = Literal["ordered", "posted"]
Measure = Literal["ordered", "posted", "approved_to_ordered"]
Which = Literal["ordered", "posted", "approved_to_ordered", "submitted", "under_way", "ended", "contradicting"]

STAGES = {
    "not_yet_here": ("Submitted, not yet read", "systems"),
    "received": ("Being validated", "systems"),
    "awaiting_budget": ("Awaiting budget", "systems"),
    "awaiting_approval": ("Awaiting approval", "people"),
    "approved": ("Approved, order being drafted", "systems"),
    "refused": ("Refused, being told", "systems"),
    "rejected": ("Rejected, until submitted again", "people"),
    "ordering": ("Ordering in the ERP", "systems"),
    "waiting_for_goods": ("Waiting for goods", "suppliers"),
    "waiting_for_the_invoice": ("Waiting for the invoice", "suppliers"),
    "matching_and_posting": ("Matching and posting the invoice", "finance"),
}
"""The stages of a requisition on its way, in its order: as people call them, and whom they wait for."""

Units = Sequence[str] | None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """So many documents reached a stop; n of them have clocks that agree. Seconds; None where n is 0."""

    documents: int
    n: int
    p50_s: float | None
    p85_s: float | None
    p95_s: float | None


NOTHING = Percentiles(0, 0, None, None, None)


@dataclass(frozen=True)
class Figures:
    """Percentiles of each measure in the period and in the one before it; by unit; and by week of the period."""

    rows: pd.DataFrame
    """measure, in_period, business_unit, week, documents, n, p50_s, p85_s, p95_s; unit and week None: all of them."""

    def of(self, measure: Measure, *, before: bool = False) -> Percentiles:
        """Over all units asked for."""
        found = self._part(measure, before=before)
        found = found[found["business_unit"].isna() & found["week"].isna()]
        return _percentiles(found.iloc[0]) if len(found) else NOTHING

    def by_unit(self, measure: Measure) -> pd.DataFrame:
        """business_unit, documents, n, p50_s, p85_s, p95_s, and p50_before_s and n_before of the period before; most documents first."""
        now = self._part(measure, before=False)
        now = now[now["business_unit"].notna()].drop(columns=["measure", "in_period", "week"])
        before = self._part(measure, before=True)
        before = before[before["business_unit"].notna()][["business_unit", "p50_s", "n"]].rename(
            columns={"p50_s": "p50_before_s", "n": "n_before"}
        )
        return (
            now.merge(before, on="business_unit", how="left")
            .sort_values(["documents", "business_unit"], ascending=[False, True])
            .reset_index(drop=True)
        )

    def by_week(self, measure: Measure) -> pd.DataFrame:
        """Per week (date of its Monday): documents, n, p50_s, p85_s, p95_s: of the period alone."""
        found = self._part(measure, before=False)
        return (
            found[found["week"].notna()]
            .drop(columns=["measure", "in_period", "business_unit"])
            .sort_values("week")
            .reset_index(drop=True)
        )

    def _part(self, measure: str, *, before: bool) -> pd.DataFrame:
        wanted = self.rows["in_period"].astype(bool) != before
        return self.rows[(self.rows["measure"] == measure) & wanted]


@dataclass(frozen=True, slots=True)
class Cohort:
    """What became of the requisitions submitted in a stretch of time."""

    submitted: int
    ordered: int
    ended_otherwise: int
    under_way: int

    @property
    def settled(self) -> float | None:
        """The share that is ordered or ended otherwise; None: nothing was submitted."""
        return (self.submitted - self.under_way) / self.submitted if self.submitted else None


@dataclass(frozen=True, slots=True)
class Honest:
    """Percentiles over everything submitted, open ones counted with the age they have. None: so many are open that it is not reached."""

    n: int
    under_way: int
    p50_s: float | None
    p85_s: float | None
    p95_s: float | None


FIGURE_COLUMNS = ("measure", "in_period", "business_unit", "week", "documents", "n", "p50_s", "p85_s", "p95_s")
COHORT_COLUMNS = ("business_unit", "week", "submitted", "ordered", "ended_otherwise", "under_way")
STAGE_COLUMNS = ("stage", "document_id", "documents", "stays", "total_s", "p50_s", "p85_s", "p95_s")
ROW_COLUMNS = (
    "document_id", "number", "business_unit", "requester", "supplier_name", "state", "currency", "amount", "group_amount", "submitted_at", "approved_at",
    "ordered_at", "posted_at", "closed_at", "s", "longest_stage", "longest_s", "went_back", "exceptions",
)  # fmt: skip


def figures(
    reports: Reports, units: Units, *, before: datetime, since: datetime, until: datetime, clock: Clock, zone: str
) -> Figures:
    """Percentiles of what reached a stop from `since` on, and between `before` and `since`; weeks are those of `zone`."""
    frame = reports.frame(
        "cycle_time_figures",
        FIGURE_COLUMNS,
        units=_list(units),
        before=before,
        since=since,
        until=until,
        clock=clock,
        zone=zone,
    )
    return Figures(_numbers(frame, "p50_s", "p85_s", "p95_s"))


def cohort(
    reports: Reports, units: Units, *, since: datetime, until: datetime, zone: str
) -> tuple[Cohort, pd.DataFrame]:
    """What was submitted in the period, in all and by week (week, submitted, ordered, ended_otherwise, under_way)."""
    frame = reports.frame("cycle_time_cohort", COHORT_COLUMNS, units=_list(units), since=since, until=until, zone=zone)
    whole = frame[frame["business_unit"].isna() & frame["week"].isna()]
    weeks = frame[frame["week"].notna()].drop(columns="business_unit").reset_index(drop=True)
    if whole.empty:
        return Cohort(0, 0, 0, 0), weeks
    row = whole.iloc[0]
    return Cohort(int(row["submitted"]), int(row["ordered"]), int(row["ended_otherwise"]), int(row["under_way"])), weeks


def honest(
    reports: Reports, units: Units, *, since: datetime, until: datetime, as_of: datetime, clock: Clock
) -> Honest:
    """Submit to order over everything submitted in the period, open ones included (Kaplan-Meier)."""
    [row] = reports.remembered(
        "cycle_time_honest", units=_list(units), since=since, until=until, as_of=as_of, clock=clock
    )
    return Honest(row["n"], row["under_way"], _float(row["p50_s"]), _float(row["p85_s"]), _float(row["p95_s"]))


def stages(
    reports: Reports, units: Units, *, since: datetime, until: datetime, stop: Stop, clock: Clock
) -> pd.DataFrame:
    """Where the time of what reached the stop went: stage, documents, stays, total_s, percentiles over documents, and `share` of all of it."""
    frame = reports.frame(
        "cycle_time_stages",
        STAGE_COLUMNS,
        units=_list(units),
        since=since,
        until=until,
        stop=stop,
        clock=clock,
        stage=None,
    ).drop(columns="document_id")
    frame = _numbers(frame, "total_s", "p50_s", "p85_s", "p95_s")
    whole = frame["total_s"].sum()
    return frame.assign(share=frame["total_s"] / whole if whole else float("nan"))


def in_stage(
    reports: Reports, units: Units, *, since: datetime, until: datetime, stop: Stop, clock: Clock, stage: str
) -> pd.DataFrame:
    """The requisitions behind one stage: document_id, stage_s, stays."""
    frame = reports.frame(
        "cycle_time_stages",
        STAGE_COLUMNS,
        units=_list(units),
        since=since,
        until=until,
        stop=stop,
        clock=clock,
        stage=stage,
    )
    return _numbers(frame, "total_s")[["document_id", "total_s", "stays"]].rename(columns={"total_s": "stage_s"})


def rows(
    reports: Reports, units: Units, *, since: datetime, until: datetime, as_of: datetime, which: Which, clock: Clock
) -> pd.DataFrame:
    """Requisitions, slowest first; s and longest_s in seconds of the clock."""
    frame = reports.frame(
        "cycle_times", ROW_COLUMNS, units=_list(units), since=since, until=until, as_of=as_of, which=which, clock=clock
    )
    return _numbers(frame, "s", "longest_s")


def week_of(moments: pd.Series, zone: str) -> list[date | None]:
    """The Monday of each moment's week, as the database counts weeks in that zone."""
    local = pd.to_datetime(moments, utc=True).dt.tz_convert(zone)
    return [None if pd.isna(moment) else (moment - pd.Timedelta(days=moment.weekday())).date() for moment in local]


def _percentiles(row: Any) -> Percentiles:
    return Percentiles(
        int(row["documents"]), int(row["n"]), _float(row["p50_s"]), _float(row["p85_s"]), _float(row["p95_s"])
    )


def _numbers(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame.assign(**{column: pd.to_numeric(frame[column]).astype(float) for column in columns})


def _list(units: Units) -> list[str] | None:
    return list(units) if units else None


def _float(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
