"""Cancelling an order in the ERP because somebody asks for it (R088): refused at once where it may not be undone any more, else
carried out by the engine as a flow of its own."""

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

from sync_engine.control.asked import Asked, Doing, Refusal
from sync_engine.control.roles import sees
from sync_engine.engine import store
from sync_engine.engine.beginning import begin_cancellation
from sync_engine.engine.decisions.cancelling import why_not
from sync_engine.engine.heads import Head
from sync_engine.model.documents import DocumentType
from sync_engine.model.flows import ORDER_CANCELLATION


def cancel_order(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Begin to take an order back, once."""
    try:
        document_id, version = UUID(str(asked.arguments.get("document_id"))), int(asked.arguments.get("version", -1))
    except ValueError:
        raise Refusal("failed", "The command does not say which order it is about.") from None
    head = store.lock_heads(doing.connection, [document_id]).get(document_id)
    if (
        head is None
        or head.document_type is not DocumentType.PURCHASE_ORDER
        or not sees(asked.units, head.business_unit)
    ):
        raise Refusal("denied", "The order is not among those you may see.")
    doing.business_units.add(head.business_unit)
    if head.is_closed:
        raise Refusal("conflict", f"Order {head.number} is {head.state} already.")
    if head.version != version:
        raise Refusal("conflict", "The order has changed since you looked at it.")
    sentence = why_not(head.number, store.rows(doing.connection, "decide.order_lines", document_id=[document_id]))
    if sentence:
        raise Refusal("conflict", sentence)
    if store.rows(doing.connection, "command.cancellation_of", document_id=document_id):
        raise Refusal("conflict", f"The cancellation of order {head.number} has been asked for already.")
    if not _restarted(asked, doing, head):
        begin_cancellation(doing.recording, head, doing.setup, reason=asked.reason, asked_by=asked.actor)
    doing.recording.note(head, "cancellation_asked", actor=asked.actor, attributes={"reason": asked.reason})
    return {"sentence": f"Order {head.number} is being cancelled; its trace shows how far that has come."}


def _restarted(asked: Asked, doing: Doing, head: Head) -> bool:
    """Begin an earlier cancellation anew that was refused and given up. Answers whether there was one."""
    step = ORDER_CANCELLATION.first
    found = store.rows(
        doing.connection,
        "command.restart_cancellation",
        document_id=head.document_id,
        facts=json.dumps({"reason": asked.reason, "asked_by": asked.actor}),
        system=doing.setup.lane(step, head.business_unit),
        objective_at=doing.now + timedelta(seconds=step.objective_s),
        now=doing.now,
    )
    return bool(found)
