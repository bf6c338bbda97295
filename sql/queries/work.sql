-- Taking work and reading what it needs.

-- name: pulse(now)^
-- What there is to do now: the lanes with something due (or abandoned) that may be asked, messages that wait, commands to carry
-- out or waves to send, records to ask for again, and when there will be more where there is nothing now. One question instead of
-- trying every door, and each part of it one look into an index.
WITH lane AS (
    SELECT l.system, l.paused_until, l.due_at,
           coalesce(l.due_at <= :now, false)
        OR EXISTS (SELECT 1 FROM work_item w WHERE w.status = 'in_call' AND w.system = l.system AND w.lease_until < :now) AS is_due
      FROM (SELECT s.system, s.paused_until, (SELECT min(w.due_at) FROM work_item w WHERE w.status = 'due' AND w.system = s.system) AS due_at
              FROM (SELECT system, CASE WHEN paused_until > :now THEN paused_until END AS paused_until FROM system_state UNION ALL SELECT 'finsync', NULL) s
            OFFSET 0) l
), message AS (
    SELECT min(due_at) AS due_at FROM inbound_pending
)
SELECT ARRAY(SELECT system FROM lane WHERE is_due AND paused_until IS NULL) AS lanes,
       coalesce((SELECT due_at <= :now FROM message), false) AS messages,
       EXISTS (SELECT 1 FROM command WHERE status = 'asked')
    OR EXISTS (SELECT 1 FROM redrive WHERE state = 'running' AND finished_at IS NULL AND look_at <= :now) AS commands,
       EXISTS (SELECT 1 FROM reread_wanted r JOIN lane USING (system)
                WHERE r.due_at <= :now AND (r.lease_until IS NULL OR r.lease_until < :now) AND lane.paused_until IS NULL) AS rereads,
       least((SELECT min(CASE WHEN is_due THEN paused_until ELSE greatest(due_at, paused_until) END) FROM lane),
             (SELECT due_at FROM message WHERE due_at > :now),
             (SELECT min(look_at) FROM redrive WHERE state = 'running' AND finished_at IS NULL AND look_at > :now),
             (SELECT min(greatest(r.due_at, r.lease_until, lane.paused_until)) FROM reread_wanted r JOIN lane USING (system)
               WHERE greatest(r.due_at, r.lease_until, lane.paused_until) > :now)) AS next_at;

-- name: claim_calls(system, wanted, engine_id, lease_until, steps, now)
-- Take the oldest due items of a lane for a call outside, and abandoned ones whose lease has run out. The shared rate limit
-- and the circuit breaker decide how many: tokens refill with time, and what took more than one call is paid when it is recorded
-- (so that there may be less than none); an open breaker lets one probe through when its pause is
-- over. Returns each item with its document, payload, names and subject. SKIP LOCKED lets engines work side by side. Each
-- priority is read by itself, in the order of the index, so that a claim never sorts a backlog. :steps are those this release
-- knows: what a later release beside us has begun is left to it. Rows are found by ARRAY(...)
-- and LATERAL ... OFFSET 0: nobody knows beforehand how few a claim brings, and a plan that hashes whole tables to be on the
-- safe side reads everything there ever was.
WITH RECURSIVE lane AS (
    SELECT s.system,
           CASE WHEN s.paused_until > :now THEN 0
                WHEN s.breaker = 'open' THEN 1
                ELSE greatest(0, floor(least(s.burst, s.tokens + s.requests_per_s * greatest(0, extract(epoch FROM :now - s.tokens_at)))))
           END::int AS allowed,
           s.breaker = 'open' AS is_probe
      FROM system_state s
     WHERE s.system = :system
       FOR UPDATE
), rank AS (
    (SELECT w.priority FROM work_item w WHERE w.system = :system AND w.status = 'due' ORDER BY w.priority LIMIT 1)
    UNION ALL
    SELECT (SELECT w.priority FROM work_item w WHERE w.system = :system AND w.status = 'due' AND w.priority > rank.priority ORDER BY w.priority LIMIT 1)
      FROM rank WHERE rank.priority IS NOT NULL
), abandoned AS (
    SELECT w.work_item_id, w.status, w.priority, w.due_at
      FROM work_item w
     WHERE w.system = :system AND w.status = 'in_call' AND w.lease_until < :now AND w.flow || '.' || w.step = ANY (:steps)
     ORDER BY w.lease_until
     LIMIT (SELECT least(:wanted, allowed) FROM lane)
       FOR UPDATE OF w SKIP LOCKED
), ready AS (
    SELECT turn.*
      FROM rank, LATERAL (
           SELECT w.work_item_id, w.status, w.priority, w.due_at
             FROM work_item w
            WHERE w.system = :system AND w.status = 'due' AND w.priority = rank.priority AND w.due_at <= :now
              AND w.flow || '.' || w.step = ANY (:steps)
            ORDER BY w.due_at
            LIMIT (SELECT least(:wanted, allowed) FROM lane)
              FOR UPDATE OF w SKIP LOCKED) turn
), due AS (
    SELECT work_item_id, status AS was FROM (SELECT * FROM abandoned UNION ALL SELECT * FROM ready) either
     ORDER BY priority, due_at
     LIMIT (SELECT least(:wanted, allowed) FROM lane)
), taken AS (
    UPDATE work_item w
       SET status = 'in_call', claimed_at = :now, lease_until = :lease_until, engine_id = :engine_id,
           fencing_token = w.fencing_token + 1,
           -- A lease that ran out leaves us not knowing: somebody may have sent and died before noting the answer.
           ask_first = w.ask_first OR w.status = 'in_call',
           unknown_since = CASE WHEN w.status = 'in_call' THEN coalesce(w.unknown_since, w.claimed_at) ELSE w.unknown_since END
     WHERE w.work_item_id = ANY (ARRAY(SELECT work_item_id FROM due))
    RETURNING w.*
), spent AS (
    UPDATE system_state s
       SET tokens = least(s.burst, s.tokens + s.requests_per_s * greatest(0, extract(epoch FROM :now - s.tokens_at))) - (SELECT count(*) FROM taken),
           tokens_at = :now,
           -- The probe through an open breaker goes alone: nobody else asks until it has answered or its lease is over.
           paused_until = CASE WHEN s.breaker = 'open' AND EXISTS (SELECT 1 FROM taken) THEN :lease_until ELSE s.paused_until END
      FROM lane
     WHERE s.system = lane.system
)
SELECT t.work_item_id, t.subject_id, t.flow, t.step, t.system, t.step_since, t.objective_at, t.tries, t.ask_first,
       t.unknown_since, t.claimed_at, t.fencing_token, t.wakes, t.waiting_for, t.facts, t.redrive_id,
       EXISTS (SELECT 1 FROM abandoned a WHERE a.work_item_id = t.work_item_id) AS abandoned, (SELECT is_probe FROM lane) AS is_probe,
       d.document_id, d.document_type, d.correlation_id, d.number, d.title, d.business_unit, d.company_code, d.source_system,
       d.state, d.approval_status, d.posting_status, d.state_since, d.version, d.payload_version, d.currency, d.amount,
       d.group_amount, d.supplier, d.supplier_name, d.requester, d.submitted_at, d.need_by_on, d.due_on, d.source_at, d.closed_at, d.last_event_seq,
       p.canonical::text AS canonical, p.payload_hash,
       (SELECT jsonb_object_agg(i.system || '.' || i.kind, i.external_id) FROM document_identifier i WHERE i.document_id = d.document_id) AS identifiers,
       (SELECT jsonb_object_agg(c.code, jsonb_build_array(c.case_id, c.step)) FROM exception_case c WHERE c.work_item_id = t.work_item_id AND c.closed_at IS NULL) AS open_cases,
       (SELECT jsonb_build_object('case_id', c.case_id, 'code', c.code, 'category', c.category, 'message', c.message,
                                  'owner_team', c.owner_team, 'facts', c.facts, 'status', c.status, 'closed_at', c.closed_at,
                                  'close_reason', c.close_reason, 'closed_by', c.closed_by)
          FROM exception_case c WHERE c.case_id = t.subject_id) AS subject
  FROM taken t
  JOIN document d ON d.document_id = t.document_id AND d.document_id = ANY (ARRAY(SELECT document_id FROM taken))
  LEFT JOIN LATERAL (SELECT canonical, payload_hash FROM document_payload WHERE document_id = d.document_id AND payload_version = d.payload_version OFFSET 0) p ON true
 ORDER BY t.priority, t.due_at, t.work_item_id;

-- name: claim_decisions(wanted, steps, now)
-- Take the oldest due items that are decided here. They are computed and recorded in the same transaction, so the row lock is
-- the claim and a crash puts them back by itself. Documents somebody else holds are left for the next round,
-- and steps that this release does not know (not among :steps) to the later release that began them.
WITH RECURSIVE rank AS (
    (SELECT w.priority FROM work_item w WHERE w.system = 'finsync' AND w.status = 'due' ORDER BY w.priority LIMIT 1)
    UNION ALL
    SELECT (SELECT w.priority FROM work_item w WHERE w.system = 'finsync' AND w.status = 'due' AND w.priority > rank.priority ORDER BY w.priority LIMIT 1)
      FROM rank WHERE rank.priority IS NOT NULL
), ready AS (
    SELECT turn.*
      FROM rank, LATERAL (
           SELECT w.*
             FROM work_item w
            WHERE w.system = 'finsync' AND w.status = 'due' AND w.priority = rank.priority AND w.due_at <= :now
              AND w.flow || '.' || w.step = ANY (:steps)
            ORDER BY w.due_at
            LIMIT :wanted
              FOR UPDATE OF w SKIP LOCKED) turn
), due AS (
    SELECT * FROM ready ORDER BY priority, due_at LIMIT :wanted
), held AS (
    SELECT d.* FROM document d WHERE d.document_id = ANY (ARRAY(SELECT document_id FROM due)) FOR UPDATE OF d SKIP LOCKED
)
SELECT t.work_item_id, t.subject_id, t.flow, t.step, t.system, t.step_since, t.objective_at, t.tries, t.ask_first,
       t.unknown_since, :now AS claimed_at, t.fencing_token, t.wakes, t.waiting_for, t.facts, t.redrive_id, false AS abandoned, false AS is_probe,
       d.document_id, d.document_type, d.correlation_id, d.number, d.title, d.business_unit, d.company_code, d.source_system,
       d.state, d.approval_status, d.posting_status, d.state_since, d.version, d.payload_version, d.currency, d.amount,
       d.group_amount, d.supplier, d.supplier_name, d.requester, d.submitted_at, d.need_by_on, d.due_on, d.source_at, d.closed_at, d.last_event_seq,
       p.canonical::text AS canonical, p.payload_hash, NULL::jsonb AS identifiers,
       (SELECT jsonb_object_agg(c.code, jsonb_build_array(c.case_id, c.step)) FROM exception_case c WHERE c.work_item_id = t.work_item_id AND c.closed_at IS NULL) AS open_cases,
       (SELECT jsonb_build_object('case_id', c.case_id, 'code', c.code, 'category', c.category, 'message', c.message,
                                  'owner_team', c.owner_team, 'facts', c.facts, 'status', c.status, 'closed_at', c.closed_at,
                                  'close_reason', c.close_reason, 'closed_by', c.closed_by)
          FROM exception_case c WHERE c.case_id = t.subject_id) AS subject
  FROM due t
  JOIN held d USING (document_id)
  LEFT JOIN LATERAL (SELECT canonical, payload_hash FROM document_payload WHERE document_id = d.document_id AND payload_version = d.payload_version OFFSET 0) p ON true
 ORDER BY t.priority, t.due_at, t.work_item_id;

-- name: lock_documents(document_id)
-- The documents as they are now, held until the transaction ends, in id order so that two holders never cross. Ours alone: what an
-- imported log tells of is never moved.
SELECT d.document_id, d.document_type, d.correlation_id, d.number, d.title, d.business_unit, d.company_code, d.source_system,
       d.state, d.approval_status, d.posting_status, d.state_since, d.version, d.payload_version, d.currency, d.amount,
       d.group_amount, d.supplier, d.supplier_name, d.requester, d.submitted_at, d.need_by_on, d.due_on, d.source_at, d.closed_at, d.last_event_seq
  FROM document d
 WHERE d.document_id = ANY (:document_id::uuid[]) AND d.source = 'finsync'
 ORDER BY d.document_id
   FOR UPDATE;

-- name: lock_keys(keys)
-- Take turns on things that are no rows (a budget, an order being matched). Keys are locked in order; the schema is part of a
-- key, so that cells do not wait for each other.
SELECT pg_advisory_xact_lock(hashtextextended(current_schema() || ':' || k, 0)) FROM unnest(:keys::text[]) AS k ORDER BY k;

-- name: give_back(work_item_id, fencing_token)!
-- Claimed and not begun: due again at once, for whoever comes.
UPDATE work_item w
   SET status = 'due', lease_until = NULL, engine_id = NULL
  FROM unnest(:work_item_id::uuid[], :fencing_token::bigint[]) AS u(work_item_id, fencing_token)
 WHERE w.work_item_id = u.work_item_id AND w.fencing_token = u.fencing_token AND w.status = 'in_call';

-- name: give_back_intents(document_id, idempotency_key, fencing_token, outcome, now)!
-- What was meant to be done for them was not; unless somebody else has taken them over and means it by now.
UPDATE intent i
   SET outcome = u.outcome, settled_at = CASE WHEN u.outcome <> 'unknown' THEN :now::timestamptz END
  FROM unnest(:document_id::uuid[], :idempotency_key::text[], :fencing_token::bigint[], :outcome::text[]) AS u(document_id, idempotency_key, fencing_token, outcome)
 WHERE i.document_id = u.document_id AND i.idempotency_key = u.idempotency_key AND i.fencing_token = u.fencing_token;

-- name: recover_claims(system, engine_id, held, held_token)
-- Items this engine has claimed without ever hearing of it, because its connection was lost with the answer: nobody has begun
-- anything for them, so they are due again at once. :held and :held_token are the claims it does know of: an item that has been
-- recorded and claimed once more since may be among them under its earlier token.
WITH back AS (
    UPDATE work_item w
       SET status = 'due', lease_until = NULL, engine_id = NULL
     WHERE w.system = :system AND w.status = 'in_call' AND w.engine_id = :engine_id
       AND NOT EXISTS (SELECT FROM unnest(:held::uuid[], :held_token::bigint[]) AS h(work_item_id, fencing_token)
                        WHERE h.work_item_id = w.work_item_id AND h.fencing_token = w.fencing_token)
    RETURNING w.work_item_id, w.document_id, w.fencing_token, w.ask_first
), never_sent AS (
    UPDATE intent i
       SET outcome = CASE WHEN b.ask_first THEN 'unknown' ELSE 'not_sent' END
      FROM back b
     WHERE i.document_id = b.document_id AND i.work_item_id = b.work_item_id AND i.fencing_token = b.fencing_token AND i.outcome = 'open'
)
SELECT work_item_id FROM back;

-- name: held(work_item_id)
-- How these items are held, under which fencing token, and whether their document has got another version meanwhile; as they are
-- until the transaction ends.
SELECT w.work_item_id, w.fencing_token, w.status, w.facts ? 'begins_anew' AS begins_anew
  FROM work_item w
 WHERE w.work_item_id = ANY (:work_item_id::uuid[])
 ORDER BY w.work_item_id
   FOR UPDATE;
