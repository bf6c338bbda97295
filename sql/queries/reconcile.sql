-- What the hub believes, for comparison with what the systems have in their books.

-- name: requisitions(system)
-- Requisitions by procurement's id.
SELECT i.external_id, d.document_id, d.number, d.state, d.approval_status, d.currency, d.amount, d.business_unit
  FROM document_identifier i JOIN document d USING (document_id)
 WHERE i.system = :system AND i.kind = 'requisition' AND d.document_type = 'requisition';

-- name: orders(system)
-- Orders the ERP has accepted, by its number.
SELECT i.external_id, d.document_id, d.number, d.state, d.posting_status, d.currency, d.amount, d.business_unit
  FROM document_identifier i JOIN document d USING (document_id)
 WHERE i.system = :system AND i.kind = 'purchase_order' AND d.document_type = 'purchase_order';

-- name: orders_of_requisitions()
-- Live orders per requisition line: a line with two is what must never be.
SELECT r.number AS requisition, l.value->>'source_line_id' AS line, count(*) AS live_orders, array_agg(o.number) AS orders
  FROM document o
  JOIN document_link k ON k.from_document_id = o.document_id AND k.relation = 'fulfils'
  JOIN document r ON r.document_id = k.to_document_id
  JOIN document_payload p ON p.document_id = o.document_id AND p.payload_version = o.payload_version
  CROSS JOIN LATERAL jsonb_array_elements(p.canonical->'lines') AS l(value)
 WHERE o.document_type = 'purchase_order' AND o.posting_status = 'accepted' AND o.state <> 'cancelled'
 GROUP BY r.number, l.value->>'source_line_id'
HAVING count(*) > 1;

-- name: invoices(ap_system, erp_system)
-- Invoices by AP automation's id, with the ERP's number where it has posted them.
SELECT i.external_id, e.external_id AS erp_number, d.document_id, d.number, d.state, d.posting_status, d.currency, d.amount, d.business_unit
  FROM document_identifier i
  JOIN document d USING (document_id)
  LEFT JOIN document_identifier e ON e.document_id = d.document_id AND e.system = :erp_system AND e.kind = 'supplier_invoice'
 WHERE i.system = :ap_system AND i.kind = 'invoice' AND d.document_type = 'invoice';

-- name: unsettled_messages()^
-- Messages accepted, and those among them that have neither been dealt with nor wait to be.
SELECT (SELECT count(*) FROM inbound_key) AS accepted,
       (SELECT count(*) FROM inbound_key k
         WHERE NOT EXISTS (SELECT 1 FROM inbound_disposition x WHERE x.message_id = k.message_id)
           AND NOT EXISTS (SELECT 1 FROM inbound_pending p WHERE p.message_id = k.message_id)) AS lost;

-- name: known_messages(system, kind, external_id)
-- Which of these documents we were ever told about.
SELECT DISTINCT k.kind, k.external_id FROM inbound_key k
  JOIN unnest(:kind::text[], :external_id::text[]) AS u(kind, external_id) ON (k.kind, k.external_id) = (u.kind, u.external_id)
 WHERE k.system = :system;

-- name: parked_without_reason()$
-- Items that stand still without an open exception that says why, and parked messages without one.
SELECT (SELECT count(*) FROM work_item w WHERE w.status = 'parked'
           AND NOT EXISTS (SELECT 1 FROM exception_case c WHERE c.work_item_id = w.work_item_id AND c.closed_at IS NULL AND c.message <> ''))
     + (SELECT count(*) FROM inbound_disposition x WHERE x.outcome = 'parked'
           AND NOT EXISTS (SELECT 1 FROM exception_case c WHERE c.message_id = x.message_id AND c.message <> ''));

-- name: counts()^
-- How much there is.
SELECT (SELECT count(*) FROM document WHERE document_type = 'requisition') AS requisitions,
       (SELECT count(*) FROM document WHERE document_type = 'purchase_order') AS purchase_orders,
       (SELECT count(*) FROM document WHERE document_type = 'invoice') AS invoices,
       (SELECT count(*) FROM document WHERE document_type = 'invoice' AND state IN ('payment_ready', 'cleared', 'paid')) AS invoices_payment_ready,
       (SELECT count(*) FROM event WHERE source = 'finsync' AND state_from IS NOT NULL AND activity NOT IN
           ('exception_raised', 'exception_closed', 'news_superseded', 'news_out_of_order', 'change_came_too_late', 'reprocessing_asked')) AS transitions,
       (SELECT count(*) FROM event) AS events,
       (SELECT coalesce(jsonb_object_agg(category, n), '{}') FROM (SELECT category, count(*) AS n FROM exception_case GROUP BY category) c) AS exceptions_by_category,
       (SELECT count(*) FROM exception_case WHERE closed_at IS NULL) AS exceptions_open;

-- name: record_months()
-- The months of which something was recorded, as the moments they begin and end (UTC), oldest first.
SELECT month AT TIME ZONE 'UTC' AS since, (month + interval '1 month') AT TIME ZONE 'UTC' AS until
  FROM (SELECT min(recorded_at) AT TIME ZONE 'UTC' AS first_at, max(recorded_at) AT TIME ZONE 'UTC' AS last_at FROM recording) r
 CROSS JOIN generate_series(date_trunc('month', r.first_at), r.last_at, interval '1 month') AS month;

-- name: put_record_check(now, recordings, events_said, events_there, differing, gaps)!
-- What such a comparison came to.
INSERT INTO record_check (checked_at, recordings, events_said, events_there, differing, gaps)
VALUES (:now, :recordings, :events_said, :events_there, :differing, :gaps);
