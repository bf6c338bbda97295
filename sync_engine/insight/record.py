"""Whether the record is whole: every recording says how many events it wrote, and every document which event was its last. Once a day all
of them are counted again, since the beginning (R140).

What differs was changed or removed behind the program's back. It is a difference of the books like any other, so that the alert on
those tells of it, and stays one until it is put right.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from sync_engine.engine import store
from sync_engine.insight.fold import plan_anew
from sync_engine.insight.reconcile import Difference, remember
from sync_engine.model.ids import NewId

MOST_TOLD = 20
"""More than so many recordings or documents are counted, and not told one by one: something happened to all of them."""


@dataclass(frozen=True, slots=True)
class RecordCheck:
    """What a comparison came to, since the beginning. `differing`: recordings that do not hold as many events as they say; `gaps`:
    documents whose history is not 1, 2, 3 ... up to its last event."""

    checked_at: datetime
    recordings: int
    events_said: int
    events_there: int
    differing: int
    gaps: int

    @property
    def is_whole(self) -> bool:
        """Whether nothing is missing and nothing too many."""
        return not (self.differing or self.gaps)


def keep(connection: psycopg.Connection, *, now: datetime, new_id: NewId) -> RecordCheck:
    """Count everything again, and keep what came of it: for the Audit page, and what differs for the alert on that."""
    found, differences = check(connection, now=now)
    with connection.transaction():
        store.run(
            connection,
            "reconcile.put_record_check",
            now=now,
            recordings=found.recordings,
            events_said=found.events_said,
            events_there=found.events_there,
            differing=found.differing,
            gaps=found.gaps,
        )
        remember(connection, differences, now=now, new_id=new_id, of_record=True)
    return found


def check(connection: psycopg.Connection, *, now: datetime) -> tuple[RecordCheck, list[Difference]]:
    """Count everything again, a month at a time. Answers what that came to, and what differs (MOST_TOLD of each kind)."""
    counted = dict.fromkeys(("recordings", "events_said", "events_there", "differing"), 0)
    differences: list[Difference] = []
    with connection.transaction():
        plan_anew(connection)
        for month in store.rows(connection, "reconcile.record_months"):
            [row] = store.rows(connection, "report.integrity", **month)
            for name in counted:
                counted[name] += int(row[name])
            if row["differing"]:
                differences += _differing(connection, month, MOST_TOLD - len(differences))
        gaps = store.rows(connection, "report.history_gaps")
    differences += [
        Difference(
            "history",
            row["number"],
            row["business_unit"],
            f"The history of {row['number']} says that it has {row['events_said']} events, and {row['events_there']} are there.",
        )
        for row in gaps[:MOST_TOLD]
    ]
    return RecordCheck(now, **counted, gaps=len(gaps)), differences


def _differing(connection: psycopg.Connection, month: dict[str, Any], most: int) -> Iterator[Difference]:
    for row in store.rows(connection, "report.integrity_rows", **month)[: max(0, most)]:
        yield Difference(
            "record",
            str(row["recording_id"]),
            "",
            f"The recording {row['recording_id']} says that it holds {row['events_said']} events, and {row['events_there']} are there.",
        )
