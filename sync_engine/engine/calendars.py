"""Fills the working intervals of the business calendars, so that working time is two index look-ups in SQL.

Zone-aware: an interval is what the clock on the wall of its zone says, so the 23- and 25-hour days of daylight saving come
out right. Public holidays come from the `holidays` package, by country and region.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
import psycopg

from sync_engine.configuration import Calendar
from sync_engine.database.arrays import array_literal
from sync_engine.database.statements import sql

Interval = tuple[datetime, datetime, int]
"""Opens, closes (UTC), and the working seconds of all intervals before it."""


def intervals(calendar: Calendar, first: date, last: date) -> Iterator[Interval]:
    """The working intervals from `first` to `last`, both included, in order."""
    zone = ZoneInfo(calendar.time_zone)
    free = holidays.country_holidays(
        calendar.country, subdiv=calendar.region or None, years=range(first.year, last.year + 1)
    )
    worked = 0
    day = first
    while day <= last:
        if day.weekday() in calendar.days and day not in free and day not in calendar.closed:
            for opens, closes in calendar.hours:
                begin = datetime.combine(day, opens, tzinfo=zone).astimezone(UTC)
                end = datetime.combine(day, closes, tzinfo=zone).astimezone(UTC)
                yield begin, end, worked
                worked += int((end - begin).total_seconds())
        day += timedelta(days=1)


def fill(connection: psycopg.Connection, calendars: dict[str, Calendar], *, first: date, last: date) -> int:
    """Put the intervals of every calendar into the database; those that stand there as they should are left alone, so that every
    engine may begin with it. Returns how many there are."""
    present: dict[str, bytes] = dict(connection.execute(sql("engine.present_intervals")).fetchall())
    count = 0
    for name, calendar in calendars.items():
        filling = _filling(calendar, first, last)
        count += filling.count
        if present.get(name) != filling.digest:
            connection.execute(sql("engine.put_intervals"), {"calendar": name, **filling.columns})
    return count


@dataclass(frozen=True, slots=True)
class _Filling:
    """A calendar as it is sent, and how the database would sum it up."""

    count: int
    columns: dict[str, str]
    digest: bytes


@lru_cache(maxsize=64)
def _filling(calendar: Calendar, first: date, last: date) -> _Filling:
    rows = list(intervals(calendar, first, last))
    opens, closes, before = zip(*rows, strict=True)
    columns = {
        "opens_at": array_literal(opens),
        "closes_at": array_literal(closes),
        "worked_before_s": array_literal(before),
    }
    summed = ",".join(f"{int(begin.timestamp())} {int(end.timestamp())} {worked}" for begin, end, worked in rows)
    return _Filling(len(rows), columns, hashlib.sha256(summed.encode()).digest())
