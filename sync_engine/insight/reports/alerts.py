"""What the inbox and the rule pages ask: open alerts by cause, how rules do, what was told outside, and the time machine."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from sync_engine.engine.alert_rules import RuleInForce, load_alerts, rule_of
from sync_engine.insight.alerting import simulate as machine
from sync_engine.insight.alerting.simulate import Answer
from sync_engine.insight.asking import Row
from sync_engine.insight.reports.everywhere import BusinessUnit
from sync_engine.insight.reports.reading import Reports
from sync_engine.model.alerts import RANK, AlertRule

HEALTH_DAYS = 90
FLAG_BELOW = 0.2
"""A rule of whose alerts fewer are acted upon tells people what they do not need to know (Q51)."""
ENOUGH = 10
"""Below so many alerts a rule's share says nothing."""
STEP = timedelta(minutes=10)
"""How often the time machine looks: finer than anything that a person could tell apart over ninety days."""


@dataclass(frozen=True, slots=True)
class Alert:
    """An open alert, in business words."""

    alert_id: UUID
    rule: str
    severity: str
    state: str
    message: str
    owner_team: str
    group_amount: Decimal | None
    business_unit: str
    fired_at: datetime
    deadline_on: date | None
    document_id: UUID | None
    subject_name: str
    group_key: str
    group_title: str
    level: int
    pending_since: datetime | None
    acknowledged_by: str | None
    acknowledged_until: datetime | None
    snoozed_by: str | None
    snoozed_until: datetime | None


@dataclass(frozen=True, slots=True)
class Cause:
    """The open alerts of one rule that have the same cause; never empty."""

    alerts: tuple[Alert, ...]

    @property
    def first(self) -> Alert:
        """The one with the most money."""
        return self.alerts[0]

    @property
    def firing(self) -> tuple[Alert, ...]:
        """Those that nobody has taken on or put aside."""
        return tuple(alert for alert in self.alerts if alert.state == "firing")

    @property
    def value(self) -> Decimal | None:
        """Amounts together; None: it is not about money."""
        amounts = [alert.group_amount for alert in self.alerts if alert.group_amount is not None]
        return sum(amounts, Decimal(0)) if amounts else None

    @property
    def nearest_on(self) -> date | None:
        """The nearest date of any."""
        return min((alert.deadline_on for alert in self.alerts if alert.deadline_on is not None), default=None)

    @property
    def since(self) -> datetime:
        """When the first of them fired."""
        return min(alert.fired_at for alert in self.alerts)

    @property
    def is_escalated(self) -> bool:
        """Whether any has been told again, higher."""
        return any(alert.level for alert in self.alerts)

    def turn(self, action: str, person: str) -> str:
        """What names one asking for an action: the same for a second click, another one once the alerts have come again."""
        marks = [
            f"{one.alert_id} {one.state} {one.pending_since} {one.acknowledged_until} {one.snoozed_until}"
            for one in sorted(self.alerts, key=lambda one: one.alert_id)
        ]
        return " ".join([action, person, *marks])

    @property
    def state(self) -> str:
        """Firing as soon as one is; else acknowledged as soon as one is."""
        return min((alert.state for alert in self.alerts), key=("firing", "acknowledged", "snoozed").index)


@dataclass(frozen=True, slots=True)
class Health:
    """How a rule has done in the last 90 days. `acted_share`, `lead_days`: None where there is nothing to take them of."""

    fired: int = 0
    silent: int = 0
    open: int = 0
    judged: int = 0
    acted: int = 0
    self_cured: int = 0
    put_aside: int = 0
    lead_days: float | None = None

    @property
    def acted_share(self) -> float | None:
        """Of the alerts old enough, those that somebody acted upon in time."""
        return self.acted / self.judged if self.judged else None

    @property
    def is_flagged(self) -> bool:
        """Whether the rule should go, or be made to tell less."""
        return self.judged >= ENOUGH and (self.acted_share or 0.0) < FLAG_BELOW


def alerts(reports: Reports, units: Sequence[str] | None) -> tuple[Alert, ...]:
    """Open alerts, most money first."""
    return tuple(Alert(**row) for row in reports.rows("alerts", units=list(units) if units else None))


def causes(found: Sequence[Alert]) -> list[Cause]:
    """Alerts by rule and cause: what nobody has taken on first, then by severity, nearness and money."""
    groups: dict[tuple[str, str], list[Alert]] = {}
    for alert in found:
        groups.setdefault((alert.rule, alert.group_key), []).append(alert)
    made = [Cause(tuple(group)) for group in groups.values()]
    return sorted(
        made,
        key=lambda one: (
            ("firing", "acknowledged", "snoozed").index(one.state),
            RANK.get(one.first.severity, len(RANK)),
            one.nearest_on or date.max,
            -(one.value or 0),
        ),
    )


def history(reports: Reports, alert_ids: Sequence[UUID]) -> list[Row]:
    """What has happened to alerts, newest first: happened_at, what, actor, reason, subject_name."""
    return reports.rows("alert_history", alert_id=list(alert_ids))


def rules(reports: Reports) -> dict[str, RuleInForce]:
    """Every rule in force, those switched off too, by name."""
    return {row["rule"]: rule_of(row) for row in reports.rows("alert.rules_in_force")}


def rule_history(reports: Reports, rule: str) -> list[Row]:
    """Every version of a rule, newest first."""
    return reports.rows("alert_rule_history", rule=rule)


def health(reports: Reports, *, as_of: datetime) -> dict[str, Health]:
    """How each rule has done, by name; a rule that never fired is not in it."""
    rows = reports.rows("alert_health", since=as_of - timedelta(days=HEALTH_DAYS), as_of=as_of)
    return {row["rule"]: _health(row) for row in rows}


def _health(row: Row) -> Health:
    lead: Any = row["lead_days"]
    return Health(
        **{
            **{name: row[name] for name in Health.__dataclass_fields__},
            "lead_days": None if lead is None else float(lead),
        }
    )


def notices(reports: Reports, *, since: datetime) -> list[Row]:
    """What was, or is to be, told outside; what did not get through first."""
    return reports.rows("alert_notices", since=since)


def rewind(
    reports: Reports, rule: AlertRule, *, as_of: datetime, units: Sequence[BusinessUnit], currency: str
) -> Answer:
    """What a rule would have done in the last 90 days, over what the asker may see.

    Raises:
        LookupError: the past of its measure is not kept.
        TooSlow: it takes longer than a page may.
    """
    now = as_of.replace(second=0, microsecond=0)
    return machine.simulate(
        reports.rows,
        rule,
        since=now - timedelta(days=machine.DAYS),
        now=now,
        calendars={unit.code: unit.calendar for unit in units},
        currency=currency,
        tick=STEP,
    )


def routes(folder: Path) -> dict[str, tuple[str, ...]]:
    """The destinations of every route, by name; they stand in the file alone and nobody changes them from a page.

    Raises:
        BadConfiguration: the file is wrong.
    """
    return dict(load_alerts(folder).routes)
