"""What the page on service levels asks of an imported log: which of our objectives its stages can tell, and whether they were kept there.

An objective begins and ends with activities of ours. Where such an activity means that a document has come to a stage of the words that
mappings use (`eventlog/stages.py`), the same promise can be asked of anybody's log; where it means that we told one system what another said,
a log does not show it, and nothing is made up.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from sync_engine.insight.reports.imported import MOST_ROWS, Place, Within, from_place
from sync_engine.insight.reports.reading import Reports
from sync_engine.insight.reports.service_levels import LOW_BUDGET, MEASURABLE
from sync_engine.insight.standing import WORKING_DAY_S
from sync_engine.insight.statistics import wilson

MILESTONES = {
    "requisition_received": ("awaiting_approval", "awaiting_budget"),
    "approval_completed": ("approved",),
    "orders_confirmed": ("ordered",),
    "orders_cancelled": ("cancelled",),
    "procurement_rejected": ("rejected",),
    "refusal_propagated": ("rejected",),
    "withdrawn": ("cancelled",),
    "abandoned": ("cancelled", "rejected"),
    "goods_received_in_full": ("received",),
    "acknowledged": ("acknowledged",),
    "matched": ("matched",),
    "match_blocked": ("in_review",),
    "invoice_posted": ("posted",),
    "invoice_blocked": ("payment_blocked",),
    "payment_ready": ("payment_ready",),
    "payment_cleared": ("paid",),
}
"""The stages by which a log shows that it came to what an activity of ours means."""
_DAY_S = 24 * 3600.0

COUNTS = ("name", "business_unit", "began", "due", "good", "by_wall", "ahead")
ROWS = ("document_id", "document_type", "number", "business_unit", "state", "started_at", "deadline_at", "good_at", "is_wall", "late_s", "place", "found")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Promise:
    """An objective, and the stages by which a log can tell it: none in `starts` or `goods` where it cannot."""

    name: str
    title: str
    owner_team: str
    threshold_s: float
    clock: str
    target: float
    starts: tuple[str, ...]
    goods: tuple[str, ...]

    @property
    def is_told(self) -> bool:
        """Whether a log's stages show both its beginning and its end."""
        return bool(self.starts and self.goods)

    @property
    def wall_s(self) -> float:
        """The time by the wall clock where no calendar says what working time is: a working day is then a day."""
        is_days = self.clock == "business" and self.threshold_s >= WORKING_DAY_S
        return self.threshold_s / WORKING_DAY_S * _DAY_S if is_days else self.threshold_s


@dataclass(frozen=True, slots=True)
class Kept:
    """One promise in a period of a log. due: deadlines that fell in both; ahead: deadlines after the log's end, in no figure."""

    promise: Promise
    began: int
    due: int
    good: int
    by_wall: int
    ahead: int

    @property
    def missed(self) -> int:
        """Due and not done by their deadline."""
        return self.due - self.good

    @property
    def attained(self) -> float | None:
        """None: nothing was due."""
        return self.good / self.due if self.due else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Wilson, 95 %; None: nothing was due."""
        return wilson(self.good, self.due)

    @property
    def budget(self) -> float:
        """How many may miss."""
        return (1 - self.promise.target) * self.due

    @property
    def budget_left(self) -> float | None:
        """Share of the budget; negative: more missed than was allowed. None: nothing was due."""
        return 1 - self.missed / self.budget if self.due else None

    @property
    def state(self) -> str:
        """As on the page on our own: no data, measuring, broken, at risk or ok. A log does not go on, so nothing burns."""
        if self.attained is None or self.budget_left is None:
            return "no data"
        if self.due < MEASURABLE:
            return "measuring"
        if self.attained < self.promise.target:
            return "broken"
        return "at risk" if self.budget_left < LOW_BUDGET else "ok"


def promises(reports: Reports) -> tuple[Promise, ...]:
    """Every objective in force, by name."""
    return tuple(
        Promise(
            row["name"],
            row["title"],
            row["owner_team"],
            row["threshold_s"],
            row["clock"],
            row["target"],
            _stages([row["start_activity"]]),
            _stages(row["good_activities"]),
        )
        for row in reports.remembered("report_imported.objectives")
    )


def kept(reports: Reports, within: Within, asked: Sequence[Promise]) -> tuple[tuple[Kept, ...], pd.DataFrame]:
    """How each of `asked` was kept by documents whose deadline lies in the period, least budget left first, and the same counts by unit: COUNTS.
    One of which no document began is counted with zeros."""
    found = reports.frame("report_imported.promises", COUNTS, **within.where, promises=_said(asked))
    whole = {row["name"]: row for row in found[found["business_unit"].isna()].to_dict("records")}
    counted = [Kept(one, *(int(whole.get(one.name, {}).get(name, 0)) for name in COUNTS[2:])) for one in asked]
    counted.sort(key=lambda one: (one.budget_left is None, one.budget_left or 0.0, one.promise.name))
    return tuple(counted), found[found["business_unit"].notna()]


def rows(reports: Reports, within: Within, promise: Promise, which: str, *, after: Place | None = None, most: int = MOST_ROWS, remember: bool = True) -> pd.DataFrame:  # fmt: skip
    """The documents behind `kept` (which: missed, kept, due, ahead), latest done first: ROWS."""
    found = reports.frame("report_imported.promise_rows", ROWS, remember=remember, **within.where, promises=_said([promise]), which=which, **from_place(after), most=most)  # fmt: skip
    return found.assign(late_s=pd.to_numeric(found["late_s"]).astype(float))


def _stages(activities: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(stage for one in activities for stage in MILESTONES.get(one, ())))


def _said(asked: Sequence[Promise]) -> str:
    said: list[dict[str, Any]] = [
        {"name": one.name, "starts": one.starts, "goods": one.goods, "threshold_s": one.threshold_s, "wall_s": one.wall_s, "clock": one.clock}
        for one in asked
    ]  # fmt: skip
    return json.dumps(said)
