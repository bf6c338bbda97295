"""Writes records into the tables in which a file is put in order, as fast as PostgreSQL takes them.

Events travel while they are read (COPY), everything else at the end of a batch; a batch is one transaction together with
how far the file has come, so whatever interrupts it, nothing is read twice and nothing is left out.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.database.statements import sql
from sync_engine.eventlog.records import Reject, SeenEvent, SeenObject
from sync_engine.eventlog.values import canonical

_COPY_EVENTS = "COPY staged_event (import_id, position, content_hash, activity, event_at, actor, unit, case_id, attributes) FROM STDIN"
_COPY_OTHERS = {
    "relations": "COPY staged_relation (import_id, position, ordinal, object_id, qualifier) FROM STDIN",
    "objects": "COPY staged_object (import_id, position, object_id, object_type) FROM STDIN",
    "values": "COPY staged_value (import_id, position, ordinal, object_id, name, since_at, value) FROM STDIN",
    "links": "COPY staged_link (import_id, position, ordinal, from_id, to_id, qualifier) FROM STDIN",
}
_FROM_THE_BEGINNING = "1970-01-01T00:00:00+00:00"
_BLOCK_ROWS = 500
_RAW_SIGNS = 10_000
"""How much of a record that cannot be read is kept."""
_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
"""No purchasing system's clock was right before; such times are placeholders or typing errors."""


class Batch:
    """One batch of records on its way into the staging tables.

    Args:
        import_id: Of the file.
        log: Its log, and the unit that owns it: rejects carry both.
        now: Times after it lie in the future.
    """

    def __init__(
        self, connection: psycopg.Connection, import_id: UUID, log: str, owner_unit: str, *, now: datetime
    ) -> None:
        self._connection, self._id, self._now = connection, str(import_id), now
        self._log, self._owner_unit = log, owner_unit
        self._rejects: list[tuple[int, int | None, str, str, str]] = []
        self._others: dict[str, list[str]] = {name: [] for name in _COPY_OTHERS}
        self._lines: list[bytes] = []
        self.events = self.suspect = self.doubtful = 0

    @contextmanager
    def open(self) -> Iterator[None]:
        """Inside, records are added; afterwards they are on the server, not yet committed."""
        with self._connection.cursor() as cursor:
            with cursor.copy(_COPY_EVENTS) as copy:
                self._copy = copy
                yield
                self._flush()
            for name, rows in self._others.items():
                if rows:
                    # What PostgreSQL's text cannot hold is replaced and visible as such: an object is never dropped for one sign of it.
                    said = _clean("".join(rows)).replace("\\\\u0000", "\ufffd")
                    with cursor.copy(_COPY_OTHERS[name]) as copy:
                        copy.write(said)
            if self._rejects:
                names = ("position", "line", "reason", "value", "raw")
                columns = dict(zip(names, map(list, zip(*self._rejects, strict=True)), strict=True))
                about = {"import_id": self._id, "log": self._log, "business_unit": self._owner_unit}
                cursor.execute(sql("eventlog.put_rejects"), {**about, **columns})

    def add(self, position: int, record: SeenEvent | SeenObject | Reject) -> None:
        """One record; `position` is its number in the file."""
        if isinstance(record, SeenEvent):
            self._event(position, record)
        elif isinstance(record, SeenObject):
            self._object(position, record)
        else:
            self._reject(position, record)

    def _event(self, position: int, event: SeenEvent) -> None:
        attributes: dict[str, Any] = {}
        if event.external_id is not None:
            attributes["id"] = event.external_id
        if event.values:
            attributes["values"] = event.values
        if event.started_at is not None:
            attributes["started_at"] = event.started_at.astimezone(UTC).isoformat()
        event_at = event.event_at.astimezone(UTC)
        suspect = self._suspicions(event, event_at)
        said = canonical(attributes)
        when = event_at.isoformat()
        identity = (
            f"id\x1f{event.external_id}"
            if event.external_id is not None
            else f"{event.case}\x1f{event.activity}\x1f{when}\x1f{event.actor}\x1f{said}\x1f{event.relations}"
        )
        # Whether a time lies in the future depends on when one looks, and so does not belong to what the event says.
        if suspect:
            said = canonical({**attributes, "suspect": suspect})
        try:
            key = hashlib.blake2b(identity.encode(), digest_size=16).hexdigest()
            line = (
                f"{self._id}\t{position}\t{key}\t{_text(event.activity)}\t{when}\t{_text(event.actor)}\t"
                f"{_text(event.unit)}\t{_text(event.case)}\t{_json(said)}\n"
            ).encode()
        except UnicodeEncodeError:
            self._unwritable(position, event)
            return
        if b"\x00" in line or b"\\u0000" in line:
            self._unwritable(position, event)
            return
        self.events += 1
        self.suspect += bool(suspect)
        self._lines.append(line)
        if len(self._lines) >= _BLOCK_ROWS:
            self._flush()
        for ordinal, (object_id, qualifier) in enumerate(event.relations):
            self._put("relations", f"{self._id}\t{position}\t{ordinal}\t{_text(object_id)}\t{_text(qualifier)}\n")

    def _suspicions(self, event: SeenEvent, event_at: datetime) -> list[str]:
        suspect = []
        if event_at < _EARLIEST:
            suspect.append("before 1990")
        elif event_at > self._now:
            suspect.append("in the future")
        if event.started_at is not None and event.started_at > event.event_at:
            suspect.append("ends before its start")
        if event.is_doubtful:
            self.doubtful += 1
            suspect.append("in a clock change")
        return suspect

    def _object(self, position: int, seen: SeenObject) -> None:
        object_id = _text(seen.object_id)
        self._put("objects", f"{self._id}\t{position}\t{object_id}\t{_text(seen.object_type or '')}\n")
        for ordinal, (name, since, value) in enumerate(seen.values):
            when = _FROM_THE_BEGINNING if since is None else since.astimezone(UTC).isoformat()
            self._put(
                "values",
                f"{self._id}\t{position}\t{ordinal}\t{object_id}\t{_text(name)}\t{when}\t{_json(canonical(value))}\n",
            )
        for ordinal, (target, qualifier) in enumerate(seen.links):
            self._put("links", f"{self._id}\t{position}\t{ordinal}\t{object_id}\t{_text(target)}\t{_text(qualifier)}\n")

    def _put(self, table: str, line: str) -> None:
        self._others[table].append(line)

    def _reject(self, position: int, reject: Reject) -> None:
        said = (_clean(reject.reason), _clean(reject.value), _clean(reject.raw[:_RAW_SIGNS]))
        self._rejects.append((position, reject.line, *said))

    def _unwritable(self, position: int, event: SeenEvent) -> None:
        self._reject(
            position, Reject("holds signs that are no text (wrong encoding, or zero bytes)", event.activity, str(event))
        )

    def _flush(self) -> None:
        if self._lines:
            self._copy.write(b"".join(self._lines))
            self._lines.clear()


def _clean(text: str) -> str:
    """The text without what PostgreSQL's text cannot hold."""
    return text.encode("utf-8", "replace").decode().replace("\x00", "\ufffd")


def _text(value: str | None) -> str:
    """A text in COPY's form."""
    if value is None:
        return r"\N"
    if "\\" in value:
        value = value.replace("\\", "\\\\")
    if value.isprintable():
        return value
    return value.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")


def _json(said: str) -> str:
    """JSON in COPY's form: control characters are escaped in it already."""
    return said.replace("\\", "\\\\") if "\\" in said else said
