-- What the page on approvals asks. A task is one decision that somebody is asked for: a step of procurement's chain, or a group of the
-- approval tool, whose first member's word counts; the rows of its other members are the same task.

-- name: tasks(units, since, as_of, named, most)
-- Every task that is open or has ended since :since (of approvers, what is asked about and what they were at before). The newest :most
-- of them, the open ones first; there: how many there are. outcome: approved, rejected, open, or ended
-- (withdrawn, or decided by the integration in somebody's place). A program's own step is nobody's decision and no task.
-- role: the group asked, or procurement's step. person: a number for whoever decided (or alone is asked), good for grouping within this
-- answer alone; approver: their name, for roles that may see it and ask for it (:named); asked_person: whoever was asked where somebody else decided. calendar: the approver's own
-- ("system:login") where there is one, else the unit's. ready_at: when the hub had what it needed to ask; returned_at, erp_at: when
-- procurement (or AP automation) and the ERP had what followed. business_s: created to decided in that calendar. limit_amount: where the unit's
-- exception approval begins, in the document's currency; other_reason: it needed that approval for another reason too.
WITH config AS MATERIALIZED (
    SELECT DISTINCT ON (kind) kind, content FROM config_version WHERE kind IN ('mappings', 'policies') ORDER BY kind, promoted_at DESC
), program AS MATERIALIZED (
    SELECT coalesce(array_agg(k.login), '{}') AS logins
      FROM config c CROSS JOIN LATERAL jsonb_object_keys(c.content->'integration_users'->'entries') AS k(login) WHERE c.kind = 'mappings'
), threshold AS MATERIALIZED (
    SELECT t.business_unit, t.currency, t.amount
      FROM config c CROSS JOIN LATERAL jsonb_to_recordset(c.content->'approval_thresholds') AS t(business_unit text, currency text, amount numeric)
     WHERE c.kind = 'policies'
), own AS MATERIALIZED (
    SELECT coalesce(array_agg(DISTINCT calendar), '{}') AS calendars FROM calendar_interval WHERE strpos(calendar, ':') > 0
), asked AS MATERIALIZED (
    SELECT a.document_id AS task_id, a.source_system AS system, a.state, a.state_since, a.business_unit, l.to_document_id AS document_id,
           p.canonical->>'request' AS request, p.canonical->>'group' AS asked_group, (p.canonical->>'position')::int AS position,
           (p.canonical->>'requested_at')::timestamptz AS requested_at, (p.canonical->>'decided_at')::timestamptz AS decided_at,
           p.canonical->'approver'->>'user' AS asked_login, p.canonical->'approver'->>'name' AS asked_name,
           p.canonical->'decided_by'->>'user' AS decided_login, p.canonical->'decided_by'->>'name' AS decided_name
      FROM document a
      JOIN document_payload p ON p.document_id = a.document_id AND p.payload_version = a.payload_version
      LEFT JOIN document_link l ON l.from_document_id = a.document_id AND l.relation = 'decides'
     WHERE a.document_type = 'approval' AND a.source = 'finsync' AND NOT a.is_test
       AND (a.closed_at IS NULL OR a.closed_at >= :since::timestamptz)
), human AS (
    SELECT a.*, coalesce(a.decided_login, a.asked_login) AS login, coalesce(a.decided_name, CASE WHEN a.decided_login IS NULL OR a.decided_login = a.asked_login THEN a.asked_name END, a.decided_login) AS name,
           CASE WHEN a.state IN ('approved', 'rejected') AND a.decided_at IS NOT NULL AND NOT a.system || ':' || coalesce(a.decided_login, '') = ANY (g.logins) THEN a.state
                WHEN a.state = 'requested' THEN 'open' ELSE 'ended' END AS outcome
      FROM asked a CROSS JOIN program g
     WHERE NOT a.system || ':' || coalesce(a.asked_login, '') = ANY (g.logins)
), task AS MATERIALIZED (
    -- Of a group's rows the one somebody decided stands for it; the members that are asked are counted.
    SELECT DISTINCT ON (t.task) t.*, count(*) OVER (PARTITION BY t.task) AS members
      FROM (SELECT h.*, CASE WHEN h.request <> '' AND h.asked_group <> '' THEN h.system || ' ' || h.request || ' ' || h.asked_group ELSE h.task_id::text END AS task FROM human h) t
     ORDER BY t.task, array_position(ARRAY['rejected', 'approved', 'open', 'ended'], t.outcome), t.decided_at, t.task_id
), chosen AS (
    SELECT t.*, dense_rank() OVER (ORDER BY t.system, CASE WHEN t.outcome = 'open' AND t.members > 1 THEN '' ELSE t.login END) AS person, count(*) OVER () AS there
      FROM task t LEFT JOIN document d ON d.document_id = t.document_id
     WHERE (:units::text[] IS NULL OR coalesce(d.business_unit, t.business_unit) = ANY (:units::text[]))
     ORDER BY coalesce(t.decided_at, 'infinity') DESC, t.task_id
     LIMIT :most
), measured AS (
    SELECT c.*, d.number, coalesce(d.document_type, '') AS document_type, coalesce(d.business_unit, c.business_unit) AS unit, d.correlation_id, d.supplier_name, d.requester, d.currency, d.amount, d.group_amount,
           d.submitted_at, b.time_zone, CASE WHEN c.system || ':' || c.login = ANY (o.calendars) THEN c.system || ':' || c.login ELSE b.calendar END AS calendar
      FROM chosen c CROSS JOIN own o
      LEFT JOIN document d ON d.document_id = c.document_id
      LEFT JOIN business_unit b ON b.code = coalesce(d.business_unit, c.business_unit)
)
SELECT m.task_id, m.document_id, coalesce(m.number, 'not known yet') AS number, m.document_type, m.unit AS business_unit, m.supplier_name, m.currency, m.amount, m.group_amount, m.submitted_at, m.system,
       CASE WHEN m.asked_group <> '' THEN m.asked_group ELSE 'Procurement, step ' || m.position END AS role, m.position, m.members, m.person::int AS person,
       CASE WHEN :named::boolean AND names_deciders() AND NOT (m.outcome = 'open' AND m.members > 1) THEN coalesce(nullif(m.name, ''), m.login) END AS approver,
       CASE WHEN :named::boolean AND names_deciders() AND m.decided_login <> m.asked_login THEN coalesce(nullif(m.asked_name, ''), m.asked_login) END AS asked_person,
       CASE WHEN :named::boolean AND names_deciders() THEN m.requester END AS requester,
       m.outcome, m.requested_at, CASE WHEN m.outcome IN ('approved', 'rejected') THEN m.decided_at END AS decided_at, CASE WHEN m.outcome <> 'open' THEN m.state_since END AS seen_at, NULL::timestamptz AS opened_at,
       coalesce(m.decided_login <> m.asked_login, false) AND m.outcome IN ('approved', 'rejected') AS is_delegated, went.changed_at IS NOT NULL AS is_returned, went.changed_at,
       least(went.ready_at, m.requested_at) AS ready_at, went.returned_at, CASE WHEN m.document_type = 'requisition' THEN j.order_number_at ELSE went.erp_at END AS erp_at,
       m.calendar, m.time_zone, t.amount AS limit_amount, coalesce(w.facts->'route_codes' ? 'no_contract', false) AS other_reason,
       CASE WHEN m.outcome IN ('approved', 'rejected') THEN coalesce(decided.worked, 0) - coalesce(created.worked, 0) END AS business_s,
       CASE WHEN m.outcome = 'open' THEN coalesce(now_s.worked, 0) - coalesce(created.worked, 0) END AS age_business_s, m.there
  FROM measured m
  LEFT JOIN threshold t ON t.business_unit = m.unit AND t.currency = m.currency AND m.document_type = 'requisition'
  LEFT JOIN journey j ON j.document_id = m.document_id AND j.order_number_at >= m.decided_at
  LEFT JOIN work_item w ON w.document_id = m.document_id AND w.flow = 'requisition_to_order' AND w.subject_id IS NULL AND m.document_type = 'requisition'
  LEFT JOIN LATERAL (
      SELECT min(u.at) FILTER (WHERE u.activity = 'changed') AS changed_at,
             -- The approval tool writes its times in whole seconds.
             max(u.at) FILTER (WHERE m.asked_group <> '' AND u.activity IN ('budget_confirmed', 'change_validated', 'match_blocked') AND u.at < m.requested_at + interval '1 second') AS ready_at,
             min(u.at) FILTER (WHERE u.activity IN ('decision_propagated', 'refusal_propagated', 'change_returned', 'match_result_returned', 'refusal_returned') AND u.at >= m.decided_at) AS returned_at,
             min(u.at) FILTER (WHERE u.activity IN ('change_accepted', 'invoice_posted', 'invoice_blocked') AND u.at >= m.decided_at) AS erp_at
        FROM document_path p CROSS JOIN LATERAL unnest(p.activities, p.times) AS u(activity, at) WHERE p.document_id = m.document_id AND m.outcome IN ('approved', 'rejected')) went ON true
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(m.requested_at, i.closes_at) - i.opens_at) AS worked
        FROM calendar_interval i WHERE i.calendar = m.calendar AND i.opens_at <= m.requested_at ORDER BY i.opens_at DESC LIMIT 1) created ON true
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(m.decided_at, i.closes_at) - i.opens_at) AS worked
        FROM calendar_interval i WHERE i.calendar = m.calendar AND i.opens_at <= m.decided_at ORDER BY i.opens_at DESC LIMIT 1) decided ON true
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(:as_of, i.closes_at) - i.opens_at) AS worked
        FROM calendar_interval i WHERE i.calendar = m.calendar AND i.opens_at <= :as_of AND m.outcome = 'open' ORDER BY i.opens_at DESC LIMIT 1) now_s ON true
 ORDER BY m.decided_at DESC NULLS FIRST, m.requested_at, m.task_id;

-- name: hours(calendars, since, until)
-- The working intervals of these calendars that touch a stretch of time, in order.
SELECT calendar, opens_at, closes_at FROM calendar_interval
 WHERE calendar = ANY (:calendars::text[]) AND closes_at > :since AND opens_at < :until
 ORDER BY calendar, opens_at;

-- name: near_limits(units, since, until, named, share, days, most)
-- Requisitions submitted in the period that lie less than :share below the amount at which their unit's exception approval begins, or that together
-- with others of the same requester for the same supplier within :days days reach it although none does; cancelled ones are left out. pattern: near, split, or
-- both. compared: how many requisitions were compared with a limit at all; above: how many of these lie as little above theirs;
-- uncompared: submitted in a currency for which the unit has none. there: how many rows there are.
WITH threshold AS MATERIALIZED (
    SELECT t.business_unit, t.currency, t.amount
      FROM (SELECT content FROM config_version WHERE kind = 'policies' ORDER BY promoted_at DESC LIMIT 1) c
     CROSS JOIN LATERAL jsonb_to_recordset(c.content->'approval_thresholds') AS t(business_unit text, currency text, amount numeric)
), asked AS MATERIALIZED (
    SELECT d.document_id, d.number, d.business_unit, d.requester, d.supplier_name, d.source_system, d.payload_version, d.currency, d.amount, d.group_amount, d.submitted_at, d.state, t.amount AS limit_amount,
           d.submitted_at >= :since::timestamptz AND d.submitted_at < :until::timestamptz AS in_period
      FROM document d LEFT JOIN threshold t ON t.business_unit = d.business_unit AND t.currency = d.currency
     WHERE d.document_type = 'requisition' AND d.source = 'finsync' AND NOT d.is_test AND d.amount IS NOT NULL AND d.state <> 'cancelled'
       AND d.submitted_at >= :since::timestamptz - make_interval(days => :days::int) AND d.submitted_at < :until::timestamptz + make_interval(days => :days::int)
       AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))
), below AS MATERIALIZED (
    -- Whoever does not reach a limit with everybody's suppliers together does not reach it with one's: few are looked into by line.
    SELECT a.*, bool_or(a.n_together > 1 AND a.together >= a.limit_amount) OVER after AS may_be_split
      FROM (SELECT b.*, sum(b.amount) OVER before AS together, count(*) OVER before AS n_together
              FROM asked b WHERE b.amount < b.limit_amount
            WINDOW before AS (PARTITION BY b.business_unit, b.requester, b.currency ORDER BY b.submitted_at RANGE BETWEEN make_interval(days => :days::int) PRECEDING AND CURRENT ROW)) a
    WINDOW after AS (PARTITION BY a.business_unit, a.requester, a.currency ORDER BY a.submitted_at RANGE BETWEEN CURRENT ROW AND make_interval(days => :days::int) FOLLOWING)
), bought AS (
    -- A requisition with two suppliers is compared whole with those of each: the limit is one on requisitions.
    SELECT DISTINCT b.document_id, b.business_unit, b.requester, b.currency, b.amount, b.limit_amount, b.submitted_at, b.source_system, l.line->>'supplier' AS supplier
      FROM below b
      JOIN document_payload p ON p.document_id = b.document_id AND p.payload_version = b.payload_version
     CROSS JOIN LATERAL jsonb_array_elements(p.canonical->'lines') AS l(line)
     WHERE b.may_be_split AND b.requester <> '' AND l.line->>'supplier' <> ''
), summed AS (
    SELECT b.*, sum(b.amount) OVER before AS together, count(*) OVER before AS n_together
      FROM bought b
    WINDOW before AS (PARTITION BY b.business_unit, b.requester, b.supplier, b.currency ORDER BY b.submitted_at RANGE BETWEEN make_interval(days => :days::int) PRECEDING AND CURRENT ROW)
), split AS (
    SELECT s.document_id, s.source_system, s.supplier, bool_or(s.n_together > 1 AND s.together >= s.limit_amount) OVER after AS is_split, max(s.together) OVER after AS reached
      FROM summed s
    WINDOW after AS (PARTITION BY s.business_unit, s.requester, s.supplier, s.currency ORDER BY s.submitted_at RANGE BETWEEN CURRENT ROW AND make_interval(days => :days::int) FOLLOWING)
), most AS (
    SELECT DISTINCT ON (s.document_id) s.document_id, s.source_system, s.supplier, s.reached FROM split s WHERE s.is_split ORDER BY s.document_id, s.reached DESC, s.supplier
), judged AS (
    SELECT b.*, b.amount >= b.limit_amount * (1 - :share::numeric) AS is_near, m.document_id IS NOT NULL AS is_split, m.reached, m.supplier AS split_supplier
      FROM below b LEFT JOIN most m USING (document_id)
), counted AS (
    SELECT count(*) FILTER (WHERE limit_amount IS NOT NULL) AS compared, count(*) FILTER (WHERE limit_amount IS NULL) AS uncompared,
           count(*) FILTER (WHERE amount >= limit_amount AND amount < limit_amount * (1 + :share::numeric)) AS above
      FROM asked WHERE in_period
)
SELECT j.document_id, j.number, j.business_unit, coalesce(nullif(v.supplier_name, ''), 'supplier ' || j.split_supplier, j.supplier_name) AS supplier_name, j.currency, j.amount, j.group_amount, j.submitted_at, j.state, j.limit_amount,
       CASE WHEN :named::boolean AND names_deciders() THEN j.requester END AS requester,
       CASE WHEN j.is_near AND j.is_split THEN 'both' WHEN j.is_near THEN 'near' ELSE 'split' END AS pattern, CASE WHEN j.is_split THEN j.reached END AS reached,
       c.compared, c.uncompared, c.above, count(j.document_id) OVER () AS there
  FROM counted c LEFT JOIN judged j ON j.in_period AND (j.is_near OR j.is_split)
  -- What the supplier is called, to whoever may see it.
  LEFT JOIN document_identifier i ON i.system = j.source_system AND i.kind = 'supplier' AND i.external_id = j.split_supplier
  LEFT JOIN document v ON v.document_id = i.document_id
 ORDER BY j.group_amount DESC NULLS LAST, j.document_id
 LIMIT :most;

-- name: mismatches(units, since, until, most)
-- Exceptions raised in the period because the approval tool and procurement (or the ERP) disagree on a decision, newest first.
SELECT x.case_id, x.document_id, x.number, x.document_type, x.business_unit, x.system, x.message, x.group_amount, x.raised_at, x.closed_at, x.close_reason, count(*) OVER () AS there
  FROM exception_case x JOIN document d USING (document_id)
 WHERE x.code = 'approval_conflict' AND x.raised_at >= :since AND x.raised_at < :until AND NOT d.is_test
   AND (:units::text[] IS NULL OR x.business_unit = ANY (:units::text[]))
 ORDER BY x.raised_at DESC, x.case_id
 LIMIT :most;
