-- A backlog is folded as soon as it is there, and the server's own housekeeping comes by once a minute: until then the planner takes what a
-- batch holds for a handful of rows, and looks up for each event anew what it could look up once. So tables that have never been counted
-- are counted before a large batch is added. Only what a batch is joined with and chosen by.
CREATE FUNCTION count_before_folding() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    uncounted record;
BEGIN
    FOR uncounted IN
        SELECT c.oid::regclass AS one, w.columns
          FROM (VALUES ('event'::regclass, 'recording_id, ordinal, recorded_at, document_id, seq, document_type, business_unit, source, activity, state_from, state_to'),
                       ('event_object', 'recording_id, ordinal, recorded_at, document_id'),
                       ('document', 'document_id, document_type, correlation_id, business_unit, source, is_test'),
                       ('document_milestone', 'document_id, document_type, correlation_id, business_unit, source, entered_at'),
                       ('recording', 'recording_id, recorded_at, folded_at'),
                       ('business_unit', 'code, calendar'),
                       ('calendar_interval', 'calendar, opens_at')) AS w(of, columns)
          JOIN pg_class c ON c.oid = w.of OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = w.of)
         WHERE c.relkind = 'r' AND c.reltuples < 0 AND pg_relation_size(c.oid) > 0
    LOOP
        EXECUTE format('ANALYZE %s (%s)', uncounted.one, uncounted.columns);
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION count_before_folding() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION count_before_folding() TO finsync_engine;
