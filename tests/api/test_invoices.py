"""getInvoiceStatus: the two statuses apart, what blocks, and whose invoice it is."""

from decimal import Decimal

from tests.house import SUPPLIER_2


def status(client, headers, number):
    answered = client.get(f"/v1/invoices/{number}/status", headers=headers)
    assert answered.status_code == 200, answered.text
    return answered.json()


def test_an_invoice_is_found_by_every_number_any_system_gave_it_until_it_is_paid(house, client, bearer):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    invoice = house.invoice(order, reference="RE-4711")
    house.run(hours=6)
    headers = bearer("DE-SOUTH")
    found = status(client, headers, invoice)
    assert (found["state"], found["approval_status"], found["posting_status"]) == (
        "payment_ready",
        "approved",
        "posted",
    )
    assert found["payment"] == {"ready": True, "reasons": [], "due_on": found["payment"]["due_on"], "cleared_on": None}
    assert (found["amount"], found["currency"]) == ("238.00", "EUR"), "money is text with its currency"
    assert found["block_reasons"] == []
    assert found["schema_version"] == "1.0"
    names = house.connection.execute(
        "SELECT external_id FROM document_identifier WHERE document_id = %s", [found["document_id"]]
    ).fetchall()
    posted = house.connection.execute(
        "SELECT external_id FROM document_identifier WHERE kind = 'accounting_document'"
    ).fetchall()
    assert posted, "the ledger has given it a number too"
    others = [name for (name,) in [*names, *posted]] + ["re-4711", found["document_id"]]
    others += [name.rpartition("/")[0] for (name,) in names if name.endswith("/2026")]
    for other in others:
        assert status(client, headers, other)["document_id"] == found["document_id"], other
    house.run(days=31)
    on = house.clock.now().date()
    house.s4hana.run_payment(company_code="1010", on=on)
    house.run(hours=3)
    paid = status(client, headers, posted[0][0])
    assert (paid["state"], paid["posting_status"], paid["is_final"]) == ("paid", "cleared", True)
    assert paid["payment"]["cleared_on"] == on.isoformat()
    assert (paid["payment"]["ready"], paid["payment"]["reasons"]) == (False, [])


def test_a_blocked_match_says_why_in_business_words_with_its_code_and_what_to_do(house, client, bearer):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    invoice = house.invoice(order, price="26.00")
    house.run(hours=1)
    found = status(client, bearer("DE-SOUTH"), invoice)
    assert (found["approval_status"], found["posting_status"]) == ("pending", "not_submitted")
    [reason] = found["block_reasons"]
    assert (reason["code"], reason["category"]) == ("price_variance", "policy")
    assert reason["reason"] == "The price is not the ordered price"
    assert "26" in reason["detail"], "our own rule tells its figures"
    assert "Review" in reason["next_step"]
    assert not found["payment"]["ready"]
    assert found["payment"]["reasons"] == ["The price is not the ordered price"]


def test_a_missing_receipt_is_told_before_it_is_an_exception(house, client, bearer):
    _, order = house.order_one()
    invoice = house.invoice(order)
    house.run(hours=1)
    assert house.cases() == []
    found = status(client, bearer(), invoice)
    assert [reason["code"] for reason in found["block_reasons"]] == ["receipt_missing"]


def test_what_a_system_said_is_not_told_in_its_words(house, client, bearer):
    _, order = house.order_one()
    house.receive(order)
    house.run(hours=1)
    house.s4hana.close_period(company_code="1010", year=2026, month=9)
    invoice = house.invoice(order)
    house.run(hours=2)
    [reason] = status(client, bearer(), invoice)["block_reasons"]
    assert reason["code"] == "period_closed"
    assert reason["detail"] == ""
    assert reason["reason"] == "The posting period is closed"


def test_a_number_two_invoices_have_is_refused_with_both_to_choose_from(house, client, bearer):
    _, order = house.order_one()
    first = house.invoice(order, reference="RE-1")
    second = house.invoice(order, reference="RE-1", supplier=SUPPLIER_2, name="Suedstahl Lager 12 GmbH")
    house.run(minutes=10)
    answered = client.get("/v1/invoices/RE-1/status", headers=bearer())
    assert answered.status_code == 409
    problem = answered.json()
    assert [candidate["number"] for candidate in problem["candidates"]] == ["RE-1", "RE-1"]
    assert "document_id" in problem["next_step"]
    answers = [status(client, bearer(), candidate["document_id"]) for candidate in problem["candidates"]]
    assert sorted(answer["document_id"] for answer in answers) == sorted(
        candidate["document_id"] for candidate in problem["candidates"]
    )
    assert {status(client, bearer(), invoice)["document_id"] for invoice in (first, second)} == {
        answer["document_id"] for answer in answers
    }


def test_an_invoice_of_another_unit_is_not_there(house, client, bearer):
    _, order = house.order_one()
    invoice = house.invoice(order)
    house.run(minutes=10)
    assert status(client, bearer("DE-SOUTH"), invoice)["business_unit"] == "DE-SOUTH"
    hidden = client.get(f"/v1/invoices/{invoice}/status", headers=bearer("DE-NORTH"))
    unknown = client.get("/v1/invoices/no-such-number/status", headers=bearer("DE-NORTH"))
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json()["type"] == unknown.json()["type"], "nobody learns that it exists"


def test_an_order_number_is_no_invoice(house, client, bearer):
    _, order = house.order_one()
    assert client.get(f"/v1/invoices/{order}/status", headers=bearer()).status_code == 404


def test_wildcards_and_control_characters_in_a_number_find_nothing(house, client, bearer):
    _, order = house.order_one()
    house.invoice(order)
    house.run(minutes=10)
    for number in ("%25", "_", "%00", "a" * 300, "%25%25/x", "'; SELECT 1 --"):
        assert client.get(f"/v1/invoices/{number}/status", headers=bearer()).status_code == 404, number


def test_a_document_is_given_whole_to_roles_that_may_open_it(house, client, bearer):
    from sync_engine.control.roles import Role

    requisition, order = house.order_one()
    found = client.get(f"/v1/documents/purchase_order/{order}", headers=bearer("DE-SOUTH")).json()
    assert found["document"]["erp_number"] == order
    assert Decimal(found["document"]["amount"]) == 200
    assert isinstance(found["document"]["lines"][0]["quantity"], str)
    assert (found["approval_status"], found["posting_status"]) == ("approved", "accepted")
    whole = client.get(f"/v1/documents/requisition/{requisition}", headers=bearer("DE-SOUTH"))
    assert whole.json()["document"]["requester"]["user"] == "planner.de-south"
    refused = client.get(
        f"/v1/documents/requisition/{requisition}", headers=bearer("DE-SOUTH", role=Role.FINANCE_LEADER)
    )
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:finsync:problem:forbidden")
    assert client.get(f"/v1/documents/requisition/{requisition}", headers=bearer("US-EAST")).status_code == 404
    unknown = client.get("/v1/documents/contract/4711", headers=bearer())
    assert (unknown.status_code, "purchase_order" in unknown.json()["next_step"]) == (404, True)
