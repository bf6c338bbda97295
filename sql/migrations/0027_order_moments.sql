-- Orders that left the intended way: the moments that are compared are kept per order, and looked up anew once a minute for orders of
-- which something has been told. The view order_moment_fact says what a row holds.
CREATE TABLE order_moment (
    document_id    uuid        PRIMARY KEY,
    source         text        NOT NULL,
    business_unit  text        NOT NULL,
    first_at       timestamptz NOT NULL,
    group_amount   numeric(20,6),
    requisition_at timestamptz,
    approved_at    timestamptz,
    ordered_at     timestamptz,
    goods_at       timestamptz,
    invoice_at     timestamptz,
    needs_goods    boolean,
    has_contract   boolean,
    pattern        integer     NOT NULL   -- which of the moments there are, and which lies before which: orders of one pattern are alike to every question
);
CREATE INDEX order_begun ON order_moment (source, first_at);

-- Orders of which something has been told since they were looked at: a question looks at these by itself.
CREATE TABLE order_told (
    document_id   uuid PRIMARY KEY,
    business_unit text NOT NULL
);

DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['order_moment', 'order_told']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO finsync_engine USING (true) WITH CHECK (true)', guarded);
        EXECUTE format('CREATE POLICY session_sees_its_units ON %I FOR SELECT TO finsync_app
            USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]))', guarded);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON order_moment, order_told TO finsync_engine;
GRANT SELECT ON order_moment, order_told TO finsync_app;

-- What is there already is looked at with the first fold.
SELECT set_config('finsync.own_function', 'on', true);
INSERT INTO order_told (document_id, business_unit) SELECT document_id, business_unit FROM document WHERE document_type = 'purchase_order';
SELECT set_config('finsync.own_function', '', true);

-- Which documents ever met an exception of a kind, without a look at each exception.
CREATE INDEX case_met ON exception_case (document_id, category, business_unit);
DROP INDEX case_of_document;

-- What entered in a period, and what was due in one, is counted from the index alone, where the table's pages have been tidied: which
-- they are sooner than by default. None of these columns moves with a step.
CREATE INDEX document_entered ON document (document_type, submitted_at) INCLUDE (document_id, business_unit, group_amount, is_test);
DROP INDEX document_recent;
ALTER TABLE document SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);
CREATE INDEX objective_outcomes ON objective_result (objective, deadline_at) INCLUDE (document_id, good_at, business_unit, source) WHERE deadline_at IS NOT NULL;
DROP INDEX objective_due;
ALTER TABLE objective_result SET (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.02);

-- Since when a log reaches, without a look at every document of it.
CREATE INDEX path_by_first ON document_path (source, first_at);
