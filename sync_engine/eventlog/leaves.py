"""The Merkle root of an imported chunk, over the same leaves that `engine.merkle` defines for our own recordings.

A leaf is written out here instead of built as a dict first: an import hashes millions of them. A test compares the root
with the one that `engine.merkle` computes from the rows.
"""

import hashlib
import json
from collections.abc import Iterable
from datetime import UTC, datetime
from json.encoder import encode_basestring
from typing import Any

from sync_engine.engine import merkle
from sync_engine.eventlog.values import canonical

_sha256 = hashlib.sha256


def root_of(rows: Iterable[tuple[Any, ...]], log: str, now: datetime) -> bytes:
    """The root over what `eventlog.write_events` answers, in whichever order."""
    observed = f'"{now.astimezone(UTC).isoformat(timespec="microseconds")}",{encode_basestring(log)}'
    leaves = []
    for ordinal, document_id, activity, event_at, actor, state_from, state_to, seq, attributes in sorted(rows):
        before = "null" if state_from is None else encode_basestring(state_from)
        said = (
            f'[{ordinal},"{document_id}",{encode_basestring(activity)},'
            f'"{event_at.astimezone(UTC).isoformat(timespec="microseconds")}",{observed},{encode_basestring(actor)},null,null,'
            f'{before},{encode_basestring(state_to)},"not_required","not_submitted",{seq},{canonical(json.loads(attributes))}]'
        )
        leaves.append(_sha256(b"\x00" + said.encode()).digest())
    return merkle.root(leaves)
