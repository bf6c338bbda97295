"""What became of one step, and what that means for the document, its work and its exceptions.

Lanes and decisions answer with an `Outcome`; `settle` turns it into rows of a recording. This is the one place where a
flow moves on, waits, is parked or takes the side road of a refusal.
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

from sync_engine.engine.recording import Head, Recording, Trouble, _json
from sync_engine.model.documents import DOCUMENTS, Document, DocumentType, PurchaseOrder
from sync_engine.model.exceptions import Retryable, kind_of
from sync_engine.model.flows import EXCEPTION_REMEDIATION, FLOW_OF, Flow, Role, Step, next_step
from sync_engine.model.ids import NewId
from sync_engine.model.lifecycles import LIFECYCLES, IllegalMove, Status
from sync_engine.model.mappings import Mappings
from sync_engine.model.policies import Policies
from sync_engine.model.ports import Identifier, System

TRIES_BEFORE_CASE = 5
"""After so many tries in vain people are told; the engine goes on trying."""

BACKOFF_BASE_S, BACKOFF_CAP_S = 5.0, 900.0


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
    placed: Placed | None = None
    """Where its outcome has put it."""
    _document: Document | None = None

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
    """Instead of the step's own event."""
    at: datetime | None = None
    facts: dict[str, Any] = field(default_factory=dict)
    attributes: dict[str, Any] = field(default_factory=dict)
    actor: str = ""
    document: Document | None = None
    identifiers: tuple[Identifier, ...] = ()
    adopted: bool = False
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
    budgets: list[tuple[str, str, str, Decimal, Decimal, str]] = field(default_factory=list)
    wakes: list[UUID] = field(default_factory=list)
    goto: str | None = None
    """Another step than the one that follows."""
    closes: tuple[str, ...] = ()
    """Earlier steps whose open cases are settled by this."""
    other_moves: list[OtherMove] = field(default_factory=list)
    revise: Callable[[Head], None] | None = None
    """Changes of the document's row that follow from neither event nor payload."""


def backoff_s(tries: int, rng: Random) -> float:
    """Seconds until the next try: exponential with full jitter, so that a crowd does not come back together."""
    return rng.uniform(0, min(BACKOFF_CAP_S, BACKOFF_BASE_S * 2 ** min(tries, 20)))


def settle(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    """Write what an outcome means into `recording`."""
    if (
        item.head.payload_version != item.payload_version
        and item.subject_id is None
        and outcome.kind is not Kind.UNKNOWN
    ):
        _restart(recording, item, setup)
        return
    try:
        _SETTLERS[outcome.kind](recording, item, outcome, setup)
    except IllegalMove as error:
        # The document went elsewhere while the step was under way. What happened stays on record, and a person looks.
        recording.note(
            item.head,
            "outcome_out_of_place",
            flow=item.flow.name,
            step=item.step.name,
            attributes={"outcome": outcome.kind, "why": str(error)},
        )
        _park(
            recording,
            item,
            Trouble(
                "effect_conflict",
                f"{item.step.name} ended as {outcome.kind} when the document had moved on: {error}",
                item.system,
            ),
            setup,
        )


def _work(
    recording: Recording,
    item: Item,
    status: str,
    step: Step,
    *,
    due_at: datetime,
    setup: Setup,
    tries: int = 0,
    ask_first: bool = False,
    unknown_since: datetime | None = None,
    waiting_for: str = "",
    redrive_id: UUID | None = None,
) -> None:
    same = step.name == item.step.name
    item.placed = Placed(status, step, setup.lane(step, item.head.business_unit), due_at)
    recording.work_documents.append(item.head.document_id)
    recording.work.add(
        item.work_item_id,
        item.fencing_token,
        item.wakes,
        status,
        step.name,
        item.placed.system,
        item.head.business_unit,
        due_at,
        item.step_since if same else recording.now,
        item.objective_at if same else recording.now + timedelta(seconds=step.objective_s),
        tries,
        ask_first,
        unknown_since,
        waiting_for,
        _json(item.facts),
        redrive_id,
    )


def _apply_effects(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    head = item.head
    item.facts.update(outcome.facts)
    if outcome.document is not None:
        describe(head, outcome.document, setup.mappings, recording.now)
        recording.payload(head, outcome.document, mapping_version=setup.mappings.version, author=recording.engine_id)
    if outcome.revise is not None:
        outcome.revise(head)
        recording.revise(head)
    for identifier in outcome.identifiers:
        recording.identify(head, identifier)
    for relation, other in outcome.links:
        recording.links.add(head.document_id, other, relation, head.business_unit)
    for moved in outcome.movements:
        recording.movements.add(
            outcome.movements_of or head.document_id,
            moved.source_line,
            moved.kind,
            moved.order_document_id,
            moved.order_line,
            moved.quantity,
            moved.amount,
            moved.moved_on,
            head.business_unit,
        )
    for cost_centre, period, amount in outcome.reservations:
        recording.reservations.add(head.document_id, cost_centre, period, amount, head.business_unit)
    for budget in outcome.budgets:
        recording.budget(*budget, head.business_unit)
    if outcome.releases_budget:
        recording.released.add(head.document_id)
    for spawn in outcome.spawns:
        begin_document(recording, spawn, setup, parent=head)
    for move in outcome.other_moves:
        if move.document is not None:
            describe(move.head, move.document, setup.mappings, recording.now)
            recording.payload(
                move.head, move.document, mapping_version=setup.mappings.version, author=recording.engine_id
            )
        was_final = move.head.closed_at is not None
        recording.move(move.head, move.activity, flow=item.flow.name, step=item.step.name)
        if was_final and move.head.closed_at is None:
            _resume(recording, move, setup)
    for other in outcome.wakes:
        recording.wake(other)


def _resume(recording: Recording, move: OtherMove, setup: Setup) -> None:
    flow = FLOW_OF[move.head.document_type]
    step = flow.step(move.resume_at)
    recording.restarts.add(
        move.head.document_id,
        flow.name,
        step.name,
        setup.lane(step, move.head.business_unit),
        recording.now + timedelta(seconds=step.objective_s),
    )


def _event(recording: Recording, item: Item, outcome: Outcome, activity: str | None) -> None:
    if activity is None:
        return
    attributes = {**outcome.attributes, **({"adopted": "true"} if outcome.adopted else {})}
    recording.move(
        item.head,
        activity,
        event_at=outcome.at,
        system=item.system,
        actor=outcome.actor,
        flow=item.flow.name,
        step=item.step.name,
        attributes=attributes,
    )


def _settle_done(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    if item.redrive_id is not None and not outcome.verified:
        # Accepted, and not yet to be seen: look again before calling it done.
        recording_status(recording, item, "accepted", "The system accepted it; the effect is not visible yet.")
        _work(
            recording,
            item,
            "due",
            item.step,
            due_at=recording.now + timedelta(seconds=_quiet_s(item, setup)),
            setup=setup,
            tries=item.tries,
            ask_first=True,
            unknown_since=recording.now,
            redrive_id=item.redrive_id,
        )
        return
    _apply_effects(recording, item, outcome, setup)
    if item.subject_id is None:
        _event(recording, item, outcome, outcome.event or item.step.done)
    how = "Adopted what the system already held." if outcome.adopted else "Done, and seen in the system."
    recording_status(recording, item, "verified", how)
    _close_cases(recording, item, outcome)
    for trouble in outcome.also_troubles:
        _tell(recording, item, trouble)
    following = item.flow.step(outcome.goto) if outcome.goto else next_step(item.flow, item.step.name, item.facts)
    _advance(recording, item, following, setup)


def _tell(recording: Recording, item: Item, trouble: Trouble) -> UUID:
    """Open a case at the item's step."""
    case_id = recording.case(
        trouble, head=item.head, work_item_id=item.work_item_id, flow=item.flow.name, step=item.step.name
    )
    item.open_cases.setdefault(trouble.code, (case_id, item.step.name))
    return case_id


def _close_cases(recording: Recording, item: Item, outcome: Outcome, reason: str | None = None) -> None:
    """Close what this step has settled: its own cases, those of the steps it names, all of them when the document is over."""
    settled = {item.step.name, *outcome.closes}
    for code, (case_id, raised_at_step) in list(item.open_cases.items()):
        if raised_at_step in settled or item.head.is_closed:
            del item.open_cases[code]
            because = reason or (
                "adopted"
                if outcome.adopted and item.redrive_id
                else "fixed"
                if item.redrive_id or outcome.closes
                else "self_cured"
            )
            recording.close_case(
                case_id,
                reason=because,
                by=recording.engine_id,
                head=item.head,
                comment=f"{code}: {item.step.name} succeeded",
            )


def _settle_declined(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    _apply_effects(recording, item, outcome, setup)
    _close_cases(recording, item, outcome, "cancelled")
    _event(recording, item, outcome, outcome.event)
    _advance(recording, item, item.flow.step(item.step.otherwise) if item.step.otherwise else None, setup)


def _advance(recording: Recording, item: Item, step: Step | None, setup: Setup) -> None:
    parent = item.facts.get("parent")
    if parent and item.subject_id is None:
        recording.wake(UUID(parent))
    if step is None or (item.subject_id is None and item.head.is_closed):
        _work(recording, item, "done", item.step, due_at=recording.now, setup=setup)
        if item.head.is_closed:
            recording.wake(item.head.document_id)
    else:
        _work(recording, item, "due", step, due_at=recording.now, setup=setup)


def _settle_wait(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    _apply_effects(recording, item, outcome, setup)
    if outcome.event is not None:
        _event(recording, item, outcome, outcome.event)
    for trouble in outcome.also_troubles:
        if trouble.code not in item.open_cases:
            _tell(recording, item, trouble)
    if item.redrive_id is not None:
        recording_status(recording, item, "refused", f"It still waits for {outcome.waiting_for or 'something else'}.")
    due_at = recording.now + timedelta(seconds=outcome.wait_s)
    _work(
        recording,
        item,
        "due",
        item.step,
        due_at=due_at,
        setup=setup,
        waiting_for=outcome.waiting_for,
        ask_first=item.ask_first and item.unknown_since is not None,
        unknown_since=item.unknown_since,
    )


def _settle_refused(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    if outcome.trouble is None:
        raise ValueError("a refusal says why")
    _apply_effects(recording, item, outcome, setup)
    activity = outcome.event or item.step.refused
    if activity is not None and item.subject_id is None:
        outcome.attributes = {**outcome.attributes, "code": outcome.trouble.code, "message": outcome.trouble.message}
        _event(recording, item, outcome, activity)
    _park(recording, item, outcome.trouble, setup)


def _park(recording: Recording, item: Item, trouble: Trouble, setup: Setup) -> None:
    case_id = recording.case(
        trouble, head=item.head, work_item_id=item.work_item_id, flow=item.flow.name, step=item.step.name
    )
    is_new = trouble.code not in item.open_cases
    for code, (other, raised_at_step) in item.open_cases.items():
        if (
            code != trouble.code and raised_at_step == item.step.name
        ):  # the old trouble is gone, this one has come instead
            recording.close_case(
                other,
                reason="fixed" if item.redrive_id else "self_cured",
                by=recording.engine_id,
                head=item.head,
                comment=f"{trouble.code} came instead",
            )
    _work(
        recording,
        item,
        "parked",
        item.step,
        due_at=recording.now,
        setup=setup,
        ask_first=item.ask_first or item.unknown_since is not None,
        unknown_since=item.unknown_since,
        waiting_for=kind_of(trouble.code).title,
    )
    if item.redrive_id is not None:
        recording_status(recording, item, "refused", trouble.message)
    if is_new and item.subject_id is None and kind_of(trouble.code).retryable is not Retryable.AUTO:
        remediate(recording, item.head, case_id, trouble, setup)


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
        _json(facts),
    )


def _settle_not_sent(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    tries = item.tries + 1
    delay = max(outcome.retry_after_s or 0.0, backoff_s(tries, setup.rng))
    _tell_after_some_tries(recording, item, outcome, tries)
    _work(
        recording,
        item,
        "due",
        item.step,
        due_at=recording.now + timedelta(seconds=delay),
        setup=setup,
        tries=tries,
        ask_first=item.ask_first,
        unknown_since=item.unknown_since,
        waiting_for=f"{item.system} to answer",
        redrive_id=item.redrive_id,
    )


def _settle_unknown(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    tries = item.tries + 1
    if item.subject_id is None and LIFECYCLES[item.head.document_type].allows(item.head.status, "answer_lost"):
        _event(recording, item, outcome, "answer_lost")
    else:
        recording.note(item.head, "answer_lost", system=item.system, flow=item.flow.name, step=item.step.name)
    _tell_after_some_tries(recording, item, outcome, tries)
    delay = max(_quiet_s(item, setup), outcome.retry_after_s or 0.0)
    _work(
        recording,
        item,
        "due",
        item.step,
        due_at=recording.now + timedelta(seconds=delay),
        setup=setup,
        tries=tries,
        ask_first=True,
        unknown_since=item.unknown_since or item.claimed_at,
        waiting_for=f"certainty about what {item.system} did",
        redrive_id=item.redrive_id,
    )


def _tell_after_some_tries(recording: Recording, item: Item, outcome: Outcome, tries: int) -> None:
    if outcome.trouble is not None and tries >= TRIES_BEFORE_CASE and outcome.trouble.code not in item.open_cases:
        recording.case(
            outcome.trouble, head=item.head, work_item_id=item.work_item_id, flow=item.flow.name, step=item.step.name
        )


def _settle_failed(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    if outcome.trouble is None:
        raise ValueError("a failure says what happened")
    _park(recording, item, outcome.trouble, setup)


_SETTLERS: dict[Kind, Callable[[Recording, Item, Outcome, Setup], None]] = {
    Kind.DONE: _settle_done,
    Kind.WAIT: _settle_wait,
    Kind.REFUSED: _settle_refused,
    Kind.DECLINED: _settle_declined,
    Kind.NOT_SENT: _settle_not_sent,
    Kind.UNKNOWN: _settle_unknown,
    Kind.FAILED: _settle_failed,
}


def _restart(recording: Recording, item: Item, setup: Setup) -> None:
    """A new version of the document arrived while the step was under way: what was decided no longer counts."""
    item.facts = {}
    first = item.flow.first
    recording.note(item.head, "step_superseded", flow=item.flow.name, step=item.step.name)
    _work(recording, item, "due", first, due_at=recording.now, setup=setup)


def _quiet_s(item: Item, setup: Setup) -> float:
    system = setup.systems.get(item.system)
    return system.quiet_period_s if system is not None else 0.0


def recording_status(recording: Recording, item: Item, status: str, result: str) -> None:
    """How far a reprocessed item has come, for the person who asked for it."""
    if item.redrive_id is None:
        return
    for case_id, _ in item.open_cases.values():
        recording.redrive_items.add(item.redrive_id, case_id, status, result)
        if status in {"sent", "accepted"}:
            recording.case_statuses.add(case_id, status)
    if status not in {"sent", "accepted"}:
        recording.finished_redrives.add(item.redrive_id)


def begin_document(recording: Recording, spawn: Spawn, setup: Setup, *, parent: Head | None) -> Head:
    """Let a document come into being: its row, first event, payload, names, link and first work. Returns it."""
    document = spawn.document
    lifecycle = LIFECYCLES[document.type]
    status = spawn.status or lifecycle.initial
    document_id = setup.new_id(recording.now)
    head = Head(
        document_id=document_id,
        document_type=document.type,
        correlation_id=parent.correlation_id if parent else document_id,
        number=document.called,
        title="",
        business_unit=document.business_unit,
        company_code=document.company_code,
        source_system="finsync",
        state=status.state,
        approval_status=status.approval_status,
        posting_status=status.posting_status,
        state_since=recording.now,
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
        _json(facts or {}),
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
