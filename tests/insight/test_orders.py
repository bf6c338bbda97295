"""The moments of orders that are kept are what they would be from scratch, whatever was told in whichever order (PRODUCT.md 4.9)."""

from datetime import timedelta
from random import Random

import pytest
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from sync_engine.database.connections import borrowed
from sync_engine.database.statements import sql
from sync_engine.insight import fold, orders
from tests.insight.told import FIRST_DAY, told

END = FIRST_DAY + timedelta(days=200)
ASKED = {"source": "finsync", "units": None, "since": FIRST_DAY, "until": END}
KEPT = "SELECT document_id, source, business_unit, first_at, group_amount, requisition_at, approved_at, ordered_at, goods_at, invoice_at, needs_goods, has_contract, pattern FROM order_moment ORDER BY document_id"
SCRATCH = KEPT.replace("FROM order_moment", "FROM order_moment_fact")
COUNTED = "SELECT pattern, count(*) AS documents, sum(group_amount) AS value FROM order_moment_fact WHERE source = 'finsync' AND first_at >= %(since)s AND first_at < %(until)s GROUP BY 1 ORDER BY 1"


@pytest.fixture
def connection(cell):
    _, pool = cell
    with borrowed(pool) as connection:
        yield connection


def keep(connection):
    with connection.transaction():
        orders.keep(connection)


def assert_the_question_answers_as_from_scratch(connection):
    """Whether an order is kept or has to be looked at; the orders behind each pattern are as many as it says."""
    with connection.cursor(row_factory=dict_row) as cursor:
        expected = cursor.execute(COUNTED, ASKED).fetchall()
        found = cursor.execute(sql("report_process.order_patterns"), ASKED).fetchall()
        assert [{name: row[name] for name in ("pattern", "documents", "value")} for row in found] == expected
        for row in found:
            behind = cursor.execute(sql("report_process.deviations"), ASKED | {"patterns": [row["pattern"]]}).fetchall()
            assert len(behind) == row["documents"]
    return len(expected)


def billed(connection, rng):
    """Some invoices are found to bill an order, and some orders come to say what their lines need; as news, without an event of theirs."""
    pairs = connection.execute(
        "SELECT i.document_id, o.document_id FROM document i JOIN document o USING (correlation_id) WHERE i.document_type = 'invoice' AND o.document_type = 'purchase_order' ORDER BY 1, 2"
    ).fetchall()
    for line, (invoice, order) in enumerate(rng.sample(pairs, len(pairs) // 2), start=1):
        connection.execute(
            "INSERT INTO order_movement (source_document_id, source_line, kind, order_document_id, order_line, quantity, amount, moved_on, business_unit, recorded_at) VALUES (%s, %s, 'billed', %s, 1, 1, 1, %s, 'DE-SOUTH', %s)",
            [invoice, line, order, END.date(), END],
        )
        connection.execute(
            "INSERT INTO document_payload (document_id, payload_version, canonical, payload_hash, schema_version, mapping_version, author, recorded_at, business_unit)"
            " VALUES (%s, 0, %s, '', '1', '1', 'test', %s, 'DE-SOUTH') ON CONFLICT DO NOTHING",
            [order, Jsonb({"lines": [{"receipt_required": line % 2 == 0, "contract": "C" if line % 3 else ""}]}), END],
        )
        connection.execute("INSERT INTO standing_news (document_id) VALUES (%s)", [invoice])
    return len(pairs) // 2


@pytest.mark.parametrize("seed", [6, 7])
def test_the_moments_that_are_kept_are_those_from_scratch(cell, connection, seed):
    company, books = told(cell, connection, seed, journeys=50)
    rng = Random(seed)
    for n, recording in enumerate(company.recordings):
        books.write([recording])
        if rng.random() < 0.1:
            fold.fold(connection, now=recording.recorded_at)
        if n % 70 == 69:
            keep(connection)
    fold.fold_all(connection, now=END)
    assert assert_the_question_answers_as_from_scratch(connection) >= 3
    keep(connection)
    assert connection.execute(KEPT).fetchall() == connection.execute(SCRATCH).fetchall()
    assert billed(connection, rng) > 5
    fold.fold_all(connection, now=END)
    assert connection.execute("SELECT count(*) > 5 FROM order_told").fetchone() == (True,)
    assert assert_the_question_answers_as_from_scratch(connection) > 3
    keep(connection)
    kept = connection.execute(KEPT).fetchall()
    assert kept == connection.execute(SCRATCH).fetchall()
    assert assert_the_question_answers_as_from_scratch(connection) > 3
    fold.rebuild(connection)
    assert connection.execute(KEPT).fetchall() == kept
