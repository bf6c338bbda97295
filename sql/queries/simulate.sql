-- What the simulator looks at: never asked by the engine, the application or the interface.

-- name: tables(cell)
-- The tables of a cell, without their partitions.
SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = :cell AND c.relkind IN ('r', 'p') AND NOT c.relispartition ORDER BY c.relname;

-- name: feed_due(system, feed)
-- When a feed may be read next: it is due, nobody else reads it, and its system is not paused.
SELECT greatest(f.due_at, f.lease_until, s.paused_until) AS due_at
  FROM feed_state f JOIN system_state s USING (system) WHERE f.system = :system AND f.feed = :feed;

-- name: history()
-- Every event, document by document, in its order.
SELECT document_id, seq, activity FROM event ORDER BY document_id, seq;

-- name: documents()
-- Every document as it stands.
SELECT document_id, document_type, number, business_unit, state, approval_status, posting_status, state_since, version, payload_version,
       currency, amount, requester, closed_at, last_event_seq, created_at, correlation_id
  FROM document ORDER BY document_id;

-- name: events()
-- Every event with all that its leaf is made of, recording by recording, in order.
SELECT e.recording_id, e.ordinal, e.document_id, e.seq, e.document_type, e.activity, e.event_at, e.observed_at, e.system, e.actor, e.flow, e.step,
       e.state_from, e.state_to, e.state_from_since, e.approval_status, e.posting_status, e.document_version, e.attributes, e.recorded_at, e.business_unit
  FROM event e ORDER BY e.recording_id, e.ordinal;

-- name: recordings()
-- Every recording: how many events it says it has, and their root.
SELECT recording_id, event_count, merkle_root, engine_id FROM recording ORDER BY recording_id;

-- name: open_cases(number)
-- Open exceptions that may be repeated, of documents whose number begins so, as whoever asks may see them.
SELECT case_id, version FROM exception_case
 WHERE closed_at IS NULL AND retryable <> 'never' AND starts_with(number, :number)
   AND status NOT IN ('queued', 'sent', 'accepted') ORDER BY case_id;

-- name: parked_without_owner()
-- Work and messages that stand still without an open exception that says why and whose it is; a message may have been repaired
-- since, which closed its exception.
SELECT d.number, w.flow || '.' || w.step AS place FROM work_item w JOIN document d USING (document_id)
 WHERE w.status = 'parked'
   AND NOT EXISTS (SELECT 1 FROM exception_case c WHERE c.work_item_id = w.work_item_id AND c.closed_at IS NULL AND c.message <> '' AND c.owner_team <> '')
UNION ALL
SELECT m.external_id, m.system || '.' || m.feed FROM inbound_disposition x JOIN inbound_message m USING (message_id)
 WHERE x.outcome = 'parked'
   AND NOT EXISTS (SELECT 1 FROM exception_case c WHERE c.message_id = x.message_id AND c.message <> '' AND c.owner_team <> '');

-- name: told()
-- What we were ever told of.
SELECT DISTINCT kind, external_id FROM inbound_key;
