"""Carrying out what people ask for, on the engine, with every check made again.

A command and everything it does stand in one transaction. Rights are those the asker has now, not those they had when a
page was drawn; the documents are those they saw, by id and version, or the command says what has changed meanwhile.
"""

import json
import traceback
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import psycopg

from sync_engine.control import alert_commands, cancelling, duplicates, exclusions, reprocess, waves
from sync_engine.control.asked import Asked, Doing, Refusal, one_case, unchanged_case
from sync_engine.control.roles import RULES, Action, Role, may, sees
from sync_engine.engine import atomic, store
from sync_engine.engine.outcomes import Setup
from sync_engine.engine.recording import Recording
from sync_engine.model.flows import FLOWS
from sync_engine.model.lifecycles import LIFECYCLES

BATCH = 20

CLOSE_REASONS = frozenset({"fixed", "accepted_risk", "duplicate", "false_alarm"})
"""Why a person may close an exception; the other reasons are the engine's."""


def execute_commands(connection: psycopg.Connection, setup: Setup, *, engine_id: str, now: datetime) -> int:
    """Carry out what has been asked, and send the next waves of what is being reprocessed. Returns how many commands and waves
    that was."""
    with connection.transaction():
        rows = store.rows(connection, "command.claim_commands", wanted=BATCH)
        for row in rows:
            _carry_out(connection, row, setup, engine_id, now)
    return len(rows) + waves.send_waves(connection, setup, now=now)


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
        with atomic.savepoint(connection):
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
        if isinstance(error, psycopg.Error) and atomic.is_stale(error):
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


def _claim(asked: Asked, doing: Doing) -> dict[str, Any]:
    case = one_case(asked, doing)
    owner = str(asked.arguments.get("owner") or asked.actor) if asked.action is Action.ASSIGN else asked.actor
    if asked.action is Action.CLAIM and case["owner"] not in {None, asked.actor}:
        raise Refusal("conflict", f"{case['owner']} has taken it on already.")
    if asked.action is Action.ASSIGN:
        _check_able(doing.connection, owner, case["business_unit"])
    store.run(doing.connection, "command.own_case", case_id=case["case_id"], owner=owner, now=doing.now)
    if case["document_id"] is not None:
        doing.recording.restood.add(case["document_id"])
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
    case = one_case(asked, doing)
    text = str(asked.arguments.get("comment", "")).strip()
    if not text:
        raise Refusal("conflict", "The comment is empty.")
    doing.recording.case_event(case["case_id"], asked.actor, "comment", text, {}, case["business_unit"])
    return {"sentence": "The comment is kept."}


def _abandon(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Give a document up: nothing more is done for it, its budget is free again, its exceptions are closed."""
    case = unchanged_case(asked, doing)
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
    case = unchanged_case(asked, doing)
    if case["blocks"]:
        raise Refusal(
            "conflict", f"{case['number']} cannot go on while this is unsettled: reprocess it, accept it or give it up."
        )
    reason = str(asked.arguments.get("close_reason", "accepted_risk"))
    if reason not in CLOSE_REASONS:
        raise Refusal("failed", f"An exception is closed as {', '.join(sorted(CLOSE_REASONS))}.")
    heads = store.lock_heads(doing.connection, [case["document_id"]] if case["document_id"] else [])
    if case["work_item_id"] is not None and case["flow"] in FLOWS and FLOWS[case["flow"]].is_beside:
        # Nothing waits for it but the wish to repeat it, and that is given up with the case.
        store.run(doing.connection, "command.end_parked_work", work_item_id=case["work_item_id"], now=doing.now)
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
    **reprocess.ACTIONS,
    Action.CANCEL_ORDER: cancelling.cancel_order,
    Action.ABANDON: _abandon,
    Action.CLOSE: _close,
    Action.ACKNOWLEDGE_ALERT: alert_commands.acknowledge,
    Action.SNOOZE_ALERT: alert_commands.snooze,
    Action.RESOLVE_ALERT: alert_commands.resolve,
    Action.SAVE_ALERT_RULE: alert_commands.save_rule,
    Action.LEAVE_OUT: exclusions.leave_out,
    Action.COUNT_AGAIN: exclusions.count_again,
    Action.JUDGE_DUPLICATE: duplicates.judge,
    Action.VIEW_PAYLOAD: _only_noted,
    Action.EXPORT: _only_noted,
}
