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
    WITH CHECK (actor = (SELECT session_user_id()) AND roles = (SELECT session_roles()) AND status = 'asked'
                AND (business_unit = '' OR (SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[])));

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
    system_state, exception_case, redrive, redrive_item, job_run, job_state, engine_instance, business_unit, objective, alert, app_user TO finsync_engine;
GRANT SELECT, INSERT, UPDATE, DELETE ON document_link_wanted, inbound_pending, calendar_interval TO finsync_engine;
GRANT DELETE ON business_unit, objective, job_run, job_state TO finsync_engine;
GRANT SELECT ON command, app_session TO finsync_engine;
GRANT UPDATE (status, result, settled_at, business_unit) ON command TO finsync_engine;
GRANT SELECT ON app_user TO finsync_engine;

GRANT SELECT ON event, event_object, document, document_payload, document_identifier, document_link, document_link_wanted,
    order_movement, budget, budget_reservation, work_item, intent, inbound_message, inbound_disposition, inbound_pending,
    feed_state, system_state, exception_case, case_event, redrive, redrive_item, job_run, job_state, engine_instance, attempt, attempt_body,
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
-- The demo's past is made by the engine's role, whose operations desk asks in its own name while the clock is a fast one.
GRANT INSERT ON command TO finsync_engine;
GRANT SELECT, INSERT, UPDATE ON produced_past TO finsync_engine;
GRANT SELECT ON produced_past TO finsync_app;

-- Readers of the published stream publish what has been committed since; they can do nothing else to a recording.
REVOKE ALL ON FUNCTION publish_recordings(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION publish_recordings(integer) TO finsync_app, finsync_engine;

-- Two functions answer across business units: figures without any document in them, and what every unit may know of a supplier.
-- They run as the owner, whom FORCE binds, so while they run they carry a mark that the owner's policy asks for. Setting the mark
-- opens nothing to anybody else: for the other roles there is no such policy.
DO $$
DECLARE
    counted text;
BEGIN
    FOREACH counted IN ARRAY ARRAY['work_item', 'exception_case', 'attempt', 'intent', 'document', 'document_identifier', 'document_payload']
    LOOP
        EXECUTE format('CREATE POLICY owners_functions_see_all ON %I FOR SELECT TO CURRENT_USER
            USING (current_setting(''finsync.own_function'', true) = ''on'')', counted);
    END LOOP;
END $$;

-- How the machinery stands, for monitoring. Every part costs a bounded number of index entries, however much there is: counts stop
-- at 100000, attempts are those of the last five minutes, at most 50000.
CREATE FUNCTION operating_figures() RETURNS TABLE (figure text, about text, detail text, value double precision)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('finsync.own_function', 'on', true);
    RETURN QUERY
    WITH moment AS MATERIALIZED (SELECT business_now() AS now),
    lane AS (SELECT system FROM system_state UNION SELECT 'finsync'),
    recent AS (
        SELECT a.system, a.outcome FROM moment m CROSS JOIN LATERAL (
            SELECT system, outcome FROM attempt WHERE recorded_at > m.now - interval '5 minutes' ORDER BY recorded_at DESC LIMIT 50000) a)
    SELECT 'work_due'::text, l.system, ''::text, (SELECT count(*) FROM (
               SELECT 1 FROM work_item w WHERE w.system = l.system AND w.status = 'due' AND w.due_at <= m.now LIMIT 100000) c)::double precision
      FROM lane l CROSS JOIN moment m
    UNION ALL
    SELECT 'work_oldest_s', l.system, '', coalesce((
               SELECT extract(epoch FROM m.now - w.due_at) FROM work_item w
                WHERE w.system = l.system AND w.status = 'due' AND w.due_at <= m.now ORDER BY w.due_at LIMIT 1), 0)::double precision
      FROM lane l CROSS JOIN moment m
    UNION ALL
    SELECT 'work_in_call', l.system, '', (SELECT count(*) FROM (
               SELECT 1 FROM work_item w WHERE w.system = l.system AND w.status = 'in_call' LIMIT 100000) c)::double precision
      FROM lane l
    UNION ALL
    SELECT 'exceptions_open', k.category, '', count(c.category)::double precision
      FROM (VALUES ('master_data'), ('policy'), ('erp_posting'), ('external_outage')) AS k(category)
      LEFT JOIN (SELECT category FROM exception_case WHERE closed_at IS NULL LIMIT 100000) c USING (category)
     GROUP BY k.category
    UNION ALL
    SELECT 'attempts', r.system, r.outcome, count(*)::double precision FROM recent r GROUP BY r.system, r.outcome
    UNION ALL
    SELECT 'intents_unsettled', s.system, '', (SELECT count(*) FROM (
               SELECT 1 FROM intent i WHERE i.system = s.system AND i.outcome IN ('open', 'unknown') LIMIT 100000) c)::double precision
      FROM system_state s
    UNION ALL
    SELECT 'feed_age_s', f.system, f.feed, extract(epoch FROM m.now - f.last_success_at)::double precision
      FROM feed_state f CROSS JOIN moment m WHERE f.last_success_at IS NOT NULL
    UNION ALL
    SELECT 'feed_failures', f.system, f.feed, f.consecutive_failures::double precision FROM feed_state f
    UNION ALL
    SELECT 'breaker_open', s.system, '', (s.breaker = 'open')::int::double precision FROM system_state s
    UNION ALL
    SELECT 'messages_pending', '', '', (SELECT count(*) FROM (SELECT 1 FROM inbound_pending LIMIT 100000) c)::double precision
    UNION ALL
    SELECT 'messages_oldest_s', '', '', coalesce((
               SELECT extract(epoch FROM m.now - p.due_at) FROM inbound_pending p WHERE p.due_at <= m.now ORDER BY p.due_at LIMIT 1), 0)::double precision
      FROM moment m
    UNION ALL
    SELECT 'engines_alive', '', '', count(*)::double precision FROM engine_instance
     WHERE stopped_at IS NULL AND last_seen_at > clock_timestamp() - interval '60 seconds';
    PERFORM set_config('finsync.own_function', '', true);
END $$;
REVOKE ALL ON FUNCTION operating_figures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION operating_figures() TO finsync_app, finsync_engine;

-- What any business unit may know of a supplier by procurement's id: whether one can buy from it. Suppliers belong to no unit.
CREATE FUNCTION supplier_standing(of_system text, external_ids text[])
RETURNS TABLE (external_id text, state text, name text, erp_number text, payment_term text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
#variable_conflict use_column
BEGIN
    PERFORM set_config('finsync.own_function', 'on', true);
    RETURN QUERY
    SELECT i.external_id, d.state, p.canonical->>'name', p.canonical->>'erp_number', p.canonical->>'payment_term'
      FROM document_identifier i
      JOIN document d ON d.document_id = i.document_id AND d.document_type = 'supplier'
      JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
     WHERE i.system = of_system AND i.kind = 'supplier' AND i.external_id = ANY (external_ids) AND session_user_id() IS NOT NULL;
    PERFORM set_config('finsync.own_function', '', true);
END $$;
REVOKE ALL ON FUNCTION supplier_standing(text, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION supplier_standing(text, text[]) TO finsync_app;
