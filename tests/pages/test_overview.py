"""The overview: thirty seconds, and every number opens exactly its rows."""

import re
from datetime import date, timedelta

import pytest

from sync_engine.insight.reports import overview as ask
from sync_engine.insight.reports import service_levels
from tests.pages.asking import asking
from tests.pages.books import MONDAY
from tests.pages.conftest import AUDITOR, LEADER, OPERATIONS, SUPPORT, words_of


def figure(app, label):
    return next(metric for metric in app.metric if metric.label == label)


def test_today_s_answer_is_a_sentence_made_of_the_figures(world):
    said = words_of(world.look("overview", person=LEADER))
    assert "3 documents worth EUR 1,000 are stuck, EUR 1,000 of it: master data." in said
    assert "EUR 1,000 is approved and not yet in the ERP." in said


def test_the_same_money_stands_still_once(world):
    """A requisition and the order drafted from it are two documents and one amount."""
    assert figure(world.look("overview", person=LEADER), "Stuck").value == "EUR 1,000"


def test_every_number_opens_exactly_its_rows(world):
    for show, label in (("stuck", "Stuck"), ("gap", "Not in the ERP yet")):
        app = world.look("overview", person=LEADER, show=show)
        noun = {"stuck": "document", "gap": "requisition"}[show]
        [link] = [
            link.label
            for link in app.page_link
            if f"show={show}" in link.proto.query_string and re.fullmatch(rf"\d+ {noun}s?", link.label)
        ]
        rows = next(frame.value for frame in app.dataframe if "group_amount" in frame.value.columns)
        assert len(rows) == int(re.search(r"\d+", link)[0])
        assert f"EUR {rows['group_amount'].sum():,.0f}" == figure(app, label).value


def test_an_empty_denominator_is_no_data_and_never_a_hundred_per_cent(world):
    app = world.look("overview", person=LEADER, period="custom", since="2026-01-01", until="2026-01-02")
    assert figure(app, "Exception rate").value == "no data"
    assert figure(app, "Requisition to order").value == "no data"


@pytest.mark.parametrize("least", [1, service_levels.MEASURABLE, 10**6])
def test_objectives_are_judged_as_on_their_own_page(world, monkeypatch, least):
    """One of which six were due counted as met here, and there it had no verdict."""
    monkeypatch.setattr(service_levels, "MEASURABLE", least)
    with asking(world) as reports:
        levels = service_levels.service_levels(reports, None, as_of=world.house.clock.now())
    judged = [level for level in levels if level.state not in {"no data", "measuring"}]
    kept = [level for level in judged if level.state != "broken"]
    [shown] = [metric for metric in world.look("overview", person=LEADER).metric if metric.label == "Objectives met"]
    assert shown.value == (f"{len(kept)} of {len(judged)}" if judged else "no verdict")
    said = words_of(world.look("service-levels", person=LEADER))
    assert (
        "There is no verdict yet"
        if not judged
        else f"{len(kept)} of {len(judged)} objectives with a verdict"
        if len(kept) < len(judged)
        else f"All {len(judged)} objective"
    ) in said


def test_an_alert_says_amount_and_days_and_is_acknowledged_once(own_world):
    order = own_world.one(
        "SELECT document_id FROM document WHERE document_type = 'purchase_order' AND state = 'refused' LIMIT 1"
    )
    own_world.connection.execute(
        "INSERT INTO alert (alert_id, rule, subject, occasion, subject_name, document_id, deadline_on, state, severity, message, owner_team, group_amount, business_unit, fired_at)"
        " VALUES (gen_random_uuid(), 'blocked-order', 'order', '2026-09-18', '2001-1', %s, %s, 'firing', 'high', 'Blocked order with a near need-by date: 2001-1', 'finance operations', 12000, 'DE-SOUTH', %s)",
        [order, date(2026, 9, 18), own_world.house.clock.now()],
    )
    app = own_world.look("overview", person=LEADER)
    assert "1 alert to look at" in words_of(app)
    assert "Due in 3 days" in words_of(app)
    assert "EUR 12.0 k" in words_of(app)
    other = own_world.look("overview", person=OPERATIONS)
    with own_world.engine_at_work():
        for one in (app, app, other):
            buttons = [button for button in one.button if button.label == "Acknowledge"]
            if buttons:
                buttons[0].click().run()
    assert own_world.one("SELECT acknowledged_by FROM alert") == LEADER
    assert "Acknowledged by" in words_of(app)
    assert "Acknowledge\n" not in words_of(own_world.look("overview", person=AUDITOR))


def test_what_came_up_for_the_first_time_leads_to_its_cause(world):
    app = world.look("overview", person=LEADER)
    assert "met for the first time" in words_of(app)
    assert any("open exception" in link.label for link in app.page_link)


def test_what_changed_is_counted_since_the_person_was_here(books):
    """4.13: since the last visit; a day for whoever never was here; two weeks at most. One answer holds the counts and the new causes."""
    now = MONDAY + timedelta(days=1, hours=2)
    with asking(books, AUDITOR) as reports:
        first = ask.moved(reports, None, as_of=now)
        assert (first.since, first.was_here) == (now - timedelta(days=1), False)
        again = ask.moved(reports, ["DE-NORTH"], as_of=MONDAY + timedelta(days=40))
        assert (again.raised, again.closed, len(again.causes)) == (0, 0, 0)
    with books.database.connect_owner() as owner:
        owner.execute("SELECT set_config('search_path', %s, false)", [books.database.cell])
        owner.execute(
            "INSERT INTO app_session (token_hash, user_id, created_at, last_seen_at, expires_at) VALUES (sha256('earlier'), %(who)s, %(at)s, %(at)s, %(at)s)",
            {"who": SUPPORT, "at": MONDAY},
        )
    with asking(books, SUPPORT) as reports:
        found = ask.moved(reports, None, as_of=now)
        assert (found.since, found.was_here) == (MONDAY, True)
        late = ask.moved(reports, None, as_of=MONDAY + timedelta(days=20))
        assert late.since == MONDAY + timedelta(days=6)
    counted = books.connection.execute(
        "SELECT count(*) FILTER (WHERE raised_at BETWEEN %(since)s AND %(now)s), count(*) FILTER (WHERE closed_at BETWEEN %(since)s AND %(now)s),"
        " count(*) FILTER (WHERE closed_at BETWEEN %(since)s AND %(now)s AND close_reason = 'self_cured') FROM exception_case",
        {"since": MONDAY, "now": now},
    ).fetchone()
    assert (found.raised, found.closed, found.self_cured) == counted
    seen = books.connection.execute(
        "SELECT fingerprint FROM exception_case GROUP BY 1 HAVING min(raised_at) >= %s", [MONDAY]
    ).fetchall()
    assert set(found.causes["fingerprint"]) == {fingerprint for (fingerprint,) in seen}
    assert len(seen) > 2
