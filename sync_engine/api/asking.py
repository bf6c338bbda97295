"""Who asks, and how a question is put to the database: as the caller's session, read-only, within a time limit.

The token is a session of `control.access`; the rights behind it are read at every question, so that taking them away takes
effect at once.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

import psycopg
import sqlalchemy as sa
from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from psycopg.rows import dict_row

from sync_engine.api.problems import unauthorized
from sync_engine.configuration import digest
from sync_engine.control.access import Person, acting
from sync_engine.control.roles import Role, sees
from sync_engine.database.connections import borrowed
from sync_engine.database.statements import sql
from sync_engine.engine.promote import Configuration

LIMIT_MS = 5_000
"""A question that has no answer by then is given up."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Room:
    """What every request has: connections as finsync_app, and the configuration in force.

    Args:
        pool: Connections as finsync_app.
        configuration: Mappings and policies that requisitions are checked by.
        procurement: The system whose supplier ids requisitions carry.
        cell: Names the source of events.
        systems: Who may send hints.
    """

    pool: sa.Engine
    configuration: Configuration
    procurement: str
    cell: str
    systems: frozenset[str] = frozenset()

    @property
    def policy_version(self) -> str:
        """The policies' version as `config_version` has it."""
        policies = self.configuration.policies
        return f"{policies.version}.{digest(policies.model_dump(mode='json')).hex()[:8]}"

    @contextmanager
    def unasked(self, limit_ms: int = LIMIT_MS) -> Iterator["Question"]:
        """A transaction that carries nobody's session: it sees no document."""
        with borrowed(self.pool) as connection, connection.transaction():
            connection.execute(sql("api.begin_unasked"), {"limit_ms": str(limit_ms)})
            yield Question(connection)


@dataclass(frozen=True, slots=True)
class Question:
    """Statements of `api.sql` in one transaction."""

    connection: psycopg.Connection

    def rows(self, statement: str, **values: Any) -> list[Row]:
        """What a statement answers."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(sql(f"api.{statement}"), values).fetchall()

    def value(self, statement: str, **values: Any) -> Any:
        """The one value a statement answers; None without a row."""
        found = self.connection.execute(sql(f"api.{statement}"), values).fetchone()
        return found[0] if found else None


@dataclass(frozen=True, slots=True)
class Asked(Question):
    """A question of somebody. `as_of` is the time of its answer."""

    person: Person
    as_of: datetime

    def sees(self, business_unit: str) -> bool:
        """Whether whoever asks may see a business unit."""
        return sees(self.person.units, business_unit)


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever holds a token; whether it opens anything is found out when they ask."""

    room: Room
    token: str

    @contextmanager
    def asking(self, *, read_only: bool = True) -> Iterator[Asked]:
        """A transaction in which the caller asks.

        Raises:
            Problem: 401, the token is unknown, expired or ended, or its owner was disabled.
        """
        with acting(self.room.pool, self.token) as connection:
            with connection.cursor(row_factory=dict_row) as cursor:
                row = cursor.execute(
                    sql("api.begin"), {"limit_ms": str(LIMIT_MS), "read_only": "on" if read_only else "off"}
                ).fetchone()
            if row is None or row["user_id"] is None:
                raise unauthorized("The token is not known here, or has expired.")
            person = Person(
                row["user_id"], row["name"], frozenset(Role(role) for role in row["roles"]), tuple(row["units"])
            )
            yield Asked(connection, person, row["as_of"])


_bearer = HTTPBearer(auto_error=False, description="A token of `finsync token <user>`.")


def room_of(request: Request) -> Room:
    """What the process was started with."""
    room: Room = request.app.state.room
    return room


def caller_of(
    request: Request, credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]
) -> Caller:
    """Whoever sends the request.

    Raises:
        Problem: 401, there is no token.
    """
    if credentials is None or not credentials.credentials:
        raise unauthorized("The request carries no token.")
    return Caller(room_of(request), credentials.credentials)


InRoom = Annotated[Room, Depends(room_of)]
ByCaller = Annotated[Caller, Depends(caller_of)]
