-- What the page on the process map asks: over document_path, one row per document. :source is one log, :types limits to document types
-- and :units to business units (NULL: all the session may see). A step belongs to the period in which it happened.

-- name: kinds(source, units, since, until)
-- Document types that moved in the period, with how many documents of each did.
SELECT document_type, count(*) AS documents
  FROM document_path
 WHERE source = :source AND last_at >= :since AND first_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY document_type ORDER BY document_type;

-- name: map(source, units, types, since, until, exact_to)
-- Activities (from_activity NULL) and steps from one activity to the next ("" where a document begins) of the period: how often (n), by
-- how many documents and of what value, each counted once; repeats: how often a document had done it before; mean place in the
-- document's path; percentiles and sum of the seconds since the step before. Clocks that contradict each other (negative) are in no
-- percentile and no sum. From the days that are kept; what lies before the first and after the last whole UTC day of the period, and
-- days of which something has been told since, from the paths. Up to :exact_to steps all of it from the paths: their percentiles are
-- exact, beyond they are to 1 %.
WITH asked AS MATERIALIZED (
    SELECT (:since::timestamptz AT TIME ZONE 'UTC' + interval '1 day' - interval '1 microsecond')::date AS first_on, (:until::timestamptz AT TIME ZONE 'UTC')::date AS before_on,
           -- The row of all units together is there for whoever may see all.
           CASE WHEN :units::text[] IS NOT NULL THEN :units::text[] WHEN session_sees_all() THEN '{*}' ELSE session_units()::text[] END AS units
), told AS MATERIALIZED (
    SELECT t.day FROM asked a JOIN step_told t ON t.source = :source AND t.day >= a.first_on AND t.day < a.before_on
), kept AS MATERIALIZED (
    SELECT k.* FROM asked a CROSS JOIN LATERAL unnest(a.units) AS u(unit)
      JOIN step_day k ON k.source = :source AND k.business_unit = u.unit AND k.day >= a.first_on AND k.day < a.before_on AND (:types::text[] IS NULL OR k.document_type = ANY (:types::text[]))
     WHERE NOT EXISTS (SELECT FROM told t WHERE t.day = k.day)
), size AS MATERIALIZED (
    SELECT coalesce(sum(k.n), 0) <= :exact_to::bigint OR (SELECT a.first_on >= a.before_on FROM asked a) AS is_few FROM kept k
), stretch AS MATERIALIZED (
    -- day: of which it is known whose steps these are; NULL: whatever moved then.
    SELECT :since::timestamptz AS from_at, :until::timestamptz AS to_at, NULL::date AS day FROM size WHERE is_few
    UNION ALL
    SELECT w.from_at, w.to_at, CASE WHEN NOT EXISTS (SELECT FROM step_told t WHERE t.source = :source AND t.day = w.day) THEN w.day END
      FROM size CROSS JOIN asked a
     CROSS JOIN LATERAL (VALUES (:since::timestamptz, a.first_on::timestamp AT TIME ZONE 'UTC', a.first_on - 1), (a.before_on::timestamp AT TIME ZONE 'UTC', :until::timestamptz, a.before_on)) AS w(from_at, to_at, day)
     WHERE NOT size.is_few AND w.from_at < w.to_at
    UNION ALL
    SELECT min(t.day)::timestamp AT TIME ZONE 'UTC', (max(t.day) + 1)::timestamp AT TIME ZONE 'UTC', NULL
      FROM (SELECT day, day - row_number() OVER (ORDER BY day)::int AS run FROM told) t CROSS JOIN size
     WHERE NOT size.is_few GROUP BY t.run
), live AS MATERIALIZED (
    SELECT p.document_type, p.group_amount, w.from_activity, w.activity, w.nth, w.s, w.is_first, w.is_first_way
      FROM stretch x
     CROSS JOIN LATERAL (
         SELECT h.* FROM document_path h WHERE x.day IS NULL AND h.source = :source AND h.last_at >= x.from_at AND h.first_at < x.to_at
         UNION ALL
         SELECT h.* FROM step_document k CROSS JOIN LATERAL unnest(k.document_ids) AS u(document_id) JOIN document_path h ON h.document_id = u.document_id
          WHERE k.source = :source AND k.day = x.day AND (:units::text[] IS NULL OR k.business_unit = ANY (:units::text[]))) p
     CROSS JOIN LATERAL path_steps(p.activities, p.times, p.is_repeated) w
     WHERE w.at >= x.from_at AND w.at < x.to_at
       AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[])) AND (:types::text[] IS NULL OR p.document_type = ANY (:types::text[]))
), again AS MATERIALIZED (
    -- Whoever did in the period what they had done outside of it before counts in it too, once.
    SELECT p.document_id, p.document_type, p.group_amount, w.from_activity, w.activity, w.is_first, w.is_first_way
      FROM document_path p CROSS JOIN LATERAL path_steps(p.activities, p.times, true) w
     WHERE p.source = :source AND p.is_repeated AND p.last_at >= :since AND p.first_at < :until AND (p.first_at < :since OR p.last_at >= :until) AND w.at >= :since AND w.at < :until
       AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[])) AND (:types::text[] IS NULL OR p.document_type = ANY (:types::text[]))
), cell AS MATERIALIZED (
    SELECT document_type, from_activity, activity, sum(n) AS n, sum(firsts) AS firsts, sum(first_value) AS first_value, sum(ways) AS ways, sum(way_value) AS way_value, 0::numeric AS again, NULL::numeric AS again_value,
           0::numeric AS way_again, NULL::numeric AS way_again_value, sum(places) AS places, sum(negative) AS negative, sum(total_s) AS total_s
      FROM kept CROSS JOIN size WHERE NOT is_few GROUP BY 1, 2, 3
    UNION ALL
    SELECT document_type, from_activity, activity, count(*), count(*) FILTER (WHERE is_first), sum(group_amount) FILTER (WHERE is_first), count(*) FILTER (WHERE is_first_way),
           sum(group_amount) FILTER (WHERE is_first_way), 0, NULL, 0, NULL, sum(nth), count(*) FILTER (WHERE s < 0), coalesce(sum(s) FILTER (WHERE s >= 0), 0)
      FROM live GROUP BY 1, 2, 3
    UNION ALL
    SELECT document_type, from_activity, activity, 0, 0, NULL, 0, NULL, 0, NULL, count(*), sum(group_amount), 0, 0, 0
      FROM (SELECT document_type, from_activity, activity, min(group_amount) AS group_amount FROM again GROUP BY document_id, document_type, from_activity, activity HAVING NOT bool_or(is_first_way)) one
     GROUP BY 1, 2, 3
    UNION ALL
    SELECT document_type, NULL, activity, 0, 0, NULL, 0, NULL, count(*), sum(group_amount), 0, NULL, 0, 0, 0
      FROM (SELECT document_type, activity, min(group_amount) AS group_amount FROM again GROUP BY document_id, document_type, activity HAVING NOT bool_or(is_first)) one
     GROUP BY 1, 3
), summed AS MATERIALIZED (
    SELECT document_type, from_activity, activity, GROUPING(from_activity) = 1 AS is_activity, sum(n)::bigint AS n,
           (CASE WHEN GROUPING(from_activity) = 1 THEN sum(firsts) + sum(again) ELSE sum(ways) + sum(way_again) END)::bigint AS documents,
           CASE WHEN GROUPING(from_activity) = 1 THEN CASE WHEN count(first_value) + count(again_value) > 0 THEN coalesce(sum(first_value), 0) + coalesce(sum(again_value), 0) END
                WHEN count(way_value) + count(way_again_value) > 0 THEN coalesce(sum(way_value), 0) + coalesce(sum(way_again_value), 0) END AS value,
           (sum(n) - CASE WHEN GROUPING(from_activity) = 1 THEN sum(firsts) ELSE sum(ways) END)::bigint AS repeats, sum(places)::float8 / nullif(sum(n), 0)::float8 AS place, sum(negative)::bigint AS negative, sum(total_s)::float8 AS total_s
      FROM cell GROUP BY GROUPING SETS ((document_type, from_activity, activity), (document_type, activity))
    HAVING GROUPING(from_activity) = 1 OR from_activity IS NOT NULL
), way AS MATERIALIZED (
    SELECT document_type, from_activity, activity, row_number() OVER ()::int AS way FROM (SELECT DISTINCT document_type, from_activity, activity FROM cell WHERE from_activity IS NOT NULL) d
), bucket AS MATERIALIZED (
    -- By number, not by name: there is a row for every bucket of every day.
    SELECT w.document_type, w.from_activity, w.activity, b.bucket, b.held
      FROM (SELECT way, bucket, sum(held)::integer AS held
              FROM (SELECT y.way, u.bucket, u.held
                      FROM kept k JOIN way y USING (document_type, from_activity, activity) CROSS JOIN size CROSS JOIN LATERAL unnest(k.buckets, k.counts) AS u(bucket, held) WHERE NOT is_few
                    UNION ALL
                    SELECT y.way, rollup_bucket(l.s), 1 FROM live l JOIN way y USING (document_type, from_activity, activity) CROSS JOIN size WHERE l.s >= 0 AND NOT is_few) one
             GROUP BY way, bucket) b
      JOIN way w USING (way)
), percentile AS (
    SELECT document_type, from_activity, activity, is_activity, rollup_percentiles(array_agg(bucket ORDER BY bucket), array_agg(held ORDER BY bucket), '{0.5,0.85}') AS p
      FROM (SELECT document_type, from_activity, activity, GROUPING(from_activity) = 1 AS is_activity, bucket, sum(held)::integer AS held
              FROM bucket GROUP BY GROUPING SETS ((document_type, from_activity, activity, bucket), (document_type, activity, bucket))) h
     GROUP BY 1, 2, 3, 4
    UNION ALL
    SELECT document_type, from_activity, activity, GROUPING(from_activity) = 1, percentile_cont('{0.5,0.85}'::float8[]) WITHIN GROUP (ORDER BY s::float8)
      FROM live CROSS JOIN size WHERE s >= 0 AND is_few GROUP BY GROUPING SETS ((document_type, from_activity, activity), (document_type, activity))
)
SELECT c.document_type, c.from_activity, c.activity, c.n, c.documents, c.value, c.repeats, c.place, c.negative, c.total_s, p.p[1] AS p50_s, p.p[2] AS p85_s
  FROM summed c
  LEFT JOIN percentile p ON p.document_type = c.document_type AND p.activity = c.activity AND p.is_activity = c.is_activity AND p.from_activity IS NOT DISTINCT FROM c.from_activity
 ORDER BY c.document_type, c.activity, c.from_activity NULLS FIRST;

-- name: joins(source, units, types, since, until)
-- Where documents of one type begin behind documents of another that they are linked with: the last step the other had taken by then
-- (from_type, from_activity), and how often.
SELECT a.document_type AS from_type, s.activity AS from_activity, b.document_type, b.activities[1] AS activity, count(*) AS n
  FROM document_path b
  JOIN document_link l ON l.from_document_id = b.document_id
  JOIN document_path a ON a.document_id = l.to_document_id AND a.document_type <> b.document_type AND a.first_at <= b.first_at
 CROSS JOIN LATERAL (
     SELECT u.activity FROM unnest(a.activities, a.times) WITH ORDINALITY AS u(activity, at, nth) WHERE u.at <= b.first_at ORDER BY u.nth DESC LIMIT 1) s
 WHERE b.source = :source AND b.first_at >= :since AND b.first_at < :until AND b.last_at >= :since
   AND (:units::text[] IS NULL OR b.business_unit = ANY (:units::text[])) AND (:types::text[] IS NULL OR b.document_type = ANY (:types::text[]) AND a.document_type = ANY (:types::text[]))
 GROUP BY 1, 2, 3, 4 ORDER BY n DESC, 1, 2, 3, 4;

-- name: behind(source, units, document_type, from_activity, activity, since, until)
-- The documents of one type behind an activity (:from_activity NULL) or a step, most often first, then newest: how often (n), the seconds
-- since the step before (s; the longest), and when it last happened.
WITH path AS MATERIALIZED (
    SELECT p.document_id, p.business_unit, p.activities, p.times, p.is_repeated
      FROM document_path p
     WHERE p.source = :source AND p.document_type = :document_type AND p.last_at >= :since AND p.first_at < :until AND :activity = ANY (p.activities)
       AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[]))
), found AS (
    -- Most did nothing twice: there is one place to look at.
    SELECT p.document_id, p.business_unit, 1 AS n, extract(epoch FROM p.times[p.nth] - p.times[p.nth - 1]) AS s, p.times[p.nth] AS last_at
      FROM (SELECT *, array_position(activities, :activity) AS nth FROM path WHERE NOT is_repeated OFFSET 0) p
     WHERE p.times[p.nth] >= :since AND p.times[p.nth] < :until AND (:from_activity::text IS NULL OR coalesce(p.activities[p.nth - 1], '') = :from_activity)
    UNION ALL
    SELECT p.document_id, p.business_unit, w.n, w.s, w.last_at
      FROM path p
     CROSS JOIN LATERAL (
         SELECT count(*) AS n, max(x.s) AS s, max(x.at) AS last_at
           FROM path_steps(p.activities, p.times, false) x
          WHERE x.activity = :activity AND (:from_activity::text IS NULL OR x.from_activity = :from_activity) AND x.at >= :since AND x.at < :until) w
     WHERE p.is_repeated AND w.n > 0
)
SELECT f.document_id, d.number, :document_type::text AS document_type, f.business_unit, d.supplier_name, d.state, d.currency, d.amount, d.group_amount, f.n, f.s::float8 AS s, f.last_at
  FROM found f JOIN document d USING (document_id)
 ORDER BY f.n DESC, f.last_at DESC, f.document_id;

-- name: between(source, units, document_type, from_activity, activity, since, until)
-- Seconds from the first time a document did one activity to the first time after it that it did the other, in the period.
SELECT document_id, extract(epoch FROM times[till] - times[nth])::float8 AS s
  FROM (SELECT f.*, CASE WHEN f.nth IS NOT NULL THEN array_position(f.activities, :activity, f.nth + 1) END AS till
          FROM (SELECT document_id, activities, times, array_position(activities, :from_activity) AS nth
                  FROM document_path
                 WHERE source = :source AND document_type = :document_type AND last_at >= :since AND first_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
                OFFSET 0) f
        OFFSET 0) b
 WHERE times[till] >= :since AND times[till] < :until
 ORDER BY s, document_id;

-- name: variants(source, units, types, since, until)
-- Paths of the documents that ended in the period, most frequent first: how many of how many (of, distinct), the median of their whole
-- time in seconds, their value, and how many exceptions they had. The 200 most frequent; "of" and "variants" count all of them.
SELECT p.document_type, p.activities, count(*) AS documents, sum(count(*)) OVER ()::bigint AS of, count(*) OVER () AS variants,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM p.last_at - p.first_at)::float8) AS p50_s, sum(p.group_amount) AS value, coalesce(sum(x.n), 0)::bigint AS exceptions
  FROM document_path p
  LEFT JOIN (SELECT document_id, count(*) AS n FROM exception_case GROUP BY document_id) x USING (document_id)
 WHERE p.source = :source AND p.ended_at >= :since AND p.ended_at < :until
   AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[])) AND (:types::text[] IS NULL OR p.document_type = ANY (:types::text[]))
 GROUP BY p.document_type, p.activities
 ORDER BY documents DESC, p.document_type, p.activities LIMIT 200;

-- name: of_variant(source, units, document_type, activities, since, until)
-- The documents that ended in the period with exactly this path.
SELECT p.document_id, d.number, p.document_type, p.business_unit, d.supplier_name, d.state, d.currency, d.amount, d.group_amount, 1 AS n,
       extract(epoch FROM p.last_at - p.first_at)::float8 AS s, p.last_at
  FROM document_path p
  JOIN document d USING (document_id)
 WHERE p.source = :source AND p.document_type = :document_type AND p.ended_at >= :since AND p.ended_at < :until AND p.activities = :activities::text[]
   AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[]))
 ORDER BY s DESC, p.document_id;

-- name: straight(source, units, types, revisions, since, until)^
-- Documents that ended in the period, those without any of the :revisions among their steps, and their steps with those of people.
SELECT count(*) AS documents, count(*) FILTER (WHERE NOT activities && :revisions::text[]) AS first_time_right,
       coalesce(sum(cardinality(activities)), 0)::bigint AS steps, coalesce(sum(by_people), 0)::bigint AS by_people
  FROM document_path
 WHERE source = :source AND ended_at >= :since AND ended_at < :until
   AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[])) AND (:types::text[] IS NULL OR document_type = ANY (:types::text[]));

-- name: revised(source, units, types, revisions, since, until)
-- The documents that ended in the period and had a revision among their steps; n: how many.
SELECT p.document_id, d.number, p.document_type, p.business_unit, d.supplier_name, d.state, d.currency, d.amount, d.group_amount,
       (SELECT count(*) FROM unnest(p.activities) AS u(activity) WHERE u.activity = ANY (:revisions::text[])) AS n,
       extract(epoch FROM p.last_at - p.first_at)::float8 AS s, p.last_at
  FROM document_path p
  JOIN document d USING (document_id)
 WHERE p.source = :source AND p.ended_at >= :since AND p.ended_at < :until AND p.activities && :revisions::text[]
   AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[])) AND (:types::text[] IS NULL OR p.document_type = ANY (:types::text[]))
 ORDER BY n DESC, p.last_at DESC, p.document_id;

-- name: order_patterns(source, units, since, until)
-- Orders whose first step lies in the period, by pattern (view file 46): of each one order, with the moments that the maverick scenarios
-- compare; all orders of a pattern are alike to them. documents: how many there are; their value.
WITH mine AS MATERIALIZED (
    SELECT document_id, source, business_unit, first_at, group_amount, requisition_at, approved_at, ordered_at, goods_at, invoice_at, needs_goods, has_contract, pattern
      FROM order_moment o
     WHERE source = :source AND first_at >= :since AND first_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
       AND NOT EXISTS (SELECT FROM order_told t WHERE t.document_id = o.document_id)
    UNION ALL
    SELECT f.*
      FROM order_told t CROSS JOIN LATERAL (SELECT document_id, source, business_unit, first_at, group_amount, requisition_at, approved_at, ordered_at, goods_at, invoice_at, needs_goods, has_contract, pattern FROM order_moment_fact n WHERE n.document_id = t.document_id OFFSET 0) f
     WHERE f.source = :source AND f.first_at >= :since AND f.first_at < :until AND (:units::text[] IS NULL OR f.business_unit = ANY (:units::text[]))
), counted AS (
    SELECT pattern, count(*) AS documents, sum(group_amount) AS value, min(document_id::text)::uuid AS document_id FROM mine GROUP BY pattern
)
SELECT c.pattern, c.documents, c.value, m.document_id, m.requisition_at, m.approved_at, m.ordered_at, m.goods_at, m.invoice_at, m.needs_goods, m.has_contract
  FROM counted c JOIN mine m USING (document_id)
 ORDER BY c.pattern;

-- name: deviations(source, units, since, until, patterns)
-- The orders behind it: whose first step lies in the period, of these patterns, most money first.
SELECT p.document_id, d.number, p.document_type, p.business_unit, d.supplier_name, d.state, d.currency, d.amount, d.group_amount, 1 AS n, NULL::float8 AS s, p.last_at
  FROM (SELECT document_id FROM order_moment o
         WHERE source = :source AND first_at >= :since AND first_at < :until AND pattern = ANY (:patterns::int[]) AND NOT EXISTS (SELECT FROM order_told t WHERE t.document_id = o.document_id)
        UNION ALL
        SELECT f.document_id
          FROM order_told t CROSS JOIN LATERAL (SELECT document_id, source, business_unit, first_at, group_amount, requisition_at, approved_at, ordered_at, goods_at, invoice_at, needs_goods, has_contract, pattern FROM order_moment_fact n WHERE n.document_id = t.document_id OFFSET 0) f
         WHERE f.source = :source AND f.first_at >= :since AND f.first_at < :until AND f.pattern = ANY (:patterns::int[])) o
  JOIN document_path p USING (document_id)
  JOIN document d USING (document_id)
 WHERE :units::text[] IS NULL OR p.business_unit = ANY (:units::text[])
 ORDER BY d.group_amount DESC NULLS LAST, p.document_id;

-- name: span(source)^
-- From when to when a log reaches, for what this session may see; NULLs without one document.
SELECT (SELECT first_at FROM document_path WHERE source = :source ORDER BY first_at LIMIT 1) AS first_at, (SELECT last_at FROM document_path WHERE source = :source ORDER BY last_at DESC LIMIT 1) AS last_at;
