"""What an invoice's due date means: the run that has to be reached, how likely that is, what it costs if not (PRODUCT.md 4.11, D12).

Pure. A payment run pays what is due and ready, on the due date and no sooner: so the age of paid invoices says how long their terms
were, and nothing about lateness. What can be late is an invoice's readiness. P(on time) is therefore the probability that it is
ready by the cut-off of the last run before it is due, from how long its peers took to get ready, times the share of ready ones
that were then paid in time.
"""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from zoneinfo import ZoneInfo

from sync_engine.insight.statistics import FEW, SOME
from sync_engine.model.payments import Run, Term

LEAST, MOST = 0.01, 0.99
"""Nothing that has not happened is certain, on either side."""

LONGEST_WAIT = timedelta(days=60)
"""Nobody holds payment runs further apart; a search for one ends here."""

HOUR_S = 3600
BANDS = (1_000, 10_000)
"""Bounds of the amount bands of peers, in group currency."""


# -- days -----------------------------------------------------------------------------------------------------------------


def run_day(planned: date, run: Run, working: Container[date]) -> date:
    """The day on which the run planned for a weekday is held, given the working days of its calendar."""
    step = timedelta(days=1 if run.moved == "after" else -1)
    day = planned
    for _ in range(LONGEST_WAIT.days):
        if day in working:
            return day
        day += step
    return planned


def last_run(until: date, run: Run, working: Container[date]) -> date | None:
    """The last payment run held on or before a day: the effective deadline of what is due then.

    >>> thursday = Run(weekdays=(3,), cut_off="10:00", calendar="DE", moved="after")
    >>> last_run(date(2026, 9, 16), thursday, {date(2026, 9, 10), date(2026, 9, 17)})
    datetime.date(2026, 9, 10)
    """
    held = (
        run_day(planned, run, working)
        for back in range(-7, LONGEST_WAIT.days)
        if (planned := until - timedelta(days=back)).weekday() in run.weekdays
    )
    return max((day for day in held if day <= until), default=None)


def next_run(after: datetime, run: Run, working: Container[date], zone: ZoneInfo) -> date | None:
    """The first payment run whose cut-off has not passed."""
    today = after.astimezone(zone).date()
    held = (
        run_day(planned, run, working)
        for ahead in range(-7, LONGEST_WAIT.days)
        if (planned := today + timedelta(days=ahead)).weekday() in run.weekdays
    )
    return min((day for day in held if cut_off(day, run, zone) > after), default=None)


def cut_off(day: date, run: Run, zone: ZoneInfo) -> datetime:
    """When the run of a day takes nothing more, in UTC: what the clock on the wall says there, on summer time or not."""
    return datetime.combine(day, run.cut_off, tzinfo=zone).astimezone(UTC)


def working_days_until(day: date, today: date, working: Iterable[date]) -> int:
    """Working days after today up to a day; below zero when that has passed.

    >>> week = [date(2026, 9, 14) + timedelta(days=n) for n in range(5)]
    >>> working_days_until(date(2026, 9, 18), date(2026, 9, 15), week), working_days_until(date(2026, 9, 14), date(2026, 9, 15), week)
    (3, -1)
    """
    first, last = min(day, today), max(day, today)
    between = sum(first < one <= last for one in working)
    return between if day >= today else -between


# -- how long peers took -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stay:
    """A visit of an invoice to a stage: from when, and when the invoice became ready for payment after it.

    Args:
        unit: Business unit.
        stage: The state.
        band: Amount band (`band_of`).
        since_s: Entered, seconds since 1970.
        until_s: Ready, or given up, or the last moment known.
        is_ready: Whether `until_s` is when it became ready.
        document: Whose visit it is.
    """

    unit: str
    stage: str
    band: int
    since_s: float
    until_s: float
    is_ready: bool
    document: str = ""


@dataclass(frozen=True)
class Curve:
    """The share of n visits that was not ready after so long (Kaplan-Meier): falls at `at_h`, to `left`."""

    n: int
    at_h: tuple[float, ...]
    left: tuple[float, ...]
    durations: tuple[float, ...]
    """Of all visits, ascending."""
    peers: str = ""
    """Whose visits they are, in words."""

    def after(self, hours: float) -> float:
        """S(t): the share not ready after so many hours."""
        place = bisect_right(self.at_h, hours)
        return self.left[place - 1] if place else 1.0

    def standing(self, hours: float) -> int:
        """How many visits lasted longer than so many hours: what a chance at that age rests on."""
        return self.n - bisect_right(self.durations, hours)


def survival(durations: Iterable[tuple[float, bool]], *, peers: str = "") -> Curve:
    """Kaplan and Meier's product-limit estimate (J. Am. Stat. Assoc. 53, 1958) of visits that end ready or are not over.

    Args:
        durations: (hours, whether it became ready then); False: it was not ready for at least so long.
        peers: Whose they are.

    >>> survival([(1, True), (2, False), (3, True)]).left
    (0.6666666666666667, 0.0)
    """
    ended: dict[float, int] = defaultdict(int)
    gone: dict[float, int] = defaultdict(int)
    n = 0
    for hours, is_ready in durations:
        n += 1
        gone[hours] += 1
        ended[hours] += is_ready
    at_risk, share = n, 1.0
    at_h, left = [], []
    for hours in sorted(gone):
        if ended[hours]:
            share *= 1 - ended[hours] / at_risk
            at_h.append(hours)
            left.append(share)
        at_risk -= gone[hours]
    return Curve(
        n, tuple(at_h), tuple(left), tuple(sorted(hours for hours, held in gone.items() for _ in range(held))), peers
    )


def ready_within(curve: Curve, age_h: float, more_h: float) -> float | None:
    """P(ready within so many more hours | not ready at this age) = 1 - S(a + d) / S(a); None when no peer was ever as old."""
    if more_h <= 0:
        return 0.0
    now = curve.after(age_h)
    return None if now <= 0 else 1 - curve.after(age_h + more_h) / now


def succession(part: float, whole: int) -> float:
    """Laplace's rule of succession: a share of few does not make anything certain, and of none it is even odds.

    >>> succession(0, 0), round(succession(40, 40), 3)
    (0.5, 0.976)
    """
    return (part + 1) / (whole + 2)


def clamped(share: float) -> float:
    """A probability that admits it is one: not below 0.01, not above 0.99.

    >>> clamped(0.0), clamped(0.5), clamped(1.0)
    (0.01, 0.5, 0.99)
    """
    return min(MOST, max(LEAST, share))


def band_of(group_amount: Decimal | float | None) -> int:
    """The amount band of an invoice: 0 below EUR 1,000, 1 below 10,000, 2 from there on."""
    return sum(float(group_amount or 0) >= bound for bound in BANDS)


@dataclass(frozen=True)
class Peers:
    """All visits, and for each invoice the narrowest of its peers that are at least 30 (D04): same stage, unit and amount band;
    else same stage and unit; else the same stage in every unit. Where fewer than 10 of the narrower stood as long as the
    invoice has, it is compared with the wider."""

    stays: Sequence[Stay]

    @cached_property
    def _curves(self) -> Mapping[tuple[str, str | None, int | None], Curve]:
        durations: dict[tuple[str, str | None, int | None], list[tuple[float, bool]]] = defaultdict(list)
        for stay in self.stays:
            one = ((stay.until_s - stay.since_s) / HOUR_S, stay.is_ready)
            if one[0] >= 0:  # clocks that contradict each other say nothing about time
                for key in _ladder(stay.stage, stay.unit, stay.band):
                    durations[key].append(one)
        return {key: survival(held, peers=_named(key)) for key, held in durations.items()}

    def of(self, stage: str, unit: str, band: int, age_h: float = 0.0) -> Curve | None:
        """The curve of an invoice's peers, 10 of whom or more stood as long as it has; else of the widest. None without any peer."""
        found = [curve for key in _ladder(stage, unit, band) if (curve := self._curves.get(key)) is not None]
        enough = [curve for curve in found if curve.n >= SOME and curve.standing(age_h) >= FEW]
        return enough[0] if enough else found[-1] if found else None


def _ladder(stage: str, unit: str, band: int) -> tuple[tuple[str, str | None, int | None], ...]:
    return (stage, unit, band), (stage, unit, None), (stage, None, None)


def _named(key: tuple[str, str | None, int | None]) -> str:
    _, unit, band = key
    amounts = ("below EUR 1,000", "EUR 1,000 to 10,000", "from EUR 10,000")
    return f"{unit or 'all units'}{'' if band is None else f', {amounts[band]}'}"


@dataclass(frozen=True, slots=True)
class Chance:
    """P(on time), and what it rests on: n peers; none below 30 is a guess and marked by the reader."""

    p: float
    n: int
    peers: str
    is_ready: bool = False
    is_past: bool = False
    """The cut-off has passed and it was not ready: it cannot be in time any more."""


def on_time(
    peers: Peers, paid: "Paid", *, stage: str, unit: str, band: int, age_h: float, more_h: float, is_ready: bool
) -> Chance | None:
    """P(paid by the due date) of an invoice that stands in a stage, `more_h` hours before the cut-off of the last run.

    Ready ones: the share of ready ones that were paid in time. Others: that share times P(ready by the cut-off), which is drawn towards
    even odds where few peers ever stood as long (rule of succession over those that did). None: no peers.
    """
    if is_ready:
        return Chance(clamped(paid.share), paid.n, "ready by the cut-off", is_ready=True)
    if more_h <= 0:
        return Chance(LEAST, 0, "the cut-off has passed", is_past=True)
    curve = peers.of(stage, unit, band, age_h)
    if curve is None:
        return None
    standing = curve.standing(age_h)
    ready = succession((ready_within(curve, age_h, more_h) or 0.0) * standing, standing)
    said = curve.peers if standing >= FEW else f"{curve.peers}, {standing} of them as old"
    return Chance(clamped(ready * paid.share), curve.n, said)


@dataclass(frozen=True, slots=True)
class Paid:
    """What became of invoices once due: `n` were ready by the cut-off, `in_time` of them paid by the due date; those that were late
    were so by `days_late` days on average (`late` of them)."""

    n: int = 0
    in_time: int = 0
    late: int = 0
    days_late: float = 0.0

    @property
    def share(self) -> float:
        """Of the ready ones, paid in time; by Laplace's rule of succession, so that few do not make it certain."""
        return succession(self.in_time, self.n) if self.n else MOST


# -- money ----------------------------------------------------------------------------------------------------------------------


def late_cost(p_late: float, amount: float, rate: float, days_late: float, fixed_fee: float) -> float:
    """Expected cost of paying late: P(late) x (amount x rate x E(days late) / 365 + fixed fee), interest as the directive has it
    (simple, by the day; 2011/7/EU articles 3 and 6).

    >>> late_cost(0.5, 36_500, 0.1, 10, 40)
    70.0
    """
    return p_late * (amount * rate * days_late / 365 + fixed_fee)


def discount_at_risk(p_in_time: float, amount: float, discount: float) -> float:
    """(1 - P(paid by the discount date)) x discount.

    >>> round(discount_at_risk(0.75, 10_000, 0.02), 2)
    50.0
    """
    return (1 - p_in_time) * amount * discount


def annualised_yield(term: Term) -> float | None:
    """What taking a discount earns a year, d / (1 - d) x 365 / (net - discount days), as trade credit is usually priced; None: no
    discount.

    >>> round(annualised_yield(Term(net_days=30, discount_days=10, discount_percent="2")), 4)
    0.3724
    """
    d = float(term.discount)
    return d / (1 - d) * 365 / (term.net_days - term.discount_days) if d else None


def worth_per_minute(late: float, discount: float, critical: float, minutes: float) -> float:
    """How the queue is ordered (D12): (expected late cost + discount at risk + supplier criticality) per minute of work."""
    return (late + discount + critical) / minutes
