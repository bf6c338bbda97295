"""A command as it reaches whoever carries it out."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.control.roles import Action, Role
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


@dataclass(slots=True)
class Doing:
    """What carrying out works with."""

    connection: psycopg.Connection
    setup: Setup
    recording: Recording
    now: datetime
    business_units: set[str]
