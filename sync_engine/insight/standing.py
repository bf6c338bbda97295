"""Keeps how every open document stands, so that the page on stuck documents counts and sorts by index (PRODUCT.md 4.2).

A row per open document holds the moments that decide it (view file 32), and its cause as of `judged_at`, by the limits of age as
they were then; sums over rows that stand alike are kept beside them. Documents are looked at again when they, their work or their
exceptions change: with the recording that holds their events, or with news of their own where there is no event. All of them
are judged anew once a minute. A question moves what has crossed a limit since, so that its answer is that of its own time.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.database.statements import sql

STUCK_TYPES = ("requisition", "purchase_order", "change_order", "invoice")
"""The documents that can stand still; the others are evidence about these."""

PEERS_DAYS = 90
"""Ages are judged against what the same stage took in this many days before, and in the rest of the month these begin in."""

SILENT_DAYS = 5
"""A document of which nothing at all has been heard for so many working days is silent."""

WORKING_DAY_S = 8 * 3600

JUDGED_AGAIN_AFTER_S = 60.0
"""Few documents cross a limit in a minute, and judging all of 200,000 takes a fraction of a second."""


def peers_since(as_of: datetime) -> Any:
    """The first day of the month PEERS_DAYS ago, because whole months are one row of the rollups each."""
    return (as_of - timedelta(days=PEERS_DAYS)).date().replace(day=1)


def look_again(
    connection: psycopg.Connection,
    *,
    recordings: list[UUID],
    first_at: datetime | None,
    last_at: datetime | None,
    also: list[UUID],
) -> None:
    """Bring up to date how the documents of these recordings, and those in `also`, stand; in the folder's transaction."""
    values = {"recordings": recordings, "first_at": first_at, "last_at": last_at, "also": also}
    kinds = _value(connection, "fold.standing", **values)
    if kinds:
        connection.execute(sql("fold.count_standing"), {"kinds": kinds})


def news(connection: psycopg.Connection) -> list[UUID]:
    """Documents that have changed without an event of theirs, each told once; in the folder's transaction."""
    found: list[UUID] = _value(connection, "fold.news")
    return found


def judge(connection: psycopg.Connection, *, now: datetime) -> bool:
    """Judge everything open as of `now`, if that has not been done for a while; in the folder's transaction. Answers whether it was."""
    if not _value(connection, "fold.judged_apart_from", now=now, age_s=JUDGED_AGAIN_AFTER_S):
        return False
    asked = {"units": None, "document_types": list(STUCK_TYPES), "as_of": now, "peers_since": peers_since(now)}
    limits = _value(connection, "report_stuck.limits", **asked)
    connection.execute(
        sql("fold.limit_standing"), {"now": now, "silent_s": SILENT_DAYS * WORKING_DAY_S, "limits": limits}
    )
    kinds = _value(connection, "fold.judge_standing")
    if kinds:
        connection.execute(sql("fold.count_standing"), {"kinds": kinds})
    return True


def rebuild(connection: psycopg.Connection) -> None:
    """Look at everything open from scratch, in the folder's transaction."""
    connection.execute(sql("fold.forget_standing"))
    while changed := news(connection):
        look_again(connection, recordings=[], first_at=None, last_at=None, also=changed)


def _value(connection: psycopg.Connection, statement: str, **values: Any) -> Any:
    row = connection.execute(sql(statement), values).fetchone()
    return row[0] if row else None
