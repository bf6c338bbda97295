"""Service levels: every figure is the number of rows it opens, nothing due is no data, and nobody sees another unit's misses."""

import re
from datetime import timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from sync_engine.insight.reports import service_levels as ask
from sync_engine.insight.reports.reading import in_parts
from tests.pages.asking import asking
from tests.pages.conftest import ANALYST, LEADER, SUPPORT, words_of

PAGE = "service-levels"


@pytest.fixture
def asked(world):
    with asking(world) as reports:
        yield reports, ask.service_levels(reports, None, as_of=world.house.clock.now())


def missed_table(app):
    return next((frame.value for frame in app.dataframe if "late_s" in frame.value.columns), None)


def test_every_figure_is_the_share_of_the_rows_that_missed(asked):
    reports, levels = asked
    assert {level.objective for level in levels} == {
        "approval-propagation",
        "invoice-status",
        "order-creation",
        "requisition-to-order",
        "requisition-validation",
    }
    for level in levels:
        rows = ask.missed(reports, level.objective, None, since=level.since, until=level.until)
        assert len(rows) == level.bad
        assert level.due == level.good + level.bad
        assert level.attained == pytest.approx(level.good / level.due) if level.due else level.attained is None
        for name, length in ask.WINDOWS.items():
            assert (
                len(ask.missed(reports, level.objective, None, since=level.until - length, until=level.until))
                == level.windows[name].bad
            )


@pytest.mark.parametrize("most", [1, 2, 1000])
def test_an_export_in_parts_has_every_miss_once_and_in_order(asked, most):
    """Trap 19: what is exported is what was counted, however it is asked for."""
    reports, levels = asked
    level = next(level for level in levels if level.objective == "order-creation")
    wanted = partial(ask.missed, reports, level.objective, None, since=level.since, until=level.until)
    parts = list(in_parts(partial(wanted, remember=False), ask.place_of, most=most))
    assert level.bad > 2
    assert str([row for part in parts for row in part.to_dict("records")]) == str(wanted().to_dict("records"))


def test_days_and_units_add_up_to_the_window(asked, world):
    reports, levels = asked
    days = ask.by_day(
        reports, None, since=min(level.since for level in levels), until=levels[0].until, zone=ZoneInfo("Asia/Tokyo")
    )
    for level in levels:
        own = days[days["objective"] == level.objective]
        units = ask.by_unit(reports, level.objective, None, since=level.since, until=level.until)
        assert (own["due"].sum(), own["bad"].sum()) == (level.due, level.bad)
        assert (units["due"].sum(), units["bad"].sum()) == (level.due, level.bad)
        if level.due:
            assert ask.burn_down(own, level)["left"].iloc[-1] == pytest.approx(level.budget_left)
    assert sum(level.due for level in levels) == world.one(
        "SELECT count(*) FROM slo_event WHERE deadline_at <= business_now()"
    )


def test_an_order_behind_a_blocked_cost_centre_has_missed_and_says_why(world):
    app = world.look(PAGE, person=LEADER, objective="order-creation")
    rows = missed_table(app)
    assert set(rows["number"]) == {f"{number}-1" for number in (*world.south, world.north)}
    assert set(rows["why"]) == {"The cost centre is blocked"}
    assert "3 documents missed in the last 28 days" in words_of(app)
    assert "Why: 3 the cost centre is blocked" in words_of(app)


def test_what_is_still_open_past_its_deadline_is_bad_at_its_deadline(asked, world):
    reports, levels = asked
    level = next(level for level in levels if level.objective == "order-creation")
    rows = ask.missed(reports, level.objective, None, since=level.since, until=level.until)
    assert rows["good_at"].isna().all()
    before = rows["deadline_at"].min() - timedelta(minutes=1)
    assert (
        next(one for one in ask.service_levels(reports, None, as_of=before) if one.objective == level.objective).bad
        == 0
    )


def test_the_card_links_to_as_many_rows_as_it_says(world):
    app = world.look(PAGE, person=LEADER)
    labels = [link.label for link in app.page_link if re.fullmatch(r"Show \d+ missed", link.label)]
    assert labels == ["Show 3 missed"]
    assert len(missed_table(world.look(PAGE, person=LEADER, objective="order-creation"))) == 3


def test_nothing_due_is_no_data_and_never_a_hundred_per_cent(empty_world):
    app = empty_world.look(PAGE, person=LEADER)
    assert "100 %" not in words_of(app)
    assert "There is no verdict yet: too little was due." in words_of(app)
    with asking(empty_world) as reports:
        [level] = [
            one
            for one in ask.service_levels(reports, None, as_of=empty_world.house.clock.now())
            if one.objective == "invoice-status"
        ]
    assert (level.attained, level.budget_left, level.state) == (None, None, "no data")


def test_a_handful_of_documents_gives_no_verdict_and_rings_no_bell(asked):
    _, levels = asked
    level = next(level for level in levels if level.objective == "order-creation")
    assert level.due < ask.MEASURABLE
    assert level.state == "measuring"
    assert not any(alert.fires for alert in level.alerts)


def test_an_analyst_sees_only_misses_of_their_own_unit(world):
    everything = world.look(PAGE, person=LEADER, objective="order-creation")
    own = world.look(PAGE, person=ANALYST, objective="order-creation")
    assert len(missed_table(everything)) == 3
    assert set(missed_table(own)["business_unit"]) == {"DE-SOUTH"}
    assert "DE-NORTH" not in words_of(own)
    assert str(world.north) not in words_of(own)


def test_an_address_opens_one_objective_one_window_one_day(world):
    day = world.house.clock.now().date().isoformat()
    app = world.look(PAGE, person=SUPPORT, objective="requisition-validation")
    assert "No document missed in the last 28 days" in words_of(app)
    assert "3 documents missed on" in words_of(
        world.look(PAGE, person=SUPPORT, objective="order-creation", day=day)
    ).replace("\\", "")
    assert "3 documents missed in the last day" in words_of(
        world.look(PAGE, person=SUPPORT, objective="order-creation", window="1d")
    )
    assert "There is no objective" in words_of(world.look(PAGE, person=SUPPORT, objective="uptime"))


def test_burning_fast_on_enough_documents_fires_and_too_few_do_not():
    fast = ask.Window(due=40, bad=20, burn=50.0)
    few = ask.Window(due=4, bad=4, burn=100.0)
    assert ask.BurnAlert("urgent", "1h", "5m", 14.4, fast, few).fires
    assert not ask.BurnAlert("urgent", "1h", "5m", 14.4, few, few).fires
    assert not ask.BurnAlert("urgent", "1h", "5m", 14.4, fast, ask.Window(0, 0, None)).fires


def test_the_page_is_drawn_on_a_phone(world, monkeypatch):
    monkeypatch.setattr("pages.screen.is_narrow", lambda: True)
    app = world.look(PAGE, person=LEADER, objective="order-creation")
    assert not app.exception
    assert "Late by:" in words_of(app)


def test_what_does_not_count_is_in_no_figure_and_shown_with_and_without(own_world):
    """4.4: exclusions with reason and author; the documents they take out can still be seen."""
    world = own_world
    world.house.run(minutes=10)  # until the deadlines of this morning's orders have passed
    with asking(world) as reports:
        [before] = [one for one in ask.service_levels(reports, None, as_of=world.house.clock.now()) if one.objective == "order-creation"]  # fmt: skip
    world.connection.execute(
        "INSERT INTO objective_exclusion (exclusion_id, objective, business_unit, starts_at, ends_at, reason, author, written_at)"
        " VALUES (gen_random_uuid(), 'order-creation', 'DE-SOUTH', %(now)s::timestamptz - interval '1 day', %(now)s::timestamptz + interval '1 day', 'period close', %(by)s, %(now)s)",
        {"now": world.house.clock.now(), "by": SUPPORT},
    )
    with asking(world) as reports:
        [level] = [one for one in ask.service_levels(reports, None, as_of=world.house.clock.now()) if one.objective == "order-creation"]  # fmt: skip
        rows = ask.missed(reports, level.objective, None, since=level.since, until=level.until)
    assert before.due == level.due + level.left_out
    assert level.left_out > 0
    assert len(rows) == level.bad
    assert set(rows["business_unit"]) == {"DE-NORTH"}
    assert level.attained_with_all == before.attained
    said = words_of(world.look(PAGE, person=LEADER, objective="order-creation", open="left-out"))
    assert "period close" in said
    assert f"{level.left_out} deadlines left out" in said or f"{level.left_out} deadline left out" in said


def test_what_if_agrees_with_the_present_promise_and_more_time_is_never_worse(world):
    from sync_engine.insight.reports import what_if

    with asking(world) as reports:
        for level in ask.service_levels(reports, None, as_of=world.house.clock.now()):
            found = what_if.took(reports, level.objective, None, as_of=world.house.clock.now())
            good, due = found.at(level.threshold_s)
            assert (good, due) == (level.good, level.due), level.objective
            shares = [found.at(level.threshold_s * factor)[0] for factor in (0.1, 1, 10)]
            assert shares == sorted(shares)
    app = world.look(PAGE, person=LEADER, objective="requisition-validation", open="what-if", factor="2")
    assert not app.exception


def test_whoever_may_leaves_a_deadline_out_on_the_page(own_world):
    app = own_world.look(PAGE, person=SUPPORT, objective="order-creation", open="left-out")
    app.text_input(key="service_levels.leave_out.why").set_value("period close")
    with own_world.engine_at_work():
        next(button for button in app.button if button.label.startswith("Leave these deadlines out")).click().run()
    assert own_world.one("SELECT reason FROM objective_exclusion") == "period close"
    assert "leave deadlines out" in words_of(own_world.look(PAGE, person=LEADER, objective="order-creation", open="left-out"))  # fmt: skip
