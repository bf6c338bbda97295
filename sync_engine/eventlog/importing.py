"""Takes a file into the event log under a name of its own, once, whatever interrupts it.

1. Reading: every record is staged or rejected, batch by batch; each batch commits with how far the file has come.
2. Ordering: one pass in SQL finds what is new, gives every event its document and its place in that document's history,
   and the stages between which it moved it.
3. Writing: chunks of events become recordings with their Merkle root, like those of our own engine.
4. The documents, their names, links and attributes follow, and the staging tables are emptied.

The same command goes on where the last one stopped. Events that were written are never rewritten: what a later file says
of the time before goes behind them in its document's history, and the summary counts it as late.
"""

import gc
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from sync_engine.database.statements import sql
from sync_engine.engine.engine import database_now
from sync_engine.eventlog.csv_log import CsvReader
from sync_engine.eventlog.leaves import root_of
from sync_engine.eventlog.ocel_json import OcelJsonReader
from sync_engine.eventlog.ocel_sqlite import OcelSqliteReader
from sync_engine.eventlog.ocel_xml import OcelXmlReader
from sync_engine.eventlog.opening import Options, format_of
from sync_engine.eventlog.records import BadLog, Declaration, Reader, SeenEvent, SeenObject
from sync_engine.eventlog.stages import Mapping
from sync_engine.eventlog.staging import Batch
from sync_engine.eventlog.xes import XesReader
from sync_engine.model.ids import NewId

BATCH_RECORDS = 20_000
CHUNK_EVENTS = 5_000

Progress = Callable[[str, int, int], None]
"""(what is being done, how much is behind, how much there is)"""


class Stopped(Exception):
    """Told to stop; what was done stands, and the same command goes on from there."""


class Busy(BadLog):
    """Another import into this log is running."""


class Stop(Protocol):
    """A flag such as `threading.Event`."""

    def is_set(self) -> bool:
        """Whether to stop."""


@dataclass(frozen=True)
class Request:
    """What to import, and how.

    `owner_unit` is the business unit the log belongs to; empty: nobody's, so only who sees all units sees it. `case_type` is the
    document type of the cases of formats that have cases.
    """

    path: Path
    log: str
    format: str = ""
    options: Options = field(default_factory=Options)
    mapping: Mapping = field(default_factory=Mapping)
    owner_unit: str = ""
    case_type: str = "case"


def reader_of(request: Request) -> Reader:
    """The file, opened by its format.

    Raises:
        BadLog: it cannot be read as asked.
    """
    kind = request.format or format_of(request.path)
    match kind:
        case "csv":
            return CsvReader(request.path, request.options)
        case "xes":
            return XesReader(request.path, request.options)
        case "ocel1-json" | "ocel2-json":
            return OcelJsonReader(request.path, request.options, version=int(kind[4]))
        case "ocel2-xml":
            return OcelXmlReader(request.path, request.options)
        case "ocel2-sqlite":
            return OcelSqliteReader(request.path, request.options)
    raise BadLog(f"There is no format {kind!r}.")


def activities_of(reader: Reader, case_type: str) -> list[tuple[str, str]]:
    """Every (activity, object type) of a file, in the order in which the activities first happen."""
    pairs: dict[tuple[str, str], None] = {}
    types: dict[str, str] = {}
    wanted: dict[tuple[str, str], None] = {}
    for record in reader.records(lambda _: None):
        if isinstance(record, SeenObject) and record.object_type is not None:
            types[record.object_id] = record.object_type
        elif isinstance(record, SeenEvent):
            if record.case is not None:
                pairs[record.activity, case_type] = None
            else:
                wanted |= dict.fromkeys((record.activity, object_id) for object_id, _ in record.relations)
    pairs |= dict.fromkeys((activity, types.get(object_id, "undeclared")) for activity, object_id in wanted)
    return list(pairs)


def import_log(
    connection: psycopg.Connection,
    request: Request,
    *,
    new_id: NewId,
    progress: Progress = lambda *_: None,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Import the file, or go on with it. Returns what came of it, as counts and sentences.

    Args:
        connection: The engine's, in autocommit mode.
        request: What, and how.
        new_id: Makes the ids of recordings.
        progress: Hears how far it is.
        stop: Looked at between batches.

    Raises:
        BadLog: it cannot be read as asked; no event of it is in.
        Stopped: told to; the same call goes on.
    """
    reader = reader_of(request)
    with _alone(connection, request.log), _for_sets(connection), _little_searching():
        run = _Import(connection, request, reader, new_id, progress, stop)
        return run.run()


class _Import:
    """One run over one file."""

    def __init__(
        self,
        connection: psycopg.Connection,
        request: Request,
        reader: Reader,
        new_id: NewId,
        progress: Progress,
        stop: Stop | None,
    ) -> None:
        self._connection, self._request, self._reader = connection, request, reader
        self._new_id, self._progress, self._stop = new_id, progress, stop
        self._size = request.path.stat().st_size

    def run(self) -> dict[str, Any]:
        """All phases that are left."""
        request = self._request
        digest = _digest(request.path)
        known = self._row("file_of_log", log=request.log, file_sha256=digest)
        if known is None:
            known = self._begin(digest)
        elif known["phase"] == "ready":
            return {**known["counts"], **self._about(known["options"]), "events_new": 0, "was_known": True}
        self._import_id: UUID = known["import_id"]
        options, counts = known["options"], dict(known["counts"])
        if known["phase"] == "writing" and known["to_write"] is None:
            self._execute("set_phase", import_id=self._import_id, phase="reading", counts="{}")
            counts = {}
        if known["phase"] == "reading" or not counts:
            try:
                counts = self._read(known["records_read"], counts)
            except BadLog:
                # The file itself is broken: what was staged of it will never be needed.
                self._execute("clear_staged", import_id=self._import_id)
                raise
            counts = self._order(counts)
            known = {"written": 0, "to_write": counts["events_new"]}
        self._write(known["written"], known["to_write"])
        counts = self._finish(counts)
        return {**counts, **self._about(options), "was_known": False}

    def _begin(self, digest: bytes) -> dict[str, Any]:
        request, now = self._request, self._now()
        log = self._row("log_named", name=request.log)
        if log is not None and log["business_unit"] != request.owner_unit:
            raise BadLog(
                f"The log {request.log!r} belongs to unit {log['business_unit']!r}; import into it with --unit {log['business_unit']!r}."
            )
        options = {
            "format": self._reader.declaration.format,
            "time_zone": request.options.time_zone,
            "guessed": self._reader.guessed,
        }
        import_id = self._new_id(now)
        with self._connection.transaction():
            self._execute("begin_log", name=request.log, business_unit=request.owner_unit, now=now)
            self._execute(
                "begin_file",
                import_id=import_id,
                log=request.log,
                business_unit=request.owner_unit,
                file_name=request.path.name,
                file_sha256=digest,
                options=json.dumps(options),
                now=now,
            )
        return {"import_id": import_id, "phase": "reading", "records_read": 0, "options": options, "counts": {}}

    def _read(self, behind: int, counts: dict[str, Any]) -> dict[str, Any]:
        """Stage what is left of the file; `behind` records of it are staged already."""
        request, import_id = self._request, self._import_id
        if behind == 0:
            self._execute("clear_staged", import_id=import_id)
        self._execute("begin_progress", import_id=import_id)
        counts = {"events_read": 0, "suspect": 0, "records": behind, **counts}
        records = self._reader.records(lambda done: self._progress("reading", done, self._size))
        position, record = 0, next(records, None)
        while record is not None and position < behind:
            position, record = position + 1, next(records, None)
        while record is not None:
            batch = Batch(self._connection, import_id, request.log, request.owner_unit, now=self._now())
            until = position + BATCH_RECORDS
            with self._connection.transaction():
                with batch.open():
                    while record is not None and position < until:
                        position += 1
                        batch.add(position, record)
                        record = next(records, None)
                counts["events_read"] += batch.events
                counts["suspect"] += batch.suspect
                counts["records"] = position
                self._execute("note_read", import_id=import_id, records_read=position)
                self._execute("set_phase", import_id=import_id, phase="reading", counts=json.dumps(counts))
            self._may_stop()
        return counts

    def _order(self, counts: dict[str, Any]) -> dict[str, Any]:
        request, import_id = self._request, self._import_id
        self._progress("ordering", 0, 1)
        self._row("look_at_staged", what="file")
        pairs = self._rows("activities", import_id=import_id, case_type=request.case_type)
        mapping = request.mapping
        with self._connection.transaction():
            self._execute(
                "put_stages",
                import_id=import_id,
                activity=[pair["activity"] for pair in pairs],
                object_type=[pair["object_type"] for pair in pairs],
                stage=[mapping.stage(pair["activity"]) for pair in pairs],
                preference=[mapping.preference(pair["activity"], pair["object_type"]) for pair in pairs],
            )
            self._execute(
                "order_documents",
                import_id=import_id,
                log=request.log,
                case_type=request.case_type,
                owner_unit=request.owner_unit,
            )
            self._row("look_at_staged", what="documents")
            self._execute("order_events", import_id=import_id, log=request.log, case_type=request.case_type)
            self._row("look_at_staged", what="events")
            ordered = self._row("note_ordered", import_id=import_id) or {}
            counts |= {
                "events_new": ordered["to_write"],
                "events_known": ordered["staged"] - ordered["to_write"],
                "events_late": ordered["late"],
                "activities": len({pair["activity"] for pair in pairs}),
            }
            log = self._row("log_named", name=request.log) or {}
            joined = Declaration.of(log["declaration"]).joined(self._reader.declaration)
            self._execute("declare_log", name=request.log, declaration=json.dumps(joined.as_json()))
            self._execute("set_phase", import_id=import_id, phase="writing", counts=json.dumps(counts))
        return counts

    def _write(self, written: int, to_write: int) -> None:
        """Recordings of the events from place `written` + 1 on."""
        request, import_id = self._request, self._import_id
        with self._connection.transaction():
            self._connection.execute("SELECT ensure_partitions(%s, 2)", [self._now().date()])
            # Before the first event of theirs: an engine folds what it sees while the rest is still coming in.
            self._write_documents("begin_documents")
            # From here on only short stretches are looked up.
            self._connection.execute("SELECT set_config('enable_seqscan', 'off', false)")
        while written < to_write:
            now = self._now()
            recording_id = self._new_id(now)
            chunk = {"import_id": import_id, "first": written + 1, "last": min(written + CHUNK_EVENTS, to_write)}
            recording = {**chunk, "recording_id": recording_id}
            with self._connection.transaction():
                events = {**recording, "log": request.log, "now": now}
                rows = self._connection.execute(sql("eventlog.write_events"), events, binary=True).fetchall()
                # In a pipeline the server writes the rest while the root of the events is computed here.
                with self._connection.pipeline():
                    self._execute("write_event_objects", **recording, now=now)
                    self._execute("write_identities", **recording, log=request.log)
                    self._connection.execute(
                        sql("record.insert_recording"),
                        {
                            "recording_id": recording_id,
                            "engine_id": f"import:{request.log}",
                            "now": now,
                            "event_count": len(rows),
                            "merkle_root": root_of(rows, request.log, now),
                        },
                    )
                    written += len(rows)
                    self._execute("note_written", import_id=import_id, written=written)
            self._progress("writing", written, to_write)
            self._may_stop()
        self._connection.execute("SELECT set_config('enable_seqscan', 'on', false)")

    def _write_documents(self, statement: str) -> None:
        """The log's documents, before their events (`begin_documents`) or after them (`finish_documents`)."""
        request = self._request
        final = list(request.mapping.final)
        self._execute(statement, import_id=self._import_id, log=request.log, final=final, now=self._now())

    def _finish(self, counts: dict[str, Any]) -> dict[str, Any]:
        request, import_id, now = self._request, self._import_id, self._now()
        self._progress("finishing", 0, 1)
        with self._connection.transaction():
            self._write_documents("finish_documents")
            if counts["events_known"]:
                self._execute("name_last_events", log=request.log)
            self._execute("write_identifiers", import_id=import_id, log=request.log, now=now)
            self._execute("write_links", import_id=import_id, now=now)
            self._execute("write_values", import_id=import_id)
            counts["rejected"] = (self._row("count_rejects", import_id=import_id) or {})["rejected"]
            self._execute("finish_file", import_id=import_id, counts=json.dumps(counts), now=now)
            self._execute("clear_staged", import_id=import_id)
        return counts

    def _about(self, options: dict[str, Any]) -> dict[str, Any]:
        return {
            "log": self._request.log,
            "file": self._request.path.name,
            "format": options["format"],
            "time_zone": options["time_zone"],
            "guessed": options["guessed"],
        }

    def _may_stop(self) -> None:
        if self._stop is not None and self._stop.is_set():
            raise Stopped

    def _now(self) -> datetime:
        now: datetime = database_now(self._connection)
        return now

    def _execute(self, statement: str, **values: Any) -> None:
        self._connection.execute(sql(f"eventlog.{statement}"), values)

    def _rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        with self._connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(sql(f"eventlog.{statement}"), values).fetchall()

    def _row(self, statement: str, **values: Any) -> dict[str, Any] | None:
        return next(iter(self._rows(statement, **values)), None)


@contextmanager
def _alone(connection: psycopg.Connection, log: str) -> Iterator[None]:
    """Nobody else imports into this log meanwhile."""
    key = int.from_bytes(
        hashlib.sha256(f"finsync import {connection.info.dbname} {log}".encode()).digest()[:8], signed=True
    )
    taken = connection.execute("SELECT pg_try_advisory_lock(%s # hashtext(current_schema()))", [key]).fetchone()
    if taken is None or not taken[0]:
        raise Busy(f"Another import into {log!r} is running; wait until it is done.")
    try:
        yield
    finally:
        if not connection.closed:
            connection.execute("SELECT pg_advisory_unlock(%s # hashtext(current_schema()))", [key])


@contextmanager
def _for_sets(connection: psycopg.Connection) -> Iterator[None]:
    """The engine's connections plan for single rows found by index; here whole tables are read, sorted and joined."""
    settings = {"enable_seqscan": "on", "plan_cache_mode": "auto", "work_mem": "128MB"}
    before = {name: connection.execute("SELECT current_setting(%s)", [name]).fetchone() for name in settings}
    for name, value in settings.items():
        connection.execute("SELECT set_config(%s, %s, false)", [name, value])
    try:
        yield
    finally:
        if not connection.closed:
            for name, row in before.items():
                connection.execute("SELECT set_config(%s, %s, false)", [name, row[0] if row else ""])


@contextmanager
def _little_searching() -> Iterator[None]:
    """What the program is made of is not searched for garbage while a file is read: its millions of short-lived records set the search off
    so often that it took half of the time."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
