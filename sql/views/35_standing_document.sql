-- How everything that is open stands, judged as a set (PRODUCT.md 4.2). Beside the views because it is what a metric means today; it is a
-- function because ages are measured against the time of the question. Every limit of age is given as the moment before which a
-- stage must have been entered to be over it, so that a level is a comparison of times and nothing is looked up for a document.
-- A requisition whose orders have been drafted counts through its orders: the same money stands still once, not twice.
--   limits: what report_stuck.limits answers. level and because: as report_stuck.sql says.
--   is_old: some working time has passed in the stage. is_over: more than 95 % of the peers took.
--   limit_from, allowed_s: a stuck one should have moved when allowed_s of working time had passed since limit_from.
DROP FUNCTION IF EXISTS standing_document(text[], text[], timestamptz, numeric, jsonb);
CREATE FUNCTION standing_document(asked_types text[], asked_units text[], as_of timestamptz, silent_s numeric, limits jsonb)
RETURNS TABLE (document_id uuid, document_type text, state text, business_unit text, calendar text, source_system text, group_amount numeric, state_since timestamptz,
               reason text, owner_team text, owner text, case_code text, level text, because text, is_old boolean, is_over boolean, limit_from timestamptz, allowed_s float8)
LANGUAGE sql STABLE PARALLEL RESTRICTED  -- without a path of its own, so that it is planned as part of the statement
AS $$
    WITH stage AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(limits) AS l(document_type text, state text, business_unit text, p95_s float8, slow_before timestamptz, stuck_before timestamptz, over_before timestamptz)
    ), clock AS MATERIALIZED (
        SELECT c.calendar, max(t.moment) FILTER (WHERE t.spent_s = 0) AS old_before, max(t.moment) FILTER (WHERE t.spent_s = silent_s) AS silent_before,
               max(t.moment) FILTER (WHERE t.spent_s = 20 * 8 * 3600) AS unbilled_before
          FROM (SELECT DISTINCT b.calendar FROM business_unit b) c
         CROSS JOIN LATERAL (
             SELECT s.spent_s, w.opens_at + make_interval(secs => (n.worked_s - s.spent_s - w.worked_before_s)::float8) AS moment
               FROM (SELECT worked_s(c.calendar, as_of) AS worked_s OFFSET 0) n
              CROSS JOIN (VALUES (0), (silent_s), (20 * 8 * 3600)) AS s(spent_s)
              CROSS JOIN LATERAL (SELECT i.opens_at, i.worked_before_s FROM calendar_interval i
                                   WHERE i.calendar = c.calendar AND i.worked_before_s < ceil(n.worked_s - s.spent_s)::bigint ORDER BY i.worked_before_s DESC LIMIT 1) w) t
         GROUP BY 1
    ), fresh AS MATERIALIZED (
        SELECT f.system, bool_and(coalesce(f.last_success_at >= as_of - make_interval(secs => f.silent_after_s::float8), false)) AS is_fresh
          FROM feed_state f GROUP BY f.system
    )
    SELECT j.document_id, j.document_type, j.state, j.business_unit, j.calendar, j.source_system, j.group_amount, j.state_since, j.reason, j.owner_team, j.owner, j.case_code,
           CASE WHEN j.stuck_because IS NOT NULL THEN 'stuck'
                WHEN j.is_silent THEN CASE WHEN j.is_fresh THEN 'silent' ELSE 'unknown' END
                WHEN j.is_slow THEN 'watch' WHEN j.waits_by_agreement THEN 'waiting' ELSE 'moving' END,
           coalesce(j.stuck_because, CASE WHEN j.is_silent THEN 'silence' WHEN j.is_slow THEN 'pace' END),
           coalesce(j.state_since < j.old_before, false), coalesce(j.state_since < j.over_before, false),
           CASE j.stuck_because WHEN 'exception' THEN j.case_raised_at
                                WHEN 'date' THEN CASE j.reason WHEN 'waiting for goods' THEN (j.need_by_on + 1)::timestamp AT TIME ZONE 'UTC'
                                                               WHEN 'waiting for payment' THEN (j.due_on + 1)::timestamp AT TIME ZONE 'UTC'
                                                               ELSE j.state_since END
                                WHEN 'pace' THEN j.state_since
                                WHEN 'deadline' THEN j.objective_at END,
           CASE j.stuck_because WHEN 'date' THEN CASE j.reason WHEN 'waiting for the invoice' THEN 20 * 8 * 3600 ELSE 0 END WHEN 'pace' THEN j.p95_s ELSE 0 END::float8
      FROM (SELECT d.document_id, d.document_type, d.state, d.business_unit, d.calendar, d.source_system, d.group_amount, d.state_since, d.owner_team, d.owner, d.case_code, d.case_raised_at,
                   d.need_by_on, d.due_on, d.objective_at, r.reason, r.waits_by_agreement, k.old_before, l.over_before, l.p95_s, f.is_fresh,
                   CASE WHEN d.case_blocks THEN 'exception'
                        WHEN r.waits_by_agreement THEN CASE WHEN CASE r.reason WHEN 'waiting for goods' THEN d.need_by_on < as_of::date
                                                                               WHEN 'waiting for payment' THEN d.due_on < as_of::date
                                                                               ELSE d.state_since < k.unbilled_before END THEN 'date' END
                        WHEN d.state_since < l.stuck_before THEN 'pace'
                        WHEN d.objective_at < as_of THEN 'deadline' END AS stuck_because,
                   NOT r.waits_by_agreement AND coalesce(d.last_event_at < k.silent_before, false) AS is_silent,
                   NOT r.waits_by_agreement AND coalesce(d.state_since < l.slow_before, false) AS is_slow
              FROM open_document d
              LEFT JOIN clock k ON k.calendar = d.calendar
              LEFT JOIN stage l ON l.document_type = d.document_type AND l.state = d.state AND l.business_unit = d.business_unit
              LEFT JOIN fresh f ON f.system = coalesce(d.system, d.source_system)
             CROSS JOIN LATERAL (SELECT d.reason, d.reason IN ('waiting for goods', 'waiting for payment', 'waiting for the invoice') AS waits_by_agreement OFFSET 0) r
             WHERE d.document_type = ANY (asked_types) AND (asked_units IS NULL OR d.business_unit = ANY (asked_units))
               AND (d.document_type <> 'requisition' OR d.state <> 'ordering')
            OFFSET 0) j
$$;
