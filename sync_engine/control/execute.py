"""Carrying out what people ask for, on the engine, with every check made again.

A command and everything it does stand in one transaction. Rights are those the asker has now, not those they had when a
page was drawn; the documents are those they saw, by id and version, or the command says what has changed meanwhile.
"""

import json
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from sync_engine.control import alert_commands
from sync_engine.control.asked import Asked, Doing, Refusal
from sync_engine.control.roles import ACCEPTABLE, RULES, Action, Role, may, sees
from sync_engine.engine import store
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.recording import Recording
from sync_engine.model import flows
from sync_engine.model.exceptions import kind_of
from sync_engine.model.lifecycles import LIFECYCLES

BATCH = 20

CLOSE_REASONS = frozenset({"fixed", "accepted_risk", "duplicate", "false_alarm"})
"""Why a person may close an exception; the other reasons are the engine's."""


class _Seen(BaseModel):
    """A case as the asker saw it."""

    case_id: UUID
    version: int = Field(ge=0, lt=2**31)


_SEEN = TypeAdapter(list[_Seen])


def execute_commands(connection: psycopg.Connection, setup: Setup, *, engine_id: str, now: datetime) -> int:
    """Carry out what has been asked. Returns how many commands that was."""
    with connection.transaction():
        rows = store.rows(connection, "command.claim_commands", wanted=BATCH)
        for row in rows:
            _carry_out(connection, row, setup, engine_id, now)
    return len(rows)


def _asked(row: Mapping[str, Any]) -> Asked:
    if row["action"] not in set(Action):
        raise Refusal("failed", f"Nobody here knows how to {str(row['action'])[:80]}.")
    return Asked(
        row["command_id"],
        row["actor"],
        Action(row["action"]),
        row["arguments"] if isinstance(row["arguments"], dict) else {},
        row["reason"],
        frozenset(Role(role) for role in row["roles"] or ()),
        tuple(row["units"] or ()),
        bool(row["is_active"]),
    )


def _carry_out(
    connection: psycopg.Connection, row: Mapping[str, Any], setup: Setup, engine_id: str, now: datetime
) -> None:
    """Carry one command out and note what became of it. Whatever is wrong with it is its answer and stops no other; a database
    that is not there leaves it to be done later."""
    units: set[str] = set()
    try:
        with connection.transaction():
            asked = _asked(row)
            doing = Doing(connection, setup, Recording(engine_id, now, setup.new_id), now, units)
            _check(asked)
            result = _ACTIONS[asked.action](asked, doing)
            store.write(connection, doing.recording)
            status = "done"
    except Refusal as refusal:
        status, result = refusal.status, {"sentence": str(refusal)}
    except psycopg.OperationalError:
        raise
    except Exception as error:  # noqa: BLE001 - one bad command must not stop the others
        if isinstance(error, psycopg.Error) and store.is_stale(error):
            status, result = (
                "conflict",
                {"sentence": "Something changed while it was being done; nothing of it was done. Look again."},
            )
        else:
            dump = traceback.format_exc(limit=-8)
            status, result = (
                "failed",
                {"sentence": "It could not be done, in a way nobody planned for. Nothing was changed.", "dump": dump},
            )
    store.run(
        connection,
        "command.settle_command",
        command_id=row["command_id"],
        status=status,
        result=json.dumps(result, default=str),
        business_unit=next(iter(units)) if len(units) == 1 else "",
        now=now,
    )


def _check(asked: Asked) -> None:
    rule = RULES[asked.action]
    if not asked.is_active or not may(asked.roles, asked.action):
        raise Refusal("denied", f"{asked.actor} may not {rule.says}.")
    if rule.needs_reason and not asked.reason.strip():
        raise Refusal("denied", f"To {rule.says}, say why.")


def _cases(asked: Asked, doing: Doing) -> list[dict[str, Any]]:
    """The cases the command names, each within the asker's sight and as the asker saw it."""
    try:
        named = {one.case_id: one.version for one in _SEEN.validate_python(asked.arguments.get("cases"))}
    except ValidationError:
        raise Refusal("failed", "The command does not say which exceptions it is about.") from None
    if not named:
        raise Refusal("failed", "No exception is selected.")
    _hold(doing.connection, list(named))
    rows = store.rows(doing.connection, "command.cases", case_id=list(named))
    visible = [row for row in rows if sees(asked.units, row["business_unit"])]
    if len(visible) < len(named):
        raise Refusal(
            "denied", f"{len(named) - len(visible)} of the {len(named)} exceptions are not among those you may see."
        )
    doing.business_units.update(row["business_unit"] for row in visible)
    for row in visible:
        row["seen_version"] = named[row["case_id"]]
    return visible


def _hold(connection: psycopg.Connection, cases: list[UUID]) -> None:
    """Hold what a command is about until the transaction ends, in the order in which recordings take it: documents, their
    work, the cases. In any other order the two would wait for each other."""
    [concerned] = store.rows(connection, "command.concerned", case_id=cases)
    store.lock_heads(connection, concerned["documents"])
    store.rows(connection, "work.held", work_item_id=concerned["work_items"])
    store.run(connection, "command.lock_cases", case_id=cases)


def _one_case(asked: Asked, doing: Doing) -> dict[str, Any]:
    cases = _cases(asked, doing)
    if len(cases) > 1:
        raise Refusal("failed", "This is done to one exception at a time.")
    [case] = cases
    if case["closed_at"] is not None:
        raise Refusal("conflict", f"The exception of {case['number']} has been closed meanwhile.")
    return case


def _unchanged_case(asked: Asked, doing: Doing) -> dict[str, Any]:
    """The one case, as the asker saw it: for what cannot be undone."""
    case = _one_case(asked, doing)
    if case["version"] != case["seen_version"]:
        raise Refusal("conflict", "The exception has changed since you looked at it.")
    return case


def _claim(asked: Asked, doing: Doing) -> dict[str, Any]:
    case = _one_case(asked, doing)
    owner = str(asked.arguments.get("owner") or asked.actor) if asked.action is Action.ASSIGN else asked.actor
    if asked.action is Action.CLAIM and case["owner"] not in {None, asked.actor}:
        raise Refusal("conflict", f"{case['owner']} has taken it on already.")
    if asked.action is Action.ASSIGN:
        _check_able(doing.connection, owner, case["business_unit"])
    store.run(doing.connection, "command.own_case", case_id=case["case_id"], owner=owner, now=doing.now)
    doing.recording.case_event(
        case["case_id"], asked.actor, asked.action.value, asked.reason, {"owner": owner}, case["business_unit"]
    )
    return {"sentence": f"{owner} has taken on {case['number']}."}


def _check_able(connection: psycopg.Connection, owner: str, business_unit: str) -> None:
    """An exception is given to somebody who can see it and work on it, or it would be nobody's."""
    found = store.rows(connection, "access.person", user_id=owner)
    if not found:
        raise Refusal("conflict", f"Nobody called {owner} may use the application.")
    if not may({Role(role) for role in found[0]["roles"]}, Action.CLAIM):
        raise Refusal("conflict", f"{owner} may not {RULES[Action.CLAIM].says}.")
    if not sees(tuple(found[0]["units"]), business_unit):
        raise Refusal("conflict", f"{owner} does not see {business_unit}.")


def _comment(asked: Asked, doing: Doing) -> dict[str, Any]:
    case = _one_case(asked, doing)
    text = str(asked.arguments.get("comment", "")).strip()
    if not text:
        raise Refusal("conflict", "The comment is empty.")
    doing.recording.case_event(case["case_id"], asked.actor, "comment", text, {}, case["business_unit"])
    return {"sentence": "The comment is kept."}


def _reprocess(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Put cases back to work: the item looks in the target before it sends, and its case closes only when the effect is seen."""
    cases = _cases(asked, doing)
    redrive_id = doing.setup.new_id(doing.now)
    skipped = {case["case_id"]: why for case in cases if (why := _why_not(case))}
    going = [case for case in cases if case["case_id"] not in skipped]
    with_work = [case["work_item_id"] for case in going if case["work_item_id"] is not None]
    released = {
        row["work_item_id"]
        for row in store.rows(
            doing.connection, "command.release_work", work_item_id=with_work, redrive_id=redrive_id, now=doing.now
        )
    }
    for case in going:
        if case["work_item_id"] is not None and case["work_item_id"] not in released:
            skipped[case["case_id"]] = "it is being worked on right now"
    going = [case for case in going if case["case_id"] not in skipped]
    messages = [case["message_id"] for case in going if case["work_item_id"] is None and case["message_id"] is not None]
    if messages:
        store.run(doing.connection, "intake.requeue_messages", message_id=messages, now=doing.now)
    _note_redrive(asked, doing, redrive_id, cases, skipped)
    if going:
        store.run(doing.connection, "command.queue_cases", case_id=[case["case_id"] for case in going])
    else:
        doing.recording.finished_redrives.add(redrive_id)
    return {
        "sentence": _how_many(len(going), list(skipped.values())),
        "redrive_id": str(redrive_id),
        "queued": len(going),
        "skipped": {str(case_id): why for case_id, why in skipped.items()},
    }


def _how_many(going: int, reasons: list[str]) -> str:
    if not reasons:
        return f"{going} {'is' if going == 1 else 'are'} being reprocessed."
    if going:
        return f"{going} of {going + len(reasons)} are being reprocessed."
    return (
        f"Nothing is reprocessed: {reasons[0]}."
        if len(set(reasons)) == 1
        else "Nothing is reprocessed; each has its own reason."
    )


def _why_not(case: dict[str, Any]) -> str:
    """Why a case is left out of a reprocessing, or nothing."""
    if case["closed_at"] is not None:
        return "it has been closed meanwhile"
    if case["being_reprocessed_by"]:
        return f"it is being reprocessed already, by {case['being_reprocessed_by']}"
    if case["version"] != case["seen_version"]:
        return "it has changed since you looked at it"
    if case["retryable"] == "never":
        return f"repeating does not help: {kind_of(case['code']).next_step.rstrip('.')}"
    if case["work_item_id"] is None and case["message_id"] is None:
        return "there is nothing to repeat"
    return ""


def _note_redrive(
    asked: Asked, doing: Doing, redrive_id: UUID, cases: list[dict[str, Any]], skipped: dict[UUID, str]
) -> None:
    store.run(
        doing.connection,
        "command.insert_redrive",
        redrive_id=redrive_id,
        asked_by=asked.actor,
        now=doing.now,
        reason_code=str(asked.arguments.get("reason_code", "other")),
        reason=asked.reason,
        scope=str(asked.arguments.get("scope", "selected rows")),
        item_count=len(cases),
        group_amount=sum((case["group_amount"] or Decimal(0) for case in cases), Decimal(0)),
    )
    store.run(
        doing.connection,
        "command.insert_redrive_items",
        redrive_id=redrive_id,
        case_id=[case["case_id"] for case in cases],
        document_id=[case["document_id"] for case in cases],
        work_item_id=[case["work_item_id"] for case in cases],
        case_version=[case["seen_version"] for case in cases],
        status=["skipped" if case["case_id"] in skipped else "queued" for case in cases],
        result=[skipped.get(case["case_id"], "") for case in cases],
        business_unit=[case["business_unit"] for case in cases],
        now=doing.now,
    )
    heads = store.lock_heads(
        doing.connection,
        sorted(
            {
                case["document_id"]
                for case in cases
                if case["document_id"] is not None and case["case_id"] not in skipped
            }
        ),
    )
    for case in cases:
        if case["case_id"] in skipped:
            continue
        doing.recording.case_event(
            case["case_id"],
            asked.actor,
            "reprocess",
            asked.reason,
            {"redrive_id": str(redrive_id)},
            case["business_unit"],
        )
        if case["document_id"] in heads:
            doing.recording.note(
                heads[case["document_id"]],
                "reprocessing_asked",
                actor=asked.actor,
                attributes={"reason": asked.reason, "redrive_id": str(redrive_id)},
            )


def _accept(asked: Asked, doing: Doing) -> dict[str, Any]:
    """A person takes responsibility for what a rule objects to, and the document goes on."""
    case = _unchanged_case(asked, doing)
    if case["code"] not in ACCEPTABLE or case["work_item_id"] is None:
        raise Refusal("denied", f"Nobody may accept this: {kind_of(case['code']).title.lower()}.")
    if _asked_for_it(asked.actor, case, doing.setup):
        raise Refusal("denied", "Whoever asked for it cannot accept it.")
    store.run(doing.connection, "command.accept_for_work", work_item_id=case["work_item_id"], code=case["code"])
    case["retryable"] = "after_fix"
    redrive_id = doing.setup.new_id(doing.now)
    released = store.rows(
        doing.connection,
        "command.release_work",
        work_item_id=[case["work_item_id"]],
        redrive_id=redrive_id,
        now=doing.now,
    )
    if not released:
        raise Refusal("conflict", "It is being worked on right now.")
    _note_redrive(asked, doing, redrive_id, [case], {})
    store.run(doing.connection, "command.queue_cases", case_id=[case["case_id"]])
    return {"sentence": f"Accepted; {case['number']} goes on.", "redrive_id": str(redrive_id)}


def _asked_for_it(actor: str, case: Mapping[str, Any], setup: Setup) -> bool:
    """Whether somebody is the requester, whatever they are called where they asked: by name, by mail address or by the
    identities table (D07)."""
    requester = case["requester"]
    if not requester:
        return False
    if requester.lower() in {actor.lower(), actor.partition("@")[0].lower()}:
        return True
    somebody = setup.mappings.employee("finsync", actor, actor if "@" in actor else "")
    places = {case["source_system"], setup.role_of(flows.Role.PROCUREMENT, case["business_unit"])}
    return any(setup.mappings.employee(place, requester, case["requester_email"]) == somebody for place in places)


def _abandon(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Give a document up: nothing more is done for it, its budget is free again, its exceptions are closed."""
    case = _unchanged_case(asked, doing)
    heads = store.lock_heads(doing.connection, [case["document_id"]] if case["document_id"] else [])
    head = heads.get(case["document_id"])
    if head is None or not LIFECYCLES[head.document_type].allows(head.status, "abandoned"):
        raise Refusal("conflict", f"{case['number']} cannot be given up any more: it is {case['state'] or 'unknown'}.")
    doing.recording.move(head, "abandoned", actor=asked.actor, attributes={"reason": asked.reason})
    doing.recording.released.add(head.document_id)
    doing.recording.close_case(case["case_id"], reason="cancelled", by=asked.actor, head=head, comment=asked.reason)
    doing.recording.wake(head.document_id)
    for row in store.rows(doing.connection, "decide.linked", document_id=[head.document_id], relation="fulfils"):
        doing.recording.wake(row["document_id"])
    return {"sentence": f"{case['number']} is given up."}


def _close(asked: Asked, doing: Doing) -> dict[str, Any]:
    case = _unchanged_case(asked, doing)
    if case["blocks"]:
        raise Refusal(
            "conflict", f"{case['number']} cannot go on while this is unsettled: reprocess it, accept it or give it up."
        )
    reason = str(asked.arguments.get("close_reason", "accepted_risk"))
    if reason not in CLOSE_REASONS:
        raise Refusal("failed", f"An exception is closed as {', '.join(sorted(CLOSE_REASONS))}.")
    heads = store.lock_heads(doing.connection, [case["document_id"]] if case["document_id"] else [])
    doing.recording.close_case(
        case["case_id"], reason=reason, by=asked.actor, head=heads.get(case["document_id"]), comment=asked.reason
    )
    return {"sentence": f"The exception of {case['number']} is closed."}


def _only_noted(_asked: Asked, _doing: Doing) -> dict[str, Any]:
    """The command's own row is the audit entry; there is nothing else to do."""
    return {"sentence": "Noted."}


_ACTIONS: dict[Action, Callable[[Asked, Doing], dict[str, Any]]] = {
    Action.CLAIM: _claim,
    Action.ASSIGN: _claim,
    Action.COMMENT: _comment,
    Action.REPROCESS: _reprocess,
    Action.ACCEPT: _accept,
    Action.ABANDON: _abandon,
    Action.CLOSE: _close,
    Action.ACKNOWLEDGE_ALERT: alert_commands.acknowledge,
    Action.SNOOZE_ALERT: alert_commands.snooze,
    Action.RESOLVE_ALERT: alert_commands.resolve,
    Action.SAVE_ALERT_RULE: alert_commands.save_rule,
    Action.VIEW_PAYLOAD: _only_noted,
    Action.EXPORT: _only_noted,
}
