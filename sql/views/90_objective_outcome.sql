-- What became of each document at its deadline, and whether somebody has said that this deadline does not count (objective_exclusion):
-- figures are shown with and without. The same documents as slo_event, from the folder's own rows: no event is read.
CREATE VIEW objective_outcome WITH (security_invoker = true) AS
SELECT r.objective, r.document_id, r.source, r.business_unit, r.started_at, r.good_at, r.deadline_at,
       r.good_at IS NOT NULL AND r.good_at <= r.deadline_at AS is_good,
       -- There mostly is none at all, which is asked once and not of every document.
       EXISTS (SELECT FROM objective_exclusion WHERE withdrawn_at IS NULL) AND EXISTS (
           SELECT 1 FROM objective_exclusion x
            WHERE x.withdrawn_at IS NULL AND x.objective IN ('', r.objective) AND x.business_unit IN ('', r.business_unit)
              AND CASE WHEN x.weekday IS NULL THEN r.deadline_at >= x.starts_at AND r.deadline_at < x.ends_at
                       ELSE extract(isodow FROM r.deadline_at AT TIME ZONE x.time_zone) = x.weekday
                            AND (r.deadline_at AT TIME ZONE x.time_zone)::time >= x.from_time AND (r.deadline_at AT TIME ZONE x.time_zone)::time < x.to_time END) AS is_excluded
  FROM objective_result r
 WHERE r.deadline_at IS NOT NULL;
