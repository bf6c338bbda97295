"""Three ledgers agree to the minor unit, or the difference is listed line by line (P3)."""

from sync_engine.insight.reconcile import reconcile


def compared(house):
    sessions = {name: lane.session for name, lane in house.engine.lanes.items()}
    return reconcile(house.connection, house.engine.setup, sessions)


def test_after_a_whole_journey_the_books_agree(house):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    house.invoice(order)
    house.run(hours=3)
    result = compared(house)
    assert [one.sentence for one in result.differences] == []
    assert result.purchase_orders_in_erp == 1
    assert (result.events_lost, result.parked_without_reason, result.requisitions_with_two_live_orders) == (0, 0, 0)
    assert result.totals["s4hana purchase orders"] == {"EUR": "200.00"}


def test_a_price_changed_by_hand_in_the_erp_is_found(house):
    from decimal import Decimal

    _, order = house.order_one()
    house.s4hana.change_order_by_hand(number=order, item=10, price=Decimal("21.00"))
    [difference] = compared(house).differences
    assert "200" in difference.sentence
    assert "210" in difference.sentence


def test_an_order_deleted_in_the_erp_is_found(house):
    _, order = house.order_one()
    house.s4hana.delete_order(number=order, by="BUYER1")
    assert [one.kind for one in compared(house).differences] == ["purchase_order"]


def test_news_we_were_never_told_is_counted_as_lost(house):
    house.order_one()
    house.clock.advance(60)
    unheard = house.submit(title="never read")
    result = compared(house)
    assert result.events_lost == 1
    assert str(unheard) in result.differences[0].sentence


def test_a_second_live_order_under_our_reference_is_found(house):
    _, order = house.order_one()
    row = dict(house.s4hana.orders[order])
    table = next(table for table in house.s4hana.ledger.tables() if order in table.rows)
    table.put("4599999999", {**row, "PurchaseOrder": "4599999999"}, house.clock.now())
    result = compared(house)
    assert result.requisitions_with_two_live_orders == 1
    assert result.purchase_orders_in_erp == 2
