"""What became of one step, and what that means for the document, its work and its exceptions.

Lanes and decisions answer with an `Outcome`; `settling` turns it into rows of a recording, `beginning` makes the documents
that an outcome gives rise to.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from random import Random
from threading import Lock
from typing import Any
from uuid import UUID

from sync_engine.engine.heads import Head
from sync_engine.engine.troubles import Trouble
from sync_engine.model.documents import DOCUMENTS, Document, DocumentType
from sync_engine.model.flows import Flow, Role, Step
from sync_engine.model.ids import NewId
from sync_engine.model.lifecycles import Status
from sync_engine.model.mappings import Mappings
from sync_engine.model.policies import Policies
from sync_engine.model.ports import Identifier, System


@dataclass(frozen=True, slots=True)
class Setup:
    """What is configured: who plays which role, the mappings and policies in force, and the sources of chance and ids."""

    systems: Mapping[str, System]
    role_of: Callable[[Role, str], str]
    """Which system plays a role for a business unit."""
    mappings: Mappings
    policies: Policies
    rng: Random
    new_id: NewId
    app_url: str = ""

    def lane(self, step: Step, business_unit: str) -> str:
        """Who is asked at a step."""
        return Role.FINSYNC.value if step.asks is Role.FINSYNC else self.role_of(step.asks, business_unit)


@dataclass(slots=True)
class Placed:
    """Where an outcome has put a work item."""

    status: str
    step: Step
    system: str
    due_at: datetime


ANEW = "begins_anew"
"""The fact that an item's document has got another version while it was in a call: whoever comes to know the outcome begins anew."""


@dataclass(slots=True)
class Item:
    """A work item somebody holds, with its document. `payload_version` is what the step is decided on."""

    work_item_id: UUID
    subject_id: UUID | None
    flow: Flow
    step: Step
    system: str
    step_since: datetime
    objective_at: datetime
    tries: int
    ask_first: bool
    unknown_since: datetime | None
    claimed_at: datetime
    fencing_token: int
    wakes: int
    waiting_for: str
    facts: dict[str, Any]
    redrive_id: UUID | None
    abandoned: bool
    is_probe: bool
    """Goes alone through an open breaker; whatever comes of it decides whether others may follow."""
    head: Head
    payload_version: int
    canonical: str | None
    payload_hash: bytes
    identifiers: dict[str, str]
    open_cases: dict[str, tuple[UUID, str]]
    """Open cases of this item: code to (case, the step it was raised at)."""
    subject: dict[str, Any]
    key: str = ""
    """The idempotency key, once it has been made."""
    lease_until: datetime | None = None
    """Until when it is claimed for a call; None for what is decided here."""
    placed: Placed | None = None
    """Where its outcome has put it."""
    knows_anew: bool = False
    """Whoever puts it back knows whether its document has got another version while it was held."""
    _document: Document | None = None

    def is_superseded(self) -> bool:
        """Whether its document has got another version while it was held, as far as is known here: from now on it is, where so."""
        found = self.head.payload_version != self.payload_version or ANEW in self.facts
        self.knows_anew = self.knows_anew or found
        return found

    @property
    def is_overtaken(self) -> bool:
        """Whether its document came to its end while somebody was at this step: all that is left to do is to find out what became of
        what was sent, which may have to be undone."""
        return self.subject_id is None and not self.flow.is_beside and self.head.is_closed

    @property
    def is_unsure(self) -> bool:
        """Whether something may have been sent for it of which nobody knows what became."""
        return self.ask_first or self.unknown_since is not None

    @property
    def document(self) -> Document:
        """The canonical document; only its number and unit when nothing readable has arrived yet."""
        if self._document is None:
            if self.canonical is None:
                self._document = Document(
                    number=self.head.number, business_unit=self.head.business_unit, company_code=self.head.company_code
                )
            else:
                self._document = _understood(self.head.document_type, self.payload_hash, self.canonical)
        return self._document

    def go_on(self, now: datetime, document: Document | None) -> None:
        """Stand where the outcome has put it, with the document as it has left it, for the next decision in the same
        transaction."""
        if self.placed is None:
            raise ValueError("it has not been placed anywhere")
        if document is not None:
            self._document, self.payload_hash = document, document.payload_hash
        self.payload_version = self.head.payload_version
        if self.placed.step.name != self.step.name:
            self.step_since, self.objective_at = now, now + timedelta(seconds=self.placed.step.objective_s)
        self.step, self.tries, self.ask_first, self.unknown_since = self.placed.step, 0, False, None
        self.redrive_id, self.waiting_for, self.key, self.placed = None, "", "", None


_DOCUMENTS_KEPT = 4096
"""How many parsed documents are kept for the next step of their flow: some 30 MB at most."""

_parsed: OrderedDict[tuple[DocumentType, bytes], Document] = OrderedDict()
_parsed_lock = Lock()


def _understood(document_type: DocumentType, payload_hash: bytes, canonical: str) -> Document:
    """The document in a canonical payload. Documents never change, and the same hash is the same document, so that the steps
    that follow each other need not read it again."""
    key = (document_type, payload_hash)
    with _parsed_lock:
        found = _parsed.get(key)
        if found is not None:
            _parsed.move_to_end(key)
            return found
    document = DOCUMENTS[document_type].model_validate_json(canonical)
    with _parsed_lock:
        _parsed[key] = document
        while len(_parsed) > _DOCUMENTS_KEPT:
            _parsed.popitem(last=False)
    return document


class Kind(StrEnum):
    """What became of a step."""

    DONE = "done"
    WAIT = "wait"
    REFUSED = "refused"  # a system or a rule says no: parked until somebody has repaired the cause
    DECLINED = "declined"  # a person says no: the flow takes its side road
    NOT_SENT = "not_sent"
    UNKNOWN = "unknown"
    FAILED = "failed"  # a bug of ours


@dataclass(frozen=True, slots=True)
class Spawn:
    """A document that comes into being by a step."""

    document: Document
    activity: str
    status: Status | None = None
    relation: str = ""
    """How it is linked to the document that spawned it; empty: not at all."""
    identifiers: tuple[Identifier, ...] = ()
    flow: Flow | None = None


@dataclass(frozen=True, slots=True)
class Movement:
    """Something ordered, received or billed against an order line."""

    kind: str
    source_line: int
    order_document_id: UUID
    order_line: int
    quantity: Decimal
    amount: Decimal
    moved_on: date


@dataclass(frozen=True, slots=True)
class OtherMove:
    """A move of another document, held by the same transaction."""

    head: Head
    activity: str
    document: Document | None = None
    resume_at: str = ""
    """The step of its flow where a document that had come to its end goes on, because this move opens it again."""


@dataclass(slots=True)
class Outcome:
    """What became of one step of one item."""

    kind: Kind
    event: str | None = None
    """Instead of the step's own event; empty: none at all."""
    at: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    actor: str = ""
    document: Document | None = None
    identifiers: tuple[Identifier, ...] = ()
    adopted: bool = False
    leaves_unsure: bool = False
    """Something may have been sent, by this try or by one before it, of which nobody knows what became."""
    verified: bool = True
    wait_s: float = 0.0
    waiting_for: str = ""
    trouble: Trouble | None = None
    also_troubles: list[Trouble] = field(default_factory=list)
    """What people should know although the item is not parked."""
    retry_after_s: float | None = None
    spawns: list[Spawn] = field(default_factory=list)
    links: list[tuple[str, UUID]] = field(default_factory=list)
    movements: list[Movement] = field(default_factory=list)
    movements_of: UUID | None = None
    """Whose movements these are; by default the item's document's."""
    reservations: list[tuple[str, str, Decimal]] = field(default_factory=list)
    releases_budget: bool = False
    releases_budget_of: list[UUID] = field(default_factory=list)
    """Other documents whose budget is free again."""
    cancels_cases: list[tuple[UUID, Head]] = field(default_factory=list)
    """Open cases, each with its document, that there is nothing left to do about."""
    budgets: list[tuple[str, str, str, Decimal, Decimal, str]] = field(default_factory=list)
    wakes: list[UUID] = field(default_factory=list)
    goto: str | None = None
    """Another step than the one that follows."""
    closes: tuple[str, ...] = ()
    """Earlier steps whose open cases are settled by this."""
    other_moves: list[OtherMove] = field(default_factory=list)
    revise: Callable[[Head], None] | None = None
    """Changes of the document's row that follow from neither event nor payload."""
