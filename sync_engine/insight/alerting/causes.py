"""When a cause of exceptions was rising, worked out from when each exception was raised: the past of the measure
`causes_rising`, whose present is one statement."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Any

from sync_engine.model.alerts import AlertRule

Row = Mapping[str, Any]


def spells(raised: Sequence[Row], rule: AlertRule, since: datetime, now: datetime) -> Iterator[dict[str, Any]]:
    """The spells of every cause and unit.

    Args:
        raised: Exceptions from twice the window before `since` on, by cause and unit, in the order in which they were raised.
        rule: Its window, count and factor.
        since: The first moment.
        now: The last one.
    """
    window = timedelta(hours=float(rule.number("hours")))
    least, factor = rule.number("count_min"), rule.number("factor")
    for _, group in groupby(raised, key=lambda row: (row["fingerprint"], row["business_unit"])):
        rows = list(group)
        times = [row["raised_at"] for row in rows]
        # What is found changes only when an exception comes, leaves the window, or leaves the window before it.
        turns = {since} | {at + n * window for at in times for n in (0, 1, 2)}
        moments: list[datetime | None] = [*sorted(turn for turn in turns if since <= turn <= now), None]
        began = None
        for moment, following in pairwise(moments):
            assert moment is not None
            oldest, middle, last = (bisect_right(times, moment - n * window) for n in (2, 1, 0))
            is_rising = last - middle >= least and last - middle >= factor * (middle - oldest)
            if is_rising and began is None:
                began, lately, before = moment, rows[middle:last], middle - oldest
                row = _row(rows[last - 1], lately, before, window)
            if began is not None and not is_rising:
                yield {**row, "from_at": began, "until_at": moment}
                began = None
            if began is not None and following is None:
                yield {**row, "from_at": began, "until_at": None}


def _row(newest: Row, lately: Sequence[Row], before: int, window: timedelta) -> dict[str, Any]:
    hours = window.total_seconds() / 3600
    cause = f"cause:{newest['fingerprint']}"
    return {
        "subject": f"{cause}:{newest['business_unit']}",
        "subject_name": newest["code"],
        "business_unit": newest["business_unit"],
        "group_amount": sum((row["group_amount"] or Decimal(0) for row in lately), Decimal(0)),
        "group_key": cause,
        "group_title": newest["message"],
        "who": newest["business_unit"],
        "why": f"{len(lately)} in {hours:g} hours, {before or 'none'} before. {newest['message']}",
    }
