"""Canonical documents as SAP bodies: pure, no call is made here.

Bodies carry the document's own numbers: an order's line 3 becomes item 3, so that a receipt or an invoice of item 3 is
one of line 3 without a table between. Quantities have three decimals in SAP and prices the currency's: what does not
fit is refused here, not rounded.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any, NamedTuple

from collectors.odata_values import json_day
from sync_engine.model.documents import (
    D,
    Distribution,
    Enrichment,
    Invoice,
    InvoiceLine,
    Line,
    PurchaseOrder,
    Requisition,
)
from sync_engine.model.errors import MappingError
from sync_engine.model.mappings import Mappings
from sync_engine.model.money import minor_units
from sync_engine.model.ports import Ask

SYSTEM = "s4hana"
ZERO, HUNDRED = Decimal(0), Decimal(100)
QUANTITY_DECIMALS, PERCENT_DECIMALS = 3, 1
PRICE_UNITS = (1, 10, 100, 1_000, 10_000)
"""How many units a price may be for: SAP keeps 0.0125 EUR apiece as 12.50 EUR per 1000."""

BY_QUANTITY, BY_PERCENT, BY_AMOUNT = "1", "2", "3"
"""MultipleAcctAssgmtDistribution (recalled; the EDMX gives the field, not its values)."""

SUPPLIER_NUMBER_CHARS = 16
"""SupplierInvoiceIDByInvcgParty is this long."""


def asked(ask: Ask, kind: type[D]) -> D:
    """The document an operation is asked about."""
    assert isinstance(ask.document, kind), (
        f"{ask.purpose} is about a {kind.__name__}, not a {type(ask.document).__name__}"
    )
    return ask.document


def sent(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only what has something to say: SAP fills the rest from its master data."""
    return {name: value for name, value in values.items() if value is not None and value != ""}


def exact(value: Decimal, decimals: int, what: str) -> str:
    """`value` as an Edm.Decimal, which JSON carries as text.

    >>> exact(Decimal("7"), 3, "the quantity"), exact(Decimal("1.2500"), 3, "the quantity")
    ('7', '1.25')

    Raises:
        MappingError: it has more decimals than SAP keeps.
    """
    if value != round(value, decimals):
        message = f"{what} is {value}; SAP keeps {decimals} decimals and nothing is rounded on the way"
        raise MappingError(message, system=SYSTEM, code="field_invalid", facts={"field": what, "value": value})
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def price(line: Line, currency: str) -> tuple[str, str]:
    """NetPriceAmount and NetPriceQuantity: the price, and for how many units.

    Raises:
        MappingError: no price unit shows it without rounding.
    """
    decimals = minor_units(currency)
    for units in PRICE_UNITS:
        amount = line.unit_price * units
        if amount == round(amount, decimals):
            return exact(amount, decimals, "the price"), str(units)
    return exact(line.unit_price, decimals, f"the price of line {line.number}"), "1"


class Split(NamedTuple):
    """How an item is spread over account assignments: SAP's indicator, and the share of each one."""

    indicator: str
    parts: tuple[dict[str, str], ...]


def split_of(line: Line, amount_field: str) -> Split:
    """The account assignments of a line, by the first measure that gives every one its exact amount.

    Args:
        line: Its distributions sum to its amount.
        amount_field: What the service calls an assignment's amount.
    """
    shares = [part for part in line.distributions if part.amount] or list(line.distributions)
    objects = [_cost_object(part) for part in shares]
    if len(shares) < 2:
        return Split("", tuple(objects))
    percents = [part.amount * HUNDRED / line.amount for part in shares]
    if all(percent == round(percent, PERCENT_DECIMALS) for percent in percents):
        told = [{"MultipleAcctAssgmtDistrPercent": exact(value, PERCENT_DECIMALS, "the share")} for value in percents]
        return _split(BY_PERCENT, objects, told)
    quantities = [part.amount / line.unit_price if line.unit_price else ZERO for part in shares]
    if all(value == round(value, QUANTITY_DECIMALS) for value in quantities) and sum(quantities) == line.quantity:
        told = [{"Quantity": exact(value, QUANTITY_DECIMALS, "the quantity")} for value in quantities]
        return _split(BY_QUANTITY, objects, told)
    return _split(BY_AMOUNT, objects, [{amount_field: format(part.amount, "f")} for part in shares])


def _split(indicator: str, objects: Sequence[dict[str, str]], told: Sequence[dict[str, str]]) -> Split:
    return Split(indicator, tuple({**one, **share} for one, share in zip(objects, told, strict=True)))


def _cost_object(part: Distribution) -> dict[str, str]:
    return sent(
        {
            "GLAccount": part.account,
            "CostCenter": part.cost_centre,
            "ProfitCenter": part.profit_centre,
            "OrderID": part.internal_order,
            "WBSElement": part.wbs_element,
        }
    )


def _category(line: Line) -> str:
    """AccountAssignmentCategory: project, internal order, cost centre, or none."""
    if not line.distributions:
        return ""
    first = line.distributions[0]
    return "P" if first.wbs_element else "F" if first.internal_order else "K"


def order_item(
    line: Line, currency: str, *, requester: str, need_by_on: date | None, material_group: str
) -> dict[str, Any]:
    """An item of an order. Plant, tax code and unit are the ERP's already."""
    amount, units = price(line, currency)
    split = split_of(line, "PurgDocNetAmount")
    day = line.need_by_on or need_by_on
    return sent(
        {
            "PurchaseOrderItem": str(line.number),
            "PurchaseOrderItemText": line.description[:40],
            "Plant": line.plant,
            "MaterialGroup": material_group,
            "OrderQuantity": exact(line.quantity, QUANTITY_DECIMALS, f"the quantity of line {line.number}"),
            "PurchaseOrderQuantityUnit": line.unit,
            "OrderPriceUnit": line.unit,
            "NetPriceAmount": amount,
            "NetPriceQuantity": units,
            "TaxCode": line.tax_code,
            "AccountAssignmentCategory": _category(line),
            "MultipleAcctAssgmtDistribution": split.indicator,
            "PartialInvoiceDistribution": "2" if split.indicator else "",  # each invoice by the same shares
            "GoodsReceiptIsExpected": line.receipt_required,
            "InvoiceIsExpected": True,
            "InvoiceIsGoodsReceiptBased": False,
            "RequisitionerName": requester[:12],
            "to_AccountAssignment": [
                {"AccountAssignmentNumber": str(position), **part} for position, part in enumerate(split.parts, start=1)
            ],
            "to_ScheduleLine": [{"ScheduleLine": "1", "ScheduleLineDeliveryDate": json_day(day)}] if day else None,
        }
    )


def order_body(order: PurchaseOrder, *, reference: str, order_type: str, material_group: str) -> dict[str, Any]:
    """An order with items, account assignments and delivery days, for one deep insert."""
    return sent(
        {
            "CompanyCode": order.company_code,
            "PurchaseOrderType": order_type,
            "Supplier": order.supplier,
            "PurchasingOrganization": order.purchasing_organization,
            "PurchasingGroup": order.purchasing_group,
            "DocumentCurrency": order.currency,
            "PurchaseOrderDate": json_day(order.ordered_on),
            "PaymentTerms": order.payment_term,
            "CorrespncExternalReference": reference,
            "to_PurchaseOrderItem": [
                order_item(
                    line,
                    order.currency,
                    requester=order.requester.user,
                    need_by_on=order.need_by_on,
                    material_group=material_group,
                )
                for line in order.lines
            ],
        }
    )


def requisition_body(
    asked: Requisition, enrichment: Enrichment, mappings: Mappings, *, requisition_type: str
) -> dict[str, Any]:
    """A requisition that SAP is to check and not to keep."""
    return {
        "PurchaseRequisitionType": requisition_type,
        "PurReqnDescription": asked.title[:40],
        "PurReqnDoOnlyValidation": True,
        "to_PurchaseReqnItem": [_requisition_item(asked, line, enrichment, mappings) for line in asked.lines],
    }


def _requisition_item(asked: Requisition, line: Line, enrichment: Enrichment, mappings: Mappings) -> dict[str, Any]:
    amount, units = price(line, asked.currency)
    split = split_of(line, "PurReqnNetAmount")
    day = line.need_by_on or asked.need_by_on
    return sent(
        {
            "PurchaseRequisitionItem": str(line.number),
            "PurchaseRequisitionItemText": line.description[:40],
            "RequestedQuantity": exact(line.quantity, QUANTITY_DECIMALS, f"the quantity of line {line.number}"),
            "BaseUnit": mappings.unit_of_measure(line.unit),
            "PurchaseRequisitionPrice": amount,
            "PurReqnPriceQuantity": units,
            "PurReqnItemCurrency": asked.currency,
            "Plant": enrichment.plants.get(line.plant, "") or (mappings.plant(line.plant) if line.plant else ""),
            "CompanyCode": asked.company_code,
            "PurchasingOrganization": enrichment.purchasing_organization,
            "PurchasingGroup": enrichment.purchasing_group,
            "FixedSupplier": enrichment.suppliers.get(line.supplier, ""),
            "DeliveryDate": json_day(day) if day else None,
            "RequisitionerName": asked.requester.user[:12],
            "AccountAssignmentCategory": _category(line),
            "MultipleAcctAssgmtDistribution": split.indicator,
            "PurReqnExternalReference": asked.number[:35],
            "to_PurchaseReqnAcctAssgmt": [
                {"PurchaseReqnAcctAssgmtNumber": str(position), **part}
                for position, part in enumerate(split.parts, start=1)
            ],
        }
    )


def supplier_reference(invoice: Invoice) -> str:
    """The supplier's invoice number as SAP keeps it: in capitals, and the last 16 characters, where suppliers count."""
    return invoice.supplier_invoice_number.upper()[-SUPPLIER_NUMBER_CHARS:]


def invoice_body(
    invoice: Invoice, *, posted_on: date, document_type: str, order_lines: Sequence[Mapping[str, Any]], reference: str
) -> dict[str, Any]:
    """An invoice against orders, to be posted at once.

    Args:
        invoice: Its supplier is the ERP's number.
        posted_on: The day its ledger posts on.
        document_type: The kind of accounting document.
        order_lines: What was matched: "line" of the invoice, "order_number" and "item" it bills.
        reference: Ours, for the people who look at it in SAP.

    Raises:
        MappingError: a line names no order or no line of it.
    """
    tax_codes = list(dict.fromkeys(line.tax_code for line in invoice.lines if line.tax_code))
    taxes = [{"TaxCode": tax_codes[0], "TaxAmount": format(invoice.tax_amount, "f")}] if len(tax_codes) == 1 else []
    return sent(
        {
            "CompanyCode": invoice.company_code,
            "DocumentDate": json_day(invoice.invoiced_on),
            "PostingDate": json_day(posted_on),
            "InvoicingParty": invoice.supplier,
            "SupplierInvoiceIDByInvcgParty": supplier_reference(invoice),
            "DocumentCurrency": invoice.currency,
            "InvoiceGrossAmount": format(invoice.gross_amount, "f"),
            "AccountingDocumentType": document_type,
            "PaymentTerms": invoice.payment_term,
            "DueCalculationBaseDate": json_day(invoice.baseline_on),
            "NetPaymentDays": str((invoice.due_on - invoice.baseline_on).days),
            "PaymentReference": invoice.supplier_invoice_number.upper()[:30],
            "AssignmentReference": reference,
            "DocumentHeaderText": invoice.number[:25],
            "TaxIsCalculatedAutomatically": not taxes,
            "to_SupplierInvoiceTax": taxes or None,
            "to_SuplrInvcItemPurOrdRef": [_invoice_item(invoice, line, order_lines) for line in invoice.lines],
        }
    )


def _invoice_item(invoice: Invoice, line: InvoiceLine, order_lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    numbers = invoice.order_numbers
    matched = next((told for told in order_lines if told["line"] == line.number), {})
    order = matched.get("order_number") or line.order_number or (numbers[0] if len(numbers) == 1 else "")
    item = matched.get("item") or line.order_line
    if not order or item is None:
        message = f"Line {line.number} of invoice {invoice.number} does not say which order line it bills"
        raise MappingError(message, system=SYSTEM, code="order_missing", facts={"line": line.number, "order": order})
    return sent(
        {
            "SupplierInvoiceItem": str(line.number),
            "PurchaseOrder": order,
            "PurchaseOrderItem": str(item),
            "SupplierInvoiceItemText": line.description[:50],
            "DocumentCurrency": invoice.currency,
            "SupplierInvoiceItemAmount": format(line.amount, "f"),
            "QuantityInPurchaseOrderUnit": exact(
                line.quantity, QUANTITY_DECIMALS, f"the quantity of line {line.number}"
            ),
            "PurchaseOrderQuantityUnit": line.unit,
            "TaxCode": line.tax_code,
        }
    )
