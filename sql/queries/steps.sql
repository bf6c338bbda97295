-- What a day's steps came to (sync_engine/insight/steps.py). Only the folder writes here, in its own transaction.

-- name: told(recordings, first_at, last_at, source)!
-- The days of which this batch tells something; asked before its documents' paths are brought up to date. The days of its events, and
-- every day of a document whose value, unit or type is another by now, or of which something is told that belongs between two steps.
WITH e AS MATERIALIZED (
    SELECT e.recording_id, e.ordinal, e.recorded_at, e.document_id, e.source, e.event_at, r.written_order * 1000000 + e.ordinal AS place
      FROM event e JOIN recording r USING (recording_id)
     WHERE e.recording_id = ANY (:recordings::uuid[]) AND e.recorded_at BETWEEN :first_at AND :last_at AND (:source::text IS NULL OR e.source = :source)
), met AS MATERIALIZED (
    SELECT document_id, source, event_at, place FROM e
    UNION ALL
    SELECT o.document_id, e.source, e.event_at, e.place FROM e JOIN event_object o USING (recording_id, ordinal, recorded_at)
), changed AS MATERIALIZED (
    SELECT p.source, p.times
      FROM (SELECT document_id, min(place) AS place FROM met GROUP BY document_id) m
      JOIN document d USING (document_id)
      JOIN document_path p USING (document_id)
     WHERE (p.business_unit, p.document_type, p.group_amount) IS DISTINCT FROM (d.business_unit, d.document_type, d.group_amount)
        OR p.source <> 'finsync' OR m.place < p.places[cardinality(p.places)]
)
INSERT INTO step_told (source, day)
SELECT DISTINCT m.source, (m.event_at AT TIME ZONE 'UTC')::date FROM met m
UNION
SELECT c.source, (u.at AT TIME ZONE 'UTC')::date FROM changed c CROSS JOIN LATERAL unnest(c.times) AS u(at)
ON CONFLICT DO NOTHING;

-- name: revalued(documents)!
-- These documents have changed without an event of theirs: where one is worth something else by now, its days are told.
WITH changed AS (
    UPDATE document_path p SET group_amount = d.group_amount
      FROM document d
     WHERE d.document_id = ANY (:documents::uuid[]) AND p.document_id = d.document_id AND p.group_amount IS DISTINCT FROM d.group_amount
    RETURNING p.source, p.times
)
INSERT INTO step_told (source, day)
SELECT DISTINCT c.source, (u.at AT TIME ZONE 'UTC')::date FROM changed c CROSS JOIN LATERAL unnest(c.times) AS u(at)
ON CONFLICT DO NOTHING;

-- name: next(days)^
-- The next days to work out: of one log, the earliest and those within :days of it. NULLs: none.
SELECT t.source, array_agg(t.day) AS days, min(t.day)::timestamp AT TIME ZONE 'UTC' AS since, (max(t.day) + 1)::timestamp AT TIME ZONE 'UTC' AS until
  FROM (SELECT source, day FROM step_told ORDER BY source, day LIMIT 1) first JOIN step_told t ON t.source = first.source AND t.day < first.day + :days::int
 GROUP BY t.source;

-- name: keep(source, days, since, until)!
-- These days as the paths have them now; :since and :until: from when to when they reach.
WITH known AS (
    DELETE FROM step_told WHERE source = :source AND day = ANY (:days::date[])
), step AS MATERIALIZED (
    SELECT p.document_id, p.document_type, p.business_unit, (w.at AT TIME ZONE 'UTC')::date AS day, w.from_activity, w.activity, w.nth, w.s, w.is_first, w.is_first_way, p.group_amount
      FROM document_path p CROSS JOIN LATERAL path_steps(p.activities, p.times, p.is_repeated) w
     WHERE p.source = :source AND p.last_at >= :since AND p.first_at < :until AND w.at >= :since AND w.at < :until AND (w.at AT TIME ZONE 'UTC')::date = ANY (:days::date[])
), what AS MATERIALIZED (
    -- By number, not by name: there is a row for every bucket of every day, and numbers are compared and sorted in a fraction of the time.
    SELECT document_type, from_activity, activity, (row_number() OVER ())::integer AS what FROM step GROUP BY 1, 2, 3
), unit AS MATERIALIZED (
    SELECT business_unit, (row_number() OVER ())::integer AS unit FROM step GROUP BY 1
), numbered AS MATERIALIZED (
    SELECT u.unit, s.day, k.what, s.document_id, CASE WHEN s.s >= 0 THEN rollup_bucket(s.s) END AS bucket, s.nth::integer AS nth, s.s, s.is_first, s.is_first_way, s.group_amount
      FROM step s JOIN what k USING (document_type, from_activity, activity) JOIN unit u USING (business_unit)
), counted AS MATERIALIZED (
    SELECT unit, day, what, count(*) AS n, count(*) FILTER (WHERE is_first) AS firsts, sum(group_amount) FILTER (WHERE is_first) AS first_value, count(*) FILTER (WHERE is_first_way) AS ways,
           sum(group_amount) FILTER (WHERE is_first_way) AS way_value, sum(nth) AS places, count(*) FILTER (WHERE s < 0) AS negative, sum(s) FILTER (WHERE s >= 0) AS total_s
      FROM numbered GROUP BY 1, 2, 3
), held AS MATERIALIZED (
    SELECT unit, day, what, bucket, count(*)::integer AS held FROM numbered WHERE bucket IS NOT NULL GROUP BY 1, 2, 3, 4
), every AS (
    -- Unit 0: all of them. Sums and buckets are put together and grouped, never joined, so that no guess of a size can do harm.
    SELECT unit, day, what, NULL::smallint AS bucket, NULL::integer AS held, n, firsts, first_value, ways, way_value, places, negative, total_s FROM counted
    UNION ALL
    SELECT 0, day, what, NULL, NULL, sum(n)::bigint, sum(firsts)::bigint, sum(first_value), sum(ways)::bigint, sum(way_value), sum(places)::bigint, sum(negative)::bigint, sum(total_s) FROM counted GROUP BY day, what
    UNION ALL
    SELECT unit, day, what, bucket, held, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM held
    UNION ALL
    SELECT 0, day, what, bucket, sum(held)::integer, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL FROM held GROUP BY day, what, bucket
), added AS (
    SELECT unit, day, what, max(n) AS n, max(firsts) AS firsts, max(first_value) AS first_value, max(ways) AS ways, max(way_value) AS way_value, max(places) AS places, max(negative) AS negative,
           coalesce(max(total_s), 0) AS total_s, coalesce(array_agg(bucket ORDER BY bucket) FILTER (WHERE bucket IS NOT NULL), '{}') AS buckets,
           coalesce(array_agg(held ORDER BY bucket) FILTER (WHERE bucket IS NOT NULL), '{}') AS counts
      FROM every GROUP BY unit, day, what
), summed AS MATERIALIZED (
    SELECT :source::text AS source, coalesce(u.business_unit, '*') AS business_unit, a.day, k.document_type, k.from_activity, k.activity, a.n, a.firsts, a.first_value, a.ways, a.way_value, a.places,
           a.negative, a.total_s, a.buckets, a.counts
      FROM added a JOIN what k USING (what) LEFT JOIN unit u USING (unit)
), named AS MATERIALIZED (
    SELECT u.business_unit, one.day, one.document_ids
      FROM (SELECT unit, day, array_agg(document_id ORDER BY document_id) AS document_ids
              FROM (SELECT DISTINCT unit, day, document_id FROM numbered) two GROUP BY 1, 2) one
      JOIN unit u USING (unit)
), unnamed AS (
    DELETE FROM step_document k WHERE k.source = :source AND k.day = ANY (:days::date[]) AND NOT EXISTS (SELECT FROM named n WHERE (n.business_unit, n.day) = (k.business_unit, k.day))
), names AS (
    INSERT INTO step_document AS k (source, business_unit, day, document_ids)
    SELECT :source, business_unit, day, document_ids FROM named
    ON CONFLICT (source, day, business_unit) DO UPDATE SET document_ids = excluded.document_ids WHERE k.document_ids <> excluded.document_ids
), gone AS (
    DELETE FROM step_day k
     WHERE k.source = :source AND k.day = ANY (:days::date[])
       AND NOT EXISTS (SELECT FROM summed n WHERE (n.business_unit, n.day, n.document_type, n.from_activity, n.activity) = (k.business_unit, k.day, k.document_type, k.from_activity, k.activity))
)
INSERT INTO step_day AS k (source, business_unit, day, document_type, from_activity, activity, n, firsts, first_value, ways, way_value, places, negative, total_s, buckets, counts)
SELECT source, business_unit, day, document_type, from_activity, activity, n, firsts, first_value, ways, way_value, places, negative, total_s, buckets, counts FROM summed
ON CONFLICT (source, business_unit, day, document_type, from_activity, activity) DO UPDATE
   SET n = excluded.n, firsts = excluded.firsts, first_value = excluded.first_value, ways = excluded.ways, way_value = excluded.way_value, places = excluded.places,
       negative = excluded.negative, total_s = excluded.total_s, buckets = excluded.buckets, counts = excluded.counts
 WHERE (k.n, k.firsts, k.first_value, k.ways, k.way_value, k.places, k.negative, k.total_s, k.buckets, k.counts)
       IS DISTINCT FROM (excluded.n, excluded.firsts, excluded.first_value, excluded.ways, excluded.way_value, excluded.places, excluded.negative, excluded.total_s, excluded.buckets, excluded.counts);

-- name: forget(source)!
-- Nothing is known of a log's days (NULL: of any).
WITH days AS (DELETE FROM step_day WHERE :source::text IS NULL OR source = :source), documents AS (DELETE FROM step_document WHERE :source::text IS NULL OR source = :source)
DELETE FROM step_told WHERE :source::text IS NULL OR source = :source;
