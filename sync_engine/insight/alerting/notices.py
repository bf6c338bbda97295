"""Who is told what when: one notice per cause, not per document; in working hours, unless it is critical; low severities once
a day. The inbox has everything at once and without notices (Q53).

A cause is told when something of it has not been told yet, at most once within the rule's time to repeat; an escalation is told
at once. Alerts of a silent rule, and those that somebody has taken on or put aside, are not told.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sync_engine.engine.alert_rules import AlertConfiguration, Ask, RuleInForce
from sync_engine.insight.alerting.states import Alert
from sync_engine.model.alerts import Severity

LINES = 20
"""So many alerts of a cause are written out; the link has them all."""

ALWAYS_OPEN = "always"


@dataclass(frozen=True, slots=True)
class Notice:
    """What is to be told to one destination."""

    rule: str
    group_key: str
    destination: str
    severity: str
    alerts: tuple[Alert, ...]
    content: dict[str, Any]
    is_digest: bool
    due_at: datetime

    @property
    def business_unit(self) -> str:
        """That of its alerts, if they are all of one."""
        units = {alert.business_unit for alert in self.alerts}
        return units.pop() if len(units) == 1 else ""


def groups_to_tell(alerts: Iterable[Alert], rule: RuleInForce, now: datetime) -> list[list[Alert]]:
    """The causes of which somebody has to be told now, each with all its firing alerts, most money first. Marks them as told."""
    groups: dict[str, list[Alert]] = {}
    for alert in alerts:
        if alert.state == "firing" and not alert.is_silent:
            groups.setdefault(alert.group_key, []).append(alert)
    repeat = timedelta(hours=rule.rule.repeat_after_hours)
    telling = []
    for group in groups.values():
        told = [alert.noticed_at for alert in group if alert.noticed_at is not None]
        is_new = len(told) < len(group) and (not told or now >= max(told) + repeat)
        if is_new or any(alert.noticed_at is not None and alert.level > alert.noticed_level for alert in group):
            for alert in group:
                alert.noticed_at, alert.noticed_level = now, alert.level
            telling.append(sorted(group, key=lambda alert: (-(alert.group_amount or 0), alert.subject)))
    return telling


def destinations_of(rule: RuleInForce, group: Sequence[Alert], configuration: AlertConfiguration) -> list[str]:
    """Where a cause is told, beside the inbox. A notice that did not get through is told in the inbox alone: it may not cause
    another (Q54)."""
    if rule.rule.measure == "notices_failed":
        return []
    routes = [rule.rule.route or rule.rule.owner_team]
    if any(alert.level for alert in group) and rule.rule.escalate_route:
        routes.append(rule.rule.escalate_route)
    return list(dict.fromkeys(name for route in routes for name in configuration.routes.get(route, ())))


def plan(
    ask: Ask,
    groups: Sequence[list[Alert]],
    rule: RuleInForce,
    configuration: AlertConfiguration,
    *,
    calendars: Mapping[str, str],
    now: datetime,
    link: str,
    currency: str,
) -> list[Notice]:
    """The notices of these causes.

    Args:
        ask: For the working hours.
        groups: What is told.
        rule: Of this rule.
        configuration: Who is reached how.
        calendars: The calendar of each business unit.
        now: The moment.
        link: Where the application is.
        currency: Of the amounts.
    """
    told = [(group, names) for group in groups if (names := destinations_of(rule, group, configuration))]
    if not told:
        return []
    due = [now] * len(told)
    severity = rule.rule.severity
    if severity is Severity.LOW:
        due = [next_digest(configuration, now)] * len(told)
    elif severity is not Severity.CRITICAL:
        due = in_working_hours(ask, [_calendar(rule, group, calendars) for group, _ in told], [now] * len(told))
    return [
        Notice(
            rule.name, group[0].group_key, name, severity.value, tuple(group), _content(rule, group, link, currency), severity is Severity.LOW, at,
        )
        for (group, names), at in zip(told, due, strict=True)
        for name in names
    ]  # fmt: skip


def in_working_hours(ask: Ask, calendars: Sequence[str], moments: Sequence[datetime]) -> list[datetime]:
    """Each moment, or the next one at which its calendar's working hours begin; a calendar nobody knows is always open."""
    rows = ask("alert.in_office_hours", calendar=list(calendars), moment=list(moments))
    return [
        moment if row["is_open"] or row["opens_at"] is None else row["opens_at"]
        for row, moment in zip(rows, moments, strict=True)
    ]


def next_digest(configuration: AlertConfiguration, now: datetime) -> datetime:
    """When low severities are told next."""
    today = datetime.combine(now.astimezone(UTC).date(), configuration.digest_at, tzinfo=UTC)
    return today if today >= now else today + timedelta(days=1)


def _calendar(rule: RuleInForce, group: Sequence[Alert], calendars: Mapping[str, str]) -> str:
    if rule.rule.calendar == "unit":
        return calendars.get(group[0].business_unit, ALWAYS_OPEN)
    return rule.rule.calendar


def _content(rule: RuleInForce, group: Sequence[Alert], link: str, currency: str) -> dict[str, Any]:
    """What every channel makes its message of. Outside text in it is raw: the channel escapes it its own way."""
    amounts = [alert.group_amount for alert in group if alert.group_amount is not None]
    deadlines = [alert.deadline_on for alert in group if alert.deadline_on is not None]
    return {
        "rule": rule.name,
        "version": rule.version,
        "title": rule.rule.title,
        "cause": group[0].group_title,
        "severity": rule.rule.severity.value,
        "escalated": max(alert.level for alert in group),
        "owner_team": rule.rule.owner_team,
        "impact": rule.rule.impact,
        "count": len(group),
        "total": str(sum(amounts, Decimal(0))) if amounts else None,
        "currency": currency,
        "nearest_on": min(deadlines).isoformat() if deadlines else None,
        "lines": [alert.message for alert in group[:LINES]],
        "runbook": rule.rule.runbook.strip().splitlines(),
        "link": f"{link.rstrip('/')}/alerts?cause={group[0].alert_id}" if link else "",
    }
