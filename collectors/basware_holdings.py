"""What Basware has in its books, for reconciliation."""

from collections.abc import Iterator
from decimal import Decimal

from collectors.basware_api import NAME, PATH, documents_in, get
from collectors.http import Session
from sync_engine.model.errors import TransientError
from sync_engine.model.ports import Holding

NEXT_PAGE = "x-amz-meta-continuationToken"
PAGE_SIZE = 100
ENDED = {
    "Removed",
    "Returned",
    "TransferFailed",
    "RemoveFailed",
    "ReturnFailed",
    "WaitingToBeRemoved",
    "WaitingToBeReturned",
}


def invoices(session: Session) -> Iterator[Holding]:
    """Every accounting document with its gross amount, and the ERP's invoice it was told of."""
    token = ""
    while True:
        headers = {NEXT_PAGE: token} if token else {}
        reply = get(
            session,
            PATH,
            params={"lastUpdated": "2000-01-01T00:00:00.000Z", "pageSize": str(PAGE_SIZE)},
            headers=headers,
            allow={404},
        )
        for row in documents_in(reply):
            yield Holding(
                kind="invoice",
                external_id=str(row["invoiceId"]),
                currency=str(row.get("currencyCode", "")),
                amount=Decimal(str(row.get("grossSum", 0))),
                is_live=row.get("processingStatus") not in ENDED,
                reference=f"{row.get('supplierCode', '')}/{row.get('invoiceNumber', '')}",
                refers_to=str(row.get("voucherNumber1") or ""),
            )
        following = reply.headers.get(NEXT_PAGE, "")
        if not following:
            return
        if following == token:
            raise TransientError("Basware gave the same continuation token twice.", system=NAME)
        token = following
