-- How long a document stood in a state: one row per stay. Time in a stage is the sum of its stays; their number is rework.
-- Business time is that of the unit's calendar. From when we recorded the entry to when we recorded the leaving, so that the
-- stays of a document follow each other without gap and add up to its journey. left_at_source: when what ended the stay had
-- happened, by the system where it did.
CREATE VIEW stage_time WITH (security_invoker = true) AS
SELECT e.document_id, e.document_type, e.business_unit, e.correlation_id, e.state_from AS stage, e.state_to AS next_stage,
       e.activity, e.state_from_since AS entered_at, e.recorded_at AS left_at,
       extract(epoch FROM e.recorded_at - e.state_from_since) AS wall_s,
       CASE WHEN e.recorded_at BETWEEN v.opens_at AND v.closes_at THEN extract(epoch FROM e.recorded_at - least(e.state_from_since, v.closes_at))
            ELSE coalesce(w.left_s, 0) - coalesce(v.worked_before_s + extract(epoch FROM least(e.state_from_since, v.closes_at) - v.opens_at), 0) END AS business_s,
       e.recording_id, e.source, e.event_at AS left_at_source
  FROM event e
  JOIN business_unit b ON b.code = e.business_unit
  -- business_s(calendar, entered, left), written out: as a function it costs a plan per row, and there is a row per move. Most
  -- stays end in the working interval they began in: those need one look-up, not two.
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s, i.opens_at, i.closes_at
        FROM calendar_interval i WHERE i.calendar = b.calendar AND i.opens_at <= e.state_from_since ORDER BY i.opens_at DESC LIMIT 1) v ON true
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(e.recorded_at, i.closes_at) - i.opens_at) AS left_s
        FROM calendar_interval i
       WHERE (e.recorded_at BETWEEN v.opens_at AND v.closes_at) IS NOT TRUE AND i.calendar = b.calendar AND i.opens_at <= e.recorded_at
       ORDER BY i.opens_at DESC LIMIT 1) w ON true
 WHERE e.source = 'finsync' AND e.state_from IS NOT NULL AND e.state_to <> e.state_from;
