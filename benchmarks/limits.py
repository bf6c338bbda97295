"""What PostgreSQL can do at most with the rows of a transition: the yardstick beside which the engine's speed is read.

The rows are the engine's own, of calls that are really settled: for each the work item claimed and put back, the intent
written and settled, the document moved, the event, the attempt; for each batch a recording. They are made beforehand, and
only writing them is timed: one statement for each table, each with all rows of the batch, one commit.
"""

import time

import psycopg

from benchmarks.workshop import draft, instant_engine
from sync_engine.database.statements import sql
from sync_engine.engine import store
from sync_engine.engine.engine import Engine
from sync_engine.engine.results import idempotency_key

_CLAIM = """
UPDATE work_item w SET status = 'in_call', claimed_at = %(now)s, engine_id = %(engine_id)s
  FROM unnest(%(work_item_id)s::uuid[]) AS u(work_item_id) WHERE w.work_item_id = u.work_item_id"""
_INTEND = """
UPDATE intent i SET sends = i.sends, last_sent_at = %(now)s, outcome = 'open'
  FROM unnest(%(document_id)s::uuid[], %(idempotency_key)s::text[]) AS u(document_id, idempotency_key)
 WHERE i.document_id = u.document_id AND i.idempotency_key = u.idempotency_key"""


def write_rate(connection: psycopg.Connection, *, batch: int, many: int) -> float:
    """Transitions a second that one connection writes, `batch` to a transaction, of `many`."""
    engine = instant_engine(connection, f"limit-{batch}")
    draft(connection, engine, 0, many)
    spent, written = 0.0, 0
    while written < many:
        done, seconds = _write(connection, engine, batch)
        written, spent = written + done, spent + seconds
    return written / spent


def _write(connection: psycopg.Connection, engine: Engine, batch: int) -> tuple[int, float]:
    lane = engine.lanes["erp"]
    items = lane.claim(connection, batch)
    recording = engine.recorder.recording([lane.ask(item) for item in items])
    claimed = {
        "now": recording.now,
        "engine_id": engine.engine_id,
        "work_item_id": [item.work_item_id for item in items],
    }
    intended = {
        "now": recording.now,
        "document_id": [item.head.document_id for item in items],
        "idempotency_key": [idempotency_key(item) for item in items],
    }
    statements = [(sql(name), values) for name, values in store.statements(recording)]
    began = time.perf_counter()
    with connection.pipeline():
        connection.execute("BEGIN", prepare=False)
        connection.execute(_CLAIM, claimed)
        connection.execute(_INTEND, intended)
        for statement, values in statements:
            connection.execute(statement, values)
        connection.execute("COMMIT", prepare=False)
    return len(items), time.perf_counter() - began
