"""The process map from kept days is the process map from every document, whatever was told in whichever order, and whoever asks (PRODUCT.md
4.9, R123)."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

import pytest
from psycopg.rows import dict_row

from sync_engine.control import access
from sync_engine.control.access import Person, acting
from sync_engine.control.roles import Role
from sync_engine.database.connections import borrowed
from sync_engine.database.statements import sql
from sync_engine.insight import fold, steps
from tests.insight.told import FIRST_DAY, told

BY_DOCUMENT = (Path(__file__).parent / "map_by_document.sql").read_text(encoding="utf-8")
END = FIRST_DAY + timedelta(days=200)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EVERY_STEP = 10_000_000
PERIODS = (
    (FIRST_DAY - DAY, END),
    (FIRST_DAY + 9 * DAY + 5 * HOUR, FIRST_DAY + 31 * DAY + 2 * HOUR),
    ((FIRST_DAY + 12 * DAY).replace(hour=0), (FIRST_DAY + 20 * DAY).replace(hour=0)),
    (FIRST_DAY + 15 * DAY, FIRST_DAY + 15 * DAY + 7 * HOUR),
    (FIRST_DAY + 20 * DAY + 21 * HOUR, FIRST_DAY + 21 * DAY + 3 * HOUR),
)
CHOICES = ((None, None), (["DE-NORTH"], None), (["DE-NORTH", "US-EAST"], ["purchase_order", "invoice"]))


@pytest.fixture
def connection(cell):
    _, pool = cell
    with borrowed(pool) as connection:
        yield connection


@pytest.fixture
def sessions(cell, connection):
    """The application's connections, and a session that sees everything and one that sees one unit."""
    database, _ = cell
    people = [
        Person(name, name, frozenset({Role.PROCUREMENT_ANALYST}), units)
        for name, units in (("all", ("*",)), ("south", ("DE-SOUTH",)))
    ]
    access.put_people(connection, people, now=END)
    gate, app = (database.engine(role, pool_size=1) for role in ("finsync_gate", "finsync_app"))
    yield app, [access.open_session(gate, person.user_id, hours=1).token for person in people]
    gate.dispose()
    app.dispose()


def assert_the_map_is_that_of_every_document(sessions):
    """For every period and choice, as everybody sees it; percentiles are to 1 % where they come from the days."""
    app, tokens = sessions
    many = 0
    for token in tokens:
        for since, until in PERIODS:
            for units, types in CHOICES:
                asked = {"source": "finsync", "since": since, "until": until, "units": units, "types": types}
                with acting(app, token) as reading, reading.cursor(row_factory=dict_row) as cursor:
                    expected = cursor.execute(BY_DOCUMENT, asked).fetchall()
                    exact = cursor.execute(sql("report_process.map"), asked | {"exact_to": EVERY_STEP}).fetchall()
                    from_days = cursor.execute(sql("report_process.map"), asked | {"exact_to": 0}).fetchall()
                assert [comparable(row, 1e-9) for row in expected] == [comparable(row, 1e-9) for row in exact]
                assert [comparable(row, 0.0101) for row in expected] == [comparable(row, 0.0101) for row in from_days]
                many += len(expected)
    assert many > 300


def comparable(row, tolerance):
    near = {
        name: None if row[name] is None else pytest.approx(float(row[name]), rel=tolerance, abs=1e-6)
        for name in ("p50_s", "p85_s")
    }
    return {
        name: pytest.approx(float(value)) if isinstance(value, float | Decimal) else value
        for name, value in row.items()
    } | near


@pytest.mark.parametrize("seed", [3, 4])
def test_the_map_from_days_is_the_map_from_documents(cell, connection, sessions, seed):
    """Late news, clocks that contradict each other, documents that come to another unit or another value, days known and days told of."""
    company, books = told(cell, connection, seed, journeys=40)
    rng = Random(seed)
    for n, recording in enumerate(company.recordings):
        books.write([recording])
        if rng.random() < 0.1:
            fold.fold(connection, now=recording.recorded_at + HOUR)
        if n % 60 == 59:
            with connection.transaction():
                steps.keep(connection)
    fold.fold_all(connection, now=END)
    assert_the_map_is_that_of_every_document(sessions)
    with connection.transaction():
        steps.keep(connection)
    assert connection.execute("SELECT count(*) FROM step_told").fetchone() == (0,)
    assert_the_map_is_that_of_every_document(sessions)


def test_what_is_worth_something_else_by_now_is_so_on_the_map(cell, connection, sessions):
    """Also where no event says so."""
    company, books = told(cell, connection, 5, journeys=40)
    books.write(company.recordings)
    fold.fold_all(connection, now=END)
    with connection.transaction():
        steps.keep(connection)
    revised = connection.execute(
        "UPDATE document SET currency = 'EUR', amount = 12, group_amount = 12 WHERE document_type = 'purchase_order' RETURNING document_id"
    ).fetchall()
    connection.cursor().executemany("INSERT INTO standing_news (document_id) VALUES (%s)", revised)
    fold.fold_all(connection, now=END)
    assert_the_map_is_that_of_every_document(sessions)


def test_years_of_days_are_kept_a_part_at_a_time(cell, connection, sessions):
    """After an upgrade everything is told anew; in one transaction nothing could be folded for minutes. Whoever is interrupted between
    two parts has kept the first, and the map is right all the while."""
    company, books = told(cell, connection, 6, journeys=40)
    books.write(company.recordings)
    fold.fold_all(connection, now=END)
    connection.execute("INSERT INTO step_told (source, day) SELECT 'finsync', (%s - n * interval '40 days')::date FROM generate_series(0, 20) AS n", [END])  # fmt: skip
    with connection.transaction():
        kept = steps.keep_some(connection)
    assert 0 < kept < 5
    assert connection.execute("SELECT count(*) FROM step_told").fetchone() == (21 - kept,)
    assert_the_map_is_that_of_every_document(sessions)
    fold.judge(connection, now=END + 2 * HOUR)
    assert connection.execute("SELECT count(*) FROM step_told").fetchone() == (0,)
    assert_the_map_is_that_of_every_document(sessions)
