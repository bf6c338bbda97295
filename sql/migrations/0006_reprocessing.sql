-- Controlled reprocessing: a frozen list sent in waves, each after the effect of the one before has been seen, that can be paused,
-- resumed and cancelled and stops by itself; and messages that are asked for again instead of being read again.

ALTER TABLE redrive
    ADD COLUMN action        text        NOT NULL DEFAULT 'reprocess' CHECK (action IN ('reprocess', 'accept', 'adopt')),
    ADD COLUMN facts         jsonb       NOT NULL DEFAULT '{}',   -- what its work items are told when they are sent
    ADD COLUMN state         text        NOT NULL DEFAULT 'running' CHECK (state IN
        ('awaiting_confirmation', 'running', 'paused', 'halted', 'cancelled', 'finished')),
    ADD COLUMN state_because text        NOT NULL DEFAULT '',     -- in words: why it stands so
    ADD COLUMN state_by      text        NOT NULL DEFAULT '',
    ADD COLUMN state_at      timestamptz,
    ADD COLUMN canary_size   integer     NOT NULL DEFAULT 3  CHECK (canary_size > 0),
    ADD COLUMN wave_size     integer     NOT NULL DEFAULT 25 CHECK (wave_size > 0),
    ADD COLUMN per_minute    integer     NOT NULL DEFAULT 60 CHECK (per_minute > 0),
    ADD COLUMN halt_percent  integer     NOT NULL DEFAULT 20 CHECK (halt_percent BETWEEN 0 AND 100),
    ADD COLUMN wave          integer     NOT NULL DEFAULT 0,      -- waves sent so far
    ADD COLUMN judged_from   integer     NOT NULL DEFAULT 1,      -- refusals of earlier waves do not count any more: a person has let it go on
    ADD COLUMN next_wave_at  timestamptz,                         -- not before: the rate
    ADD COLUMN look_at       timestamptz,                         -- when an engine looks at it next; news of an item makes that now
    ADD COLUMN confirmed_by  text,
    ADD COLUMN confirmed_at  timestamptz;
-- The owner is bound by row level security too; what stands here already is told apart before that is switched on again.
ALTER TABLE redrive NO FORCE ROW LEVEL SECURITY;
UPDATE redrive SET state = 'finished', state_at = finished_at WHERE finished_at IS NOT NULL;
ALTER TABLE redrive FORCE ROW LEVEL SECURITY;
ALTER TABLE redrive
    ADD CONSTRAINT finished_when_over CHECK (finished_at IS NULL OR state IN ('cancelled', 'finished')),
    ADD CONSTRAINT confirmed_by_somebody_else CHECK (confirmed_by IS DISTINCT FROM asked_by),
    ADD CONSTRAINT confirmed_at_and_by_come_together CHECK ((confirmed_at IS NULL) = (confirmed_by IS NULL));
CREATE INDEX redrive_to_look_at ON redrive (look_at) WHERE state = 'running' AND finished_at IS NULL;

ALTER TABLE redrive_item
    ADD COLUMN place   integer NOT NULL DEFAULT 0,                -- in which order they are sent
    ADD COLUMN wave    integer NOT NULL DEFAULT 1,                -- 0: not sent yet
    ADD COLUMN sent_at timestamptz;
ALTER TABLE redrive_item DROP CONSTRAINT redrive_item_status_check;
ALTER TABLE redrive_item ADD CONSTRAINT redrive_item_status_check CHECK (status IN
    ('waiting', 'queued', 'sent', 'accepted', 'verified', 'refused', 'skipped'));
CREATE INDEX redrive_item_of_case ON redrive_item (case_id) WHERE status IN ('waiting', 'queued', 'sent', 'accepted');

-- Records to be asked for again, because what we were told cannot be read; a row lives until the source has answered.
CREATE TABLE reread_wanted (
    message_id  uuid        PRIMARY KEY,
    received_at timestamptz NOT NULL,
    system      text        NOT NULL,
    feed        text        NOT NULL,
    kind        text        NOT NULL,
    external_id text        NOT NULL,
    version     text        NOT NULL,
    due_at      timestamptz NOT NULL,
    lease_until timestamptz,
    tries       integer     NOT NULL DEFAULT 0
);
CREATE INDEX reread_due ON reread_wanted (system, due_at);
-- What the source said then. The first telling stays as it was.
CREATE TABLE inbound_reread (
    message_id uuid        NOT NULL,
    reread_at  timestamptz NOT NULL,
    version    text        NOT NULL,
    source_at  timestamptz,
    body       bytea       NOT NULL,
    body_hash  bytea       NOT NULL,
    PRIMARY KEY (message_id, reread_at)
);
ALTER TABLE inbound_reread ENABLE ROW LEVEL SECURITY;
ALTER TABLE inbound_reread FORCE ROW LEVEL SECURITY;
CREATE POLICY engine_sees_all ON inbound_reread TO finsync_engine USING (true) WITH CHECK (true);
CREATE POLICY messages_of_visible_documents ON inbound_reread FOR SELECT TO finsync_app
    USING ((SELECT session_sees_all()) OR EXISTS (
        SELECT 1 FROM inbound_disposition d
         WHERE d.message_id = inbound_reread.message_id AND d.business_unit = ANY ((SELECT session_units())::text[])));
GRANT SELECT, INSERT ON inbound_reread TO finsync_engine;
GRANT SELECT ON inbound_reread TO finsync_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON reread_wanted TO finsync_engine;
