"""How sure a share is. Small units swing widely: whoever ranks them by their plain share ranks chance (PRODUCT.md section 6, trap 10)."""

from collections.abc import Sequence
from math import sqrt
from random import Random

Z_95, Z_99 = 1.959964, 2.575829
FEW, SOME = 10, 30
"""Below FEW a percentile is a guess and is not shown; below SOME it carries a mark."""


def wilson(part: float, whole: int, *, z: float = Z_95) -> tuple[float, float] | None:
    """Between which shares the true one lies, given `part` of `whole` (Wilson's interval). None: there is nothing to take a share of.

    >>> [round(bound, 3) for bound in wilson(2, 3)]
    [0.208, 0.939]
    >>> wilson(0, 0) is None
    True
    """
    if whole == 0:
        return None
    share = part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z / (1 + z * z / whole) * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return max(0.0, middle - half), min(1.0, middle + half)


def by_chance(share: float, whole: int, *, z: float = Z_95) -> tuple[float, float]:
    """Between which shares a unit of `whole` documents lies by chance alone if it is like all others: the lines of a funnel plot.

    >>> [round(bound, 3) for bound in by_chance(0.1, 400)]
    [0.074, 0.133]
    """
    return wilson(share * whole, whole, z=z) or (0.0, 1.0)


def covered(causes: Sequence[frozenset[str]], order: Sequence[str]) -> list[int]:
    """How many documents met one of the first k causes of `order`, for k = 1, 2, ...; `causes` are those of each document. A document
    with two causes counts once, so that the last number is all of them.

    >>> covered([frozenset({"a"}), frozenset({"a", "b"}), frozenset({"b", "c"})], ["a", "b", "c"])
    [2, 3, 3]
    """
    rank = {cause: position for position, cause in enumerate(order)}
    first = [min(rank[cause] for cause in met) for met in causes if met]
    counts = [0] * len(order)
    for position in first:
        counts[position] += 1
    total, running = 0, []
    for one in counts:
        total += one
        running.append(total)
    return running


def _ranked(buckets: Sequence[tuple[float, int]], n: int, share: float) -> float:
    """The value at a share of n values, given in ascending buckets (value, how many)."""
    rank, seen = share * (n - 1), 0
    for value, held in buckets:
        seen += held
        if seen > rank:
            return value
    return buckets[-1][0]


def difference(
    ours: Sequence[tuple[float, int]], theirs: Sequence[tuple[float, int]], *, share: float, seed: int, draws: int = 400
) -> tuple[float, float, float] | None:
    """By how much a percentile of one population is above that of another, and between which bounds that lies (95 %).

    A percentile bootstrap (B. Efron, Annals of Statistics 7(1), 1979). Drawing n values again and again and taking a percentile is
    drawing its rank: how many of n draws fall below a share is binomial, here by its normal form, which is why few values give None.

    Args:
        ours: (value, how many), ascending.
        theirs: The same of the other population.
        share: Of the percentile, 0 to 1.
        seed: The same seed, the same bounds.
        draws: How often is drawn.

    Returns:
        (difference, low, high); None where either has fewer than `FEW` values.
    """
    n, m = sum(held for _, held in ours), sum(held for _, held in theirs)
    if min(n, m) < FEW:
        return None
    chance = Random(seed)  # noqa: S311 - bounds, no secret

    def drawn(buckets: Sequence[tuple[float, int]], size: int) -> float:
        moved = chance.gauss(share, sqrt(share * (1 - share) / size))
        return _ranked(buckets, size, min(1.0, max(0.0, moved)))

    gaps = sorted(drawn(ours, n) - drawn(theirs, m) for _ in range(draws))
    low, high = gaps[int(0.025 * (draws - 1))], gaps[int(0.975 * (draws - 1))]
    return _ranked(ours, n, share) - _ranked(theirs, m, share), low, high
