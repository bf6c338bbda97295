"""ServiceNow's decisions read whole over shifting pages, and every bad connection."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.servicenow import APPROVAL_STATES, PAGE_SIZE, SYSTEM, connect, read_approvals, sketch, understand
from sandbox.server import StandinServer
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.model.documents import (
    Decision,
    DocumentType,
    Person,
)
from sync_engine.model.errors import AnswerLost, ConfigurationError, MappingError, TransientError
from sync_engine.model.ports import Identifier, Link, Record
from tests.collectors.servicenow_instance import (
    CASE,
    KEY,
    PROCUREMENT,
    Clock,
    access,
    ask,
    connected,
    decide,
    furnished,
    look_up,
    mappings,
    news_of,
    read_all,
    run,
)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def instance(clock):
    return furnished(clock)


@pytest.fixture
def session(instance):
    opened = connected(instance)
    yield opened
    opened.close()


# Reading decisions


def test_an_open_approval_is_news_of_who_was_asked_by_which_group(session, instance, clock):
    facts = run(session, "request_approval", ask()).facts
    news = news_of(session, clock)["procurement.approver.1"]
    assert news.document_type is DocumentType.APPROVAL
    assert news.links == (Link("decides", Identifier("servicenow", "approval_request", facts["approval_request"])),)
    assert (news.signals, news.ignore, news.source_status) == ((), "", "requested")
    approval = news.document
    assert (approval.system, approval.number, approval.group) == (
        "servicenow",
        news.identifier.external_id,
        PROCUREMENT,
    )
    assert approval.approver == Person(
        user="procurement.approver.1", name="Procurement Approver 1", email="procurement.approver.1@example.com"
    )
    assert (approval.decision, approval.decided_by, approval.decided_at) == (Decision.PENDING, None, None)
    assert approval.requested_at == datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def test_a_decision_carries_its_time_its_comment_and_who_really_took_it(session, instance, clock):
    run(session, "request_approval", ask())
    clock.tick()
    decide(instance, "finance.approver.1", "approved", by="a.delegate", comment="Budget is there.")
    clock.tick()
    by_user = news_of(session, clock)
    approval = by_user["finance.approver.1"].document
    assert (approval.decision, approval.comment) == (Decision.APPROVED, "Budget is there.")
    assert approval.decided_at == datetime(2026, 3, 2, 9, 1, tzinfo=UTC)
    assert (approval.approver.user, approval.decided_by.user) == ("finance.approver.1", "a.delegate")
    assert by_user["finance.approver.1"].signals == ("approval_granted",)
    colleague = by_user["finance.approver.2"]
    assert (colleague.document.decision, colleague.signals) == (Decision.NOT_REQUIRED, ("approval_cancelled",))
    assert colleague.document.decided_by is None


def test_a_rejection_is_news_for_everybody_who_was_asked(session, instance, clock):
    run(session, "request_approval", ask())
    decide(instance, "procurement.approver.1", "rejected", comment="Too dear")
    by_user = news_of(session, clock)
    assert by_user["procurement.approver.1"].signals == ("approval_denied",)
    assert by_user["procurement.approver.1"].document.decided_by == by_user["procurement.approver.1"].document.approver
    assert by_user["finance.approver.1"].signals == ("approval_cancelled",)


def test_a_withdrawal_is_news(session, instance, clock):
    run(session, "request_approval", ask())
    run(session, "cancel_approval", ask(facts={"approval_keys": [KEY]}))
    assert {news.signals for news in news_of(session, clock).values()} == {("approval_cancelled",)}


@pytest.mark.parametrize("state", sorted(APPROVAL_STATES))
def test_every_state_word_of_the_vendor_is_understood(session, instance, clock, state):
    run(session, "request_approval", ask())
    row = instance.tables["sysapproval_approver"].find("_open_for", instance._user("procurement.approver.1")["sys_id"])[
        0
    ]
    instance.update("sysapproval_approver", row, {"state": state}, "admin")
    news = news_of(session, clock)["procurement.approver.1"]
    assert news.document.decision is APPROVAL_STATES[state].decision


def test_an_unknown_state_word_is_never_guessed(session, instance, clock):
    run(session, "request_approval", ask())
    decide(instance, "procurement.approver.1", "delegated")
    records, _ = read_all(session, {}, clock.now)
    errors = []
    for record in records:
        try:
            understand(record, mappings())
        except MappingError as error:
            errors.append((error.code, error.facts["value"]))
            assert sketch(record).title == "Approval of REQ0010001 by Procurement Approver 1"
    assert errors == [("status_unmapped", "delegated")]


def test_approvals_of_others_are_not_even_asked_for(session, instance, clock):
    foreign = instance.insert("sc_request", {"short_description": "A laptop"}, "somebody")
    group = next(iter(instance.tables["sys_user_group"]))["sys_id"]
    asked = {"parent": foreign["sys_id"], "assignment_group": group, "approval": "requested"}
    instance.insert("sysapproval_group", asked, "somebody")
    assert read_all(session, {}, clock.now)[0] == []


def test_an_approval_of_others_that_reaches_us_all_the_same_is_ignored(session, instance, clock):
    run(session, "request_approval", ask())
    record = read_all(session, {}, clock.now)[0][0]
    raw = json.loads(record.body) | {"sysapproval.correlation_id": "", "state": "whatever"}
    news = understand(altered(record, raw), mappings())
    assert (news.ignore, news.document) == ("not requested by us", None)


def altered(record, raw):
    return Record(
        record.kind, record.external_id, record.version, record.source_at, json.dumps(raw, ensure_ascii=False).encode()
    )


def test_a_poll_with_nothing_new_reads_the_overlap_again_and_nothing_else(session, instance, clock):
    run(session, "request_approval", ask())
    first, cursor = read_all(session, {}, clock.now)
    again, same = read_all(session, cursor, clock.now)
    assert {(record.external_id, record.version) for record in again} == {
        (record.external_id, record.version) for record in first
    }
    assert same == cursor
    clock.tick(3600)
    decide(instance, "procurement.approver.1", "approved")
    later, moved = read_all(session, cursor, clock.now)
    _, _ = read_all(session, moved, clock.now)
    assert moved["since"] > cursor["since"]
    assert (
        len({(record.external_id, record.version) for record in later} - {(r.external_id, r.version) for r in first})
        == 1
    )
    assert len(read_all(session, moved, clock.now)[0]) == 1


def test_an_empty_instance_is_read_to_the_end(session, clock):
    page = read_approvals(session, {}, clock.now)
    assert (page.records, page.more) == ((), False)
    assert page.complete_until == clock.now - timedelta(seconds=SYSTEM.quiet_period_s)
    assert read_approvals(session, page.cursor, clock.now).cursor == page.cursor


def many_approvals(instance, clock, count, seconds_apart):
    parent = instance.insert("sc_request", {"correlation_id": "fs-many", "correlation_display": "1"}, "finsync")[
        "sys_id"
    ]
    approver = instance._user("finance.approver.1")["sys_id"]
    rows = []
    for _ in range(count):
        asked = {"approver": approver, "sysapproval": parent, "state": "requested"}
        rows.append(instance.insert("sysapproval_approver", asked, "finsync"))
        clock.tick(seconds_apart)
    return rows


@pytest.mark.parametrize("seconds_apart", [10, 0])
def test_no_row_is_lost_when_pages_shift_while_they_are_read(session, instance, clock, seconds_apart):
    rows = many_approvals(instance, clock, 2 * PAGE_SIZE + 50, seconds_apart)
    seen, cursor, more, read = set(), {}, True, 0
    while more:
        page = read_approvals(session, cursor, clock.now)
        seen |= {record.external_id for record in page.records}
        cursor, more = page.cursor, page.more
        clock.tick()
        # Somebody decides the five oldest rows not decided yet: they move to the end and the others come forward.
        for row in rows[read : read + 5]:
            instance.decide(approver_row=row["sys_id"], state="skipped")
        read += 5
        assert read < 100, "it never ends"
    assert seen == {row["sys_id"] for row in rows}


def test_pages_that_access_rules_emptied_do_not_end_the_reading(session, instance, clock):
    rows = many_approvals(instance, clock, 2 * PAGE_SIZE + 50, 10)
    instance.rules.hidden_rows = {row["sys_id"] for row in rows[: PAGE_SIZE + 20]}
    records, _ = read_all(session, {}, clock.now)
    assert {record.external_id for record in records} == {row["sys_id"] for row in rows[PAGE_SIZE + 20 :]}


@pytest.mark.parametrize("time", ["9999-12-31 00:00:00", "soon"])
def test_a_row_with_an_impossible_time_does_not_carry_the_cursor_away(session, instance, clock, time):
    run(session, "request_approval", ask())
    rows = list(instance.tables["sysapproval_approver"])
    rows[0]["sys_updated_on"] = time
    records, cursor = read_all(session, {}, clock.now)
    assert len(records) == 3
    assert cursor == {"since": "2026-03-02 08:55:00"}
    rows[1]["sys_updated_on"] = rows[2]["sys_updated_on"] = "soon"
    rows[0]["sys_updated_on"] = "soon"
    assert read_all(session, cursor, clock.now)[1] == cursor


@pytest.mark.parametrize("column", [("sysapproval_approver", "sys_updated_on"), ("sc_request", "correlation_id")])
@pytest.mark.parametrize("rule", ["hidden_columns", "unsearchable_columns"])
def test_an_answer_that_ignored_the_question_is_not_taken(session, instance, clock, column, rule):
    run(session, "request_approval", ask())
    cursor = {"since": "2026-03-02 10:00:00"}
    clock.tick(7200)
    foreign = instance.insert("sc_request", {}, "somebody")
    asked = {"sysapproval": foreign["sys_id"], "state": "requested"}
    instance.insert("sysapproval_approver", asked, "somebody")
    decide(instance, "procurement.approver.1", "approved")
    assert len(read_approvals(session, cursor, clock.now).records) == 1
    getattr(instance.rules, rule).add(column)
    with pytest.raises(ConfigurationError, match="not asked for"):
        read_approvals(session, cursor, clock.now)


@pytest.mark.parametrize("drift", ["renamed", "removed", "retyped"])
def test_a_release_that_changes_the_state_column_parks_the_changed_rows_alone(session, instance, clock, drift):
    run(session, "request_approval", ask())
    clock.tick()
    instance.faults.schema_drift = drift
    decide(instance, "procurement.approver.1", "approved")
    understood, parked = [], []
    for record in read_all(session, {}, clock.now)[0]:
        try:
            understood.append(understand(record, mappings()))
        except MappingError as error:
            parked.append((error.code, error.facts["field"]))
    assert parked == [("contract_change", "state")]
    assert len(understood) == 2


def test_a_new_column_disturbs_nobody(session, instance, clock):
    instance.faults.schema_drift = "added"
    run(session, "request_approval", ask())
    assert len(news_of(session, clock)) == 3


def test_rows_told_twice_and_out_of_order_have_one_version_each(session, instance, clock):
    run(session, "request_approval", ask())
    instance.faults.duplicate_news_share = instance.faults.out_of_order_share = 1.0
    records, _ = read_all(session, {}, clock.now)
    assert len(records) == 6
    assert len({(record.kind, record.external_id, record.version) for record in records}) == 3


def test_a_row_without_an_id_still_comes_out_and_can_be_parked(session, instance, clock):
    run(session, "request_approval", ask())
    instance.rules.hidden_columns = {("sysapproval_approver", "sys_id")}
    records, _ = read_all(session, {}, clock.now)
    assert {record.external_id for record in records} == {""}
    assert len({record.version for record in records}) == 3
    assert sketch(records[0]) is None
    with pytest.raises(MappingError, match="sys_id is missing") as refused:
        understand(records[0], mappings())
    assert refused.value.code == "contract_change"


@pytest.mark.parametrize(
    ("column", "value", "code"),
    [
        ("sys_updated_on", "yesterday", "field_invalid"),
        ("sys_created_on", "", "field_invalid"),
        ("approver.user_name", None, "contract_change"),
        ("sysapproval", {"value": "x"}, "contract_change"),
        ("approver.name", "caf\ufffd", "field_invalid"),
        ("group.assignment_group.name", 7, "field_invalid"),
    ],
)
def test_a_value_that_cannot_be_read_is_named(session, instance, clock, column, value, code):
    run(session, "request_approval", ask())
    record = read_all(session, {}, clock.now)[0][0]
    with pytest.raises(MappingError) as refused:
        understand(altered(record, json.loads(record.body) | {column: value}), mappings())
    assert refused.value.code == code
    assert refused.value.system == "servicenow"


def test_half_a_character_parks_one_row_and_not_the_page(session, instance, clock):
    run(session, "request_approval", ask())
    decide(instance, "procurement.approver.1", "approved", comment="broken \ud83d here")
    problems = []
    for record in read_all(session, {}, clock.now)[0]:
        try:
            understand(record, mappings())
        except MappingError as error:
            problems.append((error.code, str(error)))
    assert problems == [("field_invalid", "The approval contains bytes that are not UTF-8.")]


def test_an_approver_who_is_gone_is_nobody(session, instance, clock):
    run(session, "request_approval", ask())
    record = read_all(session, {}, clock.now)[0][0]
    news = understand(altered(record, json.loads(record.body) | {"approver.user_name": ""}), mappings())
    assert news.document.approver is None


@given(body=st.binary(max_size=200), external_id=st.text(max_size=5))
def test_a_sketch_never_raises(body, external_id):
    sketch(Record("approval", external_id, "1", None, body))


# When the call goes wrong


@pytest.mark.parametrize("wait", [None, 30.0])
def test_a_throttled_call_is_repeated_later(session, instance, clock, wait):
    instance.faults.next_throttled, instance.faults.retry_after_s = 1, wait
    with pytest.raises(TransientError, match="Rate limit exceeded") as refused:
        read_approvals(session, {}, clock.now)
    assert (refused.value.code, refused.value.retry_after_s) == ("rate_limited", wait)
    assert read_approvals(session, {}, clock.now).records == ()


@pytest.mark.parametrize(("status", "error"), [(503, TransientError), (500, AnswerLost), (502, AnswerLost)])
def test_a_failing_server_says_whether_a_write_may_be_repeated(session, instance, status, error):
    facts = run(session, "create_remediation_task", ask(subject=CASE)).facts
    instance.faults.error_status = status
    instance.faults.next_errors = 1
    with pytest.raises(TransientError):
        run(session, "close_remediation_task", ask(facts=facts))
    instance.faults.next_errors = 1
    with pytest.raises(error):
        session.request("PATCH", f"/api/now/v2/table/incident/{facts['task']}", json_body={"urgency": "1"})


def test_an_expired_token_is_renewed_by_itself(session, instance, clock):
    read_approvals(session, {}, clock.now)
    clock.tick(3600)
    assert read_approvals(session, {}, clock.now).records == ()
    assert instance.calls["POST /oauth_token\\.do"] == 2


def test_wrong_credentials_stop_the_system(instance, clock):
    transport = InProcessTransport({"servicenow": instance}, Stopwatch())
    session = connect(access(secret="old"), timer=Stopwatch(), transport=transport)
    with pytest.raises(ConfigurationError, match="refuses our credentials"):
        read_approvals(session, {}, clock.now)
    session.close()


class Proxy:
    """Something between us and ServiceNow that puts its own page before the answer."""

    def __init__(self, instance, method, body):
        self.instance, self.method, self.body = instance, method, body

    def handle(self, request):
        answer = self.instance.handle(request)
        if request.method == self.method and request.path.startswith("/api/"):
            answer.body = self.body
        return answer


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b'{"result": {}}', b'{"result": null}', b"[]"])
def test_a_created_row_whose_answer_cannot_be_read_is_looked_for(instance, body):
    session = connected(Proxy(instance, "POST", body))
    with pytest.raises(AnswerLost, match="cannot be read"):
        run(session, "create_remediation_task", ask(subject=CASE))
    adopted = look_up(session, "create_remediation_task", ask(subject=CASE))
    assert adopted.facts["task_number"] == "INC0010001"
    session.close()


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b'{"result": {}}', b'{"result": ["x"]}', b"[]"])
def test_a_page_that_cannot_be_read_leaves_the_cursor_where_it_is(instance, clock, body):
    session = connected(Proxy(instance, "GET", body))
    with pytest.raises(TransientError):
        read_approvals(session, {}, clock.now)
    session.close()


def test_a_refusal_in_no_known_form_is_shown_as_it_is(instance):
    instance.rules.read_only_tables = {"incident"}
    session = connected(Proxy(instance, "POST", b"<html>Forbidden by the gateway</html>"))
    with pytest.raises(ConfigurationError, match="Forbidden by the gateway"):
        run(session, "create_remediation_task", ask(subject=CASE))
    session.close()


def test_a_table_that_is_not_there_stops_the_system(instance):
    transport = InProcessTransport({"servicenow": instance}, Stopwatch())
    session = connect(access(task_table="u_finance_task"), timer=Stopwatch(), transport=transport)
    with pytest.raises(ConfigurationError, match="Invalid table"):
        run(session, "create_remediation_task", ask(subject=CASE))
    session.close()


def test_it_works_the_same_over_a_real_port(instance, clock):
    server = StandinServer(instance).start()
    try:
        session = connect(access(server.url), timer=Stopwatch())
        run(session, "request_approval", ask())
        decide(instance, "procurement.approver.1", "rejected", comment="Überschreitet das Budget ✓")
        news = news_of(session, clock)["procurement.approver.1"]
        assert news.document.comment == "Überschreitet das Budget ✓"
        run(session, "cancel_approval", ask(facts={"approval_keys": [KEY]}))
        instance.faults.next_replies_lost = 1
        instance.faults.only_writes = True
        with pytest.raises(AnswerLost):
            run(session, "create_remediation_task", ask(subject=CASE))
        assert look_up(session, "create_remediation_task", ask(subject=CASE)) is not None
        session.close()
    finally:
        server.stop()
