"""What ServiceNow is asked to do, over the wire against its stand-in: approvals asked for once, withdrawn, tasks."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from collectors.servicenow import SYSTEM, connect
from collectors.servicenow_papers import approval_paper, review_paper
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.model.errors import AnswerLost, BusinessRejection, ConfigurationError, MappingError
from sync_engine.model.ports import Identifier
from tests.collectors.servicenow_instance import (
    CASE,
    FINANCE,
    KEY,
    PROCUREMENT,
    REFERENCE,
    Clock,
    access,
    ask,
    change_order,
    connected,
    decide,
    furnished,
    invoice,
    live,
    look_up,
    mappings,
    requisition,
    run,
)

WITHDRAWN = {"approval_keys": [KEY]}


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
    run(session, "request_approval", ask())
    run(session, "cancel_approval", ask(facts=WITHDRAWN))
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
    run(session, "cancel_approval", ask(facts=WITHDRAWN))
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
    run(session, "request_approval", ask())
    run(session, "cancel_approval", ask(facts=WITHDRAWN))
    changes = [
        row["sys_mod_count"] for table in ("sc_request", "sysapproval_approver") for row in instance.tables[table]
    ]
    notes = len(instance.tables["sys_journal_field"])
    run(session, "cancel_approval", ask(facts=WITHDRAWN))
    assert changes == [
        row["sys_mod_count"] for table in ("sc_request", "sysapproval_approver") for row in instance.tables[table]
    ]
    assert len(instance.tables["sys_journal_field"]) == notes


def test_a_withdrawal_that_broke_off_is_completed_by_the_next(session, instance):
    run(session, "request_approval", ask())
    instance.faults.only_writes, instance.faults.next_replies_lost = True, 1
    with pytest.raises(AnswerLost):
        run(session, "cancel_approval", ask(facts=WITHDRAWN))
    assert instance.open_approvals(user_name="finance.approver.1")
    run(session, "cancel_approval", ask(facts=WITHDRAWN))
    assert not instance.open_approvals(user_name="finance.approver.1")


def test_all_earlier_requests_are_withdrawn_and_the_one_in_force_is_left_alone(session, instance):
    first, second = "1" * 64, "2" * 64
    run(session, "request_approval", ask(idempotency_key=first))
    run(session, "request_approval", ask(idempotency_key=second))
    in_force = run(session, "request_approval", ask()).facts["approval_request"]
    answer = run(
        session, "cancel_approval", ask(facts={"approval_keys": [first, second, KEY], "approval_in_force": in_force})
    )
    assert answer.facts == {"approvals_withdrawn": ["REQ0010001", "REQ0010002"]}
    assert [row["sys_id"] for row in live(instance, "sc_request")] == [in_force]
    assert {row["sysapproval"] for row in instance.tables["sysapproval_approver"] if row["state"] == "requested"} == {
        in_force
    }


def test_what_has_been_decided_is_not_withdrawn(session, instance):
    request = run(session, "request_approval", ask()).facts["approval_request"]
    decide(instance, "procurement.approver.1", "rejected")
    before = dict(instance.tables["sc_request"].rows[request])
    answer = run(session, "cancel_approval", ask(facts=WITHDRAWN))
    assert (answer.facts, answer.event) == ({"approvals_withdrawn": []}, "")
    assert instance.tables["sc_request"].rows[request] == before


def test_a_request_that_is_not_about_this_document_is_not_withdrawn(session, instance):
    instance.insert("sc_request", {"correlation_id": REFERENCE, "correlation_display": "9999"}, "somebody")
    with pytest.raises(BusinessRejection, match="REQ0010001") as refused:
        run(session, "cancel_approval", ask(facts=WITHDRAWN))
    assert refused.value.code == "effect_conflict"
    assert len(live(instance, "sc_request")) == 1


def test_where_nothing_was_requested_nothing_is_withdrawn(session, instance):
    assert run(session, "cancel_approval", ask()).facts == {"skipped": "no approval was requested"}
    assert run(session, "cancel_approval", ask(facts=WITHDRAWN)).event == ""
    assert len(instance.tables["sc_request"]) == 0


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


def test_a_task_is_adopted_whose_document_has_become_readable_meanwhile(session, instance):
    """Seed 80468: what could not be read goes by the number that somebody gave it, and by its own once it can be."""
    instance.faults.only_writes, instance.faults.next_replies_lost = True, 1
    unreadable = requisition().model_copy(update={"number": CASE["number"]})
    with pytest.raises(AnswerLost):
        run(session, "create_remediation_task", ask(unreadable, subject=CASE))
    readable = requisition().model_copy(update={"number": "12dc31843bbab4f8"})
    adopted = look_up(session, "create_remediation_task", ask(readable, subject=CASE))
    assert adopted == run(session, "create_remediation_task", ask(readable, subject=CASE))
    assert [task["correlation_display"] for task in instance.tables["incident"].rows.values()] == [CASE["number"]]


def test_a_task_that_an_earlier_release_opened_by_the_documents_own_number_is_adopted_too(session, instance):
    own = {"correlation_id": "fs-case-c-17", "correlation_display": "12dc31843bbab4f8"}
    opened = instance.insert("incident", own, "finsync")
    invoice = requisition().model_copy(update={"number": "12dc31843bbab4f8"})
    adopted = look_up(session, "create_remediation_task", ask(invoice, subject=CASE))
    assert adopted.facts["task"] == opened["sys_id"]


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
