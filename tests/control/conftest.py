"""A desk with exceptions on it, and the people who may or may not work on them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import sqlalchemy as sa
from psycopg import sql as compose

from sync_engine.control import access, commands
from sync_engine.control.access import AppSession, Person
from sync_engine.control.commands import Answered
from sync_engine.control.execute import execute_commands
from sync_engine.control.roles import Action, Role
from sync_engine.database.connections import Database, borrowed
from sync_engine.engine.clock import VirtualClock
from sync_engine.engine.outcomes import Setup
from tests.conftest import _server, drop_cell, new_cell
from tests.toy import NOON, ToyErp, toy_engine


@dataclass
class Desk:
    """Exceptions put there row by row, and commands carried out one round at a time."""

    connection: psycopg.Connection
    app: sa.Engine
    gate: sa.Engine
    setup: Setup = field(default_factory=lambda: toy_engine(ToyErp(), VirtualClock(NOON)).setup)
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def person(self, *roles: Role, units: tuple[str, ...] = ("DE-SOUTH",), user_id: str = "") -> AppSession:
        """Somebody with an open session."""
        person = Person(user_id or f"person.{next(self.numbers)}@example.test", "Somebody", frozenset(roles), units)
        access.put_people(self.connection, [person], now=NOON)
        return access.open_session(self.gate, person.user_id, hours=1)

    def case(
        self,
        *,
        unit: str = "DE-SOUTH",
        code: str = "cost_centre_blocked",
        retryable: str = "after_fix",
        blocks: bool = True,
        requester: dict[str, str] | None = None,
    ) -> UUID:
        """An open exception of a parked requisition."""
        ids = {name: uuid4() for name in ("case_id", "document_id", "work_item_id", "recording_id")}
        number = f"R-{next(self.numbers)}"
        values = {
            **ids,
            "unit": unit,
            "code": code,
            "retryable": retryable,
            "blocks": blocks,
            "now": NOON,
            "number": number,
            "requester": (requester or {}).get("user", "planner.1"),
            "email": (requester or {}).get("email", ""),
        }
        with self.connection.transaction():
            for statement in _MADE_OF:
                self.connection.execute(statement, values)
        return ids["case_id"]

    def alert(self, *, unit: str = "DE-SOUTH") -> UUID:
        """An alert that fires."""
        alert_id = uuid4()
        self.connection.execute(
            "INSERT INTO alert (alert_id, rule, subject, occasion, document_id, deadline_on, state, severity, message, owner_team, business_unit, fired_at) VALUES (%s, 'r', %s, '2026-09-20', %s, '2026-09-20', 'firing', 'high', 'm', 't', %s, %s)",
            [alert_id, str(alert_id), uuid4(), unit, NOON],
        )
        return alert_id

    def order(self, *, unit: str = "DE-SOUTH") -> UUID:
        """An order that the ERP has accepted."""
        document_id = self.connection.execute(
            "SELECT document_id FROM exception_case WHERE case_id = %s", [self.case(unit=unit)]
        ).fetchone()[0]
        self.connection.execute(
            "UPDATE document SET document_type = 'purchase_order', state = 'ordered', approval_status = 'approved', posting_status = 'accepted' WHERE document_id = %s",
            [document_id],
        )
        return document_id

    def invoice(self, *, unit: str = "DE-SOUTH", state: str = "checked") -> UUID:
        """An invoice that is not paid."""
        document_id = self.order(unit=unit)
        self.connection.execute(
            "UPDATE document SET document_type = 'invoice', state = %s, posting_status = 'not_submitted' WHERE document_id = %s",
            [state, document_id],
        )
        return document_id

    def redrive(self, case: UUID, *, state: str = "running", asked_by: str = "somebody.else") -> UUID:
        """A reprocessing of one case, asked for by somebody, none of it sent."""
        redrive_id = uuid4()
        self.connection.execute(
            """WITH r AS (INSERT INTO redrive (redrive_id, asked_by, asked_at, state, state_at, reason_code, reason, scope, item_count, group_amount, next_wave_at, look_at)
                          VALUES (%(redrive_id)s, %(asked_by)s, %(now)s, %(state)s, %(now)s, 'other', 'r', 's', 1, 0, %(now)s, %(later)s))
               INSERT INTO redrive_item (redrive_id, case_id, document_id, work_item_id, case_version, wave, status, updated_at, business_unit)
               SELECT %(redrive_id)s, case_id, document_id, work_item_id, version, 0, 'waiting', %(now)s, business_unit FROM exception_case WHERE case_id = %(case)s""",
            {
                "redrive_id": redrive_id,
                "asked_by": asked_by,
                "now": NOON,
                "later": NOON + timedelta(days=1),
                "state": state,
                "case": case,
            },
        )
        return redrive_id

    def unit(self, code: str) -> None:
        """A business unit by that code."""
        self.connection.execute(
            "INSERT INTO business_unit (code, name, country, currency, company_code, calendar, time_zone) VALUES (%s, %s, 'DE', 'EUR', '1010', 'c', 'UTC')",
            [code, code],
        )

    def exclusion(self, *, unit: str) -> UUID:
        """Deadlines of a unit that somebody has left out."""
        exclusion_id = uuid4()
        self.connection.execute(
            "INSERT INTO objective_exclusion (exclusion_id, objective, business_unit, starts_at, ends_at, reason, author, written_at) VALUES (%s, '', %s, %s, %s, 'r', 'somebody.else', %s)",
            [exclusion_id, unit, NOON, NOON + timedelta(hours=1), NOON],
        )
        return exclusion_id

    def named(self, *cases: UUID, version: int | None = None) -> list[dict[str, Any]]:
        """Cases as a page names them: by id and the version it has seen."""
        return [
            {"case_id": str(case), "version": self.row(case)["version"] if version is None else version}
            for case in cases
        ]

    def row(self, case: UUID) -> dict[str, Any]:
        """A case as it stands, with its work item's status and its document's state."""
        found = self.connection.execute(
            "SELECT c.status, c.version, c.owner, c.closed_at, c.close_reason, c.closed_by, w.status, w.ask_first, d.state FROM exception_case c LEFT JOIN work_item w USING (work_item_id) LEFT JOIN document d ON d.document_id = c.document_id WHERE case_id = %s",
            [case],
        ).fetchone()
        assert found is not None
        return dict(
            zip(
                ("status", "version", "owner", "closed_at", "close_reason", "closed_by", "work", "ask_first", "state"),
                found,
                strict=True,
            )
        )

    def ask(
        self,
        session: AppSession,
        action: Action,
        *,
        reason: str = "because",
        command_id: UUID | None = None,
        **arguments: Any,
    ) -> UUID:
        """Ask as a page does; nothing is carried out yet."""
        command_id = command_id or uuid4()
        commands.ask(
            self.app,
            session.token,
            session.person,
            command_id=command_id,
            action=action,
            arguments=arguments,
            now=NOON,
            reason=reason,
        )
        return command_id

    def carry_out(self) -> int:
        """Let the engine do what has been asked."""
        return execute_commands(self.connection, self.setup, engine_id="engine-1", now=NOON)

    def answer(self, session: AppSession, command_id: UUID) -> Answered:
        """What became of a command, as its asker sees it."""
        found = commands.answer(self.app, session.token, command_id)
        assert found is not None
        return found

    def do(self, session: AppSession, action: Action, *, reason: str = "because", **arguments: Any) -> Answered:
        """Ask, let it be carried out, and answer what became of it."""
        command_id = self.ask(session, action, reason=reason, **arguments)
        self.carry_out()
        return self.answer(session, command_id)

    def one(self, query: str, *values: Any) -> Any:
        """The first column of the one row of a query."""
        found = self.connection.execute(query, values).fetchone()
        return found[0] if found else None


_MADE_OF = (
    """INSERT INTO event (recording_id, ordinal, recorded_at, document_id, seq, document_type, correlation_id, business_unit, source, activity, event_at,
            observed_at, system, actor, state_to, approval_status, posting_status, document_version)
       VALUES (%(recording_id)s, 0, %(now)s, %(document_id)s, 1, 'requisition', %(document_id)s, %(unit)s, 'finsync', 'requisition_received', %(now)s, %(now)s,
               'coupa', 'coupa', 'received', 'pending', 'not_submitted', 1)""",
    """INSERT INTO document (document_id, document_type, correlation_id, number, business_unit, source_system, state, approval_status, posting_status, state_since,
            requester, created_at, updated_at, last_event_seq, last_event_at, payload_version)
       VALUES (%(document_id)s, 'requisition', %(document_id)s, %(number)s, %(unit)s, 'coupa', 'received', 'pending', 'not_submitted', %(now)s, %(requester)s, %(now)s, %(now)s, 1, %(now)s, 1)""",
    """INSERT INTO document_payload (document_id, payload_version, canonical, payload_hash, schema_version, mapping_version, author, recorded_at, business_unit)
       VALUES (%(document_id)s, 1, jsonb_build_object('requester', jsonb_build_object('user', %(requester)s::text, 'email', %(email)s::text)), '', '1.0', '1', 'coupa', %(now)s, %(unit)s)""",
    """INSERT INTO work_item (work_item_id, document_id, business_unit, flow, step, system, status, due_at, step_since, objective_at, created_at)
       VALUES (%(work_item_id)s, %(document_id)s, %(unit)s, 'requisition_to_order', 'check_policies', 'finsync', 'parked', %(now)s, %(now)s, %(now)s, %(now)s)""",
    """INSERT INTO exception_case (case_id, document_id, work_item_id, system, category, code, origin, retryable, fingerprint, message, number, business_unit, status, blocks,
            owner_team, raised_at, last_seen_at)
       VALUES (%(case_id)s, %(document_id)s, %(work_item_id)s, 'finsync', 'policy', %(code)s, 'hub', %(retryable)s, 'f', 'It is so.', %(number)s, %(unit)s, 'open', %(blocks)s,
               'finance operations', %(now)s, %(now)s)""",
)


@pytest.fixture(scope="module")
def database(_servers: dict[str, Any]) -> Iterator[Database]:
    """One cell for all tests of a module; each finds it empty."""
    made = new_cell(_server(_servers, "embedded", None))
    yield made
    drop_cell(made)


@pytest.fixture(scope="module")
def pools(database: Database) -> Iterator[list[sa.Engine]]:
    """The engine's, the application's and the gate's connections."""
    pools = [database.engine(role, pool_size=12) for role in ("finsync_engine", "finsync_app", "finsync_gate")]
    yield pools
    for pool in pools:
        pool.dispose()


@pytest.fixture
def desk(database: Database, pools: list[sa.Engine]) -> Iterator[Desk]:
    """An empty desk."""
    with database.connect_owner() as owner:
        owner.execute(compose.SQL("SET search_path TO {}").format(compose.Identifier(database.cell)))
        written = compose.SQL(", ").join(compose.Identifier(table) for table in _WRITTEN)
        owner.execute(compose.SQL("TRUNCATE {}").format(written))
    engine, app, gate = pools
    with borrowed(engine) as connection:
        yield Desk(connection, app, gate)


_WRITTEN = (
    "alert", "alert_event", "alert_rule_version", "app_session", "app_user", "budget_reservation", "case_event", "command", "document", "document_payload", "event", "exception_case",
    "duplicate_verdict", "objective_exclusion", "recording", "redrive", "redrive_item", "work_item",
)  # fmt: skip
