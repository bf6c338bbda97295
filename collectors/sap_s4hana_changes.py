"""What SAP is asked about orders it has: to change them, to delete them. Both may be repeated; the second time finds nothing
left to do.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from collectors import odata
from collectors.http import Session
from collectors.odata import Edit
from collectors.odata_values import Entity, bare, key
from collectors.sap_s4hana_bodies import SYSTEM, asked, order_item
from collectors.sap_s4hana_messages import Concerns, concerns_of, refusal
from collectors.sap_s4hana_orders import ORDERS, live_items, order_number, read_order
from sync_engine.model.documents import ChangeOrder, Line
from sync_engine.model.errors import BusinessRejection
from sync_engine.model.ports import Answer, Ask


def update_purchase_order(session: Session, ask: Ask) -> Answer:
    """Make the order in SAP what the change order says; where it is so already, nothing is sent.

    Raises:
        TransientError: somebody has it open, or changed it while we looked.
        BusinessRejection: it is deleted, or SAP refuses the change.
    """
    wanted = asked(ask, ChangeOrder)
    if wanted.cancels:
        return cancel_purchase_order(session, ask)
    number = order_number(ask)
    found = read_order(session, number)
    if found.text("PurchasingDocumentDeletionCode") or found.text("DocumentCurrency") != wanted.currency:
        message = (
            f"Order {number} is deleted in SAP or not in {wanted.currency}, and cannot be changed to {wanted.number}"
        )
        raise BusinessRejection(message, system=SYSTEM, code="order_refused", facts={"order": number})
    edits = _edits(wanted, found, session.state["options"].get("material_group", ""))
    concerns = concerns_of(wanted, [found.bare("Supplier")])
    return _changed(session, ask, found, edits, doing=f"the change of order {number}", concerns=concerns)


def cancel_purchase_order(session: Session, ask: Ask) -> Answer:
    """Delete the order in SAP; deleted already is done.

    Raises:
        TransientError: somebody has it open, or changed it while we looked.
        BusinessRejection: something was received or invoiced.
    """
    number = order_number(ask)
    found = read_order(session, number)
    gone = bool(found.text("PurchasingDocumentDeletionCode"))
    edits = [] if gone else [Edit("DELETE", key("A_PurchaseOrder", number), etag=found.etag)]
    return _changed(
        session,
        ask,
        found,
        edits,
        doing=f"the cancellation of order {number}",
        default="cancellation_refused",
        concerns={},
    )


def find_cancelled(session: Session, ask: Ask) -> Answer | None:
    """That the order is deleted in SAP; None while it is not."""
    found = read_order(session, order_number(ask))
    if not found.text("PurchasingDocumentDeletionCode"):
        return None
    return _standing(ask, found)


def _changed(
    session: Session,
    ask: Ask,
    found: Entity,
    edits: Sequence[Edit],
    *,
    doing: str,
    concerns: Concerns,
    default: str = "order_refused",
) -> Answer:
    """Send the edits, and say how the order stands then."""
    number = found.bare("PurchaseOrder")
    if edits:
        outcome = (
            odata.change(session, ORDERS, edits[0]) if len(edits) == 1 else odata.changeset(session, ORDERS, edits)
        )
        if not outcome.done:
            raise refusal(outcome, doing=doing, default=default, concerns=concerns)
        # Should this read fail, the operation is repeated and finds that there is nothing left to send.
        found = read_order(session, number)
    return _standing(ask, found)


def _standing(ask: Ask, found: Entity) -> Answer:
    """How an order stands."""
    number, changed_at = found.bare("PurchaseOrder"), found.moment("LastChangeDateTime") or ask.now
    facts = {"erp_order_number": number, "changed_at": changed_at.isoformat(), "etag": found.etag}
    return Answer(facts=facts, at=changed_at)


def _edits(wanted: ChangeOrder, found: Entity, material_group: str) -> list[Edit]:
    """What has to change for SAP's items to be the wanted lines."""
    number = found.bare("PurchaseOrder")
    present = {item.bare("PurchaseOrderItem"): item for item in live_items(found)}
    edits: list[Edit] = []
    for line in wanted.lines:
        body = order_item(
            line,
            wanted.currency,
            requester=wanted.requested_by.user,
            need_by_on=None,
            material_group=material_group,
        )
        item = present.pop(str(line.number), None)
        if item is None:
            edits.append(Edit("POST", "A_PurchaseOrderItem", {"PurchaseOrder": number, **body}))
        else:
            edits += _item_edits(number, line, body, item)
    for name, item in present.items():
        path = key("A_PurchaseOrderItem", PurchaseOrder=number, PurchaseOrderItem=name)
        edits.append(Edit("DELETE", path, etag=item.etag))
    return edits


def _item_edits(number: str, line: Line, body: Mapping[str, Any], item: Entity) -> list[Edit]:
    name = str(line.number)
    body = {**body}
    if item.amount("NetPriceAmount") / item.amount("NetPriceQuantity") == line.unit_price:
        # The same price for another number of units is the same price.
        body |= {field: item.text(field) for field in ("NetPriceAmount", "NetPriceQuantity")}
    fields = ["OrderQuantity", "NetPriceAmount", "NetPriceQuantity"]
    fields += ["MultipleAcctAssgmtDistribution"] if line.distributions else []
    path = key("A_PurchaseOrderItem", PurchaseOrder=number, PurchaseOrderItem=name)
    edits = [_patch(path, {field: body.get(field, "") for field in fields}, item)]
    if line.distributions:
        edits += _account_edits(number, name, body["to_AccountAssignment"], item)
    if line.need_by_on is not None:
        for schedule in item.entities("to_ScheduleLine", "schedule line")[:1]:
            names = {
                "PurchasingDocument": number,
                "PurchasingDocumentItem": name,
                "ScheduleLine": schedule.bare("ScheduleLine"),
            }
            day = {"ScheduleLineDeliveryDate": body["to_ScheduleLine"][0]["ScheduleLineDeliveryDate"]}
            edits.append(_patch(key("A_PurchaseOrderScheduleLine", **names), day, schedule))
    return [edit for edit in edits if edit is not None]


def _account_edits(number: str, name: str, wanted: Sequence[Mapping[str, Any]], item: Entity) -> list[Edit | None]:
    present = item.entities("to_AccountAssignment", "account assignment")
    if len(present) != len(wanted):
        message = (
            f"Item {name} of order {number} is spread over {len(present)} account assignments in SAP and over {len(wanted)} "
            "in the change; SAP lets us change them, not their number"
        )
        raise BusinessRejection(message, system=SYSTEM, code="order_refused", facts={"order": number, "item": name})
    edits = []
    for part, now in zip(wanted, present, strict=True):
        names = {
            "PurchaseOrder": number,
            "PurchaseOrderItem": name,
            "AccountAssignmentNumber": now.bare("AccountAssignmentNumber"),
        }
        fields = {field: value for field, value in part.items() if field != "AccountAssignmentNumber"}
        edits.append(_patch(key("A_PurOrdAccountAssignment", **names), fields, now))
    return edits


def _patch(path: str, wanted: Mapping[str, Any], present: Entity) -> Edit | None:
    """The change of the fields that differ; None when none does."""
    differing = {field: value for field, value in wanted.items() if not _same(present.text(field), value)}
    return Edit("PATCH", path, differing, present.etag) if differing else None


def _same(theirs: str, ours: str) -> bool:
    """Whether two texts say the same: 7 and 7.000, 51600000 and 0051600000."""
    if bare(theirs) == bare(ours):
        return True
    try:
        return Decimal(theirs) == Decimal(ours)
    except ArithmeticError:
        return False
