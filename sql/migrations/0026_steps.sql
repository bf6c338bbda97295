-- The process map over years: what a day's steps came to is kept, and worked out anew where something of that day has been told since.

-- The value a document's steps count with, and whether it did something twice: both as of when its path was kept last.
ALTER TABLE document_path ADD COLUMN group_amount numeric(20,6), ADD COLUMN is_repeated boolean NOT NULL DEFAULT false;
SELECT set_config('finsync.own_function', 'on', true);
UPDATE document_path p
   SET group_amount = d.group_amount, is_repeated = (SELECT count(DISTINCT a) < count(*) FROM unnest(p.activities) AS a)
  FROM document d WHERE d.document_id = p.document_id;
-- Who did something before a period and again in it is in the period's figures once.
CREATE INDEX path_repeated ON document_path (source, last_at) WHERE is_repeated;

-- Steps of a UTC day, from one activity to the next ('' where a document begins), by type and business unit ("*": all of them).
CREATE TABLE step_day (
    source        text    NOT NULL,
    business_unit text    NOT NULL,
    day           date    NOT NULL,
    document_type text    NOT NULL,
    from_activity text    NOT NULL,
    activity      text    NOT NULL,
    n             bigint  NOT NULL,
    firsts        bigint  NOT NULL,   -- of these, the first time ever that a document did the activity
    first_value   numeric,            -- and what those documents are worth
    ways          bigint  NOT NULL,   -- the first time ever that a document took this step
    way_value     numeric,
    places        bigint  NOT NULL,   -- sum of the places in the documents' paths
    negative      bigint  NOT NULL,   -- clocks that contradict each other, in no sum and no percentile
    total_s       numeric NOT NULL,   -- seconds since the step before
    buckets       smallint[] NOT NULL,
    counts        integer[]  NOT NULL,
    PRIMARY KEY (source, business_unit, day, document_type, from_activity, activity)
);

-- Which documents took a step on a day: what is looked at where a period begins or ends within it.
CREATE TABLE step_document (
    source        text   NOT NULL,
    business_unit text   NOT NULL,
    day           date   NOT NULL,
    document_ids  uuid[] NOT NULL,
    PRIMARY KEY (source, day, business_unit)
);

-- Days of which something has been told since they were worked out: a question works out these by itself.
CREATE TABLE step_told (
    source text NOT NULL,
    day    date NOT NULL,
    PRIMARY KEY (source, day)
);
INSERT INTO step_told (source, day)
SELECT DISTINCT p.source, (u.at AT TIME ZONE 'UTC')::date FROM document_path p CROSS JOIN LATERAL unnest(p.times) AS u(at);
SELECT set_config('finsync.own_function', '', true);

DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['step_day', 'step_document']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO finsync_engine USING (true) WITH CHECK (true)', guarded);
        EXECUTE format('CREATE POLICY session_sees_its_units ON %I FOR SELECT TO finsync_app
            USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]))', guarded);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON step_day, step_document TO finsync_engine;
GRANT SELECT, INSERT, DELETE ON step_told TO finsync_engine;
GRANT SELECT ON step_day, step_document, step_told TO finsync_app;
