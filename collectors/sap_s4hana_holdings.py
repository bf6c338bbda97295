"""What SAP has in its books, for reconciliation."""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from collectors import odata
from collectors.http import Session
from collectors.odata_values import Entity, Literal, from_position
from collectors.sap_s4hana_bodies import SYSTEM
from collectors.sap_s4hana_invoices import INVOICES
from collectors.sap_s4hana_orders import ORDERS, live_items, net_amount
from sync_engine.model.ports import Holding

PAGE_SIZE = 100


def purchase_orders(session: Session) -> Iterator[Holding]:
    """Every order with the net amount of its live items, and our reference on it."""
    for found in _every(
        session, ORDERS, "A_PurchaseOrder", ("PurchaseOrder",), {"$expand": "to_PurchaseOrderItem"}, "purchase order"
    ):
        items = live_items(found)
        currency = found.text("DocumentCurrency")
        yield Holding(
            kind="purchase_order",
            external_id=found.bare("PurchaseOrder"),
            currency=currency,
            amount=sum((net_amount(item, currency) for item in items), Decimal(0)),
            is_live=bool(items) and not found.text("PurchasingDocumentDeletionCode"),
            reference=found.text("CorrespncExternalReference"),
        )


def supplier_invoices(session: Session) -> Iterator[Holding]:
    """Every supplier invoice with its gross amount, and the supplier's own number on it."""
    for found in _every(
        session, INVOICES, "A_SupplierInvoice", ("SupplierInvoice", "FiscalYear"), {}, "supplier invoice"
    ):
        yield Holding(
            kind="supplier_invoice",
            external_id=f"{found.bare('SupplierInvoice')}/{found.text('FiscalYear')}",
            currency=found.text("DocumentCurrency"),
            amount=found.amount("InvoiceGrossAmount"),
            is_live=not found.text("ReverseDocument") and not found.flag("IsReversed"),
            reference=f"{found.bare('InvoicingParty')}/{found.text('SupplierInvoiceIDByInvcgParty')}",
        )


def _every(
    session: Session, service: str, entity_set: str, key: tuple[str, ...], query: Mapping[str, str], what: str
) -> Iterator[Entity]:
    """All entities of a set, page after page by ascending key: what is added while we read comes at the end."""
    position: list[tuple[str, Literal]] = []
    while True:
        asked = {**query, "$orderby": ",".join(f"{name} asc" for name in key), "$top": str(PAGE_SIZE)}
        if position:
            asked["$filter"] = from_position(position)
        listed = odata.read_set(session, service, entity_set, asked)
        found = [Entity(values, system=SYSTEM, what=what) for values in listed.entities]
        fresh = [entity for entity in found if [(name, entity.text(name)) for name in key] != position]
        yield from fresh
        if not fresh or (len(listed.entities) < PAGE_SIZE and not listed.cut):
            return
        position = [(name, fresh[-1].text(name)) for name in key]
