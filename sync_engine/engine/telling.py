"""Who is told of what became of a step, beside the document's own history: the owner of an exception, and whoever had it reprocessed."""

from datetime import timedelta
from uuid import UUID

from sync_engine.engine.heads import Head
from sync_engine.engine.jsontext import json_text
from sync_engine.engine.outcomes import Item, Setup
from sync_engine.engine.recording import Recording
from sync_engine.engine.troubles import Trouble
from sync_engine.model.flows import EXCEPTION_REMEDIATION


def remediate(recording: Recording, head: Head, case_id: UUID, _trouble: Trouble, setup: Setup) -> None:
    """Start the flow that tells people about a new exception: a task, a note to the requester (R071, R115)."""
    step = EXCEPTION_REMEDIATION.first
    facts = {"procurement_should_know": head.document_type.value in {"requisition", "purchase_order"}}
    recording.new_work.add(
        setup.new_id(recording.now),
        head.document_id,
        case_id,
        head.business_unit,
        EXCEPTION_REMEDIATION.name,
        step.name,
        setup.lane(step, head.business_unit),
        recording.now,
        recording.now + timedelta(seconds=step.objective_s),
        50,
        json_text(facts),
    )


def say_of_redrive(recording: Recording, item: Item, status: str, result: str) -> None:
    """How far a reprocessed item has come, for the person who asked for it."""
    if item.redrive_id is None:
        return
    for case_id, _ in item.open_cases.values():
        recording.redrive_items.add(item.redrive_id, case_id, status, result)
        if status in {"sent", "accepted"}:
            recording.case_statuses.add(case_id, status)
    if status not in {"sent", "accepted"}:
        recording.finished_redrives.add(item.redrive_id)
