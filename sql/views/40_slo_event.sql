-- Each document an objective speaks of, with the day its deadline falls: a document that is never finished is bad at its
-- deadline, not later; one whose deadline is still ahead is in no denominator (PRODUCT.md D03).
CREATE VIEW slo_event WITH (security_invoker = true) AS
SELECT o.name AS objective, o.title, o.owner_team, o.target, o.window_days, o.clock, o.threshold_s, t.document_id, d.business_unit, d.number, d.group_amount,
       t.started_at, t.good_at,
       CASE o.clock WHEN 'wall' THEN t.started_at + make_interval(secs => o.threshold_s::double precision)
                    ELSE worked.deadline_at END AS deadline_at
  FROM objective o
  JOIN LATERAL (
      SELECT e.document_id,
             min(e.event_at) FILTER (WHERE e.activity = o.start_activity) AS began_at,
             -- A record's own time counts where the hub did it; where a system did, that system's.
             min(CASE WHEN e.seq = 1 THEN e.recorded_at ELSE e.event_at END) FILTER (WHERE e.activity = o.start_activity) AS started_at,
             min(e.recorded_at) FILTER (WHERE e.activity = ANY (o.good_activities)) AS good_at
        FROM event e
       WHERE e.source = 'finsync' AND e.document_type = o.document_type AND (e.activity = o.start_activity OR e.activity = ANY (o.good_activities))
       GROUP BY e.document_id) t ON t.started_at IS NOT NULL
  JOIN document d ON d.document_id = t.document_id AND NOT d.is_test
  JOIN business_unit b ON b.code = d.business_unit
  -- The moment by which so much working time has passed: one look-up in the calendar by the work done before, not a walk over it.
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(t.started_at, i.closes_at) - i.opens_at) + o.threshold_s AS worked_by_deadline_s
        FROM calendar_interval i
       WHERE o.clock = 'business' AND i.calendar = b.calendar AND i.opens_at <= t.started_at
       ORDER BY i.opens_at DESC
       LIMIT 1) target ON true
  LEFT JOIN LATERAL (
      SELECT CASE WHEN i.worked_before_s + extract(epoch FROM i.closes_at - i.opens_at) >= target.worked_by_deadline_s
                  THEN i.opens_at + make_interval(secs => (target.worked_by_deadline_s - i.worked_before_s)::double precision) END AS deadline_at
        FROM calendar_interval i
       WHERE i.calendar = b.calendar AND i.worked_before_s < ceil(target.worked_by_deadline_s)::bigint  -- bigint, as the index has it
       ORDER BY i.worked_before_s DESC
       LIMIT 1) worked ON true;
