-- Alerts that mean money: rules with every version of them, states, causes, what was told to whom, and the two things only alerts
-- look at: where the books differ, and what will expire.

-- Every version of every alert rule, append-only; the newest one is in force. `sha256` is of the content as the file had it, or as
-- somebody saved it. A rule that is new, or was changed, is silent until `silent_until`: it is evaluated, and nobody is told.
CREATE TABLE alert_rule_version (
    rule         text        NOT NULL,
    version      integer     NOT NULL,
    content      jsonb       NOT NULL,
    sha256       bytea       NOT NULL,
    source       text        NOT NULL CHECK (source IN ('file', 'app')),
    silent_until timestamptz NOT NULL,
    changed_at   timestamptz NOT NULL,
    changed_by   text        NOT NULL,
    reason       text        NOT NULL DEFAULT '',
    simulated    jsonb       NOT NULL DEFAULT '{}',   -- what the time machine said when it was saved
    PRIMARY KEY (rule, version)
);

-- An alert is about a subject and an occasion: a document and its date; or a source, a cause, an approver and the day on which it
-- began. However often it is found on that occasion, it is one alert.
ALTER TABLE alert DROP CONSTRAINT one_alert_per_deadline, DROP CONSTRAINT alert_state_check,
    ALTER COLUMN document_id DROP NOT NULL, ALTER COLUMN deadline_on DROP NOT NULL, ALTER COLUMN fired_at DROP NOT NULL,
    ADD COLUMN rule_version       integer NOT NULL DEFAULT 1,
    ADD COLUMN subject            text,
    ADD COLUMN occasion           text,
    ADD COLUMN subject_name       text    NOT NULL DEFAULT '',
    ADD COLUMN group_key          text    NOT NULL DEFAULT '',   -- the cause: what has the same one is told together
    ADD COLUMN group_title        text    NOT NULL DEFAULT '',
    ADD COLUMN standing           text    NOT NULL DEFAULT '',   -- where the subject stands: "snoozed until something changes" compares it
    ADD COLUMN is_found           boolean NOT NULL DEFAULT true, -- the condition held at the last evaluation
    ADD COLUMN is_silent          boolean NOT NULL DEFAULT false,
    ADD COLUMN level              integer NOT NULL DEFAULT 0,    -- escalations so far, by time, value and nearness
    ADD COLUMN pending_since      timestamptz,
    ADD COLUMN acknowledged_until timestamptz,
    ADD COLUMN snoozed_at         timestamptz,
    ADD COLUMN snoozed_by         text,
    ADD COLUMN snoozed_until      timestamptz,                   -- NULL: until it changes
    ADD COLUMN snoozed_standing   text,
    ADD COLUMN acted_at           timestamptz,                   -- when a person first did something about it
    ADD COLUMN resolved_by        text,
    ADD COLUMN resolve_reason     text,
    ADD COLUMN noticed_at         timestamptz,
    ADD COLUMN noticed_level      integer NOT NULL DEFAULT 0;
-- The owner is bound by FORCE, and would see no row to fill in.
ALTER TABLE alert NO FORCE ROW LEVEL SECURITY;
UPDATE alert SET subject = 'document:' || document_id, occasion = deadline_on::text, group_key = 'document:' || document_id, pending_since = fired_at,
    is_found = resolved_at IS NULL, acted_at = acknowledged_at, resolved_by = CASE WHEN resolved_at IS NOT NULL THEN 'finsync' END;
ALTER TABLE alert FORCE ROW LEVEL SECURITY;
ALTER TABLE alert ALTER COLUMN subject SET NOT NULL, ALTER COLUMN occasion SET NOT NULL,
    ADD CONSTRAINT alert_state_check CHECK (state IN ('pending', 'firing', 'acknowledged', 'snoozed', 'resolved')),
    ADD CONSTRAINT one_alert_per_occasion UNIQUE (rule, subject, occasion),
    ADD CONSTRAINT resolved_with_the_time CHECK ((state = 'resolved') = (resolved_at IS NOT NULL)),
    ADD CONSTRAINT fired_unless_pending CHECK (state IN ('pending', 'resolved') OR fired_at IS NOT NULL);
-- What an evaluation has to look at again: what is open, and what a person has resolved while its condition still holds.
CREATE INDEX alert_live ON alert (rule) WHERE resolved_at IS NULL OR is_found;
CREATE INDEX alert_fired ON alert (fired_at) WHERE fired_at IS NOT NULL;
CREATE INDEX alert_of_document ON alert (document_id) WHERE document_id IS NOT NULL;

-- What happened to an alert, append-only: who did what, when and why.
CREATE TABLE alert_event (
    alert_id      uuid        NOT NULL,
    happened_at   timestamptz NOT NULL,
    what          text        NOT NULL,
    actor         text        NOT NULL,
    reason        text        NOT NULL DEFAULT '',
    state         text        NOT NULL,
    business_unit text        NOT NULL DEFAULT '',
    PRIMARY KEY (alert_id, happened_at, what)
);

-- What is to be told outside of the application, one row per destination; a try that failed is a row with a later due time.
CREATE TABLE alert_notice (
    notice_id     uuid        PRIMARY KEY,         -- the same through all tries: a receiver recognises a repetition by it
    rule          text        NOT NULL,
    group_key     text        NOT NULL,
    destination   text        NOT NULL,
    severity      text        NOT NULL,
    alert_ids     uuid[]      NOT NULL,
    content       jsonb       NOT NULL,
    is_digest     boolean     NOT NULL DEFAULT false,
    status        text        NOT NULL DEFAULT 'due' CHECK (status IN ('due', 'sending', 'sent', 'overtaken', 'given_up')),
    created_at    timestamptz NOT NULL,
    due_at        timestamptz NOT NULL,
    tries         integer     NOT NULL DEFAULT 0,
    lease_until   timestamptz,
    last_error    text        NOT NULL DEFAULT '',
    settled_at    timestamptz,
    business_unit text        NOT NULL DEFAULT '',
    CONSTRAINT settled_with_the_time CHECK ((status IN ('sent', 'overtaken', 'given_up')) = (settled_at IS NOT NULL))
);
CREATE INDEX notice_due ON alert_notice (due_at) WHERE settled_at IS NULL;
CREATE INDEX notice_settled ON alert_notice (settled_at) WHERE settled_at IS NOT NULL;
CREATE INDEX notice_made ON alert_notice (created_at);

-- What the comparison of the books found, from when to when.
CREATE TABLE drift (
    drift_id      uuid        PRIMARY KEY,
    kind          text        NOT NULL,
    document      text        NOT NULL,
    sentence      text        NOT NULL,
    found_at      timestamptz NOT NULL,
    gone_at       timestamptz,
    business_unit text        NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX drift_open ON drift (kind, document) WHERE gone_at IS NULL;

-- What stops working on a known day: secrets and certificates, as the configuration states them.
CREATE TABLE expiry (
    name       text        NOT NULL,
    kind       text        NOT NULL CHECK (kind IN ('secret', 'certificate')),
    expires_on date        NOT NULL,
    noted_at   timestamptz NOT NULL,
    gone_at    timestamptz,                        -- when another date took its place
    PRIMARY KEY (name, kind, expires_on)
);

-- A cause is new when nothing was raised for it before: one look-up, however long the history.
CREATE INDEX case_of_cause ON exception_case (fingerprint, raised_at);

-- The moment at which a date is `days` working days away: the beginning of the working day that many before the last one up to
-- it, in the zone of the unit. Calendar days where the calendar says nothing.
CREATE FUNCTION near_from(calendar_name text, zone text, day date, days integer) RETURNS timestamptz
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    SELECT coalesce(
        (SELECT min(worked)::timestamp AT TIME ZONE coalesce(zone, 'UTC') FROM (
            SELECT DISTINCT (opens_at AT TIME ZONE zone)::date AS worked
              FROM calendar_interval
             WHERE calendar = calendar_name AND opens_at < (day + 1)::timestamp AT TIME ZONE zone
               AND opens_at >= (day - 2 * days - 20)::timestamp AT TIME ZONE zone
             ORDER BY worked DESC LIMIT days + 1) AS last_days
         HAVING count(*) = days + 1),
        (day - days)::timestamp AT TIME ZONE coalesce(zone, 'UTC'))
$$;

DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['alert_event', 'alert_notice', 'drift']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO finsync_engine USING (true) WITH CHECK (true)', guarded);
        EXECUTE format('CREATE POLICY session_sees_its_units ON %I FOR SELECT TO finsync_app
            USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]))', guarded);
    END LOOP;
END $$;
GRANT SELECT, INSERT ON alert_rule_version, alert_event TO finsync_engine;
GRANT SELECT, INSERT, UPDATE ON alert_notice, drift, expiry TO finsync_engine;
GRANT SELECT ON alert_rule_version, alert_event, alert_notice, drift, expiry TO finsync_app;
