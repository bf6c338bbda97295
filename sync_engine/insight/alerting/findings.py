"""What a measure finds: now, on small tables of what is open; and in the past, as the spells during which it would have found it.

The two are written apart, because the past is long and now must not cost more with every year of it. What holds them together
is a promise that a test keeps: the findings of a moment are the spells that hold it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sync_engine.engine.alert_rules import Ask
from sync_engine.insight.alerting import at_risk, burn, causes
from sync_engine.model.alerts import AlertRule


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing a measure objects to. Amounts in group currency; `deadline_on` None: it has none."""

    subject: str
    subject_name: str
    business_unit: str
    group_key: str
    group_title: str
    document_id: UUID | None = None
    deadline_on: date | None = None
    group_amount: Decimal | None = None
    standing: str = ""
    who: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Spell:
    """A finding, from when to when; `until_at` None: it lasts."""

    finding: Finding
    from_at: datetime
    until_at: datetime | None

    def holds(self, moment: datetime) -> bool:
        """Whether it was so at a moment: from the beginning on, and not at the end any more."""
        return self.from_at <= moment and (self.until_at is None or moment < self.until_at)


# fmt: off
NOW = {
    "blocked_orders": "alert.blocked_orders",
    "invoices_due":   "alert.invoices_due",
    "causes_rising":  "alert.causes_rising",
    "sources_silent": "alert.sources_silent",
    "quota_low":      "alert.quota_low",
    "books_differ":   "alert.books_differ",
    "expires":        "alert.expires",
    "approver_waits": "alert.approver_waits",
    "not_invoiced":   "alert.not_invoiced",
    "notices_failed": "alert.notices_failed",
}
PAST = {
    "blocked_orders": "alert.blocked_orders_spells",
    "invoices_due":   "alert.invoices_due_spells",
    "sources_silent": "alert.sources_silent_spells",
    "books_differ":   "alert.books_differ_spells",
    "expires":        "alert.expires_spells",
    "not_invoiced":   "alert.not_invoiced_spells",
    "notices_failed": "alert.notices_failed_spells",
}
# fmt: on
_COLUMNS = tuple(Finding.__dataclass_fields__)


def find_now(ask: Ask, rule: AlertRule, now: datetime) -> list[Finding]:
    """What a rule objects to now."""
    if rule.measure == "budget_burn":
        found = burn.find(ask, rule, now)
    elif rule.measure == "invoices_at_risk":
        found = at_risk.find(ask, rule, now)
    else:
        found = ask(NOW[rule.measure], **_values(rule), now=now)
    return enough_together(rule, map(_finding, found))


def find_spells(ask: Ask, rule: AlertRule, *, since: datetime, now: datetime) -> list[Spell]:
    """What a rule would have objected to between two moments, in the order in which it began. Totals are not looked at yet: they
    are of a moment.

    Raises:
        LookupError: the measure's past is not kept.
    """
    if rule.measure == "budget_burn":
        rows: Iterable[Mapping[str, Any]] = burn.spells(ask, rule, since, now)
    elif rule.measure == "causes_rising":
        raised = ask("alert.exceptions_raised", **_values(rule), since=since, now=now)
        rows = causes.spells(raised, rule, since, now)
    else:
        rows = ask(PAST[rule.measure], **_values(rule), since=since, now=now)
    return [Spell(_finding(row), row["from_at"], row["until_at"]) for row in rows]


def enough_together(rule: AlertRule, found: Iterable[Finding]) -> list[Finding]:
    """Findings whose cause amounts to enough, where the rule asks for a total."""
    rows = list(found)
    values = rule.values()
    if "total_min" not in values:
        return rows
    totals: dict[str, Decimal] = {}
    for one in rows:
        totals[one.group_key] = totals.get(one.group_key, Decimal(0)) + (one.group_amount or 0)
    return [one for one in rows if totals[one.group_key] >= rule.number("total_min")]


def looks_back(rule: AlertRule) -> timedelta:
    """How much of what was before a moment decides what is found at it."""
    return burn.LOOKS_BACK[str(rule.values()["windows"])] if rule.measure == "budget_burn" else timedelta(0)


def _values(rule: AlertRule) -> dict[str, Any]:
    return {**rule.values(), "units": list(rule.units) or None, "suppliers": list(rule.suppliers) or None}


def _finding(row: Mapping[str, Any]) -> Finding:
    return Finding(**{name: row[name] for name in _COLUMNS if name in row})
