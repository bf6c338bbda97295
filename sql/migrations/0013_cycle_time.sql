-- Where the time of a requisition went, stage by stage, and which deadlines are left out of an objective and why.

-- One row per requisition and stage it has left on its way to the order: what the stays of that stage came to. touch: a call of ours
-- for the journey was running; transfer: something had happened elsewhere and was not visible here yet; the rest of the stage is
-- waiting. Wall seconds and business seconds of the unit's calendar.
CREATE TABLE journey_stage (
    document_id         uuid    NOT NULL,   -- the requisition
    stage               text    NOT NULL,
    source              text    NOT NULL,
    business_unit       text    NOT NULL,
    stays               integer NOT NULL,
    wall_s              numeric NOT NULL,
    business_s          numeric NOT NULL,
    touch_s             numeric NOT NULL,
    touch_business_s    numeric NOT NULL,
    transfer_s          numeric NOT NULL,
    transfer_business_s numeric NOT NULL,
    PRIMARY KEY (document_id, stage),
    CONSTRAINT parts_within_the_stage CHECK (wall_s < 0 OR touch_s >= 0 AND transfer_s >= 0 AND touch_s + transfer_s <= wall_s)
) WITH (fillfactor = 80);

-- Journeys that ended without an order, by when: what left what is under way, beside those that were ordered.
CREATE INDEX journey_ended ON journey (source, closed_at) WHERE ordered_at IS NULL AND closed_at IS NOT NULL;

-- Deadlines that are left out of an objective (a closed period, an announced maintenance): once from one moment to another, or
-- every week between two times of a zone. Nothing is ever removed: what was left out for a while and no longer is stays written
-- down. objective '': all of them; business_unit '': every one.
CREATE TABLE objective_exclusion (
    exclusion_id  uuid        PRIMARY KEY,
    objective     text        NOT NULL,
    business_unit text        NOT NULL,
    starts_at     timestamptz,
    ends_at       timestamptz,
    weekday       integer     CHECK (weekday BETWEEN 1 AND 7),   -- 1 is Monday
    from_time     time,
    to_time       time,
    time_zone     text,
    reason        text        NOT NULL CHECK (reason <> ''),
    author        text        NOT NULL,
    written_at    timestamptz NOT NULL,
    withdrawn_at  timestamptz,
    withdrawn_by  text,
    CONSTRAINT once_or_every_week CHECK (
        weekday IS NULL AND starts_at IS NOT NULL AND ends_at > starts_at AND from_time IS NULL AND to_time IS NULL
        OR weekday IS NOT NULL AND starts_at IS NULL AND ends_at IS NULL AND to_time > from_time AND time_zone IS NOT NULL)
);
CREATE INDEX exclusion_in_force ON objective_exclusion (objective) WHERE withdrawn_at IS NULL;

DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['journey_stage', 'objective_exclusion']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO finsync_engine USING (true) WITH CHECK (true)', guarded);
        EXECUTE format('CREATE POLICY session_sees_its_units ON %I FOR SELECT TO finsync_app
            USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]))', guarded);
    END LOOP;
END $$;
-- What is left out for every unit changes everybody's figures, so everybody sees it.
CREATE POLICY session_sees_what_holds_for_all ON objective_exclusion FOR SELECT TO finsync_app USING (business_unit = '');
GRANT SELECT, INSERT, UPDATE, DELETE ON journey_stage TO finsync_engine;
GRANT SELECT, INSERT ON objective_exclusion TO finsync_engine;
GRANT UPDATE (withdrawn_at, withdrawn_by) ON objective_exclusion TO finsync_engine;
GRANT SELECT ON journey_stage, objective_exclusion TO finsync_app;

-- When the person of this session was here before: the newest of their sessions that began half an hour or more before this one,
-- so that a reload or a second tab is not a visit. NULL: never.
CREATE FUNCTION session_visited_before() RETURNS timestamptz
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$
    SELECT max(earlier.created_at)
      FROM app_session now JOIN app_session earlier ON earlier.user_id = now.user_id AND earlier.created_at <= now.created_at - interval '30 minutes'
     WHERE now.token_hash = sha256(convert_to(current_setting('finsync.session', true), 'UTF8'))
$$;
REVOKE ALL ON FUNCTION session_visited_before() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION session_visited_before() TO finsync_app;
