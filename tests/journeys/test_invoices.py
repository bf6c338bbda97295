"""Invoices: matched, waiting, reviewed, blocked, paid, and never twice."""

import pytest

from sync_engine.control.roles import Action, Role


def test_an_invoice_before_its_goods_waits_and_matches_by_itself(house):
    _, order = house.order_one()
    house.invoice(order)
    house.run(hours=1)
    assert house.documents("invoice") == [("RE-4711", "awaiting_receipt", "not_required", "not_submitted")]
    assert house.cases() == [], "a day is nothing to bother people with"
    house.run(days=2)
    assert [case[0] for case in house.cases()] == ["receipt_missing"]
    house.receive(order)
    house.run(hours=2)
    assert house.documents("invoice")[0][1:] == ("payment_ready", "approved", "posted")
    assert house.cases() == []


def test_a_price_beyond_tolerance_is_reviewed_and_the_accepted_one_is_posted(house):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    house.invoice(order, price="26.00")
    house.run(hours=1)
    assert house.documents("invoice") == [("RE-4711", "in_review", "pending", "not_submitted")]
    [(code, _, blocks, message)] = house.cases()
    assert (code, blocks) == ("price_variance", True)
    assert "26" in message
    assert "20" in message
    house.decide_in_servicenow("fin.1", "approved", "agreed by phone")
    house.run(hours=2)
    state = house.documents("invoice")[0]
    assert state[1] in {"payment_blocked", "payment_ready"}
    assert house.cases() == []


def test_a_refused_review_returns_the_invoice_with_the_reviewers_words(house):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    invoice = house.invoice(order, price="30.00")
    house.run(hours=1)
    house.decide_in_servicenow("fin.1", "rejected", "ask for a credit note")
    house.run(hours=1)
    assert house.documents("invoice") == [("RE-4711", "rejected", "rejected", "not_submitted")]
    told = house.basware.invoices.rows[invoice]
    assert told["processingStatus"] == "TransferFailed"
    assert "credit note" in told["transferResponses"][-1]["responseMessage"]
    assert house.s4hana.invoices == {}
    assert house.cases() == []


@pytest.mark.parametrize(("reference", "found"), [("RE-4711", True), ("RE-04711", True), ("RE-9999", False)])
def test_the_same_bill_twice_is_stopped_even_with_a_slip_of_the_pen(house, reference, found):
    _, order = house.order_one(house.line(quantity="20"))
    house.receive(order, "20")
    house.run(hours=1)
    house.invoice(order)
    house.run(hours=2)
    house.invoice(order, reference=reference)
    house.run(hours=2)
    assert ([case[0] for case in house.cases()] == ["duplicate_invoice"]) is found
    assert len(house.s4hana.invoices) == (1 if found else 2)


@pytest.mark.parametrize(("verdict", "posted"), [("distinct", 2), ("duplicate", 1)])
def test_a_verdict_on_two_bills_is_used_by_the_check(house, verdict, posted):
    """PRODUCT 4.11: called two different bills, the second is checked again without the first and goes on; called one, it stays."""
    _, order = house.order_one(house.line(quantity="20"))
    house.receive(order, "20")
    house.run(hours=1)
    house.invoice(order)
    house.run(hours=2)
    house.invoice(order, reference="RE-04711")
    house.run(hours=2)
    first, second = (
        str(one)
        for (one,) in house.connection.execute(
            "SELECT document_id FROM document WHERE document_type = 'invoice' ORDER BY submitted_at, document_id"
        )
    )
    operator = house.put_person("controller.1", Role.FINANCE_OPERATIONS)
    said = {"document_id": second, "other_id": first, "pattern": "reference", "verdict": verdict}
    answered = house.ask(operator, Action.JUDGE_DUPLICATE, reason="two deliveries", **said)
    assert answered.status == "done", answered.result
    house.run(hours=2)
    assert len(house.s4hana.invoices) == posted
    assert [case[0] for case in house.cases()] == ([] if posted == 2 else ["duplicate_invoice"])


def test_two_invoices_cannot_bill_the_same_goods(house):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    house.invoice(order, reference="RE-1")
    house.invoice(order, reference="RE-2", price="20.01")
    house.run(hours=2)
    assert sorted(d[1] for d in house.documents("invoice")) == ["in_review", "payment_ready"]
    assert [case[0] for case in house.cases()] == ["quantity_variance"]


def test_partial_receipts_and_partial_invoices_add_up_to_a_closed_order(house):
    _, order = house.order_one()
    house.receive(order, "4")
    house.run(hours=1)
    assert house.documents("purchase_order")[0][1] == "partially_received"
    house.invoice(order, reference="RE-1", quantity="4")
    house.run(hours=2)
    house.receive(order, "6")
    house.run(hours=1)
    assert house.documents("purchase_order")[0][1] == "received"
    house.invoice(order, reference="RE-2", quantity="6")
    house.run(hours=2)
    assert house.documents("purchase_order")[0][1] == "closed"
    assert [d[1] for d in house.documents("invoice")] == ["payment_ready", "payment_ready"]


def test_a_reversed_receipt_is_a_new_document_and_opens_the_order_again(house):
    _, order = house.order_one()
    number, year = house.receive(order)
    house.run(hours=1)
    assert house.documents("purchase_order")[0][1] == "received"
    house.s4hana.reverse_goods_receipt(number=number, year=year, by="RECEIVER1")
    house.run(hours=1)
    assert house.documents("purchase_order")[0][1] == "ordered"
    assert len(house.documents("goods_receipt")) == 2


def test_a_receipt_that_arrives_before_its_order_is_known_waits_for_it(house):
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.faults.only_writes = True
    house.approve_in_coupa(requisition)
    house.run(minutes=4)
    house.coupa.faults.outage = True
    house.run(minutes=10)
    [order] = house.live_orders()
    house.receive(order)
    house.run(minutes=20)
    house.coupa.faults.outage = False
    house.run(hours=2)
    assert house.documents("purchase_order")[0][1] == "received"


def test_an_invoice_without_an_order_asks_for_one(house):
    house.order_one()
    house.invoice("", order_line=False)
    house.run(hours=1)
    assert [case[0] for case in house.cases()] == ["order_missing"]


def test_a_payment_block_in_the_erp_keeps_it_from_being_ready_and_its_release_makes_it_so(house):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    house.invoice(order, price="26.00")  # beyond SAP's own tolerance too
    house.run(hours=1)
    house.decide_in_servicenow("fin.1")
    house.run(hours=2)
    assert house.documents("invoice")[0][1:] == ("payment_blocked", "approved", "blocked")
    [(key, _)] = house.s4hana.invoices.items()
    number, year = key.split("/") if "/" in key else (key, "2026")
    house.s4hana.release_invoice(number=number, year=year, by="AP1")
    house.run(hours=6)
    assert house.documents("invoice")[0][1:] == ("payment_ready", "approved", "posted")


def test_a_closed_period_stops_the_posting_and_reprocessing_posts_it_once(house):
    """Trap 16: the ledger refuses, the business has agreed all the same; two facts."""
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    house.s4hana.close_period(company_code="1010", year=2026, month=9)
    house.invoice(order)
    house.run(hours=2)
    assert [case[0] for case in house.cases()] == ["period_closed"]
    assert house.documents("invoice")[0][1:] == ("posting_refused", "approved", "refused")
    house.s4hana.open_period(company_code="1010", year=2026, month=9)
    house.reprocess(house.put_person("ap.1", Role.FINANCE_OPERATIONS))
    assert house.redrive_results()[-1][0] == "verified"
    assert len(house.s4hana.invoices) == 1
    assert house.documents("invoice")[0][1] == "payment_ready"


def test_a_lost_reply_to_a_posting_leaves_one_posting(house):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    house.s4hana.faults.only_writes = True
    house.s4hana.faults.next_replies_lost = 2
    house.invoice(order)
    house.run(hours=3)
    assert len(house.s4hana.invoices) == 1
    assert house.documents("invoice")[0][1] == "payment_ready"
