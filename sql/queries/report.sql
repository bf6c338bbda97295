-- What the pages ask. :units limits to business units beside what the session may see (NULL: all it may see). :as_of is the
-- time of the question, :since and :until the period, the end exclusive. Amounts are in group currency unless said otherwise.

-- name: watermark()$
-- The newest recording: whatever a page showed after it is still true.
SELECT recording_id FROM recording ORDER BY recording_id DESC LIMIT 1;

-- name: units()
-- Business units this session may see.
SELECT code, name, country, currency, company_code, calendar, time_zone FROM business_unit
 WHERE session_sees_all() OR code = ANY (session_units()) ORDER BY code;

-- name: freshness(as_of)
-- Each feed with its watermark, its age in seconds, and whether it has been silent for longer than it may.
SELECT f.system, s.title, f.feed, f.complete_until, f.last_success_at, f.last_error, f.consecutive_failures,
       extract(epoch FROM :as_of - f.last_success_at) AS age_s, f.silent_after_s,
       coalesce(f.last_success_at < :as_of - make_interval(secs => f.silent_after_s::double precision), true) AS is_stale
  FROM feed_state f JOIN system_state s USING (system)
 ORDER BY f.system, f.feed;

-- name: finality_gap(units, as_of)
-- Count, value and age in hours of the oldest of everything approved and not accepted, by business unit.
SELECT business_unit, count(*) AS documents, coalesce(sum(group_amount), 0) AS value,
       max(extract(epoch FROM :as_of - coalesce(approved_at, state_since)) / 3600) AS oldest_h
  FROM finality_gap
 WHERE :units::text[] IS NULL OR business_unit = ANY (:units::text[])
 GROUP BY business_unit ORDER BY value DESC;

-- name: flow_by_day(units, since, until)
-- Per day: requisitions submitted and ordered, invoices received and ready for payment, exceptions raised and closed.
SELECT day::date AS day,
       (SELECT count(*) FROM document d WHERE d.document_type = 'requisition' AND d.submitted_at >= day AND d.submitted_at < day + interval '1 day' AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))) AS submitted,
       (SELECT count(*) FROM document d WHERE d.document_type = 'requisition' AND d.state = 'ordered' AND d.closed_at >= day AND d.closed_at < day + interval '1 day' AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))) AS ordered,
       (SELECT count(*) FROM document d WHERE d.document_type = 'invoice' AND d.submitted_at >= day AND d.submitted_at < day + interval '1 day' AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))) AS invoiced,
       (SELECT count(*) FROM exception_case c WHERE c.raised_at >= day AND c.raised_at < day + interval '1 day' AND (:units::text[] IS NULL OR c.business_unit = ANY (:units::text[]))) AS raised,
       (SELECT count(*) FROM exception_case c WHERE c.closed_at >= day AND c.closed_at < day + interval '1 day' AND (:units::text[] IS NULL OR c.business_unit = ANY (:units::text[]))) AS closed
  FROM generate_series(date_trunc('day', :since::timestamptz), :until::timestamptz - interval '1 second', interval '1 day') AS day
 ORDER BY day;

-- name: cycle_times(units, since, until)
-- Requisitions ordered in the period, with wall and business seconds from first submit to the order, and to posting where reached.
SELECT document_id, number, business_unit, requester, supplier_name, group_amount, submitted_at, approved_at, ordered_at, posted_at,
       to_approved_s, to_ordered_s, to_ordered_business_s, to_posted_s, to_posted_business_s
  FROM cycle_time
 WHERE ordered_at >= :since AND ordered_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 ORDER BY ordered_at;

-- name: cycle_time_by_week(units, since, until, clock)
-- Percentiles of first submit to order, of requisitions ordered in each week, by business unit; the row without a unit is all of
-- them. Seconds of the :clock ("wall" or "business").
SELECT date_trunc('week', ordered_at)::date AS week, business_unit, count(*) AS n,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY s) AS p50_s, percentile_cont(0.85) WITHIN GROUP (ORDER BY s) AS p85_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY s) AS p95_s
  FROM (SELECT *, CASE :clock WHEN 'wall' THEN to_ordered_s ELSE to_ordered_business_s END AS s FROM cycle_time) c
 WHERE ordered_at >= :since AND ordered_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY GROUPING SETS ((1), (1, 2)) ORDER BY week, business_unit NULLS FIRST;

-- name: cycle_time_cohort(units, since, until)
-- Requisitions submitted in the period: how many, how many of them are ordered, ended otherwise, or still under way.
SELECT business_unit, count(*) AS submitted, count(ordered_at) AS ordered,
       count(*) FILTER (WHERE ordered_at IS NULL AND closed_at IS NOT NULL) AS ended_otherwise,
       count(*) FILTER (WHERE ordered_at IS NULL AND closed_at IS NULL) AS under_way
  FROM cycle_time
 WHERE submitted_at >= :since AND submitted_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY business_unit ORDER BY business_unit;

-- name: stage_times(units, since, until, document_type, clock)
-- How long stays in each stage took that ended in the period: number of stays and documents, percentiles in seconds of the :clock.
SELECT stage, count(*) AS stays, count(DISTINCT document_id) AS documents,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY s) AS p50_s, percentile_cont(0.85) WITHIN GROUP (ORDER BY s) AS p85_s,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY s) AS p95_s, sum(s) AS total_s
  FROM (SELECT *, CASE :clock WHEN 'wall' THEN wall_s ELSE business_s END AS s FROM stage_time) t
 WHERE document_type = :document_type AND left_at >= :since AND left_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY stage ORDER BY total_s DESC;

-- name: stuck(units, document_types, as_of, peers_since)
-- Everything open, with its business age in its present stage against the stays its peers (same type and stage) ended since
-- :peers_since. level: stuck (over their P95, past the step's objective, or blocked by an exception), watch (over P85), else moving.
-- Stages that wait for something outside by agreement (goods until the need-by date, payment until the due date) are stuck only
-- when that date has passed.
WITH peer AS (
    SELECT document_type, stage, count(*) AS n, percentile_cont(ARRAY[0.5, 0.85, 0.95]) WITHIN GROUP (ORDER BY business_s) AS p
      FROM stage_time WHERE left_at >= :peers_since GROUP BY document_type, stage
), aged AS (
    SELECT o.*, business_s(o.calendar, o.state_since, :as_of) AS age_business_s, extract(epoch FROM :as_of - o.state_since) AS age_wall_s,
           p.n AS peers, p.p[1] AS peer_p50_s, p.p[2] AS peer_p85_s, p.p[3] AS peer_p95_s,
           CASE WHEN o.reason IN ('waiting for goods') THEN o.need_by_on < :as_of::date
                WHEN o.reason = 'waiting for payment' THEN o.due_on < :as_of::date
                WHEN o.reason = 'waiting for the invoice' THEN business_s(o.calendar, o.state_since, :as_of) > 20 * 8 * 3600 END AS agreed_date_passed
      FROM open_document o
      LEFT JOIN peer p ON p.document_type = o.document_type AND p.stage = o.state AND p.n >= 30
     WHERE o.document_type = ANY (:document_types::text[]) AND (:units::text[] IS NULL OR o.business_unit = ANY (:units::text[]))
)
SELECT document_id, document_type, number, title, business_unit, supplier_name, requester, state, approval_status, posting_status, currency, amount, group_amount,
       state_since, need_by_on, due_on, step, system, waiting_for, objective_at, tries, case_id, case_code, case_category, case_message, case_version, owner_team, owner,
       reason, age_business_s, age_wall_s, peers, peer_p50_s, peer_p85_s, peer_p95_s,
       CASE WHEN agreed_date_passed IS NOT NULL AND case_id IS NULL THEN CASE WHEN agreed_date_passed THEN 'stuck' ELSE 'moving' END
            WHEN case_id IS NOT NULL THEN 'stuck'
            WHEN peer_p95_s IS NOT NULL AND age_business_s > peer_p95_s AND age_business_s > 3600 THEN 'stuck'
            WHEN objective_at < :as_of THEN 'stuck'
            WHEN peer_p85_s IS NOT NULL AND age_business_s > peer_p85_s AND age_business_s > 1800 THEN 'watch'
            ELSE 'moving' END AS level
  FROM aged
 ORDER BY CASE WHEN case_id IS NOT NULL THEN 0 ELSE 1 END, group_amount DESC NULLS LAST, document_id;

-- name: exception_rate_by_unit(units, since, until, document_types)
-- Documents that entered in the period and how many of them ever met an exception, by business unit, in count and value.
SELECT d.business_unit, count(*) AS entered, count(*) FILTER (WHERE x.document_id IS NOT NULL) AS with_exception,
       coalesce(sum(d.group_amount), 0) AS value, coalesce(sum(d.group_amount) FILTER (WHERE x.document_id IS NOT NULL), 0) AS value_with_exception
  FROM document d
  LEFT JOIN (SELECT DISTINCT document_id FROM exception_case) x USING (document_id)
 WHERE d.document_type = ANY (:document_types::text[]) AND d.submitted_at >= :since AND d.submitted_at < :until AND NOT d.is_test
   AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
 GROUP BY d.business_unit ORDER BY d.business_unit;

-- name: exceptions_by_week(units, since, until)
-- Exceptions raised per week and category, how many of them are closed, and how many cured themselves.
SELECT date_trunc('week', raised_at)::date AS week, category, count(*) AS raised, count(closed_at) AS closed,
       count(*) FILTER (WHERE close_reason = 'self_cured') AS self_cured, coalesce(sum(group_amount), 0) AS value
  FROM exception_case
 WHERE raised_at >= :since AND raised_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY 1, 2 ORDER BY 1, 2;

-- name: exception_causes(units, since, until)
-- Causes of the exceptions raised in the period: same kind, system and master data behind it. Most frequent first.
SELECT fingerprint, code, category, system, count(*) AS raised, count(*) FILTER (WHERE closed_at IS NULL) AS open, count(DISTINCT document_id) AS documents,
       coalesce(sum(group_amount), 0) AS value, min(raised_at) AS first_seen, max(last_seen_at) AS last_seen,
       count(*) FILTER (WHERE close_reason = 'self_cured') AS self_cured,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM closed_at - raised_at)) FILTER (WHERE closed_at IS NOT NULL) AS p50_to_close_s
  FROM exception_case
 WHERE raised_at >= :since AND raised_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY fingerprint, code, category, system ORDER BY raised DESC, value DESC;

-- name: technical_failures(units, since, until)
-- Attempts and failed attempts by system: never mixed with exceptions, which are about documents.
SELECT system, count(*) AS attempts, count(*) FILTER (WHERE outcome IN ('not_sent', 'unknown', 'failed')) AS failed
  FROM attempt
 WHERE recorded_at >= :since AND recorded_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]) OR business_unit = '')
 GROUP BY system ORDER BY system;

-- name: open_exceptions(units, categories, codes, owner_teams, fingerprint, redrive_id, as_of)
-- The queue: open exceptions, most urgent money first. urgency falls with the business days left to the nearest date.
SELECT e.case_id, e.version, e.document_id, e.number, e.document_type, e.title, e.business_unit, e.supplier_name, e.requester, e.category, e.code, e.origin, e.retryable,
       e.fingerprint, e.system, e.flow, e.step, e.message, e.currency, e.amount, e.group_amount, e.due_on, e.status, e.blocks, e.owner_team, e.owner,
       e.raised_at, e.occurrences, e.state, e.approval_status, e.posting_status,
       extract(epoch FROM :as_of - e.raised_at) AS age_s, business_s(e.calendar, e.raised_at, :as_of) AS age_business_s,
       e.due_on - :as_of::date AS days_left,
       coalesce(e.group_amount, 0) / greatest(1, coalesce(e.due_on - :as_of::date, 10) + 1) AS priority
  FROM exception e
 WHERE e.closed_at IS NULL
   AND (:units::text[] IS NULL OR e.business_unit = ANY (:units::text[]))
   AND (:categories::text[] IS NULL OR e.category = ANY (:categories::text[]))
   AND (:codes::text[] IS NULL OR e.code = ANY (:codes::text[]))
   AND (:owner_teams::text[] IS NULL OR e.owner_team = ANY (:owner_teams::text[]))
   AND (:fingerprint::text IS NULL OR e.fingerprint = :fingerprint::text)
   AND (:redrive_id::uuid IS NULL OR EXISTS (SELECT 1 FROM redrive_item i WHERE i.redrive_id = :redrive_id::uuid AND i.case_id = e.case_id))
 ORDER BY priority DESC, e.raised_at, e.case_id;

-- name: closed_today(units, as_of)^
-- What was closed in the last 24 hours, and how much of it by itself.
SELECT count(*) AS closed, count(*) FILTER (WHERE close_reason = 'self_cured') AS self_cured
  FROM exception_case
 WHERE closed_at >= :as_of::timestamptz - interval '1 day' AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]));

-- name: case_history(case_id)
-- What was done about a case, in order.
SELECT happened_at, actor, action, comment, details FROM case_event WHERE case_id = :case_id ORDER BY happened_at, case_event_id;

-- name: redrives(limit)
-- Reprocessings, newest first, with how far their items have come.
SELECT r.redrive_id, r.asked_by, r.asked_at, r.reason_code, r.reason, r.scope, r.item_count, r.group_amount, r.finished_at,
       count(*) FILTER (WHERE i.status = 'verified') AS verified, count(*) FILTER (WHERE i.status IN ('queued', 'sent', 'accepted')) AS under_way,
       count(*) FILTER (WHERE i.status = 'refused') AS refused, count(*) FILTER (WHERE i.status = 'skipped') AS skipped
  FROM redrive r JOIN redrive_item i USING (redrive_id)
 GROUP BY r.redrive_id ORDER BY r.asked_at DESC LIMIT :limit;

-- name: redrive_items(redrive_id)
-- The items of a reprocessing, each with its result.
SELECT i.case_id, i.document_id, c.number, c.document_type, c.business_unit, c.currency, c.amount, i.status, i.result, i.updated_at
  FROM redrive_item i JOIN exception_case c USING (case_id)
 WHERE i.redrive_id = :redrive_id ORDER BY i.status, c.number;

-- name: slo_now(units, as_of)
-- Each objective over its rolling window: documents whose deadline fell in it, how many were good, the share, the budget left,
-- and the share of bad ones in the last hour, six hours, day and three days. No documents: NULL, not 100 %.
WITH e AS (
    SELECT *, good_at IS NOT NULL AND good_at <= deadline_at AS good
      FROM slo_event WHERE deadline_at <= :as_of AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
)
SELECT o.name AS objective, o.title, o.owner_team, o.target, o.window_days, o.clock, o.threshold_s,
       count(e.document_id) AS due, count(*) FILTER (WHERE e.good) AS good, count(*) FILTER (WHERE NOT e.good) AS bad,
       avg(e.good::int) AS attained,
       1 - count(*) FILTER (WHERE NOT e.good) / nullif((1 - o.target) * count(e.document_id), 0) AS budget_left,
       avg((NOT e.good)::int) FILTER (WHERE e.deadline_at > :as_of - interval '1 hour') / (1 - o.target) AS burn_1h,
       avg((NOT e.good)::int) FILTER (WHERE e.deadline_at > :as_of - interval '6 hours') / (1 - o.target) AS burn_6h,
       avg((NOT e.good)::int) FILTER (WHERE e.deadline_at > :as_of - interval '1 day') / (1 - o.target) AS burn_1d,
       avg((NOT e.good)::int) FILTER (WHERE e.deadline_at > :as_of - interval '3 days') / (1 - o.target) AS burn_3d
  FROM objective o
  LEFT JOIN e ON e.objective = o.name AND e.deadline_at > :as_of - make_interval(days => o.window_days)
 GROUP BY o.name ORDER BY budget_left NULLS LAST, o.name;

-- name: slo_by_day(objective, units, since, until)
-- One objective by the day on which deadlines fell.
SELECT deadline_at::date AS day, count(*) AS due, count(*) FILTER (WHERE good_at <= deadline_at) AS good
  FROM slo_event
 WHERE objective = :objective AND deadline_at >= :since AND deadline_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY 1 ORDER BY 1;

-- name: slo_bad(objective, units, since, until)
-- Documents that missed an objective, latest deadline first.
SELECT document_id, number, business_unit, group_amount, started_at, deadline_at, good_at,
       extract(epoch FROM coalesce(good_at, :until) - deadline_at) AS late_s
  FROM slo_event
 WHERE objective = :objective AND deadline_at >= :since AND deadline_at < :until AND (good_at IS NULL OR good_at > deadline_at)
   AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 ORDER BY deadline_at DESC;

-- name: invoice_risk(units, as_of, days)
-- Invoices not yet ready for payment whose due date is near or past, most money first.
SELECT d.document_id, d.number, d.supplier_name, d.business_unit, d.currency, d.amount, d.group_amount, d.due_on, d.due_on - :as_of::date AS days_left,
       o.reason, o.case_id, o.case_message, o.owner_team
  FROM document d JOIN open_document o USING (document_id)
 WHERE d.document_type = 'invoice' AND d.state NOT IN ('payment_ready', 'cleared') AND d.due_on <= :as_of::date + :days::int
   AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
 ORDER BY d.group_amount DESC;

-- name: alerts(units)
-- Open alerts, most money first.
SELECT a.alert_id, a.rule, a.severity, a.state, a.message, a.owner_team, a.group_amount, a.business_unit, a.fired_at, a.acknowledged_by, a.deadline_on, a.document_id, d.number
  FROM alert a JOIN document d USING (document_id)
 WHERE a.resolved_at IS NULL AND (:units::text[] IS NULL OR a.business_unit = ANY (:units::text[]))
 ORDER BY a.state DESC, a.group_amount DESC NULLS LAST;

-- name: systems(as_of)
-- Every connected system with its last good contact, its limits and what waits for it.
SELECT s.system, s.role, s.title, s.breaker, s.breaker_since, s.paused_until, s.consecutive_failures, s.last_success_at, s.last_failure_at, s.last_error,
       s.requests_per_s, s.quota_limit, s.quota_remaining, s.quota_reset_at,
       coalesce(w.waiting, 0) AS waiting, coalesce(w.value, 0) AS waiting_value, w.oldest_at, coalesce(w.due_soon, 0) AS waiting_due_soon, coalesce(w.in_call, 0) AS in_call
  FROM system_state s
  LEFT JOIN (SELECT i.system, count(*) FILTER (WHERE i.status = 'due' AND i.due_at <= :as_of OR i.tries > 0) AS waiting, count(*) FILTER (WHERE i.status = 'in_call') AS in_call,
                    sum(d.group_amount) FILTER (WHERE i.status = 'due' AND i.due_at <= :as_of OR i.tries > 0) AS value,
                    min(i.step_since) FILTER (WHERE i.status = 'due' AND i.due_at <= :as_of OR i.tries > 0) AS oldest_at,
                    count(*) FILTER (WHERE (i.status = 'due' AND i.due_at <= :as_of OR i.tries > 0) AND coalesce(d.due_on, d.need_by_on) <= :as_of::date + 2) AS due_soon
               FROM work_item i JOIN document d USING (document_id) WHERE i.status IN ('due', 'in_call') GROUP BY i.system) w USING (system)
 ORDER BY s.system;

-- name: operations(since, until)
-- Each system's operations in the period: how often, how they ended, how long they took.
SELECT system, operation, count(*) AS attempts, count(*) FILTER (WHERE outcome IN ('done', 'adopted', 'absent', 'waiting')) AS succeeded,
       count(*) FILTER (WHERE outcome = 'refused') AS refused, count(*) FILTER (WHERE outcome IN ('not_sent', 'unknown', 'failed')) AS failed,
       count(*) FILTER (WHERE http_status = 429) AS throttled, count(*) FILTER (WHERE try_number > 1) AS repeats, max(recorded_at) AS last_at,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) AS p50_ms, percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) AS p95_ms,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_ms) AS p99_ms
  FROM attempt WHERE recorded_at >= :since AND recorded_at < :until
 GROUP BY system, operation ORDER BY system, failed DESC, operation;

-- name: calls_by_hour(since, until)
-- Attempts by system and hour, and how many failed.
SELECT system, date_trunc('hour', recorded_at) AS hour, count(*) AS attempts, count(*) FILTER (WHERE outcome IN ('not_sent', 'unknown', 'failed')) AS failed
  FROM attempt WHERE recorded_at >= :since AND recorded_at < :until
 GROUP BY system, hour ORDER BY system, hour;

-- name: inbound_by_outcome(since, until)
-- Messages taken in during the period, by what became of them.
SELECT m.system, coalesce(d.outcome, 'waiting') AS outcome, count(*) AS messages
  FROM inbound_message m
  LEFT JOIN LATERAL (SELECT outcome FROM inbound_disposition x WHERE x.message_id = m.message_id ORDER BY disposed_at DESC LIMIT 1) d ON true
 WHERE m.received_at >= :since AND m.received_at < :until
 GROUP BY 1, 2 ORDER BY 1, 2;

-- name: engines()
-- Engines and when they were last heard of.
SELECT engine_id, started_at, last_seen_at, stopped_at, release FROM engine_instance ORDER BY last_seen_at DESC;

-- name: jobs(limit)
-- Scheduled runs, newest first.
SELECT job_id, planned_at, engine_id, started_at, finished_at, outcome, detail FROM job_run ORDER BY started_at DESC LIMIT :limit;

-- name: search(text, prefix)
-- Documents by any number of any system: exact ones first, then those that begin so. :text and :prefix in lower case.
SELECT * FROM (
    SELECT DISTINCT ON (d.document_id) d.document_id, d.document_type, d.number, d.title, d.business_unit, d.supplier_name, d.currency, d.amount, d.state, d.submitted_at,
           h.system AS found_as_system, h.kind AS found_as_kind, h.external_id AS found_as, h.exact
      FROM (SELECT document_id, system, kind, external_id, lower(external_id) = :text AS exact FROM document_identifier WHERE lower(external_id) LIKE :prefix
            UNION ALL
            SELECT document_id, 'finsync', 'number', number, lower(number) = :text FROM document WHERE lower(number) LIKE :prefix
            UNION ALL
            SELECT document_id, 'finsync', 'correlation id', correlation_id::text, true FROM document WHERE correlation_id::text = :text OR document_id::text = :text) h
      JOIN document d USING (document_id)
     ORDER BY d.document_id, h.exact DESC) found
 ORDER BY exact DESC, submitted_at DESC LIMIT 50;

-- name: document(document_id)^
-- One document as it stands, with its open work and its newest payload.
SELECT d.*, b.calendar, b.time_zone, p.canonical, p.payload_hash, p.mapping_version, p.schema_version,
       w.flow, w.step, w.system AS asks, w.status AS work_status, w.due_at, w.objective_at, w.step_since, w.tries, w.waiting_for, w.facts
  FROM document d
  LEFT JOIN business_unit b ON b.code = d.business_unit
  LEFT JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
  LEFT JOIN LATERAL (SELECT * FROM work_item i WHERE i.document_id = d.document_id AND i.subject_id IS NULL ORDER BY i.created_at DESC LIMIT 1) w ON true
 WHERE d.document_id = :document_id;

-- name: family(document_id)
-- The whole family of a document: everything linked to it, directly or through others, up to 200 documents.
WITH RECURSIVE kin (document_id, depth) AS (
    SELECT :document_id::uuid, 0
    UNION
    SELECT CASE WHEN l.from_document_id = k.document_id THEN l.to_document_id ELSE l.from_document_id END, k.depth + 1
      FROM kin k JOIN document_link l ON l.from_document_id = k.document_id OR l.to_document_id = k.document_id
     WHERE k.depth < 6
)
SELECT d.document_id, d.document_type, d.number, d.title, d.state, d.approval_status, d.posting_status, d.currency, d.amount, d.business_unit, d.supplier_name, d.submitted_at
  FROM (SELECT document_id, min(depth) AS depth FROM kin GROUP BY document_id) k JOIN document d USING (document_id)
 ORDER BY k.depth, d.submitted_at LIMIT 200;

-- name: links_among(document_id)
-- How these documents hang together.
SELECT from_document_id, to_document_id, relation FROM document_link
 WHERE from_document_id = ANY (:document_id::uuid[]) AND to_document_id = ANY (:document_id::uuid[]);

-- name: events_of(document_id)
-- Every event of these documents in the order they happened.
SELECT e.document_id, e.seq, e.document_type, e.activity, e.event_at, e.observed_at, e.recorded_at, e.system, e.actor, e.flow, e.step, e.state_from, e.state_to,
       e.approval_status, e.posting_status, e.document_version, e.attributes, d.number
  FROM event e JOIN document d USING (document_id)
 WHERE e.document_id = ANY (:document_id::uuid[])
 ORDER BY e.event_at, e.recorded_at, e.document_id, e.seq;

-- name: attempts_of(document_id)
-- Every call made for these documents.
SELECT a.attempt_id, a.document_id, d.number, a.system, a.operation, a.effect, a.flow, a.step, a.started_at, a.duration_ms, a.outcome, a.error_code, a.message, a.http_status, a.http_calls,
       a.try_number, a.engine_id, a.idempotency_key, a.request_bytes, a.response_bytes, a.calls, a.trace_id
  FROM attempt a JOIN document d USING (document_id)
 WHERE a.document_id = ANY (:document_id::uuid[])
 ORDER BY a.started_at, a.attempt_id;

-- name: bodies_of(attempt_id)
-- What was said in one attempt.
SELECT position, sent, answered FROM attempt_body WHERE attempt_id = :attempt_id ORDER BY position;

-- name: identifiers_of(document_id)
-- Every name of these documents.
SELECT i.document_id, d.number, i.system, i.kind, i.external_id, i.recorded_at
  FROM document_identifier i JOIN document d USING (document_id)
 WHERE i.document_id = ANY (:document_id::uuid[]) ORDER BY i.recorded_at, i.system, i.kind;

-- name: payloads_of(document_id)
-- Every canonical payload a document ever had, newest first.
SELECT payload_version, canonical, payload_hash, schema_version, mapping_version, message_id, author, recorded_at
  FROM document_payload WHERE document_id = :document_id ORDER BY payload_version DESC;

-- name: messages_of(document_id)
-- What we were told about a document, verbatim, newest first.
SELECT m.message_id, m.received_at, m.system, m.feed, m.kind, m.external_id, m.version, m.source_at, m.body, m.body_hash, x.outcome, x.reason
  FROM inbound_disposition x JOIN inbound_message m USING (message_id)
 WHERE x.document_id = :document_id ORDER BY m.received_at DESC, m.message_id LIMIT 100;

-- name: intents_of(document_id)
-- What was meant to be done outside for these documents, and what became of it.
SELECT idempotency_key, document_id, flow, step, system, operation, sends, first_sent_at, last_sent_at, outcome, settled_at
  FROM intent WHERE document_id = ANY (:document_id::uuid[]) ORDER BY first_sent_at;

-- name: cases_of(document_id)
-- Every exception these documents met.
SELECT c.*, d.number AS document_number FROM exception_case c JOIN document d USING (document_id)
 WHERE c.document_id = ANY (:document_id::uuid[]) ORDER BY c.raised_at;

-- name: match_of(document_id)
-- The three sides of the match for orders: ordered, received and billed per line, with the documents behind them.
SELECT m.order_document_id, o.number AS order_number, m.order_line, m.kind, m.quantity, m.amount, m.moved_on, s.number AS source_number, s.document_type AS source_type
  FROM order_movement m JOIN document o ON o.document_id = m.order_document_id JOIN document s ON s.document_id = m.source_document_id
 WHERE m.order_document_id = ANY (:document_id::uuid[]) ORDER BY m.order_document_id, m.order_line, m.kind, m.moved_on;

-- name: commands(actor, action, status, since, until, limit)
-- What people asked for, newest first.
SELECT c.command_id, c.actor, c.roles, c.action, c.arguments, c.reason, c.business_unit, c.asked_at, c.status, c.result, c.settled_at
  FROM command c
 WHERE c.asked_at >= :since AND c.asked_at < :until
   AND (:actor::text IS NULL OR c.actor = :actor::text) AND (:action::text IS NULL OR c.action = :action::text) AND (:status::text IS NULL OR c.status = :status::text)
 ORDER BY c.asked_at DESC LIMIT :limit;

-- name: decisions(units, since, until, text, limit)
-- Who approved or refused what, where, when and why; newest first.
SELECT e.event_at, e.recorded_at, e.activity, e.system, e.actor, e.attributes, d.document_id, d.document_type, d.number, d.business_unit, d.currency, d.amount
  FROM event e JOIN document d USING (document_id)
 WHERE e.activity IN ('approval_completed', 'approval_refused', 'procurement_approved', 'procurement_rejected', 'review_approved', 'review_refused', 'change_approved', 'change_refused_by_approver', 'approval_contradicted', 'abandoned', 'reprocessing_asked')
   AND e.recorded_at >= :since AND e.recorded_at < :until AND (:units::text[] IS NULL OR e.business_unit = ANY (:units::text[]))
   AND (:text::text IS NULL OR d.number = :text::text OR e.actor ILIKE '%%' || :text::text || '%%')
 ORDER BY e.recorded_at DESC LIMIT :limit;

-- name: controls(units, since, until)
-- Each control with how often it was evaluated, passed, objected and was overridden by a person.
SELECT control, sum(evaluated) AS evaluated, sum(objected) AS objected, sum(overridden) AS overridden
  FROM (SELECT CASE e.step WHEN 'check_policies' THEN 'budget, duplicates and approval route' WHEN 'check_segregation' THEN 'segregation of duties'
                           WHEN 'check_duplicate' THEN 'duplicate invoices' WHEN 'match_invoice' THEN 'three-way match' WHEN 'exclude_duplicates' THEN 'duplicate suppliers'
                           WHEN 'validate_supplier' THEN 'supplier tax number' END AS control,
               1 AS evaluated, (e.activity = 'exception_raised' OR e.activity = 'match_blocked')::int AS objected, 0 AS overridden
          FROM event e
         WHERE e.recorded_at >= :since AND e.recorded_at < :until AND (:units::text[] IS NULL OR e.business_unit = ANY (:units::text[]))
           AND e.step IN ('check_policies', 'check_segregation', 'check_duplicate', 'match_invoice', 'exclude_duplicates', 'validate_supplier')
           AND e.activity NOT IN ('receipt_awaited', 'exception_closed')
        UNION ALL
        SELECT CASE x.step WHEN 'check_policies' THEN 'budget, duplicates and approval route' WHEN 'check_duplicate' THEN 'duplicate invoices'
                           WHEN 'exclude_duplicates' THEN 'duplicate suppliers' ELSE 'supplier tax number' END, 0, 0, 1
          FROM command c JOIN exception_case x ON x.case_id = (c.arguments->'cases'->0->>'case_id')::uuid
         WHERE c.action = 'accept' AND c.status = 'done' AND c.asked_at >= :since AND c.asked_at < :until) t
 GROUP BY control ORDER BY control;

-- name: config_versions()
-- Which versions of the configuration have been in force since when.
SELECT kind, version, promoted_at, promoted_by, encode(sha256, 'hex') AS sha256 FROM config_version ORDER BY promoted_at DESC, kind;

-- name: integrity(since)^
-- Recordings and their events, counted both ways: what the recordings say they hold, and what is there.
SELECT count(*) AS recordings, coalesce(sum(event_count), 0) AS events_said,
       (SELECT count(*) FROM event e WHERE e.recorded_at >= :since AND e.source = 'finsync') AS events_there, max(recorded_at) AS newest
  FROM recording WHERE recorded_at >= :since;
