"""What a Basware P2P tenant holds: invoices on their way to accounting, and what people do with them on the screen."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import blake2b
from random import Random
from typing import Any

from sandbox.drift import Drift
from sandbox.ledger import Ledger, Row
from sandbox.wire import Standin

# fmt: off
PROCESSING_STATUSES = (
    "WaitingForPrebook", "PrebookInProgress", "Prebooked", "PrebookFailed",
    "WaitingForTransfer", "TransferInProgress", "Transferred", "TransferFailed",
    "WaitingForPrebookCancelation", "PrebookCancelationInProgress", "PrebookCanceled", "PrebookCancelFailed",
    "WaitingToBeRemoved", "Removed", "RemoveFailed",
    "WaitingToBeReturned", "Returned", "ReturnFailed",
    "WaitingToBeCompleted", "CompletionInProgress", "Completed", "CompletionFailed",
    "Paid", "New",
    "WaitingForEnrichmentTransfer", "EnrichmentTransferInProgress", "EnrichmentTransferred", "EnrichmentTransferFailed",
    "InDocumentFilter", "DocumentFilterReleased",
)
# fmt: on
NOT_POSTED = frozenset({"WaitingForTransfer", "TransferInProgress", "TransferFailed"})


def stamp(moment: datetime) -> str:
    """`moment` as Basware writes it: UTC to the millisecond.

    >>> stamp(datetime(2026, 1, 31, 8, 5, 9, 123456, tzinfo=UTC))
    '2026-01-31T08:05:09.123Z'
    """
    moment = moment.astimezone(UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


class Tenant(Standin):
    """One tenant without its API.

    Args:
        ledger: What it remembers.
        clock: Tells the time; aware UTC.
        rng: Draws faults and the salt of ids.
    """

    def __init__(self, ledger: Ledger, clock: Callable[[], datetime], rng: Random) -> None:
        super().__init__(ledger, clock, rng)
        self._salt = rng.getrandbits(64)
        self.invoices = ledger.table("basware.invoice", ("processingStatus", "invoiceNumber"))
        """By invoiceId, for comparing what the engine believes with what really happened."""
        self.drift = Drift(self, "supplierCode")

    def new_id(self, kind: str) -> str:
        """An id nobody has: the running number keeps ids apart over restarts, the salt makes them the seed's."""
        number = self.ledger.number(f"basware.{kind}")
        return blake2b(f"{self._salt}/{kind}/{number}".encode(), digest_size=16).hexdigest()

    def save(self, row: Row, **changes: Any) -> None:
        """Change fields of an invoice, now."""
        self.drift.notice()
        now = self.clock()
        row.update(changes, lastUpdated=stamp(now))
        self.invoices.put(row["invoiceId"], row, now)

    def receive_invoice(
        self,
        *,
        supplier_code: str,
        supplier_name: str,
        organization_code: str,
        company_code: str,
        invoice_number: str,
        currency: str,
        invoice_date: date,
        baseline_date: date,
        due_date: date,
        payment_term: str,
        tax_code: str,
        tax: Decimal | str,
        lines: Sequence[dict[str, Any]],
    ) -> str:
        """An invoice has arrived and is approved for accounting; answers its invoiceId.

        `lines` have order_number, order_line, description, quantity, unit, unit_price and amount. Figures are exact
        (Decimal or text); the order may be "" where the supplier named none.
        """
        with self.lock:
            invoice_id = self.new_id("invoice")
            row: Row = {
                "invoiceId": invoice_id,
                "bumid": self.new_id("bumid"),
                "p2pProcessingMode": "Standard",
                "voucherNumber1": None,
                "voucherNumber2": None,
                "paymentBlock": False,
                "paymentMethod": "BankTransfer",
                "paymentMessage": None,
                "removalReason": "NotDefined",
                "removalReasonComment": None,
                "attachments": [],
                "prebookResponses": [],
                "transferResponses": [],
                "paymentResponses": [],
                "_received": {},
            }
            given = {
                "supplierCode": supplier_code,
                "supplierName": supplier_name,
                "organizationCode": organization_code,
                "companyCode": company_code,
                "invoiceNumber": invoice_number,
                "currencyCode": currency,
                "invoiceDate": _midnight(invoice_date),
                "baseLineDate": _midnight(baseline_date),
                "dueDate": _midnight(due_date),
                "paymentTermCode": payment_term,
                "taxCode": tax_code,
            }
            self._offer(row, given, lines, Decimal(tax))
            return invoice_id

    def correct_invoice(
        self, *, invoice_id: str, lines: Sequence[dict[str, Any]] = (), tax: Decimal | str = "", **fields: str
    ) -> None:
        """Change lines, tax or header fields (by Basware's own names) and offer the invoice to accounting again.

        Raises:
            ValueError: accounting has posted it, or it is gone.
        """
        with self.lock:
            row = self._not_posted(invoice_id)
            known = row["_received"]
            self._offer(row, fields, lines or known["lines"], Decimal(tax or known["tax"]))

    def return_invoice(self, *, invoice_id: str, reason: str) -> None:
        """Send an invoice back to its supplier.

        Raises:
            ValueError: accounting has posted it, or it is gone.
        """
        self._leave(invoice_id, "Returned", reason)

    def remove_invoice(self, *, invoice_id: str, reason: str) -> None:
        """Take an invoice out of processing: a statement, a copy.

        Raises:
            ValueError: accounting has posted it, or it is gone.
        """
        self._leave(invoice_id, "Removed", reason)

    def _leave(self, invoice_id: str, status: str, reason: str) -> None:
        with self.lock:
            row = self._not_posted(invoice_id)
            self.save(row, processingStatus=status, removalReason="Other", removalReasonComment=reason)

    def _not_posted(self, invoice_id: str) -> Row:
        row = self.invoices.rows[invoice_id]
        if row["processingStatus"] not in NOT_POSTED:
            raise ValueError(f"invoice {row['invoiceNumber']} is {row['processingStatus']}")
        return row

    def _offer(self, row: Row, header: dict[str, str], lines: Sequence[dict[str, Any]], tax: Decimal) -> None:
        net = sum((Decimal(line["amount"]) for line in lines), Decimal(0))
        row |= header
        self.save(
            row,
            processingStatus="WaitingForTransfer",
            netSum=float(net),
            taxSum1=float(tax),
            grossSum=float(net + tax),
            orderNumbers=list(dict.fromkeys(line["order_number"] for line in lines if line["order_number"])),
            invoiceLines=[_invoice_line(row, line, place) for place, line in enumerate(lines, 1)],
            codingRows=[_coding_row(row, line, place) for place, line in enumerate(lines, 1)],
            _received={
                "lines": [{name: str(value) for name, value in line.items()} for line in lines],
                "tax": str(tax),
            },
        )


def _midnight(day: date) -> str:
    return f"{day.isoformat()}T00:00:00Z"


def _row_id(row: Row, kind: str, place: int) -> str:
    return blake2b(f"{row['invoiceId']}/{kind}/{place}".encode(), digest_size=16).hexdigest()


def _invoice_line(row: Row, line: dict[str, Any], place: int) -> Row:
    """A line as the supplier billed it."""
    return {
        "externalCode": _row_id(row, "line", place),
        "rowIndex": place,
        "productName": line["description"],
        "quantity": float(line["quantity"]),
        "quantityUnit": line["unit"],
        "netPrice": float(line["unit_price"]),
        "netSum": float(line["amount"]),
        "orderNumber": line["order_number"] or None,
        "orderRowNumber": str(line["order_line"]) if line["order_number"] else None,
        "taxCode": row["taxCode"],
        "additionalCost": False,
    }


def _coding_row(row: Row, line: dict[str, Any], place: int) -> Row:
    """The same line as it was matched and coded."""
    return {
        "externalCode": _row_id(row, "coding", place),
        "rowIndex": place,
        "matchingType": 0,
        "orderNumber": line["order_number"] or None,
        "orderLineNumber": str(line["order_line"]) if line["order_number"] else None,
        "orderLineDescription": line["description"],
        "orderLineUOM": line["unit"],
        "matchedQuantity": float(line["quantity"]),
        "allocatedQuantity": float(line["quantity"]),
        "matchedNetSum": float(line["amount"]),
        "netTotal": float(line["amount"]),
        "taxCode": row["taxCode"],
        "costCenterCode": line.get("cost_centre"),
        "accountCode": line.get("account"),
    }
