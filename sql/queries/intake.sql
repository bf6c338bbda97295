-- Taking in what systems tell us.

-- name: register_feeds(system, feed, silent_after_s, now)!
-- Feeds begin where nothing has been read; those that are known keep their place and are read at once: an engine has just started,
-- and nobody knows for how long there was none. In one order, so that two engines that start do not cross.
INSERT INTO feed_state (system, feed, due_at, silent_after_s)
SELECT u.system, u.feed, :now, u.silent_after_s
  FROM unnest(:system::text[], :feed::text[], :silent_after_s::numeric[]) AS u(system, feed, silent_after_s) ORDER BY u.system, u.feed
ON CONFLICT (system, feed) DO UPDATE SET silent_after_s = excluded.silent_after_s, due_at = least(feed_state.due_at, excluded.due_at);

-- name: register_systems(system, role, title, requests_per_s, burst, now)!
-- A system's shared rate limit begins full; a known system keeps its state.
INSERT INTO system_state (system, role, title, requests_per_s, burst, tokens, tokens_at, breaker_since)
SELECT u.system, u.role, u.title, u.requests_per_s, u.burst, u.burst, :now, :now
  FROM unnest(:system::text[], :role::text[], :title::text[], :requests_per_s::numeric[], :burst::numeric[])
       AS u(system, role, title, requests_per_s, burst) ORDER BY u.system
ON CONFLICT (system) DO UPDATE SET role = excluded.role, title = excluded.title, requests_per_s = excluded.requests_per_s, burst = excluded.burst;

-- name: claim_feed(system, feed, lease_until, due_by, own_token, now)^
-- Take a feed that is due by :due_by, unless its system is paused; nothing when it is not due or somebody else reads it. A lease
-- under :own_token is our own, from a reading whose end could not be recorded.
UPDATE feed_state f
   SET lease_until = :lease_until, fencing_token = f.fencing_token + 1, last_attempt_at = :now
 WHERE f.system = :system AND f.feed = :feed AND f.due_at <= :due_by AND (f.lease_until IS NULL OR f.lease_until < :now OR f.fencing_token = :own_token)
   AND NOT EXISTS (SELECT 1 FROM system_state s WHERE s.system = f.system AND s.paused_until > :now)
RETURNING f.cursor, f.fencing_token, f.consecutive_failures;

-- name: finish_feed(system, feed, fencing_token, cursor, due_at, complete_until, now)!
-- A page has been stored: the cursor moves in the same transaction.
UPDATE feed_state
   SET cursor = :cursor::jsonb, due_at = :due_at, lease_until = NULL, last_success_at = :now, consecutive_failures = 0, last_error = '',
       complete_until = greatest(complete_until, :complete_until::timestamptz)
 WHERE system = :system AND feed = :feed AND fencing_token = :fencing_token;

-- name: fail_feed(system, feed, fencing_token, due_at, error)!
-- A page could not be read: the cursor stays where it is.
UPDATE feed_state
   SET due_at = :due_at, lease_until = NULL, consecutive_failures = consecutive_failures + 1, last_error = :error
 WHERE system = :system AND feed = :feed AND fencing_token = :fencing_token;

-- name: store_messages(message_id, system, feed, kind, external_id, version, source_at, body, body_hash, now)
-- Keep messages verbatim; one that was told before is not told again. Returns the ids that are new.
WITH told AS (
    SELECT * FROM unnest(:message_id::uuid[], :kind::text[], :external_id::text[], :version::text[], :source_at::timestamptz[],
                         :body::bytea[], :body_hash::bytea[]) AS u(message_id, kind, external_id, version, source_at, body, body_hash)
), new AS (
    INSERT INTO inbound_key (system, kind, external_id, version, message_id)
    SELECT :system, kind, external_id, version, message_id FROM told
    ON CONFLICT DO NOTHING
    RETURNING message_id
), kept AS (
    INSERT INTO inbound_message (message_id, received_at, system, feed, kind, external_id, version, source_at, body, body_hash)
    SELECT t.message_id, :now, :system, :feed, t.kind, t.external_id, t.version, t.source_at, t.body, t.body_hash
      FROM told t JOIN new USING (message_id)
)
INSERT INTO inbound_pending (message_id, received_at, due_at)
SELECT message_id, :now, :now FROM new
RETURNING message_id;

-- name: claim_messages(wanted, now)
-- The oldest messages nobody has looked at, held until the transaction ends. One that was asked for again is as it was told last.
WITH taken AS (
    SELECT p.message_id, p.received_at, p.tries FROM inbound_pending p
     WHERE p.due_at <= :now ORDER BY p.due_at, p.message_id LIMIT :wanted FOR UPDATE SKIP LOCKED
)
SELECT m.message_id, m.system, m.feed, m.kind, m.external_id, coalesce(r.version, m.version) AS version,
       CASE WHEN r.version IS NULL THEN m.source_at ELSE r.source_at END AS source_at, coalesce(r.body, m.body) AS body, m.received_at, t.tries
  FROM taken t JOIN inbound_message m USING (message_id, received_at)
  LEFT JOIN LATERAL (SELECT i.version, i.source_at, i.body FROM inbound_reread i
                      WHERE i.message_id = t.message_id AND t.tries > 0 ORDER BY i.reread_at DESC LIMIT 1) r ON true
 ORDER BY 7 NULLS FIRST, m.message_id;

-- name: known(system, kind, external_id)
-- Which of these names belong to which document.
SELECT i.system, i.kind, i.external_id, i.document_id
  FROM unnest(:system::text[], :kind::text[], :external_id::text[]) AS u(system, kind, external_id)
  JOIN document_identifier i USING (system, kind, external_id);

-- name: take_names(system, kind, external_id, document_id, business_unit, now)
-- Take names for new documents; returns those we got. A name somebody else took at the same moment is left to them.
INSERT INTO document_identifier (system, kind, external_id, document_id, business_unit, recorded_at)
SELECT u.system, u.kind, u.external_id, u.document_id, u.business_unit, :now
  FROM unnest(:system::text[], :kind::text[], :external_id::text[], :document_id::uuid[], :business_unit::text[])
       AS u(system, kind, external_id, document_id, business_unit)
 ORDER BY u.system, u.kind, u.external_id
ON CONFLICT DO NOTHING
RETURNING system, kind, external_id;

-- name: payload_hashes(document_id)
-- The newest payload of each of these documents that came from outside: its digest, and the payload as it stands.
SELECT d.document_id, p.payload_hash, c.canonical::text AS canonical
  FROM document d
  JOIN document_payload c ON c.document_id = d.document_id AND c.payload_version = d.payload_version
  LEFT JOIN LATERAL (SELECT payload_hash FROM document_payload s
                      WHERE s.document_id = d.document_id AND s.message_id IS NOT NULL
                      ORDER BY payload_version DESC LIMIT 1) p ON true
 WHERE d.document_id = ANY (:document_id::uuid[]);

-- name: open_message_cases(message_id)
-- Open cases of messages that are looked at again.
SELECT message_id, case_id, code FROM exception_case WHERE message_id = ANY (:message_id::uuid[]) AND closed_at IS NULL;

-- name: open_source_cases(document_id)
-- Open cases about a version of these documents that could not be read, and of when that version is: a readable one that is no older
-- settles them.
SELECT c.document_id, c.case_id, m.source_at
  FROM exception_case c JOIN inbound_message m USING (message_id)
 WHERE c.document_id = ANY (:document_id::uuid[]) AND c.message_id IS NOT NULL AND c.closed_at IS NULL
 ORDER BY c.case_id;

-- name: open_work_cases(document_id)
-- Open cases that stand in the way of these documents' own work: they are over with their document.
SELECT c.document_id, c.case_id
  FROM exception_case c JOIN work_item w USING (work_item_id)
 WHERE c.document_id = ANY (:document_id::uuid[]) AND c.closed_at IS NULL AND w.subject_id IS NULL
 ORDER BY c.case_id;

-- name: requeue_messages(message_id, received_at, now)!
-- Look at these messages again.
INSERT INTO inbound_pending (message_id, received_at, due_at, tries)
SELECT u.message_id, u.received_at, :now, 1 FROM unnest(:message_id::uuid[], :received_at::timestamptz[]) AS u(message_id, received_at)
ON CONFLICT (message_id) DO UPDATE SET due_at = :now, tries = 1;

-- name: want_rereads(message_id, now)!
-- Ask the sources of these messages for the records again.
INSERT INTO reread_wanted (message_id, received_at, system, feed, kind, external_id, version, due_at)
SELECT m.message_id, m.received_at, m.system, m.feed, m.kind, m.external_id, m.version, :now
  FROM inbound_message m WHERE m.message_id = ANY (:message_id::uuid[])
ON CONFLICT (message_id) DO UPDATE SET due_at = :now, tries = 0;

-- name: claim_rereads(system, wanted, lease_until, now)
-- Records of a system that are to be asked for again, unless it has asked us to wait. Nobody else takes them before the lease is over.
UPDATE reread_wanted r
   SET lease_until = :lease_until, tries = r.tries + 1
  FROM (SELECT w.message_id FROM reread_wanted w
         WHERE w.system = :system AND w.due_at <= :now AND (w.lease_until IS NULL OR w.lease_until < :now)
           AND NOT EXISTS (SELECT 1 FROM system_state s WHERE s.system = w.system AND s.paused_until > :now)
         ORDER BY w.due_at, w.message_id LIMIT :wanted FOR UPDATE SKIP LOCKED) taken
 WHERE r.message_id = taken.message_id
RETURNING r.message_id, r.received_at, r.feed, r.kind, r.external_id, r.version, r.tries;

-- name: keep_rereads(message_id, version, source_at, body, body_hash, now)!
-- What the source said this time, beside what it said first.
INSERT INTO inbound_reread (message_id, reread_at, version, source_at, body, body_hash)
SELECT u.message_id, :now, u.version, u.source_at, u.body, u.body_hash
  FROM unnest(:message_id::uuid[], :version::text[], :source_at::timestamptz[], :body::bytea[], :body_hash::bytea[])
       AS u(message_id, version, source_at, body, body_hash)
ON CONFLICT DO NOTHING;

-- name: forget_rereads(message_id)!
-- The source has answered.
DELETE FROM reread_wanted WHERE message_id = ANY (:message_id::uuid[]);

-- name: postpone_rereads(message_id, due_at)!
-- The source could not be asked: again later.
UPDATE reread_wanted SET due_at = :due_at, lease_until = NULL WHERE message_id = ANY (:message_id::uuid[]);

-- name: feeds_of_messages(message_id)
-- Where these messages came from.
SELECT message_id, received_at, system, feed, external_id FROM inbound_message WHERE message_id = ANY (:message_id::uuid[]);
