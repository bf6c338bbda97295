-- How long a document stood in a state: one row per stay. Time in a stage is the sum of its stays; their number is rework.
-- Business time is that of the unit's calendar. From when we recorded the entry to when we recorded the leaving, so that the
-- stays of a document follow each other without gap and add up to its journey.
CREATE VIEW stage_time WITH (security_invoker = true) AS
SELECT e.document_id, e.document_type, e.business_unit, e.correlation_id, e.state_from AS stage, e.state_to AS next_stage,
       e.activity, e.state_from_since AS entered_at, e.recorded_at AS left_at,
       extract(epoch FROM e.recorded_at - e.state_from_since) AS wall_s,
       business_s(b.calendar, e.state_from_since, e.recorded_at) AS business_s
  FROM event e
  JOIN business_unit b ON b.code = e.business_unit
 WHERE e.source = 'finsync' AND e.state_from IS NOT NULL AND e.state_to <> e.state_from;
