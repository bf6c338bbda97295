"""Approvals and Invoices due as they were reported on a past evening (PRODUCT.md D15): news that comes late restates, what was reported
stays to be had."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pandas as pd
import pytest

from sync_engine.insight.reports import invoices_known
from sync_engine.insight.reports.approvals import Tasks
from sync_engine.insight.reports.approvals_known import known_on
from tests.pages.asking import asking
from tests.pages.conftest import ANALYST, LEADER, words_of
from tests.pages.test_invoices_due import NOW, PAGE, Bills

DAY = timedelta(days=1)


class Late(Bills):
    """Bills of which one was paid in time, and the news of it came a week later."""

    def paid(self, number, due_on, paid_on, learned, *, unit="DE-SOUTH", came=None):
        """An invoice that is paid, and when we learned it."""
        came = came or datetime(2026, 8, 20, 8, 0, tzinfo=UTC)
        cleared = datetime.combine(paid_on, datetime.min.time(), UTC)
        moves = [("invoice_received", None, "received", came, came), ("payment_cleared", "received", "cleared", cleared, learned), ("payment_status_returned", "cleared", "paid", learned, learned)]  # fmt: skip
        return self.document("invoice", number, unit, moves, due_on=due_on, closed=True)

    def fill(self):
        """Three paid, one of the north, one still open."""
        self.heard_from_everybody()
        known = datetime(2026, 9, 3, 12, 0, tzinfo=UTC)
        self.paid("I-1", date(2026, 9, 3), date(2026, 9, 3), known)
        self.paid("I-2", date(2026, 9, 3), date(2026, 9, 3), known + 7 * DAY)
        self.paid("I-3", date(2026, 9, 3), date(2026, 9, 7), known + 5 * DAY)
        self.paid("N-1", date(2026, 9, 3), date(2026, 9, 3), known + 7 * DAY, unit="DE-NORTH")
        self.paid("I-4", date(2026, 9, 4), date(2026, 9, 4), known + DAY, came=datetime(2026, 9, 4, 23, 0, tzinfo=UTC))
        self.bill("O-1", NOW - 8 * DAY, date(2026, 9, 30), until="checked", amount=70)


@pytest.fixture(scope="module")
def late(_servers):
    from tests.conftest import _server

    with pytest.MonkeyPatch.context() as monkeypatch:
        late = Late(_server(_servers, "embedded", None), monkeypatch)
        late.fill()
        yield late
        late.close()


def told(late, evening, units=None):
    with asking(late) as reports:
        found = invoices_known.paid_on_time(reports, units, since_on=date(2026, 9, 1), until_on=date(2026, 9, 15), evening=evening)  # fmt: skip
    return (found.then.in_time, found.then.due), (found.now.in_time, found.now.due), list(found.restated)


def test_a_payment_that_is_learned_late_restates_what_was_in_time_and_what_was_reported_stays(late):
    then, now, restated = told(late, date(2026, 9, 5))
    assert (then, now) == ((2, 5), (4, 5))
    assert restated == [(date(2026, 9, 10), 2)]
    assert told(late, date(2026, 9, 10)) == ((4, 5), (4, 5), [])


def test_what_had_not_come_by_an_evening_was_not_reported_and_days_after_it_are_no_part(late):
    """The fourth came late in the evening of its due day; on the evening before, its day is not looked at."""
    assert told(late, date(2026, 9, 3))[0] == (1, 4)
    assert told(late, date(2026, 9, 3), ["DE-SOUTH"])[0] == (1, 3)


def test_what_stood_open_on_an_evening_is_what_was_not_known_to_be_paid(late):
    with asking(late) as reports:
        assert invoices_known.due_ahead(reports, None, evening=date(2026, 9, 3)) == (3, 300.0)
        assert invoices_known.due_ahead(reports, None, evening=date(2026, 9, 8)) == (1, 70.0)


def test_the_page_says_both(late):
    for person, said in ((LEADER, "**40 %, 2 of 5 due**. The same days now: **80 %, 4 of 5 due**"), (ANALYST, "**50 %, 2 of 4 due**")):  # fmt: skip
        app = late.look(PAGE, person=person, explain="on-time")
        app.date_input(key="explain.on-time.evening").set_value(date(2026, 9, 5)).run()
        assert not app.exception
        assert said in words_of(app), person
        assert "Learned on 10 Sep 2026" in words_of(app)


def test_an_evening_before_the_period_says_to_choose_a_longer_one(late):
    app = late.look(PAGE, person=LEADER, explain="on-time", period="7d")
    app.date_input(key="explain.on-time.evening").set_value(date(2026, 9, 1)).run()
    assert "Choose a longer period" in words_of(app)


# -- approvals --------------------------------------------------------------------------------------------------------------------

TEN = datetime(2026, 9, 10, 8, 0, tzinfo=UTC)


def tasks(*rows):
    """(outcome, asked, decided, seen, changed) as hours after TEN; None: not."""
    at = [[None if hours is None else TEN + timedelta(hours=hours) for hours in row[1:]] for row in rows]
    frame = pd.DataFrame(
        {
            "task_id": range(len(rows)), "outcome": [row[0] for row in rows], "requested_at": [one[0] for one in at], "decided_at": [one[1] for one in at], "seen_at": [one[2] for one in at],
            "changed_at": [one[3] for one in at], "is_returned": [one[3] is not None for one in at], "person": 1, "role": "Lead", "document_type": "requisition", "business_s": Decimal(3600),
        },
        dtype=object,
    )  # fmt: skip
    nothing = frame.head(0)
    return Tasks(frame, nothing, nothing, nothing, nothing, nothing, len(frame), dict.fromkeys(range(len(rows))))  # fmt: skip


def test_a_decision_that_is_recorded_late_was_not_reported_and_stood_open_until_then():
    found = tasks(
        ("approved", 0, 1, 1, None),
        ("rejected", 0, 2, 40, None),  # decided on the 10th, known on the 12th
        ("approved", 0, 3, 3, 30),  # and changed on the 11th
        ("open", 5, None, None, None),
        ("open", 50, None, None, None),
    )
    known = known_on(found, found.everything, since=TEN, until=TEN + 5 * DAY, evening=date(2026, 9, 10))
    assert (len(known.then), len(known.now)) == (2, 3)
    assert list(known.then["is_returned"]) == [False, False]
    assert list(known.now["is_returned"]) == [False, False, True]
    assert known.open_then == 2, "one nobody has decided, one of which nobody had heard"
    assert known.restated == [(date(2026, 9, 12), 1)]
    assert list(known.then["heard_s"]) == [0.0, 0.0]


def test_days_after_the_evening_are_no_part_of_it():
    found = tasks(("approved", 0, 1, 1, None), ("approved", 0, 30, 30, None))
    known = known_on(found, found.everything, since=TEN, until=TEN + 5 * DAY, evening=date(2026, 9, 10))
    assert (known.until_on, len(known.then), len(known.now), known.restated) == (date(2026, 9, 10), 1, 1, [])


@pytest.mark.parametrize("key", ["cycle", "open", "first", "rate", "rush", "heard"])
def test_every_figure_of_the_approvals_page_can_be_had_as_reported(world, key):
    app = world.look("approvals", person=LEADER, explain=key)
    app.date_input(key=f"explain.{key}.evening").set_value(date(2026, 9, 14)).run()
    assert not app.exception
    assert "On the evening of 14 Sep 2026 this was reported" in words_of(app)
