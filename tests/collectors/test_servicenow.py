"""The ServiceNow connector against its stand-in: approvals asked for once, decisions read whole, traps survived."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.servicenow import APPROVAL_STATES, PAGE_SIZE, SYSTEM, connect, read_approvals, sketch, understand
from collectors.servicenow_papers import approval_paper, review_paper
from sandbox.ledger import Ledger
from sandbox.server import StandinServer
from sandbox.servicenow import ServiceNow
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.model.documents import (
    ChangeOrder,
    Decision,
    DocumentType,
    Invoice,
    InvoiceLine,
    Line,
    Person,
    Requisition,
)
from sync_engine.model.errors import AnswerLost, BusinessRejection, ConfigurationError, MappingError, TransientError
from sync_engine.model.mappings import Mappings, Table
from sync_engine.model.ports import Access, Ask, Identifier, Link, Record

FINANCE, PROCUREMENT = "Finance approvers DE", "Procurement approvers DE"
KEY = "5d41402abc4b2a76b9719d911017c592" * 2
REFERENCE = "fs-5d41402abc4b2a76b9719d911017c592"


class Clock:
    def __init__(self):
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self):
        return self.now

    def tick(self, seconds=60.0):
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def instance(clock):
    standin = ServiceNow(Ledger(), clock, Random(1))
    for user in ("finance.approver.1", "finance.approver.2", "procurement.approver.1"):
        standin.add_user(user_name=user, name=user.replace(".", " ").title(), email=f"{user}@example.com")
    standin.add_group(name=FINANCE, members=["finance.approver.1", "finance.approver.2"])
    standin.add_group(name=PROCUREMENT, members=["procurement.approver.1"])
    standin.add_group(name="finance operations", members=["finance.approver.2"])
    return standin


@pytest.fixture
def session(instance):
    opened = connect(access(), timer=Stopwatch(), transport=InProcessTransport({"servicenow": instance}, Stopwatch()))
    yield opened
    opened.close()


def access(base_url="https://servicenow", secret="sandbox", **options):
    return Access(base_url, credentials=lambda: ("finsync", secret), options=options)


def mappings(**changes):
    unit = {
        "name": "Germany",
        "country": "DE",
        "currency": "EUR",
        "company_code": "1010",
        "controlling_area": "A000",
        "purchasing_organization": "1010",
        "purchasing_group": "001",
        "time_zone": "Europe/Berlin",
        "calendar": "DE",
        "finance_group": FINANCE,
        "procurement_group": PROCUREMENT,
        **changes,
    }
    table = Table(
        name="business_units", version="1", owner="finance", valid_from=date(2026, 1, 1), entries={"DE": unit}
    )
    return Mappings({"business_units": table}, version="test", group_currency="EUR")


LINE = {"number": 1, "description": "Overhaul", "quantity": "2", "unit_price": "6250.00", "amount": "12500.00"}


def requisition(**changes):
    values = {
        "number": "1042",
        "business_unit": "DE",
        "title": "Pump overhaul",
        "requester": Person(user="plant.manager.1", name="Plant Manager 1"),
        "currency": "EUR",
        "amount": "12500.00",
        "lines": (Line(**LINE, distributions=({"cost_centre": "4100", "amount": "12500.00"},)),),
        "submitted_at": datetime(2026, 3, 1, tzinfo=UTC),
        "justification": "The old one leaks.",
        **changes,
    }
    return Requisition(**values)


def change_order(**changes):
    return ChangeOrder(
        number="4500000001/2",
        business_unit="DE",
        order_number="4500000001",
        source_order_id="77",
        version=2,
        requested_by=Person(user="plant.manager.1"),
        currency="EUR",
        amount="12500.00",
        lines=(Line(**LINE),),
        requested_at=datetime(2026, 3, 1, tzinfo=UTC),
        **changes,
    )


def invoice():
    day = date(2026, 3, 1)
    return Invoice(
        number="a1",
        business_unit="DE",
        supplier_invoice_number="RE-7",
        supplier="100200",
        supplier_name="Pump Works",
        currency="EUR",
        net_amount="12500.00",
        tax_amount="2375.00",
        gross_amount="14875.00",
        invoiced_on=day,
        baseline_on=day,
        due_on=day,
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
        order_numbers=("4500000001",),
        lines=(InvoiceLine(**LINE, order_number="4500000001", order_line=10),),
    )


def ask(document=None, **changes):
    values = {
        "document_id": UUID(int=1),
        "document": document or requisition(),
        "facts": {},
        "identifiers": {},
        "now": datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
        "mappings": mappings(),
        "purpose": "request_approval",
        "idempotency_key": KEY,
        **changes,
    }
    return Ask(**values)


def run(session, name, question):
    return SYSTEM.operations[name].run(session, question)


def look_up(session, name, question):
    return SYSTEM.operations[name].look_up(session, question)


def live(instance, table):
    return [row for row in instance.tables[table] if row["approval"] != "cancelled"]


def read_all(session, cursor, now):
    """Every record of one poll, and the cursor behind it."""
    records = []
    while True:
        page = read_approvals(session, cursor, now)
        records += page.records
        assert page.cursor != cursor or not page.more
        cursor = page.cursor
        if not page.more:
            return records, cursor


def news_of(session, clock, cursor=None):
    records, _ = read_all(session, cursor or {}, clock.now)
    return {news.document.approver.user: news for news in (understand(record, mappings()) for record in records)}


def decide(instance, user, state, **how):
    row = instance.open_approvals(user_name=user)[0]["sys_id"]
    instance.decide(approver_row=row, state=state, **how)
    return row


# Asking for approval


def test_both_groups_of_the_region_are_asked(session, instance):
    answer = run(session, "request_approval", ask())
    request = instance.tables["sc_request"].rows[answer.facts["approval_request"]]
    assert answer.facts == {
        "approval_request": request["sys_id"],
        "approval_number": "REQ0010001",
        "approval_groups": [FINANCE, PROCUREMENT],
    }
    assert answer.identifiers == (
        Identifier("servicenow", "approval_request", request["sys_id"]),
        Identifier("servicenow", "request_number", "REQ0010001"),
    )
    assert answer.at == datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
    assert (request["correlation_id"], request["correlation_display"], request["price"]) == (
        REFERENCE,
        "1042",
        "12500.00",
    )
    parts = {row["correlation_id"] for row in instance.tables["sysapproval_group"]}
    assert parts == {f"{REFERENCE}/finance", f"{REFERENCE}/procurement"}
    assert len(instance.open_approvals(user_name="procurement.approver.1")) == 1


def test_approvers_read_who_asks_for_what_and_why_it_came_to_them(session, instance):
    reasons = ["12,500.00 EUR is above the limit of 10,000.00 EUR.", "The supplier is under no contract."]
    answer = run(session, "request_approval", ask(facts={"route_reasons": reasons}))
    request = instance.tables["sc_request"].rows[answer.facts["approval_request"]]
    assert request["short_description"] == "Approve requisition 1042: Pump overhaul, 12500.00 EUR"
    for words in (
        "Plant Manager 1",
        "Pump overhaul",
        "The old one leaks.",
        "12500.00 EUR",
        "Germany",
        "Overhaul: 2 EA at 6250.00",
    ):
        assert words in request["description"]
    assert f"- {reasons[0]}\n- {reasons[1]}" in request["description"]


def test_a_change_order_says_what_is_changed_or_cancelled(session, instance):
    assert approval_paper(ask(change_order())).title.startswith("Approve to change order 4500000001")
    assert approval_paper(ask(change_order(cancels=True))).title.startswith("Approve to cancel order 4500000001")
    assert run(session, "request_approval", ask(change_order())).facts["approval_number"] == "REQ0010001"


def test_a_long_list_of_lines_is_shortened():
    one = requisition().lines[0]
    lines = tuple(one.model_copy(update={"number": number}) for number in range(1, 31))
    text = approval_paper(ask(requisition(lines=lines, amount=Decimal("375000.00")))).text
    assert text.endswith("... and 10 more")


def test_text_from_outside_is_never_rendered(session, instance):
    answer = run(session, "request_approval", ask(requisition(title="[code]<script>x</script>[/code]\x07")))
    request = instance.tables["sc_request"].rows[answer.facts["approval_request"]]
    assert "[code]" not in request["description"]
    assert "\x07" not in request["short_description"]


def test_one_group_for_both_parts_is_asked_once(session, instance):
    answer = run(session, "request_approval", ask(mappings=mappings(procurement_group=FINANCE)))
    assert answer.facts["approval_groups"] == [FINANCE]
    assert len(instance.tables["sysapproval_group"]) == 1


def test_asking_twice_leaves_one_request(session, instance):
    first = run(session, "request_approval", ask())
    assert run(session, "request_approval", ask()) == first
    assert look_up(session, "request_approval", ask()) == first
    assert len(instance.tables["sc_request"]) == 1
    assert len(instance.tables["sysapproval_group"]) == 2


def test_nothing_is_found_where_nothing_was_asked(session):
    assert look_up(session, "request_approval", ask()) is None


def test_whatever_reply_is_lost_the_next_try_completes_what_is_there(session, instance):
    instance.faults.only_writes = True
    for _ in range(2):
        instance.faults.next_replies_lost = 1
        with pytest.raises(AnswerLost):
            run(session, "request_approval", ask())
        assert look_up(session, "request_approval", ask()) is None
    instance.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        run(session, "request_approval", ask())
    adopted = look_up(session, "request_approval", ask())
    assert adopted is not None
    assert adopted == run(session, "request_approval", ask())
    assert (len(instance.tables["sc_request"]), len(instance.tables["sysapproval_group"])) == (1, 2)
    assert len(instance.tables["sysapproval_approver"]) == 3


def test_a_request_lost_on_the_way_is_sent_again(session, instance):
    instance.faults.only_writes, instance.faults.next_requests_lost = True, 1
    with pytest.raises(AnswerLost):
        run(session, "request_approval", ask())
    assert look_up(session, "request_approval", ask()) is None
    run(session, "request_approval", ask())
    assert len(instance.tables["sc_request"]) == 1


def test_of_two_requests_under_one_reference_the_older_is_kept(session, instance, clock):
    first = run(session, "request_approval", ask())
    clock.tick()
    about = {"correlation_id": REFERENCE, "correlation_display": "1042"}
    younger = instance.insert("sc_request", about, "finsync")
    group = next(iter(instance.tables["sysapproval_group"]))["assignment_group"]
    asked = {"parent": younger["sys_id"], "assignment_group": group, "approval": "requested"}
    instance.insert("sysapproval_group", asked, "finsync")
    assert run(session, "request_approval", ask()).facts == first.facts
    assert (younger["approval"], younger["active"]) == ("cancelled", "false")
    left = [row for row in instance.tables["sysapproval_approver"] if row["sysapproval"] == younger["sys_id"]]
    assert {row["state"] for row in left} == {"cancelled"}
    assert look_up(session, "request_approval", ask()).facts == first.facts


def test_a_request_about_something_else_under_our_reference_is_a_conflict(session, instance):
    instance.insert("sc_request", {"correlation_id": REFERENCE, "correlation_display": "9999"}, "somebody")
    for attempt in (look_up, run):
        with pytest.raises(BusinessRejection, match="REQ0010001") as refused:
            attempt(session, "request_approval", ask())
        assert refused.value.code == "effect_conflict"
        assert refused.value.facts["correlation_display"] == "9999 instead of 1042"


def test_a_withdrawn_request_is_not_adopted_but_asked_anew(session, instance):
    first = run(session, "request_approval", ask())
    run(session, "cancel_approval", ask(facts=first.facts))
    assert look_up(session, "request_approval", ask()) is None
    second = run(session, "request_approval", ask())
    assert second.facts["approval_number"] == "REQ0010002"
    assert look_up(session, "request_approval", ask()) == second


def test_an_unknown_group_is_an_error_before_anything_is_created(session, instance):
    with pytest.raises(MappingError, match="no active group called 'Finance approvers XX'") as refused:
        run(session, "request_approval", ask(mappings=mappings(finance_group="Finance approvers XX")))
    assert refused.value.code == "value_unmapped"
    assert len(instance.tables["sc_request"]) == 0


def test_two_groups_of_one_name_are_ambiguous(session, instance):
    instance.insert("sys_user_group", {"name": FINANCE}, "admin")
    with pytest.raises(MappingError, match="2 active groups"):
        run(session, "request_approval", ask())


def test_a_name_that_would_change_the_query_is_refused(session):
    for name in ("x^ORname!=", "javascript:gs.log()"):
        with pytest.raises(MappingError, match="read as a part of the query"):
            run(session, "request_approval", ask(mappings=mappings(finance_group=name)))


def test_a_request_table_without_correlation_ids_is_found_out_before_anything_is_written(instance):
    transport = InProcessTransport({"servicenow": instance}, Stopwatch())
    session = connect(access(request_table="sys_user"), timer=Stopwatch(), transport=transport)
    with pytest.raises(ConfigurationError, match="not asked for"):
        run(session, "request_approval", ask())
    session.close()
    assert len(instance.tables["sys_user"]) == 3


def test_a_review_asks_finance_alone_and_lists_the_variances(session, instance):
    question = ask(
        invoice(), facts={"variances": ["Line 1: 6300.00 billed, 6250.00 ordered."]}, purpose="request_match_review"
    )
    answer = run(session, "request_match_review", question)
    assert answer.facts["approval_groups"] == [FINANCE]
    request = instance.tables["sc_request"].rows[answer.facts["approval_request"]]
    assert "Line 1: 6300.00 billed, 6250.00 ordered." in request["description"]
    assert "RE-7 of Pump Works" in request["short_description"]
    assert look_up(session, "request_match_review", question) == answer


def test_papers_are_only_written_about_what_is_decided_here():
    with pytest.raises(TypeError):
        approval_paper(ask(invoice()))
    with pytest.raises(TypeError):
        review_paper(ask())


def test_a_data_policy_that_refuses_is_a_matter_for_a_person(session, instance):
    instance.rules.mandatory = {"sc_request": ("requested_for",)}
    with pytest.raises(BusinessRejection, match="mandatory: requested_for") as refused:
        run(session, "request_approval", ask())
    assert refused.value.code == "refused"


def test_an_access_rule_that_refuses_stops_the_system(session, instance):
    instance.rules.read_only_tables = {"sc_request"}
    with pytest.raises(ConfigurationError, match="security constraints"):
        run(session, "request_approval", ask())


# Withdrawing


def test_withdrawing_closes_the_request_and_everything_open_under_it(session, instance):
    facts = run(session, "request_approval", ask()).facts
    decide(instance, "procurement.approver.1", "approved")
    run(session, "cancel_approval", ask(facts=facts))
    request = instance.tables["sc_request"].rows[facts["approval_request"]]
    assert (request["approval"], request["request_state"], request["active"]) == (
        "cancelled",
        "closed_cancelled",
        "false",
    )
    states = sorted(row["state"] for row in instance.tables["sysapproval_approver"])
    assert states == ["approved", "cancelled", "cancelled"]
    assert sorted(row["approval"] for row in instance.tables["sysapproval_group"]) == ["approved", "cancelled"]


def test_withdrawing_twice_has_one_effect(session, instance):
    facts = run(session, "request_approval", ask()).facts
    run(session, "cancel_approval", ask(facts=facts))
    changes = [
        row["sys_mod_count"] for table in ("sc_request", "sysapproval_approver") for row in instance.tables[table]
    ]
    notes = len(instance.tables["sys_journal_field"])
    run(session, "cancel_approval", ask(facts=facts))
    assert changes == [
        row["sys_mod_count"] for table in ("sc_request", "sysapproval_approver") for row in instance.tables[table]
    ]
    assert len(instance.tables["sys_journal_field"]) == notes


def test_a_withdrawal_that_broke_off_is_completed_by_the_next(session, instance):
    facts = run(session, "request_approval", ask()).facts
    instance.faults.only_writes, instance.faults.next_replies_lost = True, 1
    with pytest.raises(AnswerLost):
        run(session, "cancel_approval", ask(facts=facts))
    assert instance.open_approvals(user_name="finance.approver.1")
    run(session, "cancel_approval", ask(facts=facts))
    assert not instance.open_approvals(user_name="finance.approver.1")


def test_the_request_is_also_known_by_its_identifier(session, instance):
    sys_id = run(session, "request_approval", ask()).facts["approval_request"]
    run(session, "cancel_approval", ask(identifiers={"servicenow.approval_request": sys_id}))
    assert live(instance, "sc_request") == []


def test_where_nothing_was_requested_nothing_is_withdrawn(session):
    assert run(session, "cancel_approval", ask()).facts == {"skipped": "no approval was requested"}


def test_a_request_that_vanished_is_named(session):
    with pytest.raises(BusinessRejection, match="No Record found"):
        run(session, "cancel_approval", ask(facts={"approval_request": "0" * 32}))


# Remediation tasks

CASE = {
    "case_id": "c-17",
    "title": "The posting period is closed",
    "message": "F5 201: posting period 003 2026 is not open",
    "next_step": "Open the period or wait until the next one opens, then reprocess.",
    "owner_team": "finance operations",
    "category": "erp_posting",
    "number": "1042",
    "amount": "12500.00",
    "currency": "EUR",
    "business_unit": "DE",
    "url": "https://hub.example/trace/1042",
    "priority": "2",
}


def test_an_exception_becomes_a_task_for_its_team(session, instance):
    answer = run(session, "create_remediation_task", ask(subject=CASE))
    task = instance.tables["incident"].rows[answer.facts["task"]]
    assert answer.facts["task_number"] == "INC0010001"
    assert answer.identifiers == (
        Identifier("servicenow", "incident", task["sys_id"]),
        Identifier("servicenow", "incident_number", "INC0010001"),
    )
    assert (task["correlation_id"], task["priority"], task["category"]) == ("fs-case-c-17", "2", "erp_posting")
    assert instance.tables["sys_user_group"].rows[task["assignment_group"]]["name"] == "finance operations"
    for words in (CASE["message"], CASE["next_step"], "12500.00 EUR", CASE["url"]):
        assert words in task["description"]


def test_a_team_nobody_knows_leaves_the_task_to_its_dispatcher(session, instance):
    answer = run(session, "create_remediation_task", ask(subject=CASE | {"owner_team": "night shift", "priority": "?"}))
    task = instance.tables["incident"].rows[answer.facts["task"]]
    assert task["assignment_group"] == ""
    assert "Team: night shift" in task["description"]
    assert task["priority"] == "3"


def test_a_task_without_a_team_or_an_amount_is_opened_all_the_same(session, instance):
    bare = {"case_id": "c-18", "title": "Something is wrong"}
    answer = run(session, "create_remediation_task", ask(subject=bare))
    assert "Amount: not known" in instance.tables["incident"].rows[answer.facts["task"]]["description"]


def test_a_task_whose_reply_was_lost_is_adopted(session, instance):
    instance.faults.only_writes, instance.faults.next_replies_lost = True, 1
    with pytest.raises(AnswerLost):
        run(session, "create_remediation_task", ask(subject=CASE))
    adopted = look_up(session, "create_remediation_task", ask(subject=CASE))
    assert adopted == run(session, "create_remediation_task", ask(subject=CASE))
    assert len(instance.tables["incident"]) == 1


def test_without_a_task_there_is_nothing_to_adopt(session):
    assert look_up(session, "create_remediation_task", ask(subject=CASE)) is None


def test_of_two_tasks_for_one_exception_the_younger_is_cancelled(session, instance, clock):
    first = run(session, "create_remediation_task", ask(subject=CASE))
    clock.tick()
    about = {"correlation_id": "fs-case-c-17", "correlation_display": "1042"}
    younger = instance.insert("incident", about, "finsync")
    assert run(session, "create_remediation_task", ask(subject=CASE)).facts == first.facts
    assert (younger["state"], younger["active"]) == ("8", "false")


def test_a_task_about_another_document_is_a_conflict(session, instance):
    instance.insert("incident", {"correlation_id": "fs-case-c-17", "correlation_display": "7"}, "somebody")
    with pytest.raises(BusinessRejection) as refused:
        look_up(session, "create_remediation_task", ask(subject=CASE))
    assert refused.value.code == "effect_conflict"


def test_a_settled_exception_resolves_its_task_once(session, instance):
    facts = run(session, "create_remediation_task", ask(subject=CASE)).facts
    question = ask(facts=facts, subject={"closed_because": "Period 003 was opened."})
    run(session, "close_remediation_task", question)
    task = instance.tables["incident"].rows[facts["task"]]
    assert (task["state"], task["close_code"], task["close_notes"]) == (
        "6",
        "Solution provided",
        "Period 003 was opened.",
    )
    changes = task["sys_mod_count"]
    run(session, "close_remediation_task", question)
    assert task["sys_mod_count"] == changes


def test_a_task_that_a_person_resolved_keeps_the_persons_note(session, instance):
    facts = run(session, "create_remediation_task", ask(subject=CASE)).facts
    instance.resolve_incident(sys_id=facts["task"], by="finance.approver.2", note="Done by hand")
    run(session, "close_remediation_task", ask(facts=facts))
    assert instance.tables["incident"].rows[facts["task"]]["close_notes"] == "Done by hand"


def test_where_no_task_was_opened_none_is_closed(session):
    assert run(session, "close_remediation_task", ask()).facts == {"skipped": "no task was opened"}


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
    run(session, "cancel_approval", ask(facts=run(session, "request_approval", ask()).facts))
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


def opened_behind(proxy):
    return connect(access(), timer=Stopwatch(), transport=InProcessTransport({"servicenow": proxy}, Stopwatch()))


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b'{"result": {}}', b'{"result": null}', b"[]"])
def test_a_created_row_whose_answer_cannot_be_read_is_looked_for(instance, body):
    session = opened_behind(Proxy(instance, "POST", body))
    with pytest.raises(AnswerLost, match="cannot be read"):
        run(session, "create_remediation_task", ask(subject=CASE))
    adopted = look_up(session, "create_remediation_task", ask(subject=CASE))
    assert adopted.facts["task_number"] == "INC0010001"
    session.close()


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b'{"result": {}}', b'{"result": ["x"]}', b"[]"])
def test_a_page_that_cannot_be_read_leaves_the_cursor_where_it_is(instance, clock, body):
    session = opened_behind(Proxy(instance, "GET", body))
    with pytest.raises(TransientError):
        read_approvals(session, {}, clock.now)
    session.close()


def test_a_refusal_in_no_known_form_is_shown_as_it_is(instance):
    instance.rules.read_only_tables = {"incident"}
    session = opened_behind(Proxy(instance, "POST", b"<html>Forbidden by the gateway</html>"))
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
        facts = run(session, "request_approval", ask()).facts
        decide(instance, "procurement.approver.1", "rejected", comment="Überschreitet das Budget ✓")
        news = news_of(session, clock)["procurement.approver.1"]
        assert news.document.comment == "Überschreitet das Budget ✓"
        run(session, "cancel_approval", ask(facts=facts))
        instance.faults.next_replies_lost = 1
        instance.faults.only_writes = True
        with pytest.raises(AnswerLost):
            run(session, "create_remediation_task", ask(subject=CASE))
        assert look_up(session, "create_remediation_task", ask(subject=CASE)) is not None
        session.close()
    finally:
        server.stop()


# The declaration


def test_the_system_states_what_the_engine_has_to_know():
    assert (SYSTEM.name, SYSTEM.role.value) == ("servicenow", "approvals")
    assert set(SYSTEM.operations) == {
        "request_approval",
        "request_match_review",
        "cancel_approval",
        "create_remediation_task",
        "close_remediation_task",
    }
    assert SYSTEM.feed("approvals").interval_s == 120
    assert (SYSTEM.requests_per_s, SYSTEM.burst, SYSTEM.max_in_flight, SYSTEM.quiet_period_s) == (10, 20, 8, 5)


def test_an_approval_costs_as_many_calls_as_it_says(session, instance):
    instance.calls.clear()
    run(session, "request_approval", ask())
    made = sum(count for what, count in instance.calls.items() if "oauth" not in what)
    assert made == SYSTEM.operations["request_approval"].calls
