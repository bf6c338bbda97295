-- Telemetry: every call we made, business calendars, and the configuration that was in force when.

-- One row per question to an outside system (which may take several HTTP calls), append-only.
CREATE TABLE attempt (
    attempt_id      uuid        NOT NULL,
    recorded_at     timestamptz NOT NULL,
    system          text        NOT NULL,
    operation       text        NOT NULL,        -- an operation of the connector, or 'feed:<name>'
    effect          text        NOT NULL CHECK (effect IN ('read', 'create', 'set', 'look_up')),
    flow            text,
    step            text,
    document_id     uuid,
    work_item_id    uuid,
    correlation_id  uuid,
    business_unit   text        NOT NULL DEFAULT '',
    engine_id       text        NOT NULL,
    idempotency_key text,
    try_number      integer     NOT NULL,
    started_at      timestamptz NOT NULL,
    duration_ms     numeric(12,3) NOT NULL,
    outcome         text        NOT NULL CHECK (outcome IN ('done', 'adopted', 'absent', 'waiting', 'refused', 'not_sent', 'unknown', 'failed')),
    error_code      text,
    message         text        NOT NULL DEFAULT '',
    http_status     integer,
    http_calls      integer     NOT NULL,
    records         integer,                     -- how many a feed page brought
    request_bytes   bigint      NOT NULL,
    response_bytes  bigint      NOT NULL,
    trace_id        text        NOT NULL,
    calls           jsonb       NOT NULL DEFAULT '[]',   -- method, url, status, duration_ms of each HTTP call
    PRIMARY KEY (attempt_id, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE TABLE attempt_default PARTITION OF attempt DEFAULT;
CREATE INDEX attempt_of_document ON attempt (document_id) WHERE document_id IS NOT NULL;
CREATE INDEX attempt_by_time ON attempt (recorded_at, system);

-- What was sent and what came back, for calls that change something and for refusals.
CREATE TABLE attempt_body (
    attempt_id    uuid        NOT NULL,
    recorded_at   timestamptz NOT NULL,
    position      integer     NOT NULL,
    sent          text        NOT NULL,
    answered      text        NOT NULL,
    business_unit text        NOT NULL DEFAULT '',
    PRIMARY KEY (attempt_id, position, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE TABLE attempt_body_default PARTITION OF attempt_body DEFAULT;

-- Working intervals of each business calendar, filled ahead from config. worked_before is the working time of all earlier
-- intervals, so that the working time between two moments is two index look-ups whatever lies between.
CREATE TABLE calendar_interval (
    calendar        text        NOT NULL,
    opens_at        timestamptz NOT NULL,
    closes_at       timestamptz NOT NULL,
    worked_before_s bigint      NOT NULL,
    PRIMARY KEY (calendar, opens_at),
    CONSTRAINT interval_is_forward CHECK (closes_at > opens_at)
);
CREATE INDEX interval_by_work ON calendar_interval (calendar, worked_before_s);

-- Working seconds of a calendar up to a moment, from where the calendar begins.
CREATE FUNCTION worked_s(calendar_name text, moment timestamptz) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$
    SELECT coalesce((
        SELECT worked_before_s + extract(epoch FROM least(moment, closes_at) - opens_at)
          FROM calendar_interval
         WHERE calendar = calendar_name AND opens_at <= moment
         ORDER BY opens_at DESC
         LIMIT 1), 0)
$$;

-- Working seconds between two moments; negative when they are the wrong way round, as wall time would be.
CREATE FUNCTION business_s(calendar_name text, from_at timestamptz, to_at timestamptz) RETURNS numeric
LANGUAGE sql STABLE PARALLEL SAFE
SET search_path FROM CURRENT
AS $$ SELECT worked_s(calendar_name, to_at) - worked_s(calendar_name, from_at) $$;

-- Business units as the configuration names them: what a page needs to show and sum.
CREATE TABLE business_unit (
    code         text PRIMARY KEY,
    name         text NOT NULL,
    country      text NOT NULL,
    currency     text NOT NULL,
    company_code text NOT NULL,
    calendar     text NOT NULL,
    time_zone    text NOT NULL
);

-- Every version of every mapping, policy, objective and calendar that was ever in force, and who put it there.
CREATE TABLE config_version (
    kind         text        NOT NULL,
    version      text        NOT NULL,
    content      jsonb       NOT NULL,
    sha256       bytea       NOT NULL,
    promoted_at  timestamptz NOT NULL,
    promoted_by  text        NOT NULL,
    PRIMARY KEY (kind, version)
);

-- Service level objectives as promoted from config/objectives.
CREATE TABLE objective (
    name         text    PRIMARY KEY,
    title        text    NOT NULL,
    owner_team   text    NOT NULL,
    document_type text   NOT NULL,
    start_activity text  NOT NULL,             -- the clock starts at the first event of this name
    good_activities text[] NOT NULL,           -- and stops at the first of these
    threshold_s  numeric NOT NULL,
    clock        text    NOT NULL CHECK (clock IN ('wall', 'business')),
    target       numeric NOT NULL CHECK (target > 0 AND target < 1),
    window_days  integer NOT NULL
);

-- One alert per (rule, document, deadline).
CREATE TABLE alert (
    alert_id      uuid        PRIMARY KEY,
    rule          text        NOT NULL,
    document_id   uuid        NOT NULL,
    deadline_on   date        NOT NULL,
    state         text        NOT NULL CHECK (state IN ('firing', 'acknowledged', 'resolved')),
    severity      text        NOT NULL,
    message       text        NOT NULL,
    owner_team    text        NOT NULL,
    group_amount  numeric(20,6),
    business_unit text        NOT NULL DEFAULT '',
    fired_at      timestamptz NOT NULL,
    acknowledged_at timestamptz,
    acknowledged_by text,
    resolved_at   timestamptz,
    CONSTRAINT one_alert_per_deadline UNIQUE (rule, document_id, deadline_on)
);
CREATE INDEX alert_open ON alert (business_unit, fired_at) WHERE resolved_at IS NULL;

-- A past that was made by the engine on a fast clock (the demo): one row at most, none in a company's own database. While it is
-- being made, "now" is where it has come to, so that no page takes yesterday's work for three months of silence.
CREATE TABLE produced_past (
    single      boolean     PRIMARY KEY DEFAULT true CHECK (single),
    seed        integer     NOT NULL,
    begins_at   timestamptz NOT NULL,
    ends_at     timestamptz NOT NULL,
    reached_at  timestamptz NOT NULL,
    rests       boolean     NOT NULL DEFAULT false,  -- stopped in good order: may be gone on with from reached_at
    finished_at timestamptz,
    CONSTRAINT past_lies_in_order CHECK (begins_at <= reached_at AND reached_at <= ends_at)
);
CREATE FUNCTION business_now() RETURNS timestamptz
LANGUAGE sql VOLATILE
SET search_path FROM CURRENT
AS $$ SELECT coalesce((SELECT reached_at FROM produced_past WHERE finished_at IS NULL), clock_timestamp()) $$;

-- Gives recordings that are committed their place in the published stream; answers how many. One transaction at a time does it and
-- keeps the lock until it is committed, so a reader who sees a position sees every lower one: "position > the last I had" loses
-- nothing, however late a recording was committed. Whoever finds the lock taken goes on with what has been published.
CREATE FUNCTION publish_recordings(most integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    published integer;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('finsync publish ' || current_schema(), 0)) THEN
        RETURN 0;
    END IF;
    WITH newest AS (
        SELECT coalesce((SELECT position FROM recording WHERE position IS NOT NULL ORDER BY position DESC LIMIT 1), 0) AS position
    ), waiting AS (
        SELECT recording_id, event_count, written_order FROM recording
         WHERE position IS NULL AND event_count > 0 ORDER BY written_order LIMIT least(most, 10000)
    ), numbered AS (
        SELECT w.recording_id, n.position + sum(w.event_count) OVER (ORDER BY w.written_order) AS position FROM waiting w CROSS JOIN newest n
    )
    UPDATE recording r SET position = n.position FROM numbered n WHERE r.recording_id = n.recording_id;
    GET DIAGNOSTICS published = ROW_COUNT;
    RETURN published;
END $$;

-- Monthly partitions of what only grows, made ahead; the engine may ask for them although it owns nothing. Rows that come for
-- a month without one go to the default partition, and that month stays there.
CREATE FUNCTION ensure_partitions(first_month date, months integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT
AS $$
DECLARE
    parent text;
    month  date;
    made   integer := 0;
BEGIN
    FOREACH parent IN ARRAY ARRAY['event', 'event_object', 'inbound_message', 'attempt', 'attempt_body']
    LOOP
        FOR i IN 0 .. months - 1
        LOOP
            month := (date_trunc('month', first_month) + make_interval(months => i))::date;
            CONTINUE WHEN to_regclass(format('%I', parent || to_char(month, '_YYYYMM'))) IS NOT NULL;
            BEGIN
                EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)', parent || to_char(month, '_YYYYMM'), parent,
                               month::timestamp AT TIME ZONE 'UTC', (month + interval '1 month')::timestamp AT TIME ZONE 'UTC');
                made := made + 1;
            EXCEPTION
                WHEN check_violation THEN NULL;   -- the default partition holds rows of that month already
                WHEN duplicate_table THEN NULL;   -- another engine was quicker
            END;
        END LOOP;
    END LOOP;
    RETURN made;
END $$;
REVOKE ALL ON FUNCTION ensure_partitions(date, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_partitions(date, integer) TO finsync_engine;
