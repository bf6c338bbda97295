-- Each document an objective speaks of, with the day its deadline falls: a document that is never finished is bad at its
-- deadline, not later; one whose deadline is still ahead is in no denominator (PRODUCT.md D03).
CREATE VIEW slo_event WITH (security_invoker = true) AS
SELECT o.name AS objective, o.title, o.owner_team, o.target, o.window_days, o.clock, o.threshold_s, t.document_id, t.business_unit, d.number, d.group_amount,
       t.started_at, t.good_at,
       CASE o.clock WHEN 'wall' THEN t.started_at + make_interval(secs => o.threshold_s::double precision)
                    ELSE business_deadline(b.calendar, t.started_at, o.threshold_s) END AS deadline_at
  FROM objective o
  JOIN LATERAL (
      SELECT e.document_id, min(e.business_unit) AS business_unit,
             min(e.event_at) FILTER (WHERE e.activity = o.start_activity) AS began_at,
             -- A record's own time counts where the hub did it; where a system did, that system's.
             min(CASE WHEN e.seq = 1 THEN e.recorded_at ELSE e.event_at END) FILTER (WHERE e.activity = o.start_activity) AS started_at,
             min(e.recorded_at) FILTER (WHERE e.activity = ANY (o.good_activities)) AS good_at
        FROM event e
       WHERE e.document_type = o.document_type AND (e.activity = o.start_activity OR e.activity = ANY (o.good_activities))
       GROUP BY e.document_id) t ON t.started_at IS NOT NULL
  JOIN document d ON d.document_id = t.document_id AND NOT d.is_test
  JOIN business_unit b ON b.code = t.business_unit;
