-- What the demo's operations desk sees and asks; used by the demo only.

-- name: cases_to_work_on(now)
-- Open exceptions that somebody should do something about, not under repair and at least two hours old.
SELECT c.case_id, c.version, c.code, c.retryable, c.raised_at
  FROM exception_case c
 WHERE c.closed_at IS NULL AND c.status IN ('open', 'claimed') AND c.raised_at < :now::timestamptz - interval '2 hours' AND c.retryable <> 'auto' AND c.blocks
   AND c.code NOT IN ('price_variance', 'quantity_variance', 'amount_variance', 'date_variance', 'review_refused')
 ORDER BY c.raised_at, c.case_id;

-- name: ask(command_id, actor, roles, action, arguments, reason, now)!
-- A command, as the application would write it.
INSERT INTO command (command_id, actor, roles, action, arguments, reason, asked_at)
VALUES (:command_id, :actor, :roles, :action, :arguments::jsonb, :reason, :now);

-- name: past()^
-- The past that was or is being produced here.
SELECT seed, begins_at, ends_at, reached_at, rests, finished_at FROM produced_past;

-- name: begin_past(seed, begins_at, ends_at)!
-- A past is going to be produced, or gone on with.
INSERT INTO produced_past (seed, begins_at, ends_at, reached_at) VALUES (:seed, :begins_at, :ends_at, :begins_at)
ON CONFLICT (single) DO UPDATE SET rests = false;

-- name: reach_past(reached_at)!
-- It has come this far. The fast clock reads a feed when it knows that there is news, so one that it left alone is as fresh as if it
-- had been read.
WITH fresh AS (UPDATE feed_state SET last_success_at = greatest(last_success_at, :reached_at) WHERE consecutive_failures = 0 AND last_success_at IS NOT NULL)
UPDATE produced_past SET reached_at = :reached_at;

-- name: rest_past(reached_at)!
-- It was stopped in good order: company and books agree, and it can be gone on with.
UPDATE produced_past SET reached_at = :reached_at, rests = true;

-- name: finish_past(finished_at)!
-- It is complete; from here on time is real.
UPDATE produced_past SET reached_at = ends_at, rests = false, finished_at = :finished_at;

-- name: any_document()
-- Whether the cell holds anything at all.
SELECT document_id FROM document LIMIT 1;
