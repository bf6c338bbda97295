"""The document behind a message nobody can read: as much of it as the message gives away."""

from datetime import datetime
from uuid import UUID

from sync_engine.engine.beginning import blank
from sync_engine.engine.heads import Head
from sync_engine.engine.recording import Recording
from sync_engine.model.errors import MappingError
from sync_engine.model.lifecycles import LIFECYCLES
from sync_engine.model.mappings import Mappings
from sync_engine.model.money import currencies, parse_amount
from sync_engine.model.ports import Sketch


def begin_sketched(recording: Recording, sketch: Sketch, document_id: UUID, system: str, mappings: Mappings) -> Head:
    """Begin a document of which we know little more than its number, so that its trouble has a place to be shown."""
    head = _sketched(sketch, document_id, system, mappings, now=recording.now)
    recording.begin(head)
    recording.identify(head, sketch.identifier)
    received = f"{sketch.document_type}_received"
    recording.note(head, received, system=system, state_from=None, attributes={"readable": "false"})
    return head


def _sketched(sketch: Sketch, document_id: UUID, system: str, mappings: Mappings, *, now: datetime) -> Head:
    """The document that begins with a sketch. An amount that is none, or in an unknown currency, is left out."""
    initial = LIFECYCLES[sketch.document_type].initial
    number = sketch.number or sketch.identifier.external_id
    head = blank(document_id, sketch.document_type, system, number, initial, now)
    head.title = sketch.title[:2000]
    head.business_unit = _unit(sketch.business_unit, mappings)
    head.company_code = sketch.company_code
    head.submitted_at = now
    if sketch.currency in currencies():
        try:
            head.amount, head.currency = parse_amount(sketch.amount), sketch.currency
            head.group_amount = mappings.in_group_currency(head.amount, head.currency, now.date()).amount
        except (ValueError, MappingError):
            head.amount = head.currency = head.group_amount = None
    return head


def _unit(told: str, mappings: Mappings) -> str:
    """The business unit that a department or code of the source means; none when no table knows it, and then only those who see
    every unit see the document."""
    if told in mappings.business_units:
        return told
    try:
        return mappings.unit_of_department(told, system="finsync").code
    except MappingError:
        return ""
