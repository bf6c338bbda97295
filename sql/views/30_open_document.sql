-- Everything that is not finished, with where it stands and what stands in its way. The reason is exclusive: the first line of
-- the tree that holds (PRODUCT.md 4.2). Ages are measured by the reader against the time of the question. Its newest work item and its
-- first exception, blocking ones before others, are joined as sets: one document is looked up, all of them are read in one pass.
CREATE VIEW open_document WITH (security_invoker = true) AS
SELECT d.document_id, d.document_type, d.number, d.title, d.business_unit, d.supplier, d.supplier_name, d.requester, d.state, d.approval_status, d.posting_status,
       d.currency, d.amount, d.group_amount, d.state_since, d.submitted_at, d.need_by_on, d.due_on, d.correlation_id, d.version,
       b.calendar, w.work_item_id, w.flow, w.step, w.system, w.status AS work_status, w.due_at, w.objective_at, w.step_since, w.tries, w.waiting_for,
       c.case_id, c.code AS case_code, c.category AS case_category, c.message AS case_message, c.owner_team, c.owner, c.raised_at AS case_raised_at, c.version AS case_version, coalesce(c.blocks, false) AS case_blocks,
       CASE
           WHEN c.category = 'master_data' THEN 'master data'
           WHEN c.code IN ('budget_exceeded', 'budget_conflict') THEN 'budget refused'
           WHEN c.code IN ('approval_conflict', 'segregation_of_duties') THEN 'approval mismatch'
           WHEN c.code IN ('duplicate_order', 'duplicate_invoice') THEN 'possible duplicate'
           WHEN d.state IN ('in_review', 'reviewed') OR c.code IN ('quantity_variance', 'price_variance', 'amount_variance', 'date_variance', 'order_missing') THEN 'match blocked'
           WHEN d.posting_status = 'refused' THEN CASE d.document_type WHEN 'invoice' THEN 'posting refused' ELSE 'order refused by the ERP' END
           WHEN d.posting_status = 'unknown' THEN 'sent, no answer'
           WHEN c.category = 'external_outage' THEN 'a system is down'
           WHEN c.code = 'order_unknown' THEN 'order not known yet'
           WHEN c.code = 'receipt_missing' OR d.state = 'awaiting_receipt' THEN 'receipt missing'
           WHEN c.case_id IS NOT NULL AND c.blocks THEN 'other exception'
           WHEN d.state = 'awaiting_approval' THEN 'awaiting approval'
           WHEN d.state = 'awaiting_budget' THEN 'awaiting budget'
           WHEN d.state = 'approved' THEN 'approved, order not requested'
           WHEN d.state IN ('drafted', 'ordering') THEN 'order requested'
           WHEN d.state IN ('posted', 'committed', 'returned') AND d.document_type = 'purchase_order' THEN 'order number not back in procurement'
           WHEN d.document_type = 'purchase_order' AND d.state IN ('ordered', 'partially_received') THEN 'waiting for goods'
           WHEN d.document_type = 'purchase_order' AND d.state = 'received' THEN 'waiting for the invoice'
           WHEN d.state = 'payment_blocked' THEN 'payment block'
           WHEN d.state IN ('payment_ready', 'cleared') THEN 'waiting for payment'
           ELSE 'in progress'
       END AS reason, d.source_system, d.last_event_at
  FROM document d
  LEFT JOIN business_unit b ON b.code = d.business_unit
  LEFT JOIN (SELECT * FROM work_item i
              WHERE i.subject_id IS NULL AND i.status IN ('due', 'in_call', 'parked')
                AND NOT EXISTS (SELECT FROM work_item n
                                 WHERE n.document_id = i.document_id AND n.subject_id IS NULL AND n.status IN ('due', 'in_call', 'parked')
                                   AND (n.created_at, n.work_item_id) > (i.created_at, i.work_item_id))) w ON w.document_id = d.document_id
  LEFT JOIN (SELECT * FROM exception_case x
              WHERE x.closed_at IS NULL
                AND NOT EXISTS (SELECT FROM exception_case f
                                 WHERE f.document_id = x.document_id AND f.closed_at IS NULL
                                   AND (f.blocks > x.blocks OR f.blocks = x.blocks AND (f.raised_at, f.case_id) < (x.raised_at, x.case_id)))) c ON c.document_id = d.document_id
 WHERE d.closed_at IS NULL AND NOT d.is_test AND d.source = 'finsync'
   AND d.document_type IN ('requisition', 'purchase_order', 'change_order', 'invoice', 'goods_receipt', 'supplier');
