-- Alerts: what every measure finds now and found in the past, the state of each alert, what is told to whom, and how rules do.
-- A finding: subject (what it is about), deadline_on (NULL: none), group_amount (group currency), group_key (its cause), standing (where the
-- subject stands), who and why (text for people). A spell is a finding with the time it lasted, until_at NULL while it lasts. The
-- findings of a moment are the spells that hold it; a test compares the two. :units and :suppliers: NULL for all.

-- name: blocked_orders(amount_min, days, units, suppliers, now)
-- Orders that an open exception stops before they have reached the supplier, need-by date at most :days working days away, or past.
SELECT 'document:' || o.document_id AS subject, o.number AS subject_name, o.document_id, o.business_unit, o.need_by_on AS deadline_on, o.group_amount,
       'cause:' || c.fingerprint AS group_key, o.case_message AS group_title, o.state || ' ' || c.case_id AS standing, o.supplier_name AS who, o.case_message AS why
  FROM open_document o
  JOIN business_unit b ON b.code = o.business_unit
  JOIN exception_case c ON c.case_id = o.case_id
 WHERE o.document_type = 'purchase_order' AND o.state IN ('drafted', 'requested', 'refused', 'posted', 'committed', 'returned')
   AND o.group_amount >= :amount_min::numeric AND o.need_by_on <= :now::date + 2 * :days::int + 20
   AND (:units::text[] IS NULL OR o.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR o.supplier = ANY (:suppliers::text[]))
   AND near_from(b.calendar, b.time_zone, o.need_by_on, :days::int) <= :now;

-- name: blocked_orders_spells(amount_min, days, units, suppliers, since, now)
-- The same, from the orders' own history: the time an order stood before the supplier, an exception of it was open, and its date was
-- near. Amounts and dates are those it has now.
WITH o AS MATERIALIZED (
    SELECT d.document_id, d.number, d.business_unit, d.need_by_on, d.group_amount, d.supplier_name, d.closed_at, near_from(b.calendar, b.time_zone, d.need_by_on, :days::int) AS near_at
      FROM document d JOIN business_unit b ON b.code = d.business_unit
     WHERE d.document_type = 'purchase_order' AND NOT d.is_test AND d.group_amount >= :amount_min::numeric AND d.need_by_on IS NOT NULL
       AND (d.closed_at IS NULL OR d.closed_at > :since)
       AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR d.supplier = ANY (:suppliers::text[]))
), stay AS (
    SELECT e.document_id, e.state_to AS state, e.recorded_at AS from_at, lead(e.recorded_at) OVER (PARTITION BY e.document_id ORDER BY e.seq) AS until_at
      FROM o JOIN event e USING (document_id)
), met AS (
    SELECT o.*, s.state, c.case_id, c.fingerprint, c.message, greatest(s.from_at, c.raised_at, o.near_at) AS from_at, least(s.until_at, c.closed_at) AS until_at
      FROM o JOIN stay s USING (document_id) JOIN exception_case c USING (document_id)
     WHERE s.state IN ('drafted', 'requested', 'refused', 'posted', 'committed', 'returned')
)
SELECT 'document:' || document_id AS subject, number AS subject_name, document_id, business_unit, need_by_on AS deadline_on, group_amount,
       'cause:' || fingerprint AS group_key, message AS group_title, state || ' ' || case_id AS standing, supplier_name AS who, message AS why, from_at, until_at
  FROM met WHERE from_at <= :now AND (until_at IS NULL OR until_at > from_at AND until_at > :since)
 ORDER BY from_at, document_id, case_id;

-- name: invoices_due(amount_min, days, units, suppliers, now)
-- Invoices that are not yet ready for payment, due date at most :days working days away, or past.
SELECT 'document:' || o.document_id AS subject, o.number AS subject_name, o.document_id, o.business_unit, o.due_on AS deadline_on, o.group_amount,
       'unit:' || o.business_unit AS group_key, 'Invoices of ' || o.business_unit AS group_title, o.state AS standing, o.supplier_name AS who,
       coalesce(o.case_message, o.reason) AS why
  FROM open_document o JOIN business_unit b ON b.code = o.business_unit
 WHERE o.document_type = 'invoice' AND o.state NOT IN ('payment_ready', 'cleared', 'released', 'posted')
   AND o.group_amount >= :amount_min::numeric AND o.due_on <= :now::date + 2 * :days::int + 20
   AND (:units::text[] IS NULL OR o.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR o.supplier = ANY (:suppliers::text[]))
   AND near_from(b.calendar, b.time_zone, o.due_on, :days::int) <= :now;

-- name: invoices_due_spells(amount_min, days, units, suppliers, since, now)
-- The same, from the invoices' own history. Amounts and dates are those they have now.
WITH o AS MATERIALIZED (
    SELECT d.document_id, d.number, d.business_unit, d.due_on, d.group_amount, d.supplier_name, near_from(b.calendar, b.time_zone, d.due_on, :days::int) AS near_at
      FROM document d JOIN business_unit b ON b.code = d.business_unit
     WHERE d.document_type = 'invoice' AND NOT d.is_test AND d.group_amount >= :amount_min::numeric AND d.due_on IS NOT NULL
       AND (d.closed_at IS NULL OR d.closed_at > :since)
       AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR d.supplier = ANY (:suppliers::text[]))
), stay AS (
    SELECT o.*, e.state_to AS state, e.recorded_at, lead(e.recorded_at) OVER (PARTITION BY e.document_id ORDER BY e.seq) AS until_at
      FROM o JOIN event e USING (document_id)
)
SELECT 'document:' || document_id AS subject, number AS subject_name, document_id, business_unit, due_on AS deadline_on, group_amount,
       'unit:' || business_unit AS group_key, 'Invoices of ' || business_unit AS group_title, state AS standing, supplier_name AS who, state AS why,
       greatest(recorded_at, near_at) AS from_at, until_at
  FROM stay
 WHERE state NOT IN ('payment_ready', 'cleared', 'released', 'posted', 'paid', 'rejected')
   AND greatest(recorded_at, near_at) <= :now AND (until_at IS NULL OR until_at > greatest(recorded_at, near_at) AND until_at > :since)
 ORDER BY from_at, document_id;

-- name: deadlines_of_objectives(since, now)
-- Every document whose deadline of an objective fell in (:since, :now], and whether it was done by then; without the deadlines that
-- somebody has said do not count. From the folder's own rows: no event is read, however many there are.
SELECT o.name AS objective, o.title, o.target, r.deadline_at, r.is_good
  FROM objective o JOIN objective_outcome r ON r.objective = o.name
 WHERE r.source = 'finsync' AND r.started_at IS NOT NULL AND r.deadline_at > :since AND r.deadline_at <= :now AND NOT r.is_excluded
 ORDER BY o.name, r.deadline_at, r.document_id;

-- name: causes_rising(hours, count_min, factor, units, now)
-- Causes of which :count_min exceptions or more were raised within :hours, and :factor times as many as within as many hours before.
WITH seen AS (
    SELECT fingerprint, business_unit, count(*) FILTER (WHERE raised_at > :now::timestamptz - make_interval(secs => :hours::float8 * 3600)) AS lately,
           count(*) FILTER (WHERE raised_at <= :now::timestamptz - make_interval(secs => :hours::float8 * 3600)) AS before,
           sum(group_amount) FILTER (WHERE raised_at > :now::timestamptz - make_interval(secs => :hours::float8 * 3600)) AS group_amount,
           max(code) AS code, (array_agg(message ORDER BY raised_at DESC))[1] AS message
      FROM exception_case
     WHERE raised_at > :now::timestamptz - make_interval(secs => :hours::float8 * 7200) AND raised_at <= :now
       AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
     GROUP BY fingerprint, business_unit
)
SELECT 'cause:' || fingerprint || ':' || business_unit AS subject, replace(code, '_', ' ') AS subject_name, NULL::uuid AS document_id, business_unit, NULL::date AS deadline_on,
       group_amount, 'cause:' || fingerprint AS group_key, message AS group_title, '' AS standing, business_unit AS who,
       lately || ' in ' || trim_scale(:hours::numeric) || ' hours, ' || CASE WHEN before > 0 THEN before || ' before. '
           WHEN EXISTS (SELECT 1 FROM exception_case e WHERE e.fingerprint = seen.fingerprint AND e.raised_at <= :now::timestamptz - make_interval(secs => :hours::float8 * 7200)) THEN 'none before. '
           ELSE 'never before. ' END || message AS why
  FROM seen WHERE lately >= :count_min::int AND lately >= :factor::numeric * before;

-- name: exceptions_raised(hours, units, since, now)
-- Every exception from which the spells of rising causes are worked out, by cause and unit, in the order in which they were raised.
SELECT fingerprint, business_unit, raised_at, replace(code, '_', ' ') AS code, message, group_amount
  FROM exception_case
 WHERE raised_at > :since::timestamptz - make_interval(secs => :hours::float8 * 7200) AND raised_at <= :now
   AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 ORDER BY fingerprint, business_unit, raised_at, case_id;

-- name: sources_silent(times, now)
-- Feeds that have not been read without an error for :times as long as they may be silent.
SELECT 'feed:' || f.system || '/' || f.feed AS subject, s.title || ', ' || f.feed AS subject_name, NULL::uuid AS document_id, '' AS business_unit, NULL::date AS deadline_on,
       NULL::numeric AS group_amount, 'system:' || f.system AS group_key, s.title || ' is silent' AS group_title, '' AS standing, '' AS who,
       'Last read ' || to_char(f.last_success_at AT TIME ZONE 'UTC', 'FMDD Mon YYYY, HH24:MI') || ' UTC. ' || f.last_error AS why
  FROM feed_state f JOIN system_state s USING (system)
 WHERE f.last_success_at + make_interval(secs => (f.silent_after_s * :times::numeric)::float8) <= :now;

-- name: sources_silent_spells(times, since, now)
-- The same, from the reads that went well: the time between two of them beyond what is allowed now.
WITH told AS MATERIALIZED (
    SELECT f.system, f.feed, s.title, make_interval(secs => (f.silent_after_s * :times::numeric)::float8) AS allowed, f.last_success_at
      FROM feed_state f JOIN system_state s USING (system)
), read AS (
    SELECT t.*, a.recorded_at, lead(a.recorded_at) OVER (PARTITION BY t.system, t.feed ORDER BY a.recorded_at) AS until_at
      FROM told t JOIN attempt a ON a.system = t.system AND a.operation = 'feed:' || t.feed
     WHERE a.outcome = 'done' AND a.recorded_at > :since::timestamptz - interval '14 days' AND a.recorded_at <= :now
)
SELECT 'feed:' || system || '/' || feed AS subject, title || ', ' || feed AS subject_name, NULL::uuid AS document_id, '' AS business_unit, NULL::date AS deadline_on,
       NULL::numeric AS group_amount, 'system:' || system AS group_key, title || ' is silent' AS group_title, '' AS standing, '' AS who,
       'Last read ' || to_char(recorded_at AT TIME ZONE 'UTC', 'FMDD Mon YYYY, HH24:MI') || ' UTC. ' AS why, recorded_at + allowed AS from_at, until_at
  FROM read WHERE recorded_at + allowed <= :now AND (until_at IS NULL OR until_at > recorded_at + allowed AND until_at > :since)
 ORDER BY from_at, subject;

-- name: quota_low(percent, now)
-- Systems with less than :percent of their quota left, as they last said within a day, until it is renewed.
SELECT 'quota:' || system AS subject, title AS subject_name, NULL::uuid AS document_id, '' AS business_unit, NULL::date AS deadline_on, NULL::numeric AS group_amount,
       'system:' || system AS group_key, title || ' has little quota left' AS group_title, '' AS standing, '' AS who,
       quota_remaining || ' of ' || quota_limit || ' calls are left' || coalesce(', renewed ' || to_char(quota_reset_at AT TIME ZONE 'UTC', 'FMDD Mon YYYY, HH24:MI') || ' UTC', '') || '.' AS why
  FROM system_state
 WHERE quota_limit > 0 AND quota_remaining * 100 < quota_limit * :percent::numeric AND quota_seen_at > :now::timestamptz - interval '1 day'
   AND (quota_reset_at IS NULL OR quota_reset_at > :now);

-- name: books_differ(hours, units, now)
-- Differences between the books that the last comparison still found, for :hours or longer.
SELECT 'difference:' || kind || ':' || document AS subject, document AS subject_name, NULL::uuid AS document_id, business_unit, NULL::date AS deadline_on,
       NULL::numeric AS group_amount, CASE WHEN kind IN ('record', 'history') THEN 'difference:record' ELSE 'difference:' || kind END AS group_key,
       CASE WHEN kind IN ('record', 'history') THEN 'The record is not whole' ELSE 'The books differ on a ' || replace(kind, '_', ' ') END AS group_title, '' AS standing, '' AS who, sentence AS why
  FROM drift
 WHERE gone_at IS NULL AND found_at + make_interval(secs => :hours::float8 * 3600) <= :now
   AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]));

-- name: books_differ_spells(hours, units, since, now)
-- The same, of every comparison since.
SELECT 'difference:' || kind || ':' || document AS subject, document AS subject_name, NULL::uuid AS document_id, business_unit, NULL::date AS deadline_on,
       NULL::numeric AS group_amount, CASE WHEN kind IN ('record', 'history') THEN 'difference:record' ELSE 'difference:' || kind END AS group_key,
       CASE WHEN kind IN ('record', 'history') THEN 'The record is not whole' ELSE 'The books differ on a ' || replace(kind, '_', ' ') END AS group_title, '' AS standing, '' AS who, sentence AS why,
       found_at + make_interval(secs => :hours::float8 * 3600) AS from_at, gone_at AS until_at
  FROM drift
 WHERE found_at + make_interval(secs => :hours::float8 * 3600) <= :now
   AND (gone_at IS NULL OR gone_at > :since AND gone_at > found_at + make_interval(secs => :hours::float8 * 3600))
   AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 ORDER BY from_at, subject;

-- name: expires(days, now)
-- Secrets and certificates that expire within :days calendar days, or have.
SELECT kind || ':' || name AS subject, name AS subject_name, NULL::uuid AS document_id, '' AS business_unit, expires_on AS deadline_on, NULL::numeric AS group_amount,
       kind || ':' || name AS group_key, 'The ' || kind || ' of ' || name || ' expires' AS group_title, expires_on::text AS standing, '' AS who,
       'The ' || kind || ' of ' || name || ' expires on ' || expires_on || '.' AS why
  FROM expiry WHERE gone_at IS NULL AND (expires_on - :days::int)::timestamp AT TIME ZONE 'UTC' <= :now;

-- name: expires_spells(days, since, now)
-- The same, of every date that was noted since.
SELECT kind || ':' || name AS subject, name AS subject_name, NULL::uuid AS document_id, '' AS business_unit, expires_on AS deadline_on, NULL::numeric AS group_amount,
       kind || ':' || name AS group_key, 'The ' || kind || ' of ' || name || ' expires' AS group_title, expires_on::text AS standing, '' AS who,
       'The ' || kind || ' of ' || name || ' expires on ' || expires_on || '.' AS why,
       greatest(noted_at, (expires_on - :days::int)::timestamp AT TIME ZONE 'UTC') AS from_at, gone_at AS until_at
  FROM expiry
 WHERE greatest(noted_at, (expires_on - :days::int)::timestamp AT TIME ZONE 'UTC') <= :now
   AND (gone_at IS NULL OR gone_at > :since AND gone_at > greatest(noted_at, (expires_on - :days::int)::timestamp AT TIME ZONE 'UTC'))
 ORDER BY from_at, subject;

-- name: approver_waits(hours, units, now)
-- For whom approvals have waited longer than :hours working hours, by unit, with their value together.
SELECT 'approver:' || o.waiting_for || ':' || o.business_unit AS subject, o.waiting_for AS subject_name, NULL::uuid AS document_id, o.business_unit, NULL::date AS deadline_on,
       sum(o.group_amount) AS group_amount, 'approver:' || o.waiting_for AS group_key, 'Approvals wait for ' || o.waiting_for AS group_title, '' AS standing, o.business_unit AS who,
       count(*) || CASE count(*) WHEN 1 THEN ' document waits' ELSE ' documents wait' END || ', the oldest since ' || to_char(min(o.state_since), 'FMDD Mon YYYY') || '.' AS why
  FROM open_document o
 WHERE o.document_type IN ('requisition', 'change_order', 'invoice') AND o.state = 'awaiting_approval' AND o.reason = 'awaiting approval' AND o.waiting_for <> ''
   AND business_s(o.calendar, o.state_since, :now) >= :hours::numeric * 3600 AND (:units::text[] IS NULL OR o.business_unit = ANY (:units::text[]))
 GROUP BY o.waiting_for, o.business_unit;

-- name: not_invoiced(amount_min, days, units, suppliers, now)
-- Orders with goods received and not billed (quantities by line, at the order's price), at most :days working days before the end of the month in the unit's own zone.
SELECT 'document:' || d.document_id AS subject, d.number AS subject_name, d.document_id, d.business_unit, p.ends_on AS deadline_on, m.open_amount AS group_amount,
       'unit:' || d.business_unit AS group_key, 'Received and not invoiced in ' || d.business_unit AS group_title, d.state AS standing, d.supplier_name AS who,
       'Goods are in, no invoice is.' AS why
  FROM document d
  JOIN business_unit b ON b.code = d.business_unit
 CROSS JOIN LATERAL (SELECT (date_trunc('month', :now::timestamptz AT TIME ZONE b.time_zone) + interval '1 month - 1 day')::date AS ends_on) p
 CROSS JOIN LATERAL (
       SELECT round(sum(greatest(coalesce(l.received, 0) - coalesce(l.billed, 0), 0) * l.price) * coalesce(d.group_amount / nullif(d.amount, 0), 1), 2) AS open_amount
         FROM (SELECT order_line, sum(quantity) FILTER (WHERE kind = 'received') AS received, sum(quantity) FILTER (WHERE kind = 'billed') AS billed,
                      sum(amount) FILTER (WHERE kind = 'ordered') / nullif(sum(quantity) FILTER (WHERE kind = 'ordered'), 0) AS price
                 FROM order_movement WHERE order_document_id = d.document_id GROUP BY order_line) l) m
 WHERE d.document_type = 'purchase_order' AND d.closed_at IS NULL AND NOT d.is_test AND m.open_amount >= greatest(:amount_min::numeric, 0.01)
   AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR d.supplier = ANY (:suppliers::text[]))
   AND near_from(b.calendar, b.time_zone, p.ends_on, :days::int) <= :now;

-- name: not_invoiced_spells(amount_min, days, units, suppliers, since, now)
-- The same, from every receipt and invoice as it was recorded, for every month's end since.
WITH d AS MATERIALIZED (
    SELECT d.*, b.calendar, b.time_zone, coalesce(d.group_amount / nullif(d.amount, 0), 1) AS rate
      FROM document d JOIN business_unit b ON b.code = d.business_unit
     WHERE d.document_type = 'purchase_order' AND NOT d.is_test AND (d.closed_at IS NULL OR d.closed_at > :since)
       AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[])) AND (:suppliers::text[] IS NULL OR d.supplier = ANY (:suppliers::text[]))
), turn AS (
    SELECT order_document_id AS document_id, recorded_at AS from_at, lead(recorded_at) OVER (PARTITION BY order_document_id ORDER BY recorded_at) AS until_at
      FROM (SELECT DISTINCT order_document_id, recorded_at FROM order_movement WHERE order_document_id IN (SELECT document_id FROM d)) AS m
), stood AS (
    SELECT t.*, (SELECT sum(greatest(coalesce(l.received, 0) - coalesce(l.billed, 0), 0) * l.price)
                   FROM (SELECT order_line, sum(quantity) FILTER (WHERE kind = 'received') AS received, sum(quantity) FILTER (WHERE kind = 'billed') AS billed,
                                sum(amount) FILTER (WHERE kind = 'ordered') / nullif(sum(quantity) FILTER (WHERE kind = 'ordered'), 0) AS price
                           FROM order_movement WHERE order_document_id = t.document_id AND recorded_at <= t.from_at GROUP BY order_line) l) AS open_amount
      FROM turn t
), met AS (
    SELECT d.document_id, d.number, d.business_unit, d.supplier_name, d.state, p.ends_on, round(s.open_amount * d.rate, 2) AS open_amount,
           greatest(s.from_at, near_from(d.calendar, d.time_zone, p.ends_on, :days::int), date_trunc('month', p.ends_on)::timestamp AT TIME ZONE d.time_zone) AS from_at,
           least(s.until_at, d.closed_at, (p.ends_on + 1)::timestamp AT TIME ZONE d.time_zone) AS until_at
      FROM d JOIN stood s USING (document_id)
     CROSS JOIN LATERAL (SELECT (month + interval '1 month - 1 day')::date AS ends_on
                           FROM generate_series(date_trunc('month', :since::timestamptz AT TIME ZONE d.time_zone), :now::timestamptz AT TIME ZONE d.time_zone, interval '1 month') AS month) p
)
SELECT 'document:' || document_id AS subject, number AS subject_name, document_id, business_unit, ends_on AS deadline_on, open_amount AS group_amount,
       'unit:' || business_unit AS group_key, 'Received and not invoiced in ' || business_unit AS group_title, state AS standing, supplier_name AS who,
       'Goods are in, no invoice is.' AS why, from_at, until_at
  FROM met WHERE open_amount >= greatest(:amount_min::numeric, 0.01) AND from_at <= :now AND until_at > from_at AND until_at > :since
 ORDER BY from_at, document_id;

-- name: notices_failed(now)
-- Destinations whose last notice of the last month was given up.
SELECT 'destination:' || destination AS subject, destination AS subject_name, NULL::uuid AS document_id, '' AS business_unit, NULL::date AS deadline_on, NULL::numeric AS group_amount,
       'destination:' || destination AS group_key, 'Notices do not reach ' || destination AS group_title, '' AS standing, '' AS who, last_error AS why
  FROM (SELECT DISTINCT ON (destination) destination, status, last_error FROM alert_notice
         WHERE status IN ('sent', 'given_up') AND settled_at > :now::timestamptz - interval '31 days' AND settled_at <= :now
         ORDER BY destination, settled_at DESC, notice_id DESC) newest
 WHERE status = 'given_up';

-- name: notices_failed_spells(since, now)
-- The same, from every notice that was sent or given up.
SELECT 'destination:' || destination AS subject, destination AS subject_name, NULL::uuid AS document_id, '' AS business_unit, NULL::date AS deadline_on, NULL::numeric AS group_amount,
       'destination:' || destination AS group_key, 'Notices do not reach ' || destination AS group_title, '' AS standing, '' AS who, last_error AS why, settled_at AS from_at, until_at
  FROM (SELECT destination, status, last_error, settled_at, lead(settled_at) OVER (PARTITION BY destination ORDER BY settled_at, notice_id) AS until_at
          FROM alert_notice WHERE status IN ('sent', 'given_up') AND settled_at <= :now) told
 WHERE status = 'given_up' AND (until_at IS NULL OR until_at > :since)
 ORDER BY from_at, subject;

-- name: acts(document_id, since)
-- When a person did something about the exceptions of these documents.
SELECT c.document_id, e.happened_at
  FROM exception_case c JOIN case_event e USING (case_id)
 WHERE c.document_id = ANY (:document_id::uuid[]) AND e.action IN ('claim', 'assign', 'comment', 'reprocess', 'accept', 'abandon', 'close') AND e.happened_at > :since
 ORDER BY 1, 2;

-- name: in_office_hours(calendar, moment)
-- Which of these moments lie in the working hours of their calendars; a calendar nobody knows is always open.
SELECT u.ordinal, EXISTS (SELECT 1 FROM calendar_interval i WHERE i.calendar = u.calendar AND i.opens_at <= u.moment AND i.closes_at > u.moment)
                  OR NOT EXISTS (SELECT 1 FROM calendar_interval i WHERE i.calendar = u.calendar) AS is_open,
       (SELECT min(i.opens_at) FROM calendar_interval i WHERE i.calendar = u.calendar AND i.opens_at > u.moment) AS opens_at
  FROM unnest(:calendar::text[], :moment::timestamptz[]) WITH ORDINALITY AS u(calendar, moment, ordinal)
 ORDER BY u.ordinal;

-- name: rules_in_force()
-- The newest version of every rule, with when and by whom it was put in force.
SELECT DISTINCT ON (rule) rule, version, content, source, silent_until, changed_at, changed_by, reason
  FROM alert_rule_version ORDER BY rule, version DESC;

-- name: rules_of_files()
-- The newest version of every rule that came from a file.
SELECT DISTINCT ON (rule) rule, sha256 FROM alert_rule_version WHERE source = 'file' ORDER BY rule, version DESC;

-- name: lock_rules()
-- One writer of rules at a time, until the transaction ends.
SELECT pg_advisory_xact_lock(hashtextextended('finsync alert rules ' || current_schema(), 0));

-- name: add_rule_version(rule, content, sha256, source, silent_until, now, changed_by, reason, simulated)
-- The next version of a rule comes into force; answers its number.
INSERT INTO alert_rule_version (rule, version, content, sha256, source, silent_until, changed_at, changed_by, reason, simulated)
VALUES (:rule, 1 + coalesce((SELECT max(version) FROM alert_rule_version WHERE rule = :rule), 0), :content::jsonb, :sha256, :source, :silent_until, :now, :changed_by, :reason, :simulated::jsonb)
RETURNING version;

-- name: lock_alerts(rule, subject, occasion)
-- The alerts of a rule that an evaluation has to look at: open ones, those resolved by a person while their condition holds, and those
-- of these subjects and occasions. Held until the transaction ends.
SELECT * FROM alert
 WHERE alert_id = ANY (ARRAY(
           SELECT a.alert_id FROM alert a WHERE a.rule = :rule AND (a.resolved_at IS NULL OR a.is_found)
           UNION
           SELECT a.alert_id FROM unnest(:subject::text[], :occasion::text[]) AS u(subject, occasion) JOIN alert a ON a.rule = :rule AND a.subject = u.subject AND a.occasion = u.occasion))
 ORDER BY alert_id FOR UPDATE;

-- name: put_alerts(alert_id, rule, rule_version, subject, occasion, subject_name, document_id, business_unit, deadline_on, group_amount, group_key, group_title, severity, owner_team, message, standing, state, is_found, is_silent, level, pending_since, fired_at, acknowledged_at, acknowledged_by, acknowledged_until, snoozed_at, snoozed_by, snoozed_until, snoozed_standing, acted_at, resolved_at, resolved_by, resolve_reason, noticed_at, noticed_level)!
-- Alerts as they stand now: one row per rule, subject and occasion, whoever evaluates.
INSERT INTO alert AS a (alert_id, rule, rule_version, subject, occasion, subject_name, document_id, business_unit, deadline_on, group_amount, group_key, group_title, severity, owner_team,
       message, standing, state, is_found, is_silent, level, pending_since, fired_at, acknowledged_at, acknowledged_by, acknowledged_until, snoozed_at, snoozed_by, snoozed_until,
       snoozed_standing, acted_at, resolved_at, resolved_by, resolve_reason, noticed_at, noticed_level)
SELECT * FROM unnest(:alert_id::uuid[], :rule::text[], :rule_version::int[], :subject::text[], :occasion::text[], :subject_name::text[], :document_id::uuid[], :business_unit::text[],
       :deadline_on::date[], :group_amount::numeric[], :group_key::text[], :group_title::text[], :severity::text[], :owner_team::text[], :message::text[], :standing::text[], :state::text[],
       :is_found::boolean[], :is_silent::boolean[], :level::int[], :pending_since::timestamptz[], :fired_at::timestamptz[], :acknowledged_at::timestamptz[], :acknowledged_by::text[],
       :acknowledged_until::timestamptz[], :snoozed_at::timestamptz[], :snoozed_by::text[], :snoozed_until::timestamptz[], :snoozed_standing::text[], :acted_at::timestamptz[],
       :resolved_at::timestamptz[], :resolved_by::text[], :resolve_reason::text[], :noticed_at::timestamptz[], :noticed_level::int[])
ON CONFLICT (rule, subject, occasion) DO UPDATE SET rule_version = excluded.rule_version, subject_name = excluded.subject_name, group_amount = excluded.group_amount,
       group_key = excluded.group_key, group_title = excluded.group_title, severity = excluded.severity, owner_team = excluded.owner_team, message = excluded.message,
       standing = excluded.standing, state = excluded.state, is_found = excluded.is_found, is_silent = excluded.is_silent, level = excluded.level,
       pending_since = excluded.pending_since, fired_at = excluded.fired_at, acknowledged_at = excluded.acknowledged_at, acknowledged_by = excluded.acknowledged_by,
       acknowledged_until = excluded.acknowledged_until, snoozed_at = excluded.snoozed_at, snoozed_by = excluded.snoozed_by, snoozed_until = excluded.snoozed_until,
       snoozed_standing = excluded.snoozed_standing, acted_at = excluded.acted_at, resolved_at = excluded.resolved_at, resolved_by = excluded.resolved_by,
       resolve_reason = excluded.resolve_reason, noticed_at = excluded.noticed_at, noticed_level = excluded.noticed_level;

-- name: add_alert_events(alert_id, what, actor, reason, state, business_unit, now)!
-- What has happened to alerts.
INSERT INTO alert_event (alert_id, happened_at, what, actor, reason, state, business_unit)
SELECT u.alert_id, :now, u.what, u.actor, u.reason, u.state, u.business_unit
  FROM unnest(:alert_id::uuid[], :what::text[], :actor::text[], :reason::text[], :state::text[], :business_unit::text[]) AS u(alert_id, what, actor, reason, state, business_unit)
ON CONFLICT DO NOTHING;

-- name: end_alerts_of_other_rules(rule, now)
-- Open alerts of rules that are not evaluated any more are over.
UPDATE alert SET state = 'resolved', resolved_at = :now, resolved_by = 'finsync', resolve_reason = 'the rule is switched off', is_found = false
 WHERE (resolved_at IS NULL OR is_found) AND NOT rule = ANY (:rule::text[])
RETURNING alert_id, business_unit;

-- name: add_notices(notice_id, rule, group_key, destination, severity, alert_ids, content, is_digest, due_at, business_unit, now)!
-- What is to be told outside.
INSERT INTO alert_notice (notice_id, rule, group_key, destination, severity, alert_ids, content, is_digest, created_at, due_at, business_unit)
SELECT u.notice_id, u.rule, u.group_key, u.destination, u.severity, string_to_array(u.alert_ids, ',')::uuid[], u.content, u.is_digest, :now, u.due_at, u.business_unit
  FROM unnest(:notice_id::uuid[], :rule::text[], :group_key::text[], :destination::text[], :severity::text[], :alert_ids::text[], :content::jsonb[], :is_digest::boolean[],
              :due_at::timestamptz[], :business_unit::text[])
       AS u(notice_id, rule, group_key, destination, severity, alert_ids, content, is_digest, due_at, business_unit)
ON CONFLICT DO NOTHING;

-- name: claim_notices(wanted, lease_until, now)
-- Notices that are due, the oldest first, taken by this engine for a while; with whether any alert in it is still open.
UPDATE alert_notice n SET status = 'sending', lease_until = :lease_until, tries = n.tries + 1
 WHERE n.notice_id IN (SELECT w.notice_id FROM alert_notice w
                        WHERE w.settled_at IS NULL AND w.due_at <= :now AND (w.status = 'due' OR w.lease_until <= :now)
                        ORDER BY w.due_at, w.notice_id LIMIT :wanted FOR UPDATE SKIP LOCKED)
RETURNING n.notice_id, n.rule, n.destination, n.severity, n.content, n.is_digest, n.tries, n.created_at,
          EXISTS (SELECT 1 FROM alert a WHERE a.alert_id = ANY (n.alert_ids) AND a.resolved_at IS NULL) AS is_open;

-- name: settle_notices(notice_id, status, due_at, last_error, now)!
-- What became of tries: sent, overtaken (nothing in it is open any more), given up, or due again later.
UPDATE alert_notice n
   SET status = u.status, lease_until = NULL, due_at = coalesce(u.due_at, n.due_at), last_error = u.last_error, settled_at = CASE WHEN u.status = 'due' THEN NULL ELSE :now::timestamptz END
  FROM unnest(:notice_id::uuid[], :status::text[], :due_at::timestamptz[], :last_error::text[]) AS u(notice_id, status, due_at, last_error)
 WHERE n.notice_id = u.notice_id AND n.status = 'sending';

-- name: put_drift(drift_id, kind, document, sentence, business_unit, of_record, now)
-- What a comparison has found, of the record with itself or (not :of_record) of the books: new differences are noted, those that it does
-- not find any more are gone.
WITH found AS (
    SELECT DISTINCT ON (kind, document) * FROM unnest(:drift_id::uuid[], :kind::text[], :document::text[], :sentence::text[], :business_unit::text[]) AS u(drift_id, kind, document, sentence, business_unit)
     ORDER BY kind, document, sentence
), gone AS (
    UPDATE drift d SET gone_at = :now
     WHERE d.gone_at IS NULL AND (d.kind IN ('record', 'history')) = :of_record AND NOT EXISTS (SELECT 1 FROM found f WHERE f.kind = d.kind AND f.document = d.document)
)
INSERT INTO drift (drift_id, kind, document, sentence, found_at, business_unit)
SELECT f.drift_id, f.kind, f.document, f.sentence, :now, f.business_unit FROM found f
ON CONFLICT (kind, document) WHERE gone_at IS NULL DO UPDATE SET sentence = excluded.sentence
RETURNING drift_id;

-- name: put_expiries(name, kind, expires_on, now)
-- Dates as the configuration states them now; those it does not state any more are gone.
WITH stated AS (SELECT * FROM unnest(:name::text[], :kind::text[], :expires_on::date[]) AS u(name, kind, expires_on)),
gone AS (
    UPDATE expiry e SET gone_at = :now WHERE e.gone_at IS NULL AND (e.name, e.kind, e.expires_on) NOT IN (SELECT name, kind, expires_on FROM stated)
)
INSERT INTO expiry (name, kind, expires_on, noted_at) SELECT name, kind, expires_on, :now FROM stated
ON CONFLICT (name, kind, expires_on) DO UPDATE SET gone_at = NULL
RETURNING name;

-- name: calendars_of_units()
-- Whose working hours are whose.
SELECT code, calendar FROM business_unit;

-- name: lock_named(alert_id)
-- The alerts a command is about, held until the transaction ends, in id order so that two holders never cross.
SELECT alert_id, business_unit, state, acknowledged_by, snoozed_by, resolved_by FROM alert WHERE alert_id = ANY (:alert_id::uuid[]) ORDER BY alert_id FOR UPDATE;

-- name: acknowledge(alert_id, actor, until, now)!
-- Somebody has these alerts, until a time or (NULL) until they resolve.
UPDATE alert SET state = 'acknowledged', acknowledged_at = :now, acknowledged_by = :actor, acknowledged_until = :until, acted_at = coalesce(acted_at, :now)
 WHERE alert_id = ANY (:alert_id::uuid[]) AND resolved_at IS NULL;

-- name: snooze(alert_id, actor, until, now)!
-- Nobody is reminded of these alerts until a time or (NULL) until their subject has changed.
UPDATE alert SET state = 'snoozed', snoozed_at = :now, snoozed_by = :actor, snoozed_until = :until, acted_at = coalesce(acted_at, :now),
       snoozed_standing = CASE WHEN :until::timestamptz IS NULL THEN standing END
 WHERE alert_id = ANY (:alert_id::uuid[]) AND resolved_at IS NULL;

-- name: resolve(alert_id, actor, reason, now)!
-- A person says that these alerts are over.
UPDATE alert SET state = 'resolved', resolved_at = :now, resolved_by = :actor, resolve_reason = :reason, acted_at = coalesce(acted_at, :now)
 WHERE alert_id = ANY (:alert_id::uuid[]) AND resolved_at IS NULL;
