"""A document's row as the engine holds it while something is decided about it."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sync_engine.model.documents import ApprovalStatus, DocumentType, PostingStatus
from sync_engine.model.lifecycles import LIFECYCLES, Status


@dataclass(slots=True)
class Head:
    """A document as its row has it; moves change it in place, `read_version` stays what the database knows."""

    document_id: UUID
    document_type: DocumentType
    correlation_id: UUID
    number: str
    title: str
    business_unit: str
    company_code: str
    source_system: str
    state: str
    approval_status: ApprovalStatus
    posting_status: PostingStatus
    state_since: datetime
    version: int
    payload_version: int
    currency: str | None
    amount: Decimal | None
    group_amount: Decimal | None
    supplier: str
    supplier_name: str
    requester: str
    submitted_at: datetime | None
    need_by_on: date | None
    due_on: date | None
    source_at: datetime | None
    closed_at: datetime | None
    last_event_seq: int = 0
    read_version: int = 0

    def __post_init__(self) -> None:
        self.document_type = DocumentType(self.document_type)
        self.approval_status = ApprovalStatus(self.approval_status)
        self.posting_status = PostingStatus(self.posting_status)
        self.read_version = self.version

    @property
    def status(self) -> Status:
        """Where it stands, in all three senses."""
        return Status(self.state, self.approval_status, self.posting_status)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more is expected of it."""
        return LIFECYCLES[self.document_type].is_final(self.state)
