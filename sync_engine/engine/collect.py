"""Reading feeds: one page at a time, every record kept verbatim with the cursor in one transaction, nothing understood yet.

A page that cannot be read leaves the cursor where it was, says why, and is tried again later. What a record means is
`intake`'s business, so that a record nobody understands never stops a feed.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import psycopg
from psycopg.rows import dict_row

from sync_engine.database.arrays import array_literal
from sync_engine.database.statements import sql
from sync_engine.engine import atomic, store
from sync_engine.engine.backoff import backoff_s
from sync_engine.engine.jsontext import clean
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.recording import Recording
from sync_engine.engine.results import MESSAGE_CHARS, Attempt, CrashPoint, Moment, Pulse, no_crash, note_attempt
from sync_engine.model.errors import ConfigurationError, SyncError, TransientError
from sync_engine.model.ports import Feed, Page, System

LEASE_S = 180
"""A page may be fifty documents over a slow line; longer than that, another engine may try."""

FAR_AHEAD = datetime(9999, 1, 1, tzinfo=UTC)

PAGES_PER_RUN = 200
"""A feed that has more is read on in the next run, so that one long backlog does not keep a thread for ever."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What one run of a feed brought."""

    pages: int = 0
    records: int = 0
    new: int = 0
    error: str = ""


class Collector:
    """Reads the feeds of one system.

    Args:
        system: What it declares.
        session: The network to it.
        setup: The configuration in force.
        engine_id: Who we are.
        now: Tells the engine's time.
        timer: Counts seconds.
        crash_point: Called between phases; tests raise from it.
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
        crash_point: CrashPoint = no_crash,
    ) -> None:
        self.system = system
        self.session = session
        self.setup = setup
        self.engine_id = engine_id
        self._now = now
        self._timer = timer
        self._crash_point = crash_point
        self._pulse = Pulse()
        self._unfinished: dict[str, int] = {}
        """Feeds we have taken and not put back, with the token: after losing the database in between we need not wait for our
        own lease to end."""

    def collect(self, connection: psycopg.Connection, feed: Feed, *, hinted: bool = False) -> Collected | None:
        """Read a feed until it has no more, if it is due or somebody has hinted that it has news. None: not due, or somebody
        else reads it."""
        pages = records = new = 0
        while pages < PAGES_PER_RUN:
            now = self._now()
            with connection.cursor(row_factory=dict_row) as cursor:
                claimed = cursor.execute(
                    sql("intake.claim_feed"),
                    {
                        "system": self.system.name,
                        "feed": feed.name,
                        "lease_until": now + timedelta(seconds=LEASE_S),
                        "due_by": FAR_AHEAD if hinted else now,
                        "own_token": self._unfinished.get(feed.name),
                        "now": now,
                    },
                ).fetchone()
            if claimed is None:
                return Collected(pages, records, new) if pages else None
            self._unfinished[feed.name] = claimed["fencing_token"]
            page, attempt, error = self._read(feed, claimed["cursor"])
            if page is None:
                self._failed(connection, feed, claimed, attempt, error)
                del self._unfinished[feed.name]
                return Collected(pages, records, new, error=str(error))
            try:
                new += self._keep(connection, feed, claimed["fencing_token"], page, attempt)
            except atomic.Stale:  # the month its messages go to was settled meanwhile; now they find it
                new += self._keep(connection, feed, claimed["fencing_token"], page, attempt)
            del self._unfinished[feed.name]
            pages += 1
            records += len(page.records)
            if not page.more:
                break
        return Collected(pages, records, new)

    def _read(self, feed: Feed, cursor: dict[str, Any]) -> tuple[Page | None, Attempt, SyncError | None]:
        started_at, started = self._now(), self._timer()
        trace_id = hashlib.sha256(f"{self.system.name}|{feed.name}|{started_at.isoformat()}".encode()).hexdigest()[:32]
        page, error = None, None
        with self.session.tracing(trace_id) as calls:
            try:
                page = feed.read(self.session, cursor, started_at)
            except SyncError as caught:
                error = caught
        attempt = Attempt(
            operation=f"feed:{feed.name}",
            effect="read",
            started_at=started_at,
            duration_ms=round((self._timer() - started) * 1000, 3),
            outcome="done" if page is not None else "not_sent" if isinstance(error, TransientError) else "failed",
            error_code=error.code if error else None,
            message=clean(str(error))[:MESSAGE_CHARS] if error else "",
            calls=calls,
        )
        return page, attempt, error

    def _keep(
        self, connection: psycopg.Connection, feed: Feed, fencing_token: int, page: Page, attempt: Attempt
    ) -> int:
        """Store a page and move the cursor. If another engine reads this feed by now, what we stored stays stored (each message
        is known once) and the cursor is theirs. Answers how many records were new."""
        now = self._now()
        due_at = now if page.more else now + timedelta(seconds=feed.interval_s)
        with atomic.transaction(connection):
            stored = self._store(connection, feed, page, now) if page.records else None
            self._crash_point(Moment("before_cursor"))
            store.run(
                connection,
                "intake.finish_feed",
                system=self.system.name,
                feed=feed.name,
                fencing_token=fencing_token,
                cursor=json.dumps(page.cursor),
                due_at=due_at,
                complete_until=page.complete_until,
                now=now,
            )
            store.write(connection, self._recording(now, attempt, records=len(page.records)))
        self._crash_point(Moment("after_cursor"))
        return stored.rowcount if stored is not None else 0

    def _store(self, connection: psycopg.Connection, feed: Feed, page: Page, now: datetime) -> psycopg.Cursor:
        """Keep a page's records; the cursor's row count is how many were new, once the transaction is over."""
        told = {(record.kind, record.external_id, record.version): record for record in page.records}.values()
        columns: dict[str, list[Any]] = {
            "message_id": [self.setup.new_id(now) for _ in told],
            "kind": [record.kind for record in told],
            "external_id": [clean(record.external_id) for record in told],
            "version": [clean(record.version) for record in told],
            "source_at": [record.source_at for record in told],
            "body": [record.body for record in told],
            "body_hash": [hashlib.sha256(record.body).digest() for record in told],
        }
        values = {name: array_literal(column) for name, column in columns.items()}
        return connection.execute(
            sql("intake.store_messages"), {**values, "system": self.system.name, "feed": feed.name, "now": now}
        )

    def _failed(
        self,
        connection: psycopg.Connection,
        feed: Feed,
        claimed: dict[str, Any],
        attempt: Attempt,
        error: SyncError | None,
    ) -> None:
        now = self._now()
        asked = error.retry_after_s if isinstance(error, TransientError) else None
        # Wrong credentials do not heal in seconds; asking every few seconds would lock the account.
        wait = (
            300.0
            if isinstance(error, ConfigurationError)
            else max(asked or 0.0, 1.0 + backoff_s(claimed["consecutive_failures"], Random(claimed["fencing_token"])))
        )
        recording = self._recording(now, attempt, paused_until=now + timedelta(seconds=asked) if asked else None)
        with atomic.transaction(connection):
            store.run(
                connection,
                "intake.fail_feed",
                system=self.system.name,
                feed=feed.name,
                fencing_token=claimed["fencing_token"],
                due_at=now + timedelta(seconds=wait),
                error=clean(str(error))[:MESSAGE_CHARS],
            )
            store.write(connection, recording)

    def _recording(
        self, now: datetime, attempt: Attempt, *, records: int | None = None, paused_until: datetime | None = None
    ) -> Recording:
        recording = Recording(self.engine_id, now, self.setup.new_id)
        note_attempt(recording, attempt, system=self.system.name, records=records)
        if attempt.calls:
            recording.spent[self.system.name] = len(attempt.calls)
        ok = attempt.outcome == "done"
        if self._pulse.is_news(self.system.name, now, ok=ok) or paused_until is not None:
            recording.note_system(
                self.system.name, ok=ok, error="" if ok else attempt.message, paused_until=paused_until
            )
        return recording
