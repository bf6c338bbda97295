-- Logs of other makers: what is imported under a name of its own stands in the same tables as what our engine did. Beside those:
-- which logs and files there are, what objects were like and when, and the tables in which a file is put in order.

-- One row per imported log. Its owner is one business unit, or nobody: then only who sees all units sees it.
CREATE TABLE event_log (
    name          text        PRIMARY KEY,   -- the same word as event.source and document.source
    business_unit text        NOT NULL DEFAULT '',
    declaration   jsonb       NOT NULL DEFAULT '{}',   -- what the file says of itself: types, columns, header; export needs it
    created_at    timestamptz NOT NULL,
    CONSTRAINT our_own_log_is_not_imported CHECK (name <> 'finsync')
);

-- One row per file read into a log: the same file again goes on where it stopped, or finds that it is in.
CREATE TABLE event_log_file (
    import_id     uuid        PRIMARY KEY,
    log           text        NOT NULL,
    business_unit text        NOT NULL DEFAULT '',
    file_name     text        NOT NULL,
    file_sha256   bytea       NOT NULL,
    options       jsonb       NOT NULL DEFAULT '{}',   -- how it was read: format, columns, time zone, what was guessed
    phase         text        NOT NULL CHECK (phase IN ('reading', 'writing', 'ready')),
    counts        jsonb       NOT NULL DEFAULT '{}',
    begun_at      timestamptz NOT NULL,
    finished_at   timestamptz,
    CONSTRAINT a_file_is_in_a_log_once UNIQUE (log, file_sha256)
);

-- Records of a file that could not be read, word for word: nothing is lost, and whoever mends the file knows where.
CREATE TABLE event_log_reject (
    import_id     uuid   NOT NULL,
    position      bigint NOT NULL,   -- of the record in the file, from 1
    log           text   NOT NULL,
    business_unit text   NOT NULL DEFAULT '',
    line          bigint,            -- where the format has lines
    reason        text   NOT NULL,
    value         text   NOT NULL,   -- the part that could not be read
    raw           text   NOT NULL,
    PRIMARY KEY (import_id, position)
);
CREATE INDEX reject_of_log ON event_log_reject (log);

-- Which events of foreign logs are in: by the file's own id, or by what they say and how often it is said.
CREATE TABLE imported_event (
    log          text    NOT NULL,
    content_hash uuid    NOT NULL,
    occurrence   integer NOT NULL,
    recording_id uuid    NOT NULL,
    PRIMARY KEY (log, content_hash, occurrence)
);

-- What an object of a foreign log is like, and since when (OCEL 2.0). The Unix epoch means: from the beginning.
CREATE TABLE object_attribute (
    document_id   uuid        NOT NULL,
    name          text        NOT NULL,
    since_at      timestamptz NOT NULL DEFAULT '1970-01-01 00:00:00+00',
    value         jsonb       NOT NULL,
    business_unit text        NOT NULL DEFAULT '',
    PRIMARY KEY (document_id, name, since_at)
);

-- Recordings whose events were forgotten with their log. Roots stay in the audit chain; this says why their events are missing.
CREATE TABLE forgotten_recording (
    recording_id uuid        PRIMARY KEY,
    log          text        NOT NULL,
    event_count  integer     NOT NULL,
    forgotten_at timestamptz NOT NULL,
    forgotten_by text        NOT NULL,
    reason       text        NOT NULL
);

-- A foreign object may be named by events without leading one; ours never are.
ALTER TABLE document ALTER COLUMN last_event_seq DROP NOT NULL, ALTER COLUMN last_event_at DROP NOT NULL;
ALTER TABLE document ADD CONSTRAINT our_documents_have_an_event
    CHECK (source <> 'finsync' OR (last_event_seq IS NOT NULL AND last_event_at IS NOT NULL));
-- A log's events in their own order, and the recordings it came in by: what exports and figures of one log go through.
CREATE INDEX event_of_log ON event (source, event_at) WHERE source <> 'finsync';
CREATE INDEX event_object_of_document ON event_object (document_id);

-- Where a file is put in order before it becomes events. Unlogged: after a crash of the server they are empty, and the file is
-- read again from its beginning; what had become events is known by `imported_event`.
CREATE UNLOGGED TABLE staged_event (
    import_id    uuid        NOT NULL,
    position     bigint      NOT NULL,
    content_hash uuid        NOT NULL,
    activity     text        NOT NULL,
    event_at     timestamptz NOT NULL,
    actor        text        NOT NULL,
    unit         text,
    case_id      text,                    -- NULL where events name objects in staged_relation
    attributes   jsonb       NOT NULL,
    PRIMARY KEY (import_id, position)
);
CREATE UNLOGGED TABLE staged_relation (
    import_id uuid    NOT NULL,
    position  bigint  NOT NULL,
    ordinal   integer NOT NULL,
    object_id text    NOT NULL,
    qualifier text    NOT NULL,
    PRIMARY KEY (import_id, position, ordinal)
);
CREATE UNLOGGED TABLE staged_object (
    import_id   uuid   NOT NULL,
    position    bigint NOT NULL,
    object_id   text   NOT NULL,
    object_type text   NOT NULL,          -- empty: a case of the log
    PRIMARY KEY (import_id, position)
);
CREATE UNLOGGED TABLE staged_value (
    import_id uuid        NOT NULL,
    position  bigint      NOT NULL,
    ordinal   integer     NOT NULL,
    object_id text        NOT NULL,
    name      text        NOT NULL,
    since_at  timestamptz NOT NULL,
    value     jsonb       NOT NULL,
    PRIMARY KEY (import_id, position, ordinal)
);
CREATE UNLOGGED TABLE staged_link (
    import_id uuid    NOT NULL,
    position  bigint  NOT NULL,
    ordinal   integer NOT NULL,
    from_id   text    NOT NULL,
    to_id     text    NOT NULL,
    qualifier text    NOT NULL,
    PRIMARY KEY (import_id, position, ordinal)
);
CREATE UNLOGGED TABLE staged_progress (
    import_id    uuid   PRIMARY KEY,
    records_read bigint NOT NULL DEFAULT 0,
    to_write     bigint,                  -- events that are new, once they are in order
    written      bigint NOT NULL DEFAULT 0
);
-- What an activity means: the stage its document is in afterwards, and whether it moves objects of that type (lowest first).
CREATE UNLOGGED TABLE staged_stage (
    import_id   uuid    NOT NULL,
    activity    text    NOT NULL,
    object_type text    NOT NULL,
    stage       text    NOT NULL,
    preference  integer NOT NULL,
    PRIMARY KEY (import_id, activity, object_type)
);
CREATE UNLOGGED TABLE ready_document (
    import_id   uuid NOT NULL,
    object_id   text NOT NULL,
    object_type text NOT NULL,
    document_id uuid NOT NULL,
    unit        text NOT NULL,
    PRIMARY KEY (import_id, object_id)
);
CREATE UNLOGGED TABLE ready_event (
    import_id        uuid    NOT NULL,
    place            bigint  NOT NULL,    -- in the order of time, from 1
    position         bigint  NOT NULL,
    occurrence       integer NOT NULL,
    object_id        text    NOT NULL,
    led_by           integer,             -- the relation that became the event's own document
    qualifier        text    NOT NULL,
    seq              integer NOT NULL,
    state_from       text,
    state_to         text    NOT NULL,
    state_from_since timestamptz,
    PRIMARY KEY (import_id, place)
);

-- An object of a foreign log is the same document whenever and from whichever file its log is imported.
CREATE FUNCTION foreign_document_id(log text, object_id text) RETURNS uuid
LANGUAGE sql STABLE PARALLEL SAFE
AS $$ SELECT encode(substr(sha256(convert_to(log || chr(31) || object_id, 'UTF8')), 1, 16), 'hex')::uuid $$;

DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['event_log', 'event_log_file', 'event_log_reject', 'object_attribute']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO finsync_engine USING (true) WITH CHECK (true)', guarded);
        EXECUTE format('CREATE POLICY session_sees_its_units ON %I FOR SELECT TO finsync_app
            USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]))', guarded);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE ON event_log, event_log_file TO finsync_engine;
GRANT SELECT, INSERT ON event_log_reject, imported_event, object_attribute TO finsync_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON staged_event, staged_relation, staged_object, staged_value, staged_link, staged_progress,
    staged_stage, ready_document, ready_event TO finsync_engine;
GRANT SELECT ON forgotten_recording TO finsync_engine;
GRANT SELECT ON event_log, event_log_file, event_log_reject, object_attribute TO finsync_app;

-- Forgetting runs as the owner, whom FORCE binds: while `forget_event_log` runs, and then only, it may look at and remove what
-- belongs to foreign logs. Our own log has no way out.
DO $$
DECLARE
    held text;
BEGIN
    FOREACH held IN ARRAY ARRAY['event', 'event_object', 'document_link', 'event_log', 'event_log_file', 'event_log_reject', 'object_attribute']
    LOOP
        EXECUTE format('CREATE POLICY owners_functions_see_all ON %I FOR SELECT TO CURRENT_USER
            USING (current_setting(''finsync.own_function'', true) = ''on'')', held);
    END LOOP;
    FOREACH held IN ARRAY ARRAY['event', 'event_object', 'document', 'document_identifier', 'document_link', 'event_log', 'event_log_file',
        'event_log_reject', 'object_attribute']
    LOOP
        EXECUTE format('CREATE POLICY foreign_logs_are_forgotten ON %I FOR DELETE TO CURRENT_USER
            USING (current_setting(''finsync.own_function'', true) = ''on'' %s)', held,
            CASE WHEN held IN ('event', 'document') THEN 'AND source <> ''finsync''' ELSE '' END);
    END LOOP;
END $$;

-- Removes an imported log with everything that came with it; answers how many events that were. Recordings stay, and are named in
-- `forgotten_recording`, so that the audit chain does not break and nobody wonders where their events are.
CREATE FUNCTION forget_event_log(log_name text, by_whom text, why text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
DECLARE
    removed bigint;
BEGIN
    IF log_name = 'finsync' THEN
        RAISE EXCEPTION 'our own log is append-only and is never forgotten' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM set_config('finsync.own_function', 'on', true);
    INSERT INTO forgotten_recording (recording_id, log, event_count, forgotten_at, forgotten_by, reason)
    SELECT r.recording_id, log_name, r.event_count, clock_timestamp(), by_whom, why
      FROM recording r JOIN (SELECT DISTINCT recording_id FROM event WHERE source = log_name) e USING (recording_id)
    ON CONFLICT DO NOTHING;
    DELETE FROM event_object o USING forgotten_recording f WHERE f.log = log_name AND o.recording_id = f.recording_id;
    DELETE FROM document_link l USING document d WHERE d.source = log_name AND d.source <> 'finsync' AND l.from_document_id = d.document_id;
    DELETE FROM document_identifier i USING document d WHERE d.source = log_name AND d.source <> 'finsync' AND i.document_id = d.document_id;
    DELETE FROM object_attribute a USING document d WHERE d.source = log_name AND d.source <> 'finsync' AND a.document_id = d.document_id;
    DELETE FROM document WHERE source = log_name AND source <> 'finsync';
    DELETE FROM event WHERE source = log_name AND source <> 'finsync';
    GET DIAGNOSTICS removed = ROW_COUNT;
    DELETE FROM imported_event WHERE log = log_name;
    DELETE FROM event_log_reject WHERE log = log_name;
    DELETE FROM event_log_file WHERE log = log_name;
    DELETE FROM event_log WHERE name = log_name;
    PERFORM set_config('finsync.own_function', '', true);
    RETURN removed;
END $$;
REVOKE ALL ON FUNCTION forget_event_log(text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_event_log(text, text, text) TO finsync_engine;
