"""Integration health: what waits behind a system that is down, in documents and money; calls add up; every count opens its rows."""

import re
from datetime import timedelta

import pytest

from sync_engine.insight.reports import health as ask
from sync_engine.insight.reports.everywhere import visit
from tests.conftest import _server
from tests.pages.asking import asking
from tests.pages.conftest import ANALYST, LEADER, SUPPORT, World, words_of

PAGE = "health"


@pytest.fixture(scope="module")
def _away(_servers):
    """Two orders in two units, one message nobody can read, and an ERP that went down before it could take the orders."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(_server(_servers, "embedded", None), monkeypatch)
        house = world.house
        world.south = house.submit()
        world.north = house.submit(
            house.line(cost_centre="4101", description="Secret northern part"), department="DE-NORTH Plant"
        )
        house.run(minutes=10)
        house.s4hana.faults.update({"outage": True})
        for requisition in (world.south, world.north):
            house.approve_in_coupa(requisition)
        house.coupa.faults.update({"schema_drift": "removed"})
        world.odd = house.submit(house.line(description="Unreadable"))
        house.run(minutes=40)
        yield world
        world.close()


@pytest.fixture
def away(_away, monkeypatch):
    _away.monkeypatch = monkeypatch
    _away.use()
    return _away


def period(world):
    now = world.house.clock.now()
    return {"since": now - timedelta(days=30), "until": now}


def before(world):
    return world.house.clock.now() - timedelta(days=60)


def table_with(app, *columns):
    return next((frame.value for frame in app.dataframe if set(columns) <= set(frame.value.columns)), None)


def figure(app, label):
    return next(metric.value for metric in app.metric if metric.label == label)


def label_of(app, pattern):
    return next((link.label for link in app.page_link if re.fullmatch(pattern, link.label)), None)


def test_a_system_that_is_down_says_what_waits_for_it(away):
    app = away.look(PAGE, person=SUPPORT)
    said = words_of(app).replace("\\", "")
    assert "SAP S/4HANA is not answering for" in said
    assert "2 documents worth EUR" in said
    assert figure(app, "Systems that answer") == "3 of 4"


def test_the_figure_the_system_and_the_rows_tell_the_same(away):
    now = away.house.clock.now()
    with asking(away, SUPPORT) as reports:
        one = next(one for one in ask.systems(reports, None, as_of=now) if one.system == "s4hana")
        rows = ask.waiting(reports, "s4hana", None, as_of=now)
        assert (one.waiting, one.waiting_value) == (len(rows), rows["group_amount"].sum())
        assert one.waiting == rows["document_id"].nunique()
    app = away.look(PAGE, person=SUPPORT, show="waiting")
    shown = table_with(app, "steps", "where")
    assert label_of(app, r"Show \d+ documents?") == f"Show {len(shown)} documents"
    assert f"{shown['group_amount'].sum():,.0f}" in figure(app, "Waits for a system")


def test_every_call_succeeded_was_refused_or_failed(away):
    with asking(away, SUPPORT) as reports:
        found, _ = ask.operations(reports, None, None, before=before(away), **period(away))
        assert (found["attempts"] == found["succeeded"] + found["refused"] + found["failed"]).all()
        calls = ask.calls(found)
        assert calls.attempts == away.one("SELECT count(*) FROM attempt")
        assert len(ask.failed_calls(reports, None, None, None, **period(away))) == calls.failed
        over_time, _ = ask.calls_over_time(reports, None, None, **period(away))
        assert (over_time["attempts"].sum(), over_time["failed"].sum()) == (calls.attempts, calls.failed)
        later = period(away)["until"]
        none, earlier = ask.operations(
            reports, None, None, before=before(away), since=later, until=later + timedelta(hours=1)
        )
        assert (len(none), earlier) == (0, calls), (
            "what was called only before is in the change, and no operation of the period"
        )
        one = found[found["failed"] > 0].iloc[0]
        rows = ask.failed_calls(reports, [one["system"]], one["operation"], None, **period(away))
        assert len(rows) == one["failed"]


def test_latency_is_a_percentile_of_all_calls_and_none_of_a_few(away):
    with asking(away, SUPPORT) as reports:
        found, _ = ask.operations(reports, None, None, before=before(away), **period(away))
    few = found[found["attempts"] < ask.ENOUGH_CALLS]
    many = found[found["attempts"] >= ask.ENOUGH_CALLS].iloc[0]
    assert len(few)
    assert few[["p50_s", "p95_s", "p99_s"]].isna().all().all()
    exact = away.one(
        "SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) FROM attempt WHERE system = %s AND operation = %s",
        many["system"],
        many["operation"],
    )
    assert many["p95_s"] == pytest.approx(exact / 1000)


def test_messages_add_up_to_the_row(away):
    with asking(away, SUPPORT) as reports:
        found = ask.messages(reports, **period(away))
    parts = found[["applied", "unchanged", "superseded", "ignored", "parked", "waiting"]].sum(axis=1)
    assert (found["received"] == parts).all()
    assert found["received"].sum() == away.one("SELECT count(*) FROM inbound_message")


def test_a_message_nobody_could_read_leads_to_its_repair(away):
    app = away.look(PAGE, person=SUPPORT, show="parked")
    rows = table_with(app, "occurrences")
    assert len(rows) == int(figure(app, "Messages not readable")) >= 1
    assert rows["open"].str.contains("/exceptions?", regex=False).all()
    assert label_of(app, r"Repair and reprocess \d+ messages?: .*")


def test_failed_calls_name_the_document_behind_them_and_its_value(away):
    app = away.look(PAGE, person=SUPPORT, show="failed", system="s4hana")
    rows = table_with(app, "http_status")
    assert label_of(app, r"Show [\d,]+ calls?") == f"Show {len(rows)} calls"
    assert {f"{away.south}-1", f"{away.north}-1"} <= set(rows["number"])


def test_silence_is_said_of_feeds_that_cannot_be_read(away):
    now = away.house.clock.now()
    with asking(away, SUPPORT) as reports:
        feeds = visit(reports).feeds
        later = ask.feeds(feeds, as_of=now + timedelta(hours=5))
        assert later["is_silent"].all()
        assert not ask.feeds(feeds, as_of=now)[lambda found: found["system"] == "coupa"]["is_silent"].any()


def test_an_analyst_sees_own_documents_waiting_and_nothing_others_said(away):
    away.look(PAGE, person=LEADER, show="waiting")
    for show in ("waiting", "failed", "parked", "unsettled", "systems"):
        app = away.look(PAGE, person=ANALYST, show=show)
        assert not app.exception
        said = words_of(app)
        assert "DE-NORTH" not in said
        assert f"{away.north}-1" not in said
    with asking(away, ANALYST) as reports:
        found = ask.systems(reports, None, as_of=away.house.clock.now())
        assert {one.last_error for one in found} == {""}
        assert next(one for one in found if one.system == "s4hana").waiting == 1
        assert {feed.last_error for feed in visit(reports).feeds} == {""}


def test_a_job_shows_once_with_its_last_run(away):
    now = away.house.clock.now()
    away.connection.execute("DELETE FROM job_run")
    for minutes, outcome in ((20, "done"), (10, "failed")):
        away.connection.execute(
            "INSERT INTO job_run (job_id, planned_at, engine_id, started_at, finished_at, outcome, detail) VALUES ('partitions', %(at)s, 'engine-1', %(at)s, %(at)s::timestamptz + interval '3 s', %(outcome)s, 'said so')",
            {"at": now - timedelta(minutes=minutes), "outcome": outcome},
        )
    with asking(away, SUPPORT) as reports:
        [job] = ask.jobs(reports).to_dict("records")
        assert (job["job_id"], job["outcome"], job["took_s"]) == ("partitions", "failed", 3.0)
    with asking(away, ANALYST) as reports:
        assert ask.jobs(reports)["detail"].tolist() == [""]
    assert "1 job did not end well the last time." in words_of(away.look(PAGE, person=SUPPORT))


def test_before_any_system_the_page_says_what_to_do(empty_world):
    with empty_world.database.connect_owner() as owner:
        owner.execute(f"DELETE FROM {empty_world.database.cell}.feed_state")
        owner.execute(f"DELETE FROM {empty_world.database.cell}.system_state")
    app = empty_world.look(PAGE, person=SUPPORT)
    assert not app.exception
    assert "No system has been connected yet." in words_of(app)


def test_an_unknown_list_or_system_in_the_address_is_said(away):
    said = words_of(away.look(PAGE, person=SUPPORT, show="secrets", system="sap-r3"))
    assert "asks for rows that do not exist here" in said
    assert "does not exist here, and was read without it" in said


def test_the_page_is_drawn_on_a_phone(away, monkeypatch):
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)
    app = away.look(PAGE, person=SUPPORT, show="waiting")
    assert not app.exception
    assert "Waits for: SAP S/4HANA" in words_of(app)
