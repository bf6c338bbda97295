"""Basware's accounting documents in canonical words: what their status means to us, and what is billed."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import NamedTuple

from collectors.basware_api import NAME
from collectors.http import excerpt
from sync_engine.model.documents import DocumentType, Invoice, read
from sync_engine.model.errors import MappingError
from sync_engine.model.mappings import Mappings
from sync_engine.model.ports import Identifier, Json, Link, News, Record, Sketch


class Word(NamedTuple):
    """What a processing status means to us: to take, the lifecycle event it is news of, or why it is none of ours."""

    take: bool = False
    signals: tuple[str, ...] = ()
    ignore: str = ""


_OUT = "not ready for accounting"
_OURS = "in accounting's hands already"
_PREBOOK = "prebooking is not done here"
_ENRICH = "enrichment is not done here"
_LEAVING = "on its way out of AP automation"

# fmt: off
PROCESSING_STATUSES = {
    "New":                          Word(ignore=_OUT),
    "InDocumentFilter":             Word(ignore=_OUT),
    "DocumentFilterReleased":       Word(ignore=_OUT),
    "WaitingToBeCompleted":         Word(ignore=_OUT),
    "CompletionInProgress":         Word(ignore=_OUT),
    "Completed":                    Word(ignore=_OUT),
    "CompletionFailed":             Word(ignore=_OUT),
    "WaitingForPrebook":            Word(ignore=_PREBOOK),
    "PrebookInProgress":            Word(ignore=_PREBOOK),
    "Prebooked":                    Word(ignore=_PREBOOK),
    "PrebookFailed":                Word(ignore=_PREBOOK),
    "WaitingForPrebookCancelation": Word(ignore=_PREBOOK),
    "PrebookCancelationInProgress": Word(ignore=_PREBOOK),
    "PrebookCanceled":              Word(ignore=_PREBOOK),
    "PrebookCancelFailed":          Word(ignore=_PREBOOK),
    "WaitingForEnrichmentTransfer": Word(ignore=_ENRICH),
    "EnrichmentTransferInProgress": Word(ignore=_ENRICH),
    "EnrichmentTransferred":        Word(ignore=_ENRICH),
    "EnrichmentTransferFailed":     Word(ignore=_ENRICH),
    "WaitingForTransfer":           Word(take=True),
    "TransferInProgress":           Word(ignore=_OURS),
    "Transferred":                  Word(ignore=_OURS),
    "TransferFailed":               Word(ignore=_OURS),
    "Paid":                         Word(ignore=_OURS),
    "WaitingToBeRemoved":           Word(ignore=_LEAVING),
    "RemoveFailed":                 Word(ignore=_LEAVING),
    "WaitingToBeReturned":          Word(ignore=_LEAVING),
    "ReturnFailed":                 Word(ignore=_LEAVING),
    "Removed":                      Word(signals=("abandoned",)),
    "Returned":                     Word(signals=("abandoned",)),
}
REQUIRED = (
    "invoiceId", "processingStatus", "companyCode", "supplierCode", "currencyCode", "paymentBlock", "lastUpdated",
)
"""Fields the vendor promises; it leaves out the others where they have no value."""
# fmt: on


def understand(record: Record, mappings: Mappings) -> News:
    """An accounting document as news of one invoice.

    Raises:
        MappingError: an unknown status, a missing or retyped field, figures that do not add up, an unmapped word.
    """
    raw = _raw(record)
    identifier = Identifier(NAME, "invoice", _text(raw, "invoiceId"))
    updated_at = moment(_text(raw, "lastUpdated"))
    status = _text(raw, "processingStatus")
    word = PROCESSING_STATUSES.get(status)
    if word is None:
        raise MappingError(
            f"Invoice {raw.get('invoiceNumber') or identifier.external_id} is {status!r}, a word in no table.",
            system=NAME,
            code="status_unmapped",
            facts={"field": "processingStatus", "value": status},
        )
    if not word.take:
        # What has left, or is not here yet, need not be readable: only the status matters.
        return News(
            DocumentType.INVOICE,
            identifier,
            updated_at,
            None,
            signals=word.signals,
            source_status=status,
            ignore=word.ignore,
        )
    document = read(Invoice, invoice(raw, mappings), system=NAME)
    by_supplier = f"{document.supplier}/{document.supplier_invoice_number}"
    return News(
        DocumentType.INVOICE,
        identifier,
        updated_at,
        document,
        identifiers=(Identifier(NAME, "invoice_number", by_supplier),),
        links=tuple(Link("bills", Identifier("erp", "purchase_order", order)) for order in document.order_numbers),
        source_status=status,
    )


def invoice(raw: Json, mappings: Mappings) -> Json:
    """The canonical values of an accounting document.

    Payment term, tax codes and units stay in AP automation's words; the business unit is the only translation.
    """
    lines = [_invoice_line(line, place) for place, line in enumerate(rows_of(raw, "invoiceLines"), 1)]
    if not lines:
        # A tenant sends invoice lines only when told to; the coding rows say the same, as matched and split.
        lines = [_coding_row(row, place) for place, row in enumerate(rows_of(raw, "codingRows"), 1)]
    department = _text(raw, "organizationCode")
    return {
        "number": _text(raw, "invoiceId"),
        "business_unit": mappings.unit_of_department(department, system=NAME).code,
        "company_code": _text(raw, "companyCode"),
        "supplier_invoice_number": _text(raw, "invoiceNumber"),
        "supplier": _text(raw, "supplierCode"),
        "supplier_name": raw.get("supplierName") or "",
        "currency": _text(raw, "currencyCode"),
        "net_amount": _number(raw, "netSum"),
        # taxSum2 is the vendor's figure for tax that is not to be paid.
        "tax_amount": _number(raw, "taxSum1", default=Decimal(0)),
        "gross_amount": _number(raw, "grossSum"),
        "invoiced_on": _day(raw, "invoiceDate"),
        "baseline_on": _day(raw, "baseLineDate") or _day(raw, "invoiceDate"),
        "due_on": _day(raw, "dueDate"),
        "payment_term": raw.get("paymentTermCode") or "",
        "received_at": moment(_text(raw, "lastUpdated")),
        "order_numbers": tuple(dict.fromkeys(line["order_number"] for line in lines if line["order_number"])),
        "lines": tuple(lines),
    }


def _invoice_line(line: Json, place: int) -> Json:
    return {
        "number": place,
        "description": line.get("productName") or "",
        "quantity": _number(line, "quantity"),
        "unit": line.get("quantityUnit") or "EA",
        "unit_price": _number(line, "netPrice"),
        "amount": _number(line, "netSum"),
        "tax_code": line.get("taxCode") or "",
        "source_line_id": str(line.get("externalCode") or ""),
        "order_number": line.get("orderNumber") or "",
        "order_line": _order_line(line, "orderRowNumber"),
    }


def _coding_row(row: Json, place: int) -> Json:
    amount = _number(row, "netTotal")
    quantity = _number(row, "matchedQuantity", default=Decimal(0)) or Decimal(1)
    borne_by = {
        "account": row.get("accountCode") or "",
        "cost_centre": row.get("costCenterCode"),
        "profit_centre": row.get("profitCenterCode") or "",
        "internal_order": row.get("internalOrderCode") or "",
        "amount": amount,
    }
    return {
        "number": place,
        "description": row.get("orderLineDescription") or "",
        "quantity": quantity,
        "unit": row.get("orderLineUOM") or "EA",
        # A coding row has no billed price of its own; its order's price would hide a variance.
        "unit_price": (amount / quantity).quantize(Decimal("0.000001")),
        "amount": amount,
        "plant": row.get("plant") or "",
        "tax_code": row.get("taxCode") or "",
        "source_line_id": str(row.get("externalCode") or ""),
        "order_number": row.get("orderNumber") or "",
        "order_line": _order_line(row, "orderLineNumber"),
        "distributions": (borne_by,) if borne_by["cost_centre"] else (),
    }


def sketch(record: Record) -> Sketch | None:
    """What can be said of an invoice that cannot be understood; None without its id."""
    if not record.external_id:
        return None
    identifier = Identifier(NAME, "invoice", record.external_id)
    try:
        raw = json.loads(record.body, parse_float=str)
        return Sketch(
            DocumentType.INVOICE,
            identifier,
            number=_shown(raw, "invoiceNumber") or record.external_id,
            title=f"Invoice {_shown(raw, 'invoiceNumber')} of {_shown(raw, 'supplierName') or 'an unknown supplier'}",
            company_code=_shown(raw, "companyCode"),
            currency=_shown(raw, "currencyCode"),
            amount=_shown(raw, "grossSum"),
        )
    except (ValueError, AttributeError, RecursionError):
        return Sketch(DocumentType.INVOICE, identifier, number=record.external_id)


def _shown(raw: Json, field: str) -> str:
    value = raw.get(field)
    return str(value) if isinstance(value, str | int) else ""


def _raw(record: Record) -> Json:
    text = record.body.decode(errors="replace")
    if "\ufffd" in text:
        raise MappingError(
            "The invoice contains bytes that are not UTF-8.",
            system=NAME,
            code="field_invalid",
            facts={"field": "document", "value": "U+FFFD"},
        )
    raw: Json = json.loads(text, parse_float=Decimal)
    return raw


def _unreadable(raw: Json, field: str, expected: str) -> MappingError:
    """The error about a field that is missing or is not what it should be.

    The vendor omits what has no value, so only fields it promises, and fields of another type, break its contract.
    """
    value = excerpt(json.dumps(raw[field], default=str)) if field in raw else "missing"
    return MappingError(
        f"The invoice cannot be read: {field} is {value}, not {expected}.",
        system=NAME,
        code="contract_change" if field in raw or field in REQUIRED else "field_invalid",
        facts={"field": field, "value": value},
    )


def _text(raw: Json, field: str) -> str:
    value = raw.get(field)
    if not isinstance(value, str):
        raise _unreadable(raw, field, "text")
    return value


def _number(raw: Json, field: str, default: Decimal | None = None) -> Decimal:
    value = raw.get(field)
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, Decimal | int):
        raise _unreadable(raw, field, "a number")
    return Decimal(value)


def rows_of(raw: Json, field: str) -> list[Json]:
    value = raw.get(field)
    if value is None:
        return []
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise _unreadable(raw, field, "a list of rows")
    return value


def _order_line(row: Json, field: str) -> int | None:
    value = row.get(field)
    if value in (None, ""):
        return None
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise _invalid(field, value, "the number of an order line")
    return int(value)


def _day(raw: Json, field: str) -> date | None:
    """The calendar day a timestamp names. Its time of day is none (midnight, whatever the zone), so it is cut off."""
    value = raw.get(field)
    if value in (None, ""):
        return None
    try:
        return date.fromisoformat(_text(raw, field)[:10])
    except ValueError:
        raise _invalid(field, value, "a date") from None


def moment(text: str) -> datetime:
    """The moment a timestamp means; aware UTC.

    Raises:
        MappingError: it is none, or has no zone.
    """
    try:
        at = datetime.fromisoformat(text)
        if at.tzinfo is not None:
            return at.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise _invalid("lastUpdated", text, "a time with its zone")


def _invalid(field: str, value: object, expected: str) -> MappingError:
    shown = excerpt(str(value))
    message = f"The invoice cannot be read: {field} {shown!r} is not {expected}."
    return MappingError(message, system=NAME, code="field_invalid", facts={"field": field, "value": shown})
