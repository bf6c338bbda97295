"""I3: the books of all systems and ours agree to the minor unit, per order and invoice, or the difference is listed (promise P3).

The comparison is the product's own (`insight.reconcile`), which lists every system's books; what people changed behind our back
has to be in it, and nothing else. Beside it, the ERP's orders are added up against procurement's requisitions without us.
"""

from decimal import Decimal
from typing import Any

from sandbox.simulation.ended import Ended
from sandbox.simulation.findings import Finding
from sandbox.simulation.journeys import Journey
from sandbox.simulation.kinds import KINDS
from sync_engine.insight.reconcile import Reconciliation

CHANGED_ON_PURPOSE = ("revise", "change_by_hand")
"""Acts after which an order is not worth what its requisition says."""


def totals(ended: Ended) -> list[Finding]:
    """Differences nobody made by hand, and those somebody did and the comparison does not list."""
    compared = ended.compared
    meddled = {order["PurchaseOrder"] for journey in _by_hand(ended) for order in _orders(ended, journey, live=False)}
    found = [
        Finding("totals", f"{one.kind} {one.document}", one.sentence)
        for one in compared.differences
        if one.document not in meddled
    ]
    return found + _unlisted(ended, compared) + _against_procurement(ended)


def _by_hand(ended: Ended) -> list[Journey]:
    return [journey for journey in ended.journeys if KINDS[journey.story.kind].by_hand]


def _unlisted(ended: Ended, compared: Reconciliation) -> list[Finding]:
    """F25: drift made by hand shows at the next comparison."""
    listed = {one.document for one in compared.differences}
    return [
        Finding(
            "totals", f"order {order['PurchaseOrder']}", "it was changed by hand and the comparison does not list it"
        )
        for journey in _by_hand(ended)
        if journey.is_over
        for order in _orders(ended, journey, live=False)
        if order["PurchaseOrder"] not in listed
    ]


def _against_procurement(ended: Ended) -> list[Finding]:
    """What stands in the ERP is worth what was approved in procurement, line by line."""
    found = []
    for journey in ended.journeys:
        if journey.requisition is None or any(act in CHANGED_ON_PURPOSE for act, _ in journey.acts):
            continue
        wanted = {
            line["description"]: Decimal(line["total"])
            for line in ended.landscape.coupa.requisition(journey.requisition)["requisition-lines"]
        }
        for order in _orders(ended, journey, live=True):
            for item in order["_items"]:
                worth = Decimal(item["OrderQuantity"]) * Decimal(item["NetPriceAmount"])
                asked = wanted.get(item["PurchaseOrderItemText"])
                if worth != asked:
                    says = f"item {item['PurchaseOrderItem']} is worth {worth} and procurement approved {asked}"
                    found.append(Finding("totals", f"order {order['PurchaseOrder']}", says))
    return found


def _orders(ended: Ended, journey: Journey, *, live: bool) -> list[dict[str, Any]]:
    return [
        order
        for order in ended.landscape.s4hana.orders.values()
        if not (live and order.get("PurchasingDocumentDeletionCode"))
        and any(item["PurchaseOrderItemText"].startswith(journey.story.tag) for item in order["_items"])
    ]
