-- What the overview asks beside what the other pages ask.

-- name: gap(units, since, until)
-- The finality gap now (day NULL): count, value and age in hours of the oldest of everything approved and not accepted. And as it was at
-- the end of each day (and at :until, on the last): requisitions approved by then and neither ordered nor ended by then. Those that
-- can count: ordered or ended since :since, or still under way.
WITH c AS MATERIALIZED (
    SELECT j.document_id, j.approved_at, coalesce(j.ordered_at, j.closed_at, 'infinity') AS settled_at
      FROM journey j
     WHERE j.source = 'finsync' AND j.approved_at IS NOT NULL AND (:units::text[] IS NULL OR j.business_unit = ANY (:units::text[]))
       AND (j.ordered_at >= :since OR j.ordered_at IS NULL AND j.closed_at >= :since OR j.ordered_at IS NULL AND j.closed_at IS NULL)
), change AS (
    SELECT date_trunc('day', at) AS day, sum(weight) AS documents, sum(weight * d.group_amount) AS value
      FROM (SELECT document_id, greatest(approved_at, :since::timestamptz) AS at, 1 AS weight FROM c WHERE approved_at < :until AND settled_at > approved_at
            UNION ALL
            SELECT document_id, settled_at, -1 FROM c WHERE settled_at < :until AND approved_at < :until AND settled_at > approved_at AND settled_at >= :since) m
      JOIN document d USING (document_id)
     GROUP BY 1
)
SELECT NULL::date AS day, count(*) AS documents, coalesce(sum(group_amount), 0) AS value, max(extract(epoch FROM :until - coalesce(approved_at, state_since)) / 3600) AS oldest_h
  FROM finality_gap
 WHERE :units::text[] IS NULL OR business_unit = ANY (:units::text[])
UNION ALL
SELECT day::date, coalesce(sum(documents) OVER (ORDER BY day), 0)::bigint, coalesce(sum(value) OVER (ORDER BY day), 0), NULL
  FROM generate_series(date_trunc('day', :since::timestamptz), :until::timestamptz, interval '1 day') AS day LEFT JOIN change USING (day)
 ORDER BY day NULLS FIRST;

-- name: moved_since(units, until, at_least, at_most)^
-- What has happened up to :until since the person of this session was here before (was_here), since :at_least ago where they never were,
-- and at most since :at_most: exceptions raised and closed (how many by themselves), orders accepted by the ERP, invoices posted,
-- decisions taken; and the causes first seen since, what nobody has met before, most money first.
WITH visited AS MATERIALIZED (
    SELECT CASE WHEN v.at < :until THEN greatest(v.at, :at_most::timestamptz) ELSE :at_least::timestamptz END AS since, coalesce(v.at < :until, false) AS was_here
      FROM (SELECT session_visited_before() AS at) v
), met AS (
    SELECT count(*) FILTER (WHERE c.raised_at >= v.since AND c.raised_at < :until) AS raised, count(*) FILTER (WHERE c.closed_at >= v.since AND c.closed_at < :until) AS closed,
           count(*) FILTER (WHERE c.closed_at >= v.since AND c.closed_at < :until AND c.close_reason = 'self_cured') AS self_cured
      FROM visited v JOIN exception_case c ON c.raised_at >= v.since OR c.closed_at >= v.since
     WHERE :units::text[] IS NULL OR c.business_unit = ANY (:units::text[])
), happened AS (
    SELECT count(*) FILTER (WHERE e.activity = 'order_accepted') AS ordered, count(*) FILTER (WHERE e.activity = 'invoice_posted') AS posted,
           count(*) FILTER (WHERE e.activity IN ('approval_completed', 'approval_refused')) AS decided
      FROM visited v JOIN event e ON e.recorded_at >= v.since AND e.recorded_at < :until
     WHERE e.activity IN ('order_accepted', 'invoice_posted', 'approval_completed', 'approval_refused') AND (:units::text[] IS NULL OR e.business_unit = ANY (:units::text[]))
), cause AS (
    SELECT c.fingerprint, min(c.code) AS code, count(*) FILTER (WHERE c.closed_at IS NULL) AS open, coalesce(sum(c.group_amount) FILTER (WHERE c.is_first), 0) AS value,
           min(c.raised_at) AS first_seen, (array_agg(c.message ORDER BY c.raised_at DESC))[1] AS message
      FROM (SELECT x.*, row_number() OVER (PARTITION BY x.fingerprint, coalesce(x.document_id::text, x.number) ORDER BY x.raised_at) = 1 AS is_first
              FROM visited v JOIN exception_case x ON x.raised_at >= v.since
             WHERE (:units::text[] IS NULL OR x.business_unit = ANY (:units::text[]))
               AND NOT EXISTS (SELECT FROM exception_case b WHERE b.fingerprint = x.fingerprint AND b.raised_at < v.since AND (:units::text[] IS NULL OR b.business_unit = ANY (:units::text[])))) c
     GROUP BY c.fingerprint
)
SELECT v.since, v.was_here, met.raised, met.closed, met.self_cured, happened.ordered, happened.posted, happened.decided,
       (SELECT coalesce(jsonb_agg(to_jsonb(cause) ORDER BY value DESC, first_seen DESC), '[]') FROM cause) AS causes
  FROM visited v CROSS JOIN met CROSS JOIN happened;

-- name: exception_share(units, before, since, until, document_types)
-- Documents that entered in the period (from :since on) and in the one before it (from :before on), and how many of them ever met an exception.
SELECT d.submitted_at >= :since AS in_period, count(*) AS entered, count(x.document_id) AS with_exception
  FROM document d LEFT JOIN (SELECT DISTINCT document_id FROM exception_case) x USING (document_id)
 WHERE d.document_type = ANY (:document_types::text[]) AND d.submitted_at >= :before AND d.submitted_at < :until AND NOT d.is_test
   AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
 GROUP BY 1;

-- name: ledger(units, as_of)
-- What the business has agreed beside what the ledger has accepted, over everything that is open: documents, their value, and the age in
-- seconds of the oldest in its present state. Requisitions and invoices: between them the same money is in one row once.
SELECT document_type, approval_status, posting_status, count(*) AS documents, coalesce(sum(group_amount), 0) AS value, extract(epoch FROM :as_of - min(state_since))::float8 AS oldest_s
  FROM document
 WHERE closed_at IS NULL AND NOT is_test AND source = 'finsync' AND document_type IN ('requisition', 'invoice') AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY 1, 2, 3 ORDER BY value DESC, 1, 2, 3;

-- name: ledger_rows(units, as_of, document_type, approval_status, posting_status)
-- The documents behind one line of the two facts, most money first.
SELECT document_id, document_type, number, business_unit, supplier_name, state, currency, amount, group_amount, posting_status, state_since, extract(epoch FROM :as_of - state_since)::float8 AS age_s
  FROM document
 WHERE closed_at IS NULL AND NOT is_test AND source = 'finsync' AND document_type = :document_type AND approval_status = :approval_status AND posting_status = :posting_status
   AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 ORDER BY group_amount DESC NULLS LAST, document_id;

-- name: unresolved(units, as_of)^
-- The queue in four numbers: open exceptions, their different causes, what their documents are worth (each once), the oldest in seconds.
SELECT count(*) AS exceptions, count(DISTINCT fingerprint) AS causes, coalesce(sum(group_amount) FILTER (WHERE place = 1), 0) AS value,
       extract(epoch FROM :as_of - min(raised_at))::float8 AS oldest_s
  FROM (SELECT fingerprint, group_amount, raised_at, row_number() OVER (PARTITION BY coalesce(document_id, case_id) ORDER BY raised_at) AS place
          FROM exception_case WHERE closed_at IS NULL AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))) c;
