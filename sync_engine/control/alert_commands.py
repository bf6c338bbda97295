"""What people do about alerts, and to the rules: take on, put aside, say that it is over, change a rule. Carried out on the
engine like every command; each leaves a line in the alert's history, or a version of the rule, with who and why.
"""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from sync_engine.control.asked import Asked, Doing, Refusal
from sync_engine.control.roles import sees
from sync_engine.database.arrays import array_literal
from sync_engine.engine import alert_rules, store
from sync_engine.model.alerts import AlertRule

LONGEST_HOURS = 24 * 31
"""Nobody takes an alert on, or puts it aside, for longer than a month: then it is the rule that is wrong."""

MOST_ALERTS = 2000
RULE_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+){0,9}")


def acknowledge(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Somebody has these alerts, for so many hours or until they resolve."""
    until = _until(asked, doing, needed=False)
    rows = _named(asked, doing, {"firing"})
    store.run(
        doing.connection,
        "alert.acknowledge",
        alert_id=[row["alert_id"] for row in rows],
        actor=asked.actor,
        until=until,
        now=doing.now,
    )
    return _told(asked, doing, rows, "acknowledged", "acknowledged", "Acknowledged")


def snooze(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Nobody is reminded of these alerts for so many hours, or (without hours) until their subject has changed."""
    until = _until(asked, doing, needed=asked.arguments.get("until_change") is not True)
    rows = _named(asked, doing, {"firing", "acknowledged", "snoozed"})
    store.run(
        doing.connection,
        "alert.snooze",
        alert_id=[row["alert_id"] for row in rows],
        actor=asked.actor,
        until=until,
        now=doing.now,
    )
    return _told(asked, doing, rows, "snoozed", "snoozed", "Put aside")


def resolve(asked: Asked, doing: Doing) -> dict[str, Any]:
    """A person says that these alerts are over; they stay so until their condition has been gone and comes again."""
    rows = _named(asked, doing, {"firing", "acknowledged", "snoozed"})
    store.run(
        doing.connection,
        "alert.resolve",
        alert_id=[row["alert_id"] for row in rows],
        actor=asked.actor,
        reason=asked.reason,
        now=doing.now,
    )
    return _told(asked, doing, rows, "resolved by a person", "resolved", "Resolved")


def save_rule(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Put a new rule, or a changed one, in force. `version` is the one the asker has seen; 0 for a new rule."""
    name, version = asked.arguments.get("name"), asked.arguments.get("version")
    if not isinstance(name, str) or len(name) > 60 or not RULE_NAME.fullmatch(name) or not isinstance(version, int):
        raise Refusal("failed", "A rule's name is made of small letters and digits, with hyphens between.")
    try:
        rule = AlertRule.model_validate(asked.arguments.get("rule"))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refusal("failed", f"The rule is not saved: {place}{': ' if place else ''}{first['msg']}.") from None
    store.rows(doing.connection, "alert.lock_rules")
    known = alert_rules.in_force(doing.connection).get(name)
    concerned = [rule, known.rule] if known else [rule]
    if not all(_within_sight(asked, one) for one in concerned):
        raise Refusal("denied", "The rule is about business units that you do not see.")
    if version != (known.version if known else 0):
        raise Refusal(
            "conflict",
            f"{known.changed_by} has changed the rule meanwhile; look at it again."
            if known
            else "There is no such rule any more.",
        )
    doing.business_units.update(rule.units)
    simulated = asked.arguments.get("simulated")
    number = alert_rules.add_version(
        doing.connection,
        name,
        rule,
        source="app",
        by=asked.actor,
        now=doing.now,
        reason=asked.reason,
        simulated=simulated if isinstance(simulated, dict) else {},
    )
    said = f" Nobody is told for the first {rule.silent_days} days." if rule.silent_days and rule.enabled else ""
    off = "" if rule.enabled else " It is switched off."
    return {"sentence": f"{rule.title}: version {number} is in force.{off}{said}", "name": name, "version": number}


def _within_sight(asked: Asked, rule: AlertRule) -> bool:
    return all(sees(asked.units, unit) for unit in rule.units or ("",))


def _until(asked: Asked, doing: Doing, *, needed: bool) -> Any:
    """The end of so many hours; None where none are given."""
    hours = asked.arguments.get("hours")
    if hours is None and not needed:
        return None
    if not isinstance(hours, int | float) or isinstance(hours, bool) or not 0 < hours <= LONGEST_HOURS:
        raise Refusal("failed", f"Say for how many hours, at most {LONGEST_HOURS}.")
    return doing.now + timedelta(hours=hours)


def _named(asked: Asked, doing: Doing, states: set[str]) -> list[dict[str, Any]]:
    """The alerts the command names that are in one of `states`, held; all within the asker's sight."""
    given = asked.arguments.get("alert_ids", [asked.arguments.get("alert_id")])
    try:
        named = sorted({UUID(str(one)) for one in given})
    except (ValueError, TypeError):
        raise Refusal("failed", "The command does not say which alert it is about.") from None
    if not 0 < len(named) <= MOST_ALERTS:
        raise Refusal("failed", "The command does not say which alert it is about.")
    found = store.rows(doing.connection, "alert.lock_named", alert_id=named)
    visible = [row for row in found if sees(asked.units, row["business_unit"])]
    if len(visible) < len(named):
        raise Refusal(
            "denied",
            "The alert is not among those you may see."
            if len(named) == 1
            else f"{len(named) - len(visible)} of the {len(named)} alerts are not among those you may see.",
        )
    doing.business_units.update(row["business_unit"] for row in visible)
    going = [row for row in visible if row["state"] in states]
    if not going:
        who = visible[0]["resolved_by"] or visible[0]["snoozed_by"] or visible[0]["acknowledged_by"]
        raise Refusal("conflict", f"{who if who and who != 'finsync' else 'The engine'} has settled it already.")
    return going


def _told(asked: Asked, doing: Doing, rows: list[dict[str, Any]], what: str, state: str, done: str) -> dict[str, Any]:
    """Leave a line in each alert's history, and say how many it was."""
    repeated: Callable[[str], str] = lambda word: array_literal([word] * len(rows))  # noqa: E731 - six columns of one value
    store.run(
        doing.connection,
        "alert.add_alert_events",
        alert_id=array_literal([row["alert_id"] for row in rows]),
        what=repeated(what),
        actor=repeated(asked.actor),
        reason=repeated(asked.reason),
        state=repeated(state),
        business_unit=array_literal([row["business_unit"] for row in rows]),
        now=doing.now,
    )
    return {"sentence": f"{done}." if len(rows) == 1 else f"{done}: {len(rows)} alerts.", "alerts": len(rows)}
