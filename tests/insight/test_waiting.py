"""Why approvals wait: the parts are the wait, and causes that were put into a log come out of it again (PRODUCT D08; traps 6 and 7)."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sync_engine.configuration import Calendar
from sync_engine.engine.calendars import intervals
from sync_engine.insight import waiting
from sync_engine.insight.waiting import Cause, Decided, saved_s, split, worked_s

BERLIN = ZoneInfo("Europe/Berlin")
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
OFFICE = Calendar(time_zone="Europe/Berlin", country="DE", region="HH", days=(0, 1, 2, 3, 4), hours=(("08:00", "12:00"), ("12:30", "17:00")))  # fmt: skip


def office(first=date(2026, 8, 1), last=date(2027, 2, 1)):
    """When somebody in Hamburg is at work."""
    return [(opens, closes) for opens, closes, _ in intervals(OFFICE, first, last)]


HOURS = office()
NINE = datetime(2026, 9, 15, 9, tzinfo=BERLIN)  # a Tuesday


def task(key, created, decided, approver="a", **more):
    return Decided(key, approver, created, decided, **more)


def parts(found, key):
    """Minutes by cause, without zeros."""
    return {cause.value: s / 60 for cause, s in found[key].parts_s.items() if s}


# -- single causes --------------------------------------------------------------------------------------------------------


def test_alone_at_work_nothing_explains_a_wait():
    found = split([task(1, NINE, NINE + 2 * HOUR)], {"a": HOURS})
    assert parts(found, 1) == {"unexplained": 120}


def test_a_night_and_a_lunch_are_off():
    found = split([task(1, NINE + 7 * HOUR, NINE + DAY)], {"a": HOURS})
    assert parts(found, 1) == {"off": 15 * 60, "unexplained": 120}


def test_what_came_earlier_is_contention_and_what_came_later_priority():
    first, later = task("first", NINE, NINE + 20 * MINUTE, opened=NINE + 5 * MINUTE), task("later", NINE + 8 * MINUTE, NINE + 40 * MINUTE, opened=NINE + 22 * MINUTE)  # fmt: skip
    mine = task("mine", NINE + 4 * MINUTE, NINE + 50 * MINUTE, opened=NINE + 45 * MINUTE)
    found = split([first, later, mine], {"a": HOURS})
    assert parts(found, "mine") == {"contention": 15, "priority": 18, "unexplained": 8}


def test_three_that_lie_there_and_are_decided_in_one_sitting_waited_for_it():
    came = [NINE, NINE + 10 * MINUTE, NINE + 20 * MINUTE]
    batch = [task(n, at, NINE + 3 * HOUR - 10 * MINUTE + n * 2 * MINUTE, opened=NINE + 3 * HOUR - 12 * MINUTE + n * 2 * MINUTE) for n, at in enumerate(came)]  # fmt: skip
    found = split(batch, {"a": HOURS})
    assert parts(found, 0) == {"batching": 168}
    assert parts(found, 2) == {"batching": 148, "contention": 4}


def test_two_in_one_sitting_are_no_batch():
    found = split([task(1, NINE, NINE + HOUR), task(2, NINE, NINE + HOUR + MINUTE)], {"a": HOURS})
    assert "batching" not in parts(found, 1)


def test_the_way_between_systems_is_ours_before_and_after():
    found = split([task(1, NINE, NINE + HOUR, ready=NINE - 3 * MINUTE, seen=NINE + HOUR + 4 * MINUTE)], {"a": HOURS})
    assert parts(found, 1) == {"handover": 7, "unexplained": 60}


def test_another_approver_s_work_explains_nothing():
    found = split([task(1, NINE, NINE + HOUR), task(2, NINE, NINE + 30 * MINUTE, approver="b")], {"a": HOURS})
    assert parts(found, 1) == {"unexplained": 60}


def test_a_decision_at_night_is_work_although_the_calendar_is_closed():
    night = NINE + 11 * HOUR
    found = split([task(1, night, night + 10 * MINUTE, opened=night + 5 * MINUTE), task(2, night, night + 20 * MINUTE, opened=night + 12 * MINUTE)], {"a": HOURS})  # fmt: skip
    assert parts(found, 2) == {"off": 7, "contention": 5}


def test_clocks_that_contradict_each_other_are_left_out_and_never_clipped():
    """Trap 7."""
    wrong = task(1, NINE, NINE - MINUTE)
    assert wrong.contradicts_itself
    assert split([wrong], {"a": HOURS}) == {}


# -- calendars ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("created", "decided", "off_h"),
    [
        # The night to 25 October 2026 has 25 hours, that to 28 March 2027 has 23; each lies in a weekend.
        (datetime(2026, 10, 23, 16, 0, tzinfo=BERLIN), datetime(2026, 10, 26, 9, 0, tzinfo=BERLIN), 64),
        (datetime(2027, 3, 26 - 7, 16, 0, tzinfo=BERLIN), datetime(2027, 3, 22, 9, 0, tzinfo=BERLIN), 63),
        (datetime(2026, 12, 31, 16, 0, tzinfo=BERLIN), datetime(2027, 1, 4, 9, 0, tzinfo=BERLIN), 87),
    ],
    ids=["autumn", "an ordinary weekend", "the year's end"],
)
def test_off_is_what_the_clock_on_the_wall_says(created, decided, off_h):
    hours = office(last=date(2027, 6, 1))
    found = split([task(1, created, decided)], {"a": hours})
    assert parts(found, 1) == {"off": off_h * 60, "unexplained": 120}
    assert worked_s(hours, created, decided) == 2 * 3600


def test_the_spring_night_has_an_hour_less():
    friday, tuesday = datetime(2027, 3, 25, 16, 0, tzinfo=BERLIN), datetime(2027, 3, 30, 9, 0, tzinfo=BERLIN)
    found = split([task(1, friday, tuesday)], {"a": office(last=date(2027, 6, 1))})
    # Good Friday, the weekend of the change and Easter Monday between Thursday 17:00 and Tuesday 8:00.
    assert parts(found, 1) == {"off": (4 * 24 + 15 - 1) * 60, "unexplained": 120}


def test_a_day_off_of_the_approver_s_own_is_off():
    own = OFFICE.model_copy(update={"closed": (date(2026, 9, 16),)})
    hours = [(opens, closes) for opens, closes, _ in intervals(own, date(2026, 9, 1), date(2026, 9, 30))]
    found = split([task(1, NINE + 7 * HOUR, NINE + 2 * DAY)], {"a": hours})
    assert parts(found, 1) == {"off": 39 * 60, "unexplained": 120}


# -- the parts are the whole ----------------------------------------------------------------------------------------------

BEGIN = datetime(2026, 10, 19, tzinfo=UTC)
MOMENTS = st.integers(0, 14 * 86400 * 1000)


@st.composite
def logs(draw):
    found = []
    for key in range(draw(st.integers(1, 25))):
        ready, created, opened, decided, seen = (BEGIN + timedelta(milliseconds=ms) for ms in sorted(draw(st.tuples(*[MOMENTS] * 5))))  # fmt: skip
        tells = draw(st.booleans())
        found.append(
            Decided(key, draw(st.sampled_from("ab")), created, decided, ready=ready, seen=seen, opened=opened if tells else None)
        )  # fmt: skip
    return found


@settings(max_examples=150, deadline=None, derandomize=True)
@given(logs())
def test_the_parts_are_the_wait_to_the_second_and_never_overlap(log):
    """D08: exclusive, and summing to the wait."""
    found = split(log, {"a": HOURS})  # b is at work day and night
    for one in log:
        waited = found[one.key]
        reading = (one.decided - one.opened).total_seconds() if one.opened else 0
        assert sum(waited.parts_s.values()) == pytest.approx((one.seen - one.ready).total_seconds() - reading, abs=1e-6)
        assert all(begin < end for begin, end, _ in waited.segments)
        assert all(end <= begin for (_, end, _), (begin, _, _) in zip(waited.segments, waited.segments[1:], strict=False))  # fmt: skip
    alone = {key: saved_s([waited]) for key, waited in found.items()}
    for key, waited in found.items():
        assert alone[key] == pytest.approx(waited.parts_s)
    together = saved_s(found.values())
    for cause, s in together.items():
        assert s <= sum(waited.parts_s[cause] for waited in found.values()) + 1e-6


def test_what_two_wait_for_side_by_side_is_saved_once():
    """Both groups are asked at once: without nights the document is decided one night sooner, not two."""
    evening, morning = NINE + 7 * HOUR, NINE + DAY
    found = split([task(1, evening, morning), task(2, evening, morning + HOUR, approver="b")], {"a": HOURS, "b": HOURS})
    assert saved_s(found.values())[Cause.OFF] == 15 * 3600
    assert sum(one.parts_s[Cause.OFF] for one in found.values()) == 30 * 3600


# -- known causes are recovered -------------------------------------------------------------------------------------------


class Told:
    """A log whose causes are known, because it is played: each approver has a manner, and every minute of waiting its reason."""

    def __init__(self, seed, *, opens):
        self.rng, self.opens = Random(seed), opens
        self.log, self.truth = [], Counter()
        for n, manner in enumerate(("queue", "queue", "newest", "newest", "batches", "batches", "leisure", "leisure")):
            self.play(f"{manner} {n}", manner)

    def arrivals(self, a_day):
        for day in range(40):
            at = datetime(2026, 9, 7, tzinfo=BERLIN) + timedelta(days=day)
            if at.weekday() < 5:
                for _ in range(a_day):
                    yield (at + timedelta(hours=self.rng.uniform(7, 16.5))).astimezone(UTC)

    def play(self, who, manner):
        """One approver through the days: always at work on something, waiting for a sitting, in no hurry, or off."""
        rng = self.rng
        waiting_ = sorted(self.arrivals({"queue": 44, "newest": 49, "batches": 13, "leisure": 2}[manner]))
        queue, states, now = [], [], HOURS[0][0]
        first, last = waiting_[0] - DAY, waiting_[-1] + 30 * DAY
        for opens, closes in HOURS:
            if not first <= opens <= last:
                continue
            states.append((now, opens, None))
            now = opens
            sittings = {opens.astimezone(BERLIN).replace(hour=h, minute=30).astimezone(UTC) for h in (10, 15)}
            while now < closes:
                while waiting_ and waiting_[0] <= now:
                    queue.append(waiting_.pop(0))
                if manner == "batches":
                    ahead = [one for one in sittings if one >= now]
                    sits = [one for one in sittings if one <= now and (now - one) < HOUR]
                    if not queue or not sits:
                        until = min([*ahead, closes]) if not sits else min([*ahead, closes, *waiting_[:1]])
                        until = max(min(until, closes), now + MINUTE)
                        states.append((now, until, Cause.BATCHING))
                        now = until
                        continue
                elif not queue:
                    until = min(closes, max(waiting_[0], now + MINUTE)) if waiting_ else closes
                    states.append((now, until, Cause.UNEXPLAINED))
                    now = until
                    continue
                elif manner == "leisure" and rng.random() < 0.95:
                    until = min(closes, now + 20 * MINUTE)
                    states.append((now, until, Cause.UNEXPLAINED))
                    now = until
                    continue
                touch = timedelta(minutes=min(rng.lognormvariate(2.2, 0.4), 25))
                if now + touch > closes:
                    states.append((now, closes, Cause.UNEXPLAINED))
                    now = closes
                    continue
                created = queue.pop(-1 if manner == "newest" else 0)
                states.append((now, now + touch, created))
                self.decide(who, created, now, now + touch, states)
                now += touch

    def decide(self, who, created, opened, decided, states):
        before, after = (timedelta(minutes=self.rng.uniform(*m)) for m in ((0, 15), (0, 45)))
        key = len(self.log)
        self.log.append(Decided(key, who, created, decided, ready=created - before, seen=decided + after, opened=opened if self.opens else None))  # fmt: skip
        self.truth[Cause.HANDOVER] += (before + after).total_seconds()
        for begin, end, why in reversed(states):
            if end <= created:
                break
            s = (min(end, opened) - max(begin, created)).total_seconds()
            if s > 0:
                cause = Cause.OFF if why is None else why if isinstance(why, Cause) else Cause.PRIORITY if why > created else Cause.CONTENTION  # fmt: skip
                self.truth[cause] += s
        if not self.opens:
            self.truth[Cause.UNEXPLAINED] += (decided - opened).total_seconds()  # the reading cannot be told apart


def shares(sums):
    whole = sum(sums.values())
    return {cause: sums[cause] / whole for cause in Cause}


@pytest.mark.parametrize("opens", [True, False], ids=["the tool says when it was opened", "it does not"])
@pytest.mark.parametrize("seed", range(5))
def test_known_causes_are_recovered_within_five_points(seed, opens):
    """D08's acceptance: every share of a log with known causes within 5 points, with the nights and, more sharply, without them."""
    told = Told(seed, opens=opens)
    found = Counter()
    for one in split(told.log, dict.fromkeys({one.approver for one in told.log}, HOURS)).values():
        found.update(one.parts_s)
    for leave_out in ((), (Cause.OFF,)):
        real, ours = (shares({cause: s for cause, s in sums.items() if cause not in leave_out} | dict.fromkeys(leave_out, 0)) for sums in (told.truth, found))  # fmt: skip
        for cause in Cause:
            assert ours[cause] == pytest.approx(real[cause], abs=0.05), (cause, real, ours)
    assert min(share for cause, share in shares(told.truth | {Cause.OFF: 0}).items() if cause is not Cause.OFF) > 0.05, "every cause is there to be found"  # fmt: skip


def test_a_decision_s_length_is_learned_from_those_that_follow_each_other():
    """The first of a sitting is taken to have lasted as long as the approver's others."""
    log = [task(n, NINE, NINE + HOUR + (2 * n) * MINUTE) for n in range(7)]
    assert waiting._gaps(log) == [120_000_000] * 6
    found = split([*log, task("later", NINE, NINE + 3 * HOUR - 30 * MINUTE)], {"a": HOURS})
    assert parts(found, "later")["contention"] == 14
