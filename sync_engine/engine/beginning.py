"""How a document and its work begin, and what lists and figures need to know of it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sync_engine.engine.heads import Head
from sync_engine.engine.jsontext import json_text
from sync_engine.engine.outcomes import Setup, Spawn
from sync_engine.engine.recording import Recording
from sync_engine.model.documents import Document, DocumentType, PurchaseOrder
from sync_engine.model.flows import FLOW_OF, ORDER_CANCELLATION, Flow
from sync_engine.model.lifecycles import LIFECYCLES, Status
from sync_engine.model.mappings import Mappings


def begin_document(recording: Recording, spawn: Spawn, setup: Setup, *, parent: Head | None) -> Head:
    """Let a document come into being: its row, first event, payload, names, link and first work. Returns it."""
    document = spawn.document
    lifecycle = LIFECYCLES[document.type]
    status = spawn.status or lifecycle.initial
    document_id = setup.new_id(recording.now)
    head = blank(document_id, document.type, "finsync", document.called, status, recording.now)
    head.correlation_id = parent.correlation_id if parent else document_id
    head.business_unit, head.company_code = document.business_unit, document.company_code
    describe(head, document, setup.mappings, recording.now)
    recording.begin(head)
    recording.payload(head, document, mapping_version=setup.mappings.version, author=recording.engine_id)
    recording.note(head, spawn.activity, state_from=None)
    for identifier in spawn.identifiers:
        recording.identify(head, identifier)
    if parent is not None and spawn.relation:
        recording.links.add(document_id, parent.document_id, spawn.relation, head.business_unit)
    if isinstance(document, PurchaseOrder):
        for line in document.lines:
            recording.movements.add(
                document_id,
                line.number,
                "ordered",
                document_id,
                line.number,
                line.quantity,
                line.amount,
                document.ordered_on,
                head.business_unit,
            )
    begin_work(
        recording,
        head,
        spawn.flow or FLOW_OF.get(document.type),
        setup,
        {"parent": str(parent.document_id)} if parent else None,
    )
    return head


def blank(
    document_id: UUID, document_type: DocumentType, system: str, number: str, status: Status, now: datetime
) -> Head:
    """A document of which nothing is known yet but its number and where it begins; `describe` tells the rest."""
    return Head(
        document_id=document_id,
        document_type=document_type,
        correlation_id=document_id,
        number=number,
        title="",
        business_unit="",
        company_code="",
        source_system=system,
        state=status.state,
        approval_status=status.approval_status,
        posting_status=status.posting_status,
        state_since=now,
        version=1,
        payload_version=0,
        currency=None,
        amount=None,
        group_amount=None,
        supplier="",
        supplier_name="",
        requester="",
        submitted_at=None,
        need_by_on=None,
        due_on=None,
        source_at=None,
        closed_at=None,
    )


def begin_work(
    recording: Recording, head: Head, flow: Flow | None, setup: Setup, facts: dict[str, Any] | None = None
) -> None:
    """Put a document at the first step of a flow; without a flow it is only watched."""
    if flow is None:
        return
    step = flow.first
    recording.new_work.add(
        setup.new_id(recording.now),
        head.document_id,
        None,
        head.business_unit,
        flow.name,
        step.name,
        setup.lane(step, head.business_unit),
        recording.now,
        recording.now + timedelta(seconds=step.objective_s),
        100,
        json_text(facts or {}),
    )


def describe(head: Head, document: Document, mappings: Mappings, now: datetime) -> None:
    """Copy what lists and figures need from the canonical document into its row."""
    values = document.__dict__
    if document.business_unit:
        head.business_unit = document.business_unit
    if document.company_code:
        head.company_code = document.company_code
    head.title = values.get("title") or head.title
    amount = values.get("gross_amount", values.get("amount"))
    currency = values.get("currency")
    if amount is not None and currency is not None:
        head.amount, head.currency = amount, currency
        head.group_amount = mappings.in_group_currency(amount, currency, now.date()).amount
    head.supplier = values.get("supplier") or head.supplier
    head.supplier_name = values.get("supplier_name") or (
        values.get("name", "") if document.type == "supplier" else head.supplier_name
    )
    requester = values.get("requester")
    head.requester = requester.user if requester is not None else head.requester
    began = next(
        (values[name] for name in ("submitted_at", "received_at", "requested_at", "entered_at") if values.get(name)),
        None,
    )
    head.submitted_at = (
        head.submitted_at or began or now
    )  # resubmitting does not set the clock back (PRODUCT.md trap 18)
    head.need_by_on = values.get("need_by_on") or head.need_by_on
    head.due_on = values.get("due_on") or head.due_on


def begin_cancellation(recording: Recording, order: Head, setup: Setup, *, reason: str, asked_by: str) -> None:
    """Begin to take an order back; where that has begun already, nothing changes."""
    step = ORDER_CANCELLATION.first
    recording.new_work.add(
        setup.new_id(recording.now),
        order.document_id,
        None,
        order.business_unit,
        ORDER_CANCELLATION.name,
        step.name,
        setup.lane(step, order.business_unit),
        recording.now,
        recording.now + timedelta(seconds=step.objective_s),
        50,
        json_text({"reason": reason, "asked_by": asked_by}),
    )
