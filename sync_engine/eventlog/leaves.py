"""The Merkle root of an imported chunk, over the same leaves that `engine.merkle` defines for our own recordings."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sync_engine.engine import merkle


def root_of(rows: Iterable[tuple[Any, ...]], log: str, now: datetime) -> tuple[bytes, int]:
    """(root, number of events) of rows of `eventlog.leaves_of_events`, in their order."""
    leaves = []
    for ordinal, (document_id, activity, event_at, actor, state_from, state_to, seq, attributes) in enumerate(rows):
        leaves.append(
            merkle.leaf(
                {
                    "ordinal": ordinal,
                    "document_id": document_id,
                    "activity": activity,
                    "event_at": event_at,
                    "observed_at": now,
                    "system": log,
                    "actor": actor,
                    "flow": None,
                    "step": None,
                    "state_from": state_from,
                    "state_to": state_to,
                    "approval_status": "not_required",
                    "posting_status": "not_submitted",
                    "document_version": seq,
                    "attributes": attributes,
                }
            )
        )
    return merkle.root(leaves), len(leaves)
