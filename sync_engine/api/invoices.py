"""getInvoiceStatus (R066): where an invoice stands, what the business agreed, what the ledger accepted, and what blocks it."""

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field

from sync_engine.api.asking import ByCaller, Row
from sync_engine.api.finding import find_one
from sync_engine.api.problems import told
from sync_engine.model.documents import ApprovalStatus, DocumentType, Invoice, PostingStatus
from sync_engine.model.exceptions import Category, kind_of
from sync_engine.model.flows import Role
from sync_engine.model.lifecycles import INVOICE
from sync_engine.model.money import rounded

PAYABLE = frozenset({"payment_ready"})
PAID = frozenset({"cleared", "paid"})

router = APIRouter(tags=["invoices"])


class BlockReason(BaseModel):
    """Something that keeps an invoice from going on, in the words of the people who settle it."""

    code: str = Field(examples=["price_variance"])
    category: Category
    reason: str = Field(examples=["The price is not the ordered price"])
    detail: str = Field(description="The figures behind it, where one of our own rules objects; otherwise empty.")
    next_step: str
    owner_team: str
    since: datetime


class Payment(BaseModel):
    """Whether the next payment run would take the invoice."""

    ready: bool
    reasons: list[str] = Field(description="Why not; empty when it is ready or already paid.")
    due_on: date | None
    cleared_on: date | None = Field(description="The day it was paid, by the ledger's clearing.")


class InvoiceStatus(BaseModel):
    """Where an invoice stands. Business and financial status move apart and are never one word."""

    schema_version: Literal["1.0"] = "1.0"
    as_of: datetime
    document_id: UUID
    document_version: int = Field(description="Rises with every change.")
    number: str
    supplier_invoice_number: str | None
    supplier_name: str
    business_unit: str
    state: str = Field(description="Where it stands in the process.", json_schema_extra={"enum": list(INVOICE.states)})
    state_since: datetime
    is_final: bool = Field(description="Nothing more is expected to happen to it.")
    approval_status: ApprovalStatus = Field(description="Business status: what the business agreed.")
    posting_status: PostingStatus = Field(description="Financial status: what the ledger accepted.")
    amount: Decimal | None = Field(description="Gross, with tax.", examples=["238.00"])
    currency: str | None = Field(examples=["EUR"])
    block_reasons: list[BlockReason]
    payment: Payment


@router.get(
    "/v1/invoices/{number:path}/status",
    operation_id="getInvoiceStatus",
    summary="Where an invoice stands",
    responses=told(404, 409),
)
def get_invoice_status(number: str, caller: ByCaller) -> InvoiceStatus:
    """Find an invoice by any number any system has given it, the supplier's included, and say where it stands."""
    with caller.asking() as asked:
        row = find_one(asked, DocumentType.INVOICE, number)
        blocks = asked.rows("blocks_of", document_id=row["document_id"])
        cleared_on = asked.value("cleared_on", document_id=row["document_id"])
    reasons = _block_reasons(row, blocks)
    amount, currency = row["amount"], row["currency"]
    invoice = Invoice.model_validate_json(row["canonical"]) if row["canonical"] else None
    return InvoiceStatus(
        as_of=asked.as_of,
        document_id=row["document_id"],
        document_version=row["version"],
        number=row["number"],
        supplier_invoice_number=invoice.supplier_invoice_number if invoice else None,
        supplier_name=row["supplier_name"],
        business_unit=row["business_unit"],
        state=row["state"],
        state_since=row["state_since"],
        is_final=INVOICE.is_final(row["state"]),
        approval_status=row["approval_status"],
        posting_status=row["posting_status"],
        amount=None if amount is None else rounded(amount, currency),
        currency=currency,
        block_reasons=reasons,
        payment=_payment(row, reasons, cleared_on),
    )


def _block_reasons(row: Row, blocks: Sequence[Row]) -> list[BlockReason]:
    reasons = [
        _reason(block["code"], block["raised_at"], block["message"] if block["system"] == Role.FINSYNC else "")
        for block in blocks
    ]
    known = {reason.code for reason in reasons}
    # What a state says by itself, before or without an exception: nobody is bothered on the first day.
    implied = {
        "receipt_missing": row["state"] == "awaiting_receipt",
        "payment_blocked": row["posting_status"] == PostingStatus.BLOCKED,
        "answer_lost": row["posting_status"] == PostingStatus.UNKNOWN,
    }
    return [
        *reasons,
        *(_reason(code, row["state_since"], "") for code, holds in implied.items() if holds and code not in known),
    ]


def _reason(code: str, since: datetime, detail: str) -> BlockReason:
    """`detail` is told only where our own rules speak: a system's own message is in that system's words, and stays on the trace."""
    kind = kind_of(code)
    return BlockReason(
        code=kind.code,
        category=kind.category,
        reason=kind.title,
        detail=detail,
        next_step=kind.next_step,
        owner_team=kind.owner_team,
        since=since,
    )


def _payment(row: Row, reasons: Sequence[BlockReason], cleared_on: date | None) -> Payment:
    is_ready = row["state"] in PAYABLE and not reasons
    if is_ready or row["state"] in PAID:
        why = []
    elif reasons:
        why = [reason.reason for reason in reasons]
    elif row["state"] == "rejected":
        why = ["The invoice was rejected"]
    else:
        why = [f"It is still on its way: {row['state'].replace('_', ' ')}"]
    return Payment(ready=is_ready, reasons=why, due_on=row["due_on"], cleared_on=cleared_on)
