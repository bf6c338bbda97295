"""The Merkle root of a recording's events, as RFC 6962 section 2.1 defines it.

A leaf is the SHA-256 of 0x00 and the event's canonical JSON; a node is the SHA-256 of 0x01 and its two children. The
canonical JSON names every column of the event that says what happened, with times as UTC text to the microsecond, so a
verifier can rebuild it from the rows alone.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

LEAF_COLUMNS = (
    "ordinal",
    "document_id",
    "activity",
    "event_at",
    "observed_at",
    "system",
    "actor",
    "flow",
    "step",
    "state_from",
    "state_to",
    "approval_status",
    "posting_status",
    "document_version",
    "attributes",
)

_sha256 = hashlib.sha256


@lru_cache(maxsize=64)
def _moment(value: datetime) -> str:
    """A time as text; all events of a recording carry the same few."""
    return value.astimezone(UTC).isoformat(timespec="microseconds")


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return _moment(value)
    if isinstance(value, UUID):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no place in an event")


_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, check_circular=False, default=_plain
).encode


def leaf(event: Mapping[str, Any]) -> bytes:
    """The leaf hash of one event; it must have every one of `LEAF_COLUMNS`."""
    return _sha256(b"\x00" + _encode([event[column] for column in LEAF_COLUMNS]).encode()).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf hashes in order; of none, the hash of nothing.

    >>> root([]).hex()[:16]
    'e3b0c44298fc1c14'
    """
    if not leaves:
        return _sha256(b"").digest()
    level = list(leaves)
    while len(level) > 1:
        # An odd one out goes up unchanged, which gives the same tree as RFC 6962's split at the largest power of two.
        paired = [_sha256(b"\x01" + level[i] + level[i + 1]).digest() for i in range(0, len(level) - 1, 2)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]
