-- What the pages ask of an imported log alone: another maker's documents, by their own times. It does not go on, names no working
-- calendar and knows nothing of exceptions or owners; figures that need those are not made up here.

-- name: units(source)
-- Business units that its documents belong to, of those this session may see.
SELECT s.code, coalesce(b.name, s.code) AS name, coalesce(b.country, '') AS country, coalesce(b.currency, '') AS currency, coalesce(b.company_code, '') AS company_code,
       coalesce(b.calendar, '') AS calendar, coalesce(b.time_zone, '') AS time_zone
  FROM (SELECT DISTINCT business_unit AS code FROM rollup_series WHERE source = :source AND business_unit NOT IN ('*', '')) s LEFT JOIN business_unit b USING (code)
 ORDER BY s.code;

-- name: journeys(source, units, since, until)
-- Documents whose last event lies in the period, by type (business_unit NULL) and by type and unit: how many, how many of them stand at
-- a final stage, and the seconds from their first event to their last, events counted that name them beside another document.
SELECT document_type, business_unit, count(*) AS documents, count(closed_at) AS ended, sum(s) AS total_s, avg(s) AS mean_s,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY s) AS p50_s, percentile_cont(0.85) WITHIN GROUP (ORDER BY s) AS p85_s, percentile_cont(0.95) WITHIN GROUP (ORDER BY s) AS p95_s
  FROM (SELECT p.document_type, p.business_unit, d.closed_at, extract(epoch FROM p.last_at - p.first_at)::float8 AS s
          FROM document_path p JOIN document d USING (document_id)
         WHERE p.source = :source AND p.last_at >= :since AND p.last_at < :until AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[]))) j
 GROUP BY GROUPING SETS ((document_type), (document_type, business_unit))
 ORDER BY business_unit NULLS FIRST, ended DESC, total_s DESC, document_type;

-- name: journey_stages(source, units, document_type, since, until)
-- Where the time of those of one type went, so that the parts add up to the whole: the time up to an event is that of the stage its
-- document stood in before it. stage NULL: before the first and after the last event of its own, when others' events named it.
WITH p AS MATERIALIZED (
    SELECT document_id, first_at, last_at FROM document_path
     WHERE source = :source AND document_type = :document_type AND last_at >= :since AND last_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
), gap AS MATERIALIZED (
    SELECT e.document_id, CASE WHEN lag(e.event_at) OVER own IS NULL THEN NULL ELSE e.state_from END AS stage,
           extract(epoch FROM e.event_at - lag(e.event_at) OVER own)::float8 AS s
      FROM p JOIN event e ON e.document_id = p.document_id AND e.source = :source
    WINDOW own AS (PARTITION BY e.document_id ORDER BY e.event_at, e.seq)
), spent AS (
    SELECT document_id, stage, sum(s) AS s FROM gap WHERE s IS NOT NULL GROUP BY document_id, stage
    UNION ALL
    SELECT p.document_id, NULL, extract(epoch FROM p.last_at - p.first_at)::float8 - coalesce(o.s, 0)
      FROM p LEFT JOIN (SELECT document_id, sum(s) AS s FROM gap GROUP BY document_id) o USING (document_id)
)
SELECT stage, count(*) AS documents, sum(s) AS total_s, percentile_cont(0.5) WITHIN GROUP (ORDER BY s) AS p50_s, percentile_cont(0.85) WITHIN GROUP (ORDER BY s) AS p85_s
  FROM spent WHERE s > 0 GROUP BY stage ORDER BY total_s DESC, stage;

-- name: journey_rows(source, units, document_type, since, until, which, after_place, after_id, most)
-- Those of one type, slowest first, at most :most of those after the row at :after_place with :after_id (NULL: from the first on); `found` says
-- how many there are in all. which: all, ended (at a final stage), open (not).
SELECT * FROM (
SELECT p.document_id, d.number, p.business_unit, d.state, extract(epoch FROM p.last_at - p.first_at)::float8 AS s, cardinality(p.activities) AS events, p.is_repeated, p.first_at, p.last_at,
       ARRAY[extract(epoch FROM p.last_at - p.first_at)::float8] AS place, count(*) OVER () AS found
  FROM document_path p JOIN document d USING (document_id)
 WHERE p.source = :source AND p.document_type = :document_type AND p.last_at >= :since AND p.last_at < :until AND (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[]))
   AND CASE :which WHEN 'ended' THEN d.closed_at IS NOT NULL WHEN 'open' THEN d.closed_at IS NULL ELSE true END) there
 WHERE :after_id::uuid IS NULL OR place < :after_place::float8[] OR place = :after_place::float8[] AND document_id > :after_id::uuid
 ORDER BY place DESC, document_id
 LIMIT :most;

-- name: events_of(document_id)
-- What happened to one document by its times: its own events, and those of other documents (beside: which) that name it; waited_s since
-- the event before.
SELECT e.event_at, e.activity, e.actor, e.state_from, e.state_to, CASE WHEN e.document_id <> :document_id THEN d.number END AS beside, e.attributes ? 'suspect' AS is_suspect,
       extract(epoch FROM e.event_at - lag(e.event_at) OVER (ORDER BY e.event_at, e.seq, e.document_id))::float8 AS waited_s
  FROM (SELECT recording_id, ordinal, recorded_at FROM event WHERE document_id = :document_id
        UNION
        SELECT recording_id, ordinal, recorded_at FROM event_object WHERE document_id = :document_id) n
  JOIN event e USING (recording_id, ordinal, recorded_at) JOIN document d ON d.document_id = e.document_id
 WHERE e.source <> 'finsync'
 ORDER BY e.event_at, e.seq, e.document_id;

-- name: standing(source, units, types)
-- How its documents stood when the log ended, counted by type, stage and level (view file 95), with the oldest of each, and what their peers took.
SELECT document_type, state, level, count(*) AS documents, max(age_s) AS oldest_s, max(peers)::bigint AS peers, max(p50_s) AS p50_s, max(p85_s) AS p85_s, max(p95_s) AS p95_s, max(as_of) AS as_of
  FROM imported_standing(:source)
 WHERE (:units::text[] IS NULL OR business_unit = ANY (:units::text[])) AND (:types::text[] IS NULL OR document_type = ANY (:types::text[]))
 GROUP BY document_type, state, level ORDER BY documents DESC, document_type, state, level;

-- name: standing_rows(source, units, types, level, stage, after_place, after_id, most)
-- Those that had not come to a final stage: of a :level and a :stage, or of all (NULL); slowest beside their peers first, at most :most of those after
-- the row at :after_place with :after_id (NULL: from the first on); `found` says how many there are in all.
-- value: what the log itself calls an amount, a price or a value, as it says it and without a currency, and by which name.
WITH there AS (
    SELECT i.*, ARRAY[-array_position(ARRAY['stuck', 'watch', 'unknown', 'moving'], level), coalesce(age_s, '-infinity')]::float8[] AS place, count(*) OVER () AS found
      FROM imported_standing(:source) i
     WHERE level <> 'ended' AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[])) AND (:types::text[] IS NULL OR document_type = ANY (:types::text[]))
       AND (:level::text IS NULL OR level = :level) AND (:stage::text IS NULL OR state = :stage)
), s AS MATERIALIZED (
    SELECT * FROM there
     WHERE :after_id::uuid IS NULL OR place < :after_place::float8[] OR place = :after_place::float8[] AND document_id > :after_id::uuid
     ORDER BY place DESC, document_id
     LIMIT :most
)
SELECT s.document_id, s.document_type, s.number, s.business_unit, s.state, s.state_since, s.age_s, s.level, s.pace, s.peers, s.p50_s, s.p95_s, v.name AS value_name, v.said::numeric AS value, s.place, s.found
  FROM s
  LEFT JOIN LATERAL (
      SELECT x.name, x.said
        FROM (SELECT a.name, a.value #>> '{}' AS said, a.since_at AS at FROM object_attribute a WHERE a.document_id = s.document_id
              UNION ALL
              SELECT t.key, t.value #>> '{}', e.event_at FROM event e CROSS JOIN LATERAL jsonb_each(e.attributes->'values') AS t WHERE e.document_id = s.document_id) x
       WHERE x.name ~* 'amount|price|value' AND x.said ~ '^-?[0-9]{1,20}([.][0-9]{1,10})?$'
       ORDER BY x.name ~* 'amount' DESC, x.name, x.at DESC LIMIT 1) v ON true
 ORDER BY s.place DESC, s.document_id;

-- name: trouble(source, units, since, until, stages)
-- Of the documents whose last event lies in the period, by type (business_unit NULL) and by type and unit: how many did an activity more than once
-- (again), came to a stage that holds up or ends in vain (held, :stages), went a path that no other document of the type went (alone), and
-- none of the first two (straight).
WITH p AS MATERIALIZED (
    SELECT w.document_id, w.document_type, w.business_unit, w.is_repeated, count(*) OVER (PARTITION BY w.document_type, w.activities) = 1 AS is_alone
      FROM document_path w
     WHERE w.source = :source AND w.last_at >= :since AND w.last_at < :until AND (:units::text[] IS NULL OR w.business_unit = ANY (:units::text[]))
), held AS MATERIALIZED (
    SELECT DISTINCT e.document_id FROM event e WHERE e.source = :source AND e.source <> 'finsync' AND e.state_to = ANY (:stages::text[]) AND e.state_from IS DISTINCT FROM e.state_to
)
SELECT p.document_type, p.business_unit, count(*) AS documents, count(*) FILTER (WHERE p.is_repeated) AS again, count(h.document_id) AS held, count(*) FILTER (WHERE p.is_alone) AS alone,
       count(*) FILTER (WHERE NOT p.is_repeated AND h.document_id IS NULL) AS straight
  FROM p LEFT JOIN held h USING (document_id)
 GROUP BY GROUPING SETS ((p.document_type), (p.document_type, p.business_unit))
 ORDER BY p.business_unit NULLS FIRST, documents DESC, p.document_type;

-- name: trouble_activities(source, units, document_type, since, until, stages)
-- What those of one type did again (kind again: times beyond the first of each document), and what brought them to a stage of :stages (held:
-- each time), by activity.
WITH p AS MATERIALIZED (
    SELECT document_id, activities FROM document_path
     WHERE source = :source AND document_type = :document_type AND last_at >= :since AND last_at < :until AND (:units::text[] IS NULL OR business_unit = ANY (:units::text[]))
), done AS (
    SELECT 'again' AS kind, p.document_id, u.activity, count(*) - 1 AS times
      FROM p CROSS JOIN LATERAL unnest(p.activities) AS u(activity) GROUP BY p.document_id, u.activity HAVING count(*) > 1
    UNION ALL
    SELECT 'held', e.document_id, e.activity, count(*)
      FROM p JOIN event e ON e.document_id = p.document_id AND e.source = :source WHERE e.state_to = ANY (:stages::text[]) AND e.state_from IS DISTINCT FROM e.state_to GROUP BY e.document_id, e.activity
)
SELECT kind, activity, count(*) AS documents, sum(times)::bigint AS times FROM done GROUP BY kind, activity ORDER BY documents DESC, times DESC, kind, activity;

-- name: trouble_rows(source, units, document_type, since, until, stages, which, activity, after_place, after_id, most)
-- Those documents: which did something again, were held (by one :activity, or by any: NULL), went a path alone, or are straight; most events first,
-- at most :most of those after the row at :after_place with :after_id (NULL: from the first on); `found` says how many there are in all.
WITH p AS MATERIALIZED (
    SELECT w.*, count(*) OVER (PARTITION BY w.activities) = 1 AS is_alone
      FROM document_path w
     WHERE w.source = :source AND w.document_type = :document_type AND w.last_at >= :since AND w.last_at < :until AND (:units::text[] IS NULL OR w.business_unit = ANY (:units::text[]))
), held AS MATERIALIZED (
    SELECT e.document_id, array_agg(e.activity) AS activities
      FROM event e WHERE e.source = :source AND e.source <> 'finsync' AND e.state_to = ANY (:stages::text[]) AND e.state_from IS DISTINCT FROM e.state_to GROUP BY e.document_id
)
SELECT * FROM (
SELECT p.document_id, d.number, p.business_unit, d.state, cardinality(p.activities) AS events, cardinality(p.activities) - (SELECT count(DISTINCT a) FROM unnest(p.activities) AS a) AS again,
       coalesce(cardinality(h.activities), 0) AS held, extract(epoch FROM p.last_at - p.first_at)::float8 AS s, p.last_at,
       ARRAY[cardinality(p.activities), extract(epoch FROM p.last_at - p.first_at)]::float8[] AS place, count(*) OVER () AS found
  FROM p JOIN document d USING (document_id) LEFT JOIN held h USING (document_id)
 WHERE CASE :which WHEN 'again' THEN p.is_repeated AND (:activity::text IS NULL OR cardinality(array_positions(p.activities, :activity)) > 1)
                   WHEN 'held' THEN h.document_id IS NOT NULL AND (:activity::text IS NULL OR :activity = ANY (h.activities))
                   WHEN 'alone' THEN p.is_alone WHEN 'straight' THEN NOT p.is_repeated AND h.document_id IS NULL ELSE true END) there
 WHERE :after_id::uuid IS NULL OR place < :after_place::float8[] OR place = :after_place::float8[] AND document_id > :after_id::uuid
 ORDER BY place DESC, document_id
 LIMIT :most;

-- name: objectives()
-- What is promised of our own documents, to be asked of a log as far as its stages can say.
SELECT name, title, owner_team, start_activity, good_activities, threshold_s::float8 AS threshold_s, clock, target::float8 AS target FROM objective ORDER BY name;

-- name: promises(source, units, since, until, promises)
-- Of each of :promises (name, starts, goods, threshold_s, wall_s, clock), and of each unit (business_unit NULL: all): how many documents began in the
-- log at all, had their deadline in the period and in the log (due), were done by it (good), and how many of the due were timed by the wall clock.
SELECT o.name, p.business_unit, count(*) AS began, count(*) FILTER (WHERE is_due) AS due, count(*) FILTER (WHERE is_due AND p.good_at <= p.deadline_at) AS good,
       count(*) FILTER (WHERE is_due AND p.is_wall) AS by_wall, count(*) FILTER (WHERE p.deadline_at > p.as_of) AS ahead
  FROM jsonb_to_recordset(:promises::jsonb) AS o(name text, starts text[], goods text[], threshold_s float8, wall_s float8, clock text)
 CROSS JOIN LATERAL imported_promise(:source, o.starts, o.goods, o.threshold_s, o.wall_s, o.clock) p
 CROSS JOIN LATERAL (SELECT p.deadline_at >= :since AND p.deadline_at < :until AND p.deadline_at <= p.as_of AS is_due) d
 WHERE :units::text[] IS NULL OR p.business_unit = ANY (:units::text[])
 GROUP BY GROUPING SETS ((o.name), (o.name, p.business_unit))
 ORDER BY o.name, p.business_unit NULLS FIRST;

-- name: promise_rows(source, units, since, until, promises, which, after_place, after_id, most)
-- The documents behind one of them, latest done first, at most :most of those after the row at :after_place with :after_id (NULL: from the first on);
-- `found` says how many there are in all. which: missed, kept, due (both), ahead (their deadline lies after the log's end). late_s: wall seconds
-- past the deadline, up to the log's end where it is still open; negative: before it.
SELECT * FROM (
SELECT p.document_id, p.document_type, p.number, p.business_unit, p.state, p.started_at, p.deadline_at, p.good_at, p.is_wall,
       extract(epoch FROM coalesce(p.good_at, p.as_of) - p.deadline_at)::float8 AS late_s,
       ARRAY[extract(epoch FROM coalesce(p.good_at, p.as_of) - p.deadline_at)::float8] AS place, count(*) OVER () AS found
  FROM jsonb_to_recordset(:promises::jsonb) AS o(name text, starts text[], goods text[], threshold_s float8, wall_s float8, clock text)
 CROSS JOIN LATERAL imported_promise(:source, o.starts, o.goods, o.threshold_s, o.wall_s, o.clock) p
 CROSS JOIN LATERAL (SELECT p.deadline_at >= :since AND p.deadline_at < :until AND p.deadline_at <= p.as_of AS is_due, coalesce(p.good_at <= p.deadline_at, false) AS is_good) d
 WHERE (:units::text[] IS NULL OR p.business_unit = ANY (:units::text[]))
   AND CASE :which WHEN 'ahead' THEN p.deadline_at > p.as_of WHEN 'missed' THEN is_due AND NOT is_good WHEN 'kept' THEN is_due AND is_good ELSE is_due END) there
 WHERE :after_id::uuid IS NULL OR place < :after_place::float8[] OR place = :after_place::float8[] AND document_id > :after_id::uuid
 ORDER BY place DESC, document_id
 LIMIT :most;
