"""Money: exact, rounded only to the minor unit of its currency, and never lost or invented by a split (I3, P3)."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_engine.model.money import (
    MAX_AMOUNT,
    currencies,
    is_whole_minor_units,
    minor_units,
    parse_amount,
    rounded,
    split,
)

D = Decimal


def minor(currency: str) -> Decimal:
    return D(1).scaleb(-minor_units(currency))


@pytest.mark.parametrize(
    ("currency", "units"),
    [("EUR", 2), ("USD", 2), ("GBP", 2), ("JPY", 0), ("KRW", 0), ("BHD", 3), ("KWD", 3), ("TND", 3)],
)
def test_each_currency_has_its_own_minor_unit(currency, units):
    assert minor_units(currency) == units


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        ("10.005", "EUR", "10.01"),
        ("10.00499999", "EUR", "10.00"),
        ("-10.005", "EUR", "-10.01"),
        ("10.5", "JPY", "11"),
        ("10.49", "JPY", "10"),
        ("1.0005", "BHD", "1.001"),
        ("1.00049", "BHD", "1.000"),
        ("0", "EUR", "0.00"),
    ],
)
def test_a_ledger_rounds_half_up_to_the_minor_unit(amount, currency, expected):
    assert str(rounded(D(amount), currency)) == expected


def test_the_product_of_two_huge_figures_is_rounded_and_not_a_crash():
    assert rounded(D("99999999999") * D("99999999999.99"), "BHD") > MAX_AMOUNT


@pytest.mark.parametrize(
    ("amount", "currency", "whole"),
    [
        ("10.50", "JPY", False),
        ("10", "JPY", True),
        ("10.505", "EUR", False),
        ("10.505", "BHD", True),
        ("10.5000", "EUR", True),
    ],
)
def test_an_amount_that_needs_rounding_is_recognised(amount, currency, whole):
    assert is_whole_minor_units(D(amount), currency) is whole


@pytest.mark.parametrize(
    ("text", "amount"),
    [("12.50", "12.50"), (" 7 ", "7"), ("-3.1", "-3.1"), (5, "5"), (D("1.5"), "1.5"), ("1E+2", "100")],
)
def test_an_exact_amount_is_taken_over(text, amount):
    assert parse_amount(text) == D(amount)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(1.5, id="a float has already lost what it was"),
        pytest.param(True, id="yes is no amount"),
        pytest.param(None, id="nothing"),
        pytest.param("", id="empty"),
        pytest.param("12,50", id="a comma"),
        pytest.param("1 000", id="a blank between the digits"),
        pytest.param("EUR 5", id="a currency in the figure"),
        pytest.param("NaN", id="not a number"),
        pytest.param("Infinity", id="without end"),
        pytest.param("1e14", id="more than the database holds"),
        pytest.param("1e999999", id="more than anybody has"),
        pytest.param("1e-999999", id="a million decimals"),
        pytest.param("0." + "1" * 40, id="forty decimals"),
        pytest.param(["5"], id="a list"),
    ],
)
def test_what_is_no_exact_amount_is_refused_and_never_guessed(text):
    with pytest.raises(ValueError, match=r"amount"):
        parse_amount(text)


def test_the_largest_amount_fits_the_database_in_group_currency_too():
    dearest = D("3.5")  # of all currencies the Kuwaiti dinar is worth most, a little over three euros
    assert MAX_AMOUNT * dearest < D(10) ** 14, "numeric(20,6) holds fourteen digits before the point"


SHARES = st.lists(st.decimals("0", "1000000", places=4, allow_nan=False), min_size=1, max_size=12).filter(
    lambda w: sum(w) > 0
)


@given(cents=st.integers(-(10**15), 10**15), weights=SHARES, currency=st.sampled_from(["EUR", "JPY", "BHD"]))
def test_a_split_never_loses_or_invents_a_minor_unit(cents, weights, currency):
    total = cents * minor(currency)
    if abs(total) > MAX_AMOUNT:
        total /= 1000
        total = rounded(total, currency)
    shares = split(total, weights, currency)
    assert sum(shares) == total
    assert len(shares) == len(weights)
    whole = sum(weights)
    for share, weight in zip(shares, weights, strict=True):
        assert is_whole_minor_units(share, currency)
        assert abs(share - total * weight / whole) <= minor(currency), "nobody is off by more than one minor unit"
        assert weight or not share, "who bears nothing pays nothing"


@pytest.mark.parametrize(
    ("total", "weights", "currency", "shares"),
    [
        ("100.00", [1, 1, 1], "EUR", ["33.34", "33.33", "33.33"]),
        ("100", [1, 1, 1], "JPY", ["34", "33", "33"]),
        ("1.000", [1, 1, 1], "BHD", ["0.334", "0.333", "0.333"]),
        ("-100.00", [1, 1, 1], "EUR", ["-33.34", "-33.33", "-33.33"]),
        ("0.01", [1, 1], "EUR", ["0.01", "0.00"]),
        ("0.01", [0, 1], "EUR", ["0.00", "0.01"]),
        ("10.00", [D("0.2"), D("0.3"), D("0.5")], "EUR", ["2.00", "3.00", "5.00"]),
    ],
)
def test_the_largest_remainder_gets_the_unit_left_over(total, weights, currency, shares):
    assert [str(share) for share in split(D(total), [D(weight) for weight in weights], currency)] == shares


@pytest.mark.parametrize("weights", [[], [0], [0, 0], [-1, 1]])
def test_nothing_can_be_split_by_weights_that_are_nothing(weights):
    with pytest.raises(ValueError, match="positive weights"):
        split(D(10), [D(weight) for weight in weights], "EUR")


def test_the_odd_end_of_a_total_the_currency_cannot_pay_stays_visible():
    assert split(D("10.005"), [D(1), D(1)], "EUR") == [D("5.005"), D("5.00")]


def test_currencies_are_the_iso_codes_and_nothing_else():
    assert {"EUR", "JPY", "BHD", "USD"} <= currencies()
    assert not {"", "eur", "EURO", "ZZZ", "€"} & currencies()
