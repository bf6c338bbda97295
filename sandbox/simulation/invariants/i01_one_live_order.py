"""I1: no requisition line has two live orders, and no bill two live invoices, by the ERP's own ledger (promise P1).

Journeys write their own name on every line, so that the ledger is read without anything the engine has made up.
"""

from collections import defaultdict

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding


def one_live_order(ended: Ended) -> list[Finding]:
    """Every line text and every reference of ours that stands in more than one live order, every supplier's number in two invoices."""
    by_line: dict[str, list[str]] = defaultdict(list)
    for order in ended.landscape.s4hana.orders.values():
        if order.get("PurchasingDocumentDeletionCode"):
            continue
        for item in order["_items"]:
            by_line[item["PurchaseOrderItemText"]].append(order["PurchaseOrder"])
    by_reference = ended.landscape.s4hana.live_orders_by_reference()
    by_bill: dict[str, list[str]] = defaultdict(list)
    for invoice in ended.landscape.s4hana.invoices.values():
        if not invoice.get("IsReversed") and not invoice.get("IsReversal"):
            by_bill[str(invoice.get("SupplierInvoiceIDByInvcgParty"))].append(invoice["SupplierInvoice"])
    return [
        Finding("one_live_order", what, f"the ERP has {len(numbers)} live ones for it: {', '.join(numbers)}")
        for what, numbers in [*by_line.items(), *by_reference.items(), *by_bill.items()]
        if len(numbers) > 1
    ]
