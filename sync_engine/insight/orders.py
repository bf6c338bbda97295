"""Keeps the moments of each order that the maverick scenarios compare, so that what left the intended way is counted without looking
through the order's whole family while somebody waits (PRODUCT.md 4.9).

A batch says of which orders it tells something. Until these have been looked at anew, which happens once a minute, a question looks
at them by itself: its answer is always that of the documents as they are.
"""

from datetime import datetime
from uuid import UUID

import psycopg

from sync_engine.database.statements import sql

ORDERS_AT_ONCE = 20_000


def told(
    connection: psycopg.Connection,
    *,
    recordings: list[UUID],
    first_at: datetime | None,
    last_at: datetime | None,
    also: list[UUID],
) -> None:
    """Note the orders of which these recordings, and news of the documents in `also`, tell something; in the folder's transaction."""
    values = {"recordings": recordings, "first_at": first_at, "last_at": last_at, "also": also}
    connection.execute(sql("orders.told"), values)


def keep(connection: psycopg.Connection) -> int:
    """Look at all orders of which something was told, in the folder's transaction. Answers how many there were."""
    kept = 0
    while some := keep_some(connection):
        kept += some
    return kept


def keep_some(connection: psycopg.Connection) -> int:
    """Look at ORDERS_AT_ONCE of them at most, in the folder's transaction. Answers how many that were; 0: nothing is left."""
    row = connection.execute(sql("orders.keep"), {"most": ORDERS_AT_ONCE}).fetchone()
    return int(row[0]) if row else 0


def forget(connection: psycopg.Connection, source: str | None) -> None:
    """Nothing is known of the orders of a log (None: of any), in the folder's transaction."""
    connection.execute(sql("orders.forget"), {"source": source})
