"""A company whose days pass when a test says so, and what comes to it from outside."""

import base64
import hashlib
import json
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sandbox.company import Company
from sandbox.company.suppliers import erp_term
from sandbox.company.units import load_units
from sandbox.wire import Request

START = datetime(2026, 8, 3, 5, 0, tzinfo=UTC)
REPOSITORY = Path(__file__).parents[2]
ROOT = "/sap/opu/odata/sap/"
UNITS = load_units()


class Clock:
    """Tells a time that only the test moves."""

    def __init__(self, now=START):
        self.now = now

    def __call__(self):
        return self.now


def company(seed=7, folder=None, clock=None, **how):
    return Company(clock or Clock(), seed, START, folder, **how)


def live(there, until):
    """Let the company act until a moment or for so many days, as the fast clock would."""
    clock = there._office.clock
    until = START + timedelta(days=until) if not isinstance(until, datetime) else until
    while (at := there.next_action_at()) is not None and at <= until:
        clock.now = max(clock.now, at)
        there.act(clock.now)
    clock.now = until
    there.act(until)
    return there


def digest(there):
    """One hash over everything all five ledgers hold."""
    there.save()
    sha = hashlib.sha256()
    ledgers = {"company": there.ledger, **{name: standin.ledger for name, standin in there.standins.items()}}
    for name, ledger in sorted(ledgers.items()):
        sha.update(json.dumps([name, sorted(ledger._numbers.items())]).encode())
        for table_name, table in sorted(ledger._tables.items()):
            for key in sorted(table.rows):
                row = [table_name, key, table.changed_at(key).isoformat(), table.rows[key]]
                sha.update(json.dumps(row, sort_keys=True).encode())
    return sha.hexdigest()


def call_sap(there, path, body):
    """One write through the ERP's API, as any caller would make it."""
    sap = there.standins["s4hana"]
    sap.faults.reply_lost_share = 0.0
    headers = {"authorization": "Basic " + base64.b64encode(b"finsync:sandbox").decode(), "host": "s4hana"}
    fetch = {**headers, "x-csrf-token": "Fetch"}
    reply = sap.handle(Request.of("GET", f"{ROOT}API_PURCHASEORDER_PROCESS_SRV/", fetch))
    proof = {"x-csrf-token": reply.headers["x-csrf-token"], "cookie": reply.headers["Set-Cookie"].partition(";")[0]}
    reply = sap.handle(Request.of("POST", ROOT + path, {**headers, **proof}, json.dumps(body).encode()))
    assert reply.status == 201, reply.body
    return json.loads(reply.body)["d"]


def sap_day(day):
    return f"/Date({int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()) * 1000})/"


def order(there, unit="DE-SOUTH", quantity="10", price="40.00", need_by=None, category="Spare parts", **more):
    """An order in the ERP, posted through its API; returns its number."""
    whose = UNITS[unit]
    source = there._office.sources(whose, category)[0]
    account = {"GLAccount": "51600000", "CostCenter": whose.cost_centre("01")}
    day = need_by or there._office.now.date() + timedelta(days=5)
    item = {
        "PurchaseOrderItem": "10",
        "PurchaseOrderItemText": "Drive belt",
        "OrderQuantity": quantity,
        "PurchaseOrderQuantityUnit": "EA",
        "NetPriceAmount": price,
        "NetPriceQuantity": "1",
        "TaxCode": {"DE": "V1", "GB": "U1", "US": "I1", "JP": "J1"}[whose.country],
        "AccountAssignmentCategory": "K",
        "to_AccountAssignment": [account],
        "to_ScheduleLine": [{"ScheduleLine": "1", "ScheduleLineDeliveryDate": sap_day(day)}],
    }
    body = {
        "CompanyCode": whose.company_code,
        "PurchaseOrderType": "NB",
        "Supplier": source.number,
        "PurchasingOrganization": whose.purchasing_organization,
        "PurchasingGroup": whose.purchasing_group,
        "DocumentCurrency": whose.currency,
        "to_PurchaseOrderItem": [item],
        **more,
    }
    return call_sap(there, "API_PURCHASEORDER_PROCESS_SRV/A_PurchaseOrder", body)["PurchaseOrder"]


def post_invoice(there, invoice, factor="1"):
    """Post what AP automation holds through the ERP's API; returns number/year."""
    lines = invoice["_received"]["lines"]
    body = {
        "CompanyCode": invoice["companyCode"],
        "DocumentDate": sap_day(date.fromisoformat(invoice["invoiceDate"][:10])),
        "PostingDate": sap_day(there._office.now.date()),
        "InvoicingParty": invoice["supplierCode"],
        "SupplierInvoiceIDByInvcgParty": invoice["invoiceNumber"],
        "DocumentCurrency": invoice["currencyCode"],
        "InvoiceGrossAmount": str(sum(Decimal(line["amount"]) for line in lines) * Decimal(factor)),
        "PaymentTerms": erp_term(invoice["paymentTermCode"]),
        "DueCalculationBaseDate": sap_day(date.fromisoformat(invoice["baseLineDate"][:10])),
        "NetPaymentDays": str(
            (date.fromisoformat(invoice["dueDate"][:10]) - date.fromisoformat(invoice["baseLineDate"][:10])).days
        ),
        "TaxIsCalculatedAutomatically": True,
        "to_SuplrInvcItemPurOrdRef": [
            {
                "PurchaseOrder": line["order_number"],
                "PurchaseOrderItem": line["order_line"],
                "SupplierInvoiceItemAmount": str(Decimal(line["amount"]) * Decimal(factor)),
                "QuantityInPurchaseOrderUnit": line["quantity"],
                "PurchaseOrderQuantityUnit": line["unit"],
            }
            for line in lines
        ],
    }
    told = call_sap(there, "API_SUPPLIERINVOICE_PROCESS_SRV/A_SupplierInvoice", body)
    return f"{told['SupplierInvoice']}/{told['FiscalYear']}"


def ask_groups(there, requisition_id, unit):
    """A request in the approval tool, as anybody may enter one there; returns the parent's sys_id."""
    tool = there.standins["servicenow"]
    values = {"short_description": f"Approve requisition {requisition_id}", "correlation_display": str(requisition_id)}
    parent = tool.insert("sc_request", values, "finsync")["sys_id"]
    for name in (UNITS[unit].finance_group, UNITS[unit].procurement_group):
        group = tool.tables["sys_user_group"].find("name", name)[0]["sys_id"]
        request = {"parent": parent, "assignment_group": group, "approval": "requested"}
        tool.insert("sysapproval_group", request, "finsync")
    return parent


def requisitions(there):
    return list(there.standins["coupa"].ledger.table("requisition"))


def approvals(there):
    return list(there.standins["coupa"].ledger.table("approval"))


def unit_of_requisition(row):
    return UNITS[row["department"]["name"].rpartition(" ")[0]]


def planned_at(there, name):
    """When the first action of a name is to be done."""
    rows = there.ledger.table("agenda").rows.values()
    return min(datetime.fromisoformat(row["at"]) for row in rows if row and row["name"] == name)


def kinds(there):
    return Counter(episode.kind for episode in there.troubles())
