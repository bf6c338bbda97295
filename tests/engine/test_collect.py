"""Reading feeds when the database is lost between a page and its cursor (F10, F12)."""

import psycopg
import pytest

from sync_engine.engine.clock import VirtualClock
from tests.house import TUESDAY, House


def test_an_engine_that_could_not_keep_a_page_reads_it_again_without_waiting_for_its_own_lease(connection, database):
    house = House(VirtualClock(TUESDAY), connection, database)
    lost = [True]

    def database_is_lost(where: str) -> None:
        if where == "before_cursor" and lost.pop():
            raise psycopg.OperationalError("no space left on device")

    engine = house.new_engine(database_is_lost)
    collector = engine.collectors["coupa"]
    feed = collector.system.feed("suppliers")
    with pytest.raises(psycopg.OperationalError):
        collector.collect(connection, feed)
    lost.append(False)
    other = house.new_engine().collectors["coupa"]
    assert other.collect(connection, feed) is None, "somebody seems to be reading it"
    assert collector.collect(connection, feed).records == 2


def test_a_feed_that_another_engine_has_taken_meanwhile_is_left_to_it(connection, database):
    house = House(VirtualClock(TUESDAY), connection, database)

    def database_is_lost(where: str) -> None:
        if where == "before_cursor":
            raise psycopg.OperationalError("the connection is closed")

    engine = house.new_engine(database_is_lost)
    collector = engine.collectors["coupa"]
    feed = collector.system.feed("suppliers")
    for _ in range(2):
        with pytest.raises(psycopg.OperationalError):
            collector.collect(connection, feed)
        house.clock.advance(181)
    with pytest.raises(psycopg.OperationalError):
        house.new_engine(database_is_lost).collectors["coupa"].collect(connection, feed)
    assert collector.collect(connection, feed) is None
