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
