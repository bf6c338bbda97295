"""Who is told what, once, and what happens when that does not get through (Q53, Q54; RELIABILITY 1 Standard Webhooks, 4.4)."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
import structlog

from sync_engine.cli.alert_jobs import sender
from sync_engine.engine.alert_rules import AlertConfiguration
from sync_engine.insight.alerting import shapes
from sync_engine.insight.alerting.deliver import RETRY_AFTER, deliver
from sync_engine.model.errors import TransientError
from sync_engine.settings import Settings
from tests.insight.alerting.conftest import SHIPPED, shipped
from tests.insight.alerting.sinks import mail_sink, webhook_sink

KEY = "whsec_" + base64.b64encode(bytes(range(32))).decode()
HOSTILE = 'Nord <!channel> **[x](http://evil.test)**\r\nBcc: all@example.test "quoted" & </at> <at>all</at>'
CONTENT = {
    "rule": "blocked-order", "version": 3, "title": "Blocked order", "cause": HOSTILE, "severity": "high", "escalated": 0, "owner_team": "finance operations",
    "impact": "Goods come late.", "count": 37, "total": "1240000.00", "currency": "EUR", "nearest_on": "2026-09-18", "lines": [HOSTILE] * 20,
    "runbook": ["1. Open the exception."], "link": "https://finsync.test/alerts",
}  # fmt: skip
NOW = datetime(2026, 9, 15, 9, 0, tzinfo=UTC)


def reaching(**destinations):
    return AlertConfiguration.model_validate(
        {**SHIPPED.model_dump(), "destinations": destinations, "routes": {"finance operations": list(destinations)}}
    )


@pytest.fixture
def told(watch):
    """A cause with three orders, told to a webhook inside; answers a function that delivers what is due."""
    with webhook_sink() as sink:
        watch.configuration = reaching(
            hook={"kind": "webhook", "url_secret": "HOOK_URL", "key_secret": "HOOK_KEY", "allow_private": True}
        )
        watch.switch_on(
            order=shipped("blocked-order", parameters={"amount_min": "100", "days": "20"}),
            failed=shipped("notices-failed"),
        )
        watch.blocked_orders(30, 120, 77)
        watch.look()
        watch.sink = sink
        watch.secrets = {"HOOK_URL": sink.url, "HOOK_KEY": KEY}
        watch.offset = timedelta(0)

        def send(connection=None, through=None):
            return deliver(
                connection or watch.connection,
                watch.configuration,
                send=through or sender(Settings()),
                secret=lambda name: watch.secrets.get(name, ""),
                now=lambda: watch.now + watch.offset,
            )

        watch.send = send
        yield watch


def test_thirty_seven_stuck_documents_are_one_notice_with_a_list(told):
    assert told.send().sent == 1
    [(_, _, body)] = told.sink.requests
    [said] = json.loads(body)["data"]["alerts"]
    assert said["count"] == 3
    assert len(said["lines"]) == 3
    assert said["headline"] == "Blocked order with a near need-by date: 3, EUR 4,540 together, first on 2026-09-25"


def test_a_webhook_is_signed_as_standard_webhooks_says(told):
    told.send()
    [(_, headers, body)] = told.sink.requests
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    wanted = base64.b64encode(hmac.new(bytes(range(32)), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{wanted}"
    assert headers["webhook-id"] == str(told.notices()[0]["notice_id"])
    assert len(body) <= shapes.MAX_BYTES


def test_it_is_told_once_however_often_engines_look_and_deliver(told, database):
    with database.connected("finsync_engine") as connection:
        for _ in range(3):
            told.look()
            told.send()
            told.send(connection)
    assert len(told.sink.requests) == 1
    assert told.send().sent == 0


def test_a_notice_that_another_engine_is_sending_is_left_to_it_until_its_lease_is_over(told, database):
    with database.connected("finsync_engine") as connection:

        def meanwhile(*_):
            assert told.send(connection).sent == 0

        assert told.send(through=meanwhile).sent == 1


def test_the_same_id_goes_with_every_try_and_the_tries_are_spaced(told):
    told.sink.status = 503
    ids, waits = set(), []
    for _ in range(len(RETRY_AFTER)):
        assert told.send().later == 1
        [row] = told.notices()
        waits.append(row["due_at"] - (told.now + told.offset))
        assert told.send().later == 0, "not before its time"
        told.offset += waits[-1]
        ids.add(told.sink.requests[-1][1]["webhook-id"])
    assert tuple(waits) == RETRY_AFTER
    assert len(ids) == 1
    assert told.send().given_up == 1
    assert len(told.sink.requests) == len(RETRY_AFTER) + 1


def test_what_is_given_up_is_shown_and_is_an_alert_in_the_inbox_that_tells_nobody_outside(told):
    """Q53, Q54: the depth is one, whatever happens."""
    told.configuration = told.configuration.model_copy(
        update={"routes": {**told.configuration.routes, "integration support": ("hook",)}}
    )
    told.sink.status, told.sink.answer = 410, b"gone"
    assert told.send().given_up == 1
    for _ in range(3):
        told.look(told.now + timedelta(minutes=1))
    [alert] = told.alerts("failed")
    assert (alert["state"], alert["subject_name"]) == ("firing", "hook")
    assert "410: gone" in alert["message"]
    assert len(told.notices()) == 1


def test_the_next_notice_that_gets_through_ends_that_alert(told):
    told.sink.status = 410
    told.send()
    told.look(told.now + timedelta(minutes=1))
    told.sink.status = 200
    told.connection.execute("UPDATE alert SET noticed_at = NULL WHERE rule = 'order'")
    told.look(told.now + timedelta(minutes=2))
    told.offset = timedelta(minutes=3)
    assert told.send().sent == 1
    told.look(told.now + timedelta(minutes=4))
    assert [row["state"] for row in told.alerts("failed")] == ["resolved"]


def test_what_is_over_before_it_is_told_is_not_told(told):
    told.repair()
    told.look()
    assert told.send().overtaken == 1
    assert told.sink.requests == []


def test_an_answer_is_not_needed_to_be_lost_twice(told):
    """An engine that dies after sending: the lease runs out, and it goes again under the same id."""

    def dies(*_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        told.send(through=dies)
    assert told.send().sent == 0
    told.offset = timedelta(minutes=3)
    assert told.send().sent == 1


def test_no_secret_is_in_a_log_an_error_or_the_database(told):
    told.sink.status, told.sink.answer = 500, b"no"
    with structlog.testing.capture_logs() as logs:
        told.send()
    written = f"{logs} {told.notices()} {told.alerts()}"
    assert "500: no" in written
    for word in ("secret-part", KEY, KEY.removeprefix("whsec_")):
        assert word not in written


@pytest.mark.parametrize(("name", "value"), [("HOOK_KEY", ""), ("HOOK_KEY", "whsec_c2hvcnQ="), ("HOOK_URL", "")])
def test_a_secret_that_is_not_there_is_said_and_tried_again(told, name, value):
    told.secrets[name] = value
    assert told.send().later == 1
    assert told.sink.requests == []
    assert "hook" in told.notices()[0]["last_error"] or "key" in told.notices()[0]["last_error"]


# -- when ---------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("severity", "at", "due"),
    [
        ("high", "2026-09-15T08:00Z", "2026-09-15T08:00Z"),  # Tuesday, in German working hours
        ("high", "2026-09-15T20:00Z", "2026-09-16T06:00Z"),  # night: the next morning
        ("normal", "2026-09-18T20:00Z", "2026-09-21T06:00Z"),  # Friday night: Monday
        ("critical", "2026-09-18T20:00Z", "2026-09-18T20:00Z"),  # at once
        ("low", "2026-09-15T08:00Z", "2026-09-16T07:00Z"),  # with the next digest
    ],
)
def test_quiet_hours_hold_for_everything_but_the_critical(watch, severity, at, due):
    watch.configuration = reaching(mail={"kind": "mail", "to": ["ops@example.test"]})
    watch.switch_on(order=shipped("blocked-order", parameters={"amount_min": "100", "days": "20"}, severity=severity))
    watch.blocked_orders(30)
    watch.look(datetime.fromisoformat(at))
    [notice] = watch.notices()
    assert notice["due_at"] == datetime.fromisoformat(due)


def test_a_cause_is_told_again_only_after_its_time_and_an_escalation_at_once(watch):
    watch.configuration = reaching(mail={"kind": "mail", "to": ["ops@example.test"]})
    watch.switch_on(
        order=shipped("blocked-order", parameters={"amount_min": "100", "days": "20"}, calendar="always", repeat_after_hours=24, escalate_after_hours=8, escalate_days=[])
    )  # fmt: skip
    watch.blocked_orders(30)
    began = watch.now
    watch.look()
    watch.house.s4hana.unblock_cost_centre(code="4711")
    watch.blocked_orders(50)
    watch.look(began + timedelta(hours=2))
    assert len(watch.notices()) == 1, "one more behind the same cause does not ring again"
    watch.look(began + timedelta(hours=9))
    assert [row["content"]["escalated"] for row in watch.notices()] == [0, 1]
    assert watch.notices()[-1]["content"]["count"] == 2


def test_low_severities_to_one_destination_are_one_mail(watch):
    watch.configuration = reaching(mail={"kind": "mail", "to": ["ops@example.test"]})
    watch.switch_on(
        order=shipped("blocked-order", parameters={"amount_min": "100", "days": "20"}, severity="low"),
        cause=shipped("cause-rising", parameters={"count_min": "1"}, severity="low", owner_team="finance operations"),
    )
    watch.blocked_orders(30)
    watch.look()
    assert len(watch.notices()) == 2
    with mail_sink() as sink:
        settings = Settings(
            smtp_host="127.0.0.1", smtp_port=sink.port, smtp_sender="finsync@example.test", smtp_starttls=False
        )
        done = deliver(
            watch.connection,
            watch.configuration,
            send=sender(settings),
            secret=lambda _: "",
            now=lambda: watch.now + timedelta(days=1),
        )
    assert done.sent == 2
    [mail] = sink.mails
    assert mail["Subject"] == "2 alerts of low severity"


def test_a_silent_rule_and_what_is_in_hand_or_put_aside_tell_nobody(watch):
    watch.configuration = reaching(mail={"kind": "mail", "to": ["ops@example.test"]})
    watch.switch_on(order=shipped("blocked-order", parameters={"amount_min": "100", "days": "20"}, silent_days=7))
    watch.blocked_orders(30)
    watch.look()
    assert [row["is_silent"] for row in watch.alerts()] == [True]
    assert watch.notices() == []
    watch.look(watch.now + timedelta(days=8))
    assert len(watch.notices()) == 1, "what is still so when the silence is over is told then"


def test_mail_gets_through_and_a_mailbox_that_is_full_is_tried_again(watch):
    message = shapes.shaped("mail", [CONTENT], notice_id=uuid4(), now=NOW, to=["ops@example.test"])
    destination = reaching(mail={"kind": "mail", "to": ["ops@example.test"]}).destinations["mail"]
    with mail_sink() as sink:
        send = sender(
            Settings(
                smtp_host="127.0.0.1", smtp_port=sink.port, smtp_sender="finsync@example.test", smtp_starttls=False
            )
        )
        send(destination, "", message)
        sink.refuse_with = "452 mailbox full"
        with pytest.raises(TransientError, match="452 mailbox full"):
            send(destination, "", message)
    [mail] = sink.mails
    assert (mail["From"], mail["To"]) == ("finsync@example.test", "ops@example.test")
    assert mail["Bcc"] is None
    assert mail.get_content_type() == "text/plain"
    assert "and 17 more" in mail.get_content()


# -- outside text in each channel -------------------------------------------------------------------------------------------------


def test_a_slack_notification_holds_no_mention_and_no_link_of_others():
    said = json.loads(shapes.shaped("slack", [CONTENT], notice_id=uuid4(), now=NOW).body)
    assert "<!" not in said["text"]
    kinds = {block["text"]["type"] for block in said["blocks"] if "text" in block}
    assert kinds == {"plain_text"}
    assert all(len(block["text"]["text"]) <= 3000 for block in said["blocks"] if "text" in block)
    assert len(said["blocks"]) <= 50


def test_a_teams_card_holds_outside_text_in_runs_that_know_no_markup():
    said = json.loads(shapes.shaped("teams", [CONTENT], notice_id=uuid4(), now=NOW).body)
    [attachment] = said["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert {block["type"] for block in attachment["content"]["body"]} == {"RichTextBlock"}


def test_a_header_cannot_be_slipped_into_a_mail():
    content = {**CONTENT, "title": "x\r\nBcc: all@example.test"}
    mail = shapes.shaped("mail", [content], notice_id=uuid4(), now=NOW, to=["ops@example.test"]).mail
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
