"""Years of finished business in minutes: journeys the engine has really made, copied by SQL under other names and times.

A copy has every column of its original, but for what has to differ: ids lie as far from each other in time, moments
are moved by as much, and what is unique for ever (names, keys) carries the copy's number. So the copied rows look to every
index, statistic and statement as the engine's own do.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from benchmarks import cells
from benchmarks.workshop import draft, instant_engine
from sync_engine.database.connections import Database
from sync_engine.engine import store
from sync_engine.engine.clock import DatabaseClock
from sync_engine.engine.engine import database_now

ORIGINALS = 20
"""Journeys that are copied: enough that no two neighbours are the same."""

PAST_DAYS = 150
"""Over how long a past the copies are spread."""

MONTHS = 8
"""Of partitions, so that every copy lies in one."""

COPIES_AT_ONCE = 2000

WHOLE = (
    "recording", "event", "document", "document_payload", "document_identifier", "order_movement", "work_item", "intent",
    "attempt",
)  # fmt: skip
"""What a journey leaves, events before the documents that refer to them."""

COUNTED = ("work_item", "event", "attempt")
"""What there shall be a stated number of."""

_KEYS = {"idempotency_key"}
_NAMES = {("document", "number"), ("document_identifier", "external_id")}
_LEFT_OUT = {("recording", "written_order"), ("recording", "position")}


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    kind: str


def make_originals(connection: psycopg.Connection, journeys: int = ORIGINALS) -> None:
    """Let the engine make the journeys that are copied."""
    engine = instant_engine(connection, "originals", DatabaseClock(database_now(connection)))
    draft(connection, engine, 0, journeys)
    engine.run_until_idle(connection)
    for table in WHOLE:
        connection.execute(
            SQL("CREATE TEMPORARY TABLE {} AS SELECT * FROM {}").format(
                Identifier(f"original_{table}"), Identifier(table)
            )
        )


def make_partitions(connection: psycopg.Connection) -> None:
    """A partition for every month of the past, as an engine that ran then would have made."""
    first = cells.one(connection, "SELECT (date_trunc('month', now()) - make_interval(months => %s))::date", MONTHS - 2)
    store.rows(connection, "engine.ensure_partitions", first_month=first, months=MONTHS + 1)


def copy_journeys(connection: psycopg.Connection, many: int) -> None:
    """Copies until there are `many` rows more in each of `COUNTED`: whole journeys until there are so many events, then work
    items and calls of journeys whose other rows are left out."""
    connection.execute("SET enable_seqscan TO on")
    events = cells.one(connection, "SELECT count(*) FROM original_event")
    journeys = -(-many // events)
    _copy(connection, WHOLE, 0, journeys, spread_over=journeys)
    for table in COUNTED:
        rows = cells.one(connection, SQL("SELECT count(*) FROM {}").format(Identifier(f"original_{table}")))
        wanted = -(-many // rows)
        _copy(connection, (table,), journeys, wanted - journeys, spread_over=wanted)
    connection.execute("SET enable_seqscan TO off")


def _copy(connection: psycopg.Connection, tables: Sequence[str], first: int, many: int, *, spread_over: int) -> None:
    statements = [_statement(connection, table) for table in tables]
    end = first + many
    for start in range(first, end, COPIES_AT_ONCE):
        with connection.transaction():
            for statement in statements:
                connection.execute(
                    statement,
                    {
                        "first": start,
                        "last": min(start + COPIES_AT_ONCE, end) - 1,
                        "all": max(spread_over, 1),
                        "past_s": PAST_DAYS * 86400,
                    },
                )


def _statement(connection: psycopg.Connection, table: str) -> Composed:
    columns = [one for one in _columns(connection, table) if (table, one.name) not in _LEFT_OUT]
    return SQL(
        "INSERT INTO {table} ({names}) SELECT {values} FROM (SELECT copy, -make_interval(secs => %(past_s)s::float8 * (%(all)s - copy) / %(all)s) AS moved "
        "FROM generate_series(%(first)s::int, %(last)s::int) AS copy) c CROSS JOIN {original} o"
    ).format(
        table=Identifier(table),
        names=SQL(", ").join(Identifier(one.name) for one in columns),
        values=SQL(", ").join(_value(table, one) for one in columns),
        original=Identifier(f"original_{table}"),
    )


def _columns(connection: psycopg.Connection, table: str) -> list[Column]:
    """But those that the database works out itself."""
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
        [table],
    )
    return [Column(name, kind) for name, kind in rows]


def _value(table: str, column: Column) -> Composable:
    original = SQL("o.{}").format(Identifier(column.name))
    if column.kind == "uuid":
        # The first 48 bits are milliseconds since 1970; the rest is chance, but for the version and the variant.
        return SQL(
            "(lpad(to_hex(('x' || substr(replace({0}::text, '-', ''), 1, 12))::bit(48)::bigint + (1000 * extract(epoch FROM c.moved))::bigint), 12, '0')"
            " || '7' || substr(md5({0}::text || c.copy), 1, 3) || '8' || substr(md5({0}::text || c.copy), 4, 15))::uuid"
        ).format(original)
    if column.kind == "timestamp with time zone":
        return SQL("{} + c.moved").format(original)
    if column.name in _KEYS:
        return SQL("encode(sha256(convert_to({} || c.copy, 'UTF8')), 'hex')").format(original)
    if (table, column.name) in _NAMES:
        return SQL("{} || {} || c.copy").format(original, Literal("-"))
    return original


def settle(database: Database) -> dict[str, Any]:
    """Statistics and visibility as autovacuum would have left them; the size of each table in megabytes."""
    with cells.owned(database) as owner:
        for table in WHOLE:
            owner.execute(SQL("VACUUM (ANALYZE) {}").format(Identifier(table)))
        sizes = owner.execute(
            "SELECT p.root, round((pg_total_relation_size(p.root::regclass) + coalesce(sum(pg_total_relation_size(t.relid)), 0)) / 1e6)::int "
            "FROM unnest(%s::text[]) AS p(root) LEFT JOIN LATERAL pg_partition_tree(p.root::regclass) t ON true GROUP BY 1",
            [list(COUNTED)],
        )
        return dict(sizes.fetchall())
