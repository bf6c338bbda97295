-- What the page on cycle time asks. Journeys and their stages are the folder's rows, one per requisition: a question costs what its
-- period holds, not what history does. Percentiles are of those rows, so that a figure is exactly that of the rows it opens.

-- name: surroundings()
-- The versions of the configuration that followed an earlier one ('version', its kind, when it came into force): what a curve may
-- break at, and the promise for the way from requisition to order ('promise', its clock, its seconds in `s`).
SELECT 'version' AS kind, kind AS name, promoted_at AS at, NULL::float8 AS s
  FROM (SELECT kind, promoted_at, row_number() OVER (PARTITION BY kind ORDER BY promoted_at, version) AS place FROM config_version) v
 WHERE place > 1
UNION ALL
SELECT 'promise', clock, NULL, threshold_s FROM objective
 WHERE document_type = 'requisition' AND start_activity = 'requisition_received' AND 'orders_confirmed' = ANY (good_activities)
 ORDER BY 1, 3, 2;

-- name: figures(units, before, since, until, clock, zone, source)
-- Requisitions that reached a stop between :before and :until, in the period (from :since on) and in the one before it, in all,
-- by business unit, and of the period by week of the :zone. measure: ordered, posted (from first submit), approved_to_ordered. documents
-- reached the stop; n of them have clocks that agree (nothing ends before it begins); percentiles of those in seconds of the :clock.
WITH week AS MATERIALIZED (
    SELECT array_agg(w::date ORDER BY w) AS weeks, array_agg(w AT TIME ZONE :zone ORDER BY w) AS begins
      FROM generate_series(date_trunc('week', :since::timestamptz AT TIME ZONE :zone), :until::timestamptz AT TIME ZONE :zone, interval '1 week') AS w
), unit AS MATERIALIZED (
    SELECT code, row_number() OVER (ORDER BY code)::int AS unit FROM (SELECT DISTINCT business_unit AS code FROM rollup_series WHERE source = :source AND measure = 'submitted' AND business_unit <> '*') u
), reached AS MATERIALIZED (
    -- s: NULL where the clocks contradict each other. Units and measures by number, durations of eight bytes: all of it is sorted.
    SELECT c.nth * 2 + (c.at >= :since)::int AS of, u.unit, CASE WHEN c.at >= :since THEN width_bucket(c.at, w.begins) END AS week, c.s
      FROM week w CROSS JOIN (
          SELECT 1 AS nth, business_unit, ordered_at AS at, CASE WHEN to_ordered_s >= 0 THEN (CASE :clock WHEN 'wall' THEN to_ordered_s ELSE to_ordered_business_s END)::float8 END AS s
            FROM journey WHERE source = :source AND ordered_at >= :before AND ordered_at < :until
          UNION ALL
          SELECT 2, business_unit, posted_at, CASE WHEN to_posted_s >= 0 THEN (CASE :clock WHEN 'wall' THEN to_posted_s ELSE to_posted_business_s END)::float8 END
            FROM journey WHERE source = :source AND posted_at >= :before AND posted_at < :until
          UNION ALL
          SELECT 3, business_unit, ordered_at, CASE WHEN approved_to_ordered_s >= 0 THEN (CASE :clock WHEN 'wall' THEN approved_to_ordered_s ELSE approved_to_ordered_business_s END)::float8 END
            FROM journey WHERE source = :source AND ordered_at >= :before AND ordered_at < :until AND approved_at IS NOT NULL) c
      JOIN unit u ON u.code = c.business_unit
     WHERE :units::text[] IS NULL OR c.business_unit = ANY (:units::text[])
), told AS (
    SELECT of, unit, NULL::int AS week, count(*) AS documents, count(s) AS n, percentile_cont('{0.5,0.85,0.95}'::float8[]) WITHIN GROUP (ORDER BY s) AS p
      FROM reached GROUP BY GROUPING SETS ((of), (of, unit))
    UNION ALL
    SELECT of, NULL, week, count(*), count(s), percentile_cont('{0.5,0.85,0.95}'::float8[]) WITHIN GROUP (ORDER BY s)
      FROM reached WHERE week IS NOT NULL GROUP BY of, week
)
SELECT (ARRAY['ordered', 'posted', 'approved_to_ordered'])[t.of / 2] AS measure, (t.of & 1) = 1 AS in_period, u.code AS business_unit, w.weeks[t.week] AS week, t.documents, t.n,
       t.p[1] AS p50_s, t.p[2] AS p85_s, t.p[3] AS p95_s
  FROM told t CROSS JOIN week w LEFT JOIN unit u USING (unit)
 ORDER BY measure, in_period, week NULLS FIRST, business_unit NULLS FIRST;

-- name: cohort(units, since, until, zone, source)
-- Requisitions submitted in the period: how many, how many of them are ordered, ended otherwise, or still under way; in all, by
-- business unit, and by week of the :zone.
SELECT business_unit, week, count(*) AS submitted, count(ordered_at) AS ordered,
       count(*) FILTER (WHERE ordered_at IS NULL AND closed_at IS NOT NULL) AS ended_otherwise,
       count(*) FILTER (WHERE ordered_at IS NULL AND closed_at IS NULL) AS under_way
  FROM (SELECT business_unit, date_trunc('week', submitted_at AT TIME ZONE :zone)::date AS week, ordered_at, closed_at
          FROM journey
         WHERE source = :source AND submitted_at >= :since AND submitted_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))) c
 GROUP BY GROUPING SETS ((), (business_unit), (week))
HAVING count(*) > 0
 ORDER BY week NULLS FIRST, business_unit NULLS FIRST;

-- name: honest(units, since, until, as_of, clock, source)^
-- The same duration over everything submitted in the period, open ones counted with the age they have (Kaplan-Meier): percentiles
-- of the time to the order, NULL where so many are still under way that it is not reached. What ended otherwise will never be
-- ordered and is left out, as are clocks that contradict each other. n: how many count; under_way: of these still open. Seconds of the :clock.
WITH unit AS MATERIALIZED (
    SELECT b.code, b.calendar, c.now_worked_s FROM business_unit b JOIN (SELECT calendar, worked_s(calendar, :as_of) AS now_worked_s FROM (SELECT DISTINCT calendar FROM business_unit) d) c USING (calendar)
), t AS (
    -- business_s(calendar, submitted, as_of), written out: as a function it costs two plans for each.
    SELECT (ordered_at IS NOT NULL)::int AS done,
           CASE WHEN ordered_at IS NOT NULL THEN CASE :clock WHEN 'wall' THEN to_ordered_s ELSE to_ordered_business_s END
                WHEN :clock = 'wall' THEN extract(epoch FROM :as_of - submitted_at)
                ELSE b.now_worked_s - coalesce(begun.worked_s, 0) END::float8 AS s
      FROM journey j LEFT JOIN unit b ON b.code = j.business_unit
      LEFT JOIN LATERAL (
          SELECT i.worked_before_s + extract(epoch FROM least(j.submitted_at, i.closes_at) - i.opens_at) AS worked_s
            FROM calendar_interval i WHERE :clock <> 'wall' AND j.ordered_at IS NULL AND i.calendar = b.calendar AND i.opens_at <= j.submitted_at ORDER BY i.opens_at DESC LIMIT 1) begun ON true
     WHERE source = :source AND submitted_at >= :since AND submitted_at < :until AND (to_ordered_s >= 0 OR ordered_at IS NULL AND closed_at IS NULL)
       AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
), at_time AS (
    SELECT s, sum(done) AS done, sum(count(*)) OVER (ORDER BY s DESC) AS at_risk, count(*) AS leave FROM t GROUP BY s
), alive AS (
    SELECT s, done, leave, exp(sum(ln(greatest(1 - done::float8 / at_risk::float8, 1e-300))) OVER (ORDER BY s)) AS share FROM at_time
)
SELECT coalesce(sum(leave), 0)::bigint AS n, coalesce(sum(leave - done), 0)::bigint AS under_way,
       min(s) FILTER (WHERE share <= 0.5) AS p50_s, min(s) FILTER (WHERE share <= 0.15) AS p85_s, min(s) FILTER (WHERE share <= 0.05) AS p95_s
  FROM alive;

-- name: stages(units, since, until, stop, clock, stage, source)
-- Where the time of the requisitions that reached the :stop ("ordered" or "posted") in the period went, so that the parts add up to
-- the whole: the stages of each until its order, what lies before the first of them ("not_yet_here": submitted, and not yet read
-- by us), and for those posted what came after the order, cut at the last delivery and the last invoice. Of each stage: touch (a
-- call of ours was running), transfer (it had happened and was not visible here yet), the rest is waiting. Without a :stage one row
-- per stage: documents that spent time there, in so many stays, percentiles over documents. With one, a row per document in it.
-- Seconds of the :clock.
WITH c AS MATERIALIZED (
    SELECT j.document_id, b.calendar, ordered_at, received_at, invoiced_at, posted_at,
           CASE :clock WHEN 'wall' THEN to_ordered_s ELSE to_ordered_business_s END AS to_ordered,
           CASE :clock WHEN 'wall' THEN to_posted_s ELSE to_posted_business_s END AS to_posted
      FROM journey j LEFT JOIN business_unit b ON b.code = j.business_unit
     WHERE source = :source AND CASE :stop WHEN 'posted' THEN posted_at >= :since AND posted_at < :until ELSE ordered_at >= :since AND ordered_at < :until END
       AND to_ordered_s >= 0 AND (:stop <> 'posted' OR to_posted_s >= 0) AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
), stay AS (
    SELECT t.document_id, t.stage, CASE :clock WHEN 'wall' THEN t.wall_s ELSE t.business_s END AS s, t.stays,
           CASE :clock WHEN 'wall' THEN t.touch_s ELSE t.touch_business_s END AS touch_s,
           CASE :clock WHEN 'wall' THEN t.transfer_s ELSE t.transfer_business_s END AS transfer_s
      FROM journey_stage t JOIN c USING (document_id)
), cut AS (
    SELECT c.*, d.goods_at, greatest(d.goods_at, least(coalesce(c.invoiced_at, d.goods_at), c.posted_at)) AS bill_at
      FROM c CROSS JOIN LATERAL (SELECT greatest(c.ordered_at, least(coalesce(c.received_at, c.ordered_at), c.posted_at)) AS goods_at) d
     WHERE :stop = 'posted'
), leg AS (
    SELECT document_id, to_posted - to_ordered AS after_s,
           CASE :clock WHEN 'wall' THEN extract(epoch FROM goods_at - ordered_at) ELSE business_s(calendar, ordered_at, goods_at) END AS goods_s,
           CASE :clock WHEN 'wall' THEN extract(epoch FROM bill_at - goods_at) ELSE business_s(calendar, goods_at, bill_at) END AS bill_s
      FROM cut
), part AS (
    SELECT document_id, stage, s, stays, touch_s, transfer_s FROM stay
    UNION ALL
    SELECT document_id, 'not_yet_here', sum(s), 1, 0, sum(s) FROM (SELECT document_id, to_ordered AS s FROM c UNION ALL SELECT document_id, -s FROM stay) rest GROUP BY document_id
    UNION ALL
    SELECT document_id, after.stage, after.s, 1, 0, 0
      FROM leg CROSS JOIN LATERAL (VALUES ('waiting_for_goods', goods_s), ('waiting_for_the_invoice', bill_s), ('matching_and_posting', after_s - goods_s - bill_s)) after (stage, s)
)
SELECT stage, CASE WHEN :stage::text IS NOT NULL THEN document_id END AS document_id, count(*) AS documents, sum(stays)::bigint AS stays, sum(s)::float8 AS total_s,
       sum(touch_s)::float8 AS touch_s, sum(transfer_s)::float8 AS transfer_s, sum(s - touch_s - transfer_s)::float8 AS wait_s,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY s) AS p50_s, percentile_cont(0.85) WITHIN GROUP (ORDER BY s) AS p85_s, percentile_cont(0.95) WITHIN GROUP (ORDER BY s) AS p95_s
  FROM part
 WHERE :stage::text IS NULL OR stage = :stage
 GROUP BY 1, 2 ORDER BY total_s DESC, document_id;

-- name: rows(units, since, until, as_of, which, clock, source, after_s, after_id, most)
-- Requisitions, slowest first, at most :most of those after the place (:after_s as text, :after_id; NULL: from the first on); `found` says
-- how many there are in all. which: ordered, posted, approved_to_ordered (reached that stop in the period); submitted (in the period, not
-- ended otherwise, clocks that agree), under_way, ended (of those submitted in the period); contradicting (a stop in the period lies
-- before the submit). s: the duration in question in seconds of the :clock, with the longest of its stages.
WITH every AS MATERIALIZED (
    SELECT j.*, count(*) OVER () AS found,
           CASE WHEN :which = 'posted' THEN CASE :clock WHEN 'wall' THEN to_posted_s ELSE to_posted_business_s END
                WHEN :which = 'approved_to_ordered' THEN CASE :clock WHEN 'wall' THEN approved_to_ordered_s ELSE approved_to_ordered_business_s END
                WHEN ordered_at IS NOT NULL THEN CASE :clock WHEN 'wall' THEN to_ordered_s ELSE to_ordered_business_s END
                WHEN :clock = 'wall' THEN extract(epoch FROM coalesce(closed_at, :as_of) - submitted_at)
                ELSE business_s(b.calendar, submitted_at, coalesce(closed_at, :as_of)) END AS s
      FROM journey j LEFT JOIN business_unit b ON b.code = j.business_unit
     WHERE source = :source AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
       AND (:which IN ('ordered', 'approved_to_ordered') AND ordered_at >= :since AND ordered_at < :until AND (:which = 'ordered' OR approved_at IS NOT NULL)
            OR :which = 'posted' AND posted_at >= :since AND posted_at < :until
            OR :which IN ('submitted', 'under_way', 'ended') AND submitted_at >= :since AND submitted_at < :until
               AND CASE :which WHEN 'submitted' THEN to_ordered_s >= 0 OR ordered_at IS NULL AND closed_at IS NULL
                               WHEN 'under_way' THEN ordered_at IS NULL AND closed_at IS NULL ELSE ordered_at IS NULL AND closed_at IS NOT NULL END
            OR :which = 'contradicting' AND ordered_at >= :since AND ordered_at < :until AND (to_ordered_s < 0 OR approved_to_ordered_s < 0)
            OR :which = 'contradicting' AND posted_at >= :since AND posted_at < :until AND to_posted_s < 0)
), c AS MATERIALIZED (
    SELECT * FROM every
     WHERE :after_id::uuid IS NULL OR (coalesce(s, '-infinity'), document_id) < (coalesce(:after_s::numeric, '-infinity'), :after_id::uuid)
     ORDER BY s DESC NULLS LAST, document_id DESC
     LIMIT :most
)
SELECT c.document_id, d.number, c.business_unit, d.requester, d.supplier_name, d.state, d.currency, d.amount, d.group_amount, c.submitted_at, c.approved_at, c.ordered_at, c.posted_at, c.closed_at,
       c.s, c.s::text AS place, c.found, longest.stage AS longest_stage, longest.s AS longest_s, longest.went_back, (SELECT count(*) FROM exception_case x WHERE x.document_id = c.document_id) AS exceptions
  FROM c
  JOIN document d USING (document_id)
  LEFT JOIN LATERAL (
      SELECT t.stage, CASE :clock WHEN 'wall' THEN t.wall_s ELSE t.business_s END AS s, bool_or(t.stays > 1) OVER () AS went_back
        FROM journey_stage t WHERE t.document_id = c.document_id ORDER BY s DESC, t.stage LIMIT 1) longest ON true
 ORDER BY c.s DESC NULLS LAST, c.document_id DESC;

-- name: spread(units, since, until, stop, clock, source)
-- How the durations of what reached the :stop in the period spread: documents per log bucket (rollup_bucket), ascending.
SELECT rollup_bucket(s) AS bucket, count(*) AS documents
  FROM (SELECT CASE WHEN :stop = 'posted' THEN CASE :clock WHEN 'wall' THEN to_posted_s ELSE to_posted_business_s END
                    ELSE CASE :clock WHEN 'wall' THEN to_ordered_s ELSE to_ordered_business_s END END AS s
          FROM journey
         WHERE source = :source AND CASE :stop WHEN 'posted' THEN posted_at >= :since AND posted_at < :until AND to_posted_s >= 0
                                               ELSE ordered_at >= :since AND ordered_at < :until AND to_ordered_s >= 0 END
           AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))) d
 GROUP BY 1 ORDER BY 1;

-- name: completions(units, since, until, stop, clock, source, most)
-- Single requisitions that reached the :stop in the period, with their duration in seconds of the :clock and whether one was in a
-- stage twice: all of them, or where there are more than :most an even choice by their ids together with the slowest tenth of :most.
WITH c AS MATERIALIZED (
    SELECT document_id, business_unit, CASE :stop WHEN 'posted' THEN posted_at ELSE ordered_at END AS at,
           CASE WHEN :stop = 'posted' THEN CASE :clock WHEN 'wall' THEN to_posted_s ELSE to_posted_business_s END
                ELSE CASE :clock WHEN 'wall' THEN to_ordered_s ELSE to_ordered_business_s END END AS s
      FROM journey
     WHERE source = :source AND CASE :stop WHEN 'posted' THEN posted_at >= :since AND posted_at < :until AND to_posted_s >= 0
                                           ELSE ordered_at >= :since AND ordered_at < :until AND to_ordered_s >= 0 END
       AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
), chosen AS (
    SELECT * FROM (SELECT c.*, count(*) OVER () AS found, row_number() OVER (ORDER BY s DESC, document_id) AS slowest, row_number() OVER (ORDER BY md5(document_id::text)) AS even FROM c) n
     WHERE slowest <= :most / 10 OR even <= :most - :most / 10
)
SELECT c.document_id, d.number, c.business_unit, c.at, c.s, c.found, EXISTS (SELECT 1 FROM journey_stage t WHERE t.document_id = c.document_id AND t.stays > 1) AS went_back
  FROM chosen c JOIN document d USING (document_id)
 ORDER BY c.at, c.document_id;

-- name: heat(units, since_on, until_on, before_on, clock, source)
-- How long 85 % of the stays of requisitions took at most, by business unit and stage: those that ended on the days from :since_on to
-- before :until_on (UTC), beside the days from :before_on on. From the rollups: within 1 %. Seconds of the :clock.
WITH series AS MATERIALIZED (
    SELECT series_id, business_unit, split_part(part, ':', 2) AS stage FROM rollup_series
     WHERE source = :source AND measure = CASE :clock WHEN 'wall' THEN 'stay_wall' ELSE 'stay_business' END AND starts_with(part, 'requisition:') AND business_unit <> '*'
       AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
), period AS MATERIALIZED (
    SELECT true AS in_period, p.* FROM rollup_periods(:since_on::date, :until_on::date) p
    UNION ALL
    SELECT false, p.* FROM rollup_periods(:before_on::date, :since_on::date) p
), held AS MATERIALIZED (
    SELECT s.series_id, p.in_period, r.buckets, r.counts
      FROM series s CROSS JOIN period p
     -- Each by itself: otherwise the planner reads a series of all years and leaves out most of it.
     CROSS JOIN LATERAL (SELECT * FROM rollup n WHERE n.series_id = s.series_id AND n.grain = p.grain AND n.starts_on >= p.first_on AND n.starts_on < p.before OFFSET 0) r
), stays AS (
    -- By number, not by name: there is a row for every bucket of every day.
    SELECT h.series_id, h.in_period, u.bucket, sum(u.held)::integer AS held FROM held h CROSS JOIN LATERAL unnest(h.buckets, h.counts) AS u(bucket, held) GROUP BY 1, 2, 3
)
SELECT s.business_unit, s.stage, c.in_period, c.stays, (rollup_percentiles(c.buckets, c.counts, '{0.85}'))[1] AS p85_s
  FROM (SELECT series_id, in_period, sum(held)::bigint AS stays, array_agg(bucket ORDER BY bucket) AS buckets, array_agg(held ORDER BY bucket) AS counts FROM stays GROUP BY 1, 2) c
  JOIN series s USING (series_id)
 ORDER BY 1, 2, 3;

-- name: moves(units, since, source, as_of, zone)
-- Requisitions under way, by day of the :zone from :since to :as_of: how many were submitted on it, ordered, ended otherwise, how long
-- those that left took together (wall seconds, first submit to order or end), and `open_now`, how many are under way at :as_of.
WITH mine AS (
    SELECT submitted_at, least(ordered_at, closed_at) AS left_at, ordered_at FROM journey
     WHERE source = :source AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
       AND (submitted_at >= :since OR ordered_at >= :since OR ordered_at IS NULL AND closed_at >= :since OR ordered_at IS NULL AND closed_at IS NULL)
), day AS (
    SELECT generate_series((:since AT TIME ZONE :zone)::date, (:as_of AT TIME ZONE :zone)::date, interval '1 day')::date AS day
), entered AS (
    SELECT (submitted_at AT TIME ZONE :zone)::date AS day, count(*) AS submitted FROM mine WHERE submitted_at >= :since AND submitted_at < :as_of GROUP BY 1
), gone AS (
    SELECT (left_at AT TIME ZONE :zone)::date AS day, count(ordered_at) AS ordered, count(*) - count(ordered_at) AS ended, sum(extract(epoch FROM left_at - submitted_at)) AS took_s
      FROM mine WHERE left_at >= :since AND left_at < :as_of GROUP BY 1
)
SELECT day, coalesce(submitted, 0) AS submitted, coalesce(ordered, 0) AS ordered, coalesce(ended, 0) AS ended, coalesce(took_s, 0)::float8 AS took_s,
       (SELECT count(*) FROM mine WHERE left_at IS NULL) AS open_now
  FROM day LEFT JOIN entered USING (day) LEFT JOIN gone USING (day)
 ORDER BY day;
