-- The page on approvals reads what has been decided lately without those of all years.
CREATE INDEX approval_closed ON document (closed_at) WHERE document_type = 'approval';
