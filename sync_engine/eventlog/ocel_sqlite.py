"""OCEL 2.0 as an SQLite database (specification of 2023, section 5): one table per event type and per object type.

SQL over a file of somebody else: it is opened read-only, and the names of its tables are quoted.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from sync_engine.eventlog import times
from sync_engine.eventlog.opening import Options
from sync_engine.eventlog.records import BadLog, Declaration, Record, Reject, SeenEvent, SeenObject
from sync_engine.eventlog.values import plain, typed

_OURS = {"ocel_id", "ocel_time", "ocel_changed_field"}
_TYPES = {
    "INTEGER": "integer",
    "INT": "integer",
    "BIGINT": "integer",
    "REAL": "float",
    "FLOAT": "float",
    "BOOLEAN": "boolean",
    "TIMESTAMP": "time",
}


class OcelSqliteReader:
    """An OCEL 2.0 database."""

    def __init__(self, path: Path, options: Options) -> None:
        self._path, self._zone = path, times.zone_named(options.time_zone)
        self.guessed: dict[str, str] = {}
        self.declaration = Declaration("ocel2-sqlite")

    def records(self, tell: Callable[[int], None]) -> Iterator[Record]:
        """Objects by type, then events by type; how much is behind is told by share of the rows."""
        try:
            with closing(sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True)) as database:
                size = self._path.stat().st_size
                [total] = database.execute(
                    "SELECT (SELECT count(*) FROM object) + (SELECT count(*) FROM event)"
                ).fetchone()
                for behind, record in enumerate(self._all(database)):
                    if behind % 1000 == 0:
                        tell(min(size * behind // max(total, 1), size))
                    yield record
        except sqlite3.DatabaseError as error:
            raise BadLog(f"{self._path.name} is no OCEL 2.0 database: {error}.") from error

    def _all(self, database: sqlite3.Connection) -> Iterator[Record]:
        for kind, table in database.execute(
            "SELECT ocel_type, ocel_type_map FROM object_map_type ORDER BY rowid"
        ).fetchall():
            yield from self._objects(database, kind, "object_" + table)
        for kind, table in database.execute(
            "SELECT ocel_type, ocel_type_map FROM event_map_type ORDER BY rowid"
        ).fetchall():
            yield from self._events(database, kind, "event_" + table)

    def _columns(self, database: sqlite3.Connection, scope: str, kind: str, table: str) -> list[str]:
        self.declaration.declare_kind(scope, kind)
        names = []
        for _, name, declared, *_ in database.execute("SELECT * FROM pragma_table_info(?)", [table]):
            names.append(name)
            if name not in _OURS:
                self.declaration.types[scope, kind, name] = _TYPES.get(declared.upper(), "string")
        if "ocel_id" not in names:
            raise BadLog(f"There is no table {table} with an ocel_id, though the database names it.")
        return names

    def _objects(self, database: sqlite3.Connection, kind: str, table: str) -> Iterator[Record]:
        names = self._columns(database, "object", kind, table)
        rows = database.execute(f"SELECT * FROM {_quoted(table)} ORDER BY ocel_id, rowid")  # noqa: S608 - a quoted name
        related = database.cursor()
        links = "SELECT ocel_target_id, ocel_qualifier FROM object_object WHERE ocel_source_id = ? ORDER BY rowid"
        for object_id, of_object in _runs(rows, names):
            values = []
            for row in of_object:
                since = times.since(row["ocel_time"], self._zone)
                changed = row.get("ocel_changed_field")
                values += [
                    (name, since, typed(row[name], self.declaration.types["object", kind, name]))
                    for name in names
                    if name not in _OURS and row[name] is not None and changed in {None, "", name}
                ]
            yield SeenObject(object_id, kind, tuple(values), _relations(related.execute(links, [object_id])))
        bare = (
            f"SELECT ocel_id FROM object WHERE ocel_type = ? AND ocel_id NOT IN (SELECT ocel_id FROM {_quoted(table)})"  # noqa: S608 - a quoted name
        )
        for (object_id,) in database.execute(bare, [kind]):
            yield SeenObject(str(object_id), kind, (), _relations(related.execute(links, [object_id])))

    def _events(self, database: sqlite3.Connection, kind: str, table: str) -> Iterator[Record]:
        names = self._columns(database, "event", kind, table)
        named = [name for name in names if name not in _OURS]
        rows = database.execute(f"SELECT * FROM {_quoted(table)} ORDER BY rowid")  # noqa: S608 - a quoted name
        related = database.cursor()
        for row in (dict(zip(names, values, strict=True)) for values in rows):
            try:
                moment, doubtful = times.localized(str(row["ocel_time"]), self._zone)
            except ValueError:
                yield Reject("its time cannot be read", str(row["ocel_time"]), str(row))
                continue
            relations = related.execute(
                "SELECT ocel_object_id, ocel_qualifier FROM event_object WHERE ocel_event_id = ? ORDER BY rowid",
                [row["ocel_id"]],
            )
            yield SeenEvent(
                kind,
                moment,
                relations=_relations(relations),
                external_id=str(row["ocel_id"]),
                values={
                    name: typed(row[name], self.declaration.types["event", kind, name])
                    for name in named
                    if row[name] is not None
                },
                is_doubtful=doubtful,
            )


def _relations(rows: Iterable[tuple[Any, Any]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(one), qualifier or "") for one, qualifier in rows)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _runs(rows: Iterator[tuple[Any, ...]], names: list[str]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Neighbouring rows of one object."""
    run: list[dict[str, Any]] = []
    for values in rows:
        row = {name: plain(value) for name, value in zip(names, values, strict=True)}
        if run and run[0]["ocel_id"] != row["ocel_id"]:
            yield str(run[0]["ocel_id"]), run
            run = []
        run.append(row)
    if run:
        yield str(run[0]["ocel_id"]), run
