"""What an outcome means for the document, its work and its exceptions: the one place where a flow moves on, waits, is parked or
takes the side road of a refusal.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sync_engine.engine import backoff
from sync_engine.engine.beginning import begin_document, describe
from sync_engine.engine.jsontext import json_text
from sync_engine.engine.outcomes import ANEW, Item, Kind, OtherMove, Outcome, Placed, Setup
from sync_engine.engine.recording import Recording
from sync_engine.engine.telling import remediate, say_of_redrive
from sync_engine.engine.troubles import Trouble
from sync_engine.model.exceptions import Retryable, kind_of
from sync_engine.model.flows import ASKS_PEOPLE, FLOW_OF, Step, next_step
from sync_engine.model.lifecycles import LIFECYCLES, IllegalMove

TRIES_BEFORE_CASE = 5
"""After so many tries in vain people are told; the engine goes on trying."""


def settle(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    """Write what an outcome means into `recording`."""
    is_superseded = item.is_superseded()
    if item.is_overtaken and outcome.kind is not Kind.FAILED and not outcome.leaves_unsure:
        _settle_overtaken(recording, item, outcome, setup)
        return
    if item.subject_id is None:
        begins_anew = (
            is_superseded and "changed" in LIFECYCLES[item.head.document_type].events and not item.head.is_closed
        )
    else:
        begins_anew = ANEW in item.facts  # it was begun again while it was held
    if begins_anew:
        if not outcome.leaves_unsure:
            _restart(recording, item, setup)
            return
        item.facts[ANEW] = True  # once it is known what became of this
    try:
        _SETTLERS[outcome.kind](recording, item, outcome, setup)
    except IllegalMove as error:
        # The document went elsewhere while the step was under way. What happened stays on record, and a person looks.
        recording.note(
            item.head,
            "outcome_out_of_place",
            flow=item.flow.name,
            step=item.step.name,
            attributes={"outcome": outcome.kind, "why": str(error)},
        )
        _park(
            recording,
            item,
            Trouble(
                "effect_conflict",
                f"{item.step.name} ended as {outcome.kind} when the document had moved on: {error}",
                item.system,
            ),
            setup,
        )


def _settle_overtaken(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    """The document has come to its end while the step was under way: once it is known what became of the step, there is nothing more
    to do. Only what it has made and somebody would have to undo is told."""
    recording.note(item.head, "step_superseded", flow=item.flow.name, step=item.step.name)
    say_of_redrive(recording, item, "skipped", "The document has come to its end meanwhile.")
    _close_cases(recording, item, outcome, "cancelled")
    if item.step is ASKS_PEOPLE.get(item.head.document_type):
        recording.withdraw_approvals(item.head)
    elif outcome.kind is Kind.DONE and item.step.undone_by is not None:
        message = (
            f"{item.step.name} has been done in {item.system}, and {item.head.number} is {item.head.state} already."
        )
        _tell(recording, item, Trouble("effect_conflict", message, item.system, blocks=False))
    _work(recording, item, "done", item.step, due_at=recording.now, setup=setup)


def _work(
    recording: Recording,
    item: Item,
    status: str,
    step: Step,
    *,
    due_at: datetime,
    setup: Setup,
    tries: int = 0,
    ask_first: bool = False,
    unknown_since: datetime | None = None,
    waiting_for: str = "",
    redrive_id: UUID | None = None,
) -> None:
    same = step.name == item.step.name
    item.placed = Placed(status, step, setup.lane(step, item.head.business_unit), due_at)
    recording.work_documents.append(item.head.document_id)
    recording.work.add(
        item.work_item_id,
        item.fencing_token,
        item.wakes,
        status,
        step.name,
        item.placed.system,
        item.head.business_unit,
        due_at,
        item.step_since if same else recording.now,
        item.objective_at if same else recording.now + timedelta(seconds=step.objective_s),
        tries,
        ask_first,
        unknown_since,
        waiting_for,
        json_text(item.facts),
        redrive_id,
        item.knows_anew,
    )


def _apply_effects(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    head = item.head
    item.facts.update(outcome.facts)
    if outcome.document is not None:
        describe(head, outcome.document, setup.mappings, recording.now)
        recording.payload(head, outcome.document, mapping_version=setup.mappings.version, author=recording.engine_id)
    if outcome.revise is not None:
        outcome.revise(head)
        recording.revise(head)
    for identifier in outcome.identifiers:
        recording.identify(head, identifier)
    for relation, other in outcome.links:
        recording.links.add(head.document_id, other, relation, head.business_unit)
    for moved in outcome.movements:
        recording.movements.add(
            outcome.movements_of or head.document_id,
            moved.source_line,
            moved.kind,
            moved.order_document_id,
            moved.order_line,
            moved.quantity,
            moved.amount,
            moved.moved_on,
            head.business_unit,
        )
    for cost_centre, period, amount in outcome.reservations:
        recording.reservations.add(head.document_id, cost_centre, period, amount, head.business_unit)
    for budget in outcome.budgets:
        recording.budget(*budget, head.business_unit)
    if outcome.releases_budget:
        recording.released.add(head.document_id)
    recording.released.update(outcome.releases_budget_of)
    for case_id, about in outcome.cancels_cases:
        recording.close_case(
            case_id, reason="cancelled", by=recording.engine_id, head=about, comment="The order is cancelled."
        )
    for spawn in outcome.spawns:
        begin_document(recording, spawn, setup, parent=head)
    for move in outcome.other_moves:
        _move_other(recording, item, move, setup)
    for other in outcome.wakes:
        recording.wake(other)


def _move_other(recording: Recording, item: Item, move: OtherMove, setup: Setup) -> None:
    if move.document is not None:
        describe(move.head, move.document, setup.mappings, recording.now)
        recording.payload(move.head, move.document, mapping_version=setup.mappings.version, author=recording.engine_id)
    was_final = move.head.closed_at is not None
    recording.move(move.head, move.activity, flow=item.flow.name, step=item.step.name)
    if was_final and move.head.closed_at is None:
        _resume(recording, move, setup)


def _resume(recording: Recording, move: OtherMove, setup: Setup) -> None:
    flow = FLOW_OF[move.head.document_type]
    step = flow.step(move.resume_at)
    recording.restarts.add(
        setup.new_id(recording.now),
        move.head.document_id,
        None,
        move.head.business_unit,
        flow.name,
        step.name,
        setup.lane(step, move.head.business_unit),
        recording.now + timedelta(seconds=step.objective_s),
    )


def _event(recording: Recording, item: Item, outcome: Outcome, activity: str | None) -> None:
    """What is to be read of this in the document's history. Work about something else than its own way moves it nowhere."""
    if activity is None:
        return
    told: dict[str, Any] = {"event_at": outcome.at, "system": item.system, "actor": outcome.actor}
    told |= {"flow": item.flow.name, "step": item.step.name}
    if item.subject_id is None:
        attributes = {**outcome.attributes, **({"adopted": "true"} if outcome.adopted else {})}
        recording.move(item.head, activity, attributes=attributes, **told)
    else:
        recording.note(item.head, activity, attributes=outcome.facts, **told)


def _settle_done(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    if item.redrive_id is not None and not outcome.verified:
        # Accepted, and not yet to be seen: look again before calling it done.
        say_of_redrive(recording, item, "accepted", "The system accepted it; the effect is not visible yet.")
        _work(
            recording,
            item,
            "due",
            item.step,
            due_at=recording.now + timedelta(seconds=_quiet_s(item, setup)),
            setup=setup,
            tries=item.tries,
            ask_first=True,
            unknown_since=recording.now,
            redrive_id=item.redrive_id,
        )
        return
    _apply_effects(recording, item, outcome, setup)
    _event(recording, item, outcome, item.step.done if outcome.event is None else outcome.event or None)
    how = "Adopted what the system already held." if outcome.adopted else "Done, and seen in the system."
    say_of_redrive(recording, item, "verified", how)
    _close_cases(recording, item, outcome)
    for trouble in outcome.also_troubles:
        _tell(recording, item, trouble)
    following = item.flow.step(outcome.goto) if outcome.goto else next_step(item.flow, item.step.name, item.facts)
    _advance(recording, item, following, setup)


def _tell(recording: Recording, item: Item, trouble: Trouble) -> UUID:
    """Open a case at the item's step."""
    case_id = recording.case(
        trouble, head=item.head, work_item_id=item.work_item_id, flow=item.flow.name, step=item.step.name
    )
    item.open_cases.setdefault(trouble.code, (case_id, item.step.name))
    return case_id


def _close_cases(recording: Recording, item: Item, outcome: Outcome, reason: str | None = None) -> None:
    """Close what this step has settled: its own cases, those of the steps it names, all of them when the document is over."""
    settled = {item.step.name, *outcome.closes}
    for code, (case_id, raised_at_step) in list(item.open_cases.items()):
        if raised_at_step in settled or item.head.is_closed:
            del item.open_cases[code]
            because = reason or (
                "adopted"
                if outcome.adopted and item.redrive_id
                else "fixed"
                if item.redrive_id or outcome.closes
                else "self_cured"
            )
            recording.close_case(
                case_id,
                reason=because,
                by=recording.engine_id,
                head=item.head,
                comment=f"{code}: {item.step.name} succeeded",
            )


def _settle_declined(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    _apply_effects(recording, item, outcome, setup)
    _close_cases(recording, item, outcome, "cancelled")
    _event(recording, item, outcome, outcome.event)
    _advance(recording, item, item.flow.step(item.step.otherwise) if item.step.otherwise else None, setup)


def _advance(recording: Recording, item: Item, step: Step | None, setup: Setup) -> None:
    parent = item.facts.get("parent")
    if parent and item.subject_id is None:
        recording.wake(UUID(parent))
    if step is None or (item.subject_id is None and item.head.is_closed and not item.flow.is_beside):
        _work(recording, item, "done", item.step, due_at=recording.now, setup=setup)
        if item.head.is_closed or item.flow.is_beside:
            recording.wake(item.head.document_id)
    else:
        _work(recording, item, "due", step, due_at=recording.now, setup=setup)


def _settle_wait(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    _apply_effects(recording, item, outcome, setup)
    if outcome.event is not None:
        _event(recording, item, outcome, outcome.event)
    for trouble in outcome.also_troubles:
        if trouble.code not in item.open_cases:
            _tell(recording, item, trouble)
    if item.redrive_id is not None:
        say_of_redrive(recording, item, "refused", f"It still waits for {outcome.waiting_for or 'something else'}.")
    due_at = recording.now + timedelta(seconds=outcome.wait_s)
    _work(
        recording,
        item,
        "due",
        item.step,
        due_at=due_at,
        setup=setup,
        waiting_for=outcome.waiting_for,
        ask_first=item.ask_first and item.unknown_since is not None,
        unknown_since=item.unknown_since,
    )


def _settle_refused(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    if outcome.trouble is None:
        raise ValueError("a refusal says why")
    _apply_effects(recording, item, outcome, setup)
    if item.flow.is_beside:
        outcome.trouble = replace(outcome.trouble, blocks=False)
    activity = outcome.event or item.step.refused
    if activity is not None and item.subject_id is None:
        outcome.attributes = {**outcome.attributes, "code": outcome.trouble.code, "message": outcome.trouble.message}
        _event(recording, item, outcome, activity)
    _park(recording, item, outcome.trouble, setup)


def _park(recording: Recording, item: Item, trouble: Trouble, setup: Setup) -> None:
    case_id = recording.case(
        trouble, head=item.head, work_item_id=item.work_item_id, flow=item.flow.name, step=item.step.name
    )
    is_new = trouble.code not in item.open_cases
    for code, (other, raised_at_step) in item.open_cases.items():
        if (
            code != trouble.code and raised_at_step == item.step.name
        ):  # the old trouble is gone, this one has come instead
            recording.close_case(
                other,
                reason="fixed" if item.redrive_id else "self_cured",
                by=recording.engine_id,
                head=item.head,
                comment=f"{trouble.code} came instead",
            )
    _work(
        recording,
        item,
        "parked",
        item.step,
        due_at=recording.now,
        setup=setup,
        ask_first=item.ask_first or item.unknown_since is not None,
        unknown_since=item.unknown_since,
        waiting_for=kind_of(trouble.code).title,
    )
    if item.redrive_id is not None:
        say_of_redrive(recording, item, "refused", trouble.message)
    if is_new and item.subject_id is None and kind_of(trouble.code).retryable is not Retryable.AUTO:
        remediate(recording, item.head, case_id, trouble, setup)


def _settle_not_sent(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    tries = item.tries + 1
    _tell_after_some_tries(recording, item, outcome, tries)
    _work(
        recording,
        item,
        "due",
        item.step,
        due_at=_again_at(recording, item, outcome, tries, setup),
        setup=setup,
        tries=tries,
        ask_first=item.ask_first,
        unknown_since=item.unknown_since,
        waiting_for=f"{item.system} to answer",
        redrive_id=item.redrive_id,
    )


def _again_at(recording: Recording, item: Item, outcome: Outcome, tries: int, setup: Setup) -> datetime:
    """When what was not sent is tried again. A probe through an open breaker keeps its place in the queue: it is the system that
    waits, and after days of outage the oldest has to be first. It falls back a little each time, faster and faster, so that a
    document which is itself the cause makes way for others."""
    later = recording.now + timedelta(seconds=max(outcome.retry_after_s or 0.0, backoff.backoff_s(tries, setup.rng)))
    if not item.is_probe:
        return later
    return min(later, item.step_since + timedelta(seconds=backoff.BACKOFF_BASE_S * tries**2))


def _settle_unknown(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    tries = item.tries + 1
    if item.subject_id is None and LIFECYCLES[item.head.document_type].allows(item.head.status, "answer_lost"):
        _event(recording, item, outcome, "answer_lost")
    else:
        recording.note(item.head, "answer_lost", system=item.system, flow=item.flow.name, step=item.step.name)
    _tell_after_some_tries(recording, item, outcome, tries)
    delay = max(_quiet_s(item, setup), outcome.retry_after_s or 0.0)
    _work(
        recording,
        item,
        "due",
        item.step,
        due_at=recording.now + timedelta(seconds=delay),
        setup=setup,
        tries=tries,
        ask_first=True,
        # No later than now: a clock that has been set back since would have us look again and again until it is where it was.
        unknown_since=min(item.unknown_since or item.claimed_at, recording.now),
        waiting_for=f"certainty about what {item.system} did",
        redrive_id=item.redrive_id,
    )


def _tell_after_some_tries(recording: Recording, item: Item, outcome: Outcome, tries: int) -> None:
    if outcome.trouble is not None and tries >= TRIES_BEFORE_CASE and outcome.trouble.code not in item.open_cases:
        recording.case(
            outcome.trouble, head=item.head, work_item_id=item.work_item_id, flow=item.flow.name, step=item.step.name
        )


def _settle_failed(recording: Recording, item: Item, outcome: Outcome, setup: Setup) -> None:
    if outcome.trouble is None:
        raise ValueError("a failure says what happened")
    _park(recording, item, outcome.trouble, setup)


_SETTLERS: dict[Kind, Callable[[Recording, Item, Outcome, Setup], None]] = {
    Kind.DONE: _settle_done,
    Kind.WAIT: _settle_wait,
    Kind.REFUSED: _settle_refused,
    Kind.DECLINED: _settle_declined,
    Kind.NOT_SENT: _settle_not_sent,
    Kind.UNKNOWN: _settle_unknown,
    Kind.FAILED: _settle_failed,
}


def _restart(recording: Recording, item: Item, setup: Setup) -> None:
    """A new version of the document arrived while the step was under way: what was decided no longer counts. Only for documents
    that begin anew when they change; an order that is changed or cancelled under way is still the order that was made."""
    item.facts = {}
    first = item.flow.first
    recording.note(item.head, "step_superseded", flow=item.flow.name, step=item.step.name)
    say_of_redrive(recording, item, "skipped", "A newer version of the document arrived; its flow has begun again.")
    if item.step is ASKS_PEOPLE.get(item.head.document_type):
        # The request was under way when the new version arrived, and may have come through.
        recording.withdraw_approvals(item.head)
    _work(recording, item, "due", first, due_at=recording.now, setup=setup)


def _quiet_s(item: Item, setup: Setup) -> float:
    system = setup.systems.get(item.system)
    return system.quiet_period_s if system is not None else 0.0
