"""One alert per rule, subject and occasion, through every state it can be in (Q44, Q50, Q52, Q54; PRODUCT.md 4.8)."""

from copy import copy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random

from hypothesis import given
from hypothesis import strategies as some

from sync_engine.engine.alert_rules import RuleInForce
from sync_engine.insight.alerting import states
from sync_engine.insight.alerting.findings import Finding
from sync_engine.model.ids import id_maker
from tests.insight.alerting.conftest import shipped

T0 = datetime(2026, 9, 15, 8, 0, tzinfo=UTC)
ORDER = Finding(
    "document:1", "PO-1", "DE-SOUTH", "cause:1", "Cost centre 4711 is blocked", deadline_on=date(2026, 9, 25), group_amount=Decimal(12000), standing="refused"
)  # fmt: skip
FEED = Finding("feed:coupa/orders", "Coupa, orders", "", "system:coupa", "Coupa is silent")
LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


class Life:
    """The alerts of one rule over time."""

    def __init__(self, rule="blocked-order", *, silent_until=LONG_AGO, **changes):
        self.rule = RuleInForce("rule", 1, shipped(rule, **changes), silent_until)
        self.alerts = []
        self.new_id = id_maker(Random(1))
        self.said = []

    def look(self, hours, *found):
        now = T0 + timedelta(hours=hours)
        self.alerts, happened = states.evaluate(
            self.alerts, found, self.rule, now=now, new_id=self.new_id, currency="EUR"
        )
        self.said += [one.what for one in happened]
        return self.alerts[0] if self.alerts else None


def test_what_is_found_again_and_again_is_one_alert():
    life = Life()
    for hour in range(48):
        life.look(hour, ORDER)
    assert len(life.alerts) == 1
    assert life.said == ["fired", "escalated"], "once when found, once when nobody took it on in eight hours"


def test_a_condition_has_to_last_as_long_as_the_rule_asks():
    life = Life(duration_minutes=120)
    assert life.look(0, ORDER).state == "pending"
    assert life.look(1, ORDER).state == "pending"
    assert life.look(2, ORDER).state == "firing"


def test_a_hiccup_shorter_than_that_tells_nobody_and_begins_anew():
    """Q50: on exhaustion, not on attempt."""
    life = Life(duration_minutes=120)
    life.look(0, ORDER)
    gone = life.look(1)
    assert (gone.state, gone.fired_at) == ("resolved", None)
    assert life.look(1.5, ORDER).state == "pending"
    assert life.look(3, ORDER).state == "pending"
    assert life.look(3.5, ORDER).state == "firing"


def test_it_resolves_by_itself_and_comes_again_as_the_same_alert():
    life = Life()
    life.look(0, ORDER)
    assert (life.look(1).state, life.alerts[0].resolved_by) == ("resolved", states.ENGINE)
    assert life.look(2, ORDER).state == "firing"
    assert len(life.alerts) == 1
    assert life.said == ["fired", "resolved", "fired again"]


def test_another_date_is_another_occasion():
    life = Life()
    life.look(0, ORDER)
    life.look(1, replace(ORDER, deadline_on=date(2026, 10, 2)))
    assert sorted(one.state for one in life.alerts) == ["firing", "resolved"]


def test_what_has_no_date_belongs_to_the_day_on_which_it_began():
    life = Life("source-silent", duration_minutes=0)
    life.look(0, FEED)
    life.look(30, FEED)
    assert [one.occasion for one in life.alerts] == ["2026-09-15"], "the next day it is the same silence"
    life.look(31)
    life.look(32, FEED)
    assert [one.occasion for one in life.alerts] == ["2026-09-15", "2026-09-16"], "gone and come again is another one"


def test_one_document_with_two_causes_is_one_alert():
    life = Life()
    life.look(0, ORDER, replace(ORDER, group_key="cause:2"))
    assert len(life.alerts) == 1


def act(alert, **changes):
    for name, value in changes.items():
        setattr(alert, name, value)


def test_what_somebody_has_taken_on_stays_theirs_until_it_resolves_or_their_time_is_over():
    life = Life(escalate_after_hours=None)
    act(life.look(0, ORDER), state="acknowledged", acknowledged_until=T0 + timedelta(hours=4))
    assert life.look(3, ORDER).state == "acknowledged"
    assert life.look(4, ORDER).state == "firing"
    act(life.alerts[0], state="acknowledged", acknowledged_until=None)
    assert life.look(500, ORDER).state == "acknowledged"
    assert life.look(501).state == "resolved"


def test_what_is_put_aside_is_evaluated_all_the_while():
    """Q52: notices stop, the record goes on."""
    life = Life()
    act(life.look(0, ORDER), state="snoozed", snoozed_until=T0 + timedelta(hours=10))
    dearer = life.look(5, replace(ORDER, group_amount=Decimal(90000)))
    assert (dearer.state, dearer.group_amount) == ("snoozed", 90000)
    assert life.look(10, ORDER).state == "firing"
    act(life.alerts[0], state="snoozed", snoozed_until=T0 + timedelta(hours=99))
    assert life.look(11).state == "resolved"


def test_put_aside_until_it_changes_comes_back_with_the_change_and_not_with_time():
    life = Life()
    act(life.look(0, ORDER), state="snoozed", snoozed_until=None, snoozed_standing="refused")
    assert life.look(24 * 8, ORDER).state == "snoozed"
    assert life.look(24 * 8 + 1, replace(ORDER, standing="requested")).state == "firing"


def test_what_a_person_has_resolved_stays_so_until_it_has_been_gone():
    life = Life()
    act(life.look(0, ORDER), state="resolved", resolved_at=T0, resolved_by="ops", resolve_reason="agreed")
    assert life.look(1, ORDER).state == "resolved"
    life.look(2)
    assert life.look(3, ORDER).state == "firing"
    assert (life.alerts[0].resolved_by, life.alerts[0].resolve_reason) == (None, None)


def test_it_escalates_by_time_by_value_and_by_nearness_and_never_back():
    life = Life(escalate_after_hours=8, escalate_amount="50000", escalate_days=[3, 1])
    assert life.look(0, ORDER).level == 0
    assert life.look(8, ORDER).level == 1
    assert life.look(9, replace(ORDER, group_amount=Decimal(60000))).level == 2
    assert life.look(10, ORDER).level == 2
    assert life.look(24 * 9, replace(ORDER, group_amount=Decimal(60000))).level == 4
    assert life.said.count("escalated") == 3


def test_a_secret_is_told_of_at_thirty_fourteen_seven_and_one_days():
    secret = Finding("secret:coupa", "coupa", "", "secret:coupa", "", deadline_on=date(2026, 10, 15))
    life = Life("secret-expires")
    levels = [life.look(24 * day, secret).level for day in range(30)]
    assert [levels.index(level) for level in (0, 1, 2, 3)] == [0, 16, 23, 29]


def test_a_new_rule_is_silent_and_then_speaks_of_what_is_still_so():
    """Q47, D11."""
    life = Life(silent_until=T0 + timedelta(days=7))
    assert life.look(0, ORDER).is_silent
    assert life.look(24 * 6, ORDER).is_silent
    assert not life.look(24 * 7, ORDER).is_silent


def test_the_message_says_how_much_until_when_and_why():
    """R141, F52."""
    said = Life().look(0, replace(ORDER, who="Nordwerk", why="Cost centre 4711 is blocked.")).message
    assert said == "PO-1 (Nordwerk), 12,000.00 EUR, due in 10 days. Cost centre 4711 is blocked."


@given(some.lists(some.sets(some.sampled_from("abc")), min_size=1, max_size=12))
def test_however_findings_come_and_go_there_is_one_open_alert_per_subject_and_it_is_what_is_found(looks):
    life = Life(escalate_after_hours=None, escalate_days=[])
    for hour, subjects in enumerate(looks):
        life.look(hour, *[replace(ORDER, subject=subject) for subject in sorted(subjects)])
        open_now = [one.subject for one in life.alerts if one.is_open]
        assert sorted(open_now) == sorted(subjects)
        assert len({one.subject for one in life.alerts}) == len(life.alerts)


def test_the_same_look_twice_changes_nothing():
    life = Life()
    life.look(0, ORDER)
    before, said = [copy(one) for one in life.alerts], len(life.said)
    life.look(0, ORDER)
    assert life.alerts == before
    assert len(life.said) == said
