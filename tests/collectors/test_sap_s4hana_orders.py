"""Orders in SAP over the wire against its stand-in: new ones, their commitments, changes, and every lost answer."""

from datetime import date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.odata import Outcome, Told
from collectors.sap_s4hana_messages import ABOUT, refusal
from sync_engine.model.errors import AnswerLost, BusinessRejection, MappingError, TransientError
from sync_engine.model.money import split
from sync_engine.model.ports import Identifier
from tests.collectors.sap_world import (
    CENTRE,
    FIRST,
    OTHER_CENTRE,
    START,
    SUPPLIER,
    World,
    change_order,
    distribution,
    line,
    order,
)


@pytest.fixture
def world():
    return World()


# New orders


def test_an_order_arrives_with_everything_it_says(world):
    lines = [line(1), line(2, "2.5", "100.00", receipt_required=False, need_by_on=date(2026, 5, 4))]
    answer = world.ordered(lines=lines)
    assert answer.identifiers == (Identifier("s4hana", "purchase_order", FIRST),)
    assert answer.facts == {
        "erp_order_number": FIRST,
        "accepted_at": "2026-03-02T09:00:00+00:00",
        "posting_status": "accepted",
    }
    assert answer.at == START
    assert answer.document.erp_number == FIRST
    kept = world.sap.orders[FIRST]
    assert kept["CorrespncExternalReference"] == world.ask(order()).reference(12)
    assert (kept["PaymentTerms"], kept["PurchaseOrderDate"]) == ("0030", "2026-03-02")
    first, second = kept["_items"]
    assert (first["PurchaseOrderItem"], first["OrderQuantity"], first["NetPriceAmount"]) == ("1", "10", "40")
    assert first["PurchaseOrderItemText"] == "Pump maintenance, yearly inspection of t"
    assert (second["OrderQuantity"], second["GoodsReceiptIsExpected"]) == ("2.5", False)
    assert [item["_schedule"][0]["ScheduleLineDeliveryDate"] for item in (first, second)] == [
        "2026-04-01",
        "2026-05-04",
    ]
    assert world.sap.commitment_of(FIRST) == Decimal("650.00")


def test_options_of_the_instance_are_used(world):
    world.session = world.connect(purchase_order_type="ZNB", material_group="L001")
    world.ordered()
    kept = world.sap.orders[FIRST]
    assert (kept["PurchaseOrderType"], kept["_items"][0]["MaterialGroup"]) == ("ZNB", "L001")


def test_a_price_below_a_cent_is_ordered_per_hundred_units(world):
    world.ordered(lines=[line(quantity="1000", unit_price="0.0125")])
    item = world.sap.orders[FIRST]["_items"][0]
    assert (item["NetPriceAmount"], item["NetPriceQuantity"]) == ("1.25", "100")
    assert world.sap.commitment_of(FIRST) == Decimal("12.50")


@pytest.mark.parametrize(
    "spoiled",
    [
        line(quantity="1.2345", unit_price="10.00", amount="12.35"),
        line(quantity="1", unit_price="0.0000001", amount="0.00", parts=[]),
    ],
    ids=["quantity", "price"],
)
def test_what_sap_would_round_is_not_sent(world, spoiled):
    with pytest.raises(MappingError, match="nothing is rounded"):
        world.ordered(lines=[spoiled])
    assert world.sap.orders == {}


def parts_of(number=FIRST, world=None):
    item = world.sap.orders[number]["_items"][0]
    return item["MultipleAcctAssgmtDistribution"], [account["PurgDocNetAmount"] for account in item["_accounts"]]


@pytest.mark.parametrize(
    ("quantity", "price", "amounts", "indicator"),
    [
        ("10", "40.00", ["100.00", "300.00"], "2"),
        ("3", "40.00", ["40.00", "80.00"], "1"),
        ("1", "1000.00", ["333.34", "333.33", "333.33"], "3"),
    ],
    ids=["by percent", "by quantity", "by amount"],
)
def test_a_split_is_sent_by_the_first_measure_that_is_exact(world, quantity, price, amounts, indicator):
    parts = [
        distribution(amount, centre) for amount, centre in zip(amounts, [CENTRE, OTHER_CENTRE, CENTRE], strict=False)
    ]
    world.ordered(lines=[line(quantity=quantity, unit_price=price, parts=parts)])
    assert parts_of(world=world) == (indicator, amounts)


@settings(max_examples=40, deadline=None)
@given(
    quantity=st.integers(1, 500),
    cents=st.integers(1, 100_000),
    weights=st.lists(st.integers(0, 50), min_size=1, max_size=5).filter(any),
)
def test_every_split_has_the_same_amounts_in_sap(quantity, cents, weights):
    world = World()
    price = Decimal(cents) / 100
    amounts = split(quantity * price, [Decimal(weight) for weight in weights], "EUR")
    parts = [distribution(str(amount)) for amount in amounts]
    world.ordered(lines=[line(quantity=str(quantity), unit_price=str(price), parts=parts)])
    accounts = world.sap.orders[FIRST]["_items"][0]["_accounts"]
    assert [Decimal(account["PurgDocNetAmount"]) for account in accounts] == [amount for amount in amounts if amount]


@pytest.mark.parametrize(
    ("spoil", "more", "code"),
    [
        (lambda sap: sap.close_period(company_code="1010", year=2026, month=3), {}, "period_closed"),
        (lambda sap: sap.block_cost_centre(code=CENTRE), {}, "cost_centre_blocked"),
        (lambda sap: sap.set_budget(cost_centre=CENTRE, year=2026, amount=Decimal(1)), {}, "budget_exceeded"),
        (lambda sap: None, {"purchasing_organization": "1710"}, "supplier_unknown"),
        (lambda sap: None, {"supplier": "999"}, "supplier_unknown"),
        (lambda sap: None, {"currency": "USD"}, "currency_unknown"),
        (lambda sap: None, {"company_code": "9999"}, "order_refused"),
        (lambda sap: sap.block_supplier(number=SUPPLIER, kind="purchasing"), {}, "supplier_blocked"),
        (lambda sap: sap.block_supplier(number=SUPPLIER, kind="deletion"), {}, "supplier_blocked"),
    ],
    ids=["period", "cost centre", "budget", "organization", "supplier", "currency", "company", "blocked", "deleted"],
)
def test_a_refused_order_says_why_in_saps_words_and_our_kind(world, spoil, more, code):
    spoil(world.sap)
    with pytest.raises(BusinessRejection, match="SAP refuses order PO-1: ") as caught:
        world.ordered(**more)
    assert (caught.value.code, caught.value.system) == (code, "s4hana")
    assert caught.value.facts["sap_code"]
    assert world.sap.orders == {}


def test_a_refusal_names_the_master_data_that_has_to_be_repaired(world):
    """D05: orders that wait for different cost centres, suppliers or companies were one cause, repaired once."""
    parts = [distribution("2500.00", CENTRE), distribution("2500.00", OTHER_CENTRE)]
    world.sap.block_cost_centre(code=OTHER_CENTRE)
    with pytest.raises(BusinessRejection) as caught:
        world.ordered(lines=[line(quantity="1", unit_price="5000.00", parts=parts)])
    assert caught.value.facts["cost_centre"] == OTHER_CENTRE
    with pytest.raises(BusinessRejection) as caught:
        world.ordered(supplier="999")
    assert (caught.value.code, caught.value.facts["supplier"]) == ("supplier_unknown", "999")
    world.sap.close_period(company_code="1010", year=2026, month=3)
    with pytest.raises(BusinessRejection) as caught:
        world.ordered()
    assert (caught.value.code, caught.value.facts["company_code"]) == ("period_closed", "1010")


@pytest.mark.parametrize(
    ("said", "centres", "named"),
    [
        ("Kostenstelle A000/4111 gesperrt am 23.11.2026", ["4111", "4702"], {"cost_centre": "4111"}),
        ("Cost center A000/0000004111 blocked", ["4111", "411"], {"cost_centre": "4111"}),
        ("Cost centers 4111 and 4702 blocked", ["4111", "4702"], {}),
        ("Cost center blocked", ["4111", "4111"], {"cost_centre": "4111"}),
        ("Cost center blocked", ["4111", "4702"], {}),
        ("Cost center blocked", [], {}),
    ],
)
def test_which_master_data_is_meant_is_never_guessed(said, centres, named):
    refused = Outcome(400, {}, (Told("KI/260", said, severity="error"),))
    error = refusal(refused, doing="it", default="order_refused", concerns={"cost_centre": centres})
    assert {name: value for name, value in error.facts.items() if name in ABOUT.values()} == named


def test_the_reason_behind_a_refusal_is_a_courtesy_that_may_fail(world):
    world.sap.block_supplier(number=SUPPLIER, kind="deletion")
    world.session.get("/sap/opu/odata/sap/API_PURCHASEORDER_PROCESS_SRV/")
    world.sap.before["POST"] = lambda: world.sap.before.update(GET=lambda: setattr(world.sap.faults, "next_errors", 1))
    with pytest.raises(BusinessRejection) as caught:
        world.ordered()
    assert caught.value.code == "order_refused"


def test_a_lost_reply_is_adopted_and_one_order_stands(world):
    world.sap.faults.only_writes = True
    world.sap.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.ordered()
    found = world.look_up("create_purchase_order", order())
    assert found == world.look_up("create_purchase_order", order())
    assert found.identifiers == (Identifier("s4hana", "purchase_order", FIRST),)
    assert found.facts["erp_order_number"] == FIRST
    assert found.document.erp_number == FIRST
    assert [len(numbers) for numbers in world.sap.live_orders_by_reference().values()] == [1]


def test_run_and_look_up_answer_alike(world):
    assert world.ordered() == world.look_up("create_purchase_order", order())


def test_a_lost_request_leaves_nothing_to_adopt(world):
    world.sap.faults.only_writes = True
    world.sap.faults.next_requests_lost = 1
    with pytest.raises(AnswerLost):
        world.ordered()
    assert world.look_up("create_purchase_order", order()) is None


def test_sent_again_with_the_same_key_sap_repeats_its_first_answer(world):
    first = world.ordered()
    world.clock.forward(minutes=3)
    assert world.ordered().identifiers == first.identifiers
    assert len(world.sap.orders) == 1


@pytest.mark.parametrize("hours", [0, 48])
def test_a_deleted_order_has_cleared_the_place_and_is_not_adopted_by_a_repeated_answer(world, hours):
    world.ordered()
    world.sap.delete_order(number=FIRST, by="buyer.1")
    world.clock.forward(hours=hours)
    assert world.look_up("create_purchase_order", order()) is None
    assert world.ordered().facts["erp_order_number"] == "4500000002"
    assert [len(numbers) for numbers in world.sap.live_orders_by_reference().values()] == [1]


def test_a_question_left_open_after_a_create_is_answered_by_a_look_up(world):
    world.ordered()
    world.clock.forward(minutes=5)
    world.sap.before["POST"] = lambda: world.sap.before.update(GET=lambda: setattr(world.sap.faults, "next_errors", 1))
    with pytest.raises(AnswerLost, match="cannot be read"):
        world.ordered()  # SAP repeats its answer, and whether that order still stands cannot be read
    assert world.look_up("create_purchase_order", order()).facts["erp_order_number"] == FIRST


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (order(lines=[line(quantity="11")]), "amount"),
        (order(supplier="10300081"), "supplier"),
        (order(lines=[line(1, "5"), line(2, "5")]), "lines"),
    ],
    ids=["amount", "supplier", "lines"],
)
def test_another_order_under_our_reference_is_a_conflict(world, other, field):
    world.ordered()
    with pytest.raises(BusinessRejection, match=f"it differs in {field}") as caught:
        world.look_up("create_purchase_order", other)
    assert caught.value.code == "effect_conflict"
    assert set(caught.value.facts) == {"found", field}


def test_two_orders_under_our_reference_are_a_conflict(world):
    for key in ("one", "two"):
        world.run("create_purchase_order", order(), key=key)
    with pytest.raises(BusinessRejection, match="orders") as caught:
        world.look_up("create_purchase_order", order())
    assert caught.value.facts["orders"] == "4500000001, 4500000002"


@pytest.mark.parametrize("field", ["PurchaseOrder", "CreationDate"])
def test_an_order_accepted_and_not_understood_is_never_sent_twice(world, field):
    world.sap.created_without = field
    with pytest.raises(AnswerLost, match=f"{field} is missing"):
        world.ordered()
    assert world.look_up("create_purchase_order", order()).facts["erp_order_number"] == FIRST


# The commitment behind an order


def test_the_distribution_and_the_commitment_come_back(world):
    world.ordered(lines=[line(1, parts=[distribution("100.00"), distribution("300.00", OTHER_CENTRE)]), line(2, "1")])
    facts = world.run("read_commitment", order(), purchase_order=FIRST).facts
    assert facts["distribution"] == [
        {"item": 1, "gl_account": "51600000", "cost_centre": CENTRE, "amount": "100.00", "currency": "EUR"},
        {"item": 1, "gl_account": "51600000", "cost_centre": OTHER_CENTRE, "amount": "300.00", "currency": "EUR"},
        {"item": 2, "gl_account": "51600000", "cost_centre": CENTRE, "amount": "40.00", "currency": "EUR"},
    ]
    assert (facts["commitment"], facts["posting_status"]) == ("440.00", "committed")


def test_a_commitment_that_is_not_there_is_awaited_and_then_missed(world):
    world.sap.next_orders_without_commitment = 1
    facts = world.ordered().facts
    world.clock.forward(minutes=29)
    answer = world.run("read_commitment", order(), facts=facts, purchase_order=FIRST)
    assert (answer.wait_s, answer.waiting_for, answer.facts) == (60, "the commitment entry", {})
    world.clock.forward(minutes=1)
    with pytest.raises(BusinessRejection, match="no commitment entry for item 1") as caught:
        world.run("read_commitment", order(), facts=facts, purchase_order=FIRST)
    assert caught.value.code == "commitment_missing"


def test_a_commitment_for_a_part_of_the_items_is_not_enough(world):
    facts = world.ordered(lines=[line(1), line(2)]).facts
    for row in world.sap._lines.find("PurchasingDocument", FIRST):
        if row["PurchasingDocumentItem"] == "2":
            world.sap.store_line({**row, "_vanished": True})
    assert world.run("read_commitment", order(), facts=facts, purchase_order=FIRST).wait_s == 60


def test_a_commitment_that_receipts_have_used_up_is_still_there(world):
    world.ordered()
    world.receive()
    assert world.run("read_commitment", order(), purchase_order=FIRST).facts["commitment"] == "0.00"


@pytest.mark.parametrize(
    ("marks", "kind", "code"),
    [
        ({"PurchasingProcessingStatus": "99"}, MappingError, "status_unmapped"),
        ({"PurchasingProcessingStatus": "08"}, BusinessRejection, "order_refused"),
        ({"PurchasingDocumentDeletionCode": "L"}, BusinessRejection, "order_refused"),
    ],
    ids=["unknown status", "rejected", "deleted"],
)
def test_an_order_that_is_not_what_it_should_be_is_not_committed(world, marks, kind, code):
    world.ordered()
    world.sap.orders[FIRST].update(marks)
    with pytest.raises(kind) as caught:
        world.run("read_commitment", order(), purchase_order=FIRST)
    assert caught.value.code == code


def test_an_order_whose_number_nobody_knows_cannot_be_asked_about(world):
    with pytest.raises(MappingError, match="is not known here"):
        world.run("read_commitment", order())
    with pytest.raises(BusinessRejection, match="does not exist in SAP"):
        world.run("read_commitment", order(erp_number="4599999999"))


# Changes of orders


def writes(world):
    return sum(
        count for route, count in world.sap.calls.items() if not route.startswith("GET") and "oauth2" not in route
    )


def test_a_change_sends_what_differs_and_nothing_the_second_time(world):
    world.ordered()
    answer = world.change(change_order([line(quantity="12", unit_price="41.00")]))
    assert answer.facts["erp_order_number"] == FIRST
    assert answer.facts["etag"].startswith("W/")
    assert answer.at == datetime.fromisoformat(answer.facts["changed_at"]) > START
    assert world.sap.commitment_of(FIRST) == Decimal("492.00")
    before = writes(world)
    assert world.change(change_order([line(quantity="12.000", unit_price="41.00")])) == answer
    assert writes(world) == before


def test_several_items_are_changed_together_or_not_at_all(world):
    world.ordered(lines=[line(1), line(2)])
    world.receive(10, item=2)
    with pytest.raises(BusinessRejection, match="less than what has been received"):
        world.change(change_order([line(1, "12"), line(2, "5")]))
    assert world.sap.orders[FIRST]["_items"][0]["OrderQuantity"] == "10"
    world.change(change_order([line(1, "12"), line(2, "15")]))
    assert [item["OrderQuantity"] for item in world.sap.orders[FIRST]["_items"]] == ["12", "15"]


def test_lines_are_added_and_dropped(world):
    world.ordered(lines=[line(1), line(2)])
    world.change(change_order([line(1), line(3, "2")]))
    live = [
        item["PurchaseOrderItem"]
        for item in world.sap.orders[FIRST]["_items"]
        if not item.get("PurchasingDocumentDeletionCode")
    ]
    assert live == ["1", "3"]
    assert world.sap.commitment_of(FIRST) == Decimal("480.00")


def test_another_cost_centre_and_another_day_are_changed_too(world):
    world.ordered()
    changed = line(parts=[distribution("400.00", OTHER_CENTRE)], need_by_on=date(2026, 6, 1))
    world.change(change_order([changed]))
    item = world.sap.orders[FIRST]["_items"][0]
    assert item["_accounts"][0]["CostCenter"] == OTHER_CENTRE
    assert item["_schedule"][0]["ScheduleLineDeliveryDate"] == "2026-06-01"
    before = writes(world)
    world.change(change_order([changed]))
    assert writes(world) == before


@pytest.mark.parametrize(
    ("first", "second", "quantity"),
    [
        (["100.00", "300.00"], ["120.00", "360.00"], "12"),
        (["133.33", "266.67"], ["160.00", "320.00"], "12"),
        (["133.33", "266.67"], ["146.67", "293.33"], "11"),
    ],
    ids=["same shares", "from amounts to percents", "other amounts"],
)
def test_a_split_follows_a_change_to_the_cent(world, first, second, quantity):
    def parts(amounts):
        return [distribution(amount, centre) for amount, centre in zip(amounts, (CENTRE, OTHER_CENTRE), strict=True)]

    world.ordered(lines=[line(parts=parts(first))])
    world.change(change_order([line(quantity=quantity, parts=parts(second))]))
    assert parts_of(world=world)[1] == second
    before = writes(world)
    world.change(change_order([line(quantity=quantity, parts=parts(second))]))
    assert writes(world) == before


def test_the_number_of_cost_centres_of_an_item_cannot_be_changed(world):
    world.ordered()
    spread = line(parts=[distribution("200.00"), distribution("200.00", OTHER_CENTRE)])
    with pytest.raises(BusinessRejection, match="over 1 account assignments in SAP and over 2"):
        world.change(change_order([spread]))


def test_an_order_that_changes_while_we_look_is_read_again(world):
    world.ordered()
    world.sap.before["PATCH"] = lambda: world.sap.change_order_by_hand(number=FIRST, item=1, price=Decimal("42.00"))
    with pytest.raises(TransientError) as caught:
        world.change(change_order([line(quantity="12")]))
    assert caught.value.code == "document_changed"
    world.change(change_order([line(quantity="12")]))
    item = world.sap.orders[FIRST]["_items"][0]
    assert (item["OrderQuantity"], item["NetPriceAmount"]) == ("12", "40")


def test_a_locked_order_is_tried_again(world):
    world.ordered()
    world.sap.lock_order(number=FIRST, until=START + timedelta(minutes=5))
    with pytest.raises(TransientError, match="locked in another session") as caught:
        world.change(change_order([line(quantity="12")]))
    assert caught.value.code == "document_locked"
    world.clock.forward(minutes=6)
    world.change(change_order([line(quantity="12")]))


def test_a_change_whose_answer_is_lost_is_repeated_with_one_effect(world):
    world.ordered()
    world.sap.faults.only_writes = True
    world.sap.faults.next_replies_lost = 1
    with pytest.raises(AnswerLost):
        world.change(change_order([line(quantity="12")]))
    world.change(change_order([line(quantity="12")]))
    assert world.sap.commitment_of(FIRST) == Decimal("480.00")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda sap: sap.delete_order(number=FIRST, by="buyer.1"),
        lambda sap: sap.orders[FIRST].update(DocumentCurrency="USD"),
    ],
)
def test_an_order_that_is_deleted_or_in_another_currency_is_not_changed(world, spoil):
    world.ordered()
    spoil(world.sap)
    with pytest.raises(BusinessRejection, match="cannot be changed") as caught:
        world.change(change_order([line(quantity="12")]))
    assert caught.value.code == "order_refused"


def test_a_refused_change_says_why(world):
    world.ordered()
    world.sap.set_budget(cost_centre=CENTRE, year=2026, amount=Decimal(410))
    with pytest.raises(BusinessRejection, match=f"SAP refuses the change of order {FIRST}: ") as caught:
        world.change(change_order([line(quantity="12")]))
    assert caught.value.code == "budget_exceeded"


@pytest.mark.parametrize("name", ["cancel_purchase_order", "update_purchase_order"])
def test_an_order_is_cancelled_once(world, name):
    world.ordered()
    first = world.run(name, change_order(cancels=True), facts={"erp_order_number": FIRST})
    assert world.sap.live_orders_by_reference() == {}
    assert world.sap.commitment_of(FIRST) == 0
    before = writes(world)
    assert world.run(name, change_order(cancels=True), facts={"erp_order_number": FIRST}) == first
    assert writes(world) == before


def test_an_order_with_receipts_cannot_be_cancelled(world):
    world.ordered()
    world.receive(1)
    with pytest.raises(BusinessRejection, match="follow-on documents") as caught:
        world.run("cancel_purchase_order", order(), purchase_order=FIRST)
    assert caught.value.code == "cancellation_refused"
