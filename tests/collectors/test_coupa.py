"""What Coupa is asked, over the wire against its stand-in: every operation, its refusals, and every bad connection."""

from dataclasses import replace

import pytest

from collectors.coupa import SYSTEM, connect
from sandbox.coupa import Coupa
from sandbox.server import StandinServer
from sync_engine.model.errors import (
    AnswerLost,
    BusinessRejection,
    MappingError,
    SyncError,
    TransientError,
)
from sync_engine.model.ports import Access, Answer, Identifier
from tests.collectors.coupa_world import START, World


@pytest.fixture
def world():
    return World()


def test_the_budget_of_each_cost_centre_is_read_for_today(world):
    for period in ("2026-Q1", "2026-Q2"):
        world.coupa.set_budget(company_code="1710", cost_centre="4711", period=period, amount="10000", currency="EUR")
    world.coupa.set_budget(company_code="1710", cost_centre="4712", period="2026", amount="500", currency="EUR")
    world.coupa.set_budget(company_code="1720", cost_centre="4711", period="2026", amount="1", currency="EUR")
    world.ordered()
    requisition_id = world.submit(
        world.line(), world.line(cost_centre="4712", account="400200"), world.line(cost_centre="4799")
    )
    answer = world.do("read_budget", world.about(requisition_id))
    assert answer.facts["procurement_budget"] == [
        {
            "cost_centre": "4711",
            "company_code": "1710",
            "account": "",
            "period": "2026-Q1",
            "currency": "EUR",
            "amount": "10000.00",
            "remaining": "9100.00",
            "pending": "900.00",
            "read_at": START.isoformat(),
        },
        {
            "cost_centre": "4712",
            "company_code": "1710",
            "account": "",
            "period": "2026",
            "currency": "EUR",
            "amount": "500.00",
            "remaining": "500.00",
            "pending": "900.00",
            "read_at": START.isoformat(),
        },
    ]


def test_a_cost_centre_without_a_budget_has_no_entry(world):
    assert world.do("read_budget", world.about(world.submit())).facts == {"procurement_budget": []}


def test_more_budget_lines_than_a_page_are_all_read(world):
    for account in range(120):
        where = {"company_code": "1710", "cost_centre": "4711", "period": "2026", "currency": "EUR"}
        world.coupa.set_budget(**where, account=f"4{account:05}", amount="100")
    entries = world.do("read_budget", world.about(world.submit())).facts["procurement_budget"]
    assert len({entry["account"] for entry in entries}) == 120


def test_our_decision_waits_for_procurements_own_approvers(world):
    requisition_id = world.submit()
    ask = world.about(requisition_id)
    answer = world.do("record_decision", ask)
    assert (answer.wait_s, answer.waiting_for) == (300, "procurement's own approvers")
    assert [step["status"] for step in world.coupa.requisition(requisition_id)["approvals"]] == ["pending_approval"]
    assert answer.facts == {}
    world.approve_humans(requisition_id)
    assert world.do("record_decision", ask).wait_s is None
    assert world.coupa.requisition(requisition_id)["status"] == "approved"


def test_a_refusal_does_not_wait_for_procurements_own_approvers(world):
    requisition_id = world.submit()
    step, approver = world.coupa.pending_approval(requisition_id)
    assert approver == "manager.1"
    world.forward(minutes=4)
    ask = world.about(requisition_id, facts={"refusal_reason": "The budget does not cover it."})
    answer = world.do("record_refusal", ask)
    assert answer == Answer(
        facts={"procurement_approval_id": str(step), "procurement_refused_at": world.now.isoformat()}, at=world.now
    )
    shown = world.coupa.requisition(requisition_id)
    assert (shown["status"], shown["reject-reason-comment"]) == ("draft", "The budget does not cover it.")
    (refused,) = shown["approvals"]
    assert (refused["status"], refused["note"]) == ("rejected", "The budget does not cover it.")
    assert (refused["approver"]["login"], refused["approved-by"]["login"]) == ("manager.1", "finsync")
    world.forward(minutes=4)
    assert world.do("record_refusal", ask) == answer
    assert world.coupa.requisition(requisition_id) == shown


def test_a_refusal_whose_answer_was_lost_is_found_when_asked_again(world):
    requisition_id = world.submit()
    step, _approver = world.coupa.pending_approval(requisition_id)
    ask = world.about(requisition_id, facts={"refusal_reason": "no"})
    world.coupa.faults.only_writes = True
    world.coupa.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.do("record_refusal", ask)
    assert world.do("record_refusal", ask).facts["procurement_approval_id"] == str(step)
    assert [step["status"] for step in world.coupa.requisition(requisition_id)["approvals"]] == ["rejected"]


def test_our_decision_approves_our_own_step_with_our_reason_and_only_once(world):
    requisition_id = world.submit()
    world.approve_humans(requisition_id)
    own = world.coupa.pending_approval(requisition_id)[0]
    world.forward(minutes=4)
    ask = world.about(requisition_id, facts={"decision_comment": "Budget confirmed by finance"})
    answer = world.do("record_decision", ask)
    assert answer.facts == {"procurement_approval_id": str(own), "procurement_approved_at": world.now.isoformat()}
    assert answer.at == world.now
    shown = world.coupa.requisition(requisition_id)
    assert (shown["status"], shown["approvals"][-1]["note"]) == ("approved", "Budget confirmed by finance")
    world.forward(minutes=4)
    assert world.do("record_decision", ask) == answer
    assert world.coupa.requisition(requisition_id) == shown


def test_a_decision_whose_answer_was_lost_is_found_when_asked_again(world):
    requisition_id = world.submit()
    world.approve_humans(requisition_id)
    world.coupa.faults.only_writes = True
    world.coupa.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.do("record_decision", world.about(requisition_id))
    look_up = SYSTEM.operations["record_decision"].look_up
    answer = world.do("record_decision", world.about(requisition_id))
    assert answer == look_up(world.session, world.about(requisition_id))
    assert answer.at == world.now
    assert [step["status"] for step in world.coupa.requisition(requisition_id)["approvals"]] == ["approved", "approved"]


def test_looking_for_our_decision_takes_none(world):
    requisition_id = world.submit()
    look_up = SYSTEM.operations["record_decision"].look_up
    assert look_up(world.session, world.about(requisition_id)) is None
    world.approve_humans(requisition_id)
    assert look_up(world.session, world.about(requisition_id)) is None
    assert world.coupa.pending_approval(requisition_id)[1] == "finsync"


def test_a_decision_somebody_else_took_between_is_told_by_its_outcome(world):
    requisition_id = world.submit()
    world.approve_humans(requisition_id)
    ask = world.about(requisition_id, facts={"refusal_reason": "no budget"})
    own = world.coupa.pending_approval(requisition_id)[0]

    class Overtaken(Coupa):
        def _dispatch(self, request):
            if request.method == "PUT" and self.pending_approval(requisition_id):
                self.approve(approval_id=own, by="head.1")
            return super()._dispatch(request)

    world.coupa.__class__ = Overtaken
    with pytest.raises(BusinessRejection, match="only a pending approval can be decided") as refused:
        world.do("record_refusal", ask)
    assert refused.value.code == "approval_conflict"
    assert world.do("record_decision", ask).facts["procurement_approval_id"] == str(own)


def test_a_requisition_that_was_approved_without_us_counts_as_decided(world):
    requisition_id = world.submit()
    ask = world.about(requisition_id)
    world.approve_all(requisition_id)
    session = world.connected(login="another.client")
    answer = world.do("record_decision", ask, session)
    assert (answer.at, answer.facts["procurement_approval_id"]) == (START, "")


def test_a_withdrawn_requisition_cannot_be_approved_any_more(world):
    requisition_id = world.submit()
    ask = world.about(requisition_id, facts={"refusal_reason": "no"})
    world.coupa.withdraw(requisition_id=requisition_id, by="buyer.1")
    with pytest.raises(BusinessRejection, match="is withdrawn, so it cannot be approved") as refused:
        world.do("record_decision", ask)
    assert refused.value.code == "approval_conflict"
    assert world.do("record_refusal", ask).facts["procurement_approval_id"] == ""


def test_a_refusal_rejects_our_own_step_with_the_reason_and_only_once(world):
    requisition_id = world.submit()
    world.approve_humans(requisition_id)
    own = world.coupa.pending_approval(requisition_id)[0]
    ask = world.about(requisition_id, facts={"refusal_reason": "The budget does not cover it."})
    answer = world.do("record_refusal", ask)
    assert answer.facts == {"procurement_approval_id": str(own), "procurement_refused_at": START.isoformat()}
    shown = world.coupa.requisition(requisition_id)
    assert (shown["status"], shown["reject-reason-comment"]) == ("draft", "The budget does not cover it.")
    assert world.do("record_refusal", ask) == answer
    assert world.coupa.requisition(requisition_id) == shown


def test_an_approved_requisition_cannot_be_refused_any_more(world):
    requisition_id = world.submit()
    world.approve_all(requisition_id)
    with pytest.raises(BusinessRejection, match="is approved, so it cannot be refused"):
        world.do("record_refusal", world.about(requisition_id, facts={"refusal_reason": "no"}))


def test_a_requisition_that_is_gone_is_a_refusal_in_words(world):
    ask = world.ask(world.requisition(world.submit()), identifiers={"coupa.requisition": "999"})
    with pytest.raises(BusinessRejection, match="requisition 999: The requested resource could not be found"):
        world.do("record_decision", ask)


def test_the_order_number_returns_as_the_requisitions_own_reference(world):
    requisition_id = world.submit()
    world.approve_all(requisition_id)
    world.forward(minutes=2)
    distribution = [
        {"item": "00010", "gl_account": "400100", "cost_centre": "4711", "amount": "900.00", "currency": "EUR"}
    ]
    ask = world.ask(world.order(requisition_id), facts={"posting_status": "committed", "distribution": distribution})
    answer = world.do("return_order_number", ask)
    (order,) = world.coupa.orders()
    assert answer.identifiers == (Identifier("coupa", "purchase_order", str(order["id"])),)
    assert answer.facts == {"procurement_order_id": str(order["id"]), "returned_at": world.now.isoformat()}
    shown = world.coupa.requisition(requisition_id)
    assert (shown["external-po-reference"], shown["status"], order["po-number"]) == (
        "4500000001",
        "ordered",
        "4500000001",
    )
    assert shown["custom-fields"]["cf-erp-status"] == "Order 4500000001 created in the ERP"
    assert shown["custom-fields"]["cf-erp-distribution"] == "committed: 400100/4711 900.00 EUR"
    assert world.do("return_order_number", ask) == answer
    assert len(world.coupa.orders()) == 1


def test_orders_to_several_suppliers_return_their_numbers_on_the_lines(world):
    other = world.coupa.register_supplier(name="Rohrbau Nord")
    requisition_id = world.submit(world.line(), world.line(supplier_id=other), world.line(supplier_id=other))
    world.approve_all(requisition_id)
    first = world.do("return_order_number", world.ask(world.order(requisition_id, "4500000001", {1})))
    assert world.coupa.requisition(requisition_id)["status"] == "approved"
    second = world.do("return_order_number", world.ask(world.order(requisition_id, "4500000002", {2, 3})))
    assert first.identifiers != second.identifiers
    shown = world.coupa.requisition(requisition_id)
    assert (shown["status"], shown["external-po-reference"]) == ("ordered", None)
    assert [line["custom-fields"]["cf-erp-po-number"] for line in shown["requisition-lines"]] == [
        "4500000001",
        "4500000002",
        "4500000002",
    ]


def test_a_returned_number_whose_answer_was_lost_makes_no_second_order(world):
    requisition_id = world.submit()
    world.approve_all(requisition_id)
    ask = world.ask(world.order(requisition_id))
    world.coupa.faults.only_writes = True
    world.coupa.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.do("return_order_number", ask)
    assert world.do("return_order_number", ask).facts["procurement_order_id"] == str(world.coupa.orders()[0]["id"])
    assert len(world.coupa.orders()) == 1


def test_an_order_number_that_is_taken_or_comes_too_early_is_refused(world):
    world.ordered()
    approved, pending = world.submit(), world.submit()
    world.approve_all(approved)
    with pytest.raises(BusinessRejection, match="External PO reference has already been taken") as taken:
        world.do("return_order_number", world.ask(world.order(approved)))
    assert taken.value.code == "effect_conflict"
    with pytest.raises(BusinessRejection, match="only an approved one can be ordered") as early:
        world.do("return_order_number", world.ask(world.order(pending, "4500000002")))
    assert early.value.code == "approval_conflict"


def test_an_order_for_lines_that_are_gone_is_refused(world):
    requisition_id = world.submit()
    order = world.order(requisition_id)
    world.coupa.edit_requisition(requisition_id=requisition_id, by="buyer.1", lines=[world.line()])
    with pytest.raises(BusinessRejection, match=f"no longer has the lines {order.lines[0].source_line_id}"):
        world.do("return_order_number", world.ask(order))


def test_an_order_coupa_has_not_made_yet_is_waited_for(world):
    requisition_id = world.submit()
    world.approve_all(requisition_id)

    class Slow(Coupa):
        def _ordered(self, requisition, references, by):
            return requisition

    world.coupa.__class__ = Slow
    answer = world.do("return_order_number", world.ask(world.order(requisition_id)))
    assert (answer.wait_s, answer.waiting_for) == (60, "procurement to make its order")


def test_an_order_without_a_number_of_the_erp_is_refused(world):
    order = world.order(world.submit()).model_copy(update={"erp_number": ""})
    with pytest.raises(MappingError, match="has no number of the ERP yet"):
        world.do("return_order_number", world.ask(order))


def test_an_order_is_marked_as_exported_by_its_id_or_its_number_and_only_once(world):
    requisition_id, order_id = world.ordered()
    by_number = world.do("mark_exported", world.ask(world.order(requisition_id)))
    assert by_number.facts == {"procurement_order_id": str(order_id), "exported_at": START.isoformat()}
    exported = world.coupa.orders()
    world.forward(minutes=1)
    assert (
        world.do("mark_exported", world.ask(world.order(requisition_id), facts={"procurement_order_id": str(order_id)}))
        == by_number
    )
    assert world.coupa.orders() == exported
    assert exported[0]["exported"] is True


def test_an_order_coupa_does_not_know_cannot_be_marked(world):
    with pytest.raises(BusinessRejection, match="Coupa has no order 4500000001") as refused:
        world.do("mark_exported", world.ask(world.order(world.submit())))
    assert refused.value.code == "order_unknown"


def test_marking_the_order_never_hides_a_revision_that_waits(world):
    requisition_id, order_id = world.ordered()
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    answer = world.do("mark_exported", world.ask(world.order(requisition_id)))
    assert answer.facts["skipped"] == "a newer version waits to be exported"
    assert [news.identifier.external_id for news in world.news("order_revisions")] == [f"{order_id}/2"]


def test_marking_the_order_never_hides_a_cancellation_that_waits(world):
    """Found by simulation, seed 261: the order lived on in the ERP after it was cancelled here (P1, R040)."""
    requisition_id, order_id = world.ordered()
    world.coupa.cancel_order(order_id=order_id, by="buyer.1")
    answer = world.do("mark_exported", world.ask(world.order(requisition_id)))
    assert answer.facts["skipped"] == "its cancellation waits to be exported"
    (news,) = world.news("order_revisions")
    assert news.document.cancels


def test_a_cancellation_at_the_very_moment_of_marking_is_shown_to_a_person(world):
    requisition_id, order_id = world.ordered()
    ask = world.ask(world.order(requisition_id))

    class Overtaken(Coupa):
        def _dispatch(self, request):
            if request.method == "PUT":
                self.cancel_order(order_id=order_id, by="buyer.1")
            return super()._dispatch(request)

    world.coupa.__class__ = Overtaken
    with pytest.raises(BusinessRejection, match="was cancelled in Coupa while it was marked") as refused:
        world.do("mark_exported", ask)
    assert refused.value.code == "document_changed"


def test_a_revision_at_the_very_moment_of_marking_is_shown_to_a_person(world):
    requisition_id, order_id = world.ordered()
    ask = world.ask(world.order(requisition_id))

    class Overtaken(Coupa):
        def _dispatch(self, request):
            if request.method == "PUT":
                self.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
            return super()._dispatch(request)

    world.coupa.__class__ = Overtaken
    with pytest.raises(BusinessRejection, match="was revised to version 2 in Coupa while it was marked") as refused:
        world.do("mark_exported", ask)
    assert refused.value.code == "document_changed"


def test_a_change_that_arrived_in_the_erp_is_told_no_more(world):
    _, order_id = world.ordered()
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    (news,) = world.news("order_revisions")
    ask = world.ask(news.document)
    answer = world.do("return_change", ask)
    assert answer.facts == {
        "procurement_order_id": str(order_id),
        "exported_at": START.isoformat(),
        "returned_at": START.isoformat(),
    }
    (order,) = world.coupa.orders()
    assert (order["exported"], order["custom-fields"]) == (
        True,
        {"cf-erp-status": "Order 4500000001 changed to version 2 in the ERP"},
    )
    assert world.read("order_revisions")[0] == []
    assert world.do("return_change", ask) == answer


def test_a_change_returned_while_the_next_one_waits_leaves_that_alone(world):
    _, order_id = world.ordered()
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    (second,) = world.news("order_revisions")
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "4"}})
    (waiting,) = world.news("order_revisions")
    assert world.do("return_change", world.ask(second.document)).facts["skipped"]
    assert world.news("order_revisions") == [waiting]


def test_a_cancellation_is_returned_like_a_change(world):
    _, order_id = world.ordered()
    world.coupa.cancel_order(order_id=order_id, by="buyer.1")
    (news,) = world.news("order_revisions")
    world.do("return_change", world.ask(news.document))
    assert world.coupa.orders()[0]["custom-fields"]["cf-erp-status"] == "Order 4500000001 cancelled in the ERP"


def blocked(**more):
    return {
        "title": "The ERP refused the order",
        "message": "Cost centre 4711 is blocked for posting. @[User:2]",
        "next_step": "Unblock the cost centre, then reprocess.",
        "owner_team": "finance operations",
    } | more


def test_procurement_is_told_what_happened_and_what_comes_next(world):
    requisition_id = world.submit()
    ask = world.about(requisition_id, subject=blocked(), purpose="tell_procurement")
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) is None
    answer = world.do("tell_procurement", ask)
    (comment,) = world.coupa.comments(requisition_id)
    assert comment["comments"] == (
        "The ERP refused the order\nCost centre 4711 is blocked for posting. @ [User:2]\n"
        f"Next: Unblock the cost centre, then reprocess.\nWith: finance operations\n[ref {ask.reference(12)}]"
    )
    assert answer.facts == {"procurement_comment_id": str(comment["id"]), "told_at": START.isoformat()}
    assert world.coupa.requisition(requisition_id)["custom-fields"]["cf-erp-status"] == "The ERP refused the order"
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) == answer


def test_a_comment_whose_answer_was_lost_is_adopted(world):
    ask = world.about(world.submit(), subject=blocked(), purpose="tell_procurement")
    look_up = SYSTEM.operations["tell_procurement"].look_up

    class LosesTheAnswerToAComment(Coupa):
        def _dispatch(self, request):
            if request.method == "POST" and request.path != self.token_path:
                self.faults.next_replies_lost = 1
            return super()._dispatch(request)

    world.coupa.__class__ = LosesTheAnswerToAComment
    with pytest.raises(AnswerLost):
        world.do("tell_procurement", ask)
    (comment,) = world.coupa.comments(2001)
    adopted = look_up(world.session, ask)
    assert adopted == Answer(
        facts={"procurement_comment_id": str(comment["id"]), "told_at": START.isoformat()}, at=START
    )


def test_a_lost_answer_to_the_status_leaves_no_comment_to_adopt(world):
    ask = world.about(world.submit(), subject=blocked(), purpose="tell_procurement")
    world.coupa.faults.only_writes = True
    world.coupa.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.do("tell_procurement", ask)
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) is None
    world.do("tell_procurement", ask)
    assert len(world.coupa.comments(2001)) == 1


def test_who_quotes_our_comment_is_not_taken_for_us(world):
    ask = world.about(world.submit(), subject=blocked(), purpose="tell_procurement")
    world.coupa.comment(requisition_id=2001, by="buyer.1", text=f"What does [ref {ask.reference(12)}] mean?")
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) is None


def test_another_comment_of_ours_under_the_same_reference_is_a_conflict(world):
    ask = world.about(world.submit(), subject=blocked(), purpose="tell_procurement")
    world.do("tell_procurement", ask)
    other = replace(ask, subject=blocked(title="The period is closed"))
    with pytest.raises(BusinessRejection) as conflict:
        SYSTEM.operations["tell_procurement"].look_up(world.session, other)
    assert (conflict.value.code, conflict.value.facts["title"]) == ("effect_conflict", "The period is closed")


def test_our_comment_is_found_among_more_than_a_page_of_others(world):
    requisition_id = world.submit()
    for number in range(60):
        world.coupa.comment(requisition_id=requisition_id, by="buyer.1", text=f"Reminder {number}")
    ask = world.about(requisition_id, subject=blocked(), purpose="tell_procurement_closed")
    answer = world.do("tell_procurement_closed", ask)
    assert SYSTEM.operations["tell_procurement_closed"].look_up(world.session, ask) == answer


def test_an_order_tells_its_requisition_and_a_change_has_none_to_tell(world):
    requisition_id, order_id = world.ordered()
    world.do("tell_procurement", world.ask(world.order(requisition_id), subject=blocked()))
    assert len(world.coupa.comments(requisition_id)) == 1
    world.coupa.revise_order(order_id=order_id, by="buyer.1", changes={1: {"quantity": "3"}})
    (news,) = world.news("order_revisions")
    ask = world.ask(news.document, subject=blocked())
    assert world.do("tell_procurement", ask) == Answer(facts={"skipped": "no requisition"})
    assert SYSTEM.operations["tell_procurement"].look_up(world.session, ask) is None


def test_an_instance_may_call_its_status_field_otherwise(world):
    requisition_id = world.submit()
    session = world.connected(status_field="cf-hub")
    world.do("tell_procurement", world.about(requisition_id, subject=blocked()), session)
    assert world.coupa.requisition(requisition_id)["custom-fields"]["cf-hub"] == "The ERP refused the order"


@pytest.mark.parametrize("name", ["record_decision", "return_order_number", "mark_exported", "tell_procurement"])
def test_every_write_meets_throttling_and_lost_requests_as_they_are(world, name):
    requisition_id, _ = world.ordered()
    document = (
        world.order(requisition_id)
        if name in {"return_order_number", "mark_exported"}
        else world.requisition(requisition_id)
    )
    ask = world.ask(document, identifiers={"coupa.requisition": str(requisition_id)}, subject=blocked())
    world.coupa.faults.next_throttled, world.coupa.faults.retry_after_s = 1, 3.0
    with pytest.raises(TransientError) as slow:
        world.do(name, ask)
    assert slow.value.retry_after_s == 3.0
    world.coupa.faults.next_errors = 1
    with pytest.raises(TransientError):
        world.do(name, ask)
    world.do(name, ask)


def test_an_operation_about_the_wrong_document_is_a_bug(world):
    requisition_id = world.submit()
    with pytest.raises(TypeError, match="is about a PurchaseOrder, not a Requisition"):
        world.do("mark_exported", world.about(requisition_id))
    news = world.about(requisition_id)
    supplier = world.news("suppliers")[0].document
    with pytest.raises(TypeError, match="is about a requisition, not a Supplier"):
        world.do("record_decision", replace(news, document=supplier))


def test_a_refusal_that_is_no_json_is_quoted(world):
    class Proxy(Coupa):
        def _dispatch(self, request):
            answer = super()._dispatch(request)
            if request.method == "PUT":
                answer.status, answer.body = 422, b"<html>request blocked</html>"
            return answer

    ask = world.about(world.submit(), subject=blocked())
    world.coupa.__class__ = Proxy
    with pytest.raises(BusinessRejection, match="<html>request blocked</html>") as refused:
        world.do("tell_procurement", ask)
    assert refused.value.code == "refused"


def test_everything_works_over_a_real_port(world):
    server = StandinServer(world.coupa).start()
    access = Access(server.url, credentials=lambda: ("finsync", "sandbox"))
    session = connect(access, timer=world.stopwatch)
    try:
        requisition_id = world.submit()
        world.approve_humans(requisition_id)
        assert len(world.read("requisitions", session=session)[0]) == 1
        assert world.do("record_decision", world.about(requisition_id), session).at == START
        answer = world.do("return_order_number", world.ask(world.order(requisition_id)), session)
        world.do("mark_exported", world.ask(world.order(requisition_id), facts=answer.facts), session)
        world.do("tell_procurement", world.about(requisition_id, subject=blocked()), session)
        assert world.coupa.orders()[0]["exported"] is True
        world.coupa.faults.next_replies_lost = 1
        with pytest.raises(SyncError):
            world.do("read_budget", world.about(requisition_id), session)
    finally:
        session.close()
        server.stop()


def test_the_system_states_its_operations_and_limits():
    assert {operation.name: operation.effect.value for operation in SYSTEM.operations.values()} == {
        "read_budget": "read",
        "record_decision": "set",
        "record_refusal": "set",
        "return_order_number": "set",
        "mark_exported": "set",
        "return_change": "set",
        "cancel_order": "set",
        "tell_procurement": "create",
        "tell_procurement_closed": "create",
    }
    assert (SYSTEM.requests_per_s, SYSTEM.burst, SYSTEM.max_in_flight, SYSTEM.quiet_period_s) == (20, 20, 8, 5)
    assert all(feed.interval_s == 120 and feed.silent_after_s == 3600 for feed in SYSTEM.feeds)
