-- What each single thing has given to the rollups: for the edges of a period, and for the rows behind a figure. Only what has been
-- folded, with the moment, the business unit and the seconds with which it was counted. One branch per source of facts; the
-- measures are defined in sql/queries/fold.sql.
CREATE VIEW rollup_fact WITH (security_invoker = true) AS
SELECT source, 'submitted' AS measure, '' AS part, business_unit, submitted_at AS at, NULL::numeric AS s, document_id FROM journey
UNION ALL
SELECT source, 'submitted_ended', '', business_unit, submitted_at, NULL, document_id FROM journey WHERE ordered_at IS NULL AND closed_at IS NOT NULL
UNION ALL
SELECT source, 'submitted_ordered_wall', '', business_unit, submitted_at, to_ordered_s, document_id FROM journey WHERE ordered_at IS NOT NULL
UNION ALL
SELECT source, 'submitted_ordered_business', '', business_unit, submitted_at, CASE WHEN to_ordered_s < 0 THEN to_ordered_s ELSE to_ordered_business_s END, document_id
  FROM journey WHERE ordered_at IS NOT NULL
UNION ALL
SELECT source, 'ordered_wall', '', business_unit, ordered_at, to_ordered_s, document_id FROM journey WHERE ordered_at IS NOT NULL
UNION ALL
SELECT source, 'ordered_business', '', business_unit, ordered_at, CASE WHEN to_ordered_s < 0 THEN to_ordered_s ELSE to_ordered_business_s END, document_id
  FROM journey WHERE ordered_at IS NOT NULL
UNION ALL
SELECT source, 'approved_to_ordered_wall', '', business_unit, ordered_at, approved_to_ordered_s, document_id
  FROM journey WHERE ordered_at IS NOT NULL AND approved_at IS NOT NULL
UNION ALL
SELECT source, 'approved_to_ordered_business', '', business_unit, ordered_at, CASE WHEN approved_to_ordered_s < 0 THEN approved_to_ordered_s ELSE approved_to_ordered_business_s END, document_id
  FROM journey WHERE ordered_at IS NOT NULL AND approved_at IS NOT NULL
UNION ALL
SELECT source, 'posted_wall', '', business_unit, posted_at, to_posted_s, document_id FROM journey WHERE posted_at IS NOT NULL
UNION ALL
SELECT source, 'posted_business', '', business_unit, posted_at, CASE WHEN to_posted_s < 0 THEN to_posted_s ELSE to_posted_business_s END, document_id
  FROM journey WHERE posted_at IS NOT NULL
UNION ALL
-- By objective: their index is by objective and deadline.
SELECT r.source, 'objective_due', r.objective, r.business_unit, r.deadline_at, NULL, r.document_id
  FROM objective o JOIN objective_result r ON r.objective = o.name WHERE r.deadline_at IS NOT NULL
UNION ALL
SELECT r.source, 'objective_good', r.objective, r.business_unit, r.deadline_at, NULL, r.document_id
  FROM objective o JOIN objective_result r ON r.objective = o.name WHERE r.deadline_at IS NOT NULL AND r.good_at <= r.deadline_at
UNION ALL
-- A branch per measure: whoever asks for one does not read what the others are made of.
SELECT t.source, 'stay_wall', t.document_type || ':' || t.stage, t.business_unit, t.left_at, t.wall_s, t.document_id
  FROM stage_time t JOIN recording r USING (recording_id) JOIN document d ON d.document_id = t.document_id
 WHERE r.folded_at IS NOT NULL AND NOT d.is_test
UNION ALL
SELECT t.source, 'stay_business', t.document_type || ':' || t.stage, t.business_unit, t.left_at, t.business_s, t.document_id
  FROM stage_time t JOIN recording r USING (recording_id) JOIN document d ON d.document_id = t.document_id
 WHERE r.folded_at IS NOT NULL AND NOT d.is_test
UNION ALL
SELECT e.source, 'entered', e.document_type || ':' || e.state_to, e.business_unit, e.recorded_at, NULL, e.document_id
  FROM event e JOIN recording r USING (recording_id) JOIN document d ON d.document_id = e.document_id
 WHERE r.folded_at IS NOT NULL AND NOT d.is_test AND e.source = 'finsync' AND e.state_from IS DISTINCT FROM e.state_to
UNION ALL
SELECT e.source, 'entered', e.document_type || ':' || e.state_to, e.business_unit, e.event_at, NULL, e.document_id
  FROM event e JOIN recording r USING (recording_id)
 WHERE r.folded_at IS NOT NULL AND e.source <> 'finsync' AND e.state_from IS DISTINCT FROM e.state_to AND NOT e.attributes ? 'suspect'
UNION ALL
SELECT e.source, 'stay_wall', e.document_type || ':' || e.state_from, e.business_unit, e.event_at, extract(epoch FROM e.event_at - e.state_from_since), e.document_id
  FROM event e JOIN recording r USING (recording_id)
 WHERE r.folded_at IS NOT NULL AND e.source <> 'finsync' AND e.state_from <> e.state_to AND NOT e.attributes ? 'suspect'
   AND NOT EXISTS (SELECT FROM event b WHERE b.document_id = e.document_id AND b.seq < e.seq AND b.event_at = e.state_from_since AND b.attributes ? 'suspect')
UNION ALL
SELECT e.source, 'suspect', e.document_type, e.business_unit, e.event_at, NULL, e.document_id
  FROM event e JOIN recording r USING (recording_id)
 WHERE r.folded_at IS NOT NULL AND e.source <> 'finsync' AND e.attributes ? 'suspect';
