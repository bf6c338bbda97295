-- Whether documents of an imported log came in time to what an objective promises, as far as the log's stages can say: the clock starts when
-- an event of its own first brings a document to one of the stages :starts, and stops at the first event from then on that brings it, or another
-- document that the event names beside it, to one of :goods. By the working calendar of the document's unit where the objective counts
-- working time and that calendar covers it; else :wall_s by the wall clock (is_wall). Events whose time cannot be right start and stop nothing.
-- as_of: the log's last event, because it does not go on.
DROP FUNCTION IF EXISTS imported_promise(text, text[], text[], float8, float8, text);

CREATE FUNCTION imported_promise(log text, starts text[], goods text[], threshold_s float8, wall_s float8, clock text)
RETURNS TABLE (document_id uuid, document_type text, number text, business_unit text, state text, started_at timestamptz, good_at timestamptz, deadline_at timestamptz, is_wall boolean,
               as_of timestamptz)
LANGUAGE sql STABLE PARALLEL RESTRICTED  -- without a path of its own, so that it is planned as part of the statement
AS $$
    WITH last AS MATERIALIZED (
        SELECT e.event_at AS as_of FROM event e WHERE e.source = log AND e.source <> 'finsync' AND NOT e.attributes ? 'suspect' ORDER BY e.event_at DESC LIMIT 1
    ), told AS MATERIALIZED (
        SELECT e.recording_id, e.ordinal, e.recorded_at, e.document_id, e.event_at, e.state_to = ANY (starts) AS is_start, e.state_to = ANY (goods) AS is_good
          FROM event e WHERE e.source = log AND e.source <> 'finsync' AND NOT e.attributes ? 'suspect' AND (e.state_to = ANY (starts) OR e.state_to = ANY (goods))
    ), began AS MATERIALIZED (
        SELECT t.document_id, min(t.event_at) AS started_at FROM told t WHERE t.is_start GROUP BY t.document_id
    ), reached AS MATERIALIZED (
        SELECT t.document_id, t.event_at FROM told t WHERE t.is_good
         UNION ALL
        SELECT o.document_id, t.event_at FROM told t JOIN event_object o USING (recording_id, ordinal, recorded_at) WHERE t.is_good
    ), timed AS (
        SELECT b.document_id, b.started_at, min(r.event_at) AS good_at
          FROM began b LEFT JOIN reached r ON r.document_id = b.document_id AND r.event_at >= b.started_at GROUP BY b.document_id, b.started_at
    )
    SELECT d.document_id, d.document_type, d.number, d.business_unit, d.state, t.started_at, t.good_at,
           coalesce(worked.deadline_at, t.started_at + make_interval(secs => wall_s)), worked.deadline_at IS NULL, l.as_of
      FROM timed t JOIN document d ON d.document_id = t.document_id CROSS JOIN last l
      LEFT JOIN business_unit u ON u.code = d.business_unit
      -- As view file 40 finds the moment by which so much working time has passed.
      LEFT JOIN LATERAL (
          SELECT i.worked_before_s + extract(epoch FROM least(t.started_at, i.closes_at) - i.opens_at) + threshold_s AS worked_s
            FROM calendar_interval i WHERE clock = 'business' AND i.calendar = u.calendar AND i.opens_at <= t.started_at ORDER BY i.opens_at DESC LIMIT 1) target ON true
      LEFT JOIN LATERAL (
          SELECT CASE WHEN i.worked_before_s + extract(epoch FROM i.closes_at - i.opens_at) >= target.worked_s THEN i.opens_at + make_interval(secs => (target.worked_s - i.worked_before_s)::float8) END AS deadline_at
            FROM calendar_interval i WHERE i.calendar = u.calendar AND i.worked_before_s < ceil(target.worked_s)::bigint ORDER BY i.worked_before_s DESC LIMIT 1) worked ON true
$$;
