-- What the page on service levels asks: of each document an objective speaks of, the folder's row; a question costs what its windows
-- hold. Deadlines that somebody has left out (is_excluded) are counted apart, so that a figure can be shown with and without them.

-- name: now(units, as_of, source)
-- Each objective over its rolling window: documents whose deadline fell in it and counts, how many were good, the share, the budget
-- left, the same share in the window before and in this calendar month (UTC), and for every window that alerts look at how many were
-- due and bad and how fast that burns the budget. No documents: NULL, not 100 %. left_out, left_out_good: deadlines of the window that
-- do not count. The last five are those of the window and the one before.
WITH edge AS MATERIALIZED (
    -- The moments at which what a deadline counts for changes.
    SELECT o.name, w.length, w.month, array_agg(m.at ORDER BY m.at) AS moments
      FROM objective o
     CROSS JOIN LATERAL (SELECT make_interval(days => o.window_days) AS length, date_trunc('month', :as_of::timestamptz, 'UTC') AS month) w
     CROSS JOIN LATERAL (
         SELECT w.month AS at
         UNION ALL
         -- A deadline so long ago lies before the window: what is in it comes later, if by a microsecond.
         SELECT :as_of::timestamptz - u.length + interval '1 microsecond'
           FROM unnest(ARRAY['5 minutes', '30 minutes', '1 hour', '2 hours', '6 hours', '1 day', '3 days']::interval[] || w.length || 2 * w.length) AS u(length)) m
     GROUP BY o.name, w.length, w.month
), e AS MATERIALIZED (
    -- Deadlines between two such moments count for the same: they are counted together, and one of them is looked at. older: how many of
    -- the shortest windows it lies before; part: 0 in the objective's window, 1 in the one before, 2 before both.
    SELECT d.name AS objective, width_bucket(:as_of::timestamptz - t.deadline_at, ARRAY['5 minutes', '30 minutes', '1 hour', '2 hours', '6 hours', '1 day', '3 days']::interval[]) AS older,
           CASE WHEN t.deadline_at > :as_of::timestamptz - d.length THEN 0 WHEN t.deadline_at > :as_of::timestamptz - 2 * d.length THEN 1 ELSE 2 END AS part,
           t.deadline_at >= d.month AS this_month, t.good, t.is_excluded, t.n
      FROM objective o JOIN edge d USING (name)
     -- Each by itself: otherwise the planner reads the deadlines of all years and leaves out most of them.
     CROSS JOIN LATERAL (
         SELECT min(n.deadline_at) AS deadline_at, n.good, n.is_excluded, count(*) AS n
           FROM (SELECT n.deadline_at, width_bucket(n.deadline_at, d.moments) AS nth, n.is_good AS good, n.is_excluded FROM objective_outcome n
                  WHERE n.objective = o.name AND n.source = :source AND n.deadline_at <= :as_of AND n.deadline_at > :as_of::timestamptz - make_interval(days => greatest(2 * o.window_days, 32))
                    AND (:units::text[] IS NULL OR n.business_unit = ANY (:units::text[])) OFFSET 0) n
          GROUP BY n.nth, n.good, n.is_excluded) t
), counted AS (
    SELECT o.name, coalesce(sum(e.n) FILTER (WHERE part = 0), 0)::bigint AS due, coalesce(sum(e.n) FILTER (WHERE part = 0 AND e.good), 0)::bigint AS good,
           coalesce(sum(e.n) FILTER (WHERE part = 1), 0)::bigint AS due_before, coalesce(sum(e.n) FILTER (WHERE part = 1 AND e.good), 0)::bigint AS good_before,
           coalesce(sum(e.n) FILTER (WHERE e.this_month), 0)::bigint AS due_month, coalesce(sum(e.n) FILTER (WHERE e.this_month AND e.good), 0)::bigint AS good_month,
           coalesce(sum(e.n) FILTER (WHERE older < 1), 0)::bigint AS due_5m, coalesce(sum(e.n) FILTER (WHERE older < 1 AND NOT e.good), 0)::bigint AS bad_5m,
           coalesce(sum(e.n) FILTER (WHERE older < 2), 0)::bigint AS due_30m, coalesce(sum(e.n) FILTER (WHERE older < 2 AND NOT e.good), 0)::bigint AS bad_30m,
           coalesce(sum(e.n) FILTER (WHERE older < 3), 0)::bigint AS due_1h, coalesce(sum(e.n) FILTER (WHERE older < 3 AND NOT e.good), 0)::bigint AS bad_1h,
           coalesce(sum(e.n) FILTER (WHERE older < 4), 0)::bigint AS due_2h, coalesce(sum(e.n) FILTER (WHERE older < 4 AND NOT e.good), 0)::bigint AS bad_2h,
           coalesce(sum(e.n) FILTER (WHERE older < 5), 0)::bigint AS due_6h, coalesce(sum(e.n) FILTER (WHERE older < 5 AND NOT e.good), 0)::bigint AS bad_6h,
           coalesce(sum(e.n) FILTER (WHERE older < 6), 0)::bigint AS due_1d, coalesce(sum(e.n) FILTER (WHERE older < 6 AND NOT e.good), 0)::bigint AS bad_1d,
           coalesce(sum(e.n) FILTER (WHERE older < 7), 0)::bigint AS due_3d, coalesce(sum(e.n) FILTER (WHERE older < 7 AND NOT e.good), 0)::bigint AS bad_3d
      FROM objective o LEFT JOIN e ON e.objective = o.name AND NOT e.is_excluded
     GROUP BY o.name
), last AS (
    SELECT o.name, count(t.good) AS due_last5, count(*) FILTER (WHERE NOT t.good) AS bad_last5
      FROM objective o
      LEFT JOIN LATERAL (
          SELECT n.is_good AS good FROM objective_outcome n
           WHERE n.objective = o.name AND n.source = :source AND n.deadline_at <= :as_of AND n.deadline_at > :as_of::timestamptz - make_interval(days => greatest(2 * o.window_days, 32))
             AND NOT n.is_excluded AND (:units::text[] IS NULL OR n.business_unit = ANY (:units::text[]))
           ORDER BY n.deadline_at DESC, n.document_id LIMIT 5) t ON true
     GROUP BY o.name
), apart AS (
    SELECT o.name, coalesce(sum(e.n), 0)::bigint AS left_out, coalesce(sum(e.n) FILTER (WHERE e.good), 0)::bigint AS left_out_good
      FROM objective o LEFT JOIN e ON e.objective = o.name AND e.is_excluded AND e.part = 0
     GROUP BY o.name
)
SELECT o.name AS objective, o.title, o.owner_team, o.target, o.window_days, o.clock, o.threshold_s, o.document_type, o.start_activity, o.good_activities,
       c.due, c.good, c.due - c.good AS bad, c.good::numeric / nullif(c.due, 0) AS attained, a.left_out, a.left_out_good,
       1 - (c.due - c.good) / nullif((1 - o.target) * c.due, 0) AS budget_left,
       c.due_before, c.good_before, c.due_month, c.good_month, l.due_last5, l.bad_last5,
       c.due_5m, c.bad_5m, c.due_30m, c.bad_30m, c.due_1h, c.bad_1h, c.due_2h, c.bad_2h, c.due_6h, c.bad_6h, c.due_1d, c.bad_1d, c.due_3d, c.bad_3d
  FROM objective o JOIN counted c USING (name) JOIN last l USING (name) JOIN apart a USING (name)
 ORDER BY budget_left NULLS LAST, o.name;

-- name: by_day(units, since, until, zone, source)
-- Every objective by the day of a time zone on which deadlines fell, in (:since, :until]; left_out: deadlines that do not count.
SELECT objective, (began_at AT TIME ZONE :zone::text)::date AS day, coalesce(sum(n) FILTER (WHERE NOT is_excluded), 0)::bigint AS due,
       coalesce(sum(n) FILTER (WHERE NOT is_excluded AND is_good), 0)::bigint AS good, coalesce(sum(n) FILTER (WHERE is_excluded), 0)::bigint AS left_out
       -- Days of every zone begin at a quarter of an hour: a deadline's own day is worked out for few.
  FROM (SELECT o.name AS objective, date_bin('15 minutes', t.deadline_at, 'epoch') AS began_at, t.is_excluded, t.is_good, count(*) AS n
          FROM objective o
         CROSS JOIN LATERAL (
             SELECT n.deadline_at, n.is_good, n.is_excluded FROM objective_outcome n
              WHERE n.objective = o.name AND n.source = :source AND n.deadline_at > :since AND n.deadline_at <= :until AND (:units::text[] IS NULL OR n.business_unit = ANY (:units::text[])) OFFSET 0) t
         GROUP BY 1, 2, 3, 4) quarter
 GROUP BY 1, 2 ORDER BY 1, 2;

-- name: missed(objective, units, since, until, source, after_at, after_id, most)
-- Documents that missed an objective, deadlines in (:since, :until], latest first, at most :most of those after the place (:after_at,
-- :after_id; NULL: from the first on); `found` says how many there are in all. Late in wall seconds, so far where they are still open. Why: the first exception that was open between start and finish, else the system
-- whose call failed then, else nothing known.
WITH every AS MATERIALIZED (
    SELECT *, count(*) OVER () AS found FROM objective_outcome
     WHERE objective = :objective AND source = :source AND deadline_at > :since AND deadline_at <= :until AND NOT is_good AND NOT is_excluded
       AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
), s AS MATERIALIZED (
    SELECT * FROM every
     WHERE :after_id::uuid IS NULL OR (deadline_at, document_id) < (:after_at::timestamptz, :after_id::uuid)
     ORDER BY deadline_at DESC, document_id DESC
     LIMIT :most
)
SELECT s.document_id, d.document_type, d.number, s.business_unit, d.supplier_name, d.state, d.group_amount, s.started_at, s.deadline_at, s.good_at, s.found,
       extract(epoch FROM least(s.good_at, :until) - s.deadline_at) AS late_s, x.case_id, x.code, x.message, x.owner_team, a.system AS failed_system
  FROM s
  JOIN document d USING (document_id)
  LEFT JOIN LATERAL (
      SELECT c.case_id, c.code, c.message, c.owner_team FROM exception_case c
       WHERE c.document_id = s.document_id AND c.raised_at < least(s.good_at, :until) AND coalesce(c.closed_at, 'infinity') > s.started_at
       ORDER BY c.raised_at LIMIT 1) x ON true
  LEFT JOIN LATERAL (
      SELECT t.system FROM attempt t
       WHERE x.case_id IS NULL AND t.document_id = s.document_id AND t.outcome IN ('not_sent', 'unknown', 'failed')
         AND t.started_at >= s.started_at AND t.started_at < least(s.good_at, :until)
       ORDER BY t.started_at DESC LIMIT 1) a ON true
 ORDER BY s.deadline_at DESC, s.document_id DESC;

-- name: by_unit(objective, units, since, until, source)
-- One objective by business unit, deadlines in (:since, :until], most missed first.
SELECT business_unit, count(*) AS due, count(*) FILTER (WHERE is_good) AS good, count(*) FILTER (WHERE NOT is_good) AS bad
  FROM objective_outcome
 WHERE objective = :objective AND source = :source AND deadline_at > :since AND deadline_at <= :until AND NOT is_excluded
   AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
 GROUP BY 1 ORDER BY bad DESC, due DESC, 1;

-- name: exclusions(objective)
-- What does not count towards an objective, and what did not for a while, newest first.
SELECT exclusion_id, objective, business_unit, starts_at, ends_at, weekday, from_time, to_time, time_zone, reason, author, written_at, withdrawn_at, withdrawn_by
  FROM objective_exclusion WHERE objective IN ('', :objective) ORDER BY withdrawn_at NULLS FIRST, written_at DESC LIMIT 200;

-- name: took(objective, units, since, as_of, source)
-- How long documents took whose deadline fell between :since and :as_of, in seconds of the objective's clock, per log bucket: from start
-- to done (is_done), or the age they have. What does not count is left out.
SELECT is_done, rollup_bucket(s) AS bucket, count(*) AS documents
  FROM (SELECT t.good_at IS NOT NULL AS is_done,
               CASE o.clock WHEN 'wall' THEN extract(epoch FROM coalesce(t.good_at, :as_of) - t.started_at)
                            ELSE coalesce(done.worked_s, 0) - coalesce(begun.worked_s, 0) END AS s
          FROM objective o
          JOIN objective_outcome t ON t.objective = o.name
          LEFT JOIN business_unit b ON b.code = t.business_unit
          LEFT JOIN LATERAL (
              SELECT i.worked_before_s + extract(epoch FROM least(t.started_at, i.closes_at) - i.opens_at) AS worked_s
                FROM calendar_interval i WHERE o.clock = 'business' AND i.calendar = b.calendar AND i.opens_at <= t.started_at ORDER BY i.opens_at DESC LIMIT 1) begun ON true
          LEFT JOIN LATERAL (
              SELECT i.worked_before_s + extract(epoch FROM least(coalesce(t.good_at, :as_of), i.closes_at) - i.opens_at) AS worked_s
                FROM calendar_interval i WHERE o.clock = 'business' AND i.calendar = b.calendar AND i.opens_at <= coalesce(t.good_at, :as_of) ORDER BY i.opens_at DESC LIMIT 1) done ON true
         WHERE o.name = :objective AND t.source = :source AND t.deadline_at > :since AND t.deadline_at <= :as_of AND NOT t.is_excluded
           AND (:units::text[] IS NULL OR t.business_unit = ANY (:units::text[]))) d
 GROUP BY 1, 2 ORDER BY 1, 2;
