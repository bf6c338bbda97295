"""Asking a source once more for records nobody could read, when somebody has asked for it: they may have been told in a shape
that is gone. What is told now is kept beside what was told first, and the message is looked at again.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.database.arrays import array_literal
from sync_engine.engine import atomic, store
from sync_engine.engine.backoff import backoff_s
from sync_engine.engine.jsontext import clean
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.recording import Recording
from sync_engine.engine.results import MESSAGE_CHARS, Attempt, note_attempt
from sync_engine.model.errors import ConfigurationError, SyncError, TransientError
from sync_engine.model.ports import Record, System

LEASE_S = 180
AT_ONCE = 20
"""Asked for in one go: few enough to be answered well within the lease."""
CONFIGURATION_WAIT_S = 300.0
"""Wrong credentials do not heal in seconds."""


class Rereader:
    """Asks one system for records again.

    Args:
        system: What it declares.
        session: The network to it.
        setup: The configuration in force.
        engine_id: Who we are.
        now: Tells the engine's time.
        timer: Counts seconds.
    """

    def __init__(
        self,
        system: System,
        session: Any,
        setup: Setup,
        *,
        engine_id: str,
        now: Callable[[], datetime],
        timer: Callable[[], float],
    ) -> None:
        self.system = system
        self.session = session
        self.setup = setup
        self.engine_id = engine_id
        self._now = now
        self._timer = timer

    def reread(self, connection: psycopg.Connection) -> int:
        """Ask for what is wanted now. Returns how many records the system has answered for."""
        now = self._now()
        wanted = store.rows(
            connection,
            "intake.claim_rereads",
            system=self.system.name,
            wanted=AT_ONCE,
            lease_until=now + timedelta(seconds=LEASE_S),
            now=now,
        )
        told: list[tuple[Mapping[str, Any], Record | None]] = []
        attempts: list[Attempt] = []
        wanted.sort(key=lambda row: row["message_id"].int)
        for place, row in enumerate(wanted):
            record, attempt, error = self._ask(row)
            attempts.append(attempt)
            if error is not None:
                self._keep(connection, told, attempts, wanted[place:], error)
                return len(told)
            told.append((row, record))
        if wanted:
            self._keep(connection, told, attempts, [], None)
        return len(told)

    def _ask(self, row: Mapping[str, Any]) -> tuple[Record | None, Attempt, SyncError | None]:
        """What the source says of one record; an error when it could not be asked. A record that it refuses to show is one
        it does not have."""
        feed, record, error = self.system.feed(row["feed"]), None, None
        started_at, started = self._now(), self._timer()
        outcome, refused = "done", None
        with self.session.tracing(row["message_id"].hex) as calls:
            try:
                if feed.again is not None:
                    record = feed.again(
                        self.session, Record(row["kind"], row["external_id"], row["version"], None, b"")
                    )
            except (TransientError, ConfigurationError) as caught:
                error, outcome = caught, "not_sent"
            except SyncError as caught:
                refused, outcome = caught, "refused"
        said = error or refused
        attempt = Attempt(
            operation=f"again:{feed.name}",
            effect="read",
            started_at=started_at,
            duration_ms=round((self._timer() - started) * 1000, 3),
            outcome=outcome,
            error_code=said.code if said else None,
            message=clean(str(said))[:MESSAGE_CHARS] if said else "",
            calls=calls,
        )
        return record, attempt, error

    def _keep(
        self,
        connection: psycopg.Connection,
        told: Sequence[tuple[Mapping[str, Any], Record | None]],
        attempts: Sequence[Attempt],
        left: Sequence[Mapping[str, Any]],
        error: SyncError | None,
    ) -> None:
        """Store what was told and look at those messages again; ask for the rest later."""
        now = self._now()
        kept = [(row["message_id"], record) for row, record in told if record is not None]
        columns: dict[str, list[Any]] = {
            "message_id": [message_id for message_id, _ in kept],
            "version": [clean(record.version) for _, record in kept],
            "source_at": [record.source_at for _, record in kept],
            "body": [record.body for _, record in kept],
            "body_hash": [hashlib.sha256(record.body).digest() for _, record in kept],
        }
        recording = Recording(self.engine_id, now, self.setup.new_id)
        for attempt in attempts:
            note_attempt(recording, attempt, system=self.system.name, records=1)
        asked = error.retry_after_s if isinstance(error, TransientError) else None
        recording.note_system(
            self.system.name,
            ok=error is None,
            error=str(error) if error else "",
            paused_until=now + timedelta(seconds=asked) if asked else None,
        )
        answered: list[UUID] = [row["message_id"] for row, _ in told]
        with atomic.transaction(connection):
            if kept:
                values = {name: array_literal(column) for name, column in columns.items()}
                store.run(connection, "intake.keep_rereads", **values, now=now)
            if told:
                received = [row["received_at"] for row, _ in told]
                store.run(connection, "intake.requeue_messages", message_id=answered, received_at=received, now=now)
                store.run(connection, "intake.forget_rereads", message_id=answered)
            if left:
                store.run(
                    connection,
                    "intake.postpone_rereads",
                    message_id=[row["message_id"] for row in left],
                    due_at=now + timedelta(seconds=self._wait_s(left[0]["tries"], error)),
                )
            store.write(connection, recording)

    def _wait_s(self, tries: int, error: SyncError | None) -> float:
        if isinstance(error, ConfigurationError):
            return CONFIGURATION_WAIT_S
        asked = error.retry_after_s if isinstance(error, TransientError) else None
        return max(asked or 0.0, 1.0 + backoff_s(tries, self.setup.rng))
