"""Money is a Decimal and a currency; the currency says how many minor units it has (JPY 0, EUR 2, KWD 3).

Amounts are exact. They are rounded only where a ledger would round them: to the currency's minor unit, half up as
accountants do, and a split never loses or invents a minor unit.
"""

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_UP, Context, Decimal, InvalidOperation
from functools import cache

from babel.core import get_global
from babel.numbers import get_currency_precision

MAX_AMOUNT = Decimal("1e13")
"""Larger than any order; a figure beyond it is a unit mistake. numeric(20,6) holds 14 digits before the point, and an
amount has to fit in group currency too, at whatever rate."""

MAX_DIGITS, MAX_DECIMALS = 28, 20
"""More digits than decimal arithmetic keeps are no exact amount any more."""

_WIDE = Context(prec=2 * MAX_DIGITS)
"""Room for the product of two amounts."""


@cache
def currencies() -> frozenset[str]:
    """The ISO 4217 codes a document may carry (CLDR's list, historic codes included)."""
    return frozenset(get_global("all_currencies"))


@cache
def minor_units(currency: str) -> int:
    """Decimal places of `currency`, by CLDR.

    >>> minor_units("JPY"), minor_units("EUR"), minor_units("KWD")
    (0, 2, 3)
    """
    return int(get_currency_precision(currency))


@cache
def _quantum(currency: str) -> Decimal:
    return Decimal(1).scaleb(-minor_units(currency))


def rounded(amount: Decimal, currency: str) -> Decimal:
    """`amount` to the minor unit of `currency`, half up.

    >>> rounded(Decimal("10.005"), "EUR"), rounded(Decimal("10.5"), "JPY")
    (Decimal('10.01'), Decimal('11'))
    """
    return amount.quantize(_quantum(currency), rounding=ROUND_HALF_UP, context=_WIDE)


def written(amount: Decimal, currency: str) -> str:
    """`amount` as a sentence says it, in whole minor units.

    >>> written(Decimal("-9650.440000"), "EUR"), written(Decimal("3549000"), "JPY")
    ('-9,650.44 EUR', '3,549,000 JPY')
    """
    return f"{rounded(amount, currency):,} {currency}"


def is_whole_minor_units(amount: Decimal, currency: str) -> bool:
    """Whether `amount` needs no rounding in `currency`.

    >>> is_whole_minor_units(Decimal("10.50"), "JPY"), is_whole_minor_units(Decimal("10.50"), "EUR")
    (False, True)
    """
    return amount == rounded(amount, currency)


def parse_amount(text: object) -> Decimal:
    """The Decimal that `text` spells.

    Raises:
        ValueError: not a number, not finite, beyond `MAX_AMOUNT` or finer than `MAX_DECIMALS`. Floats are refused: they
            have already lost what they were.
    """
    if isinstance(text, bool | float) or not isinstance(text, str | int | Decimal):
        raise ValueError(f"{text!r} is not an exact amount")  # noqa: TRY004 - one kind of error for bad input
    try:
        amount = Decimal(text.strip()) if isinstance(text, str) else Decimal(text)
    except InvalidOperation:
        raise ValueError(f"{text!r} is not an amount") from None
    if not (amount.is_finite() and abs(amount) <= MAX_AMOUNT and _is_exact(amount)):
        raise ValueError(f"{repr(text)[:80]} is not an amount a document can carry")
    return amount


def _is_exact(amount: Decimal) -> bool:
    _, digits, exponent = amount.as_tuple()
    return isinstance(exponent, int) and exponent >= -MAX_DECIMALS and len(digits) <= MAX_DIGITS


def split(total: Decimal, weights: Sequence[Decimal], currency: str) -> list[Decimal]:
    """`total` divided in proportion to `weights`, in whole minor units, summing to `total` exactly.

    The largest remainders get the units left over; ties go to the earlier share.

    >>> split(Decimal("100.00"), [Decimal(1)] * 3, "EUR")
    [Decimal('33.34'), Decimal('33.33'), Decimal('33.33')]

    What a total has beyond the minor unit stays visible in the first of them, for whoever checks the amounts.

    Raises:
        ValueError: no positive weight.
    """
    whole = sum(weights, Decimal(0))
    if whole <= 0:
        raise ValueError("a total can only be split by positive weights")
    quantum = _quantum(currency)
    exact = [total * weight / whole for weight in weights]
    shares = [share.quantize(quantum, rounding=ROUND_DOWN) for share in exact]
    left_over = int(((total - sum(shares, Decimal(0))) / quantum).to_integral_value())
    step = quantum if left_over >= 0 else -quantum
    by_remainder = sorted(range(len(shares)), key=lambda i: (-abs(exact[i] - shares[i]), i))
    for i in by_remainder[: abs(left_over)]:
        shares[i] += step
    shares[by_remainder[0]] += total - sum(shares, Decimal(0))
    return shares
