"""What is removed when its time is over, by `retention.toml`, and what never is (PRODUCT.md R131).

Whole months go at once by dropping their partitions, which costs nothing however much is in them; finished work goes in batches.
The functions of migration 0010 do it, with the owner's rights and shortest times of their own; the engine itself may delete
nothing. What lies under legal hold stays, and with it the whole month it lies in.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.configuration import Retention
from sync_engine.engine import store

WORK_BATCH = 5000
"""Work items looked at in one transaction: some tens of milliseconds."""

WORK_MOST = 1_000_000
"""Removed in one run; what is left waits a day, so that a first run after years does not take the night's backup hostage."""

MONTHLY = ("attempt_body", "attempt", "inbound_message")
"""Tables whose months are removed; bodies before the calls they belong to."""

FIRST = UUID(int=0)


class UnknownHold(Exception):
    """A legal hold names something that nobody knows: it may be mistyped, so nothing is removed."""


@dataclass(frozen=True, slots=True)
class Held:
    """What may not be touched."""

    documents: list[UUID]
    units: list[str]


@dataclass(frozen=True, slots=True)
class Due:
    """What a run would do now."""

    unsettled: list[tuple[str, date]]
    """Months that lie in a default partition."""
    months: list[tuple[str, date]]
    """Months whose time is over."""
    work: int
    """Finished work among the first `WORK_BATCH` items; there may be more."""

    @property
    def is_nothing(self) -> bool:
        """Whether a run would find nothing to do."""
        return not (self.unsettled or self.months or self.work)


def held(connection: psycopg.Connection, retention: Retention) -> Held:
    """What the holds name, with whole journeys.

    Raises:
        UnknownHold: a document or a business unit that there is not.
    """
    names = [name for hold in retention.holds for name in hold.documents]
    units = [unit for hold in retention.holds for unit in hold.business_units]
    found = store.rows(connection, "retention.held_documents", names=names) if names else []
    strange = [row["name"] for row in found if row["document_id"] is None]
    strange += [row["code"] for row in store.rows(connection, "retention.unknown_units", units=units)]
    if strange:
        raise UnknownHold(
            f"retention.toml holds {', '.join(map(repr, strange))}, which nobody knows here; nothing is removed until that is corrected."
        )
    return Held(sorted({row["document_id"] for row in found}), units)


def due(connection: psycopg.Connection, retention: Retention, *, now: datetime) -> Due:
    """What is due, without doing any of it.

    Raises:
        UnknownHold: see `held`.
    """
    kept = held(connection, retention)
    months = store.rows(connection, "retention.retained_months")
    looked = _retire(connection, FIRST, _before(retention, now), kept, only_look=True)
    return Due(
        [(row["of_table"], row["of_month"]) for row in months if row["in_default"]],
        [one for one in _over(months, retention, now) if not _is_in_default(months, one)],
        looked["retired"],
    )


def keep_to(connection: psycopg.Connection, retention: Retention, *, now: datetime) -> str:
    """Do what is due; answers what was done in a few words.

    Raises:
        UnknownHold: see `held`; nothing was removed.
    """
    kept = held(connection, retention)
    said = [*_settle_defaults(connection), *_drop_months(connection, retention, kept, now)]
    retired = _retire_all(connection, _before(retention, now), kept)
    if retired:
        said.append(f"{retired} finished work items removed")
    return "; ".join(said) or "nothing was due"


def _settle_defaults(connection: psycopg.Connection) -> list[str]:
    """Months that nobody had made a partition for get theirs, the oldest first."""
    said = []
    for row in store.rows(connection, "retention.retained_months"):
        if row["in_default"]:
            month = {"of_table": row["of_table"], "of_month": row["of_month"]}
            moved = _one(connection, "retention.settle_default_month", **month)
            said.append(f"{_named(**month)} is busy" if moved < 0 else f"{moved} rows moved into {_named(**month)}")
    _one(connection, "retention.confirm_events")
    return said


def _drop_months(connection: psycopg.Connection, retention: Retention, kept: Held, now: datetime) -> list[str]:
    outcomes: Counter[tuple[str, str]] = Counter()
    for of_table, of_month in _over(store.rows(connection, "retention.retained_months"), retention, now):
        outcome = _one(
            connection,
            "retention.drop_month",
            of_table=of_table,
            of_month=of_month,
            held_documents=kept.documents,
            held_units=kept.units,
        )
        outcomes[of_table, outcome] += 1
    return [f"{many} months of {of_table} {outcome}" for (of_table, outcome), many in outcomes.items()]


def _over(months: list[dict[str, Any]], retention: Retention, now: datetime) -> list[tuple[str, date]]:
    """The months of which even the last moment is older than its table's days."""
    days = retention.days.model_dump()
    found = {
        (row["of_table"], row["of_month"])
        for row in months
        if row["of_table"] in MONTHLY and _end(row["of_month"]) <= now - timedelta(days=days[row["of_table"]])
    }
    return sorted(found, key=lambda one: (MONTHLY.index(one[0]), one[1]))


def _is_in_default(months: list[dict[str, Any]], one: tuple[str, date]) -> bool:
    return any(row["in_default"] and (row["of_table"], row["of_month"]) == one for row in months)


def _end(month: date) -> datetime:
    return datetime(month.year + month.month // 12, month.month % 12 + 1, 1, tzinfo=UTC)


def _before(retention: Retention, now: datetime) -> datetime:
    return now - timedelta(days=retention.days.finished_work)


def _retire_all(connection: psycopg.Connection, before: datetime, kept: Held) -> int:
    after, retired, is_end = FIRST, 0, False
    while not is_end and retired < WORK_MOST:
        looked = _retire(connection, after, before, kept, only_look=False)
        retired += looked["retired"]
        after, is_end = looked["last_id"], looked["is_end"]
    return retired


def _retire(
    connection: psycopg.Connection, after: UUID, before: datetime, kept: Held, *, only_look: bool
) -> dict[str, Any]:
    [looked] = store.rows(
        connection,
        "retention.retire_work",
        after=after,
        before=before,
        most=WORK_BATCH,
        held_documents=kept.documents,
        held_units=kept.units,
        only_look=only_look,
    )
    return looked


def _named(of_table: str, of_month: date) -> str:
    return f"{of_table} {of_month:%Y-%m}"


def _one(connection: psycopg.Connection, statement: str, **values: Any) -> Any:
    [row] = store.rows(connection, statement, **values)
    return next(iter(row.values()))
