"""What people do about alerts and rules: once, within their sight, with a reason where it counts, on record (F51, Q52)."""

from datetime import timedelta

import pytest

from config import FOLDER
from sync_engine.control.roles import Action, Role
from sync_engine.engine.alert_rules import load_alerts, put_in_force
from sync_engine.model.alerts import Severity
from tests.toy import NOON

OPS = Role.FINANCE_OPERATIONS
SHIPPED = load_alerts(FOLDER)
RULE = SHIPPED.rules["blocked-order"].model_dump(mode="json")


def state(desk, alert):
    return desk.one("SELECT state FROM alert WHERE alert_id = %s", alert)


def test_several_alerts_are_taken_on_together_for_some_hours(desk):
    session, alerts = desk.person(OPS), [str(desk.alert()) for _ in range(3)]
    found = desk.do(session, Action.ACKNOWLEDGE_ALERT, alert_ids=alerts, hours=8)
    assert found.sentence == "Acknowledged: 3 alerts."
    rows = desk.connection.execute("SELECT DISTINCT state, acknowledged_until, acted_at FROM alert").fetchall()
    assert rows == [("acknowledged", NOON + timedelta(hours=8), NOON)]


def test_what_somebody_else_has_taken_on_already_is_left_out(desk):
    first, second, alerts = (
        desk.person(OPS),
        desk.person(Role.INTEGRATION_SUPPORT),
        [str(desk.alert()) for _ in range(2)],
    )
    desk.do(first, Action.ACKNOWLEDGE_ALERT, alert_ids=alerts[:1])
    assert desk.do(second, Action.ACKNOWLEDGE_ALERT, alert_ids=alerts).sentence == "Acknowledged."
    owners = desk.connection.execute("SELECT count(DISTINCT acknowledged_by) FROM alert").fetchone()
    assert owners == (2,)


def test_one_alert_of_another_unit_among_them_and_nothing_is_done(desk):
    session, own, other = desk.person(OPS), desk.alert(), desk.alert(unit="US-EAST")
    found = desk.do(session, Action.ACKNOWLEDGE_ALERT, alert_ids=[str(own), str(other)])
    assert (found.status, state(desk, own)) == ("denied", "firing")


def test_an_alert_is_put_aside_for_some_hours_or_until_it_changes(desk):
    session, timed, until_change = desk.person(OPS), desk.alert(), desk.alert()
    desk.connection.execute("UPDATE alert SET standing = 'refused'")
    desk.do(session, Action.SNOOZE_ALERT, alert_id=str(timed), hours=4)
    desk.do(session, Action.SNOOZE_ALERT, alert_id=str(until_change), until_change=True)
    found = desk.connection.execute(
        "SELECT alert_id, snoozed_until, snoozed_standing FROM alert WHERE state = 'snoozed'"
    )
    rows = {alert: rest for alert, *rest in found}
    assert rows == {timed: [NOON + timedelta(hours=4), None], until_change: [None, "refused"]}


def test_an_alert_is_over_with_a_reason_that_stays_on_record(desk):
    session, alert = desk.person(OPS), desk.alert()
    desk.do(session, Action.RESOLVE_ALERT, alert_id=str(alert), reason="paid by hand")
    row = desk.connection.execute("SELECT state, resolved_by, resolve_reason, is_found FROM alert").fetchone()
    assert row == ("resolved", session.person.user_id, "paid by hand", True)
    event = desk.connection.execute("SELECT what, actor, reason, state FROM alert_event").fetchone()
    assert event == ("resolved by a person", session.person.user_id, "paid by hand", "resolved")


@pytest.mark.parametrize(
    ("action", "arguments"),
    [
        (Action.SNOOZE_ALERT, {}),
        (Action.SNOOZE_ALERT, {"hours": 0}),
        (Action.SNOOZE_ALERT, {"hours": 10**9}),
        (Action.SNOOZE_ALERT, {"hours": True}),
        (Action.ACKNOWLEDGE_ALERT, {"hours": "soon"}),
        (Action.RESOLVE_ALERT, {"alert_ids": []}),
        (Action.RESOLVE_ALERT, {"alert_ids": 7}),
    ],
)
def test_what_makes_no_sense_changes_nothing(desk, action, arguments):
    alert = desk.alert()
    found = desk.do(desk.person(OPS), action, **{"alert_id": str(alert), **arguments})
    assert (found.status, state(desk, alert)) == ("failed", "firing")


# -- rules -----------------------------------------------------------------------------------------------------------------


def save(desk, session, name="own-rule", version=0, reason="agreed", **changes):
    return desk.do(session, Action.SAVE_ALERT_RULE, reason=reason, name=name, version=version, rule={**RULE, **changes})


def test_a_rule_is_saved_as_the_next_version_with_who_and_why(desk):
    session = desk.person(OPS, units=("*",))
    assert save(desk, session, silent_days=7).sentence.endswith(
        "version 1 is in force. Nobody is told for the first 7 days."
    )
    assert save(desk, session, version=1, severity="critical", reason="nights too").result["version"] == 2
    rows = desk.connection.execute(
        "SELECT version, source, changed_by, reason, content->>'severity', silent_until FROM alert_rule_version ORDER BY version"
    ).fetchall()
    who = session.person.user_id
    assert rows == [
        (1, "app", who, "agreed", "high", NOON + timedelta(days=7)),
        (2, "app", who, "nights too", "critical", NOON),
    ]


def test_whoever_saves_second_is_told_who_was_first(desk):
    first, second = desk.person(OPS, units=("*",)), desk.person(Role.INTEGRATION_SUPPORT, units=("*",))
    save(desk, first)
    found = save(desk, second)
    assert found.status == "conflict"
    assert first.person.user_id in found.sentence


def test_a_rule_for_every_unit_takes_sight_of_every_unit(desk):
    session = desk.person(OPS)
    assert save(desk, session).status == "denied"
    assert save(desk, session, units=["US-EAST"]).status == "denied"
    assert save(desk, session, units=["DE-SOUTH"]).status == "done"


def test_a_rule_of_all_cannot_be_taken_over_by_somebody_who_sees_less(desk):
    save(desk, desk.person(OPS, units=("*",)))
    assert save(desk, desk.person(OPS), version=1, units=["DE-SOUTH"]).status == "denied"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"measure": "moon"}, "there is no measure 'moon'"),
        ({"parameters": {"amount_min": "lots"}}, "is a number"),
        ({"parameters": {"amount_min": "NaN"}}, "lies between"),
        ({"parameters": {"days": "2.5"}}, "is a whole number"),
        ({"parameters": {"weather": "1"}}, "has no parameter 'weather'"),
        ({"severity": "panic"}, "severity"),
        ({"runbook": ""}, "runbook"),
        ({"sql": "1; DROP TABLE alert"}, "sql"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_with_the_place(desk, changes, why):
    found = save(desk, desk.person(OPS, units=("*",)), **changes)
    assert found.status == "failed"
    assert why in found.sentence
    assert desk.one("SELECT count(*) FROM alert_rule_version") == 0


@pytest.mark.parametrize("name", ["", "Own", "a b", "../x", "x" * 61, None, 7])
def test_a_name_is_plain(desk, name):
    assert save(desk, desk.person(OPS, units=("*",)), name=name).status == "failed"


def test_the_file_comes_into_force_once_and_again_when_it_changes(desk):
    assert put_in_force(desk.connection, SHIPPED, now=NOON, by="engine") == list(SHIPPED.rules)
    assert put_in_force(desk.connection, SHIPPED, now=NOON, by="engine") == []
    save(desk, desk.person(OPS, units=("*",)), name="blocked-order", version=1, severity="low")
    assert put_in_force(desk.connection, SHIPPED, now=NOON, by="engine") == [], "what people changed stays"
    louder = SHIPPED.rules["blocked-order"].model_copy(update={"severity": Severity.CRITICAL})
    fewer = {name: rule for name, rule in SHIPPED.rules.items() if name != "quota-low"}
    changed = SHIPPED.model_copy(update={"rules": {**fewer, "blocked-order": louder}})
    assert put_in_force(desk.connection, changed, now=NOON, by="engine") == ["blocked-order", "quota-low"]
    newest = desk.connection.execute(
        "SELECT DISTINCT ON (rule) rule, version, content->>'enabled' FROM alert_rule_version WHERE rule IN ('blocked-order', 'quota-low') ORDER BY rule, version DESC"
    ).fetchall()
    assert newest == [("blocked-order", 3, "true"), ("quota-low", 2, "false")]
