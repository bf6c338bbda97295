"""What Coupa has in its books, for reconciliation."""

from collections.abc import Iterator
from decimal import Decimal

from collectors.coupa_api import Part, every
from collectors.http import Session
from sync_engine.model.ports import Holding

ENDED = {"draft", "cart", "abandoned", "withdrawn", "backgrounded"}
CANCELLED = {"cancelled", "canceled"}


def requisitions(session: Session) -> Iterator[Holding]:
    """Every requisition; it counts while it is neither a draft nor given up. Amounts in its own currency."""
    for row in every(session, "/api/requisitions", {}):
        yield Holding(
            kind="requisition",
            external_id=str(row.number("id")),
            currency=row.part("currency").text("code"),
            amount=row.amount("total"),
            is_live=row.text("status") not in ENDED,
            refers_to=row.text_or_empty("external-po-reference"),
        )


def purchase_orders(session: Session) -> Iterator[Holding]:
    """Every order header, by the ERP's order number it carries."""
    for row in every(session, "/api/purchase_orders", {}):
        yield Holding(
            kind="purchase_order",
            external_id=str(row.number("id")),
            currency=row.part("currency").text("code"),
            amount=_total(row),
            is_live=row.text("status") not in CANCELLED,
            refers_to=row.text_or_empty("po-number"),
        )


def _total(order: Part) -> Decimal:
    """The sum of the lines: an order header states none of its own."""
    return sum((line.amount("total") for line in order.parts("order-lines", "order line")), Decimal(0))
