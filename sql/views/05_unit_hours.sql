-- The working intervals of each calendar that business units keep, as arrays in the order of time: for who asks about thousands of
-- moments at once (worked_by), in whose place a search of the index would be made for each of them.
CREATE VIEW unit_hours WITH (security_invoker = true) AS
SELECT calendar, array_agg(opens_at ORDER BY opens_at) AS opens, array_agg(closes_at ORDER BY opens_at) AS closes, array_agg(worked_before_s ORDER BY opens_at) AS worked
  FROM calendar_interval
 WHERE calendar IN (SELECT calendar FROM business_unit)
 GROUP BY calendar;
