"""Change orders (R040): a buyer revises or cancels an order in procurement, and the ERP and our books follow."""

from decimal import Decimal

from sync_engine.engine import store
from sync_engine.insight.reconcile import reconcile


def ordered(house):
    """An order at large; answers its number in the ERP and its id in procurement."""
    _, number = house.order_one()
    house.run(minutes=30)
    [row] = [row for row in house.coupa._orders.rows.values() if row["po-number"] == number]
    return number, row["id"]


def sessions(house):
    return {name: lane.session for name, lane in house.engine.lanes.items()}


def amounts(house, number):
    """What the order is worth in the ERP's books and in ours."""
    there = {
        one.external_id: one.amount
        for one in house.engine.setup.systems["s4hana"].holdings["purchase_order"](sessions(house)["s4hana"])
    }
    ours = {
        row["external_id"]: row["amount"] for row in store.rows(house.connection, "reconcile.orders", system="s4hana")
    }
    return there[number], ours[number]


def differences(house):
    """What the comparison of all books finds."""
    return [one.sentence for one in reconcile(house.connection, house.engine.setup, sessions(house)).differences]


def test_a_small_change_is_covered_by_the_approval_and_the_erp_and_our_books_follow(house):
    number, order_id = ordered(house)
    house.coupa.revise_order(order_id=order_id, by="head.de-south", changes={1: {"unit-price": "21.00"}})
    house.run(hours=2)
    assert amounts(house, number) == (Decimal("210.00"), Decimal("210.00"))
    [change] = house.documents("change_order")
    assert change[1:] == ("returned", "approved", "accepted")
    assert differences(house) == []


def test_an_order_that_is_changed_when_half_of_it_has_come_is_still_half_received(house):
    """Found by the journeys of a schedule (P3): it stood as ordered, as if nothing had come, until the rest came."""
    number, order_id = ordered(house)
    house.receive(number, "5")
    house.run(hours=1)
    assert house.documents("purchase_order")[0][1] == "partially_received"
    house.coupa.revise_order(order_id=order_id, by="head.de-south", changes={1: {"unit-price": "21.00"}})
    house.run(hours=2)
    assert amounts(house, number) == (Decimal("210.00"), Decimal("210.00"))
    assert house.documents("purchase_order")[0][1] == "partially_received"


def test_a_change_beyond_the_approval_waits_for_both_groups(house):
    number, order_id = ordered(house)
    house.coupa.revise_order(order_id=order_id, by="head.de-south", changes={1: {"unit-price": "30.00"}})
    house.run(hours=2)
    assert amounts(house, number)[0] == Decimal("200.00")
    assert house.documents("change_order")[0][1] == "validated"
    for user in ("fin.1", "proc.1"):
        assert house.decide_in_servicenow(user) == 1
    house.run(hours=2)
    assert amounts(house, number) == (Decimal("300.00"), Decimal("300.00"))


def test_a_change_that_approvers_refuse_leaves_the_order_as_it_was(house):
    number, order_id = ordered(house)
    house.coupa.revise_order(order_id=order_id, by="head.de-south", changes={1: {"unit-price": "30.00"}})
    house.run(hours=2)
    house.decide_in_servicenow("fin.1", "rejected", "Too dear.")
    house.run(hours=2)
    assert amounts(house, number) == (Decimal("200.00"), Decimal("200.00"))
    assert house.documents("change_order")[0][1:3] == ("rejected", "rejected")


def test_a_cancelled_order_is_cancelled_everywhere(house):
    _number, order_id = ordered(house)
    house.coupa.cancel_order(order_id=order_id, by="head.de-south")
    house.run(hours=2)
    assert house.live_orders() == []
    assert house.documents("purchase_order")[0][1] == "cancelled"
    assert differences(house) == []


def test_a_change_approved_after_everything_was_billed_opens_the_order_again_for_the_rest(house):
    """The approval took longer than delivery and invoice: the ERP takes the change, so our books have to follow."""
    number, order_id = ordered(house)
    house.coupa.revise_order(order_id=order_id, by="head.de-south", changes={1: {"quantity": "15"}})
    house.run(hours=2)
    house.receive(number)
    house.run(hours=2)
    house.invoice(number)
    house.run(hours=3)
    assert house.documents("purchase_order")[0][1] == "closed"
    for user in ("fin.1", "proc.1"):
        house.decide_in_servicenow(user)
    house.run(hours=2)
    assert amounts(house, number) == (Decimal("300.00"), Decimal("300.00"))
    assert house.documents("purchase_order")[0][1] == "partially_received"
    assert differences(house) == []

    house.receive(number, quantity="5")
    house.run(hours=2)
    assert house.documents("purchase_order")[0][1] == "received"
    house.invoice(number, reference="RE-4712", quantity="5")
    house.run(hours=3)
    assert house.documents("purchase_order")[0][1] == "closed"
    assert sorted(invoice[1] for invoice in house.documents("invoice")) == ["payment_ready", "payment_ready"]


def test_a_price_changed_after_everything_was_billed_is_in_our_books_too(house):
    number, order_id = ordered(house)
    house.coupa.revise_order(order_id=order_id, by="head.de-south", changes={1: {"unit-price": "23.00"}})
    house.run(hours=2)
    house.receive(number)
    house.invoice(number)
    house.run(hours=3)
    assert house.documents("purchase_order")[0][1] == "closed"
    for user in ("fin.1", "proc.1"):
        house.decide_in_servicenow(user)
    house.run(hours=2)
    assert amounts(house, number) == (Decimal("230.00"), Decimal("230.00"))
    assert house.documents("purchase_order")[0][1] == "closed"
    assert differences(house) == []
