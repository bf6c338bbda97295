"""Asking: the application's only way to change anything.

A page makes a command's id before it shows the button, so that a double click, a refresh or two tabs ask once. The engine
carries the command out (`execute`); the page waits a moment for the answer and then shows how far it has come.
"""

import json
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
import sqlalchemy as sa

from sync_engine.control.access import Person, acting
from sync_engine.control.roles import RULES, Action
from sync_engine.database.statements import sql


class NotAllowed(Exception):
    """The person's roles do not allow the action, or the reason is missing; the sentence says which."""


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a command: `asked` (not yet carried out), `done`, `denied`, `conflict` or `failed`."""

    command_id: UUID
    status: str
    result: dict[str, Any]

    @property
    def sentence(self) -> str:
        """What to tell the person."""
        return str(
            self.result.get(
                "sentence", "The engine has not got to it yet; it will, whether or not this page stays open."
            )
        )


def ask(
    app: sa.Engine,
    token: str,
    person: Person,
    *,
    command_id: UUID,
    action: Action,
    arguments: dict[str, Any],
    now: datetime,
    reason: str = "",
    business_unit: str = "",
) -> None:
    """Ask for something, once per `command_id`.

    Raises:
        NotAllowed: said here for the person's sake; the database and the engine check again. Also when the session is over or
            the person's rights are no longer those the page was drawn with.
    """
    rule = RULES[action]
    if not person.may(action):
        raise NotAllowed(f"Your role does not allow you to {rule.says}.")
    if rule.needs_reason and not reason.strip():
        raise NotAllowed(f"To {rule.says}, say why.")
    values = {
        "command_id": command_id,
        "actor": person.user_id,
        "roles": [role.value for role in sorted(person.roles)],
        "action": action.value,
        "arguments": json.dumps(arguments, default=str),
        "reason": reason.strip(),
        "business_unit": business_unit,
        "now": now,
    }
    try:
        with acting(app, token) as connection:
            connection.execute(sql("command.ask"), values)
    except psycopg.errors.InsufficientPrivilege:
        raise NotAllowed("Your session is over, or your rights have changed; sign in again.") from None


def answer(app: sa.Engine, token: str, command_id: UUID) -> Answered | None:
    """What became of a command; None when no such command was asked by this person."""
    with acting(app, token) as connection:
        row = connection.execute(sql("command.answer"), {"command_id": command_id}).fetchone()
    return Answered(command_id, row[0], row[1]) if row else None


def wait_for(app: sa.Engine, token: str, command_id: UUID, *, seconds: float = 3.0) -> Answered | None:
    """What became of a command, waiting up to `seconds` for the engine."""
    give_up_at = time.monotonic() + seconds
    while True:
        found = answer(app, token, command_id)
        if found is None or found.status != "asked" or time.monotonic() >= give_up_at:
            return found
        time.sleep(0.05)
