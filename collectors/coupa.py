"""Coupa, the procurement system: what is collected from it and what is asked of it.

Requisitions, their approvals, suppliers and order revisions come in; decisions, order numbers and news go back. Core
API in JSON, release R39. Words and shapes come from the vendor's published description of R39, its integration guides
and records of a real instance; how it speaks is in `coupa_api`, what its records mean in `coupa_documents`.

What is particular about it, and what follows here:

- A requisition's updated-at does not move when one of its approvals is decided. So approvals are polled by their own
  updated-at, and each page of them brings the requisitions they belong to, read again.
- The exported flag knows no version. Before it is set, the order's version is compared with the one we speak of.
- Deciding an approval answers the approval or its requisition, depending on which page of the vendor's one reads. So
  the answer is not looked at; the approval is read again.
- There is no idempotency key. What is created once is recognised by our own reference inside it.
"""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import quote

import httpx2

from collectors import coupa_api, coupa_holdings
from collectors.coupa_api import NAME, REFUSED, Part, SettlingToken
from collectors.coupa_cancelling import cancel_order
from collectors.coupa_documents import currency_of, decision_of, status_meaning
from collectors.coupa_feeds import FEEDS
from collectors.coupa_telling import MAX_CUSTOM_TEXT, find_told, requisition_id_of, tell_procurement
from collectors.http import Session
from sync_engine.model import documents
from sync_engine.model.documents import ApprovalStatus, ChangeOrder, Decision, PurchaseOrder, Requisition
from sync_engine.model.errors import BusinessRejection, MappingError
from sync_engine.model.flows import Role
from sync_engine.model.ports import (
    Access,
    Answer,
    Ask,
    Effect,
    Identifier,
    Json,
    Operation,
    System,
    operations,
)

APPROVAL_WAIT_S, ORDER_WAIT_S = 300, 60
OPEN = frozenset({"pending_approval", "pending_buyer_action"})
PO_NUMBER_FIELD, DISTRIBUTION_FIELD = "cf-erp-po-number", "cf-erp-distribution"

SCOPES = (
    "core.requisition.read core.requisition.write core.approval.read core.approval.write "
    "core.purchase_order.read core.purchase_order.write core.supplier.read core.budget.read "
    "core.comment.read core.comment.write core.common.read"
)
"""What the API client needs, unless the option "token_scope" says otherwise."""

D = TypeVar("D", bound=documents.Document)


def read_budget(session: Session, ask: Ask) -> Answer:
    """What each cost centre of the requisition has left in the periods that hold today, as Coupa counts it.

    A cost centre without a budget line has no entry. Figures are text, in the line's currency; "remaining" is what is
    not yet ordered, "pending" what submitted requisitions would take of it, this one included.
    """
    document = _wanted(ask, Requisition)
    today = ask.mappings.local_day(document.business_unit, ask.now)
    centres = dict.fromkeys(part.cost_centre for line in document.lines for part in line.distributions)
    entries = [
        _budget_entry(line, ask.now)
        for centre in centres
        for line in coupa_api.every(
            session, "/api/budget_lines", {"segment_1": document.company_code, "segment_2": centre}
        )
        if _holds(line, today)
    ]
    return Answer(facts={"procurement_budget": entries})


def _holds(line: Part, today: date) -> bool:
    period = line.part("period")
    first, last = period.day_or_none("start-date"), period.day_or_none("end-date")
    return (first is None or first <= today) and (last is None or today <= last)


def _budget_entry(line: Part, now: datetime) -> Json:
    pending = line.amount("pending-requisitions-amount") if line.raw.get("pending-requisitions-amount") else Decimal(0)
    return {
        "cost_centre": line.text("segment-2"),
        "company_code": line.text("segment-1"),
        "account": line.text_or_empty("segment-3"),
        "period": line.part("period").text("name"),
        "currency": currency_of(line),
        "amount": str(line.amount("amount")),
        "remaining": str(line.amount("remaining")),
        "pending": str(pending),
        "read_at": now.isoformat(),
    }


def record_decision(session: Session, ask: Ask) -> Answer:
    """Approve our own step of the requisition's chain, with our reason; done already is done.

    Waits while Coupa's own approvers are before us.

    Raises:
        BusinessRejection: the requisition is no longer there to be approved.
    """
    current = _requisition(session, ask)
    own = _own_approval(session, current)
    if (decided := _decided(current, own)) is not None:
        return decided
    if current.text("status") not in OPEN:
        raise _conflict(current, "approved")
    if own is None or decision_of(own) is not Decision.PENDING:
        return Answer(wait_s=APPROVAL_WAIT_S, waiting_for="procurement's own approvers")
    reason = str(ask.facts.get("decision_comment", "Validated, budget confirmed"))
    return _approved(_decide(session, own, "approve", reason, Decision.APPROVED))


def find_decision(session: Session, ask: Ask) -> Answer | None:
    """Whether the requisition is approved, by our own step or altogether; None while it is not."""
    current = _requisition(session, ask)
    return _decided(current, _own_approval(session, current))


def _decided(current: Part, own: Part | None) -> Answer | None:
    if own is not None and decision_of(own) is Decision.APPROVED:
        return _approved(own)
    if current.text("status") in OPEN or status_meaning(current).approval_status is not ApprovalStatus.APPROVED:
        return None
    at = current.moment("updated-at")
    return Answer(facts={"procurement_approval_id": "", "procurement_approved_at": at.isoformat()}, at=at)


def _approved(own: Part) -> Answer:
    at = own.moment("approval-date" if own.raw.get("approval-date") else "updated-at")
    facts = {"procurement_approval_id": str(own.number("id")), "procurement_approved_at": at.isoformat()}
    return Answer(facts=facts, at=at)


def record_refusal(session: Session, ask: Ask) -> Answer:
    """Reject the requisition at whatever step it waits, with the reason for it; ended already is done.

    The business has refused it in the tool that decides, so nobody in Coupa need spend time on it any more. Coupa keeps
    apart whose step it was (approver) and who decided (approved-by, here the API user).

    Raises:
        BusinessRejection: the requisition is approved already.
    """
    current = _requisition(session, ask)
    own, status = _own_approval(session, current), current.text("status")
    if status not in OPEN:
        if status_meaning(current).approval_status is ApprovalStatus.APPROVED:
            raise _conflict(current, "refused")
        return _refused(_refusing_step(current), current.moment("updated-at"))
    is_ours = own is not None and decision_of(own) is Decision.PENDING
    waiting = own if is_ours else current.part_or_none("current-approval")
    if waiting is None:
        return Answer(wait_s=APPROVAL_WAIT_S, waiting_for="procurement's own approvers")
    decided = _decide(session, waiting, "reject", str(ask.facts["refusal_reason"]), Decision.REJECTED)
    return _refused(decided, decided.moment("updated-at"))


def _refusing_step(current: Part) -> Part | None:
    """The step that refused the requisition, which is the last of its chain; None when it ended otherwise."""
    last = (None, *current.parts("approvals", "approval"))[-1]
    return last if last is not None and decision_of(last) is Decision.REJECTED else None


def _refused(step: Part | None, at: datetime) -> Answer:
    approval_id = str(step.number("id")) if step is not None else ""
    return Answer(facts={"procurement_approval_id": approval_id, "procurement_refused_at": at.isoformat()}, at=at)


def _decide(session: Session, own: Part, verb: str, reason: str, wanted: Decision) -> Part:
    """Decide our approval and read it again.

    Raises:
        BusinessRejection: Coupa refuses, and the approval is not decided as we want it either.
    """
    path = f"/api/approvals/{own.number('id')}"
    reply = session.request("PUT", f"{path}/{verb}", params={"reason": reason}, allow=REFUSED)
    approval = coupa_api.one(session, path, own.place)
    if decision_of(approval) is not wanted:
        raise coupa_api.refusal(reply, f"Coupa does not let us {verb} {own.place}")
    return approval


def return_order_number(session: Session, ask: Ask) -> Answer:
    """Give the requisition the number of the ERP's order, its posting status and its accounting.

    The number becomes the requisition's own purchase order reference when the order holds all of its lines, and a field
    of the lines otherwise; Coupa then makes its order under that number. Waits until it has.

    Raises:
        BusinessRejection: Coupa refuses the number, or the requisition no longer has the lines.
    """
    order = _wanted(ask, PurchaseOrder)
    if not order.erp_number:
        raise MappingError(f"Order {order.number} has no number of the ERP yet.", system=NAME, code="field_invalid")
    current = _requisition(session, ask)
    present = {str(line.number("id")) for line in current.parts("requisition-lines", "line")}
    wanted = [line.source_line_id for line in order.lines]
    if gone := sorted(set(wanted) - present):
        lines = ", ".join(gone)
        raise BusinessRejection(
            f"Requisition {current.number('id')} no longer has the lines {lines} of order {order.erp_number}.",
            system=NAME,
            facts={"order": order.erp_number, "lines": lines},
        )
    change: Json = {
        "custom-fields": {
            session.state["status_field"]: f"Order {order.erp_number} created in the ERP",
            DISTRIBUTION_FIELD: _accounting(ask.facts),
        }
    }
    if present == set(wanted):
        change["external-po-reference"] = order.erp_number
    else:
        numbered = {PO_NUMBER_FIELD: order.erp_number}
        change["requisition-lines"] = [{"id": int(line_id), "custom-fields": numbered} for line_id in wanted]
    coupa_api.put(
        session, f"/api/requisitions/{current.number('id')}", change, f"Coupa refuses order number {order.erp_number}"
    )
    found = _order_by_number(session, order.erp_number, current.number("id"))
    if found is None:
        return Answer(wait_s=ORDER_WAIT_S, waiting_for="procurement to make its order")
    order_id = str(found.number("id"))
    facts = {"procurement_order_id": order_id, "returned_at": ask.now.isoformat()}
    return Answer(facts, (Identifier(NAME, "purchase_order", order_id),), at=found.moment("created-at"))


def _accounting(facts: Mapping[str, Any]) -> str:
    """The posting status and who bears what, on one line: "committed: 400100/4711 1200.00 EUR; ..."."""
    parts = [
        f"{part['gl_account']}/{part['cost_centre']} {part['amount']} {part['currency']}"
        for part in facts.get("distribution") or ()
    ]
    return ": ".join(filter(None, [str(facts.get("posting_status") or ""), "; ".join(parts)]))[:MAX_CUSTOM_TEXT]


def _order_by_number(session: Session, po_number: str, requisition_id: int | None) -> Part | None:
    for order in coupa_api.every(session, "/api/purchase_orders", {"po_number": po_number}):
        header = order.part_or_none("requisition-header")
        if requisition_id is None or (header is not None and header.number("id") == requisition_id):
            return order
    return None


def mark_exported(session: Session, ask: Ask) -> Answer:
    """Mark Coupa's order as exported, so that only a new version of it is told again.

    The flag knows no version: while a newer one waits to be told, it is left alone.

    Raises:
        BusinessRejection: Coupa does not know the order.
    """
    order = _wanted(ask, PurchaseOrder)
    order_id = str(ask.facts.get("procurement_order_id") or ask.identifiers.get("coupa.purchase_order") or "")
    if not order_id:
        found = _order_by_number(session, order.erp_number, None)
        if found is None:
            raise BusinessRejection(f"Coupa has no order {order.erp_number}.", system=NAME, code="order_unknown")
        order_id = str(found.number("id"))
    return _export(session, order_id, order.version)


def _export(session: Session, order_id: str, version: int, *, cancels: bool = False) -> Answer:
    """Set the exported flag of one version, or of its cancellation, which has no version of its own.

    Raises:
        BusinessRejection: somebody revised or cancelled the order at that very moment, and the flag now hides it.
    """
    path = f"/api/purchase_orders/{quote(order_id, safe='')}"
    current = coupa_api.one(session, path, f"purchase order {order_id}")
    if current.number("version") > version:
        return Answer(facts={"procurement_order_id": order_id, "skipped": "a newer version waits to be exported"})
    if _is_cancelled(current) and not cancels:
        return Answer(facts={"procurement_order_id": order_id, "skipped": "its cancellation waits to be exported"})
    if current.raw.get("exported") is not True:
        # Vendor behaviour: the call must be alone, other fields in it may be ignored.
        reply = session.request("PUT", path, params={"exported": "true"}, allow=REFUSED)
        current = coupa_api.answered(
            reply, f"purchase order {order_id}", "Coupa does not let us mark the order as exported"
        )
        newer = current.number("version")
        if newer > version:
            raise BusinessRejection(
                f"Order {current.text('po-number')} was revised to version {newer} in Coupa while it was marked as "
                "exported. Open it in Coupa and save it once, so that the revision is told again.",
                system=NAME,
                code="document_changed",
                facts={"order": current.text("po-number"), "version": newer},
            )
        if _is_cancelled(current) and not cancels:
            raise BusinessRejection(
                f"Order {current.text('po-number')} was cancelled in Coupa while it was marked as exported. Cancel it in the "
                "ERP too.",
                system=NAME,
                code="document_changed",
                facts={"order": current.text("po-number")},
            )
    at = current.moment("last-exported-at" if current.raw.get("last-exported-at") else "updated-at")
    return Answer(facts={"procurement_order_id": order_id, "exported_at": at.isoformat()}, at=at)


def _is_cancelled(order: coupa_api.Part) -> bool:
    return order.raw.get("status") == "cancelled"


def return_change(session: Session, ask: Ask) -> Answer:
    """Tell Coupa that a revision has arrived in the ERP: its order is marked as exported and says so.

    In this order, because the other field moves the order's updated-at: a revision not yet marked would be told again.
    """
    change = _wanted(ask, ChangeOrder)
    exported = _export(session, change.source_order_id, change.version, cancels=change.cancels)
    if "skipped" in exported.facts:
        return exported
    done = "cancelled" if change.cancels else f"changed to version {change.version}"
    status = {session.state["status_field"]: f"Order {change.order_number} {done} in the ERP"}
    path = f"/api/purchase_orders/{quote(change.source_order_id, safe='')}"
    coupa_api.put(session, path, {"custom-fields": status}, f"Coupa refuses the status of order {change.order_number}")
    return Answer(facts={**exported.facts, "returned_at": ask.now.isoformat()}, at=exported.at)


def _wanted(ask: Ask, kind: type[D]) -> D:
    if not isinstance(ask.document, kind):
        raise TypeError(f"{ask.purpose} is about a {kind.__name__}, not a {type(ask.document).__name__}")
    return ask.document


def _requisition(session: Session, ask: Ask) -> Part:
    requisition_id = requisition_id_of(ask)
    if requisition_id is None:
        raise TypeError(f"{ask.purpose} is about a requisition, not a {type(ask.document).__name__}")
    return coupa_api.one(
        session, f"/api/requisitions/{quote(requisition_id, safe='')}", f"requisition {requisition_id}"
    )


def _own_approval(session: Session, current: Part) -> Part | None:
    """Our own step, the latest one when the chain began anew; None while it has not come."""
    own = None
    for step in current.parts("approvals", "approval"):
        approver = step.part_or_none("approver")
        if approver is not None and approver.text_or_empty("login") == session.state["login"]:
            own = Part(step.raw, f"approval {step.raw.get('id')} of {current.place}")
    return own


def _conflict(current: Part, wish: str) -> BusinessRejection:
    word = current.text("status").replace("_", " ")
    return BusinessRejection(
        f"Coupa's {current.place} is {word}, so it cannot be {wish} any more.",
        system=NAME,
        code="approval_conflict",
        facts={"status": current.text("status"), "wanted": wish},
    )


def connect(access: Access, *, timer: Callable[[], float], transport: httpx2.BaseTransport | None = None) -> Session:
    """A session with one Coupa instance.

    Args:
        access: The instance's address (https://<instance>.coupahost.com) and API client. Options: "token_scope", scopes
            separated by blanks; "login", the user behind the API client ("finsync"); "status_field", the custom field
            that tells requesters what became of their document ("cf-erp-status").
        timer: Seconds that only grow.
        transport: Instead of the network.
    """
    token_url = access.token_url or f"{access.base_url.rstrip('/')}/oauth2/token"
    auth = SettlingToken(token_url, access.credentials, scope=access.options.get("token_scope", SCOPES), timer=timer)
    session = Session(
        NAME, access.base_url, auth=auth, timer=timer, transport=transport, max_connections=SYSTEM.max_in_flight
    )
    session.state["login"] = access.options.get("login", "finsync")
    session.state["status_field"] = access.options.get("status_field", "cf-erp-status")
    return session


# fmt: off
SYSTEM = System(
    name=NAME,
    title="Coupa",
    role=Role.PROCUREMENT,
    api_version="Core API R39",
    feeds=FEEDS,
    operations=operations(
        Operation("read_budget",             Effect.READ,   read_budget,         calls=2),
        Operation("record_decision",         Effect.SET,    record_decision,     find_decision, calls=3),
        Operation("record_refusal",          Effect.SET,    record_refusal,      calls=3),
        Operation("return_order_number",     Effect.SET,    return_order_number, calls=3),
        Operation("mark_exported",           Effect.SET,    mark_exported,       calls=2),
        Operation("return_change",           Effect.SET,    return_change,       calls=3),
        Operation("cancel_order",            Effect.SET,    cancel_order,        calls=4),
        Operation("tell_procurement",        Effect.CREATE, tell_procurement,    find_told, calls=2),
        Operation("tell_procurement_closed", Effect.CREATE, tell_procurement,    find_told, calls=2),
    ),
    requests_per_s=20,
    burst=20,
    max_in_flight=8,
    quiet_period_s=5,
    idempotency="No key: comments carry our own reference, order numbers are unique, decisions are read back.",
    connect=connect,
    holdings={"requisition": coupa_holdings.requisitions, "purchase_order": coupa_holdings.purchase_orders},
)
# fmt: on
