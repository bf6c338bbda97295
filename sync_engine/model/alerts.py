"""What an alert rule is: what it looks at, when that is worth telling, to whom, and what to do then (R141, PRODUCT.md 4.8).

A rule is a measure with its parameters, a population, and how it is told. The measures are a table: files, the rule editor, the
evaluation and the time machine all read it, so that a rule that one of them takes is understood by all.
"""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Severity(StrEnum):
    """How much an alert may disturb."""

    CRITICAL = "critical"  # at once, at night too
    HIGH = "high"  # at once, in working hours
    NORMAL = "normal"  # the same, later in every list
    LOW = "low"  # once a day, together with the others


RANK = {severity.value: rank for rank, severity in enumerate(Severity)}
"""0 is the most severe."""

ParameterKind = Literal["amount", "days", "hours", "count", "percent", "factor", "choice"]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number (or a word) that somebody sets. Amounts are in group currency, days are working days, percent is 0 to 100."""

    name: str
    label: str
    kind: ParameterKind
    default: str
    help: str = ""
    lowest: int = 0
    highest: int = 10**12
    choices: tuple[str, ...] = ()

    def value(self, given: str) -> Decimal | str:
        """The value as it is used.

        Raises:
            ValueError: it is none of this kind, or beyond what it may be.
        """
        if self.kind == "choice":
            if given not in self.choices:
                raise ValueError(f"{self.label} is one of {', '.join(self.choices)}, not {given[:40]!r}")
            return given
        try:
            number = Decimal(given)
        except InvalidOperation:
            raise ValueError(f"{self.label} is a number, not {given[:40]!r}") from None
        if not number.is_finite() or not self.lowest <= number <= self.highest:
            raise ValueError(f"{self.label} lies between {self.lowest:,} and {self.highest:,}")
        if self.kind in {"days", "count"} and number != number.to_integral_value():
            raise ValueError(f"{self.label} is a whole number")
        return number


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that can be watched.

    Args:
        name: As rules name it.
        title: In a list to choose from.
        finds: What one finding is, for "12 orders".
        parameters: What a rule on it sets.
        is_dated: Findings have a date (need-by, due, period end); the others belong to the day on which they began.
        forgets: Why the past cannot be asked, where it cannot; empty where the time machine works.
        by_unit: Findings belong to business units, so that a rule can be limited to some.
        by_supplier: And to suppliers.
    """

    name: str
    title: str
    finds: str
    parameters: tuple[Parameter, ...]
    is_dated: bool
    forgets: str = ""
    by_unit: bool = True
    by_supplier: bool = False


_DAYS = Parameter(
    "days", "Working days before the date", "days", "5", "Counted in the unit's own calendar.", highest=250
)
_EACH = Parameter("amount_min", "From an amount of (EUR)", "amount", "10000", "Of each document, in group currency.")
_TOTAL = Parameter(
    "total_min", "Together at least (EUR)", "amount", "0", "Of all findings of one unit; below it nothing is told."
)

MEASURES: dict[str, Measure] = {
    one.name: one
    for one in (
        Measure("blocked_orders", "Orders that are stopped with their need-by date near", "order", (_EACH, _DAYS), is_dated=True, by_supplier=True),
        Measure("invoices_due", "Invoices that are not ready with their due date near", "invoice", (Parameter("amount_min", "From an amount of (EUR)", "amount", "0"), _TOTAL, _DAYS), is_dated=True, by_supplier=True),
        Measure("invoices_at_risk", "Invoices that will probably be paid late", "invoice", (
            Parameter("percent", "P(on time) below (%)", "percent", "50", "As on the page Invoices due; what rests on fewer than 30 peers does not count.", lowest=1, highest=100),
            Parameter("amount_min", "From an amount of (EUR)", "amount", "0"), _TOTAL, _DAYS), is_dated=True, by_supplier=True,
                forgets="how likely an invoice was to be in time is worked out anew each time, and not kept"),
        Measure("budget_burn", "An objective's error budget burns too fast", "objective", (
            Parameter("windows", "Windows", "choice", "fast", "Fast: 14.4 times in 1 h and 5 min, or 6 times in 6 h and 30 min. Slow: 3 times in 1 d and 2 h, or once in 3 d and 6 h; or too many of the last few.", choices=("fast", "slow")),
            Parameter("enough", "Documents that a rate needs", "count", "20", "With fewer in the long window no rate alarms.", lowest=1),
            Parameter("enough_bad", "Missed at least", "count", "3", "In the long window; and, for slow, of the last few.", lowest=1),
            Parameter("last", "The last few", "count", "5", "At a trickle: so many documents, whatever the time.", lowest=1, highest=500)), is_dated=False, by_unit=False),
        Measure("causes_rising", "A cause of exceptions is new or has grown", "cause", (
            Parameter("hours", "Within hours", "hours", "24", lowest=1, highest=24 * 31),
            Parameter("count_min", "Exceptions at least", "count", "5", lowest=1),
            Parameter("factor", "Times as many as before", "factor", "2", "Against as many hours before; nothing there before counts as new.", lowest=1, highest=100)), is_dated=False),
        Measure("sources_silent", "A source is silent", "feed", (Parameter("times", "Times the feed's own limit", "factor", "1", "Every feed states how long it may be silent.", lowest=1, highest=100),), is_dated=False, by_unit=False),
        Measure("quota_low", "A system's quota runs out", "system", (Parameter("percent", "Less left than (%)", "percent", "10", highest=100),), is_dated=False,
                forgets="what was left of a quota is not kept", by_unit=False),
        Measure("books_differ", "The books differ", "difference", (Parameter("hours", "For hours", "hours", "0", highest=24 * 31),), is_dated=False),
        Measure("expires", "A secret or certificate expires", "secret", (Parameter("days", "Days before", "days", "30", "Calendar days.", highest=400),), is_dated=True, by_unit=False),
        Measure("approver_waits", "Approvals wait too long for somebody", "approver", (
            Parameter("hours", "Working hours without a decision", "hours", "16", highest=2000), _TOTAL), is_dated=False,
                forgets="whom a document waited for is not kept once it has been decided"),
        Measure("not_invoiced", "Goods received and not invoiced at period end", "order", (
            Parameter("amount_min", "Not invoiced from (EUR)", "amount", "5000", "Of each order, in group currency."),
            Parameter("days", "Working days before the period's end", "days", "3", highest=31)), is_dated=True, by_supplier=True),
        Measure("notices_failed", "Alerts do not reach somebody", "destination", (), is_dated=False, by_unit=False),
    )
}  # fmt: skip
"""Everything that can be watched, by name."""


class AlertRule(BaseModel):
    """One rule, as a file or the editor states it. Numbers of measures are text, as they were written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=3, max_length=120)
    measure: str
    parameters: dict[str, str] = {}
    units: tuple[str, ...] = ()
    """Only these business units; empty: all."""
    suppliers: tuple[str, ...] = ()
    duration_minutes: int = Field(default=0, ge=0, le=60 * 24 * 14)
    """The condition has to hold so long before anybody is told."""
    impact: str = Field(min_length=10, max_length=400)
    severity: Severity
    owner_team: str = Field(min_length=3, max_length=60)
    route: str = Field(default="", max_length=60)
    """Whose destinations are told beside the inbox; empty: nobody's."""
    calendar: str = "unit"
    """Nobody is told outside of its hours, unless it is critical: "unit" (that of the finding's unit), a calendar's name, "always"."""
    repeat_after_hours: int = Field(default=24, ge=0, le=24 * 31)
    """One notice of a cause in so long, however much is added to it."""
    escalate_after_hours: int | None = Field(default=None, ge=1, le=24 * 31)
    escalate_amount: Decimal | None = Field(default=None, gt=0)
    escalate_days: tuple[int, ...] = ()
    """Told again, higher, when only so many days are left."""
    escalate_route: str = Field(default="", max_length=60)
    runbook: str = Field(min_length=20, max_length=4000)
    """What to do, in numbered lines."""
    acted_within_hours: int = Field(default=24, ge=1, le=24 * 31)
    """Somebody should have done something by then: what the rule's health is measured by."""
    silent_days: int = Field(default=7, ge=0, le=90)
    """How long a new or changed rule is evaluated without telling anybody."""
    enabled: bool = True

    @model_validator(mode="after")
    def _fits_its_measure(self) -> Self:
        measure = MEASURES.get(self.measure)
        if measure is None:
            raise ValueError(f"there is no measure {self.measure[:40]!r}; there are {', '.join(MEASURES)}")
        known = {one.name for one in measure.parameters}
        if strange := sorted(set(self.parameters) - known):
            raise ValueError(f"{self.measure} has no parameter {strange[0][:40]!r}; it has {', '.join(sorted(known))}")
        self.values()
        if self.units and not measure.by_unit:
            raise ValueError(f"{self.measure} is not about single business units")
        if self.suppliers and not measure.by_supplier:
            raise ValueError(f"{self.measure} is not about suppliers")
        return self

    def values(self) -> dict[str, Decimal | str]:
        """Every parameter of the measure, set or by default."""
        return {
            one.name: one.value(self.parameters.get(one.name, one.default)) for one in MEASURES[self.measure].parameters
        }

    def number(self, name: str) -> Decimal:
        """One parameter that is a number."""
        value = self.values()[name]
        assert isinstance(value, Decimal)
        return value


class Destination(BaseModel):
    """Where notices go beside the inbox. Addresses and keys that are secret are named, not written: the environment has them
    under that name, or a file that <name>_FILE names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["mail", "slack", "teams", "webhook"]
    to: tuple[str, ...] = ()
    """Mail addresses."""
    url: str = ""
    url_secret: str = ""
    """The name of the secret that holds the address: a chat's webhook address is a key."""
    key_secret: str = ""
    """The name of the secret that notices are signed with (webhook)."""
    allow_private: bool = False
    """The address may be inside of the company's network."""

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.kind == "mail":
            if not self.to or self.url or self.url_secret:
                raise ValueError("mail goes to addresses, and to no url")
            if any("@" not in one or any(char in one for char in "\r\n,; ") for one in self.to):
                raise ValueError("a mail address is of the form name@host")
        elif bool(self.url) == bool(self.url_secret):
            raise ValueError(f"{self.kind} needs a url, or the name of the secret that holds it")
        if self.kind == "webhook" and not self.key_secret:
            raise ValueError("a webhook is signed: name the secret in key_secret")
        return self
