"""A log read back out of the tables, as the records it came as.

Events come in the order of their time, or case by case, through a server-side cursor: memory does not grow with the log.
Our own log is read the same way: its objects are documents by their id, its relations their links.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sync_engine.database.statements import sql
from sync_engine.eventlog.known import OUR_OWN
from sync_engine.eventlog.records import BadLog, Declaration, SeenEvent, SeenObject

_FETCH_ROWS = 2_000


@dataclass(frozen=True)
class StoredEvent:
    """An event with what only our tables know of it."""

    seen: SeenEvent
    key: str
    """Unique in the log, also where the file gave its events no ids."""
    object_type: str
    """Of the object it moved, or of the case it is written under."""
    document_id: str
    state_from: str | None
    state_to: str
    business_unit: str
    recorded_at: datetime
    suspect: tuple[str, ...]


class StoredLog:
    """One log in the tables. Streams are read inside of `reading`.

    Raises:
        BadLog: there is no log of that name.
    """

    def __init__(self, connection: psycopg.Connection, log: str) -> None:
        self._connection, self.log, self._streams = connection, log, 0
        self.is_ours = log == OUR_OWN
        declared = self._rows("eventlog.log_named", name=log)
        if not declared and not self.is_ours:
            raise BadLog(f"There is no log {log!r}; `finsync logs` lists what there is.")
        self.declaration = Declaration.of(declared[0]["declaration"] if declared else {})

    @contextmanager
    def reading(self) -> Iterator[None]:
        """One transaction that sees the log as it is now, whatever is written meanwhile."""
        with self._connection.transaction():
            self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            self._connection.execute("SET LOCAL enable_seqscan = on")
            yield

    def types(self) -> list[str]:
        """The types of its objects, the most frequent first."""
        return [row["document_type"] for row in self._rows("eventlog.types_of_log", log=self.log)]

    def value_kinds(self, scope: str) -> list[tuple[str, str | None, list[str]]]:
        """(activity or object type, attribute, JSON kinds of its values) of scope "event" or "object"; None: no attribute."""
        rows = self._rows(
            "eventlog.event_value_kinds" if scope == "event" else "eventlog.object_value_kinds", log=self.log
        )
        return [(row["kind"], row["name"], row["kinds"]) for row in rows]

    def events(self) -> Iterator[StoredEvent]:
        """All events once, in the order of time, with all objects they name."""
        with self._stream("eventlog.export_events", log=self.log) as rows:
            yield from (self._event(row) for row in rows)

    def cases(self, case_type: str) -> Iterator[StoredEvent]:
        """The events of each object of a type, object by object: an event that names several is there for each."""
        with self._stream("eventlog.export_cases", log=self.log, case_type=case_type) as rows:
            yield from (self._event(row) for row in rows)

    def objects(self) -> Iterator[SeenObject]:
        """All objects with their attributes and links, by type and name."""
        statement = "eventlog.export_own_objects" if self.is_ours else "eventlog.export_objects"
        with self._stream(statement, log=self.log) as rows:
            for row in rows:
                values = tuple((name, _since(since), value) for name, since, value in row["values"] or ())
                links = tuple((target, relation) for target, relation in row["links"] or ())
                yield SeenObject(row["object_id"], row["document_type"], values, links)

    def _event(self, row: dict[str, Any]) -> StoredEvent:
        attributes = row["attributes"]
        own_id = str(row["document_id"]) if self.is_ours else row["number"]
        others = tuple((str(one), qualifier) for one, qualifier in row["objects"] or ())
        relations = (((own_id, attributes.get("qualifier", "")),) if own_id else ()) + others
        if self.is_ours:
            values = {"system": row["system"], **attributes}
            external_id: str | None = f"{row['recording_id']}/{row['ordinal']}"
        else:
            values, external_id = attributes.get("values", {}), attributes.get("id")
        started_at = None if self.is_ours else attributes.get("started_at")
        case_id = row.get("case_id")
        seen = SeenEvent(
            row["activity"],
            row["event_at"],
            case=case_id if case_id is not None else (own_id or None),
            relations=relations,
            external_id=external_id,
            started_at=datetime.fromisoformat(started_at) if started_at else None,
            actor=row["actor"],
            values=values,
        )
        return StoredEvent(
            seen,
            external_id or f"{row['recording_id']}/{row['ordinal']}",
            row["document_type"],
            str(row["document_id"]),
            row["state_from"],
            row["state_to"],
            row["business_unit"],
            row["recorded_at"],
            () if self.is_ours else tuple(attributes.get("suspect", ())),
        )

    @contextmanager
    def _stream(self, statement: str, **values: Any) -> Iterator[Iterator[dict[str, Any]]]:
        self._streams += 1
        with self._connection.cursor(f"exported_{self._streams}", row_factory=dict_row) as cursor:
            cursor.itersize = _FETCH_ROWS
            cursor.execute(sql(statement), values)
            yield iter(cursor)

    def _rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(sql(statement), values).fetchall()


def _since(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
