"""Folding: every event counted once however the work is cut, interrupted or shared, and figures that equal the views' (D03, D15,
R007, section 6 traps 6 to 8)."""

import threading
from contextlib import suppress
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sync_engine.database.connections import borrowed
from sync_engine.insight import fold, orders, steps
from tests.insight.told import FIRST_DAY, Recording, told

SEEDS = st.integers(0, 10**9)
SOME = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
END = FIRST_DAY + timedelta(days=200)


@pytest.fixture
def connection(cell):
    _, pool = cell
    with borrowed(pool) as connection:
        yield connection


def commits(recordings: list[Recording], rng: Random):
    """The recordings in the order in which they might be committed: some late, but never before what they build on."""
    held: list[Recording] = []
    for recording in recordings:
        documents = {event.document for event in recording.events}
        builds_on_held = any(documents & {event.document for event in one.events} for one in held)
        if builds_on_held or rng.random() < 0.15:
            held.append(recording)
        else:
            yield recording
        if held and rng.random() < 0.3:
            yield from held
            held.clear()
    yield from held


FOLDED = {
    "rolled_up": "SELECT source, measure, part, business_unit, grain, starts_on, known_on::text, n, negative, total, buckets, counts FROM rolled_up ORDER BY 1, 2, 3, 4, 5, 6, 7",
    "document_milestone": "SELECT * FROM document_milestone ORDER BY document_id",
    "journey": "SELECT * FROM journey ORDER BY document_id",
    "journey_stage": "SELECT * FROM journey_stage ORDER BY document_id, stage",
    "objective_result": "SELECT * FROM objective_result ORDER BY objective, document_id",
    "document_path": "SELECT * FROM document_path ORDER BY document_id",
    "step_day": "SELECT * FROM step_day ORDER BY source, business_unit, day, document_type, from_activity, activity",
    "step_document": "SELECT * FROM step_document ORDER BY source, business_unit, day",
    "order_moment": "SELECT * FROM order_moment ORDER BY document_id",
}


def everything(connection):
    """All that the folder keeps, once it has worked out the days of which something was told."""
    with connection.transaction():
        steps.keep(connection)
        orders.keep(connection)
    return {name: connection.execute(text).fetchall() for name, text in FOLDED.items()}


class Crash(Exception):
    """The process ends here."""


def fold_some(connection, now, rng):
    """Fold a part of what waits, perhaps dying before it is committed."""
    if rng.random() < 0.2:
        with suppress(Crash), connection.transaction():
            fold.fold(connection, now=now, events=rng.randint(1, 30))
            raise Crash
    for _ in range(rng.randint(0, 3)):
        fold.fold(connection, now=now, events=rng.randint(1, 30))
    if rng.random() < 0.2:
        fold.close(connection, now=now)


EXPECTED = """
WITH given AS (
    SELECT c.measure, '' AS part, v.business_unit, c.at, c.s
      FROM cycle_time v CROSS JOIN LATERAL (VALUES
          ('submitted', submitted_at, NULL::numeric), ('submitted_ended', CASE WHEN ordered_at IS NULL AND closed_at IS NOT NULL THEN submitted_at END, NULL),
          ('submitted_ordered_wall', CASE WHEN ordered_at IS NOT NULL THEN submitted_at END, to_ordered_s),
          ('submitted_ordered_business', CASE WHEN ordered_at IS NOT NULL THEN submitted_at END, CASE WHEN to_ordered_s < 0 THEN -1 ELSE to_ordered_business_s END),
          ('ordered_wall', ordered_at, to_ordered_s), ('ordered_business', ordered_at, CASE WHEN to_ordered_s < 0 THEN -1 ELSE to_ordered_business_s END),
          ('approved_to_ordered_wall', CASE WHEN approved_at IS NOT NULL THEN ordered_at END, approved_to_ordered_s),
          ('approved_to_ordered_business', CASE WHEN approved_at IS NOT NULL THEN ordered_at END, CASE WHEN approved_to_ordered_s < 0 THEN -1 ELSE approved_to_ordered_business_s END),
          ('posted_wall', posted_at, to_posted_s), ('posted_business', posted_at, CASE WHEN to_posted_s < 0 THEN -1 ELSE to_posted_business_s END)) AS c(measure, at, s)
    UNION ALL SELECT 'objective_due', objective, business_unit, deadline_at, NULL FROM slo_event
    UNION ALL SELECT 'objective_good', objective, business_unit, deadline_at, NULL FROM slo_event WHERE good_at <= deadline_at
    UNION ALL SELECT 'stay_wall', document_type || ':' || stage, business_unit, left_at, wall_s FROM stage_time
    UNION ALL SELECT 'stay_business', document_type || ':' || stage, business_unit, left_at, business_s FROM stage_time
    UNION ALL SELECT 'entered', document_type || ':' || state_to, business_unit, recorded_at, NULL FROM event WHERE state_from IS DISTINCT FROM state_to
)
SELECT measure, grain, part, u.unit, date_trunc(grain, at, 'UTC')::date AS starts_on, count(*) AS n, count(*) FILTER (WHERE s < 0) AS negative,
       coalesce(sum(s) FILTER (WHERE s > 0), 0) AS total, coalesce(array_agg(rollup_bucket(s) ORDER BY s) FILTER (WHERE s >= 0), '{}') AS buckets
  FROM given CROSS JOIN LATERAL (VALUES (business_unit), ('*')) AS u(unit) CROSS JOIN unnest(ARRAY['day', 'month', 'year']) AS grain CROSS JOIN rollup_closed
 WHERE at IS NOT NULL AND (grain = 'day' OR grain = 'month' AND at::date < months_until OR grain = 'year' AND at::date < years_until)
 GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5
"""
KEPT = """
SELECT measure, grain, part, business_unit, starts_on, n, negative, total,
       coalesce((SELECT array_agg(bucket ORDER BY bucket) FROM unnest(buckets, counts) AS u(bucket, held) CROSS JOIN generate_series(1, held)), '{}')
  FROM rolled_up WHERE grain <> 'late' ORDER BY 1, 2, 3, 4, 5
"""


@SOME
@given(SEEDS)
def test_however_it_is_cut_and_interrupted_every_figure_is_the_views(cell, connection, seed):
    """R007, D03: rollups by day, month and year equal what the views say of the same events; a rebuild changes nothing."""
    company, books = told(cell, connection, seed)
    rng = Random(seed)
    for recording in commits(company.recordings, rng):
        books.write([recording])
        if rng.random() < 0.3:
            fold_some(connection, recording.recorded_at + timedelta(seconds=1), rng)
    fold.fold_all(connection, now=END, events=rng.randint(1, 100))
    expected = connection.execute(EXPECTED).fetchall()
    assert connection.execute(KEPT).fetchall() == expected
    assert {row[0] for row in expected} >= {"ordered_wall", "objective_due", "stay_wall", "entered"}
    before = everything(connection)
    fold.rebuild(connection, events=rng.randint(1, 100))
    assert everything(connection) == before
    fold.rebuild(connection, source="finsync")
    assert everything(connection) == before


AS_OF = """
SELECT measure, part, business_unit, starts_on, n, negative, total, (SELECT array_agg((bucket, held) ORDER BY bucket) FROM unnest(buckets, counts) AS u(bucket, held))::text
  FROM rolled_up WHERE grain = 'day' AND starts_on <= %(on)s ORDER BY 1, 2, 3, 4
"""
AS_REPORTED = """
WITH part AS (SELECT * FROM rolled_up WHERE starts_on <= %(on)s AND (grain = 'day' OR grain = 'late' AND known_on > %(on)s)),
held AS (SELECT measure, part, business_unit, starts_on, bucket, sum(CASE grain WHEN 'day' THEN held ELSE -held END)::bigint AS held
           FROM part CROSS JOIN LATERAL unnest(buckets, counts) AS u(bucket, held) GROUP BY 1, 2, 3, 4, 5)
SELECT measure, part, business_unit, starts_on, n, negative, total,
       (SELECT array_agg((bucket, held) ORDER BY bucket) FROM held h WHERE h.held <> 0 AND (h.measure, h.part, h.business_unit, h.starts_on) = (p.measure, p.part, p.business_unit, p.starts_on))::text
  FROM (SELECT measure, part, business_unit, starts_on, sum(CASE grain WHEN 'day' THEN n ELSE -n END)::bigint AS n, sum(CASE grain WHEN 'day' THEN negative ELSE -negative END)::bigint AS negative,
               sum(CASE grain WHEN 'day' THEN total ELSE -total END) AS total FROM part GROUP BY 1, 2, 3, 4) p
 WHERE n <> 0 ORDER BY 1, 2, 3, 4
"""


@settings(SOME, max_examples=5)
@given(SEEDS)
def test_what_was_reported_on_any_evening_can_be_reported_again(cell, connection, seed):
    """D15: late events restate, and the figure of that day stays to be had."""
    company, books = told(cell, connection, seed)
    reported: dict[date, list[tuple]] = {}
    today = company.recordings[0].recorded_at.date()
    restated = 0
    for recording in company.recordings:
        while today < recording.recorded_at.date():
            reported[today] = connection.execute(AS_OF, {"on": today}).fetchall()
            today += timedelta(days=1)
        books.write([recording])
        fold.fold_all(connection, now=recording.recorded_at)
    for on, figures in reported.items():
        assert connection.execute(AS_REPORTED, {"on": on}).fetchall() == figures, on
        restated += connection.execute(AS_OF, {"on": on}).fetchall() != figures
    assert restated > len(reported) / 2, "a company whose news comes late restates"


def test_two_folders_at_once_count_everything_once(cell, connection):
    """Any number of engines may fold: one at a time does, none waits for another, nothing is counted twice."""
    company, books = told(cell, connection, 3, journeys=60)
    _, pool = cell
    books.write(company.recordings)
    errors: list[BaseException] = []

    def work():
        try:
            with borrowed(pool) as own:
                while own.execute("SELECT 1 FROM recording WHERE folded_at IS NULL LIMIT 1").fetchone():
                    fold.fold(own, now=END, events=40)
        except BaseException as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    fold.close(connection, now=END)
    assert connection.execute(KEPT).fetchall() == connection.execute(EXPECTED).fetchall()


def test_a_folder_that_died_has_counted_nothing(cell, connection):
    company, books = told(cell, connection, 4)
    books.write(company.recordings)
    with suppress(Crash), connection.transaction():
        assert fold.fold(connection, now=END)
        raise Crash
    assert not any(everything(connection).values())
    assert connection.execute("SELECT count(*) FROM recording WHERE folded_at IS NOT NULL").fetchone() == (0,)


PLANS = "SELECT current_setting('plan_cache_mode'), current_setting('enable_seqscan')"


def test_a_large_batch_is_planned_for_what_it_holds_and_the_connection_keeps_its_ways(cell, connection, monkeypatch):
    """Plans kept for single rows compare each event of thousands with each: folding years took five times as long."""
    company, books = told(cell, connection, 9)
    books.write(company.recordings)
    kept = connection.execute(PLANS).fetchone()
    assert kept == ("force_generic_plan", "off")
    with connection.transaction():
        assert fold.fold(connection, now=END, events=1)
        assert connection.execute(PLANS).fetchone() == kept, "a handful of events is folded by the plans that are kept"
        monkeypatch.setattr(fold, "PLANNED_ANEW_FROM", 20)
        assert fold.fold(connection, now=END, events=30) >= 20
        assert connection.execute(PLANS).fetchone() == ("force_custom_plan", "on")
    assert connection.execute(PLANS).fetchone() == kept


READ = """SELECT coalesce(sum(pg_stat_get_tuples_returned(i.indexrelid)), 0)::bigint
  FROM pg_index i WHERE i.indrelid IN ('business_unit'::regclass, 'document'::regclass)"""


def test_what_a_large_batch_is_joined_with_is_counted_first(new):
    """Nobody has counted a backlog that has just come: for each event its unit was looked up anew, and for each requisition all orders."""
    with borrowed(new[1]) as connection:
        company, books = told(new, connection, 8, journeys=150)
        books.write(company.recordings)
        connection.execute("SELECT pg_stat_force_next_flush()")
        before = connection.execute(READ).fetchone()[0]
        [events] = connection.execute("SELECT count(*) FROM event").fetchone()
        assert fold.fold(connection, now=END) == events > fold.PLANNED_ANEW_FROM
        connection.execute("SELECT pg_stat_force_next_flush()")
        assert connection.execute(READ).fetchone()[0] - before < 5 * events
        uncounted = "SELECT count(*) FROM pg_class WHERE reltuples < 0 AND oid IN ('document'::regclass, 'recording'::regclass, 'business_unit'::regclass)"
        assert connection.execute(uncounted).fetchone() == (0,)


def test_the_stays_of_a_thousand_documents_add_up_to_their_journeys_to_the_second(cell, connection):
    """F-4.5, trap 6: from the first entry to the last, every stay of every visit, and nothing twice."""
    company, books = told(cell, connection, 5, journeys=420, days=90)
    books.write(company.recordings)
    fold.fold_all(connection, now=END)
    documents, whole = connection.execute(
        """SELECT count(*), sum(extract(epoch FROM last_entry - first_entry))
             FROM (SELECT document_id, min(recorded_at) AS first_entry, max(recorded_at) FILTER (WHERE state_from IS DISTINCT FROM state_to) AS last_entry FROM event GROUP BY 1) d"""
    ).fetchone()
    assert documents >= 1000
    parts = connection.execute(
        "SELECT sum(total) FROM rolled_up WHERE measure = 'stay_wall' AND grain = 'day' AND business_unit = '*'"
    ).fetchone()[0]
    assert parts == whole


def test_units_add_up_to_all_of_them(cell, connection):
    company, books = told(cell, connection, 6, journeys=40)
    books.write(company.recordings)
    fold.fold_all(connection, now=END)
    measures = "SELECT measure, part, grain, starts_on, sum(n), sum(negative), sum(total), sum((SELECT sum(held) FROM unnest(counts) AS held)) FROM rolled_up"
    units = connection.execute(
        f"{measures} WHERE business_unit <> '*' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
    ).fetchall()
    assert connection.execute(f"{measures} WHERE business_unit = '*' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4").fetchall() == units  # fmt: skip


def test_test_documents_are_in_no_figure(cell, connection):
    """Trap 17."""
    company, books = told(cell, connection, 7, journeys=12)
    books.write(company.recordings)
    connection.execute("UPDATE document SET is_test = (document_type = 'requisition')")
    fold.fold_all(connection, now=END)
    assert connection.execute("SELECT count(*) FROM journey").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM rolled_up WHERE part LIKE 'requisition:%'").fetchone() == (0,)
    assert connection.execute("SELECT count(*) > 0 FROM rolled_up WHERE part LIKE 'invoice:%'").fetchone() == (True,)


@settings(SOME, max_examples=60)
@given(
    st.lists(
        st.one_of(st.just(0.0), st.floats(1e-6, 1e9), st.floats(1, 600), st.floats(3600, 90 * 86400)),
        min_size=1,
        max_size=300,
    )
)
def test_every_percentile_is_within_one_percent_of_the_exact_one(connection, seconds):
    shares = [0.0, 0.5, 0.85, 0.95, 1.0]
    [found] = connection.execute(
        """SELECT rollup_percentiles(array_agg(bucket ORDER BY bucket), array_agg(held ORDER BY bucket), %s)
             FROM (SELECT rollup_bucket(s) AS bucket, count(*)::integer AS held FROM unnest(%s::numeric[]) AS s GROUP BY 1) b""",
        [shares, [Decimal(repr(one)) for one in seconds]],
    ).fetchone()
    for share, figure in zip(shares, found, strict=True):
        assert figure == pytest.approx(float(np.quantile(seconds, share)), rel=0.01, abs=0)


def test_no_durations_have_no_percentile(connection):
    """Trap 2: nothing is not zero."""
    assert connection.execute("SELECT rollup_percentiles('{}', '{}', '{0.5,0.9}')").fetchone()[0] == [None, None]


def test_a_session_sees_its_own_units_and_not_the_sum_of_all(cell, connection):
    """R123: the row of all units is for whoever may see all."""
    company, books = told(cell, connection, 8, journeys=20)
    books.write(company.recordings)
    fold.fold_all(connection, now=END)
    database, _ = cell
    with database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {database.cell}")
        owner.execute("INSERT INTO app_user (user_id, name, roles, units, updated_at) VALUES ('south', 's', '{}', '{DE-SOUTH}', now()), ('all', 'a', '{}', '{*}', now()) ON CONFLICT DO NOTHING")  # fmt: skip
        for person in ("south", "all"):
            owner.execute("SELECT open_session(%s, %s, '1 hour')", [person, f"token of {person}"])
    seen = {}
    for person in ("south", "all"):
        with database.connected("finsync_app") as session:
            session.execute("SELECT set_config('finsync.session', %s, false)", [f"token of {person}"])
            seen[person] = {
                table: {row[0] for row in session.execute(f"SELECT DISTINCT business_unit FROM {table}")}
                for table in ("rollup", "rollup_series", "journey", "document_milestone", "objective_result")
            }
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("SELECT add_to_rollups('{}', '2026-01-01')")
    assert all(units == {"DE-SOUTH"} for units in seen["south"].values())
    assert "*" in seen["all"]["rollup"]
    assert len(seen["all"]["journey"]) > 1
