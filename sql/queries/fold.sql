-- Folding: recordings become rollups. One folder at a time in a cell; a batch is one transaction, so that every event is counted
-- once and what is not committed has not been counted. Every measure is one statement over the batch: :recordings with their
-- earliest and latest time, one :source (NULL: every log), without the :left_out documents, learned :learned_on.

-- name: lock()$
-- Become the folder of this cell until the transaction ends; false when somebody else is.
SELECT pg_try_advisory_xact_lock(hashtextextended('finsync fold ' || current_schema(), 0));

-- name: plan_anew()$
-- Plan for what a statement is given until the transaction ends: the engine's connections plan for single rows found by index.
SELECT set_config('plan_cache_mode', 'force_custom_plan', true), set_config('enable_seqscan', 'on', true), set_config('work_mem', '64MB', true);

-- name: count_first()^
-- Let the planner know how much there is of what a batch is joined with, where nobody has counted it yet.
SELECT count_before_folding();

-- name: claim(most, events)^
-- The recordings to fold next, in the order in which they were written: those that begin within the next :events events. NULLs when
-- everything has been folded.
SELECT array_agg(recording_id) AS recordings, min(recorded_at) AS first_at, max(recorded_at) AS last_at, sum(event_count)::bigint AS events
  FROM (SELECT recording_id, recorded_at, event_count, sum(event_count) OVER (ORDER BY written_order) - event_count AS before
          FROM (SELECT recording_id, recorded_at, event_count, written_order FROM recording
                 WHERE folded_at IS NULL ORDER BY written_order LIMIT :most) next) counted
 WHERE before < :events;

-- name: mark(recordings, now)!
-- They are in the rollups.
UPDATE recording SET folded_at = :now WHERE recording_id = ANY (:recordings::uuid[]);

-- name: test_documents(recordings, first_at, last_at)$
-- Test documents that the batch is about: they are in no figure.
SELECT coalesce(array_agg(DISTINCT d.document_id), '{}')
  FROM event e JOIN document d USING (document_id)
 WHERE e.recording_id = ANY (:recordings::uuid[]) AND e.recorded_at BETWEEN :first_at AND :last_at AND d.is_test;

-- name: documents(recordings, first_at, last_at, source, left_out, final, learned_on)^
-- Bring the milestones of each document up to date. :final: the states ("type:state") in which nothing more is expected. Answers the
-- journeys that a document has left or joined, and the documents that have come to another business unit.
WITH e AS MATERIALIZED (
    SELECT * FROM event
     WHERE recording_id = ANY (:recordings::uuid[]) AND recorded_at BETWEEN :first_at AND :last_at
       AND (:source::text IS NULL OR source = :source) AND NOT document_id = ANY (:left_out::uuid[])
), summed AS MATERIALIZED (
    SELECT document_id, max(seq) AS last_seq, min(event_at) FILTER (WHERE seq = 1) AS entered_at, min(event_at) AS first_event_at, max(event_at) AS last_event_at, count(*) AS events,
           min(event_at) FILTER (WHERE activity = 'approval_completed') AS approved_at,
           max(event_at) FILTER (WHERE activity = 'order_accepted') AS order_number_at,
           min(event_at) FILTER (WHERE activity = 'orders_confirmed') AS ordered_at,
           max(event_at) FILTER (WHERE activity IN ('goods_received', 'goods_received_in_full')) AS received_at,
           max(event_at) FILTER (WHERE activity = 'invoice_received') AS invoiced_at,
           max(event_at) FILTER (WHERE activity IN ('invoice_posted', 'invoice_blocked')) AS posted_at
      FROM e GROUP BY document_id
), told AS MATERIALIZED (
    SELECT s.*, e.source, e.document_type, e.correlation_id, e.business_unit,
           CASE WHEN e.document_type || ':' || e.state_to = ANY (:final::text[]) THEN CASE WHEN e.state_from = e.state_to THEN e.state_from_since ELSE e.recorded_at END END AS closed_at
      FROM summed s JOIN e ON e.document_id = s.document_id AND e.seq = s.last_seq
), moved AS (
    SELECT t.document_id, m.correlation_id AS left_journey, t.correlation_id AS joined_journey, m.business_unit <> t.business_unit AS to_other_unit
      FROM told t JOIN document_milestone m USING (document_id)
     WHERE t.last_seq > m.last_seq AND (m.correlation_id <> t.correlation_id OR m.business_unit <> t.business_unit)
), begun AS (
    INSERT INTO rollup_begun (source, learned_on) SELECT DISTINCT source, :learned_on::date FROM told ON CONFLICT DO NOTHING
), kept AS (
    INSERT INTO document_milestone AS m (document_id, source, document_type, correlation_id, business_unit, last_seq, entered_at, first_event_at, last_event_at, events,
                                         approved_at, order_number_at, ordered_at, received_at, invoiced_at, posted_at, closed_at)
    SELECT document_id, source, document_type, correlation_id, business_unit, last_seq, entered_at, first_event_at, last_event_at, events,
           approved_at, order_number_at, ordered_at, received_at, invoiced_at, posted_at, closed_at
      FROM told
    ON CONFLICT (document_id) DO UPDATE
       SET correlation_id = CASE WHEN excluded.last_seq > m.last_seq THEN excluded.correlation_id ELSE m.correlation_id END,
           business_unit = CASE WHEN excluded.last_seq > m.last_seq THEN excluded.business_unit ELSE m.business_unit END,
           closed_at = CASE WHEN excluded.last_seq > m.last_seq THEN excluded.closed_at ELSE m.closed_at END,
           last_seq = greatest(m.last_seq, excluded.last_seq), entered_at = coalesce(m.entered_at, excluded.entered_at),
           first_event_at = least(m.first_event_at, excluded.first_event_at), last_event_at = greatest(m.last_event_at, excluded.last_event_at),
           events = m.events + excluded.events,
           approved_at = least(m.approved_at, excluded.approved_at), order_number_at = greatest(m.order_number_at, excluded.order_number_at),
           ordered_at = least(m.ordered_at, excluded.ordered_at), received_at = greatest(m.received_at, excluded.received_at),
           invoiced_at = greatest(m.invoiced_at, excluded.invoiced_at), posted_at = greatest(m.posted_at, excluded.posted_at)
)
SELECT coalesce(array_agg(left_journey) || array_agg(joined_journey), '{}') AS journeys,
       coalesce(array_agg(document_id) FILTER (WHERE to_other_unit), '{}') AS documents
  FROM moved;

-- name: journeys(recordings, first_at, last_at, source, left_out, also, learned_on)$
-- Requisitions to their order and to their posting, as the view cycle_time defines them: what a journey gave to the rollups is taken
-- back and given anew where the batch, or a document that left or joined (:also), has changed it. Measures: submitted (how many),
-- submitted_ordered and submitted_ended (what became of them, by the day of their submit), ordered, approved_to_ordered, posted.
WITH hours AS MATERIALIZED (
    SELECT * FROM unit_hours()
), touched AS MATERIALIZED (
    -- The journey its document belongs to by now: the event may have been recorded before that was known.
    SELECT m.correlation_id
      FROM event e JOIN document_milestone m USING (document_id)
     WHERE e.recording_id = ANY (:recordings::uuid[]) AND e.recorded_at BETWEEN :first_at AND :last_at
       AND (:source::text IS NULL OR e.source = :source) AND NOT e.document_id = ANY (:left_out::uuid[]) AND e.source = 'finsync'
       AND (e.document_type = 'requisition' OR e.activity IN ('order_accepted', 'goods_received', 'goods_received_in_full', 'invoice_received', 'invoice_posted', 'invoice_blocked'))
    UNION
    SELECT unnest(:also::uuid[])
), reached AS MATERIALIZED (
    SELECT r.document_id, r.source, r.business_unit, b.calendar, r.entered_at AS submitted_at, r.approved_at, f.order_number_at, r.ordered_at, f.received_at, f.invoiced_at, f.posted_at, r.closed_at
      FROM touched t
      -- Looked up for each journey: while little is known of the milestones, a join would compare each of them with each journey.
     CROSS JOIN LATERAL (
         SELECT * FROM document_milestone m
          WHERE m.correlation_id = t.correlation_id AND m.document_type = 'requisition' AND m.source = 'finsync' AND m.entered_at IS NOT NULL OFFSET 0) r
      JOIN business_unit b ON b.code = r.business_unit
     CROSS JOIN LATERAL (
         SELECT max(m.order_number_at) AS order_number_at, max(m.received_at) AS received_at, max(m.invoiced_at) AS invoiced_at, max(m.posted_at) AS posted_at
           FROM document_milestone m WHERE m.correlation_id = t.correlation_id) f
), changed AS MATERIALIZED (
    SELECT n.*
      FROM reached n LEFT JOIN journey j USING (document_id)
     WHERE (n.source, n.business_unit, n.submitted_at, n.approved_at, n.order_number_at, n.ordered_at, n.received_at, n.invoiced_at, n.posted_at, n.closed_at)
           IS DISTINCT FROM (j.source, j.business_unit, j.submitted_at, j.approved_at, j.order_number_at, j.ordered_at, j.received_at, j.invoiced_at, j.posted_at, j.closed_at)
), worked AS MATERIALIZED (
    SELECT c.*, worked_by(h.opens, h.closes, h.worked, c.submitted_at) AS submitted_s, worked_by(h.opens, h.closes, h.worked, c.approved_at) AS approved_s,
           worked_by(h.opens, h.closes, h.worked, c.ordered_at) AS ordered_s, worked_by(h.opens, h.closes, h.worked, c.posted_at) AS posted_s
      FROM changed c LEFT JOIN hours h USING (calendar)
), measured AS MATERIALIZED (
    SELECT document_id, source, business_unit, submitted_at, approved_at, order_number_at, ordered_at, received_at, invoiced_at, posted_at, closed_at,
           extract(epoch FROM ordered_at - submitted_at) AS to_ordered_s,
           CASE WHEN ordered_at IS NOT NULL THEN ordered_s - submitted_s END AS to_ordered_business_s,
           extract(epoch FROM posted_at - submitted_at) AS to_posted_s,
           CASE WHEN posted_at IS NOT NULL THEN posted_s - submitted_s END AS to_posted_business_s,
           extract(epoch FROM ordered_at - approved_at) AS approved_to_ordered_s,
           CASE WHEN ordered_at IS NOT NULL AND approved_at IS NOT NULL THEN ordered_s - approved_s END AS approved_to_ordered_business_s
      FROM worked
), kept AS (
    INSERT INTO journey (document_id, source, business_unit, submitted_at, approved_at, order_number_at, ordered_at, received_at, invoiced_at, posted_at, closed_at,
                         to_ordered_s, to_ordered_business_s, to_posted_s, to_posted_business_s, approved_to_ordered_s, approved_to_ordered_business_s)
    SELECT * FROM measured
    ON CONFLICT (document_id) DO UPDATE
       SET business_unit = excluded.business_unit, submitted_at = excluded.submitted_at, approved_at = excluded.approved_at, order_number_at = excluded.order_number_at,
           ordered_at = excluded.ordered_at, received_at = excluded.received_at, invoiced_at = excluded.invoiced_at, posted_at = excluded.posted_at, closed_at = excluded.closed_at,
           to_ordered_s = excluded.to_ordered_s, to_ordered_business_s = excluded.to_ordered_business_s, to_posted_s = excluded.to_posted_s,
           to_posted_business_s = excluded.to_posted_business_s, approved_to_ordered_s = excluded.approved_to_ordered_s,
           approved_to_ordered_business_s = excluded.approved_to_ordered_business_s
), given AS (
    SELECT m.*, 1 AS weight FROM measured m
    UNION ALL
    SELECT j.*, -1 FROM journey j JOIN measured m USING (document_id)
)
SELECT add_to_rollups(array_agg(ROW(g.source, c.measure, '', g.business_unit, c.at, c.s, g.weight)::rollup_contribution), :learned_on::date)
  FROM given g
 -- Where the clocks contradict each other they do so in both kinds of time: below zero is counted apart.
 CROSS JOIN LATERAL (VALUES
     ('submitted', g.submitted_at, NULL::numeric, true),
     ('submitted_ended', g.submitted_at, NULL, g.ordered_at IS NULL AND g.closed_at IS NOT NULL),
     ('submitted_ordered_wall', g.submitted_at, g.to_ordered_s, g.ordered_at IS NOT NULL),
     ('submitted_ordered_business', g.submitted_at, CASE WHEN g.to_ordered_s < 0 THEN g.to_ordered_s ELSE g.to_ordered_business_s END, g.ordered_at IS NOT NULL),
     ('ordered_wall', g.ordered_at, g.to_ordered_s, g.ordered_at IS NOT NULL),
     ('ordered_business', g.ordered_at, CASE WHEN g.to_ordered_s < 0 THEN g.to_ordered_s ELSE g.to_ordered_business_s END, g.ordered_at IS NOT NULL),
     ('approved_to_ordered_wall', g.ordered_at, g.approved_to_ordered_s, g.ordered_at IS NOT NULL AND g.approved_at IS NOT NULL),
     ('approved_to_ordered_business', g.ordered_at, CASE WHEN g.approved_to_ordered_s < 0 THEN g.approved_to_ordered_s ELSE g.approved_to_ordered_business_s END, g.ordered_at IS NOT NULL AND g.approved_at IS NOT NULL),
     ('posted_wall', g.posted_at, g.to_posted_s, g.posted_at IS NOT NULL),
     ('posted_business', g.posted_at, CASE WHEN g.to_posted_s < 0 THEN g.to_posted_s ELSE g.to_posted_business_s END, g.posted_at IS NOT NULL)
 ) AS c(measure, at, s, is_meant)
 WHERE c.is_meant;

-- name: objectives(recordings, first_at, last_at, source, left_out, also, learned_on)$
-- Each objective by the day of the deadline, as the view slo_event defines it. Measures: objective_due (every document whose
-- deadline lies there, done or not) and objective_good (of these, the ones done by it), divided by objective. :also: documents that
-- have come to another business unit.
WITH hours AS MATERIALIZED (
    SELECT * FROM unit_hours()
), told AS (
    SELECT o.name AS objective, e.document_id, min(e.source) AS source, max(e.seq) AS last_seq,
           -- A record's own time counts where the hub did it; where a system did, that system's.
           min(CASE WHEN e.seq = 1 THEN e.recorded_at ELSE e.event_at END) FILTER (WHERE e.activity = o.start_activity) AS started_at,
           min(e.recorded_at) FILTER (WHERE e.activity = ANY (o.good_activities)) AS good_at
      FROM event e JOIN objective o ON o.document_type = e.document_type AND (e.activity = o.start_activity OR e.activity = ANY (o.good_activities))
     WHERE e.recording_id = ANY (:recordings::uuid[]) AND e.recorded_at BETWEEN :first_at AND :last_at
       AND (:source::text IS NULL OR e.source = :source) AND NOT e.document_id = ANY (:left_out::uuid[]) AND e.source = 'finsync'
     GROUP BY o.name, e.document_id
    UNION ALL
    SELECT r.objective, r.document_id, r.source, r.last_seq, r.started_at, r.good_at FROM objective_result r JOIN objective o ON o.name = r.objective WHERE r.document_id = ANY (:also::uuid[])
), joined AS MATERIALIZED (
    SELECT n.objective, n.document_id, n.source, m.business_unit, n.last_seq, n.started_at, n.good_at, o.clock, o.threshold_s, b.calendar
      FROM (SELECT t.objective, t.document_id, min(t.source) AS source, greatest(max(t.last_seq), max(r.last_seq)) AS last_seq,
                   least(min(t.started_at), min(r.started_at)) AS started_at, least(min(t.good_at), min(r.good_at)) AS good_at
              FROM told t LEFT JOIN objective_result r USING (objective, document_id)
             GROUP BY t.objective, t.document_id) n
      JOIN objective o ON o.name = n.objective
      JOIN document_milestone m USING (document_id)
      LEFT JOIN business_unit b ON b.code = m.business_unit
), timed AS MATERIALIZED (
    SELECT t.objective, t.document_id, t.source, t.business_unit, t.last_seq, t.started_at, t.good_at,
           CASE WHEN t.clock = 'wall' AND t.calendar IS NOT NULL THEN t.started_at + make_interval(secs => t.threshold_s::double precision) ELSE worked.deadline_at END AS deadline_at
      FROM joined t
      LEFT JOIN hours h ON h.calendar = t.calendar AND t.clock = 'business'
      -- Only from the first interval on is it known how much was worked.
      LEFT JOIN LATERAL (SELECT worked_by(h.opens, h.closes, h.worked, t.started_at) + t.threshold_s AS worked_by_deadline_s WHERE h.opens[1] <= t.started_at) target ON true
      LEFT JOIN LATERAL (
          -- The last interval before which less was worked.
          SELECT CASE WHEN h.worked[i.nth] + extract(epoch FROM h.closes[i.nth] - h.opens[i.nth]) >= target.worked_by_deadline_s
                      THEN h.opens[i.nth] + make_interval(secs => (target.worked_by_deadline_s - h.worked[i.nth])::double precision) END AS deadline_at
            FROM (SELECT width_bucket(ceil(target.worked_by_deadline_s)::bigint - 1, h.worked) AS nth OFFSET 0) i) worked ON true
), kept AS (
    INSERT INTO objective_result (objective, document_id, source, business_unit, last_seq, started_at, good_at, deadline_at)
    SELECT objective, document_id, source, business_unit, last_seq, started_at, good_at, deadline_at FROM timed
    ON CONFLICT (objective, document_id) DO UPDATE
       SET business_unit = excluded.business_unit, last_seq = excluded.last_seq, started_at = excluded.started_at, good_at = excluded.good_at, deadline_at = excluded.deadline_at
), given AS (
    SELECT objective, source, business_unit, good_at, deadline_at, 1 AS weight FROM timed
    UNION ALL
    SELECT r.objective, r.source, r.business_unit, r.good_at, r.deadline_at, -1 FROM objective_result r JOIN timed t USING (objective, document_id)
)
SELECT add_to_rollups(array_agg(ROW(g.source, c.measure, g.objective, g.business_unit, g.deadline_at, NULL::numeric, g.weight)::rollup_contribution), :learned_on::date)
  FROM given g
 CROSS JOIN LATERAL (VALUES ('objective_due', true), ('objective_good', g.good_at <= g.deadline_at)) AS c(measure, is_meant)
 WHERE g.deadline_at IS NOT NULL AND c.is_meant;

-- name: moves(recordings, first_at, last_at, source, left_out, learned_on)$
-- How many documents came into a state on each day, and the stays in a state, as the view stage_time defines them, by the day on which
-- they ended. Measures: entered, stay_wall and stay_business, divided by "type:state"; together they make throughput, work in progress
-- and the cumulative flow.
WITH hours AS MATERIALIZED (
    SELECT * FROM unit_hours()
), move AS MATERIALIZED (
    SELECT e.source, e.document_type || ':' || e.state_to AS entered, e.document_type || ':' || e.state_from AS ended, e.business_unit, e.recorded_at, b.code IS NOT NULL AS is_known_unit,
           extract(epoch FROM e.recorded_at - e.state_from_since) AS wall_s,
           worked_by(h.opens, h.closes, h.worked, e.recorded_at) - worked_by(h.opens, h.closes, h.worked, e.state_from_since) AS business_s
      FROM event e LEFT JOIN business_unit b ON b.code = e.business_unit LEFT JOIN hours h USING (calendar)
     WHERE e.recording_id = ANY (:recordings::uuid[]) AND e.recorded_at BETWEEN :first_at AND :last_at AND e.state_from IS DISTINCT FROM e.state_to
       AND (:source::text IS NULL OR e.source = :source) AND NOT e.document_id = ANY (:left_out::uuid[]) AND e.source = 'finsync'
), given AS (
    SELECT source, 'entered' AS measure, entered AS part, business_unit, recorded_at, NULL::numeric AS s FROM move
    UNION ALL
    SELECT source, 'stay_wall', ended, business_unit, recorded_at, wall_s FROM move WHERE ended IS NOT NULL AND is_known_unit
    UNION ALL
    SELECT source, 'stay_business', ended, business_unit, recorded_at, business_s FROM move WHERE ended IS NOT NULL AND is_known_unit
)
SELECT add_to_rollups(array_agg(ROW(source, measure, part, business_unit, recorded_at, s, 1)::rollup_contribution), :learned_on::date) FROM given;

-- name: journey_stages(recordings, first_at, last_at, source, left_out, learned_on)!
-- Where the time of requisitions goes until their order: the stays that ended, as the view stage_time defines them, are added to their
-- stage. Of a stay, transfer is what lies between what happened at its source and our seeing it; touch are the calls for any document of the journey that ended in it,
-- as far as the stay has room for them; nobody's reading time is known, so it is waiting. :learned_on plays no part here.
WITH hours AS MATERIALIZED (
    SELECT * FROM unit_hours()
), stay AS MATERIALIZED (
    SELECT e.document_id, e.state_from AS stage, e.source, e.business_unit, m.correlation_id, b.calendar, e.state_from_since AS entered_at, e.recorded_at AS left_at,
           least(greatest(e.event_at, e.state_from_since), e.recorded_at) AS seen_from
      FROM event e JOIN document_milestone m USING (document_id) JOIN business_unit b ON b.code = e.business_unit
     WHERE e.recording_id = ANY (:recordings::uuid[]) AND e.recorded_at BETWEEN :first_at AND :last_at AND e.document_type = 'requisition' AND e.state_from <> e.state_to AND e.state_from <> 'ordered'
       AND (:source::text IS NULL OR e.source = :source) AND NOT e.document_id = ANY (:left_out::uuid[]) AND e.source = 'finsync' AND :learned_on::date IS NOT NULL
), worked AS MATERIALIZED (
    SELECT s.*, worked_by(h.opens, h.closes, h.worked, s.entered_at) AS entered_s, worked_by(h.opens, h.closes, h.worked, s.seen_from) AS seen_s, worked_by(h.opens, h.closes, h.worked, s.left_at) AS left_s
      FROM stay s LEFT JOIN hours h USING (calendar)
), part AS (
    SELECT w.document_id, w.stage, w.source, w.business_unit, w.left_at, extract(epoch FROM w.left_at - w.entered_at) AS wall_s, w.left_s - w.entered_s AS business_s,
           extract(epoch FROM w.left_at - w.seen_from) AS transfer_s, w.left_s - w.seen_s AS transfer_business_s, coalesce(a.called_s, 0) AS called_s
      FROM worked w
      LEFT JOIN LATERAL (
          SELECT sum(a.duration_ms) / 1000 AS called_s
            FROM document_milestone f JOIN attempt a ON a.document_id = f.document_id
           WHERE f.correlation_id = w.correlation_id AND a.recorded_at > w.entered_at AND a.recorded_at <= w.left_at) a ON true
)
INSERT INTO journey_stage AS j (document_id, stage, source, business_unit, stays, wall_s, business_s, touch_s, touch_business_s, transfer_s, transfer_business_s)
SELECT document_id, stage, min(source), (array_agg(business_unit ORDER BY left_at DESC))[1], count(*), sum(wall_s), sum(business_s),
       sum(greatest(least(called_s, wall_s - transfer_s), 0)), sum(greatest(least(called_s, business_s - transfer_business_s), 0)), sum(transfer_s), sum(transfer_business_s)
  FROM part GROUP BY document_id, stage
ON CONFLICT (document_id, stage) DO UPDATE
   SET business_unit = excluded.business_unit, stays = j.stays + excluded.stays, wall_s = j.wall_s + excluded.wall_s, business_s = j.business_s + excluded.business_s,
       touch_s = j.touch_s + excluded.touch_s, touch_business_s = j.touch_business_s + excluded.touch_business_s,
       transfer_s = j.transfer_s + excluded.transfer_s, transfer_business_s = j.transfer_business_s + excluded.transfer_business_s;

-- name: foreign(recordings, first_at, last_at, source, left_out, learned_on)$
-- Imported logs, by the log's own times: ours only say when the file was read. Measures: entered and stay_wall as above (a log names
-- no business calendar), and suspect: events whose time cannot be right, divided by type. Those are in no duration, neither as
-- its end nor as its beginning.
WITH e AS MATERIALIZED (
    SELECT e.*, e.attributes ? 'suspect' AS is_suspect
      FROM event e
     WHERE e.recording_id = ANY (:recordings::uuid[]) AND e.recorded_at BETWEEN :first_at AND :last_at AND e.source <> 'finsync'
       AND (:source::text IS NULL OR e.source = :source) AND NOT e.document_id = ANY (:left_out::uuid[])
)
SELECT add_to_rollups(array_agg(ROW(e.source, c.measure, c.part, e.business_unit, e.event_at, c.s, 1)::rollup_contribution), :learned_on::date)
  FROM e
 CROSS JOIN LATERAL (VALUES
     ('entered', e.document_type || ':' || e.state_to, NULL::numeric, e.state_from IS DISTINCT FROM e.state_to AND NOT e.is_suspect),
     ('stay_wall', e.document_type || ':' || e.state_from, extract(epoch FROM e.event_at - e.state_from_since), e.state_from <> e.state_to AND NOT e.is_suspect AND NOT EXISTS (
         SELECT FROM event b WHERE b.document_id = e.document_id AND b.seq < e.seq AND b.event_at = e.state_from_since AND b.attributes ? 'suspect')),
     ('suspect', e.document_type, NULL, e.is_suspect)) AS c(measure, part, s, is_meant)
 WHERE c.is_meant;

-- name: paths(recordings, first_at, last_at, source)!
-- What each document of the batch went through, put in order with what is known of it. Events that name a document beside the one
-- they moved are steps of both. An object of another maker's log ends with its last event.
WITH e AS MATERIALIZED (
    SELECT e.recording_id, e.ordinal, e.recorded_at, e.document_id, e.source, e.activity, e.event_at,
           CASE WHEN e.source = 'finsync' THEN r.written_order * 1000000 + e.ordinal ELSE e.seq END AS place,
           -- A tool reports a decision under its own name; somebody took it.
           e.actor NOT IN ('', r.engine_id, e.system) OR e.activity IN ('approval_granted', 'approval_denied') AS by_person
      FROM event e JOIN recording r USING (recording_id)
     WHERE e.recording_id = ANY (:recordings::uuid[]) AND e.recorded_at BETWEEN :first_at AND :last_at AND (:source::text IS NULL OR e.source = :source)
), met AS MATERIALIZED (
    SELECT document_id, source, activity, event_at, place, by_person FROM e
    UNION ALL
    SELECT DISTINCT o.document_id, e.source, e.activity, e.event_at, e.place, e.by_person
      FROM e JOIN event_object o USING (recording_id, ordinal, recorded_at)
     WHERE o.document_id <> e.document_id
), known AS (
    SELECT document_id, CASE WHEN source <> 'finsync' THEN event_at END AS place_in_time, place, activity, event_at, by_person FROM met
    UNION ALL
    SELECT m.document_id, CASE WHEN p.source <> 'finsync' THEN u.event_at END, u.place, u.activity, u.event_at, NULL
      FROM (SELECT DISTINCT document_id FROM met) m
      JOIN document_path p USING (document_id)
     CROSS JOIN LATERAL unnest(p.activities, p.times, p.places) AS u(activity, event_at, place)
), ordered AS (
    SELECT document_id, count(DISTINCT activity) < count(*) AS is_repeated, count(*) FILTER (WHERE by_person) AS by_people,
           array_agg(activity ORDER BY place_in_time, place) AS activities,
           array_agg(event_at ORDER BY place_in_time, place) AS times,
           array_agg(place ORDER BY place_in_time, place) AS places,
           min(event_at) AS first_at, max(event_at) AS last_at
      FROM known GROUP BY document_id
)
INSERT INTO document_path AS p (document_id, source, document_type, business_unit, group_amount, is_repeated, activities, times, places, by_people, first_at, last_at, ended_at)
SELECT o.document_id, d.source, d.document_type, d.business_unit, d.group_amount, o.is_repeated, o.activities, o.times, o.places, o.by_people, o.first_at, o.last_at,
       CASE WHEN d.source = 'finsync' THEN d.closed_at ELSE o.last_at END
  FROM ordered o JOIN document d USING (document_id)
 WHERE NOT d.is_test
ON CONFLICT (document_id) DO UPDATE
   SET business_unit = excluded.business_unit, document_type = excluded.document_type, group_amount = excluded.group_amount, is_repeated = excluded.is_repeated, activities = excluded.activities, times = excluded.times, places = excluded.places,
       by_people = p.by_people + excluded.by_people, first_at = excluded.first_at, last_at = excluded.last_at, ended_at = excluded.ended_at;

-- name: news()$
-- Documents whose work or exception has changed without an event of theirs; asked for once, and then forgotten.
WITH taken AS (DELETE FROM standing_news WHERE news_id = ANY (ARRAY(SELECT news_id FROM standing_news LIMIT 20000)) RETURNING document_id)
SELECT coalesce(array_agg(DISTINCT document_id), '{}') FROM taken;

-- name: standing(recordings, first_at, last_at, also)$
-- How the documents of the batch, and those in :also, stand by now, by the limits that are kept. It is read from what they are, not from
-- their events: whatever is committed later comes with a recording or with news of its own, and is read then. Answers the kinds of
-- which some document came or went.
WITH told AS MATERIALIZED (
    SELECT document_id FROM event
     WHERE recording_id = ANY (:recordings::uuid[]) AND recorded_at BETWEEN :first_at AND :last_at AND source = 'finsync'
    UNION
    SELECT unnest(:also::uuid[])
), before AS MATERIALIZED (
    SELECT s.kind_id FROM told t JOIN standing s USING (document_id)
), fact AS MATERIALIZED (
    -- Looked up one by one: joined as sets, the first documents of many are found by reading all that is open.
    SELECT f.* FROM told t CROSS JOIN LATERAL (SELECT * FROM standing_fact s WHERE s.document_id = t.document_id OFFSET 0) f
), kinds AS (
    INSERT INTO standing_kind (kind_id, stage_id, document_type, state, business_unit, source_system, asks, reason, rule, owner_team, case_code, is_taken, band)
    SELECT DISTINCT kind_id, stage_id, document_type, state, business_unit, source_system, asks, reason, rule, owner_team, case_code, is_taken, band FROM fact
    ON CONFLICT DO NOTHING
), over AS (
    DELETE FROM standing s USING told t WHERE s.document_id = t.document_id AND NOT EXISTS (SELECT FROM fact f WHERE f.document_id = t.document_id)
), kept AS (
    INSERT INTO standing AS s (kind_id, stage_id, state_since, heard_at, other_at, since_worked_s, other_worked_s, document_id, cause, is_old, is_over, group_amount, business_unit)
    SELECT f.kind_id, f.stage_id, f.state_since, f.heard_at, f.other_at, f.since_worked_s, f.other_worked_s, f.document_id,
           standing_cause(f.rule, f.state_since, f.heard_at, f.other_at, j.judged_at, coalesce(l.slow_before, '-infinity'), coalesce(l.stuck_before, '-infinity'),
                          coalesce(l.silent_before, '-infinity'), coalesce(l.unbilled_before, '-infinity')),
           f.state_since < coalesce(l.old_before, '-infinity'), f.state_since < coalesce(l.over_before, '-infinity'), f.group_amount, f.business_unit
      FROM fact f CROSS JOIN standing_judged j LEFT JOIN standing_limit l USING (stage_id)
    ON CONFLICT (document_id) DO UPDATE
       SET kind_id = excluded.kind_id, stage_id = excluded.stage_id, state_since = excluded.state_since, heard_at = excluded.heard_at, other_at = excluded.other_at,
           since_worked_s = excluded.since_worked_s, other_worked_s = excluded.other_worked_s, cause = excluded.cause, is_old = excluded.is_old, is_over = excluded.is_over,
           group_amount = excluded.group_amount, business_unit = excluded.business_unit
)
SELECT coalesce(array_agg(kind_id), '{}') FROM (SELECT kind_id FROM before UNION SELECT kind_id FROM fact) touched;

-- name: count_standing(kinds)!
-- The sums of these kinds (NULL: of all) as their rows have them now.
WITH summed AS MATERIALIZED (
    SELECT s.kind_id, s.cause, s.is_old, s.is_over, min(s.business_unit) AS business_unit, count(*) AS documents, sum(s.group_amount) AS value,
           sum(s.group_amount::float8 * CASE WHEN s.cause = 3 OR s.cause = 2 AND k.rule = 3 THEN s.since_worked_s ELSE s.other_worked_s END) FILTER (WHERE s.cause <= 4) AS value_worked_s, min(s.state_since) AS oldest_since, min(s.since_worked_s) AS oldest_worked_s
      FROM standing s JOIN standing_kind k USING (kind_id)
     WHERE :kinds::bigint[] IS NULL OR s.kind_id = ANY (:kinds::bigint[])
     GROUP BY 1, 2, 3, 4
), emptied AS (
    DELETE FROM standing_group g
     WHERE (:kinds::bigint[] IS NULL OR g.kind_id = ANY (:kinds::bigint[]))
       AND NOT EXISTS (SELECT FROM summed n WHERE (n.kind_id, n.cause, n.is_old, n.is_over) = (g.kind_id, g.cause, g.is_old, g.is_over))
)
INSERT INTO standing_group AS g (kind_id, cause, is_old, is_over, business_unit, documents, value, value_worked_s, oldest_since, oldest_worked_s)
SELECT kind_id, cause, is_old, is_over, business_unit, documents, value, value_worked_s, oldest_since, oldest_worked_s FROM summed
ON CONFLICT (kind_id, cause, is_old, is_over) DO UPDATE
   SET documents = excluded.documents, value = excluded.value, value_worked_s = excluded.value_worked_s, oldest_since = excluded.oldest_since, oldest_worked_s = excluded.oldest_worked_s
 WHERE (g.documents, g.value, g.value_worked_s, g.oldest_since, g.oldest_worked_s)
       IS DISTINCT FROM (excluded.documents, excluded.value, excluded.value_worked_s, excluded.oldest_since, excluded.oldest_worked_s);

-- name: judged_apart_from(now, age_s)$
-- Whether what is open was judged more than :age_s seconds away from :now (a clock may have been set back), or never.
SELECT abs(extract(epoch FROM judged_at - :now::timestamptz)) > :age_s FROM standing_judged;

-- name: limit_standing(now, silent_s, limits)!
-- The limits of every stage as of :now, by what report_stuck.limits answers.
WITH judged AS (
    UPDATE standing_judged SET judged_at = :now
), forgotten AS (
    DELETE FROM standing_limit t WHERE NOT EXISTS (SELECT FROM standing_kind k WHERE k.stage_id = t.stage_id)
)
INSERT INTO standing_limit AS t (stage_id, business_unit, slow_before, stuck_before, over_before, old_before, silent_before, unbilled_before)
SELECT stage_id, business_unit, slow_before, stuck_before, over_before, old_before, silent_before, unbilled_before FROM standing_limits(:now::timestamptz, :silent_s::numeric, :limits::jsonb)
ON CONFLICT (stage_id) DO UPDATE
   SET slow_before = excluded.slow_before, stuck_before = excluded.stuck_before, over_before = excluded.over_before, old_before = excluded.old_before,
       silent_before = excluded.silent_before, unbilled_before = excluded.unbilled_before
 WHERE (t.slow_before, t.stuck_before, t.over_before, t.old_before, t.silent_before, t.unbilled_before)
       IS DISTINCT FROM (excluded.slow_before, excluded.stuck_before, excluded.over_before, excluded.old_before, excluded.silent_before, excluded.unbilled_before);

-- name: judge_standing()$
-- Everything open by the limits that are kept: what stands otherwise than before is written. Answers its kinds.
WITH judged AS MATERIALIZED (
    SELECT s.document_id, standing_cause(k.rule, s.state_since, s.heard_at, s.other_at, j.judged_at, l.slow_before, l.stuck_before, l.silent_before, l.unbilled_before) AS cause,
           s.state_since < l.old_before AS is_old, s.state_since < l.over_before AS is_over
      FROM standing s CROSS JOIN standing_judged j JOIN standing_kind k USING (kind_id) JOIN standing_limit l ON l.stage_id = s.stage_id
), changed AS (
    UPDATE standing s SET cause = n.cause, is_old = n.is_old, is_over = n.is_over
      FROM judged n
     WHERE n.document_id = s.document_id AND (s.cause, s.is_old, s.is_over) <> (n.cause, n.is_old, n.is_over)
    RETURNING s.kind_id
)
SELECT coalesce(array_agg(DISTINCT kind_id), '{}') FROM changed;

-- name: forget_standing()!
-- Nothing is known of how things stand, and all that is open is looked at again.
WITH kinds AS (DELETE FROM standing_kind), rows AS (DELETE FROM standing), groups AS (DELETE FROM standing_group), limits AS (DELETE FROM standing_limit),
judged AS (UPDATE standing_judged SET judged_at = '0001-01-01 00:00:00+00')
INSERT INTO standing_news (document_id) SELECT document_id FROM document WHERE closed_at IS NULL;

-- name: close_periods(smaller, larger, until)!
-- Add up the days of months (months of years) that are over: those that begin before :until and are not added up yet. From then on
-- whatever is added to one of their days is added to them too.
WITH since AS (
    SELECT CASE :larger WHEN 'month' THEN months_until ELSE years_until END AS day FROM rollup_closed
), part AS MATERIALIZED (
    SELECT r.series_id, r.business_unit, date_trunc(:larger, r.starts_on::timestamp)::date AS starts_on, r.n, r.negative, r.total, r.buckets, r.counts
      FROM rollup r CROSS JOIN since s
     WHERE r.grain = :smaller AND r.starts_on >= s.day AND r.starts_on < :until::date
), histogram AS (
    SELECT series_id, starts_on, array_agg(bucket ORDER BY bucket) AS buckets, array_agg(held ORDER BY bucket) AS counts
      FROM (SELECT p.series_id, p.starts_on, u.bucket, sum(u.held)::integer AS held
              FROM part p CROSS JOIN LATERAL unnest(p.buckets, p.counts) AS u(bucket, held)
             GROUP BY 1, 2, 3) one
     GROUP BY 1, 2
)
INSERT INTO rollup (series_id, business_unit, grain, starts_on, n, negative, total, buckets, counts)
SELECT s.series_id, s.business_unit, :larger, s.starts_on, s.n, s.negative, s.total, coalesce(h.buckets, '{}'), coalesce(h.counts, '{}')
  FROM (SELECT series_id, starts_on, min(business_unit) AS business_unit, sum(n) AS n, sum(negative) AS negative, sum(total) AS total FROM part GROUP BY 1, 2) s
  LEFT JOIN histogram h USING (series_id, starts_on);

-- name: closed(months_until, years_until)!
-- Up to where periods have been added up.
UPDATE rollup_closed SET months_until = greatest(months_until, :months_until::date), years_until = greatest(years_until, :years_until::date);

-- name: are_closed(months_until)$
-- Whether all months before that one have been added up.
SELECT months_until >= :months_until::date FROM rollup_closed;

-- name: lock_for_rebuilding()
-- Become the folder of this cell until the transaction ends, after whoever is at it.
SELECT pg_advisory_xact_lock(hashtextextended('finsync fold ' || current_schema(), 0));

-- name: forget(source)$
-- Nothing of a log (NULL: of any) is in the rollups any more; what was closed stays closed where another log's periods are.
WITH rollups AS (DELETE FROM rollup WHERE :source::text IS NULL OR series_id IN (SELECT series_id FROM rollup_series WHERE source = :source)),
begun AS (DELETE FROM rollup_begun WHERE :source::text IS NULL OR source = :source),
milestones AS (DELETE FROM document_milestone WHERE :source::text IS NULL OR source = :source),
journeys AS (DELETE FROM journey WHERE :source::text IS NULL OR source = :source),
stages AS (DELETE FROM journey_stage WHERE :source::text IS NULL OR source = :source),
results AS (DELETE FROM objective_result WHERE :source::text IS NULL OR source = :source),
paths AS (DELETE FROM document_path WHERE :source::text IS NULL OR source = :source),
opened AS (UPDATE rollup_closed SET months_until = '0001-01-01', years_until = '0001-01-01' WHERE :source::text IS NULL)
SELECT true;

-- name: folded()
-- Every recording that has been folded, by the day (UTC) on which that was and the order in which it was written.
SELECT recording_id, recorded_at, event_count, (folded_at AT TIME ZONE 'UTC')::date AS learned_on
  FROM recording WHERE folded_at IS NOT NULL ORDER BY (folded_at AT TIME ZONE 'UTC')::date, written_order;

-- name: closed_until()^
-- Up to where months have been added up; NULL: none.
SELECT nullif(months_until, '0001-01-01') AS months_until FROM rollup_closed;
