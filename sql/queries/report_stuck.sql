-- What the page on stuck documents asks: what is open, how long it has stood against its peers, and what comes into the pile and leaves it.
-- The limits of age are worked out once (limits), everything open is judged by them in the database (view file 35), and comes as
-- counts (counts) and as one page of rows (rows); what takes a look-up for each document is asked for the rows of that page alone.
--
-- because, the first that holds: "exception" (one stops it), "date" (it waits by agreement, for goods until the need-by date, for
-- the invoice 20 working days, for payment until the due date, and that has passed), "pace" (over the peers' P95; P85 for watch),
-- "deadline" (past the step's objective), "silence" (no event for :silent_s of working time). level: stuck; silent, or unknown where
-- the system that should tell has not been heard of in time; watch; waiting (by agreement, the date has not come); moving.

-- name: limits(units, document_types, as_of, peers_since)
-- For each stage and unit the moments before which a document must have entered it to be slow (over the peers' P85 and half an hour),
-- stuck (over P95 and an hour) and over P95 at all, as JSON. Peers: the stays that ended since the day :peers_since, read from the
-- rollups' histograms: same type and stage in the same unit, or in every unit where that is fewer than 30; fewer there too: no row.
WITH sight AS MATERIALIZED (
    -- The row of all units together is there for whoever may see all; for anybody else it is the units they see, added up.
    SELECT EXISTS (SELECT FROM rollup_series WHERE measure = 'stay_business' AND source = 'finsync' AND business_unit = '*') AS all_units
), series AS MATERIALIZED (
    SELECT series_id, part, business_unit FROM rollup_series
     WHERE measure = 'stay_business' AND source = 'finsync' AND split_part(part, ':', 1) = ANY (:document_types::text[])
), held AS MATERIALIZED (
    SELECT s.series_id, r.buckets, r.counts
      FROM series s
      JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'month' AND r.starts_on >= :peers_since::date AND r.starts_on < (SELECT months_until FROM rollup_closed)
    UNION ALL
    SELECT s.series_id, r.buckets, r.counts
      FROM series s
      JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'day' AND r.starts_on >= greatest(:peers_since::date, (SELECT months_until FROM rollup_closed))
), stays AS MATERIALIZED (
    -- By number, not by name: there is a row for every bucket of every day.
    SELECT h.series_id, b.bucket, sum(b.held)::integer AS held FROM held h CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS b(bucket, held) GROUP BY 1, 2
), spread AS MATERIALIZED (
    SELECT s.part, s.business_unit, c.buckets, c.counts, c.n
      FROM (SELECT series_id, array_agg(bucket ORDER BY bucket) AS buckets, array_agg(held ORDER BY bucket) AS counts, sum(held) AS n FROM stays GROUP BY 1) c JOIN series s USING (series_id)
    UNION ALL
    SELECT part, '*', array_agg(bucket ORDER BY bucket), array_agg(held ORDER BY bucket), sum(held)
      FROM (SELECT s.part, t.bucket, sum(t.held)::integer AS held FROM sight JOIN stays t ON NOT sight.all_units JOIN series s USING (series_id) GROUP BY 1, 2) every
     GROUP BY 1
), peer AS MATERIALIZED (
    SELECT part, business_unit, rollup_percentiles(buckets, counts, ARRAY[0.85, 0.95]) AS p FROM spread WHERE n >= 30
), asked AS MATERIALIZED (
    SELECT a.part, b.code AS business_unit, b.calendar, coalesce(u.p, e.p) AS p
      FROM (SELECT DISTINCT part FROM peer) a
     CROSS JOIN business_unit b
      LEFT JOIN peer u ON u.part = a.part AND u.business_unit = b.code
      LEFT JOIN peer e ON e.part = a.part AND e.business_unit = '*'
     WHERE (:units::text[] IS NULL OR b.code = ANY (:units::text[])) AND coalesce(u.p, e.p) IS NOT NULL
), clock AS MATERIALIZED (
    SELECT b.calendar, worked_s(b.calendar, :as_of)::float8 AS worked_s FROM (SELECT DISTINCT calendar FROM business_unit) b
), moment AS MATERIALIZED (
    -- Worked out once for all units that share a calendar and their peers.
    SELECT a.calendar, a.p, max(w.moment) FILTER (WHERE l.name = 'slow') AS slow_before, max(w.moment) FILTER (WHERE l.name = 'stuck') AS stuck_before, max(w.moment) FILTER (WHERE l.name = 'over') AS over_before
      FROM (SELECT DISTINCT calendar, p FROM asked) a
      JOIN clock c USING (calendar)
     CROSS JOIN LATERAL (VALUES ('slow', greatest(a.p[1], 1800)), ('stuck', greatest(a.p[2], 3600)), ('over', a.p[2])) AS l(name, spent_s)
      LEFT JOIN LATERAL (SELECT i.opens_at + make_interval(secs => c.worked_s - l.spent_s - i.worked_before_s) AS moment
                           FROM calendar_interval i
                          WHERE i.calendar = a.calendar AND i.worked_before_s < ceil(c.worked_s - l.spent_s)::bigint ORDER BY i.worked_before_s DESC LIMIT 1) w ON true
     GROUP BY 1, 2
)
SELECT coalesce(jsonb_agg(jsonb_build_object('document_type', split_part(a.part, ':', 1), 'state', split_part(a.part, ':', 2), 'business_unit', a.business_unit, 'p95_s', a.p[2],
                                             'slow_before', m.slow_before, 'stuck_before', m.stuck_before, 'over_before', m.over_before)), '[]')::text AS limits
  FROM asked a JOIN moment m USING (calendar, p);

-- name: counts(units, document_types, as_of, silent_s, limits, reasons, teams, team_reasons, bands, sources)
-- Everything open that is chosen (as in `rows`), counted by all that a figure or a chart divides it by: the sums the folder keeps, with
-- what has crossed a limit since moved from one to the other. value_days_s: the sum over the stuck ones of their value times the
-- working seconds since they should have moved. oldest_s: working seconds the oldest has stood in its stage; oldest_since: since
-- when, on the wall. over: older than 95 % of their peers.
WITH changed AS MATERIALIZED (
    SELECT * FROM standing_changed(:as_of::timestamptz, :silent_s::numeric, :limits::jsonb)
), moved AS MATERIALIZED (
    SELECT kind_id, was_cause AS cause, was_old AS is_old, was_over AS is_over, -1 AS sign, group_amount,
           CASE WHEN was_cause = 3 OR was_cause = 2 AND rule = 3 THEN since_worked_s ELSE other_worked_s END AS worked_s, NULL::timestamptz AS since, NULL::float8 AS since_worked_s
      FROM changed
    UNION ALL
    SELECT kind_id, cause, is_old, is_over, 1, group_amount, CASE WHEN cause = 3 OR cause = 2 AND rule = 3 THEN since_worked_s ELSE other_worked_s END, state_since, since_worked_s
      FROM changed
), left_behind AS MATERIALIZED (
    -- Whoever was the oldest of a group may have left it: of those that anybody left, it is looked up.
    SELECT s.kind_id, s.cause, s.is_old, s.is_over, min(s.state_since) AS oldest_since, min(s.since_worked_s) AS oldest_worked_s
      FROM (SELECT DISTINCT kind_id, was_cause, was_old, was_over FROM changed) g
     CROSS JOIN LATERAL (SELECT r.* FROM standing r WHERE r.kind_id = g.kind_id AND r.cause = g.was_cause AND r.is_old = g.was_old AND r.is_over = g.was_over OFFSET 0) s
     WHERE NOT EXISTS (SELECT FROM changed x WHERE x.document_id = s.document_id)
     GROUP BY 1, 2, 3, 4
), counted AS MATERIALIZED (
    SELECT kind_id, cause, is_old, is_over, sum(documents)::bigint AS documents, sum(value) AS value, sum(value_worked_s) AS value_worked_s, min(oldest_since) AS oldest_since, min(oldest_worked_s) AS oldest_worked_s
      FROM (SELECT g.kind_id, g.cause, g.is_old, g.is_over, g.documents, g.value, g.value_worked_s, CASE WHEN c.kind_id IS NULL THEN g.oldest_since ELSE o.oldest_since END AS oldest_since,
                   CASE WHEN c.kind_id IS NULL THEN g.oldest_worked_s ELSE o.oldest_worked_s END AS oldest_worked_s
              FROM standing_group g
              LEFT JOIN (SELECT DISTINCT kind_id, was_cause AS cause, was_old AS is_old, was_over AS is_over FROM changed) c USING (kind_id, cause, is_old, is_over)
              LEFT JOIN left_behind o USING (kind_id, cause, is_old, is_over)
            UNION ALL
            SELECT m.kind_id, m.cause, m.is_old, m.is_over, m.sign, m.sign * m.group_amount, CASE WHEN m.cause <= 4 THEN m.sign * m.group_amount::float8 * m.worked_s END, m.since, m.since_worked_s
              FROM moved m) every
     GROUP BY 1, 2, 3, 4
), fresh AS MATERIALIZED (
    SELECT f.system, bool_and(coalesce(f.last_success_at >= :as_of - make_interval(secs => f.silent_after_s::float8), false)) AS is_fresh FROM feed_state f GROUP BY f.system
), stage AS MATERIALIZED (
    SELECT * FROM standing_limits(:as_of::timestamptz, :silent_s::numeric, :limits::jsonb)
)
SELECT k.document_type, k.state, k.business_unit, k.reason, k.owner_team, k.case_code, standing_level(c.cause, f.is_fresh) AS level, standing_because(c.cause) AS because,
       k.is_taken, c.is_old, sum(c.documents)::bigint AS documents, sum(c.value) AS value,
       sum((l.now_worked_s - CASE WHEN c.cause = 3 THEN l.p95_s WHEN c.cause = 2 AND k.rule = 3 THEN 20 * 8 * 3600 ELSE 0 END) * c.value::float8 - c.value_worked_s) FILTER (WHERE c.cause <= 4) AS value_days_s,
       coalesce(sum(c.documents) FILTER (WHERE c.is_over), 0)::bigint AS over, min(c.oldest_since) AS oldest_since, coalesce(min(l.now_worked_s) - min(c.oldest_worked_s), 0) AS oldest_s
  FROM counted c
  JOIN standing_kind k USING (kind_id)
  JOIN stage l USING (stage_id)
  LEFT JOIN fresh f ON f.system = k.asks
 WHERE c.documents > 0 AND k.document_type = ANY (:document_types::text[]) AND (:units::text[] IS NULL OR k.business_unit = ANY (:units::text[]))
   AND (:reasons::text[] IS NULL OR k.reason = ANY (:reasons::text[])) AND (:sources::text[] IS NULL OR k.source_system = ANY (:sources::text[]))
   AND (:teams::text[] IS NULL OR k.owner_team = ANY (:teams::text[]) OR coalesce(k.owner_team, '') = '' AND k.reason = ANY (:team_reasons::text[]))
   AND (:bands::int[] IS NULL OR k.band = ANY (:bands::int[]))
 GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10;

-- name: rows(units, document_types, as_of, peers_since, silent_s, limits, levels, because, untaken, reasons, teams, team_reasons, bands, sources, stages, document_id, after_value, after_id, by_age, most)
-- Of everything open the first :most rows (NULL: all) after the place :after_value, :after_id (no value counts as -1), most money first;
-- with :by_age those that the chart of ages draws, by level and then the oldest first; of one :document_id that alone. before: how many come before the place. NULL or
-- false is no filter. teams: case_team, or what stands for a reason of :team_reasons where no exception has a team; stages: type:state.
-- pace: the share of the peers' stays that were shorter. p_on_time: of the peers that had stood as long, the share that left the stage
-- by limit_at (goods: needed by, payment: due, else the step's objective); 0 past it. over_limit_s: working seconds of a stuck one since
-- it should have moved. stage_p..: percentiles of the stage in every unit. known_as: what the ERP and the approval tool call it.
WITH changed AS MATERIALIZED (
    SELECT * FROM standing_changed(:as_of::timestamptz, :silent_s::numeric, :limits::jsonb)
), fresh AS MATERIALIZED (
    SELECT f.system, bool_and(coalesce(f.last_success_at >= :as_of - make_interval(secs => f.silent_after_s::float8), false)) AS is_fresh FROM feed_state f GROUP BY f.system
), kind AS MATERIALIZED (
    -- Whatever is chosen is chosen among kinds and causes; which documents that are, an index says.
    SELECT k.kind_id, coalesce(f.is_fresh, false) AS is_fresh
      FROM standing_kind k
      LEFT JOIN fresh f ON f.system = k.asks
     WHERE k.document_type = ANY (:document_types::text[]) AND (:units::text[] IS NULL OR k.business_unit = ANY (:units::text[]))
       AND (NOT :untaken::boolean OR NOT k.is_taken)
       AND (:reasons::text[] IS NULL OR k.reason = ANY (:reasons::text[])) AND (:sources::text[] IS NULL OR k.source_system = ANY (:sources::text[]))
       AND (:teams::text[] IS NULL OR k.owner_team = ANY (:teams::text[]) OR coalesce(k.owner_team, '') = '' AND k.reason = ANY (:team_reasons::text[]))
       AND (:bands::int[] IS NULL OR k.band = ANY (:bands::int[]))
       AND (NOT :by_age::boolean OR k.document_type || ':' || k.state = ANY (:stages::text[]))
), cause AS MATERIALIZED (
    -- Silence is another level where the system is fresh; every other cause is of one level.
    SELECT n::smallint AS cause, is_fresh, array_position(ARRAY['stuck', 'silent', 'unknown', 'watch', 'waiting', 'moving'], standing_level(n::smallint, is_fresh)) AS rank
      FROM generate_series(1, 8) AS n CROSS JOIN (VALUES (true), (false)) AS f(is_fresh)
     WHERE (n = 5 OR is_fresh) AND (:levels::text[] IS NULL OR standing_level(n::smallint, is_fresh) = ANY (:levels::text[]))
       AND (:because::text IS NULL OR standing_because(n::smallint) = :because::text) AND (NOT :by_age::boolean OR n <> 7)
), moved AS MATERIALIZED (
    SELECT c.document_id, coalesce(c.group_amount, -1) AS place, c.cause, c.state_since, c.is_old, w.rank
      FROM changed c JOIN kind k USING (kind_id) JOIN cause w ON w.cause = c.cause AND (w.cause <> 5 OR w.is_fresh = k.is_fresh)
), found AS MATERIALIZED (
    -- As many more as may have changed are taken, and those are left out afterwards. IS TRUE: the order is the index's, whatever is chosen.
    SELECT f.document_id, f.place, f.cause, f.state_since, f.rank
      FROM (SELECT l.document_id, l.place, w.cause, l.state_since, w.rank
              FROM cause w
             CROSS JOIN LATERAL (
                 SELECT s.document_id, coalesce(s.group_amount, -1) AS place, s.state_since
                   FROM standing s
                  WHERE NOT :by_age::boolean AND :document_id::uuid IS NULL AND s.cause = w.cause AND (s.kind_id IN (SELECT k.kind_id FROM kind k)) IS TRUE
                    AND (w.cause <> 5 OR (s.kind_id IN (SELECT k.kind_id FROM kind k WHERE k.is_fresh)) IS TRUE = w.is_fresh)
                    AND (:after_id::uuid IS NULL OR coalesce(s.group_amount, -1) <= :after_value::numeric AND (coalesce(s.group_amount, -1) < :after_value::numeric OR s.document_id > :after_id::uuid))
                  ORDER BY coalesce(s.group_amount, -1) DESC, s.document_id LIMIT :most::bigint + (SELECT count(*) FROM changed)) l
            UNION ALL
            SELECT l.document_id, l.place, w.cause, l.state_since, w.rank
              FROM cause w
             CROSS JOIN LATERAL (
                 SELECT s.document_id, coalesce(s.group_amount, -1) AS place, s.state_since
                   FROM standing s
                  WHERE :by_age::boolean AND s.cause = w.cause AND s.is_old AND (s.kind_id IN (SELECT k.kind_id FROM kind k)) IS TRUE
                    AND (w.cause <> 5 OR (s.kind_id IN (SELECT k.kind_id FROM kind k WHERE k.is_fresh)) IS TRUE = w.is_fresh)
                  ORDER BY s.state_since LIMIT :most::bigint + (SELECT count(*) FROM changed)) l
            UNION ALL
            SELECT s.document_id, coalesce(s.group_amount, -1), s.cause, s.state_since, w.rank
              FROM standing s JOIN kind k USING (kind_id) JOIN cause w ON w.cause = s.cause AND (w.cause <> 5 OR w.is_fresh = k.is_fresh)
             WHERE s.document_id = :document_id::uuid) f
     WHERE NOT EXISTS (SELECT FROM changed c WHERE c.document_id = f.document_id)
    UNION ALL
    SELECT m.document_id, m.place, m.cause, m.state_since, m.rank
      FROM moved m
     WHERE (NOT :by_age::boolean OR m.is_old) AND (:document_id::uuid IS NULL OR m.document_id = :document_id::uuid)
       AND (:after_id::uuid IS NULL OR m.place < :after_value::numeric OR m.place = :after_value::numeric AND m.document_id > :after_id::uuid)
), page AS MATERIALIZED (
    SELECT * FROM found
     ORDER BY CASE WHEN :by_age::boolean THEN rank END, CASE WHEN :by_age::boolean THEN state_since END, place DESC, document_id
     LIMIT :most::bigint
), stage AS MATERIALIZED (
    SELECT * FROM standing_limits(:as_of::timestamptz, :silent_s::numeric, :limits::jsonb)
), placed AS MATERIALIZED (
    SELECT g.document_id, g.place, standing_level(g.cause, f.is_fresh) AS level, standing_because(g.cause) AS because,
           CASE WHEN g.cause <= 4 THEN coalesce(l.now_worked_s - CASE g.cause WHEN 2 THEN CASE k.rule WHEN 3 THEN s.since_worked_s + 20 * 8 * 3600 ELSE s.other_worked_s END
                                                                              WHEN 3 THEN s.since_worked_s + l.p95_s ELSE s.other_worked_s END, 0) END AS over_limit_s
      FROM page g JOIN standing s USING (document_id) JOIN standing_kind k USING (kind_id) JOIN stage l ON l.stage_id = s.stage_id LEFT JOIN fresh f ON f.system = k.asks
), opened AS MATERIALIZED (
    SELECT d.*, p.place, p.level, p.because, p.over_limit_s,
           CASE d.reason WHEN 'waiting for goods' THEN (d.need_by_on + 1)::timestamp AT TIME ZONE 'UTC'
                         WHEN 'waiting for payment' THEN (d.due_on + 1)::timestamp AT TIME ZONE 'UTC'
                         ELSE d.objective_at END AS limit_at
      -- Each by itself: without statistics the planner would compare every exception with every other for each row.
      FROM placed p CROSS JOIN LATERAL (SELECT * FROM open_document o WHERE o.document_id = p.document_id OFFSET 0) d
), open AS MATERIALIZED (
    SELECT o.*, coalesce(now_s.worked, 0) - coalesce(since_s.worked, 0) AS age_business_s, extract(epoch FROM :as_of - o.state_since) AS age_wall_s,
           coalesce(now_s.worked, 0) - coalesce(heard_s.worked, 0) AS silent_business_s, coalesce(limit_s.worked, 0) - coalesce(since_s.worked, 0) AS limit_business_s
      FROM opened o
      LEFT JOIN LATERAL (
          SELECT i.worked_before_s + extract(epoch FROM least(o.state_since, i.closes_at) - i.opens_at) AS worked
            FROM calendar_interval i WHERE i.calendar = o.calendar AND i.opens_at <= o.state_since ORDER BY i.opens_at DESC LIMIT 1) since_s ON true
      LEFT JOIN LATERAL (
          SELECT i.worked_before_s + extract(epoch FROM least(o.last_event_at, i.closes_at) - i.opens_at) AS worked
            FROM calendar_interval i WHERE i.calendar = o.calendar AND i.opens_at <= o.last_event_at ORDER BY i.opens_at DESC LIMIT 1) heard_s ON true
      LEFT JOIN LATERAL (
          SELECT i.worked_before_s + extract(epoch FROM least(o.limit_at, i.closes_at) - i.opens_at) AS worked
            FROM calendar_interval i WHERE i.calendar = o.calendar AND i.opens_at <= o.limit_at ORDER BY i.opens_at DESC LIMIT 1) limit_s ON true
      LEFT JOIN LATERAL (
          SELECT i.worked_before_s + extract(epoch FROM least(:as_of, i.closes_at) - i.opens_at) AS worked
            FROM calendar_interval i WHERE i.calendar = o.calendar AND i.opens_at <= :as_of ORDER BY i.opens_at DESC LIMIT 1) now_s ON true
), sight AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM rollup_series WHERE measure = 'stay_business' AND source = 'finsync' AND business_unit = '*') AS all_units
), series AS MATERIALIZED (
    SELECT s.series_id, s.part, s.business_unit
      FROM rollup_series s CROSS JOIN sight
     WHERE s.measure = 'stay_business' AND s.source = 'finsync' AND s.part IN (SELECT document_type || ':' || state FROM open)
       AND (NOT sight.all_units OR s.business_unit = '*' OR EXISTS (SELECT FROM open o WHERE o.business_unit = s.business_unit AND o.document_type || ':' || o.state = s.part))
), held AS MATERIALIZED (
    SELECT s.part, s.business_unit, r.buckets, r.counts
      FROM series s
      JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'month' AND r.starts_on >= :peers_since::date AND r.starts_on < (SELECT months_until FROM rollup_closed)
    UNION ALL
    SELECT s.part, s.business_unit, r.buckets, r.counts
      FROM series s
      JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'day' AND r.starts_on >= greatest(:peers_since::date, (SELECT months_until FROM rollup_closed))
), stays AS MATERIALIZED (
    SELECT h.part, u.business_unit, b.bucket, sum(b.held) AS held
      FROM held h CROSS JOIN sight
     CROSS JOIN LATERAL (SELECT h.business_unit WHERE h.business_unit <> '*'
                         UNION ALL SELECT '*' WHERE h.business_unit = '*' OR NOT sight.all_units) AS u(business_unit)
     CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS b(bucket, held)
     GROUP BY 1, 2, 3
), peer AS MATERIALIZED (
    SELECT part, business_unit, max(up_to) AS n, rollup_percentiles(array_agg(bucket ORDER BY bucket), array_agg(held::integer ORDER BY bucket), ARRAY[0.5, 0.7, 0.85, 0.95]) AS p,
           array_agg(rollup_duration(bucket) ORDER BY bucket) AS durations, array_agg(up_to ORDER BY bucket) AS shorter
      FROM (SELECT *, sum(held) OVER (PARTITION BY part, business_unit ORDER BY bucket) AS up_to FROM stays) counted
     GROUP BY 1, 2
    HAVING max(up_to) >= 30
), compared AS (
    SELECT o.*, coalesce(u.n, a.n) AS peers, CASE WHEN u.n IS NOT NULL THEN o.business_unit END AS peer_unit, coalesce(u.p, a.p) AS p, a.p AS p_all,
           -- An age is compared with the middles of the buckets: as near as every duration of the rollups.
           coalesce((coalesce(u.shorter, a.shorter))[width_bucket(o.age_business_s::float8, coalesce(u.durations, a.durations))], 0) / coalesce(u.n, a.n) AS pace,
           coalesce((coalesce(u.shorter, a.shorter))[width_bucket(o.limit_business_s::float8, coalesce(u.durations, a.durations))], 0) / coalesce(u.n, a.n) AS pace_at_limit
      FROM open o
      LEFT JOIN peer u ON u.part = o.document_type || ':' || o.state AND u.business_unit = o.business_unit
      LEFT JOIN peer a ON a.part = o.document_type || ':' || o.state AND a.business_unit = '*'
)
SELECT document_id, document_type, number, title, business_unit, supplier_name, requester, state, approval_status, posting_status, currency, amount, group_amount,
       state_since, need_by_on, due_on, step, system, waiting_for, objective_at, tries, case_id, case_code, case_category, case_message, case_version, owner_team, owner,
       source_system, reason, age_business_s, age_wall_s, peers, p[1] AS peer_p50_s, p[3] AS peer_p85_s, p[4] AS peer_p95_s, peer_unit, pace, last_event_at, silent_business_s, limit_at,
       CASE WHEN limit_at < :as_of THEN 0 WHEN pace < 1 THEN (pace_at_limit - pace) / (1 - pace) END AS p_on_time,
       level, because, p_all[1] AS stage_p50_s, p_all[2] AS stage_p70_s, p_all[3] AS stage_p85_s, p_all[4] AS stage_p95_s,
       (SELECT string_agg(i.external_id, ', ' ORDER BY i.kind, i.external_id)
          FROM document_identifier i JOIN system_state s USING (system)
         WHERE i.document_id = compared.document_id AND (s.role = 'erp' OR i.kind = 'request_number') AND i.external_id <> compared.number) AS known_as,
       over_limit_s,
       CASE WHEN :after_id::uuid IS NULL THEN 0
            ELSE (SELECT count(*) FROM moved m WHERE m.place > :after_value::numeric OR m.place = :after_value::numeric AND m.document_id <= :after_id::uuid)
                 + (SELECT count(*) FROM cause w JOIN standing s ON s.cause = w.cause
                     WHERE coalesce(s.group_amount, -1) >= :after_value::numeric AND (coalesce(s.group_amount, -1) > :after_value::numeric OR s.document_id <= :after_id::uuid)
                       AND (s.kind_id IN (SELECT k.kind_id FROM kind k)) IS TRUE AND (w.cause <> 5 OR (s.kind_id IN (SELECT k.kind_id FROM kind k WHERE k.is_fresh)) IS TRUE = w.is_fresh)
                       AND NOT EXISTS (SELECT FROM changed c WHERE c.document_id = s.document_id)) END AS before
  FROM compared
 ORDER BY place DESC, document_id;

-- name: stopped_by_day(units, document_types, since, until)
-- Per day: how many documents an exception stopped at its end (and at :until, on the last), and how many stops began and ended in it,
-- those that ended by themselves apart.
SELECT day::date AS day,
       count(DISTINCT x.document_id) FILTER (WHERE x.raised_at < least(day + interval '1 day', :until) AND coalesce(x.closed_at, 'infinity') >= least(day + interval '1 day', :until)) AS stopped,
       count(*) FILTER (WHERE x.raised_at >= day AND x.raised_at < day + interval '1 day') AS begun,
       count(*) FILTER (WHERE x.closed_at >= day AND x.closed_at < day + interval '1 day') AS ended,
       count(*) FILTER (WHERE x.closed_at >= day AND x.closed_at < day + interval '1 day' AND x.close_reason = 'self_cured') AS self_cured
  FROM generate_series(date_trunc('day', :since::timestamptz), :until::timestamptz - interval '1 microsecond', interval '1 day') AS day
  LEFT JOIN (SELECT document_id, raised_at, closed_at, close_reason FROM exception_case
              WHERE blocks AND document_type = ANY (:document_types::text[]) AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
                AND (closed_at IS NULL OR closed_at >= date_trunc('day', :since::timestamptz))) x
    ON x.raised_at < day + interval '1 day' AND coalesce(x.closed_at, 'infinity') >= day
 GROUP BY day ORDER BY day;
