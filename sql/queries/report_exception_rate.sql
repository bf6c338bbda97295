-- What the page on the exception rate asks beside the rate itself: what an exception goes with, whether the pile of open ones grows,
-- and what nobody had met before.

-- name: attributes(units, since, until, document_types, categories, fewest, most)
-- Documents that entered in the period by each value of their attributes (unit, type, supplier, requester, amount): how many, how many
-- of them met an exception, and the same over everything; values of :fewest documents at least, the :most that would spare most
-- exceptions at the rate of all others. goes_with: other such values that mean nearly the same documents (more than 80 % of
-- the smaller one are in the larger), so that neither can be named the cause alone.
WITH met AS MATERIALIZED (
    SELECT DISTINCT x.document_id FROM exception_case x WHERE x.document_id IS NOT NULL AND (:categories::text[] IS NULL OR x.category = ANY (:categories::text[]))
), d AS MATERIALIZED (
    SELECT nullif(d.business_unit, '') AS unit, d.document_type AS type, nullif(d.supplier_name, '') AS supplier, nullif(d.requester, '') AS requester,
           (ARRAY['under 1,000', '1,000 to 10,000', '10,000 to 100,000', '100,000 and more'])[1 + width_bucket(d.group_amount, ARRAY[1000, 10000, 100000]::numeric[])] AS amount,
           m.document_id IS NOT NULL AS met
      FROM document d LEFT JOIN met m USING (document_id)
     WHERE d.document_type = ANY (:document_types::text[]) AND d.submitted_at >= :since AND d.submitted_at < :until AND NOT d.is_test
       AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
), valued AS MATERIALIZED (
    -- One reading for all attributes: a set each, and one of everything.
    SELECT CASE WHEN GROUPING(unit) = 0 THEN 'unit' WHEN GROUPING(type) = 0 THEN 'type' WHEN GROUPING(supplier) = 0 THEN 'supplier' WHEN GROUPING(requester) = 0 THEN 'requester'
                WHEN GROUPING(amount) = 0 THEN 'amount' END AS attribute,
           coalesce(unit, type, supplier, requester, amount) AS value, count(*) AS entered, count(*) FILTER (WHERE met) AS with_exception
      FROM d GROUP BY GROUPING SETS ((unit), (type), (supplier), (requester), (amount), ())
), counted AS (
    SELECT v.attribute, v.value, v.entered, v.with_exception, e.entered AS all_entered, e.with_exception AS all_with_exception,
           row_number() OVER (ORDER BY v.with_exception - v.entered * (e.with_exception - v.with_exception)::float8 / (e.entered - v.entered) DESC, v.attribute, v.value) AS nth
      FROM valued v JOIN valued e ON e.attribute IS NULL
     WHERE v.value IS NOT NULL AND v.entered >= :fewest AND v.entered < e.entered AND v.with_exception > 0
), chosen AS MATERIALIZED (
    SELECT * FROM counted WHERE nth <= :most
), alike AS MATERIALIZED (
    -- Documents that have the same of the chosen values are looked at once.
    SELECT u.nth AS unit, t.nth AS type, s.nth AS supplier, r.nth AS requester, a.nth AS amount, count(*) AS n
      FROM d
      LEFT JOIN chosen u ON u.attribute = 'unit' AND u.value = d.unit
      LEFT JOIN chosen t ON t.attribute = 'type' AND t.value = d.type
      LEFT JOIN chosen s ON s.attribute = 'supplier' AND s.value = d.supplier
      LEFT JOIN chosen r ON r.attribute = 'requester' AND r.value = d.requester
      LEFT JOIN chosen a ON a.attribute = 'amount' AND a.value = d.amount
     GROUP BY 1, 2, 3, 4, 5
), shared AS (
    SELECT a.nth, array_agg(b.attribute || ' ' || b.value ORDER BY b.attribute, b.value) AS goes_with
      FROM (SELECT x.nth, y.nth AS other, sum(l.n) AS n
              FROM alike l
             CROSS JOIN LATERAL (VALUES (l.unit), (l.type), (l.supplier), (l.requester), (l.amount)) AS x(nth)
             CROSS JOIN LATERAL (VALUES (l.unit), (l.type), (l.supplier), (l.requester), (l.amount)) AS y(nth)
             WHERE x.nth <> y.nth
             GROUP BY 1, 2) both_of_them
      JOIN chosen a USING (nth)
      JOIN chosen b ON b.nth = both_of_them.other
     WHERE n > 0.8 * least(a.entered, b.entered) AND greatest(a.entered, b.entered) <= 0.8 * a.all_entered
     GROUP BY a.nth
)
SELECT c.attribute, c.value, c.entered, c.with_exception, c.all_entered, c.all_with_exception, coalesce(s.goes_with, '{}') AS goes_with
  FROM chosen c LEFT JOIN shared s USING (nth)
 ORDER BY nth;

-- name: backlog(units, since, until, document_types, categories, zone)
-- Per day of the :zone: exceptions raised in it, closed in it, of these by themselves, and how many stood open at its end (on the last at
-- :until). open_documents: documents not finished now; held_documents: those of them with an open exception now.
WITH day AS (
    SELECT d::date AS day, d AT TIME ZONE :zone AS begins, least((d + interval '1 day') AT TIME ZONE :zone, :until::timestamptz) AS ends
      FROM generate_series(date_trunc('day', :since::timestamptz AT TIME ZONE :zone), (:until::timestamptz - interval '1 microsecond') AT TIME ZONE :zone, interval '1 day') AS d
), edge AS MATERIALIZED (
    SELECT array_agg(begins ORDER BY day) AS begins FROM day
), x AS MATERIALIZED (
    -- The day in which each was raised and the one in which it ended, by number; 0 is before the first, no number is not by :until.
    SELECT width_bucket(c.raised_at, e.begins) AS begun_in, CASE WHEN c.closed_at < :until THEN width_bucket(greatest(c.closed_at, c.raised_at), e.begins) END AS ended_in, c.close_reason
      FROM exception_case c CROSS JOIN edge e
     WHERE c.raised_at < :until AND (c.closed_at IS NULL OR c.closed_at >= date_trunc('day', :since::timestamptz AT TIME ZONE :zone) AT TIME ZONE :zone)
       AND c.document_type = ANY (:document_types::text[]) AND (:units::text[] IS NULL OR c.business_unit = ANY (:units::text[]))
       AND (:categories::text[] IS NULL OR c.category = ANY (:categories::text[]))
       AND NOT EXISTS (SELECT FROM document d WHERE d.document_id = c.document_id AND d.is_test)
), told AS MATERIALIZED (
    SELECT nth, sum(begun)::bigint AS begun, sum(ended)::bigint AS ended, sum(self_cured)::bigint AS self_cured
      FROM (SELECT begun_in AS nth, count(*) AS begun, 0 AS ended, 0 AS self_cured FROM x GROUP BY 1
            UNION ALL
            SELECT ended_in, 0, count(*), count(*) FILTER (WHERE close_reason = 'self_cured') FROM x WHERE ended_in IS NOT NULL GROUP BY 1) one
     GROUP BY nth
), held AS (
    SELECT DISTINCT c.document_id FROM exception_case c WHERE c.closed_at IS NULL AND c.document_id IS NOT NULL AND (:categories::text[] IS NULL OR c.category = ANY (:categories::text[]))
), now AS (
    SELECT count(*) AS open_documents, count(h.document_id) AS held_documents
      FROM document d LEFT JOIN held h USING (document_id)
     WHERE d.closed_at IS NULL AND NOT d.is_test AND d.source = 'finsync' AND d.document_type = ANY (:document_types::text[]) AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
)
SELECT d.day, coalesce(t.begun, 0) AS begun, coalesce(t.ended, 0) AS ended, coalesce(t.self_cured, 0) AS self_cured,
       ((SELECT coalesce(sum(b.begun - b.ended), 0) FROM told b WHERE b.nth = 0) + sum(coalesce(t.begun - t.ended, 0)) OVER (ORDER BY d.day))::bigint AS stands, now.open_documents, now.held_documents
  FROM now CROSS JOIN (SELECT day, row_number() OVER (ORDER BY day) AS nth FROM day) d LEFT JOIN told t USING (nth)
 ORDER BY d.day;

-- name: new_causes(units, since, until, document_types, categories, most)
-- Causes (same kind, system and master data behind it) that were met for the first time between :since and :until, as far as the session
-- may see, most documents first, the first :most of them; found: how many there are.
SELECT c.fingerprint, min(c.code) AS code, min(c.category) AS category, count(*) AS exceptions, count(DISTINCT c.document_id) AS documents, count(*) FILTER (WHERE c.closed_at IS NULL) AS open,
       min(c.raised_at) AS first_seen, (array_agg(c.message ORDER BY c.raised_at))[1] AS message, count(*) OVER () AS found
  FROM exception_case c
 WHERE c.raised_at >= :since AND c.raised_at < :until AND c.document_type = ANY (:document_types::text[]) AND (:units::text[] IS NULL OR c.business_unit = ANY (:units::text[]))
   AND (:categories::text[] IS NULL OR c.category = ANY (:categories::text[])) AND NOT EXISTS (SELECT FROM exception_case b WHERE b.fingerprint = c.fingerprint AND b.raised_at < :since)
   AND NOT EXISTS (SELECT FROM document d WHERE d.document_id = c.document_id AND d.is_test)
 GROUP BY c.fingerprint ORDER BY documents DESC, first_seen, c.fingerprint LIMIT :most;

-- name: first_pass(units, before, since, until, document_types, categories, zone)
-- Documents that ended as intended between :before and :until: how many, how many of them went through in the first pass (no exception
-- of the :categories ever, none of the steps that are a touch), how many met an exception, how many were touched without one, and beside
-- them those that ended otherwise. In the period (from :since on) and in the one before it; in all, by type, by unit, and by type and
-- week of the :zone in which they ended.
WITH week AS MATERIALIZED (
    SELECT array_agg(w::date ORDER BY w) AS weeks, array_agg(w AT TIME ZONE :zone ORDER BY w) AS begins
      FROM generate_series(date_trunc('week', :before::timestamptz AT TIME ZONE :zone), :until::timestamptz AT TIME ZONE :zone, interval '1 week') AS w
), counted AS MATERIALIZED (
    -- Counted once by all that it is divided by, and added up from there.
    SELECT d.business_unit, d.document_type, d.closed_at >= :since AS in_period, width_bucket(d.closed_at, w.begins) AS nth, d.is_as_intended,
           d.document_id IN (SELECT x.document_id FROM exception_case x WHERE x.document_id IS NOT NULL AND (:categories::text[] IS NULL OR x.category = ANY (:categories::text[]))) AS met,
           d.document_id IN (SELECT h.document_id FROM document_path h WHERE h.is_touched AND (h.ended_at >= :before OR h.ended_at IS NULL)) AS touched, count(*) AS n
      FROM document d CROSS JOIN week w
     WHERE d.document_type IN ('requisition', 'purchase_order', 'change_order', 'invoice') AND d.document_type = ANY (:document_types::text[])
       AND d.closed_at >= :before AND d.closed_at < :until AND d.source = 'finsync' AND NOT d.is_test AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
     GROUP BY 1, 2, 3, 4, 5, 6, 7
)
SELECT in_period, business_unit, document_type, week, coalesce(sum(n) FILTER (WHERE is_as_intended), 0)::bigint AS ended, coalesce(sum(n) FILTER (WHERE is_as_intended AND NOT met AND NOT touched), 0)::bigint AS first_pass,
       coalesce(sum(n) FILTER (WHERE is_as_intended AND met), 0)::bigint AS met, coalesce(sum(n) FILTER (WHERE is_as_intended AND touched AND NOT met), 0)::bigint AS touched,
       coalesce(sum(n) FILTER (WHERE NOT is_as_intended), 0)::bigint AS otherwise
  FROM (SELECT c.*, w.weeks[c.nth] AS week FROM counted c CROSS JOIN week w) ended
 GROUP BY GROUPING SETS ((in_period), (in_period, business_unit), (in_period, document_type), (in_period, document_type, week))
 ORDER BY in_period, week NULLS FIRST, document_type NULLS FIRST, business_unit NULLS FIRST;

-- name: first_pass_rows(units, since, until, document_types, categories, touches, zone, is_first, week, most)
-- The documents behind it: those of the period that went through in the first pass (:is_first) or did not, of one :week (NULL: all), with
-- the kinds of exception they met and the steps that make the difference; at most :most of `there`, most money first.
WITH chosen AS MATERIALIZED (
    SELECT d.document_id, count(*) OVER () AS there
      FROM document d
     WHERE d.document_type IN ('requisition', 'purchase_order', 'change_order', 'invoice') AND d.document_type = ANY (:document_types::text[])
       AND d.closed_at >= :since AND d.closed_at < :until AND d.source = 'finsync' AND NOT d.is_test AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
       AND d.is_as_intended
       AND (d.document_id IN (SELECT x.document_id FROM exception_case x WHERE x.document_id IS NOT NULL AND (:categories::text[] IS NULL OR x.category = ANY (:categories::text[])))
            OR d.document_id IN (SELECT h.document_id FROM document_path h WHERE h.is_touched AND (h.ended_at >= :since OR h.ended_at IS NULL))) <> :is_first::boolean
       AND (:week::date IS NULL OR date_trunc('week', d.closed_at AT TIME ZONE :zone)::date = :week::date)
     ORDER BY d.group_amount DESC NULLS LAST, d.document_id LIMIT :most
)
SELECT d.document_id, d.document_type, d.number, d.business_unit, d.supplier_name, d.currency, d.amount, d.group_amount, d.submitted_at, d.closed_at,
       (SELECT coalesce(array_agg(DISTINCT x.code ORDER BY x.code), '{}') FROM exception_case x
         WHERE x.document_id = d.document_id AND (:categories::text[] IS NULL OR x.category = ANY (:categories::text[]))) AS codes,
       coalesce((SELECT array_agg(DISTINCT a ORDER BY a) FROM document_path h CROSS JOIN LATERAL unnest(h.activities) AS a WHERE h.document_id = d.document_id AND a = ANY (:touches::text[])), '{}') AS steps, c.there
  FROM chosen c JOIN document d USING (document_id)
 ORDER BY d.group_amount DESC NULLS LAST, d.document_id;
