-- The pages' questions at ten million events: percentiles without a query of their own for each histogram, and the decisions of a
-- period, or of a person, without every event.

-- Percentiles of a histogram, as percentile_cont would answer them from the durations themselves, to 1 %. NULLs without durations.
-- A walk over the counts: a page asks this of hundreds of short histograms, and a query for each costs more than the histogram.
CREATE OR REPLACE FUNCTION rollup_percentiles(buckets smallint[], counts integer[], shares float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    size integer := coalesce(cardinality(buckets), 0);
    n bigint := 0;
    held integer;
    share float8;
    rank float8;
    place integer := 0;   -- up to which bucket has been counted
    up_to bigint := 0;    -- and how many durations that are
    higher integer;
    higher_up_to bigint;
    low float8;
    high float8;
    answer float8[] := '{}';
BEGIN
    FOREACH held IN ARRAY coalesce(counts, '{}') LOOP
        n := n + held;
    END LOOP;
    FOREACH share IN ARRAY shares LOOP
        IF n = 0 THEN
            answer := answer || NULL::float8;
            CONTINUE;
        END IF;
        rank := share * (n - 1)::float8;
        IF place > 0 AND up_to - counts[place] > floor(rank) THEN
            place := 0;
            up_to := 0;
        END IF;
        WHILE up_to <= floor(rank) AND place < size LOOP
            place := place + 1;
            up_to := up_to + counts[place];
        END LOOP;
        higher := place;
        higher_up_to := up_to;
        WHILE higher_up_to <= ceil(rank) AND higher < size LOOP
            higher := higher + 1;
            higher_up_to := higher_up_to + counts[higher];
        END LOOP;
        low := rollup_duration(buckets[place]);
        high := rollup_duration(buckets[higher]);
        answer := answer || (low + (high - low) * (rank - floor(rank)));
    END LOOP;
    RETURN nullif(answer, '{}');
END $$;

-- As in migration 0012, but for four things: each series and each edge is read by itself in the days that are asked for (otherwise the
-- planner reads it of all years and leaves out most of it); periods are few; figures and histograms meet by equality, not each with
-- each; and what the edges of a period say of our own log is not looked for among the events of others.
ALTER FUNCTION rollup_periods(date, date) ROWS 5;
CREATE OR REPLACE FUNCTION rolled(of_source text, of_measures text[], of_parts text[], of_units text[], since timestamptz, until timestamptz,
                       step text DEFAULT NULL, zone text DEFAULT 'UTC', by text[] DEFAULT '{}', reported_on date DEFAULT NULL)
RETURNS TABLE (measure text, part text, business_unit text, starts_on date, n bigint, negative bigint, total numeric, buckets smallint[], counts integer[])
LANGUAGE plpgsql STABLE
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
SET jit = off
SET constraint_exclusion = on
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
         CROSS JOIN LATERAL (SELECT * FROM rollup o WHERE o.series_id = s.series_id AND o.grain = w.grain AND o.starts_on >= w.first_on AND o.starts_on < w.before OFFSET 0) r
        UNION ALL
        SELECT s.measure, s.part, s.business_unit, w.starts_on, -1, r.n, r.negative, r.total, r.buckets, r.counts
          FROM whole w CROSS JOIN series s
         CROSS JOIN LATERAL (SELECT * FROM rollup o WHERE o.series_id = s.series_id AND o.grain = 'late' AND o.starts_on >= w.first_on AND o.starts_on < w.before AND o.known_on > reported_on OFFSET 0) r
         WHERE reported_on IS NOT NULL
        UNION ALL
        SELECT f.measure, CASE WHEN 'part' = ANY (by) THEN f.part END, CASE WHEN 'unit' = ANY (by) THEN f.business_unit END, e.starts_on, e.sign,
               1, (coalesce(f.s, 0) < 0)::int, greatest(f.s, 0), ARRAY[rollup_bucket(f.s)], ARRAY[(f.s >= 0)::int]
          FROM edge e CROSS JOIN LATERAL (
              SELECT * FROM rollup_fact f
               WHERE f.measure = ANY (of_measures) AND f.source = of_source AND f.at >= e.from_at AND f.at < e.to_at
                 AND (of_parts IS NULL OR f.part = ANY (of_parts)) AND (of_units IS NULL OR f.business_unit = ANY (of_units)) OFFSET 0) f
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
      -- In one answer a column is NULL everywhere or nowhere; by equality, so that not each is compared with each.
      LEFT JOIN histogram h ON h.measure = s.measure AND coalesce(h.part, '') = coalesce(s.part, '') AND coalesce(h.business_unit, '') = coalesce(s.business_unit, '')
                           AND coalesce(h.starts_on, '-infinity') = coalesce(s.starts_on, '-infinity')
     WHERE s.n <> 0 OR s.negative <> 0 OR s.total <> 0
     ORDER BY s.measure, s.starts_on, s.part, s.business_unit;
END $$;

-- Who decided what: one event in twenty. The newest are read first, and nobody's name is looked for in all the others.
CREATE INDEX event_decided ON event (recorded_at DESC, document_id, seq)
 WHERE activity IN ('approval_completed', 'approval_refused', 'procurement_rejected', 'review_approved', 'review_refused', 'change_approved', 'change_refused_by_approver', 'approval_contradicted');
