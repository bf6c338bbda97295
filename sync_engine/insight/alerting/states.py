"""What findings make of alerts: pure, the same for a live evaluation and for the time machine.

    inactive      no row
    pending       found, and not yet for long enough
    firing        found: somebody should look
    acknowledged  somebody has it, until a time or for good
    snoozed       nobody is to be reminded until a time, or until the subject has changed; it is evaluated all the while (Q52)
    resolved      not found any more; or a person has said that it is over, and it stays so until it has been gone and comes again

One alert per rule, subject and occasion (Q44): the occasion is the date it is about, or where there is none the day on which it
began. Nothing here looks at what alerts cause: evaluating never raises an alert about an alert (Q54).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sync_engine.engine.alert_rules import RuleInForce
from sync_engine.insight.alerting.findings import Finding
from sync_engine.model.ids import NewId

ENGINE = "finsync"
"""Who resolves what is not found any more."""


@dataclass(slots=True)
class Alert:
    """One alert, column for column as the database has it."""

    alert_id: UUID
    rule: str
    rule_version: int
    subject: str
    occasion: str
    subject_name: str
    document_id: UUID | None
    business_unit: str
    deadline_on: date | None
    group_amount: Decimal | None
    group_key: str
    group_title: str
    severity: str
    owner_team: str
    message: str
    standing: str
    state: str
    is_found: bool
    is_silent: bool
    level: int
    pending_since: datetime | None
    fired_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_until: datetime | None = None
    snoozed_at: datetime | None = None
    snoozed_by: str | None = None
    snoozed_until: datetime | None = None
    snoozed_standing: str | None = None
    acted_at: datetime | None = None
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    resolve_reason: str | None = None
    noticed_at: datetime | None = None
    noticed_level: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it is not resolved."""
        return self.resolved_at is None


COLUMNS = tuple(one.name for one in fields(Alert))


@dataclass(frozen=True, slots=True)
class Happening:
    """What has happened to an alert, for its history."""

    alert: Alert
    what: str
    actor: str = ENGINE
    reason: str = ""


def occasion_of(finding: Finding, now: datetime) -> str:
    """What a finding of this moment belongs to, unless an alert about its subject is open."""
    return (finding.deadline_on or now.date()).isoformat()


def evaluate(
    known: Sequence[Alert],
    findings: Iterable[Finding],
    rule: RuleInForce,
    *,
    now: datetime,
    new_id: NewId,
    currency: str,
) -> tuple[list[Alert], list[Happening]]:
    """Bring the alerts of a rule to what is found now.

    Args:
        known: Its open alerts, those resolved while their condition held, and those of the findings' subjects and occasions.
        findings: What is found now.
        rule: The rule in force.
        now: The moment.
        new_id: Makes ids.
        currency: Of the amounts.

    Returns:
        Every alert there is now (those of `known`, changed in place, and new ones), and what happened.
    """
    alerts = {(one.subject, one.occasion): one for one in known}
    undated = {one.subject: one for one in known if one.deadline_on is None and (one.is_open or one.is_found)}
    happened: list[Happening] = []
    found: set[UUID] = set()
    for finding in findings:
        alert = undated.get(finding.subject) if finding.deadline_on is None else None
        alert = alert or alerts.get((finding.subject, occasion_of(finding, now)))
        if alert is None:
            alert = _begun(finding, rule, now, new_id)
            alerts[alert.subject, alert.occasion] = alert
            if finding.deadline_on is None:
                undated[alert.subject] = alert
        if alert.alert_id in found:
            continue  # one document with two causes is one alert: the first of them
        found.add(alert.alert_id)
        _say(alert, finding, rule, now, currency)
        happened += _is_found(alert, rule, now)
    for alert in known:
        if alert.alert_id not in found:
            happened += _is_gone(alert, now)
    return list(alerts.values()), happened


def _begun(finding: Finding, rule: RuleInForce, now: datetime, new_id: NewId) -> Alert:
    return Alert(
        alert_id=new_id(now), rule=rule.name, rule_version=rule.version, subject=finding.subject, occasion=occasion_of(finding, now),
        subject_name=finding.subject_name, document_id=finding.document_id, business_unit=finding.business_unit,
        deadline_on=finding.deadline_on, group_amount=finding.group_amount, group_key=finding.group_key, group_title=finding.group_title,
        severity=rule.rule.severity.value, owner_team=rule.rule.owner_team, message="", standing=finding.standing, state="resolved",
        is_found=False, is_silent=now < rule.silent_until, level=0, pending_since=now,
    )  # fmt: skip


def _say(alert: Alert, finding: Finding, rule: RuleInForce, now: datetime, currency: str) -> None:
    """What there is to say changes with every day that passes, whatever state the alert is in."""
    alert.rule_version, alert.severity, alert.owner_team = rule.version, rule.rule.severity.value, rule.rule.owner_team
    alert.subject_name, alert.group_amount = finding.subject_name, finding.group_amount
    alert.group_key, alert.group_title, alert.standing = finding.group_key, finding.group_title, finding.standing
    alert.message = message(finding, now.date(), currency)


def message(finding: Finding, today: date, currency: str) -> str:
    """A finding in business words: what, whose, how much, until when, why.

    >>> order = Finding("document:1", "PO-7", "DE-SOUTH", "", "", group_amount=Decimal("12000"), who="Nordwerk", why="Cost centre 4711 is blocked.")
    >>> message(order, date(2026, 9, 15), "EUR")
    'PO-7 (Nordwerk), 12,000.00 EUR. Cost centre 4711 is blocked.'
    """
    parts = [f"{finding.subject_name} ({finding.who})" if finding.who else finding.subject_name]
    if finding.group_amount is not None:
        parts.append(f"{finding.group_amount:,.2f} {currency}")
    if finding.deadline_on is not None:
        days = (finding.deadline_on - today).days
        unit = "day" if abs(days) == 1 else "days"
        parts.append("due today" if days == 0 else f"due in {days} {unit}" if days > 0 else f"due {-days} {unit} ago")
    return f"{', '.join(parts)}. {finding.why}".strip()


def _is_found(alert: Alert, rule: RuleInForce, now: datetime) -> Iterator[Happening]:
    was_found, alert.is_found = alert.is_found, True
    if alert.is_silent and now >= rule.silent_until:
        alert.is_silent, alert.noticed_at = False, None
    if alert.state == "resolved":
        if was_found and alert.resolved_by != ENGINE:
            return  # a person has said that it is over; it has not been gone since
        alert.state, alert.pending_since, alert.resolved_at, alert.resolved_by, alert.resolve_reason = (
            "pending", now, None, None, None,
        )  # fmt: skip
        alert.noticed_at, alert.noticed_level, alert.level = None, 0, 0
        alert.is_silent = now < rule.silent_until
        if rule.rule.duration_minutes:
            yield Happening(alert, "found")
    if alert.state == "pending":
        assert alert.pending_since is not None
        if now < alert.pending_since + timedelta(minutes=rule.rule.duration_minutes):
            return
        again = alert.fired_at is not None
        alert.state, alert.fired_at = "firing", alert.fired_at or now
        yield Happening(alert, "fired again" if again else "fired")
    if alert.state == "acknowledged" and alert.acknowledged_until is not None and now >= alert.acknowledged_until:
        alert.state, alert.noticed_at = "firing", None
        yield Happening(alert, "acknowledgement ended")
    if alert.state == "snoozed":
        is_over = alert.snoozed_until is not None and now >= alert.snoozed_until
        has_changed = alert.snoozed_standing is not None and alert.snoozed_standing != alert.standing
        if is_over or has_changed:
            alert.state, alert.noticed_at = "firing", None
            yield Happening(alert, "snooze ended", reason="its time is over" if is_over else "something has changed")
    level = max(alert.level, _level(alert, rule, now))
    if level > alert.level:
        alert.level = level
        yield Happening(alert, "escalated", reason=f"level {level}")


def _is_gone(alert: Alert, now: datetime) -> Iterator[Happening]:
    alert.is_found = False
    if not alert.is_open:
        return
    was_pending = alert.state == "pending"
    alert.state, alert.resolved_at, alert.resolved_by = "resolved", now, ENGINE
    alert.resolve_reason = "it went before it fired" if was_pending else "it is not so any more"
    yield Happening(alert, "resolved", reason=alert.resolve_reason)


def _level(alert: Alert, rule: RuleInForce, now: datetime) -> int:
    """How many of the rule's reasons to escalate hold: nobody took it on in time, its value, its nearness."""
    plan = rule.rule
    level = 0
    if (
        plan.escalate_amount is not None
        and alert.group_amount is not None
        and alert.group_amount >= plan.escalate_amount
    ):
        level += 1
    if alert.deadline_on is not None:
        level += sum((alert.deadline_on - now.date()).days <= days for days in plan.escalate_days)
    if (
        plan.escalate_after_hours is not None
        and alert.state == "firing"
        and alert.fired_at is not None
        and now >= alert.fired_at + timedelta(hours=plan.escalate_after_hours)
    ):
        level += 1
    return level
