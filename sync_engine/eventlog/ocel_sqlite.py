"""OCEL 2.0 as an SQLite database (specification of 2023, section 5): one table per event type and per object type.

SQL over a file of somebody else: it is opened read-only, and the names of its tables are quoted.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import groupby
from operator import itemgetter
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
        for needed in ("ocel_id", "ocel_time") if scope == "event" else ("ocel_id",):
            if needed not in names:
                raise BadLog(f"There is no table {table} with an {needed}, though the database names it.")
        return names

    def _objects(self, database: sqlite3.Connection, kind: str, table: str) -> Iterator[Record]:
        names = self._columns(database, "object", kind, table)
        rows = database.execute(f"SELECT * FROM {_quoted(table)} ORDER BY ocel_id, rowid")  # noqa: S608 - a quoted name
        # The links of each object that has rows, in the same order: both are read once, side by side.
        linked = database.execute(_LINKS.format(f"SELECT DISTINCT ocel_id FROM {_quoted(table)}"))  # noqa: S608
        for (object_id, of_object), (_, links) in zip(_runs(rows, names), groupby(linked, _FIRST), strict=True):
            values = []
            for row in of_object:
                since = times.since(row["ocel_time"], self._zone)
                changed = row.get("ocel_changed_field")
                values += [
                    (name, since, typed(row[name], self.declaration.types["object", kind, name]))
                    for name in names
                    if name not in _OURS and row[name] is not None and changed in {None, "", name}
                ]
            yield SeenObject(object_id, kind, tuple(values), _relations(links))
        bare = (
            f"SELECT ocel_id FROM object WHERE ocel_type = ? AND ocel_id NOT IN (SELECT ocel_id FROM {_quoted(table)})"  # noqa: S608 - a quoted name
        )
        for object_id, links in groupby(database.execute(_LINKS.format(bare), [kind]), _FIRST):
            yield SeenObject(str(object_id), kind, (), _relations(links))

    def _events(self, database: sqlite3.Connection, kind: str, table: str) -> Iterator[Record]:
        names = self._columns(database, "event", kind, table)
        types = self.declaration.types
        said = [(at, name, types["event", kind, name]) for at, name in enumerate(names, start=3) if name not in _OURS]
        key, when = (names.index(name) + 3 for name in ("ocel_id", "ocel_time"))
        # An event has as many rows as it names objects, one after the other: nothing is looked up for each event, which would
        # take for ever in the files that come without an index.
        rows = database.execute(
            f"SELECT t.rowid, r.ocel_object_id, r.ocel_qualifier, t.* FROM {_quoted(table)} t "  # noqa: S608 - a quoted name
            "LEFT JOIN event_object r ON r.ocel_event_id = t.ocel_id ORDER BY t.rowid, r.rowid"
        )
        for _, of_event in groupby(rows, _FIRST):
            named = list(of_event)
            row, relations = named[0], _relations(named)
            try:
                moment, doubtful = times.localized(str(row[when]), self._zone)
            except ValueError:
                yield Reject("its time cannot be read", str(row[when]), str(dict(zip(names, row[3:], strict=True))))
                continue
            yield SeenEvent(
                kind,
                moment,
                relations=relations,
                external_id=str(row[key]),
                values={name: typed(row[at], declared) for at, name, declared in said if row[at] is not None},
                is_doubtful=doubtful,
            )


_FIRST = itemgetter(0)
_LINKS = (
    "SELECT o.ocel_id, l.ocel_target_id, l.ocel_qualifier FROM ({}) o LEFT JOIN object_object l ON l.ocel_source_id = o.ocel_id "
    "ORDER BY o.ocel_id, l.rowid"
)
"""Of the objects that a question names."""


def _relations(rows: Iterable[tuple[Any, ...]]) -> tuple[tuple[str, str], ...]:
    """(object, qualifier) of rows that have those in their second and third place; nothing where they have none."""
    return tuple([(str(row[1]), row[2] or "") for row in rows if row[1] is not None])


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
