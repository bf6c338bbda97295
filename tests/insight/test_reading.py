"""Questions: read-only, within a time limit, and never answered with what somebody else may see."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa

from sync_engine.control import access
from sync_engine.control.access import Person
from sync_engine.control.roles import Role
from sync_engine.database.statements import names_in
from sync_engine.engine.calendars import intervals
from sync_engine.engine.clock import VirtualClock
from sync_engine.insight.reports import Cache, DatabaseAway, Reports, TooSlow, Unanswered, reading
from tests.house import TUESDAY, House

WATERMARK = "SELECT NULL AS recording_id WHERE false"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def timer():
    return Clock()


@pytest.fixture
def cache(timer):
    return Cache(rows=100, timer=timer)


@pytest.fixture
def app(database):
    engine = database.engine("finsync_app", pool_size=2)
    yield engine
    engine.dispose()


@pytest.fixture
def reader(database, connection, app, cache, noon):
    gate = database.engine("finsync_gate", pool_size=1)
    for code in ("DE-SOUTH", "DE-NORTH"):
        connection.execute("INSERT INTO business_unit VALUES (%s, %s, 'DE', 'EUR', '1010', 'x', 'UTC')", [code, code])

    def read_as(*units, user="reader"):
        user_id = f"{user} {' '.join(units)}"
        access.put_people(
            connection, [Person(user_id, user_id, frozenset({Role.PROCUREMENT_ANALYST}), units)], now=noon
        )
        session = access.open_session(gate, user_id, hours=1)
        return Reports(app, session.token, session.person, cache)

    yield read_as
    gate.dispose()


def codes(reports):
    return [row["code"] for row in reports.remembered("units")]


def test_an_answer_is_shared_with_whoever_sees_the_same_units_and_nobody_else(reader, connection):
    assert codes(reader("DE-SOUTH")) == ["DE-SOUTH"]
    assert codes(reader("DE-NORTH")) == ["DE-NORTH"]
    assert codes(reader("*")) == ["DE-NORTH", "DE-SOUTH"]
    second = reader("DE-SOUTH", user="another")
    assert codes(second) == ["DE-SOUTH"]
    assert [name for name, _ in second.asked] == ["watermark"], "the answer itself came from the cache"


def test_rights_that_change_while_a_page_is_drawn_leave_nothing_for_others(reader, connection, cache, noon):
    first = reader("DE-SOUTH")
    access.put_people(
        connection, [Person(first.person.user_id, "x", frozenset({Role.PROCUREMENT_ANALYST}), ("*",))], now=noon
    )
    assert codes(first) == ["DE-NORTH", "DE-SOUTH"], "the database decides, by the rights of this moment"
    assert len(cache) == 0, "and what was seen so is not kept under the rights the page began with"


def test_an_answer_serves_until_something_moved_and_a_little_while_longer(reader, connection, timer):
    assert len(codes(reader("*"))) == 2
    connection.execute("INSERT INTO business_unit VALUES ('UK', 'UK', 'GB', 'GBP', '1110', 'x', 'UTC')")
    timer.now = 300
    assert len(codes(reader("*"))) == 2, "nothing was recorded since"
    connection.execute(
        "INSERT INTO recording (recording_id, engine_id, recorded_at, event_count, merkle_root) VALUES (gen_random_uuid(), 'e', now(), 0, '\\x00')"
    )
    timer.now = 305
    assert len(codes(reader("*"))) == 3, "something was, and the answer is older than ten seconds"
    timer.now = 305 + reading.KEEP_S + 1
    fresh = reader("*")
    codes(fresh)
    assert "units" in [name for name, _ in fresh.asked], "nothing is served for ever"


def test_whoever_has_just_acted_sees_what_they_did(reader, connection, timer, cache):
    assert len(codes(reader("*"))) == 2
    connection.execute("INSERT INTO business_unit VALUES ('UK', 'UK', 'GB', 'GBP', '1110', 'x', 'UTC')")
    timer.now = 1
    acted = reader("*")
    acted.not_before = cache.now()
    assert len(codes(acted)) == 3


def test_the_cache_forgets_the_least_used_beyond_its_size(timer):
    cache = Cache(rows=10, timer=timer)
    for name in "abc":
        cache.put(name, 1, [], 4)
    assert cache.get("a", 1, not_before=0) is None
    assert cache.get("b", 1, not_before=0) is not None
    assert cache.get("c", 1, not_before=0) is not None


def asking_at_once(readers, ask):
    """What each gets, all of them having begun together."""
    together = Barrier(len(readers))

    def begin(reports):
        together.wait()
        try:
            return ask(reports)
        except Unanswered as error:
            return error

    with ThreadPoolExecutor(len(readers)) as pool:
        return list(pool.map(begin, readers))


def questions(readers):
    return [name for reports in readers for name, _ in reports.asked if name not in {"watermark", "sight"}]


def test_who_asks_the_same_at_once_puts_one_question(reader, monkeypatch):
    """At a quarter's end fifty people look at the same page when the half minute turns."""
    monkeypatch.setattr(
        reading, "sql", lambda name: WATERMARK if "watermark" in name else "SELECT 1 AS one FROM pg_sleep(0.3)"
    )
    readers = [reader("DE-SOUTH", user=f"reader {n}") for n in range(5)]
    found = asking_at_once(readers, lambda reports: reports.remembered("units"))
    assert all(rows is found[0] for rows in found)
    assert questions(readers) == ["units"]
    made = asking_at_once(readers, lambda reports: reports.derived("sum", lambda: [reports.rows("units")], weight=1))
    assert all(one is made[0] for one in made)
    assert questions(readers) == ["units", "units"]


def test_who_may_see_something_else_asks_for_themselves(reader):
    readers = [reader("DE-SOUTH"), reader("DE-NORTH"), reader("*")]
    assert asking_at_once(readers, codes) == [["DE-SOUTH"], ["DE-NORTH"], ["DE-NORTH", "DE-SOUTH"]]


def test_nobody_waits_for_another_s_question_longer_than_for_their_own(reader, monkeypatch, cache):
    """The first is given up after its limit; the second has waited as long, and does not wait for a third."""
    monkeypatch.setattr(
        reading, "sql", lambda name: WATERMARK if "watermark" in name else "SELECT 1 AS one FROM pg_sleep(30)"
    )
    readers = [reader("DE-SOUTH", user=f"reader {n}") for n in range(2)]
    for one in readers:
        one.limit_s = 0.2
    assert all(isinstance(answer, TooSlow) for answer in asking_at_once(readers, lambda one: one.remembered("units")))
    assert len(cache) == 0
    with cache.turn("units", patience_s=0), cache.turn("units", patience_s=0):
        pass
    assert not cache._asking, "nothing is left of those who asked"


def test_a_question_cannot_write(reader, monkeypatch):
    monkeypatch.setattr(
        reading,
        "sql",
        lambda _: (
            "INSERT INTO command (command_id, actor, roles, action, arguments, reason, business_unit, asked_at) SELECT gen_random_uuid(), session_user_id(), session_roles(), 'export', '{}', '', '', now() RETURNING 1"
        ),
    )
    with pytest.raises(Exception, match="read-only transaction"):
        reader("*").rows("units")


def test_a_question_that_takes_too_long_is_given_up_and_says_so(reader, monkeypatch):
    monkeypatch.setattr(reading, "sql", lambda _: "SELECT pg_sleep(5)")
    slow = reader("*")
    slow.limit_s = 0.05
    with pytest.raises(TooSlow, match="Choose a shorter period"):
        slow.rows("units")


def test_a_database_that_is_away_is_told_apart_from_a_question_that_failed(reader):
    reports = reader("*")
    reports.app = sa.create_engine(
        "postgresql+psycopg://nobody@127.0.0.1:1/nothing", connect_args={"connect_timeout": 1}
    )
    with pytest.raises(DatabaseAway):
        reports.rows("units")


def test_numbers_stay_decimal_and_what_is_missing_is_none():
    from decimal import Decimal

    frame = reading.table([{"a": Decimal("1.10"), "b": None}, {"a": None, "b": "x"}], ["a", "b"])
    assert frame["a"].tolist() == [Decimal("1.10"), None]
    assert frame["b"].tolist() == [None, "x"]
    assert list(reading.table([], ["a", "b"]).columns) == ["a", "b"]


def test_an_order_objective_in_working_hours_ends_where_the_engine_s_calendar_says(connection, database):
    """The view looks the deadline up in the filled intervals; here the calendar is walked hour by hour."""
    house = House(VirtualClock(TUESDAY), connection, database)
    house.order_one()
    rows = connection.execute(
        "SELECT e.started_at, e.threshold_s, e.deadline_at, b.calendar FROM slo_event e JOIN business_unit b ON b.code = e.business_unit WHERE e.clock = 'business'"
    ).fetchall()
    assert rows
    for started_at, threshold_s, deadline_at, calendar in rows:
        assert _walked(house.configuration.calendars.calendars[calendar], started_at, float(threshold_s)) == deadline_at
    stays = connection.execute(
        "SELECT business_s, business_s(b.calendar, entered_at, left_at) FROM stage_time JOIN business_unit b ON b.code = business_unit"
    ).fetchall()
    assert stays
    assert all(ours == theirs for ours, theirs in stays)


def _walked(calendar, started_at, seconds):
    """When so many working seconds have passed."""
    for opens, closes, _ in intervals(
        calendar, started_at.date() - timedelta(days=1), started_at.date() + timedelta(days=30)
    ):
        begin = max(opens, started_at)
        if begin < closes:
            if (closes - begin).total_seconds() >= seconds:
                return begin + timedelta(seconds=seconds)
            seconds -= (closes - begin).total_seconds()
    raise AssertionError("the calendar is too short")


def test_every_question_has_a_name_the_pages_use_or_will():
    assert {"visit", "units", "open_exceptions", "case", "search", "family"} <= set(names_in("report"))
