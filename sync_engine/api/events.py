"""State changes as a stream (R052): published once, in CloudEvents 1.0, read by as many readers as there are.

A reader keeps its own position and asks for what comes after it. Positions are given to recordings after they are committed, by
one transaction at a time (`publish_recordings`), so that a reader never passes an event that becomes visible later. The events
of one document come in the order of its history. A reader that sees few business units sees few events; the position it is told
to go on from passes over the others.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from sync_engine.api.asking import ByCaller, Row
from sync_engine.api.problems import Problem, told
from sync_engine.model.documents import ApprovalStatus, DocumentType, PostingStatus
from sync_engine.model.lifecycles import LIFECYCLES

PUBLISH_MAX = 2_000
"""Recordings published by one request: a stream nobody has read for long is caught up with in parts."""

RECORDINGS_MAX = 1_000
"""Recordings one request looks at: bounds its cost for a reader who may see little of them."""

MOVES = sorted(
    f"{document_type.value}.{event}" for document_type, lifecycle in LIFECYCLES.items() for event in lifecycle.events
)
"""What moves a document; everything else in its history is evidence and is not published."""

router = APIRouter(tags=["events"])


class StateChange(BaseModel):
    """Where a document stood after an event."""

    document_id: UUID
    document_type: DocumentType
    document_version: int
    number: str
    business_unit: str
    correlation_id: UUID = Field(description="The journey it belongs to, from the first request to the payment.")
    previous_state: str | None = Field(description="null: the document began here.")
    state: str
    approval_status: ApprovalStatus
    posting_status: PostingStatus
    recorded_at: datetime


class CloudEvent(BaseModel):
    """CloudEvents 1.0 in its JSON form."""

    specversion: Literal["1.0"] = "1.0"
    id: str = Field(description="Unique for its source; the same however often it is read.")
    source: str = Field(examples=["/finsync/public"])
    type: str = Field(examples=["finsync.invoice.payment_ready"])
    subject: str = Field(examples=["invoice/RE-4711"])
    time: datetime = Field(description="When it happened, by the system where it happened.")
    datacontenttype: Literal["application/json"] = "application/json"
    sequence: str = Field(
        description="Place in the document's history, where events that moved nothing have places too."
    )
    position: str = Field(description="Place in the stream, a rising number.")
    data: StateChange


class EventPage(BaseModel):
    """Events in the order of the stream."""

    events: list[CloudEvent]
    next_after: int = Field(description="Ask for what comes after this next, also when there were no events.")
    has_more: bool = Field(description="There may be more right now.")


Position = Annotated[
    int, Query(ge=0, lt=2**63, description="The `next_after` of the last answer; 0 begins at the beginning.")
]
Limit = Annotated[int, Query(ge=1, le=1000)]


@router.get("/v1/events", operation_id="listEvents", summary="State changes after a position", responses=told(409))
def list_events(caller: ByCaller, after: Position = 0, limit: Limit = 100) -> EventPage:
    """State changes the caller may see, published once, in order; every reader keeps its own position."""
    # A transaction of its own: the lock of publishing must not last as long as the reading.
    with caller.asking(read_only=False) as asked:
        published = asked.value("publish", most=PUBLISH_MAX)
    with caller.asking() as asked:
        [stream] = asked.rows("published", after=after, recordings=RECORDINGS_MAX)
        newest, until = stream["newest"], stream["until"]
        if after > newest:
            raise Problem(
                409,
                "position_unknown",
                f"The stream ends at {newest}.",
                next_step="This is not the stream the position is from; begin at 0 and leave out what you know by its id.",
            )
        rows = asked.rows("events_after", after=after, until=until, moves=MOVES, limit=limit)
    reached = rows[-1]["position"] if len(rows) == limit else until
    return EventPage(
        events=[_event(row, caller.room.cell) for row in rows],
        next_after=reached,
        has_more=reached < newest or published == PUBLISH_MAX,
    )


def _event(row: Row, cell: str) -> CloudEvent:
    return CloudEvent(
        id=f"{row['recording_id']}/{row['ordinal']}",
        source=f"/finsync/{cell}",
        type=f"finsync.{row['document_type']}.{row['activity']}",
        subject=f"{row['document_type']}/{row['number']}",
        time=row["event_at"],
        sequence=str(row["seq"]),
        position=str(row["position"]),
        data=StateChange(
            document_id=row["document_id"],
            document_type=row["document_type"],
            document_version=row["document_version"],
            number=row["number"],
            business_unit=row["business_unit"],
            correlation_id=row["correlation_id"],
            previous_state=row["state_from"],
            state=row["state_to"],
            approval_status=row["approval_status"],
            posting_status=row["posting_status"],
            recorded_at=row["recorded_at"],
        ),
    )
