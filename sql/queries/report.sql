-- What the pages ask. :units limits to business units beside what the session may see (NULL: all it may see). :as_of is the
-- time of the question, :since and :until the period, the end exclusive. Amounts are in group currency unless said otherwise.

-- name: visit(most)^
-- What every visit begins with, in one answer: the time a page speaks of (the database's, or where a past that is still being produced
-- has come to; begins_at and ends_at are NULL otherwise), the newest recording, since when recordings wait to be folded, how many
-- documents (up to :most) wait to be looked at, the imported logs there are, those of them of which a file is not read to its end and those
-- that wait to be folded (of many recordings the next that will be), and each feed as it stands. What a system said is shown to sessions
-- that see every unit: it may quote any document.
SELECT business_now() AS as_of, p.begins_at, p.ends_at, (SELECT recording_id FROM recording ORDER BY recording_id DESC LIMIT 1) AS recording_id,
       (SELECT recorded_at FROM recording WHERE folded_at IS NULL ORDER BY written_order LIMIT 1) AS unfolded_since, documents_to_look_at(:most) AS to_look_at,
       ARRAY(SELECT source FROM rollup_begun WHERE source <> 'finsync' UNION SELECT name FROM event_log ORDER BY 1) AS logs,
       ARRAY(SELECT DISTINCT log FROM event_log_file WHERE phase <> 'ready') AS reading,
       ARRAY(SELECT DISTINCT substr(engine_id, 8) FROM (SELECT engine_id FROM recording WHERE folded_at IS NULL ORDER BY written_order LIMIT 10000) w WHERE engine_id LIKE 'import:%%') AS counting,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('system', f.system, 'title', s.title, 'feed', f.feed, 'complete_until', f.complete_until, 'last_success_at', f.last_success_at,
                   'silent_after_s', f.silent_after_s, 'consecutive_failures', f.consecutive_failures, 'last_error', CASE WHEN session_sees_all() THEN f.last_error ELSE '' END)
                   ORDER BY f.system, f.feed), '[]') FROM feed_state f JOIN system_state s USING (system)) AS feeds
  FROM (SELECT 1) one LEFT JOIN produced_past p ON p.finished_at IS NULL;

-- name: watermark()$
-- The newest recording: whatever a page showed after it is still true.
SELECT recording_id FROM recording ORDER BY recording_id DESC LIMIT 1;

-- name: units()
-- Business units this session may see.
SELECT code, name, country, currency, company_code, calendar, time_zone FROM business_unit
 WHERE session_sees_all() OR code = ANY (session_units()) ORDER BY code;

-- name: finality_gap_rows(units, as_of)
-- The requisitions behind the gap, most money first, with the hours since their approval.
SELECT document_id, number, business_unit, currency, amount, group_amount, state, posting_status, coalesce(approved_at, state_since) AS approved_at,
       extract(epoch FROM :as_of - coalesce(approved_at, state_since)) AS age_s
  FROM finality_gap
 WHERE :units::text[] IS NULL OR business_unit = ANY (:units::text[])
 ORDER BY group_amount DESC NULLS LAST, document_id;

-- name: technical_failures(units, since, until)
-- Attempts by system, how many failed, and of these how many by a limit of the system's: never mixed with exceptions, which are
-- about documents. Attempts about no document (reading a feed) belong to no business unit: shown to those who see all of them.
SELECT system, count(*) AS attempts, count(*) FILTER (WHERE outcome IN ('not_sent', 'unknown', 'failed')) AS failed,
       count(*) FILTER (WHERE http_status = 429) AS throttled, count(*) FILTER (WHERE try_number > 1) AS repeats,
       max(recorded_at) FILTER (WHERE outcome IN ('not_sent', 'unknown', 'failed')) AS last_failed_at
  FROM attempt
 WHERE recorded_at >= :since AND recorded_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]) OR business_unit = '')
 GROUP BY system ORDER BY failed DESC, system;

-- name: open_exceptions(units, categories, codes, owner_teams, fingerprint, redrive_id, as_of)
-- The queue: open exceptions, most urgent money first. urgency falls with the business days left to the nearest date.
SELECT e.case_id, e.version, e.document_id, e.number, e.document_type, e.title, e.business_unit, e.supplier_name, e.requester, e.category, e.code, e.origin, e.retryable,
       e.fingerprint, e.system, e.flow, e.step, e.message, e.currency, e.amount, e.group_amount, e.due_on, e.status, e.blocks, e.owner_team, e.owner,
       e.raised_at, e.occurrences, e.state, e.approval_status, e.posting_status,
       extract(epoch FROM :as_of - e.raised_at) AS age_s, coalesce(now_s.worked, 0) - coalesce(raised_s.worked, 0) AS age_business_s,
       e.due_on - :as_of::date AS days_left,
       coalesce(e.group_amount, 0) / greatest(1, coalesce(e.due_on - :as_of::date, 10) + 1) AS priority
  FROM exception e
  LEFT JOIN (SELECT calendar, worked_s(calendar, :as_of) AS worked FROM (SELECT DISTINCT calendar FROM business_unit) b) now_s USING (calendar)
  -- worked_s(calendar, raised_at), written out: as a function it costs a plan for each.
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(e.raised_at, i.closes_at) - i.opens_at) AS worked
        FROM calendar_interval i WHERE i.calendar = e.calendar AND i.opens_at <= e.raised_at ORDER BY i.opens_at DESC LIMIT 1) raised_s ON true
 WHERE e.closed_at IS NULL
   AND (:units::text[] IS NULL OR e.business_unit = ANY (:units::text[]))
   AND (:categories::text[] IS NULL OR e.category = ANY (:categories::text[]))
   AND (:codes::text[] IS NULL OR e.code = ANY (:codes::text[]))
   AND (:owner_teams::text[] IS NULL OR e.owner_team = ANY (:owner_teams::text[]))
   AND (:fingerprint::text IS NULL OR e.fingerprint = :fingerprint::text)
   AND (:redrive_id::uuid IS NULL OR EXISTS (SELECT 1 FROM redrive_item i WHERE i.redrive_id = :redrive_id::uuid AND i.case_id = e.case_id))
 ORDER BY priority DESC, e.raised_at, e.case_id;

-- name: case(case_id)^
-- One exception, open or closed, with its document and what is being done about it.
SELECT e.case_id, e.version, e.document_id, e.message_id, e.work_item_id, e.number, e.document_type, e.title, e.business_unit, e.supplier_name, e.requester,
       e.category, e.code, e.origin, e.retryable, e.fingerprint, e.system, e.flow, e.step, e.message, e.facts, e.currency, e.amount, e.group_amount, e.due_on,
       e.need_by_on, e.status, e.blocks, e.owner_team, e.owner, e.raised_at, e.last_seen_at, e.occurrences, e.closed_at, e.closed_by, e.close_reason, e.state,
       e.approval_status, e.posting_status, w.status AS work_status, w.step AS work_step, w.waiting_for, w.tries
  FROM exception e
  LEFT JOIN work_item w ON w.work_item_id = e.work_item_id
 WHERE e.case_id = :case_id;

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
SELECT r.redrive_id, r.asked_by, r.asked_at, r.reason_code, r.reason, r.scope, r.item_count, r.group_amount, r.finished_at, r.state,
       count(*) FILTER (WHERE i.status = 'verified') AS verified, count(*) FILTER (WHERE i.status IN ('queued', 'sent', 'accepted')) AS under_way,
       count(*) FILTER (WHERE i.status = 'waiting') AS waiting,
       count(*) FILTER (WHERE i.status = 'refused') AS refused, count(*) FILTER (WHERE i.status = 'skipped') AS skipped
  FROM redrive r JOIN redrive_item i USING (redrive_id)
 GROUP BY r.redrive_id ORDER BY r.asked_at DESC LIMIT :limit;

-- name: calls_of_steps(newest, units, as_of)
-- What each step asks of each system. kind "seen": how many HTTP calls it takes (calls, an average over the :newest attempts);
-- "waiting": how many items wait there now (many); "last hour": HTTP calls to a system in the hour before :as_of, as far as the
-- session may see what they were about (many).
SELECT 'seen' AS kind, system, flow, step, count(*) AS many, avg(http_calls) AS calls
  FROM (SELECT flow, step, system, http_calls FROM attempt ORDER BY recorded_at DESC LIMIT :newest) newest
 WHERE flow IS NOT NULL AND http_calls > 0
 GROUP BY flow, step, system
UNION ALL
SELECT 'waiting', system, flow, step, count(*), NULL
  FROM work_item
 WHERE system <> 'finsync' AND (status = 'in_call' OR status = 'due' AND (due_at <= :as_of OR tries > 0)) AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY system, flow, step
UNION ALL
SELECT 'last hour', system, NULL, NULL, coalesce(sum(http_calls), 0)::bigint, NULL
  FROM attempt WHERE recorded_at >= :as_of::timestamptz - interval '1 hour' AND recorded_at <= :as_of GROUP BY system;

-- name: redrive(redrive_id)^
-- One reprocessing, as far as the session may see it.
SELECT redrive_id, asked_by, asked_at, action, reason_code, reason, scope, item_count, group_amount, finished_at, state, state_because, state_by, state_at, canary_size,
       wave_size, per_minute, halt_percent, wave, judged_from, next_wave_at, confirmed_by, confirmed_at
  FROM redrive WHERE redrive_id = :redrive_id;

-- name: redrive_items(redrive_id)
-- The items of a reprocessing, each with its result.
SELECT i.case_id, i.document_id, c.number, c.document_type, c.business_unit, c.currency, c.amount, c.group_amount, c.code, i.cause, i.status, i.result, i.updated_at, i.wave, i.sent_at
  FROM redrive_item i JOIN exception_case c USING (case_id)
 WHERE i.redrive_id = :redrive_id ORDER BY i.status, c.number;

-- name: invoice_risk(units, as_of, days)
-- Invoices not yet ready for payment whose due date is near or past, most money first.
SELECT d.document_id, d.number, d.supplier_name, d.business_unit, d.currency, d.amount, d.group_amount, d.due_on, d.due_on - :as_of::date AS days_left,
       o.reason, o.case_id, o.case_message, o.owner_team
  FROM document d JOIN open_document o USING (document_id)
 WHERE d.document_type = 'invoice' AND d.state NOT IN ('payment_ready', 'cleared') AND d.due_on <= :as_of::date + :days::int
   AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
 ORDER BY d.group_amount DESC;

-- name: alerts(units)
-- Open alerts that somebody may have to look at: firing, taken on or put aside, not those of a silent rule. Most money first.
SELECT a.alert_id, a.rule, a.severity, a.state, a.message, a.owner_team, a.group_amount, a.business_unit, a.fired_at, a.deadline_on, a.document_id, a.subject_name, a.group_key, a.group_title,
       a.level, a.pending_since, a.acknowledged_by, a.acknowledged_until, a.snoozed_by, a.snoozed_until
  FROM alert a
 WHERE a.resolved_at IS NULL AND a.state <> 'pending' AND NOT a.is_silent AND (:units::text[] IS NULL OR a.business_unit = '' OR a.business_unit = ANY (:units::text[]))
 ORDER BY a.group_amount DESC NULLS LAST, a.fired_at, a.alert_id;

-- name: alert_history(alert_id)
-- What has happened to these alerts, newest first.
SELECT e.happened_at, e.what, e.actor, e.reason, a.subject_name
  FROM alert_event e JOIN alert a USING (alert_id) WHERE e.alert_id = ANY (:alert_id::uuid[]) ORDER BY e.happened_at DESC, a.subject_name LIMIT 200;

-- name: alert_health(since, as_of)
-- How each rule has done: alerts that fired since, how many while it was silent, of those old enough how many somebody acted upon within
-- the rule's own time, how many went by themselves with nobody acting, how many were put aside, and the median days from alert to the end
-- of the day it is about.
SELECT a.rule, count(*) AS fired, count(*) FILTER (WHERE a.is_silent) AS silent, count(*) FILTER (WHERE a.resolved_at IS NULL) AS open,
       count(*) FILTER (WHERE a.acted_at IS NOT NULL OR a.resolved_at IS NOT NULL OR a.fired_at + w.within <= :as_of) AS judged,
       count(*) FILTER (WHERE a.acted_at <= a.fired_at + w.within) AS acted,
       count(*) FILTER (WHERE a.resolved_by = 'finsync' AND a.acted_at IS NULL) AS self_cured, count(a.snoozed_at) AS put_aside,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM (a.deadline_on + 1)::timestamp AT TIME ZONE 'UTC' - a.fired_at) / 86400) FILTER (WHERE a.deadline_on IS NOT NULL) AS lead_days
  FROM alert a
 CROSS JOIN LATERAL (SELECT make_interval(hours => coalesce((SELECT (v.content->>'acted_within_hours')::int FROM alert_rule_version v WHERE v.rule = a.rule ORDER BY v.version DESC LIMIT 1), 24)) AS within) w
 WHERE a.fired_at >= :since AND a.fired_at <= :as_of
 GROUP BY a.rule;

-- name: alert_rule_history(rule)
-- Every version of a rule, newest first, with who put it in force, why, and what the time machine had said.
SELECT version, content, source, silent_until, changed_at, changed_by, reason, simulated FROM alert_rule_version WHERE rule = :rule ORDER BY version DESC LIMIT 50;

-- name: alert_notices(since)
-- What was, or is to be, told outside since a moment, newest first; those that did not get through before all others.
SELECT destination, rule, severity, status, tries, created_at, due_at, settled_at, last_error, cardinality(alert_ids) AS alerts
  FROM alert_notice WHERE created_at >= :since
 ORDER BY status = 'given_up' DESC, tries > 1 AND settled_at IS NULL DESC, created_at DESC LIMIT 500;

-- name: systems(units, as_of)
-- Every connected system with its last good contact, its limits and what waits for it. What a system said is shown to sessions that
-- see every unit: it may quote any document.
SELECT s.system, s.role, s.title, s.breaker, s.breaker_since, s.paused_until, s.consecutive_failures, s.last_success_at, s.last_failure_at,
       CASE WHEN session_sees_all() THEN s.last_error ELSE '' END AS last_error,
       s.requests_per_s, s.quota_limit, s.quota_remaining, s.quota_reset_at, s.quota_seen_at,
       coalesce(w.documents, 0) AS waiting, coalesce(w.value, 0) AS waiting_value, w.oldest_at, coalesce(w.due_soon, 0) AS waiting_due_soon, coalesce(w.in_call, 0) AS in_call,
       coalesce(f.feeds, 0) AS feeds, coalesce(f.silent, 0) AS silent_feeds
  FROM system_state s
  LEFT JOIN (SELECT system, count(*) AS documents, sum(group_amount) AS value, min(waiting_since) AS oldest_at, count(*) FILTER (WHERE in_call) AS in_call,
                    count(*) FILTER (WHERE needed_on <= :as_of::date + 2) AS due_soon
               FROM (SELECT i.system, d.document_id, d.group_amount, coalesce(d.due_on, d.need_by_on) AS needed_on, min(i.step_since) AS waiting_since, bool_or(i.status = 'in_call') AS in_call
                       FROM work_item i JOIN document d USING (document_id)
                      WHERE (i.status = 'in_call' OR i.status = 'due' AND (i.due_at <= :as_of OR i.tries > 0)) AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
                      GROUP BY i.system, d.document_id) one
              GROUP BY system) w USING (system)
  LEFT JOIN (SELECT system, count(*) AS feeds, count(*) FILTER (WHERE coalesce(last_success_at < :as_of - make_interval(secs => silent_after_s::double precision), true)) AS silent
               FROM feed_state GROUP BY system) f USING (system)
 ORDER BY s.title;

-- name: inbound_by_outcome(since, until)
-- Messages taken in during the period, by system and what has become of them by now: received = applied + unchanged + superseded +
-- ignored + parked + waiting, to the row.
SELECT m.system, count(*) AS received, count(*) FILTER (WHERE d.outcome = 'applied') AS applied, count(*) FILTER (WHERE d.outcome = 'unchanged') AS unchanged,
       count(*) FILTER (WHERE d.outcome = 'superseded') AS superseded, count(*) FILTER (WHERE d.outcome = 'ignored') AS ignored,
       count(*) FILTER (WHERE d.outcome = 'parked') AS parked, count(*) FILTER (WHERE d.outcome IS NULL) AS waiting
  FROM inbound_message m
  LEFT JOIN (SELECT DISTINCT ON (message_id) message_id, outcome FROM inbound_disposition WHERE disposed_at >= :since ORDER BY message_id, disposed_at DESC) d USING (message_id)
 WHERE m.received_at >= :since AND m.received_at < :until
 GROUP BY 1 ORDER BY 1;

-- name: operations(systems, units, before, since, until)
-- Each system's operations in the period: how often, how they ended, how long they took (all attempts). Reads of a feed belong to
-- no unit. Attempts = succeeded + refused (a business answer) + failed (technical). Beside them the attempts and failures of the
-- period before, from :before on; an operation that was called only then has attempts 0.
SELECT system, operation, min(effect) AS effect, count(*) FILTER (WHERE recorded_at >= :since) AS attempts,
       count(*) FILTER (WHERE recorded_at >= :since AND outcome IN ('done', 'adopted', 'absent', 'waiting')) AS succeeded,
       count(*) FILTER (WHERE recorded_at >= :since AND outcome = 'refused') AS refused, count(*) FILTER (WHERE recorded_at >= :since AND outcome IN ('not_sent', 'unknown', 'failed')) AS failed,
       count(*) FILTER (WHERE recorded_at >= :since AND http_status = 429) AS throttled, count(*) FILTER (WHERE recorded_at >= :since AND try_number > 1) AS repeats,
       max(recorded_at) FILTER (WHERE recorded_at >= :since) AS last_at,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE recorded_at >= :since) AS p50_ms,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE recorded_at >= :since) AS p95_ms,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY duration_ms) FILTER (WHERE recorded_at >= :since) AS p99_ms,
       count(*) FILTER (WHERE recorded_at < :since) AS attempts_before, count(*) FILTER (WHERE recorded_at < :since AND outcome IN ('not_sent', 'unknown', 'failed')) AS failed_before
  FROM attempt
 WHERE recorded_at >= :before AND recorded_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
   AND (:systems::text[] IS NULL OR system = ANY (:systems::text[]))
 GROUP BY system, operation ORDER BY failed DESC, system, operation;

-- name: engines()
-- Engines and when they were last heard of; alive: within a minute, and not stopped.
SELECT engine_id, started_at, last_seen_at, stopped_at, release, stopped_at IS NULL AND last_seen_at > clock_timestamp() - interval '60 seconds' AS is_alive,
       extract(epoch FROM clock_timestamp() - last_seen_at) AS age_s
  FROM engine_instance ORDER BY is_alive DESC, last_seen_at DESC;

-- name: jobs(limit)
-- Scheduled runs, newest first, with when the job runs next: every run of a job that runs once for all engines, and of a job that
-- every engine runs the last one in each (how many there were and how many failed since the engine began). A run is "lost"
-- when its engine died in it.
WITH planned AS (
    SELECT s.job_id, min(s.next_run_at) AS next_run_at
      FROM job_state s JOIN engine_instance e USING (engine_id)
     WHERE e.stopped_at IS NULL AND e.last_seen_at > clock_timestamp() - interval '60 seconds'
     GROUP BY s.job_id
)
SELECT r.job_id, r.planned_at, r.engine_id, r.started_at, r.finished_at,
       CASE WHEN r.outcome = 'running' AND NOT EXISTS (
                 SELECT 1 FROM engine_instance e
                  WHERE e.engine_id = r.engine_id AND e.stopped_at IS NULL AND e.last_seen_at > clock_timestamp() - interval '60 seconds')
            THEN 'lost' ELSE r.outcome END AS outcome,
       r.detail, p.next_run_at, r.runs, r.failures
  FROM (
    (SELECT job_id, planned_at, engine_id, started_at, finished_at, outcome, detail, NULL::bigint AS runs, NULL::bigint AS failures
       FROM job_run ORDER BY started_at DESC LIMIT :limit)
    UNION ALL
    SELECT job_id, started_at, engine_id, started_at, finished_at, outcome, detail, runs, failures FROM job_state WHERE NOT singleton AND started_at IS NOT NULL
  ) r
  LEFT JOIN planned p USING (job_id)
 ORDER BY r.started_at DESC LIMIT :limit;

-- name: search(text, log)
-- Documents by any number of any system: exact ones first, then those that begin so. :text in lower case. The number a supplier gave
-- an invoice is kept behind the supplier's, for two suppliers may use the same one. Of one :log alone, or of all (NULL).
SELECT * FROM (
    SELECT DISTINCT ON (d.document_id) d.document_id, d.document_type, d.number, d.title, d.business_unit, d.supplier_name, d.currency, d.amount, d.state, d.submitted_at,
           h.system AS found_as_system, h.kind AS found_as_kind, h.external_id AS found_as, h.exact
      FROM (SELECT document_id, system, kind, external_id, external_key = :text AS exact FROM document_identifier WHERE external_key ^@ :text
            UNION ALL
            SELECT document_id, system, kind, external_id, reference_key = :text FROM document_identifier WHERE reference_key ^@ :text
            UNION ALL
            SELECT document_id, 'finsync', 'number', number, number_key = :text FROM document WHERE number_key ^@ :text
            UNION ALL
            SELECT f.document_id, 'finsync', 'correlation id', f.correlation_id::text, true
              FROM (SELECT CASE WHEN :text ~ '^[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}$' THEN :text::uuid END AS id) whole
              JOIN document f ON f.correlation_id = whole.id OR f.document_id = whole.id) h
      JOIN document d USING (document_id)
     WHERE :log::text IS NULL OR d.source = :log
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
-- The whole family of a document: everything linked to it, directly or through others, up to 200 documents. asked: of a request for
-- approval the role that was asked; ServiceNow gives it no number but a key.
WITH RECURSIVE kin (document_id, depth) AS (
    SELECT :document_id::uuid, 0
    UNION
    SELECT CASE WHEN l.from_document_id = k.document_id THEN l.to_document_id ELSE l.from_document_id END, k.depth + 1
      FROM kin k JOIN document_link l ON l.from_document_id = k.document_id OR l.to_document_id = k.document_id
     WHERE k.depth < 6
)
SELECT d.document_id, d.document_type, d.number, d.title, d.state, d.approval_status, d.posting_status, d.currency, d.amount, d.business_unit, d.supplier_name, d.submitted_at,
       CASE WHEN d.document_type = 'approval' THEN coalesce(nullif(p.canonical->>'group', ''), 'Procurement, step ' || (p.canonical->>'position')) END AS asked
  FROM (SELECT document_id, min(depth) AS depth FROM kin GROUP BY document_id) k JOIN document d USING (document_id)
  LEFT JOIN document_payload p ON p.document_id = d.document_id AND p.payload_version = d.payload_version
 ORDER BY k.depth, d.submitted_at LIMIT 200;

-- name: links_among(document_id)
-- How these documents hang together.
SELECT from_document_id, to_document_id, relation FROM document_link
 WHERE from_document_id = ANY (:document_id::uuid[]) AND to_document_id = ANY (:document_id::uuid[]);

-- name: events_of(document_id)
-- Every event of these documents in the order they happened; who decided by name or by role, as the session may know it.
SELECT e.document_id, e.seq, e.document_type, e.activity, e.event_at, e.observed_at, e.recorded_at, e.system, CASE WHEN is_decision(e.activity) THEN decider(e.actor) ELSE e.actor END AS actor,
       e.flow, e.step, e.state_from, e.state_to, e.approval_status, e.posting_status, e.document_version,
       CASE WHEN is_decision(e.activity) THEN said_of_decision(e.attributes) ELSE e.attributes END AS attributes, d.number
  FROM event e JOIN document d USING (document_id)
 WHERE e.document_id = ANY (:document_id::uuid[])
 ORDER BY e.event_at, e.recorded_at, e.document_id, e.seq;

-- name: stays_of(document_id)
-- The stays of one document in its stages, in order; the last one is where it is now and has not ended. Wall and business seconds.
SELECT stage, next_stage, activity, entered_at, left_at, wall_s, business_s FROM stage_time WHERE document_id = :document_id
UNION ALL
SELECT d.state, NULL, NULL, d.state_since, NULL, extract(epoch FROM business_now() - d.state_since), business_s(b.calendar, d.state_since, business_now())
  FROM document d LEFT JOIN business_unit b ON b.code = d.business_unit WHERE d.document_id = :document_id AND d.closed_at IS NULL
 ORDER BY entered_at, left_at NULLS LAST;

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

-- name: commands(units, since, until, text, statuses, limit)
-- What people asked for, newest first, with the first document it was about. :text (lower case): a part of who asked, of the reason, or the document's number.
SELECT c.command_id, c.actor, array_to_string(c.roles, ', ') AS roles, c.action, c.reason, c.business_unit, c.asked_at, c.status, c.result->>'sentence' AS answer, c.settled_at,
       c.result->>'redrive_id' AS redrive_id, coalesce(jsonb_array_length(c.arguments->'cases'), 0) AS exceptions, coalesce(x.number, d.number) AS number,
       coalesce(x.document_id, d.document_id) AS document_id, c.arguments - 'cases' AS details
  FROM command c
  LEFT JOIN exception_case x ON x.case_id = (c.arguments->'cases'->0->>'case_id')::uuid
  LEFT JOIN document d ON d.document_id::text = c.arguments->>'document_id'
 WHERE (:units::text[] IS NULL OR c.business_unit = ANY (:units::text[])) AND (:statuses::text[] IS NULL OR c.status = ANY (:statuses::text[]))
   AND (CASE WHEN :text::text IS NULL THEN c.asked_at >= :since AND c.asked_at < :until
             ELSE strpos(lower(c.actor), :text::text) > 0 OR strpos(lower(c.reason), :text::text) > 0 OR lower(coalesce(x.number, d.number)) = :text::text END)
 ORDER BY c.asked_at DESC, c.command_id LIMIT :limit;

-- name: decisions(units, since, until, text, limit)
-- Who approved or refused what, newest first: one row per decision recorded in the period, with when the document was last changed by
-- the system it came from, and under which numbers it stands in the ERP. With :text (lower case) the period does not count: any
-- number of the document or its family, or, for whoever may know it, a part of who decided.
WITH wanted AS (
    SELECT f.document_id FROM document_identifier i JOIN document n USING (document_id) JOIN document f ON f.correlation_id = n.correlation_id WHERE i.external_key = :text::text
    UNION
    SELECT f.document_id FROM document n JOIN document f ON f.correlation_id = n.correlation_id WHERE n.number_key = :text::text
), decision AS MATERIALIZED (
    -- One branch per way of asking, each with an index of its own; a decision found by two of them is one. By name the newest are read
    -- first, until there are enough.
    SELECT DISTINCT ON (recorded_at, document_id, seq) *
      FROM ((SELECT e.document_id, e.seq, e.document_type, e.correlation_id, e.business_unit, e.recorded_at, e.event_at, e.activity, e.system, e.actor, e.attributes
               FROM event e
              WHERE e.activity IN ('approval_completed', 'approval_refused', 'procurement_rejected', 'review_approved', 'review_refused', 'change_approved', 'change_refused_by_approver', 'approval_contradicted')
                AND :text::text IS NULL AND e.recorded_at >= :since AND e.recorded_at < :until AND (:units::text[] IS NULL OR e.business_unit = ANY (:units::text[]))
              ORDER BY e.recorded_at DESC, e.document_id, e.seq LIMIT :limit)
            UNION ALL
            SELECT e.document_id, e.seq, e.document_type, e.correlation_id, e.business_unit, e.recorded_at, e.event_at, e.activity, e.system, e.actor, e.attributes
              FROM wanted w JOIN event e USING (document_id)
             WHERE e.activity IN ('approval_completed', 'approval_refused', 'procurement_rejected', 'review_approved', 'review_refused', 'change_approved', 'change_refused_by_approver', 'approval_contradicted')
               AND (:units::text[] IS NULL OR e.business_unit = ANY (:units::text[]))
            UNION ALL
            (SELECT e.document_id, e.seq, e.document_type, e.correlation_id, e.business_unit, e.recorded_at, e.event_at, e.activity, e.system, e.actor, e.attributes
               FROM event e
              WHERE e.activity IN ('approval_completed', 'approval_refused', 'procurement_rejected', 'review_approved', 'review_refused', 'change_approved', 'change_refused_by_approver', 'approval_contradicted')
                AND :text::text IS NOT NULL AND (SELECT names_deciders()) AND (strpos(lower(e.actor), :text::text) > 0 OR strpos(lower(e.attributes->>'approved_by'), :text::text) > 0)
                AND (:units::text[] IS NULL OR e.business_unit = ANY (:units::text[]))
              ORDER BY e.recorded_at DESC, e.document_id, e.seq LIMIT :limit)) found
     ORDER BY recorded_at DESC, document_id, seq LIMIT :limit
), family AS (
    SELECT d.correlation_id, string_agg(i.external_id, ', ' ORDER BY i.external_id) FILTER (WHERE i.kind = 'purchase_order') AS erp_orders,
           string_agg(i.external_id, ', ' ORDER BY i.external_id) FILTER (WHERE i.kind = 'supplier_invoice') AS erp_invoices,
           string_agg(i.external_id, ', ' ORDER BY i.external_id) FILTER (WHERE i.kind = 'accounting_document') AS accounting_documents
      FROM document d JOIN document_identifier i USING (document_id) JOIN system_state s ON s.system = i.system AND s.role = 'erp'
     WHERE d.correlation_id IN (SELECT correlation_id FROM decision)
     GROUP BY d.correlation_id
), change AS (
    SELECT p.document_id, max(p.recorded_at) AS changed_at, count(*) AS changes
      FROM document_payload p
     WHERE p.document_id IN (SELECT document_id FROM decision) AND p.payload_version > 1 AND p.author IN (SELECT system FROM system_state)
     GROUP BY p.document_id
)
SELECT e.document_id || ' ' || e.seq AS decision_id, e.document_id, d.document_type, d.number, d.title, d.business_unit, d.requester, d.supplier_name, d.currency, d.amount, d.group_amount,
       e.event_at AS decided_at, e.recorded_at, e.activity, e.system,
       CASE WHEN e.attributes ? 'approved_by' AND may.named THEN (SELECT string_agg(who, ', ') FROM jsonb_array_elements_text(e.attributes->'approved_by') who)
            WHEN e.attributes ? 'approved_by' THEN (SELECT string_agg(role, ', ' ORDER BY n) FROM (SELECT decider(who) AS role, min(n) AS n FROM jsonb_array_elements_text(e.attributes->'approved_by') WITH ORDINALITY AS w(who, n) GROUP BY 1) asked)
            WHEN e.attributes ? 'within_approval' THEN 'within the approval of the order'
            WHEN e.activity IN ('procurement_rejected', 'approval_contradicted') THEN coalesce(
                (SELECT string_agg(DISTINCT CASE WHEN may.named THEN p.canonical->'decided_by'->>'name' ELSE coalesce(nullif(p.canonical->>'group', ''), 'Procurement, step ' || (p.canonical->>'position')) END, ', ') FROM document_link l JOIN document a ON a.document_id = l.from_document_id
                   JOIN document_payload p ON p.document_id = a.document_id AND p.payload_version = a.payload_version
                  WHERE l.to_document_id = e.document_id AND l.relation = 'decides' AND p.canonical->>'decision' = 'rejected'), '')
            -- Whoever may know is asked about once: a function costs a plan for each decision.
            WHEN may.named THEN e.actor ELSE decider(e.actor) END AS decided_by,
       CASE WHEN may.named THEN e.attributes ELSE said_of_decision(e.attributes) END->>'reason' AS reason, c.changed_at, coalesce(c.changes, 0) AS changes, coalesce(c.changed_at > e.recorded_at, false) AS is_changed_after,
       d.state, d.approval_status, d.posting_status, f.erp_orders, f.erp_invoices, f.accounting_documents
  FROM decision e JOIN document d USING (document_id)
 CROSS JOIN (SELECT names_deciders() AS named OFFSET 0) may
  LEFT JOIN change c USING (document_id)
  LEFT JOIN family f ON f.correlation_id = e.correlation_id
 ORDER BY e.recorded_at DESC, e.document_id, e.seq;

-- name: controls(units, since, until)
-- Each control with the documents it looked at in the period, those it objected to, and how often a person let one pass all the same.
SELECT control, count(DISTINCT document_id) FILTER (WHERE verdict IN ('evaluated', 'objected')) AS evaluated, count(DISTINCT document_id) FILTER (WHERE verdict = 'objected') AS objected,
       count(*) FILTER (WHERE verdict = 'overridden') AS overridden
  FROM control_check
 WHERE happened_at >= :since AND happened_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY control ORDER BY control;

-- name: config_versions()
-- Which versions of the configuration came into force when and by whom, and when the next one of their kind took over (NULL: in force).
SELECT kind || ' ' || version AS version_id, kind, version, promoted_at, promoted_by, encode(sha256, 'hex') AS sha256, lead(promoted_at) OVER (PARTITION BY kind ORDER BY promoted_at, version) AS superseded_at
  FROM config_version ORDER BY promoted_at DESC, kind;

-- name: record_check()
-- The newest comparison of the whole record with itself; no row: there was none yet.
SELECT checked_at, recordings, events_said, events_there, differing, gaps FROM record_check ORDER BY checked_at DESC LIMIT 1;

-- name: integrity(since, until)^
-- Recordings and their events, counted both ways: what the recordings of the period say they hold, what is there, and how many differ.
-- Whatever log the events are of; a log that was forgotten on purpose is not missed.
SELECT count(*) AS recordings, coalesce(sum(r.event_count), 0) AS events_said, coalesce(sum(e.events), 0) AS events_there,
       count(*) FILTER (WHERE r.event_count <> coalesce(e.events, 0)) AS differing, max(r.recorded_at) AS newest
  FROM recording r
  LEFT JOIN (SELECT recording_id, count(*) AS events FROM event WHERE recorded_at >= :since AND recorded_at < :until GROUP BY recording_id) e USING (recording_id)
 WHERE r.recorded_at >= :since AND r.recorded_at < :until AND NOT EXISTS (SELECT FROM forgotten_recording f WHERE f.recording_id = r.recording_id);

-- name: waiting_documents(system, units, as_of)
-- The documents behind `waiting`: whose next step asks a system now, is in the call, or is being repeated. Most money first.
SELECT i.system, d.document_id, d.document_type, d.number, d.business_unit, d.supplier_name, d.group_amount, coalesce(d.due_on, d.need_by_on) AS needed_on,
       coalesce(d.due_on, d.need_by_on) - :as_of::date AS days_left, string_agg(DISTINCT i.step, ', ') AS steps, max(i.tries) AS tries, min(i.step_since) AS waiting_since,
       greatest(extract(epoch FROM :as_of - min(i.step_since)), 0) AS age_s
  FROM work_item i JOIN document d USING (document_id) JOIN system_state s ON s.system = i.system
 WHERE (i.status = 'in_call' OR i.status = 'due' AND (i.due_at <= :as_of OR i.tries > 0)) AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
   AND (:system::text IS NULL OR i.system = :system::text)
 GROUP BY i.system, d.document_id
 ORDER BY d.group_amount DESC NULLS LAST, d.document_id;

-- name: calls_over_time(systems, units, since, until, origin, bucket_s)
-- Attempts by system and stretch of :bucket_s seconds counted from :origin, and how many failed technically. No row: no call.
SELECT system, date_bin(make_interval(secs => :bucket_s::double precision), recorded_at, :origin::timestamptz) AS began_at, count(*) AS attempts,
       count(*) FILTER (WHERE outcome IN ('not_sent', 'unknown', 'failed')) AS failed
  FROM attempt
 WHERE recorded_at >= :since AND recorded_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
   AND (:systems::text[] IS NULL OR system = ANY (:systems::text[]))
 GROUP BY 1, 2 ORDER BY 1, 2;

-- name: failed_calls(systems, operation, units, since, until, limit)
-- Attempts that failed technically, newest first, each with its document, what that is worth and when it is needed (R132).
SELECT a.attempt_id, a.recorded_at, a.system, a.operation, a.outcome, a.http_status, a.error_code, a.message, a.try_number, a.duration_ms::double precision / 1000 AS duration_s,
       a.document_id, d.document_type, d.number, d.business_unit, d.group_amount, coalesce(d.due_on, d.need_by_on) AS needed_on
  FROM attempt a LEFT JOIN document d USING (document_id)
 WHERE a.recorded_at >= :since AND a.recorded_at < :until AND a.outcome IN ('not_sent', 'unknown', 'failed')
   AND (:systems::text[] IS NULL OR a.system = ANY (:systems::text[])) AND (:operation::text IS NULL OR a.operation = :operation::text)
   AND (:units::text[] IS NULL OR a.business_unit = ANY (:units::text[]))
 ORDER BY a.recorded_at DESC, a.attempt_id LIMIT :limit;

-- name: parked_messages(systems, units, as_of)
-- Messages nobody could read that still stand open as exceptions, oldest first.
SELECT c.case_id, c.system, c.code, c.message, c.number, c.document_type, c.business_unit, c.owner_team, c.raised_at, c.occurrences, c.group_amount, c.document_id, c.retryable,
       extract(epoch FROM :as_of - c.raised_at) AS age_s
  FROM exception_case c
 WHERE c.closed_at IS NULL AND EXISTS (SELECT 1 FROM inbound_disposition x WHERE x.message_id = c.message_id AND x.outcome = 'parked') AND (:units::text[] IS NULL OR c.business_unit = ANY (:units::text[]))
   AND (:systems::text[] IS NULL OR c.system = ANY (:systems::text[]))
 ORDER BY c.raised_at, c.case_id;

-- name: unsettled_intents(systems, units, as_of)
-- What was sent and has no answer that we know of, longest ago first: it is looked up in the target before anything is sent again.
SELECT i.idempotency_key, i.system, i.operation, i.step, i.sends, i.first_sent_at, i.last_sent_at, i.outcome, extract(epoch FROM :as_of - i.last_sent_at) AS age_s,
       d.document_id, d.document_type, d.number, d.business_unit, d.group_amount
  FROM intent i JOIN document d USING (document_id)
 WHERE i.outcome IN ('open', 'unknown') AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:systems::text[] IS NULL OR i.system = ANY (:systems::text[]))
 ORDER BY i.last_sent_at, i.idempotency_key;

-- name: audit_summary(units, since, until)^
-- The period in figures: decisions (approved, not approved), decisions whose document was changed after them by its source, requests of
-- people by outcome, what people let pass against a control, and since when anything has been recorded at all.
WITH decision AS (
    SELECT e.document_id, e.recorded_at, e.activity FROM event e
     WHERE e.activity IN ('approval_completed', 'approval_refused', 'procurement_rejected', 'review_approved', 'review_refused', 'change_approved', 'change_refused_by_approver', 'approval_contradicted')
       AND e.recorded_at >= :since AND e.recorded_at < :until AND (:units::text[] IS NULL OR e.business_unit = ANY (:units::text[]))
), change AS (
    SELECT p.document_id, max(p.recorded_at) AS changed_at FROM document_payload p
     WHERE p.document_id IN (SELECT document_id FROM decision) AND p.payload_version > 1 AND p.author IN (SELECT system FROM system_state)
     GROUP BY p.document_id
), asked AS (
    SELECT status FROM command WHERE asked_at >= :since AND asked_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
)
SELECT (SELECT count(*) FROM decision) AS decisions,
       (SELECT count(*) FROM decision WHERE activity IN ('approval_completed', 'review_approved', 'change_approved')) AS approved,
       (SELECT count(*) FROM decision JOIN change USING (document_id) WHERE changed_at > recorded_at) AS changed_after,
       (SELECT count(*) FROM asked) AS requests, (SELECT count(*) FROM asked WHERE status IN ('denied', 'conflict', 'failed')) AS requests_not_done,
       (SELECT count(*) FROM asked WHERE status = 'asked') AS requests_waiting,
       (SELECT count(*) FROM control_check WHERE verdict = 'overridden' AND happened_at >= :since AND happened_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))) AS overridden,
       (SELECT recorded_at FROM recording ORDER BY recording_id LIMIT 1) AS first_at;

-- name: approvals_of(document_id)
-- Everybody who was asked to decide about a document, and what they said, in order: by name, or by the role that was asked, as the session
-- may know it.
SELECT a.number, a.source_system AS system, CASE WHEN names_deciders() THEN p.canonical->'approver'->>'name' ELSE r.role END AS approver,
       CASE WHEN names_deciders() THEN p.canonical->'decided_by'->>'name' WHEN p.canonical->'decided_by'->>'user' IS NOT NULL THEN r.role END AS decided_by,
       CASE WHEN names_deciders() THEN p.canonical->'decided_by'->>'user' END AS login,
       p.canonical->>'group' AS asked_group, p.canonical->>'decision' AS decision, (p.canonical->>'requested_at')::timestamptz AS requested_at,
       (p.canonical->>'decided_at')::timestamptz AS decided_at, p.canonical->>'comment' AS comment
  FROM document_link l JOIN document a ON a.document_id = l.from_document_id
  JOIN document_payload p ON p.document_id = a.document_id AND p.payload_version = a.payload_version
 CROSS JOIN LATERAL (SELECT coalesce(nullif(p.canonical->>'group', ''), 'Procurement, step ' || (p.canonical->>'position'), 'an approver') AS role) r
 WHERE l.to_document_id = :document_id AND l.relation = 'decides'
 ORDER BY decided_at NULLS LAST, requested_at, a.number;

-- name: changes_of(document_id)
-- Every version of a document's content: who wrote it, when, with which hash and mapping, and which of its fields differ from before.
SELECT p.payload_version, p.recorded_at, p.author, p.author IN (SELECT system FROM system_state) AS is_from_source, encode(p.payload_hash, 'hex') AS payload_hash, p.mapping_version,
       (SELECT string_agg(k.key, ', ' ORDER BY k.key)
          FROM (SELECT key FROM jsonb_object_keys(p.canonical) key UNION SELECT key FROM jsonb_object_keys(b.canonical) key) k
         WHERE p.canonical->k.key IS DISTINCT FROM b.canonical->k.key) AS fields
  FROM document_payload p
  LEFT JOIN document_payload b ON b.document_id = p.document_id AND b.payload_version = p.payload_version - 1
 WHERE p.document_id = :document_id ORDER BY p.payload_version;

-- name: postings_of(document_id)
-- How the ledger took a document's journey, in order: what was accepted, refused, posted, blocked, cleared or reversed, and under which number.
SELECT e.event_at, e.recorded_at, e.activity, e.system, e.actor, d.document_id, d.document_type, d.number, e.posting_status, e.attributes->>'message' AS message, i.erp_numbers
  FROM document r JOIN document d ON d.correlation_id = r.correlation_id
  JOIN event e ON e.document_id = d.document_id
   AND e.activity IN ('order_accepted', 'order_refused', 'answer_lost', 'commitment_confirmed', 'order_number_returned', 'change_accepted', 'change_refused', 'order_cancelled',
                      'invoice_posted', 'invoice_blocked', 'posting_refused', 'payment_ready', 'payment_cleared', 'posting_applied', 'clearing_applied', 'reversal_applied')
  LEFT JOIN LATERAL (SELECT string_agg(x.external_id, ', ' ORDER BY x.external_id) AS erp_numbers
                       FROM document_identifier x JOIN system_state s ON s.system = x.system AND s.role = 'erp' WHERE x.document_id = d.document_id) i ON true
 WHERE r.document_id = :document_id
 ORDER BY e.event_at, e.recorded_at, d.number, e.seq;

-- name: control_rows(control, verdict, units, since, until)
-- The documents behind a control's figure, newest first: 'objected' one row per document (its newest objection), 'overridden' one per decision.
SELECT row_number() OVER (ORDER BY k.happened_at DESC, k.document_id, k.control)::text AS row_id, k.control, k.document_id, d.document_type, d.number, d.business_unit, d.supplier_name, d.group_amount,
       k.happened_at, k.actor, k.code, k.said, k.case_id, c.closed_at, c.closed_by, c.close_reason, d.state
  FROM (SELECT DISTINCT ON (control, document_id, CASE WHEN verdict = 'overridden' THEN happened_at END) *
          FROM control_check
         WHERE verdict = :verdict AND (:control::text IS NULL OR control = :control::text)
           AND happened_at >= :since AND happened_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
         ORDER BY control, document_id, CASE WHEN verdict = 'overridden' THEN happened_at END, happened_at DESC) k
  JOIN document d USING (document_id)
  LEFT JOIN exception_case c ON c.case_id = k.case_id
 ORDER BY k.happened_at DESC, k.document_id, k.control;

-- name: integrity_rows(since, until)
-- The recordings of the period whose events are not as many as they say, oldest first.
SELECT r.recording_id, r.engine_id, r.recorded_at, r.event_count AS events_said, coalesce(e.events, 0) AS events_there
  FROM recording r
  LEFT JOIN (SELECT recording_id, count(*) AS events FROM event WHERE recorded_at >= :since AND recorded_at < :until GROUP BY recording_id) e USING (recording_id)
 WHERE r.recorded_at >= :since AND r.recorded_at < :until AND r.event_count <> coalesce(e.events, 0)
   AND NOT EXISTS (SELECT FROM forgotten_recording f WHERE f.recording_id = r.recording_id)
 ORDER BY r.recorded_at;

-- name: history_gaps()
-- Our own documents whose history is not 1, 2, 3 ... up to what they say is their last event, all time. What an imported log tells of
-- names its last event only once the whole file is in.
SELECT d.document_id, d.document_type, d.number, d.business_unit, d.last_event_seq AS events_said, coalesce(e.events, 0) AS events_there
  FROM document d
  LEFT JOIN (SELECT document_id, count(*) AS events, max(seq) AS last FROM event WHERE source = 'finsync' GROUP BY document_id) e USING (document_id)
 WHERE d.source = 'finsync' AND (coalesce(e.events, 0) <> d.last_event_seq OR e.last <> d.last_event_seq)
 ORDER BY d.number;

-- name: recordings_to_verify(since, until, limit)
-- The newest recordings of the period with the root they carry, without those of a log that was forgotten on purpose.
SELECT r.recording_id, r.recorded_at, r.event_count, r.merkle_root FROM recording r
 WHERE r.recorded_at >= :since AND r.recorded_at < :until AND NOT EXISTS (SELECT FROM forgotten_recording f WHERE f.recording_id = r.recording_id)
 ORDER BY r.recorded_at DESC, r.recording_id DESC LIMIT :limit;

-- name: events_to_verify(recording_id, since, until)
-- The events of these recordings with every column their hash is made of, in their order.
SELECT recording_id, ordinal, document_id, activity, event_at, observed_at, system, actor, flow, step, state_from, state_to, approval_status, posting_status, document_version, attributes
  FROM event WHERE recorded_at >= :since AND recorded_at < :until AND recording_id = ANY (:recording_id::uuid[])
 ORDER BY recording_id, ordinal;

-- name: exception_rate(units, before, since, until, document_types, categories, zone)
-- Documents that entered between :before and :until and how many of them ever met an exception (of the :categories), in count and
-- value: in the period (from :since on) and in the one before it; in all, by business unit, by type, and by week of the :zone.
WITH met AS MATERIALIZED (
    SELECT DISTINCT x.document_id FROM exception_case x WHERE x.document_id IS NOT NULL AND (:categories::text[] IS NULL OR x.category = ANY (:categories::text[]))
), week AS MATERIALIZED (
    SELECT array_agg(w::date ORDER BY w) AS weeks, array_agg(w AT TIME ZONE :zone ORDER BY w) AS begins
      FROM generate_series(date_trunc('week', :before::timestamptz AT TIME ZONE :zone), :until::timestamptz AT TIME ZONE :zone, interval '1 week') AS w
), counted AS MATERIALIZED (
    -- Counted once by all four, and added up from there.
    SELECT d.submitted_at >= :since AS in_period, d.business_unit, d.document_type, width_bucket(d.submitted_at, w.begins) AS nth, count(*) AS entered, count(m.document_id) AS with_exception,
           sum(d.group_amount) AS value, sum(d.group_amount) FILTER (WHERE m.document_id IS NOT NULL) AS value_with_exception
      FROM document d CROSS JOIN week w LEFT JOIN met m USING (document_id)
     WHERE d.document_type = ANY (:document_types::text[]) AND d.submitted_at >= :before AND d.submitted_at < :until AND NOT d.is_test
       AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
     GROUP BY 1, 2, 3, 4
)
SELECT in_period, business_unit, document_type, week, sum(entered)::bigint AS entered, sum(with_exception)::bigint AS with_exception,
       coalesce(sum(value), 0) AS value, coalesce(sum(value_with_exception), 0) AS value_with_exception
  FROM (SELECT c.*, w.weeks[c.nth] AS week FROM counted c CROSS JOIN week w) d
 GROUP BY GROUPING SETS ((in_period), (in_period, business_unit), (in_period, document_type), (in_period, week))
 ORDER BY in_period, week NULLS FIRST, document_type NULLS FIRST, business_unit NULLS FIRST;

-- name: exception_rate_causes(units, since, until, document_types, categories)
-- Each document that entered in the period with each cause it met: exceptions of that cause, how many of them are open, closed and
-- cured by themselves, and how many were there again within 30 days of being closed.
WITH entered AS MATERIALIZED (
    SELECT document_id, document_type, business_unit, group_amount, submitted_at FROM document
     WHERE document_type = ANY (:document_types::text[]) AND submitted_at >= :since AND submitted_at < :until AND NOT is_test
       AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
), d AS MATERIALIZED (
    SELECT e.* FROM entered e WHERE EXISTS (SELECT FROM exception_case c WHERE c.document_id = e.document_id)
), x AS (
    -- Of these documents alone: what a period costs does not grow with the exceptions of all the others.
    SELECT c.document_id, c.code, c.category, c.fingerprint, c.closed_at, c.close_reason, c.raised_at, c.raised_at < lag(c.closed_at) OVER (PARTITION BY c.document_id, c.fingerprint ORDER BY c.raised_at) + interval '30 days' AS came_back
      FROM d JOIN exception_case c USING (document_id)
     WHERE :categories::text[] IS NULL OR c.category = ANY (:categories::text[])
)
SELECT d.document_id, d.document_type, d.business_unit, coalesce(d.group_amount, 0) AS value, d.submitted_at, x.code, x.category, count(DISTINCT x.fingerprint) AS fingerprints,
       count(*) AS exceptions, count(*) FILTER (WHERE x.closed_at IS NULL) AS open, count(x.closed_at) AS closed,
       count(*) FILTER (WHERE x.close_reason = 'self_cured') AS self_cured, count(*) FILTER (WHERE x.came_back) AS came_back, min(x.raised_at) AS raised_at
  FROM d JOIN x USING (document_id)
 GROUP BY d.document_id, d.document_type, d.business_unit, d.group_amount, d.submitted_at, x.code, x.category ORDER BY d.document_id, raised_at, x.code;

-- name: exception_rate_rows(units, since, until, document_types, categories, zone)
-- The documents that entered in the period and ever met an exception (of the :categories), most money first; with the newest of
-- them that is open.
WITH entered AS MATERIALIZED (
    SELECT document_id FROM document
     WHERE document_type = ANY (:document_types::text[]) AND submitted_at >= :since AND submitted_at < :until AND NOT is_test
       AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
)
SELECT d.document_id, d.document_type, d.number, d.title, d.business_unit, d.supplier_name, d.requester, d.currency, d.amount, d.group_amount, d.state, d.submitted_at,
       date_trunc('week', d.submitted_at AT TIME ZONE :zone)::date AS week, x.exceptions, x.open, x.closed, x.self_cured, x.codes, x.categories, x.raised_at, x.case_id,
       (SELECT string_agg(i.external_id, ', ' ORDER BY i.kind, i.external_id)
          FROM document_identifier i JOIN system_state s USING (system)
         WHERE i.document_id = d.document_id AND (s.role = 'erp' OR i.kind = 'request_number') AND i.external_id <> d.number) AS known_as
  FROM document d
  JOIN (SELECT document_id, count(*) AS exceptions, count(*) FILTER (WHERE c.closed_at IS NULL) AS open, count(c.closed_at) AS closed,
               count(*) FILTER (WHERE close_reason = 'self_cured') AS self_cured, array_agg(DISTINCT code ORDER BY code) AS codes,
               array_agg(DISTINCT category ORDER BY category) AS categories, min(raised_at) AS raised_at,
               (array_agg(case_id ORDER BY raised_at DESC) FILTER (WHERE c.closed_at IS NULL))[1] AS case_id
          FROM entered JOIN exception_case c USING (document_id)
         WHERE :categories::text[] IS NULL OR c.category = ANY (:categories::text[]) GROUP BY document_id) x USING (document_id)
 ORDER BY d.group_amount DESC NULLS LAST, d.document_id;

-- name: exception_time_to_close(units, since, until, document_types, categories, as_of)^
-- How long exceptions of the documents that entered in the period took from being raised to being closed, those still open counted
-- with the age they have (Kaplan-Meier); business and wall seconds, NULL where so many are open that it is not reached.
WITH t AS (
    -- business_s(calendar, raised, closed), written out: as a function it costs two plans for each.
    SELECT (c.closed_at IS NOT NULL)::int AS done, coalesce(ended_s.worked, 0) - coalesce(raised_s.worked, 0) AS business_s,
           extract(epoch FROM coalesce(c.closed_at, :as_of) - c.raised_at) AS wall_s
      FROM document d JOIN exception_case c USING (document_id) LEFT JOIN business_unit b ON b.code = d.business_unit
      LEFT JOIN LATERAL (
          SELECT i.worked_before_s + extract(epoch FROM least(c.raised_at, i.closes_at) - i.opens_at) AS worked
            FROM calendar_interval i WHERE i.calendar = b.calendar AND i.opens_at <= c.raised_at ORDER BY i.opens_at DESC LIMIT 1) raised_s ON true
      LEFT JOIN LATERAL (
          SELECT i.worked_before_s + extract(epoch FROM least(coalesce(c.closed_at, :as_of), i.closes_at) - i.opens_at) AS worked
            FROM calendar_interval i WHERE i.calendar = b.calendar AND i.opens_at <= coalesce(c.closed_at, :as_of) ORDER BY i.opens_at DESC LIMIT 1) ended_s ON true
     WHERE d.document_type = ANY (:document_types::text[]) AND d.submitted_at >= :since AND d.submitted_at < :until AND NOT d.is_test
       AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:categories::text[] IS NULL OR c.category = ANY (:categories::text[]))
), at_time AS (
    SELECT 'business' AS clock, business_s AS s, sum(done) AS done, sum(count(*)) OVER (ORDER BY business_s DESC) AS at_risk, count(*) AS leave FROM t WHERE business_s >= 0 GROUP BY business_s
    UNION ALL
    SELECT 'wall', wall_s, sum(done), sum(count(*)) OVER (ORDER BY wall_s DESC), count(*) FROM t WHERE wall_s >= 0 GROUP BY wall_s
), alive AS (
    SELECT clock, s, done, leave, exp(sum(ln(greatest(1 - done::float8 / at_risk::float8, 1e-300))) OVER (PARTITION BY clock ORDER BY s)) AS share FROM at_time
)
SELECT coalesce(sum(leave) FILTER (WHERE clock = 'wall'), 0)::bigint AS n, coalesce(sum(leave - done) FILTER (WHERE clock = 'wall'), 0)::bigint AS open,
       min(s) FILTER (WHERE clock = 'business' AND share <= 0.5) AS p50_business_s,
       min(s) FILTER (WHERE clock = 'business' AND share <= 0.15) AS p85_business_s, min(s) FILTER (WHERE clock = 'wall' AND share <= 0.5) AS p50_wall_s
  FROM alive;

-- name: rights_to_rewrite()
-- Which of the program's roles could change or remove what may only be added to: none should.
SELECT r.role, t.relation, p.privilege
  FROM unnest(ARRAY['finsync_engine', 'finsync_app', 'finsync_gate']) AS r(role)
 CROSS JOIN unnest(ARRAY['event', 'event_object', 'attempt', 'attempt_body', 'inbound_message', 'document_payload', 'case_event', 'config_version']) AS t(relation)
 CROSS JOIN unnest(ARRAY['UPDATE', 'DELETE', 'TRUNCATE']) AS p(privilege)
 WHERE has_table_privilege(r.role, t.relation, p.privilege)
 ORDER BY 1, 2, 3;
