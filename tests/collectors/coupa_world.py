"""A Coupa with a few people in it, and what the connector is asked about it."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from uuid import UUID

from collectors import coupa_api
from collectors.coupa import SYSTEM, connect
from collectors.coupa_documents import understand
from sandbox.coupa import Coupa
from sandbox.ledger import Ledger
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.model.documents import (
    PurchaseOrder,
    Requisition,
)
from sync_engine.model.mappings import Mappings, Table
from sync_engine.model.ports import Access, Ask, Record

OPENAPI = Path(__file__).parents[2].parent / "shared" / "contracts" / "coupa" / "openapi"
SAMPLES = OPENAPI.parent / "samples"
START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
DOCUMENT_ID = UUID("018f5c3e-0000-7000-8000-000000000001")


def table(name, entries):
    return Table(name=name, version="1", owner="finance operations", valid_from=date(2026, 1, 1), entries=entries)


def mappings(**more):
    south = {
        "name": "Plant South",
        "country": "DE",
        "currency": "EUR",
        "company_code": "1710",
        "controlling_area": "A000",
        "purchasing_organization": "1710",
        "purchasing_group": "001",
        "time_zone": "Europe/Berlin",
        "calendar": "DE-BW",
        "finance_group": "Finance South",
        "procurement_group": "Procurement South",
    }
    tables = {
        "business_units": {"south": south},
        "departments": {"Plant South": "south"},
        "integration_users": {"coupa:finsync": "the hub itself"},
        **more,
    }
    return Mappings(
        {name: table(name, entries) for name, entries in tables.items()}, version="t1", group_currency="EUR"
    )


class World:
    """A Coupa instance with a few people, the connector's session with it, and a clock that only the test moves."""

    def __init__(self, **how):
        self.now = START
        self.stopwatch = Stopwatch()
        self.coupa = Coupa(Ledger(), lambda: self.now, Random(5), **how)
        self.coupa.add_user(login="head.1", full_name="Plant Head", email="head.1@sandbox.example")
        self.coupa.add_user(
            login="manager.1", full_name="Plant Manager", email="manager.1@sandbox.example", manager="head.1"
        )
        self.coupa.add_user(
            login="buyer.1", full_name="Plant Buyer", email="buyer.1@sandbox.example", manager="manager.1"
        )
        self.supplier = self.coupa.register_supplier(
            name="Kessel Service", number="17300001", tax_id="DE811907980", country="DE", payment_term="NET30"
        )
        self.mappings = mappings()
        self.session = self.connected()

    def connected(self, **options):
        access = Access("https://coupa", credentials=lambda: ("finsync", "sandbox"), options=options)
        transport = InProcessTransport({"coupa": self.coupa}, self.stopwatch)
        return connect(access, timer=self.stopwatch, transport=transport)

    def forward(self, **by):
        self.now += timedelta(**by)

    def line(self, **changes):
        return {
            "description": "Boiler inspection",
            "quantity": "2",
            "unit": "H",
            "unit_price": "450.00",
            "supplier_id": self.supplier,
            "company_code": "1710",
            "cost_centre": "4711",
            "account": "400100",
            "plant": "STR-1",
            "commodity": "Maintenance",
            "contract": "C-12",
            "tax_code": "DE19",
        } | changes

    def submit(self, *lines, currency="EUR", **how):
        return self.coupa.submit_requisition(
            **{
                "requester": "buyer.1",
                "department": "Plant South",
                "currency": currency,
                "title": "Boiler maintenance",
                "lines": list(lines) or [self.line()],
                "justification": "Yearly inspection",
                "need_by": date(2026, 4, 1),
            }
            | how
        )

    def approve_humans(self, requisition_id):
        while (pending := self.coupa.pending_approval(requisition_id)) and pending[1] != "finsync":
            self.coupa.approve(approval_id=pending[0], by=pending[1], comment="needed")

    def approve_all(self, requisition_id):
        self.approve_humans(requisition_id)
        self.coupa.approve(approval_id=self.coupa.pending_approval(requisition_id)[0], by="finsync")

    def read(self, feed, cursor=None, session=None):
        """All pages of one run, and the cursor after it."""
        records, cursor = [], dict(cursor or {})
        for _ in range(100):
            page = SYSTEM.feed(feed).read(session or self.session, cursor, self.now)
            records += page.records
            cursor = json.loads(json.dumps(page.cursor))
            if not page.more:
                assert page.complete_until == self.now - coupa_api.OVERLAP
                return records, cursor
            assert page.complete_until is None
        raise AssertionError("the run does not end")

    def news(self, feed, cursor=None):
        return [understand(record, self.mappings) for record in self.read(feed, cursor)[0]]

    def ask(self, document, **how):
        known = {"facts": {}, "identifiers": {}, "purpose": "step", "subject": {}} | how
        return Ask(DOCUMENT_ID, document, now=self.now, mappings=self.mappings, **known)

    def requisition(self, requisition_id):
        body = json.dumps(self.coupa.requisition(requisition_id)).encode()
        document = understand(Record("requisition", str(requisition_id), "1", None, body), self.mappings).document
        assert isinstance(document, Requisition)
        return document

    def about(self, requisition_id, **how):
        return self.ask(self.requisition(requisition_id), identifiers={"coupa.requisition": str(requisition_id)}, **how)

    def order(self, requisition_id, number="4500000001", lines=None):
        """The order as the ERP has accepted it."""
        document = self.requisition(requisition_id)
        chosen = [line for line in document.lines if lines is None or line.number in lines]
        return PurchaseOrder(
            number=f"{requisition_id}-1",
            business_unit="south",
            company_code="1710",
            requisition_number=str(requisition_id),
            requisition_source_id=str(requisition_id),
            requester=document.requester,
            supplier="17300001",
            currency=document.currency,
            amount=sum(line.amount for line in chosen),
            purchasing_organization="1710",
            purchasing_group="001",
            ordered_on=date(2026, 3, 2),
            lines=tuple(chosen),
            erp_number=number,
        )

    def do(self, name, ask, session=None):
        return SYSTEM.operations[name].run(session or self.session, ask)

    def ordered(self, *lines, number="4500000001"):
        """A requisition that is approved and ordered under a number of the ERP; its id and the order's."""
        requisition_id = self.submit(*lines)
        self.approve_all(requisition_id)
        answer = self.do("return_order_number", self.ask(self.order(requisition_id, number)))
        return requisition_id, int(answer.facts["procurement_order_id"])


def raw_of(world, requisition_id):
    return json.loads(json.dumps(world.coupa.requisition(requisition_id)))


def record(kind, raw, **changes):
    return Record(kind, str(raw.get("id", "")), "1", None, json.dumps({**raw, **changes}).encode())
