-- What "explain this number" asks: a figure as it was reported on an evening, and what has been learned since (PRODUCT.md D15).

-- name: as_reported(source, measures, part, units, since_on, until_on, evening)
-- Measures over whole UTC days, from :since_on to before :until_on: how many they counted and percentiles (seconds, within 1 %) as it
-- stands now, and as it was known on the evening of :evening. :units: of the rollups, {'*'} being all together.
WITH piece AS MATERIALIZED (
    SELECT r.measure, r.n, r.negative, r.total, r.buckets, r.counts, r.grain = 'day' AS is_now,
           CASE WHEN r.grain = 'day' THEN 1 WHEN r.known_on > :evening::date THEN -1 ELSE 0 END AS sign
      FROM rolled_up r
     WHERE r.source = :source AND r.measure = ANY (:measures::text[]) AND r.part = :part AND r.business_unit = ANY (:units::text[])
       AND r.grain IN ('day', 'late') AND r.starts_on >= :since_on AND r.starts_on < :until_on
), held AS (
    SELECT p.measure, u.bucket, coalesce(sum(u.held) FILTER (WHERE is_now), 0)::integer AS now, sum(p.sign * u.held)::integer AS reported
      FROM piece p CROSS JOIN LATERAL unnest(p.buckets, p.counts) AS u(bucket, held) GROUP BY 1, 2
)
SELECT c.measure, c.now, c.reported,
       (SELECT rollup_percentiles(array_agg(bucket ORDER BY bucket), array_agg(h.now ORDER BY bucket), '{0.5}') FROM held h WHERE h.measure = c.measure AND h.now > 0)[1] AS now_p50_s,
       (SELECT rollup_percentiles(array_agg(bucket ORDER BY bucket), array_agg(h.reported ORDER BY bucket), '{0.5}') FROM held h WHERE h.measure = c.measure AND h.reported > 0)[1] AS reported_p50_s
  FROM (SELECT measure, coalesce(sum(n) FILTER (WHERE is_now), 0)::bigint AS now, coalesce(sum(sign * n), 0)::bigint AS reported FROM piece GROUP BY 1) c
 ORDER BY 1;

-- name: restated(source, measures, part, units, since_on, until_on, evening)
-- What was learned after the evening of :evening about the days from :since_on up to then: by the day on which it was learned, how
-- many documents came to a measure or left it again.
SELECT measure, known_on, sum(n)::bigint AS documents
  FROM rolled_up
 WHERE source = :source AND measure = ANY (:measures::text[]) AND part = :part AND business_unit = ANY (:units::text[])
   AND grain = 'late' AND starts_on >= :since_on AND starts_on < :until_on AND starts_on <= :evening AND known_on > :evening
 GROUP BY 1, 2 ORDER BY 2, 1;
