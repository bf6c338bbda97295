"""The time machine (PRODUCT.md D11): what a rule would have done over the past, before anybody switches it on.

The spells of its measure are put through the same states as a live evaluation, at the moments at which a live engine would have
looked, so that the count is the one a live rule would have produced on the same data; a test holds the two together. People are
left out: nobody acknowledges or snoozes a rule that does not exist, and what they would have done cannot be known. What they did
about the documents can.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import ceil
from statistics import median
from typing import Any
from uuid import UUID

from sync_engine.engine.alert_rules import Ask, RuleInForce
from sync_engine.insight.alerting import findings, notices, states
from sync_engine.insight.alerting.findings import Finding, Spell
from sync_engine.insight.alerting.states import Alert
from sync_engine.model.alerts import MEASURES, AlertRule, Severity

DAYS = 90
TICK = timedelta(minutes=1)
"""How often a live engine looks."""

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Simulated:
    """One alert that would have been. `ended_at` None: it would fire still."""

    subject: str
    occasion: str
    subject_name: str
    business_unit: str
    document_id: UUID | None
    group_key: str
    group_title: str
    deadline_on: date | None
    group_amount: Decimal | None
    message: str
    fired_at: datetime
    ended_at: datetime | None
    is_acted_upon: bool = False
    is_in_hours: bool = True

    @property
    def lead_days(self) -> float | None:
        """Days from the alert to the end of the day it is about; negative: it came too late."""
        if self.deadline_on is None:
            return None
        end = datetime.combine(self.deadline_on + timedelta(days=1), time(), tzinfo=UTC)
        return (end - self.fired_at).total_seconds() / 86400


@dataclass(frozen=True, slots=True)
class Answer:
    """What the time machine says. Shares are None without alerts; lead time None where nothing has a date."""

    since: datetime
    until: datetime
    alerts: tuple[Simulated, ...]
    messages: int
    """One per cause and time to repeat: what a mailbox would have got."""
    woken: int
    """Messages outside of working hours that would not have waited: those of a critical rule."""
    waited: int
    """Messages outside of working hours that would have waited for the morning."""

    @property
    def acted_share(self) -> float | None:
        """The share whose document somebody worked on after the alert and before its end; None where alerts are not about documents."""
        about = [alert for alert in self.alerts if alert.document_id is not None]
        return sum(alert.is_acted_upon for alert in about) / len(about) if about else None

    @property
    def median_lead_days(self) -> float | None:
        """Half of the alerts came so long before their date, or earlier."""
        lead = [alert.lead_days for alert in self.alerts if alert.lead_days is not None]
        return median(lead) if lead else None

    @property
    def causes(self) -> int:
        """How many causes the alerts have."""
        return len({alert.group_key for alert in self.alerts})

    @property
    def value(self) -> Decimal:
        """Amounts of all alerts together, group currency."""
        return sum((alert.group_amount or Decimal(0) for alert in self.alerts), Decimal(0))

    def figures(self) -> dict[str, Any]:
        """For the rule's history."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "alerts": len(self.alerts),
            "messages": self.messages,
            "acted_share": self.acted_share,
            "median_lead_days": self.median_lead_days,
            "woken": self.woken,
        }


def can_simulate(rule: AlertRule) -> str:
    """Why the past of a rule's measure cannot be asked; empty: it can."""
    return MEASURES[rule.measure].forgets


def simulate(
    ask: Ask,
    rule: AlertRule,
    *,
    since: datetime,
    now: datetime,
    calendars: Mapping[str, str],
    currency: str,
    tick: timedelta = TICK,
) -> Answer:
    """What a rule would have done from `since` to `now`, switched on at `since` and looked at every `tick`.

    Args:
        ask: Puts the questions; as a person, over what that person sees.
        rule: Not silent here, whatever it says.
        since: The first look.
        now: The last one.
        calendars: The calendar of each business unit.
        currency: Of the amounts.
        tick: Between two looks.

    Raises:
        LookupError: the past of the measure is not kept.
    """
    if why := can_simulate(rule):
        raise LookupError(why)
    spells = findings.find_spells(ask, rule, since=since, now=now)
    live = RuleInForce("simulated", 0, rule.model_copy(update={"silent_days": 0}), LONG_AGO)
    fired = [
        one
        for part in _apart(spells, rule)
        for one in _alerts_of(part, live, since=since, now=now, tick=tick, currency=currency)
    ]
    fired.sort(key=lambda one: (one.fired_at, one.subject))
    fired = _with_acts(ask, fired, since)
    fired, hours = _with_hours(ask, fired, rule, calendars)
    messages = _messages(fired, rule)
    outside = sum(not hours[one] for one in messages)
    is_critical = rule.severity is Severity.CRITICAL
    return Answer(since, now, tuple(fired), len(messages), outside if is_critical else 0, 0 if is_critical else outside)


def _apart(spells: Iterable[Spell], rule: AlertRule) -> list[list[Spell]]:
    """Spells that have nothing to do with each other: by subject, or by cause where the cause has to amount to something."""
    by_cause = "total_min" in rule.values()
    parts: dict[str, list[Spell]] = {}
    for spell in spells:
        parts.setdefault(spell.finding.group_key if by_cause else spell.finding.subject, []).append(spell)
    return list(parts.values())


def _alerts_of(
    spells: list[Spell], rule: RuleInForce, *, since: datetime, now: datetime, tick: timedelta, currency: str
) -> list[Simulated]:
    known: list[Alert] = []
    numbers = iter(range(1, 10**9))
    for moment in _looks(spells, rule.rule, since, now, tick):
        held: dict[tuple[str, date | None], Finding] = {}
        for spell in spells:
            if spell.holds(moment):
                held.setdefault((spell.finding.subject, spell.finding.deadline_on), spell.finding)
        found = findings.enough_together(rule.rule, held.values())
        known, _ = states.evaluate(
            known, found, rule, now=moment, new_id=lambda _: UUID(int=next(numbers)), currency=currency
        )
    return [_simulated(alert) for alert in known if alert.fired_at is not None]


def _looks(spells: list[Spell], rule: AlertRule, since: datetime, now: datetime, tick: timedelta) -> list[datetime]:
    """The looks at which anything can change: the first after each beginning, each end, and each time a condition has held long
    enough."""
    turns = {since}
    for spell in spells:
        begins = _look_at(max(spell.from_at, since), since, tick)
        turns |= {begins, _look_at(begins + timedelta(minutes=rule.duration_minutes), since, tick)}
        if spell.until_at is not None:
            turns.add(_look_at(max(spell.until_at, since), since, tick))
    return sorted(turn for turn in turns if turn <= now)


def _look_at(moment: datetime, since: datetime, tick: timedelta) -> datetime:
    """The first look that is not before a moment."""
    return since + ceil((moment - since) / tick) * tick


def _simulated(alert: Alert) -> Simulated:
    assert alert.fired_at is not None
    return Simulated(
        alert.subject, alert.occasion, alert.subject_name, alert.business_unit, alert.document_id, alert.group_key, alert.group_title,
        alert.deadline_on, alert.group_amount, alert.message, alert.fired_at, alert.resolved_at,
    )  # fmt: skip


def _with_acts(ask: Ask, fired: list[Simulated], since: datetime) -> list[Simulated]:
    """Which alerts were about a document that somebody worked on after the alert and before its end."""
    documents = sorted({one.document_id for one in fired if one.document_id is not None})
    acts: dict[UUID, list[datetime]] = {}
    if documents:
        for row in ask("alert.acts", document_id=documents, since=since):
            acts.setdefault(row["document_id"], []).append(row["happened_at"])
    return [
        replace(one, is_acted_upon=True)
        if one.document_id is not None
        and any(
            one.fired_at < at and (one.ended_at is None or at <= one.ended_at) for at in acts.get(one.document_id, ())
        )
        else one
        for one in fired
    ]


def _with_hours(
    ask: Ask, fired: list[Simulated], rule: AlertRule, calendars: Mapping[str, str]
) -> tuple[list[Simulated], dict[Simulated, bool]]:
    names = [
        calendars.get(one.business_unit, notices.ALWAYS_OPEN) if rule.calendar == "unit" else rule.calendar
        for one in fired
    ]
    open_at = notices.in_working_hours(ask, names, [one.fired_at for one in fired]) if fired else []
    told = [replace(one, is_in_hours=at == one.fired_at) for one, at in zip(fired, open_at, strict=True)]
    return told, {one: one.is_in_hours for one in told}


def _messages(fired: list[Simulated], rule: AlertRule) -> list[Simulated]:
    """The alerts with which a message would have gone: the first of a cause, and again after the time to repeat."""
    repeat = timedelta(hours=rule.repeat_after_hours)
    last: dict[str, datetime] = {}
    messages = []
    for one in fired:
        before = last.get(one.group_key)
        if before is None or one.fired_at >= before + repeat:
            last[one.group_key] = one.fired_at
            messages.append(one)
    return messages
