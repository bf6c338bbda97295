-- Several logs side by side: what our engine moves, and what is imported from elsewhere under a name of its own.

-- Which log a document belongs to: the same word as event.source. Foreign logs have object types that we do not know.
ALTER TABLE document ADD COLUMN source text NOT NULL DEFAULT 'finsync';
ALTER TABLE document DROP CONSTRAINT document_document_type_check;
ALTER TABLE document ADD CONSTRAINT our_documents_have_our_types CHECK (source <> 'finsync' OR document_type IN
    ('supplier', 'requisition', 'approval', 'purchase_order', 'change_order', 'goods_receipt', 'invoice', 'posting'));
CREATE INDEX document_of_log ON document (source, document_type) WHERE source <> 'finsync';
