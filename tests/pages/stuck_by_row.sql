-- How open documents were judged one by one, each with its own look-ups: too slow for a company's size, and plain enough to be what the
-- judgement of them all at once is compared with.

-- name: open(units, document_types, as_of, peers_since, silent_s)
-- Everything open, with its business age in its present stage against the stays its peers ended since the day :peers_since, read from
-- the rollups' histograms: same type and stage in the same unit, or in every unit where that is fewer than 30 (peer_unit says which;
-- fewer than 30 there too: no pace). pace: the share of those stays that were shorter. p_on_time: of the peers that had stood as
-- long, the share that left the stage by limit_at (goods: needed by, payment: due, else the step's objective); 0 past it.
-- because, the first that holds: "exception" (one stops it), "date" (it waits by agreement, for goods until the need-by date, for
-- the invoice 20 working days, for payment until the due date, and that has passed), "pace" (over the peers' P95; P85 for watch),
-- "deadline" (past the step's objective), "silence" (no event for :silent_s of working time). level: stuck; silent, or unknown where
-- the system that should tell has not been heard of in time; watch; waiting (by agreement, the date has not come); moving.
-- over_limit_s: business seconds of a stuck one since it should have moved. stage_p..: percentiles of the stage in every unit.
-- known_as: what the ERP and the approval tool call it.
WITH open AS MATERIALIZED (
    SELECT o.*, coalesce(now_s.worked, 0) - coalesce(since_s.worked, 0) AS age_business_s, extract(epoch FROM :as_of - o.state_since) AS age_wall_s,
           coalesce(now_s.worked, 0) - coalesce(heard_s.worked, 0) AS silent_business_s, coalesce(limit_s.worked, 0) - coalesce(since_s.worked, 0) AS limit_business_s
      FROM (SELECT d.*, CASE d.reason WHEN 'waiting for goods' THEN (d.need_by_on + 1)::timestamp AT TIME ZONE 'UTC'
                                      WHEN 'waiting for payment' THEN (d.due_on + 1)::timestamp AT TIME ZONE 'UTC'
                                      ELSE d.objective_at END AS limit_at
              FROM open_document d
             WHERE d.document_type = ANY (:document_types::text[]) AND (:units::text[] IS NULL OR d.business_unit = ANY (:units::text[]))) o
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
    -- The row of all units together is there for whoever may see all; for anybody else it is the units they see, added up.
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
           coalesce((coalesce(u.shorter, a.shorter))[width_bucket(o.limit_business_s::float8, coalesce(u.durations, a.durations))], 0) / coalesce(u.n, a.n) AS pace_at_limit,
           CASE o.reason WHEN 'waiting for goods' THEN o.need_by_on < :as_of::date
                         WHEN 'waiting for payment' THEN o.due_on < :as_of::date
                         WHEN 'waiting for the invoice' THEN o.age_business_s > 20 * 8 * 3600 END AS agreed_date_passed,
           o.reason IN ('waiting for goods', 'waiting for payment', 'waiting for the invoice') AS waits_by_agreement
      FROM open o
      LEFT JOIN peer u ON u.part = o.document_type || ':' || o.state AND u.business_unit = o.business_unit
      LEFT JOIN peer a ON a.part = o.document_type || ':' || o.state AND a.business_unit = '*'
), fresh AS MATERIALIZED (
    SELECT system, bool_and(coalesce(last_success_at >= :as_of - make_interval(secs => silent_after_s::double precision), false)) AS is_fresh
      FROM feed_state GROUP BY system
), judged AS (
    SELECT c.*, f.is_fresh, CASE WHEN case_blocks THEN 'exception'
                                 WHEN waits_by_agreement THEN CASE WHEN agreed_date_passed THEN 'date' END
                                 WHEN age_business_s > p[4] AND age_business_s > 3600 THEN 'pace'
                                 WHEN objective_at < :as_of THEN 'deadline' END AS stuck_because,
           NOT waits_by_agreement AND silent_business_s > :silent_s AS is_silent, NOT waits_by_agreement AND age_business_s > p[3] AND age_business_s > 1800 AS is_slow
      FROM compared c
      LEFT JOIN fresh f ON f.system = coalesce(c.system, c.source_system)
)
SELECT document_id, document_type, number, title, business_unit, supplier_name, requester, state, approval_status, posting_status, currency, amount, group_amount,
       state_since, need_by_on, due_on, step, system, waiting_for, objective_at, tries, case_id, case_code, case_category, case_message, case_version, owner_team, owner,
       source_system, reason, age_business_s, age_wall_s, peers, p[1] AS peer_p50_s, p[3] AS peer_p85_s, p[4] AS peer_p95_s, peer_unit, pace, last_event_at, silent_business_s, limit_at,
       CASE WHEN limit_at < :as_of THEN 0 WHEN pace < 1 THEN (pace_at_limit - pace) / (1 - pace) END AS p_on_time,
       CASE WHEN stuck_because IS NOT NULL THEN 'stuck'
            WHEN is_silent THEN CASE WHEN is_fresh THEN 'silent' ELSE 'unknown' END
            WHEN is_slow THEN 'watch' WHEN waits_by_agreement THEN 'waiting' ELSE 'moving' END AS level,
       p_all[1] AS stage_p50_s, p_all[2] AS stage_p70_s, p_all[3] AS stage_p85_s, p_all[4] AS stage_p95_s,
       (SELECT string_agg(i.external_id, ', ' ORDER BY i.kind, i.external_id)
          FROM document_identifier i JOIN system_state s USING (system)
         WHERE i.document_id = judged.document_id AND (s.role = 'erp' OR i.kind = 'request_number') AND i.external_id <> judged.number) AS known_as,
       coalesce(stuck_because, CASE WHEN is_silent THEN 'silence' WHEN is_slow THEN 'pace' END) AS because,
       CASE stuck_because WHEN 'exception' THEN business_s(calendar, case_raised_at, :as_of)
                          WHEN 'date' THEN CASE reason WHEN 'waiting for the invoice' THEN age_business_s - 20 * 8 * 3600
                                                       ELSE business_s(calendar, (CASE reason WHEN 'waiting for goods' THEN need_by_on ELSE due_on END + 1)::timestamptz, :as_of) END
                          WHEN 'pace' THEN age_business_s - p[4]
                          WHEN 'deadline' THEN business_s(calendar, objective_at, :as_of) END AS over_limit_s
  FROM judged
 ORDER BY CASE WHEN case_blocks THEN 0 ELSE 1 END, group_amount DESC NULLS LAST, document_id;
