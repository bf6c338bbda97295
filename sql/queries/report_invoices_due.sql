-- What the page on invoices that are due asks: what is open and what its terms are, how its peers fared, what was paid in time, what
-- has been received and not billed, and which bills look like bills that are here already.

-- name: rules(first_on, last_on)
-- The payment rules in force, procurement's words for payment terms, and each calendar's zone and working days from :first_on to
-- :last_on. One row; no content: an engine has not put any in force yet.
SELECT (SELECT content FROM config_version WHERE kind = 'payments' ORDER BY promoted_at DESC, version DESC LIMIT 1) AS content,
       (SELECT content->'payment_terms'->'entries' FROM config_version WHERE kind = 'mappings' ORDER BY promoted_at DESC, version DESC LIMIT 1) AS words,
       (SELECT content->>'duplicate_invoice_days' FROM config_version WHERE kind = 'policies' ORDER BY promoted_at DESC, version DESC LIMIT 1) AS duplicate_days,
       (SELECT content->>'duplicate_name_score' FROM config_version WHERE kind = 'policies' ORDER BY promoted_at DESC, version DESC LIMIT 1) AS duplicate_name_score,
       (SELECT jsonb_object_agg(calendar, jsonb_build_object('zone', time_zone, 'days', days))
          FROM (SELECT c.calendar, b.time_zone, jsonb_agg(DISTINCT (c.opens_at AT TIME ZONE b.time_zone)::date) AS days
                  FROM (SELECT DISTINCT calendar, time_zone FROM business_unit) b
                  JOIN calendar_interval c ON c.calendar = b.calendar AND c.opens_at >= :first_on::date - 1 AND c.opens_at < :last_on::date + 2
                 GROUP BY 1, 2) worked) AS calendars;

-- name: open(units, suppliers, most)
-- Open invoices, those due first, at most :most of `there`. Terms as the invoice, its orders (several: the least) and the supplier's
-- record have them; the supplier's record is seen by whoever sees all units, and its country is the unit's for everybody else.
WITH chosen AS MATERIALIZED (
    SELECT document_id, count(*) OVER () AS there
      FROM document
     WHERE document_type = 'invoice' AND source = 'finsync' AND closed_at IS NULL AND NOT is_test AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
       AND (:suppliers::text[] IS NULL OR supplier = ANY (:suppliers::text[]))
     ORDER BY due_on NULLS LAST, document_id LIMIT :most
), supplier AS MATERIALIZED (
    SELECT DISTINCT ON (p.canonical->>'erp_number') p.canonical->>'erp_number' AS erp_number, p.canonical->>'country' AS country, p.canonical->>'payment_term' AS term
      FROM document d JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
     WHERE d.document_type = 'supplier' AND d.source = 'finsync' AND p.canonical->>'erp_number' <> ''
     ORDER BY 1, d.updated_at DESC
)
SELECT o.document_id, o.number, o.business_unit, o.supplier, o.supplier_name, o.state, o.posting_status, o.currency, o.amount, o.group_amount, o.state_since, o.due_on,
       o.reason, o.waiting_for, o.case_id, o.case_code, o.case_message, o.owner_team, o.owner, o.case_blocks, d.company_code, c.there,
       coalesce(s.country, b.country) AS country, s.term AS supplier_term, p.canonical->>'payment_term' AS term,
       (p.canonical->>'baseline_on')::date AS baseline_on, (p.canonical->>'invoiced_on')::date AS invoiced_on,
       (SELECT array_agg(DISTINCT op.canonical->>'payment_term')
          FROM document_link l JOIN document po ON po.document_id = l.to_document_id
          JOIN document_payload op ON op.document_id = po.document_id AND op.payload_version = po.payload_version
         WHERE l.from_document_id = o.document_id AND l.relation = 'bills' AND op.canonical->>'payment_term' <> '') AS order_terms
  FROM chosen c
  JOIN open_document o USING (document_id)
  JOIN document d USING (document_id)
  LEFT JOIN business_unit b ON b.code = o.business_unit
  LEFT JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
  LEFT JOIN supplier s ON s.erp_number = o.supplier
 ORDER BY o.due_on NULLS LAST, o.document_id;

-- name: history(since, most)
-- The newest invoices begun since then, at most :most, in every unit: what each went through and when (seconds since 1970), when it
-- was due, its term, and when it was given up or paid.
SELECT h.document_id, p.canonical->>'payment_term' AS term, (p.canonical->>'baseline_on')::date AS baseline_on, h.business_unit, d.company_code, d.due_on, d.group_amount, h.activities, d.state,
       (SELECT array_agg(extract(epoch FROM t.at)::bigint ORDER BY t.place) FROM unnest(h.times) WITH ORDINALITY AS t(at, place)) AS times,
       extract(epoch FROM h.ended_at)::bigint AS ended_s
  FROM (SELECT * FROM document_path
         WHERE source = 'finsync' AND document_type = 'invoice' AND first_at >= :since ORDER BY first_at DESC LIMIT :most) h
  JOIN document d USING (document_id)
  LEFT JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
 WHERE NOT d.is_test;

-- name: due_by_day(units, suppliers, since_on, until_on)
-- By due day from :since_on to before :until_on: invoices and their value, paid by then, paid later, and not paid though due. Given up
-- ones are counted apart; they are in none of the others.
SELECT due_on AS day, count(*) FILTER (WHERE outcome <> 'given up') AS due, coalesce(sum(value) FILTER (WHERE outcome <> 'given up'), 0) AS due_value,
       count(*) FILTER (WHERE outcome = 'in time') AS in_time, coalesce(sum(value) FILTER (WHERE outcome = 'in time'), 0) AS in_time_value,
       count(*) FILTER (WHERE outcome = 'paid late') AS paid_late, count(*) FILTER (WHERE outcome = 'not paid') AS not_paid,
       count(*) FILTER (WHERE outcome = 'given up') AS given_up
  FROM (SELECT d.due_on, coalesce(d.group_amount, 0) AS value,
               CASE WHEN d.state = 'rejected' THEN 'given up' WHEN p.paid_on <= d.due_on THEN 'in time' WHEN p.paid_on IS NOT NULL THEN 'paid late' ELSE 'not paid' END AS outcome
          FROM document d
          LEFT JOIN LATERAL (SELECT (h.times[array_position(h.activities, 'payment_cleared')] AT TIME ZONE 'UTC')::date AS paid_on
                               FROM document_path h WHERE h.document_id = d.document_id) p ON true
         WHERE d.document_type = 'invoice' AND d.source = 'finsync' AND NOT d.is_test AND d.due_on >= :since_on::date AND d.due_on < :until_on::date
           AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR d.supplier = ANY (:suppliers::text[]))) told
 GROUP BY 1 ORDER BY 1;

-- name: due_rows(units, suppliers, since_on, until_on, in_time, most)
-- The invoices due in a period that were paid by their due date (:in_time), or late or not at all, at most :most of `there`, the largest first.
SELECT d.document_id, d.number, d.business_unit, d.supplier_name, d.currency, d.amount, d.group_amount, d.due_on, p.paid_on, d.state,
       greatest(coalesce(p.paid_on, :until_on::date - 1) - d.due_on, 0) AS days_late, count(*) OVER () AS there
  FROM document d
  LEFT JOIN LATERAL (SELECT (h.times[array_position(h.activities, 'payment_cleared')] AT TIME ZONE 'UTC')::date AS paid_on
                       FROM document_path h WHERE h.document_id = d.document_id) p ON true
 WHERE d.document_type = 'invoice' AND d.source = 'finsync' AND NOT d.is_test AND d.due_on >= :since_on::date AND d.due_on < :until_on::date
   AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR d.supplier = ANY (:suppliers::text[]))
   AND d.state <> 'rejected' AND coalesce(p.paid_on <= d.due_on, false) = :in_time::boolean
 ORDER BY d.group_amount DESC NULLS LAST, d.document_id LIMIT :most;

-- name: known_on(units, suppliers, since_on, until_on, evening_until)
-- Invoices due from :since_on to before :until_on: their due day and value, when they came, when they were given up, on which day they were
-- paid and when we learned it. Those that came by :evening_until or after alike: what was known at a moment is for whoever asks.
SELECT d.document_id, d.due_on, coalesce(d.group_amount, 0) AS value, d.created_at, CASE WHEN d.state = 'rejected' THEN d.closed_at END AS given_up_at, e.paid_on, e.learned_at,
       d.created_at < :evening_until::timestamptz AS was_there
  FROM document d
  LEFT JOIN LATERAL (SELECT (e.event_at AT TIME ZONE 'UTC')::date AS paid_on, e.recorded_at AS learned_at
                       FROM event e WHERE e.document_id = d.document_id AND e.activity = 'payment_cleared' ORDER BY e.seq LIMIT 1) e ON true
 WHERE d.document_type = 'invoice' AND d.source = 'finsync' AND NOT d.is_test AND d.due_on >= :since_on::date AND d.due_on < :until_on::date
   AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR d.supplier = ANY (:suppliers::text[]));

-- name: by_id(document_ids)
-- Invoices by their ids, with the day on which they were paid.
SELECT d.document_id, d.number, d.business_unit, d.supplier_name, d.currency, d.amount, d.group_amount, d.due_on, p.paid_on
  FROM document d
  LEFT JOIN LATERAL (SELECT (h.times[array_position(h.activities, 'payment_cleared')] AT TIME ZONE 'UTC')::date AS paid_on
                       FROM document_path h WHERE h.document_id = d.document_id) p ON true
 WHERE d.document_id = ANY (:document_ids::uuid[]);

-- name: suppliers(units, since_on, until_on)
-- The suppliers of open invoices, of those due in a period, and of open orders, by name: what the page can be narrowed to.
SELECT supplier, max(supplier_name) AS supplier_name
  FROM (SELECT supplier, supplier_name, business_unit FROM document WHERE document_type = 'invoice' AND source = 'finsync' AND closed_at IS NULL AND NOT is_test
        UNION ALL
        SELECT supplier, supplier_name, business_unit FROM document WHERE document_type = 'invoice' AND source = 'finsync' AND NOT is_test AND due_on >= :since_on::date AND due_on < :until_on::date
        UNION ALL
        SELECT supplier, supplier_name, business_unit FROM document WHERE document_type = 'purchase_order' AND source = 'finsync' AND closed_at IS NULL AND NOT is_test) d
 WHERE supplier <> '' AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY supplier ORDER BY 2, 1;

-- name: not_invoiced(units, suppliers, as_of, most)
-- Open orders with more received than billed, at most :most of `there`: what that is worth at the order's prices (amount, net, in the
-- order's currency; group_amount at the rate of the order), since when, and whether any invoice has come. sums over all of them.
SELECT *, count(*) OVER () AS there, sum(group_amount) OVER () AS all_value, count(*) FILTER (WHERE NOT has_invoice) OVER () AS all_without, sum(group_amount) FILTER (WHERE NOT has_invoice) OVER () AS all_value_without
  FROM (SELECT d.document_id, d.number, d.business_unit, d.supplier_name, d.currency, sum(l.amount) AS amount, sum(l.amount) * d.group_amount / nullif(d.amount, 0) AS group_amount,
               min(l.received_on) AS received_on, :as_of::date - min(l.received_on) AS days, coalesce(bool_or(l.billed > 0), false) AS has_invoice
          FROM document d
          JOIN LATERAL (
              SELECT m.order_line, sum(m.quantity) FILTER (WHERE m.kind = 'billed') AS billed, max(m.moved_on) FILTER (WHERE m.kind = 'received') AS received_on,
                     (coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'received'), 0) - coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'billed'), 0))
                     * sum(m.amount) FILTER (WHERE m.kind = 'ordered') / nullif(sum(m.quantity) FILTER (WHERE m.kind = 'ordered'), 0) AS amount
                FROM order_movement m WHERE m.order_document_id = d.document_id GROUP BY 1) l ON l.amount > 0
         WHERE d.document_type = 'purchase_order' AND d.source = 'finsync' AND d.closed_at IS NULL AND NOT d.is_test
           AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR d.supplier = ANY (:suppliers::text[]))
         GROUP BY d.document_id) counted
 ORDER BY group_amount DESC NULLS LAST, document_id LIMIT :most;

-- name: alike(units, suppliers, days, most)
-- Open invoices that are not paid, each with earlier ones of the same currency that may be the same bill, at most :most pairs, the largest
-- first: same supplier and amount, or same supplier and reference with an amount within a hundredth, or another supplier with the same
-- reference and amount. What was last said of the pair. said: by pattern, of how many pairs somebody said what they are, and of how many of
-- these that they are duplicates, by the newest verdict of each pair.
WITH unpaid AS MATERIALIZED (
    SELECT document_id, supplier, supplier_name, amount, currency, submitted_at, number, business_unit, group_amount, due_on, state, payload_version, number_key, bill_key
      FROM document
     WHERE document_type = 'invoice' AND source = 'finsync' AND closed_at IS NULL AND NOT is_test AND state <> 'cleared' AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
       AND (:suppliers::text[] IS NULL OR supplier = ANY (:suppliers::text[]))
), alike AS (
    -- By what is kept to be compared, each by an index of its own: not each invoice there ever was is compared with each.
    SELECT r.document_id, o.document_id AS other_id, r.group_amount, r.submitted_at, o.submitted_at AS other_at
      FROM unpaid r JOIN document o ON o.bill_key = r.bill_key
     WHERE o.document_type = 'invoice' AND o.source = 'finsync' AND NOT o.is_test AND o.state <> 'rejected'
    UNION ALL
    SELECT r.document_id, o.document_id, r.group_amount, r.submitted_at, o.submitted_at
      FROM unpaid r JOIN document o ON o.number_key = r.number_key AND o.number = r.number AND o.currency = r.currency
     WHERE o.document_type = 'invoice' AND o.source = 'finsync' AND NOT o.is_test AND o.state <> 'rejected'
       AND CASE WHEN o.supplier = r.supplier THEN o.amount <> r.amount AND abs(o.amount - r.amount) * 100 <= greatest(abs(o.amount), abs(r.amount)) ELSE o.amount = r.amount END
), pair AS MATERIALIZED (
    SELECT document_id, other_id FROM alike
     WHERE (other_at, other_id) < (submitted_at, document_id) AND other_at >= submitted_at - make_interval(days => :days)
     ORDER BY group_amount DESC NULLS LAST, document_id, other_id LIMIT :most
)
SELECT r.document_id, r.number, r.business_unit, r.supplier, r.supplier_name, r.amount, r.currency, r.group_amount, r.due_on, r.state,
       (rp.canonical->>'invoiced_on')::date AS invoiced_on, o.document_id AS other_id, o.number AS other_number, o.supplier AS other_supplier, o.supplier_name AS other_supplier_name,
       o.amount AS other_amount, o.state AS other_state, (op.canonical->>'invoiced_on')::date AS other_invoiced_on, v.verdict, v.author, v.decided_at, v.reason AS verdict_reason,
       (SELECT jsonb_object_agg(pattern, jsonb_build_array(judged, duplicates))
          FROM (SELECT pattern, count(*) AS judged, count(*) FILTER (WHERE verdict = 'duplicate') AS duplicates
                  FROM (SELECT DISTINCT ON (document_id, other_id) pattern, verdict FROM duplicate_verdict ORDER BY document_id, other_id, decided_at DESC) newest
                 GROUP BY 1) counted) AS said
  FROM pair x
  JOIN unpaid r USING (document_id)
  JOIN document_payload rp ON rp.document_id = r.document_id AND rp.payload_version = r.payload_version
  JOIN document o ON o.document_id = x.other_id
  JOIN document_payload op ON op.document_id = o.document_id AND op.payload_version = o.payload_version
  LEFT JOIN LATERAL (SELECT * FROM duplicate_verdict v WHERE v.document_id = r.document_id AND v.other_id = x.other_id ORDER BY v.decided_at DESC LIMIT 1) v ON true
 ORDER BY r.group_amount DESC NULLS LAST, r.document_id, o.document_id;
