-- A search by number reads what it finds, not every document. Row-level security lets an index be searched only with comparisons that
-- cannot give away what a session may not see: lower() and LIKE are none of these, = and ^@ are. So what a search compares is kept.
-- What other questions compare is kept beside it, so that all documents are written anew once only. is_as_intended: the state is the end
-- that documents of the type are meant to come to (first_pass.py). bill_key: an invoice's supplier, currency and amount.
ALTER TABLE document ADD COLUMN number_key text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(number)) STORED,
    ADD COLUMN is_as_intended boolean NOT NULL GENERATED ALWAYS AS (document_type || ':' || state IN ('requisition:ordered', 'purchase_order:closed', 'change_order:returned', 'invoice:paid')) STORED,
    ADD COLUMN bill_key text COLLATE "C" GENERATED ALWAYS AS (CASE WHEN document_type = 'invoice' THEN supplier || chr(31) || currency || chr(31) || trim_scale(amount)::text END) STORED;
CREATE INDEX document_by_number_key ON document (number_key);
DROP INDEX document_by_number;

ALTER TABLE document_identifier ADD COLUMN external_key text COLLATE "C" NOT NULL GENERATED ALWAYS AS (lower(external_id)) STORED,
    -- A supplier's own invoice number as people name it, without the supplier.
    ADD COLUMN reference_key text COLLATE "C" GENERATED ALWAYS AS (CASE WHEN kind = 'invoice_number' THEN lower(substr(external_id, strpos(external_id, '/') + 1)) END) STORED;
CREATE INDEX identifier_by_key ON document_identifier (external_key);
CREATE INDEX identifier_by_reference ON document_identifier (reference_key) WHERE reference_key IS NOT NULL;
DROP INDEX identifier_search;
DROP INDEX identifier_by_supplier;
