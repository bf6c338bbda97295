"""Writes recordings and takes work: with `sending` the only module of the engine that speaks SQL on the hot path.

A recording stands or falls as a whole. Most of its tables do not depend on each other, so their named statements are sent
as one (`WITH a AS (...), b AS (...) SELECT ...`); those that touch the same rows in turn follow in a pipeline. Counts are
checked: every document was still as it had been read, and every work item was still held under its fencing token. If not,
somebody else was first, nothing of the recording stands and the caller decides again (`Stale`).

Whoever holds rows of several tables takes them in one order, documents, work items, cases, and those of one table in the
order of their ids: two that want the same then wait for one another in turn and never in a circle.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from sync_engine.database.statements import sql
from sync_engine.engine import atomic
from sync_engine.engine.heads import Head
from sync_engine.engine.recording import Recording
from sync_engine.engine.rows import Rows
from sync_engine.engine.sending import Pipeline, Together

BREAKER_FAILURES = 5
"""Failures in a row after which documents wait instead of being tried: fewer would trip on a hiccup."""

BREAKER_PAUSE_S = 30
"""How long nobody asks after the breaker has opened, and again after each failed probe."""

SUPPLIER_WAIT_S = 60.0
"""After so long a requisition that waits for its supplier's check looks again by itself."""

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
_READ = (*_HEAD, "last_event_seq")
_REVISED = tuple(column for column in _HEAD if column not in {"document_type", "number", "source_system"})
_STATUS = ("document_id", "version", "state", "approval_status", "posting_status", "state_since", "closed_at")
_EVENT_OF_HEAD = ("document_type", "correlation_id", "business_unit")


def head_of(row: dict[str, Any]) -> Head:
    """The document in a row of a claim or a lock."""
    return Head(*(row[column] for column in _READ))


def write(connection: psycopg.Connection, recording: Recording) -> None:
    """Write a recording inside the caller's `transaction`, which raises Stale if it may not stand."""
    if recording.is_empty:
        return
    _together(recording).send(connection)
    _after(connection, recording)


def record(connection: psycopg.Connection, recording: Recording) -> None:
    """Write a recording as a transaction of its own.

    Raises:
        Stale: something changed since it was read; nothing was written.
    """
    if recording.is_empty:
        return
    together = _together(recording)
    if _has_after(recording):
        with atomic.transaction(connection):
            together.send(connection)
            _after(connection, recording)
        return
    try:
        together.send(connection)
    except psycopg.Error as error:
        if atomic.is_stale(error):
            raise atomic.Stale(str(error).splitlines()[0]) from error
        raise


def statements(recording: Recording) -> list[tuple[str, dict[str, Any]]]:
    """The statements that write a recording, one for each table, and their values: what `record` sends as one."""
    return _together(recording).statements()


def _together(recording: Recording) -> Together:
    together = Together(recording)
    _documents(together, recording)
    _work(together, recording)
    _calls(together, recording)
    return together


def write_claims(connection: psycopg.Connection, recording: Recording) -> None:
    """Write what is about to be done outside, inside the claim's transaction: intents, and that reprocessed items are on
    their way."""
    pipeline = Pipeline(connection, recording.now)
    pipeline.send_rows(recording.intents, engine_id=recording.engine_id)
    pipeline.send_rows(recording.case_statuses)
    pipeline.send_rows(recording.redrive_items)


def give_back(connection: psycopg.Connection, work: Rows, intents: Rows, now: datetime) -> None:
    """Undo a claim of which nothing has been begun: the items are due again, what was meant to be sent was not."""
    with atomic.transaction(connection):
        pipeline = Pipeline(connection, now)
        pipeline.send_rows(work)
        pipeline.send_rows(intents)


def _arrays(heads: list[Head], columns: tuple[str, ...]) -> dict[str, list[Any]]:
    return {column: [getattr(head, column) for head in heads] for column in columns}


def _documents(together: Together, recording: Recording) -> None:
    new: list[Head] = []
    revised: list[Head] = []
    moved: list[Head] = []
    noted: list[Head] = []
    for head in sorted(recording.heads.values(), key=lambda one: one.document_id.int):
        if head.document_id in recording.new:
            new.append(head)
        elif head.version != head.read_version:
            by_status = recording.says_revisions and head.document_id not in recording.revised
            (moved if by_status else revised).append(head)
        elif head.document_id in recording.events_of:
            noted.append(head)
    events = recording.events_of
    if new:
        together.add(
            "record.insert_documents", {**_arrays(new, _HEAD), "events": [events[head.document_id] for head in new]}
        )
    for statement, columns, heads in (
        ("record.revise_documents", _REVISED, revised),
        ("record.move_documents", _STATUS, moved),
    ):
        if heads:
            values = {
                **_arrays(heads, columns),
                "expected_version": [head.read_version for head in heads],
                "expected_seq": [head.last_event_seq for head in heads],
                "events": [events.get(head.document_id, 0) for head in heads],
            }
            together.add(statement, values, expect=len(heads))
    if noted:
        values = {
            "document_id": [head.document_id for head in noted],
            "expected_seq": [head.last_event_seq for head in noted],
            "events": [events[head.document_id] for head in noted],
        }
        together.add("record.note_documents", values, expect=len(noted))
    for rows in (
        recording.payloads,
        recording.identifiers,
        recording.links,
        recording.wanted_links,
        recording.movements,
        recording.budgets,
        recording.reservations,
    ):
        together.add_rows(rows)
    if recording.events:
        _events(together, recording)
        together.add_rows(recording.event_objects, recording_id=recording.recording_id)


def _events(together: Together, recording: Recording) -> None:
    """The events, and the recording they stand in. Without events there is nothing to fold or to seal."""
    together.add(
        "record.insert_recording",
        {
            "recording_id": recording.recording_id,
            "engine_id": recording.engine_id,
            "event_count": len(recording.events),
            "merkle_root": recording.merkle_root,
        },
    )
    columns = {
        name: [event[name] for event in recording.events]
        for name in recording.events[0]
        if name not in {"attributes", "nth"}
    }
    heads = [recording.heads[event["document_id"]] for event in recording.events]
    together.add(
        "record.insert_events",
        {
            **columns,
            **_arrays(heads, _EVENT_OF_HEAD),
            "recording_id": recording.recording_id,
            "seq": [recording.seq_of(event) for event in recording.events],
            "attributes": [recording.encoded(event["attributes"]) for event in recording.events],
        },
    )


def _calls(together: Together, recording: Recording) -> None:
    together.add_rows(recording.settled_intents)
    together.add_rows(recording.earlier_intents)
    together.add_rows(recording.attempts, engine_id=recording.engine_id)
    together.add_rows(recording.attempt_bodies)
    if recording.dispositions.rows:
        together.add_rows(recording.dispositions, mapping_version=recording.mapping_version)
        together.add("record.forget_pending", {"message_id": [row[0] for row in recording.dispositions.rows]})
    if recording.released:
        together.add("record.release_reservations", {"document_id": list(recording.released)})
    others = {system: calls for system, calls in recording.spent.items() if system not in recording.systems}
    if others:
        together.add("record.spend_calls", {"system": list(others), "spent": list(others.values())})
    if recording.systems:
        told = list(recording.systems.values())
        limit, remaining, reset = zip(*(one["quota"] for one in told), strict=True)
        together.add(
            "record.note_systems",
            {
                "system": list(recording.systems),
                "succeeded": [one["succeeded"] for one in told],
                "failed": [one["failed"] for one in told],
                "error": [one["error"] for one in told],
                "paused_until": [one["paused_until"] for one in told],
                "probe_until": [one["probe_until"] for one in told],
                "quota_limit": list(limit),
                "quota_remaining": list(remaining),
                "quota_reset_at": list(reset),
                "spent": [recording.spent.get(system, 0) for system in recording.systems],
                "breaker_failures": BREAKER_FAILURES,
                "breaker_pause_s": BREAKER_PAUSE_S,
            },
        )


def _work(together: Together, recording: Recording) -> None:
    """Work items. No two of these statements touch one row: what this recording puts back is left to `settle_work`, and
    whoever is woken or cancelled by it is put back accordingly (`Recording.work_rows`)."""
    settled = [row[0] for row in recording.work.rows]
    together.add_rows(recording.work_rows(), expect_all=True, held_as=recording.held_as)
    together.add_rows(recording.new_work)
    woken = [document_id for document_id in recording.woken if document_id not in recording.cancelled]
    if woken:
        together.add("record.wake_work", {"document_id": woken, "settled": settled})
    if recording.cancelled:
        together.add("record.cancel_work", {"document_id": list(recording.cancelled), "settled": settled})
    if told := _stands_otherwise(recording):
        together.add("record.insert_standing_news", {"document_id": told})


def _stands_otherwise(recording: Recording) -> list[UUID]:
    """Documents that may stand otherwise on the page on stuck documents without an event of theirs, by id; where one is recorded, the
    folder looks at the document for that (sync_engine/insight/standing.py)."""
    changed = recording.restood | recording.cancelled
    changed |= {head.document_id for head in recording.heads.values() if head.version != head.read_version}
    changed |= {row[1] for rows in (recording.new_work, recording.restarts) for row in rows.rows}
    status, since = (recording.work.columns.index(name) for name in ("status", "step_since"))
    # Work that ends or comes to another step; what only waits on, or is tried again, stands as it stood.
    changed |= {
        document_id
        for row, document_id in zip(recording.work.rows, recording.work_documents, strict=True)
        if row[status] in {"done", "cancelled"} or row[since] == recording.now
    }
    return sorted(changed - recording.events_of.keys(), key=lambda one: one.int)


def _has_after(recording: Recording) -> bool:
    return bool(
        recording.restarts.rows
        or recording.wanted_links.rows
        or recording.woken_subjects
        or recording.ready_suppliers
        or recording.identifiers.rows
        or recording.cases.rows
        or recording.closed_cases.rows
        or recording.case_statuses.rows
        or recording.case_events.rows
        or recording.redrive_items.rows
        or recording.finished_redrives
    )


def _after(connection: psycopg.Connection, recording: Recording) -> None:
    """What has to see the rest of the recording, or touches rows that something else of it touches too."""
    after = Pipeline(connection, recording.now)
    after.send_rows(recording.restarts)
    if recording.restarts.rows:
        begun = recording.restarts.arrays()
        after.send("record.restart_held_work", {name: begun[name] for name in ("document_id", "subject_id", "flow")})
    if recording.woken_subjects:
        after.send("record.wake_subjects", {"subject_id": list(recording.woken_subjects)})
    if recording.ready_suppliers:
        # The clocks of two engines, and of two batches of one, need not agree to the second: hence twice the wait.
        values = {"document_id": list(recording.ready_suppliers), "wait_s": 2 * SUPPLIER_WAIT_S}
        after.send("record.wake_buyers", values)
    _link(after, recording)
    after.send_rows(recording.cases)
    after.send_rows(recording.closed_cases)
    after.send_rows(recording.case_statuses)
    after.send_rows(recording.case_events)
    after.send_rows(recording.redrive_items)
    if recording.finished_redrives:
        after.send("record.finish_redrives", {"redrive_id": list(recording.finished_redrives)})
    if recording.closed_cases.rows:
        closed = recording.closed_cases.arrays()
        after.send("record.end_redrives_of_cases", {name: closed[name] for name in ("case_id", "close_reason")})


def _link(after: Pipeline, recording: Recording) -> None:
    """Make the links that waited for names given here, and those wanted here whose names somebody else has given meanwhile."""
    tables = [rows for rows in (recording.identifiers, recording.wanted_links) if rows.rows]
    if not tables:
        return
    after.send("record.hold_names" if recording.wanted_links.rows else "record.share_names", {})
    for rows in tables:
        names = {
            column: values for column, values in rows.arrays().items() if column in {"system", "kind", "external_id"}
        }
        after.send("record.settle_wanted_links", names)


def lock_heads(connection: psycopg.Connection, document_ids: list[UUID]) -> dict[UUID, Head]:
    """The documents as they are now, held until the transaction ends."""
    if not document_ids:
        return {}
    return {
        row["document_id"]: head_of(row) for row in rows(connection, "work.lock_documents", document_id=document_ids)
    }


def rows(connection: psycopg.Connection, statement: str, **values: Any) -> list[dict[str, Any]]:
    """What a named statement answers, as dictionaries."""
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql(statement), values).fetchall()


def rows_of_all(connection: psycopg.Connection, *asked: tuple[str, dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What several named statements answer, asked in one go inside a `transaction`."""
    cursors = []
    for statement, values in asked:
        cursor = connection.cursor(row_factory=dict_row)
        cursor.execute(sql(statement), values)
        cursors.append(cursor)
    return [cursor.fetchall() for cursor in cursors]


def run(connection: psycopg.Connection, statement: str, **values: Any) -> int:
    """Run a named statement that answers no rows; returns how many rows it touched."""
    return connection.execute(sql(statement), values).rowcount
