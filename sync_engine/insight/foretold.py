"""What would have been foretold of invoices on past days, with what was known then, against what happened (PRODUCT.md D04). Pure, as `due`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

from sync_engine.insight.due import HOUR_S, Paid, Peers, Stay, on_time
from sync_engine.insight.statistics import SOME

# -- was it so ------------------------------------------------------------------------------------------------------------------


def brier(foretold: Sequence[tuple[float, bool]]) -> float | None:
    """Mean squared difference between what was foretold and what happened: 0 is perfect, a coin tossed has 0.25
    (G. W. Brier, Monthly Weather Review 78(1), 1950).

    >>> brier([(1.0, True), (0.5, False)])
    0.125
    """
    return sum((p - happened) ** 2 for p, happened in foretold) / len(foretold) if foretold else None


@dataclass(frozen=True, slots=True)
class Bin:
    """Of n invoices whose probability lay between two bounds: what was foretold on average, and how many were in time."""

    low: float
    high: float
    n: int
    foretold: float
    in_time: int

    @property
    def happened(self) -> float:
        """The share that was in time."""
        return self.in_time / self.n


def place_of(p: float, *, bins: int = 10) -> int:
    """Which of so many equal parts of 0 to 1 a probability lies in, from 0.

    >>> place_of(0.29), place_of(0.3), place_of(1.0)
    (2, 3, 9)
    """
    return min(bins - 1, int(p * bins))


def calibration(foretold: Sequence[tuple[float, bool]], *, bins: int = 10) -> list[Bin]:
    """What was foretold against what happened, by tenths; empty tenths are not there.

    >>> [(one.n, one.in_time) for one in calibration([(0.05, False), (0.95, True), (1.0, True)])]
    [(1, 0), (2, 2)]
    """
    held: dict[int, list[tuple[float, bool]]] = defaultdict(list)
    for p, happened in foretold:
        held[place_of(p, bins=bins)].append((p, happened))
    return [
        Bin(
            place / bins,
            (place + 1) / bins,
            len(pairs),
            sum(p for p, _ in pairs) / len(pairs),
            sum(h for _, h in pairs),
        )
        for place, pairs in sorted(held.items())
    ]


# -- the past, and what would have been foretold in it --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Past:
    """An invoice and what became of it. Times are seconds since 1970.

    Args:
        document: Its id.
        unit: Business unit.
        band: Amount band.
        due_on: The due date.
        cut_off_s: Of the last run before it is due; None where no run is known.
        visits: (stage, entered), in order.
        ready_s: When it became ready for payment; None: not yet, or never.
        ended_s: When it was given up; None: open or paid.
        paid_on: The day it was paid.
    """

    document: str
    unit: str
    band: int
    due_on: date | None
    cut_off_s: float | None
    visits: tuple[tuple[str, float], ...]
    ready_s: float | None
    ended_s: float | None
    paid_on: date | None


@dataclass(frozen=True, slots=True)
class Told:
    """P(on time) as it would have been said of an invoice, and whether it was paid in time."""

    document: str
    p: float
    in_time: bool


def stays_known(past: Iterable[Past], at_s: float) -> list[Stay]:
    """Every visit to a stage before readiness, as far as it was known at a moment."""
    stays = []
    for one in past:
        is_ready = one.ready_s is not None and one.ready_s <= at_s
        until = one.ready_s if one.ready_s is not None and is_ready else min(one.ended_s or at_s, at_s)
        stays += [
            Stay(one.unit, stage, one.band, since, until, is_ready, one.document)
            for stage, since in one.visits
            if since <= at_s and (one.ready_s is None or since < one.ready_s)
        ]
    return stays


def paid_known(past: Iterable[Past], at_s: float) -> Paid:
    """What had become by a moment of invoices that were due before it and ready by their cut-off."""
    today = datetime.fromtimestamp(at_s, UTC).date()
    n = in_time = 0
    late: list[int] = []
    for one in past:
        if one.due_on is None or one.cut_off_s is None or one.due_on >= today or one.ended_s is not None:
            continue
        paid_on = one.paid_on if one.paid_on is not None and one.paid_on <= today else None
        if one.ready_s is not None and one.ready_s <= one.cut_off_s:
            n += 1
            in_time += paid_on is not None and paid_on <= one.due_on
        if paid_on is None or paid_on > one.due_on:
            late.append(((paid_on or today) - one.due_on).days)
    return Paid(n, in_time, len(late), sum(late) / len(late) if late else 0.0)


def told(past: Sequence[Past], moments: Iterable[float], *, until: date) -> list[Told]:
    """Of every invoice due before `until` what would have been said at the first of the moments at which it was open: with nothing that
    was not known then."""
    said: list[Told] = []
    done: set[str] = set()
    for at_s in sorted(moments):
        now_open = [one for one in past if one.document not in done and _is_open(one, at_s) and one.due_on is not None and one.due_on < until]  # fmt: skip
        if not now_open:
            continue
        known, paid = Peers(stays_known(past, at_s)), paid_known(past, at_s)
        for one in now_open:
            stage, since = [visit for visit in one.visits if visit[1] <= at_s][-1]
            chance = on_time(
                known, paid, stage=stage, unit=one.unit, band=one.band, age_h=(at_s - since) / HOUR_S,
                more_h=((one.cut_off_s or at_s) - at_s) / HOUR_S, is_ready=one.ready_s is not None and one.ready_s <= at_s,
            )  # fmt: skip
            if chance is None or chance.n < SOME:
                continue  # nothing would have been said of it: a guess from a few peers is shown as one
            done.add(one.document)
            in_time = one.paid_on is not None and one.due_on is not None and one.paid_on <= one.due_on
            said.append(Told(one.document, chance.p, in_time))
    return said


def foretold(past: Sequence[Past], moments: Iterable[float], *, until: date) -> list[tuple[float, bool]]:
    """The same as (P(on time), whether it was)."""
    return [(one.p, one.in_time) for one in told(past, moments, until=until)]


def _is_open(one: Past, at_s: float) -> bool:
    """Whether an invoice stood somewhere at a moment, its cut-off ahead and its end not known yet."""
    if (
        one.due_on is None
        or one.cut_off_s is None
        or one.cut_off_s <= at_s
        or not one.visits
        or one.visits[0][1] > at_s
    ):
        return False
    return one.ended_s is None
