"""Withdrawing requests for approval that nobody needs answered any more: their document has changed since, or is over."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

from sync_engine.engine.decisions.desk import LOOK_AGAIN_S, Desk
from sync_engine.engine.outcomes import Item, Kind, Outcome
from sync_engine.model.documents import ApprovalStatus


def choose_withdrawals(items: Sequence[Item], desk: Desk) -> list[Outcome | None]:
    """All requests but the one in force. They are named by the keys they were sent under, so that one which came through without
    anybody hearing of it is withdrawn too. Of one that is under way it is told when it is known what became of it, and chosen anew."""
    asked: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    for row in desk.rows("requests_for_approval", document_id=[item.head.document_id for item in items]):
        asked[row["document_id"]].append(row)
    return [_chosen(item, asked[item.head.document_id]) for item in items]


def _chosen(item: Item, asked: Sequence[Mapping[str, Any]]) -> Outcome:
    in_force = next((row["in_force"] for row in asked if row["in_force"]), "") if _is_asked(item) else ""
    return Outcome(
        Kind.DONE,
        facts={"approval_keys": [row["idempotency_key"] for row in asked], "approval_in_force": in_force},
    )


def _is_asked(item: Item) -> bool:
    """Whether an answer still counts."""
    return not item.head.is_closed and item.head.approval_status not in {
        ApprovalStatus.REJECTED,
        ApprovalStatus.WITHDRAWN,
    }


def after_withdrawals(items: Sequence[Item], outcomes: Sequence[Outcome], desk: Desk) -> list[Outcome | None]:
    """What was decided of a route, for those who would be asked anew while an earlier request about them is still to be withdrawn: they
    wait for that. The new request may be the same as the old one, where a change was taken back. What they reserved they keep."""
    asking = [
        item.head.document_id
        for item, outcome in zip(items, outcomes, strict=True)
        if outcome.kind is Kind.DONE and outcome.facts["route_reasons"]
    ]
    busy = {row["document_id"] for row in desk.rows("withdrawing", document_id=asking)} if asking else set()
    return [
        replace(outcome, kind=Kind.WAIT, wait_s=LOOK_AGAIN_S, waiting_for="the earlier request to be withdrawn")
        if item.head.document_id in busy
        else outcome
        for item, outcome in zip(items, outcomes, strict=True)
    ]


DECISIONS = {"choose_withdrawals": choose_withdrawals}
