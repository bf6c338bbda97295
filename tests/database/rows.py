"""One row per business unit in every table there is, made from the catalogue, so that a new table is looked at without being
named. Every text says whose it is."""

from typing import Any
from uuid import UUID, uuid5

import psycopg
from psycopg import sql as compose
from psycopg.types.json import Jsonb

from tests.house import TUESDAY

UNITS = ("DE-SOUTH", "US-EAST")
NAMESPACE = UUID("6f1d2c4e-0000-4000-8000-000000000000")

# What a column has to say for its checks, its table's views and its relations; anything else follows from its type.
SAYS: dict[str, Any] = {
    "document_type": "requisition",
    "approval_status": "approved",
    "posting_status": "not_submitted",
    "activity": "requisition_received",
    "step": "check_policies",
    "state": "approved",
    "state_from": "received",
    "state_to": "approved",
    "state_from_since": TUESDAY,
    "source": "finsync",
    "effect": "read",
    "category": "policy",
    "retryable": "auto",
    "clock": "wall",
    "start_activity": "requisition_received",
    "good_activities": ["requisition_received"],
    "target": 0.9,
    "roles": [],
    "currency": "EUR",
    "amount": 1,
    "closes_at": "2030-01-01T00:00:00Z",
    "message": "it is",
    "last_event_seq": 1,
    "last_event_at": TUESDAY,
    "fired_at": TUESDAY,
    "starts_at": TUESDAY,
    "ends_at": "2030-01-01T00:00:00Z",
    "deadline_at": TUESDAY,
}
SAYS_IN = {
    ("work_item", "status"): "due",
    ("intent", "outcome"): "open",
    ("inbound_disposition", "outcome"): "applied",
    ("attempt", "outcome"): "done",
    ("exception_case", "status"): "open",
    ("redrive_item", "status"): "queued",
    ("redrive", "state"): "running",
    ("document_path", "document_type"): "purchase_order",
    ("order_movement", "kind"): "ordered",
    ("alert", "state"): "firing",
    ("alert_notice", "status"): "due",
    ("alert_rule_version", "source"): "file",
    ("expiry", "kind"): "secret",
    ("command", "status"): "done",
    ("job_run", "outcome"): "done",
    ("job_state", "outcome"): "done",
    ("system_state", "breaker"): "closed",
    ("produced_past", "single"): True,
    ("rollup", "grain"): "day",
    ("event_log_file", "phase"): "ready",
    ("journey_stage", "transfer_s"): 0,
    ("duplicate_verdict", "other_id"): uuid5(NAMESPACE, "the earlier one"),
    ("duplicate_verdict", "pattern"): "exact",
    ("duplicate_verdict", "verdict"): "distinct",
}
SHARED = {
    "produced_past",
    "record_check",
    "rollup_begun",
    "rollup_closed",
    "standing_judged",
    "step_told",
    "schema_migration",
    "schema_view",
    "app_session",
    "app_user",
}
"""One row for all, or filled by the program itself."""


def id_of(unit: str) -> UUID:
    """Every id of a unit's rows: they all belong together."""
    return uuid5(NAMESPACE, unit)


def tables(connection: psycopg.Connection) -> list[str]:
    """Every table of the cell, partitions left out."""
    found = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition ORDER BY 1"
    )
    return [name for (name,) in found]


def fill(connection: psycopg.Connection) -> dict[str, list[str]]:
    """Put one row per unit into every table, over the owner's connection; answers the tables by unit-bearing column."""
    filled: dict[str, list[str]] = {}
    for table in tables(connection):
        if table in SHARED:
            continue
        columns = connection.execute(
            """SELECT attname, format_type(atttypid, NULL), attnotnull, atthasdef, attidentity <> '' FROM pg_attribute
                WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
            [table],
        ).fetchall()
        for unit in UNITS:
            values = {
                name: _value(table, name, kind, unit)
                for name, kind, required, has_default, _ in columns
                if (required and not has_default) or name in SAYS or name == "business_unit"
            }
            with connection.transaction():
                connection.execute("SET LOCAL session_replication_role = replica")
                connection.execute(
                    compose.SQL("INSERT INTO {} ({}) VALUES ({})").format(
                        compose.Identifier(table),
                        compose.SQL(", ").join(map(compose.Identifier, values)),
                        compose.SQL(", ").join(compose.Placeholder() * len(values)),
                    ),
                    list(values.values()),
                )
        filled[table] = [name for name, *_ in columns]
    return filled


def _value(table: str, column: str, kind: str, unit: str) -> Any:
    if column == "business_unit" or (table, column) == ("business_unit", "code"):
        return unit
    if (table, column) in SAYS_IN:
        return SAYS_IN[table, column]
    if column in SAYS:
        return SAYS[column]
    if table == "objective" and kind == "text":
        return f"objective {UNITS.index(unit)}"  # every unit's documents are measured against every objective
    by_kind: dict[str, Any] = {
        "uuid": id_of(unit),
        "uuid[]": [id_of(unit)],
        "text": f"secret of {unit}",
        "text[]": [f"secret of {unit}"],
        "timestamp with time zone": TUESDAY,
        "date": TUESDAY.date(),
        "boolean": False,
        "jsonb": Jsonb({"said": f"secret of {unit}"}),
        "bytea": f"secret of {unit}".encode(),
        "smallint[]": [],
        "integer[]": [],
        "bigint[]": [1],
        "timestamp with time zone[]": [TUESDAY],
    }
    if column in {"series_id", "kind_id", "stage_id"}:
        return UNITS.index(unit)
    return by_kind.get(kind, 1)
