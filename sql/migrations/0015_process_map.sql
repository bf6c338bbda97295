-- The process map: what each document went through, in order, so that the map, its variants and the documents behind a mark are
-- answered from one row per document instead of from every event.

-- One row per document that has events, kept by the folder. The three arrays have one element per step, in order: for our own
-- documents as we recorded it, for objects of other makers' logs by time. A step is an event that moved the document or that names it
-- beside the one it moved: a shared event is a step of each of its documents (OCEL 2.0), never a copy.
CREATE TABLE document_path (
    document_id   uuid          PRIMARY KEY,
    source        text          NOT NULL,
    document_type text          NOT NULL,
    business_unit text          NOT NULL,
    activities    text[]        NOT NULL,
    times         timestamptz[] NOT NULL,   -- when each happened, by the system where it happened
    places        bigint[]      NOT NULL,   -- what puts them in order: where they were recorded; in another maker's log, after the time, where they stand there
    by_people     integer       NOT NULL,   -- how many of the steps somebody did, not a machine
    first_at      timestamptz   NOT NULL,
    last_at       timestamptz   NOT NULL,
    ended_at      timestamptz,              -- NULL while our own document is open; an object of another log ends with its last event
    CONSTRAINT one_of_each_per_step CHECK (cardinality(activities) > 0 AND cardinality(activities) = cardinality(times) AND cardinality(activities) = cardinality(places))
) WITH (fillfactor = 70);
-- What moved in a period is what had not stopped moving before it.
CREATE INDEX path_by_last ON document_path (source, last_at);
CREATE INDEX path_by_end ON document_path (source, ended_at) WHERE ended_at IS NOT NULL;

ALTER TABLE document_path ENABLE ROW LEVEL SECURITY;
ALTER TABLE document_path FORCE ROW LEVEL SECURITY;
CREATE POLICY engine_sees_all ON document_path TO finsync_engine USING (true) WITH CHECK (true);
CREATE POLICY session_sees_its_units ON document_path FOR SELECT TO finsync_app
    USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]));
GRANT SELECT, INSERT, UPDATE, DELETE ON document_path TO finsync_engine;
GRANT SELECT ON document_path TO finsync_app;
