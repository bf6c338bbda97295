-- What the page on stuck documents counts and sorts: a narrow row per open document and sums over them, kept up to date by the folder,
-- so that nothing is put together from documents, work and exceptions while somebody waits. The view standing_fact says what a
-- row holds. How a document stands depends on the time of the question as well, so it is kept as of a moment (standing_judged), and a
-- question looks again at the few that have crossed a limit since: its answer is as if every one had been looked at.

-- What documents have in common that stand alike: counted once for all of them. The ids are hashes of what they stand for, so that
-- they are the same whenever and wherever a row is made.
CREATE TABLE standing_kind (
    kind_id       bigint   PRIMARY KEY,
    stage_id      bigint   NOT NULL,   -- of type, state and unit
    document_type text     NOT NULL,
    state         text     NOT NULL,
    business_unit text     NOT NULL,
    source_system text     NOT NULL,
    asks          text     NOT NULL,   -- the system that should be heard of: of the work that is next, else the document's own
    reason        text     NOT NULL,
    rule          smallint NOT NULL CHECK (rule BETWEEN 1 AND 4),   -- what may make it stuck; 1: an exception does, 2: an agreed date, 3: a wait for the invoice, 4: its pace or objective
    owner_team    text,                -- of the exception, with its code; NULL: there is none
    case_code     text,
    is_taken      boolean  NOT NULL,   -- somebody has taken the exception on
    band          smallint             -- of its value in group currency: 0 under 1,000, 1 under 10,000, 2 under 100,000, 3 from there on
);

-- cause, the first that holds: 1 an exception, 2 the agreed date, 3 its pace, 4 the step's objective (these are stuck), 5 silence,
-- 6 slow (to watch), 7 waits by agreement, 8 none. is_old: some working time has passed in the stage. is_over: more than 95 % of
-- its peers took. Columns of a fixed width come first: they are what is read of many rows.
CREATE TABLE standing (
    kind_id          bigint        NOT NULL,
    stage_id         bigint        NOT NULL,
    state_since      timestamptz   NOT NULL,
    heard_at         timestamptz   NOT NULL,   -- its last event
    other_at         timestamptz   NOT NULL,   -- when its exception was raised, its agreed date passes or its step's objective ends; infinity: never
    since_worked_s   float8        NOT NULL,   -- working seconds of its unit's calendar up to state_since
    other_worked_s   float8        NOT NULL,   -- and up to other_at
    document_id      uuid          PRIMARY KEY,
    cause            smallint      NOT NULL CHECK (cause BETWEEN 1 AND 8),
    is_old           boolean       NOT NULL,
    is_over          boolean       NOT NULL,
    group_amount     numeric(20,6),
    business_unit    text          NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX standing_by_value ON standing (cause, coalesce(group_amount, -1) DESC, document_id);
CREATE INDEX standing_of_stage ON standing (stage_id, state_since);
CREATE INDEX standing_oldest ON standing (cause, state_since) WHERE is_old;
CREATE INDEX standing_of_kind ON standing (kind_id);
CREATE INDEX standing_heard ON standing (heard_at);
CREATE INDEX standing_other ON standing (other_at);

-- The rows above added up. value_worked_s: of the stuck ones, the sum of value times the working seconds up to when each should have moved.
CREATE TABLE standing_group (
    kind_id        bigint      NOT NULL,
    cause          smallint    NOT NULL,
    is_old         boolean     NOT NULL,
    is_over        boolean     NOT NULL,
    business_unit  text        NOT NULL,
    documents      bigint      NOT NULL,
    value          numeric,
    value_worked_s float8,
    oldest_since   timestamptz NOT NULL,
    oldest_worked_s float8     NOT NULL,   -- working seconds of its calendar up to then
    PRIMARY KEY (kind_id, cause, is_old, is_over)
);

-- As of when the rows are judged, and by which limits: moments before which a stage must have been entered, or something heard.
CREATE TABLE standing_judged (
    single    boolean     PRIMARY KEY DEFAULT true CHECK (single),
    judged_at timestamptz NOT NULL
);
INSERT INTO standing_judged (judged_at) VALUES ('0001-01-01 00:00:00+00');
CREATE TABLE standing_limit (
    stage_id        bigint      PRIMARY KEY,
    business_unit   text        NOT NULL,
    slow_before     timestamptz NOT NULL,
    stuck_before    timestamptz NOT NULL,
    over_before     timestamptz NOT NULL,
    old_before      timestamptz NOT NULL,
    silent_before   timestamptz NOT NULL,
    unbilled_before timestamptz NOT NULL
);

-- Documents whose work or exception has changed without an event of theirs: looked at again with the next fold. No key but one of its
-- own, so that whoever tells of one never waits for the folder, which takes it away; told twice is looked at once.
CREATE TABLE standing_news (
    news_id     uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    document_id uuid NOT NULL
);

DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['standing_kind', 'standing', 'standing_group', 'standing_limit']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO finsync_engine USING (true) WITH CHECK (true)', guarded);
        EXECUTE format('CREATE POLICY session_sees_its_units ON %I FOR SELECT TO finsync_app
            USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]))', guarded);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON standing_kind, standing, standing_group, standing_limit TO finsync_engine;
GRANT SELECT, UPDATE ON standing_judged TO finsync_engine;
GRANT SELECT, INSERT, DELETE ON standing_news TO finsync_engine;
GRANT SELECT ON standing_kind, standing, standing_group, standing_limit, standing_judged TO finsync_app;

-- What is open already is looked at with the first fold. FORCE binds the owner too, but for what carries the mark of its functions.
SELECT set_config('finsync.own_function', 'on', true);
INSERT INTO standing_news (document_id) SELECT document_id FROM document WHERE closed_at IS NULL;
SELECT set_config('finsync.own_function', '', true);
