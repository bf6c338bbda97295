"""An S/4HANA with one company in it, and the documents that the connector is asked about."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

from collectors.sap_s4hana import SYSTEM, connect
from sandbox.company.units import config_entries
from sandbox.ledger import Ledger
from sandbox.s4hana import S4Hana
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.model.documents import ChangeOrder, Enrichment, Invoice, PurchaseOrder, Requisition, Supplier
from sync_engine.model.mappings import Mappings, Table
from sync_engine.model.ports import Access, Ask

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
CENTRE, OTHER_CENTRE, SUPPLIER = "10101301", "10101302", "10300080"
FIRST = "4500000001"
PAYMENT_TERMS = config_entries("payment_terms")
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
