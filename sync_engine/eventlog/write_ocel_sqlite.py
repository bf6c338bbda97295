"""OCEL 2.0 as an SQLite database (specification of 2023, section 5)."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from sync_engine.eventlog.schema import schema_of, values_of
from sync_engine.eventlog.stored import StoredLog
from sync_engine.eventlog.values import native
from sync_engine.eventlog.write_ocel_json import BEGINNING

_TABLES = """
CREATE TABLE event_map_type (ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT);
CREATE TABLE object_map_type (ocel_type TEXT PRIMARY KEY, ocel_type_map TEXT);
CREATE TABLE event (ocel_id TEXT PRIMARY KEY, ocel_type TEXT REFERENCES event_map_type (ocel_type));
CREATE TABLE object (ocel_id TEXT PRIMARY KEY, ocel_type TEXT REFERENCES object_map_type (ocel_type));
CREATE TABLE event_object (ocel_event_id TEXT, ocel_object_id TEXT, ocel_qualifier TEXT, PRIMARY KEY (ocel_event_id, ocel_object_id, ocel_qualifier));
CREATE TABLE object_object (ocel_source_id TEXT, ocel_target_id TEXT, ocel_qualifier TEXT, PRIMARY KEY (ocel_source_id, ocel_target_id, ocel_qualifier));
"""
_SQL_TYPES = {"integer": "INTEGER", "float": "REAL", "boolean": "BOOLEAN", "time": "TIMESTAMP"}


def write_ocel_sqlite(log: StoredLog, path: Path, _case_type: str) -> int:
    """Returns how many events were written."""
    schema, written = schema_of(log), 0
    with closing(sqlite3.connect(path)) as database, database:
        database.executescript(_TABLES)
        of_events = _make_tables(database, "event", schema.events, "ocel_id TEXT PRIMARY KEY, ocel_time TIMESTAMP")
        of_objects = _make_tables(
            database, "object", schema.objects, "ocel_id TEXT, ocel_time TIMESTAMP, ocel_changed_field TEXT"
        )
        for one in log.objects():
            kind, object_id = str(one.object_type), one.object_id
            database.execute("INSERT INTO object VALUES (?, ?)", [object_id, kind])
            first = {name: value for name, since, value in one.values if since is None}
            _insert(database, of_objects[kind], {"ocel_id": object_id, "ocel_time": BEGINNING, **first})
            for name, since, value in one.values:
                if since is not None:
                    changed = {
                        "ocel_id": object_id,
                        "ocel_time": since.isoformat(),
                        "ocel_changed_field": name,
                        name: value,
                    }
                    _insert(database, of_objects[kind], changed)
            links = [(object_id, target, qualifier) for target, qualifier in one.links]
            database.executemany("INSERT INTO object_object VALUES (?, ?, ?)", links)
        for event in log.events():
            kind = event.seen.activity
            database.execute("INSERT INTO event VALUES (?, ?)", [event.key, kind])
            row = {"ocel_id": event.key, "ocel_time": event.seen.event_at.isoformat(), **values_of(event)}
            _insert(database, of_events[kind], row)
            related = [(event.key, target, qualifier) for target, qualifier in event.seen.relations]
            database.executemany("INSERT INTO event_object VALUES (?, ?, ?)", related)
            written += 1
    return written


def _make_tables(
    database: sqlite3.Connection, scope: str, types: dict[str, dict[str, str]], own_columns: str
) -> dict[str, str]:
    """A table for each type; answers their names by type."""
    names: dict[str, str] = {}
    for kind, attributes in types.items():
        short = re.sub(r"\W", "", kind) or "Type"
        # SQLite does not tell capitals from small letters in names.
        taken = {name.lower() for name in names.values()}
        table = next(
            name for name in (f"{scope}_{short}{n or ''}" for n in range(len(types) + 1)) if name.lower() not in taken
        )
        names[kind] = table
        columns = [own_columns, *(f"{_quoted(name)} {_SQL_TYPES.get(of, 'TEXT')}" for name, of in attributes.items())]
        database.execute(f"CREATE TABLE {_quoted(table)} ({', '.join(columns)})")
        mapping = (
            "INSERT INTO event_map_type VALUES (?, ?)"
            if scope == "event"
            else "INSERT INTO object_map_type VALUES (?, ?)"
        )
        database.execute(mapping, [kind, table.removeprefix(f"{scope}_")])
    return names


def _insert(database: sqlite3.Connection, table: str, row: dict[str, Any]) -> None:
    columns, marks = ", ".join(map(_quoted, row)), ", ".join("?" * len(row))
    statement = f"INSERT INTO {_quoted(table)} ({columns}) VALUES ({marks})"  # noqa: S608 - quoted names
    database.execute(statement, [native(value) for value in row.values()])


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
