"""Cancelling an order in Coupa that has been cancelled in the ERP, so that its supplier is told and its budget is free again."""

from urllib.parse import quote

from collectors import coupa_api
from collectors.coupa_api import NAME, REFUSED, Part
from collectors.coupa_documents import ORDER_STATUSES
from collectors.http import Session
from sync_engine.model.documents import PurchaseOrder
from sync_engine.model.ports import Answer, Ask


def cancel_order(session: Session, ask: Ask) -> Answer:
    """Cancel Coupa's order and mark that as known here; cancelled already is done, an order that Coupa never made needs nothing.

    Raises:
        BusinessRejection: Coupa refuses.
    """
    order = ask.document
    if not isinstance(order, PurchaseOrder):
        raise TypeError(f"nobody cancels a {type(order).__name__} here")
    current = _current(session, ask, order)
    if current is None:
        return Answer(facts={"skipped": "procurement has made no order"})
    path = f"/api/purchase_orders/{current.number('id')}"
    if ORDER_STATUSES.get(current.text("status")) != "cancels":
        doing = f"the cancellation of order {order.erp_number}"
        reply = session.request("PUT", f"{path}/cancel", allow=REFUSED)
        coupa_api.answered(reply, doing, f"Coupa refuses {doing}")
        current = coupa_api.one(session, path, f"purchase order {order.erp_number}")
    if current.raw.get("exported") is not True:
        # What is not marked would be told to us as news: a wish to cancel what has been cancelled.
        reply = session.request("PUT", path, params={"exported": "true"}, allow=REFUSED)
        coupa_api.answered(reply, "purchase order", "Coupa does not let us mark the order as exported")
    return Answer(facts={"procurement_cancelled_at": ask.now.isoformat()})


def _current(session: Session, ask: Ask, order: PurchaseOrder) -> Part | None:
    order_id = str(ask.facts.get("procurement_order_id") or ask.identifiers.get(f"{NAME}.purchase_order") or "")
    if order_id:
        path = f"/api/purchase_orders/{quote(order_id, safe='')}"
        return coupa_api.one(session, path, f"purchase order {order_id}")
    if not order.erp_number:
        return None
    found = coupa_api.every(session, "/api/purchase_orders", {"po_number": order.erp_number})
    return found[0] if found else None
