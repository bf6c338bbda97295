-- Folding years at once: the planner took the one row of rollup_closed for two thousand, believed in a million periods, and compared
-- every contribution with every series. What is one row is now read before, so that the size of a batch is all there is to guess.

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
    ), spread AS MATERIALIZED (
        SELECT s.series_id, s.business_unit, g.grain, g.starts_on, g.known_on, p.bucket, sum(p.n)::integer AS n, sum(p.total) AS total
          FROM piece p
         CROSS JOIN LATERAL (VALUES (p.business_unit), ('*')) AS u(business_unit)
          JOIN rollup_series s ON s.label = p.source || chr(31) || p.measure || chr(31) || p.part || chr(31) || u.business_unit
         CROSS JOIN LATERAL (VALUES
             ('day', p.on_day, '0001-01-01'::date, true),
             ('month', date_trunc('month', p.on_day::timestamp)::date, '0001-01-01', p.on_day < months),
             ('year', date_trunc('year', p.on_day::timestamp)::date, '0001-01-01', p.on_day < years),
             ('late', p.on_day, learned, p.on_day < learned AND p.source = ANY (reported))) AS g(grain, starts_on, known_on, is_meant)
         WHERE g.is_meant
         GROUP BY 1, 2, 3, 4, 5, 6
    ), delta AS MATERIALIZED (
        SELECT series_id, grain, starts_on, known_on, min(business_unit) AS business_unit, sum(n) AS n,
               coalesce(sum(n) FILTER (WHERE bucket = -32768), 0) AS negative, sum(total) AS total
          FROM spread GROUP BY 1, 2, 3, 4
    ), old AS MATERIALIZED (
        SELECT r.* FROM delta d JOIN rollup r USING (series_id, grain, starts_on, known_on)
    ), held AS (
        SELECT series_id, grain, starts_on, known_on, bucket, sum(n)::integer AS n
          FROM (SELECT series_id, grain, starts_on, known_on, bucket, n FROM spread WHERE bucket > -32768
                UNION ALL
                SELECT o.series_id, o.grain, o.starts_on, o.known_on, u.bucket, u.held
                  FROM old o CROSS JOIN LATERAL unnest(o.buckets, o.counts) AS u(bucket, held)) both_of_them
         GROUP BY 1, 2, 3, 4, 5
        HAVING sum(n) <> 0
    ), histogram AS (
        SELECT series_id, grain, starts_on, known_on, array_agg(bucket ORDER BY bucket) AS buckets, array_agg(n ORDER BY bucket) AS counts
          FROM held GROUP BY 1, 2, 3, 4
    ), whole AS MATERIALIZED (
        SELECT d.series_id, d.business_unit, d.grain, d.starts_on, d.known_on, d.n + coalesce(o.n, 0) AS n,
               d.negative + coalesce(o.negative, 0) AS negative, d.total + coalesce(o.total, 0) AS total,
               coalesce(h.buckets, '{}') AS buckets, coalesce(h.counts, '{}') AS counts
          FROM delta d
          LEFT JOIN old o USING (series_id, grain, starts_on, known_on)
          LEFT JOIN histogram h USING (series_id, grain, starts_on, known_on)
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
