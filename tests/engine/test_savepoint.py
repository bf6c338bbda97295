"""What falls inside a transaction falls alone, and nothing has to be planned anew because of it."""

import psycopg
import pytest

from sync_engine.engine import atomic, store


def prepared(connection):
    """The names of what is prepared of one statement: another name, another plan."""
    asked = "SELECT name FROM pg_prepared_statements WHERE statement LIKE '%feed_state%'"
    return connection.execute(asked, prepare=False).fetchall()


def refused(connection, statement):
    with atomic.savepoint(connection):
        connection.execute(statement)
        raise ValueError("refused")


@pytest.fixture
def eager(connection):
    """A connection that prepares what it has seen once, as an engine's does."""
    before, connection.prepare_threshold = connection.prepare_threshold, 1
    yield connection
    connection.prepare_threshold = before


def test_what_is_refused_is_undone_and_the_rest_stands(connection):
    connection.execute("CREATE TEMPORARY TABLE kept (what text)")
    with connection.transaction():
        connection.execute("INSERT INTO kept VALUES ('before')")
        with pytest.raises(ValueError, match="refused"):
            refused(connection, "INSERT INTO kept VALUES ('refused')")
        with pytest.raises(psycopg.errors.DivisionByZero):
            refused(connection, "INSERT INTO kept SELECT (1 / 0)::text")
        with atomic.savepoint(connection):
            connection.execute("INSERT INTO kept VALUES ('after')")
    assert connection.execute("SELECT what FROM kept ORDER BY what").fetchall() == [("after",), ("before",)]


def test_what_is_prepared_stays_prepared_when_something_is_refused(eager):
    for _ in range(3):
        store.rows(eager, "simulate.feed_due", system="coupa", feed="requisitions")
    before = prepared(eager)
    assert len(before) == 1
    with eager.transaction(), pytest.raises(ValueError, match="refused"):
        refused(eager, "SELECT 1")
    for _ in range(3):
        store.rows(eager, "simulate.feed_due", system="coupa", feed="requisitions")
    assert prepared(eager) == before
