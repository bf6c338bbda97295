"""The time machine's count is the one a live rule produced on the same data (D11, F53)."""

from datetime import timedelta

from tests.insight.alerting.conftest import shipped

EVERY = timedelta(hours=6)


def fired(watch, name):
    """(subject, occasion, first fired, over) of every alert a live rule fired."""
    return sorted(
        (row["subject"], row["occasion"], row["fired_at"], row["resolved_at"])
        for row in watch.alerts(name)
        if row["fired_at"] is not None
    )


def simulated(watch, rule):
    answer = watch.rewind(rule, tick=EVERY)
    return sorted((one.subject, one.occasion, one.fired_at, one.ended_at) for one in answer.alerts)


def test_the_simulated_alerts_are_those_a_live_rule_fired_to_the_minute(watch):
    """Two weeks in which orders are stopped, repaired and stopped again, goods come, invoices wait and fall due."""
    house = watch.house
    rules = {
        "orders": shipped("blocked-order", parameters={"amount_min": "500"}),
        "large": shipped("blocked-order", parameters={"amount_min": "2000", "days": "2"}),
        "patient": shipped("blocked-order", parameters={"amount_min": "500"}, duration_minutes=60 * 30),
        "invoices": shipped("invoice-deadline", parameters={"amount_min": "100", "total_min": "0", "days": "25"}),
        "together": shipped("invoice-deadline", parameters={"amount_min": "0", "total_min": "150", "days": "25"}),
        "causes": shipped("cause-rising", parameters={"count_min": "2", "hours": "30"}),
        "burn": shipped("budget-burn-slow", parameters={"enough": "3", "enough_bad": "1"}),
        "uninvoiced": shipped("not-invoiced", parameters={"amount_min": "50", "days": "9"}),
        "silent": shipped("source-silent"),
    }
    watch.switch_on(**rules)
    watch.look()
    watch.blocked_orders(30, 120)
    house.buy = house.order_one(house.line(cost_centre="4702", quantity="40"))
    house.receive(house.buy[1], quantity="40")
    house.run(minutes=20)
    align(watch)
    watch.pass_time(days=4, every=EVERY)
    house.invoice(house.buy[1], quantity="10", reference="RE-1")
    house.invoice(house.buy[1], quantity="20", reference="RE-2")
    house.standins["basware"].faults.update({"outage": True})
    watch.pass_time(days=2, every=EVERY)
    house.standins["basware"].faults.update({"outage": False})
    watch.pass_time(days=4, every=EVERY)
    watch.repair()
    align(watch)
    watch.pass_time(days=1, every=EVERY)
    house.invoice(house.buy[1], quantity="30", reference="RE-3")
    watch.pass_time(days=4, every=EVERY)
    counts = {}
    for name, rule in rules.items():
        live = fired(watch, name)
        assert simulated(watch, rule) == live, name
        counts[name] = len(live)
    assert min(counts.values()) > 0, f"a rule that found nothing proves nothing: {counts}"


def align(watch):
    """Go on to the next look of the grid that began with the first one, and look."""
    over = (watch.now - watch.began) % EVERY
    if over:
        watch.house.run(seconds=(EVERY - over).total_seconds())
    watch.look()
