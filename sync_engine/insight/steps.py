"""Keeps what each day's steps came to, so that the process map of years is read from days, not from every document (PRODUCT.md 4.9).

A batch says which days it tells something of. Until these have been worked out anew, which happens once a minute, a question works
them out by itself from the documents' paths: its answer is always that of the paths as they are.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from sync_engine.database.statements import sql

DAYS_AT_ONCE = 92
"""A quarter of a year: few enough that the sums of all its days fit into memory."""


def told(
    connection: psycopg.Connection, *, recordings: list[UUID], first_at: datetime, last_at: datetime, source: str | None
) -> None:
    """Note the days of which these recordings tell something, before the paths of their documents change; in the folder's transaction."""
    values = {"recordings": recordings, "first_at": first_at, "last_at": last_at, "source": source}
    connection.execute(sql("steps.told"), values)


def revalued(connection: psycopg.Connection, documents: list[UUID]) -> None:
    """Note the days of documents that are worth something else by now without an event of theirs; in the folder's transaction."""
    if documents:
        connection.execute(sql("steps.revalued"), {"documents": documents})


def keep(connection: psycopg.Connection) -> int:
    """Work out all days of which something was told, in the folder's transaction. Answers how many there were."""
    kept = 0
    while some := keep_some(connection):
        kept += some
    return kept


def keep_some(connection: psycopg.Connection) -> int:
    """Work out a quarter of a year at most, in the folder's transaction. Answers how many days that were; 0: nothing is left."""
    row = _next(connection)
    if row is None:
        return 0
    # Until the transaction ends: the sums of a quarter of a year.
    connection.execute("SELECT set_config('work_mem', '64MB', true)")
    connection.execute(sql("steps.keep"), row)
    return len(row["days"])


def forget(connection: psycopg.Connection, source: str | None) -> None:
    """Nothing is known of a log's days (None: of any), in the folder's transaction."""
    connection.execute(sql("steps.forget"), {"source": source})


def _next(connection: psycopg.Connection) -> dict[str, Any] | None:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql("steps.next"), {"days": DAYS_AT_ONCE}).fetchone()
