"""The inbox, the rules and the time machine on the page: what a person sees is what the engine did."""

from datetime import date, timedelta
from urllib.parse import parse_qs

import pytest

from sync_engine.engine import alert_rules
from tests.insight.alerting.conftest import SHIPPED, Watch, shipped
from tests.pages.conftest import AUDITOR, OPERATIONS, words_of

LEADS = {"Its exceptions", "What waits for approval in DE-SOUTH", "Its objective", "Open Integration health"}


@pytest.fixture
def alarmed(own_world):
    """Three orders with two causes, found by a rule, and a secret that expires; every other rule as it ships."""
    own_world.watch = Watch(own_world.house)
    alert_rules.put_in_force(own_world.connection, SHIPPED, now=own_world.house.clock.now(), by="engine")
    own_world.watch.switch_on(
        **{"blocked-order": shipped("blocked-order", parameters={"amount_min": "100", "days": "20"})}
    )
    own_world.watch.ask(
        "alert.put_expiries",
        name=["coupa"],
        kind=["secret"],
        expires_on=[date(2026, 9, 20)],
        now=own_world.house.clock.now(),
    )
    own_world.watch.look()
    return own_world


def press(app, label):
    [button] = [button for button in app.button if button.label == label]
    return button.click().run()


def test_a_cause_is_one_entry_with_its_amount_and_its_runbook(alarmed):
    said = words_of(alarmed.look("alerts"))
    assert "3 causes (4 alerts) need somebody, worth EUR 1,000" in said
    assert "2 with one cause, EUR 800" in said
    assert "Remove the cause where it lies" in said
    assert "DE-SOUTH · finance operations · for" in said.replace("\\", "")


@pytest.mark.parametrize(
    ("group_key", "leads_to", "query"),
    [
        ("cause:a|b|c=1", "exceptions", {"cause": ["a|b|c=1"]}),
        ("approver:kim", "stuck", {"reason": ["awaiting approval"], "level": ["all"], "unit": ["DE-SOUTH"]}),
        ("objective:order-creation", "service-levels", {"objective": ["order-creation"]}),
        ("system:coupa", "health", {}),
    ],
)
@pytest.mark.parametrize("page", ["alerts", "overview"])
def test_what_an_alert_counts_can_be_opened(alarmed, page, group_key, leads_to, query):
    """Eleven documents waited for somebody, and nothing led to them."""
    with alarmed.database.connect_owner() as owner:
        owner.execute("SET search_path TO cell")
        owner.execute("ALTER TABLE alert NO FORCE ROW LEVEL SECURITY")
        owner.execute("DELETE FROM alert WHERE rule <> 'secret-expires'")
        owner.execute("UPDATE alert SET group_key = %s, business_unit = 'DE-SOUTH'", [group_key])
    app = alarmed.look(page)
    assert not app.exception
    [link] = [link for link in app.page_link if link.label in LEADS]
    assert leads_to in str(link.proto)
    opened = parse_qs(link.proto.query_string)
    assert {name: value for name, value in opened.items() if name != "as"} == query


def test_taking_a_cause_on_takes_on_all_of_it_and_only_it(alarmed):
    app = alarmed.look("alerts")
    with alarmed.engine_at_work():
        app = press(app, "Acknowledge 2")
    assert any("Taken on by finance" in badge for badge in words_of(app).splitlines())
    states = alarmed.connection.execute(
        "SELECT rule, state, count(*) FROM alert GROUP BY 1, 2 ORDER BY 1, 2"
    ).fetchall()
    assert states == [
        ("blocked-order", "acknowledged", 2),
        ("blocked-order", "firing", 1),
        ("secret-expires", "firing", 1),
    ]


def test_who_may_not_act_is_told_which_role_may(alarmed):
    app = alarmed.look("alerts", person=AUDITOR)
    assert not [button.label for button in app.button if button.label.startswith("Acknowledge")]
    assert "To acknowledge an alert takes the role" in words_of(app)


def test_every_rule_is_listed_with_how_it_does(alarmed):
    app = alarmed.look("alerts", view="rules")
    rows = next(frame.value for frame in app.dataframe if "title" in frame.value.columns)
    assert len(rows) == len(SHIPPED.rules)
    first = rows.iloc[0]
    assert (first["title"], first["fired"]) == ("Blocked order with a near need-by date", 3)


def test_a_rule_is_tried_on_the_past_before_it_is_saved_and_the_trial_is_kept(alarmed):
    """D11, F53."""
    app = alarmed.look("alerts", view="rules", rule="blocked-order")
    [save] = [button for button in app.button if button.label.startswith("Save as version")]
    assert save.disabled
    app = press(app, "Try it on the last 90 days")
    assert "2 messages to finance operations" in words_of(app)
    assert next(metric for metric in app.metric if metric.label == "Alerts").value == "3"
    [why] = [field for field in app.text_input if field.label == "Why"]
    why.set_value("the amount is right for us")
    with alarmed.engine_at_work():
        app = press(app.run(), "Save as version 3")
    row = alarmed.connection.execute(
        "SELECT version, changed_by, simulated->>'alerts' FROM alert_rule_version WHERE rule = 'blocked-order' ORDER BY version DESC LIMIT 1"
    ).fetchone()
    assert row == (3, OPERATIONS, "3")
    assert "version 3 is in force" in words_of(app)


def test_a_changed_form_has_to_be_tried_again(alarmed):
    app = press(alarmed.look("alerts", view="rules", rule="blocked-order"), "Try it on the last 90 days")
    [amount] = [field for field in app.number_input if field.label == "From an amount of (EUR)"]
    app = amount.set_value(500).run()
    assert [button.disabled for button in app.button if button.label.startswith("Save as version")] == [True]
    app = press(app, "Try it on the last 90 days")
    assert next(metric for metric in app.metric if metric.label == "Alerts").value == "1"


def test_what_did_not_get_through_is_on_the_page(alarmed):
    alarmed.connection.execute(
        "INSERT INTO alert_notice (notice_id, rule, group_key, destination, severity, alert_ids, content, status, created_at, due_at, tries, last_error, settled_at)"
        " VALUES (gen_random_uuid(), 'blocked-order', 'x', 'chat', 'high', '{}', '{}', 'given_up', %(now)s, %(now)s, 10, 'hooks.test answers 404', %(now)s)",
        {"now": alarmed.house.clock.now() - timedelta(hours=1)},
    )
    assert "1 notice did not get through" in words_of(alarmed.look("alerts"))
    assert "hooks.test answers 404" in words_of(alarmed.look("alerts", view="notices"))


def test_an_address_that_names_nothing_is_said(alarmed):
    assert "names a rule that is not there" in words_of(alarmed.look("alerts", view="rules", rule="<b>x"))


def test_a_new_rule_says_what_is_still_to_be_filled_in(alarmed):
    app = alarmed.look("alerts", view="rules", rule="new")
    assert "What it costs when nobody looks: to be filled in" in words_of(app).replace("\\", "")
    assert not [button for button in app.button if button.label.startswith("Save")]
