"""Asking outside systems: one lane per system, so that a slow one holds up nobody else.

A lane claims up to its free capacity in one statement, commits what it is about to do outside (`intent`), makes the calls
side by side, and records every outcome that is ready in one transaction. The three phases are apart, so that the real
engine can run calls in threads, the fast clock can run them in order, and a test can stop between any two.
"""

import traceback
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from sync_engine.engine import store
from sync_engine.engine.jsontext import clean
from sync_engine.engine.outcomes import ANEW, Item, Kind, Outcome, Setup
from sync_engine.engine.recording import Recording
from sync_engine.engine.results import (
    MESSAGE_CHARS,
    Attempt,
    CrashPoint,
    Moment,
    Recorder,
    Result,
    idempotency_key,
    no_crash,
)
from sync_engine.engine.rows import Rows
from sync_engine.engine.telling import say_of_redrive
from sync_engine.engine.troubles import Trouble
from sync_engine.model.errors import (
    AnswerLost,
    BusinessRejection,
    ConfigurationError,
    MappingError,
    SyncError,
    TransientError,
)
from sync_engine.model.exceptions import kind_of
from sync_engine.model.flows import FLOWS, STEPS
from sync_engine.model.money import rounded
from sync_engine.model.ports import Answer, Ask, Effect, Operation, System

LEASE_S = 120
"""How long a claim is good for. Longer than the slowest honest call (connect 10 s + read 30 s, a few calls), so that a
live engine never loses an item to another; short enough that a crashed one is noticed soon."""


def item_of(row: Mapping[str, Any]) -> Item:
    """The item in a row of a claim."""
    flow = FLOWS[row["flow"]]
    head = store.head_of(dict(row))
    return Item(
        work_item_id=row["work_item_id"],
        subject_id=row["subject_id"],
        flow=flow,
        step=flow.step(row["step"]),
        system=row["system"],
        step_since=row["step_since"],
        objective_at=row["objective_at"],
        tries=row["tries"],
        ask_first=row["ask_first"],
        unknown_since=row["unknown_since"],
        claimed_at=row["claimed_at"],
        fencing_token=row["fencing_token"],
        wakes=row["wakes"],
        waiting_for=row["waiting_for"],
        facts=row["facts"],
        redrive_id=row["redrive_id"],
        abandoned=row["abandoned"],
        is_probe=row["is_probe"],
        head=head,
        payload_version=head.payload_version,
        canonical=row["canonical"],
        payload_hash=row["payload_hash"] or b"",
        identifiers=row["identifiers"] or {},
        open_cases={code: (UUID(case_id), step) for code, (case_id, step) in (row["open_cases"] or {}).items()},
        subject=row["subject"] or {},
    )


class Lane:
    """The work for one outside system.

    Args:
        system: What it declares.
        session: The network to it.
        setup: The configuration in force.
        engine_id: Who we are.
        now: Tells the engine's time.
        crash_point: See `CrashPoint`.
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
        self._recorder = Recorder(setup, engine_id=engine_id, now=now, crash_point=crash_point)

    def record(self, connection: psycopg.Connection, results: list[Result]) -> frozenset[str] | None:
        """Write what became of this lane's items; see `Recorder.record`."""
        return self._recorder.record(connection, results)

    def claim(self, connection: psycopg.Connection, wanted: int) -> list[Item]:
        """Take up to `wanted` due items and commit what they are about to do outside."""
        now = self._now()
        lease_until = now + timedelta(seconds=LEASE_S)
        rows = store.rows(
            connection,
            "work.claim_calls",
            system=self.system.name,
            wanted=wanted,
            engine_id=self.engine_id,
            lease_until=lease_until,
            steps=STEPS,
            now=now,
        )
        items = [item_of(row) for row in rows]
        if items:
            recording = Recording(self.engine_id, now, self.setup.new_id)
            for item in items:
                item.lease_until = lease_until
                say_of_redrive(recording, item, "sent", "On its way.")
                operation = self.system.operations[item.step.does]
                if operation.effect is not Effect.READ:
                    recording.intents.add(
                        idempotency_key(item),
                        item.work_item_id,
                        item.head.document_id,
                        item.head.business_unit,
                        item.flow.name,
                        item.step.name,
                        self.system.name,
                        operation.name,
                        item.payload_hash,
                        item.fencing_token,
                    )
            # Two commits, not one: a crash between them leaves a claim without intent, and an item whose claim has run out
            # is looked up before it is sent whatever else is known.
            self._crash_point(Moment("before_intent", items))
            store.write_claims(connection, recording)
        self._crash_point(Moment("after_intent", items))
        return items

    def may_begin(self, item: Item) -> bool:
        """Whether the claim is good for long enough to begin a call under it. Half of it has to be left: were the lease to
        end while we ask, another engine would look, find nothing yet, and ask too."""
        return self._now() < item.claimed_at + timedelta(seconds=LEASE_S / 2)

    def give_back(self, connection: psycopg.Connection, items: list[Item]) -> None:
        """Hand claimed items back that nobody has begun to ask about, so that they need not wait for their lease to end."""
        work = Rows("work.give_back", "work_item_id", "fencing_token")
        intents = Rows("work.give_back_intents", "document_id", "idempotency_key", "fencing_token", "outcome")
        for item in items:
            work.add(item.work_item_id, item.fencing_token)
            if self.system.operations[item.step.does].effect is not Effect.READ:
                # Where we did not know what became of an earlier send, we still do not.
                intents.add(
                    item.head.document_id,
                    idempotency_key(item),
                    item.fencing_token,
                    "unknown" if item.ask_first else "not_sent",
                )
        store.give_back(connection, work, intents, self._now())

    def recover(self, connection: psycopg.Connection, held: Sequence[tuple[UUID, int]]) -> int:
        """Hand back what was claimed in our name without our hearing of it, as happens when a connection is lost with the
        answer to a claim. Returns how many; `held` are the claims we do know of, each an item and its fencing token."""
        return len(
            store.rows(
                connection,
                "work.recover_claims",
                system=self.system.name,
                engine_id=self.engine_id,
                held=[work_item_id for work_item_id, _ in held],
                held_token=[fencing_token for _, fencing_token in held],
            )
        )

    def ask(self, item: Item) -> Result:
        """Make the call for one item. Never raises: whatever happens is an outcome."""
        operation = self.system.operations[item.step.does]
        started_at, started = self._now(), self._timer()
        with self.session.tracing(item.head.correlation_id.hex) as calls:
            outcome, how, effect = self._outcome(operation, item)
        outcome.leaves_unsure = _leaves_unsure(operation, item, outcome, effect)
        attempt = Attempt(
            operation=operation.name,
            effect=effect,
            started_at=started_at,
            duration_ms=round((self._timer() - started) * 1000, 3),
            outcome=how,
            error_code=outcome.trouble.code if outcome.trouble else None,
            message=clean(outcome.trouble.message)[:MESSAGE_CHARS] if outcome.trouble else "",
            calls=calls,
        )
        return Result(item, outcome, attempt)

    def _question(self, item: Item) -> Ask:
        return Ask(
            document_id=item.head.document_id,
            document=item.document,
            facts=item.facts,
            identifiers=item.identifiers,
            now=self._now(),
            mappings=self.setup.mappings,
            purpose=f"{item.step.name}:{item.subject_id}" if item.subject_id else item.step.name,
            idempotency_key=idempotency_key(item),
            subject={**item.subject, **self._particulars(item)} if item.subject else {},
        )

    def _particulars(self, item: Item) -> dict[str, Any]:
        """What a task or a note about an exception says beside the case itself."""
        head, kind = item.head, kind_of(item.subject["code"])
        return {
            "title": kind.title,
            "next_step": kind.next_step,
            "number": head.number,
            "document_type": head.document_type.value,
            "amount": str(rounded(head.amount, head.currency)) if head.amount is not None and head.currency else "",
            "currency": head.currency or "",
            "business_unit": head.business_unit,
            "url": f"{self.setup.app_url}/trace?document={head.document_id}" if self.setup.app_url else "",
            "closed_because": item.subject.get("close_reason") or "",
        }

    def _outcome(self, operation: Operation, item: Item) -> tuple[Outcome, str, str]:
        """The outcome, the word for the attempt record, and what kind of asking it was."""
        effect = operation.effect.value
        try:
            ask = self._question(item)
            if item.ask_first and operation.look_up is not None:
                effect = "look_up"
                found = operation.look_up(self.session, ask)
                if found is not None:
                    return self._done(found, adopted=True), "adopted", effect
                if self._may_still_appear(item):
                    outcome = Outcome(
                        Kind.UNKNOWN,
                        trouble=Trouble(
                            "answer_lost",
                            f"{self.system.title} does not show it yet; it may still appear.",
                            self.system.name,
                        ),
                    )
                    return outcome, "absent", effect
                if item.is_overtaken or ANEW in item.facts:
                    return Outcome(Kind.WAIT), "absent", effect  # it never arrived, and is not wanted any more
                effect = operation.effect.value
            self._crash_point(Moment("before_call", [item]))
            if not self.may_begin(item):
                # Looking took too long, or this process stood still: by now another engine may be asking.
                return Outcome(Kind.NOT_SENT), "not_sent", effect
            answer = operation.run(self.session, ask)
            self._crash_point(Moment("after_call", [item]))
            if answer.wait_s is not None:
                return (
                    Outcome(Kind.WAIT, facts=answer.facts, wait_s=answer.wait_s, waiting_for=answer.waiting_for),
                    "waiting",
                    effect,
                )
            outcome = self._done(answer, adopted=False)
            if item.redrive_id is not None and operation.look_up is not None:
                outcome.verified = operation.look_up(self.session, ask) is not None
        except TransientError as error:
            return (
                Outcome(Kind.NOT_SENT, trouble=_trouble(error), retry_after_s=error.retry_after_s),
                "not_sent",
                effect,
            )
        except AnswerLost as error:
            return Outcome(Kind.UNKNOWN, trouble=_trouble(error)), "unknown", effect
        except (BusinessRejection, MappingError, ConfigurationError) as error:
            return Outcome(Kind.REFUSED, trouble=_trouble(error)), "refused", effect
        except Exception:  # noqa: BLE001 - one bad document must not stop the lane; it is parked with its dump
            return self._bug(operation, item), "failed", effect
        return outcome, "done", effect

    def _bug(self, operation: Operation, item: Item) -> Outcome:
        dump = traceback.format_exc(limit=-8)
        trouble = Trouble(
            "unexpected",
            f"{operation.name} for {item.head.number} failed in a way nobody planned for.",
            "finsync",
            {"dump": dump},
        )
        # A bug after the call went out leaves us as unsure as a lost answer: whoever repeats it looks first.
        if operation.effect is Effect.CREATE:
            item.ask_first = True
        return Outcome(Kind.FAILED, trouble=trouble)

    def _done(self, answer: Answer, *, adopted: bool) -> Outcome:
        return Outcome(
            Kind.DONE,
            event=answer.event,
            at=answer.at,
            facts=answer.facts,
            identifiers=answer.identifiers,
            document=answer.document,
            adopted=adopted,
        )

    def _may_still_appear(self, item: Item) -> bool:
        return item.unknown_since is not None and self._now() < item.unknown_since + timedelta(
            seconds=self.system.quiet_period_s
        )


def _leaves_unsure(operation: Operation, item: Item, outcome: Outcome, effect: str) -> bool:
    """Whether it is still unknown what became of something sent: by this try, or by an earlier one that could not be looked for or,
    where nothing can be looked for, is not known to be repeated."""
    match outcome.kind:
        case Kind.UNKNOWN:
            return True
        case Kind.FAILED:
            return operation.effect is not Effect.READ
        case Kind.REFUSED:
            return effect == "look_up"
        case Kind.NOT_SENT:
            cannot_look = operation.look_up is None and operation.effect is not Effect.READ
            return effect == "look_up" or (cannot_look and item.is_unsure)
    return False


def _trouble(error: SyncError) -> Trouble:
    return Trouble(error.code, str(error), error.system, error.facts)
