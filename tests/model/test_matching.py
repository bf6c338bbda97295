"""Three-way match, line by line, with the tolerances the ERPs have (R043, R044, R117, PRODUCT 2F)."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync_engine.model.exceptions import KINDS
from sync_engine.model.matching import (
    NO_TOLERANCE,
    BilledLine,
    Limit,
    OrderedLine,
    Sides,
    Tolerance,
    Verdict,
    match,
    match_line,
)

D = Decimal
DAY = date(2026, 9, 15)
STANDARD = Tolerance(
    price=Sides(upper=Limit(absolute=D(50), percent=D(2)), lower=Limit(percent=D(10))),
    quantity=Sides(upper=Limit(percent=D(0))),
    amount=Sides(upper=Limit(absolute=D(1)), lower=Limit(absolute=D(1))),
)


def ordered(
    line=10, *, quantity="10", price="20.00", received="10", billed="0", receipt_required=True, need_by_on=None
):
    return OrderedLine("4500000001", line, D(quantity), D(price), D(received), D(billed), receipt_required, need_by_on)


def billed(line=1, *, order_line=10, quantity="10", price="20.00", amount=None):
    total = D(amount) if amount is not None else D(quantity) * D(price)
    return BilledLine(line, "4500000001", order_line, D(quantity), D(price), total)


def verdict(one, against, tolerance=STANDARD, invoiced_on=DAY):
    found = match_line(one, against, tolerance, currency="EUR", invoiced_on=invoiced_on)
    return found.verdict.value, [variance.code for variance in found.variances]


# -- the three sides -------------------------------------------------------------------------------------------------------


def test_ordered_received_and_billed_alike_matches_exactly():
    found = match_line(billed(), ordered(), STANDARD, currency="EUR", invoiced_on=DAY)
    assert (found.verdict, found.variances, found.exact) == (Verdict.MATCHED, (), True)


# fmt: off
LINES = [
    pytest.param(billed(quantity="4"), ordered(received="4"), ("matched", []), id="a partial invoice for a partial receipt"),
    pytest.param(billed(quantity="6"), ordered(billed="4"), ("matched", []), id="the rest of it"),
    pytest.param(billed(quantity="5"), ordered(received="4"), ("awaiting_receipt", ["receipt_missing"]), id="one more than has come"),
    pytest.param(billed(), ordered(received="0"), ("awaiting_receipt", ["receipt_missing"]), id="before anything came"),
    pytest.param(billed(quantity="6"), ordered(received="9", billed="4"), ("awaiting_receipt", ["receipt_missing"]), id="received, and billed by another"),
    pytest.param(billed(quantity="11"), ordered(received="10"), ("blocked", ["quantity_variance"]), id="more than was ordered"),
    pytest.param(billed(quantity="1"), ordered(billed="10"), ("blocked", ["quantity_variance"]), id="everything billed already"),
    pytest.param(billed(quantity="10"), ordered(received="10", billed="10"), ("blocked", ["quantity_variance"]), id="all of it a second time"),
    pytest.param(billed(quantity="11"), ordered(received="11"), ("blocked", ["quantity_variance"]), id="delivered beyond the order too"),
    pytest.param(billed(), ordered(received="-2"), ("awaiting_receipt", ["receipt_missing"]), id="a receipt reversed too often"),
    pytest.param(billed(), ordered(received="0", receipt_required=False), ("matched", []), id="a service without receipt"),
    pytest.param(billed(quantity="11"), ordered(receipt_required=False), ("blocked", ["quantity_variance"]), id="more service than was ordered"),
]
# fmt: on


@pytest.mark.parametrize(("one", "against", "expected"), LINES)
def test_quantities_are_weighed_against_what_was_ordered_received_and_billed(one, against, expected):
    assert verdict(one, against) == expected


def test_a_line_without_an_order_line_is_blocked_with_its_amount():
    found = match_line(billed(amount="99.90"), None, STANDARD, currency="EUR", invoiced_on=DAY)
    assert found.variances[0].sentence == "Line 1 bills 99.9 EUR without an order line."
    assert (found.verdict, found.exact) == (Verdict.BLOCKED, False)


@pytest.mark.parametrize("order_line", [None, 20])
def test_an_invoice_line_that_names_no_or_another_order_line_is_blocked(order_line):
    found = match([billed(order_line=order_line)], [ordered(10)], STANDARD, currency="EUR", invoiced_on=DAY)
    assert [(found.verdict, v.code) for v in found.variances] == [(Verdict.BLOCKED, "order_missing")]


# -- tolerances: absolute and per cent, upper and lower --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "actual", "passes"),
    [
        ("20.00", "20.40", True),  # two per cent
        ("20.00", "20.41", False),
        ("20.00", "18.00", True),  # ten per cent less
        ("20.00", "17.99", False),
        ("10000.00", "10050.00", True),  # fifty, though two per cent would be two hundred
        ("10000.00", "10050.01", False),
        ("10000.00", "9000.00", True),  # nothing absolute below
        ("0.00", "0.00", True),
        ("0.00", "0.01", False),  # any per cent of nothing is nothing
    ],
)
def test_of_two_active_limits_the_stricter_decides_on_either_side(expected, actual, passes):
    found = verdict(billed(price=actual), ordered(price=expected))
    assert found == (("matched", []) if passes else ("blocked", ["price_variance"]))


@pytest.mark.parametrize(
    ("sides", "actual", "passes"),
    [
        (Sides(), "1000000", True),
        (Sides(upper=Limit()), "1000000", True),
        (Sides(upper=Limit(absolute=D(5))), "25", True),
        (Sides(upper=Limit(absolute=D(5))), "25.01", False),
        (Sides(upper=Limit(absolute=D(5))), "0.01", True),
        (Sides(lower=Limit(absolute=D(5))), "15", True),
        (Sides(lower=Limit(absolute=D(5))), "14.99", False),
        (Sides(lower=Limit(absolute=D(5))), "1000", True),
        (Sides(upper=Limit(percent=D("0.5"))), "20.10", True),
        (Sides(upper=Limit(percent=D("0.5"))), "20.11", False),
        (Sides(upper=Limit(percent=D(100))), "40", True),
        (Sides(upper=Limit(percent=D(100))), "40.01", False),
        (Sides(upper=Limit(absolute=D(0)), lower=Limit(absolute=D(0))), "20.00", True),
    ],
)
def test_a_side_without_a_limit_is_not_checked(sides, actual, passes):
    assert verdict(billed(price=actual), ordered(), Tolerance(price=sides))[0] == ("matched" if passes else "blocked")


@pytest.mark.parametrize(
    ("amount", "passes"), [("200.00", True), ("201.00", True), ("201.01", False), ("199.00", True), ("198.99", False)]
)
def test_the_amount_has_to_follow_from_quantity_and_price(amount, passes):
    found = verdict(billed(amount=amount), ordered())
    assert found == (("matched", []) if passes else ("blocked", ["amount_variance"]))


@pytest.mark.parametrize(
    ("quantity", "expected"),
    [("10", "matched"), ("10.5", "matched"), ("10.51", "awaiting_receipt")],
)
def test_a_quantity_tolerance_is_measured_on_what_has_been_received(quantity, expected):
    raw = STANDARD.model_copy(update={"quantity": Sides(upper=Limit(percent=D(5)))})
    assert verdict(billed(quantity=quantity), ordered(quantity="20"), raw)[0] == expected


@pytest.mark.parametrize(
    ("days_early", "amount", "passes"),
    [
        (0, "200.00", True),
        (5, "200.00", True),
        (6, "200.00", False),
        (50, "20.00", True),
        (51, "20.00", False),
        (-30, "200.00", True),
    ],
)
def test_large_and_a_little_early_weighs_like_small_and_much_too_early(days_early, amount, passes):
    """SAP's ST key: value times days against one limit."""
    tolerance = Tolerance(value_days=D(1000))
    service = ordered(receipt_required=False, need_by_on=DAY + timedelta(days=days_early))
    found = verdict(billed(quantity="1", price=amount), service, tolerance)
    assert found == (("matched", []) if passes else ("blocked", ["date_variance"]))


def test_goods_that_have_been_received_are_never_too_early():
    assert verdict(billed(), ordered(need_by_on=DAY + timedelta(days=900)), Tolerance(value_days=D(0))) == (
        "matched",
        [],
    )


def test_every_reason_is_told_and_not_the_first_alone():
    """2F: a release checks every reason again, so every reason has to be known."""
    found = verdict(
        billed(quantity="11", price="30.00", amount="500.00"),
        ordered(receipt_required=False, need_by_on=DAY + timedelta(days=2)),
        NO_TOLERANCE,
    )
    assert found == ("blocked", ["quantity_variance", "price_variance", "amount_variance", "date_variance"])


def test_a_variance_names_both_figures_and_the_order_line():
    found = match_line(billed(price="26.00"), ordered(), STANDARD, currency="EUR", invoiced_on=DAY)
    [variance] = found.variances
    assert variance.sentence == "Line 1 is priced 26 EUR; order 4500000001 line 10 says 20."
    assert (variance.expected, variance.actual) == (D("20.00"), D("26.00"))


# -- whole invoices --------------------------------------------------------------------------------------------------------


def test_two_halves_of_one_order_line_cannot_both_claim_the_whole():
    found = match(
        [billed(1, quantity="6"), billed(2, quantity="6")], [ordered()], STANDARD, currency="EUR", invoiced_on=DAY
    )
    assert [line.verdict.value for line in found.lines] == ["matched", "blocked"]
    assert "has 4 of 10 left to bill" in found.variances[0].sentence


def test_several_lines_on_one_order_line_add_up():
    halves = [billed(1, quantity="4"), billed(2, quantity="6")]
    found = match(halves, [ordered()], STANDARD, currency="EUR", invoiced_on=DAY)
    assert (found.verdict, found.exact, found.variances) == (Verdict.MATCHED, True, ())


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        (billed(2, order_line=20), "matched"),
        (billed(2, order_line=30), "awaiting_receipt"),
        (billed(2, order_line=20, price="90"), "blocked"),
        (billed(2, order_line=None), "blocked"),
    ],
)
def test_an_invoice_is_as_good_as_its_worst_line(second, expected):
    book = [ordered(10), ordered(20), ordered(30, received="0")]
    assert match([billed(1), second], book, STANDARD, currency="EUR", invoiced_on=DAY).verdict.value == expected


def test_a_blocked_line_and_one_without_receipt_make_a_blocked_invoice():
    book = [ordered(10, received="0"), ordered(20)]
    assert (
        match(
            [billed(1), billed(2, order_line=20, price="90")], book, STANDARD, currency="EUR", invoiced_on=DAY
        ).verdict
        is Verdict.BLOCKED
    )


def test_an_invoice_without_lines_matches_nothing():
    assert match([], [ordered()], STANDARD, currency="EUR", invoiced_on=DAY).verdict is Verdict.BLOCKED


def test_one_invoice_over_two_orders_is_weighed_line_by_line():
    other = OrderedLine("4500000002", 10, D(5), D("7.00"), D(5), D(0), receipt_required=True)
    lines = [billed(1), BilledLine(2, "4500000002", 10, D(5), D("7.00"), D("35.00"))]
    assert match(lines, [ordered(), other], STANDARD, currency="EUR", invoiced_on=DAY).exact


def test_matched_within_tolerance_is_not_matched_exactly():
    found = match([billed(price="20.40")], [ordered()], STANDARD, currency="EUR", invoiced_on=DAY)
    assert (found.verdict, found.exact) == (Verdict.MATCHED, False)


def test_what_was_blocked_matches_once_its_cause_is_gone_and_only_then():
    """Release re-checks every reason: one repaired of two still blocks."""
    line = billed(price="26.00")
    assert verdict(line, ordered(received="0"))[0] == "blocked"
    assert verdict(line, ordered(price="26.00", received="0"))[0] == "awaiting_receipt"
    assert verdict(line, ordered(price="26.00"))[0] == "matched"


QUANTITIES = st.lists(st.decimals("0.001", 20, places=3), min_size=1, max_size=8)


@given(QUANTITIES, st.decimals(0, 50, places=3), st.decimals(0, 50, places=3))
def test_matched_lines_together_never_bill_more_than_was_received(quantities, quantity, received):
    """However the lines are cut, without a tolerance on quantity."""
    lines = [billed(i, quantity=str(wanted)) for i, wanted in enumerate(quantities, 1)]
    found = match(
        lines, [ordered(quantity=str(quantity), received=str(received))], STANDARD, currency="EUR", invoiced_on=DAY
    )
    matched = sum(
        (line.quantity for line, result in zip(lines, found.lines, strict=True) if result.verdict is Verdict.MATCHED),
        D(0),
    )
    assert matched <= min(quantity, received)


@given(
    st.decimals("0.01", 500, places=2),
    st.decimals("0.01", 500, places=2),
    st.decimals(0, 30, places=1),
    st.decimals(0, 30, places=1),
)
def test_a_wider_tolerance_never_blocks_what_a_narrower_one_let_through(price, expected, one, other):
    narrow, wide = (
        Tolerance(price=Sides(upper=Limit(percent=p), lower=Limit(percent=p))) for p in sorted([one, other])
    )
    if verdict(billed(price=str(price)), ordered(price=str(expected)), narrow)[0] == "matched":
        assert verdict(billed(price=str(price)), ordered(price=str(expected)), wide)[0] == "matched"


def test_every_reason_a_match_gives_is_a_kind_of_exception():
    assert {
        "order_missing",
        "quantity_variance",
        "price_variance",
        "amount_variance",
        "date_variance",
        "receipt_missing",
    } <= set(KINDS)
