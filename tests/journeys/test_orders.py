"""Orders: one each, whatever is lost, refused or repeated."""

from datetime import timedelta
from decimal import Decimal

import pytest

from sync_engine.control.roles import Role


@pytest.fixture
def support(house):
    return house.put_person("support.1", Role.INTEGRATION_SUPPORT)


def test_a_blocked_cost_centre_stops_the_order_visibly_and_reprocessing_brings_the_number_back(house, support):
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.block_cost_centre(code="4711")
    house.approve_in_coupa(requisition)
    house.run(minutes=30)
    [(code, number, blocks, message)] = house.cases()
    assert (code, number, blocks) == ("cost_centre_blocked", f"{requisition}-1", True)
    assert "4711" in message
    assert house.documents("purchase_order") == [(f"{requisition}-1", "refused", "approved", "refused")]
    [task] = house.servicenow.tables["incident"].rows.values()
    assert f"{requisition}-1" in task["short_description"] + task["description"]
    assert any("blocked" in comment["comments"] for comment in house.coupa.comments(requisition))

    refused = house.reprocess(support, "try again")
    assert refused.status == "done"
    assert house.redrive_results()[-1][0] == "refused", "the cause is still there"

    house.s4hana.unblock_cost_centre(code="4711")
    house.reprocess(support)
    assert house.redrive_results()[-1] == ("verified", "Done, and seen in the system.")
    assert house.cases() == []
    [order] = house.live_orders()
    assert house.coupa.requisition(requisition)["external-po-reference"] == order
    house.run(hours=1)
    [task] = house.servicenow.tables["incident"].rows.values()
    assert task["state"] == "6", "the task is resolved with its exception"


def test_a_closed_period_stops_the_order_until_it_opens(house, support):
    """Trap 16: the closed period stops what is to be posted; the approval given meanwhile stands."""
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.close_period(company_code="1010", year=2026, month=9)
    house.approve_in_coupa(requisition)
    house.run(minutes=30)
    [(code, _, _, message)] = house.cases()
    assert code == "period_closed"
    assert house.documents("requisition")[0][2] == "approved"
    assert "09" in message or "9" in message
    house.s4hana.open_period(company_code="1010", year=2026, month=9)
    house.reprocess(support)
    assert house.redrive_results()[-1][0] == "verified"
    assert len(house.live_orders()) == 1


def test_a_reply_lost_after_the_order_was_made_leaves_one_order(house):
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.faults.only_writes = True
    house.approve_in_coupa(requisition)
    house.run(minutes=3)
    house.s4hana.faults.next_replies_lost = 1
    house.run(minutes=30)
    assert len(house.live_orders()) == 1
    assert house.documents("purchase_order")[0][1] == "ordered"


@pytest.mark.parametrize("lost", ["next_replies_lost", "next_requests_lost", "next_errors"])
def test_whatever_is_lost_on_the_way_there_is_one_order_and_it_is_known(house, lost):
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.faults.only_writes = True
    setattr(house.s4hana.faults, lost, 3)
    house.approve_in_coupa(requisition)
    house.run(hours=2)
    [order] = house.live_orders()
    assert house.connection.execute(
        "SELECT external_id FROM document_identifier WHERE system = 's4hana' AND kind = 'purchase_order'"
    ).fetchall() == [(order,)]


def test_two_suppliers_on_one_requisition_make_two_orders_and_both_numbers_come_back(house):
    other = house.supplier_ids["10300002"]
    requisition = house.submit(
        house.line(), house.line(supplier_id=other, description="Sheet steel", unit_price="7.50")
    )
    house.run(minutes=10)
    house.approve_in_coupa(requisition)
    house.run(minutes=30)
    assert len(house.live_orders()) == 2
    assert [d[1] for d in house.documents("purchase_order")] == ["ordered", "ordered"]
    assert house.documents("requisition")[0][1] == "ordered"
    assert house.coupa.requisition(requisition)["status"] == "ordered"


def test_two_requisitions_at_once_cannot_both_have_the_last_of_the_budget(house):
    house.coupa.set_budget(company_code="1010", cost_centre="4711", period="2026-09", amount="300.00", currency="EUR")
    first, second = house.submit(), house.submit(house.line(description="Bearing 6205"))
    house.run(minutes=10)
    assert sorted(d[1] for d in house.documents("requisition")) == ["awaiting_approval", "awaiting_budget"]
    [(code, number, _, message)] = house.cases()
    assert code == "budget_exceeded"
    assert number in {str(first), str(second)}
    assert "100" in message


def test_procurement_and_erp_disagreeing_on_the_budget_shows_both_answers(house):
    from decimal import Decimal

    house.coupa.set_budget(company_code="1010", cost_centre="4711", period="2026-09", amount="5000.00", currency="EUR")
    house.s4hana.set_budget(cost_centre="4711", year=2026, amount=Decimal("100.00"))
    house.submit()
    house.run(minutes=10)
    [(code, _, _, message)] = house.cases()
    assert code == "budget_conflict"
    assert "5,000.00 EUR left of 5,000.00 EUR for 4711" in message
    assert message.count("(read 15 Sep 2026, ") == 2


def test_an_unknown_cost_centre_names_its_neighbours_and_a_corrected_version_goes_on_by_itself(house):
    requisition = house.submit(house.line(cost_centre="4719"))
    house.run(minutes=10)
    [(code, _, _, message)] = house.cases()
    assert code == "cost_centre_unknown"
    assert "4719" in message
    assert "4711" in message
    house.coupa.edit_requisition(requisition_id=requisition, by="planner.de-south", lines=[house.line()])
    house.run(minutes=15)
    assert house.cases() == []
    assert house.documents("requisition")[0][1] == "awaiting_approval"


def test_a_change_within_ten_per_cent_updates_the_same_order(house):
    _requisition, order = house.order_one()
    coupa_order = house.order_in_coupa()
    house.coupa.revise_order(order_id=coupa_order, by="planner.de-south", changes={1: {"quantity": "11"}})
    house.run(minutes=30)
    assert house.live_orders() == [order]
    assert house.s4hana.orders[order]["_items"][0]["OrderQuantity"] in {"11", "11.000"}
    assert house.documents("change_order")[0][1] == "returned"
    assert (
        house.connection.execute("SELECT amount FROM document WHERE document_type = 'purchase_order'").fetchone()[0]
        == 220
    )


def test_a_change_beyond_ten_per_cent_waits_for_both_groups(house):
    _requisition, order = house.order_one()
    coupa_order = house.order_in_coupa()
    house.coupa.revise_order(order_id=coupa_order, by="planner.de-south", changes={1: {"quantity": "20"}})
    house.run(minutes=30)
    assert house.documents("change_order")[0][1:3] == ("validated", "pending")
    house.decide_in_servicenow("fin.1")
    house.decide_in_servicenow("proc.1")
    house.run(minutes=30)
    assert house.documents("change_order")[0][1:3] == ("returned", "approved")
    assert house.s4hana.orders[order]["_items"][0]["OrderQuantity"] in {"20", "20.000"}


def test_an_order_without_its_commitment_is_an_exception(house):
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.next_orders_without_commitment = 1
    house.approve_in_coupa(requisition)
    house.run(hours=2)
    [(code, number, _, _)] = house.cases()
    assert (code, number) == ("commitment_missing", f"{requisition}-1")


def test_an_order_somebody_has_open_is_tried_again_by_itself(house):
    _requisition, order = house.order_one()
    house.s4hana.lock_order(number=order, until=house.clock.now() + timedelta(minutes=20))
    house.coupa.revise_order(
        order_id=house.order_in_coupa(), by="planner.de-south", changes={1: {"unit-price": "21.00"}}
    )
    house.run(hours=2)
    assert house.documents("change_order")[0][1] == "returned"
    assert house.cases() == []


def test_withdrawn_while_the_order_could_not_be_sent_it_is_a_contradiction_that_ends_with_an_order_never_sent(house):
    """R088: the contradiction stands in the history; as SAP has never heard of the order, nothing is left to undo."""
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.faults.outage = True
    house.approve_in_coupa(requisition)
    house.run(minutes=10)
    assert house.documents("requisition")[0][1] == "ordering"
    house.coupa.abandon(requisition_id=requisition, by="lead.de-south")
    house.run(minutes=10)
    assert house.documents("requisition")[0][1:3] == ("cancelled", "withdrawn")
    assert ("approval_conflict", str(requisition)) in [case[:2] for case in house.cases(is_open=False)]
    house.s4hana.faults.outage = False
    house.run(hours=2)
    assert house.s4hana.orders == {}


def test_the_same_message_told_a_hundred_times_is_one_requisition(house):
    requisition = house.submit()
    for _ in range(100):
        house.connection.execute(
            "UPDATE feed_state SET cursor = '{}', due_at = now() - interval '100 years' WHERE system = 'coupa'"
        )
        house.engine.collect(house.connection)
    house.run(minutes=10)
    assert [d[0] for d in house.documents("requisition")] == [str(requisition)]
    assert house.connection.execute(
        "SELECT count(*) FROM event WHERE activity = 'requisition_received'"
    ).fetchone() == (1,)


@pytest.mark.parametrize("repair", ["corrected", "deleted"])
def test_what_stands_under_our_reference_and_differs_is_shown_and_never_ordered_again(house, support, repair):
    """D01: a buyer changes the order in SAP while its answer is lost. The difference is named field by field; once it is corrected
    the order is taken over, once it is deleted it is made anew, and there is never a second one."""
    requisition = house.submit()
    house.run(minutes=10)
    house.s4hana.faults.only_writes = True
    house.s4hana.faults.next_replies_lost = 1
    house.approve_in_coupa(requisition)
    for _ in range(20):
        house.run(seconds=20)
        if house.live_orders():
            break
    [order] = house.live_orders()
    house.s4hana.change_order_by_hand(number=order, item=10, price=Decimal("21.00"))
    house.run(hours=1)
    assert [case[0] for case in house.cases()] == ["effect_conflict"]
    [[facts]] = house.connection.execute("SELECT facts FROM exception_case").fetchall()
    assert facts == {"found": order, "amount": "200.00, SAP 210.00"}
    assert house.live_orders() == [order]
    if repair == "corrected":
        house.s4hana.change_order_by_hand(number=order, item=10, price=Decimal("20.00"))
    else:
        house.s4hana.delete_order(number=order, by="BUYER1")
    house.reprocess(support)
    house.run(minutes=30)
    assert house.redrive_results()[-1][0] == "verified"
    [live] = house.live_orders()
    assert (live == order) == (repair == "corrected")
    assert house.cases() == []
