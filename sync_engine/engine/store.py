"""Writes recordings and takes work: the only module of the engine that speaks SQL on the hot path.

A recording is sent in one pipeline of named statements and stands or falls as a whole. Two counts are checked: every
document moved from the version it was read at, and every work item was still held under its fencing token. If either
fails, somebody else was first, nothing of the recording stands and the caller decides again (`Stale`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from sync_engine.database.arrays import array_literal
from sync_engine.database.statements import sql
from sync_engine.engine.recording import Head, Recording

BREAKER_FAILURES = 5
"""Failures in a row after which documents wait instead of being tried: fewer would trip on a hiccup."""

BREAKER_PAUSE_S = 30
"""How long nobody asks after the breaker has opened, and again after each failed probe."""

_HEAD = (
    "document_id",
    "document_type",
    "correlation_id",
    "number",
    "title",
    "business_unit",
    "company_code",
    "source_system",
    "state",
    "approval_status",
    "posting_status",
    "state_since",
    "version",
    "payload_version",
    "currency",
    "amount",
    "group_amount",
    "supplier",
    "supplier_name",
    "requester",
    "submitted_at",
    "need_by_on",
    "due_on",
    "source_at",
    "closed_at",
)
_MOVED = tuple(column for column in _HEAD if column not in {"document_type", "number", "source_system"})


class Stale(Exception):
    """A document or a work item has changed since it was read; nothing was written."""


@dataclass(slots=True)
class OpenedCase:
    """What became of a case the recording told of."""

    case_id: UUID
    work_item_id: UUID | None
    message_id: UUID | None
    code: str
    is_new: bool


def head_of(row: dict[str, Any]) -> Head:
    """The document in a row of a claim or a lock."""
    return Head(*(row[column] for column in _HEAD))


def write(connection: psycopg.Connection, recording: Recording) -> list[OpenedCase]:
    """Write a recording inside the caller's transaction. Returns what became of its cases.

    Raises:
        Stale: see the module; the caller's transaction must be rolled back.
    """
    if recording.is_empty:
        return []
    pipeline = _Pipeline(connection, recording.now)
    try:
        cases = _send(pipeline, recording)
    except psycopg.errors.UniqueViolation as error:
        # A payload version that somebody else has written meanwhile: the same discovery as a stale version, made earlier.
        if error.diag.constraint_name != "document_payload_pkey":
            raise
        raise Stale("another payload version was written meanwhile") from error
    for cursor, expected in pipeline.expectations:
        if cursor.rowcount != expected:
            raise Stale(f"{cursor.rowcount} of {expected} rows were still as they had been read")
    for wanted in pipeline.woken_by_links:
        woken = [row["from_document_id"] for row in wanted.fetchall()]
        if woken:
            connection.execute(sql("record.wake_work"), {"document_id": woken, "now": recording.now})
    return [OpenedCase(**row) for row in cases.fetchall()] if cases is not None else []


def _send(pipeline: "_Pipeline", recording: Recording) -> psycopg.Cursor[dict[str, Any]] | None:
    with pipeline.connection.pipeline():
        _write_documents(pipeline, recording)
        _write_work(pipeline, recording)
        _write_calls(pipeline, recording)
        cases = pipeline.send_rows(recording.cases)
        pipeline.send_rows(recording.closed_cases)
        pipeline.send_rows(recording.case_statuses)
        pipeline.send_rows(recording.case_events)
        pipeline.send_rows(recording.redrive_items)
        if recording.finished_redrives:
            pipeline.send("record.finish_redrives", {"redrive_id": list(recording.finished_redrives)})
    return cases


def write_claims(connection: psycopg.Connection, recording: Recording) -> None:
    """Write what is about to be done outside, inside the claim's transaction: intents, and that reprocessed items are on
    their way."""
    pipeline = _Pipeline(connection, recording.now)
    pipeline.send_rows(recording.intents, engine_id=recording.engine_id)
    pipeline.send_rows(recording.case_statuses)
    pipeline.send_rows(recording.redrive_items)


class _Pipeline:
    """Sends statements that have rows, and remembers which counts matter."""

    def __init__(self, connection: psycopg.Connection, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self.expectations: list[tuple[psycopg.Cursor[dict[str, Any]], int]] = []
        self.woken_by_links: list[psycopg.Cursor[dict[str, Any]]] = []

    def send(
        self, statement: str, values: dict[str, Any], *, expect: int | None = None
    ) -> psycopg.Cursor[dict[str, Any]]:
        cursor = self.connection.cursor(row_factory=dict_row)
        written = {name: array_literal(value) if isinstance(value, list) else value for name, value in values.items()}
        cursor.execute(sql(statement), {**written, "now": self.now})
        if expect is not None:
            self.expectations.append((cursor, expect))
        return cursor

    def send_rows(self, rows: Any, *, expect_all: bool = False, **more: Any) -> psycopg.Cursor[dict[str, Any]] | None:
        if not rows.rows:
            return None
        return self.send(rows.statement, {**rows.arrays(), **more}, expect=len(rows.rows) if expect_all else None)


def _arrays(heads: list[Head], columns: tuple[str, ...]) -> dict[str, list[Any]]:
    return {column: [getattr(head, column) for head in heads] for column in columns}


def _write_documents(pipeline: _Pipeline, recording: Recording) -> None:
    pipeline.send(
        "record.insert_recording",
        {
            "recording_id": recording.recording_id,
            "engine_id": recording.engine_id,
            "event_count": len(recording.events),
            "merkle_root": recording.merkle_root,
        },
    )
    new, moved, noted = [], [], []
    for head in recording.heads.values():
        if head.document_id in recording.new:
            new.append(head)
        elif head.version != head.read_version:
            moved.append(head)
        elif head.document_id in recording.events_of:
            noted.append(head)
    events = recording.events_of
    if new:
        pipeline.send(
            "record.insert_documents", {**_arrays(new, _HEAD), "events": [events[head.document_id] for head in new]}
        )
    if moved:
        values = {
            **_arrays(moved, _MOVED),
            "expected_version": [head.read_version for head in moved],
            "events": [events.get(head.document_id, 0) for head in moved],
        }
        pipeline.send("record.move_documents", values, expect=len(moved))
    if noted:
        pipeline.send(
            "record.note_documents",
            {
                "document_id": [head.document_id for head in noted],
                "events": [events[head.document_id] for head in noted],
            },
        )
    pipeline.send_rows(recording.payloads)
    if recording.identifiers.rows:
        pipeline.send_rows(recording.identifiers)
    pipeline.send_rows(recording.links)
    pipeline.send_rows(recording.wanted_links)
    if recording.identifiers.rows:
        names = {
            column: values
            for column, values in recording.identifiers.arrays().items()
            if column in {"system", "kind", "external_id"}
        }
        pipeline.woken_by_links.append(pipeline.send("record.settle_wanted_links", names))
    if recording.events:
        columns = {
            name: [event[name] for event in recording.events] for name in recording.events[0] if name != "attributes"
        }
        pipeline.send(
            "record.insert_events",
            {
                **columns,
                "recording_id": recording.recording_id,
                "events_of_document": [events[event["document_id"]] for event in recording.events],
                "attributes": [recording.encoded(event["attributes"]) for event in recording.events],
            },
        )
    pipeline.send_rows(recording.event_objects, recording_id=recording.recording_id)


def _write_work(pipeline: _Pipeline, recording: Recording) -> None:
    pipeline.send_rows(recording.work, expect_all=True)
    pipeline.send_rows(recording.restarts)
    if recording.cancelled:
        pipeline.send("record.cancel_work", {"document_id": list(recording.cancelled)})
    pipeline.send_rows(recording.new_work)
    if recording.woken:
        pipeline.send("record.wake_work", {"document_id": list(recording.woken)})
    if recording.woken_subjects:
        pipeline.send("record.wake_subjects", {"subject_id": list(recording.woken_subjects)})
    pipeline.send_rows(recording.movements)
    pipeline.send_rows(recording.budgets)
    pipeline.send_rows(recording.reservations)
    if recording.released:
        pipeline.send("record.release_reservations", {"document_id": list(recording.released)})


def _write_calls(pipeline: _Pipeline, recording: Recording) -> None:
    pipeline.send_rows(recording.intents, engine_id=recording.engine_id)
    pipeline.send_rows(recording.settled_intents)
    pipeline.send_rows(recording.attempts, engine_id=recording.engine_id)
    pipeline.send_rows(recording.attempt_bodies)
    if recording.dispositions.rows:
        pipeline.send_rows(recording.dispositions, mapping_version=recording.mapping_version)
        pipeline.send("record.forget_pending", {"message_id": [row[0] for row in recording.dispositions.rows]})
    if recording.systems:
        told = list(recording.systems.values())
        limit, remaining, reset = zip(*(one["quota"] for one in told), strict=True)
        pipeline.send(
            "record.note_systems",
            {
                "system": list(recording.systems),
                "succeeded": [one["succeeded"] for one in told],
                "failed": [one["failed"] for one in told],
                "error": [one["error"] for one in told],
                "paused_until": [one["paused_until"] for one in told],
                "quota_limit": list(limit),
                "quota_remaining": list(remaining),
                "quota_reset_at": list(reset),
                "breaker_failures": BREAKER_FAILURES,
                "breaker_pause_s": BREAKER_PAUSE_S,
            },
        )


def lock_heads(connection: psycopg.Connection, document_ids: list[UUID]) -> dict[UUID, Head]:
    """The documents as they are now, held until the transaction ends."""
    if not document_ids:
        return {}
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(sql("work.lock_documents"), {"document_id": document_ids}).fetchall()
    return {row["document_id"]: head_of(row) for row in rows}


def rows(connection: psycopg.Connection, statement: str, **values: Any) -> list[dict[str, Any]]:
    """What a named statement answers, as dictionaries."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql(statement), values).fetchall()


def run(connection: psycopg.Connection, statement: str, **values: Any) -> int:
    """Run a named statement that answers no rows; returns how many rows it touched."""
    return connection.execute(sql(statement), values).rowcount


@contextmanager
def transaction(connection: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """One transaction on an autocommit connection."""
    with connection.transaction():
        yield connection
