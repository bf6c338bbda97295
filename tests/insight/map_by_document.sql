-- What report_process.map answers, worked out from every document's path: the definition that the kept days are compared with.
WITH walked AS MATERIALIZED (
    SELECT p.document_id, p.document_type, d.group_amount, u.activity, u.at, u.nth,
           coalesce(lag(u.activity) OVER steps, '') AS before, extract(epoch FROM u.at - lag(u.at) OVER steps) AS s
      FROM document_path p
      JOIN document d USING (document_id)
     CROSS JOIN LATERAL unnest(p.activities, p.times) WITH ORDINALITY AS u(activity, at, nth)
     WHERE p.source = %(source)s AND p.last_at >= %(since)s AND p.first_at < %(until)s
       AND (%(units)s::text[] IS NULL OR p.business_unit = ANY (%(units)s::text[])) AND (%(types)s::text[] IS NULL OR p.document_type = ANY (%(types)s::text[]))
    WINDOW steps AS (PARTITION BY p.document_id ORDER BY u.nth)
), counted AS MATERIALIZED (
    SELECT w.*, row_number() OVER (PARTITION BY document_id, activity ORDER BY nth) AS nth_time, row_number() OVER (PARTITION BY document_id, before, activity ORDER BY nth) AS nth_way
      FROM walked w
), inside AS MATERIALIZED (
    SELECT c.*, row_number() OVER (PARTITION BY document_id, activity ORDER BY nth) AS nth_inside, row_number() OVER (PARTITION BY document_id, before, activity ORDER BY nth) AS nth_way_inside
      FROM counted c WHERE at >= %(since)s AND at < %(until)s
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
 ORDER BY document_type, activity, from_activity NULLS FIRST
