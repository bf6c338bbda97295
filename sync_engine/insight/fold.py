"""Folds recordings into the rollups that the pages read: exactly once, in batches, restartable (DESIGN 5; PRODUCT D03, D15).

A batch is one transaction: the folder takes the next recordings in the order in which they were written, adds what their
events say to the rollups, and marks them folded. It holds a lock while it does, so that any number of engines may try and one
at a time succeeds; a folder that dies has folded nothing of its batch. Rows that stand for a document, a journey or an
objective are changed by taking back what the row gave before and giving what it says now, so that late events restate.

How a measure is added: write one statement in `sql/queries/fold.sql` that turns the events of a batch into
`rollup_contribution` rows (source, measure, part, business unit, moment, seconds or NULL, weight) and hands them to
`add_to_rollups`, put its name into `MEASURES`, and run `finsync rebuild-rollups`. Where a later event can change what an
earlier one gave, keep a row per subject as `journey` does and contribute its old state with weight -1 and its new one with 1.
Everything else (days, months and years, all units together, histograms, restatements, the rebuild and its proof) is there.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
from psycopg.rows import dict_row

from sync_engine.database.statements import sql
from sync_engine.insight import orders, standing, steps
from sync_engine.model.lifecycles import LIFECYCLES

EVENTS_A_BATCH = 50_000
"""Enough that a batch's fixed costs do not count and that few days are in two of them, each of which writes the day's sums anew; few
enough that a backlog becomes visible every few seconds."""

RECORDINGS_A_BATCH = 5_000

PLANNED_ANEW_FROM = 300
"""A batch of so many events or documents is planned for what it holds. The engine's connection keeps its plans, which suppose that
a statement is about a handful of rows; for thousands they compare each with each. A smaller batch costs less than its planning."""

CLOSE_AFTER = timedelta(days=2)
"""How long after its end a month is added up: what usually comes late has come by then."""

MEASURES = ("fold.moves", "fold.foreign", "fold.journey_stages")
"""Measures of a batch's events alone; the last needs the milestones too, which `fold.documents` has brought up to date by then."""

_FINAL = [f"{kind}:{state}" for kind, lifecycle in LIFECYCLES.items() for state in sorted(lifecycle.final)]


@dataclass(frozen=True, slots=True)
class Batch:
    """Recordings that are folded together, and how many events they hold."""

    recordings: list[UUID]
    first_at: datetime
    last_at: datetime
    events: int


def fold(connection: psycopg.Connection, *, now: datetime, events: int = EVENTS_A_BATCH) -> int | None:
    """Fold the next batch, of about `events` events, learned `now`.

    Returns:
        How many events it had (0: news of documents alone); None: there was nothing to fold, or somebody else is folding.
    """
    with connection.transaction():
        if not _value(connection, "fold.lock"):
            return None
        batch, changed = _claim(connection, events), standing.news(connection)
        if batch is None and not changed:
            return None
        if (batch.events if batch else 0) + len(changed) >= PLANNED_ANEW_FROM:
            plan_anew(connection)
            _rows(connection, "fold.count_first")
        if batch is None:
            batch = Batch([], now, now, 0)
        else:
            add(connection, batch, learned_on=now.astimezone(UTC).date())
            _run(connection, "fold.mark", recordings=batch.recordings, now=now)
        steps.revalued(connection, changed)
        if changed:
            orders.told(connection, recordings=[], first_at=None, last_at=None, also=changed)
        standing.look_again(
            connection, recordings=batch.recordings, first_at=batch.first_at, last_at=batch.last_at, also=changed
        )
        return batch.events


def fold_all(connection: psycopg.Connection, *, now: datetime, events: int = EVENTS_A_BATCH) -> int:
    """Fold everything that waits, and add up the periods that are over. Answers how many events that were."""
    folded = 0
    while (more := fold(connection, now=now, events=events)) is not None:
        folded += more
    close(connection, now=now)
    judge(connection, now=now)
    return folded


def plan_anew(connection: psycopg.Connection) -> None:
    """Until the transaction ends, plan each statement for what it is given, with scans and sorts where those are the cheaper way."""
    connection.execute(sql("fold.plan_anew"))


def judge(connection: psycopg.Connection, *, now: datetime) -> None:
    """Say as of `now` how everything open stands and what each day's steps came to, if that was last said a while ago and nobody else
    is at it."""
    with connection.transaction():
        if not _value(connection, "fold.lock"):
            return
        plan_anew(connection)
        if not standing.judge(connection, now=now):
            return
    # A part at a time: after an upgrade there are years of it, and what happens meanwhile has to be folded too.
    for keep_some in (steps.keep_some, orders.keep_some):
        while _kept(connection, keep_some):
            pass


def _kept(connection: psycopg.Connection, keep_some: Callable[[psycopg.Connection], int]) -> int:
    """How much was kept in a transaction of its own; 0 where nothing is left, or somebody else is at it."""
    with connection.transaction():
        if not _value(connection, "fold.lock"):
            return 0
        plan_anew(connection)
        return keep_some(connection)


def add(connection: psycopg.Connection, batch: Batch, *, learned_on: date, source: str | None = None) -> None:
    """Add a batch's events (of one `source`, or of all) to the rollups, in the caller's transaction, which holds the lock."""
    values: dict[str, Any] = {
        "recordings": batch.recordings,
        "first_at": batch.first_at,
        "last_at": batch.last_at,
    }
    values |= {"source": source, "left_out": _value(connection, "fold.test_documents", **values)}
    values["learned_on"] = learned_on
    [moved] = _rows(connection, "fold.documents", **values, final=_FINAL)
    _run(connection, "fold.journeys", **values, also=moved["journeys"])
    _run(connection, "fold.objectives", **values, also=moved["documents"])
    told_of: dict[str, Any] = {"recordings": batch.recordings, "first_at": batch.first_at, "last_at": batch.last_at}
    steps.told(connection, **told_of, source=source)
    _run(connection, "fold.paths", **values)
    orders.told(connection, **told_of, also=[])
    for measure in MEASURES:
        _run(connection, measure, **values)


def close(connection: psycopg.Connection, *, now: datetime) -> bool:
    """Add up months and years that are over. Answers whether there was one."""
    months = (now - CLOSE_AFTER).astimezone(UTC).date().replace(day=1)
    if _value(connection, "fold.are_closed", months_until=months):
        return False
    with connection.transaction():
        if not _value(connection, "fold.lock"):
            return False
        plan_anew(connection)
        _close(connection, months)
        return True


def rebuild(connection: psycopg.Connection, *, source: str | None = None, events: int = EVENTS_A_BATCH) -> int:
    """Make the rollups (of one `source`, or all) anew from the events of every recording that has been folded.

    What was learned on which day is kept: recordings are counted in the order in which they were folded. One transaction, so
    that pages show the old figures until the new ones are complete. Answers how many events were counted.
    """
    with connection.transaction():
        _rows(connection, "fold.lock_for_rebuilding")
        plan_anew(connection)
        _rows(connection, "fold.count_first")
        closed = _rows(connection, "fold.closed_until")[0]
        _run(connection, "fold.forget", source=source)
        steps.forget(connection, source)
        orders.forget(connection, source)
        counted = 0
        with connection.cursor(name="folded", row_factory=dict_row) as cursor:
            cursor.itersize = RECORDINGS_A_BATCH
            cursor.execute(sql("fold.folded"))
            for batch, learned_on in _batches(cursor, events):
                add(connection, batch, learned_on=learned_on, source=source)
                counted += batch.events
        if source is None and closed["months_until"] is not None:
            _close(connection, closed["months_until"])
        steps.keep(connection)
        orders.keep(connection)
        if source in {None, "finsync"}:
            standing.rebuild(connection)
    return counted


def forget(connection: psycopg.Connection, source: str) -> None:
    """Take an imported log out of the rollups, in the caller's transaction, which removes its events too: no folder is at it meanwhile,
    and none adds what is gone."""
    _rows(connection, "fold.lock_for_rebuilding")
    _run(connection, "fold.forget", source=source)
    steps.forget(connection, source)
    orders.forget(connection, source)


def _batches(folded: Iterable[dict[str, Any]], events: int) -> Iterator[tuple[Batch, date]]:
    """Recordings as batches of one day each, on which they were learned."""
    held: list[dict[str, Any]] = []
    for row in folded:
        if held and (held[0]["learned_on"] != row["learned_on"] or sum(one["event_count"] for one in held) >= events):
            yield _batch(held), held[0]["learned_on"]
            held = []
        held.append(row)
    if held:
        yield _batch(held), held[0]["learned_on"]


def _batch(rows: list[dict[str, Any]]) -> Batch:
    times = [row["recorded_at"] for row in rows]
    return Batch([row["recording_id"] for row in rows], min(times), max(times), sum(row["event_count"] for row in rows))


def _claim(connection: psycopg.Connection, events: int) -> Batch | None:
    [row] = _rows(connection, "fold.claim", most=RECORDINGS_A_BATCH, events=events)
    return Batch(**row) if row["recordings"] else None


def _close(connection: psycopg.Connection, months_until: date) -> None:
    years_until = months_until.replace(month=1)
    _run(connection, "fold.close_periods", smaller="day", larger="month", until=months_until)
    _run(connection, "fold.close_periods", smaller="month", larger="year", until=years_until)
    _run(connection, "fold.closed", months_until=months_until, years_until=years_until)


def _run(connection: psycopg.Connection, statement: str, **values: Any) -> None:
    connection.execute(sql(statement), values)


def _rows(connection: psycopg.Connection, statement: str, **values: Any) -> list[dict[str, Any]]:
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql(statement), values).fetchall()


def _value(connection: psycopg.Connection, statement: str, **values: Any) -> Any:
    row = connection.execute(sql(statement), values).fetchone()
    return row[0] if row else None
