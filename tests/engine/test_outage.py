"""Long outages and storms (F5, F16): intake goes on, the backlog drains oldest first within the vendor's limit, nobody else waits."""

from datetime import timedelta

import pytest

from benchmarks.outage import PER_S, Town, drain, run
from sync_engine.engine.store import BREAKER_FAILURES


@pytest.mark.long
@pytest.mark.timeout(300)
def test_after_72_hours_the_backlog_drains_oldest_first_within_the_limit_and_nobody_else_waits(connection):
    figures = run(connection, documents=600, hours=72)
    assert figures["taken_in_while_down"] == 600, "intake went on"
    assert figures["ordered"] == 650, "once each"
    assert figures["drain_share_of_quota"] >= 0.8
    assert figures["refused_by_limit"] == 0
    assert figures["overtaken_by_h"] <= 24, "the oldest first, but for those that were sent to see whether it answers"
    assert figures["others_p95_s_draining"] <= figures["others_p95_s_calm"] * 1.1 + 0.001
    assert figures["probes_while_down"] <= 72 * 3600 / 30 + 6 * BREAKER_FAILURES, "one probe every half minute"


@pytest.mark.parametrize(("share", "retry_after_s"), [(1.0, None), (1.0, 90), (0.3, None), (0.3, 20)])
def test_a_storm_costs_hardly_more_calls_than_a_calm_run_and_no_pause_is_cut_short(connection, share, retry_after_s):
    town = Town(connection)
    town.draft(300)
    town.vendor.storm_share, town.vendor.retry_after_s = share, retry_after_s
    town.run(minutes=20)
    town.vendor.storm_share = 0.0
    drain(town, most_h=4)
    answered = sum(town.vendor.answered.values())
    calm = 300 * 3  # one to create, two to read the commitment
    looked_first = (
        2 * town.vendor.failed
    )  # whoever was refused may look before sending, and what had answered before is asked again
    assert answered <= calm * 1.1 + looked_first
    assert town.vendor.asked_too_early == 0, "Retry-After is obeyed to the second"
    assert len(town.vendor.orders) == 300


def test_the_limit_counts_calls_and_not_documents(connection):
    """Reading a commitment takes two: the shared rate pays for both."""
    town = Town(connection)
    town.draft(600)
    drained = drain(town, most_h=2)
    assert drained.refused_by_limit == 0
    assert max(town.vendor.answered.values()) <= PER_S * 60 + PER_S


def test_the_forecast_of_a_drain_is_right_within_15_percent(connection, database):
    """D13: a spike is replayed on the virtual clock, and what was predicted before it drained is compared with how long it took."""
    from sync_engine.control import access
    from sync_engine.control.access import Person
    from sync_engine.control.roles import Role
    from sync_engine.insight.reports import Reports, health, prices
    from sync_engine.insight.reports.reading import Cache

    town = Town(connection)
    town.draft(60)
    town.run(hours=1)
    town.vendor.is_down = True
    town.draft(800)
    town.run(hours=1)
    town.vendor.is_down = False
    person = Person("support.1", "support.1", frozenset({Role.INTEGRATION_SUPPORT}), ("*",))
    access.put_people(connection, [person], now=town.clock.now())
    gate, app = database.engine("finsync_gate", pool_size=1), database.engine("finsync_app", pool_size=1)
    session = access.open_session(gate, person.user_id, hours=1)
    reports = Reports(app, session.token, person, Cache())
    now = town.clock.now()
    found = prices.forecasts(prices.asked(reports, None, as_of=now), health.systems(reports, None, as_of=now))["erp"]
    gate.dispose()
    app.dispose()
    answered = sum(town.vendor.answered.values())
    while sum(town.vendor.answered.values()) == answered:
        town.run(seconds=1)  # until it is seen that it answers again
    began = town.clock.now()
    while town.left() and town.clock.now() < began + timedelta(hours=1):
        town.run(seconds=5)
    took = (town.clock.now() - began).total_seconds()
    assert found.calls == pytest.approx(800 * 3, rel=0.05)
    assert found.seconds == pytest.approx(took, rel=0.15)
