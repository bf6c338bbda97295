"""Transactions on an autocommit connection: what stands together, and how it is undone without forgetting what is prepared."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import psycopg

COLLISIONS = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure)
"""Another transaction was in the way: nothing of ours stands, and the connection is as good as before."""


class Stale(Exception):
    """A document or a work item has changed since it was read; nothing was written."""


@contextmanager
def transaction(connection: psycopg.Connection) -> Iterator[None]:
    """One transaction on an autocommit connection, in pipeline mode: statements whose answers nobody waits for travel
    together with the next one that is read, or with the commit.

    Raises:
        Stale: at the end of the block, when a statement found something changed since it was read; nothing stands.
    """
    all_arrived = False
    try:
        with connection.pipeline() as pipeline:
            connection.execute("BEGIN", prepare=False)
            try:
                yield
            except BaseException:
                with suppress(psycopg.Error):
                    pipeline.sync()
                    all_arrived = True
                raise
            connection.execute("COMMIT", prepare=False)
    except psycopg.Error as error:
        _roll_back(connection, forget_prepared=True)
        if is_stale(error):
            raise Stale(str(error).splitlines()[0]) from error
        raise
    except BaseException:
        _roll_back(connection, forget_prepared=not all_arrived)
        raise


def _roll_back(connection: psycopg.Connection, *, forget_prepared: bool) -> None:
    if connection.closed:
        return
    roll_back(connection)
    if not forget_prepared:
        return
    # psycopg counts a statement as prepared when it is sent; one sent behind a failure never reached the server.
    threshold, connection.prepare_threshold = connection.prepare_threshold, None
    connection.execute("DEALLOCATE ALL")
    connection._prepared.clear()  # noqa: SLF001 - psycopg has no public way to forget what it believes to be prepared
    connection.prepare_threshold = threshold


def roll_back(connection: psycopg.Connection) -> None:
    """End a transaction that shall not stand, if there is one, and keep what is prepared: psycopg forgets every prepared statement
    with a ROLLBACK it is asked for, and an engine that was overtaken once would have to prepare hundreds of them anew."""
    if connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
        return
    try:
        if connection.pgconn.exec_(b"ROLLBACK").status != psycopg.pq.ExecStatus.COMMAND_OK:
            connection.rollback()  # the connection is lost, or does not listen to a single statement now
    except psycopg.OperationalError:
        # The server went away in the middle of a pipeline, which can be neither gone on with nor left. Whoever gets it next would fail.
        connection.close()
        raise


@contextmanager
def savepoint(connection: psycopg.Connection) -> Iterator[None]:
    """What is done in here stands or falls by itself, within the transaction around it. Unlike with psycopg's own, what is prepared
    stays prepared when it falls; one at a time."""
    connection.execute("SAVEPOINT alone", prepare=False)
    try:
        yield
    except BaseException:
        if not connection.closed:
            connection.pgconn.exec_(b"ROLLBACK TO SAVEPOINT alone; RELEASE SAVEPOINT alone")
        raise
    connection.execute("RELEASE SAVEPOINT alone", prepare=False)


def is_stale(error: psycopg.Error) -> bool:
    """Found changed by our own check, or by a key that somebody else has taken meanwhile: a payload version, a place in a
    document's history. Or the month that a row was on its way to has got a partition of its own while it waited."""
    match error:
        case psycopg.errors.CheckViolation():
            return (error.diag.table_name or "").endswith("_default")
        case psycopg.errors.UniqueViolation():
            name = error.diag.constraint_name or ""
            return name == "document_payload_pkey" or "document_id_seq" in name
    return error.sqlstate == "FS001"
