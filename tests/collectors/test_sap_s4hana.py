"""What SAP is asked, over the wire against its stand-in: every operation, its refusals, and every bad connection."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.sap_s4hana import SYSTEM, connect
from collectors.sap_s4hana_messages import MESSAGES
from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana
from sandbox.server import StandinServer
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.model.documents import ChangeOrder, Enrichment, Invoice, PurchaseOrder, Requisition, Supplier
from sync_engine.model.errors import AnswerLost, BusinessRejection, ConfigurationError, MappingError, TransientError
from sync_engine.model.exceptions import KINDS
from sync_engine.model.flows import FLOWS, Role
from sync_engine.model.mappings import Mappings, Table
from sync_engine.model.money import split
from sync_engine.model.ports import Access, Ask, Effect, Identifier

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CENTRE, OTHER_CENTRE, SUPPLIER = "10101301", "10101302", "10300080"
FIRST = "4500000001"
UNIT = {
    "name": "Germany North",
    "country": "DE",
    "currency": "EUR",
    "company_code": "1010",
    "controlling_area": "A000",
    "purchasing_organization": "1010",
    "purchasing_group": "001",
    "time_zone": "Europe/Berlin",
    "calendar": "DE-NORTH",
    "finance_group": "Finance",
    "procurement_group": "Procurement",
}


def table(name, entries):
    return Table(name=name, version="1", owner="tests", valid_from=date(2026, 1, 1), entries=entries)


MAPPINGS = Mappings(
    {
        "business_units": table("business_units", {"DE-NORTH": UNIT}),
        "units_of_measure": table("units_of_measure", {"EA": "EA", "HUR": "H"}),
        "plants": table("plants", {"NORTH-1": "1011"}),
    },
    version="1",
    group_currency="EUR",
)


class Clock:
    """Tells a time that only the test moves."""

    def __init__(self):
        self.now = START

    def __call__(self):
        return self.now

    def forward(self, **by):
        self.now += timedelta(**by)


class Interrupted(S4Hana):
    """The stand-in, where something happens just before the next request of a method, or an answer lacks a field."""

    def __init__(self, *args, **settings):
        super().__init__(*args, **settings)
        self.before = {}
        self.created_without = ""

    def handle(self, request):
        act = self.before.pop(request.method, None) if "/odata/" in request.path else None
        if act is not None:
            act()
        response = super().handle(request)
        if self.created_without and response.status == 201:
            content = json.loads(response.body)
            del content["d"][self.created_without]
            response.body = json.dumps(content).encode()
        return response


class World:
    """A small company in SAP, a session to it, and the questions the engine would ask."""

    def __init__(self, **settings):
        self.clock = Clock()
        self.sap = Interrupted(Ledger(), self.clock, Random(9), **settings)
        self.sap.add_company_code(code="1010", currency="EUR", controlling_area="A000")
        self.sap.add_plant(code="1011", company_code="1010")
        for code in (CENTRE, OTHER_CENTRE):
            self.sap.add_cost_centre(
                code=code, company_code="1010", valid_from=date(2020, 1, 1), valid_to=date(9999, 12, 31)
            )
        self.add_supplier()
        self.session = self.connect()

    def add_supplier(self, **more):
        self.sap.add_supplier(
            number=SUPPLIER,
            name="Brenner Wartung",
            tax_id="DE811111111",
            country="DE",
            company_codes=["1010"],
            purchasing_organizations=["1010"],
            payment_terms="0030",
            **more,
        )

    def connect(self, secret="sandbox", **options):
        access = Access("http://s4hana", credentials=lambda: ("finsync", secret), options=options)
        transport = InProcessTransport({"s4hana": self.sap}, Stopwatch())
        return connect(access, timer=Stopwatch(), transport=transport)

    def ask(self, document, purpose="create_purchase_order", facts=None, key="key-1", **identifiers):
        return Ask(
            document_id=UUID(int=7),
            document=document,
            facts=facts or {},
            identifiers={f"s4hana.{kind}": value for kind, value in identifiers.items()},
            now=self.clock.now,
            mappings=MAPPINGS,
            purpose=purpose,
            idempotency_key=key,
        )

    def run(self, name, document, **how):
        return SYSTEM.operations[name].run(self.session, self.ask(document, **how))

    def look_up(self, name, document, **how):
        return SYSTEM.operations[name].look_up(self.session, self.ask(document, **how))

    def ordered(self, **more):
        """An order that SAP has taken."""
        return self.run("create_purchase_order", order(**more))

    def change(self, document, number=FIRST, **how):
        return self.run("update_purchase_order", document, purchase_order=number, **how)

    def receive(self, quantity=10, number=FIRST, item=1):
        return self.sap.post_goods_receipt(order=number, lines=[(item, Decimal(quantity))], by="receiver.1")


def distribution(amount, centre=CENTRE):
    return {"account": "51600000", "cost_centre": centre, "amount": amount}


def line(number=1, quantity="10", unit_price="40.00", amount=None, parts=None, **more):
    worth = amount or str((Decimal(quantity) * Decimal(unit_price)).quantize(Decimal("0.01")))
    return {
        "number": number,
        "description": "Pump maintenance, yearly inspection of the cooling line",
        "quantity": quantity,
        "unit": "EA",
        "unit_price": unit_price,
        "amount": worth,
        "plant": "1011",
        "tax_code": "V1",
        "distributions": parts if parts is not None else [distribution(worth)],
        **more,
    }


def total(lines):
    return sum((Decimal(one["amount"]) for one in lines), Decimal(0))


def order(lines=None, **more):
    lines = lines or [line()]
    return PurchaseOrder.model_validate(
        {
            "number": "PO-1",
            "business_unit": "DE-NORTH",
            "company_code": "1010",
            "requisition_number": "REQ-1",
            "requisition_source_id": "501",
            "requester": {"user": "plant.manager.1"},
            "supplier": SUPPLIER,
            "currency": "EUR",
            "amount": total(lines),
            "purchasing_organization": "1010",
            "purchasing_group": "001",
            "payment_term": "0030",
            "ordered_on": date(2026, 3, 2),
            "need_by_on": date(2026, 4, 1),
            "lines": lines,
            **more,
        }
    )


def change_order(lines=None, **more):
    lines = lines or [line()]
    return ChangeOrder.model_validate(
        {
            "number": "PO-1/2",
            "business_unit": "DE-NORTH",
            "company_code": "1010",
            "order_number": "PO-1",
            "source_order_id": "77",
            "version": 2,
            "requested_by": {"user": "plant.manager.1"},
            "currency": "EUR",
            "amount": total(lines),
            "lines": lines,
            "requested_at": START,
            **more,
        }
    )


def invoice(lines=None, tax="76.00", **more):
    lines = lines or [line(order_number=FIRST, order_line=1)]
    net = total(lines)
    return Invoice.model_validate(
        {
            "number": "BW-900",
            "business_unit": "DE-NORTH",
            "company_code": "1010",
            "supplier_invoice_number": "Re-2026/17",
            "supplier": SUPPLIER,
            "currency": "EUR",
            "net_amount": net,
            "tax_amount": tax,
            "gross_amount": net + Decimal(tax),
            "invoiced_on": date(2026, 2, 27),
            "baseline_on": date(2026, 2, 27),
            "due_on": date(2026, 3, 29),
            "payment_term": "0030",
            "received_at": START,
            "order_numbers": [FIRST],
            "lines": lines,
            **more,
        }
    )


def requisition(lines=None, **more):
    lines = lines or [line(plant="NORTH-1", supplier="S-1")]
    enrichment = Enrichment(
        mapping_version="1",
        suppliers={"S-1": SUPPLIER},
        supplier_names={SUPPLIER: "Brenner Wartung"},
        payment_terms={SUPPLIER: "0030"},
        purchasing_organization="1010",
        purchasing_group="001",
        cost_centres={CENTRE: (CENTRE,)},
        plants={"NORTH-1": "1011"},
        group_amount=total(lines),
        group_currency="EUR",
        rate=Decimal(1),
        rate_on=date(2026, 3, 2),
        rate_source="tests",
    )
    return Requisition.model_validate(
        {
            "number": "REQ-1",
            "business_unit": "DE-NORTH",
            "company_code": "1010",
            "title": "Maintenance",
            "requester": {"user": "plant.manager.1"},
            "currency": "EUR",
            "amount": total(lines),
            "lines": lines,
            "submitted_at": START,
            "enrichment": enrichment,
            **more,
        }
    )


def supplier(**more):
    return Supplier.model_validate(
        {"number": "S-1", "name": "Brenner Wartung", "erp_number": "0010300080", "updated_at": START, **more}
    )


@pytest.fixture
def world():
    return World()


def test_every_erp_step_of_the_flows_and_what_undoes_it_is_an_operation():
    asked = {
        name
        for flow in FLOWS.values()
        for step in flow.steps
        if step.asks is Role.ERP
        for name in (step.does, step.undone_by)
    }
    assert asked - {None} <= set(SYSTEM.operations)
    assert SYSTEM.role is Role.ERP


def test_every_create_states_how_it_is_found_again_and_every_code_is_a_known_kind():
    creates = [one for one in SYSTEM.operations.values() if one.effect is Effect.CREATE]
    assert {one.name for one in creates if one.look_up} == {"create_purchase_order", "create_supplier_invoice"}
    assert set(MESSAGES.values()) <= set(KINDS)


# Whether SAP would take a requisition


def test_a_requisition_that_sap_would_take_has_budget_and_open_cost_centres(world):
    facts = world.run("read_budget_context", requisition()).facts
    assert facts["erp_budget"] == {"verdict": "ok", "message": "", "read_at": START.isoformat()}
    assert facts["cost_centres"] == [{"cost_centre": CENTRE, "valid_from": "2020-01-01", "valid_to": "9999-12-31"}]
    assert world.sap.orders == {}


@pytest.mark.parametrize(("budget", "verdict", "code"), [("399", "exceeded", "BP/604"), ("420", "ok", "BP/603")])
def test_saps_budget_is_an_answer_and_not_a_refusal(world, budget, verdict, code):
    world.sap.set_budget(cost_centre=CENTRE, year=2026, amount=Decimal(budget))
    told = world.run("read_budget_context", requisition()).facts["erp_budget"]
    assert told["verdict"] == verdict
    assert code in told["message"]


def test_a_closed_period_is_only_noted_while_nothing_is_ordered(world):
    world.sap.close_period(company_code="1010", year=2026, month=3)
    facts = world.run("read_budget_context", requisition()).facts
    assert facts["erp_budget"]["verdict"] == "ok"
    assert facts["period_closed"] == "Posting period 003 2026 is not open"


@pytest.mark.parametrize(
    ("spoil", "code", "says"),
    [
        (
            lambda sap: sap.block_cost_centre(code=CENTRE),
            "cost_centre_blocked",
            f"Cost centre {CENTRE} is blocked in SAP",
        ),
        (
            lambda sap: sap._cost_centres.__init__("cost_centre", ("CostCenter",)),
            "cost_centre_unknown",
            "does not exist",
        ),
        (lambda sap: sap._plants.rows.clear(), "refused", "Plant 1011 is not defined"),
    ],
    ids=["blocked", "unknown", "another reason"],
)
def test_what_sap_would_refuse_for_another_reason_is_a_refusal(world, spoil, code, says):
    spoil(world.sap)
    with pytest.raises(BusinessRejection, match=says) as caught:
        world.run("read_budget_context", requisition())
    assert caught.value.code == code


def test_a_cost_centre_is_valid_on_the_day_it_is_at_the_business_unit(world):
    world.sap.add_cost_centre(code="500", company_code="1010", valid_from=date(2020, 1, 1), valid_to=date(2026, 3, 31))
    asked = requisition([line(plant="NORTH-1", parts=[distribution("400.00", "0000000500")])])
    world.clock.now = datetime(2026, 3, 31, 21, 59, tzinfo=UTC)
    assert world.run("read_budget_context", asked).facts["cost_centres"][0]["cost_centre"] == "500"
    world.clock.forward(minutes=1)  # midnight in Berlin
    with pytest.raises(BusinessRejection, match="valid from 2020-01-01 to 2026-03-31, not on 2026-04-01"):
        world.run("read_budget_context", asked)


def test_a_lost_answer_to_a_mere_check_is_asked_again(world):
    world.sap.faults.only_writes = True
    world.sap.faults.next_replies_lost = 1
    with pytest.raises(TransientError):
        world.run("read_budget_context", requisition())


def test_a_requisition_that_was_not_enriched_cannot_be_asked_about(world):
    with pytest.raises(MappingError, match="has not been enriched"):
        world.run("read_budget_context", requisition(enrichment=None))


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


def test_the_reason_behind_a_refusal_is_a_courtesy_that_may_fail(world):
    world.sap.block_supplier(number=SUPPLIER, kind="purchasing")
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


# Connections


@pytest.mark.parametrize("retry_after", [None, 17.0])
def test_a_busy_sap_is_asked_again_when_it_says(world, retry_after):
    world.sap.faults.retry_after_s = retry_after
    world.sap.faults.next_throttled = 1
    with pytest.raises(TransientError) as caught:
        world.ordered()
    assert (caught.value.code, caught.value.retry_after_s) == ("rate_limited", retry_after)


@pytest.mark.parametrize(
    ("status", "kind"), [(503, TransientError), (500, AnswerLost), (502, AnswerLost), (504, AnswerLost)]
)
def test_a_broken_answer_to_a_create_is_only_repeated_where_nothing_can_have_happened(world, status, kind):
    world.run("read_supplier", supplier())  # a token is there
    world.ordered()  # and a CSRF token
    world.sap.faults.error_status = status
    world.sap.faults.next_errors = 1
    with pytest.raises(kind):
        world.run("create_purchase_order", order(), key="other")


def test_an_outage_is_certainly_not_done(world):
    world.sap.faults.outage = True
    with pytest.raises(TransientError):
        world.ordered()


def test_tokens_and_sessions_that_expired_are_renewed_by_the_way(world):
    world.ordered()
    world.clock.forward(hours=2)
    world.change(change_order([line(quantity="12")]))
    world.sap.end_sessions()
    world.change(change_order([line(quantity="13")]))
    assert world.sap.orders[FIRST]["_items"][0]["OrderQuantity"] == "13"


@pytest.mark.parametrize("zone", ["Europe/Nowhere", "../etc"])
def test_a_time_zone_that_is_none_is_refused_before_anything_is_asked(world, zone):
    with pytest.raises(ConfigurationError, match="is not a time zone"):
        world.connect(time_zone=zone)


def test_wrong_credentials_are_our_side(world):
    world.session = world.connect(secret="guess")
    with pytest.raises(ConfigurationError, match="refuses our credentials"):
        world.ordered()


def test_a_logon_page_is_our_side(world):
    world.sap.next_logon_pages = 1
    with pytest.raises(ConfigurationError, match="logon page"):
        world.run("read_supplier", supplier())


def test_over_a_loopback_port_it_is_the_same():
    world = World()
    server = StandinServer(world.sap).start()
    access = Access(server.url, credentials=lambda: ("finsync", "sandbox"), options={"sap_client": "100"})
    world.session = connect(access, timer=Stopwatch())
    try:
        assert world.ordered().facts["erp_order_number"] == FIRST
        world.change(change_order([line(1, "12"), line(2, "1")]))
        assert world.run("read_commitment", order(), purchase_order=FIRST).facts["commitment"] == "520.00"
        page = SYSTEM.feed("postings").read(world.session, {}, world.clock.now)
        assert page.records == ()
    finally:
        world.session.close()
        server.stop()


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
    assert caught.value.code == "order_refused"


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


# Suppliers


def test_a_supplier_without_blocks_is_ready_to_buy_from(world):
    answer = world.run("read_supplier", supplier())
    assert (answer.facts, answer.wait_s) == ({"supplier_blocks": []}, None)
    assert answer.identifiers == (Identifier("s4hana", "supplier", SUPPLIER),)


def test_a_supplier_without_a_number_waits_for_one(world):
    answer = world.run("read_supplier", supplier(erp_number=""))
    assert (answer.wait_s, answer.waiting_for) == (86_400, "an ERP number")


def test_a_blocked_supplier_waits_and_says_for_what(world):
    world.sap.block_supplier(number=SUPPLIER, kind="purchasing")
    world.sap.block_supplier(number=SUPPLIER, kind="payment")
    answer = world.run("read_supplier", supplier())
    assert (answer.wait_s, answer.facts["supplier_blocks"]) == (14_400, ["purchasing", "payment"])
    assert answer.waiting_for == "the block on purchasing, payment to be lifted"


def test_blocks_in_a_company_or_an_organization_count_too(world):
    row = world.sap._suppliers.rows[SUPPLIER]
    row["_companies"][0]["PaymentBlockingReason"] = "A"
    row["_organizations"][0]["PurchasingIsBlockedForSupplier"] = True
    row["SupplierProcurementBlock"] = "01"
    told = world.run("read_supplier", supplier()).facts["supplier_blocks"]
    assert told == ["procurement", "payment in company 1010", "purchasing by purchasing organization 1010"]
    told = world.run("read_supplier", supplier(company_code="1110")).facts["supplier_blocks"]
    assert told == ["procurement", "purchasing by purchasing organization 1010"]


def test_a_supplier_sap_does_not_know_is_an_exception(world):
    with pytest.raises(BusinessRejection, match="does not exist in SAP") as caught:
        world.run("read_supplier", supplier(erp_number="999"))
    assert caught.value.code == "supplier_unknown"


def test_every_call_is_recorded_with_what_was_sent(world):
    with world.session.tracing("0" * 31 + "1") as calls:
        world.ordered()
    assert [call.method for call in calls] == ["GET", "POST"]
    assert json.loads(calls[1].sent)["Supplier"] == SUPPLIER
