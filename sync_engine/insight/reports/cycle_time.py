"""What the page on cycle time asks: how long, where the time goes, and whether everything that began is counted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import pandas as pd

from sync_engine.insight.once import once
from sync_engine.insight.reports.reading import OWN_LOG, Reports

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

    @once
    def of(self, measure: Measure, *, before: bool = False) -> Percentiles:
        """Over all units asked for."""
        found = self._part(measure, before=before)
        found = found[found["business_unit"].isna() & found["week"].isna()]
        return _percentiles(found.iloc[0]) if len(found) else NOTHING

    @once
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

    @once
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
STAGE_COLUMNS = (
    "stage", "document_id", "documents", "stays", "total_s", "touch_s", "transfer_s", "wait_s", "p50_s", "p85_s", "p95_s",
)  # fmt: skip
ROW_COLUMNS = (
    "document_id", "number", "business_unit", "requester", "supplier_name", "state", "currency", "amount", "group_amount", "submitted_at", "approved_at",
    "ordered_at", "posted_at", "closed_at", "s", "place", "found", "longest_stage", "longest_s", "went_back", "exceptions",
)  # fmt: skip


def figures(
    reports: Reports, units: Units, *, before: datetime, since: datetime, until: datetime, clock: Clock, zone: str, source: str = OWN_LOG,
) -> Figures:  # fmt: skip
    """Percentiles of what reached a stop from `since` on, and between `before` and `since`; weeks are those of `zone`."""
    frame = reports.frame(
        "report_cycle_time.figures",
        FIGURE_COLUMNS,
        units=_list(units),
        before=before,
        since=since,
        until=until,
        clock=clock,
        zone=zone,
        source=source,
    )
    return Figures(_numbers(frame, "p50_s", "p85_s", "p95_s"))


def cohort(
    reports: Reports, units: Units, *, since: datetime, until: datetime, zone: str, source: str = OWN_LOG
) -> tuple[Cohort, pd.DataFrame]:
    """What was submitted in the period, in all and by week (week, submitted, ordered, ended_otherwise, under_way)."""
    frame = reports.frame("report_cycle_time.cohort", COHORT_COLUMNS, units=_list(units), since=since, until=until, zone=zone, source=source)  # fmt: skip
    return _cohort(frame)


@once
def _cohort(frame: pd.DataFrame) -> tuple[Cohort, pd.DataFrame]:
    whole = frame[frame["business_unit"].isna() & frame["week"].isna()]
    weeks = frame[frame["week"].notna()].drop(columns="business_unit").reset_index(drop=True)
    if whole.empty:
        return Cohort(0, 0, 0, 0), weeks
    row = whole.iloc[0]
    return Cohort(int(row["submitted"]), int(row["ordered"]), int(row["ended_otherwise"]), int(row["under_way"])), weeks


def honest(
    reports: Reports, units: Units, *, since: datetime, until: datetime, as_of: datetime, clock: Clock, source: str = OWN_LOG
) -> Honest:  # fmt: skip
    """Submit to order over everything submitted in the period, open ones included (Kaplan-Meier)."""
    [row] = reports.remembered(
        "report_cycle_time.honest",
        units=_list(units),
        since=since,
        until=until,
        as_of=as_of,
        clock=clock,
        source=source,
    )
    return Honest(row["n"], row["under_way"], _float(row["p50_s"]), _float(row["p85_s"]), _float(row["p95_s"]))


def stages(
    reports: Reports, units: Units, *, since: datetime, until: datetime, stop: Stop, clock: Clock, source: str = OWN_LOG
) -> pd.DataFrame:
    """Where the time of what reached the stop went: stage, documents, stays, total_s and its parts (touch_s, transfer_s, wait_s), percentiles
    over documents, and `share` of all of it."""
    frame = reports.frame(
        "report_cycle_time.stages",
        STAGE_COLUMNS,
        units=_list(units),
        since=since,
        until=until,
        stop=stop,
        clock=clock,
        stage=None,
        source=source,
    )
    return _shares(_numbers(frame, "total_s", "touch_s", "transfer_s", "wait_s", "p50_s", "p85_s", "p95_s"))


@once
def _shares(frame: pd.DataFrame) -> pd.DataFrame:
    frame = frame.drop(columns="document_id")
    whole = frame["total_s"].sum()
    return frame.assign(share=frame["total_s"] / whole if whole else float("nan"))


def in_stage(
    reports: Reports, units: Units, *, since: datetime, until: datetime, stop: Stop, clock: Clock, stage: str, source: str = OWN_LOG,
) -> pd.DataFrame:  # fmt: skip
    """The requisitions behind one stage: document_id, stage_s, stays."""
    frame = reports.frame(
        "report_cycle_time.stages",
        STAGE_COLUMNS,
        units=_list(units),
        since=since,
        until=until,
        stop=stop,
        clock=clock,
        stage=stage,
        source=source,
    )
    return _numbers(frame, "total_s")[["document_id", "total_s", "stays"]].rename(columns={"total_s": "stage_s"})


MOST_ROWS = 2000
"""More than anybody reads: a list says how many there are, and its export asks for all of them."""

EVERY_ROW = 2**31 - 1

EXPORT_ROWS = 10_000
"""So many rows are asked for at once when all of them are exported."""


def rows(
    reports: Reports, units: Units, *, since: datetime, until: datetime, as_of: datetime, which: Which, clock: Clock, source: str = OWN_LOG,
    after: tuple[str | None, UUID] | None = None, most: int = MOST_ROWS, remember: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Requisitions, slowest first, at most so many after the place of one (`place_of`); `found` says how many there are in all. s and
    longest_s in seconds of the clock. Not to `remember` is for what is asked for once and is large."""
    after_s, after_id = after or (None, None)
    frame = reports.frame(
        "report_cycle_time.rows", ROW_COLUMNS, remember=remember, units=_list(units), since=since, until=until, as_of=as_of, which=which, clock=clock, source=source,
        after_s=after_s, after_id=after_id, most=most,
    )  # fmt: skip
    return _numbers(frame, "s", "longest_s")


def place_of(row: "pd.Series[Any]") -> tuple[str | None, UUID]:
    """Where a row of `rows` stands."""
    return row["place"], row["document_id"]


MOST_MARKS = 1500
"""So many marks a chart sends to the browser at most."""


def spread(
    reports: Reports, units: Units, *, since: datetime, until: datetime, stop: Stop, clock: Clock, source: str = OWN_LOG
) -> pd.DataFrame:
    """How many documents lie in each log bucket (2 % wide): bucket, documents: how the durations of what reached the stop spread."""
    return reports.frame(
        "report_cycle_time.spread", ("bucket", "documents"), units=_list(units), since=since, until=until, stop=stop, clock=clock, source=source,
    )  # fmt: skip


def completions(
    reports: Reports, units: Units, *, since: datetime, until: datetime, stop: Stop, clock: Clock, source: str = OWN_LOG
) -> pd.DataFrame:
    """Single requisitions that reached the stop: document_id, number, business_unit, at, s, found (how many there are), went_back."""
    columns = ("document_id", "number", "business_unit", "at", "s", "found", "went_back")
    frame = reports.frame(
        "report_cycle_time.completions", columns, units=_list(units), since=since, until=until, stop=stop, clock=clock, source=source, most=MOST_MARKS,
    )  # fmt: skip
    return _numbers(frame, "s")


BEFORE_DAYS = 91
"""The heat map's own last quarter: thirteen whole weeks."""


def heat(
    reports: Reports, units: Units, *, since: datetime, until: datetime, clock: Clock, source: str = OWN_LOG
) -> pd.DataFrame:
    """business_unit, stage, stays, p85_s of the whole UTC days of the period, and stays_before, p85_before_s of the 91 days before it."""
    since_on, until_on = since.astimezone(UTC).date(), until.astimezone(UTC).date() + timedelta(days=1)
    columns = ("business_unit", "stage", "in_period", "stays", "p85_s")
    frame = reports.frame(
        "report_cycle_time.heat", columns, units=_list(units), since_on=since_on, until_on=until_on, before_on=since_on - timedelta(days=BEFORE_DAYS), clock=clock, source=source,
    )  # fmt: skip
    return _beside_before(_numbers(frame, "stays", "p85_s"))


@once
def _beside_before(frame: pd.DataFrame) -> pd.DataFrame:
    in_period = frame["in_period"].astype(bool)
    before = frame[~in_period].rename(columns={"stays": "stays_before", "p85_s": "p85_before_s"})
    key = ["business_unit", "stage"]
    return (
        frame[in_period].drop(columns="in_period").merge(before.drop(columns="in_period"), on=key, how="left").reset_index(drop=True)
    )  # fmt: skip


@dataclass(frozen=True)
class Flow:
    """Requisitions under way by day, and whether they come and go evenly."""

    days: pd.DataFrame
    """day, submitted, ordered, ended (without an order), took_s (wall seconds that those who left took together), under_way (at its end)."""

    @property
    def per_day(self) -> float | None:
        """How many left a day, over the days there are; None without any."""
        return float((self.days["ordered"] + self.days["ended"]).sum()) / len(self.days) if len(self.days) else None

    @property
    def under_way(self) -> float | None:
        """How many were under way on average, at the ends of the days."""
        return float(self.days["under_way"].mean()) if len(self.days) else None

    @property
    def mean_s(self) -> float | None:
        """How long those that left took on average, first submit to order or end, wall seconds; None: none left."""
        left = float((self.days["ordered"] + self.days["ended"]).sum())
        return float(self.days["took_s"].sum()) / left if left else None

    @property
    def expected(self) -> float | None:
        """How many would be under way if what comes and goes were steady: those that leave a day times the days each takes (Little's
        law, L = lambda W; J. D. C. Little, Operations Research 9(3), 1961)."""
        per_day, mean_s = self.per_day, self.mean_s
        return None if per_day is None or mean_s is None else per_day * mean_s / 86400

    @property
    def is_steady(self) -> bool | None:
        """Whether what is under way agrees with what leaves, within `STEADY`; None: nothing left, so nothing can be said."""
        expected, under_way = self.expected, self.under_way
        if expected is None or under_way is None:
            return None
        return abs(under_way - expected) <= max(STEADY * max(expected, under_way), 1.0)


STEADY = 0.25
"""How far what is under way may be from Little's law before figures are said to be on the move."""


def flow(reports: Reports, units: Units, *, since: datetime, as_of: datetime, zone: str, source: str = OWN_LOG) -> Flow:
    """Day by day what came, what left, and what was under way at the end: counted back from what is under way now."""
    columns = ("day", "submitted", "ordered", "ended", "took_s", "open_now")
    frame = reports.frame(
        "report_cycle_time.moves", columns, units=_list(units), since=since, as_of=as_of, zone=zone, source=source
    )
    return Flow(_under_way(_numbers(frame, "submitted", "ordered", "ended", "took_s", "open_now")))


@once
def _under_way(frame: pd.DataFrame) -> pd.DataFrame:
    """The days with what was under way at the end of each, counted back from what is open now."""
    gain = frame["submitted"] - frame["ordered"] - frame["ended"]
    later = gain[::-1].cumsum()[::-1] - gain
    return frame.assign(under_way=frame["open_now"] - later).drop(columns="open_now")


@dataclass(frozen=True)
class Surroundings:
    """When which kind of configuration was followed by a newer version; and the seconds promised for the way from requisition to order,
    by clock."""

    versions: tuple[tuple[str, datetime], ...]
    promised_s: dict[str, float]


def surroundings(reports: Reports) -> Surroundings:
    """What a curve may break at, and what is promised."""
    found = reports.remembered("report_cycle_time.surroundings")
    return Surroundings(
        tuple((row["name"], row["at"]) for row in found if row["kind"] == "version"),
        {row["name"]: row["s"] for row in found if row["kind"] == "promise"},
    )


def week_of(moments: pd.Series, zone: str) -> list[date | None]:
    """The Monday of each moment's week, as the database counts weeks in that zone."""
    local = pd.to_datetime(moments, utc=True).dt.tz_convert(zone)
    return [None if pd.isna(moment) else (moment - pd.Timedelta(days=moment.weekday())).date() for moment in local]


def _percentiles(row: Any) -> Percentiles:
    return Percentiles(
        int(row["documents"]), int(row["n"]), _float(row["p50_s"]), _float(row["p85_s"]), _float(row["p95_s"])
    )


@once
def _numbers(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    return frame.assign(**{column: pd.to_numeric(frame[column]).astype(float) for column in columns})


def _list(units: Units) -> list[str] | None:
    return list(units) if units else None


def _float(value: Any) -> float | None:
    return None if value is None or pd.isna(value) else float(value)
