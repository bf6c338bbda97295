"""Transactions that cannot even be undone: what is left of a connection whose server went away in the middle of a sentence."""

import logging

import psycopg
import pytest

from sync_engine.database.connections import borrowed
from sync_engine.engine import atomic


def test_a_connection_that_listens_to_nothing_any_more_is_closed_and_the_pool_makes_another(database, caplog):
    """Found by `python -m tests.chaos`: the server ended in the middle of a pipeline, the connection could neither leave it nor roll back,
    and the pool, which tried the same, logged it as a bug."""
    pool = database.engine("finsync_engine", pool_size=1)
    with caplog.at_level(logging.WARNING):
        with borrowed(pool) as connection:
            connection.pgconn.enter_pipeline_mode()
            connection.pgconn.send_query_params(b"SELECT 1", None)
            with pytest.raises(psycopg.OperationalError, match="pipeline mode"):
                atomic.roll_back(connection)
            assert connection.closed
        with borrowed(pool) as another:
            assert another.execute("SELECT 1").fetchone() == (1,)
    assert [record.getMessage() for record in caplog.records if record.exc_info] == []
    pool.dispose()
