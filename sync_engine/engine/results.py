"""Recording what came of questions to outside systems: outcomes, intents, attempts, in one transaction for all that are ready."""

import hashlib
import json
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Self
from uuid import UUID

import psycopg
import structlog

from sync_engine.engine import atomic, store
from sync_engine.engine.heads import Head
from sync_engine.engine.jsontext import clean
from sync_engine.engine.outcomes import ANEW, Item, Kind, Outcome, Setup
from sync_engine.engine.recording import Recording
from sync_engine.engine.settling import settle
from sync_engine.engine.troubles import Trouble
from sync_engine.model.ports import Effect

MESSAGE_CHARS = 1000
BODY_CHARS = 100_000

log = structlog.get_logger()

_json = json.JSONEncoder(check_circular=False).encode

CALL_POINTS = ("before_intent", "after_intent", "before_call", "after_call", "before_record", "after_record")
DECISION_POINTS = ("before_record", "before_commit", "after_record")
"""Where an engine may die in the middle of a step: of one that asks a system, and of one that is decided here."""


class Moment(str):
    """A place between two phases, by its name, with the items that are under way there.

    It is a string so that whoever only wants to know where can compare it.
    """

    __slots__ = ("items",)
    items: Sequence[Item]

    def __new__(cls, where: str, items: Sequence[Item] = ()) -> Self:
        moment = super().__new__(cls, where)
        moment.items = items
        return moment


CrashPoint = Callable[[Moment], None]
"""Called between phases; tests raise from it, everybody else does nothing."""


def no_crash(_moment: Moment) -> None:
    """The crash point of everybody but tests."""


@dataclass(slots=True)
class Attempt:
    """One question to a system as it went."""

    operation: str
    effect: str
    started_at: datetime
    duration_ms: float
    outcome: str
    error_code: str | None
    message: str
    calls: list[Any]


@dataclass(slots=True)
class Result:
    """An item, what became of it, and the record of the asking."""

    item: Item
    outcome: Outcome
    attempt: Attempt
    in_doubt: bool = False
    """Was sent to be recorded, and nobody knows whether that stands."""


def idempotency_key(item: Item) -> str:
    """The key of one intended effect: the business reference, the step and the payload it is decided on."""
    if not item.key:
        item.key = _key(item)
    return item.key


def _key(item: Item) -> str:
    parts = f"{item.head.document_id}|{item.flow.name}|{item.step.name}|{item.subject_id or ''}|"
    return hashlib.sha256(parts.encode() + item.payload_hash).hexdigest()


_INTENT_OUTCOMES = {
    "done": "done",
    "waiting": "not_sent",
    "adopted": "adopted",
    "absent": "unknown",
    "refused": "refused",
    "not_sent": "not_sent",
    "unknown": "unknown",
    "failed": "unknown",
}
"""What the word of an attempt says of the intent behind it."""

_EARLIER_WERE = {"adopted": "adopted", "done": "not_sent"}
"""What this outcome says of earlier sends of the same step: it was looked up first, so they were found, or never arrived."""


NOTE_EVERY_S = 30.0
"""A system that answers is noted as alive this often; every failure, and the first answer after one, is noted at once."""


class Pulse:
    """Remembers what was last noted of each system's health, so that a thousand good answers are not a thousand updates."""

    def __init__(self) -> None:
        self._noted: dict[str, tuple[datetime, bool]] = {}

    def is_news(self, system: str, now: datetime, *, ok: bool) -> bool:
        """Whether this answer (or its failing) has to be noted."""
        at, was_ok = self._noted.get(system, (None, False))
        if ok and was_ok and at is not None and (now - at).total_seconds() < NOTE_EVERY_S:
            return False
        self._noted[system] = (now, ok)
        return True


class Recorder:
    """Writes what became of questions, of one lane or of several.

    Args:
        setup: The configuration in force.
        engine_id: Who we are.
        now: Tells the engine's time.
        crash_point: See `CrashPoint`.
    """

    def __init__(
        self, setup: Setup, *, engine_id: str, now: Callable[[], datetime], crash_point: CrashPoint = no_crash
    ) -> None:
        self._setup = setup
        self._engine_id = engine_id
        self._now = now
        self._crash_point = crash_point
        self._pulse = Pulse()

    def record(self, connection: psycopg.Connection, results: list[Result]) -> frozenset[str] | None:
        """Write what became of these items, in one transaction. Items another engine has taken over in the meantime are
        dropped: their new holder looks in the target before it sends. If the whole cannot be written, each is written
        alone, so that only what is poisonous is parked.

        Returns the lanes that have something to do by it (`Recording.lanes`); None when it may be any.

        Raises:
            psycopg.OperationalError: the database is lost or another transaction was in the way; may be called again.
        """
        under_way = [result.item for result in results]
        self._crash_point(Moment("before_record", under_way))
        # Settling uses up what an item knows of its cases and adds to its facts; settling again has to begin where it did.
        before = [(dict(result.item.open_cases), dict(result.item.facts)) for result in results]
        concerned: frozenset[str] | None = None
        try:
            if any(result.in_doubt for result in results):
                self._record_again(connection, results)
            else:
                recording = self.recording(results)
                store.record(connection, recording)
                concerned = recording.lanes
        except atomic.Stale:
            _restore(results, before)
            self._record_again(connection, results)
        except psycopg.OperationalError:
            _restore(results, before)
            for result in results:
                result.in_doubt = True
            raise
        except Exception:  # noqa: BLE001 - whatever it is, it must not stop the others
            _restore(results, before)
            self._record_each(connection, results)
        self._crash_point(Moment("after_record", under_way))
        return concerned

    def _record_each(self, connection: psycopg.Connection, results: list[Result]) -> None:
        """Write each alone; what cannot be written is parked with the reason."""
        for result in results:
            before = [(dict(result.item.open_cases), dict(result.item.facts))]
            try:
                self._record_again(connection, [result])
            except psycopg.OperationalError:
                raise
            except Exception as error:
                log.exception("an outcome cannot be recorded", work_item_id=str(result.item.work_item_id))
                _restore([result], before)
                self._park(connection, _unrecordable(result, error))

    def _park(self, connection: psycopg.Connection, result: Result) -> None:
        try:
            self._record_again(connection, [result])
        except psycopg.OperationalError:
            raise
        except Exception:
            # Its lease will end, and whoever takes it looks in the target first; the others need not wait for that.
            log.exception("an item cannot even be parked", work_item_id=str(result.item.work_item_id))

    def _record_again(self, connection: psycopg.Connection, results: list[Result]) -> None:
        """Write these with the documents and items as they are by now, held. Leaves out what is recorded already: an item
        under our token that is in no call any more can have been put back by nobody but us."""
        with atomic.transaction(connection):
            heads = store.lock_heads(connection, sorted({result.item.head.document_id for result in results}))
            ids = [result.item.work_item_id for result in results]
            now = {row["work_item_id"]: row for row in store.rows(connection, "work.held", work_item_id=ids)}
            held, lost = [], []
            for result in results:
                result.item.head = heads[result.item.head.document_id]
                row = now[result.item.work_item_id]
                if row["fencing_token"] != result.item.fencing_token:
                    lost.append(result)
                elif row["status"] == "in_call":
                    if row["begins_anew"]:
                        result.item.facts[ANEW] = True
                    held.append(result)
            store.write(connection, self.recording(held, lost=lost))

    def recording(self, results: list[Result], lost: list[Result] | None = None) -> Recording:
        """What is to be written of these; of items `lost` to another engine only that they were asked about."""
        recording = Recording(self._engine_id, self._now(), self._setup.new_id, says_revisions=True)
        heads: dict[UUID, Head] = {}
        for result in results:
            item = result.item
            item.head = heads.setdefault(item.head.document_id, item.head)
            settle(recording, item, result.outcome, self._setup)
            self._settle_intent(recording, result)
            self._note(recording, result)
        for result in lost or []:
            self._note(recording, result)
        return recording

    def _settle_intent(self, recording: Recording, result: Result) -> None:
        item = result.item
        if self._setup.systems[item.system].operations[item.step.does].effect is Effect.READ:
            return
        outcome, earlier = _INTENT_OUTCOMES[result.attempt.outcome], _EARLIER_WERE.get(result.attempt.outcome)
        if result.outcome.leaves_unsure:
            outcome, earlier = "unknown", None
        elif result.attempt.outcome == "absent":
            outcome = earlier = "not_sent"  # looked for when it could not appear any more
        recording.settled_intents.add(item.head.document_id, idempotency_key(item), outcome)
        if item.ask_first and earlier is not None:
            recording.earlier_intents.add(
                idempotency_key(item), item.head.document_id, item.work_item_id, item.step.name, earlier
            )

    def _note(self, recording: Recording, result: Result) -> None:
        item, attempt = result.item, result.attempt
        reached = attempt.outcome not in {"not_sent", "unknown"}
        if len(attempt.calls) > 1:
            recording.spent[item.system] = recording.spent.get(item.system, 0) + len(attempt.calls) - 1
        was_asked = result.outcome.kind is not Kind.NOT_SENT or result.outcome.trouble is not None
        pause = (
            recording.now + timedelta(seconds=result.outcome.retry_after_s) if result.outcome.retry_after_s else None
        )
        quota = next((call.quota for call in reversed(attempt.calls) if call.quota is not None), None)
        if was_asked and (
            self._pulse.is_news(item.system, recording.now, ok=reached)
            or item.is_probe
            or pause is not None
            or quota is not None
        ):
            recording.note_system(
                item.system,
                ok=reached,
                error="" if reached else attempt.message,
                paused_until=pause,
                probe_until=item.lease_until if item.is_probe else None,
                quota=_quota(quota, recording.now),
            )
        note_attempt(
            recording,
            attempt,
            system=item.system,
            flow=item.flow.name,
            step=item.step.name,
            document_id=item.head.document_id,
            work_item_id=item.work_item_id,
            correlation_id=item.head.correlation_id,
            business_unit=item.head.business_unit,
            key=idempotency_key(item) if attempt.effect != "read" else None,
            try_number=item.tries + 1,
        )


def _restore(results: list[Result], before: list[tuple[dict[str, Any], dict[str, Any]]]) -> None:
    for result, (open_cases, facts) in zip(results, before, strict=True):
        result.item.open_cases, result.item.facts = dict(open_cases), dict(facts)


def _unrecordable(result: Result, error: Exception) -> Result:
    """The same item as a bug that nobody planned for. Whether the call had its effect is on the other side; whoever repeats
    the step looks first."""
    item, attempt = result.item, result.attempt
    item.ask_first = True
    dump = clean("".join(traceback.format_exception(error, limit=-8))).encode(errors="replace").decode()
    trouble = Trouble(
        "unexpected", f"What {item.system} answered to {item.step.name} cannot be recorded.", "finsync", {"dump": dump}
    )
    noted = replace(attempt, outcome="failed", error_code=trouble.code, message=trouble.message, calls=[])
    return Result(item, Outcome(Kind.FAILED, trouble=trouble, leaves_unsure=attempt.effect != "read"), noted)


def note_attempt(
    recording: Recording,
    attempt: Attempt,
    *,
    system: str,
    flow: str | None = None,
    step: str | None = None,
    document_id: UUID | None = None,
    work_item_id: UUID | None = None,
    correlation_id: UUID | None = None,
    business_unit: str = "",
    key: str | None = None,
    try_number: int = 1,
    records: int | None = None,
) -> None:
    """One row in `attempt`, and the bodies worth keeping."""
    attempt_id = recording.new_id(recording.now)
    last_status = next((call.status for call in reversed(attempt.calls) if call.status is not None), None)
    recording.attempts.add(
        attempt_id,
        system,
        attempt.operation,
        attempt.effect,
        flow,
        step,
        document_id,
        work_item_id,
        correlation_id,
        business_unit,
        key,
        try_number,
        attempt.started_at,
        attempt.duration_ms,
        attempt.outcome,
        attempt.error_code,
        attempt.message,
        last_status,
        len(attempt.calls),
        records,
        sum(call.request_bytes for call in attempt.calls),
        sum(call.response_bytes for call in attempt.calls),
        correlation_id.hex if correlation_id else "",
        _json(
            [
                {
                    "method": call.method,
                    "url": call.url,
                    "status": call.status,
                    "duration_ms": call.duration_ms,
                    "error": call.error,
                }
                for call in attempt.calls
            ]
        ),
    )
    for position, call in enumerate(attempt.calls):
        if call.sent or call.answered:
            recording.attempt_bodies.add(
                attempt_id, position, clean(call.sent)[:BODY_CHARS], clean(call.answered)[:BODY_CHARS], business_unit
            )


def _quota(quota: Any, now: datetime) -> tuple[int | None, int | None, datetime | None] | None:
    if quota is None:
        return None
    reset = quota.reset_s
    # A small figure is seconds from now, a large one a Unix time: both are in use (ServiceNow says the latter).
    at = (
        None
        if reset is None
        else datetime.fromtimestamp(reset, tz=now.tzinfo)
        if reset > 1e8
        else now + timedelta(seconds=reset)
    )
    return quota.limit, quota.remaining, at
