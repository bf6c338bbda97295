-- What people ask for, and carrying it out.

-- name: ask(command_id, actor, roles, action, arguments, reason, business_unit, now)!
-- Ask once: a second click, a refresh or the way back asks with the same id and changes nothing.
INSERT INTO command (command_id, actor, roles, action, arguments, reason, business_unit, asked_at)
VALUES (:command_id, :actor, :roles, :action, :arguments::jsonb, :reason, :business_unit, :now)
ON CONFLICT (command_id) DO NOTHING;

-- name: answer(command_id)
-- What became of it.
SELECT status, result, settled_at FROM command WHERE command_id = :command_id;

-- name: claim_commands(wanted)
-- The oldest commands nobody has carried out, held until the transaction ends, with the asker's rights as they are now.
SELECT c.command_id, c.actor, c.action, c.arguments, c.reason, c.asked_at, u.roles, u.units, u.is_active
  FROM command c LEFT JOIN app_user u ON u.user_id = c.actor
 WHERE c.status = 'asked' ORDER BY c.asked_at, c.command_id LIMIT :wanted FOR UPDATE OF c SKIP LOCKED;

-- name: settle_command(command_id, status, result, business_unit, now)!
-- What became of a command.
UPDATE command SET status = :status, result = :result::jsonb, business_unit = :business_unit, settled_at = :now WHERE command_id = :command_id;

-- name: concerned(case_id)
-- The documents and work items behind cases, which never change.
SELECT coalesce(array_agg(DISTINCT document_id) FILTER (WHERE document_id IS NOT NULL), '{}') AS documents,
       coalesce(array_agg(DISTINCT work_item_id) FILTER (WHERE work_item_id IS NOT NULL), '{}') AS work_items
  FROM exception_case WHERE case_id = ANY (:case_id::uuid[]);

-- name: lock_cases(case_id)
-- Hold the cases a command is about until the transaction ends, in id order so that two holders never cross.
SELECT case_id FROM exception_case WHERE case_id = ANY (:case_id::uuid[]) ORDER BY case_id FOR UPDATE;

-- name: cases(case_id)
-- The cases a command is about, with their documents and work. Asked once they are held: who holds them first is seen by the next.
SELECT c.case_id, c.document_id, c.message_id, c.work_item_id, c.flow, c.step, c.code, c.retryable, c.status, c.blocks, c.owner, c.business_unit,
       c.group_amount, c.due_on, c.version, c.closed_at, c.number, c.message, c.fingerprint, d.requester, d.source_system, d.state,
       coalesce(p.canonical->'requester'->>'email', '') AS requester_email, w.status AS work_status, c.facts,
       (SELECT r.asked_by || ' at ' || to_char(r.asked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC'
          FROM redrive_item i JOIN redrive r USING (redrive_id)
         WHERE i.case_id = c.case_id AND i.status IN ('waiting', 'queued', 'sent', 'accepted') LIMIT 1) AS being_reprocessed_by
  FROM exception_case c
  LEFT JOIN work_item w ON w.work_item_id = c.work_item_id
  LEFT JOIN document d ON d.document_id = c.document_id
  LEFT JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
 WHERE c.case_id = ANY (:case_id::uuid[])
 ORDER BY c.case_id;

-- name: accept_for_work(work_item_id, code)!
-- A person has accepted what a rule objects to.
UPDATE work_item w
   SET facts = jsonb_set(w.facts, '{accepted}', coalesce(w.facts->'accepted', '[]') || to_jsonb(:code::text))
 WHERE w.work_item_id = :work_item_id;

-- name: own_case(case_id, owner, now)!
-- Somebody takes a case on.
UPDATE exception_case SET owner = :owner, status = CASE WHEN status = 'open' THEN 'claimed' ELSE status END, last_seen_at = :now, version = version + 1
 WHERE case_id = :case_id AND closed_at IS NULL;

-- name: end_parked_work(work_item_id, now)!
-- Work that is put aside and will not be repeated.
UPDATE work_item SET status = 'cancelled', finished_at = :now WHERE work_item_id = :work_item_id AND status = 'parked';

-- name: cancellation_of(document_id)
-- Whether an order is being taken back already; one that was given up may be asked for again.
SELECT status FROM work_item
 WHERE document_id = :document_id AND flow = 'order_cancellation' AND subject_id IS NULL AND status <> 'cancelled';

-- name: restart_cancellation(document_id, facts, system, objective_at, now)
-- A cancellation that was given up is asked for again: it begins anew. Returns it where there was one.
UPDATE work_item
   SET status = 'due', step = 'check_cancellable', system = :system, due_at = :now, step_since = :now, objective_at = :objective_at, tries = 0, ask_first = false,
       unknown_since = NULL, waiting_for = '', facts = :facts::jsonb, finished_at = NULL, wakes = wakes + 1
 WHERE document_id = :document_id AND flow = 'order_cancellation' AND subject_id IS NULL AND status = 'cancelled'
RETURNING work_item_id;

-- name: leave_out(exclusion_id, objective, business_unit, starts_at, ends_at, weekday, from_time, to_time, time_zone, reason, author, now)!
-- Deadlines no longer count towards an objective.
INSERT INTO objective_exclusion (exclusion_id, objective, business_unit, starts_at, ends_at, weekday, from_time, to_time, time_zone, reason, author, written_at)
VALUES (:exclusion_id, :objective, :business_unit, :starts_at, :ends_at, :weekday, :from_time, :to_time, :time_zone, :reason, :author, :now);

-- name: lock_exclusion(exclusion_id)
-- One exclusion, held until the transaction ends.
SELECT business_unit, withdrawn_at, withdrawn_by FROM objective_exclusion WHERE exclusion_id = :exclusion_id FOR UPDATE;

-- name: count_again(exclusion_id, actor, now)!
-- What was left out counts again.
UPDATE objective_exclusion SET withdrawn_at = :now, withdrawn_by = :actor WHERE exclusion_id = :exclusion_id;

-- name: is_known(objective, business_unit)
-- Whether an objective and a business unit exist; empty names stand for all of them.
SELECT :objective = '' OR EXISTS (SELECT 1 FROM objective WHERE name = :objective) AS objective_is,
       :business_unit = '' OR EXISTS (SELECT 1 FROM business_unit WHERE code = :business_unit) AS unit_is;

-- name: pair_of_invoices(document_id)
-- Two invoices that a verdict is about.
SELECT document_id, business_unit, state FROM document WHERE document_id = ANY (:document_id::uuid[]) AND document_type = 'invoice' AND source = 'finsync';

-- name: put_verdict(verdict_id, document_id, other_id, pattern, verdict, reason, author, business_unit, now)!
-- What somebody says of two invoices that look alike.
INSERT INTO duplicate_verdict (verdict_id, document_id, other_id, pattern, verdict, reason, author, decided_at, business_unit)
VALUES (:verdict_id, :document_id, :other_id, :pattern, :verdict, :reason, :author, :now, :business_unit);

-- name: duplicate_case(document_id, other_id)
-- The open exceptions of two invoices one of which may be one too many: it was the other that was stopped, where the first of the two
-- came last.
SELECT case_id, version FROM exception_case WHERE document_id IN (:document_id, :other_id) AND code = 'duplicate_invoice' AND closed_at IS NULL ORDER BY case_id;
