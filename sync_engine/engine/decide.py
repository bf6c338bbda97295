"""Deciding here: what needs no outside system is claimed, computed and recorded in one transaction, 500 at a time.

The row lock is the claim, so a crash puts everything back by itself and there is nothing to fence.
"""

from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

import psycopg

from sync_engine.engine import atomic, store
from sync_engine.engine.decisions import DECISIONS
from sync_engine.engine.decisions.desk import Decision, Desk
from sync_engine.engine.heads import Head
from sync_engine.engine.lanes import item_of
from sync_engine.engine.outcomes import Item, Kind, Outcome, Setup
from sync_engine.engine.poison import Poisonous, dump, smaller_and_smaller, telling_the_only_one
from sync_engine.engine.recording import Recording
from sync_engine.engine.results import CrashPoint, Moment, no_crash
from sync_engine.engine.settling import settle
from sync_engine.engine.troubles import Trouble
from sync_engine.model.flows import STEPS, Role

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
    lanes: set[str] | None = None,
) -> int:
    """Decide what is due. Returns how many items were decided; 0 means there is nothing to do now. `lanes` learns who has
    something to do by it.

    What cannot be recorded holds up nobody: the batch is made smaller until it is alone, and then it is parked.
    """
    lanes = set() if lanes is None else lanes
    return smaller_and_smaller(
        lambda most, poisonous: _decide_batch(connection, setup, engine_id, now, most, crash_point, poisonous, lanes),
        wanted,
        told="a decision cannot be recorded",
    )


def _decide_batch(
    connection: psycopg.Connection,
    setup: Setup,
    engine_id: str,
    now: datetime,
    wanted: int,
    crash_point: CrashPoint,
    poisonous: Poisonous,
    lanes: set[str],
) -> int:
    """Decide up to `wanted` items in one transaction; those in `poisonous` are parked with their dump instead.

    Raises:
        Unrecordable: there was one item, and nothing could be made of it.
    """
    items: list[Item] = []
    ids: list[UUID] = []
    with telling_the_only_one(ids, poisonous), atomic.transaction(connection):
        rows = store.rows(connection, "work.claim_decisions", wanted=wanted, steps=STEPS, now=now)
        if not rows:
            return 0
        ids += [row["work_item_id"] for row in rows]
        heads: dict[UUID, Head] = {}
        items = [item_of(row) for row in rows]
        for item in items:
            item.head = heads.setdefault(item.head.document_id, item.head)
        decided = _decide_all(
            items,
            connection,
            Desk(connection, setup, now, frozenset(heads)),
            engine_id,
            crash_point,
            poisonous,
            lanes,
        )
        crash_point(Moment("before_commit", items))
    crash_point(Moment("after_record", items))
    return decided


def _decide_all(
    items: list[Item],
    connection: psycopg.Connection,
    desk: Desk,
    engine_id: str,
    crash_point: CrashPoint,
    poisonous: Poisonous,
    lanes: set[str],
) -> int:
    """Decide these and record it, as far as their flows go on here."""
    decided = 0
    while items:
        recording = Recording(engine_id, desk.now, desk.setup.new_id, held_as="due", says_revisions=True)
        settled = _park(items, poisonous, recording, desk.setup)
        settled += _decide([item for item in items if item.work_item_id not in poisonous], desk, recording)
        decided += len(settled)
        crash_point(Moment("before_record", [item for item, _ in settled]))
        store.write(connection, recording)
        lanes |= recording.lanes
        recording.written()
        items = _going_on(settled, desk.now)
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


def _park(items: list[Item], poisonous: Poisonous, recording: Recording, setup: Setup) -> Settled:
    """Items nothing can be made of are put aside with what went wrong."""
    parked = [(item, _failed(item, poisonous[item.work_item_id])) for item in items if item.work_item_id in poisonous]
    for item, outcome in parked:
        settle(recording, item, outcome, setup)
    return parked


def _going_on(settled: Settled, now: datetime) -> list[Item]:
    """The items whose next step is decided here too: they need not be claimed again, their rows are held."""
    going = []
    for item, outcome in settled:
        placed = item.placed
        moved_on = (
            outcome.kind in {Kind.DONE, Kind.DECLINED} and placed is not None and placed.step.name != item.step.name
        )
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
    except Exception as error:  # noqa: BLE001 - a poisonous item must not stop the others
        if len(batch) == 1:
            return [_failed(batch[0], dump(error))]
        return [outcome for item in batch for outcome in outcomes_of(decision, [item], desk)]


def _failed(item: Item, dump: str) -> Outcome:
    """The outcome of a decision of which nothing can be made."""
    return Outcome(
        Kind.FAILED,
        trouble=Trouble(
            "unexpected",
            f"{item.step.name} for {item.head.number} failed in a way nobody planned for.",
            "finsync",
            {"dump": dump},
        ),
    )
