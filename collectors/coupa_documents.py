"""Coupa's records in canonical words: the status tables, and what each kind of record means to us.

Pure: a record and the mapping tables in, news out. Suppliers, plants, tax codes, payment terms and units of measure
stay in Coupa's words; the hub translates them. A status word that is in no table raises MappingError; it is never
passed through. What an instance calls its own fields, and thus how its records are understood, is mapping data too.
"""

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple, NoReturn

from collectors.coupa_api import NAME, Part, moment_of, record_or_empty
from collectors.http import excerpt
from sync_engine.model import documents
from sync_engine.model.documents import (
    Approval,
    ApprovalStatus,
    ChangeOrder,
    Decision,
    DocumentType,
    Requisition,
    Supplier,
)
from sync_engine.model.errors import MappingError
from sync_engine.model.mappings import BusinessUnit, Mappings
from sync_engine.model.money import split
from sync_engine.model.ports import Identifier, Json, Link, News, Record, Sketch

FIELD_TABLE = "coupa_fields"
"""A mapping table that says what this instance calls its own fields; without an entry the name here is meant."""
FIELD_NAMES = {"plant": "plant", "tax_code": "tax-code", "catalogue_checked": "catalogue-checked"}


class Meaning(NamedTuple):
    """What a requisition's status word means to us; `ignore` says why it is none of our business."""

    approval_status: ApprovalStatus | None = None
    signal: str = ""
    ignore: str = ""


# fmt: off
REQUISITION_STATUSES = {
    # Coupa's word            what the business agreed            signal
    "pending_approval":       Meaning(ApprovalStatus.PENDING),
    "pending_buyer_action":   Meaning(ApprovalStatus.PENDING),
    "approved":               Meaning(ApprovalStatus.APPROVED,    "procurement_approved"),
    "ordered":                Meaning(ApprovalStatus.APPROVED,    "procurement_approved"),
    "partially_received":     Meaning(ApprovalStatus.APPROVED,    "procurement_approved"),
    "received":               Meaning(ApprovalStatus.APPROVED,    "procurement_approved"),
    "abandoned":              Meaning(ApprovalStatus.WITHDRAWN,   "withdrawn"),
    "withdrawn":              Meaning(ApprovalStatus.WITHDRAWN,   "withdrawn"),
    "draft":                  Meaning(ignore="the requisition is a draft"),
    "cart":                   Meaning(ignore="the requisition is a shopping cart"),
    "backgrounded":           Meaning(ignore="Coupa is still working on the requisition"),
}
REJECTED = Meaning(ApprovalStatus.REJECTED, "procurement_rejected")
"""Coupa has no word for it: a refused requisition is a draft that carries the reason."""

APPROVAL_STATUSES = {
    # The vendor does not publish the whole list; None is an approval whose turn has not come.
    "":                       None,
    "pending_approval":       Decision.PENDING,
    "pending":                Decision.PENDING,
    "on_hold":                Decision.PENDING,
    "approved":               Decision.APPROVED,
    "rejected":               Decision.REJECTED,
    "escalated":              Decision.CANCELLED,  # somebody else is asked instead, in an approval of its own
    "cancelled":              Decision.CANCELLED,
    "canceled":               Decision.CANCELLED,
}
DECISION_SIGNALS = {
    Decision.APPROVED:        "approval_granted",
    Decision.REJECTED:        "approval_denied",
    Decision.CANCELLED:       "approval_cancelled",
}

ORDER_STATUSES = {
    # Coupa's word: whether a revision in it is a wish to change the order, to cancel it, or none of our business.
    "issued":                 "changes",
    "cancelled":              "cancels",
    "canceled":               "cancels",   # the vendor's own guide spells it so
    "closed":                 "the order is closed",
    "soft_closed":            "the order is closed",
    "draft":                  "the order is a draft",
    "error":                  "Coupa could not send the order",
    "expensed":               "the order was expensed",
    "exported":               "already exported",
    "buyer_hold":             "the buyer holds the order",
    "currency_hold":          "the order waits for an exchange rate",
    "supplier_hold":          "the supplier holds the order",
    "supplier_window_hold":   "the order waits for the supplier's order window",
}

SUPPLIER_STATUSES = frozenset({"draft", "active", "inactive"})
# fmt: on


def _field_name(mappings: Mappings, what: str) -> str:
    table = mappings.tables.get(FIELD_TABLE)
    return str(table.entries.get(what, FIELD_NAMES[what])) if table is not None else FIELD_NAMES[what]


def _person(part: Part) -> Json:
    names = (part.text_or_empty("firstname"), part.text_or_empty("lastname"))
    return {
        "user": part.text("login"),
        "name": part.text_or_empty("fullname") or " ".join(name for name in names if name),
        "email": part.text_or_empty("email"),
    }


def currency_of(part: Part) -> str:
    """The currency's code. The vendor's description calls it a text, its records hold an object."""
    if isinstance(part.raw.get("currency"), str):
        return part.text("currency")
    return part.part("currency").text("code")


def _distributions(line: Part, amount: Decimal, currency: str) -> list[Json]:
    """Who bears a line: one account, or the splits instead of it. Segments: company code, cost centre, account.

    The splits' percentages are divided anew into whole minor units; the amounts beside them have four decimals.
    """
    splits = line.parts("account-allocations", "split")
    if not splits:
        account = line.part_or_none("account")
        return [] if account is None else [_distribution(account, amount)]
    weights = [share.amount("pct") for share in splits]
    # Percentages carry ten decimals, so three thirds come to a little less than a hundred.
    if abs(sum(weights, Decimal(0)) - 100) > Decimal("0.01") or min(weights) <= 0:
        listed = ", ".join(str(weight) for weight in weights)
        line.refuse("lines_do_not_sum", "account-allocations", listed, f"its splits are {listed} per cent")
    parts = split(amount, weights, currency)
    return [_distribution(share.part("account"), part) for share, part in zip(splits, parts, strict=True)]


def _distribution(account: Part, amount: Decimal) -> Json:
    cost_centre = account.text_or_empty("segment-2")
    if not cost_centre:
        account.refuse("cost_centre_missing", "segment-2", None, "the account names no cost centre")
    return {"account": account.text_or_empty("segment-3"), "cost_centre": cost_centre, "amount": amount}


def _line(line: Part, currency: str, mappings: Mappings, *, price: str, source_id: str, need_by: date | None) -> Json:
    """A line of a requisition or an order. One that is bought by amount has no quantity and counts as one of it."""
    own = line.part_or_none("currency")
    if own is not None and own.text("code") != currency:
        line.refuse("field_invalid", "currency", own.text("code"), f"it is in {own.text('code')}, not in {currency}")
    amount = line.amount("total")
    supplier, contract = line.part_or_none("supplier"), line.part_or_none("contract")
    unit, commodity = line.part_or_none("uom"), line.part_or_none("commodity")
    return {
        "number": line.number("line-num"),
        "description": line.text_or_empty("description"),
        "quantity": Decimal(1) if line.raw.get("quantity") is None else line.amount("quantity"),
        "unit": unit.text("code") if unit else "EA",
        "unit_price": line.amount(price),
        "amount": amount,
        "category": commodity.text_or_empty("name") if commodity else "",
        "plant": line.custom_text(_field_name(mappings, "plant")),
        "tax_code": line.custom_text(_field_name(mappings, "tax_code")),
        "need_by_on": line.day_or_none("need-by-date") or need_by,
        "supplier": str(supplier.number("id")) if supplier else "",
        "contract": contract.text_or_empty("number") or contract.text_or_empty("name") if contract else "",
        # Unset means that nobody waived it.
        "receipt_required": line.raw.get("receipt-required") is not False,
        "source_line_id": source_id,
        "distributions": _distributions(line, amount, currency),
    }


def _unit(part: Part | None, whole: Part, mappings: Mappings) -> BusinessUnit:
    if part is None:
        whole.refuse("field_invalid", "department", None, "it names no department, so no business unit")
    return mappings.unit_of_department(part.text("name"), system=NAME)


def requisition(raw: Json, mappings: Mappings) -> Requisition:
    """The canonical requisition. Suppliers, plants, tax codes and units stay in Coupa's words.

    Raises:
        MappingError: it cannot be read, or does not add up.
    """
    whole = Part(raw, f"requisition {raw.get('id')}")
    unit, currency = _unit(whole.part_or_none("department"), whole, mappings), currency_of(whole)
    need_by = whole.day_or_none("need-by-date")
    checked = whole.custom(_field_name(mappings, "catalogue_checked"))
    lines = [
        _line(line, currency, mappings, price="unit-price", source_id=str(line.number("id")), need_by=need_by)
        for line in whole.parts("requisition-lines", "line", needed=True)
    ]
    values = {
        "number": str(whole.number("id")),
        "business_unit": unit.code,
        "company_code": unit.company_code,
        "title": whole.text_or_empty("req-title") or (lines[0]["description"] if lines else ""),
        "requester": _person(whole.part("requested-by")),
        "currency": currency,
        "amount": whole.amount("total"),
        "lines": lines,
        "submitted_at": whole.moment("submitted-at"),
        "need_by_on": need_by,
        "justification": whole.text_or_empty("justification"),
        "eligibility_checked": str(checked).lower() in {"true", "yes", "1"},
    }
    return documents.read(Requisition, values, system=NAME)


def approval(raw: Json) -> Approval:
    """The canonical approval.

    Raises:
        MappingError: it cannot be read, its status is not known, or its turn has not come.
    """
    whole = Part(raw, f"approval {raw.get('id')}")
    decision = decision_of(whole)
    approver, decided_by = whole.part_or_none("approver"), whole.part_or_none("approved-by")
    is_group = approver is not None and "login" not in approver.raw
    decided_at = None
    if decision not in {None, Decision.PENDING}:
        decided_at = whole.moment("approval-date" if whole.raw.get("approval-date") else "updated-at")
    values = {
        "number": str(whole.number("id")),
        "system": NAME,
        "group": approver.text_or_empty("name") if approver and is_group else "",
        "position": whole.number("position"),
        "approver": _person(approver) if approver and not is_group else None,
        "decided_by": _person(decided_by) if decided_by else None,
        "decision": decision,
        "requested_at": whole.moment("created-at"),
        "decided_at": decided_at,
        "comment": whole.text_or_empty("note"),
    }
    return documents.read(Approval, values, system=NAME)


def decision_of(whole: Part) -> Decision | None:
    """What became of an approval so far; None while its turn has not come.

    Raises:
        MappingError: its status is not known.
    """
    word = whole.text("status") if whole.raw.get("status") is not None or "status" not in whole.raw else ""
    if word not in APPROVAL_STATUSES:
        _unmapped(whole, word)
    return APPROVAL_STATUSES[word]


def supplier(raw: Json) -> Supplier:
    """The canonical supplier; it serves all business units.

    Raises:
        MappingError: it cannot be read, or its status is not known.
    """
    whole = Part(raw, f"supplier {raw.get('id')}")
    status = whole.text("status")
    if status not in SUPPLIER_STATUSES:
        _unmapped(whole, status)
    address, term = whole.part_or_none("primary-address"), whole.part_or_none("payment-term")
    country = address.part_or_none("country") if address else None
    values = {
        "number": str(whole.number("id")),
        "name": whole.text("name"),
        "country": country.text_or_empty("code") if country else "",
        "tax_id": whole.text_or_empty("tax-id"),
        "erp_number": whole.text_or_empty("number"),
        "payment_term": term.text_or_empty("code") if term else "",
        "status": status,
        "on_hold": whole.raw.get("on-hold") is True,
        "updated_at": whole.moment("updated-at"),
    }
    return documents.read(Supplier, values, system=NAME)


def change_order(raw: Json, mappings: Mappings, *, cancels: bool) -> ChangeOrder:
    """The canonical wish to change an order. Its lines name the requisition lines they came from.

    Raises:
        MappingError: it cannot be read, or does not add up.
    """
    whole = Part(raw, f"purchase order {raw.get('id')}")
    header, currency = whole.part_or_none("requisition-header"), currency_of(whole)
    lines = whole.parts("order-lines", "line", needed=True)
    department = header.part_or_none("department") if header else None
    unit = _unit(department or (lines[0].part_or_none("department") if lines else None), whole, mappings)
    read = [
        _line(line, currency, mappings, price="price", source_id=_order_line_source(line), need_by=None)
        for line in lines
    ]
    values = {
        "number": f"{whole.text('po-number')}/{whole.number('version')}",
        "business_unit": unit.code,
        "company_code": unit.company_code,
        "order_number": whole.text("po-number"),
        "source_order_id": str(whole.number("id")),
        "version": whole.number("version"),
        "requested_by": _person(whole.part("updated-by" if whole.raw.get("updated-by") else "created-by")),
        "currency": currency,
        "amount": sum((line["amount"] for line in read), Decimal(0)),
        "lines": read,
        "requested_at": whole.moment("updated-at"),
        "cancels": cancels,
    }
    return documents.read(ChangeOrder, values, system=NAME)


def _order_line_source(line: Part) -> str:
    return str(line.number("requisition-line-id" if line.raw.get("requisition-line-id") else "id"))


def _unmapped(whole: Part, word: str) -> NoReturn:
    whole.refuse("status_unmapped", "status", word, f"the status {word!r:.80} is not known")


def status_meaning(current: Part) -> Meaning:
    """What a requisition's status word means; whether a draft was refused is another question.

    Raises:
        MappingError: the word is not known.
    """
    word = current.text("status")
    if word not in REQUISITION_STATUSES:
        _unmapped(current, word)
    return REQUISITION_STATUSES[word]


def understand(record: Record, mappings: Mappings) -> News:
    """What a record of any feed means.

    Raises:
        MappingError: it cannot be understood; names the field, the value and the kind of exception.
    """
    try:
        raw = json.loads(record.body)
    except (ValueError, RecursionError):
        raw = None
    if not isinstance(raw, dict):
        shown = excerpt(record.body.decode(errors="replace"))
        raise MappingError(
            f"Coupa sent something that is not a {record.kind.replace('_', ' ')}: {shown}",
            system=NAME,
            code="contract_change",
            facts={"field": "", "value": shown},
        )
    whole = Part(raw, f"{record.kind.replace('_', ' ')} {raw.get('id')}")
    if any(mark in record.body for mark in (b"\xef\xbf\xbd", b"\\ufffd")):
        whole.refuse("field_invalid", "", None, "it contains bytes that are not UTF-8")
    return _MEANINGS[record.kind](whole, mappings)


def _requisition_news(whole: Part, mappings: Mappings) -> News:
    word, meaning = whole.text("status"), status_meaning(whole)
    if word == "draft" and whole.text_or_empty("reject-reason-comment"):
        meaning = REJECTED
    return News(
        document_type=DocumentType.REQUISITION,
        identifier=Identifier(NAME, "requisition", str(whole.number("id"))),
        source_at=source_at_of(whole.raw) or whole.moment("updated-at"),
        document=None if meaning.ignore else _requisition_as_it_stands(whole, mappings, meaning),
        approval_status=meaning.approval_status,
        signals=_requisition_signals(whole, meaning, mappings),
        source_status=word,
        ignore=meaning.ignore,
    )


def _requisition_signals(whole: Part, meaning: Meaning, mappings: Mappings) -> tuple[str, ...]:
    """What the status says has happened; and when the approval that is waited for is our own, the last in every chain,
    then everybody before us has agreed."""
    if meaning.signal:
        return (meaning.signal,)
    current = whole.part_or_none("current-approval") if meaning.approval_status is ApprovalStatus.PENDING else None
    approver = current.part_or_none("approver") if current is not None else None
    ours = approver is not None and mappings.is_integration_user(NAME, approver.text_or_empty("login"))
    return ("procurement_approved",) if ours else ()


def _requisition_as_it_stands(whole: Part, mappings: Mappings, meaning: Meaning) -> Requisition | None:
    """The requisition; None when it has ended and cannot be read.

    A refused or withdrawn one may be half changed by now. That it has ended counts, and nobody is asked to repair it.
    """
    try:
        return requisition(whole.raw, mappings)
    except MappingError:
        if meaning.approval_status in {ApprovalStatus.REJECTED, ApprovalStatus.WITHDRAWN}:
            return None
        raise


def _approval_news(whole: Part, mappings: Mappings) -> News:
    decision, approver = decision_of(whole), whole.part_or_none("approver")
    ignore = ""
    if whole.text("approvable-type") != "RequisitionHeader":
        ignore = f"it approves a {whole.text('approvable-type')}"
    elif decision is None:
        ignore = "its turn has not come"
    elif approver is not None and mappings.is_integration_user(NAME, approver.text_or_empty("login")):
        # Our own place in the chain is the step that returns our decision; it is nobody's approval (R085).
        ignore = "it is our own step"
    signal = DECISION_SIGNALS.get(decision) if decision is not None else None
    return News(
        document_type=DocumentType.APPROVAL,
        identifier=Identifier(NAME, "approval", str(whole.number("id"))),
        source_at=whole.moment("updated-at"),
        document=None if ignore else approval(whole.raw),
        links=(Link("decides", Identifier(NAME, "requisition", str(whole.number("approvable-id")))),),
        signals=(signal,) if signal and not ignore else (),
        source_status=whole.text_or_empty("status"),
        ignore=ignore,
    )


def _supplier_news(whole: Part, _mappings: Mappings) -> News:
    return News(
        document_type=DocumentType.SUPPLIER,
        identifier=Identifier(NAME, "supplier", str(whole.number("id"))),
        source_at=whole.moment("updated-at"),
        document=supplier(whole.raw),
        source_status=whole.text("status"),
    )


def _order_news(whole: Part, mappings: Mappings) -> News:
    word, version = whole.text("status"), whole.number("version")
    if word not in ORDER_STATUSES:
        _unmapped(whole, word)
    wish = ORDER_STATUSES[word]
    cancels = wish == "cancels"
    ignore = "" if wish in {"changes", "cancels"} else wish
    if version <= 1 and not cancels:
        ignore = "it is the order as it was first sent"
    elif whole.raw.get("exported") is True:
        ignore = "already exported"
    return News(
        document_type=DocumentType.CHANGE_ORDER,
        identifier=Identifier(NAME, "order_revision", _revision_id(whole.number("id"), version, cancels=cancels)),
        source_at=whole.moment("updated-at"),
        document=None if ignore else change_order(whole.raw, mappings, cancels=cancels),
        links=(Link("changes", Identifier("erp", "purchase_order", whole.text("po-number"))),),
        source_status=word,
        ignore=ignore,
    )


def _revision_id(order_id: object, version: object, *, cancels: bool) -> str:
    """A cancellation does not raise the version, so it is told apart from the revision it cancels."""
    return f"{order_id}/{version}/cancelled" if cancels else f"{order_id}/{version}"


_MEANINGS: dict[str, Callable[[Part, Mappings], News]] = {
    "requisition": _requisition_news,
    "approval": _approval_news,
    "supplier": _supplier_news,
    "order_revision": _order_news,
}


def sketch(record: Record) -> Sketch | None:
    """What can be said of a record that cannot be understood; None when not even what it is.

    The business unit is Coupa's department, untranslated.
    """
    try:
        raw = json.loads(record.body)
    except (ValueError, RecursionError):
        return None
    if record.kind not in _SKETCHES or not isinstance(raw, dict) or not _inside(raw, "id"):
        return None
    document_type, title = _SKETCHES[record.kind]
    identity = _inside(raw, "id")
    if record.kind == "order_revision":
        cancels = ORDER_STATUSES.get(_inside(raw, "status")) == "cancels"
        identity = _revision_id(identity, _inside(raw, "version") or "?", cancels=cancels)
    return Sketch(
        document_type=document_type,
        identifier=Identifier(NAME, record.kind, identity),
        number=_inside(raw, "po-number") or _inside(raw, "id"),
        title=_inside(raw, title),
        business_unit=_inside(raw, "department", "name") or _inside(raw, "requisition-header", "department", "name"),
        currency=_inside(raw, "currency", "code") or _inside(raw, "currency"),
        amount=_inside(raw, "total"),
    )


_SKETCHES = {
    "requisition": (DocumentType.REQUISITION, "req-title"),
    "approval": (DocumentType.APPROVAL, "note"),
    "supplier": (DocumentType.SUPPLIER, "name"),
    "order_revision": (DocumentType.CHANGE_ORDER, "change-type"),
}


def _inside(raw: Any, *path: str) -> str:
    """The text or whole number at the end of a path, as text; empty when there is none."""
    for name in path:
        raw = raw.get(name) if isinstance(raw, dict) else None
    return str(raw) if isinstance(raw, str | int) and not isinstance(raw, bool) else ""


def source_at_of(raw: Json) -> datetime | None:
    """When a record last changed: its updated-at, or that of the approval inside it that changed last."""
    approvals = raw.get("approvals")
    inner = [record_or_empty(step).get("updated-at") for step in approvals] if isinstance(approvals, list) else []
    moments = [moment for text in (raw.get("updated-at"), *inner) if (moment := moment_of(text)) is not None]
    return max(moments, default=None)
