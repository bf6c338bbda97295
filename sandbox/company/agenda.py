"""What the company has still to do, and when: a heap that survives a restart.

An entry names an action and its arguments in words that JSON can hold, never a function, so that it can be stored.
"""

from collections.abc import Callable
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import Any, NamedTuple, TypeVar

from sandbox.ledger import Ledger

Action = TypeVar("Action", bound=Callable[..., None])


def action(method: Action) -> Action:
    """Mark a method as something that can stand in the agenda, under its own name."""
    method.is_action = True  # type: ignore[attr-defined]
    return method


def actions_of(group: object) -> dict[str, Callable[..., None]]:
    """The actions of an object by name."""
    return {
        name: getattr(group, name)
        for name in dir(type(group))
        if getattr(getattr(type(group), name), "is_action", False)
    }


class Entry(NamedTuple):
    """One thing to do. Entries of one moment are done in the order they were added."""

    at: datetime
    ordinal: int
    slot: int
    name: str
    arguments: dict[str, Any]


class Agenda:
    """Things to do, earliest first.

    Args:
        ledger: Where they are kept. Slots of what is done are used again: a ledger forgets no row.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._table = ledger.table("agenda")
        self._entries: list[tuple[datetime, int, int]] = []
        self._free: list[int] = []
        for key, row in self._table.rows.items():
            if row:
                self._entries.append((datetime.fromisoformat(row["at"]), row["ordinal"], int(key)))
            else:
                self._free.append(int(key))
        heapify(self._entries)
        heapify(self._free)

    def add(self, at: datetime, doing: Callable[..., None], **arguments: Any) -> None:
        """Do `doing`, a method marked as an action, at `at`."""
        slot = heappop(self._free) if self._free else len(self._table)
        ordinal = self._ledger.number("agenda")
        row = {"at": at.isoformat(), "ordinal": ordinal, "name": doing.__name__, "arguments": arguments}
        self._table.put(str(slot), row, at)
        heappush(self._entries, (at, ordinal, slot))

    def next_at(self) -> datetime | None:
        """When the next thing is to be done; None: never again."""
        return self._entries[0][0] if self._entries else None

    def pop_due(self, now: datetime) -> Entry | None:
        """The earliest thing that is due by `now`, no longer in the agenda; None when there is none."""
        if not self._entries or self._entries[0][0] > now:
            return None
        at, ordinal, slot = heappop(self._entries)
        row = self._table.rows[str(slot)]
        self._table.put(str(slot), {}, at)
        heappush(self._free, slot)
        return Entry(at, ordinal, slot, row["name"], row["arguments"])

    def __len__(self) -> int:
        return len(self._entries)
