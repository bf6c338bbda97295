-- Work: what is due next and for whom, what we meant to do before we did it, what we were told, what went wrong.

-- One row per document and flow (and subject, where a flow is about something beside the document): the step it is at.
-- Waiting is a row with a due time, never a sleeping thread.
CREATE TABLE work_item (
    work_item_id   uuid        PRIMARY KEY,
    document_id    uuid        NOT NULL,
    subject_id     uuid,                            -- an exception or a reprocessing; NULL: the document itself
    business_unit  text        NOT NULL DEFAULT '',
    flow           text        NOT NULL,
    step           text        NOT NULL,
    system         text        NOT NULL,            -- the lane: who is asked; 'finsync' decides here
    status         text        NOT NULL CHECK (status IN ('due', 'in_call', 'parked', 'done', 'cancelled')),
    due_at         timestamptz NOT NULL,
    step_since     timestamptz NOT NULL,            -- when this step became the next one: objectives count from here
    objective_at   timestamptz NOT NULL,            -- when the step should be done at the latest
    priority       smallint    NOT NULL DEFAULT 100,  -- lower goes first
    tries          integer     NOT NULL DEFAULT 0,  -- of this step, without success
    ask_first      boolean     NOT NULL DEFAULT false,  -- look in the target before sending
    unknown_since  timestamptz,                     -- since when we do not know what became of the last send
    claimed_at     timestamptz,
    lease_until    timestamptz,
    engine_id      text,
    fencing_token  bigint      NOT NULL DEFAULT 0,  -- rises with every claim; a stale holder writes nothing
    wakes          integer     NOT NULL DEFAULT 0,  -- rises with news that concerns this item: whoever holds it sees what it missed
    waiting_for    text        NOT NULL DEFAULT '',
    facts          jsonb       NOT NULL DEFAULT '{}',  -- what earlier steps learned
    redrive_id     uuid,
    created_at     timestamptz NOT NULL,
    finished_at    timestamptz,
    CONSTRAINT one_item_per_flow UNIQUE NULLS NOT DISTINCT (document_id, flow, subject_id),
    CONSTRAINT finished_or_finished_at_null CHECK ((status IN ('done', 'cancelled')) = (finished_at IS NOT NULL)),
    CONSTRAINT in_call_has_a_lease CHECK ((status = 'in_call') = (lease_until IS NOT NULL))
);
-- By due time within a lane: what waits for the future costs a claim nothing, however much of it there is.
CREATE INDEX work_due ON work_item (system, due_at) WHERE status = 'due';
-- In the order in which a lane takes its work: a long backlog costs a claim nothing either.
CREATE INDEX work_in_turn ON work_item (system, priority, due_at) WHERE status = 'due';
CREATE INDEX work_in_call ON work_item (system, lease_until) WHERE status = 'in_call';

-- Written before every call that changes something outside. Keys are kept for ever: vendors forget theirs in hours.
CREATE TABLE intent (
    idempotency_key text        PRIMARY KEY,
    work_item_id    uuid        NOT NULL,
    document_id     uuid        NOT NULL,
    business_unit   text        NOT NULL DEFAULT '',
    flow            text        NOT NULL,
    step            text        NOT NULL,
    system          text        NOT NULL,
    operation       text        NOT NULL,
    payload_hash    bytea       NOT NULL,
    fencing_token   bigint      NOT NULL,
    engine_id       text        NOT NULL,
    sends           integer     NOT NULL DEFAULT 1,
    first_sent_at   timestamptz NOT NULL,
    last_sent_at    timestamptz NOT NULL,
    outcome         text        NOT NULL DEFAULT 'open' CHECK (outcome IN
        ('open', 'done', 'adopted', 'refused', 'not_sent', 'unknown')),
    settled_at      timestamptz
);
CREATE INDEX intent_of_document ON intent (document_id);
CREATE INDEX intent_unsettled ON intent (system, last_sent_at) WHERE outcome IN ('open', 'unknown');

-- What a message is recognised by, kept for ever; told twice is told once.
CREATE TABLE inbound_key (
    system      text  NOT NULL,
    kind        text  NOT NULL,
    external_id text  NOT NULL,
    version     text  NOT NULL,
    message_id  uuid  NOT NULL,
    PRIMARY KEY (system, kind, external_id, version)
);
-- What we were told, verbatim, before anything was understood.
CREATE TABLE inbound_message (
    message_id    uuid        NOT NULL,
    received_at   timestamptz NOT NULL,
    system        text        NOT NULL,
    feed          text        NOT NULL,
    kind          text        NOT NULL,
    external_id   text        NOT NULL,
    version       text        NOT NULL,
    source_at     timestamptz,
    body          bytea       NOT NULL,
    body_hash     bytea       NOT NULL,
    PRIMARY KEY (message_id, received_at)
) PARTITION BY RANGE (received_at);
CREATE TABLE inbound_message_default PARTITION OF inbound_message DEFAULT;
-- Messages nobody has looked at yet; a row lives from arrival to disposition.
CREATE TABLE inbound_pending (
    message_id  uuid        PRIMARY KEY,
    received_at timestamptz NOT NULL,
    due_at      timestamptz NOT NULL,
    tries       integer     NOT NULL DEFAULT 0
);
CREATE INDEX inbound_pending_due ON inbound_pending (due_at);
-- What became of each message: accepted = applied + unchanged + superseded + ignored + parked, to the row (P2).
CREATE TABLE inbound_disposition (
    message_id    uuid        NOT NULL,
    disposed_at   timestamptz NOT NULL,
    outcome       text        NOT NULL CHECK (outcome IN ('applied', 'unchanged', 'superseded', 'ignored', 'parked')),
    reason        text        NOT NULL DEFAULT '',
    document_id   uuid,
    business_unit text        NOT NULL DEFAULT '',
    mapping_version text      NOT NULL,
    PRIMARY KEY (message_id, disposed_at),
    CONSTRAINT parked_says_why CHECK (outcome <> 'parked' OR reason <> '')
);
CREATE INDEX disposition_of_document ON inbound_disposition (document_id);

-- Where each feed stands.
CREATE TABLE feed_state (
    system               text        NOT NULL,
    feed                 text        NOT NULL,
    cursor               jsonb       NOT NULL DEFAULT '{}',
    due_at               timestamptz NOT NULL,
    lease_until          timestamptz,
    fencing_token        bigint      NOT NULL DEFAULT 0,
    last_attempt_at      timestamptz,
    last_success_at      timestamptz,
    complete_until       timestamptz,            -- source time up to which everything has been seen: the watermark
    consecutive_failures integer     NOT NULL DEFAULT 0,
    last_error           text        NOT NULL DEFAULT '',
    silent_after_s       numeric     NOT NULL,
    PRIMARY KEY (system, feed)
);

-- One row per outside system: the shared rate limit, the circuit breaker, what it last said of our quota.
CREATE TABLE system_state (
    system               text        PRIMARY KEY,
    role                 text        NOT NULL,
    title                text        NOT NULL,
    requests_per_s       numeric     NOT NULL,
    burst                numeric     NOT NULL,
    tokens               numeric     NOT NULL,
    tokens_at            timestamptz NOT NULL,
    paused_until         timestamptz,            -- Retry-After: nobody asks before
    breaker              text        NOT NULL DEFAULT 'closed' CHECK (breaker IN ('closed', 'open')),
    breaker_since        timestamptz NOT NULL,
    consecutive_failures integer     NOT NULL DEFAULT 0,
    last_success_at      timestamptz,
    last_failure_at      timestamptz,
    last_error           text        NOT NULL DEFAULT '',
    quota_limit          bigint,
    quota_remaining      bigint,
    quota_reset_at       timestamptz,
    quota_seen_at        timestamptz
);

-- What stands in the way of a document or a message. First-class: category, owner, history, and how it ended.
CREATE TABLE exception_case (
    case_id        uuid          PRIMARY KEY,
    document_id    uuid,                              -- NULL: a message that could not even be identified
    message_id     uuid,
    work_item_id   uuid,
    flow           text,
    step           text,
    system         text          NOT NULL,
    category       text          NOT NULL CHECK (category IN ('master_data', 'policy', 'erp_posting', 'external_outage')),
    code           text          NOT NULL,
    origin         text          NOT NULL,
    retryable      text          NOT NULL CHECK (retryable IN ('auto', 'after_fix', 'never')),
    fingerprint    text          NOT NULL,            -- same cause, same fingerprint: what a group is made of
    message        text          NOT NULL,
    facts          jsonb         NOT NULL DEFAULT '{}',
    number         text          NOT NULL DEFAULT '',
    document_type  text          NOT NULL DEFAULT '',
    business_unit  text          NOT NULL DEFAULT '',
    currency       text,
    amount         numeric(20,6),
    group_amount   numeric(20,6),
    due_on         date,
    status         text          NOT NULL CHECK (status IN ('open', 'claimed', 'waiting', 'queued', 'sent', 'accepted', 'verified', 'closed')),
    blocks         boolean       NOT NULL,            -- the document cannot go on until this is settled
    owner_team     text          NOT NULL,
    owner          text,
    raised_at      timestamptz   NOT NULL,
    last_seen_at   timestamptz   NOT NULL,
    occurrences    integer       NOT NULL DEFAULT 1,
    muted_until    timestamptz,
    closed_at      timestamptz,
    closed_by      text,
    close_reason   text CHECK (close_reason IN ('fixed', 'adopted', 'cancelled', 'accepted_risk', 'duplicate', 'false_alarm', 'self_cured')),
    version        integer       NOT NULL DEFAULT 1,
    CONSTRAINT closed_at_and_reason_come_together CHECK ((closed_at IS NULL) = (close_reason IS NULL) AND (closed_at IS NULL) = (status NOT IN ('verified', 'closed')))
);
CREATE UNIQUE INDEX one_open_case_per_work_item ON exception_case (work_item_id, code) WHERE closed_at IS NULL AND work_item_id IS NOT NULL;
CREATE UNIQUE INDEX one_open_case_per_message ON exception_case (message_id) WHERE closed_at IS NULL AND message_id IS NOT NULL;
CREATE INDEX case_open ON exception_case (business_unit, category, raised_at) WHERE closed_at IS NULL;
CREATE INDEX case_of_document ON exception_case (document_id);
CREATE INDEX case_raised ON exception_case (raised_at);

-- What people and the engine did about an exception, in order.
CREATE TABLE case_event (
    case_id       uuid        NOT NULL,
    case_event_id uuid        NOT NULL,
    happened_at   timestamptz NOT NULL,
    actor         text        NOT NULL,
    action        text        NOT NULL,
    comment       text        NOT NULL DEFAULT '',
    details       jsonb       NOT NULL DEFAULT '{}',
    business_unit text        NOT NULL DEFAULT '',
    PRIMARY KEY (case_id, case_event_id)
);

-- A reprocessing somebody asked for, and what became of each item in it.
CREATE TABLE redrive (
    redrive_id   uuid        PRIMARY KEY,
    asked_by     text        NOT NULL,
    asked_at     timestamptz NOT NULL,
    reason_code  text        NOT NULL,
    reason       text        NOT NULL CHECK (reason <> ''),
    scope        text        NOT NULL,                 -- in words: what was selected
    item_count   integer     NOT NULL,
    group_amount numeric(20,6) NOT NULL,
    finished_at  timestamptz
);
CREATE TABLE redrive_item (
    redrive_id       uuid        NOT NULL REFERENCES redrive,
    case_id          uuid        NOT NULL,
    document_id      uuid,
    work_item_id     uuid,
    case_version     integer     NOT NULL,             -- as the person saw it
    status           text        NOT NULL CHECK (status IN ('queued', 'sent', 'accepted', 'verified', 'refused', 'skipped')),
    result           text        NOT NULL DEFAULT '',
    updated_at       timestamptz NOT NULL,
    business_unit    text        NOT NULL DEFAULT '',
    PRIMARY KEY (redrive_id, case_id)
);
CREATE INDEX redrive_item_of_work ON redrive_item (work_item_id) WHERE status IN ('queued', 'sent', 'accepted');

-- Scheduled runs: (job, planned time) happens once however many engines there are.
CREATE TABLE job_run (
    job_id      text        NOT NULL,
    planned_at  timestamptz NOT NULL,
    engine_id   text        NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz,
    outcome     text        NOT NULL DEFAULT 'running' CHECK (outcome IN ('running', 'done', 'failed')),
    detail      text        NOT NULL DEFAULT '',
    PRIMARY KEY (job_id, planned_at)
);
CREATE INDEX job_run_started ON job_run (started_at);
-- How each job stands in each engine: when it runs next, what its last run there came to. One row however often it runs, written
-- now and then and at every change of outcome, so that reading a feed every two seconds is not a row every two seconds.
CREATE TABLE job_state (
    job_id      text        NOT NULL,
    engine_id   text        NOT NULL,
    singleton   boolean     NOT NULL,
    next_run_at timestamptz,
    started_at  timestamptz,
    finished_at timestamptz,
    outcome     text        NOT NULL CHECK (outcome IN ('waiting', 'running', 'done', 'failed')),
    detail      text        NOT NULL DEFAULT '',
    runs        bigint      NOT NULL DEFAULT 0,
    failures    bigint      NOT NULL DEFAULT 0,
    noted_at    timestamptz NOT NULL,
    PRIMARY KEY (job_id, engine_id)
);

CREATE TABLE engine_instance (
    engine_id    text        PRIMARY KEY,
    started_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    release      text        NOT NULL,
    stopped_at   timestamptz
);

-- Ends a transaction that found something changed since it was read. A statement calls it where a count is not what it has to
-- be, so that a whole recording can be sent and committed without waiting for the counts in between.
CREATE FUNCTION refuse_stale(what text, touched bigint, expected bigint) RETURNS bigint
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '%: % of % rows were still as they had been read', what, touched, expected USING ERRCODE = 'FS001';
END $$;
