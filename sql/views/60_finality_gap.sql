-- What the business has agreed and the ledger has not accepted: approval and posting are two facts, and this is the distance
-- between them (PRODUCT.md D02). Requisitions from their approval on, until every order of theirs is in the ERP.
CREATE VIEW finality_gap WITH (security_invoker = true) AS
SELECT d.document_id, d.number, d.business_unit, d.group_amount, d.currency, d.amount, d.state, d.posting_status, d.state_since,
       (SELECT max(e.event_at) FROM event e WHERE e.document_id = d.document_id AND e.activity IN ('approval_completed', 'procurement_approved')) AS approved_at
  FROM document d
 WHERE d.document_type = 'requisition' AND d.source = 'finsync' AND d.approval_status = 'approved' AND d.posting_status <> 'accepted' AND d.closed_at IS NULL AND NOT d.is_test;
