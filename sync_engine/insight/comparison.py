"""Whether one group really does worse than another: rates made comparable, and what an attribute goes with (PRODUCT.md 4.3 and section 6, trap 11)."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, sqrt

from sync_engine.insight.statistics import Z_95


def standardised(now: Mapping[str, tuple[float, int]], mix: Mapping[str, int]) -> float | None:
    """The rate there would be now if the groups still had the sizes of `mix`: direct standardisation.

    An overall rate can fall while that of every group rises, because more comes from groups that were always good (E. H. Simpson,
    Journal of the Royal Statistical Society B 13, 1951). Groups that are in one of the two alone are left out.

    Args:
        now: Group -> (how many of it, out of so many).
        mix: Group -> its size before.

    >>> round(standardised({"easy": (11, 100), "hard": (6, 10)}, {"easy": 50, "hard": 50}), 3)
    0.355
    >>> standardised({}, {"easy": 5}) is None
    True
    """
    shared = {group: size for group, size in mix.items() if size and now.get(group, (0, 0))[1]}
    weight = sum(shared.values())
    if not weight:
        return None
    return sum(now[group][0] / now[group][1] * size for group, size in shared.items()) / weight


@dataclass(frozen=True, slots=True)
class Lift:
    """How many times the rate of the others a group has. `low` to `high` holds the true ratio in 95 %; None for both rates zero."""

    ratio: float
    low: float
    high: float
    vanishing: float
    """How many fewer there would be at the rate of the others."""

    @property
    def is_sure(self) -> bool:
        """Whether chance alone does not explain it."""
        return self.low > 1 or self.high < 1


def lift(part: int, whole: int, other_part: int, other_whole: int) -> Lift | None:
    """The rate of a group over that of all others, with its interval (logarithmic: D. Katz and others, Biometrics 34, 1978).

    Where one of them has none, half a case is added to each so that the ratio stays finite. None: one of the groups is empty, or
    neither has any.

    >>> found = lift(30, 100, 20, 200)
    >>> round(found.ratio, 2), round(found.low, 2), round(found.high, 2), round(found.vanishing, 1)
    (3.0, 1.8, 5.01, 20.0)
    >>> lift(0, 10, 0, 10) is None
    True
    """
    if not whole or not other_whole or not (part or other_part):
        return None
    vanishing = part - whole * other_part / other_whole
    a, n, c, m = float(part), float(whole), float(other_part), float(other_whole)
    if not part or not other_part:
        a, n, c, m = a + 0.5, n + 1, c + 0.5, m + 1
    ratio = (a / n) / (c / m)
    spread = Z_95 * sqrt(max(1 / a - 1 / n + 1 / c - 1 / m, 0))
    return Lift(ratio, exp(log(ratio) - spread), exp(log(ratio) + spread), vanishing)
