-- What the page on the process map asks: over document_path, one row per document. :source is one log, :types limits to document types
-- and :units to business units (NULL: all the session may see). A step belongs to the period in which it happened.

-- name: kinds(source, units, since, until)
-- Document types that moved in the period, with how many documents of each did.
SELECT document_type, count(*) AS documents
  FROM document_path
 WHERE source = :source AND last_at >= :since AND first_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY document_type ORDER BY document_type;

-- name: map(source, units, types, since, until)
-- Activities (from_activity NULL) and steps from one activity to the next ("" where a document begins) of the period: how often (n), by
-- how many documents and of what value, each counted once; repeats: how often a document had done it before; mean place in the
-- document's path; percentiles and sum of the seconds since the step before. Clocks that contradict each other (negative) are in no
-- percentile and no sum.
WITH walked AS MATERIALIZED (
    SELECT p.document_id, p.document_type, d.group_amount, u.activity, u.at, u.nth,
           coalesce(lag(u.activity) OVER steps, '') AS before, extract(epoch FROM u.at - lag(u.at) OVER steps) AS s
      FROM document_path p
      JOIN document d USING (document_id)
     CROSS JOIN LATERAL unnest(p.activities, p.times) WITH ORDINALITY AS u(activity, at, nth)
     WHERE p.source = :source AND p.last_at >= :since AND p.first_at < :until
       AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[])) AND (:types::text[] IS NULL OR p.document_type = ANY (:types::text[]))
    WINDOW steps AS (PARTITION BY p.document_id ORDER BY u.nth)
), counted AS MATERIALIZED (
    SELECT w.*, row_number() OVER (PARTITION BY document_id, activity ORDER BY nth) AS nth_time, row_number() OVER (PARTITION BY document_id, before, activity ORDER BY nth) AS nth_way
      FROM walked w
), inside AS MATERIALIZED (
    SELECT c.*, row_number() OVER (PARTITION BY document_id, activity ORDER BY nth) AS nth_inside, row_number() OVER (PARTITION BY document_id, before, activity ORDER BY nth) AS nth_way_inside
      FROM counted c WHERE at >= :since AND at < :until
)
SELECT document_type, CASE WHEN GROUPING(before) = 0 THEN before END AS from_activity, activity, count(*) AS n,
       CASE WHEN GROUPING(before) = 0 THEN count(*) FILTER (WHERE nth_way_inside = 1) ELSE count(*) FILTER (WHERE nth_inside = 1) END AS documents,
       CASE WHEN GROUPING(before) = 0 THEN sum(group_amount) FILTER (WHERE nth_way_inside = 1) ELSE sum(group_amount) FILTER (WHERE nth_inside = 1) END AS value,
       CASE WHEN GROUPING(before) = 0 THEN count(*) FILTER (WHERE nth_way > 1) ELSE count(*) FILTER (WHERE nth_time > 1) END AS repeats,
       avg(nth)::float8 AS place, count(*) FILTER (WHERE s < 0) AS negative, coalesce(sum(s) FILTER (WHERE s >= 0), 0)::float8 AS total_s,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY s::float8) FILTER (WHERE s >= 0) AS p50_s,
       percentile_cont(0.85) WITHIN GROUP (ORDER BY s::float8) FILTER (WHERE s >= 0) AS p85_s
  FROM inside
 GROUP BY GROUPING SETS ((document_type, before, activity), (document_type, activity))
 ORDER BY document_type, activity, from_activity NULLS FIRST;

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
SELECT p.document_id, d.number, p.document_type, p.business_unit, d.supplier_name, d.state, d.currency, d.amount, d.group_amount, w.n, w.s::float8 AS s, w.last_at
  FROM document_path p
  JOIN document d USING (document_id)
 CROSS JOIN LATERAL (
     SELECT count(*) AS n, max(x.s) AS s, max(x.at) AS last_at
       FROM (SELECT u.activity, u.at, coalesce(lag(u.activity) OVER steps, '') AS before, extract(epoch FROM u.at - lag(u.at) OVER steps) AS s
               FROM unnest(p.activities, p.times) WITH ORDINALITY AS u(activity, at, nth) WINDOW steps AS (ORDER BY u.nth)) x
      WHERE x.activity = :activity AND (:from_activity::text IS NULL OR x.before = :from_activity) AND x.at >= :since AND x.at < :until) w
 WHERE p.source = :source AND p.document_type = :document_type AND p.last_at >= :since AND p.first_at < :until AND :activity = ANY (p.activities) AND w.n > 0
   AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[]))
 ORDER BY w.n DESC, w.last_at DESC, p.document_id;

-- name: between(source, units, document_type, from_activity, activity, since, until)
-- Seconds from the first time a document did one activity to the first time after it that it did the other, in the period.
SELECT p.document_id, extract(epoch FROM b.at - a.at)::float8 AS s
  FROM document_path p
 CROSS JOIN LATERAL (SELECT u.at, u.nth FROM unnest(p.activities, p.times) WITH ORDINALITY AS u(activity, at, nth) WHERE u.activity = :from_activity ORDER BY u.nth LIMIT 1) a
 CROSS JOIN LATERAL (SELECT u.at FROM unnest(p.activities, p.times) WITH ORDINALITY AS u(activity, at, nth) WHERE u.activity = :activity AND u.nth > a.nth ORDER BY u.nth LIMIT 1) b
 WHERE p.source = :source AND p.document_type = :document_type AND p.last_at >= :since AND p.first_at < :until AND b.at >= :since AND b.at < :until
   AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[]))
 ORDER BY s, p.document_id;

-- name: variants(source, units, types, since, until)
-- Paths of the documents that ended in the period, most frequent first: how many of how many (of, distinct), the median of their whole
-- time in seconds, their value, and how many exceptions they had. The 200 most frequent; "of" and "variants" count all of them.
SELECT p.document_type, p.activities, count(*) AS documents, sum(count(*)) OVER ()::bigint AS of, count(*) OVER () AS variants,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM p.last_at - p.first_at)::float8) AS p50_s, sum(d.group_amount) AS value, sum(x.n)::bigint AS exceptions
  FROM document_path p
  JOIN document d USING (document_id)
 CROSS JOIN LATERAL (SELECT count(*) AS n FROM exception_case c WHERE c.document_id = p.document_id) x
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

-- name: deviations(source, units, since, until)
-- Orders whose first step lies in the period, with the moments that the maverick scenarios compare (each the first of its kind, by the
-- system where it happened): the requisition, its approval, the order accepted by the ERP, goods, and invoice. needs_goods: a line
-- of it is matched three ways; has_contract: every line names one; NULLs where the order's payload is not known.
SELECT p.document_id, d.number, p.document_type, p.business_unit, d.supplier_name, d.state, d.currency, d.amount, d.group_amount, 1 AS n, NULL::float8 AS s, p.last_at,
       r.requisition_at, r.approved_at, o.ordered_at, o.goods_at, i.invoice_at, l.needs_goods, l.has_contract
  FROM document_path p
  JOIN document d USING (document_id)
 CROSS JOIN LATERAL (
     SELECT min(u.at) FILTER (WHERE u.activity = 'order_accepted') AS ordered_at, min(u.at) FILTER (WHERE u.activity IN ('goods_received', 'goods_received_in_full')) AS goods_at
       FROM unnest(p.activities, p.times) AS u(activity, at)) o
 CROSS JOIN LATERAL (
     SELECT min(x.first_at) AS requisition_at, min(u.at) FILTER (WHERE u.activity IN ('approval_completed', 'procurement_approved')) AS approved_at
       FROM document f JOIN document_path x USING (document_id)
      CROSS JOIN LATERAL unnest(x.activities, x.times) AS u(activity, at)
      WHERE f.correlation_id = d.correlation_id AND f.document_type = 'requisition') r
 CROSS JOIN LATERAL (
     SELECT min(x.first_at) AS invoice_at
       FROM order_movement m JOIN document_path x ON x.document_id = m.source_document_id
      WHERE m.order_document_id = p.document_id AND m.kind = 'billed') i
  LEFT JOIN LATERAL (
     SELECT bool_or((line->>'receipt_required')::boolean) AS needs_goods, bool_and(coalesce(line->>'contract', '') <> '') AS has_contract
       FROM document_payload y CROSS JOIN LATERAL jsonb_array_elements(y.canonical->'lines') AS line
      WHERE y.document_id = p.document_id AND y.payload_version = d.payload_version) l ON true
 WHERE p.source = :source AND p.document_type = 'purchase_order' AND p.first_at >= :since AND p.first_at < :until
   AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[]))
 ORDER BY d.group_amount DESC NULLS LAST, p.document_id;

-- name: span(source)^
-- From when to when a log reaches, for what this session may see; NULLs without one document.
SELECT min(first_at) AS first_at, max(last_at) AS last_at FROM document_path WHERE source = :source;
