"""First-pass yield on the page of the exception rate (PRODUCT.md 4.3): what needed nobody and nothing twice, of what came to its end."""

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from pages import exception_rate_yield as page
from sync_engine.insight.reports import first_pass as ask
from sync_engine.insight.reports.first_pass import AS_INTENDED, OWN_STEPS, TOUCHES, Ended
from sync_engine.insight.reports.overview import STUCK_TYPES
from tests.pages.asking import asking
from tests.pages.books import MONDAY, NOW
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, words_of

PAGE = "exception-rate"
WANTED = Ended(NOW - timedelta(days=30), NOW, STUCK_TYPES)


def told(books, since, until, units=None):
    """By hand, from every event and every exception: (type, week) -> (ended as intended, first pass)."""
    rows = books.connection.execute(
        "SELECT d.document_id, d.document_type, d.state, d.closed_at, d.business_unit, d.is_test, array_agg(e.activity) FROM document d JOIN event e USING (document_id)"
        " WHERE d.closed_at IS NOT NULL AND d.source = 'finsync' GROUP BY 1, 2, 3, 4, 5, 6"
    ).fetchall()
    met = {row[0] for row in books.connection.execute("SELECT document_id FROM exception_case").fetchall()}
    counted = {}
    for document_id, kind, state, closed_at, unit, is_test, activities in rows:
        if is_test or AS_INTENDED.get(kind) != state or not since <= closed_at < until or (units and unit not in units):
            continue
        monday = closed_at.date() - timedelta(days=closed_at.weekday())
        ended, first = counted.get((kind, monday), (0, 0))
        counted[kind, monday] = (ended + 1, first + (document_id not in met and not set(activities) & set(TOUCHES)))
    return counted


@pytest.mark.parametrize("days", [30, 9, 1])
@pytest.mark.parametrize("units", [None, ["DE-SOUTH"], ["DE-NORTH"]])
def test_the_yield_is_what_every_event_and_exception_say(books, units, days):
    since = NOW - timedelta(days=days)
    with asking(books) as reports:
        found = ask.yields(reports, Ended(since, NOW, STUCK_TYPES, units), before=since, zone="UTC")
    expected = told(books, since, NOW, units)
    weeks = {(row.document_type, row.week): (row.ended, row.first_pass) for row in found.by_week().itertuples() if row.ended}  # fmt: skip
    assert weeks == expected
    whole = found.of()
    assert (whole.ended, whole.first_pass) == tuple(map(sum, zip(*expected.values(), strict=True))) if expected else (0, 0)  # fmt: skip
    assert whole.ended == whole.first_pass + whole.met + whole.touched


def test_what_was_touched_without_an_exception_is_no_first_pass_and_what_ended_otherwise_is_in_no_yield(books):
    """Sent back once, and ordered: no exception, and yet not right the first time. Rejected: not counted for or against."""
    with asking(books) as reports:
        whole = ask.yields(reports, WANTED, before=NOW - timedelta(days=60), zone="UTC").of()
        through = set(ask.rows(reports, WANTED, is_first=True, zone="UTC")["number"])
        needed = ask.rows(reports, WANTED, is_first=False, zone="UTC").set_index("number")
    assert (whole.ended, whole.first_pass, whole.met, whole.touched) == (18, 14, 3, 1)
    assert whole.otherwise >= 1
    assert "1300" not in through | set(needed.index)
    assert "1600" not in through | set(needed.index), "a test document"
    assert needed.loc["1100", "steps"] == ["changed"]
    assert needed.loc["1002", "codes"] == ["system_unavailable"]


def test_every_row_of_a_week_and_a_type_is_one_the_yield_counts(books):
    """4.0, drill contract."""
    with asking(books) as reports:
        weeks = ask.yields(reports, WANTED, before=WANTED.since, zone="UTC").by_week()
        for row in weeks.itertuples():
            one = Ended(WANTED.since, NOW, [row.document_type])
            for is_first, n in ((True, row.first_pass), (False, row.ended - row.first_pass)):
                listed = ask.rows(reports, one, is_first=is_first, zone="UTC", week=row.week)
                assert len(listed) == n
                assert (listed["there"] == n).all()


def test_nothing_ended_is_no_yield(books):
    """Trap 2."""
    with asking(books) as reports:
        wanted = Ended(datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC), STUCK_TYPES)
        found = ask.yields(reports, wanted, before=datetime(2023, 12, 1, tzinfo=UTC), zone="UTC")
    assert found.of().share is None
    assert found.by_type().empty


def test_what_people_do_is_either_the_process_itself_or_a_touch(world):
    """A step of a person that nobody has sorted would pass for no touch."""
    rows = world.connection.execute(
        "SELECT DISTINCT e.activity FROM event e JOIN recording r USING (recording_id)"
        " WHERE e.source = 'finsync' AND e.document_type = ANY (%s) AND e.actor NOT IN ('', r.engine_id, e.system)",
        [list(STUCK_TYPES)],
    ).fetchall()
    assert rows
    assert {activity for (activity,) in rows} - {"exception_closed", "exception_raised"} <= {*OWN_STEPS, *TOUCHES}


# -- the page ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("person", "said"), [(LEADER, "77.8 % of 18 documents"), (ANALYST, "73.3 % of 15 documents"), (AUDITOR, "77.8 % of 18 documents")]
)  # fmt: skip
def test_the_yield_is_that_of_the_units_somebody_may_see(books, person, said):
    app = books.look(PAGE, person=person)
    assert not app.exception
    assert f"{said} that ended went through in the first pass" in words_of(app)


def listed(app):
    return next((frame.value for frame in app.dataframe if "closed_at" in frame.value.columns), None)


def test_both_lists_open_exactly_their_rows(books):
    needed = listed(books.look(PAGE, person=LEADER, **{"yield": "not"}))
    assert len(needed) == 4
    assert "why" in needed.columns
    assert len(listed(books.look(PAGE, person=LEADER, **{"yield": "first"}))) == 14
    assert len(listed(books.look(PAGE, person=ANALYST, **{"yield": "first"}))) == 11
    week = MONDAY.date().isoformat()
    assert len(listed(books.look(PAGE, person=LEADER, **{"yield": "not", "kind": "requisition", "ended": week}))) == told_not(books, MONDAY.date())  # fmt: skip


def told_not(books, monday: date) -> int:
    ended, first = told(books, WANTED.since, NOW)["requisition", monday]
    return ended - first


def test_it_explains_itself(books):
    """D15."""
    app = books.look(PAGE, person=LEADER, explain="first-pass")
    assert not app.exception
    said = words_of(app)
    assert f"#### {page.DEFINITION.name}: 77.8 %" in said
    assert "without an exception and without a touch / ended as intended = 14 / 18" in said
    assert "**In it:** 18 documents" in said
    assert "refused, withdrawn or given up" in said


@pytest.mark.parametrize("query", [{"yield": "<b>"}, {"yield": "not", "kind": "magic"}, {"yield": "not", "ended": "soon"}], ids=str)  # fmt: skip
def test_a_wrong_address_is_read_without_it(books, query):
    app = books.look(PAGE, person=LEADER, **query)
    assert not app.exception
    assert "could not be drawn" not in words_of(app)


@pytest.mark.usefixtures("anew")
def test_on_a_phone_it_draws(books, monkeypatch):
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)
    monkeypatch.setattr(page, "FEW", 1)
    seen = {}
    chart = page.frame.chart
    monkeypatch.setattr(page.frame, "chart", lambda figure, *said, key, **how: (seen.update({key: figure}), chart(figure, *said, key=key, **how)))  # fmt: skip
    assert not books.look(PAGE, person=LEADER, period="90d", **{"yield": "not"}).exception
    assert seen["rate.yield"].layout.showlegend
    assert not seen["rate.yield"].layout.annotations, "the names stand in the legend, and would lie on the lines"


def test_the_ends_and_touches_that_are_kept_of_each_document_are_those_the_page_speaks_of(books):
    """The columns have the lists from a migration: a change of one needs another of these."""
    said = dict(
        books.connection.execute(
            "SELECT a.attname, pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d JOIN pg_attribute a ON (a.attrelid, a.attnum) = (d.adrelid, d.adnum) WHERE a.attname IN ('is_as_intended', 'is_touched')"
            " AND a.attrelid IN ('document'::regclass, 'document_path'::regclass)"
        ).fetchall()
    )
    assert set(re.findall(r"'(\w+:\w+)'", said["is_as_intended"])) == {f"{kind}:{state}" for kind, state in AS_INTENDED.items()}  # fmt: skip
    assert set(re.findall(r"'(\w+)'", said["is_touched"])) == set(TOUCHES)
