"""Taking in what we were told: each stored message is understood (`understanding`), and its news is applied to its document once
(`applying`), a batch of them in one transaction.

Accepted is applied, unchanged, superseded, ignored or parked, to the row (promise P2). A message nobody can understand is
parked with the field, the value and what to do; the others go on.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.engine import atomic, store
from sync_engine.engine.applying import Batch
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.poison import Poisonous, smaller_and_smaller, telling_the_only_one
from sync_engine.engine.recording import Recording
from sync_engine.engine.results import CrashPoint, Moment, no_crash
from sync_engine.engine.understanding import Understood, nobody_planned, understand

BATCH = 500


def apply_messages(
    connection: psycopg.Connection,
    setup: Setup,
    *,
    engine_id: str,
    now: datetime,
    wanted: int = BATCH,
    crash_point: CrashPoint = no_crash,
    lanes: set[str] | None = None,
) -> int:
    """Apply what has arrived. Returns how many messages were dealt with; 0 means that none waits. `lanes` learns who has
    something to do by it.

    A message that cannot be recorded holds up nobody: the batch is made smaller until it is alone, and then it is parked.
    """
    lanes = set() if lanes is None else lanes
    return smaller_and_smaller(
        lambda most, poisonous: _apply_batch(connection, setup, engine_id, now, most, crash_point, poisonous, lanes),
        wanted,
        told="a message cannot be recorded",
    )


def _apply_batch(
    connection: psycopg.Connection,
    setup: Setup,
    engine_id: str,
    now: datetime,
    wanted: int,
    crash_point: CrashPoint,
    poisonous: Poisonous,
    lanes: set[str],
) -> int:
    """Apply up to `wanted` messages in one transaction; those in `poisonous` are parked with their dump instead.

    Raises:
        Unrecordable: there was one message, and nothing could be made of it.
    """
    ids: list[UUID] = []
    with telling_the_only_one(ids, poisonous), atomic.transaction(connection):
        rows = store.rows(connection, "intake.claim_messages", wanted=wanted, now=now)
        if not rows:
            return 0
        ids += [row["message_id"] for row in rows]
        recording = Recording(engine_id, now, setup.new_id, mapping_version=setup.mappings.version)
        Batch(connection, setup, recording).apply([_looked_at(row, setup, now, poisonous) for row in rows])
        crash_point(Moment("before_record"))
        store.write(connection, recording)
        lanes |= recording.lanes
        crash_point(Moment("before_commit"))
    crash_point(Moment("after_record"))
    return len(rows)


def _looked_at(row: Mapping[str, Any], setup: Setup, now: datetime, poisonous: Poisonous) -> Understood:
    if row["message_id"] in poisonous:
        return Understood(row["message_id"], row["system"], trouble=nobody_planned(row, poisonous[row["message_id"]]))
    return understand(row, setup, on=now.date())
