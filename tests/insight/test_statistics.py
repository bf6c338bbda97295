"""How sure a share or a difference is, against other ways of working it out (PRODUCT 6, traps 2 and 10)."""

from math import sqrt
from random import Random

import pytest

from sync_engine.insight.statistics import FEW, Z_95, difference, wilson


@pytest.mark.parametrize(("part", "whole"), [(0, 3), (2, 3), (3, 3), (9, 10), (120, 400), (399, 400)])
def test_a_bound_is_where_the_share_seen_is_just_believable(part, whole):
    """Wilson's bounds are the shares from which the one seen lies exactly z standard errors away (E. B. Wilson, 1927)."""
    for bound in wilson(part, whole):
        if 0 < bound < 1:
            assert abs(part / whole - bound) == pytest.approx(Z_95 * sqrt(bound * (1 - bound) / whole), abs=1e-6)


def test_a_share_of_nothing_has_no_bounds():
    """Trap 2: 0 of 0 is no data."""
    assert wilson(0, 0) is None


def test_a_small_unit_s_lower_bound_does_not_lead_a_ranking():
    """Trap 10: 2 of 3 is less sure to be bad than 60 of 100."""
    assert wilson(2, 3)[0] < wilson(60, 100)[0]


def grouped(values):
    return [(value, values.count(value)) for value in sorted(set(values))]


def drawn_again(ours, theirs, *, seed, draws=1500):
    """The bootstrap itself: values drawn with replacement, the difference of their medians, its middle 95 %."""
    chance = Random(seed)

    def median(values):
        return sorted(chance.choices(values, k=len(values)))[(len(values) - 1) // 2]

    gaps = sorted(median(ours) - median(theirs) for _ in range(draws))
    return gaps[int(0.025 * draws)], gaps[int(0.975 * draws)]


def test_the_bounds_of_a_difference_are_those_of_drawing_the_values_themselves():
    chance = Random(7)
    ours, theirs = [round(chance.expovariate(1 / 50)) for _ in range(300)], [round(chance.expovariate(1 / 40)) for _ in range(250)]  # fmt: skip
    by, low, high = difference(grouped(ours), grouped(theirs), share=0.5, seed=1, draws=1500)
    expected_low, expected_high = drawn_again(ours, theirs, seed=2)
    width = expected_high - expected_low
    assert low == pytest.approx(expected_low, abs=0.25 * width)
    assert high == pytest.approx(expected_high, abs=0.25 * width)
    assert low <= by <= high


def test_the_same_seed_gives_the_same_bounds_and_few_values_give_none():
    values = [(float(n), 3) for n in range(1, 40)]
    assert difference(values, values, share=0.5, seed=3) == difference(values, values, share=0.5, seed=3)
    assert difference(values, values, share=0.5, seed=3)[0] == 0
    assert difference([(1.0, FEW - 1)], values, share=0.5, seed=3) is None
