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

-- name: open_orders(number)
-- Open orders of a requisition, as whoever asks may see them.
SELECT o.document_id, o.version FROM document o JOIN document r ON r.document_id = o.correlation_id
 WHERE o.document_type = 'purchase_order' AND o.closed_at IS NULL AND r.document_type = 'requisition' AND r.number = :number ORDER BY o.document_id;

-- name: moved_back()
-- Documents that stand at older news than what has been applied to them.
SELECT d.document_id, d.source_at, max(m.source_at) AS applied
  FROM inbound_disposition x JOIN inbound_message m USING (message_id) JOIN document d ON d.document_id = x.document_id
 WHERE x.outcome = 'applied' AND m.system = d.source_system GROUP BY d.document_id, d.source_at HAVING max(m.source_at) > d.source_at ORDER BY d.document_id;

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

-- name: intents_without_payload()
-- Calls that were meant to be made with a payload their document never had. A document nobody could read has none, and an empty digest.
SELECT d.number, i.step FROM intent i JOIN document d USING (document_id)
 WHERE i.payload_hash <> '' AND NOT EXISTS (SELECT 1 FROM document_payload p WHERE p.document_id = i.document_id AND p.payload_hash = i.payload_hash);

-- name: orders_without_approval()
-- Orders the ERP has accepted, whose requisition had not been approved by then.
SELECT o.number FROM document o
  JOIN event a ON a.document_id = o.document_id AND a.activity = 'order_accepted'
  JOIN document_link k ON k.from_document_id = o.document_id AND k.relation = 'fulfils'
 WHERE o.document_type = 'purchase_order'
   AND NOT EXISTS (SELECT 1 FROM event r JOIN recording x USING (recording_id) JOIN recording y ON y.recording_id = a.recording_id
                    WHERE r.document_id = k.to_document_id AND r.activity = 'approval_completed' AND x.written_order <= y.written_order);

-- name: foreign_rows(units)
-- Rows of other business units that this session can read, table by table.
SELECT what, count(*) FROM (
    SELECT 'document' AS what, business_unit FROM document UNION ALL SELECT 'event', business_unit FROM event
    UNION ALL SELECT 'event_object', business_unit FROM event_object UNION ALL SELECT 'document_payload', business_unit FROM document_payload
    UNION ALL SELECT 'document_identifier', business_unit FROM document_identifier UNION ALL SELECT 'document_link', business_unit FROM document_link
    UNION ALL SELECT 'document_link_wanted', business_unit FROM document_link_wanted UNION ALL SELECT 'order_movement', business_unit FROM order_movement
    UNION ALL SELECT 'budget', business_unit FROM budget UNION ALL SELECT 'budget_reservation', business_unit FROM budget_reservation
    UNION ALL SELECT 'work_item', business_unit FROM work_item UNION ALL SELECT 'intent', business_unit FROM intent
    UNION ALL SELECT 'inbound_disposition', business_unit FROM inbound_disposition UNION ALL SELECT 'exception_case', business_unit FROM exception_case
    UNION ALL SELECT 'case_event', business_unit FROM case_event UNION ALL SELECT 'redrive_item', business_unit FROM redrive_item
    UNION ALL SELECT 'attempt', business_unit FROM attempt UNION ALL SELECT 'attempt_body', business_unit FROM attempt_body
    UNION ALL SELECT 'alert', business_unit FROM alert
    UNION ALL SELECT 'the view open_document', business_unit FROM open_document UNION ALL SELECT 'the view exception', business_unit FROM exception) readable
 WHERE NOT business_unit = ANY (:units::text[]) GROUP BY what ORDER BY what;

-- name: told_twice()
-- Messages that are there more than once in one version.
SELECT kind || ' ' || external_id AS number, version, count(*) AS times FROM inbound_message
 GROUP BY system, kind, external_id, version HAVING count(*) > 1 ORDER BY 1, 2;

-- name: calls_without_intent()
-- Calls that changed something, or may have, and that nobody had put on record before.
SELECT d.number, a.step FROM attempt a JOIN document d USING (document_id)
 WHERE a.effect IN ('create', 'set') AND a.work_item_id IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM intent i WHERE i.document_id = a.document_id AND i.idempotency_key = a.idempotency_key);

-- name: guessed()
-- Messages with a status word that is in no table, and what became of them instead of being parked.
SELECT m.external_id AS number, x.outcome FROM inbound_message m JOIN inbound_disposition x USING (message_id)
 WHERE x.outcome <> 'parked' AND convert_from(m.body, 'UTF8') ~ '"(processingStatus|status)":"on_the_moon"'
   AND NOT EXISTS (SELECT 1 FROM inbound_reread r WHERE r.message_id = m.message_id);

-- name: matched_before_receipt()
-- Invoices that were matched when nothing had been received of any order they bill.
SELECT i.number FROM document i
  JOIN event m ON m.document_id = i.document_id AND m.activity = 'matched'
  JOIN recording y ON y.recording_id = m.recording_id
 WHERE NOT EXISTS (SELECT 1 FROM document_link b
                     JOIN document_link r ON r.to_document_id = b.to_document_id AND r.relation = 'receives'
                     JOIN event e ON e.document_id = r.from_document_id AND e.activity = 'receipt_applied'
                     JOIN recording x ON x.recording_id = e.recording_id
                    WHERE b.from_document_id = i.document_id AND b.relation = 'bills' AND x.written_order <= y.written_order);

-- name: plant_open_policy()!
-- A careless policy, planted to see whether anybody sees it.
CREATE POLICY planted ON document FOR SELECT TO finsync_app USING (true);

-- name: undo_open_policy()!
-- It is taken back.
DROP POLICY planted ON document;

-- name: plant_unguarded_table()!
-- A table that somebody has forgotten to guard.
ALTER TABLE work_item DISABLE ROW LEVEL SECURITY;

-- name: undo_unguarded_table()!
-- It is guarded again.
ALTER TABLE work_item ENABLE ROW LEVEL SECURITY;

-- name: plant_owners_view()!
-- A view that shows what its owner may see.
ALTER VIEW open_document SET (security_invoker = false);

-- name: undo_owners_view()!
-- It shows again what its reader may see.
ALTER VIEW open_document SET (security_invoker = true);

-- name: commands()
-- What people asked, with the rights they have, and what became of it.
SELECT c.command_id, c.actor, c.action, c.status, u.roles FROM command c JOIN app_user u ON u.user_id = c.actor ORDER BY c.command_id;

-- name: redrives()
-- Reprocessings on record.
SELECT redrive_id, asked_by, finished_at FROM redrive ORDER BY redrive_id;

-- name: reprocessed_twice()
-- Exceptions that two people had reprocessed as they saw the same version of them.
SELECT c.number, i.case_version, count(*) AS winners FROM redrive_item i JOIN exception_case c USING (case_id)
 WHERE i.status <> 'skipped' GROUP BY i.case_id, c.number, i.case_version HAVING count(*) > 1;

-- name: accepted_by_requester()
-- Documents that whoever asked for them let pass.
SELECT d.number, e.actor FROM case_event e JOIN exception_case c USING (case_id) JOIN document d USING (document_id)
 WHERE e.action = 'accept' AND lower(e.actor) = lower(d.requester);

-- name: work()
-- Every work item as it stands.
SELECT w.work_item_id, w.document_id, d.number, w.flow, w.step, w.status, w.fencing_token, w.tries, w.waiting_for
  FROM work_item w JOIN document d USING (document_id) ORDER BY w.work_item_id;

-- name: tries()
-- How often each step of each item was asked, and over how long a time.
SELECT d.number, a.flow, a.step, count(*) AS tries, extract(epoch FROM max(a.started_at) - min(a.started_at)) AS span_s
  FROM attempt a JOIN document d USING (document_id)
 WHERE a.work_item_id IS NOT NULL GROUP BY a.work_item_id, d.number, a.flow, a.step HAVING count(*) > 10;

-- name: restless(now)
-- What still moves, or should have: nothing of it may be left when everything has had its time.
SELECT d.number AS what, w.flow || '.' || w.step || ' is held under a lease' AS says FROM work_item w JOIN document d USING (document_id) WHERE w.status = 'in_call'
UNION ALL
SELECT d.number, w.flow || '.' || w.step || ' was due at ' || w.due_at FROM work_item w JOIN document d USING (document_id) WHERE w.status = 'due' AND w.due_at <= :now
UNION ALL
SELECT d.number, w.flow || '.' || w.step || ' is still tried, for the ' || w.tries || 'th time' FROM work_item w JOIN document d USING (document_id) WHERE w.status = 'due' AND w.tries > 0 AND w.waiting_for = ''
UNION ALL
SELECT d.number, i.step || ' was sent and is ' || i.outcome FROM intent i JOIN document d USING (document_id) WHERE i.outcome IN ('open', 'unknown')
UNION ALL
SELECT 'messages', count(*) || ' wait to be looked at' FROM inbound_pending HAVING count(*) > 0
UNION ALL
SELECT 'feed ' || system || '.' || feed, 'fails: ' || last_error FROM feed_state WHERE consecutive_failures > 0
UNION ALL
SELECT 'system ' || system, 'its breaker is open' FROM system_state WHERE breaker = 'open'
UNION ALL
SELECT 'command', action || ' has not been carried out' FROM command WHERE status = 'asked'
UNION ALL
SELECT 'reprocessing', 'asked by ' || asked_by || ' and not finished' FROM redrive WHERE finished_at IS NULL AND state = 'running'
UNION ALL
SELECT 'record ' || external_id, 'is still to be asked for again' FROM reread_wanted;

-- name: forgotten()
-- Documents of which something is still expected, and for which nothing is due, waits or is parked.
SELECT d.document_type || ' ' || d.number AS number, d.state FROM document d
 WHERE d.closed_at IS NULL AND d.document_type <> 'approval' AND d.payload_version > 0
   AND NOT EXISTS (SELECT 1 FROM work_item w WHERE w.document_id = d.document_id AND w.subject_id IS NULL AND w.status IN ('due', 'parked'))
   AND NOT EXISTS (SELECT 1 FROM exception_case c WHERE c.document_id = d.document_id AND c.closed_at IS NULL);

-- name: credentials()
-- Places where people read, and how many of their rows hold something that looks like a credential.
SELECT 'attempt_body' AS place, count(*) FROM attempt_body WHERE sent || answered ~* '(bearer [a-z0-9]{8}|basic [a-z0-9+/=]{8}|client_secret|access_token)'
UNION ALL
SELECT 'attempt', count(*) FROM attempt WHERE message || calls::text ~* '(bearer [a-z0-9]{8}|basic [a-z0-9+/=]{8}|client_secret|access_token)'
UNION ALL
SELECT 'exception_case', count(*) FROM exception_case WHERE message || facts::text ~* '(bearer [a-z0-9]{8}|basic [a-z0-9+/=]{8}|client_secret|access_token)';

-- name: exception_texts()
-- What people read of each exception.
SELECT number, business_unit, message || ' ' || facts::text AS text FROM exception_case ORDER BY case_id;

-- name: backward()
-- How much of each kind ended before it began.
SELECT 'attempt' AS what, count(*) FROM attempt WHERE duration_ms < 0
UNION ALL
SELECT 'lease', count(*) FROM work_item WHERE lease_until < claimed_at
UNION ALL
SELECT 'stage', count(*) FROM stage_time WHERE wall_s < 0 OR business_s < 0
UNION ALL
SELECT 'case', count(*) FROM exception_case WHERE closed_at < raised_at OR last_seen_at < raised_at
UNION ALL
SELECT 'work', count(*) FROM work_item WHERE finished_at < created_at OR objective_at < step_since
UNION ALL
SELECT 'document', count(*) FROM document WHERE closed_at < created_at;

-- name: unexpected()
-- What was parked because the program did not know what to do.
SELECT number, message || ' ' || right(facts->>'dump', 300) AS says FROM exception_case WHERE code = 'unexpected' ORDER BY case_id;

-- name: names()
-- What each document is called in each system.
SELECT system, kind, external_id, document_id FROM document_identifier ORDER BY system, kind, external_id;

-- name: standing_redrives()
-- Reprocessings that wait for a person.
SELECT redrive_id, state FROM redrive WHERE finished_at IS NULL AND state IN ('awaiting_confirmation', 'paused', 'halted') ORDER BY redrive_id;

-- name: requests_waited_for()
-- The requests for approval that documents wait for as they stand now, by the service desk's own key.
SELECT w.facts->>'approval_request' AS request FROM work_item w JOIN document d USING (document_id)
 WHERE w.subject_id IS NULL AND d.closed_at IS NULL AND w.status IN ('due', 'in_call', 'parked') AND w.facts ? 'approval_request'
   AND w.step IN ('await_approval', 'await_change_approval', 'await_match_review');
