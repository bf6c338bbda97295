-- While a file is put in order, the planner should know how much of it there is: what it remembers may be from when the tables were empty,
-- and it then compares each event with each object. Only of what is joined and grouped by.
CREATE FUNCTION look_at_staged(what text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    CASE what
        WHEN 'file' THEN ANALYZE staged_event (import_id, position, content_hash, activity, case_id), staged_relation (import_id, position, object_id), staged_object (import_id, object_id, object_type),
                             staged_value (import_id, object_id), staged_link (import_id, from_id, to_id);
        WHEN 'documents' THEN ANALYZE ready_document (import_id, object_id, object_type), staged_stage;
        WHEN 'events' THEN ANALYZE ready_event (import_id, position, place, object_id);
    END CASE;
END $$;
REVOKE ALL ON FUNCTION look_at_staged(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION look_at_staged(text) TO finsync_engine;
