"""Which logs are in, what could not be read of them, and how one is forgotten."""

import re
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sync_engine.database.statements import sql
from sync_engine.eventlog.records import BadLog

OUR_OWN = "finsync"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")


def checked_name(name: str) -> str:
    """A name that a foreign log may have.

    Raises:
        BadLog: it is our own, or not of small letters, digits, dots, dashes and underscores.
    """
    if name == OUR_OWN:
        raise BadLog(f"{OUR_OWN!r} is our own log; give the imported one a name of its own.")
    if not _NAME.fullmatch(name):
        raise BadLog(f"{name!r} cannot name a log: small letters, digits, '.', '-' and '_', at most 63.")
    return name


def logs(connection: psycopg.Connection) -> list[dict[str, Any]]:
    """Every imported log, oldest first."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql("eventlog.logs")).fetchall()


def rejects(connection: psycopg.Connection, log: str, *, most: int = 1000) -> list[dict[str, Any]]:
    """What could not be read of a log's files, in their order."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql("eventlog.rejects_of_log"), {"log": log, "most": most}).fetchall()


def forget(connection: psycopg.Connection, log: str, *, by_whom: str, why: str) -> int:
    """Remove an imported log with everything that came with it. Returns how many events that were.

    Raises:
        BadLog: it is our own, or there is none of that name.
    """
    checked_name(log)
    if log not in {one["name"] for one in logs(connection)}:
        raise BadLog(f"There is no imported log {log!r}; `finsync logs` lists what there is.")
    row = connection.execute(sql("eventlog.forget"), {"name": log, "by_whom": by_whom, "why": why}).fetchone()
    return int(row[0]) if row else 0
