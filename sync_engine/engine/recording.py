"""What one recording transaction will write, collected row by row before the database hears of it.

Everything that changes a document goes through here: lanes, intake and commands all fill a `Recording`, and
`store.write` sends it in one pipeline, with one row in `recording` beside the events (DESIGN.md section 5). A move is
checked against the lifecycle when it is collected, so a flow that emits an event out of place fails before it writes.
"""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sync_engine.engine import merkle
from sync_engine.engine.heads import Head
from sync_engine.engine.jsontext import clean, json_text, without_nul
from sync_engine.engine.recorded import RecordedRows
from sync_engine.engine.rows import Rows
from sync_engine.engine.troubles import Trouble, fingerprint
from sync_engine.model.documents import Document, DocumentType
from sync_engine.model.exceptions import kind_of
from sync_engine.model.flows import APPROVAL_WITHDRAWAL, ASKS_PEOPLE, ENDS_APPROVALS
from sync_engine.model.ids import NewId
from sync_engine.model.lifecycles import LIFECYCLES
from sync_engine.model.ports import Identifier


class Recording(RecordedRows):
    """Collects what one transaction writes.

    Args:
        engine_id: Who records.
        now: The time of the recording; every row of it carries the same.
        new_id: Makes ids.
        mapping_version: The mappings in force, noted beside messages that were understood with them.
        held_as: The status of the work items it puts back: "in_call" when they were claimed for a call, "due" when they
            are decided under their row lock.
        says_revisions: Whoever fills it calls `revise` for every change of a head other than by `move`; heads that were
            only moved are then written without their description, which is most of the row.
    """

    def __init__(
        self,
        engine_id: str,
        now: datetime,
        new_id: NewId,
        *,
        mapping_version: str = "",
        held_as: str = "in_call",
        says_revisions: bool = False,
    ) -> None:
        super().__init__()
        self.held_as = held_as
        self.says_revisions = says_revisions
        self.revised: set[UUID] = set()
        self.mapping_version = mapping_version
        self.engine_id = engine_id
        self.now = now
        self.new_id = new_id
        self.recording_id = new_id(now)
        self.heads: dict[UUID, Head] = {}
        self.new: set[UUID] = set()
        self.events: list[dict[str, Any]] = []
        self.events_of: dict[UUID, int] = {}
        self.known_case_ids: dict[tuple[UUID, str], UUID] = {}
        self.work_documents: list[UUID] = []
        """The document of each row of `work`."""
        self.named: set[Identifier] = set()
        self.budgets_told: set[tuple[str, str]] = set()
        self.woken: dict[UUID, None] = {}
        self.woken_subjects: dict[UUID, None] = {}
        self.ready_suppliers: dict[UUID, None] = {}
        self.systems: dict[str, dict[str, Any]] = {}
        self.spent: dict[str, int] = {}
        """Calls to a system beyond those its claims have paid for."""
        self.cases_opened: list[UUID] = []
        self.finished_redrives: set[UUID] = set()
        self.cancelled, self.restood = set[UUID](), set[UUID]()  # documents that are over; those that stand otherwise
        self.released: set[UUID] = set()

    # -- documents ------------------------------------------------------------------------------------------------

    def begin(self, head: Head) -> None:
        """A document that starts to exist in this recording; it needs at least one event."""
        self.heads[head.document_id] = head
        self.new.add(head.document_id)

    def move(
        self,
        head: Head,
        activity: str,
        *,
        event_at: datetime | None = None,
        system: str = "finsync",
        actor: str = "",
        flow: str | None = None,
        step: str | None = None,
        attributes: dict[str, Any] | None = None,
    ) -> None:
        """Apply a lifecycle event to a document and note it.

        Raises:
            IllegalMove: the lifecycle does not allow it now.
        """
        lifecycle = LIFECYCLES[head.document_type]
        before = head.status
        after = lifecycle.after(before, activity)
        since = head.state_since
        self.heads[head.document_id] = head
        head.state, head.approval_status, head.posting_status = after
        head.version += 1
        if after.state != before.state:
            head.state_since = self.now
            if head.document_type is DocumentType.SUPPLIER and after.state == "ready":
                self.ready_suppliers[head.document_id] = None
        head.closed_at = (head.closed_at or self.now) if lifecycle.is_final(after.state) else None
        if head.closed_at is not None:
            self.cancelled.add(head.document_id)  # whatever else was due for it is not due any more
        if activity in ENDS_APPROVALS and head.document_type in ASKS_PEOPLE:
            self.withdraw_approvals(head)
        self._event(
            head,
            activity,
            event_at,
            system,
            actor,
            flow,
            step,
            attributes,
            state_from=before.state,
            state_from_since=since,
        )

    def note(
        self,
        head: Head,
        activity: str,
        *,
        event_at: datetime | None = None,
        system: str = "finsync",
        actor: str = "",
        flow: str | None = None,
        step: str | None = None,
        attributes: dict[str, Any] | None = None,
        state_from: str | None = "",
    ) -> int:
        """Note something about a document that moves nothing: evidence. Returns the event's ordinal."""
        self.heads.setdefault(head.document_id, head)
        return self._event(
            head,
            activity,
            event_at,
            system,
            actor,
            flow,
            step,
            attributes,
            state_from=head.state if state_from == "" else state_from,
            state_from_since=head.state_since,
        )

    def withdraw_approvals(self, head: Head) -> None:
        """Whoever was asked about this document as it was need not answer any more; where nobody was asked, nothing follows. It is
        work about the document's past, hence with the document for its subject: its own way neither waits for it nor ends it."""
        step = APPROVAL_WITHDRAWAL.first
        self.restarts.add(
            self.new_id(self.now),
            head.document_id,
            head.document_id,
            head.business_unit,
            APPROVAL_WITHDRAWAL.name,
            step.name,
            step.asks.value,
            self.now + timedelta(seconds=step.objective_s),
        )

    def revise(self, head: Head) -> None:
        """Something about the document other than its status has changed in `head`."""
        if head.version == head.read_version:
            head.version += 1
        self.heads[head.document_id] = head
        self.revised.add(head.document_id)

    def _event(
        self,
        head: Head,
        activity: str,
        event_at: datetime | None,
        system: str,
        actor: str,
        flow: str | None,
        step: str | None,
        attributes: dict[str, Any] | None,
        *,
        state_from: str | None,
        state_from_since: datetime | None,
    ) -> int:
        ordinal = len(self.events)
        nth = self.events_of[head.document_id] = self.events_of.get(head.document_id, 0) + 1
        self.events.append(
            {
                "ordinal": ordinal,
                "document_id": head.document_id,
                "nth": nth,
                "activity": activity,
                "event_at": event_at or self.now,
                "observed_at": self.now,
                "system": system,
                "actor": actor or self.engine_id,
                "flow": flow,
                "step": step,
                "state_from": state_from,
                "state_to": head.state,
                "state_from_since": state_from_since,
                "approval_status": head.approval_status,
                "posting_status": head.posting_status,
                "document_version": head.version,
                "attributes": without_nul(attributes) if attributes else {},
            }
        )
        return ordinal

    def payload(
        self, head: Head, document: Document, *, mapping_version: str, author: str, message_id: UUID | None = None
    ) -> None:
        """A new canonical payload of a document; raises its payload version."""
        head.payload_version += 1
        self.revise(head)
        canonical = document.canonical_json()
        self.payloads.add(
            head.document_id,
            head.payload_version,
            canonical.decode().replace("\\u0000", "\\ufffd"),  # PostgreSQL's jsonb cannot hold a NUL
            document.payload_hash,
            document.schema_version,
            mapping_version,
            message_id,
            author,
            head.business_unit,
        )

    def identify(self, head: Head, identifier: Identifier) -> None:
        """One more name of a document. A name said twice in one recording stays with whoever said it first."""
        if identifier in self.named:
            return
        self.named.add(identifier)
        self.identifiers.add(
            identifier.system, identifier.kind, identifier.external_id, head.document_id, head.business_unit
        )

    def budget(self, cost_centre: str, period: str, *stated: Any) -> None:
        """A budget as just read. Of several readings in one recording the first counts: its opening balance leaves out what
        the later ones have reserved."""
        if (cost_centre, period) not in self.budgets_told:
            self.budgets_told.add((cost_centre, period))
            self.budgets.add(cost_centre, period, *stated)

    def wake(self, document_id: UUID) -> None:
        """Whatever waits for this document looks again."""
        self.woken[document_id] = None

    def wake_subject(self, subject_id: UUID) -> None:
        """Whatever waits for this exception or reprocessing looks again."""
        self.woken_subjects[subject_id] = None

    # -- exceptions -----------------------------------------------------------------------------------------------

    def case(
        self,
        trouble: Trouble,
        *,
        head: Head | None,
        work_item_id: UUID | None = None,
        message_id: UUID | None = None,
        flow: str | None = None,
        step: str | None = None,
    ) -> UUID:
        """Open a case (or see it again), and note it in the document's history. Returns the id a new case would have."""
        kind = kind_of(trouble.code)
        facts = {name: clean(value) for name, value in trouble.facts.items()}
        case_id = self.new_id(self.now)
        self.cases.add(
            case_id,
            head.document_id if head else None,
            message_id,
            work_item_id,
            flow,
            step,
            trouble.system,
            kind.category.value,
            kind.code,
            kind.origin.value,
            kind.retryable.value,
            fingerprint(kind.code, trouble.system, facts),
            clean(trouble.message),
            json_text(facts),
            head.number if head else facts.get("number", ""),
            head.document_type.value if head else "",
            head.business_unit if head else facts.get("business_unit", ""),
            head.currency if head else None,
            head.amount if head else None,
            head.group_amount if head else None,
            (head.due_on or head.need_by_on) if head else None,
            trouble.blocks,
            kind.owner_team,
        )
        if head is not None:
            self.note(
                head,
                "exception_raised",
                system=trouble.system,
                flow=flow,
                step=step,
                attributes={"code": kind.code, "category": kind.category.value, "message": clean(trouble.message)},
            )
        return case_id

    def close_case(self, case_id: UUID, *, reason: str, by: str, head: Head | None, comment: str = "") -> None:
        """Close a case and note it in the document's history."""
        self.closed_cases.add(case_id, reason, by)
        self.case_event(case_id, by, "closed", comment, {"reason": reason}, head.business_unit if head else "")
        self.wake_subject(case_id)
        if head is not None:
            self.note(head, "exception_closed", actor=by, attributes={"case_id": str(case_id), "reason": reason})

    def case_event(
        self, case_id: UUID, actor: str, action: str, comment: str, details: dict[str, Any], business_unit: str
    ) -> None:
        """One line in a case's history."""
        self.case_events.add(
            case_id, self.new_id(self.now), actor, action, clean(comment), json_text(details), business_unit
        )

    # -- what the store asks for ----------------------------------------------------------------------------------

    def note_system(
        self,
        system: str,
        *,
        ok: bool,
        error: str = "",
        paused_until: datetime | None = None,
        probe_until: datetime | None = None,
        quota: tuple[int | None, int | None, datetime | None] | None = None,
    ) -> None:
        """What one call said about its system's health. `probe_until` is until when it was to go alone, if it was a probe."""
        nothing = {"error": "", "paused_until": None, "probe_until": None, "quota": (None, None, None)}
        told = self.systems.setdefault(system, {"succeeded": 0, "failed": 0, **nothing})
        told["succeeded" if ok else "failed"] += 1
        if error:
            told["error"] = clean(error)[:500]
        if paused_until is not None:
            told["paused_until"] = max(filter(None, [told["paused_until"], paused_until]))
        told["probe_until"] = probe_until or told["probe_until"]
        if quota is not None:
            told["quota"] = quota

    def seq_of(self, event: dict[str, Any]) -> int:
        """An event's place in its document's history."""
        document_id = event["document_id"]
        before = 0 if document_id in self.new else self.heads[document_id].last_event_seq
        return int(before + event["nth"])

    def written(self) -> None:
        """The documents stand in the database as they stand here: what follows in the same transaction builds on that."""
        for head in self.heads.values():
            head.read_version = head.version
            head.last_event_seq += self.events_of.get(head.document_id, 0)

    @property
    def merkle_root(self) -> bytes:
        """The root over the events, in order."""
        return merkle.root([merkle.leaf(event) for event in self.events])

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing at all to write."""
        return not (
            self.events
            or self.heads
            or self.woken
            or self.woken_subjects
            or self.systems
            or self.spent
            or self.released
            or self.cancelled | self.restood
            or self.finished_redrives
            or any(rows.rows for rows in self.tables())
        )

    def work_rows(self) -> Rows:
        """The work items this recording puts back, by id. One that waits for a document this recording has news of is due at
        once; its own document's end ends it, unless its outcome has ended it already."""
        rows = Rows(self.work.statement, *self.work.columns)
        due_at = self.work.columns.index("due_at")
        status = self.work.columns.index("status")
        for row, document_id in sorted(
            zip(self.work.rows, self.work_documents, strict=True), key=lambda one: one[0][0].int
        ):
            is_news = row[status] == "due" and document_id in self.woken
            rows.add(*row[:due_at], min(row[due_at], self.now), *row[due_at + 1 :]) if is_news else rows.add(*row)
        return rows

    def encoded(self, attributes: dict[str, Any]) -> str:
        """Event attributes as JSON text."""
        return json_text(attributes)

    @property
    def lanes(self) -> frozenset[str]:
        """Who has something to do now by this recording. Where somebody may be woken who waits for news, deciding is among
        them; the few that wait for news in another lane are found there within a poll."""
        found = {row[self.new_work.columns.index("system")] for row in self.new_work.rows}
        found |= {row[self.restarts.columns.index("system")] for row in self.restarts.rows}
        status, system, due_at = (self.work.columns.index(name) for name in ("status", "system", "due_at"))
        found |= {row[system] for row in self.work.rows if row[status] == "due" and row[due_at] <= self.now}
        if self.woken or self.woken_subjects or self.ready_suppliers or self.identifiers.rows:
            found.add("finsync")
        return frozenset(found)
