"""Days of a zone: nights of 23 and 25 hours and the leap day hold every journey once, whichever zone is asked for (PRODUCT 6, trap 7)."""

from datetime import UTC, date, datetime, timedelta
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from psycopg.rows import dict_row

from sync_engine.database.statements import sql

NIGHTS = {
    "autumn in Berlin, 25 hours": datetime(2026, 10, 24, 20, 0, tzinfo=UTC),
    "spring in Berlin, 23 hours": datetime(2026, 3, 28, 20, 0, tzinfo=UTC),
    "spring in New York": datetime(2026, 3, 8, 2, 0, tzinfo=UTC),
    "the leap day": datetime(2028, 2, 28, 20, 0, tzinfo=UTC),
}
ZONES = ("Europe/Berlin", "America/New_York", "UTC")


@pytest.fixture
def unit(connection):
    """A unit of which the folder has counted something: with its first journey, its first series."""
    connection.execute("INSERT INTO rollup_series (series_id, source, measure, part, business_unit) VALUES (1, 'finsync', 'submitted', '', 'DE-SOUTH')")  # fmt: skip
    return "DE-SOUTH"


@pytest.fixture
def journeys(connection, unit):
    """Every half hour of a night and the day around it one is submitted, and ordered ten minutes later."""

    def put(begin):
        moments = [begin + timedelta(minutes=30 * n) for n in range(60)]
        with connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO journey (document_id, source, business_unit, submitted_at, ordered_at, closed_at, to_ordered_s) VALUES (%s, 'finsync', %s, %s, %s, %s, 600)",
                [(uuid4(), unit, at, at + timedelta(minutes=10), at + timedelta(minutes=10)) for at in moments],
            )
        return moments

    return put


def asked(connection, statement, **values):
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql(statement), {"units": None, "source": "finsync"} | values).fetchall()


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("night", NIGHTS)
def test_every_journey_is_on_the_day_its_clock_on_the_wall_showed(connection, journeys, night, zone):
    moments = journeys(NIGHTS[night])
    days = asked(
        connection, "report_cycle_time.moves", since=moments[0], as_of=moments[-1] + timedelta(hours=1), zone=zone
    )
    by_hand: dict[date, int] = {}
    for moment in moments:
        on = moment.astimezone(ZoneInfo(zone)).date()
        by_hand[on] = by_hand.get(on, 0) + 1
    assert {row["day"]: row["submitted"] for row in days if row["submitted"]} == by_hand
    assert sum(row["ordered"] for row in days) == len(moments)
    assert [row["day"] for row in days] == [days[0]["day"] + timedelta(days=n) for n in range(len(days))]
    assert sum(row["took_s"] for row in days) == 600 * len(moments), "no hour is lost or counted twice"


@pytest.mark.parametrize("night", NIGHTS)
def test_weeks_add_up_to_the_period_in_every_zone(connection, journeys, night):
    moments = journeys(NIGHTS[night])
    for zone in ZONES:
        rows = asked(connection, "report_cycle_time.figures", before=moments[0] - timedelta(days=7), since=moments[0], until=moments[-1] + timedelta(hours=1), clock="wall", zone=zone)  # fmt: skip
        ordered = [row for row in rows if row["measure"] == "ordered" and row["in_period"]]
        [whole] = [row["documents"] for row in ordered if row["week"] is None and row["business_unit"] is None]
        assert whole == len(moments) == sum(row["documents"] for row in ordered if row["week"] is not None)


def test_nothing_at_all_is_no_row_and_no_percentile(connection):
    """Trap 2: an empty period is not a period of zeros."""
    now = datetime(2026, 9, 15, tzinfo=UTC)
    period = {"since": now - timedelta(days=30), "until": now}
    assert asked(connection, "report_cycle_time.figures", before=now - timedelta(days=60), clock="wall", zone="UTC", **period) == []  # fmt: skip
    [honest] = asked(connection, "report_cycle_time.honest", as_of=now, clock="wall", **period)
    assert (honest["n"], honest["p50_s"]) == (0, None)


def test_a_completed_only_median_flatters_and_the_honest_one_does_not(connection, unit):
    """Trap 1: ten were quick, ten are open for a month; half of them all is not reached in a day."""
    now = datetime(2026, 9, 15, tzinfo=UTC)
    begin = now - timedelta(days=29)
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO journey (document_id, source, business_unit, submitted_at, ordered_at, closed_at, to_ordered_s, to_ordered_business_s) VALUES (%s, 'finsync', %s, %s, %s, %s, %s, %s)",
            [
                (uuid4(), unit, begin, begin + timedelta(days=1), begin + timedelta(days=1), 86400, 28800)
                for _ in range(10)
            ]
            + [(uuid4(), unit, begin, None, None, None, None) for _ in range(11)],
        )
    period = {"since": begin, "until": now}
    [done] = [row for row in asked(connection, "report_cycle_time.figures", before=begin, clock="wall", zone="UTC", **period) if row["measure"] == "ordered" and row["week"] is None and row["business_unit"] is None]  # fmt: skip
    [honest] = asked(connection, "report_cycle_time.honest", as_of=now, clock="wall", **period)
    assert done["p50_s"] == 86400
    assert (honest["p50_s"], honest["under_way"]) == (None, 11)
