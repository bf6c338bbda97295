"""What SAP is asked about requisitions and new orders: whether it would take them, to take them, what it committed."""

import hashlib
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from collectors import odata
from collectors.http import Session
from collectors.odata import Outcome
from collectors.odata_values import Entity, bare, key, literal, one_of
from collectors.sap_s4hana_bodies import SYSTEM, asked, order_body, requisition_body
from collectors.sap_s4hana_feeds import LINE_ITEMS
from collectors.sap_s4hana_messages import accepted_but_unread, concerns_of, kind_of, refusal, supplier_refusal
from sync_engine.model.documents import Enrichment, PurchaseOrder, Requisition
from sync_engine.model.errors import BusinessRejection, MappingError, SyncError
from sync_engine.model.flows import MINUTE
from sync_engine.model.money import rounded
from sync_engine.model.ports import Answer, Ask, Identifier, Json

ORDERS = "API_PURCHASEORDER_PROCESS_SRV"
REQUISITIONS = "API_PURCHASEREQ_PROCESS_SRV"
COST_CENTRES = "API_COSTCENTER_SRV"

ZERO = Decimal(0)
COMMITMENT_WAIT_S = 1 * MINUTE
COMMITMENT_LATEST = timedelta(minutes=30)
"""SAP posts commitments behind the order; after so long it is not late, it is missing."""
NEW_FOR = timedelta(minutes=1)
"""An answer to a create about something older may be a repeated one."""

# fmt: off
PROCESSING: dict[str, str] = {
    # PurchasingProcessingStatus (recalled; the EDMX gives the field, not its values)
    "01": "in process",
    "02": "active",
    "03": "in release",
    "05": "released",
    "08": "rejected",
}
# fmt: on


def read_budget_context(session: Session, ask: Ask) -> Answer:
    """Whether SAP would take the requisition as an order: cost centres, account assignment, budget.

    An exceeded budget is an answer, not a refusal: finsync compares it with procurement's. A closed period is only
    noted, as the order comes later.

    Raises:
        BusinessRejection: a cost centre is blocked or unknown, or SAP would refuse for another reason.
    """
    requisition = asked(ask, Requisition)
    if requisition.enrichment is None:
        message = f"Requisition {requisition.number} has not been enriched, so SAP cannot be asked about it"
        raise MappingError(message, system=SYSTEM, code="value_unmapped", facts={"field": "enrichment"})
    centres = _read_cost_centres(session, ask, requisition)
    options = session.state["options"]
    body = requisition_body(
        requisition, requisition.enrichment, ask.mappings, requisition_type=options.get("requisition_type", "NB")
    )
    outcome = odata.create(session, REQUISITIONS, "A_PurchaseRequisitionHeader", body, changes=False)
    budget = [told for told in outcome.told if kind_of(told) == "budget_exceeded"]
    closed = [told for told in outcome.errors if kind_of(told) == "period_closed"]
    other = tuple(told for told in outcome.errors if told not in budget and told not in closed)
    if other or (not outcome.done and not budget and not closed):
        error = refusal(Outcome(outcome.status, {}, other or outcome.told), doing="the requisition", default="refused", concerns=concerns_of(requisition, requisition.enrichment.suppliers.values()))  # fmt: skip
        raise _because_of_a_supplier(session, error, requisition, requisition.enrichment)
    exceeded = any(told.severity == "error" for told in budget)
    facts: Json = {
        "erp_budget": {
            "verdict": "exceeded" if exceeded else "ok",
            "message": "; ".join(f"{told.text} ({told.code})" for told in budget),
            "read_at": ask.now.isoformat(),
        },
        "cost_centres": centres,
    }
    if closed:
        facts["period_closed"] = closed[0].text
    return Answer(facts=facts)


def _because_of_a_supplier(
    session: Session, error: SyncError, requisition: Requisition, enrichment: Enrichment
) -> SyncError:
    """The refusal, or a better one where SAP's message has no kind and one of the suppliers turns out to be the reason."""
    for number in dict.fromkeys(enrichment.suppliers.get(line.supplier, "") for line in requisition.lines):
        if number:
            error = supplier_refusal(session, error, number, default="refused")
    return error


def _read_cost_centres(session: Session, ask: Ask, requisition: Requisition) -> list[dict[str, str]]:
    """Every cost centre of the requisition as SAP has it today.

    Raises:
        BusinessRejection: SAP does not have it, or nothing can be posted on it.
    """
    codes = list(dict.fromkeys(bare(part.cost_centre) for line in requisition.lines for part in line.distributions))
    area = ask.mappings.unit(requisition.business_unit).controlling_area
    today = ask.mappings.local_day(requisition.business_unit, ask.now)
    wanted = f"ControllingArea eq {literal(area)} and {one_of('CostCenter', codes)}"
    listed = odata.read_set(session, COST_CENTRES, "A_CostCenter", {"$filter": wanted})
    known: dict[str, list[Entity]] = {}
    for values in listed.entities:
        centre = Entity(values, system=SYSTEM, what="cost centre")
        known.setdefault(centre.bare("CostCenter"), []).append(centre)
    return [_usable(code, area, known.get(code, []), today) for code in codes]


def _usable(code: str, area: str, known: Sequence[Entity], today: date) -> dict[str, str]:
    facts = {"cost_centre": code, "controlling_area": area}
    if not known:
        message = f"Cost centre {code} does not exist in SAP (controlling area {area})"
        raise BusinessRejection(message, system=SYSTEM, code="cost_centre_unknown", facts=facts)
    validity = [(centre, centre.day("ValidityStartDate"), centre.day("ValidityEndDate")) for centre in known]
    valid = [told for told in validity if told[1] and told[2] and told[1] <= today <= told[2]]
    if not valid:
        said = ", ".join(f"{start} to {end}" for _, start, end in validity)
        message = f"Cost centre {code} is valid from {said}, not on {today}"
        raise BusinessRejection(message, system=SYSTEM, code="cost_centre_blocked", facts=facts)
    centre, start, end = valid[0]
    for field, word in (("IsBlkdForPrimaryCostsPosting", "costs"), ("IsBlockedForCommitmentPosting", "commitments")):
        if centre.text(field):
            message = f"Cost centre {code} is blocked in SAP for {word} (controlling area {area})"
            raise BusinessRejection(message, system=SYSTEM, code="cost_centre_blocked", facts=facts)
    return {"cost_centre": code, "valid_from": str(start), "valid_to": str(end)}


def create_purchase_order(session: Session, ask: Ask) -> Answer:
    """Create the order with its account assignments, under our reference.

    SAP repeats its first answer to a request it knows, also when somebody has deleted that order since: then the order
    is asked for as a new request.

    Raises:
        BusinessRejection: SAP does not take it.
        AnswerLost: it may have, and only a look-up can tell.
    """
    order = asked(ask, PurchaseOrder)
    options = session.state["options"]
    body = order_body(
        order,
        reference=ask.reference(12),
        order_type=options.get("purchase_order_type", "NB"),
        material_group=options.get("material_group", ""),
    )
    gone = ""
    while True:
        headers = repeatable(ask, order.ordered_on, instead_of=gone)
        outcome = odata.create(session, ORDERS, "A_PurchaseOrder", body, headers=headers)
        if not outcome.done:
            error = refusal(
                outcome,
                doing=f"order {order.number}",
                default="order_refused",
                concerns=concerns_of(order, [order.supplier]),
            )
            raise supplier_refusal(session, error, order.supplier, default="order_refused")
        with accepted_but_unread("purchase order"):
            found = Entity(outcome.values, system=SYSTEM, what="purchase order")
            number = found.bare("PurchaseOrder")
            if number == gone or not _is_gone(session, found, ask.now):
                return _accepted(order, found)
            gone = number


def _is_gone(session: Session, found: Entity, now: datetime) -> bool:
    """Whether the answer to a create is about an order that was made earlier and has been deleted since."""
    changed_at = found.moment("LastChangeDateTime")
    if changed_at is not None and now - changed_at < NEW_FOR:
        return bool(found.text("PurchasingDocumentDeletionCode"))
    # Repeated answers are kept as they were given: only the order itself knows.
    return bool(read_order(session, found.bare("PurchaseOrder")).text("PurchasingDocumentDeletionCode"))


def find_purchase_order(session: Session, ask: Ask) -> Answer | None:
    """The order under our reference. A deleted one is none: somebody has cleared the place.

    Raises:
        BusinessRejection: something else stands there, or more than one order does.
    """
    order = asked(ask, PurchaseOrder)
    reference = ask.reference(12)
    query = {"$filter": f"CorrespncExternalReference eq {literal(reference)}", "$expand": "to_PurchaseOrderItem"}
    listed = odata.read_set(session, ORDERS, "A_PurchaseOrder", query)
    told = [Entity(values, system=SYSTEM, what="purchase order") for values in listed.entities]
    live = [found for found in told if not found.text("PurchasingDocumentDeletionCode")]
    if not live:
        return None
    differing = _differences(order, live[0])
    if len(live) > 1:
        differing["orders"] = ", ".join(found.bare("PurchaseOrder") for found in live)
    if differing:
        number = live[0].bare("PurchaseOrder")
        message = f"SAP's order {number} under our reference {reference} is not order {order.number}: it differs in {', '.join(differing)}"
        raise BusinessRejection(message, system=SYSTEM, code="effect_conflict", facts={"found": number, **differing})
    return _accepted(order, live[0])


def _differences(order: PurchaseOrder, found: Entity) -> dict[str, str]:
    """Field to "ours, theirs" where an order in SAP is not ours."""
    items = live_items(found)
    net = sum((net_amount(item, order.currency) for item in items), ZERO)
    pairs = {
        "supplier": (bare(order.supplier), found.bare("Supplier")),
        "currency": (order.currency, found.text("DocumentCurrency")),
        "amount": (order.amount, net),
        "lines": (len(order.lines), len(items)),
    }
    return {name: f"{ours}, SAP {theirs}" for name, (ours, theirs) in pairs.items() if ours != theirs}


def live_items(found: Entity) -> list[Entity]:
    items = found.entities("to_PurchaseOrderItem", "purchase order item")
    return [item for item in items if not item.text("PurchasingDocumentDeletionCode")]


def net_amount(item: Entity, currency: str) -> Decimal:
    """An item's net amount: quantity times price per price unit, to the minor unit."""
    return rounded(
        item.amount("OrderQuantity") * item.amount("NetPriceAmount") / item.amount("NetPriceQuantity"), currency
    )


def _accepted(order: PurchaseOrder, found: Entity) -> Answer:
    number = found.bare("PurchaseOrder")
    created_on, changed_at = found.day("CreationDate"), found.moment("LastChangeDateTime")
    # SAP keeps the time of the last change, but of the creation only the day: they are the same until somebody changes.
    at = changed_at if changed_at is not None and changed_at.date() == created_on else None
    facts = {
        "erp_order_number": number,
        "accepted_at": at.isoformat() if at else "",
        "posting_status": "accepted",
    }
    return Answer(
        facts=facts,
        identifiers=(Identifier(SYSTEM, "purchase_order", number),),
        at=at,
        document=order.model_copy(update={"erp_number": number}),
    )


def read_commitment(session: Session, ask: Ask) -> Answer:
    """The order's accounting distribution and its commitment entry: one without the other is an exception (R113).

    Raises:
        BusinessRejection: the order is gone or rejected, or the commitment did not come.
    """
    number = order_number(ask)
    found = read_order(session, number)
    status = found.text("PurchasingProcessingStatus")
    if status not in PROCESSING:
        message = f"{status!r} is not a known processing status (order {number})"
        facts = {"field": "PurchasingProcessingStatus", "value": status}
        raise MappingError(message, system=SYSTEM, code="status_unmapped", facts=facts)
    if found.text("PurchasingDocumentDeletionCode") or PROCESSING[status] == "rejected":
        message = f"Order {number} was deleted or rejected in SAP"
        raise BusinessRejection(message, system=SYSTEM, code="order_refused", facts={"order": number})
    items = live_items(found)
    wanted = f"PurchasingDocument eq {literal(number)} and IsCommitment eq true"
    select = "PurchasingDocumentItem,AmountInTransactionCurrency"
    listed = odata.read_set(session, LINE_ITEMS, "GLAccountLineItem", {"$filter": wanted, "$select": select})
    lines = [Entity(values, system=SYSTEM, what="commitment line") for values in listed.entities]
    committed = {line.bare("PurchasingDocumentItem") for line in lines}
    missing = [item.bare("PurchaseOrderItem") for item in items if item.bare("PurchaseOrderItem") not in committed]
    if missing:
        return _awaiting_commitment(ask, number, missing)
    total = sum((line.amount("AmountInTransactionCurrency") for line in lines), ZERO)
    told: Json = {"distribution": _distribution(items), "commitment": str(total), "posting_status": "committed"}
    return Answer(facts=told)


def _awaiting_commitment(ask: Ask, number: str, missing: Sequence[str]) -> Answer:
    accepted_at = datetime.fromisoformat(ask.facts["accepted_at"]) if ask.facts.get("accepted_at") else ask.now
    if ask.now - accepted_at < COMMITMENT_LATEST:
        return Answer(wait_s=COMMITMENT_WAIT_S, waiting_for="the commitment entry")
    message = f"Order {number} has no commitment entry for item {', '.join(missing)}, {COMMITMENT_LATEST} after it was accepted"
    facts = {"order": number, "items": ", ".join(missing)}
    raise BusinessRejection(message, system=SYSTEM, code="commitment_missing", facts=facts)


def _distribution(items: Sequence[Entity]) -> list[dict[str, Any]]:
    return [
        {
            "item": int(item.bare("PurchaseOrderItem")),
            "gl_account": part.bare("GLAccount"),
            "cost_centre": part.bare("CostCenter"),
            "amount": str(part.amount("PurgDocNetAmount")),
            "currency": part.text("DocumentCurrency"),
        }
        for item in items
        for part in item.entities("to_AccountAssignment", "account assignment")
    ]


def read_order(session: Session, number: str) -> Entity:
    """The order with items, account assignments and delivery days.

    Raises:
        BusinessRejection: SAP does not have it.
    """
    query = {"$expand": "to_PurchaseOrderItem/to_AccountAssignment,to_PurchaseOrderItem/to_ScheduleLine"}
    found = odata.read_one(session, ORDERS, key("A_PurchaseOrder", number), query, what="purchase order")
    if found is None:
        message = f"Order {number} does not exist in SAP"
        raise BusinessRejection(message, system=SYSTEM, code="order_refused", facts={"order": number})
    return found


def order_number(ask: Ask) -> str:
    """SAP's number of the order that is asked about.

    Raises:
        MappingError: nobody has told it.
    """
    document = ask.document
    own = document.erp_number if isinstance(document, PurchaseOrder) else ""
    number = ask.identifiers.get(f"{SYSTEM}.purchase_order") or ask.facts.get("erp_order_number") or own
    if not number:
        message = f"SAP's number of the order behind {document.number} is not known here"
        raise MappingError(message, system=SYSTEM, code="order_unknown", facts={"document": document.number})
    return bare(str(number))


def repeatable(ask: Ask, since: date, *, instead_of: str = "") -> dict[str, str]:
    """The headers by which SAP recognises a repeated create, where a service has that switched on.

    Args:
        ask: Its idempotency key makes the request's.
        since: A day of the document's: both headers must be the same each time.
        instead_of: The number of what was created by this request before, and taken back since.
    """
    if not ask.idempotency_key:
        return {}
    request_id = hashlib.sha256(f"{ask.idempotency_key}|{instead_of}".encode()).hexdigest()[:32].upper()
    return {"RequestID": request_id, "RepeatabilityCreation": f"{since}T00:00:00Z"}
