"""Deciding here: what needs no outside system is claimed, computed and recorded in one transaction, 500 at a time.

The row lock is the claim, so a crash puts everything back by itself and there is nothing to fence.
"""

import traceback
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

import psycopg

from sync_engine.engine import store
from sync_engine.engine.decisions import DECISIONS
from sync_engine.engine.decisions.desk import Decision, Desk
from sync_engine.engine.lanes import item_of
from sync_engine.engine.outcomes import Item, Kind, Outcome, Setup, settle
from sync_engine.engine.recording import Head, Recording, Trouble
from sync_engine.engine.results import CrashPoint, no_crash
from sync_engine.model.flows import Role

BATCH = 500
"""What one transaction decides at most: large enough that commits cost nothing, small enough for a page to wait for."""


def decide(
    connection: psycopg.Connection,
    setup: Setup,
    *,
    engine_id: str,
    now: datetime,
    wanted: int = BATCH,
    crash_point: CrashPoint = no_crash,
) -> int:
    """Decide what is due. Returns how many items were decided; 0 means there is nothing to do now."""
    with store.transaction(connection):
        rows = store.rows(connection, "work.claim_decisions", wanted=wanted, now=now)
        if not rows:
            return 0
        heads: dict[UUID, Head] = {}
        items = [item_of(row) for row in rows]
        for item in items:
            item.head = heads.setdefault(item.head.document_id, item.head)
        desk = Desk(connection, setup, now)
        decided = 0
        while items:
            recording = Recording(engine_id, now, setup.new_id)
            settled = _decide(items, desk, recording)
            decided += len(settled)
            crash_point("before_record")
            store.write(connection, recording)
            recording.written()
            items = _going_on(settled, now)
        crash_point("before_commit")
    crash_point("after_record")
    return decided


Settled = list[tuple[Item, Outcome]]


def _decide(items: list[Item], desk: Desk, recording: Recording) -> Settled:
    """One decision for each item; those whose outcome has to wait for another round are left out."""
    settled: Settled = []
    items.sort(key=_place)
    for (_, does), group in groupby(items, key=_place):
        batch = list(group)
        for item, outcome in zip(batch, outcomes_of(DECISIONS[does], batch, desk), strict=True):
            if outcome is not None:
                settle(recording, item, outcome, desk.setup)
                settled.append((item, outcome))
    return settled


def _going_on(settled: Settled, now: datetime) -> list[Item]:
    """The items whose next step is decided here too: they need not be claimed again, their rows are held."""
    going = []
    for item, outcome in settled:
        placed = item.placed
        moved_on = outcome.kind in {Kind.DONE, Kind.DECLINED} and placed is not None and placed.step.name != item.step.name
        if moved_on and placed is not None and placed.status == "due" and placed.system == Role.FINSYNC.value:
            item.go_on(now, outcome.document)
            going.append(item)
    return going


def _place(item: Item) -> tuple[str, str]:
    return item.flow.name, item.step.does


def outcomes_of(decision: Decision, batch: Sequence[Item], desk: Desk) -> Sequence[Outcome | None]:
    """What a decision answers. If it fails on a batch, each item is decided alone, so that only the poisonous ones are parked."""
    try:
        return decision(batch, desk)
    except Exception:  # noqa: BLE001 - a poisonous item must not stop the others
        if len(batch) == 1:
            return [_failed(batch[0])]
        return [outcome for item in batch for outcome in outcomes_of(decision, [item], desk)]


def _failed(item: Item) -> Outcome:
    """The outcome of a decision that raised; called while its exception is being handled."""
    dump = traceback.format_exc(limit=-8)
    return Outcome(
        Kind.FAILED,
        trouble=Trouble(
            "unexpected",
            f"{item.step.name} for {item.head.number} failed in a way nobody planned for.",
            "finsync",
            {"dump": dump},
        ),
    )
