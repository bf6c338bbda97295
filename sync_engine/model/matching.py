"""Three-way match, line by line: what was ordered, what was received, what is billed.

Pure: quantities, prices and tolerances in, a verdict with its variances out. The tolerance semantics follow what the
ERPs do (PRODUCT.md 2F): each check has an upper and a lower side, each side an absolute and a percentage limit; an
active limit that is passed blocks, and with both active the stricter one decides. The date check compares value times
days early with one limit, so that a large invoice may come a little early and a small one much. Taxes are outside.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from sync_engine.model.money import rounded

ZERO = Decimal(0)


class Limit(BaseModel):
    """How far a figure may be off on one side. None: not checked on that measure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    absolute: Decimal | None = None
    percent: Decimal | None = None

    def exceeded_by(self, difference: Decimal, base: Decimal) -> bool:
        """Whether a non-negative `difference` from `base` passes an active limit."""
        if self.absolute is not None and difference > self.absolute:
            return True
        return self.percent is not None and difference * 100 > self.percent * abs(base)


class Sides(BaseModel):
    """An upper and a lower limit. Without a limit on a side, that side is not checked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upper: Limit | None = None
    lower: Limit | None = None

    def exceeded(self, actual: Decimal, expected: Decimal) -> bool:
        """Whether `actual` is too far from `expected`."""
        side = self.upper if actual > expected else self.lower
        return side is not None and side.exceeded_by(abs(actual - expected), expected)


class Tolerance(BaseModel):
    """The limits of one company code or commodity, in document currency and percent."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    price: Sides = Sides()
    quantity: Sides = Sides()
    amount: Sides = Sides()
    value_days: Decimal | None = None
    """Value times days invoiced before the agreed date; None: not checked."""


NO_TOLERANCE = Tolerance(
    price=Sides(upper=Limit(absolute=ZERO), lower=Limit(absolute=ZERO)),
    quantity=Sides(upper=Limit(absolute=ZERO)),
    amount=Sides(upper=Limit(absolute=ZERO), lower=Limit(absolute=ZERO)),
    value_days=ZERO,
)
"""Exact match: what the second first-time-match figure is measured with (PRODUCT.md 5.1)."""


class Verdict(StrEnum):
    """What a match says of a line or an invoice."""

    MATCHED = "matched"
    AWAITING_RECEIPT = "awaiting_receipt"
    BLOCKED = "blocked"


@dataclass(frozen=True, slots=True)
class OrderedLine:
    """An order line and what has happened to it before this invoice, in its own unit and currency."""

    order_number: str
    line: int
    quantity: Decimal
    unit_price: Decimal
    received: Decimal
    billed: Decimal
    receipt_required: bool
    need_by_on: date | None = None


@dataclass(frozen=True, slots=True)
class BilledLine:
    """An invoice line."""

    line: int
    order_number: str
    order_line: int | None
    quantity: Decimal
    unit_price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Variance:
    """One reason why a line does not match; `code` is a key of `exceptions.KINDS`."""

    code: str
    line: int
    expected: Decimal
    actual: Decimal
    sentence: str


@dataclass(frozen=True, slots=True)
class LineMatch:
    """The verdict on one line, with every reason that blocks it."""

    line: int
    verdict: Verdict
    variances: tuple[Variance, ...] = ()
    exact: bool = True
    """It would have matched with no tolerance at all."""


@dataclass(frozen=True, slots=True)
class Match:
    """The verdict on an invoice: as good as its worst line."""

    verdict: Verdict
    lines: tuple[LineMatch, ...]

    @property
    def variances(self) -> tuple[Variance, ...]:
        """Every blocking reason, in line order."""
        return tuple(variance for line in self.lines for variance in line.variances)

    @property
    def exact(self) -> bool:
        """Whether every line matched without using a tolerance."""
        return self.verdict is Verdict.MATCHED and all(line.exact for line in self.lines)


def match_line(
    billed: BilledLine, ordered: OrderedLine | None, tolerance: Tolerance, *, currency: str, invoiced_on: date
) -> LineMatch:
    """The verdict on one billed line.

    A line billed beyond what was received waits for the receipt as long as the order still has that much open, and is
    blocked as soon as it bills more than was ordered. With no receipt required, the ordered quantity takes its place.
    """
    if ordered is None:
        reason = Variance(
            "order_missing",
            billed.line,
            ZERO,
            billed.amount,
            f"Line {billed.line} bills {_plain(billed.amount)} {currency} without an order line.",
        )
        return LineMatch(billed.line, Verdict.BLOCKED, (reason,), exact=False)
    variances = _variances(billed, ordered, tolerance, currency, invoiced_on)
    exact = not _variances(billed, ordered, NO_TOLERANCE, currency, invoiced_on)
    if variances:
        return LineMatch(billed.line, Verdict.BLOCKED, tuple(variances), exact=False)
    if ordered.receipt_required:
        receivable = ordered.received - ordered.billed
        if tolerance.quantity.exceeded(billed.quantity, receivable) and billed.quantity > receivable:
            missing = Variance(
                "receipt_missing",
                billed.line,
                receivable,
                billed.quantity,
                f"Line {billed.line} bills {_plain(billed.quantity)} of order {ordered.order_number} line {ordered.line}; "
                f"{_plain(max(receivable, ZERO))} received and not yet billed.",
            )
            return LineMatch(billed.line, Verdict.AWAITING_RECEIPT, (missing,), exact=False)
        exact = exact and billed.quantity <= receivable
    return LineMatch(billed.line, Verdict.MATCHED, exact=exact)


def _variances(
    billed: BilledLine, ordered: OrderedLine, tolerance: Tolerance, currency: str, invoiced_on: date
) -> list[Variance]:
    where = f"order {ordered.order_number} line {ordered.line}"
    found = []
    still_open = ordered.quantity - ordered.billed
    if billed.quantity > still_open and tolerance.quantity.exceeded(billed.quantity, still_open):
        found.append(
            Variance(
                "quantity_variance",
                billed.line,
                still_open,
                billed.quantity,
                f"Line {billed.line} bills {_plain(billed.quantity)}; {where} has {_plain(max(still_open, ZERO))} of {_plain(ordered.quantity)} left to bill.",
            )
        )
    if tolerance.price.exceeded(billed.unit_price, ordered.unit_price):
        found.append(
            Variance(
                "price_variance",
                billed.line,
                ordered.unit_price,
                billed.unit_price,
                f"Line {billed.line} is priced {_plain(billed.unit_price)} {currency}; {where} says {_plain(ordered.unit_price)}.",
            )
        )
    expected = rounded(billed.quantity * billed.unit_price, currency)
    if tolerance.amount.exceeded(billed.amount, expected):
        found.append(
            Variance(
                "amount_variance",
                billed.line,
                expected,
                billed.amount,
                f"Line {billed.line} bills {_plain(billed.amount)} {currency}; quantity times price is {_plain(expected)}.",
            )
        )
    if tolerance.value_days is not None and ordered.need_by_on is not None and not ordered.receipt_required:
        days_early = (ordered.need_by_on - invoiced_on).days
        if days_early > 0 and days_early * billed.amount > tolerance.value_days:
            found.append(
                Variance(
                    "date_variance",
                    billed.line,
                    ZERO,
                    Decimal(days_early),
                    f"Line {billed.line} is invoiced {days_early} days before {where} is due.",
                )
            )
    return found


def match(
    billed: Sequence[BilledLine],
    ordered: Sequence[OrderedLine],
    tolerance: Tolerance,
    *,
    currency: str,
    invoiced_on: date,
) -> Match:
    """The verdict on an invoice. Lines that bill the same order line are weighed one after the other, so two halves
    cannot both claim the whole."""
    book = {(line.order_number, line.line): line for line in ordered}
    results = []
    for line in billed:
        key = (line.order_number, line.order_line) if line.order_line is not None else None
        against = book.get(key) if key is not None else None
        results.append(match_line(line, against, tolerance, currency=currency, invoiced_on=invoiced_on))
        if against is not None and key is not None:
            book[key] = OrderedLine(
                against.order_number,
                against.line,
                against.quantity,
                against.unit_price,
                against.received,
                against.billed + line.quantity,
                against.receipt_required,
                against.need_by_on,
            )
    verdicts = {result.verdict for result in results}
    if not results or Verdict.BLOCKED in verdicts:
        return Match(Verdict.BLOCKED, tuple(results))
    return Match(Verdict.AWAITING_RECEIPT if Verdict.AWAITING_RECEIPT in verdicts else Verdict.MATCHED, tuple(results))


def _plain(figure: Decimal) -> str:
    """A figure without an exponent and without trailing zeros that say nothing.

    >>> _plain(Decimal("12.500")), _plain(Decimal("1E+2"))
    ('12.5', '100')
    """
    text = f"{figure:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
