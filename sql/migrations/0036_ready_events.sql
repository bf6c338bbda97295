-- An event that is in its order carries all that is written of it: a chunk is then one stretch of one table, and is not looked together
-- from three tables for each of the three places it is written to. What was staged is begun anew: the file is read again from its beginning.
TRUNCATE staged_event, staged_relation, staged_object, staged_value, staged_link, staged_progress, staged_stage, ready_document, ready_event;
ALTER TABLE ready_event
    DROP COLUMN object_id,
    DROP COLUMN qualifier,
    ADD COLUMN document_id   uuid        NOT NULL,
    ADD COLUMN document_type text        NOT NULL,
    ADD COLUMN unit          text        NOT NULL,
    ADD COLUMN content_hash  uuid        NOT NULL,
    ADD COLUMN activity      text        NOT NULL,
    ADD COLUMN event_at      timestamptz NOT NULL,
    ADD COLUMN actor         text        NOT NULL,
    ADD COLUMN attributes    jsonb       NOT NULL,
    ADD COLUMN began_at      timestamptz NOT NULL,   -- of the first event of its document in this file
    ADD COLUMN is_last       boolean     NOT NULL;   -- of its document, in this file

CREATE OR REPLACE FUNCTION look_at_staged(what text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
BEGIN
    CASE what
        WHEN 'file' THEN ANALYZE staged_event (import_id, position, content_hash, activity, case_id), staged_relation (import_id, position, object_id), staged_object (import_id, object_id, object_type),
                             staged_value (import_id, object_id), staged_link (import_id, from_id, to_id);
        WHEN 'documents' THEN ANALYZE ready_document (import_id, object_id, object_type), staged_stage;
        WHEN 'events' THEN ANALYZE ready_event (import_id, position, place, document_id, is_last);
    END CASE;
END $$;
