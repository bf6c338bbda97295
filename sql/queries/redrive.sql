-- Reprocessings: what is in them, and sending it wave after wave.

-- name: insert_redrive(redrive_id, asked_by, now, action, state, reason_code, reason, scope, item_count, group_amount, canary_size, wave_size, per_minute, halt_percent)!
-- A reprocessing. An engine looks at it at once, unless a second person has to agree first.
INSERT INTO redrive (redrive_id, asked_by, asked_at, action, state, state_by, state_at, reason_code, reason, scope, item_count, group_amount,
                     canary_size, wave_size, per_minute, halt_percent, next_wave_at, look_at)
VALUES (:redrive_id, :asked_by, :now, :action, :state, :asked_by, :now, :reason_code, :reason, :scope, :item_count, :group_amount,
        :canary_size, :wave_size, :per_minute, :halt_percent, :now, :now);

-- name: insert_items(redrive_id, case_id, document_id, work_item_id, case_version, place, cause, status, result, business_unit, now)!
-- What is in it: frozen here, whatever matches the same words later.
INSERT INTO redrive_item (redrive_id, case_id, document_id, work_item_id, case_version, place, cause, wave, status, result, business_unit, updated_at)
SELECT :redrive_id, u.case_id, u.document_id, u.work_item_id, u.case_version, u.place, u.cause, 0, u.status, u.result, u.business_unit, :now
  FROM unnest(:case_id::uuid[], :document_id::uuid[], :work_item_id::uuid[], :case_version::int[], :place::int[], :cause::text[], :status::text[],
              :result::text[], :business_unit::text[])
       AS u(case_id, document_id, work_item_id, case_version, place, cause, status, result, business_unit);

-- name: to_look_at(wanted, now)
-- Running reprocessings whose moment has come, held until the transaction ends; another engine takes the others.
SELECT redrive_id, action, canary_size, wave_size, per_minute, halt_percent, wave, judged_from, next_wave_at
  FROM redrive
 WHERE state = 'running' AND finished_at IS NULL AND look_at <= :now
 ORDER BY look_at, redrive_id LIMIT :wanted
   FOR UPDATE SKIP LOCKED;

-- name: lock(redrive_id)
-- One reprocessing, held until the transaction ends.
SELECT redrive_id, asked_by, action, state, state_by, state_at, item_count, canary_size, wave_size, per_minute, halt_percent, wave, judged_from,
       next_wave_at, finished_at, reason
  FROM redrive WHERE redrive_id = :redrive_id
   FOR UPDATE;

-- name: units_of(redrive_id)
-- The business units it is about.
SELECT DISTINCT business_unit FROM redrive_item WHERE redrive_id = :redrive_id;

-- name: standing(redrive_id, judged_from)
-- How far it has come, cause by cause. Asked once the reprocessing is held, so that no news of an item is missed. Refusals count from
-- the wave from which it is judged.
SELECT cause, count(*) FILTER (WHERE status = 'waiting') AS waiting,
       count(*) FILTER (WHERE status IN ('queued', 'sent', 'accepted')) AS under_way,
       count(*) FILTER (WHERE status = 'verified' AND wave >= :judged_from) AS verified,
       count(*) FILTER (WHERE status = 'refused' AND wave >= :judged_from) AS refused
  FROM redrive_item WHERE redrive_id = :redrive_id
 GROUP BY cause ORDER BY min(place);

-- name: next_items(redrive_id, held_back, seen, canary_size, wave, many)
-- Whose turn it is, with their cases as they are now: nothing of the causes that are held back, and of those of which nothing has been
-- seen to work no more in this wave than the first few.
WITH sent AS MATERIALIZED (
    SELECT cause, count(*) AS n FROM redrive_item WHERE redrive_id = :redrive_id AND wave = :wave AND sent_at IS NOT NULL GROUP BY cause
)
SELECT n.case_id, n.document_id, n.work_item_id, c.message_id, c.status AS case_status, c.closed_at
  FROM (SELECT i.*, row_number() OVER (PARTITION BY i.cause ORDER BY i.place) + coalesce(s.n, 0) AS turn
          FROM redrive_item i LEFT JOIN sent s USING (cause)
         WHERE i.redrive_id = :redrive_id AND i.status = 'waiting' AND NOT i.cause = ANY (:held_back::text[])) n
  JOIN exception_case c USING (case_id)
 WHERE n.cause = ANY (:seen::text[]) OR n.turn <= :canary_size
 ORDER BY n.place LIMIT :many;

-- name: release_work(work_item_id, redrive_id, now)
-- Let parked or waiting items go on now, looking before they send. Returns those that could; one that somebody works on right
-- now is not waited for.
UPDATE work_item w
   SET status = 'due', due_at = :now, tries = 0, ask_first = true, redrive_id = :redrive_id, waiting_for = ''
  FROM (SELECT f.work_item_id FROM work_item f
         WHERE f.work_item_id = ANY (:work_item_id::uuid[]) AND f.status IN ('parked', 'due') FOR UPDATE SKIP LOCKED) free
 WHERE w.work_item_id = free.work_item_id
RETURNING w.work_item_id;

-- name: note_items(redrive_id, case_id, status, result, wave, now)!
-- What has become of items whose turn has come.
UPDATE redrive_item i
   SET status = u.status, result = u.result, wave = :wave, updated_at = :now, sent_at = CASE WHEN u.status = 'queued' THEN :now ELSE i.sent_at END
  FROM unnest(:case_id::uuid[], :status::text[], :result::text[]) AS u(case_id, status, result)
 WHERE i.redrive_id = :redrive_id AND i.case_id = u.case_id;

-- name: sweep(redrive_id, now)!
-- Items under way whose work has been taken out of this reprocessing by something else: the document's end, a new version of it, a
-- case that closed by itself. Nobody would ever tell of them again.
UPDATE redrive_item i
   SET status = CASE WHEN c.close_reason IN ('fixed', 'adopted', 'self_cured') THEN 'verified' ELSE 'skipped' END, updated_at = :now,
       result = CASE WHEN c.close_reason IN ('fixed', 'adopted', 'self_cured') THEN 'Settled by something else meanwhile.'
                     ELSE 'Something else has changed the document meanwhile.' END
  FROM exception_case c, work_item w
 WHERE i.redrive_id = :redrive_id AND i.status IN ('queued', 'sent', 'accepted') AND c.case_id = i.case_id AND w.work_item_id = i.work_item_id
   AND w.status <> 'in_call' AND (w.redrive_id IS DISTINCT FROM i.redrive_id OR w.status IN ('done', 'cancelled'));

-- name: advance(redrive_id, wave, next_wave_at, look_at)!
-- A wave has been sent, or there is nothing to do before `look_at`.
UPDATE redrive SET wave = :wave, next_wave_at = :next_wave_at, look_at = :look_at WHERE redrive_id = :redrive_id;

-- name: steer(redrive_id, state, because, by, judged_from, now)!
-- It is paused, halted, cancelled or goes on.
UPDATE redrive
   SET state = :state, state_because = :because, state_by = :by, state_at = :now, judged_from = :judged_from, look_at = greatest(next_wave_at, :now)
 WHERE redrive_id = :redrive_id;

-- name: confirm(redrive_id, confirmed_by, now)!
-- A second person has agreed.
UPDATE redrive
   SET confirmed_by = :confirmed_by, confirmed_at = :now, state = 'running', state_by = :confirmed_by, state_at = :now, next_wave_at = :now, look_at = :now
 WHERE redrive_id = :redrive_id;

-- name: drop_waiting(redrive_id, result, now)
-- What has not been sent is not sent any more. Returns the cases.
UPDATE redrive_item SET status = 'skipped', result = :result, updated_at = :now
 WHERE redrive_id = :redrive_id AND status = 'waiting'
RETURNING case_id;

-- name: queue_cases(case_id)!
-- Cases whose repair is under way.
UPDATE exception_case SET status = 'queued', version = version + 1 WHERE case_id = ANY (:case_id::uuid[]) AND closed_at IS NULL;

-- name: give_cases_back(case_id)!
-- Cases whose turn did not come: they stand as they did before.
UPDATE exception_case SET status = CASE WHEN owner IS NULL THEN 'open' ELSE 'claimed' END, version = version + 1
 WHERE case_id = ANY (:case_id::uuid[]) AND closed_at IS NULL AND status = 'queued';

-- name: of_messages(message_id)
-- Open reprocessings of these messages.
SELECT i.redrive_id, i.case_id, c.message_id FROM redrive_item i JOIN exception_case c USING (case_id)
 WHERE c.message_id = ANY (:message_id::uuid[]) AND i.status IN ('queued', 'sent', 'accepted');

-- name: people_of(redrive_id, procurement)
-- Whoever asked for the documents in it, and whoever decided about them, as they are called where they did (D07).
SELECT DISTINCT p.canonical->'requester'->>'user' AS login, coalesce(p.canonical->'requester'->>'email', '') AS email, :procurement::text AS system
  FROM redrive_item i
  JOIN document d ON d.document_id = i.document_id
  JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
 WHERE i.redrive_id = :redrive_id AND p.canonical->'requester'->>'user' IS NOT NULL
UNION
SELECT DISTINCT person->>'user', coalesce(person->>'email', ''), coalesce(p.canonical->>'system', :procurement::text)
  FROM redrive_item i
  JOIN document d ON d.document_id = i.document_id
  JOIN document a ON a.correlation_id = d.correlation_id AND a.document_type = 'approval'
  JOIN document_payload p ON p.document_id = a.document_id AND p.payload_version = a.payload_version
 CROSS JOIN LATERAL (VALUES (p.canonical->'approver'), (p.canonical->'decided_by')) AS who(person)
 WHERE i.redrive_id = :redrive_id AND person->>'user' IS NOT NULL;
