"""How fast an error budget burns, at a moment and over the past: multi-window, multi-burn-rate (Google, The Site Reliability
Workbook, chapter 5), gated for low volume.

burn(window) = share of documents that missed, of those whose deadline fell in the window, over the share that may. A rate alarms
when it is reached in a long and a short window, on enough documents of which enough missed (PRODUCT.md Q45); at a trickle, where
no rate means anything, the last few documents are counted instead (Q46).
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from sync_engine.engine.alert_rules import Ask
from sync_engine.model.alerts import AlertRule

_M, _H, _D = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

# fmt: off
WINDOWS = {
    "fast": ((1 * _H, 5 * _M, 14.4), (6 * _H, 30 * _M, 6.0)),
    "slow": ((1 * _D, 2 * _H,  3.0), (3 * _D,  6 * _H, 1.0)),
}
"""(long window, short window, burn rate)."""
LOOKS_BACK = {"fast": 6 * _H, "slow": 14 * _D}
"""Nothing older decides anything; of the last few documents, those of the last two weeks count."""
# fmt: on
_NAMES = {5 * _M: "5 min", 30 * _M: "30 min", _H: "1 h", 2 * _H: "2 h", 6 * _H: "6 h", _D: "1 d", 3 * _D: "3 d"}


@dataclass(slots=True)
class Series:
    """One objective's deadlines, oldest first, and how many up to each were missed."""

    objective: str
    title: str
    allowed: float
    deadlines: list[datetime] = field(default_factory=list)
    missed: list[int] = field(default_factory=lambda: [0])

    def add(self, deadline_at: datetime, *, is_good: bool) -> None:
        """The next deadline."""
        self.deadlines.append(deadline_at)
        self.missed.append(self.missed[-1] + (not is_good))

    def counts(self, after: datetime, until: datetime) -> tuple[int, int]:
        """(due, missed) of the deadlines in (after, until]."""
        first, last = bisect_right(self.deadlines, after), bisect_right(self.deadlines, until)
        return last - first, self.missed[last] - self.missed[first]

    def last(self, n: int, after: datetime, until: datetime) -> tuple[int, int]:
        """(how many, missed) of the last `n` deadlines in (after, until]."""
        first, last = bisect_right(self.deadlines, after), bisect_right(self.deadlines, until)
        first = max(first, last - n)
        return last - first, self.missed[last] - self.missed[first]


def why_burning(series: Series, rule: AlertRule, moment: datetime) -> str:
    """Why the rule fires at a moment, in words; empty: it does not."""
    enough, enough_bad, last = (int(rule.number(name)) for name in ("enough", "enough_bad", "last"))
    windows = str(rule.values()["windows"])
    for long, short, rate in WINDOWS[windows]:
        due, missed = series.counts(moment - long, moment)
        if due < enough or missed < enough_bad:
            continue
        due_shortly, missed_shortly = series.counts(moment - short, moment)
        burn = missed / due / series.allowed
        burn_shortly = missed_shortly / due_shortly / series.allowed if due_shortly else 0.0
        if burn >= rate and burn_shortly >= rate:
            return f"{missed} of {due} missed in {_NAMES[long]}: {burn:.1f} times what the budget allows, and {burn_shortly:.1f} times in the last {_NAMES[short]}."
    if windows == "slow":
        due, _ = series.counts(moment - 3 * _D, moment)
        seen, missed = series.last(last, moment - LOOKS_BACK["slow"], moment)
        if due < enough and seen == last and missed >= enough_bad:
            return f"{missed} of the last {seen} missed."
    return ""


def find(ask: Ask, rule: AlertRule, now: datetime) -> list[dict[str, Any]]:
    """Objectives whose budget burns now."""
    since = now - LOOKS_BACK[str(rule.values()["windows"])]
    found = ((one, why_burning(one, rule, now)) for one in _series(ask, since, now))
    return [_row(one, why) for one, why in found if why]


def spells(ask: Ask, rule: AlertRule, since: datetime, now: datetime) -> Iterator[dict[str, Any]]:
    """When each objective's budget burnt between two moments."""
    windows = str(rule.values()["windows"])
    back = LOOKS_BACK[windows]
    lengths = {length for long, short, _ in WINDOWS[windows] for length in (long, short)} | {back}
    for series in _series(ask, since - back, now):
        # What is found changes only when a deadline comes or leaves a window.
        turns = {since} | {at + length for at in series.deadlines for length in (timedelta(0), *lengths)}
        moments = [*sorted(turn for turn in turns if since <= turn <= now), None]
        yield from _spells_of(series, rule, moments)


def _spells_of(series: Series, rule: AlertRule, moments: Iterable[datetime | None]) -> Iterator[dict[str, Any]]:
    began, said = None, ""
    for moment, following in pairwise(moments):
        assert moment is not None
        why = why_burning(series, rule, moment)
        if why and began is None:
            began, said = moment, why
        if began is not None and not why:
            yield {**_row(series, said), "from_at": began, "until_at": moment}
            began = None
        if began is not None and following is None:
            yield {**_row(series, said), "from_at": began, "until_at": None}


def _series(ask: Ask, since: datetime, now: datetime) -> list[Series]:
    found: dict[str, Series] = {}
    for row in ask("alert.deadlines_of_objectives", since=since, now=now):
        series = found.setdefault(row["objective"], Series(row["objective"], row["title"], float(1 - row["target"])))
        series.add(row["deadline_at"], is_good=row["is_good"])
    return list(found.values())


def _row(series: Series, why: str) -> dict[str, Any]:
    return {
        "subject": f"objective:{series.objective}",
        "subject_name": series.title,
        "business_unit": "",
        "group_key": f"objective:{series.objective}",
        "group_title": f"The budget of {series.title} burns",
        "why": why,
    }
