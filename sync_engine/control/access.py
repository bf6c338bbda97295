"""Who is asking. The identity provider (or, in evaluation, the person switcher) vouches for somebody; the gate opens a
session; every query of the application then runs in a transaction that carries that session and nothing else.
"""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

import psycopg
import sqlalchemy as sa

from sync_engine.control.roles import Action, Role, may
from sync_engine.database.connections import borrowed
from sync_engine.database.statements import sql


class NotKnown(Exception):
    """Nobody of that name may use the application."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who uses the application. `units` holds business units, or "*" for all."""

    user_id: str
    name: str
    roles: frozenset[Role]
    units: tuple[str, ...]

    def may(self, action: Action) -> bool:
        """Whether the person's roles allow an action."""
        return may(self.roles, action)

    @property
    def sees_all(self) -> bool:
        """Whether every business unit is visible."""
        return "*" in self.units


@dataclass(frozen=True, slots=True)
class AppSession:
    """An open session: the person, and the secret that proves it to the database."""

    person: Person
    token: str = field(repr=False)


def put_people(connection: psycopg.Connection, people: Sequence[Person], *, now: datetime) -> None:
    """Make people known, with the rights they have from now on."""
    for person in people:
        connection.execute(
            sql("access.put_person"),
            {
                "user_id": person.user_id,
                "name": person.name,
                "roles": [role.value for role in sorted(person.roles)],
                "units": list(person.units),
                "now": now,
            },
        )


def people(gate: sa.Engine) -> list[Person]:
    """Everybody who may use the application, by name."""
    with borrowed(gate) as connection:
        return [_person(row) for row in connection.execute(sql("access.people"))]


def _person(row: tuple[str, str, list[str], list[str]]) -> Person:
    user_id, name, roles, units = row
    return Person(user_id, name, frozenset(Role(role) for role in roles), tuple(units))


def open_session(gate: sa.Engine, user_id: str, *, hours: float) -> AppSession:
    """Open a session for somebody whose identity has been proved.

    Raises:
        NotKnown: nobody of that name, or no longer active.
    """
    token = secrets.token_urlsafe(32)
    with borrowed(gate) as connection, connection.transaction():
        row = connection.execute(sql("access.person"), {"user_id": user_id}).fetchone()
        if row is None:
            raise NotKnown(f"{user_id} is not known here.")
        connection.execute(sql("access.open_session"), {"user_id": user_id, "token": token, "hours": hours})
    return AppSession(_person(row), token)


@contextmanager
def acting(app: sa.Engine, token: str) -> Iterator[psycopg.Connection]:
    """A transaction of the application that carries a session: what it sees and may ask for is what the session's person may."""
    with borrowed(app) as connection, connection.transaction():
        connection.execute("SELECT set_config('finsync.session', %s, true)", [token])
        yield connection


def person_of(app: sa.Engine, token: str) -> Person | None:
    """Whose session it is, with the rights as they are now; None when it has ended, expired, or the person was disabled."""
    with acting(app, token) as connection:
        row = connection.execute(sql("access.session_person")).fetchone()
    return _person(row) if row and row[0] else None


def end_session(app: sa.Engine, token: str) -> None:
    """End a session; its token opens nothing any more."""
    with acting(app, token) as connection:
        connection.execute(sql("access.end_session"))
