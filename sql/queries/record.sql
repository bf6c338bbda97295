-- The write path: what one recording transaction writes, each table in one statement, rows as parallel arrays.
-- sync_engine/engine/sending.py sends those that have rows in one pipeline.

-- name: insert_recording(recording_id, engine_id, now, event_count, merkle_root)!
-- The head of the recording.
INSERT INTO recording (recording_id, engine_id, recorded_at, event_count, merkle_root)
VALUES (:recording_id, :engine_id, :now, :event_count, :merkle_root);

-- name: revise_documents(document_id, expected_version, expected_seq, version, payload_version, state, approval_status, posting_status, state_since, correlation_id, title, business_unit, company_code, currency, amount, group_amount, supplier, supplier_name, requester, submitted_at, need_by_on, due_on, source_at, closed_at, events, now)!
-- Put each document where its moves have brought it, with what it is described by, provided nobody moved it or noted anything
-- about it since it was read. The caller compares the row count: one row less means that nothing of this recording may stand.
UPDATE document d
   SET version = u.version, payload_version = u.payload_version, state = u.state, approval_status = u.approval_status,
       posting_status = u.posting_status, state_since = u.state_since, correlation_id = u.correlation_id, title = u.title,
       business_unit = u.business_unit, company_code = u.company_code, currency = u.currency, amount = u.amount,
       group_amount = u.group_amount, supplier = u.supplier, supplier_name = u.supplier_name, requester = u.requester,
       submitted_at = u.submitted_at, need_by_on = u.need_by_on, due_on = u.due_on, source_at = u.source_at,
       closed_at = u.closed_at, updated_at = :now, last_event_seq = d.last_event_seq + u.events,
       last_event_at = CASE WHEN u.events > 0 THEN :now ELSE d.last_event_at END
  FROM unnest(:document_id::uuid[], :expected_version::int[], :expected_seq::int[], :version::int[], :payload_version::int[], :state::text[],
              :approval_status::text[], :posting_status::text[], :state_since::timestamptz[], :correlation_id::uuid[],
              :title::text[], :business_unit::text[], :company_code::text[], :currency::text[], :amount::numeric[],
              :group_amount::numeric[], :supplier::text[], :supplier_name::text[], :requester::text[],
              :submitted_at::timestamptz[], :need_by_on::date[], :due_on::date[], :source_at::timestamptz[],
              :closed_at::timestamptz[], :events::int[])
       AS u(document_id, expected_version, expected_seq, version, payload_version, state, approval_status, posting_status, state_since,
            correlation_id, title, business_unit, company_code, currency, amount, group_amount, supplier, supplier_name,
            requester, submitted_at, need_by_on, due_on, source_at, closed_at, events)
 WHERE d.document_id = u.document_id AND d.version = u.expected_version AND d.last_event_seq = u.expected_seq
RETURNING 1;

-- name: move_documents(document_id, expected_version, expected_seq, version, state, approval_status, posting_status, state_since, closed_at, events, now)!
-- The same for documents of which nothing but the status has changed.
UPDATE document d
   SET version = u.version, state = u.state, approval_status = u.approval_status, posting_status = u.posting_status,
       state_since = u.state_since, closed_at = u.closed_at, updated_at = :now, last_event_seq = d.last_event_seq + u.events,
       last_event_at = CASE WHEN u.events > 0 THEN :now ELSE d.last_event_at END
  FROM unnest(:document_id::uuid[], :expected_version::int[], :expected_seq::int[], :version::int[], :state::text[], :approval_status::text[],
              :posting_status::text[], :state_since::timestamptz[], :closed_at::timestamptz[], :events::int[])
       AS u(document_id, expected_version, expected_seq, version, state, approval_status, posting_status, state_since, closed_at, events)
 WHERE d.document_id = u.document_id AND d.version = u.expected_version AND d.last_event_seq = u.expected_seq
RETURNING 1;

-- name: note_documents(document_id, expected_seq, events, now)!
-- Make room in the history of documents about which something is noted that moves nothing; the same check.
UPDATE document d
   SET last_event_seq = d.last_event_seq + u.events, last_event_at = :now
  FROM unnest(:document_id::uuid[], :expected_seq::int[], :events::int[]) AS u(document_id, expected_seq, events)
 WHERE d.document_id = u.document_id AND d.last_event_seq = u.expected_seq
RETURNING 1;

-- name: insert_documents(document_id, document_type, correlation_id, number, title, business_unit, company_code, source_system, state, approval_status, posting_status, state_since, version, payload_version, currency, amount, group_amount, supplier, supplier_name, requester, submitted_at, need_by_on, due_on, source_at, closed_at, events, now)!
-- Documents that begin in this recording.
INSERT INTO document (document_id, document_type, correlation_id, number, title, business_unit, company_code, source_system,
                      state, approval_status, posting_status, state_since, version, payload_version, currency, amount,
                      group_amount, supplier, supplier_name, requester, submitted_at, need_by_on, due_on, source_at, closed_at,
                      created_at, updated_at, last_event_seq, last_event_at)
SELECT u.document_id, u.document_type, u.correlation_id, u.number, u.title, u.business_unit, u.company_code, u.source_system,
       u.state, u.approval_status, u.posting_status, u.state_since, u.version, u.payload_version, u.currency, u.amount,
       u.group_amount, u.supplier, u.supplier_name, u.requester, u.submitted_at, u.need_by_on, u.due_on, u.source_at,
       u.closed_at, :now, :now, u.events, :now
  FROM unnest(:document_id::uuid[], :document_type::text[], :correlation_id::uuid[], :number::text[], :title::text[],
              :business_unit::text[], :company_code::text[], :source_system::text[], :state::text[],
              :approval_status::text[], :posting_status::text[], :state_since::timestamptz[], :version::int[],
              :payload_version::int[], :currency::text[], :amount::numeric[], :group_amount::numeric[], :supplier::text[],
              :supplier_name::text[], :requester::text[], :submitted_at::timestamptz[], :need_by_on::date[], :due_on::date[],
              :source_at::timestamptz[], :closed_at::timestamptz[], :events::int[])
       AS u(document_id, document_type, correlation_id, number, title, business_unit, company_code, source_system, state,
            approval_status, posting_status, state_since, version, payload_version, currency, amount, group_amount, supplier,
            supplier_name, requester, submitted_at, need_by_on, due_on, source_at, closed_at, events);

-- name: insert_payloads(document_id, payload_version, canonical, payload_hash, schema_version, mapping_version, message_id, author, business_unit, now)!
-- New canonical payloads; the old ones stay.
INSERT INTO document_payload (document_id, payload_version, canonical, payload_hash, schema_version, mapping_version,
                              message_id, author, business_unit, recorded_at)
SELECT u.document_id, u.payload_version, u.canonical::jsonb, u.payload_hash, u.schema_version, u.mapping_version, u.message_id,
       u.author, u.business_unit, :now
  FROM unnest(:document_id::uuid[], :payload_version::int[], :canonical::text[], :payload_hash::bytea[],
              :schema_version::text[], :mapping_version::text[], :message_id::uuid[], :author::text[], :business_unit::text[])
       AS u(document_id, payload_version, canonical, payload_hash, schema_version, mapping_version, message_id, author, business_unit);

-- name: insert_identifiers(system, kind, external_id, document_id, business_unit, now)!
-- What documents are called. A name that is taken stays with its first document, and learns its unit.
INSERT INTO document_identifier (system, kind, external_id, document_id, business_unit, recorded_at)
SELECT u.system, u.kind, u.external_id, u.document_id, u.business_unit, :now
  FROM unnest(:system::text[], :kind::text[], :external_id::text[], :document_id::uuid[], :business_unit::text[])
       AS u(system, kind, external_id, document_id, business_unit)
ON CONFLICT (system, kind, external_id) DO UPDATE SET business_unit = excluded.business_unit
 WHERE document_identifier.document_id = excluded.document_id AND document_identifier.business_unit = '';

-- name: share_names()
-- Before looking who waits for names that were just given. Until this transaction ends nobody begins to wait without looking again.
SELECT pg_advisory_xact_lock_shared(hashtextextended('finsync names ' || current_schema(), 0));

-- name: hold_names()
-- Before looking again for names that were not there when they were wanted: whoever is giving some ends first, and whoever gives
-- some later sees that they are waited for. Otherwise two transactions could miss each other, and the link would never be made.
SELECT pg_advisory_xact_lock(hashtextextended('finsync names ' || current_schema(), 0));

-- name: settle_wanted_links(system, kind, external_id, now)!
-- Links that waited for those of these names that are known: make them, forget the wish, and wake the documents that are linked now.
WITH settled AS (
    DELETE FROM document_link_wanted w
     USING unnest(:system::text[], :kind::text[], :external_id::text[]) AS u(system, kind, external_id)
      JOIN document_identifier i USING (system, kind, external_id)
     WHERE (w.system, w.kind, w.external_id) = (u.system, u.kind, u.external_id)
    RETURNING w.from_document_id, w.relation, w.business_unit, i.document_id
), linked AS (
    INSERT INTO document_link (from_document_id, to_document_id, relation, business_unit, recorded_at)
    SELECT s.from_document_id, s.document_id, s.relation, s.business_unit, :now FROM settled s
    ON CONFLICT DO NOTHING
    RETURNING from_document_id
)
UPDATE work_item w
   SET wakes = w.wakes + 1, due_at = CASE WHEN w.status = 'due' AND w.tries = 0 THEN least(w.due_at, :now) ELSE w.due_at END
  FROM (SELECT DISTINCT from_document_id FROM linked) l
 WHERE w.document_id = l.from_document_id AND w.status IN ('due', 'in_call');

-- name: insert_links(from_document_id, to_document_id, relation, business_unit, now)!
-- How documents hang together; a link made twice is one link.
INSERT INTO document_link (from_document_id, to_document_id, relation, business_unit, recorded_at)
SELECT u.from_document_id, u.to_document_id, u.relation, u.business_unit, :now
  FROM unnest(:from_document_id::uuid[], :to_document_id::uuid[], :relation::text[], :business_unit::text[])
       AS u(from_document_id, to_document_id, relation, business_unit)
ON CONFLICT DO NOTHING;

-- name: insert_wanted_links(from_document_id, relation, system, kind, external_id, business_unit, now)!
-- Links to documents that have not arrived yet.
INSERT INTO document_link_wanted (from_document_id, relation, system, kind, external_id, business_unit, recorded_at)
SELECT u.from_document_id, u.relation, u.system, u.kind, u.external_id, u.business_unit, :now
  FROM unnest(:from_document_id::uuid[], :relation::text[], :system::text[], :kind::text[], :external_id::text[], :business_unit::text[])
       AS u(from_document_id, relation, system, kind, external_id, business_unit)
ON CONFLICT DO NOTHING;

-- name: insert_events(recording_id, now, ordinal, document_id, seq, document_type, correlation_id, business_unit, activity, event_at, observed_at, system, actor, flow, step, state_from, state_to, state_from_since, approval_status, posting_status, document_version, attributes)!
-- The moves themselves, each with its place in its document's history.
INSERT INTO event (recording_id, ordinal, recorded_at, document_id, seq, document_type, correlation_id, business_unit, source,
                   activity, event_at, observed_at, system, actor, flow, step, state_from, state_to, state_from_since,
                   approval_status, posting_status, document_version, attributes)
SELECT :recording_id, u.ordinal, :now, u.document_id, u.seq, u.document_type, u.correlation_id, u.business_unit, 'finsync',
       u.activity, u.event_at, u.observed_at, u.system, u.actor, u.flow, u.step, u.state_from, u.state_to, u.state_from_since,
       u.approval_status, u.posting_status, u.document_version, u.attributes::jsonb
  FROM unnest(:ordinal::int[], :document_id::uuid[], :seq::int[], :document_type::text[], :correlation_id::uuid[], :business_unit::text[], :activity::text[],
              :event_at::timestamptz[], :observed_at::timestamptz[], :system::text[], :actor::text[], :flow::text[],
              :step::text[], :state_from::text[], :state_to::text[], :state_from_since::timestamptz[],
              :approval_status::text[], :posting_status::text[], :document_version::int[], :attributes::text[])
       AS u(ordinal, document_id, seq, document_type, correlation_id, business_unit, activity, event_at, observed_at, system, actor, flow, step, state_from,
            state_to, state_from_since, approval_status, posting_status, document_version, attributes);

-- name: insert_event_objects(recording_id, now, ordinal, document_id, qualifier, business_unit)!
-- What else an event is about.
INSERT INTO event_object (recording_id, ordinal, recorded_at, document_id, qualifier, business_unit)
SELECT :recording_id, u.ordinal, :now, u.document_id, u.qualifier, u.business_unit
  FROM unnest(:ordinal::int[], :document_id::uuid[], :qualifier::text[], :business_unit::text[])
       AS u(ordinal, document_id, qualifier, business_unit);

-- name: settle_work(work_item_id, fencing_token, wakes, status, step, system, business_unit, due_at, step_since, objective_at, tries, ask_first, unknown_since, waiting_for, facts, redrive_id, knows_anew, held_as, now)!
-- Put each held item where its outcome has brought it. Only the holder may: a stale fencing token changes nothing, nor does an
-- item that is not held as it was claimed (a recording sent again because nobody knew whether it stood), nor one whose document
-- has got another version that its holder does not know of; the caller compares the row count. News that came while the item was held makes a waiting item due at once.
UPDATE work_item w
   SET status = u.status, step = u.step, system = u.system, business_unit = u.business_unit,
       due_at = CASE WHEN u.status = 'due' AND w.wakes <> u.wakes THEN least(u.due_at, :now) ELSE u.due_at END,
       step_since = u.step_since, objective_at = u.objective_at, tries = u.tries, ask_first = u.ask_first,
       unknown_since = u.unknown_since, waiting_for = u.waiting_for, facts = u.facts::jsonb, redrive_id = u.redrive_id,
       lease_until = NULL, engine_id = NULL,
       finished_at = CASE WHEN u.status IN ('done', 'cancelled') THEN :now END
  FROM unnest(:work_item_id::uuid[], :fencing_token::bigint[], :wakes::int[], :status::text[], :step::text[], :system::text[],
              :business_unit::text[], :due_at::timestamptz[], :step_since::timestamptz[], :objective_at::timestamptz[],
              :tries::int[], :ask_first::boolean[], :unknown_since::timestamptz[], :waiting_for::text[], :facts::text[], :redrive_id::uuid[], :knows_anew::boolean[])
       AS u(work_item_id, fencing_token, wakes, status, step, system, business_unit, due_at, step_since, objective_at, tries,
            ask_first, unknown_since, waiting_for, facts, redrive_id, knows_anew)
 WHERE w.work_item_id = u.work_item_id AND w.fencing_token = u.fencing_token AND w.status = :held_as
   AND (u.knows_anew OR NOT w.facts ? 'begins_anew')
RETURNING 1;

-- name: insert_work(work_item_id, document_id, subject_id, business_unit, flow, step, system, due_at, objective_at, priority, facts, now)!
-- New work. A flow that already runs for the document is not started again.
INSERT INTO work_item (work_item_id, document_id, subject_id, business_unit, flow, step, system, status, due_at, step_since,
                       objective_at, priority, facts, created_at)
SELECT u.work_item_id, u.document_id, u.subject_id, u.business_unit, u.flow, u.step, u.system, 'due', u.due_at, :now,
       u.objective_at, u.priority, u.facts::jsonb, :now
  FROM unnest(:work_item_id::uuid[], :document_id::uuid[], :subject_id::uuid[], :business_unit::text[], :flow::text[],
              :step::text[], :system::text[], :due_at::timestamptz[], :objective_at::timestamptz[], :priority::smallint[], :facts::text[])
       AS u(work_item_id, document_id, subject_id, business_unit, flow, step, system, due_at, objective_at, priority, facts)
ON CONFLICT ON CONSTRAINT one_item_per_flow DO NOTHING;

-- name: wake_work(document_id, settled, now)!
-- News that concerns these documents: whatever waits for them looks again now. An item being worked on is marked, and
-- looks again when it is put back. Items in :settled are put back by this very recording, which knows of the news.
UPDATE work_item w
   SET wakes = w.wakes + 1, due_at = CASE WHEN w.status = 'due' AND w.tries = 0 THEN least(w.due_at, :now) ELSE w.due_at END
 WHERE w.document_id = ANY (:document_id::uuid[]) AND w.status IN ('due', 'in_call') AND NOT w.work_item_id = ANY (:settled::uuid[]);

-- name: wake_subjects(subject_id, now)!
-- The same for work about an exception or a reprocessing.
UPDATE work_item w
   SET wakes = w.wakes + 1, due_at = CASE WHEN w.status = 'due' THEN least(w.due_at, :now) ELSE w.due_at END
 WHERE w.subject_id = ANY (:subject_id::uuid[]) AND w.status IN ('due', 'in_call');

-- name: wake_buyers(document_id, wait_s, now)!
-- These suppliers are ready to trade: requisitions that wait for their check look again now, and so do those that were parked because
-- it took too long. The first are due within :wait_s, which is as much of the index as is read; the others are found by their
-- open exceptions. One that somebody is deciding at this moment sees it by itself.
WITH ready AS (
    SELECT array_agg(i.external_id) AS names FROM document_identifier i WHERE i.document_id = ANY (:document_id::uuid[]) AND i.kind = 'supplier'
), waiting AS (
    SELECT q.work_item_id FROM work_item q
     WHERE q.system = 'finsync' AND q.status = 'due' AND q.due_at > :now AND q.due_at <= :now + make_interval(secs => :wait_s)
       AND q.step = 'validate_requisition' AND q.facts->'suppliers_awaited' ?| (SELECT names FROM ready)
     ORDER BY q.work_item_id
       FOR UPDATE OF q SKIP LOCKED
), parked AS (
    SELECT q.work_item_id FROM work_item q
     WHERE q.work_item_id = ANY (ARRAY(SELECT c.work_item_id FROM exception_case c
                                        WHERE c.closed_at IS NULL AND c.category = 'master_data' AND c.code IN ('supplier_unknown', 'supplier_not_ready')))
       AND q.status = 'parked' AND q.step = 'validate_requisition' AND q.facts->'suppliers_awaited' ?| (SELECT names FROM ready)
     ORDER BY q.work_item_id
       FOR UPDATE OF q SKIP LOCKED
)
UPDATE work_item w
   SET wakes = w.wakes + 1, due_at = :now, status = 'due', waiting_for = CASE WHEN w.status = 'parked' THEN '' ELSE w.waiting_for END
 WHERE w.work_item_id = ANY (ARRAY(SELECT work_item_id FROM waiting UNION ALL SELECT work_item_id FROM parked));

-- name: restart_work(work_item_id, document_id, subject_id, business_unit, flow, step, system, objective_at, now)!
-- The document has changed in substance: its flow begins again, unless an effect outside is under way or nobody knows what became of
-- one. Work that had ended long ago and was removed is there again, under the id given; its fencing tokens go on above those that its
-- intents know. Where nobody was asked for an approval, none is withdrawn.
INSERT INTO work_item AS w (work_item_id, document_id, subject_id, business_unit, flow, step, system, status, due_at, step_since, objective_at, created_at, fencing_token)
SELECT DISTINCT ON (u.document_id, u.flow)
       u.work_item_id, u.document_id, u.subject_id, u.business_unit, u.flow, u.step, u.system, 'due', :now, :now, u.objective_at, :now,
       coalesce((SELECT max(i.fencing_token) FROM intent i WHERE i.document_id = u.document_id), 0)
  FROM unnest(:work_item_id::uuid[], :document_id::uuid[], :subject_id::uuid[], :business_unit::text[], :flow::text[], :step::text[], :system::text[], :objective_at::timestamptz[])
       AS u(work_item_id, document_id, subject_id, business_unit, flow, step, system, objective_at)
 WHERE u.flow <> 'approval_withdrawal'
    OR EXISTS (SELECT FROM intent i WHERE i.document_id = u.document_id AND i.operation IN ('request_approval', 'request_match_review'))
ON CONFLICT ON CONSTRAINT one_item_per_flow DO UPDATE
   SET status = 'due', step = excluded.step, system = excluded.system, due_at = excluded.due_at, step_since = excluded.step_since,
       objective_at = excluded.objective_at, tries = 0, ask_first = false, unknown_since = NULL, waiting_for = '', facts = '{}',
       finished_at = NULL, wakes = w.wakes + 1
 WHERE w.status IN ('done', 'cancelled')
    OR w.status IN ('due', 'parked') AND NOT EXISTS (SELECT FROM intent i WHERE i.document_id = w.document_id AND i.work_item_id = w.work_item_id AND i.step = w.step AND i.outcome IN ('open', 'unknown'));

-- name: restart_held_work(document_id, subject_id, flow, now)!
-- Where an effect outside is under way, or was and nobody knows what became of it, whoever comes to know its outcome lets the flow begin
-- again: that may be another engine than the one that asked, and it would not know that the document has changed since.
UPDATE work_item w
   SET facts = w.facts || '{"begins_anew": true}', wakes = w.wakes + 1, status = CASE w.status WHEN 'parked' THEN 'due' ELSE w.status END,
       due_at = CASE w.status WHEN 'parked' THEN :now ELSE w.due_at END, ask_first = w.ask_first OR w.status <> 'in_call'
  FROM unnest(:document_id::uuid[], :subject_id::uuid[], :flow::text[]) AS u(document_id, subject_id, flow)
 WHERE w.document_id = u.document_id AND w.flow = u.flow AND w.subject_id IS NOT DISTINCT FROM u.subject_id
   AND (w.status = 'in_call'
        OR w.status IN ('due', 'parked') AND EXISTS (SELECT FROM intent i WHERE i.document_id = w.document_id AND i.work_item_id = w.work_item_id AND i.step = w.step AND i.outcome IN ('open', 'unknown')));

-- name: cancel_work(document_id, settled, now)!
-- The document is over: nothing more is to be done for it, whatever it waited for. Only where nobody knows what became of something
-- sent, that is still to be found out. Work about its exceptions goes on, and items in :settled are put back by this very recording.
UPDATE work_item w
   SET status = CASE WHEN o.is_unsure THEN 'due' ELSE 'cancelled' END, due_at = CASE WHEN w.status = 'parked' THEN :now ELSE w.due_at END,
       finished_at = CASE WHEN NOT o.is_unsure THEN :now::timestamptz END
  FROM (SELECT x.work_item_id, EXISTS (SELECT 1 FROM intent i WHERE i.document_id = x.document_id AND i.work_item_id = x.work_item_id
                                          AND i.outcome IN ('open', 'unknown')) AS is_unsure
          FROM work_item x
         WHERE x.document_id = ANY (:document_id::uuid[]) AND x.subject_id IS NULL AND x.status IN ('due', 'parked')
           AND NOT x.work_item_id = ANY (:settled::uuid[])) o
 WHERE w.work_item_id = o.work_item_id AND w.status IN ('due', 'parked');

-- name: insert_standing_news(document_id)!
-- Documents that may stand otherwise although nothing has happened to them: the folder looks at them.
INSERT INTO standing_news (document_id) SELECT u.document_id FROM unnest(:document_id::uuid[]) AS u(document_id);

-- name: insert_intents(idempotency_key, work_item_id, document_id, business_unit, flow, step, system, operation, payload_hash, fencing_token, engine_id, now)!
-- What is about to be done outside. The same intent again keeps its key and counts its sends. Whoever comes with an older token than
-- the one it was written under last has lost the item meanwhile, and changes nothing.
INSERT INTO intent (idempotency_key, work_item_id, document_id, business_unit, flow, step, system, operation, payload_hash,
                    fencing_token, engine_id, first_sent_at, last_sent_at)
SELECT u.idempotency_key, u.work_item_id, u.document_id, u.business_unit, u.flow, u.step, u.system, u.operation, u.payload_hash,
       u.fencing_token, :engine_id, :now, :now
  FROM unnest(:idempotency_key::text[], :work_item_id::uuid[], :document_id::uuid[], :business_unit::text[], :flow::text[],
              :step::text[], :system::text[], :operation::text[], :payload_hash::bytea[], :fencing_token::bigint[])
       AS u(idempotency_key, work_item_id, document_id, business_unit, flow, step, system, operation, payload_hash, fencing_token)
ON CONFLICT (document_id, idempotency_key) DO UPDATE
   SET fencing_token = excluded.fencing_token, engine_id = excluded.engine_id, last_sent_at = excluded.last_sent_at,
       sends = intent.sends + 1, outcome = 'open', settled_at = NULL
 WHERE intent.fencing_token <= excluded.fencing_token;

-- name: settle_intents(document_id, idempotency_key, outcome, now)!
-- What became of what we meant to do.
UPDATE intent i
   SET outcome = u.outcome, settled_at = CASE WHEN u.outcome <> 'unknown' THEN :now::timestamptz END
  FROM unnest(:document_id::uuid[], :idempotency_key::text[], :outcome::text[]) AS u(document_id, idempotency_key, outcome)
 WHERE i.document_id = u.document_id AND i.idempotency_key = u.idempotency_key;

-- name: settle_earlier_intents(idempotency_key, document_id, work_item_id, step, outcome, now)!
-- An answer was lost, the document then got another version and with it another key, and now it is known what there is: the sends
-- under the earlier keys are settled with it.
UPDATE intent i
   SET outcome = u.outcome, settled_at = :now
  FROM unnest(:idempotency_key::text[], :document_id::uuid[], :work_item_id::uuid[], :step::text[], :outcome::text[])
       AS u(idempotency_key, document_id, work_item_id, step, outcome)
 WHERE i.document_id = u.document_id AND i.work_item_id = u.work_item_id AND i.step = u.step
   AND i.idempotency_key <> u.idempotency_key AND i.outcome IN ('open', 'unknown');

-- name: insert_attempts(attempt_id, system, operation, effect, flow, step, document_id, work_item_id, correlation_id, business_unit, engine_id, idempotency_key, try_number, started_at, duration_ms, outcome, error_code, message, http_status, http_calls, records, request_bytes, response_bytes, trace_id, calls, now)!
-- The calls that were made.
INSERT INTO attempt (attempt_id, recorded_at, system, operation, effect, flow, step, document_id, work_item_id, correlation_id,
                     business_unit, engine_id, idempotency_key, try_number, started_at, duration_ms, outcome, error_code, message,
                     http_status, http_calls, records, request_bytes, response_bytes, trace_id, calls)
SELECT u.attempt_id, :now, u.system, u.operation, u.effect, u.flow, u.step, u.document_id, u.work_item_id, u.correlation_id,
       u.business_unit, :engine_id, u.idempotency_key, u.try_number, u.started_at, u.duration_ms, u.outcome, u.error_code, u.message,
       u.http_status, u.http_calls, u.records, u.request_bytes, u.response_bytes, u.trace_id, u.calls::jsonb
  FROM unnest(:attempt_id::uuid[], :system::text[], :operation::text[], :effect::text[], :flow::text[], :step::text[],
              :document_id::uuid[], :work_item_id::uuid[], :correlation_id::uuid[], :business_unit::text[],
              :idempotency_key::text[], :try_number::int[], :started_at::timestamptz[], :duration_ms::numeric[],
              :outcome::text[], :error_code::text[], :message::text[], :http_status::int[], :http_calls::int[], :records::int[],
              :request_bytes::bigint[], :response_bytes::bigint[], :trace_id::text[], :calls::text[])
       AS u(attempt_id, system, operation, effect, flow, step, document_id, work_item_id, correlation_id, business_unit,
            idempotency_key, try_number, started_at, duration_ms, outcome, error_code, message, http_status, http_calls, records,
            request_bytes, response_bytes, trace_id, calls);

-- name: insert_attempt_bodies(attempt_id, position, sent, answered, business_unit, now)!
-- What was said in them.
INSERT INTO attempt_body (attempt_id, recorded_at, position, sent, answered, business_unit)
SELECT u.attempt_id, :now, u.position, u.sent, u.answered, u.business_unit
  FROM unnest(:attempt_id::uuid[], :position::int[], :sent::text[], :answered::text[], :business_unit::text[])
       AS u(attempt_id, position, sent, answered, business_unit);

-- name: spend_calls(system, spent)!
-- Calls beyond the one that each claim has paid for: the shared limit is the vendor's, who counts calls and not documents.
UPDATE system_state s SET tokens = s.tokens - u.spent
  FROM unnest(:system::text[], :spent::int[]) AS u(system, spent)
 WHERE s.system = u.system;

-- name: note_systems(system, succeeded, failed, error, paused_until, probe_until, quota_limit, quota_remaining, quota_reset_at, spent, breaker_failures, breaker_pause_s, now)!
-- What calls said about the health of their systems. After :breaker_failures failures in a row the breaker opens and
-- documents wait; the first success closes it. A probe ends the pause it was claimed under, and nothing else does: what the system
-- has asked for (Retry-After) is longer, and stands whatever calls that were under way still bring.
UPDATE system_state s
   SET last_success_at = CASE WHEN u.succeeded > 0 THEN :now ELSE s.last_success_at END,
       last_failure_at = CASE WHEN u.failed > 0 THEN :now ELSE s.last_failure_at END,
       last_error = CASE WHEN u.failed > 0 THEN u.error ELSE s.last_error END,
       consecutive_failures = CASE WHEN u.succeeded > 0 THEN 0 ELSE s.consecutive_failures + u.failed END,
       breaker = CASE WHEN u.succeeded > 0 THEN 'closed'
                      WHEN s.consecutive_failures + u.failed >= :breaker_failures THEN 'open' ELSE s.breaker END,
       breaker_since = CASE WHEN (u.succeeded > 0 AND s.breaker = 'open')
                              OR (u.succeeded = 0 AND s.breaker = 'closed' AND s.consecutive_failures + u.failed >= :breaker_failures)
                            THEN :now ELSE s.breaker_since END,
       paused_until = CASE WHEN u.paused_until IS NOT NULL THEN greatest(s.paused_until, u.paused_until)
                           WHEN u.succeeded > 0 AND s.paused_until = u.probe_until THEN NULL
                           WHEN u.succeeded = 0 AND u.failed > 0 AND s.consecutive_failures + u.failed >= :breaker_failures
                           THEN greatest(nullif(s.paused_until, u.probe_until), :now + make_interval(secs => :breaker_pause_s))
                           ELSE s.paused_until END,
       tokens = s.tokens - u.spent,
       quota_limit = coalesce(u.quota_limit, s.quota_limit),
       quota_remaining = coalesce(u.quota_remaining, s.quota_remaining),
       quota_reset_at = coalesce(u.quota_reset_at, s.quota_reset_at),
       quota_seen_at = CASE WHEN u.quota_limit IS NOT NULL OR u.quota_remaining IS NOT NULL THEN :now ELSE s.quota_seen_at END
  FROM unnest(:system::text[], :succeeded::int[], :failed::int[], :error::text[], :paused_until::timestamptz[],
              :probe_until::timestamptz[], :quota_limit::bigint[], :quota_remaining::bigint[], :quota_reset_at::timestamptz[], :spent::int[])
       AS u(system, succeeded, failed, error, paused_until, probe_until, quota_limit, quota_remaining, quota_reset_at, spent)
 WHERE s.system = u.system;

-- name: open_cases(case_id, document_id, message_id, work_item_id, flow, step, system, category, code, origin, retryable, fingerprint, message, facts, number, document_type, business_unit, currency, amount, group_amount, due_on, blocks, owner_team, now)
-- What stands in the way. The same trouble at the same place is the same case, seen once more; returns (work item or message,
-- code, case id, is new) for each.
WITH told AS (
    SELECT * FROM unnest(:case_id::uuid[], :document_id::uuid[], :message_id::uuid[], :work_item_id::uuid[], :flow::text[], :step::text[],
              :system::text[], :category::text[], :code::text[], :origin::text[], :retryable::text[], :fingerprint::text[],
              :message::text[], :facts::text[], :number::text[], :document_type::text[], :business_unit::text[], :currency::text[],
              :amount::numeric[], :group_amount::numeric[], :due_on::date[], :blocks::boolean[], :owner_team::text[])
       AS u(case_id, document_id, message_id, work_item_id, flow, step, system, category, code, origin, retryable, fingerprint,
            message, facts, number, document_type, business_unit, currency, amount, group_amount, due_on, blocks, owner_team)
), seen_again AS (
    UPDATE exception_case c
       SET last_seen_at = :now, occurrences = c.occurrences + 1, message = t.message, facts = t.facts::jsonb,
           status = CASE WHEN c.status IN ('queued', 'sent', 'accepted') THEN 'open' ELSE c.status END, version = c.version + 1
      FROM told t
     WHERE c.closed_at IS NULL
       AND ((c.work_item_id = t.work_item_id AND c.code = t.code) OR c.message_id = t.message_id)
    RETURNING c.case_id, c.work_item_id, c.message_id, c.code
), opened AS (
    INSERT INTO exception_case (case_id, document_id, message_id, work_item_id, flow, step, system, category, code, origin, retryable,
                                fingerprint, message, facts, number, document_type, business_unit, currency, amount, group_amount,
                                due_on, status, blocks, owner_team, raised_at, last_seen_at)
    SELECT t.case_id, t.document_id, t.message_id, t.work_item_id, t.flow, t.step, t.system, t.category, t.code, t.origin, t.retryable,
           t.fingerprint, t.message, t.facts::jsonb, t.number, t.document_type, t.business_unit, t.currency, t.amount, t.group_amount,
           t.due_on, 'open', t.blocks, t.owner_team, :now, :now
      FROM told t
     WHERE NOT EXISTS (SELECT 1 FROM seen_again s WHERE (s.work_item_id = t.work_item_id AND s.code = t.code) OR s.message_id = t.message_id)
    RETURNING case_id, work_item_id, message_id, code
)
SELECT case_id, work_item_id, message_id, code, false AS is_new FROM seen_again
UNION ALL
SELECT case_id, work_item_id, message_id, code, true FROM opened;

-- name: close_cases(case_id, close_reason, closed_by, now)!
-- Trouble that is over.
UPDATE exception_case c
   SET status = CASE WHEN u.close_reason IN ('fixed', 'adopted') AND c.status IN ('sent', 'accepted') THEN 'verified' ELSE 'closed' END,
       closed_at = :now, closed_by = u.closed_by, close_reason = u.close_reason, version = c.version + 1
  FROM unnest(:case_id::uuid[], :close_reason::text[], :closed_by::text[]) AS u(case_id, close_reason, closed_by)
 WHERE c.case_id = u.case_id AND c.closed_at IS NULL;

-- name: set_case_status(case_id, status)!
-- How far the repair of a case has come.
UPDATE exception_case c
   SET status = u.status, version = c.version + 1
  FROM unnest(:case_id::uuid[], :status::text[]) AS u(case_id, status)
 WHERE c.case_id = u.case_id AND c.closed_at IS NULL;

-- name: insert_case_events(case_id, case_event_id, actor, action, comment, details, business_unit, now)!
-- What was done about cases.
INSERT INTO case_event (case_id, case_event_id, happened_at, actor, action, comment, details, business_unit)
SELECT u.case_id, u.case_event_id, :now, u.actor, u.action, u.comment, u.details::jsonb, u.business_unit
  FROM unnest(:case_id::uuid[], :case_event_id::uuid[], :actor::text[], :action::text[], :comment::text[], :details::text[], :business_unit::text[])
       AS u(case_id, case_event_id, actor, action, comment, details, business_unit);

-- name: settle_redrive_items(redrive_id, case_id, status, result, now)!
-- How far each reprocessed item has come.
UPDATE redrive_item i
   SET status = u.status, result = u.result, updated_at = :now
  FROM unnest(:redrive_id::uuid[], :case_id::uuid[], :status::text[], :result::text[]) AS u(redrive_id, case_id, status, result)
 WHERE i.redrive_id = u.redrive_id AND i.case_id = u.case_id;

-- name: finish_redrives(redrive_id, now)!
-- News of items: a reprocessing of which nothing waits and nothing is under way is over; of another one an engine looks at once
-- whether the next wave may go.
UPDATE redrive r
   SET finished_at = CASE WHEN o.is_over THEN :now::timestamptz END,
       state = CASE WHEN o.is_over AND r.state <> 'cancelled' THEN 'finished' ELSE r.state END,
       state_at = CASE WHEN o.is_over THEN :now ELSE r.state_at END,
       look_at = greatest(r.next_wave_at, :now)
  FROM (SELECT r2.redrive_id, NOT EXISTS (SELECT 1 FROM redrive_item i WHERE i.redrive_id = r2.redrive_id
                                             AND i.status IN ('waiting', 'queued', 'sent', 'accepted')) AS is_over
          FROM redrive r2 WHERE r2.redrive_id = ANY (:redrive_id::uuid[])) o
 WHERE r.redrive_id = o.redrive_id AND r.finished_at IS NULL;

-- name: end_redrives_of_cases(case_id, close_reason, now)!
-- Cases have been closed: whatever reprocessing of them is still under way is over too, however they came to be closed, and with its
-- last item the reprocessing itself. Only what is under way is looked at, which is little however much there ever was.
WITH over AS (
    UPDATE redrive_item i
       SET status = CASE WHEN u.close_reason = 'cancelled' THEN 'refused' ELSE 'verified' END,
           result = 'The exception was closed meanwhile: ' || u.close_reason || '.', updated_at = :now
      FROM unnest(:case_id::uuid[], :close_reason::text[]) AS u(case_id, close_reason)
     WHERE i.case_id = u.case_id AND i.status IN ('queued', 'sent', 'accepted')
    RETURNING i.redrive_id
)
UPDATE redrive r
   SET finished_at = CASE WHEN o.is_over THEN :now::timestamptz END,
       state = CASE WHEN o.is_over AND r.state <> 'cancelled' THEN 'finished' ELSE r.state END,
       state_at = CASE WHEN o.is_over THEN :now ELSE r.state_at END,
       look_at = greatest(r.next_wave_at, :now)
  FROM (SELECT ended.redrive_id, NOT EXISTS (
                   SELECT 1 FROM redrive_item i WHERE i.redrive_id = ended.redrive_id
                      AND (i.status = 'waiting' OR i.status IN ('queued', 'sent', 'accepted') AND NOT i.case_id = ANY (:case_id::uuid[]))) AS is_over
          FROM (SELECT DISTINCT redrive_id FROM over) ended) o
 WHERE r.redrive_id = o.redrive_id AND r.finished_at IS NULL;

-- name: insert_movements(source_document_id, source_line, kind, order_document_id, order_line, quantity, amount, moved_on, business_unit, now)!
-- What was ordered, received, billed. Said again with other figures, the newer figures count.
INSERT INTO order_movement (source_document_id, source_line, kind, order_document_id, order_line, quantity, amount, moved_on, business_unit, recorded_at)
SELECT u.source_document_id, u.source_line, u.kind, u.order_document_id, u.order_line, u.quantity, u.amount, u.moved_on, u.business_unit, :now
  FROM unnest(:source_document_id::uuid[], :source_line::int[], :kind::text[], :order_document_id::uuid[], :order_line::int[],
              :quantity::numeric[], :amount::numeric[], :moved_on::date[], :business_unit::text[])
       AS u(source_document_id, source_line, kind, order_document_id, order_line, quantity, amount, moved_on, business_unit)
ON CONFLICT (source_document_id, kind, source_line) DO UPDATE
   SET quantity = excluded.quantity, amount = excluded.amount, moved_on = excluded.moved_on, recorded_at = excluded.recorded_at;

-- name: insert_budgets(cost_centre, period, currency, amount, opening_used, source, business_unit, now)!
-- Budgets as last read. What had been used before our first reservation is kept from the first reading.
INSERT INTO budget (cost_centre, period, currency, amount, opening_used, source, business_unit, read_at)
SELECT u.cost_centre, u.period, u.currency, u.amount, u.opening_used, u.source, u.business_unit, :now
  FROM unnest(:cost_centre::text[], :period::text[], :currency::text[], :amount::numeric[], :opening_used::numeric[], :source::text[], :business_unit::text[])
       AS u(cost_centre, period, currency, amount, opening_used, source, business_unit)
ON CONFLICT (cost_centre, period) DO UPDATE SET amount = excluded.amount, read_at = excluded.read_at;

-- name: insert_reservations(document_id, cost_centre, period, amount, business_unit, now)!
-- Budget held for documents under way.
INSERT INTO budget_reservation (document_id, cost_centre, period, amount, business_unit, reserved_at)
SELECT u.document_id, u.cost_centre, u.period, u.amount, u.business_unit, :now
  FROM unnest(:document_id::uuid[], :cost_centre::text[], :period::text[], :amount::numeric[], :business_unit::text[])
       AS u(document_id, cost_centre, period, amount, business_unit)
ON CONFLICT (document_id, cost_centre, period) DO UPDATE
   SET amount = excluded.amount, reserved_at = excluded.reserved_at, released_at = NULL;

-- name: release_reservations(document_id, now)!
-- Budget given back by documents that will not be bought.
UPDATE budget_reservation SET released_at = :now
 WHERE document_id = ANY (:document_id::uuid[]) AND released_at IS NULL;

-- name: insert_dispositions(message_id, outcome, reason, document_id, business_unit, mapping_version, now)!
-- What became of messages.
INSERT INTO inbound_disposition (message_id, disposed_at, outcome, reason, document_id, business_unit, mapping_version)
SELECT u.message_id, :now, u.outcome, u.reason, u.document_id, u.business_unit, :mapping_version
  FROM unnest(:message_id::uuid[], :outcome::text[], :reason::text[], :document_id::uuid[], :business_unit::text[])
       AS u(message_id, outcome, reason, document_id, business_unit);

-- name: forget_pending(message_id)!
-- Messages that have been dealt with.
DELETE FROM inbound_pending WHERE message_id = ANY (:message_id::uuid[]);
