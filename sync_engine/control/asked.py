"""A command as it reaches whoever carries it out, and the cases it names: seen by the asker, held, and as they are now."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from sync_engine.control.roles import Action, Role, sees
from sync_engine.engine import store
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.recording import Recording


@dataclass(frozen=True, slots=True)
class Asked:
    """A command as the database has it."""

    command_id: UUID
    actor: str
    action: Action
    arguments: dict[str, Any]
    reason: str
    roles: frozenset[Role]
    units: tuple[str, ...]
    is_active: bool


class Refusal(Exception):
    """The command is not carried out; `status` is "denied" (no right), "conflict" (something changed) or "failed" (it makes no
    sense)."""

    def __init__(self, status: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class _Seen(BaseModel):
    """A case as the asker saw it."""

    case_id: UUID
    version: int = Field(ge=0, lt=2**31)


_SEEN = TypeAdapter(list[_Seen])


@dataclass(slots=True)
class Doing:
    """What carrying out works with."""

    connection: psycopg.Connection
    setup: Setup
    recording: Recording
    now: datetime
    business_units: set[str]


def cases(asked: Asked, doing: Doing) -> list[dict[str, Any]]:
    """The cases the command names, each within the asker's sight and as the asker saw it."""
    try:
        named = {one.case_id: one.version for one in _SEEN.validate_python(asked.arguments.get("cases"))}
    except ValidationError:
        raise Refusal("failed", "The command does not say which exceptions it is about.") from None
    if not named:
        raise Refusal("failed", "No exception is selected.")
    _hold(doing.connection, list(named))
    rows = store.rows(doing.connection, "command.cases", case_id=list(named))
    visible = [row for row in rows if sees(asked.units, row["business_unit"])]
    if len(visible) < len(named):
        raise Refusal(
            "denied", f"{len(named) - len(visible)} of the {len(named)} exceptions are not among those you may see."
        )
    doing.business_units.update(row["business_unit"] for row in visible)
    for row in visible:
        row["seen_version"] = named[row["case_id"]]
    return visible


def _hold(connection: psycopg.Connection, named: list[UUID]) -> None:
    """Hold what a command is about until the transaction ends, in the order in which recordings take it: documents, their
    work, the cases. In any other order the two would wait for each other."""
    [concerned] = store.rows(connection, "command.concerned", case_id=named)
    store.lock_heads(connection, concerned["documents"])
    store.rows(connection, "work.held", work_item_id=concerned["work_items"])
    store.run(connection, "command.lock_cases", case_id=named)


def one_case(asked: Asked, doing: Doing) -> dict[str, Any]:
    """The one case the command names, still open."""
    found = cases(asked, doing)
    if len(found) > 1:
        raise Refusal("failed", "This is done to one exception at a time.")
    [case] = found
    if case["closed_at"] is not None:
        raise Refusal("conflict", f"The exception of {case['number']} has been closed meanwhile.")
    return case


def unchanged_case(asked: Asked, doing: Doing) -> dict[str, Any]:
    """The one case, as the asker saw it: for what cannot be undone."""
    case = one_case(asked, doing)
    if case["version"] != case["seen_version"]:
        raise Refusal("conflict", "The exception has changed since you looked at it.")
    return case
