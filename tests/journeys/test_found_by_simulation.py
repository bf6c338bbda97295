"""Bugs that the simulator found, each told as the shortest story that shows it."""

import copy
import json
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import httpx2
import pytest

from sync_engine.control import commands
from sync_engine.control.execute import execute_commands
from sync_engine.control.roles import Action, Role
from tests.journeys.meanwhile import loses_answers, open_intents, read_and_apply, wait_for


def ask_to_reprocess(house, session):
    """Ask for every open exception, and have it carried out before anything else happens."""
    cases = house.connection.execute("SELECT case_id, version FROM exception_case WHERE closed_at IS NULL").fetchall()
    app = house.database.engine("finsync_app", pool_size=1)
    commands.ask(
        app,
        session.token,
        session.person,
        command_id=uuid4(),
        action=Action.REPROCESS,
        arguments={"cases": [{"case_id": str(case_id), "version": version} for case_id, version in cases]},
        now=house.clock.now(),
        reason="the cause is repaired",
    )
    app.dispose()
    execute_commands(house.connection, house.engine.setup, engine_id="engine-1", now=house.clock.now())


def test_a_reprocessing_ends_with_its_exception_when_a_reviewer_refuses_at_the_same_moment(house):
    """Seeds 101 and 106 (R101, F18): it stayed "on its way" for ever."""
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    house.invoice(order, price="30.00")
    house.run(hours=1)
    session = house.put_person("ap.1", Role.FINANCE_OPERATIONS)
    house.decide_in_servicenow("fin.1", "rejected", "ask for a credit note")
    read_and_apply(house, "servicenow", "approvals")
    ask_to_reprocess(house, session)
    house.run(hours=1)
    assert house.documents("invoice")[0][1] == "rejected"
    assert house.redrive_results() == [("refused", "The exception was closed meanwhile: cancelled.")]
    assert house.connection.execute("SELECT count(*) FROM redrive WHERE finished_at IS NULL").fetchone() == (0,)


def test_a_lost_answer_is_settled_even_if_the_document_has_another_version_by_then(house):
    """Seeds 119, 123 and 125 (R082, F1): the send under the earlier version's key stayed unknown for ever."""
    requisition = house.submit(house.line(cost_centre="4719"))
    house.servicenow.faults.only_writes = True
    house.servicenow.faults.next_replies_lost = 1
    for _ in range(20):
        house.run(seconds=30)
        if house.connection.execute("SELECT count(*) FROM intent WHERE outcome = 'unknown'").fetchone() == (1,):
            break
    house.coupa.edit_requisition(
        requisition_id=requisition, by="planner.de-south", lines=[house.line(cost_centre="4718")]
    )
    read_and_apply(house, "coupa", "requisitions")
    house.run(hours=1)
    assert len(house.servicenow.tables["incident"]) >= 1
    unsettled = house.connection.execute("SELECT step FROM intent WHERE outcome IN ('open', 'unknown')").fetchall()
    assert unsettled == []


def test_a_repaired_record_settles_its_exception_even_if_it_says_nothing_new(house):
    """Seed 159 (R127, F15): an order had been made already, so the repaired requisition came "too late", and its exception stayed
    open for ever."""
    requisition, _ = house.order_one()
    right = house.coupa.ledger.table("requisition").rows[str(requisition)]
    spoiled = {**copy.deepcopy(right), "total": "two hundred"}
    house.clock.advance(60)
    house.coupa._changed(house.coupa.ledger.table("requisition"), spoiled)
    house.run(minutes=10)
    assert [case[0] for case in house.cases()] == ["field_invalid"]
    house.clock.advance(60)
    house.coupa._changed(house.coupa.ledger.table("requisition"), right)
    house.run(minutes=10)
    assert house.cases() == []


def test_a_late_record_that_can_be_read_does_not_settle_a_newer_one_that_cannot(house):
    """Seed 159, the other way round (F4): what is older than the unreadable version says nothing about it."""
    house.run(minutes=5)
    requisition = house.submit()
    house.run(minutes=10)
    table = house.coupa.ledger.table("requisition")
    right = copy.deepcopy(table.rows[str(requisition)])
    house.clock.advance(60)
    house.coupa._changed(table, {**copy.deepcopy(right), "total": "two hundred"})
    house.run(minutes=10)
    assert [case[0] for case in house.cases()] == ["field_invalid"]
    right["req-title"] = "an older title"
    house.coupa._restored(table, right)
    house.run(minutes=10)
    assert [case[0] for case in house.cases()] == ["field_invalid"]


def test_a_requisition_changed_while_a_dead_engine_held_it_begins_anew(house):
    """Seed 231 (R080, F9): whoever took the abandoned step over did not know of the new version, and it was parked for good."""
    house.run(minutes=5)
    requisition = house.submit()
    read_and_apply(house, "coupa", "requisitions")
    house.engine.decide(house.connection)
    dead = house.new_engine()
    dead.register(house.connection, release="test")
    [held] = dead.lanes["coupa"].claim(house.connection, 10)
    assert held.step.name == "read_budget"
    house.clock.advance(5)
    house.coupa.edit_requisition(requisition_id=requisition, by="planner.de-south", lines=[house.line(quantity="11")])
    read_and_apply(house, "coupa", "requisitions")
    house.run(minutes=30)
    assert house.cases() == []
    assert house.documents("requisition")[0][1] == "awaiting_approval"


def test_a_requisition_changed_while_a_call_was_in_vain_begins_anew(house):
    """Seed 10002 (R080, F7): a call that was not sent is put back without looking at its document, and with that went the news that
    there was another version: the old step was repeated, did not fit and was parked for good."""
    house.run(minutes=5)
    requisition = house.submit()
    read_and_apply(house, "coupa", "requisitions")
    house.engine.decide(house.connection)
    lane = house.engine.lanes["coupa"]
    [held] = lane.claim(house.connection, 10)
    assert held.step.name == "read_budget"
    house.coupa.faults.outage = True
    results = [lane.ask(held)]
    assert [result.outcome.kind for result in results] == ["not_sent"]
    house.coupa.faults.outage = False
    house.clock.advance(5)
    house.coupa.edit_requisition(requisition_id=requisition, by="planner.de-south", lines=[house.line(quantity="11")])
    read_and_apply(house, "coupa", "requisitions")
    lane.record(house.connection, results)
    house.run(minutes=30)
    assert house.cases() == []
    assert house.documents("requisition")[0][1] == "awaiting_approval"


def test_a_requisition_changed_while_an_answer_was_being_lost_begins_anew(house):
    """Seed 231 once more (R082, F1): first what became of the request for approval is looked up, then the flow begins again."""
    house.run(minutes=5)
    requisition = house.submit(house.line(contract=""))
    house.servicenow.faults.outage = True
    house.run(minutes=10)
    house.servicenow.faults.outage = False
    lane = house.engine.lanes["servicenow"]
    while not (held := lane.claim(house.connection, 10)):
        house.clock.advance(30)
    house.servicenow.faults.only_writes = True
    house.servicenow.faults.next_replies_lost = 1
    results = [lane.ask(item) for item in held]
    assert [result.outcome.kind for result in results] == ["unknown"]
    house.clock.advance(5)
    house.coupa.edit_requisition(
        requisition_id=requisition, by="planner.de-south", lines=[house.line(contract="", quantity="11")]
    )
    read_and_apply(house, "coupa", "requisitions")
    lane.record(house.connection, results)
    house.run(minutes=60)
    assert house.cases() == []
    assert house.documents("requisition")[0][1] == "awaiting_approval"


def test_a_change_that_overtakes_the_return_of_the_orders_number_is_in_our_books_too(house):
    """Seeds 111 and 271 (P3, R040, F1): procurement had the number, we did not know it yet, and our order stayed as it was."""
    requisition = house.submit()
    house.run(minutes=10)
    real, lost = house.transport.handle_request, []

    def loses_the_answer(request):
        answer = real(request)
        if request.method == "PUT" and b"4500000001" in request.content and len(lost) < 15:
            lost.append(request)
            raise httpx2.ReadTimeout("no reply", request=request)
        return answer

    house.transport.handle_request = loses_the_answer
    house.approve_in_coupa(requisition)
    while not lost:
        house.run(seconds=10)
    [order] = house.coupa.orders()
    house.coupa.revise_order(order_id=order["id"], by="head.de-south", changes={1: {"unit-price": "21.00"}})
    read_and_apply(house, "coupa", "order_revisions")
    house.run(hours=2)
    assert len(lost) == 15
    assert house.documents("change_order")[0][1] == "returned"
    amounts = "SELECT amount FROM document WHERE document_type = 'purchase_order'"
    assert house.connection.execute(amounts).fetchall() == [(Decimal("210.00"),)]
    assert house.documents("purchase_order")[0][1] == "ordered"


def test_an_order_cancelled_while_a_call_about_it_is_under_way_is_not_made_again(house):
    """Seed 80 (P1, R010, R040, I1): the call's outcome met a newer version of the order, and its flow began again: a second order."""
    requisition = house.submit()
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    read_and_apply(house, "coupa", "approvals")
    read_and_apply(house, "coupa", "requisitions")
    held = []
    while not held:
        house.engine.decide(house.connection)
        for lane in house.engine.lanes.values():
            items = lane.claim(house.connection, 10)
            results = [lane.ask(item) for item in items]
            if any(item.step.name == "mark_exported" for item in items):
                held = results
            else:
                lane.record(house.connection, results)
        house.clock.advance(1)
    [order] = house.coupa.orders()
    house.coupa.cancel_order(order_id=order["id"], by="head.de-south")
    read_and_apply(house, "coupa", "order_revisions")
    house.engine.decide(house.connection)
    house.engine.call(house.connection, house.engine.lanes["s4hana"], 10)
    house.engine.decide(house.connection)
    assert house.documents("purchase_order")[0][1] == "cancelled"
    house.engine.lanes["coupa"].record(house.connection, held)
    house.run(hours=2)
    assert len(house.s4hana.orders) == 1
    assert house.live_orders() == []
    assert house.documents("purchase_order")[0][1] == "cancelled"


def test_a_change_and_a_delivery_decided_at_the_same_moment_are_both_in_our_books(house):
    """Seed 75 (P3, R040): decided in one batch, the delivery wrote the order as it had been before the change."""
    _, number = house.order_one()
    house.run(minutes=30)
    [order] = house.coupa.orders()
    house.coupa.revise_order(order_id=order["id"], by="head.de-south", changes={1: {"unit-price": "21.00"}})
    read_and_apply(house, "coupa", "order_revisions")
    house.engine.decide(house.connection)
    house.receive(number)
    read_and_apply(house, "s4hana", "goods_receipts")
    house.engine.decide(house.connection)
    house.engine.call(house.connection, house.engine.lanes["s4hana"], 10)
    due = "SELECT step FROM work_item WHERE status = 'due' AND system = 'finsync' AND due_at <= %s ORDER BY step"
    steps = [step for (step,) in house.connection.execute(due, [house.clock.now()])]
    assert {"apply_change", "await_fulfilment"} <= set(steps)
    house.run(hours=1)
    amounts = "SELECT amount FROM document WHERE document_type = 'purchase_order'"
    assert house.connection.execute(amounts).fetchall() == [(Decimal("210.00"),)]
    assert house.documents("purchase_order")[0][1] == "received"


def test_what_stands_in_the_way_of_a_requisition_is_over_when_it_is_rejected(house):
    """Seed 112 (R101, F16, F18): its exceptions stayed open, and what somebody had reprocessed stayed on its way, for ever."""
    house.run(minutes=5)
    house.s4hana.faults.outage = True
    requisition = house.submit()
    house.run(hours=2)
    assert [case[0] for case in house.cases()] == ["system_unavailable"]
    ask_to_reprocess(house, house.put_person("support.1", Role.INTEGRATION_SUPPORT))
    approval, by = house.coupa.pending_approval(requisition)
    house.coupa.reject(approval_id=approval, by=by, comment="not this year")
    read_and_apply(house, "coupa", "requisitions")
    house.run(hours=1)
    assert house.documents("requisition")[0][1] == "rejected"
    assert house.cases() == []
    assert [status for status, _ in house.redrive_results()] == ["refused"]
    assert house.connection.execute("SELECT count(*) FROM redrive WHERE finished_at IS NULL").fetchone() == (0,)


def test_a_requisition_parked_for_an_unknown_supplier_goes_on_as_soon_as_the_supplier_is_ready(house):
    """Seeds 10015, 10092 and 10142 (P7, R143): the supplier's record came late, and only a person could make its buyers go on, one
    halted reprocessing after the other."""
    requisition = house.submit()
    read_and_apply(house, "coupa", "requisitions")
    for _ in range(2):
        house.engine.decide(house.connection)
        house.clock.advance(400)
    assert [case[0] for case in house.cases()] == ["supplier_unknown"]
    house.run(hours=1)
    assert house.cases() == []
    assert house.documents("requisition") == [(str(requisition), "awaiting_approval", "pending", "not_submitted")]


def test_a_bill_that_is_told_late_is_held_against_its_double_that_came_first(house):
    """Seed 20514 (R082, F4): only bills from before were looked at, and of the two the first was told last: both were let through."""
    _, order = house.order_one(house.line(quantity="20"))
    house.receive(order, "20")
    house.run(hours=1)
    real, late, kept = house.transport.handle_request, house.clock.now() + timedelta(hours=2), []

    def tells_late(request):
        answer = real(request)
        if not request.url.path.startswith("/files/"):
            return answer
        page = json.loads(answer.content)
        if house.clock.now() < late:
            kept.extend(one for one in page["accountingDocuments"] if one["invoiceId"] == first)
            page["accountingDocuments"] = [one for one in page["accountingDocuments"] if one["invoiceId"] != first]
        elif kept:
            page["accountingDocuments"].append(kept[0])
            kept.clear()
        return httpx2.Response(200, json=page, request=request)

    house.transport.handle_request = tells_late
    first = house.invoice(order)
    house.clock.advance(60)
    house.invoice(order)
    house.run(hours=1)
    assert len(house.s4hana.invoices) == 1
    house.clock.advance_to(late)
    read_and_apply(house, "basware", "invoices")
    house.run(hours=2)
    assert kept == []
    assert len(house.documents("invoice")) == 2
    assert [case[0] for case in house.cases()] == ["duplicate_invoice"]
    assert len(house.s4hana.invoices) == 1


def test_what_became_of_the_return_of_an_orders_number_is_found_out_although_the_order_is_cancelled_meanwhile(house):
    """Seed 20715 (P1, R082, F1, F2): the send stayed unknown for ever, because nothing more was done for the order."""
    requisition = house.submit()
    house.run(minutes=10)
    numbers = loses_answers(
        house, lambda request: request.method == "PUT" and b"external-po-reference" in request.content, 3, arrives=True
    )
    house.approve_in_coupa(requisition)
    wait_for(house, numbers)
    read_and_apply(house, "coupa", "order_revisions")
    [order] = house.coupa.orders()
    house.coupa.cancel_order(order_id=order["id"], by="head.de-south")
    read_and_apply(house, "coupa", "order_revisions")
    house.engine.decide(house.connection)
    house.engine.call(house.connection, house.engine.lanes["s4hana"], 10)
    house.engine.decide(house.connection)
    assert house.documents("purchase_order")[0][1] == "cancelled"
    assert open_intents(house) == [("return_order_number", "unknown")]
    house.run(hours=2)
    assert open_intents(house) == []
    assert house.live_orders() == []
    assert house.documents("purchase_order")[0][1] == "cancelled"
    assert house.cases() == []


@pytest.mark.parametrize("arrives", [True, False])
def test_what_was_being_made_for_a_requisition_that_is_withdrawn_is_looked_for_and_not_made_again(house, arrives):
    """Found beside seed 20715 (P1, R082): a request for approval that nobody knew of was not looked for, and had it been, it would
    have been made anew."""
    parts = []

    def is_the_last_part(request):
        if request.method == "POST" and request.url.path.startswith("/api/now/"):
            parts.append(request)
        return len(parts) == 3

    requests = loses_answers(house, is_the_last_part, 1, arrives=arrives)
    requisition = house.submit(house.line(quantity="500"))
    wait_for(house, requests)
    house.coupa.withdraw(requisition_id=requisition, by="planner.de-south")
    read_and_apply(house, "coupa", "requisitions")
    house.engine.decide(house.connection)
    assert house.documents("requisition")[0][1] == "cancelled"
    assert open_intents(house) == [("request_approval", "unknown")]
    house.run(hours=2)
    assert open_intents(house) == []
    assert len(parts) == 3
    assert house.documents("requisition")[0][1] == "cancelled"
    assert [row["approval"] for row in house.servicenow.tables["sc_request"]] == ["cancelled"], "nobody has to answer"
    assert [row for user in ("fin.1", "proc.1") for row in house.servicenow.open_approvals(user_name=user)] == []
    assert house.cases() == []


def test_a_decision_of_which_nobody_knows_is_not_taken_again_for_a_requisition_that_was_given_up(house):
    """Found beside seed 20715 (P1, R082): the approval was sent again to find out what had become of it, and procurement approved a
    requisition that somebody had given up."""
    lost = loses_answers(house, lambda request: request.url.path.endswith("/approve"), 6, arrives=False)
    requisition = house.submit()
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    while not house.cases():
        house.run(minutes=1)
    assert [case[0] for case in house.cases()] == ["answer_lost"]
    named = house.connection.execute("SELECT case_id, version FROM exception_case WHERE closed_at IS NULL").fetchall()
    session = house.put_person("controller.1", Role.FINANCE_OPERATIONS)
    cases = [{"case_id": str(case_id), "version": version} for case_id, version in named]
    assert house.ask(session, Action.ABANDON, reason="not needed any more", cases=cases).status == "done"
    sent = len(lost)
    house.run(hours=8)
    assert house.documents("requisition")[0][1] == "cancelled"
    assert (open_intents(house), house.cases(), len(lost)) == ([], [], sent)
    assert house.coupa.requisition(requisition)["status"] == "pending_approval", "nobody has approved it for us"


def test_a_lost_answer_is_found_out_in_minutes_although_the_clock_has_been_set_back_since(house):
    """Seed 30504 (I11, F8): until the clock was where it had been, an hour later, it was looked for every few seconds."""
    house.servicenow.faults.only_writes = True
    house.servicenow.faults.next_requests_lost = 1
    house.submit(house.line(quantity="500"))
    for _ in range(600):
        house.run(seconds=1)
        if open_intents(house):
            break
    assert open_intents(house) == [("request_approval", "unknown")]
    house.connection.execute(
        "UPDATE work_item SET unknown_since = unknown_since + interval '1 hour' WHERE unknown_since IS NOT NULL"
    )
    house.run(minutes=5)
    tries = "SELECT outcome, count(*) FROM attempt WHERE step = 'request_approval' GROUP BY outcome ORDER BY outcome"
    assert house.connection.execute(tries).fetchall() == [("absent", 1), ("done", 1), ("unknown", 1)]
    assert open_intents(house) == []


def loses_the_last_part(house, *, arrives):
    """No answer to the last of the three calls that a request for approval is made of. Answers the calls that were made, and those lost."""
    parts = []

    def is_the_last_part(request):
        if (
            request.method == "POST"
            and request.url.path.startswith("/api/now/")
            and b"Approve requisition" in request.content
        ):
            parts.append(request)
        return len(parts) == 3

    return parts, loses_answers(house, is_the_last_part, 1, arrives=arrives)


def edit(house, requisition):
    """Somebody changes the requisition, and we hear of it."""
    house.clock.advance(5)
    house.coupa.edit_requisition(requisition_id=requisition, by="planner.de-south", lines=[house.line(quantity="501")])
    read_and_apply(house, "coupa", "requisitions")


def assert_each_version_was_asked_about_once(house, parts):
    """And nothing is left open."""
    assert (open_intents(house), house.cases()) == ([], [])
    assert house.documents("requisition")[0][1] == "awaiting_approval"
    assert [b"10020.00" in request.content for request in parts] == [False] * 3 + [True] * 3


@pytest.mark.parametrize("arrives", [True, False])
@pytest.mark.parametrize("status", [503, 403])
def test_what_nobody_knows_of_is_found_out_before_a_changed_requisition_begins_anew(house, arrives, status):
    """Seed 60360 (P1, R082, F1, F7): looking for it was in vain as well, the flow began again, and what had been sent was never looked
    for again."""
    parts, lost = loses_the_last_part(house, arrives=arrives)
    requisition = house.submit(house.line(quantity="500"))
    wait_for(house, lost)
    lane = house.engine.lanes["servicenow"]
    while not (held := lane.claim(house.connection, 10)):
        house.clock.advance(10)
    real, house.transport.handle_request = house.transport.handle_request, lambda request: httpx2.Response(status, request=request)  # fmt: skip
    results = [lane.ask(item) for item in held]
    house.transport.handle_request = real
    edit(house, requisition)
    lane.record(house.connection, results)
    assert open_intents(house) == [("request_approval", "unknown")]
    if status == 403:
        assert [case[0] for case in house.cases()] == ["access_refused"]
        ask_to_reprocess(house, house.put_person("support.1", Role.FINANCE_OPERATIONS))
    house.run(hours=2)
    assert_each_version_was_asked_about_once(house, parts)


@pytest.mark.parametrize("arrives", [True, False])
def test_what_nobody_knows_of_is_looked_for_although_a_requisition_is_changed_before_anybody_has(house, arrives):
    """Found beside seed 60360 (P1, R082): the flow began again at once, and with that it was forgotten that something was sent."""
    parts, lost = loses_the_last_part(house, arrives=arrives)
    requisition = house.submit(house.line(quantity="500"))
    wait_for(house, lost)
    house.run(seconds=1)
    edit(house, requisition)
    assert open_intents(house) == [("request_approval", "unknown")]
    house.run(hours=2)
    assert_each_version_was_asked_about_once(house, parts)
