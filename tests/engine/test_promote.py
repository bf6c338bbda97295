"""Putting the configuration in force: every engine's start and a job every night do it, so it has to be repeatable."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, time, timedelta

import pytest

from config import FOLDER
from sync_engine.configuration import BadConfiguration
from sync_engine.database.connections import borrowed
from sync_engine.engine import promote, store


def _intervals(connection):
    return connection.execute("SELECT count(*), max(closes_at), sum(worked_before_s) FROM calendar_interval").fetchone()


@pytest.fixture
def connection(connection):
    """A cell without calendars: filling them is what is looked at."""
    connection.execute("DELETE FROM calendar_interval")
    return connection


def test_the_same_configuration_put_in_force_again_changes_nothing(connection, noon):
    configuration = promote.load(FOLDER)
    promote.put_in_force(connection, configuration, today=noon.date(), now=noon, by="engine-1")
    once = _intervals(connection)
    promote.put_in_force(connection, configuration, today=noon.date(), now=noon, by="engine-2")
    assert _intervals(connection) == once
    assert once[0] > 1000
    assert connection.execute("SELECT count(*) FROM calendar_interval WHERE xmax <> 0").fetchone() == (0,), "left alone"
    assert {by for (by,) in connection.execute("SELECT promoted_by FROM config_version")} == {"engine-1"}


def test_an_interval_that_is_not_as_it_should_be_is_put_right(connection, noon):
    configuration = promote.load(FOLDER)
    promote.put_in_force(connection, configuration, today=noon.date(), now=noon, by="engine-1")
    right = connection.execute("SELECT * FROM calendar_interval ORDER BY calendar, opens_at").fetchall()
    for wrong in ("UPDATE calendar_interval SET worked_before_s = worked_before_s + 1 WHERE opens_at = (SELECT max(opens_at) FROM calendar_interval)",
                  "DELETE FROM calendar_interval WHERE opens_at = (SELECT min(opens_at) FROM calendar_interval)"):  # fmt: skip
        connection.execute(wrong)
        promote.put_in_force(connection, configuration, today=noon.date(), now=noon, by="engine-2")
        assert connection.execute("SELECT * FROM calendar_interval ORDER BY calendar, opens_at").fetchall() == right


def test_another_year_and_other_hours_replace_what_was_filled(connection, noon):
    configuration = promote.load(FOLDER)
    promote.put_in_force(connection, configuration, today=noon.date(), now=noon, by="engine-1")
    calendars = configuration.calendars
    shorter = calendars.calendars["JP-KANTO"].model_copy(update={"hours": ((time(9), time(12)),)})
    changed = replace(
        configuration,
        calendars=calendars.model_copy(update={"calendars": {**calendars.calendars, "JP-KANTO": shorter}}),
    )
    promote.put_in_force(connection, changed, today=date(2027, 1, 2), now=noon, by="engine-2")
    hours = connection.execute(
        "SELECT DISTINCT (opens_at AT TIME ZONE 'Asia/Tokyo')::time, (closes_at AT TIME ZONE 'Asia/Tokyo')::time"
        "  FROM calendar_interval WHERE calendar = 'JP-KANTO'"
    ).fetchall()
    assert hours == [(time(9), time(12))]
    first, last = connection.execute(
        "SELECT min(opens_at), max(opens_at) FROM calendar_interval WHERE calendar = 'JP-KANTO'"
    ).fetchone()
    assert (first.year, last.year) == (2027 - promote.CALENDAR_YEARS_BEHIND, 2027 + promote.CALENDAR_YEARS_AHEAD)


def test_engines_that_start_together_put_it_in_force_one_after_the_other(database, connection, noon):
    configuration = promote.load(FOLDER)
    pool = database.engine("finsync_engine", pool_size=4)

    def start(number):
        with borrowed(pool) as own:
            promote.put_in_force(own, configuration, today=noon.date(), now=noon, by=f"engine-{number}")
            return _intervals(own)

    with ThreadPoolExecutor(4) as engines:
        seen = set(engines.map(start, range(4)))
    pool.dispose()
    assert len(seen) == 1


def test_an_engine_that_starts_reads_its_feeds_at_once_whenever_they_would_have_been_due(connection, noon):
    put = {"system": ["coupa"], "feed": ["requisitions"], "silent_after_s": [900.0]}
    store.run(
        connection,
        "intake.register_systems",
        system=["coupa"],
        role=["procurement"],
        title=["Coupa"],
        requests_per_s=[20.0],
        burst=[20.0],
        now=noon,
    )
    store.run(connection, "intake.register_feeds", **put, now=noon)
    connection.execute("UPDATE feed_state SET due_at = %s, cursor = '{\"place\": 7}'", [noon + timedelta(hours=4)])
    store.run(connection, "intake.register_feeds", **put, now=noon + timedelta(minutes=1))
    assert connection.execute("SELECT due_at, cursor FROM feed_state").fetchone() == (
        noon + timedelta(minutes=1),
        {"place": 7},
    )


@pytest.mark.parametrize("target", ["1", "0", "95", "-0.1", "nan"])
def test_a_target_without_an_error_budget_is_refused_with_the_place(tmp_path, target):
    """A share of a budget of nothing cannot be said."""
    folder = tmp_path / "config"
    shutil.copytree(FOLDER, folder)
    path = folder / "objectives" / "order-creation.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("target: 0.95", f"target: {target}"), encoding="utf-8")
    with pytest.raises(BadConfiguration, match=rf"order-creation.yaml: the target is {float(target):g}"):
        promote.load(folder)
