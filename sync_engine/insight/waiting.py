"""Why approvals wait (PRODUCT.md D08): the wait of each decision split second by second into six causes that exclude each other.

The wait of a decision runs from when its document was ready for it until we knew of it. Each second has the first cause that holds:

    hand-over     before the request stands in the approval tool, and from the decision until it is known here: ours
    contention    the approver was at another request that had come earlier, or at the same moment
    priority      the approver was at another request that had come later
    off           outside of the approver's working hours
    batching      at work and free, and the request was decided in a sitting with at least two others that lay there when it began
    unexplained   the rest: other work, thinking; and, where the tool does not say when a request was opened, reading it

What an approver was at is known where the tool tells when a request was opened: from then (but not from before their decision
before it, and at most IDLE_S) until the decision. Elsewhere it is estimated: decisions of one person at most IDLE_S apart are one
sitting, in which each took from the one before it (or from its coming) until itself; the first of a sitting took as long as their
others did at the median (TOUCH_S where they have none), and did not begin before the working hours it lies in. The idea of
five causes is that of waiting time analysis in process mining; the rules are ours, because an approval has no known start.

Pure: moments come in, whole microseconds are added up, so that the parts are the wait exactly.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice, pairwise
from statistics import median

IDLE_S = 1800
"""Whoever decides nothing for so long has turned to something else (PRODUCT.md 4.10: touch is capped at 30 minutes idle)."""

TOUCH_S = 300
"""How long a decision is taken to last where nothing tells."""

TOUCHES = 5
"""So many decisions straight after another one, and their median says how long one lasts for an approver."""

BATCH = 3
"""So many requests that lie there when a sitting begins, and are decided in it, make it a batch."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = 1_000_000


class Cause(StrEnum):
    """Why somebody waits for a decision."""

    OFF = "off"
    CONTENTION = "contention"
    PRIORITY = "priority"
    BATCHING = "batching"
    HANDOVER = "handover"
    UNEXPLAINED = "unexplained"


Interval = tuple[datetime, datetime]
Segment = tuple[int, int, Cause]
"""From, to (microseconds since 1970) and why."""


@dataclass(frozen=True, slots=True)
class Decided:
    """One decision that has been taken.

    Args:
        key: Names it.
        approver: Whose decision it was.
        created: When the request stood in the approval tool.
        decided: When the decision was taken, by the tool.
        ready: When the document was ready for it; None: when it was created.
        seen: When we knew of the decision; None: when it was taken.
        opened: When the approver first opened it; None: the tool does not say.
    """

    key: Hashable
    approver: Hashable
    created: datetime
    decided: datetime
    ready: datetime | None = None
    seen: datetime | None = None
    opened: datetime | None = None

    @property
    def contradicts_itself(self) -> bool:
        """Whether its clocks do: such a wait is counted apart, never clipped (trap 7)."""
        order = [one for one in (self.ready, self.created, self.opened, self.decided, self.seen) if one is not None]
        return any(later < earlier for earlier, later in pairwise(order))


@dataclass(frozen=True, slots=True)
class Waited:
    """A wait: its segments in order, without gaps, and their sums in seconds by cause."""

    segments: tuple[Segment, ...]

    @property
    def whole_s(self) -> float:
        """Seconds from beginning to end, without the time in which the request was open before its approver."""
        return sum(end - begin for begin, end, _ in self.segments) / _SECOND

    @property
    def parts_s(self) -> dict[Cause, float]:
        """Seconds of every cause."""
        sums = dict.fromkeys(Cause, 0)
        for begin, end, cause in self.segments:
            sums[cause] += end - begin
        return {cause: held / _SECOND for cause, held in sums.items()}


@dataclass(frozen=True, slots=True)
class _At:
    """Somebody is at a request: from, to, which, and since when that was there."""

    begin: int
    end: int
    key: Hashable
    created: int


@dataclass(slots=True)
class _Day:
    """What one approver did: what they were at, in order, and where the sitting of each request began if it was a batch."""

    at: list[_At]
    batch_began: dict[Hashable, int]


def split(tasks: Iterable[Decided], hours: Mapping[Hashable, Sequence[Interval]]) -> dict[Hashable, Waited]:
    """Why each decision waited, by its key; those whose clocks contradict each other are left out.

    Args:
        tasks: Decisions, of any number of approvers. What an approver did beside them explains nothing here, so give all of theirs.
        hours: By approver, their working intervals in order, from before the earliest of their tasks to after the latest; without
            any, the approver is always at work.
    """
    by_approver: dict[Hashable, list[Decided]] = {}
    for task in tasks:
        if not task.contradicts_itself:
            by_approver.setdefault(task.approver, []).append(task)
    touches = {who: _gaps(theirs) for who, theirs in by_approver.items()}
    usual = median(found) if (found := [gap for gaps in touches.values() for gap in gaps]) else TOUCH_S * _SECOND
    waited: dict[Hashable, Waited] = {}
    for who, theirs in by_approver.items():
        at_work = [(_us(opens), _us(closes)) for opens, closes in hours.get(who, ())]
        touch = round(median(touches[who]) if len(touches[who]) >= TOUCHES else usual)
        day = _day(theirs, at_work, touch)
        ends = [one.end for one in day.at]
        for task in theirs:
            waited[task.key] = Waited(tuple(_joined(_segments(task, day, ends, at_work))))
    return waited


def saved_s(waits: Iterable[Waited]) -> dict[Cause, float]:
    """By how many seconds one document would have been decided sooner without each cause: those in which nothing it waited for had
    another one. Decisions that are waited for side by side count once, so that the sum may be less than the wait.

    >>> hour = 3_600_000_000
    >>> two = Waited(((0, 2 * hour, Cause.OFF),)), Waited(((hour, 3 * hour, Cause.BATCHING),))
    >>> found = saved_s(two)
    >>> found[Cause.OFF], found[Cause.BATCHING]
    (3600.0, 3600.0)
    """
    turns: list[tuple[int, int, Cause]] = []
    for wait in waits:
        for begin, end, cause in wait.segments:
            turns += [(begin, 1, cause), (end, -1, cause)]
    sums, open_now, before = dict.fromkeys(Cause, 0), dict.fromkeys(Cause, 0), 0
    for moment, step, cause in sorted(turns, key=lambda turn: turn[:2]):
        held = [name for name, n in open_now.items() if n]
        if len(held) == 1:
            sums[held[0]] += moment - before
        open_now[cause] += step
        before = moment
    return {cause: held / _SECOND for cause, held in sums.items()}


def worked_s(hours: Sequence[Interval], begin: datetime, end: datetime) -> float:
    """Working seconds between two moments.

    >>> nine = datetime(2026, 9, 15, 9, tzinfo=UTC)
    >>> worked_s([(nine, nine + timedelta(hours=8))], nine - timedelta(hours=3), nine + timedelta(minutes=2))
    120.0
    """
    parts = (min(closes, end) - max(opens, begin) for opens, closes in hours if closes > begin and opens < end)
    return sum(parts, timedelta()).total_seconds()


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(microseconds=1)


def _gaps(theirs: list[Decided]) -> list[int]:
    """How long decisions took that came straight after another one of the same person, up to IDLE_S."""
    theirs.sort(key=lambda task: task.decided)
    found = []
    for before, task in pairwise(theirs):
        gap = _us(task.decided) - _us(before.decided)
        if task.created <= before.decided and 0 < gap <= IDLE_S * _SECOND:
            found.append(gap)
    return found


def _day(theirs: list[Decided], at_work: list[tuple[int, int]], touch: int) -> _Day:
    """What somebody was at, from their decisions in order."""
    at: list[_At] = []
    batch_began: dict[Hashable, int] = {}
    sitting: list[_At] = []
    opens_at = [opens for opens, _ in at_work]

    def close() -> None:
        began = sitting[0].begin
        if sum(one.created <= began for one in sitting) >= BATCH:
            batch_began.update({one.key: began for one in sitting if one.created <= began})

    for task in theirs:
        decided, created, last = _us(task.decided), _us(task.created), at[-1].end if at else None
        together = last is not None and decided - last <= IDLE_S * _SECOND
        begin = created if last is None else max(created, last)
        if task.opened is not None:
            begin = max(begin, _us(task.opened), decided - IDLE_S * _SECOND)
        elif not together:
            place = bisect_right(opens_at, decided) - 1
            inside = place >= 0 and decided <= at_work[place][1]
            begin = max(begin, decided - touch, opens_at[place] if inside else begin)
        one = _At(min(begin, decided), decided, task.key, created)
        at.append(one)
        if sitting and not together:
            close()
            sitting = []
        sitting.append(one)
    close()
    return _Day(at, batch_began)


def _segments(task: Decided, day: _Day, ends: list[int], at_work: list[tuple[int, int]]) -> Iterator[Segment]:
    """Every second of a wait with its cause, in order."""
    created, decided = _us(task.created), _us(task.decided)
    waits_until = decided if task.opened is None else _us(task.opened)
    if task.ready is not None:
        yield _us(task.ready), created, Cause.HANDOVER
    moment = created
    for one in islice(day.at, bisect_right(ends, created), None):
        if one.begin >= waits_until:
            break
        if one.key == task.key or one.end <= moment:
            continue
        begin, end = max(one.begin, moment), min(one.end, waits_until)
        if begin >= end:
            continue
        yield from _free(moment, begin, day.batch_began.get(task.key), at_work)
        yield begin, end, Cause.PRIORITY if one.created > created else Cause.CONTENTION
        moment = end
    yield from _free(moment, waits_until, day.batch_began.get(task.key), at_work)
    if task.seen is not None:
        yield decided, _us(task.seen), Cause.HANDOVER


def _free(begin: int, end: int, batch_began: int | None, at_work: list[tuple[int, int]]) -> Iterator[Segment]:
    """A stretch in which the approver was at nothing that we know of."""
    if not at_work:
        yield from _idle(begin, end, batch_began)
        return
    for place in range(max(bisect_left(at_work, (begin, begin)) - 1, 0), len(at_work)):
        opens, closes = at_work[place]
        if opens >= end:
            break
        if closes <= begin:
            continue
        if opens > begin:
            yield begin, opens, Cause.OFF
            begin = opens
        yield from _idle(begin, min(closes, end), batch_began)
        begin = min(closes, end)
    yield begin, end, Cause.OFF


def _idle(begin: int, end: int, batch_began: int | None) -> Iterator[Segment]:
    """At work and free: until the batch it was decided in began, that is what it waited for."""
    turn = begin if batch_began is None else min(max(batch_began, begin), end)
    yield begin, turn, Cause.BATCHING
    yield turn, end, Cause.UNEXPLAINED


def _joined(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Without empty ones, and neighbours of one cause as one."""
    held: Segment | None = None
    for begin, end, cause in segments:
        if begin == end:
            continue
        if held is not None and held[1] == begin and held[2] is cause:
            held = (held[0], end, cause)
            continue
        if held is not None:
            yield held
        held = (begin, end, cause)
    if held is not None:
        yield held
