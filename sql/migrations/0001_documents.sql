-- Documents: what exists, what it is called in each system, how it hangs together, and every move it made.

-- The roles the program connects as: the engine, the application, and the gate that opens the application's sessions.
DO $$
BEGIN
    CREATE ROLE finsync_engine NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;  -- another cell, or one being made this moment
END $$;
DO $$
BEGIN
    CREATE ROLE finsync_app NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

DO $$
BEGIN
    CREATE ROLE finsync_gate NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$;

-- One row per recording transaction of an engine: how many events it wrote and their Merkle root (RFC 6962 hashing).
-- Rollups fold recordings and the audit chain seals them, each exactly once, without ever asking "which id comes next".
CREATE TABLE recording (
    recording_id uuid        PRIMARY KEY,
    engine_id    text        NOT NULL,
    recorded_at  timestamptz NOT NULL,
    event_count  integer     NOT NULL CHECK (event_count >= 0),
    merkle_root  bytea       NOT NULL,
    folded_at    timestamptz              -- NULL until a folder has added it to the rollups
);
CREATE INDEX recording_to_fold ON recording (recorded_at) WHERE folded_at IS NULL;

-- Every move of every document, append-only. With event_object it is an object-centric event log (OCEL 2.0).
CREATE TABLE event (
    recording_id         uuid        NOT NULL,
    ordinal              integer     NOT NULL,   -- place in its recording: the leaf number of the Merkle tree
    recorded_at          timestamptz NOT NULL,   -- when we stored it
    document_id          uuid        NOT NULL,
    seq                  integer     NOT NULL,   -- place in its document's history, from 1, without gaps
    document_type        text        NOT NULL,
    correlation_id       uuid        NOT NULL,
    business_unit        text        NOT NULL,
    source               text        NOT NULL,   -- 'finsync', or the name of an imported log
    activity             text        NOT NULL,
    event_at             timestamptz NOT NULL,   -- when it happened, by the system where it happened
    observed_at          timestamptz NOT NULL,   -- when we learned of it
    system               text        NOT NULL,   -- where it happened
    actor                text        NOT NULL,   -- who did it: a person's login, or the engine
    flow                 text,
    step                 text,
    state_from           text,                   -- NULL: the document began here
    state_to             text        NOT NULL,
    state_from_since     timestamptz,            -- when state_from was entered: stage time without a self-join
    approval_status      text        NOT NULL,   -- after this event
    posting_status       text        NOT NULL,   -- after this event
    document_version     integer     NOT NULL,   -- after this event
    attributes           jsonb       NOT NULL DEFAULT '{}',
    PRIMARY KEY (recording_id, ordinal, recorded_at),
    CONSTRAINT one_history_per_document UNIQUE (document_id, seq, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE TABLE event_default PARTITION OF event DEFAULT;

-- The other documents an event is about, beside the one it moved.
CREATE TABLE event_object (
    recording_id  uuid        NOT NULL,
    ordinal       integer     NOT NULL,
    recorded_at   timestamptz NOT NULL,
    document_id   uuid        NOT NULL,
    qualifier     text        NOT NULL,
    business_unit text        NOT NULL,
    PRIMARY KEY (recording_id, ordinal, document_id, qualifier, recorded_at)
) PARTITION BY RANGE (recorded_at);
CREATE TABLE event_object_default PARTITION OF event_object DEFAULT;

-- One row per document, as it stands now. Two statuses, always apart: what the business agreed, what the ledger accepted.
CREATE TABLE document (
    document_id      uuid          PRIMARY KEY,
    document_type    text          NOT NULL CHECK (document_type IN
        ('supplier', 'requisition', 'approval', 'purchase_order', 'change_order', 'goods_receipt', 'invoice', 'posting')),
    correlation_id   uuid          NOT NULL,   -- one journey, born with its first document
    number           text          NOT NULL,   -- what people call it
    title            text          NOT NULL DEFAULT '',
    business_unit    text          NOT NULL DEFAULT '',
    company_code     text          NOT NULL DEFAULT '',
    source_system    text          NOT NULL,
    state            text          NOT NULL,
    approval_status  text          NOT NULL CHECK (approval_status IN
        ('not_required', 'pending', 'approved', 'rejected', 'withdrawn', 'conflict')),
    posting_status   text          NOT NULL CHECK (posting_status IN
        ('not_submitted', 'unknown', 'refused', 'accepted', 'blocked', 'posted', 'cleared', 'reversed')),
    state_since      timestamptz   NOT NULL,
    version          integer       NOT NULL DEFAULT 1,   -- rises with every move and every new payload
    payload_version  integer       NOT NULL DEFAULT 0,   -- 0: nothing readable has arrived yet
    currency         text,
    amount           numeric(20,6),
    group_amount     numeric(20,6),                      -- in group currency, at the rate of the day it was received
    supplier         text          NOT NULL DEFAULT '',
    supplier_name    text          NOT NULL DEFAULT '',
    requester        text          NOT NULL DEFAULT '',
    submitted_at     timestamptz,                        -- when its business began, by the source
    need_by_on       date,
    due_on           date,
    source_at        timestamptz,                        -- the source's time of the newest news applied
    created_at       timestamptz   NOT NULL,
    updated_at       timestamptz   NOT NULL,
    closed_at        timestamptz,                        -- NULL while something is still expected to happen
    is_test          boolean       NOT NULL DEFAULT false,
    last_event_seq   integer       NOT NULL,
    last_event_at    timestamptz   NOT NULL,
    CONSTRAINT amount_has_currency CHECK ((amount IS NULL) = (currency IS NULL)),
    -- No state without its audit row (PRODUCT.md R131): the newest event named here must exist.
    CONSTRAINT every_state_has_its_event FOREIGN KEY (document_id, last_event_seq, last_event_at)
        REFERENCES event (document_id, seq, recorded_at) DEFERRABLE INITIALLY DEFERRED
) WITH (fillfactor = 60);
-- No index has a column that moves with every step: a move then touches the row alone (a HOT update), not every index.
CREATE INDEX document_open ON document (document_type, business_unit) WHERE closed_at IS NULL;
CREATE INDEX document_of_journey ON document (correlation_id);
CREATE INDEX document_by_number ON document (lower(number) text_pattern_ops);
CREATE INDEX document_recent ON document (document_type, submitted_at);
CREATE INDEX document_by_supplier ON document (supplier, document_type) WHERE supplier <> '';

-- Every canonical payload a document ever had. Approvals and idempotency keys are bound to payload_hash.
CREATE TABLE document_payload (
    document_id     uuid        NOT NULL,
    payload_version integer     NOT NULL,
    canonical       jsonb       NOT NULL,
    payload_hash    bytea       NOT NULL,
    schema_version  text        NOT NULL,
    mapping_version text        NOT NULL,
    message_id      uuid,                      -- the message it was read from; NULL when we made it
    author          text        NOT NULL,
    recorded_at     timestamptz NOT NULL,
    business_unit   text        NOT NULL DEFAULT '',
    PRIMARY KEY (document_id, payload_version)
);

-- What a document is called in each system. Any number finds the document, and through it its whole family.
CREATE TABLE document_identifier (
    system        text        NOT NULL,
    kind          text        NOT NULL,
    external_id   text        NOT NULL,
    document_id   uuid        NOT NULL,
    business_unit text        NOT NULL DEFAULT '',
    recorded_at   timestamptz NOT NULL,
    PRIMARY KEY (system, kind, external_id)
);
CREATE INDEX identifier_of_document ON document_identifier (document_id);
CREATE INDEX identifier_search ON document_identifier (lower(external_id) text_pattern_ops);

-- Documents hang together many-to-many: one invoice, three orders; one requisition, two suppliers.
CREATE TABLE document_link (
    from_document_id uuid        NOT NULL,
    to_document_id   uuid        NOT NULL,
    relation         text        NOT NULL,   -- from <relation> to: invoice bills order, receipt receives order
    business_unit    text        NOT NULL DEFAULT '',
    recorded_at      timestamptz NOT NULL,
    PRIMARY KEY (from_document_id, relation, to_document_id)
);
CREATE INDEX link_to ON document_link (to_document_id, relation);

-- A link whose other end we do not know yet; settled when a document with that identifier arrives.
CREATE TABLE document_link_wanted (
    from_document_id uuid        NOT NULL,
    relation         text        NOT NULL,
    system           text        NOT NULL,
    kind             text        NOT NULL,
    external_id      text        NOT NULL,
    business_unit    text        NOT NULL DEFAULT '',
    recorded_at      timestamptz NOT NULL,
    PRIMARY KEY (system, kind, external_id, from_document_id, relation)
);

-- What was ordered, received and billed per order line: the three sides of the match.
CREATE TABLE order_movement (
    source_document_id uuid          NOT NULL,
    source_line        integer       NOT NULL,
    kind               text          NOT NULL CHECK (kind IN ('ordered', 'received', 'billed')),
    order_document_id  uuid          NOT NULL,
    order_line         integer       NOT NULL,
    quantity           numeric(20,6) NOT NULL,
    amount             numeric(20,6) NOT NULL,
    moved_on           date          NOT NULL,
    business_unit      text          NOT NULL DEFAULT '',
    recorded_at        timestamptz   NOT NULL,
    PRIMARY KEY (source_document_id, kind, source_line)
);
CREATE INDEX movement_of_order ON order_movement (order_document_id, kind);

-- Budgets as procurement states them, and what is reserved against them by everything under way (R086).
CREATE TABLE budget (
    cost_centre  text          NOT NULL,
    period       text          NOT NULL,
    currency     text          NOT NULL,
    amount       numeric(20,6) NOT NULL,
    opening_used numeric(20,6) NOT NULL,   -- used before we saw the first reservation
    source       text          NOT NULL,
    read_at      timestamptz   NOT NULL,
    business_unit text         NOT NULL DEFAULT '',
    PRIMARY KEY (cost_centre, period)
);
CREATE TABLE budget_reservation (
    document_id   uuid          NOT NULL,
    cost_centre   text          NOT NULL,
    period        text          NOT NULL,
    amount        numeric(20,6) NOT NULL,
    reserved_at   timestamptz   NOT NULL,
    released_at   timestamptz,
    business_unit text          NOT NULL DEFAULT '',
    PRIMARY KEY (document_id, cost_centre, period)
);
CREATE INDEX reservation_of_budget ON budget_reservation (cost_centre, period) WHERE released_at IS NULL;
