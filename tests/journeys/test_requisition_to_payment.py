"""The reference journey over four systems on their wire formats: from a requester's wish to a paid invoice."""

from datetime import timedelta


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


def test_a_new_suppliers_first_requisition_goes_on_as_soon_as_the_supplier_is_ready(house):
    """Both are entered together and SAP takes its time with the supplier: its readiness, not the next look a minute later,
    sets the requisition going (R047, R107)."""
    house.run(minutes=10)
    details = {"name": "Neuwerk Dichtungen GmbH", "tax_id": "DE811907980", "country": "DE"}
    house.s4hana.add_supplier(
        number="10300077",
        company_codes=["1010"],
        purchasing_organizations=["1010"],
        payment_terms="0030",
        **details,
    )
    supplier = house.coupa.register_supplier(number="10300077", payment_term="NET 30", **details)
    house.submit(house.line(supplier_id=supplier))
    busy_until = house.clock.now() + timedelta(seconds=250)
    house.connection.execute("UPDATE system_state SET paused_until = %s WHERE system = 's4hana'", [busy_until])
    house.run(minutes=10)
    [(ready_at,)] = house.connection.execute(
        "SELECT recorded_at FROM event JOIN document USING (document_id) WHERE activity = 'supplier_confirmed' AND supplier_name = %s",
        [details["name"]],
    )
    [(received_at, validated_at)] = house.connection.execute(
        "SELECT min(recorded_at), max(recorded_at) FROM event WHERE document_type = 'requisition' AND activity IN ('requisition_received', 'validated')"
    )
    assert received_at < busy_until - timedelta(seconds=100), "it has waited"
    assert busy_until <= ready_at <= validated_at <= ready_at + timedelta(seconds=2)
    assert house.cases() == []
