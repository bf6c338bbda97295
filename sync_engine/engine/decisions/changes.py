"""Change orders: whether a change needs a new approval, and the order as it stands afterwards (R040)."""

from collections.abc import Sequence
from decimal import Decimal

from sync_engine.engine.decisions.desk import LOOK_AGAIN_S, Desk, deciders, document, named, refused, votes
from sync_engine.engine.decisions.orders import belongs_to
from sync_engine.engine.outcomes import Item, Kind, Movement, OtherMove, Outcome
from sync_engine.engine.troubles import Trouble
from sync_engine.model import policies
from sync_engine.model.documents import ChangeOrder, Decision, Distribution, Line, PurchaseOrder
from sync_engine.model.errors import SyncError
from sync_engine.model.flows import HOUR
from sync_engine.model.lifecycles import PURCHASE_ORDER
from sync_engine.model.money import split


def validate_change(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Find the order, and whether the change raises it so much that the approval no longer covers it."""
    orders = desk.linked(items, "changes")
    outcomes: list[Outcome | None] = []
    for item in items:
        change = document(item, ChangeOrder)
        found = orders.get(item.head.document_id, [])
        if not found or not found[0]["canonical"]:
            trouble = Trouble(
                "order_unknown",
                f"{change.number} changes order {change.order_number}, which has not arrived here.",
                "finsync",
                {"order": change.order_number},
            )
            outcomes.append(
                Outcome(Kind.WAIT, wait_s=1 * HOUR, waiting_for=f"order {change.order_number}", also_troubles=[trouble])
            )
            continue
        order = PurchaseOrder.model_validate_json(found[0]["canonical"])
        try:
            outcomes.append(_validated(change, order, desk, found[0]))
        except SyncError as error:
            outcomes.append(refused(error))
    return outcomes


def _validated(change: ChangeOrder, order: PurchaseOrder, desk: Desk, row: dict[str, object]) -> Outcome:
    rise = change.amount - order.amount
    allowed = order.amount * desk.setup.policies.change_reapproval_percent / 100
    reasons = []
    if not change.cancels and rise > allowed:
        reasons.append(
            f"The change raises order {change.order_number} by {rise} {change.currency}, more than {desk.setup.policies.change_reapproval_percent} %."
        )
        route = policies.approval_route(
            desk.setup.policies,
            business_unit=order.business_unit,
            amount=change.amount,
            currency=change.currency,
            suppliers_without_contract=(),
        )
        reasons += [reason.sentence for reason in route.reasons]
    facts = {"route_reasons": reasons, "erp_order_number": order.erp_number, "before": str(order.amount)}
    # Procurement's revision names quantities and prices; everything else stays as the order has it.
    by_source = {line.source_line_id: line for line in order.lines}
    lines = tuple(_merged(line, by_source.get(line.source_line_id), change.currency) for line in change.lines)
    merged = change.model_copy(
        update={"business_unit": order.business_unit, "company_code": order.company_code, "lines": lines}
    )
    return Outcome(Kind.DONE, document=merged, facts=facts, revise=belongs_to(dict(row)))


def _merged(line: Line, ordered: Line | None, currency: str) -> Line:
    if ordered is None:
        return line
    return ordered.model_copy(
        update={
            "quantity": line.quantity,
            "unit_price": line.unit_price,
            "amount": line.amount,
            "distributions": _spread(line, ordered, currency),
        }
    )


def _spread(line: Line, ordered: Line, currency: str) -> tuple[Distribution, ...]:
    """The new amount over the old distributions, in the old proportions."""
    if not ordered.distributions:
        return ()
    shares = split(line.amount, [part.amount for part in ordered.distributions], currency)
    return tuple(
        part.model_copy(update={"amount": share}) for part, share in zip(ordered.distributions, shares, strict=True)
    )


def await_change_approval(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """A change within the approval goes on by itself; one beyond it waits for both groups."""
    approvals = desk.approvals(items)
    outcomes: list[Outcome | None] = []
    for item in items:
        request = item.facts.get("approval_request", "")
        if not request:
            outcomes.append(Outcome(Kind.DONE, attributes={"within_approval": "true"}))
            continue
        asked = approvals.get(item.head.document_id, [])
        joint = policies.joint_decision(item.facts.get("approval_groups", []), votes(asked, request))
        decided = deciders(asked, request)
        last = decided[-1] if decided else None
        if joint is Decision.PENDING:
            outcomes.append(
                Outcome(Kind.WAIT, wait_s=LOOK_AGAIN_S, waiting_for=", ".join(item.facts.get("approval_groups", [])))
            )
        elif joint is Decision.APPROVED:
            outcomes.append(Outcome(Kind.DONE, at=last.decided_at if last else None, actor=named(last) if last else ""))
        else:
            outcomes.append(
                Outcome(
                    Kind.DECLINED,
                    event="change_refused_by_approver",
                    at=last.decided_at if last else None,
                    actor=named(last) if last else "",
                )
            )
    return outcomes


NOT_YET_AT_LARGE = frozenset({"posted", "committed", "returned"})
"""The ERP has the order, and procurement has not confirmed its number: a buyer who has seen it there may be quicker."""

AT_LARGE_WAIT_S = 30.0


def apply_change(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """The ERP has the change: our order follows. One that had been billed in full meanwhile is open again for the rest."""
    orders = desk.linked(items, "changes")
    held = desk.try_lock(row["document_id"] for rows in orders.values() for row in rows)
    outcomes: list[Outcome | None] = []
    for item in items:
        row = orders[item.head.document_id][0]
        head = held.get(row["document_id"])
        if head is None:
            outcomes.append(None)
            continue
        change = document(item, ChangeOrder)
        order = PurchaseOrder.model_validate_json(row["canonical"])
        activity = "order_cancelled" if change.cancels else "order_changed"
        if head.state in NOT_YET_AT_LARGE and not change.cancels:
            outcomes.append(
                Outcome(Kind.WAIT, wait_s=AT_LARGE_WAIT_S, waiting_for="the order's number to be in procurement")
            )
            continue
        if not PURCHASE_ORDER.allows(head.status, activity):
            outcomes.append(Outcome(Kind.DONE, attributes={"order_left_as": head.state}))
            continue
        changed = (
            order
            if change.cancels
            else order.model_copy(update={"amount": change.amount, "lines": change.lines, "version": change.version})
        )
        movements = [
            Movement(
                "ordered",
                line.number,
                head.document_id,
                line.number,
                Decimal(0) if change.cancels else line.quantity,
                Decimal(0) if change.cancels else line.amount,
                desk.now.date(),
            )
            for line in changed.lines
        ]
        outcomes.append(
            Outcome(
                Kind.DONE,
                other_moves=[OtherMove(head, activity, changed, resume_at="await_fulfilment")],
                movements_of=head.document_id,
                movements=movements,
                wakes=[head.document_id],
            )
        )
    return outcomes


DECISIONS = {
    "validate_change": validate_change,
    "await_change_approval": await_change_approval,
    "apply_change": apply_change,
}
