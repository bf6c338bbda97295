"""What an outside system must state about itself, and the few values that cross between it and the engine.

A connector (`collectors/*.py`) declares one `System`: feeds it can be read by, operations it can be asked for. The
engine knows only this file. A connector never sleeps, retries, logs, caches or opens a transaction; it raises one of
`errors` and the engine decides what happens next.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sync_engine.model import ids
from sync_engine.model.documents import ApprovalStatus, Document, DocumentType, PostingStatus
from sync_engine.model.flows import Role
from sync_engine.model.mappings import Mappings

Json = dict[str, Any]


class Effect(StrEnum):
    """Whether an operation changes something outside."""

    READ = "read"
    CREATE = "create"  # makes something new: never sent twice without a look-up
    SET = "set"  # puts a value where it belongs: repeating it changes nothing more


@dataclass(frozen=True, slots=True)
class Identifier:
    """What a document is called in one system."""

    system: str
    kind: str
    external_id: str


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to an outside system, about one document.

    `facts` is what earlier steps of the same flow learned; `identifiers` maps "system.kind" to the document's id
    there; `subject` carries the particulars when the question is about something beside the document (an exception,
    say).
    """

    document_id: UUID
    document: Document
    facts: Mapping[str, Any]
    identifiers: Mapping[str, str]
    now: datetime
    mappings: Mappings
    purpose: str
    """The step that asks; part of the reference."""
    idempotency_key: str = ""
    subject: Mapping[str, Any] = field(default_factory=dict)

    def reference(self, length: int) -> str:
        """Our business reference for this effect, `length` characters that fit the system's field: the same whoever
        asks and however often, so that what was done once is found again."""
        return ids.reference(self.document_id, self.purpose, length)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a system said to an `Ask`.

    `event` replaces the step's `done` event when the answer is a different success (posted but blocked, say).
    `at` is the system's own time of the effect. `document` is the canonical document as it now stands, when the
    answer changed it. `wait_s` says: understood, not there yet, ask again after so many seconds.
    """

    facts: Json = field(default_factory=dict)
    identifiers: tuple[Identifier, ...] = ()
    event: str | None = None
    at: datetime | None = None
    document: Document | None = None
    wait_s: float | None = None
    waiting_for: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """How to reach one system: addresses, credentials read anew each time, and what is particular to this instance
    (names of custom fields and tables)."""

    base_url: str
    token_url: str = ""
    credentials: Callable[[], tuple[str, str]] = lambda: ("", "")
    options: Mapping[str, str] = field(default_factory=dict)


Run = Callable[[Any, Ask], Answer]
LookUp = Callable[[Any, Ask], Answer | None]


@dataclass(frozen=True, slots=True)
class Operation:
    """Something a system can be asked for.

    A CREATE states `look_up`: by our own reference, it answers what is already there (adopt), None when nothing is
    (send), or raises BusinessRejection("effect_conflict") when something else stands under our reference.
    `calls` is the usual number of HTTP calls, for the shared rate limit.
    """

    name: str
    effect: Effect
    run: Run
    look_up: LookUp | None = None
    calls: int = 1

    def __post_init__(self) -> None:
        if self.effect is Effect.CREATE and self.look_up is None:
            raise ValueError(f"{self.name} creates something and states no look-up")


@dataclass(frozen=True, slots=True)
class Record:
    """One thing a system told us, verbatim. (`feed`, `external_id`, `version`) is told once."""

    kind: str
    external_id: str
    version: str
    source_at: datetime | None
    body: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """What one read of a feed brought. `cursor` is where to go on; `complete_until` is the source time up to which
    everything has now been seen (the watermark), None while more pages follow."""

    records: tuple[Record, ...]
    cursor: Json
    more: bool = False
    complete_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A relation to another document, by any identifier of it."""

    relation: str
    identifier: Identifier


@dataclass(frozen=True, slots=True)
class News:
    """What one record means, in canonical words. `signals` are lifecycle events in the order they apply."""

    document_type: DocumentType
    identifier: Identifier
    source_at: datetime
    document: Document | None
    identifiers: tuple[Identifier, ...] = ()
    links: tuple[Link, ...] = ()
    approval_status: ApprovalStatus | None = None
    posting_status: PostingStatus | None = None
    signals: tuple[str, ...] = ()
    source_status: str = ""
    ignore: str = ""
    """Why this record is none of our business ("draft", "decided by us"), or empty."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What can be said of a record that cannot be understood: enough to show it in the exception queue."""

    document_type: DocumentType
    identifier: Identifier
    number: str = ""
    title: str = ""
    business_unit: str = ""
    company_code: str = ""
    currency: str = ""
    amount: str = ""


@dataclass(frozen=True, slots=True)
class Feed:
    """A way to read what changed.

    `read(session, cursor, now)` brings one page; an empty cursor means from the beginning. `understand(record,
    mappings)` turns one record into news or raises MappingError; `sketch(record)` never raises.
    """

    name: str
    interval_s: float
    silent_after_s: float
    """With no successful read for so long, figures that depend on this feed turn grey."""
    read: Callable[[Any, Json, datetime], Page]
    understand: Callable[[Record, Mappings], News]
    """What one record means, in our words; MappingError with field, value and exception code parks it alone."""
    sketch: Callable[[Record], Sketch | None]
    again: Callable[[Any, Record], Record | None] | None = None
    """`again(session, record)` asks the source for one record as it is now: what was told in a shape nobody could read is asked
    for again once the source is repaired. None from it: the source no longer has it. Without it a record is kept as it came."""


@dataclass(frozen=True, slots=True)
class Holding:
    """One document as a system has it in its own books, for reconciliation: read by listing, not by what changed."""

    kind: str
    external_id: str
    currency: str
    amount: Decimal
    is_live: bool
    """It counts: neither deleted, cancelled nor reversed."""
    reference: str = ""
    """Our own business reference on it, where the system carries one."""
    refers_to: str = ""
    """What it names of another system: the ERP's order number in procurement, the ERP's invoice in AP automation."""


@dataclass(frozen=True, slots=True)
class System:
    """One outside system, as it states itself."""

    name: str
    title: str
    role: Role
    api_version: str
    feeds: tuple[Feed, ...]
    operations: Mapping[str, Operation]
    requests_per_s: float
    burst: int
    max_in_flight: int
    quiet_period_s: float
    """The longest a commit was seen to become visible late: a look-up that finds nothing within it proves nothing."""
    idempotency: str
    """How a repeated create is recognised, in one sentence for the trace page."""
    connect: Callable[..., Any]
    """`connect(access, *, timer, transport=None)` opens a session."""
    holdings: Mapping[str, Callable[[Any], Iterable[Holding]]] = field(default_factory=dict)
    """By kind of document, everything the system has in its books."""

    def feed(self, name: str) -> Feed:
        """The feed called `name`; KeyError when there is none."""
        for feed in self.feeds:
            if feed.name == name:
                return feed
        raise KeyError(f"{self.name} has no feed {name}")


def operations(*listed: Operation) -> dict[str, Operation]:
    """The operations by name; a name given twice is refused."""
    named = {operation.name: operation for operation in listed}
    if len(named) != len(listed):
        raise ValueError("two operations with one name")
    return named
