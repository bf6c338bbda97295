"""Whether an imported log would have kept what we promise: counts that equal the rows they open, working calendars where a unit has one, and
plain words for promises that such a log cannot tell (PRODUCT.md 4.4, R019)."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from sync_engine.eventlog.importing import Request, import_log
from sync_engine.eventlog.opening import Options
from sync_engine.eventlog.stages import Mapping
from sync_engine.insight import fold
from sync_engine.insight.reports import imported_promises as ask
from sync_engine.insight.reports.imported import Within
from sync_engine.model.ids import id_maker
from sync_engine.model.lifecycles import LIFECYCLES
from tests.eventlog.conftest import shared
from tests.pages.asking import asking
from tests.pages.books import NOW, Books
from tests.pages.conftest import ANALYST, LEADER, words_of

BEGAN = datetime(2024, 3, 4, 8, tzinfo=UTC)
DAY = timedelta(days=1)


def take(connection, path, log, **options):
    import_log(connection, Request(path, log, "", Options(**options), Mapping(), owner_unit="", case_type="case"), new_id=id_maker(Random(5)))  # fmt: skip
    fold.fold_all(connection, now=NOW)


@pytest.fixture(scope="module")
def _beside(_servers):
    from tests.conftest import _server

    with pytest.MonkeyPatch.context() as monkeypatch:
        books = Books(_server(_servers, "embedded", None), monkeypatch)
        books.fill()
        yield books
        books.close()


@pytest.fixture
def beside(_beside, monkeypatch):
    """Journeys of our own, beside which logs come in."""
    _beside.monkeypatch = monkeypatch
    _beside.use()
    return _beside


@pytest.fixture
def promised(beside, tmp_path):
    """Begun on a Monday at eight: 12 ordered within four days, one rejected, four ordered after 20 days and more, one never, one begun when the log
    ends, and one of which only the order is known."""
    path = tmp_path / "promised.csv"
    steps = [(f"kept {n}", ((0, "Submit requisition"), (1 + n % 4, "Create Purchase Order"))) for n in range(12)]
    steps += [("refused", ((0, "Submit requisition"), (2, "Reject requisition")))]
    steps += [(f"late {n}", ((0, "Submit requisition"), (20 + n, "Create Purchase Order"))) for n in range(4)]
    steps += [("never", ((0, "Submit requisition"),)), ("just begun", ((23, "Submit requisition"),))]
    steps += [("no beginning", ((3, "Create Purchase Order"),))]
    path.write_text("\n".join(["case,activity,timestamp", *(f"{case},{activity},{(BEGAN + days * DAY).isoformat()}" for case, of in steps for days, activity in of)]))  # fmt: skip
    take(beside.connection, path, "promised")
    return Within("promised", BEGAN - DAY, BEGAN + 100 * DAY)


def test_what_a_log_can_tell_of_our_promises_counts_the_documents_it_opens(beside, promised):
    with asking(beside) as reports:
        promises = ask.promises(reports)
        told = [one for one in promises if one.is_told]
        assert [one.name for one in told] == ["requisition-to-order"]
        assert len(promises) > 1
        [level], units = ask.kept(reports, promised, told)
        rows = {which: ask.rows(reports, promised, told[0], which) for which in ("missed", "kept", "due", "ahead")}  # fmt: skip
    assert {which: len(found) for which, found in rows.items()} == {"missed": level.missed, "kept": level.good, "due": level.due, "ahead": level.ahead}  # fmt: skip
    assert (level.began, level.due, level.good, level.missed, level.ahead) == (19, 18, 13, 5, 1)
    assert set(rows["missed"]["number"]) == {"never", *(f"late {n}" for n in range(4))}
    assert set(rows["ahead"]["number"]) == {"just begun"}
    assert set(rows["due"]["number"]) == set(rows["missed"]["number"]) | set(rows["kept"]["number"])
    assert level.by_wall == 18, (
        "its documents belong to no unit, so no calendar is theirs: five working days are five days"
    )
    assert set(rows["due"]["deadline_at"] - rows["due"]["started_at"]) == {5 * DAY}
    assert level.state == "broken"
    assert level.budget_left == pytest.approx(1 - 5 / (18 * 0.1))
    assert level.interval == pytest.approx(wilson_by_hand(13, 18), abs=1e-6)
    assert units["due"].sum() == level.due


def wilson_by_hand(good, n, z=1.959963984540054):
    share = good / n
    middle, spread = share + z * z / (2 * n), z * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return (middle - spread) / (1 + z * z / n), (middle + spread) / (1 + z * z / n)


def test_a_promise_in_working_time_is_kept_by_the_units_calendar_where_there_is_one(beside, tmp_path):
    """Five working days from a Thursday are seven days: it was done on the sixth, which is too late by the wall clock alone."""
    path, began = tmp_path / "working.csv", beside.one("SELECT min(opens_at) + interval '1 day' FROM calendar_interval WHERE calendar = 'DE-SOUTH' AND extract(isodow FROM opens_at) = 3 AND opens_at >= %s", NOW - 60 * DAY)  # fmt: skip
    rows = [("in time", "DE-SOUTH", "Submit requisition", began), ("in time", "DE-SOUTH", "Create Purchase Order", began + 6 * DAY), ("other", "DE-SOUTH", "Ponder", began + 30 * DAY)]  # fmt: skip
    path.write_text("\n".join(["case,unit,activity,timestamp", *(f"{case},{unit},{activity},{at.isoformat()}" for case, unit, activity, at in rows)]))  # fmt: skip
    take(beside.connection, path, "working", unit_column="unit")
    within = Within("working", NOW - 100 * DAY, NOW + 100 * DAY)
    with asking(beside) as reports:
        told = [one for one in ask.promises(reports) if one.is_told]
        [level], _ = ask.kept(reports, within, told)
        [row] = ask.rows(reports, within, told[0], "due").to_dict("records")
    assert (level.due, level.good, level.by_wall, level.state) == (1, 1, 0, "measuring")
    assert row["deadline_at"] - row["started_at"] > 6 * DAY


def test_every_milestone_that_a_promise_may_begin_or_end_with_is_an_activity_of_ours():
    known = {event for lifecycle in LIFECYCLES.values() for event in lifecycle.events} | {"requisition_received"}
    assert set(ask.MILESTONES) <= known


def test_the_page_on_service_levels_says_what_a_log_can_tell_and_what_not(beside, promised):
    period = {"log": "promised", "period": "custom", "since": "2024-03-01", "until": "2024-06-30"}
    app = beside.look("service-levels", person=LEADER, **period)
    assert not app.exception
    said = words_of(app)
    assert (
        "13 of 18 documents from 1 Mar 2024 to 30 Jun 2024 kept “Requisition to order, the whole journey”: 72.2 %"
        in said
    )
    assert "cannot be told from a log like this" in said
    assert "Approval propagation" in said
    assert "18 of 18 deadlines are by the wall clock, 5 d for 5.0 working days" in said
    assert "1100" not in said, "a requisition of our own"
    opened = beside.look("service-levels", person=LEADER, objective="requisition-to-order", show="missed", **period)
    assert not opened.exception
    [rows] = [one.value for one in opened.dataframe if "number" in one.value.columns]
    assert len(rows) == 5
    elsewhere = beside.look("service-levels", person=LEADER, log="promised")
    assert "What there is reaches from" in words_of(elsewhere)


@pytest.mark.parametrize(
    "name", ["p2p-normal.jsonocel", "PurchasingExample_carlocarlo.csv", "running-example.xes", "ocel20_example.sqlite"]
)
def test_logs_by_others_open_on_service_levels_and_their_counts_are_their_rows(beside, name):
    log = f"level {name.partition('.')[0].lower()}"
    take(beside.connection, shared(name), log)
    within = Within(log, datetime(1990, 1, 1, tzinfo=UTC), NOW)
    with asking(beside) as reports:
        told = [one for one in ask.promises(reports) if one.is_told]
        [level], _ = ask.kept(reports, within, told)
        assert len(ask.rows(reports, within, told[0], "due", most=10**6)) == level.due
        assert len(ask.rows(reports, within, told[0], "missed", most=10**6)) == level.missed
    app = beside.look("service-levels", person=LEADER, log=log, period="custom", since="2009-01-01", until="2026-01-01")
    assert not app.exception


def test_of_a_log_of_nobodys_units_a_promise_tells_only_who_sees_all_units(beside, promised):
    app = beside.look("service-levels", person=ANALYST, log="promised", period="custom", since="2024-03-01", until="2024-06-30")  # fmt: skip
    assert not app.exception
    assert "Nothing of the log promised belongs to a business unit that you see." in words_of(app)
    assert not app.dataframe
