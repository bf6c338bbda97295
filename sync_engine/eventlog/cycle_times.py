"""Cycle time of every case of a log: last event minus first event, in elapsed and in business seconds.

Elapsed seconds are the same in every zone. What a clock on the wall would show differs where it was changed in between;
that difference is told when a zone is named, never mixed in.
"""

import statistics
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from sync_engine.configuration import Calendar
from sync_engine.database.statements import sql
from sync_engine.engine.calendars import intervals
from sync_engine.eventlog.records import BadLog
from sync_engine.eventlog.times import zone_named


@dataclass(frozen=True)
class Question:
    """Of which log, and what counts.

    `case_type` may be empty where the log has one type only. `from_start` begins at the start of the first event that has one.
    `without_suspect` leaves out events whose time cannot be right.
    """

    log: str
    case_type: str = ""
    from_start: bool = False
    without_suspect: bool = False
    time_zone: str = "UTC"


def cycle_times(connection: psycopg.Connection, question: Question, calendar: Calendar | None = None) -> dict[str, Any]:
    """Every case with its times, in the order of the first event, and what they add up to. Seconds are Decimal.

    Raises:
        BadLog: no such log or type, or several types and none is named.
    """
    case_type = _case_type(connection, question)
    zone = zone_named(question.time_zone)
    with connection.cursor(row_factory=dict_row) as cursor:
        cases = cursor.execute(
            sql("eventlog.cycle_times"),
            {
                "log": question.log,
                "case_type": case_type,
                "from_start": question.from_start,
                "without_suspect": question.without_suspect,
            },
        ).fetchall()
        suspect = cursor.execute(sql("eventlog.suspect_events"), {"log": question.log}).fetchone()
    worked = _worked(calendar, cases) if calendar is not None and cases else None
    across = 0
    for case in cases:
        first, last = case["first_event_at"].astimezone(zone), case["last_event_at"].astimezone(zone)
        case["first_event_at"], case["last_event_at"] = first, last
        case["business_s"] = worked(last) - worked(first) if worked else None
        if zone is not UTC:
            case["wall_clock_s"] = _seconds(last.replace(tzinfo=None) - first.replace(tzinfo=None))
            across += case["wall_clock_s"] != case["duration_s"]
    return {
        "log": question.log,
        "case_type": case_type,
        "time_zone": question.time_zone,
        "durations": "elapsed seconds from the first event to the last, whatever the zone",
        **({"cases_across_a_clock_change": across} if zone is not UTC else {}),
        "suspect_events": suspect["events"] if suspect else 0,
        "suspect_events_left_out": question.without_suspect,
        "summary": _summary(cases),
        "cases": cases,
    }


def _case_type(connection: psycopg.Connection, question: Question) -> str:
    types = [row[0] for row in connection.execute(sql("eventlog.types_of_log"), {"log": question.log})]
    if not types:
        raise BadLog(f"There is no log {question.log!r}; `finsync logs` lists what there is.")
    if question.case_type:
        if question.case_type not in types:
            raise BadLog(f"The log has no objects of type {question.case_type!r}, but {', '.join(map(repr, types))}.")
        return question.case_type
    if len(types) > 1:
        raise BadLog(f"A case of what? Say --case-type; the log has {', '.join(map(repr, types))}.")
    return str(types[0])


def _summary(cases: list[dict[str, Any]]) -> dict[str, Any]:
    seconds = [case["duration_s"] for case in cases]
    if not seconds:
        return {"cases": 0, "events": 0}
    return {
        "cases": len(cases),
        "events": sum(case["events"] for case in cases),
        "sum_s": sum(seconds, Decimal()),
        "mean_s": round(sum(seconds, Decimal()) / len(seconds), 6),
        "median_s": statistics.median(seconds),
    }


def _seconds(span: timedelta) -> Decimal:
    return Decimal(span // timedelta(microseconds=1)) / 1_000_000


_DAY = timedelta(days=1)


def _worked(calendar: Calendar, cases: list[dict[str, Any]]) -> Callable[[datetime], Decimal]:
    """Working seconds of a calendar up to a moment, for moments between the first and the last of the cases: the same figure
    as `worked_s` in SQL gives where the calendar is filled, for any year."""
    zone = ZoneInfo(calendar.time_zone)
    first: date = min(case["first_event_at"] for case in cases).astimezone(zone).date() - _DAY
    last: date = max(case["last_event_at"] for case in cases).astimezone(zone).date() + _DAY
    opens, closes, before = zip(*intervals(calendar, first, last), strict=True)

    def worked(moment: datetime) -> Decimal:
        at = bisect_right(opens, moment) - 1
        return Decimal() if at < 0 else before[at] + _seconds(min(moment, closes[at]) - opens[at])

    return worked
