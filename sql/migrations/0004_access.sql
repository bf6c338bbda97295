-- Access: who may see and ask for what. The application connects as finsync_app, which owns nothing, bypasses nothing and
-- changes nothing but by asking: its only write is a row in command, which an engine checks again and carries out.

-- People as the identity provider names them. units: '*' means every business unit.
CREATE TABLE app_user (
    user_id    text        PRIMARY KEY,
    name       text        NOT NULL,
    roles      text[]      NOT NULL CHECK (roles <@ ARRAY['finance_leader', 'finance_operations', 'procurement_analyst', 'integration_support', 'auditor']),
    units      text[]      NOT NULL,
    is_active  boolean     NOT NULL DEFAULT true,
    updated_at timestamptz NOT NULL
);

-- A session is opened by the program after the identity provider has vouched for somebody. The token itself is never stored.
-- Grants are read from app_user at every query, so a change of rights takes effect at once.
CREATE TABLE app_session (
    token_hash   bytea       PRIMARY KEY,
    user_id      text        NOT NULL REFERENCES app_user,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz
);

-- What somebody asked the engine to do, once per token. Denied and failed ones stay: they are audit too.
CREATE TABLE command (
    command_id    uuid        PRIMARY KEY,         -- made by the page before the button is shown: a second click is the same command
    actor         text        NOT NULL,
    roles         text[]      NOT NULL,            -- as they were when it was asked
    action        text        NOT NULL,
    arguments     jsonb       NOT NULL DEFAULT '{}',
    reason        text        NOT NULL DEFAULT '',
    business_unit text        NOT NULL DEFAULT '',
    asked_at      timestamptz NOT NULL,
    status        text        NOT NULL DEFAULT 'asked' CHECK (status IN ('asked', 'done', 'denied', 'conflict', 'failed')),
    result        jsonb       NOT NULL DEFAULT '{}',
    settled_at    timestamptz
);
CREATE INDEX command_asked ON command (asked_at) WHERE status = 'asked';
CREATE INDEX command_history ON command (asked_at DESC);

-- Who is asking: the session token is a secret of 256 random bits, set for one transaction by the program. SQL slipped into
-- a query cannot read app_session and cannot guess another token, so it cannot widen what it sees.
CREATE FUNCTION session_user_id() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$
    SELECT u.user_id
      FROM app_session s JOIN app_user u USING (user_id)
     WHERE s.token_hash = sha256(convert_to(current_setting('finsync.session', true), 'UTF8'))
       AND s.ended_at IS NULL AND s.expires_at > clock_timestamp() AND u.is_active
$$;
CREATE FUNCTION session_user_name() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$ SELECT name FROM app_user WHERE user_id = session_user_id() $$;
CREATE FUNCTION session_units() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$ SELECT coalesce((SELECT units FROM app_user WHERE user_id = session_user_id()), '{}') $$;
CREATE FUNCTION session_roles() RETURNS text[]
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$ SELECT coalesce((SELECT roles FROM app_user WHERE user_id = session_user_id()), '{}') $$;
-- May this session see rows of that business unit? Rows of no unit (messages nobody could read) need sight of all.
CREATE FUNCTION session_sees_all() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER PARALLEL RESTRICTED
SET search_path FROM CURRENT
AS $$ SELECT '*' = ANY (session_units()) $$;

-- Every table with rows of a business unit: the engine sees all, the application what its session may. FORCE binds the
-- owner too, so that a forgotten SET ROLE shows nothing rather than everything.
DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['event', 'event_object', 'document', 'document_payload', 'document_identifier',
        'document_link', 'document_link_wanted', 'order_movement', 'budget', 'budget_reservation', 'work_item', 'intent',
        'inbound_disposition', 'exception_case', 'case_event', 'redrive_item', 'attempt', 'attempt_body', 'alert', 'command']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO finsync_engine USING (true) WITH CHECK (true)', guarded);
        EXECUTE format('CREATE POLICY session_sees_its_units ON %I FOR SELECT TO finsync_app
            USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]))', guarded);
    END LOOP;
END $$;

-- A person sees their own commands whatever the unit; asks only in their own name, with the rights they have, for now.
CREATE POLICY own_commands ON command FOR SELECT TO finsync_app USING (actor = (SELECT session_user_id()));
CREATE POLICY ask_in_own_name ON command FOR INSERT TO finsync_app
    WITH CHECK (actor = (SELECT session_user_id()) AND roles = (SELECT session_roles()) AND status = 'asked');

-- Messages as they came hold everything a system said: only a session that sees all units may read them.
ALTER TABLE inbound_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbound_message FORCE ROW LEVEL SECURITY;
CREATE POLICY engine_sees_all ON inbound_message TO finsync_engine USING (true) WITH CHECK (true);
CREATE POLICY messages_of_visible_documents ON inbound_message FOR SELECT TO finsync_app
    USING ((SELECT session_sees_all()) OR EXISTS (
        SELECT 1 FROM inbound_disposition d
         WHERE d.message_id = inbound_message.message_id AND d.business_unit = ANY ((SELECT session_units())::text[])));

-- What each role may do. Append-only is a missing privilege, not a promise: nobody the program connects as can change or
-- remove an event, an attempt, a message or a recorded intent's key.
GRANT SELECT, INSERT ON event, event_object, recording, document_payload, document_link, attempt, attempt_body, inbound_message,
    inbound_key, inbound_disposition, case_event, config_version, intent TO finsync_engine;
GRANT UPDATE (folded_at) ON recording TO finsync_engine;
GRANT UPDATE (outcome, settled_at, sends, last_sent_at, fencing_token, engine_id) ON intent TO finsync_engine;
GRANT SELECT, INSERT, UPDATE ON document, document_identifier, order_movement, budget, budget_reservation, work_item, feed_state,
    system_state, exception_case, redrive, redrive_item, job_run, engine_instance, business_unit, objective, alert, app_user TO finsync_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON document_link_wanted, inbound_pending, calendar_interval TO finsync_engine;
GRANT DELETE ON business_unit, objective TO finsync_engine;
GRANT SELECT ON command, app_session TO finsync_engine;
GRANT UPDATE (status, result, settled_at, business_unit) ON command TO finsync_engine;
GRANT SELECT ON app_user TO finsync_engine;

GRANT SELECT ON event, event_object, document, document_payload, document_identifier, document_link, document_link_wanted,
    order_movement, budget, budget_reservation, work_item, intent, inbound_message, inbound_disposition, inbound_pending,
    feed_state, system_state, exception_case, case_event, redrive, redrive_item, job_run, engine_instance, attempt, attempt_body,
    calendar_interval, business_unit, config_version, objective, alert, command, recording TO finsync_app;
GRANT INSERT (command_id, actor, roles, action, arguments, reason, business_unit, asked_at) ON command TO finsync_app;

-- A reprocessing is visible to whoever sees one of its items.
ALTER TABLE redrive ENABLE ROW LEVEL SECURITY;
ALTER TABLE redrive FORCE ROW LEVEL SECURITY;
CREATE POLICY engine_sees_all ON redrive TO finsync_engine USING (true) WITH CHECK (true);
CREATE POLICY redrive_of_visible_items ON redrive FOR SELECT TO finsync_app
    USING (EXISTS (SELECT 1 FROM redrive_item i WHERE i.redrive_id = redrive.redrive_id));

-- Opening a session is the gate's alone: a connection that answers to nothing a page can write.
CREATE FUNCTION open_session(for_user text, session_token text, lasts interval) RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
    INSERT INTO app_session (token_hash, user_id, created_at, last_seen_at, expires_at)
    VALUES (sha256(convert_to(session_token, 'UTF8')), for_user, clock_timestamp(), clock_timestamp(), clock_timestamp() + lasts)
$$;
CREATE FUNCTION end_session() RETURNS void
LANGUAGE sql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
    UPDATE app_session SET ended_at = clock_timestamp()
     WHERE token_hash = sha256(convert_to(current_setting('finsync.session', true), 'UTF8')) AND ended_at IS NULL
$$;
REVOKE ALL ON FUNCTION open_session(text, text, interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_session(text, text, interval) TO finsync_gate;
GRANT SELECT, INSERT, UPDATE ON app_user TO finsync_gate;
GRANT EXECUTE ON FUNCTION end_session() TO finsync_app;
-- The demo's operations desk asks in its own name, on the engine's connection, while the clock is a fast one.
GRANT INSERT ON command TO finsync_engine;
