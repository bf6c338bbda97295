"""Invoices in SAP over the wire against its stand-in: posting, payment readiness, cancellation, every lost answer."""

from datetime import UTC, date, datetime, timedelta

import pytest

from sync_engine.model.errors import AnswerLost, BusinessRejection, MappingError
from sync_engine.model.ports import Identifier
from tests.collectors.sap_world import FIRST, PAYMENT_TERMS, START, SUPPLIER, World, invoice, line


@pytest.fixture
def world():
    return World()


# Invoices


def post(world, document=None, **how):
    return world.run("create_supplier_invoice", document or invoice(), purpose="post_invoice", **how)


def find(world, document=None):
    return world.look_up("create_supplier_invoice", document or invoice(), purpose="post_invoice")


BILLED = "5105600101/2026"


def test_an_invoice_as_ordered_and_received_is_posted(world):
    world.ordered()
    world.receive()
    answer = post(world)
    document = f"1010/{world.sap.invoices[BILLED]['_document']}/2026"
    assert answer.facts == {"erp_invoice_number": BILLED, "accounting_document": document, "payment_block": ""}
    assert answer.identifiers == (Identifier("s4hana", "supplier_invoice", BILLED),)
    assert (answer.event, answer.at) == (None, START)
    kept = world.sap.invoices[BILLED]
    assert (kept["SupplierInvoiceIDByInvcgParty"], kept["PaymentReference"]) == ("RE-2026/17", "RE-2026/17")
    assert (kept["_due"], kept["PostingDate"], kept["DocumentDate"]) == ("2026-03-29", "2026-03-02", "2026-02-27")
    assert kept["_taxes"][0]["TaxAmount"] == "76.00"


@pytest.mark.parametrize("terms", sorted(set(PAYMENT_TERMS.values())))
@pytest.mark.parametrize("days", [0, 10, 14, 33, 61])
def test_an_invoice_is_due_on_the_day_it_names_whatever_its_terms_are(world, terms, days):
    world.ordered()
    base = date(2026, 2, 27)
    post(world, invoice(payment_term=terms, baseline_on=base, due_on=base + timedelta(days=days)))
    kept = world.sap.invoices[BILLED]
    assert (kept["PaymentTerms"], kept["_due"]) == (terms, (base + timedelta(days=days)).isoformat())


def test_an_invoice_with_a_variance_is_posted_and_blocked(world):
    world.ordered()
    answer = post(world)
    assert (answer.event, answer.facts["payment_block"]) == ("invoice_blocked", "R")


def test_an_invoice_is_posted_on_the_day_it_is_at_the_business_unit(world):
    world.ordered()
    world.sap.close_period(company_code="1010", year=2026, month=3)
    world.clock.now = datetime(2026, 3, 31, 22, 30, tzinfo=UTC)
    post(world)
    assert world.sap.invoices[BILLED]["PostingDate"] == "2026-04-01"


def test_what_was_matched_says_which_item_is_billed(world):
    world.ordered(lines=[line(1), line(2)])
    unnamed = invoice([line()], order_numbers=[])
    post(world, unnamed, facts={"order_lines": [{"line": 1, "order_number": FIRST, "item": 2}]})
    assert world.sap.invoices[BILLED]["_items"][0]["PurchaseOrderItem"] == "2"


def test_a_line_that_names_no_order_line_is_not_sent(world):
    world.ordered()
    with pytest.raises(MappingError, match="does not say which order line") as caught:
        post(world, invoice([line()]))
    assert caught.value.code == "order_missing"


def test_several_tax_codes_leave_the_tax_to_sap(world):
    world.ordered(lines=[line(1), line(2)])
    lines = [line(1, order_number=FIRST, order_line=1), line(2, order_number=FIRST, order_line=2, tax_code="V2")]
    post(world, invoice(lines, tax="104.00"))
    kept = world.sap.invoices[BILLED]
    assert (kept["TaxIsCalculatedAutomatically"], kept["_taxes"]) == (True, [])


def test_a_long_invoice_number_is_known_by_its_end(world):
    world.ordered()
    long = invoice(supplier_invoice_number="Rechnung-2026-000123456")
    post(world, long)
    assert world.sap.invoices[BILLED]["SupplierInvoiceIDByInvcgParty"] == "G-2026-000123456"
    assert world.sap.invoices[BILLED]["PaymentReference"] == "RECHNUNG-2026-000123456"
    assert find(world, long).facts["erp_invoice_number"] == BILLED


@pytest.mark.parametrize(
    ("spoil", "more", "code"),
    [
        (lambda world: world.sap.close_period(company_code="1010", year=2026, month=3), {}, "period_closed"),
        (lambda world: world.sap.block_supplier(number=SUPPLIER, kind="posting"), {}, "supplier_blocked"),
        (lambda world: None, {"supplier": "999"}, "supplier_unknown"),
        (lambda world: None, {"currency": "USD"}, "posting_refused"),
        (lambda world: world.sap.delete_order(number=FIRST, by="buyer.1"), {}, "posting_refused"),
    ],
    ids=["period", "blocked", "unknown supplier", "other currency", "deleted order"],
)
def test_a_refused_invoice_says_why(world, spoil, more, code):
    world.ordered()
    spoil(world)
    with pytest.raises(BusinessRejection, match="SAP refuses invoice ") as caught:
        post(world, invoice(**more))
    assert caught.value.code == code
    assert world.sap.invoices == {}


@pytest.mark.parametrize(
    ("spoil", "about"),
    [
        (lambda sap: sap.block_supplier(number=SUPPLIER, kind="posting"), {"supplier": SUPPLIER}),
        (lambda sap: sap.close_period(company_code="1010", year=2026, month=3), {"company_code": "1010"}),
    ],
    ids=["supplier", "period"],
)  # fmt: skip
def test_a_refused_invoice_names_the_master_data_behind_it(world, spoil, about):
    world.ordered()
    spoil(world.sap)
    with pytest.raises(BusinessRejection) as caught:
        post(world, invoice())
    assert about.items() <= caught.value.facts.items()


def test_saps_own_duplicate_check_is_a_duplicate(world):
    world.add_supplier(check_duplicates=True)
    world.ordered()
    post(world, invoice([line(1, "5", order_number=FIRST, order_line=1)]), key="one")
    with pytest.raises(BusinessRejection, match="already entered") as caught:
        post(world, invoice([line(1, "4", order_number=FIRST, order_line=1)]), key="two")
    assert caught.value.code == "duplicate_invoice"


def test_a_lost_reply_to_a_posting_is_adopted_and_one_invoice_stands(world):
    world.ordered()
    world.sap.faults.only_writes = True
    world.sap.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        post(world)
    found = find(world)
    assert found.event == "invoice_blocked"
    assert found.facts["erp_invoice_number"] == BILLED
    assert found.facts["accounting_document"]
    assert [len(numbers) for numbers in world.sap.live_invoices_by_reference().values()] == [1]


def test_posting_and_finding_answer_alike(world):
    world.ordered()
    assert find(world) is None
    assert post(world) == find(world)


def test_a_posting_stands_even_when_its_accounting_document_cannot_be_read(world):
    world.ordered()
    world.sap.before["POST"] = lambda: world.sap.before.update(GET=lambda: setattr(world.sap.faults, "next_errors", 1))
    answer = post(world)
    assert (answer.facts["erp_invoice_number"], answer.facts["accounting_document"]) == (BILLED, "")


@pytest.mark.parametrize(
    ("marks", "field"),
    [
        ({"InvoiceGrossAmount": "470.00"}, "gross_amount"),
        ({"SupplierInvoiceStatus": "A"}, "status"),
        ({"DocumentCurrency": "USD"}, "currency"),
    ],
)
def test_another_invoice_under_the_suppliers_number_is_a_conflict(world, marks, field):
    world.ordered()
    post(world)
    world.sap.invoices[BILLED].update(marks)
    with pytest.raises(BusinessRejection, match=f"differs in {field}") as caught:
        find(world)
    assert caught.value.code == "effect_conflict"


def test_a_cancelled_invoice_has_cleared_the_place(world):
    world.ordered()
    post(world)
    for _ in range(2):
        answer = world.run("cancel_supplier_invoice", invoice(), supplier_invoice=BILLED)
        assert answer.facts == {"erp_invoice_number": BILLED, "reversed_by": "5105600102/2026"}
    assert find(world) is None
    assert world.sap.live_invoices_by_reference() == {}
    assert post(world).facts["erp_invoice_number"] == "5105600103/2026"


def test_a_cancellation_whose_answer_is_lost_is_repeated_with_one_effect(world):
    world.ordered()
    post(world)
    world.sap.faults.only_writes = True
    world.sap.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.run("cancel_supplier_invoice", invoice(), supplier_invoice=BILLED)
    world.run("cancel_supplier_invoice", invoice(), supplier_invoice=BILLED)
    assert len(world.sap.invoices) == 2


def test_a_paid_invoice_cannot_be_cancelled(world):
    world.ordered()
    world.receive()
    post(world)
    world.sap.run_payment(company_code="1010", on=date(2026, 3, 29))
    with pytest.raises(BusinessRejection, match="it is paid") as caught:
        world.run("cancel_supplier_invoice", invoice(), supplier_invoice=BILLED)
    assert caught.value.code == "posting_refused"


def readiness(world):
    return world.run("read_payment_readiness", invoice(), facts={"erp_invoice_number": BILLED})


def test_an_invoice_is_ready_when_it_is_posted_and_free(world):
    world.ordered()
    world.receive()
    post(world)
    answer = readiness(world)
    assert (answer.facts, answer.wait_s) == ({"ready": True}, None)


def test_a_blocked_invoice_waits_for_its_release_and_says_so(world):
    world.ordered()
    post(world)
    answer = readiness(world)
    assert (answer.wait_s, answer.facts["ready"]) == (3600, False)
    assert answer.waiting_for == "release of payment block R (invoice verification: price or quantity is off)"
    world.sap.release_invoice(number="5105600101", year="2026", by="accountant.1")
    assert readiness(world).facts == {"ready": True}


@pytest.mark.parametrize(
    ("marks", "waiting_for"),
    [
        ({"SupplierInvoiceStatus": "A"}, "posting (it is parked) and release of payment block R"),
        ({"PaymentBlockingReason": "Z"}, "release of payment block Z (set by the company)"),
    ],
)
def test_readiness_names_every_reason(world, marks, waiting_for):
    world.ordered()
    post(world)
    world.sap.invoices[BILLED].update(marks)
    assert readiness(world).waiting_for.startswith(waiting_for)


@pytest.mark.parametrize(
    ("marks", "kind", "code"),
    [
        ({"SupplierInvoiceStatus": "X"}, MappingError, "status_unmapped"),
        ({"IsReversed": True, "ReverseDocument": "5105600199"}, BusinessRejection, "posting_refused"),
    ],
)
def test_an_invoice_that_will_not_be_paid_is_an_exception(world, marks, kind, code):
    world.ordered()
    post(world)
    world.sap.invoices[BILLED].update(marks)
    with pytest.raises(kind) as caught:
        readiness(world)
    assert caught.value.code == code


def test_an_invoice_whose_number_is_unknown_cannot_be_asked_about(world):
    with pytest.raises(MappingError, match="is not known here"):
        world.run("read_payment_readiness", invoice())
    with pytest.raises(BusinessRejection, match="does not exist in SAP"):
        world.run("read_payment_readiness", invoice(), supplier_invoice="5199999999/2026")
