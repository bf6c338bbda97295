-- The rollups with the names of what they count: one row per measure, part of it, business unit ("*": all of them) and period.
CREATE VIEW rolled_up WITH (security_invoker = true) AS
SELECT s.source, s.measure, s.part, r.business_unit, r.grain, r.starts_on, r.known_on, r.n, r.negative, r.total, r.buckets, r.counts, r.series_id
  FROM rollup_series s JOIN rollup r USING (series_id);
