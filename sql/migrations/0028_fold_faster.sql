-- Counting what a batch of events gives, in half the time: each name is looked up once, not once per contribution, and all units
-- together are summed from what the units gave.

-- The working intervals of each calendar that business units keep, as arrays in the order of time: for the folder, who asks about thousands
-- of moments at once (worked_by), in whose place a search of the index would be made for each of them.
CREATE FUNCTION unit_hours() RETURNS TABLE (calendar text, opens timestamptz[], closes timestamptz[], worked bigint[])
LANGUAGE sql STABLE PARALLEL SAFE ROWS 10  -- without a path of its own, so that it becomes part of the statement
AS $$
    SELECT i.calendar, array_agg(i.opens_at ORDER BY i.opens_at), array_agg(i.closes_at ORDER BY i.opens_at), array_agg(i.worked_before_s ORDER BY i.opens_at)
      FROM calendar_interval i
     WHERE i.calendar IN (SELECT b.calendar FROM business_unit b)
     GROUP BY i.calendar
$$;
REVOKE ALL ON FUNCTION unit_hours() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unit_hours() TO finsync_engine;

-- Working seconds of a calendar up to a moment: worked_s, for who holds the calendar's intervals as unit_hours has them. Before
-- the first of them, without a calendar and without a moment it is 0.
CREATE FUNCTION worked_by(opens timestamptz[], closes timestamptz[], worked bigint[], moment timestamptz) RETURNS numeric
LANGUAGE sql IMMUTABLE PARALLEL SAFE  -- without a path of its own, so that it becomes part of the statement
AS $$ SELECT coalesce(worked[width_bucket(moment, opens)] + extract(epoch FROM least(moment, closes[width_bucket(moment, opens)]) - opens[width_bucket(moment, opens)]), 0) $$;

-- Adds contributions to the rollups, learned on a day; answers how many differed from nothing. Whoever calls it holds the folder's
-- lock, so that nobody else changes a row between its being read and its being written. Planned for what it is given: a plan for
-- ten contributions is a hundred times too slow for ten thousand.
CREATE OR REPLACE FUNCTION add_to_rollups(given rollup_contribution[], learned date) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
SET work_mem = '64MB'
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = on
AS $$
DECLARE
    differing bigint;
    months date;
    years date;
    reported text[];   -- the logs of which something had been reported before that day
BEGIN
    SELECT months_until, years_until INTO months, years FROM rollup_closed;
    SELECT coalesce(array_agg(source), '{}') INTO reported FROM rollup_begun WHERE learned_on < learned;

    INSERT INTO rollup_series (series_id, source, measure, part, business_unit)
    SELECT (SELECT coalesce(max(series_id), 0) FROM rollup_series) + row_number() OVER (ORDER BY source, measure, part, business_unit),
           source, measure, part, business_unit
      FROM (SELECT DISTINCT g.source, g.measure, g.part, u.business_unit
              FROM (SELECT DISTINCT source, measure, part, business_unit FROM unnest(given)) g
             CROSS JOIN LATERAL (VALUES (g.business_unit), ('*')) AS u(business_unit)) named
     WHERE NOT EXISTS (SELECT 1 FROM rollup_series s WHERE s.label = named.source || chr(31) || named.measure || chr(31) || named.part || chr(31) || named.business_unit);

    WITH piece AS MATERIALIZED (
        SELECT source, measure, part, business_unit, (at AT TIME ZONE 'UTC')::date AS on_day, rollup_bucket(s) AS bucket,
               sum(weight)::integer AS n, coalesce(sum(weight * s) FILTER (WHERE s > 0), 0) AS total
          FROM unnest(given)
         GROUP BY 1, 2, 3, 4, 5, 6
        HAVING sum(weight) <> 0 OR sum(weight * s) <> 0
    ), named AS MATERIALIZED (
        -- Looked up, not joined: while little is known of the series, a join is taken to answer one row, and everything is compared with it.
        SELECT n.*, (SELECT s.series_id FROM rollup_series s WHERE s.label = n.source || chr(31) || n.measure || chr(31) || n.part || chr(31) || n.business_unit) AS series_id,
               (SELECT s.series_id FROM rollup_series s WHERE s.label = n.source || chr(31) || n.measure || chr(31) || n.part || chr(31) || '*') AS whole_id
          FROM (SELECT DISTINCT source, measure, part, business_unit FROM piece) n
    ), counted AS MATERIALIZED (
        SELECT m.series_id, m.whole_id, m.business_unit, p.on_day, p.bucket, p.n, p.total, p.on_day < learned AND p.source = ANY (reported) AS is_late
          FROM piece p JOIN named m USING (source, measure, part, business_unit)
    ), daily AS MATERIALIZED (
        SELECT series_id, business_unit, on_day, bucket, n, total, is_late FROM counted
        UNION ALL
        SELECT whole_id, '*', on_day, bucket, sum(n)::integer, sum(total), is_late FROM counted GROUP BY whole_id, on_day, bucket, is_late
    ), spread AS MATERIALIZED (
        SELECT series_id, business_unit, 'day' AS grain, on_day AS starts_on, '0001-01-01'::date AS known_on, bucket, n, total FROM daily
        UNION ALL
        SELECT series_id, business_unit, 'month', date_trunc('month', on_day::timestamp)::date, '0001-01-01'::date, bucket, sum(n)::integer, sum(total)
          FROM daily WHERE on_day < months GROUP BY 1, 2, 4, 6
        UNION ALL
        SELECT series_id, business_unit, 'year', date_trunc('year', on_day::timestamp)::date, '0001-01-01'::date, bucket, sum(n)::integer, sum(total)
          FROM daily WHERE on_day < years GROUP BY 1, 2, 4, 6
        UNION ALL
        SELECT series_id, business_unit, 'late', on_day, learned, bucket, n, total FROM daily WHERE is_late
    ), old AS MATERIALIZED (
        SELECT r.*
          FROM (SELECT DISTINCT series_id, grain, starts_on, known_on FROM spread) d
          JOIN rollup r USING (series_id, grain, starts_on, known_on)
    ), held AS (
        -- What a period had and what it is given, bucket by bucket: grouped and never joined, so that no guess of a size can do harm.
        SELECT series_id, grain, starts_on, known_on, bucket, min(business_unit) AS business_unit, sum(n) AS n, sum(negative) AS negative, sum(total) AS total, sum(held)::integer AS held
          FROM (SELECT series_id, grain, starts_on, known_on, nullif(bucket, -32768) AS bucket, business_unit, n::bigint, CASE WHEN bucket = -32768 THEN n ELSE 0 END AS negative, total,
                       CASE WHEN bucket > -32768 THEN n ELSE 0 END AS held FROM spread
                UNION ALL
                SELECT series_id, grain, starts_on, known_on, NULL, business_unit, n, negative, total, 0 FROM old
                UNION ALL
                SELECT o.series_id, o.grain, o.starts_on, o.known_on, u.bucket, o.business_unit, 0, 0, 0, u.held
                  FROM old o CROSS JOIN LATERAL unnest(o.buckets, o.counts) AS u(bucket, held)) all_of_them
         GROUP BY 1, 2, 3, 4, 5
    ), whole AS MATERIALIZED (
        SELECT series_id, min(business_unit) AS business_unit, grain, starts_on, known_on, sum(n)::bigint AS n, sum(negative)::bigint AS negative, sum(total) AS total,
               coalesce(array_agg(bucket ORDER BY bucket) FILTER (WHERE held <> 0), '{}') AS buckets, coalesce(array_agg(held ORDER BY bucket) FILTER (WHERE held <> 0), '{}') AS counts
          FROM held GROUP BY 1, 3, 4, 5
    ), kept AS (
        INSERT INTO rollup (series_id, business_unit, grain, starts_on, known_on, n, negative, total, buckets, counts)
        SELECT series_id, business_unit, grain, starts_on, known_on, n, negative, total, buckets, counts
          FROM whole WHERE n <> 0 OR negative <> 0 OR total <> 0 OR buckets <> '{}'
        ON CONFLICT (series_id, grain, starts_on, known_on) DO UPDATE
           SET n = excluded.n, negative = excluded.negative, total = excluded.total, buckets = excluded.buckets, counts = excluded.counts
    ), emptied AS (
        DELETE FROM rollup r USING whole w
         WHERE (r.series_id, r.grain, r.starts_on, r.known_on) = (w.series_id, w.grain, w.starts_on, w.known_on)
           AND w.n = 0 AND w.negative = 0 AND w.total = 0 AND w.buckets = '{}'
    )
    SELECT count(*) INTO differing FROM piece;
    RETURN differing;
END $$;

-- How many documents the folder has yet to look at although nothing was recorded of them, counted up to a number; for every page,
-- which says so while there are many: after an upgrade that begins to keep how things stand, that is all that is open.
CREATE FUNCTION documents_to_look_at(most integer) RETURNS bigint
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$ SELECT count(*) FROM (SELECT FROM standing_news LIMIT most) n $$;
REVOKE ALL ON FUNCTION documents_to_look_at(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION documents_to_look_at(integer) TO finsync_app;
