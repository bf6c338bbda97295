-- What ended in a period, whatever else there is: the first-pass yield of what people work with.
CREATE INDEX document_ended ON document (closed_at) WHERE document_type IN ('requisition', 'purchase_order', 'change_order', 'invoice') AND closed_at IS NOT NULL;
