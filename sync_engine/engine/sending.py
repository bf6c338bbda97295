"""How named statements travel: several on different tables as one, or one behind the other in a pipeline."""

import re
from datetime import datetime
from functools import cache, partial
from typing import Any

import psycopg

from sync_engine.database.arrays import array_literal
from sync_engine.database.statements import sql
from sync_engine.engine.recording import Recording
from sync_engine.engine.rows import Rows

_PLACEHOLDER = re.compile(r"%\((\w+)\)s")


@cache
def _joined(statements: tuple[str, ...], counted: frozenset[str]) -> tuple[str, tuple[str, ...]]:
    """Named statements as one, and its parameters in order.

    Each becomes a common table expression with parameters of its own; those that are counted answer how many rows they
    touched. Placeholders are PostgreSQL's own ($1): psycopg would otherwise read this long text anew every time.
    """
    order: dict[str, int] = {}

    def numbered(place: int, name: str) -> str:
        return f"${order.setdefault(f's{place}_{name}', len(order) + 1)}"

    def placeholder(place: int, found: re.Match[str]) -> str:
        return numbered(place, found[1])

    parts = []
    for place, name in enumerate(statements):
        text = _PLACEHOLDER.sub(partial(placeholder, place), sql(name).strip().rstrip(";"))
        parts.append(f"s{place} AS ({text})")
    checks = [
        f"CASE WHEN (SELECT count(*) FROM s{place}) = {numbered(place, 'expected_count')} THEN 1 "  # noqa: S608 - our own names
        f"ELSE refuse_stale('{name}', (SELECT count(*) FROM s{place}), {numbered(place, 'expected_count')}) END"
        for place, name in enumerate(statements)
        if name in counted
    ]
    return "WITH " + ",\n".join(parts) + "\nSELECT " + (", ".join(checks) or "1"), tuple(order)


class Together:
    """Statements on different tables, sent as one."""

    def __init__(self, recording: Recording) -> None:
        self._now = recording.now
        self._names: list[str] = []
        self._values: dict[str, Any] = {}
        self._counted: list[str] = []

    def add(self, name: str, values: dict[str, Any], *, expect: int | None = None) -> None:
        """One more statement; `expect` is how many rows it has to touch."""
        place = len(self._names)
        self._names.append(name)
        for key, value in values.items():
            self._values[f"s{place}_{key}"] = array_literal(value) if isinstance(value, list) else value
        self._values[f"s{place}_now"] = self._now
        if expect is not None:
            self._counted.append(name)
            self._values[f"s{place}_expected_count"] = expect

    def add_rows(self, rows: Rows, *, expect_all: bool = False, **more: Any) -> None:
        """A table's statement, if it has rows."""
        if rows.rows:
            self.add(rows.statement, {**rows.arrays(), **more}, expect=len(rows.rows) if expect_all else None)

    def statements(self) -> list[tuple[str, dict[str, Any]]]:
        """Each statement by itself, with its values under their own names."""
        return [
            (
                name,
                {
                    key.removeprefix(f"s{place}_"): value
                    for key, value in self._values.items()
                    if key.startswith(f"s{place}_")
                },
            )
            for place, name in enumerate(self._names)
        ]

    def send(self, connection: psycopg.Connection) -> None:
        """Send the one statement."""
        if self._names:
            text, order = _joined(tuple(self._names), frozenset(self._counted))
            psycopg.RawCursor(connection).execute(text, [self._values[name] for name in order])


class Pipeline:
    """Statements that follow each other."""

    def __init__(self, connection: psycopg.Connection, now: datetime) -> None:
        self._connection = connection
        self._now = now

    def send(self, statement: str, values: dict[str, Any]) -> None:
        """Send a statement; a list among its values goes as an array."""
        written = {name: array_literal(value) if isinstance(value, list) else value for name, value in values.items()}
        self._connection.execute(sql(statement), {**written, "now": self._now})

    def send_rows(self, rows: Rows, **more: Any) -> None:
        """A table's statement, if it has rows."""
        if rows.rows:
            self.send(rows.statement, {**rows.arrays(), **more})
