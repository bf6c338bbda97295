-- The page on invoices that are due, and what people have said of possible duplicates.

-- The newest invoices' paths are the peers of those that are open.
CREATE INDEX path_of_invoice ON document_path (first_at) WHERE source = 'finsync' AND document_type = 'invoice';
-- Whether what was due in a period was paid in time.
CREATE INDEX invoice_due ON document (due_on) WHERE document_type = 'invoice';
-- A bill that came twice has the same amount, whoever it says it is from. Neither moves with the invoice.
CREATE INDEX invoice_amount ON document (amount, currency) WHERE document_type = 'invoice';

-- What somebody has said of two invoices that look alike; never changed, the newest of a pair holds. `document_id` is the later one.
CREATE TABLE duplicate_verdict (
    verdict_id    uuid        PRIMARY KEY,
    document_id   uuid        NOT NULL,
    other_id      uuid        NOT NULL,
    pattern       text        NOT NULL CHECK (pattern IN ('exact', 'reference', 'date', 'value', 'vendor')),
    verdict       text        NOT NULL CHECK (verdict IN ('duplicate', 'distinct')),
    reason        text        NOT NULL CHECK (reason <> ''),
    author        text        NOT NULL,
    decided_at    timestamptz NOT NULL,
    business_unit text        NOT NULL,
    CONSTRAINT two_invoices CHECK (document_id <> other_id)
);
CREATE INDEX verdict_of_pair ON duplicate_verdict (document_id, other_id, decided_at DESC);

ALTER TABLE duplicate_verdict ENABLE ROW LEVEL SECURITY;
ALTER TABLE duplicate_verdict FORCE ROW LEVEL SECURITY;
CREATE POLICY engine_sees_all ON duplicate_verdict TO finsync_engine USING (true) WITH CHECK (true);
CREATE POLICY session_sees_its_units ON duplicate_verdict FOR SELECT TO finsync_app
    USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]));
GRANT SELECT, INSERT ON duplicate_verdict TO finsync_engine;
GRANT SELECT ON duplicate_verdict TO finsync_app;
