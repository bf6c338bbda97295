"""Taking an order back (R088): whether that may still be done, and what it means for the requisition behind it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from sync_engine.engine.decisions.desk import Desk
from sync_engine.engine.heads import Head
from sync_engine.engine.outcomes import Item, Kind, OtherMove, Outcome
from sync_engine.engine.troubles import Trouble
from sync_engine.model.flows import MINUTE
from sync_engine.model.lifecycles import PURCHASE_ORDER, REQUISITION

ZERO = Decimal(0)
LOOK_AGAIN_S = 1 * MINUTE
"""The order is in somebody's hands, or nobody knows whether the ERP has it: both are a matter of minutes."""

NOT_SENT = {"drafted", "refused"}


def check_cancellable(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """Nothing received or billed: it may be taken back. An order that was never sent is given up here; one of which nobody knows
    whether the ERP has it waits until that is known."""
    ids = [item.head.document_id for item in items]
    lines: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in desk.rows("order_lines", document_id=ids):
        lines[row["order_document_id"]].append(row)
    work = {row["document_id"]: row for row in desk.rows("hold_order_work", document_id=ids)}
    return [_checked(item, lines[item.head.document_id], work.get(item.head.document_id)) for item in items]


def why_not(number: str, lines: Sequence[Mapping[str, Any]]) -> str:
    """Why an order may not be taken back any more, or nothing. Lines say what was received and billed.

    >>> why_not("4500000001", [{"received": Decimal(2), "billed": Decimal(0)}])
    'Order 4500000001 cannot be cancelled any more: goods have been received.'
    """
    received = any(line["received"] > ZERO for line in lines)
    billed = any(line["billed"] > ZERO for line in lines)
    if not received and not billed:
        return ""
    what = " and ".join(
        filter(None, ["goods have been received" if received else "", "it has been invoiced" if billed else ""])
    )
    return f"Order {number} cannot be cancelled any more: {what}."


def _checked(item: Item, lines: Sequence[Mapping[str, Any]], work: Mapping[str, Any] | None) -> Outcome:
    head = item.head
    if head.is_closed:
        return Outcome(Kind.DONE, event="", goto="settle_cancellation")
    sentence = why_not(head.number, lines)
    if sentence:
        trouble = Trouble("cancellation_refused", sentence, "finsync", {"order": head.number}, blocks=False)
        return Outcome(Kind.REFUSED, trouble=trouble)
    attributes = {name: item.facts[name] for name in ("reason", "asked_by") if item.facts.get(name)}
    actor = item.facts.get("asked_by", "")
    if not PURCHASE_ORDER.allows(head.status, "order_cancelled"):
        never_sent = head.state in NOT_SENT and work is not None and work["status"] != "in_call"
        if not never_sent or work is None or work["is_unsure"]:
            return Outcome(Kind.WAIT, wait_s=LOOK_AGAIN_S, waiting_for="certainty whether the ERP has the order")
        return Outcome(Kind.DONE, event="abandoned", goto="settle_cancellation", attributes=attributes, actor=actor)
    return Outcome(Kind.DONE, attributes=attributes, actor=actor)


def settle_cancellation(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """The order is gone: what stood in its way is settled, and a requisition all of whose orders are gone is over too; its
    budget is free again."""
    requisitions = desk.linked(items, "fulfils")
    ids = {row["document_id"] for rows in requisitions.values() for row in rows}
    siblings = desk.linking(ids, "fulfils")
    held = desk.try_lock(ids)
    cases: dict[UUID, list[UUID]] = defaultdict(list)
    about = [*ids, *(item.head.document_id for item in items)]
    for row in desk.rows("cases_of_order", document_id=about):
        cases[row["document_id"]].append(row["case_id"])
    outcomes: list[Outcome | None] = []
    for item in items:
        parents = [row["document_id"] for row in requisitions.get(item.head.document_id, [])]
        if any(parent not in held for parent in parents):
            outcomes.append(None)
            continue
        over = [parent for parent in parents if all(row["state"] == "cancelled" for row in siblings.get(parent, []))]
        settled = [(case_id, item.head) for case_id in cases[item.head.document_id]]
        settled += [(case_id, held[parent]) for parent in over for case_id in cases[parent]]
        ended = [held[parent] for parent in over if _ends(held[parent])]
        outcomes.append(
            Outcome(
                Kind.DONE,
                other_moves=[OtherMove(head, "orders_cancelled") for head in ended],
                releases_budget_of=[head.document_id for head in ended],
                cancels_cases=settled,
                wakes=parents,
            )
        )
    return outcomes


def _ends(requisition: Head) -> bool:
    """One that waits for its orders ends by itself when it is woken; one that was done with is over now."""
    return requisition.state == "ordered" and REQUISITION.allows(requisition.status, "orders_cancelled")


DECISIONS = {"check_cancellable": check_cancellable, "settle_cancellation": settle_cancellation}
