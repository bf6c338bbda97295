"""Reading the rollups: over any period, in any zone, exactly what the single things add up to (D03, D15, R123; section 6, traps 3, 4
and 13)."""

from datetime import UTC, date, datetime, timedelta
from random import Random

import numpy as np
import pytest

from sync_engine.control import access
from sync_engine.control.access import Person
from sync_engine.control.roles import Role
from sync_engine.database.connections import borrowed
from sync_engine.insight import fold
from sync_engine.insight.reports import Cache, Reports, rolled
from tests.insight.told import FIRST_DAY, UNITS, told

END = FIRST_DAY + timedelta(days=200)
DURATIONS = ["ordered_wall", "ordered_business", "approved_to_ordered_wall", "submitted_ordered_business", "posted_wall", "stay_wall", "stay_business"]  # fmt: skip
COUNTS = ["submitted", "submitted_ended", "entered", "objective_due", "objective_good"]
SHARES = (0.5, 0.85, 0.95)


@pytest.fixture
def connection(cell):
    _, pool = cell
    with borrowed(pool) as connection:
        yield connection


@pytest.fixture
def reader(cell, connection):
    """Reports as somebody who sees the given units."""
    database, _ = cell
    gate, app = (database.engine(role, pool_size=1) for role in ("finsync_gate", "finsync_app"))

    def read_as(*units: str) -> Reports:
        person = Person(" ".join(units), "x", frozenset({Role.PROCUREMENT_ANALYST}), units)
        access.put_people(connection, [person], now=END)
        session = access.open_session(gate, person.user_id, hours=1)
        return Reports(app, session.token, session.person, Cache())

    yield read_as
    gate.dispose()
    app.dispose()


def folded(cell, connection, seed, **size):
    company, books = told(cell, connection, seed, **size)
    books.write(company.recordings)
    fold.fold_all(connection, now=END)


THINGS = """
SELECT measure, CASE WHEN 'part' = ANY (%(by)s) THEN part END, CASE WHEN 'unit' = ANY (%(by)s) THEN business_unit END,
       CASE WHEN %(step)s::text IS NOT NULL THEN date_trunc(%(step)s, at AT TIME ZONE %(zone)s)::date END,
       count(*), count(*) FILTER (WHERE s < 0), coalesce(sum(s) FILTER (WHERE s > 0), 0),
       coalesce(array_agg(rollup_bucket(s) ORDER BY s) FILTER (WHERE s >= 0), '{}')
  FROM rollup_fact
 WHERE measure = ANY (%(measures)s) AND source = 'finsync' AND at >= %(since)s AND at < %(until)s AND (%(units)s::text[] IS NULL OR business_unit = ANY (%(units)s))
 GROUP BY 1, 2, 3, 4 ORDER BY 1, 4, 2, 3
"""
READ = """
SELECT measure, part, business_unit, starts_on, n, negative, total,
       coalesce((SELECT array_agg(bucket ORDER BY bucket) FROM unnest(buckets, counts) AS u(bucket, held) CROSS JOIN generate_series(1, held)), '{}')
  FROM rolled('finsync', %(measures)s, NULL, %(units)s, %(since)s, %(until)s, %(step)s, %(zone)s, %(by)s)
"""


def test_the_single_things_of_every_day_add_up_to_its_rollup(cell, connection):
    """The facts behind the edges are the ones that were counted: without this, nothing else here means anything."""
    folded(cell, connection, 11, journeys=60)
    kept, facts = (
        connection.execute(text, [DURATIONS + COUNTS]).fetchall()
        for text in (
            "SELECT measure, part, business_unit, starts_on, n, negative, total FROM rolled_up WHERE grain = 'day' AND business_unit <> '*' AND measure = ANY (%s) ORDER BY 1, 2, 3, 4",
            """SELECT measure, part, business_unit, (at AT TIME ZONE 'UTC')::date, count(*), count(*) FILTER (WHERE s < 0), coalesce(sum(s) FILTER (WHERE s > 0), 0)
                 FROM rollup_fact WHERE measure = ANY (%s) GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4""",
        )
    )
    assert facts == kept
    assert {row[0] for row in kept} == set(DURATIONS + COUNTS)


@pytest.mark.parametrize("seed", range(6))
def test_any_period_in_any_zone_is_exactly_its_single_things(cell, connection, seed):
    """Trap 13: a zone's midnight is not the rollup's; trap 3: a period has two sharp ends. Weeks over the night the clocks change."""
    folded(cell, connection, seed, journeys=80, days=150)
    rng = Random(seed)
    met = 0
    for _ in range(12):
        since = FIRST_DAY + timedelta(seconds=rng.randint(-10 * 86400, 170 * 86400))
        asked = {
            "since": since,
            "until": since + timedelta(seconds=rng.choice((7200, 86400 * 13, 86400 * 91, 86400 * 190))),
            "step": rng.choice((None, "day", "week", "month", "quarter", "year")),
            "zone": rng.choice(("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Auckland")),
            "by": rng.choice(([], ["unit"], ["part"], ["part", "unit"])),
            "units": rng.choice((None, ["DE-SOUTH"], ["DE-SOUTH", "US-EAST"])),
            "measures": rng.sample(DURATIONS + COUNTS, 4),
        }
        things = connection.execute(THINGS, asked).fetchall()
        assert connection.execute(READ, asked).fetchall() == things, asked
        met += len(things)
    assert met > 50


def test_closed_years_and_months_and_open_days_make_up_any_stretch_of_days_once(connection):
    """No day is in two periods and none is missing, whatever has been closed."""
    rng = Random(1)
    for months, years in (("0001-01-01", "0001-01-01"), ("2026-11-01", "2026-01-01"), ("2024-03-01", "2024-01-01")):
        connection.execute("UPDATE rollup_closed SET months_until = %s, years_until = %s", [months, years])
        for _ in range(60):
            first = date(2022, 12, 20) + timedelta(days=rng.randint(0, 1500))
            before = first + timedelta(days=rng.choice((0, 1, 3, 40, 366, 1100)))
            periods = connection.execute(
                "SELECT grain, first_on, before FROM rollup_periods(%s, %s) ORDER BY first_on", [first, before]
            ).fetchall()
            at = first
            for grain, first_on, until in periods:
                assert first_on == at
                assert grain == "day" or (first_on.day, until.day) == (1, 1)
                assert grain != "year" or (first_on.month, until.month) == (1, 1)
                assert grain == "day" or str(until) <= (months if grain == "month" else years)
                at = until
            assert at == before
            assert len(periods) <= 5
    connection.execute("UPDATE rollup_closed SET months_until = '0001-01-01', years_until = '0001-01-01'")


def test_a_figure_is_of_the_units_its_reader_may_see(cell, connection, reader):
    """R123: the fast row of all units for whoever sees all, the sum of their own units for anybody else."""
    folded(cell, connection, 12, journeys=60)
    asked = {"since": FIRST_DAY + timedelta(hours=5), "until": END}
    whole, south, both = (
        rolled.figures(reader(*units), ["submitted"], None, **asked)["n"].tolist()
        for units in (("*",), ("DE-SOUTH",), ("DE-SOUTH", "US-EAST"))
    )
    parts = rolled.figures(reader("*"), ["submitted"], None, by=["unit"], **asked)
    assert dict(zip(parts["business_unit"], parts["n"], strict=True)).keys() == set(UNITS)
    assert whole == [parts["n"].sum()]
    assert south == parts[parts["business_unit"] == "DE-SOUTH"]["n"].tolist()
    assert both == [parts[parts["business_unit"] != "DE-NORTH"]["n"].sum()]
    seen = rolled.figures(reader("DE-SOUTH"), ["submitted"], ["DE-NORTH"], **asked)
    assert seen.empty


def test_percentiles_are_the_exact_ones_to_one_percent(cell, connection, reader):
    folded(cell, connection, 13, journeys=200)
    since, until = FIRST_DAY + timedelta(days=3, hours=7), END
    figure = rolled.figures(reader("*"), ["ordered_wall"], None, since=since, until=until).iloc[0]
    exact = [
        float(row[0])
        for row in connection.execute(
            "SELECT to_ordered_s FROM journey WHERE ordered_at >= %s AND ordered_at < %s AND to_ordered_s >= 0",
            [since, until],
        )
    ]
    assert figure["durations"] == len(exact) > 50
    assert figure["n"] == figure["durations"] + figure["negative"]
    for share in SHARES:
        assert figure[rolled.percentile_name(share)] == pytest.approx(np.quantile(exact, share), rel=0.01)


def test_nothing_is_no_row_and_not_zero(reader):
    """Trap 2."""
    then = datetime(2020, 1, 1, tzinfo=UTC)
    assert rolled.figures(reader("*"), ["ordered_wall"], None, since=then, until=then + timedelta(days=30)).empty
    assert rolled.survival(
        reader("*"), None, since=then, until=then + timedelta(days=30), as_of=END, clock="wall"
    ) == rolled.Survival(0, 0, (None, None, None))


def test_a_past_evening_s_figure_can_be_had_again_and_what_changed_it(cell, connection, reader):
    """D15: news that comes late restates, and says when it was learned."""
    company, books = told(cell, connection, 14, journeys=30)
    reported = {}
    today = company.recordings[0].recorded_at.date()
    last = today
    reports = reader("*")
    measures = ["ordered_wall", "submitted", "objective_good"]

    def asked(on):
        return {
            "since": FIRST_DAY - timedelta(days=40),
            "until": datetime.combine(on, datetime.min.time(), UTC) + timedelta(days=1),
        }

    for recording in company.recordings:
        while today < recording.recorded_at.date():
            reported[today] = connection.execute(
                "SELECT * FROM rolled('finsync', %s, NULL, NULL, %s, %s)",
                [measures, asked(today)["since"], asked(today)["until"]],
            ).fetchall()
            last, today = today, today + timedelta(days=1)
        books.write([recording])
        fold.fold_all(connection, now=recording.recorded_at)
    changed = 0
    for on, then in reported.items():
        again = connection.execute(
            "SELECT * FROM rolled('finsync', %s, NULL, NULL, %s, %s, reported_on => %s)",
            [measures, asked(on)["since"], END, on],
        ).fetchall()
        assert again == then, on
        now = connection.execute("SELECT * FROM rolled('finsync', %s, NULL, NULL, %s, %s)", [measures, *asked(on).values()]).fetchall()  # fmt: skip
        news = rolled.restated(reports, measures, None, **asked(on), reported_on=on)
        for measure in measures:
            difference = sum(row[4] for row in now if row[0] == measure) - sum(row[4] for row in then if row[0] == measure)  # fmt: skip
            assert news[news["measure"] == measure]["n"].sum() == difference
        assert all(learned > on for learned in news["learned_on"])
        changed += now != then
    assert changed > len(reported) / 2
    assert last > FIRST_DAY.date()


def kaplan_meier(done, ages, share):
    """By the book: the smallest time at which so many are done."""
    alive = 1.0
    times = np.sort(np.concatenate([done, ages]))
    for time in np.unique(done):
        at_risk = len(times) - np.searchsorted(times, time)
        alive *= 1 - np.count_nonzero(done == time) / at_risk
        if alive <= 1 - share + 1e-12:
            return time
    return None


@pytest.mark.parametrize("seed", range(8))
def test_with_open_ones_counted_the_percentiles_are_the_reference_s_to_one_percent(connection, seed):
    """Trap 4: the slow ones are the ones that are not there yet."""
    rng = np.random.default_rng(seed)
    durations = rng.lognormal(rng.uniform(8, 13), rng.uniform(0.5, 1.5), 4000)
    limits = rng.uniform(0, np.quantile(durations, 0.99) * rng.uniform(1, 4), 4000)
    done, ages = durations[durations <= limits], limits[durations > limits]
    [found] = connection.execute(
        """SELECT rollup_survival(array_agg(bucket ORDER BY bucket), array_agg(held ORDER BY bucket), %s::numeric[], %s)
             FROM (SELECT rollup_bucket(s) AS bucket, count(*)::integer AS held FROM unnest(%s::numeric[]) AS s GROUP BY 1) b""",
        [ages.tolist(), list(SHARES), done.tolist()],
    ).fetchone()
    for share, figure in zip(SHARES, found, strict=True):
        assert figure == pytest.approx(kaplan_meier(done, ages, share), rel=0.01)


@pytest.mark.parametrize("seed", range(4))
def test_of_few_the_percentiles_are_the_reference_s(connection, seed):
    """Also where one is done and another still open at the very same age."""
    rng = np.random.default_rng(seed)
    done, ages = rng.integers(1, 60, 25).astype(float), rng.integers(1, 60, 25).astype(float)
    [found] = connection.execute(
        "SELECT survival(%s::numeric[], %s::numeric[], %s)", [done.tolist(), ages.tolist(), list(SHARES)]
    ).fetchone()
    assert found == [kaplan_meier(done, ages, share) for share in SHARES]


def test_a_cohort_counts_its_open_requisitions_with_their_age(cell, connection, reader, monkeypatch):
    folded(cell, connection, 15, journeys=300)
    until = FIRST_DAY + timedelta(days=38, hours=3)
    answer = rolled.survival(reader("*"), None, since=FIRST_DAY, until=until, as_of=END, clock="wall")
    rows = connection.execute(
        "SELECT to_ordered_s, extract(epoch FROM %s - submitted_at) FROM journey WHERE submitted_at >= %s AND submitted_at < %s AND (to_ordered_s >= 0 OR ordered_at IS NULL AND closed_at IS NULL)",
        [END, FIRST_DAY, until],
    ).fetchall()
    done = np.array([float(s) for s, _ in rows if s is not None])
    ages = np.array([float(age) for s, age in rows if s is None])
    assert (answer.n, answer.under_way) == (len(rows), len(ages))
    assert len(ages) > 10
    monkeypatch.setattr(rolled, "EXACT_TO", 0)
    bucketed = rolled.survival(reader("*"), None, since=FIRST_DAY, until=until, as_of=END, clock="wall")
    assert (bucketed.n, bucketed.under_way) == (answer.n, answer.under_way)
    assert bucketed.p != answer.p
    for share, figure in zip(SHARES, answer.p, strict=True):
        expected = kaplan_meier(done, ages, share)
        assert figure is expected is None or figure == pytest.approx(expected, rel=1e-9)
