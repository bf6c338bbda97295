"""Those who want the same rows wait for each other in turn: a deadlock costs a second and has to be done again."""

from concurrent.futures import ThreadPoolExecutor
from random import SystemRandom

import psycopg

from sync_engine.database.connections import borrowed
from sync_engine.engine import atomic, store
from sync_engine.engine.engine import database_now
from sync_engine.engine.recording import Recording
from sync_engine.model.ids import id_maker


def test_two_recordings_about_the_same_documents_wait_for_each_other_in_turn(shop):
    """A lane collects what it records in the order of the answers. Were documents held in that order, each of these two
    would wait for one that the other holds."""
    shop.draft("A", "B", "C")
    documents = [document for (document,) in shop.ask("SELECT document_id FROM document ORDER BY document_id")]
    pool = shop.pool(3)

    def note(connection: psycopg.Connection, order: list) -> None:
        with atomic.transaction(connection):
            heads = store.lock_heads(connection, documents)
        recording = Recording("engine", database_now(connection), id_maker(SystemRandom()))
        for document_id in order:
            recording.note(heads[document_id], "step_superseded")
        recordings.append((connection, recording))

    recordings: list[tuple[psycopg.Connection, Recording]] = []
    with borrowed(pool) as holder, borrowed(pool) as one, borrowed(pool) as other, ThreadPoolExecutor(2) as engines:
        note(one, documents)
        note(other, documents[::-1])
        with holder.transaction():
            holder.execute("SELECT FROM document WHERE document_id = %s FOR UPDATE", [documents[1]])
            written = [engines.submit(store.record, *recording) for recording in recordings]
            pids = [one.info.backend_pid, other.info.backend_pid]
            blocked = "SELECT count(*) FROM unnest(%s::int[]) AS u(pid) WHERE pg_blocking_pids(pid) <> '{}'"
            shop.wait_until(lambda: shop.ask(blocked, pids) == [(2,)])
        ended = [type(future.exception(timeout=20)) for future in written]
    # The second finds the documents changed, and decides again.
    assert sorted(ended, key=str) == [type(None), atomic.Stale]
