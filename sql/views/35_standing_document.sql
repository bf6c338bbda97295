-- How what is open stands, as of the time of the question (PRODUCT.md 4.2). Beside the views because it is what a metric means today;
-- functions, because ages are measured against the time of the question. Every limit of age is given as the moment before which
-- a stage must have been entered to be over it, so that a cause is a comparison of times. Causes as in the table standing.

DROP FUNCTION IF EXISTS standing_document(text[], text[], timestamptz, numeric, jsonb);
DROP FUNCTION IF EXISTS standing_changed(timestamptz, numeric, jsonb);
DROP FUNCTION IF EXISTS standing_limits(timestamptz, numeric, jsonb);
DROP FUNCTION IF EXISTS standing_level(smallint, boolean);
DROP FUNCTION IF EXISTS standing_because(smallint);
DROP FUNCTION IF EXISTS standing_cause(smallint, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz, timestamptz);

-- The cause of a document: by the rule of its kind, its moments, the time, and the limits of its stage.
CREATE FUNCTION standing_cause(rule smallint, state_since timestamptz, heard_at timestamptz, other_at timestamptz, as_of timestamptz,
                               slow_before timestamptz, stuck_before timestamptz, silent_before timestamptz, unbilled_before timestamptz) RETURNS smallint
LANGUAGE sql STABLE PARALLEL SAFE  -- the day of as_of is that of the session's zone
AS $$
    SELECT CASE rule WHEN 1 THEN 1
                     WHEN 2 THEN CASE WHEN other_at <= as_of::date::timestamp AT TIME ZONE 'UTC' THEN 2 ELSE 7 END
                     WHEN 3 THEN CASE WHEN state_since < unbilled_before THEN 2 ELSE 7 END
                     ELSE CASE WHEN state_since < stuck_before THEN 3 WHEN other_at < as_of THEN 4 WHEN heard_at < silent_before THEN 5 WHEN state_since < slow_before THEN 6 ELSE 8 END
           END::smallint
$$;

CREATE FUNCTION standing_level(cause smallint, is_fresh boolean) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN cause <= 4 THEN 'stuck' WHEN cause = 5 THEN CASE WHEN is_fresh THEN 'silent' ELSE 'unknown' END WHEN cause = 6 THEN 'watch' WHEN cause = 7 THEN 'waiting' ELSE 'moving' END $$;

CREATE FUNCTION standing_because(cause smallint) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT (ARRAY['exception', 'date', 'pace', 'deadline', 'silence', 'pace'])[cause] $$;

-- The limits of every stage in which something stands. limits: what report_stuck.limits answers; without peers there is no pace, and
-- without a calendar nothing grows old: -infinity, before which nothing was. now_worked_s: working seconds of its calendar up to as_of.
CREATE FUNCTION standing_limits(as_of timestamptz, silent_s numeric, limits jsonb)
RETURNS TABLE (stage_id bigint, business_unit text, slow_before timestamptz, stuck_before timestamptz, over_before timestamptz, old_before timestamptz,
               silent_before timestamptz, unbilled_before timestamptz, p95_s float8, now_worked_s float8, calendar text)
LANGUAGE sql STABLE PARALLEL RESTRICTED  -- without a path of its own, so that it is planned as part of the statement
AS $$
    WITH clock AS MATERIALIZED (
        SELECT c.calendar, min(t.now_worked_s)::float8 AS now_worked_s, max(t.moment) FILTER (WHERE t.spent_s = 0) AS old_before, max(t.moment) FILTER (WHERE t.spent_s = silent_s) AS silent_before,
               max(t.moment) FILTER (WHERE t.spent_s = 20 * 8 * 3600) AS unbilled_before
          FROM (SELECT DISTINCT b.calendar FROM business_unit b) c
         CROSS JOIN LATERAL (
             SELECT s.spent_s, n.worked_s AS now_worked_s, w.opens_at + make_interval(secs => (n.worked_s - s.spent_s - w.worked_before_s)::float8) AS moment
               FROM (SELECT worked_s(c.calendar, as_of) AS worked_s OFFSET 0) n
              CROSS JOIN (VALUES (0), (silent_s), (20 * 8 * 3600)) AS s(spent_s)
               LEFT JOIN LATERAL (SELECT i.opens_at, i.worked_before_s FROM calendar_interval i
                                   WHERE i.calendar = c.calendar AND i.worked_before_s < ceil(n.worked_s - s.spent_s)::bigint ORDER BY i.worked_before_s DESC LIMIT 1) w ON true) t
         GROUP BY 1
    )
    SELECT k.stage_id, k.business_unit, coalesce(l.slow_before, '-infinity'), coalesce(l.stuck_before, '-infinity'), coalesce(l.over_before, '-infinity'), coalesce(c.old_before, '-infinity'),
           coalesce(c.silent_before, '-infinity'), coalesce(c.unbilled_before, '-infinity'), l.p95_s, c.now_worked_s, c.calendar
      FROM (SELECT DISTINCT i.stage_id, i.document_type, i.state, i.business_unit FROM standing_kind i) k
      LEFT JOIN business_unit b ON b.code = k.business_unit
      LEFT JOIN clock c ON c.calendar = b.calendar
      LEFT JOIN jsonb_to_recordset(limits) AS l(document_type text, state text, business_unit text, p95_s float8, slow_before timestamptz, stuck_before timestamptz, over_before timestamptz)
             ON l.document_type = k.document_type AND l.state = k.state AND l.business_unit = k.business_unit
$$;

-- The documents that may stand otherwise than they were judged last, because they have crossed a limit or the limit has crossed them
-- (either way, as as_of may lie before): how they were judged, and how they stand.
CREATE FUNCTION standing_changed(as_of timestamptz, silent_s numeric, limits jsonb)
RETURNS TABLE (document_id uuid, kind_id bigint, group_amount numeric, state_since timestamptz, since_worked_s float8, other_worked_s float8, rule smallint, business_unit text,
               was_cause smallint, was_old boolean, was_over boolean, cause smallint, is_old boolean, is_over boolean)
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED ROWS 500  -- planned by itself: nobody could foretell how few they are
SET search_path FROM CURRENT
SET plan_cache_mode = force_custom_plan
AS $$
#variable_conflict use_column
DECLARE
    judged timestamptz;
BEGIN
    SELECT judged_at INTO judged FROM standing_judged;
    RETURN QUERY
    WITH stage AS MATERIALIZED (
        SELECT n.*, coalesce(t.slow_before, '-infinity') AS slow_then, coalesce(t.stuck_before, '-infinity') AS stuck_then, coalesce(t.over_before, '-infinity') AS over_then,
               coalesce(t.old_before, '-infinity') AS old_then, coalesce(t.silent_before, '-infinity') AS silent_then, coalesce(t.unbilled_before, '-infinity') AS unbilled_then
          FROM standing_limits(as_of, silent_s, limits) n LEFT JOIN standing_limit t USING (stage_id)
    ), crossed AS MATERIALIZED (
        SELECT f.document_id
          FROM stage g
         CROSS JOIN LATERAL (VALUES (g.slow_then, g.slow_before), (g.stuck_then, g.stuck_before), (g.over_then, g.over_before), (g.old_then, g.old_before), (g.unbilled_then, g.unbilled_before)) AS l(was, is_now)
         CROSS JOIN LATERAL (SELECT s.document_id FROM standing s
                              WHERE s.stage_id = g.stage_id AND s.state_since >= least(l.was, l.is_now) AND s.state_since < greatest(l.was, l.is_now) OFFSET 0) f
         WHERE l.was <> l.is_now
        UNION
        SELECT f.document_id
          FROM (SELECT DISTINCT silent_then, silent_before FROM stage WHERE silent_then <> silent_before) g
         CROSS JOIN LATERAL (SELECT s.document_id FROM standing s
                              WHERE s.heard_at >= least(g.silent_then, g.silent_before) AND s.heard_at < greatest(g.silent_then, g.silent_before) OFFSET 0) f
        UNION
        SELECT f.document_id
          FROM (VALUES (judged, as_of), (judged::date::timestamp AT TIME ZONE 'UTC', as_of::date::timestamp AT TIME ZONE 'UTC')) AS l(was, is_now)
         CROSS JOIN LATERAL (SELECT s.document_id FROM standing s WHERE s.other_at >= least(l.was, l.is_now) AND s.other_at <= greatest(l.was, l.is_now) OFFSET 0) f
         WHERE l.was <> l.is_now
    )
    SELECT s.document_id, s.kind_id, s.group_amount, s.state_since, s.since_worked_s, s.other_worked_s, k.rule, s.business_unit, s.cause, s.is_old, s.is_over,
           standing_cause(k.rule, s.state_since, s.heard_at, s.other_at, as_of, g.slow_before, g.stuck_before, g.silent_before, g.unbilled_before),
           s.state_since < g.old_before, s.state_since < g.over_before
      FROM crossed c
     CROSS JOIN LATERAL (SELECT * FROM standing r WHERE r.document_id = c.document_id OFFSET 0) s
     CROSS JOIN LATERAL (SELECT i.rule FROM standing_kind i WHERE i.kind_id = s.kind_id OFFSET 0) k
      JOIN stage g ON g.stage_id = s.stage_id;
END $$;
