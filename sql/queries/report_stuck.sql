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
    SELECT s.part, s.business_unit, r.buckets, r.counts
      FROM series s CROSS JOIN rollup_closed c
      JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'month' AND r.starts_on >= :peers_since::date AND r.starts_on < c.months_until
    UNION ALL
    SELECT s.part, s.business_unit, r.buckets, r.counts
      FROM series s CROSS JOIN rollup_closed c
      JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'day' AND r.starts_on >= greatest(:peers_since::date, c.months_until)
), stays AS MATERIALIZED (
    SELECT h.part, u.business_unit, b.bucket, sum(b.held) AS held
      FROM held h CROSS JOIN sight
     CROSS JOIN LATERAL (SELECT h.business_unit WHERE h.business_unit <> '*'
                         UNION ALL SELECT '*' WHERE h.business_unit = '*' OR NOT sight.all_units) AS u(business_unit)
     CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS b(bucket, held)
     GROUP BY 1, 2, 3
), peer AS MATERIALIZED (
    SELECT part, business_unit, rollup_percentiles(array_agg(bucket ORDER BY bucket), array_agg(held::integer ORDER BY bucket), ARRAY[0.85, 0.95]) AS p
      FROM stays GROUP BY 1, 2 HAVING sum(held) >= 30
), asked AS MATERIALIZED (
    SELECT split_part(a.part, ':', 1) AS document_type, split_part(a.part, ':', 2) AS state, b.code AS business_unit, b.calendar, worked_s(b.calendar, :as_of)::float8 AS worked_s, coalesce(u.p, e.p) AS p
      FROM (SELECT DISTINCT part FROM peer) a
     CROSS JOIN business_unit b
      LEFT JOIN peer u ON u.part = a.part AND u.business_unit = b.code
      LEFT JOIN peer e ON e.part = a.part AND e.business_unit = '*'
     WHERE (:units::text[] IS NULL OR b.code = ANY (:units::text[])) AND coalesce(u.p, e.p) IS NOT NULL
)
SELECT coalesce(jsonb_agg(jsonb_build_object('document_type', a.document_type, 'state', a.state, 'business_unit', a.business_unit, 'p95_s', a.p[2],
                                             'slow_before', t.slow_before, 'stuck_before', t.stuck_before, 'over_before', t.over_before)), '[]')::text AS limits
  FROM asked a
 CROSS JOIN LATERAL (
     SELECT max(w.moment) FILTER (WHERE l.name = 'slow') AS slow_before, max(w.moment) FILTER (WHERE l.name = 'stuck') AS stuck_before, max(w.moment) FILTER (WHERE l.name = 'over') AS over_before
       FROM (VALUES ('slow', greatest(a.p[1], 1800)), ('stuck', greatest(a.p[2], 3600)), ('over', a.p[2])) AS l(name, spent_s)
      CROSS JOIN LATERAL (SELECT i.opens_at + make_interval(secs => a.worked_s - l.spent_s - i.worked_before_s) AS moment
                            FROM calendar_interval i
                           WHERE i.calendar = a.calendar AND i.worked_before_s < ceil(a.worked_s - l.spent_s)::bigint ORDER BY i.worked_before_s DESC LIMIT 1) w) t;

-- name: counts(units, document_types, as_of, silent_s, limits)
-- Everything open, counted by all that a figure, a chart or a filter divides it by. band: 0 under the first of the page's limits of
-- value, 1 under the second, and so on. value_days_s: the sum over the stuck ones of their value times the working seconds since they
-- should have moved. oldest_s: working seconds the oldest has stood in its stage; oldest_since: since when, on the wall. over: older
-- than 95 % of their peers.
WITH clock AS MATERIALIZED (
    SELECT i.calendar, worked_s(i.calendar, :as_of)::float8 AS now_s, array_agg(extract(epoch FROM i.opens_at)::float8 ORDER BY i.opens_at) AS opens,
           array_agg(extract(epoch FROM i.closes_at)::float8 ORDER BY i.opens_at) AS closes, array_agg(i.worked_before_s::float8 ORDER BY i.opens_at) AS worked
      FROM calendar_interval i
     WHERE i.calendar IN (SELECT calendar FROM business_unit)
     GROUP BY 1
), late AS (
    -- Kept apart from the sums, so that no sort carries a calendar along.
    SELECT d.*, CASE WHEN d.limit_from IS NOT NULL AND place.nth > 0
                     THEN c.now_s - c.worked[place.nth] - least(place.s, c.closes[place.nth]) + c.opens[place.nth] - d.allowed_s
                     WHEN d.limit_from IS NOT NULL THEN c.now_s - d.allowed_s END AS over_limit_s
      FROM standing_document(:document_types::text[], :units::text[], :as_of::timestamptz, :silent_s::numeric, :limits::jsonb) d
      LEFT JOIN clock c ON c.calendar = d.calendar
     CROSS JOIN LATERAL (SELECT extract(epoch FROM d.limit_from)::float8 AS s, width_bucket(extract(epoch FROM d.limit_from)::float8, c.opens) AS nth) place
    OFFSET 0
), counted AS (
    SELECT document_type, state, business_unit, calendar, source_system, reason, owner_team, case_code, level, because, owner IS NOT NULL AS is_taken,
           width_bucket(group_amount, ARRAY[1000, 10000, 100000]::numeric[]) AS band, is_old,
           count(*) AS documents, sum(group_amount) AS value, sum(group_amount::float8 * over_limit_s) AS value_days_s, min(state_since) AS oldest_since, count(*) FILTER (WHERE is_over) AS over
      FROM late
     GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13
)
SELECT g.document_type, g.state, g.business_unit, g.source_system, g.reason, g.owner_team, g.case_code, g.level, g.because, g.is_taken, g.band, g.is_old, g.documents, g.value, g.value_days_s, g.over, g.oldest_since,
       CASE WHEN place.nth > 0 THEN c.now_s - c.worked[place.nth] - least(place.s, c.closes[place.nth]) + c.opens[place.nth] ELSE coalesce(c.now_s, 0) END AS oldest_s
  FROM counted g
  LEFT JOIN clock c ON c.calendar = g.calendar
 CROSS JOIN LATERAL (SELECT extract(epoch FROM g.oldest_since)::float8 AS s, width_bucket(extract(epoch FROM g.oldest_since)::float8, c.opens) AS nth) place;

-- name: rows(units, document_types, as_of, peers_since, silent_s, limits, levels, because, untaken, reasons, teams, team_reasons, bands, sources, stages, after_value, after_id, by_age, most)
-- Of everything open the first :most rows (NULL: all) after the place :after_value, :after_id (no value counts as -1), most money first;
-- with :by_age those that the chart of ages draws, by level and then the oldest first. before: how many come before the place. NULL or
-- false is no filter. teams: case_team, or what stands for a reason of :team_reasons where no exception has a team; stages: type:state.
-- pace: the share of the peers' stays that were shorter. p_on_time: of the peers that had stood as long, the share that left the stage
-- by limit_at (goods: needed by, payment: due, else the step's objective); 0 past it. over_limit_s: working seconds of a stuck one since
-- it should have moved. stage_p..: percentiles of the stage in every unit. known_as: what the ERP and the approval tool call it.
WITH wanted AS MATERIALIZED (
    SELECT document_id, coalesce(group_amount, -1) AS place, level, because, state_since, limit_from, allowed_s
      FROM standing_document(:document_types::text[], :units::text[], :as_of::timestamptz, :silent_s::numeric, :limits::jsonb)
     WHERE (:levels::text[] IS NULL OR level = ANY (:levels::text[])) AND (:because::text IS NULL OR because = :because::text) AND (NOT :untaken::boolean OR owner IS NULL)
       AND (:reasons::text[] IS NULL OR reason = ANY (:reasons::text[])) AND (:sources::text[] IS NULL OR source_system = ANY (:sources::text[]))
       AND (:teams::text[] IS NULL OR owner_team = ANY (:teams::text[]) OR coalesce(owner_team, '') = '' AND reason = ANY (:team_reasons::text[]))
       AND (:bands::int[] IS NULL OR width_bucket(group_amount, ARRAY[1000, 10000, 100000]::numeric[]) = ANY (:bands::int[]))
       AND (NOT :by_age::boolean OR is_old AND level <> 'waiting' AND document_type || ':' || state = ANY (:stages::text[]))
), page AS MATERIALIZED (
    SELECT * FROM wanted
     WHERE :after_id::uuid IS NULL OR place < :after_value::numeric OR place = :after_value::numeric AND document_id > :after_id::uuid
     ORDER BY CASE WHEN :by_age::boolean THEN array_position(ARRAY['stuck', 'silent', 'unknown', 'watch', 'waiting', 'moving'], level) END,
              CASE WHEN :by_age::boolean THEN state_since END, place DESC, document_id
     LIMIT :most::bigint
), open AS MATERIALIZED (
    SELECT o.*, coalesce(now_s.worked, 0) - coalesce(since_s.worked, 0) AS age_business_s, extract(epoch FROM :as_of - o.state_since) AS age_wall_s,
           coalesce(now_s.worked, 0) - coalesce(heard_s.worked, 0) AS silent_business_s, coalesce(limit_s.worked, 0) - coalesce(since_s.worked, 0) AS limit_business_s,
           CASE WHEN o.limit_from IS NOT NULL THEN coalesce(now_s.worked, 0) - coalesce(from_s.worked, 0) - o.allowed_s END AS over_limit_s
      FROM (SELECT d.*, p.place, p.level, p.because, p.limit_from, p.allowed_s,
                   CASE d.reason WHEN 'waiting for goods' THEN (d.need_by_on + 1)::timestamp AT TIME ZONE 'UTC'
                                 WHEN 'waiting for payment' THEN (d.due_on + 1)::timestamp AT TIME ZONE 'UTC'
                                 ELSE d.objective_at END AS limit_at
              FROM page p JOIN open_document d USING (document_id)) o
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
          SELECT i.worked_before_s + extract(epoch FROM least(o.limit_from, i.closes_at) - i.opens_at) AS worked
            FROM calendar_interval i WHERE i.calendar = o.calendar AND i.opens_at <= o.limit_from ORDER BY i.opens_at DESC LIMIT 1) from_s ON true
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
      FROM series s CROSS JOIN rollup_closed c
      JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'month' AND r.starts_on >= :peers_since::date AND r.starts_on < c.months_until
    UNION ALL
    SELECT s.part, s.business_unit, r.buckets, r.counts
      FROM series s CROSS JOIN rollup_closed c
      JOIN rollup r ON r.series_id = s.series_id AND r.grain = 'day' AND r.starts_on >= greatest(:peers_since::date, c.months_until)
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
            ELSE (SELECT count(*) FROM wanted w WHERE w.place > :after_value::numeric OR w.place = :after_value::numeric AND w.document_id <= :after_id::uuid) END AS before
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
