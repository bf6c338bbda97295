"""What a decision works with: the configuration, the time, and the reading of what is known."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, TypeVar
from uuid import UUID
from zlib import crc32

import psycopg

from sync_engine.engine import store
from sync_engine.engine.heads import Head
from sync_engine.engine.outcomes import Item, Kind, Outcome, Setup
from sync_engine.engine.troubles import Trouble
from sync_engine.model.documents import Approval, Document
from sync_engine.model.documents import Decision as Voted
from sync_engine.model.errors import SyncError
from sync_engine.model.flows import DAY
from sync_engine.model.policies import Reason, Vote

D = TypeVar("D", bound=Document)

PLACES = 64
"""So many locks at most are held for one kind of turn: PostgreSQL keeps them all in a table of fixed size, and a batch may be about
hundreds of things."""

LOOK_AGAIN_S = 7 * DAY
"""Whoever waits for somebody is woken by the news; that they look again by themselves is only for news that never comes."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where decisions are taken: inside one transaction, at one time. `in_hand` are the documents whose own work is decided in it."""

    connection: psycopg.Connection
    setup: Setup
    now: datetime
    in_hand: frozenset[UUID] = frozenset()

    def rows(self, statement: str, **values: Any) -> list[dict[str, Any]]:
        """What a named statement of `decide.sql` answers."""
        return store.rows(self.connection, f"decide.{statement}", **values)

    def linked(self, items: Sequence[Item], relation: str) -> dict[UUID, list[dict[str, Any]]]:
        """For each item's document, the documents it is linked to."""
        found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows("linked", document_id=[item.head.document_id for item in items], relation=relation):
            found[row["from_document_id"]].append(row)
        return found

    def linking(self, document_ids: Iterable[UUID], relation: str) -> dict[UUID, list[dict[str, Any]]]:
        """For each document, the documents that are linked to it."""
        found: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
        for row in self.rows("linking", document_id=list(document_ids), relation=relation):
            found[row["to_document_id"]].append(row)
        return found

    def approvals(self, items: Sequence[Item]) -> dict[UUID, list[Approval]]:
        """For each item's document, the requests for approval that are about it."""
        found = self.linking((item.head.document_id for item in items), "decides")
        return {
            key: [Approval.model_validate_json(row["canonical"]) for row in rows if row["canonical"]]
            for key, rows in found.items()
        }

    def take_turns(self, keys: Iterable[str]) -> None:
        """Wait until nobody else decides about these things; held until the transaction ends."""
        wanted = sorted(set(keys))
        if wanted:
            store.rows(self.connection, "work.lock_keys", keys=wanted)

    def try_lock(self, document_ids: Iterable[UUID]) -> dict[UUID, Head]:
        """Other documents that a decision moves too. Those held elsewhere are missing, and so are those whose own work is decided
        here: both would write what the other has not seen."""
        ids = sorted(set(document_ids) - self.in_hand)
        return (
            {row["document_id"]: store.head_of(row) for row in self.rows("try_lock_documents", document_id=ids)}
            if ids
            else {}
        )


def place_of(kind: str, *what: object) -> str:
    """Where to wait for one's turn with things of which there are many. Two that are alike wait in the same place; that others may
    wait there too costs a moment and no more."""
    named = "|".join(f"{part.normalize():f}" if isinstance(part, Decimal) else str(part) for part in what)
    return f"{kind}:{crc32(named.encode()) % PLACES}"


Decision = Callable[[Sequence[Item], Desk], Sequence[Outcome | None]]


def one_by_one(decide: Callable[[Item, Desk], Outcome | None]) -> Decision:
    """A decision that needs nothing but the item itself."""

    def decide_all(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
        return [decide(item, desk) for item in items]

    return decide_all


def document(item: Item, kind: type[D]) -> D:
    """The item's document, which its flow says is of this kind."""
    if not isinstance(item.document, kind):
        raise TypeError(f"{item.head.number} is a {item.head.document_type}, not a {kind.__name__}")
    return item.document


def refused(error: SyncError) -> Outcome:
    """What an error met while deciding means."""
    return Outcome(Kind.REFUSED, trouble=Trouble(error.code, str(error), error.system, error.facts))


def refused_because(reasons: Sequence[Reason], *, more: dict[str, str] | None = None) -> Outcome:
    """Refused by a rule; the first reason names the kind, all of them make the sentence."""
    first = reasons[0]
    return Outcome(
        Kind.REFUSED,
        trouble=Trouble(
            first.code, " ".join(reason.sentence for reason in reasons), "finsync", {**first.facts, **(more or {})}
        ),
    )


def accepted(item: Item, code: str) -> bool:
    """Whether a person has accepted this reason for this document, with a reason of their own."""
    return code in item.facts.get("accepted", [])


def votes(approvals: Iterable[Approval], request: str) -> list[Vote]:
    """What each group has decided on one request: any member's refusal or approval speaks for the group."""
    said: dict[str, Voted] = {}
    for approval in approvals:
        if approval.request != request:
            continue
        before = said.get(approval.group, Voted.PENDING)
        if Voted.REJECTED in {before, approval.decision}:
            said[approval.group] = Voted.REJECTED
        elif Voted.APPROVED in {before, approval.decision}:
            said[approval.group] = Voted.APPROVED
        elif approval.decision is Voted.CANCELLED:
            said[approval.group] = Voted.CANCELLED
        else:
            said[approval.group] = before
    return [Vote(group, decision) for group, decision in said.items()]


def deciders(approvals: Iterable[Approval], request: str) -> list[Approval]:
    """The approvals of one request that somebody has really decided, latest last."""
    decided = [
        a
        for a in approvals
        if a.request == request and a.decision in {Voted.APPROVED, Voted.REJECTED} and a.decided_at is not None
    ]
    return sorted(decided, key=lambda a: a.decided_at or a.requested_at)


def named(approval: Approval) -> str:
    """Who decided, where."""
    person = approval.decided_by or approval.approver
    return f"{person.user if person else 'somebody'} ({approval.group or approval.system})"
