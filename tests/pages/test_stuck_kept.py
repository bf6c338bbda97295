"""What the folder keeps of how things stand is what it would be from scratch, whatever has happened and in whichever order."""

from datetime import date
from functools import partial
from random import Random

import pytest
from psycopg.rows import dict_row

from config import FOLDER
from sync_engine.control import access
from sync_engine.control.access import acting
from sync_engine.control.roles import Action, Role
from sync_engine.database.statements import sql
from sync_engine.engine import promote
from sync_engine.insight import fold
from sync_engine.insight.reports import stuck as ask
from sync_engine.insight.reports.reading import in_parts
from tests.conftest import _server
from tests.house import House, VirtualClock
from tests.insight.kept import JUDGED, KEPT, SUMS, assert_kept_as_it_stands, folded
from tests.pages.asking import asking
from tests.pages.books import NOW, Books
from tests.pages.conftest import ANALYST
from tests.pages.test_stuck_as_a_set import BY_ROW, DAY, MINUTE, STAGES, company

SEEDS = (11, 12, 13)


def _company(servers, monkeypatch, seed):
    made = Books(_server(servers, "embedded", None), monkeypatch)
    company(made, seed)
    made.seed = seed
    return made


@pytest.fixture(params=SEEDS)
def books(request, _servers, monkeypatch):
    """A company to change."""
    made = _company(_servers, monkeypatch, request.param)
    yield made
    made.close()


@pytest.fixture(scope="module", params=SEEDS)
def standing(request, _servers):
    """A company to look at only."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        made = _company(_servers, monkeypatch, request.param)
        yield made
        made.close()


def happens(books, chance):
    """Something to a document, with the event that the engine would have recorded of it, or with news where it records none."""
    connection = books.connection
    [document_id] = connection.execute(
        "SELECT document_id FROM document WHERE closed_at IS NULL ORDER BY document_id OFFSET %s LIMIT 1", [chance.randrange(200)]
    ).fetchone()  # fmt: skip
    what = chance.choice(("moved", "ended", "raised", "settled", "taken", "next step", "revised"))
    with connection.transaction():
        if what in {"moved", "ended"}:
            connection.execute(
                "UPDATE document SET state = CASE document_type WHEN 'invoice' THEN %s WHEN 'requisition' THEN %s ELSE state END, state_since = %s, closed_at = CASE WHEN %s THEN %s::timestamptz END WHERE document_id = %s",
                [chance.choice(STAGES["invoice"]), chance.choice(STAGES["requisition"]), NOW - MINUTE * chance.randrange(9000), what == "ended", NOW, document_id],
            )  # fmt: skip
        elif what == "raised":
            books.exception(
                document_id, "price_variance", category="policy", raised=NOW - MINUTE * chance.randrange(900), blocks=chance.random() < 0.5
            )  # fmt: skip
        elif what == "settled":
            connection.execute(
                "UPDATE exception_case SET closed_at = %s, close_reason = 'fixed', status = 'closed' WHERE document_id = %s AND closed_at IS NULL", [NOW, document_id]
            )  # fmt: skip
        elif what == "taken":
            connection.execute("UPDATE exception_case SET owner = 'Kim' WHERE document_id = %s", [document_id])
        elif what == "next step":
            connection.execute(
                "UPDATE work_item SET objective_at = objective_at + %s, system = %s WHERE document_id = %s",
                [MINUTE * chance.randrange(-900, 900), chance.choice(("s4hana", "basware")), document_id],
            )
        else:
            connection.execute(
                "UPDATE document SET group_amount = %s, need_by_on = %s, due_on = %s WHERE document_id = %s",
                [chance.choice((None, 1, 5000, 500_000)), NOW.date(), NOW.date() - DAY, document_id],
            )
        connection.execute("INSERT INTO standing_news (document_id) VALUES (%s)", [document_id])


def test_rows_and_sums_are_those_from_scratch_after_whatever_happened(books):
    """PRODUCT.md 4.2: a figure that is kept is the figure of its definition."""
    chance = Random(books.seed)
    assert_kept_as_it_stands(books.connection)
    for _ in range(6):
        for _ in range(chance.randrange(1, 25)):
            happens(books, chance)
        if chance.random() < 0.5:
            fold.judge(books.connection, now=NOW + MINUTE * chance.randrange(6000))
        folded(books.connection, NOW)
        assert_kept_as_it_stands(books.connection)


def test_a_rebuild_gives_the_same_rows(books):
    """As all that is folded: from scratch nothing is otherwise (D03)."""

    def everything():
        return [books.connection.execute(text).fetchall() for text in (KEPT, SUMS)]

    before = everything()
    books.connection.execute("DELETE FROM standing WHERE document_id IN (SELECT document_id FROM standing LIMIT 20)")
    books.connection.execute("UPDATE standing_group SET documents = documents + 1")
    fold.rebuild(books.connection)
    fold.judge(books.connection, now=NOW)
    assert books.connection.execute(JUDGED).fetchall() == []
    assert everything() == before


@pytest.mark.parametrize("most", [7, 100, 100_000])
def test_an_export_in_parts_has_every_row_once_and_in_order(standing, most):
    """Trap 19: what is exported is what was counted, however it is asked for."""
    with asking(standing) as reports:
        whole = ask.rows(reports, ask.Asked(NOW))
        parts = list(in_parts(partial(ask.rows, reports, ask.Asked(NOW), remember=False), ask.place_of, most=most))
    assert [len(part) for part in parts[:-1]] == [most] * (len(parts) - 1)
    together = [row for part in parts for row in part.drop(columns="before").itertuples(index=False, name=None)]
    assert str(together) == str(list(whole.drop(columns="before").itertuples(index=False, name=None)))


def test_whoever_sees_one_unit_counts_that_unit_alone(standing):
    """R105: what is kept is guarded as what it is kept of, and judged against the peers one may see."""
    gate, app = (standing.database.engine(role, pool_size=1) for role in ("finsync_gate", "finsync_app"))
    session = access.open_session(gate, ANALYST, hours=1)
    asked = ask.Asked(NOW)
    with acting(app, session.token) as connection, connection.cursor(row_factory=dict_row) as cursor:
        expected = cursor.execute(BY_ROW, asked.everything()).fetchall()
        limits = cursor.execute(sql("report_stuck.limits"), asked.everything()).fetchone()
        counted = cursor.execute(sql("report_stuck.counts"), asked.everything() | asked.chosen() | limits).fetchall()
        listed = cursor.execute(sql("report_stuck.rows"), asked.everything() | asked.rows(None) | limits).fetchall()
        seen = cursor.execute("SELECT DISTINCT business_unit FROM standing_group").fetchall()
    for pool in (gate, app):
        pool.dispose()
    expected = [row for row in expected if (row["document_type"], row["state"]) != ("requisition", "ordering")]
    units = {row["business_unit"] for row in expected}
    assert units
    assert {row["business_unit"] for row in seen} == units == {row["business_unit"] for row in counted}
    assert len(units) < standing.connection.execute("SELECT count(DISTINCT business_unit) FROM standing").fetchone()[0]
    assert sum(row["documents"] for row in counted) == len(expected)
    assert {row["document_id"]: (row["level"], row["because"]) for row in listed} == {
        row["document_id"]: (row["level"], row["because"]) for row in expected
    }
    assert sum(row["documents"] for row in counted if row["level"] == "stuck") == sum(row["level"] == "stuck" for row in expected)  # fmt: skip


def test_working_hours_that_change_are_taken_up(books):
    """A free day more, and every document of that calendar has stood that much shorter."""
    configuration = promote.load(FOLDER)
    south = configuration.calendars.calendars["DE-SOUTH"]
    closed = (*south.closed, date(2026, 9, 14), date(2026, 9, 10))
    changed = configuration.calendars.model_copy(
        update={"calendars": configuration.calendars.calendars | {"DE-SOUTH": south.model_copy(update={"closed": closed})}}
    )  # fmt: skip
    before = books.connection.execute(KEPT).fetchall()
    promote.put_in_force(
        books.connection,
        promote.Configuration(configuration.mappings, configuration.policies, changed, configuration.payments, configuration.objectives),
        today=NOW.date(), now=NOW, by="test",
    )  # fmt: skip
    folded(books.connection, NOW)
    assert_kept_as_it_stands(books.connection)
    assert books.connection.execute(KEPT).fetchall() != before


def test_who_has_taken_an_exception_on_counts_at_once(connection, database):
    """Nothing happens to the document itself, and yet it stands otherwise: somebody is at it."""
    house = House(VirtualClock(NOW), connection, database, folds=True)
    session = house.put_person("kim", Role.FINANCE_OPERATIONS)
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.block_cost_centre(code="4711")
    house.approve_in_coupa(requisition)
    house.run(minutes=30)
    [[case_id, version]] = connection.execute(
        "SELECT case_id, version FROM exception_case WHERE closed_at IS NULL"
    ).fetchall()
    taken = "SELECT k.is_taken FROM standing s JOIN standing_kind k USING (kind_id) WHERE k.case_code IS NOT NULL"
    folded(connection, house.clock.now())
    assert connection.execute(taken).fetchall() == [(False,)]
    house.only_ask(session, Action.CLAIM, cases=[{"case_id": str(case_id), "version": version}])
    house.carry_out()
    folded(connection, house.clock.now())
    assert connection.execute(taken).fetchall() == [(True,)]
    assert_kept_as_it_stands(connection)


def test_a_clock_that_is_set_back_is_judged_anew(books):
    """A past that is played again begins earlier than what was judged last."""
    judged = "SELECT judged_at FROM standing_judged"
    assert books.connection.execute(judged).fetchone() == (NOW,)
    fold.judge(books.connection, now=NOW + MINUTE / 2)
    assert books.connection.execute(judged).fetchone() == (NOW,), "half a minute is no while"
    fold.judge(books.connection, now=NOW - DAY)
    assert books.connection.execute(judged).fetchone() == (NOW - DAY,)
    assert books.connection.execute(JUDGED).fetchall() == []
