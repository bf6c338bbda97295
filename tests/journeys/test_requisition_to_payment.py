"""The reference journey over four systems on their wire formats: from a requester's wish to a paid invoice."""


def test_a_requisition_becomes_an_order_a_receipt_an_invoice_and_a_payment(house):
    requisition = house.submit()
    house.run(minutes=10)
    assert house.documents("requisition") == [(str(requisition), "awaiting_approval", "pending", "not_submitted")]
    house.approve_in_coupa(requisition)
    house.run(minutes=30)
    [order] = house.live_orders()
    assert house.documents("requisition") == [(str(requisition), "ordered", "approved", "accepted")]
    assert house.documents("purchase_order") == [(f"{requisition}-1", "ordered", "approved", "accepted")]
    assert house.coupa.requisition(requisition)["status"] == "ordered"

    house.run(days=3)
    house.receive(order)
    house.run(hours=2)
    assert house.documents("purchase_order")[0][1] == "received"

    house.invoice(order)
    house.run(hours=3)
    assert house.documents("invoice") == [("RE-4711", "payment_ready", "approved", "posted")]
    house.run(days=31)
    house.s4hana.run_payment(company_code="1010", on=house.clock.now().date())
    house.run(hours=3)
    assert house.documents("invoice") == [("RE-4711", "paid", "approved", "cleared")]
    assert house.documents("purchase_order")[0][1] == "closed"
    assert house.cases() == []
    assert house.cases(is_open=False) == []
