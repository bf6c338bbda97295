"""A ServiceNow with the approvers of one region, and what the connector is asked about."""

from datetime import UTC, date, datetime, timedelta
from random import Random
from uuid import UUID

from collectors.servicenow import SYSTEM, connect, read_approvals, understand
from sandbox.ledger import Ledger
from sandbox.servicenow import ServiceNow
from sandbox.transport import InProcessTransport, Stopwatch
from sync_engine.model.documents import (
    ChangeOrder,
    Invoice,
    InvoiceLine,
    Line,
    Person,
    Requisition,
)
from sync_engine.model.mappings import Mappings, Table
from sync_engine.model.ports import Access, Ask

FINANCE, PROCUREMENT = "Finance approvers DE", "Procurement approvers DE"
KEY = "5d41402abc4b2a76b9719d911017c592" * 2
REFERENCE = "fs-5d41402abc4b2a76b9719d911017c592"


class Clock:
    def __init__(self):
        self.now = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def __call__(self):
        return self.now

    def tick(self, seconds=60.0):
        self.now += timedelta(seconds=seconds)


def furnished(clock):
    """An instance with the people and groups of one region."""
    standin = ServiceNow(Ledger(), clock, Random(1))
    for user in ("finance.approver.1", "finance.approver.2", "procurement.approver.1"):
        standin.add_user(user_name=user, name=user.replace(".", " ").title(), email=f"{user}@example.com")
    standin.add_group(name=FINANCE, members=["finance.approver.1", "finance.approver.2"])
    standin.add_group(name=PROCUREMENT, members=["procurement.approver.1"])
    standin.add_group(name="finance operations", members=["finance.approver.2"])
    return standin


def connected(instance):
    """A session with whoever stands in for ServiceNow."""
    return connect(access(), timer=Stopwatch(), transport=InProcessTransport({"servicenow": instance}, Stopwatch()))


def access(base_url="https://servicenow", secret="sandbox", **options):
    return Access(base_url, credentials=lambda: ("finsync", secret), options=options)


def mappings(**changes):
    unit = {
        "name": "Germany",
        "country": "DE",
        "currency": "EUR",
        "company_code": "1010",
        "controlling_area": "A000",
        "purchasing_organization": "1010",
        "purchasing_group": "001",
        "time_zone": "Europe/Berlin",
        "calendar": "DE",
        "finance_group": FINANCE,
        "procurement_group": PROCUREMENT,
        **changes,
    }
    table = Table(
        name="business_units", version="1", owner="finance", valid_from=date(2026, 1, 1), entries={"DE": unit}
    )
    return Mappings({"business_units": table}, version="test", group_currency="EUR")


LINE = {"number": 1, "description": "Overhaul", "quantity": "2", "unit_price": "6250.00", "amount": "12500.00"}


def requisition(**changes):
    values = {
        "number": "1042",
        "business_unit": "DE",
        "title": "Pump overhaul",
        "requester": Person(user="plant.manager.1", name="Plant Manager 1"),
        "currency": "EUR",
        "amount": "12500.00",
        "lines": (Line(**LINE, distributions=({"cost_centre": "4100", "amount": "12500.00"},)),),
        "submitted_at": datetime(2026, 3, 1, tzinfo=UTC),
        "justification": "The old one leaks.",
        **changes,
    }
    return Requisition(**values)


def change_order(**changes):
    return ChangeOrder(
        number="4500000001/2",
        business_unit="DE",
        order_number="4500000001",
        source_order_id="77",
        version=2,
        requested_by=Person(user="plant.manager.1"),
        currency="EUR",
        amount="12500.00",
        lines=(Line(**LINE),),
        requested_at=datetime(2026, 3, 1, tzinfo=UTC),
        **changes,
    )


def invoice():
    day = date(2026, 3, 1)
    return Invoice(
        number="a1",
        business_unit="DE",
        supplier_invoice_number="RE-7",
        supplier="100200",
        supplier_name="Pump Works",
        currency="EUR",
        net_amount="12500.00",
        tax_amount="2375.00",
        gross_amount="14875.00",
        invoiced_on=day,
        baseline_on=day,
        due_on=day,
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
        order_numbers=("4500000001",),
        lines=(InvoiceLine(**LINE, order_number="4500000001", order_line=10),),
    )


def ask(document=None, **changes):
    values = {
        "document_id": UUID(int=1),
        "document": document or requisition(),
        "facts": {},
        "identifiers": {},
        "now": datetime(2026, 3, 2, 9, 0, tzinfo=UTC),
        "mappings": mappings(),
        "purpose": "request_approval",
        "idempotency_key": KEY,
        **changes,
    }
    return Ask(**values)


def run(session, name, question):
    return SYSTEM.operations[name].run(session, question)


def look_up(session, name, question):
    return SYSTEM.operations[name].look_up(session, question)


def live(instance, table):
    return [row for row in instance.tables[table] if row["approval"] != "cancelled"]


def read_all(session, cursor, now):
    """Every record of one poll, and the cursor behind it."""
    records = []
    while True:
        page = read_approvals(session, cursor, now)
        records += page.records
        assert page.cursor != cursor or not page.more
        cursor = page.cursor
        if not page.more:
            return records, cursor


def news_of(session, clock, cursor=None):
    records, _ = read_all(session, cursor or {}, clock.now)
    return {news.document.approver.user: news for news in (understand(record, mappings()) for record in records)}


def decide(instance, user, state, **how):
    row = instance.open_approvals(user_name=user)[0]["sys_id"]
    instance.decide(approver_row=row, state=state, **how)
    return row


# Remediation tasks

CASE = {
    "case_id": "c-17",
    "title": "The posting period is closed",
    "message": "F5 201: posting period 003 2026 is not open",
    "next_step": "Open the period or wait until the next one opens, then reprocess.",
    "owner_team": "finance operations",
    "category": "erp_posting",
    "number": "1042",
    "amount": "12500.00",
    "currency": "EUR",
    "business_unit": "DE",
    "url": "https://hub.example/trace/1042",
    "priority": "2",
}
