"""Taking an order back (R088): through the ERP, once, visibly, with a defined end wherever it fails."""

import pytest

from sync_engine.control.roles import Action, Role
from sync_engine.insight.reconcile import reconcile


@pytest.fixture
def buyer(house):
    return house.put_person("buyer.9", Role.PROCUREMENT_ANALYST)


@pytest.fixture
def support(house):
    return house.put_person("support.1", Role.INTEGRATION_SUPPORT)


def ordered(house):
    """(requisition, order's number in SAP, our order's id and version) of an order at large."""
    requisition, number = house.order_one()
    house.run(minutes=30)
    document_id, version = house.connection.execute(
        "SELECT document_id, version FROM document WHERE document_type = 'purchase_order'"
    ).fetchone()
    return requisition, number, {"document_id": str(document_id), "version": version}


def state(house, document_type="purchase_order"):
    return house.documents(document_type)[0][1:]


def cancellation(house):
    """(status, step) of the flow that takes an order back."""
    return house.connection.execute("SELECT status, step FROM work_item WHERE flow = 'order_cancellation'").fetchone()


def activities(house):
    return [row[0] for row in house.connection.execute("SELECT activity FROM event ORDER BY recorded_at, seq")]


def deletions(house):
    return sum(1 for order in house.s4hana.orders.values() if order.get("PurchasingDocumentDeletionCode"))


def differences(house):
    sessions = {name: lane.session for name, lane in house.engine.lanes.items()}
    return [one.sentence for one in reconcile(house.connection, house.engine.setup, sessions).differences]


def test_an_order_is_cancelled_in_sap_and_in_procurement_because_somebody_asks_for_it(house, buyer):
    requisition, number, order = ordered(house)
    answered = house.ask(buyer, Action.CANCEL_ORDER, reason="Ordered at the wrong plant.", **order)
    assert answered.status == "done"
    assert house.live_orders() == []
    assert state(house) == ("cancelled", "approved", "reversed")
    assert state(house, "requisition") == ("cancelled", "withdrawn", "reversed")
    assert cancellation(house) == ("done", "return_cancellation")
    [in_coupa] = house.coupa.orders(po_number=number)
    assert (in_coupa["status"], in_coupa["exported"]) == ("cancelled", True)
    assert house.documents("change_order") == [], "what we did ourselves is no news"
    begun = house.connection.execute(
        "SELECT actor, attributes->>'reason' FROM event WHERE activity = 'cancellation_begun'"
    ).fetchall()
    assert begun == [("buyer.9", "Ordered at the wrong plant.")]
    held = house.connection.execute("SELECT count(*) FROM budget_reservation WHERE released_at IS NULL").fetchone()
    assert held == (0,), "the budget is free again"
    assert differences(house) == []
    assert house.cases() == []
    assert requisition


def test_an_order_of_an_imported_log_is_never_cancelled_here(house, buyer):
    """It lives in another maker's systems, whatever its log calls it."""
    _, _, order = ordered(house)
    house.connection.execute("UPDATE document SET source = 'theirs' WHERE document_type = 'purchase_order'")
    answered = house.ask(buyer, Action.CANCEL_ORDER, reason="Ordered at the wrong plant.", **order)
    assert answered.status == "denied"
    house.connection.execute("UPDATE document SET source = 'finsync' WHERE document_type = 'purchase_order'")
    assert cancellation(house) is None
    assert deletions(house) == 0


def test_withdrawing_the_requisition_after_the_order_was_made_takes_the_order_back(house):
    requisition, _, _ = ordered(house)
    withdraw(house, requisition)
    assert house.live_orders() == []
    assert state(house) == ("cancelled", "approved", "reversed")
    assert state(house, "requisition") == ("cancelled", "withdrawn", "reversed")
    assert house.cases() == [], "that two systems disagreed is settled with it"
    assert house.cases(is_open=False)[0][0] == "approval_conflict"


def withdraw(house, requisition):
    """Procurement takes an ordered requisition back in its books."""
    with house.coupa.lock:
        house.coupa._set_status(house.coupa._requisitions.rows[str(requisition)], "withdrawn", "lead.de-south")
    house.run(hours=1)


def test_withdrawn_before_the_erp_has_heard_of_the_order_it_is_never_sent(house):
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.block_cost_centre(code="4711")
    house.approve_in_coupa(requisition)
    house.run(minutes=30)
    assert state(house)[0] == "refused"
    house.coupa.abandon(requisition_id=requisition, by="lead.de-south")
    house.s4hana.unblock_cost_centre(code="4711")
    house.run(hours=2)
    assert state(house)[:2] == ("cancelled", "withdrawn")
    assert state(house, "requisition")[0] == "cancelled"
    assert house.s4hana.orders == {}
    assert house.cases() == []


@pytest.mark.parametrize("lost", ["next_requests_lost", "next_replies_lost", "next_errors", "next_throttled"])
def test_withdrawn_while_nobody_knows_whether_sap_has_the_order_it_is_found_out_first(house, lost):
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.faults.only_writes = True
    setattr(house.s4hana.faults, lost, 1)
    house.approve_in_coupa(requisition)
    house.run(minutes=3)
    withdraw(house, requisition)
    house.run(hours=3)
    assert house.live_orders() == []
    assert state(house)[0] == "cancelled"
    assert state(house, "requisition")[0] == "cancelled"
    assert house.cases() == []


@pytest.mark.parametrize("system", ["s4hana", "coupa"])
@pytest.mark.parametrize("lost", ["next_requests_lost", "next_replies_lost", "next_errors", "next_throttled"])
def test_whatever_is_lost_on_the_way_the_order_is_taken_back_once(house, buyer, system, lost):
    _, number, order = ordered(house)
    faults = house.standins[system].faults
    faults.only_writes = True
    setattr(faults, lost, 2)
    house.ask(buyer, Action.CANCEL_ORDER, reason="No longer needed.", **order)
    house.run(hours=3)
    assert (house.live_orders(), deletions(house)) == ([], 1)
    assert state(house) == ("cancelled", "approved", "reversed")
    assert cancellation(house) == ("done", "return_cancellation")
    assert activities(house).count("order_cancelled") == 1
    assert house.coupa.orders(po_number=number)[0]["status"] == "cancelled"


@pytest.mark.parametrize("happened", ["goods", "invoice"])
def test_what_may_not_be_undone_any_more_is_refused_with_the_reason(house, buyer, happened):
    _, number, order = ordered(house)
    house.receive(number)
    house.run(hours=1)
    if happened == "invoice":
        house.invoice(number, quantity="4")
        house.run(hours=2)
    order["version"] = house.connection.execute(
        "SELECT version FROM document WHERE document_type = 'purchase_order'"
    ).fetchone()[0]
    answered = house.ask(buyer, Action.CANCEL_ORDER, reason="No longer needed.", **order)
    assert answered.status == "conflict"
    assert "cannot be cancelled any more: goods have been received" in answered.sentence
    assert ("it has been invoiced" in answered.sentence) is (happened == "invoice")
    assert house.live_orders() == [number]
    assert cancellation(house) is None


def test_goods_that_arrive_before_sap_hears_of_it_stop_it_and_the_order_goes_on(house, buyer, support):
    """SAP refuses: the order stands, its receipts are followed, people see why; returned goods let it be taken back after all."""
    _, number, order = ordered(house)
    material, year = house.receive(number)
    house.ask(buyer, Action.CANCEL_ORDER, reason="No longer needed.", **order)
    house.run(hours=1)
    [(code, about, blocks, message)] = house.cases()
    assert (code, blocks) == ("cancellation_refused", False)
    assert about == house.documents("purchase_order")[0][0]
    assert message
    assert house.live_orders() == [number]
    assert state(house)[0] == "received", "the order goes on"
    assert cancellation(house)[0] == "parked"

    house.s4hana.reverse_goods_receipt(number=material, year=year, by="RECEIVER1")
    house.run(hours=1)
    house.reprocess(support, "the goods went back")
    assert house.redrive_results()[-1][0] == "verified"
    assert house.live_orders() == []
    assert state(house)[0] == "cancelled"
    assert house.cases() == []


def test_it_is_asked_for_once_and_a_second_asker_is_told(house, buyer):
    _, _, order = ordered(house)
    house.s4hana.faults.outage = True
    assert house.ask(buyer, Action.CANCEL_ORDER, reason="No longer needed.", **order).status == "done"
    order["version"] = house.connection.execute(
        "SELECT version FROM document WHERE document_type = 'purchase_order'"
    ).fetchone()[0]
    again = house.ask(buyer, Action.CANCEL_ORDER, reason="No longer needed.", **order)
    assert (again.status, "has been asked for already" in again.sentence) == ("conflict", True)
    house.s4hana.faults.outage = False
    house.run(hours=2)
    assert deletions(house) == 1
    late = house.ask(
        buyer, Action.CANCEL_ORDER, reason="No longer needed.", document_id=order["document_id"], version=1
    )
    assert "is cancelled already" in late.sentence


def test_one_of_two_orders_cannot_be_taken_back_and_the_requisition_stands(house):
    requisition = house.submit(
        house.line(), house.line(description="Gasket", supplier_id=house.supplier_ids["10300002"])
    )
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.run(hours=1)
    first, _ = house.live_orders()
    house.receive(first)
    house.run(hours=1)
    withdraw(house, requisition)
    assert house.live_orders() == [first]
    assert sorted(document[1] for document in house.documents("purchase_order")) == ["cancelled", "received"]
    assert state(house, "requisition")[:2] == ("ordered", "conflict"), "what was received is still theirs"
    assert {case[0] for case in house.cases()} == {"cancellation_refused", "approval_conflict"}


def test_whoever_keeps_the_order_closes_the_matter_and_may_ask_again_later(house, buyer):
    _, number, order = ordered(house)
    material, year = house.receive(number)
    house.ask(buyer, Action.CANCEL_ORDER, reason="No longer needed.", **order)
    house.run(hours=1)
    ops = house.put_person("ops.9", Role.FINANCE_OPERATIONS)
    case_id, version = house.connection.execute("SELECT case_id, version FROM exception_case").fetchone()
    named = [{"case_id": str(case_id), "version": version}]
    assert house.ask(ops, Action.CLOSE, reason="We keep it.", cases=named).status == "done"
    assert (house.cases(), cancellation(house)[0]) == ([], "cancelled")

    house.s4hana.reverse_goods_receipt(number=material, year=year, by="RECEIVER1")
    house.run(hours=1)
    order["version"] = house.connection.execute(
        "SELECT version FROM document WHERE document_type = 'purchase_order'"
    ).fetchone()[0]
    assert house.ask(buyer, Action.CANCEL_ORDER, reason="It went back.", **order).status == "done"
    assert state(house)[0] == "cancelled"
    assert house.live_orders() == []
