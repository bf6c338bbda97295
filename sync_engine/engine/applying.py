"""Applying what was understood: a batch of messages, each to its document, in the order of its source's time.

News older than what is known is kept as evidence and never moves a document back (R050). What nobody can read gets a place
where its trouble is shown.
"""

from collections.abc import Iterable
from datetime import datetime
from uuid import UUID

import psycopg

from sync_engine.engine import store
from sync_engine.engine.beginning import begin_cancellation, begin_work, blank, describe
from sync_engine.engine.decisions.desk import named
from sync_engine.engine.heads import Head
from sync_engine.engine.jsontext import clean
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.recording import Recording
from sync_engine.engine.sketching import begin_sketched
from sync_engine.engine.telling import remediate
from sync_engine.engine.troubles import Trouble
from sync_engine.engine.understanding import Understood
from sync_engine.model.documents import Approval, ApprovalStatus, DocumentType
from sync_engine.model.exceptions import Retryable, kind_of
from sync_engine.model.flows import FLOW_OF
from sync_engine.model.lifecycles import LIFECYCLES, Status
from sync_engine.model.ports import Identifier, News

REASON_CHARS = 500  # as much is kept of why a message was not applied


class Batch:
    """One transaction's worth of messages."""

    def __init__(self, connection: psycopg.Connection, setup: Setup, recording: Recording) -> None:
        self.connection = connection
        self.setup = setup
        self.recording = recording
        self.documents: dict[Identifier, UUID] = {}
        self.heads: dict[UUID, Head] = {}
        self.hashes: dict[UUID, bytes | None] = {}
        self.message_cases: dict[UUID, UUID] = {}
        self.source_cases: dict[UUID, list[tuple[UUID, datetime | None]]] = {}
        """By document: open cases about versions that could not be read, and of when those versions are."""
        self.work_cases: dict[UUID, list[UUID]] = {}
        """By document: open cases that stand in the way of its own work."""
        self.redrives: dict[UUID, list[tuple[UUID, UUID]]] = {}

    def apply(self, told: list[Understood]) -> None:
        """Apply all of them, in the order of their source's time."""
        self._find(told)
        for understood in told:
            if understood.trouble is not None:
                self._park(understood)
            elif understood.news is not None:
                self._news(understood, understood.news)

    def _other_kind(self, news: News, head: Head | None) -> Trouble | None:
        """A name that already belongs to a document of another kind: two mappings disagree, and nothing is guessed."""
        if head is None or head.document_type == news.document_type:
            return None
        name = f"{news.identifier.system} {news.identifier.kind} {news.identifier.external_id}"
        return Trouble(
            "contract_change",
            f"{name} is said to be a {news.document_type}; here it is the {head.document_type} {head.number}.",
            news.identifier.system,
            {"field": news.identifier.kind, "value": news.identifier.external_id},
        )

    # -- what is known --------------------------------------------------------------------------------------------

    def _find(self, told: list[Understood]) -> None:
        wanted = {identifier for one in told for identifier in self._names(one)}
        self._look_up(wanted)
        fresh = {
            one.identifier
            for one in told
            if one.identifier is not None
            and one.identifier not in self.documents
            and not (one.news and (one.news.ignore or one.news.document is None))
        }
        if fresh:
            self._take({identifier: self.setup.new_id(self.recording.now) for identifier in fresh})
        new = {self.documents[identifier] for identifier in fresh if self.documents[identifier] in self._made}
        about = {self.documents[one.identifier] for one in told if one.identifier in self.documents}
        decided = {
            self.documents[link.identifier]
            for one in told
            if one.news
            for link in one.news.links
            if link.identifier in self.documents
        }
        self.heads = store.lock_heads(self.connection, sorted((about | decided) - new))
        known = list(self.heads)
        hashes, told_before, source, in_the_way = store.rows_of_all(
            self.connection,
            ("intake.payload_hashes", {"document_id": known}),
            ("intake.open_message_cases", {"message_id": [one.message_id for one in told]}),
            ("intake.open_source_cases", {"document_id": known}),
            ("intake.open_work_cases", {"document_id": known}),
        )
        for row in in_the_way:
            self.work_cases.setdefault(row["document_id"], []).append(row["case_id"])
        self.hashes = {row["document_id"]: row["payload_hash"] for row in hashes}
        self.message_cases = {row["message_id"]: row["case_id"] for row in told_before}
        for row in source:
            self.source_cases.setdefault(row["document_id"], []).append((row["case_id"], row["source_at"]))
        if self.message_cases:
            for row in store.rows(self.connection, "redrive.of_messages", message_id=list(self.message_cases)):
                self.redrives.setdefault(row["message_id"], []).append((row["redrive_id"], row["case_id"]))

    _made: frozenset[UUID] = frozenset()

    @staticmethod
    def _names(one: Understood) -> Iterable[Identifier]:
        if one.identifier is not None:
            yield one.identifier
        if one.news is not None:
            yield from (link.identifier for link in one.news.links)

    def _look_up(self, identifiers: set[Identifier]) -> None:
        names = sorted(identifiers, key=lambda i: (i.system, i.kind, i.external_id))
        if not names:
            return
        for row in store.rows(
            self.connection,
            "intake.known",
            system=[n.system for n in names],
            kind=[n.kind for n in names],
            external_id=[n.external_id for n in names],
        ):
            self.documents[Identifier(row["system"], row["kind"], row["external_id"])] = row["document_id"]

    def _take(self, fresh: dict[Identifier, UUID]) -> None:
        """Claim the names of new documents. Whoever loses the race for a name finds the winner's document instead."""
        names = list(fresh)
        got = store.rows(
            self.connection,
            "intake.take_names",
            system=[n.system for n in names],
            kind=[n.kind for n in names],
            external_id=[n.external_id for n in names],
            document_id=[fresh[n] for n in names],
            business_unit=[""] * len(names),
            now=self.recording.now,
        )
        ours = {Identifier(row["system"], row["kind"], row["external_id"]) for row in got}
        self.documents.update({name: fresh[name] for name in ours})
        self._made = frozenset(fresh[name] for name in ours)
        self._look_up(set(names) - ours)

    # -- news -----------------------------------------------------------------------------------------------------

    def _news(self, understood: Understood, news: News) -> None:
        document_id = self.documents.get(news.identifier)
        head = self.heads.get(document_id) if document_id is not None else None
        if head is not None:
            self._settle_source_cases(understood, news, head)
        if news.ignore or document_id is None or (head is None and news.document is None):
            self._dispose(understood, "ignored", news.ignore or "nothing is known of it", None)
            return
        understood.trouble = self._other_kind(news, head)
        if understood.trouble is not None:
            self._park(understood)
            return
        if head is None:
            head = self._begin(understood, news, document_id)
            self._dispose(understood, "applied", "", head)
        elif head.source_at is not None and news.source_at < head.source_at:
            self.recording.note(
                head,
                "news_superseded",
                event_at=news.source_at,
                system=understood.system,
                attributes={"said": news.source_status, "signals": list(news.signals)},
            )
            self._dispose(
                understood, "superseded", f"newer news of {head.source_at.isoformat()} is already applied", head
            )
            return
        else:
            self._update(understood, news, head)
        self._after(news, head)

    def _begin(self, understood: Understood, news: News, document_id: UUID) -> Head:
        if news.document is None:
            raise ValueError("news that begins a document carries it")
        initial = LIFECYCLES[news.document_type].initial
        status = Status(
            initial.state,
            news.approval_status or initial.approval_status,
            news.posting_status or initial.posting_status,
        )
        head = blank(
            document_id, news.document_type, understood.system, news.document.called, status, self.recording.now
        )
        parent = self._parent(news)
        if parent is not None:
            head.correlation_id = parent.correlation_id
            head.business_unit, head.company_code = parent.business_unit, parent.company_code
        describe(head, news.document, self.setup.mappings, self.recording.now)
        head.source_at = news.source_at
        self.recording.begin(head)
        self.heads[document_id] = head
        self.recording.payload(
            head,
            news.document,
            mapping_version=self.setup.mappings.version,
            author=understood.system,
            message_id=understood.message_id,
        )
        self.recording.note(
            head,
            f"{news.document_type}_received",
            event_at=head.submitted_at,
            system=understood.system,
            actor=head.requester or understood.system,
            state_from=None,
            attributes={"said": news.source_status},
        )
        self._name(news, head)
        self._signal(understood, news, head)
        if not head.is_closed:
            begin_work(self.recording, head, FLOW_OF.get(news.document_type), self.setup)
        return head

    def _parent(self, news: News) -> Head | None:
        for link in news.links:
            target = self.heads.get(self.documents.get(link.identifier, UUID(int=0)))
            if target is not None:
                return target
        return None

    def _name(self, news: News, head: Head) -> None:
        for identifier in (news.identifier, *news.identifiers):
            self.recording.identify(head, identifier)
        for link in news.links:
            target = self.documents.get(link.identifier)
            if target is not None:
                self.recording.links.add(head.document_id, target, link.relation, head.business_unit)
            else:
                self.recording.wanted_links.add(
                    head.document_id,
                    link.relation,
                    link.identifier.system,
                    link.identifier.kind,
                    link.identifier.external_id,
                    head.business_unit,
                )

    def _update(self, understood: Understood, news: News, head: Head) -> None:
        before = head.version
        changed = news.document is not None and self.hashes.get(head.document_id) != news.document.payload_hash
        outcome, reason = "unchanged", ""
        if changed and news.document is not None:
            outcome, reason = self._new_payload(understood, news, head)
        self._signal(understood, news, head)
        if head.version != before and outcome == "unchanged":
            outcome = "applied"
        if outcome == "applied":
            head.source_at = news.source_at
            self.recording.revise(head)
        self._dispose(understood, outcome, reason, head)

    def _new_payload(self, understood: Understood, news: News, head: Head) -> tuple[str, str]:
        """Take over a new version of the document, where its state still allows it."""
        document = news.document
        if document is None:
            raise ValueError("there is no payload to take over")
        lifecycle, recording = LIFECYCLES[head.document_type], self.recording
        flow = FLOW_OF.get(head.document_type)
        first_readable = head.payload_version == 0
        restarts = lifecycle.allows(head.status, "changed")
        follows = head.document_type in {DocumentType.APPROVAL, DocumentType.POSTING}
        if not (first_readable or restarts or follows):
            recording.note(
                head,
                "change_came_too_late",
                event_at=news.source_at,
                system=understood.system,
                attributes={"said": news.source_status},
            )
            return "superseded", f"it can no longer change: it is {head.state}"
        describe(head, document, self.setup.mappings, recording.now)
        recording.payload(
            head,
            document,
            mapping_version=self.setup.mappings.version,
            author=understood.system,
            message_id=understood.message_id,
        )
        self.hashes[head.document_id] = document.payload_hash
        if first_readable:
            recording.note(head, "became_readable", event_at=news.source_at, system=understood.system)
            self._name(news, head)
            begin_work(recording, head, flow, self.setup)
        elif restarts and flow is not None:
            recording.move(head, "changed", event_at=news.source_at, system=understood.system)
            step = flow.first
            recording.restarts.add(
                self.setup.new_id(recording.now),
                head.document_id,
                None,
                head.business_unit,
                flow.name,
                step.name,
                self.setup.lane(step, head.business_unit),
                recording.now,
            )
        return "applied", ""

    def _settle_source_cases(self, understood: Understood, news: News, head: Head) -> None:
        """A version that can be read settles what was wrong with versions before it, whether or not it brings anything new."""
        later: list[tuple[UUID, datetime | None]] = []
        own = self.message_cases.get(understood.message_id)
        for case_id, source_at in self.source_cases.pop(head.document_id, []):
            if case_id == own:
                continue  # is settled with the message itself
            if source_at is not None and source_at > news.source_at:
                later.append((case_id, source_at))
                continue
            self.recording.close_case(
                case_id,
                reason="fixed",
                by=understood.system,
                head=head,
                comment="A version that can be read has arrived.",
            )
        if later:
            self.source_cases[head.document_id] = later

    def _signal(self, understood: Understood, news: News, head: Head) -> None:
        lifecycle, recording = LIFECYCLES[head.document_type], self.recording
        # A decision is its decider's, not the engine's that reads of it.
        actor = named(news.document) if isinstance(news.document, Approval) else ""
        for signal in news.signals:
            if signal == "procurement_approved" and head.approval_status is ApprovalStatus.APPROVED:
                continue  # told again with every version
            if lifecycle.allows(head.status, signal):
                recording.move(
                    head,
                    signal,
                    event_at=news.source_at,
                    system=understood.system,
                    actor=actor,
                    attributes={"said": news.source_status},
                )
            elif signal in {"procurement_rejected", "withdrawn"} and lifecycle.allows(
                head.status, "approval_contradicted"
            ):
                recording.move(
                    head,
                    "approval_contradicted",
                    event_at=news.source_at,
                    system=understood.system,
                    attributes={"said": news.source_status},
                )
                sentence = f"{understood.system} says {news.source_status} of {head.number}, which was approved and is {head.state}."
                recording.case(
                    Trouble("approval_conflict", sentence, understood.system, blocks=False),
                    head=head,
                    message_id=understood.message_id,
                )
                if signal == "withdrawn":
                    self._cancel_orders(understood, head, sentence)
            elif signal != "procurement_approved" and not lifecycle.is_final(head.state):
                recording.note(
                    head,
                    "news_out_of_order",
                    event_at=news.source_at,
                    system=understood.system,
                    attributes={"said": news.source_status, "signal": signal},
                )
        if head.is_closed and head.closed_at == recording.now:
            recording.cancelled.add(head.document_id)
            recording.released.add(head.document_id)
            for case_id in self.work_cases.pop(head.document_id, []):
                recording.close_case(
                    case_id,
                    reason="cancelled",
                    by=understood.system,
                    head=head,
                    comment=f"The document has ended: {head.state}.",
                )

    def _cancel_orders(self, understood: Understood, requisition: Head, why: str) -> None:
        """What was ordered for a requisition that has been withdrawn since is taken back, as far as it still can be (R088)."""
        orders = store.rows(
            self.connection, "decide.linking", document_id=[requisition.document_id], relation="fulfils"
        )
        heads = store.lock_heads(self.connection, sorted(row["document_id"] for row in orders))
        for order in heads.values():
            if not order.is_closed:
                begin_cancellation(self.recording, order, self.setup, reason=why, asked_by=understood.system)
                self.recording.note(order, "cancellation_asked", system=understood.system, attributes={"reason": why})

    def _after(self, news: News, head: Head) -> None:
        """Whoever may have waited for this looks again. A request for approval that is only open interests nobody."""
        if head.document_type in FLOW_OF:
            self.recording.wake(head.document_id)
        if head.document_type is DocumentType.APPROVAL and head.state == "requested":
            return
        for link in news.links:
            target = self.documents.get(link.identifier)
            if target is not None:
                self.recording.wake(target)

    def _dispose(self, understood: Understood, outcome: str, reason: str, head: Head | None) -> None:
        reason = clean(reason)[:REASON_CHARS]  # it may quote what a system has said
        self.recording.dispositions.add(
            understood.message_id,
            outcome,
            reason,
            head.document_id if head else None,
            head.business_unit if head else "",
        )
        for redrive_id, redriven_case in self.redrives.pop(understood.message_id, []):
            word = "refused" if outcome == "parked" else "verified"
            self.recording.redrive_items.add(redrive_id, redriven_case, word, reason or f"Looked at again: {outcome}.")
            self.recording.finished_redrives.add(redrive_id)
        case_id = self.message_cases.get(understood.message_id)
        if case_id is not None and outcome != "parked":
            self.recording.close_case(
                case_id, reason="fixed", by=self.recording.engine_id, head=head, comment=f"Looked at again: {outcome}."
            )

    # -- messages nobody can read -----------------------------------------------------------------------------------

    def _park(self, understood: Understood) -> None:
        if understood.trouble is None:
            raise ValueError("a parked message says why")
        sketch, recording = understood.sketch, self.recording
        head: Head | None = None
        if sketch is not None:
            document_id = self.documents[sketch.identifier]
            head = self.heads.get(document_id) or begin_sketched(
                recording, sketch, document_id, understood.system, self.setup.mappings
            )
            self.heads[document_id] = head
        is_new = understood.message_id not in self.message_cases
        case_id = recording.case(understood.trouble, head=head, message_id=understood.message_id)
        self._dispose(understood, "parked", understood.trouble.message, head)
        if is_new and head is not None and kind_of(understood.trouble.code).retryable is not Retryable.AUTO:
            remediate(recording, head, case_id, understood.trouble, self.setup)
