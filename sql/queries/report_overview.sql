-- What the overview asks beside what the other pages ask.

-- name: gap_by_day(units, since, until)
-- The finality gap as it was at the end of each day (and at :until, on the last): count and value of requisitions approved by then and
-- neither ordered nor ended by then. Those that can count: ordered or ended since :since, or still under way.
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
SELECT day::date AS day, coalesce(sum(documents) OVER (ORDER BY day), 0)::bigint AS documents, coalesce(sum(value) OVER (ORDER BY day), 0) AS value
  FROM generate_series(date_trunc('day', :since::timestamptz), :until::timestamptz, interval '1 day') AS day LEFT JOIN change USING (day)
 ORDER BY day;

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

-- name: visited_before()^
-- When the person of this session was here before; NULL: never.
SELECT session_visited_before() AS at;

-- name: unresolved(units, as_of)^
-- The queue in four numbers: open exceptions, their different causes, what their documents are worth (each once), the oldest in seconds.
SELECT count(*) AS exceptions, count(DISTINCT fingerprint) AS causes, coalesce(sum(group_amount) FILTER (WHERE place = 1), 0) AS value,
       extract(epoch FROM :as_of - min(raised_at))::float8 AS oldest_s
  FROM (SELECT fingerprint, group_amount, raised_at, row_number() OVER (PARTITION BY coalesce(document_id, case_id) ORDER BY raised_at) AS place
          FROM exception_case WHERE closed_at IS NULL AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))) c;
