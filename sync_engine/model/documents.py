"""The canonical documents: what every system's papers are turned into before anything is decided about them.

A canonical document is complete and consistent or it does not exist: lines sum to their document, distributions sum
to their line, amounts fit their currency. `read` turns anything else into a `MappingError` that names the field, the
value and the kind of exception. Amounts are Decimal in the document's currency; times are aware UTC.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from pydantic_core import PydanticCustomError

from sync_engine.model.errors import MappingError
from sync_engine.model.money import currencies, is_whole_minor_units, parse_amount, rounded

SCHEMA_VERSION = "1.0"
EARLIEST = date(1990, 1, 1)
LATEST = date(2100, 1, 1)


class DocumentType(StrEnum):
    """The object types of the event log."""

    SUPPLIER = "supplier"
    REQUISITION = "requisition"
    APPROVAL = "approval"
    PURCHASE_ORDER = "purchase_order"
    CHANGE_ORDER = "change_order"
    GOODS_RECEIPT = "goods_receipt"
    INVOICE = "invoice"
    POSTING = "posting"


class ApprovalStatus(StrEnum):
    """What the business agreed. Says nothing about the ledger."""

    NOT_REQUIRED = "not_required"
    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    CONFLICT = "conflict"  # two systems disagree: a state of its own, not the later or the nicer word


class PostingStatus(StrEnum):
    """What the ledger accepted. Says nothing about who agreed."""

    NOT_SUBMITTED = "not_submitted"
    UNKNOWN = "unknown"  # sent, and the answer was lost
    REFUSED = "refused"
    ACCEPTED = "accepted"
    BLOCKED = "blocked"  # posted, and blocked for payment
    POSTED = "posted"
    CLEARED = "cleared"
    REVERSED = "reversed"


class Decision(StrEnum):
    """What became of one request for approval."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    NOT_REQUIRED = "not_required"


def _amount(value: object) -> Decimal:
    try:
        return parse_amount(value)
    except ValueError as error:
        raise PydanticCustomError("field_invalid", "{reason}", {"reason": str(error)}) from None


def _currency(value: str) -> str:
    if value not in currencies():
        raise PydanticCustomError("currency_unknown", "{currency} is not a known currency", {"currency": repr(value)})
    return value


def _plausible(value: date) -> date:
    day = value.date() if isinstance(value, datetime) else value
    if not EARLIEST <= day <= LATEST:
        raise PydanticCustomError("field_invalid", "{day} cannot be the date of a document", {"day": day.isoformat()})
    return value


def _utc(value: datetime) -> datetime:
    if value.tzinfo is None:
        raise PydanticCustomError("field_invalid", "{moment} has no time zone", {"moment": value.isoformat()})
    return value.astimezone(UTC)


def _storable(value: str) -> str:
    if "\x00" in value:
        raise PydanticCustomError("field_invalid", "it contains a NUL character, which no text of a document has")
    return value


Amount = Annotated[Decimal, BeforeValidator(_amount)]
Currency = Annotated[str, AfterValidator(_currency)]
Moment = Annotated[datetime, AfterValidator(_plausible), AfterValidator(_utc)]
Day = Annotated[date, AfterValidator(_plausible)]
Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000), AfterValidator(_storable)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=255), AfterValidator(_storable)]
Ordinal = Annotated[int, Field(ge=0, lt=2**31)]
"""A line's or a version's number, as far as the database counts."""
Share = Annotated[Decimal, BeforeValidator(_amount)]


class Canonical(BaseModel):
    """Base of every canonical value: immutable, and nothing in it that no field explains."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Person(Canonical):
    """Somebody, as one system knows them. `user` is that system's login."""

    user: Name
    name: Text = ""
    email: Text = ""


class Distribution(Canonical):
    """One accounting distribution of a line: who bears which part of its amount."""

    account: Text = ""
    cost_centre: Name
    profit_centre: Text = ""
    internal_order: Text = ""
    wbs_element: Text = ""
    amount: Amount


class Line(Canonical):
    """One line of a requisition, order or invoice; its distributions sum to its amount."""

    number: Ordinal
    description: Text = ""
    quantity: Amount
    unit: Text = "EA"
    unit_price: Amount
    amount: Amount
    category: Text = ""
    plant: Text = ""
    tax_code: Text = ""
    need_by_on: Day | None = None
    supplier: Text = ""
    contract: Text = ""
    receipt_required: bool = True
    source_line_id: Text = ""
    distributions: tuple[Distribution, ...] = ()

    @model_validator(mode="after")
    def _distributions_sum(self) -> Self:
        if self.distributions:
            total = sum((part.amount for part in self.distributions), Decimal(0))
            if total != self.amount:
                raise PydanticCustomError(
                    "lines_do_not_sum",
                    "the distributions of line {line} add up to {total}, its amount is {amount}",
                    {"line": self.number, "total": str(total), "amount": str(self.amount)},
                )
        return self


class InvoiceLine(Line):
    """A line of an invoice, and the order line it bills."""

    order_number: Text = ""
    order_line: Ordinal | None = None


class ReceiptLine(Canonical):
    """One line of a goods receipt; a reversal carries a negative quantity."""

    number: Ordinal
    order_number: Name
    order_line: Ordinal
    quantity: Amount
    unit: Text = "EA"


class Document(Canonical):
    """What all canonical documents share."""

    type: ClassVar[DocumentType]

    schema_version: Literal["1.0"] = "1.0"
    number: Name
    business_unit: Text = ""
    company_code: Text = ""

    @property
    def called(self) -> str:
        """What people call it: in lists, in sentences, on the phone."""
        return self.number

    @property
    def payload_hash(self) -> bytes:
        """SHA-256 of the canonical JSON form: what an approval and an idempotency key are bound to."""
        return hashlib.sha256(self.canonical_json()).digest()

    @property
    def stated_amount(self) -> tuple[Decimal, str] | None:
        """What it is about in money, gross where it says so, and the currency; None for a document without an amount."""
        values = self.__dict__
        amount, currency = values.get("gross_amount", values.get("amount")), values.get("currency")
        return None if amount is None or currency is None else (amount, currency)

    def canonical_json(self) -> bytes:
        """The document's one JSON form: fields in declared order, amounts as text, times in UTC."""
        return self.__pydantic_serializer__.to_json(self)


def _check_lines(currency: str, amount: Decimal, lines: tuple[Line, ...]) -> None:
    total = sum((line.amount for line in lines), Decimal(0))
    if total != amount:
        raise PydanticCustomError(
            "lines_do_not_sum",
            "the {count} lines add up to {total} {currency}, the document says {amount}",
            {"count": len(lines), "total": str(total), "currency": currency, "amount": str(amount)},
        )
    numbers = [line.number for line in lines]
    if len(set(numbers)) != len(numbers):
        raise PydanticCustomError("field_invalid", "line numbers repeat: {numbers}", {"numbers": str(numbers)})
    for line in lines:
        if not is_whole_minor_units(line.amount, currency):
            raise PydanticCustomError(
                "field_invalid",
                "{amount} has more decimals than {currency} allows (line {line})",
                {"amount": str(line.amount), "currency": currency, "line": line.number},
            )


def _line_amounts_follow(lines: tuple[Line, ...], currency: str) -> None:
    """Quantity times price is the amount, to the minor unit. Amount-based lines have a quantity of one."""
    for line in lines:
        expected = rounded(line.quantity * line.unit_price, currency)
        if expected != line.amount:
            raise PydanticCustomError(
                "lines_do_not_sum",
                "line {line}: {quantity} at {price} is {expected}, the line says {amount}",
                {
                    "line": line.number,
                    "quantity": str(line.quantity),
                    "price": str(line.unit_price),
                    "expected": str(expected),
                    "amount": str(line.amount),
                },
            )


class Enrichment(Canonical):
    """What the hub added to a requisition, with source and version of each addition (R108-R110)."""

    mapping_version: Name
    suppliers: dict[str, str]
    """Procurement's supplier id to the ERP's supplier number."""
    supplier_names: dict[str, str]
    """ERP supplier number to the supplier's name."""
    payment_terms: dict[str, str]
    """ERP supplier number to the ERP's payment term; empty where procurement states none."""
    purchasing_organization: Name
    purchasing_group: Name
    cost_centres: dict[str, tuple[str, ...]]
    """Cost centre to its place in the hierarchy, leaf first."""
    plants: dict[str, str]
    """Procurement's plant code to the ERP's."""
    group_amount: Amount
    """The amount in group currency."""
    group_currency: Currency
    rate: Amount
    rate_on: Day
    rate_source: Name


class Requisition(Document):
    """Somebody asks to buy something."""

    type: ClassVar[DocumentType] = DocumentType.REQUISITION

    title: Text = ""
    requester: Person
    currency: Currency
    amount: Amount
    lines: tuple[Line, ...]
    submitted_at: Moment
    need_by_on: Day | None = None
    justification: Text = ""
    eligibility_checked: bool = False
    """Procurement has checked catalogue and supplier eligibility (R107)."""
    enrichment: Enrichment | None = None

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if not self.lines:
            raise PydanticCustomError("field_invalid", "a requisition has at least one line")
        if self.amount <= 0:
            raise PydanticCustomError(
                "field_invalid", "{amount} is not an amount to buy for", {"amount": str(self.amount)}
            )
        _check_lines(self.currency, self.amount, self.lines)
        _line_amounts_follow(self.lines, self.currency)
        for line in self.lines:
            if not line.distributions:
                raise PydanticCustomError(
                    "cost_centre_missing", "line {line} names no cost centre", {"line": line.number}
                )
        return self

    @property
    def suppliers(self) -> tuple[str, ...]:
        """Procurement's supplier ids on the lines, each once, in line order."""
        return tuple(dict.fromkeys(line.supplier for line in self.lines))


class Approval(Document):
    """One request for one decision, and what became of it."""

    type: ClassVar[DocumentType] = DocumentType.APPROVAL

    system: Name
    request: Text = ""
    """The request it belongs to, where one request asks several people."""
    group: Text = ""
    position: int = 0
    approver: Person | None = None
    decided_by: Person | None = None
    """Who really pressed the button: a delegate or an integration user may differ from the approver."""
    decision: Decision
    requested_at: Moment
    decided_at: Moment | None = None
    comment: Text = ""


class PurchaseOrder(Document):
    """An order to one supplier. `number` is ours until the ERP has given `erp_number`."""

    type: ClassVar[DocumentType] = DocumentType.PURCHASE_ORDER

    requisition_number: Name
    requisition_source_id: Name
    requester: Person
    supplier: Name
    """The supplier's number in the ERP."""
    supplier_name: Text = ""
    currency: Currency
    amount: Amount
    purchasing_organization: Name
    purchasing_group: Name
    payment_term: Text = ""
    ordered_on: Day
    need_by_on: Day | None = None
    lines: tuple[Line, ...]
    version: Ordinal = 1
    erp_number: Text = ""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        _check_lines(self.currency, self.amount, self.lines)
        _line_amounts_follow(self.lines, self.currency)
        return self


class ChangeOrder(Document):
    """A wish to change an order that the ERP has already accepted."""

    type: ClassVar[DocumentType] = DocumentType.CHANGE_ORDER

    order_number: Name
    source_order_id: Name
    version: Ordinal
    requested_by: Person
    currency: Currency
    amount: Amount
    lines: tuple[Line, ...]
    requested_at: Moment
    cancels: bool = False

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        _check_lines(self.currency, self.amount, self.lines)
        _line_amounts_follow(self.lines, self.currency)
        return self


class GoodsReceipt(Document):
    """Something has arrived, or a receipt has been reversed."""

    type: ClassVar[DocumentType] = DocumentType.GOODS_RECEIPT

    posted_on: Day
    entered_at: Moment
    lines: tuple[ReceiptLine, ...]

    @property
    def order_numbers(self) -> tuple[str, ...]:
        """The orders it is about, each once."""
        return tuple(dict.fromkeys(line.order_number for line in self.lines))


class Invoice(Document):
    """A supplier asks to be paid. `number` is the AP platform's; the supplier's own is beside it."""

    type: ClassVar[DocumentType] = DocumentType.INVOICE

    supplier_invoice_number: Name
    supplier: Name
    supplier_name: Text = ""
    currency: Currency
    net_amount: Amount
    tax_amount: Amount
    gross_amount: Amount
    invoiced_on: Day
    baseline_on: Day
    due_on: Day
    payment_term: Text = ""
    received_at: Moment
    order_numbers: tuple[str, ...] = ()
    lines: tuple[InvoiceLine, ...]

    @property
    def called(self) -> str:
        """The supplier's own number: the AP platform's is one that nobody would read out."""
        return self.supplier_invoice_number

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if self.net_amount + self.tax_amount != self.gross_amount:
            raise PydanticCustomError(
                "lines_do_not_sum",
                "net {net} and tax {tax} are not gross {gross}",
                {"net": str(self.net_amount), "tax": str(self.tax_amount), "gross": str(self.gross_amount)},
            )
        _check_lines(self.currency, self.net_amount, self.lines)
        return self


class Posting(Document):
    """An accounting document of the ERP that settles or books something of ours."""

    type: ClassVar[DocumentType] = DocumentType.POSTING

    fiscal_year: Name
    supplier: Text = ""
    invoice_number: Text = ""
    """The ERP's supplier invoice this posting books, without leading zeros."""
    currency: Currency
    amount: Amount
    posted_on: Day
    cleared_on: Day | None = None
    clearing_document: Text = ""
    is_reversal: bool = False


class Supplier(Document):
    """Somebody to buy from."""

    type: ClassVar[DocumentType] = DocumentType.SUPPLIER

    name: Name
    country: Text = ""
    tax_id: Text = ""
    erp_number: Text = ""
    payment_term: Text = ""
    status: Text = "active"
    on_hold: bool = False
    updated_at: Moment


DOCUMENTS: dict[DocumentType, type[Document]] = {
    kind.type: kind
    for kind in (Supplier, Requisition, Approval, PurchaseOrder, ChangeOrder, GoodsReceipt, Invoice, Posting)
}

D = TypeVar("D", bound=Document)


def read(kind: type[D], values: Mapping[str, Any], *, system: str) -> D:
    """The canonical document that `values` spell.

    Raises:
        MappingError: naming the first field that is wrong, its value and the kind of exception.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise mapping_error(error, system=system, what=kind.type.value.replace("_", " ")) from None


def mapping_error(error: ValidationError, *, system: str, what: str) -> MappingError:
    """What a person can do with a validation error: the field, the value and the sentence."""
    first = error.errors(include_url=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "document"
    code = first["type"] if first["type"] in _OUR_CODES else "field_invalid"
    given = first.get("input")
    value = "" if isinstance(given, BaseModel | dict | list | tuple) else repr(given)[:200]
    message = f"The {what} cannot be read: {place}: {first['msg']}" + (f" (value {value})" if value else "")
    return MappingError(message, system=system, code=code, facts={"field": place, "value": value})


_OUR_CODES = {"field_invalid", "lines_do_not_sum", "currency_unknown", "cost_centre_missing"}
