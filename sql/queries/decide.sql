-- What the decisions of the engine need to know, for a whole batch at a time.

-- name: linked(document_id, relation)
-- The documents these documents are linked to by a relation (from them to others), with state and payload.
SELECT l.from_document_id, d.document_id, d.document_type, d.number, d.state, d.approval_status, d.posting_status,
       d.business_unit, d.company_code, d.correlation_id, p.canonical::text AS canonical
  FROM document_link l
  JOIN document d ON d.document_id = l.to_document_id
  LEFT JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
 WHERE l.from_document_id = ANY (:document_id::uuid[]) AND l.relation = :relation
 ORDER BY l.from_document_id, d.document_id;

-- name: linking(document_id, relation)
-- The documents that are linked to these documents by a relation (from others to them), with state and payload.
SELECT l.to_document_id, d.document_id, d.document_type, d.number, d.state, d.approval_status, d.posting_status,
       d.business_unit, d.company_code, d.correlation_id, p.canonical::text AS canonical
  FROM document_link l
  JOIN document d ON d.document_id = l.from_document_id
  LEFT JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
 WHERE l.to_document_id = ANY (:document_id::uuid[]) AND l.relation = :relation
 ORDER BY l.to_document_id, d.document_id;

-- name: documents_by_identifier(system, kind, external_id)
-- Documents by what a system calls them.
SELECT i.system, i.kind, i.external_id, d.document_id, d.document_type, d.number, d.state, d.approval_status, d.posting_status,
       d.business_unit, d.company_code, d.correlation_id, p.canonical::text AS canonical
  FROM unnest(:system::text[], :kind::text[], :external_id::text[]) AS u(system, kind, external_id)
  JOIN document_identifier i USING (system, kind, external_id)
  JOIN document d ON d.document_id = i.document_id
  LEFT JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version;

-- name: hold_states(document_id)
-- Where these documents stand, which they go on doing until the transaction ends; those somebody is changing are left out.
SELECT document_id, state FROM document WHERE document_id = ANY (:document_id::uuid[]) ORDER BY document_id FOR SHARE SKIP LOCKED;

-- name: suppliers_by_number(number)
-- Supplier documents by the ERP's number, which is what an invoice names them by.
SELECT d.document_id, d.state, d.supplier_name, d.supplier, p.canonical::text AS canonical
  FROM document d
  JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
 WHERE d.document_type = 'supplier' AND p.canonical->>'erp_number' = ANY (:number::text[]);

-- name: suppliers_alike(document_id)
-- For each supplier, others that share its tax number or its name without case and spaces.
SELECT s.document_id, o.document_id AS other_id, o.number AS other_number, op.canonical->>'name' AS other_name,
       op.canonical->>'tax_id' AS other_tax_id, op.canonical->>'erp_number' AS other_erp_number
  FROM document s
  JOIN document_payload sp ON sp.document_id = s.document_id AND sp.payload_version = s.payload_version
  JOIN document o ON o.document_type = 'supplier' AND o.document_id <> s.document_id
  JOIN document_payload op ON op.document_id = o.document_id AND op.payload_version = o.payload_version
 WHERE s.document_id = ANY (:document_id::uuid[])
   AND ((sp.canonical->>'tax_id' <> '' AND op.canonical->>'tax_id' = sp.canonical->>'tax_id')
     OR (op.canonical->>'country' = sp.canonical->>'country'
         AND regexp_replace(lower(op.canonical->>'name'), '[^a-z0-9]', '', 'g') = regexp_replace(lower(sp.canonical->>'name'), '[^a-z0-9]', '', 'g')));

-- name: supplier_names()
-- Every supplier's ERP number and name: the candidates offered for a number nobody knows.
SELECT p.canonical->>'erp_number' AS erp_number, p.canonical->>'name' AS name
  FROM document d
  JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
 WHERE d.document_type = 'supplier' AND p.canonical->>'erp_number' <> '';

-- name: budgets(cost_centre, period)
-- Budgets with what is reserved against them by everything under way.
SELECT b.cost_centre, b.period, b.currency, b.amount, b.opening_used,
       b.opening_used + coalesce((SELECT sum(r.amount) FROM budget_reservation r
                                   WHERE r.cost_centre = b.cost_centre AND r.period = b.period AND r.released_at IS NULL), 0) AS reserved
  FROM unnest(:cost_centre::text[], :period::text[]) AS u(cost_centre, period)
  JOIN budget b USING (cost_centre, period);

-- name: reserved_by(document_id)
-- What these documents themselves have reserved.
SELECT document_id, cost_centre, period, amount FROM budget_reservation
 WHERE document_id = ANY (:document_id::uuid[]) AND released_at IS NULL;

-- name: purchases_alike(document_id, days)
-- For each requisition, others in the same currency over the same amount within some days, still alive. Earlier ones, and of the later
-- ones those that have been let through: the first of two may be the one we are told of last. A later one that somebody has accepted
-- as an order of its own is no double of the earlier.
SELECT r.document_id, o.document_id AS other_id, o.number, o.requester, o.amount, o.currency, o.submitted_at, p.canonical::text AS canonical
  FROM document r
  JOIN document o ON o.document_type = 'requisition' AND o.document_id <> r.document_id
                 AND o.amount = r.amount AND o.currency = r.currency AND o.business_unit = r.business_unit
                 AND o.submitted_at BETWEEN r.submitted_at - make_interval(days => :days) AND r.submitted_at + make_interval(days => :days)
                 AND o.state NOT IN ('rejected', 'cancelled')
  JOIN document_payload p ON p.document_id = o.document_id AND p.payload_version = o.payload_version
 WHERE r.document_id = ANY (:document_id::uuid[])
   AND ((o.submitted_at, o.document_id) < (r.submitted_at, r.document_id)
        OR o.state NOT IN ('received', 'awaiting_budget')
           AND NOT EXISTS (SELECT 1 FROM work_item w WHERE w.document_id = o.document_id AND w.facts->'accepted' ? 'duplicate_order'));

-- name: invoices_alike(document_id, days)
-- For each invoice, others of the same currency that share supplier or amount and are not rejected, without those that somebody has
-- called distinct from it; verdict: what was last said of the pair. Earlier ones, and of the later ones those that have been let
-- through: the first of two may be the one we are told of last.
SELECT r.document_id, o.document_id AS other_id, p.canonical::text AS canonical, v.verdict
  FROM document r
  JOIN document o ON o.document_type = 'invoice' AND o.document_id <> r.document_id AND o.currency = r.currency
                 AND (o.supplier = r.supplier OR o.amount = r.amount)
                 AND o.submitted_at BETWEEN r.submitted_at - make_interval(days => :days) AND r.submitted_at + make_interval(days => :days)
                 AND o.state <> 'rejected'
  JOIN document_payload p ON p.document_id = o.document_id AND p.payload_version = o.payload_version
  LEFT JOIN LATERAL (SELECT d.verdict FROM duplicate_verdict d
                      WHERE (d.document_id, d.other_id) IN ((r.document_id, o.document_id), (o.document_id, r.document_id))
                      ORDER BY d.decided_at DESC LIMIT 1) v ON true
 WHERE r.document_id = ANY (:document_id::uuid[]) AND v.verdict IS DISTINCT FROM 'distinct'
   AND ((o.submitted_at, o.document_id) < (r.submitted_at, r.document_id) OR o.state NOT IN ('received', 'acknowledged', 'validated'));

-- name: order_lines(document_id)
-- What has been ordered, received and billed per line of these orders. Billed leaves out rejected invoices.
SELECT m.order_document_id, m.order_line,
       coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'ordered'), 0) AS ordered,
       coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'received'), 0) AS received,
       coalesce(sum(m.quantity) FILTER (WHERE m.kind = 'billed'), 0) AS billed
  FROM order_movement m
 WHERE m.order_document_id = ANY (:document_id::uuid[])
 GROUP BY m.order_document_id, m.order_line
 ORDER BY m.order_document_id, m.order_line;

-- name: billed_by(document_id)
-- What these invoices themselves have billed already.
SELECT source_document_id, order_document_id, order_line, quantity FROM order_movement
 WHERE source_document_id = ANY (:document_id::uuid[]) AND kind = 'billed';

-- name: try_lock_documents(document_id)
-- The documents as they are now, held until the transaction ends; those somebody else holds are left out.
SELECT d.document_id, d.document_type, d.correlation_id, d.number, d.title, d.business_unit, d.company_code, d.source_system,
       d.state, d.approval_status, d.posting_status, d.state_since, d.version, d.payload_version, d.currency, d.amount,
       d.group_amount, d.supplier, d.supplier_name, d.requester, d.submitted_at, d.need_by_on, d.due_on, d.source_at, d.closed_at, d.last_event_seq
  FROM document d
 WHERE d.document_id = ANY (:document_id::uuid[])
   FOR UPDATE SKIP LOCKED;

-- name: agreed_by_procurement(document_id)
-- Which of these requisitions procurement's own approvers have all agreed to, as they stand now.
SELECT document_id FROM event
 WHERE document_id = ANY (:document_id::uuid[]) AND activity IN ('procurement_approved', 'changed')
 GROUP BY document_id
HAVING max(seq) FILTER (WHERE activity = 'procurement_approved') > coalesce(max(seq) FILTER (WHERE activity = 'changed'), 0);

-- name: hold_order_work(document_id)
-- The work these orders are at, held until the transaction ends so that nobody begins to send them; what somebody else holds is left
-- out. Unsure: it was sent, or may have been, and nobody knows whether it arrived.
SELECT w.document_id, w.status,
       w.unknown_since IS NOT NULL OR EXISTS (SELECT 1 FROM intent i WHERE i.document_id = w.document_id AND i.work_item_id = w.work_item_id
                                                 AND i.operation = 'create_purchase_order' AND i.outcome IN ('open', 'unknown')) AS is_unsure
  FROM work_item w
 WHERE w.document_id = ANY (:document_id::uuid[]) AND w.flow = 'order_to_fulfilment' AND w.subject_id IS NULL
   FOR UPDATE OF w SKIP LOCKED;

-- name: cases_of_order(document_id)
-- Open cases of orders that are cancelled and of their requisitions: what stood in the order's way, and that two systems disagreed
-- about it. Cases of the cancellation itself are its own.
SELECT c.document_id, c.case_id FROM exception_case c
 WHERE c.document_id = ANY (:document_id::uuid[]) AND c.closed_at IS NULL AND c.flow IS DISTINCT FROM 'order_cancellation'
   AND (c.document_type = 'purchase_order' OR c.code = 'approval_conflict');

-- name: requests_for_approval(document_id)
-- Every request for approval that was ever meant to be made for these documents, and of the document's own work the request it waits for.
SELECT i.document_id, i.idempotency_key, w.facts->>'approval_request' AS in_force
  FROM intent i
  LEFT JOIN work_item w ON w.document_id = i.document_id AND w.flow = i.flow AND w.subject_id IS NULL
 WHERE i.document_id = ANY (:document_id::uuid[]) AND i.operation IN ('request_approval', 'request_match_review')
 ORDER BY i.document_id, i.first_sent_at, i.idempotency_key;

-- name: withdrawing(document_id)
-- Those of these documents whose earlier requests for approval are still to be withdrawn.
SELECT document_id FROM work_item
 WHERE document_id = ANY (:document_id::uuid[]) AND flow = 'approval_withdrawal' AND status IN ('due', 'in_call', 'parked');
