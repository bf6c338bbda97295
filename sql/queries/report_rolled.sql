-- Questions that any page may put to the rollups (migration 0012 says what the functions answer). :source is the log, :units limits to
-- business units beside what the session may see (NULL: all it may see), :since and :until the period, the end exclusive.

-- name: figures(source, measures, parts, units, since, until, step, zone, by, reported_on, shares)
-- Measures over a period, divided as asked: n, the sum of the durations in seconds, and the percentiles at :shares of those that are
-- not below zero (durations), to 1 %.
SELECT r.measure, r.part, r.business_unit, r.starts_on, r.n, r.negative, r.total AS total_s, h.durations, rollup_percentiles(r.buckets, r.counts, :shares::float8[]) AS p
  FROM rolled(:source, :measures::text[], :parts::text[], :units::text[], :since, :until, :step, :zone, :by::text[], :reported_on::date) r
 CROSS JOIN LATERAL (SELECT coalesce(sum(held), 0)::bigint AS durations FROM unnest(r.counts) AS held) h;

-- name: histogram(source, measure, parts, units, since, until)
-- How the durations of a measure are spread: the log buckets that hold something, each with its bounds in seconds.
SELECT CASE WHEN u.bucket = -32767 THEN 0 ELSE 1.02::float8 ^ (u.bucket - 1) END AS over_s, CASE WHEN u.bucket = -32767 THEN 0 ELSE 1.02::float8 ^ u.bucket END AS up_to_s, u.held AS n
  FROM rolled(:source, ARRAY[:measure::text], :parts::text[], :units::text[], :since, :until) r CROSS JOIN LATERAL unnest(r.buckets, r.counts) AS u(bucket, held)
 ORDER BY u.bucket;

-- name: restated(source, measures, parts, units, since, until, reported_on)
-- What has come to be known of the period after the evening of :reported_on.
SELECT measure, part, day, learned_on, n, total AS total_s FROM restated(:source, :measures::text[], :parts::text[], :units::text[], :since, :until, :reported_on);

-- name: survival(source, units, since, until, as_of, clock, shares, exact_to)^
-- First submit to order over everything submitted in the period, what is under way counted with the age it has (Kaplan-Meier): after
-- how many seconds of the :clock each of the :shares is ordered, NULL where it is not reached. n: how many count; under_way: of these
-- still open. What ended otherwise will never be ordered and is left out, as are clocks that contradict each other. Up to :exact_to
-- of them from the durations themselves, beyond from their histogram.
WITH done AS MATERIALIZED (
    SELECT buckets, counts, n - negative AS n
      FROM rolled(:source, ARRAY['submitted_ordered_' || :clock], NULL, :units::text[], :since, :until)
), unit AS MATERIALIZED (
    SELECT b.code, b.calendar, c.now_worked_s FROM business_unit b JOIN (SELECT calendar, worked_s(calendar, :as_of) AS now_worked_s FROM (SELECT DISTINCT calendar FROM business_unit) d) c USING (calendar)
), open AS MATERIALIZED (
    -- business_s(calendar, submitted, as_of), written out: as a function it costs two plans for each.
    SELECT count(*) AS n, array_agg(CASE :clock WHEN 'wall' THEN extract(epoch FROM :as_of - j.submitted_at) ELSE b.now_worked_s - coalesce(begun.worked_s, 0) END) AS ages
      FROM journey j JOIN unit b ON b.code = j.business_unit
      LEFT JOIN LATERAL (
          SELECT i.worked_before_s + extract(epoch FROM least(j.submitted_at, i.closes_at) - i.opens_at) AS worked_s
            FROM calendar_interval i WHERE :clock <> 'wall' AND i.calendar = b.calendar AND i.opens_at <= j.submitted_at ORDER BY i.opens_at DESC LIMIT 1) begun ON true
     WHERE j.source = :source AND j.ordered_at IS NULL AND j.closed_at IS NULL AND j.submitted_at >= :since AND j.submitted_at < :until
       AND (:units::text[] IS NULL OR j.business_unit = ANY (:units::text[]))
), counted AS MATERIALIZED (
    SELECT coalesce((SELECT n FROM done), 0) + open.n AS n FROM open
), few AS MATERIALIZED (
    SELECT array_agg(CASE :clock WHEN 'wall' THEN to_ordered_s ELSE to_ordered_business_s END) AS durations
      FROM journey
     WHERE (SELECT n FROM counted) <= :exact_to AND source = :source AND to_ordered_s >= 0 AND submitted_at >= :since AND submitted_at < :until
       AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
)
SELECT c.n, o.n AS under_way,
       CASE WHEN c.n <= :exact_to THEN survival(coalesce(f.durations, '{}'), coalesce(o.ages, '{}'), :shares::float8[])
            ELSE rollup_survival(coalesce(d.buckets, '{}'), coalesce(d.counts, '{}'), coalesce(o.ages, '{}'), :shares::float8[]) END AS p
  FROM open o CROSS JOIN counted c CROSS JOIN few f LEFT JOIN done d ON true;
