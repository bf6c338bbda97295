"""Where the time of a journey goes: the stages add up to it, and the three parts to each stage, to the second (PRODUCT 4.1; traps 5 to 7)."""

from datetime import timedelta
from random import Random
from uuid import uuid4

import pytest
from psycopg.rows import dict_row

from sync_engine.database.connections import borrowed
from sync_engine.database.statements import sql
from sync_engine.insight import fold
from tests.insight.told import FIRST_DAY, Books, Company

JOURNEYS = 1000
END = FIRST_DAY + timedelta(days=300)


@pytest.fixture(scope="module")
def connection(cell):
    """A thousand journeys with the calls that were made for them, folded; for looking only."""
    _, pool = cell
    with borrowed(pool) as connection:
        _fill(connection)
        yield connection


def _fill(connection):
    company, books = Company(11, journeys=JOURNEYS, days=60), Books(connection)
    books.expect(company.recordings)
    books.write(company.recordings)
    rng = Random(3)
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO attempt (attempt_id, recorded_at, system, operation, effect, document_id, business_unit, engine_id, try_number, started_at, duration_ms, outcome, http_calls, request_bytes, response_bytes, trace_id)"
            " VALUES (%s, %s, 's4hana', 'create_purchase_order', 'create', %s, %s, 'e', 1, %s, %s, 'done', 1, 0, 0, 't')",
            [
                (uuid4(), event.recorded_at, event.document, event.unit, event.recorded_at - timedelta(seconds=1), rng.uniform(5, 4000))
                for recording in company.recordings
                for event in recording.events
            ],
        )  # fmt: skip
    fold.fold_all(connection, now=END)


@pytest.mark.parametrize("clock", ["wall", "business"])
@pytest.mark.parametrize("stop", ["ordered", "posted"])
def test_stages_add_up_to_the_journeys_and_parts_to_the_stages(connection, stop, clock):
    """A thousand made-up journeys: re-entries summed (trap 6), several orders and invoices counted once (trap 5)."""
    asked = {"units": None, "since": FIRST_DAY, "until": END, "stop": stop, "clock": clock, "source": "finsync"}
    with connection.cursor(row_factory=dict_row) as cursor:
        stages = cursor.execute(sql("report_cycle_time.stages"), asked | {"stage": None}).fetchall()
    measure = f"to_{stop}_s" if clock == "wall" else f"to_{stop}_business_s"
    [(n, whole)] = connection.execute(
        f"SELECT count(*), sum({measure})::float8 FROM journey WHERE to_ordered_s >= 0 AND {stop}_at IS NOT NULL AND to_{stop}_s >= 0"
    ).fetchall()
    assert n > JOURNEYS / 4
    assert sum(stage["total_s"] for stage in stages) == pytest.approx(whole, abs=1)
    for stage in stages:
        assert stage["touch_s"] + stage["transfer_s"] + stage["wait_s"] == pytest.approx(stage["total_s"], abs=0.001)
        assert stage["touch_s"] >= 0
    assert sum(stage["touch_s"] for stage in stages) > 0


def test_a_call_is_in_one_stay_and_never_longer_than_the_stay_has_room_for(connection):
    rows = connection.execute("SELECT wall_s, business_s, touch_s, touch_business_s, transfer_s, transfer_business_s FROM journey_stage").fetchall()  # fmt: skip
    assert len(rows) > JOURNEYS
    for wall, business, touch, touch_business, transfer, transfer_business in rows:
        assert 0 <= touch <= wall - transfer
        assert 0 <= touch_business <= max(business - transfer_business, 0)
