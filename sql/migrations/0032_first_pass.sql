-- The first-pass yield of a period is counted from an index alone, and whether somebody had to act on a document is known without a look
-- at its path.
CREATE INDEX document_ended_as ON document (closed_at) INCLUDE (document_id, document_type, business_unit, group_amount, source, is_test, is_as_intended)
 WHERE document_type IN ('requisition', 'purchase_order', 'change_order', 'invoice') AND closed_at IS NOT NULL;
DROP INDEX document_ended;

-- One of the steps that first_pass.py calls a touch.
ALTER TABLE document_path ADD COLUMN is_touched boolean NOT NULL GENERATED ALWAYS AS (activities && ARRAY['changed', 'order_changed', 'receipt_reversed', 'receipt_partly_reversed', 'order_refused', 'posting_refused', 'match_blocked', 'review_refused', 'approval_refused', 'procurement_rejected', 'approval_contradicted', 'change_refused', 'abandoned', 'review_requested', 'review_approved', 'cancellation_asked', 'cancellation_begun', 'reprocessing_asked', 'answer_lost']) STORED;
CREATE INDEX path_touched ON document_path (ended_at) INCLUDE (document_id, business_unit) WHERE is_touched;
