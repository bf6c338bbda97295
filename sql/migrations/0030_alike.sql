-- Looking for a purchase that was asked for twice reads those over the same amount, not everything of two weeks.
CREATE INDEX requisition_alike ON document (amount, currency, business_unit) WHERE document_type = 'requisition';

-- A supplier that becomes ready wakes whoever was parked for one, without a look at every open exception.
CREATE INDEX case_awaits_supplier ON exception_case (work_item_id) WHERE closed_at IS NULL AND code IN ('supplier_unknown', 'supplier_not_ready');
