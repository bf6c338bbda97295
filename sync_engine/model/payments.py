"""When suppliers are paid and what paying late or early is worth: runs, terms, late-payment rates, as treasury states them.

Versioned configuration (`config/payments.toml`), like the policies. What is worked out of it stands in `insight/due.py`.
"""

from datetime import date, time
from decimal import Decimal
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

OTHERS = "default"
"""The entry for everything that has none of its own."""

EU = frozenset(
    ["AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV", "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK"]
)  # fmt: skip
"""Countries of directive 2011/7/EU on late payment, by ISO 3166-1."""


class Run(BaseModel):
    """The payment run of a company code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekdays: tuple[int, ...] = Field(min_length=1)
    """On which days of the week it pays (monday = 0)."""
    cut_off: time
    """Until when an invoice has to be ready, in the calendar's zone."""
    calendar: str
    moved: Literal["before", "after"]
    """Where a run goes that falls on a day off."""

    @model_validator(mode="after")
    def _is_a_week(self) -> Self:
        if len(set(self.weekdays)) != len(self.weekdays) or not set(self.weekdays) <= set(range(7)):
            raise ValueError("weekdays are numbers from 0 (monday) to 6, each once")
        return self


class LateRate(BaseModel):
    """What a late payment costs: interest a year, and a fixed fee in group currency."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reference: Decimal = Field(ge=0, le=100)
    """The reference rate, percent a year."""
    points: Decimal = Field(ge=0, le=100)
    """Percentage points above it."""
    fixed_fee: Decimal = Field(ge=0)
    source: str = Field(min_length=1)

    @property
    def share(self) -> Decimal:
        """Of the amount, a year.

        >>> LateRate(reference="2.15", points="8", fixed_fee="40", source="directive 2011/7/EU").share
        Decimal('0.1015')
        """
        return (self.reference + self.points) / 100


class Term(BaseModel):
    """A payment term: net days from the baseline date, and perhaps a discount for paying sooner."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    net_days: int = Field(ge=0, le=365)
    discount_days: int = Field(0, ge=0, le=365)
    discount_percent: Decimal = Field(Decimal(0), ge=0, lt=100)

    @model_validator(mode="after")
    def _discount_comes_first(self) -> Self:
        if (self.discount_percent > 0) and not self.discount_days < self.net_days:
            raise ValueError("a discount ends before the net day, or nobody gives it for paying sooner")
        return self

    @property
    def discount(self) -> Decimal:
        """As a share of the amount."""
        return self.discount_percent / 100


class Payments(BaseModel):
    """`payments.toml`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    owner: str
    runs: dict[str, Run]
    """By company code."""
    late: dict[str, LateRate]
    """By country, "EU" for its members without one of their own, "default" for everybody else."""
    terms: dict[str, Term]
    """By the ERP's name."""
    minutes: dict[str, float]
    """A person's work per invoice, by what stands in its way."""
    critical: dict[str, Decimal] = {}
    """What a late payment to a supplier is worth avoiding, in group currency, by the ERP's supplier number."""

    @model_validator(mode="after")
    def _has_its_defaults(self) -> Self:
        for name, table in (("late", self.late), ("minutes", self.minutes)):
            if OTHERS not in table:
                raise ValueError(f"{name} has no entry {OTHERS!r} for everything without one of its own")
        if any(minutes <= 0 for minutes in self.minutes.values()):
            raise ValueError("minutes are above zero: what takes no work needs no queue")
        return self

    def late_rate(self, country: str) -> LateRate:
        """The rate for a supplier's country."""
        return self.late.get(country) or (self.late.get("EU") if country in EU else None) or self.late[OTHERS]

    def work_minutes(self, reason: str) -> float:
        """A person's minutes for an invoice that stands for a reason."""
        return self.minutes.get(reason, self.minutes[OTHERS])

    def valid(self, calendars: frozenset[str] | set[str], company_codes: set[str]) -> list[str]:
        """What does not fit the rest of the configuration, in sentences."""
        wrong = [
            f"The payment run of company code {code} goes by calendar {run.calendar}, which calendars.toml does not have."
            for code, run in self.runs.items()
            if run.calendar not in calendars
        ]
        return wrong + [f"Company code {code} has no payment run." for code in sorted(company_codes - set(self.runs))]


def net_day(baseline: date, term: Term) -> date:
    """The day a term makes an invoice due: baseline date + net days (PRODUCT.md 4.11).

    >>> net_day(date(2028, 1, 30), Term(net_days=30))
    datetime.date(2028, 2, 29)
    """
    return date.fromordinal(baseline.toordinal() + term.net_days)


def discount_day(baseline: date, term: Term) -> date | None:
    """The last day of a term's discount: baseline date + discount days; None where there is none."""
    return date.fromordinal(baseline.toordinal() + term.discount_days) if term.discount_percent else None
