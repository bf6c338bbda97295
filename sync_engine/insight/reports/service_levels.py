"""What the service level page asks: what was promised, what was kept, how fast the error budget burns, and which documents missed.

A document belongs to the moment its deadline falls; one that is still open then has missed, and one whose deadline is still
ahead is in no figure. Nothing due is "no data", never 100 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pandas as pd

from sync_engine.insight.asking import Row
from sync_engine.insight.once import once
from sync_engine.insight.reports.reading import OWN_LOG, Reports, rounded
from sync_engine.insight.statistics import wilson

Units = Sequence[str] | None

ENOUGH = 20
"""Fewer documents than this in an alert's long window say nothing about a rate; then the last five are counted."""
ENOUGH_BAD = 3
LOW_BUDGET = 0.25
"""An objective is at risk when less than this share of its budget is left."""
MEASURABLE = 10
"""Below this many documents there is no verdict yet."""

ALERTS = (
    ("urgent", "1h", "5m", 14.4),
    ("urgent", "6h", "30m", 6.0),
    ("ticket", "1d", "2h", 3.0),
    ("ticket", "3d", "6h", 1.0),
)
"""(severity, long window, short window, burn rate) of the four multi-window rules; both windows have to burn so fast."""

WINDOWS = {"1h": timedelta(hours=1), "6h": timedelta(hours=6), "1d": timedelta(days=1), "3d": timedelta(days=3)}
"""The windows whose rows can be looked at, beside the objective's own."""


@dataclass(frozen=True, slots=True)
class Window:
    """How one stretch of time up to now went. burn: bad share over the allowed one; None: nothing was due."""

    due: int
    bad: int
    burn: float | None


@dataclass(frozen=True, slots=True)
class BurnAlert:
    """One multi-window rule with its present values."""

    severity: str
    long_name: str
    short_name: str
    threshold: float
    long: Window
    short: Window

    @property
    def is_gated(self) -> bool:
        """Whether too little was due for a rate to mean anything."""
        return self.long.due < ENOUGH or self.long.bad < ENOUGH_BAD

    @property
    def fires(self) -> bool:
        """Whether both windows burn faster than the rule allows, on enough documents."""
        return (
            not self.is_gated and (self.long.burn or 0) >= self.threshold and (self.short.burn or 0) >= self.threshold
        )


@dataclass(frozen=True, slots=True)
class ServiceLevel:
    """One objective over its rolling window. attained, budget_left: None when no deadline fell in it."""

    objective: str
    title: str
    owner_team: str
    target: float
    window_days: int
    clock: str
    threshold_s: float
    document_type: str
    due: int
    good: int
    bad: int
    attained: float | None
    budget_left: float | None
    before: float | None
    due_before: int
    this_month: float | None
    due_month: int
    last_five_bad: int
    left_out: int
    left_out_good: int
    windows: dict[str, Window]
    since: datetime
    until: datetime

    @property
    def attained_with_all(self) -> float | None:
        """The share if nothing were left out; None: nothing was due at all."""
        return _share(self.good + self.left_out_good, self.due + self.left_out)

    @property
    def budget(self) -> float:
        """How many documents may miss in the window."""
        return (1 - self.target) * self.due

    @property
    def alerts(self) -> tuple[BurnAlert, ...]:
        """The four multi-window rules."""
        return tuple(
            BurnAlert(severity, long, short, threshold, self.windows[long], self.windows[short])
            for severity, long, short, threshold in ALERTS
        )

    @property
    def state(self) -> str:
        """No data, measuring, broken, at risk or ok."""
        if self.attained is None or self.budget_left is None:
            return "no data"
        if self.due < MEASURABLE:
            return "measuring"
        if self.attained < self.target:
            return "broken"
        at_risk = (
            self.budget_left < LOW_BUDGET
            or self.last_five_bad >= ENOUGH_BAD
            or any(alert.fires for alert in self.alerts)
        )
        return "at risk" if at_risk else "ok"

    @property
    def has_verdict(self) -> bool:
        """Whether enough was due to say whether it is kept."""
        return self.state not in {"no data", "measuring"}

    @property
    def exhausted_in_days(self) -> float | None:
        """Days until the budget is used up at the burn rate of the last three days; None: not at this rate, or already."""
        burn = self.windows["3d"].burn
        if not burn or burn <= 0 or self.budget_left is None or self.budget_left <= 0:
            return None
        return self.budget_left * self.window_days / burn

    def since_of(self, window: str | None) -> datetime:
        """Where a window whose rows are looked at begins: one of `WINDOWS`, or the objective's own."""
        return self.until - WINDOWS[window] if window in WINDOWS else self.since


def service_levels(reports: Reports, units: Units, *, as_of: datetime, source: str = OWN_LOG) -> tuple[ServiceLevel, ...]:  # fmt: skip
    """Every objective now, least budget left first, those without data last. Deadlines that are left out count apart."""
    until = rounded(as_of)
    return tuple(_level(row, until) for row in reports.remembered("report_service_levels.now", units=_list(units), as_of=until, source=source))  # fmt: skip


def _level(row: Row, until: datetime) -> ServiceLevel:
    target = float(row["target"])
    return ServiceLevel(
        objective=row["objective"],
        title=row["title"],
        owner_team=row["owner_team"],
        target=target,
        window_days=row["window_days"],
        clock=row["clock"],
        threshold_s=float(row["threshold_s"]),
        document_type=row["document_type"],
        due=row["due"],
        good=row["good"],
        bad=row["bad"],
        attained=_float(row["attained"]),
        budget_left=_float(row["budget_left"]),
        before=_share(row["good_before"], row["due_before"]),
        due_before=row["due_before"],
        this_month=_share(row["good_month"], row["due_month"]),
        due_month=row["due_month"],
        last_five_bad=row["bad_last5"] if row["due_last5"] == 5 else 0,
        left_out=row["left_out"],
        left_out_good=row["left_out_good"],
        windows={name: _window(row, name, target) for name in ("5m", "30m", "1h", "2h", "6h", "1d", "3d")},
        since=until - timedelta(days=row["window_days"]),
        until=until,
    )


def _window(row: Row, name: str, target: float) -> Window:
    due, bad = row[f"due_{name}"], row[f"bad_{name}"]
    return Window(due, bad, bad / ((1 - target) * due) if due else None)


DAY_COLUMNS = ("objective", "day", "due", "good", "left_out")


def by_day(
    reports: Reports, units: Units, *, since: datetime, until: datetime, zone: ZoneInfo, source: str = OWN_LOG
) -> pd.DataFrame:
    """objective, day (date in `zone`), due, good, bad, left_out: deadlines in (since, until]; a day without any has no row."""
    frame = reports.frame(
        "report_service_levels.by_day", DAY_COLUMNS, units=_list(units), since=since, until=until, zone=zone.key, source=source,
    )  # fmt: skip
    return frame.assign(bad=frame["due"] - frame["good"])


def burn_down(days: pd.DataFrame, level: ServiceLevel) -> pd.DataFrame:
    """day, left: the share of the window's error budget that was left at the end of each day; ends at `budget_left`."""
    budget = level.budget or 1.0
    return pd.DataFrame({"day": days["day"], "left": 1 - days["bad"].cumsum().astype(float) / budget})


def by_unit(
    reports: Reports, objective: str, units: Units, *, since: datetime, until: datetime, source: str = OWN_LOG
) -> pd.DataFrame:
    """business_unit, due, good, bad, attained, low, high (Wilson, 95 %), most missed first."""
    frame = reports.frame(
        "report_service_levels.by_unit", ("business_unit", "due", "good", "bad"), objective=objective, units=_list(units), since=since, until=until, source=source,
    )  # fmt: skip
    return _attained(frame)


@once
def _attained(frame: pd.DataFrame) -> pd.DataFrame:
    intervals = [wilson(good, due) or (0.0, 1.0) for good, due in zip(frame["good"], frame["due"], strict=True)]
    return frame.assign(
        attained=[good / due for good, due in zip(frame["good"], frame["due"], strict=True)],
        low=[low for low, _ in intervals],
        high=[high for _, high in intervals],
    )


MISSED_COLUMNS = (
    "document_id", "document_type", "number", "business_unit", "supplier_name", "state", "group_amount", "started_at", "deadline_at", "good_at", "found", "late_s", "case_id", "code", "message",
    "owner_team", "failed_system",
)  # fmt: skip

MOST_ROWS = 2000
"""More than anybody reads: a list says how many there are."""

EVERY_ROW = 2**31 - 1

EXPORT_ROWS = 10_000
"""So many rows are asked for at once when all of them are exported."""


def missed(
    reports: Reports, objective: str, units: Units, *, since: datetime, until: datetime, source: str = OWN_LOG,
    after: tuple[datetime, UUID] | None = None, most: int = MOST_ROWS, remember: bool = True,
) -> pd.DataFrame:  # fmt: skip
    """Documents whose deadline fell in (since, until] and was missed, latest first, at most so many after the place of one (`place_of`);
    `found` says how many there are in all. good_at None: still open. Wall seconds. Not to `remember` is for what is asked for once and is
    large."""
    after_at, after_id = after or (None, None)
    return reports.frame(
        "report_service_levels.missed", MISSED_COLUMNS, remember=remember, units=_list(units), objective=objective, since=since, until=until, source=source,
        after_at=after_at, after_id=after_id, most=most,
    )  # fmt: skip


def place_of(row: "pd.Series[Any]") -> tuple[datetime, UUID]:
    """Where a row of `missed` stands."""
    return row["deadline_at"], row["document_id"]


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _list(values: Units) -> list[str] | None:
    return list(values) if values else None


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
