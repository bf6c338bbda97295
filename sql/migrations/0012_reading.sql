-- Reading the rollups: a measure over any period, from closed years, months and days, with exact edges where the period does not
-- begin or end at a UTC midnight. What a single thing gave to a measure is told by the view rollup_fact.

-- The edges of a period in what only stands in events. A block range costs the writers next to nothing, and rows come in by time.
CREATE INDEX event_by_time ON event USING brin (recorded_at) WITH (autosummarize = on);

-- The UTC midnight nearest to a moment: rollups count whole UTC days.
CREATE FUNCTION rollup_midnight(moment timestamptz) RETURNS date
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (moment AT TIME ZONE 'UTC' + interval '12 hours')::date $$;

-- The fewest periods that make up the days from from_on to before to_on: whole years and months where they have been added up, days
-- where not. At most five rows.
CREATE FUNCTION rollup_periods(from_on date, to_on date) RETURNS TABLE (grain text, first_on date, before date)
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    SELECT p.grain, p.first_on, p.before
      FROM (SELECT y.*, y.y0 < y.y1 AS has_years, y.m0 < y.m1 AS has_months
              FROM (SELECT date_trunc('month', from_on::timestamp + interval '1 month' - interval '1 day')::date AS m0,
                           least(date_trunc('month', to_on::timestamp)::date, months_until) AS m1,
                           date_trunc('year', from_on::timestamp + interval '1 year' - interval '1 day')::date AS y0,
                           least(date_trunc('year', to_on::timestamp)::date, years_until) AS y1
                      FROM rollup_closed) y) c
     CROSS JOIN LATERAL (VALUES
         ('day', from_on, CASE WHEN has_months THEN m0 ELSE to_on END),
         ('month', m0, CASE WHEN has_years THEN y0 WHEN has_months THEN m1 END),
         ('year', y0, CASE WHEN has_years THEN y1 END),
         ('month', y1, CASE WHEN has_years THEN m1 END),
         ('day', m1, CASE WHEN has_months THEN to_on END)) AS p(grain, first_on, before)
     WHERE p.first_on < p.before
$$;

-- Measures of one log over the time from since to before until: how many (n), how many of them have durations below zero (negative),
-- the sum of the durations in seconds, and their histogram, for rollup_percentiles.
-- of_parts, of_units: only these; NULL: all of them (that the session may see). by: what to divide by beside the measure, of 'part'
-- and 'unit' (NULL in the answer otherwise). step ('day', 'week', 'month', 'quarter', 'year'; NULL: one figure for all of it) divides
-- by calendar periods of the zone, starts_on being the first day of each; periods that hold nothing are not there.
-- reported_on: as it stood on the evening of that UTC day, in whole UTC days, since and until moved to the nearest midnight.
-- Otherwise exact: what lies between the nearest midnight and an edge is added, or taken off, thing by thing.
CREATE FUNCTION rolled(of_source text, of_measures text[], of_parts text[], of_units text[], since timestamptz, until timestamptz,
                       step text DEFAULT NULL, zone text DEFAULT 'UTC', by text[] DEFAULT '{}', reported_on date DEFAULT NULL)
RETURNS TABLE (measure text, part text, business_unit text, starts_on date, n bigint, negative bigint, total numeric, buckets smallint[], counts integer[])
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    -- The row of all units together is there for whoever may see all.
    sees_all boolean := EXISTS (SELECT FROM rollup_series s WHERE s.measure = ANY (of_measures) AND s.source = of_source AND s.business_unit = '*');
BEGIN
    RETURN QUERY
    WITH piece AS MATERIALIZED (
        SELECT NULL::date AS starts_on, since AS from_at, until AS to_at WHERE step IS NULL
        UNION ALL
        SELECT l.starts_at::date, greatest(since, l.starts_at AT TIME ZONE zone), least(until, (l.starts_at + l.length) AT TIME ZONE zone)
          FROM (SELECT generate_series(date_trunc(step, since AT TIME ZONE zone), until AT TIME ZONE zone, w.length) AS starts_at, w.length
                  FROM (SELECT CASE step WHEN 'quarter' THEN interval '3 months' ELSE ('1 ' || step)::interval END AS length) w WHERE step IS NOT NULL) l
         WHERE l.starts_at AT TIME ZONE zone < until
    ), whole AS MATERIALIZED (
        SELECT p.starts_on, r.grain, r.first_on, r.before
          FROM piece p CROSS JOIN LATERAL rollup_periods(rollup_midnight(p.from_at), least(rollup_midnight(p.to_at), reported_on + 1)) r
    ), edge AS MATERIALIZED (
        SELECT p.starts_on, e.from_at, e.to_at, e.sign
          FROM piece p CROSS JOIN LATERAL (VALUES
              (p.from_at, rollup_midnight(p.from_at)::timestamp AT TIME ZONE 'UTC', 1), (rollup_midnight(p.from_at)::timestamp AT TIME ZONE 'UTC', p.from_at, -1),
              (rollup_midnight(p.to_at)::timestamp AT TIME ZONE 'UTC', p.to_at, 1), (p.to_at, rollup_midnight(p.to_at)::timestamp AT TIME ZONE 'UTC', -1)) AS e(from_at, to_at, sign)
         WHERE e.from_at < e.to_at AND reported_on IS NULL
    ), series AS MATERIALIZED (
        SELECT s.series_id, s.measure, CASE WHEN 'part' = ANY (by) THEN s.part END AS part, CASE WHEN 'unit' = ANY (by) THEN s.business_unit END AS business_unit
          FROM rollup_series s
         WHERE s.measure = ANY (of_measures) AND s.source = of_source AND (of_parts IS NULL OR s.part = ANY (of_parts))
           AND CASE WHEN of_units IS NOT NULL THEN s.business_unit = ANY (of_units) AND s.business_unit <> '*'
                    ELSE (s.business_unit = '*') = (sees_all AND NOT 'unit' = ANY (by)) END
    ), held AS MATERIALIZED (
        SELECT s.measure, s.part, s.business_unit, w.starts_on, 1 AS sign, r.n, r.negative, r.total, r.buckets, r.counts
          FROM whole w CROSS JOIN series s
          JOIN rollup r ON r.series_id = s.series_id AND r.grain = w.grain AND r.starts_on >= w.first_on AND r.starts_on < w.before
        UNION ALL
        SELECT s.measure, s.part, s.business_unit, w.starts_on, -1, r.n, r.negative, r.total, r.buckets, r.counts
          FROM whole w CROSS JOIN series s
          JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'late' AND r.starts_on >= w.first_on AND r.starts_on < w.before AND r.known_on > reported_on
         WHERE reported_on IS NOT NULL
        UNION ALL
        SELECT f.measure, CASE WHEN 'part' = ANY (by) THEN f.part END, CASE WHEN 'unit' = ANY (by) THEN f.business_unit END, e.starts_on, e.sign,
               1, (coalesce(f.s, 0) < 0)::int, greatest(f.s, 0), ARRAY[rollup_bucket(f.s)], ARRAY[(f.s >= 0)::int]
          FROM edge e CROSS JOIN LATERAL (
              SELECT * FROM rollup_fact f
               WHERE f.measure = ANY (of_measures) AND f.source = of_source AND f.at >= e.from_at AND f.at < e.to_at
                 AND (of_parts IS NULL OR f.part = ANY (of_parts)) AND (of_units IS NULL OR f.business_unit = ANY (of_units))) f
    ), summed AS (
        SELECT h.measure, h.part, h.business_unit, h.starts_on, sum(h.sign * h.n)::bigint AS n, sum(h.sign * h.negative)::bigint AS negative,
               coalesce(sum(h.sign * h.total), 0) AS total
          FROM held h GROUP BY 1, 2, 3, 4
    ), histogram AS (
        SELECT b.measure, b.part, b.business_unit, b.starts_on, array_agg(b.bucket ORDER BY b.bucket) AS buckets, array_agg(b.held ORDER BY b.bucket) AS counts
          FROM (SELECT h.measure, h.part, h.business_unit, h.starts_on, u.bucket, sum(h.sign * u.held)::integer AS held
                  FROM held h CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS u(bucket, held)
                 WHERE u.held <> 0
                 GROUP BY 1, 2, 3, 4, 5
                HAVING sum(h.sign * u.held) <> 0) b
         GROUP BY 1, 2, 3, 4
    )
    SELECT s.measure, s.part, s.business_unit, s.starts_on, s.n, s.negative, s.total, coalesce(h.buckets, '{}'), coalesce(h.counts, '{}')
      FROM summed s
      LEFT JOIN histogram h ON h.measure = s.measure AND h.part IS NOT DISTINCT FROM s.part AND h.business_unit IS NOT DISTINCT FROM s.business_unit
                           AND h.starts_on IS NOT DISTINCT FROM s.starts_on
     WHERE s.n <> 0 OR s.negative <> 0 OR s.total <> 0
     ORDER BY s.measure, s.starts_on, s.part, s.business_unit;
END $$;

-- What has come to be known of a period after the evening of reported_on: by the day that is restated and the day on which we
-- learned it, how many were added (below zero: taken away) and how many seconds. Whole UTC days.
CREATE FUNCTION restated(of_source text, of_measures text[], of_parts text[], of_units text[], since timestamptz, until timestamptz, reported_on date)
RETURNS TABLE (measure text, part text, day date, learned_on date, n bigint, total numeric)
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    sees_all boolean := EXISTS (SELECT FROM rollup_series s WHERE s.measure = ANY (of_measures) AND s.source = of_source AND s.business_unit = '*');
BEGIN
    RETURN QUERY
    SELECT s.measure, s.part, r.starts_on, r.known_on, sum(r.n)::bigint, sum(r.total)
      FROM rollup_series s
      JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'late' AND r.known_on > reported_on
                   AND r.starts_on >= rollup_midnight(since) AND r.starts_on < least(rollup_midnight(until), reported_on + 1)
     WHERE s.measure = ANY (of_measures) AND s.source = of_source AND (of_parts IS NULL OR s.part = ANY (of_parts))
       AND CASE WHEN of_units IS NOT NULL THEN s.business_unit = ANY (of_units) AND s.business_unit <> '*' ELSE (s.business_unit = '*') = sees_all END
     GROUP BY 1, 2, 3, 4
    HAVING sum(r.n) <> 0 OR sum(r.total) <> 0
     ORDER BY 1, 2, 3, 4;
END $$;

-- After which duration which share is done, when some are not done yet (Kaplan and Meier 1958): buckets and counts of those that are
-- done, and the ages in seconds of those that are not. For each of the shares the duration by which it is reached; NULL: so many are
-- open that it is not. Where open and done ones share a bucket, half of the open ones count as gone before the others were done (the
-- life table's convention, Cutler and Ederer 1958): to 1 % from some thousands on. For fewer there is survival.
CREATE FUNCTION rollup_survival(buckets smallint[], counts integer[], open_ages numeric[], shares float8[]) RETURNS float8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    WITH one AS (
        SELECT bucket, sum(done)::float8 AS done, sum(open)::float8 AS open
          FROM (SELECT bucket, held AS done, 0 AS open FROM unnest(buckets, counts) AS u(bucket, held)
                UNION ALL
                SELECT rollup_bucket(age), 0, 1 FROM unnest(open_ages) AS age WHERE age >= 0) both_of_them
         GROUP BY bucket
    ), at_risk AS (
        SELECT bucket, done, sum(done + open) OVER (ORDER BY bucket DESC) - open / 2 AS at_risk FROM one
    ), alive AS (
        SELECT bucket, exp(sum(ln(greatest(1 - done / greatest(at_risk, done, 1e-9), 1e-300))) OVER (ORDER BY bucket)) AS share FROM at_risk
    )
    SELECT array_agg((SELECT rollup_duration(min(a.bucket)) FROM alive a WHERE a.share <= 1 - q.share + 1e-12) ORDER BY q.nth)
      FROM unnest(shares) WITH ORDINALITY AS q(share, nth)
$$;

-- The same from the durations themselves: exact. An open one of the very age at which another was done was there then.
CREATE FUNCTION survival(durations numeric[], open_ages numeric[], shares float8[]) RETURNS float8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    WITH one AS (
        SELECT s, sum(done)::float8 AS done, count(*)::float8 AS leave
          FROM (SELECT s, 1 AS done FROM unnest(durations) AS s UNION ALL SELECT s, 0 FROM unnest(open_ages) AS s) both_of_them
         WHERE s >= 0 GROUP BY s
    ), at_risk AS (
        SELECT s, done, sum(leave) OVER (ORDER BY s DESC) AS at_risk FROM one
    ), alive AS (
        SELECT s, exp(sum(ln(greatest(1 - done / at_risk, 1e-300))) OVER (ORDER BY s)) AS share FROM at_risk
    )
    SELECT array_agg((SELECT min(a.s)::float8 FROM alive a WHERE a.share <= 1 - q.share + 1e-12) ORDER BY q.nth)
      FROM unnest(shares) WITH ORDINALITY AS q(share, nth)
$$;
