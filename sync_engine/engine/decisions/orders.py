"""Orders after the ERP has accepted them: goods arriving, receipts applied, and the end of an order."""

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sync_engine.engine.decisions.desk import LOOK_AGAIN_S, Desk, document
from sync_engine.engine.heads import Head
from sync_engine.engine.outcomes import Item, Kind, Movement, Outcome
from sync_engine.engine.troubles import Trouble
from sync_engine.model.documents import GoodsReceipt, PurchaseOrder
from sync_engine.model.flows import HOUR
from sync_engine.model.lifecycles import PURCHASE_ORDER

ZERO = Decimal(0)


def await_fulfilment(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Follow receipts and invoices until everything ordered has been billed."""
    lines: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in desk.rows("order_lines", document_id=[item.head.document_id for item in items]):
        lines[row["order_document_id"]].append(row)
    return [_followed(item, lines.get(item.head.document_id, [])) for item in items]


def _followed(item: Item, lines: list[dict[str, Any]]) -> Outcome:
    order = document(item, PurchaseOrder)
    needs_receipt = {line.number for line in order.lines if line.receipt_required}
    received = sum((row["received"] for row in lines), ZERO)
    in_full = all(row["received"] >= row["ordered"] for row in lines if row["order_line"] in needs_receipt)
    billed_in_full = bool(lines) and all(row["billed"] >= row["ordered"] for row in lines)
    facts = {"received": str(received), "billed": str(sum((row["billed"] for row in lines), ZERO))}
    if billed_in_full and (in_full or not needs_receipt):
        return Outcome(Kind.DONE, facts=facts)
    event = _receipt_event(
        item.head.state,
        received > ZERO,
        in_full and bool(needs_receipt),
        changed=item.facts.get("received", "0") != facts["received"],
    )
    if event is not None and not PURCHASE_ORDER.allows(item.head.status, event):
        event = None
    waiting = "the goods" if needs_receipt and not in_full else "the invoice"
    return Outcome(
        Kind.WAIT,
        event=event,
        facts=facts,
        wait_s=LOOK_AGAIN_S,
        waiting_for=waiting,
        attributes={"received": facts["received"]},
    )


def _receipt_event(state: str, some: bool, in_full: bool, *, changed: bool) -> str | None:
    if in_full:
        return None if state == "received" else "goods_received_in_full"
    if some:
        if state == "received":
            return "receipt_partly_reversed"
        return "goods_received" if changed or state == "ordered" else None  # an order that is changed begins anew
    return "receipt_reversed" if state in {"partially_received", "received"} else None


def apply_receipt(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Book what arrived against the order lines, and wake the order and the invoices that wait for it."""
    orders = desk.linked(items, "receives")
    all_orders = {row["document_id"] for rows in orders.values() for row in rows}
    invoices = desk.linking(all_orders, "bills")
    outcomes: list[Outcome | None] = []
    for item in items:
        receipt = document(item, GoodsReceipt)
        by_number = {_erp_number(row): row for row in orders.get(item.head.document_id, [])}
        missing = [number for number in receipt.order_numbers if number not in by_number]
        if missing:
            outcomes.append(_order_unknown(item, missing))
            continue
        movements = [
            Movement(
                "received",
                line.number,
                by_number[line.order_number]["document_id"],
                line.order_line,
                line.quantity,
                ZERO,
                receipt.posted_on,
            )
            for line in receipt.lines
        ]
        first = next(iter(by_number.values()))
        wakes = [row["document_id"] for row in by_number.values()]
        wakes += [invoice["document_id"] for order_id in list(wakes) for invoice in invoices.get(order_id, [])]
        outcomes.append(
            Outcome(Kind.DONE, movements=movements, wakes=wakes, revise=belongs_to(first), at=receipt.entered_at)
        )
    return outcomes


def _erp_number(row: dict[str, Any]) -> str:
    return PurchaseOrder.model_validate_json(row["canonical"]).erp_number if row["canonical"] else ""


def _order_unknown(item: Item, missing: list[str]) -> Outcome:
    orders = ", ".join(missing)
    trouble = Trouble(
        "order_unknown",
        f"{item.head.number} names order {orders}, which has not arrived here.",
        "finsync",
        {"order": orders},
    )
    return Outcome(Kind.WAIT, wait_s=1 * HOUR, waiting_for=f"order {orders}", also_troubles=[trouble])


def belongs_to(row: dict[str, Any]) -> Any:
    """Give a document the unit, company and journey of the document in `row`."""

    def revise(head: Head) -> None:
        head.business_unit = row["business_unit"]
        head.company_code = row["company_code"]
        head.correlation_id = row["correlation_id"]

    return revise


DECISIONS = {"await_fulfilment": await_fulfilment, "apply_receipt": apply_receipt}
