"""What one record of SAP means: material documents as goods receipts, supplier lines as postings."""

import json
from decimal import Decimal
from typing import Any

from collectors.odata_values import Entity
from collectors.sap_s4hana_bodies import SYSTEM
from sync_engine.model.documents import DocumentType, GoodsReceipt, Posting, PostingStatus, read
from sync_engine.model.errors import MappingError
from sync_engine.model.mappings import Mappings
from sync_engine.model.ports import Identifier, Link, News, Record, Sketch

ZERO = Decimal(0)

# fmt: off
RECEIVED: dict[str, int] = {
    # GoodsMovementType      what it does to the quantity received
    "101":  1,             # goods receipt
    "102": -1,             # its reversal
    "105":  1,             # release from blocked stock
    "106": -1,             # its reversal
    "122": -1,             # return to the supplier
    "123":  1,             # its reversal
    "161": -1,             # return item
    "162":  1,             # its reversal
    "103":  0, "104": 0,   # into blocked stock, which is not received yet, and its reversal
    "124":  0, "125": 0,   # out of blocked stock, and its reversal
    "543":  0, "544": 0,   # components that a subcontractor has used up, and the reversal
}
# fmt: on


def told_values(record: Record) -> Any:
    """The JSON of a record.

    Raises:
        MappingError: it holds bytes that are not UTF-8.
    """
    text = record.body.decode(errors="replace")
    if "\ufffd" in text:
        message = f"The record {record.external_id} contains bytes that are not UTF-8"
        raise MappingError(message, system=SYSTEM, code="field_invalid", facts={"record": record.external_id})
    return json.loads(text)


def goods_receipt(record: Record, _mappings: Mappings) -> News:
    """A material document as a goods receipt; ignored where it receives nothing that was ordered.

    GoodsMovementIsCancelled is not looked at: the reversal is a document of its own, and would count twice.
    """
    document = Entity(told_values(record), system=SYSTEM, what="material document")
    number = f"{document.bare('MaterialDocument')}/{document.text('MaterialDocumentYear')}"
    identifier = Identifier(SYSTEM, "material_document", number)
    lines = []
    for item in document.entities("to_MaterialDocumentItem", "material document item"):
        order = item.bare("PurchaseOrder")
        if not order or order == "0":
            continue
        movement = item.text("GoodsMovementType")
        if movement not in RECEIVED:
            message = f"{movement!r} is not a known kind of goods movement (material document {number})"
            facts = {"field": "GoodsMovementType", "value": movement}
            raise MappingError(message, system=SYSTEM, code="status_unmapped", facts=facts)
        if RECEIVED[movement]:
            quantity = item.amount("QuantityInEntryUnit") * RECEIVED[movement]
            lines.append(
                {
                    "number": int(item.bare("MaterialDocumentItem")),
                    "order_number": order,
                    "order_line": int(item.bare("PurchaseOrderItem")),
                    "quantity": quantity,
                    "unit": item.text("EntryUnit"),
                }
            )
    entered_at = record.source_at
    if entered_at is None:
        document.day("CreationDate")
        document.clock("CreationTime")
        message = f"Material document {number} does not say when it was entered"
        raise MappingError(message, system=SYSTEM, code="contract_change", facts={"field": "CreationDate"})
    if not lines:
        return News(
            DocumentType.GOODS_RECEIPT, identifier, entered_at, None, ignore="receives nothing that was ordered"
        )
    values = {"number": number, "posted_on": document.day("PostingDate"), "entered_at": entered_at, "lines": lines}
    receipt = read(GoodsReceipt, values, system=SYSTEM)
    links = tuple(Link("receives", Identifier(SYSTEM, "purchase_order", order)) for order in receipt.order_numbers)
    return News(DocumentType.GOODS_RECEIPT, identifier, entered_at, receipt, (identifier,), links)


def posting(record: Record, _mappings: Mappings) -> News:
    """The supplier lines of one accounting document as a posting.

    A reversal clears both documents against each other (the vendor's trap): a reversed invoice has a clearing date and
    was never paid, so that only what is not reversed counts as cleared.
    """
    lines = Entity(told_values(record), system=SYSTEM, what="accounting document").values.get("results") or [{}]
    items = [Entity(line, system=SYSTEM, what="supplier line") for line in lines]
    first = items[0]
    company, year = first.text("CompanyCode"), first.text("FiscalYear")
    number = f"{company}/{first.bare('AccountingDocument')}/{year}"
    invoice = f"{first.bare('ReferenceDocument')}/{first.text('ReferenceDocumentContext')}"
    is_reversal = any(item.flag("IsReversal") for item in items)
    is_reversed = any(item.flag("IsReversed") for item in items)
    cleared = [item.day("ClearingDate") for item in items]
    days = [day for day in cleared if day is not None]
    is_paid = len(days) == len(cleared) and not is_reversal and not is_reversed
    values = {
        "number": number,
        "company_code": company,
        "fiscal_year": year,
        "supplier": first.bare("Supplier"),
        "invoice_number": invoice,
        "currency": first.text("TransactionCurrency"),
        # The supplier's side is a credit, which SAP writes as a negative amount.
        "amount": -sum((item.amount("AmountInTransactionCurrency") for item in items), ZERO),
        "posted_on": first.day("PostingDate"),
        "cleared_on": max(days) if is_paid else None,
        "clearing_document": first.bare("ClearingAccountingDocument") if is_paid else "",
        "is_reversal": is_reversal,
    }
    document = read(Posting, values, system=SYSTEM)
    changed_at = record.source_at or first.moment("LastChangeDateTime")
    if changed_at is None:
        message = f"Accounting document {number} does not say when it changed"
        raise MappingError(message, system=SYSTEM, code="contract_change", facts={"field": "LastChangeDateTime"})
    status = PostingStatus.CLEARED if is_paid else PostingStatus.POSTED
    identifier = Identifier(SYSTEM, "accounting_document", number)
    return News(
        DocumentType.POSTING,
        identifier,
        changed_at,
        document,
        (identifier,),
        (Link("books", Identifier(SYSTEM, "supplier_invoice", invoice)),),
        posting_status=PostingStatus.REVERSED if is_reversal or is_reversed else status,
    )


def sketch_receipt(record: Record) -> Sketch | None:
    """What can be said of a material document that cannot be understood."""
    if not record.external_id:
        return None
    identifier = Identifier(SYSTEM, "material_document", record.external_id)
    values = _loosely(record)
    text = values.get("MaterialDocumentHeaderText") or values.get("ReferenceDocument")
    return Sketch(DocumentType.GOODS_RECEIPT, identifier, record.external_id, str(text or ""))


def sketch_posting(record: Record) -> Sketch | None:
    """What can be said of an accounting document that cannot be understood."""
    if not record.external_id:
        return None
    listed = _loosely(record).get("results")
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    told = {name: value for name, value in first.items() if isinstance(value, str)}
    return Sketch(
        DocumentType.POSTING,
        Identifier(SYSTEM, "accounting_document", record.external_id),
        record.external_id,
        f"Invoice {told['ReferenceDocument']}" if "ReferenceDocument" in told else "",
        company_code=told.get("CompanyCode", ""),
        currency=told.get("TransactionCurrency", ""),
        amount=told.get("AmountInTransactionCurrency", "").removeprefix("-"),
    )


def _loosely(record: Record) -> dict[str, Any]:
    try:
        values = json.loads(record.body.decode(errors="replace"))
    except ValueError:
        return {}
    return values if isinstance(values, dict) else {}
