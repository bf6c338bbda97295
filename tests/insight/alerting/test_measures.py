"""Every measure finds what was really made to go wrong, and stops finding it when its runbook has been followed (Q56); the burn
of budgets is gated for low volume (Q45, Q46)."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import pytest
from psycopg.rows import dict_row
from psycopg.sql import SQL, Identifier, Placeholder
from psycopg.types.json import Jsonb

from config import FOLDER
from sync_engine.cli import alert_jobs, doctor
from sync_engine.configuration import load_systems
from sync_engine.insight import record
from sync_engine.insight.alerting.burn import Series, why_burning
from sync_engine.insight.reconcile import reconcile, remember
from sync_engine.model.alerts import MEASURES
from sync_engine.settings import Settings
from tests.insight.alerting.conftest import SHIPPED, shipped

NOW = datetime(2026, 9, 15, 12, 0, tzinfo=UTC)


def states(watch, rule):
    return [row["state"] for row in watch.alerts(rule)]


def test_every_measure_has_a_shipped_rule_with_owner_impact_and_runbook():
    """R129: every alert has an owning team."""
    assert {rule.measure for rule in SHIPPED.rules.values()} == set(MEASURES)
    assert all(rule.owner_team and rule.impact and rule.runbook.startswith("1. ") for rule in SHIPPED.rules.values())


def test_a_blocked_order_fires_and_ends_when_the_cause_is_removed_and_it_is_reprocessed(watch):
    watch.switch_on(rule=shipped("blocked-order", parameters={"amount_min": "100", "days": "20"}))
    watch.blocked_orders(30)
    watch.look()
    assert states(watch, "rule") == ["firing"]
    watch.repair()
    watch.look()
    assert states(watch, "rule") == ["resolved"]
    assert watch.alerts("rule")[0]["acted_at"] is not None, "whoever reprocessed it acted upon the alert"


def test_an_order_below_the_amount_or_far_from_its_date_is_nobodys_alert(watch):
    watch.switch_on(
        large=shipped("blocked-order", parameters={"amount_min": "601", "days": "20"}), near=shipped("blocked-order", parameters={"amount_min": "100", "days": "5"})
    )  # fmt: skip
    watch.blocked_orders(30)
    watch.look()
    assert watch.alerts() == []
    watch.look(datetime(2026, 9, 17, 21, 59, tzinfo=UTC))
    assert watch.alerts() == []
    watch.look(datetime(2026, 9, 17, 22, 0, tzinfo=UTC))
    assert states(watch, "near") == ["firing"], (
        "Friday 25 is five working days after Friday 18, which begins at 22:00 UTC"
    )


def test_a_silent_source_fires_when_the_system_is_down_and_ends_when_it_is_back(watch):
    watch.switch_on(rule=shipped("source-silent", duration_minutes=0))
    watch.house.run(hours=1)
    watch.house.standins["coupa"].faults.update({"outage": True})
    watch.house.run(hours=6)
    watch.look()
    assert "Coupa" in " ".join(row["group_title"] for row in watch.alerts("rule", only_open=True))
    watch.house.standins["coupa"].faults.update({"outage": False})
    watch.house.submit()
    watch.house.run(minutes=10)
    watch.look()
    assert "Coupa" not in " ".join(row["group_title"] for row in watch.alerts("rule", only_open=True))


def test_books_that_differ_fire_until_a_comparison_finds_them_alike(watch):
    house = watch.house
    watch.switch_on(rule=shipped("books-differ"))
    _, order = house.order_one()
    house.connection.execute("UPDATE document SET amount = amount + 1 WHERE document_type = 'purchase_order'")

    def compare():
        found = reconcile(
            house.connection, house.engine.setup, {name: lane.session for name, lane in house.engine.lanes.items()}
        )
        remember(house.connection, found.differences, now=house.clock.now(), new_id=house.engine.setup.new_id)
        watch.look()

    compare()
    [alert] = watch.alerts("rule")
    assert alert["state"] == "firing"
    assert order in alert["message"]
    house.connection.execute("UPDATE document SET amount = amount - 1 WHERE document_type = 'purchase_order'")
    compare()
    assert states(watch, "rule") == ["resolved"]


def test_a_record_that_is_not_whole_fires_whatever_the_comparison_of_the_books_says(watch, database):
    house = watch.house
    watch.switch_on(rule=shipped("books-differ"))
    house.order_one()

    def count_again():
        record.keep(house.connection, now=house.clock.now(), new_id=house.engine.setup.new_id)
        house.run(minutes=1)  # the next check is another one
        watch.look()

    with database.connect_owner() as owner:
        # As nobody of the program may.
        owner.execute(SQL("SET search_path TO {}").format(Identifier(database.cell)))
        gone = owner.execute(
            "DELETE FROM event WHERE (recording_id, ordinal) = (SELECT recording_id, ordinal FROM event WHERE activity = 'budget_read' LIMIT 1) RETURNING *"
        )
        [removed], names = gone.fetchall(), [column.name for column in gone.description]
        count_again()
        alerts = watch.alerts("rule", only_open=True)
        assert {alert["group_title"] for alert in alerts} == {"The record is not whole"}
        assert {("events" in alert["message"], alert["state"]) for alert in alerts} == {(True, "firing")}
        assert len(alerts) == 2
        remember(house.connection, [], now=house.clock.now(), new_id=house.engine.setup.new_id)
        watch.look()
        assert states(watch, "rule") == ["firing"] * 2
        owner.execute(
            SQL("INSERT INTO event ({}) VALUES ({})").format(
                SQL(", ").join(map(Identifier, names)), SQL(", ").join([Placeholder()] * len(names))
            ),
            [Jsonb(value) if isinstance(value, dict) else value for value in removed],
        )
    count_again()
    assert states(watch, "rule") == ["resolved"] * 2


def test_a_quota_that_runs_out_fires_until_it_is_renewed(watch):
    watch.switch_on(rule=shipped("quota-low"))
    watch.connection.execute(
        "UPDATE system_state SET quota_limit = 1000, quota_remaining = 99, quota_seen_at = %s, quota_reset_at = %s WHERE system = 'coupa'",
        [watch.now, watch.now + timedelta(hours=1)],
    )
    watch.look()
    assert "99 of 1000 calls are left" in watch.alerts("rule")[0]["message"]
    watch.look(watch.now + timedelta(hours=1))
    assert states(watch, "rule") == ["resolved"]


def test_a_secret_fires_before_its_day_and_ends_with_a_new_date(watch):
    watch.switch_on(rule=shipped("secret-expires"))

    def stated(day):
        watch.ask("alert.put_expiries", name=["coupa"], kind=["secret"], expires_on=[day], now=watch.now)
        watch.look()

    stated(date(2026, 10, 16))
    assert watch.alerts() == [], "31 days"
    stated(date(2026, 10, 15))
    assert states(watch, "rule") == ["firing"]
    stated(date(2027, 10, 15))
    assert states(watch, "rule") == ["resolved"]


def test_an_engine_that_starts_puts_the_rules_in_force_and_notes_the_dates_of_systems_toml(watch, monkeypatch):
    systems = load_systems(FOLDER)
    coupa = systems.systems["coupa"].model_copy(update={"secret_expires_on": date(2026, 9, 20)})
    systems = systems.model_copy(update={"systems": {**systems.systems, "coupa": coupa}})
    monkeypatch.setattr(alert_jobs, "database_now", lambda _: watch.now)
    alert_jobs.put_in_force(Settings(), systems, watch.connection, by="engine")
    watch.look()
    assert [row["subject"] for row in watch.alerts("secret-expires")] == ["secret:coupa"]


def test_the_doctor_names_what_a_destination_lacks(tmp_path, monkeypatch):
    text = (FOLDER / "alerts.toml").read_text(encoding="utf-8")
    text = text.replace("\n[routes]\n", '\n[routes]\n"finance operations" = ["chat"]\n', 1)
    text = text.replace("\n[destinations]\n", '\n[destinations.chat]\nkind = "slack"\nurl_secret = "CHAT_URL"\n', 1)
    (tmp_path / "alerts.toml").write_text(text, encoding="utf-8")
    settings = Settings(config=tmp_path)
    [found] = doctor._destinations(settings)
    assert (found.grade, found.says) == ("warning", "CHAT_URL is not set")
    monkeypatch.setenv("CHAT_URL", "https://chat.example.test/hook")
    [found] = doctor._destinations(settings)
    assert (found.grade, found.says) == ("ok", "slack, with all it needs")


def test_approvals_that_wait_for_somebody_are_one_alert_with_their_value(watch):
    house = watch.house
    watch.switch_on(rule=shipped("approver-waits", parameters={"hours": "8", "total_min": "300"}))
    house.submit(house.line(quantity="20"))
    house.submit(house.line(quantity="30"))
    house.run(minutes=30)
    watch.look()
    assert watch.alerts() == []
    watch.house.run(days=2)
    watch.look()
    found = watch.alerts("rule")
    assert sum(row["group_amount"] for row in found) == 1000
    assert len(found) == 1
    assert "2 documents wait" in found[0]["message"]


def test_a_rule_that_is_switched_off_ends_its_alerts(watch):
    watch.switch_on(rule=shipped("blocked-order", parameters={"amount_min": "100", "days": "20"}))
    watch.blocked_orders(30)
    watch.look()
    watch.switch_on(rule=shipped("blocked-order", enabled=False))
    watch.look()
    assert [(row["state"], row["resolve_reason"]) for row in watch.alerts()] == [
        ("resolved", "the rule is switched off")
    ]


# -- burn ----------------------------------------------------------------------------------------------------------------


def series(*missed_every, target=0.99, minutes=1, n=400):
    """`n` deadlines up to now, one every so many minutes; of the last ones every k-th missed."""
    [k] = missed_every
    one = Series("o", "Orders", 1 - target)
    for back in range(n - 1, -1, -1):
        one.add(NOW - timedelta(minutes=back * minutes), is_good=not (k and back % k == 0))
    return one


def test_what_burns_is_read_from_what_the_folder_keeps_and_is_what_every_event_says(watch):
    """Q45: the same deadlines as the definition, and not one event is read for them."""
    house = watch.house
    for n in range(3):
        house.order_one(house.line(description=f"Part {n}", quantity=str(5 + n)))
    house.submit()
    house.run(hours=8)
    watch.look()
    since, now = watch.now - timedelta(days=14), watch.now
    found = watch.ask("alert.deadlines_of_objectives", since=since, now=now)
    with watch.connection.cursor(row_factory=dict_row) as cursor:
        said = cursor.execute(
            "SELECT objective, title, target, deadline_at, good_at IS NOT NULL AND good_at <= deadline_at AS is_good FROM slo_event"
            " WHERE deadline_at > %s AND deadline_at <= %s ORDER BY objective, deadline_at, document_id",
            [since, now],
        ).fetchall()
    assert found == said
    assert len({row["objective"] for row in found}) > 1
    plan = watch.connection.execute(
        "EXPLAIN SELECT r.deadline_at FROM objective o JOIN objective_outcome r ON r.objective = o.name WHERE r.deadline_at > %s",
        [since],
    ).fetchall()
    assert not any(" event" in line for (line,) in plan)


def test_a_deadline_that_does_not_count_burns_no_budget(watch):
    """The runbook of the rule says so: a planned outage is an exclusion with its reason."""
    watch.house.order_one()
    watch.house.run(hours=8)
    watch.look()
    since, now = watch.now - timedelta(days=14), watch.now
    assert watch.ask("alert.deadlines_of_objectives", since=since, now=now)
    watch.connection.execute(
        "INSERT INTO objective_exclusion (exclusion_id, objective, business_unit, starts_at, ends_at, time_zone, reason, author, written_at) VALUES (gen_random_uuid(), '', '', %s, %s, 'UTC', 'planned', 'test', %s)",
        [since, now + timedelta(days=1), now],
    )
    assert watch.ask("alert.deadlines_of_objectives", since=since, now=now) == []


def test_a_budget_that_burns_fifteen_times_too_fast_in_both_windows_alarms():
    assert "times what the budget allows" in why_burning(series(6), shipped("budget-burn-fast"), NOW)
    assert why_burning(series(100), shipped("budget-burn-fast"), NOW) == ""


def test_what_burnt_and_has_stopped_does_not_alarm():
    """The short window is what lets an alarm end."""
    one = series(2)
    for minute in range(1, 40):
        one.add(NOW + timedelta(minutes=minute), is_good=True)
    assert why_burning(one, shipped("budget-burn-fast"), NOW + timedelta(minutes=39)) == ""


def test_one_miss_of_few_does_not_page():
    """Q45: pyrra 1925 pages on a single error of a quiet service."""
    assert why_burning(series(1, minutes=20, n=2), shipped("budget-burn-fast"), NOW) == ""


def test_sustained_failure_at_a_trickle_is_not_missed():
    """Q46: eight days of failures, a document every ten hours, and no page."""
    trickle = series(1, minutes=600, n=20)
    assert why_burning(trickle, shipped("budget-burn-fast"), NOW) == ""
    assert why_burning(trickle, shipped("budget-burn-slow"), NOW) == "5 of the last 5 missed."


def test_no_documents_is_no_alarm():
    assert why_burning(Series("o", "Orders", 0.01), shipped("budget-burn-slow"), NOW) == ""


@pytest.mark.parametrize("seed", range(5))
def test_counting_by_halves_is_counting_one_by_one(seed):
    rng = Random(seed)
    one = Series("o", "Orders", 0.05)
    rows = sorted((NOW - timedelta(minutes=rng.randrange(5000)), rng.random() < 0.9) for _ in range(300))
    for at, good in rows:
        one.add(at, is_good=good)
    for minutes in (5, 60, 1440, 5000):
        after = NOW - timedelta(minutes=minutes)
        inside = [good for at, good in rows if after < at <= NOW]
        assert one.counts(after, NOW) == (len(inside), inside.count(False))
