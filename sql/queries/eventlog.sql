-- Logs of other makers: a file is staged record by record, put in order in one go, and written as recordings.

-- name: begin_log(name, business_unit, now)!
-- A log begins with its first file.
INSERT INTO event_log (name, business_unit, created_at) VALUES (:name, :business_unit, :now) ON CONFLICT DO NOTHING;

-- name: log_named(name)^
-- One imported log, or no row.
SELECT name, business_unit, declaration, created_at FROM event_log WHERE name = :name;

-- name: declare_log(name, declaration)!
-- What the files of a log say of themselves.
UPDATE event_log SET declaration = :declaration::jsonb WHERE name = :name;

-- name: file_of_log(log, file_sha256)^
-- A file that was read before, wholly or in part, with how far it has come.
SELECT f.import_id, f.phase, f.options, f.counts, f.business_unit, coalesce(p.records_read, 0) AS records_read, p.to_write, coalesce(p.written, 0) AS written
  FROM event_log_file f LEFT JOIN staged_progress p USING (import_id)
 WHERE f.log = :log AND f.file_sha256 = :file_sha256;

-- name: begin_file(import_id, log, business_unit, file_name, file_sha256, options, now)!
-- A file that is read for the first time.
INSERT INTO event_log_file (import_id, log, business_unit, file_name, file_sha256, options, phase, begun_at)
VALUES (:import_id, :log, :business_unit, :file_name, :file_sha256, :options::jsonb, 'reading', :now);

-- name: begin_progress(import_id)!
-- From here on it is known how far the file has come.
INSERT INTO staged_progress (import_id) VALUES (:import_id) ON CONFLICT DO NOTHING;

-- name: note_read(import_id, records_read)!
-- So many records of the file are staged or rejected.
UPDATE staged_progress SET records_read = :records_read WHERE import_id = :import_id;

-- name: note_written(import_id, written)!
-- So many of its events are recorded.
UPDATE staged_progress SET written = :written WHERE import_id = :import_id;

-- name: set_phase(import_id, phase, counts)!
-- The next part of the work begins.
UPDATE event_log_file SET phase = :phase, counts = :counts::jsonb WHERE import_id = :import_id;

-- name: finish_file(import_id, counts, now)!
-- The file is in.
UPDATE event_log_file SET phase = 'ready', counts = :counts::jsonb, finished_at = :now WHERE import_id = :import_id;

-- name: look_at_staged(what)^
-- Let the planner know how much there is by now: of the "file", of its "documents", or of its "events" in their order.
SELECT look_at_staged(:what::text);

-- name: activities(import_id, case_type)
-- Every pair of activity and object type of the staged file, with how often it occurs.
SELECT e.activity, :case_type::text AS object_type, count(*) AS events
  FROM staged_event e WHERE e.import_id = :import_id AND e.case_id IS NOT NULL GROUP BY e.activity
UNION ALL
SELECT e.activity, coalesce(o.object_type, ''), count(*)
  FROM staged_event e
  LEFT JOIN staged_relation r ON r.import_id = e.import_id AND r.position = e.position
  LEFT JOIN staged_object o ON o.import_id = r.import_id AND o.object_id = r.object_id
 WHERE e.import_id = :import_id AND e.case_id IS NULL GROUP BY 1, 2
 ORDER BY 1, 2;

-- name: put_stages(import_id, activity, object_type, stage, preference)!
-- What each activity means in this file.
INSERT INTO staged_stage (import_id, activity, object_type, stage, preference)
SELECT :import_id, u.activity, u.object_type, u.stage, u.preference
  FROM unnest(:activity::text[], :object_type::text[], :stage::text[], :preference::int[]) AS u(activity, object_type, stage, preference);

-- name: order_documents(import_id, log, case_type, owner_unit)!
-- The objects of the file as documents. Their unit is the one all their rows name; where rows differ, nobody's: only who sees all
-- units sees them. A document that is there already keeps its unit.
INSERT INTO ready_document (import_id, object_id, object_type, document_id, unit)
SELECT :import_id, n.object_id, coalesce(d.document_type, n.object_type), n.document_id, coalesce(d.business_unit, n.unit)
  FROM (SELECT m.object_id, m.object_type, m.unit, foreign_document_id(:log::text, m.object_id) AS document_id
          FROM (SELECT c.object_id, :case_type::text AS object_type,
                       CASE WHEN count(c.unit) = 0 THEN :owner_unit::text
                            WHEN count(c.unit) = count(c.is_row) AND min(c.unit) = max(c.unit) THEN min(c.unit) ELSE '' END AS unit
                  FROM (SELECT case_id AS object_id, unit, 1 AS is_row FROM staged_event WHERE import_id = :import_id AND case_id IS NOT NULL
                         UNION ALL SELECT object_id, NULL, NULL FROM staged_object WHERE import_id = :import_id AND object_type = '') c
                 GROUP BY c.object_id
                 UNION ALL
                SELECT r.object_id, coalesce(min(r.object_type), 'undeclared'), :owner_unit::text
                  FROM (SELECT object_id, object_type FROM staged_object WHERE import_id = :import_id AND object_type <> ''
                         UNION ALL SELECT object_id, NULL FROM staged_relation WHERE import_id = :import_id
                         UNION ALL SELECT to_id, NULL FROM staged_link WHERE import_id = :import_id
                         UNION ALL SELECT '', 'no object' FROM staged_event e
                                    WHERE e.import_id = :import_id AND e.case_id IS NULL
                                      AND NOT EXISTS (SELECT 1 FROM staged_relation x WHERE x.import_id = e.import_id AND x.position = e.position)) r
                 GROUP BY r.object_id) m) n
  LEFT JOIN document d USING (document_id);

-- name: order_events(import_id, log, case_type)!
-- The events that are not in yet, in the order of time, each as a step of the document it moves: where that document stood before,
-- since when, and where it stands afterwards. A document that has events already goes on from the last of them.
INSERT INTO ready_event (import_id, place, position, occurrence, led_by, seq, state_from, state_to, state_from_since, document_id, document_type, unit, content_hash,
                         activity, event_at, actor, attributes, began_at, is_last)
WITH fresh AS (
    SELECT s.position, s.occurrence, s.case_id, s.activity, s.event_at
      FROM (SELECT e.position, e.content_hash, e.case_id, e.activity, e.event_at,
                   row_number() OVER (PARTITION BY e.content_hash ORDER BY e.position) AS occurrence
              FROM staged_event e WHERE e.import_id = :import_id) s
     WHERE NOT EXISTS (SELECT 1 FROM imported_event i WHERE i.log = :log AND i.content_hash = s.content_hash AND i.occurrence = s.occurrence)
), led AS (
    SELECT f.position, f.occurrence, f.activity, f.event_at, f.case_id AS object_id, NULL::int AS led_by, '' AS qualifier, :case_type::text AS object_type
      FROM fresh f WHERE f.case_id IS NOT NULL
     UNION ALL
    (SELECT DISTINCT ON (f.position) f.position, f.occurrence, f.activity, f.event_at, coalesce(r.object_id, ''), r.ordinal, coalesce(r.qualifier, ''), coalesce(d.object_type, '')
      FROM fresh f
      LEFT JOIN staged_relation r ON r.import_id = :import_id AND r.position = f.position
      LEFT JOIN ready_document d ON d.import_id = :import_id AND d.object_id = r.object_id
      LEFT JOIN staged_stage g ON g.import_id = :import_id AND g.activity = f.activity AND g.object_type = d.object_type
     WHERE f.case_id IS NULL
     ORDER BY f.position, g.preference, r.ordinal)
), staged AS (
    SELECT l.*, coalesce(g.stage, l.activity) AS stage
      FROM led l LEFT JOIN staged_stage g ON g.import_id = :import_id AND g.activity = l.activity AND g.object_type = l.object_type
), before AS (
    SELECT d.document_id, e.seq, e.state_to, CASE WHEN e.state_from IS DISTINCT FROM e.state_to THEN e.event_at ELSE e.state_from_since END AS since
      FROM ready_document d
     CROSS JOIN LATERAL (SELECT seq, state_to, state_from, event_at, state_from_since FROM event
                          WHERE document_id = d.document_id ORDER BY seq DESC LIMIT 1) e
     WHERE d.import_id = :import_id AND EXISTS (SELECT 1 FROM imported_event WHERE log = :log)
), stepped AS (
    SELECT s.*, row_number() OVER w AS step, lag(s.stage) OVER w AS stage_before,
           lag(s.stage) OVER w IS DISTINCT FROM s.stage AS is_move, first_value(s.event_at) OVER w AS began_at, lead(s.position) OVER w IS NULL AS is_last
      FROM staged s WINDOW w AS (PARTITION BY s.object_id ORDER BY s.event_at, s.position)
), timed AS (
    SELECT s.*, max(s.event_at) FILTER (WHERE s.is_move) OVER (PARTITION BY s.object_id ORDER BY s.event_at, s.position
                                                               ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS entered_at
      FROM stepped s
)
SELECT :import_id, row_number() OVER (ORDER BY t.event_at, t.position), t.position, t.occurrence, t.led_by,
       t.step + coalesce(b.seq, 0), CASE WHEN t.step = 1 THEN b.state_to ELSE t.stage_before END, t.stage,
       CASE WHEN t.step = 1 THEN b.since ELSE t.entered_at END, d.document_id, d.object_type, d.unit, e.content_hash, e.activity, e.event_at, e.actor,
       CASE WHEN t.qualifier = '' THEN e.attributes ELSE e.attributes || jsonb_build_object('qualifier', t.qualifier) END, t.began_at, t.is_last
  FROM timed t
  JOIN ready_document d ON d.import_id = :import_id AND d.object_id = t.object_id
  JOIN staged_event e ON e.import_id = :import_id AND e.position = t.position
  LEFT JOIN before b ON b.document_id = d.document_id;

-- name: note_ordered(import_id)^
-- How many events are to be written, of how many staged ones, and how many of them are older than one that is in already.
UPDATE staged_progress p SET to_write = (SELECT count(*) FROM ready_event WHERE import_id = :import_id), written = 0
 WHERE p.import_id = :import_id
RETURNING to_write, (SELECT count(*) FROM staged_event WHERE import_id = :import_id) AS staged,
    (SELECT count(*) FROM ready_event r WHERE r.import_id = :import_id AND r.seq > 1 AND r.state_from_since > r.event_at) AS late;

-- name: write_events(import_id, recording_id, first, last, log, now)
-- One recording's events; answers what the leaf of each says that is not the same in all of them, in their order.
INSERT INTO event (recording_id, ordinal, recorded_at, document_id, seq, document_type, correlation_id, business_unit, source,
                   activity, event_at, observed_at, system, actor, state_from, state_to, state_from_since,
                   approval_status, posting_status, document_version, attributes)
SELECT :recording_id::uuid, r.place - :first::bigint, :now::timestamptz, r.document_id, r.seq, r.document_type, r.document_id, r.unit, :log::text,
       r.activity, r.event_at, :now::timestamptz, :log::text, r.actor, r.state_from, r.state_to, r.state_from_since,
       'not_required', 'not_submitted', r.seq, r.attributes
  FROM ready_event r
 WHERE r.import_id = :import_id AND r.place BETWEEN :first AND :last
 ORDER BY r.place
RETURNING ordinal, document_id::text, activity, event_at, actor, state_from, state_to, seq, attributes::text;

-- name: write_event_objects(import_id, recording_id, first, last, now)!
-- What else these events are about. A relation said twice is one.
INSERT INTO event_object (recording_id, ordinal, recorded_at, document_id, qualifier, business_unit)
SELECT DISTINCT :recording_id::uuid, r.place - :first::bigint, :now::timestamptz, d.document_id, n.qualifier, d.unit
  FROM ready_event r
  JOIN staged_relation n ON n.import_id = r.import_id AND n.position = r.position AND n.ordinal IS DISTINCT FROM r.led_by
  JOIN ready_document d ON d.import_id = r.import_id AND d.object_id = n.object_id
 WHERE r.import_id = :import_id AND r.place BETWEEN :first AND :last;

-- name: write_identities(import_id, recording_id, first, last, log)!
-- By what these events are known again.
INSERT INTO imported_event (log, content_hash, occurrence, recording_id)
SELECT :log::text, r.content_hash, r.occurrence, :recording_id::uuid
  FROM ready_event r WHERE r.import_id = :import_id AND r.place BETWEEN :first AND :last
 ORDER BY r.content_hash;

-- name: begin_documents(import_id, log, final, now)!
-- The documents that are new, as they will stand when their last event of this file is in: it is known by now, and what is not changed any
-- more need not be put into every index a second time. Until then they name no last event. :final are the stages after which nothing more is expected.
INSERT INTO document (document_id, document_type, correlation_id, number, business_unit, source_system, source, state, approval_status, posting_status,
                      state_since, version, submitted_at, source_at, created_at, updated_at, closed_at)
SELECT d.document_id, d.object_type, d.document_id, d.object_id, d.unit, :log::text, :log::text, coalesce(r.state_to, 'named by events only'), 'not_required', 'not_submitted',
       coalesce(CASE WHEN r.state_from IS DISTINCT FROM r.state_to THEN r.event_at ELSE r.state_from_since END, :now), coalesce(r.seq, 1), r.began_at, r.event_at, :now, :now,
       CASE WHEN r.state_to = ANY (:final::text[]) THEN r.event_at END
  FROM ready_document d
  LEFT JOIN ready_event r ON r.import_id = :import_id AND r.document_id = d.document_id AND r.is_last
 WHERE d.import_id = :import_id
ON CONFLICT DO NOTHING;

-- name: finish_documents(import_id, log, final, now)!
-- Those that had events in this file, as their last one left them.
UPDATE document d
   SET state = r.state_to, state_since = CASE WHEN r.state_from IS DISTINCT FROM r.state_to THEN r.event_at ELSE r.state_from_since END, version = r.seq,
       submitted_at = coalesce(d.submitted_at, r.began_at), source_at = r.event_at, updated_at = :now,
       closed_at = CASE WHEN r.state_to = ANY (:final::text[]) THEN r.event_at END, last_event_seq = r.seq, last_event_at = e.recorded_at
  FROM ready_event r CROSS JOIN LATERAL (SELECT x.recorded_at FROM event x WHERE x.document_id = r.document_id AND x.seq = r.seq LIMIT 1) e
 WHERE r.import_id = :import_id AND r.is_last AND d.document_id = r.document_id AND d.source = :log;

-- name: name_last_events(log)!
-- Those whose last event was here before this file was read: written by an import that was begun anew after the server had lost what was staged.
UPDATE document d SET last_event_seq = e.seq, last_event_at = e.recorded_at
  FROM document n CROSS JOIN LATERAL (SELECT seq, recorded_at FROM event WHERE document_id = n.document_id ORDER BY seq DESC LIMIT 1) e
 WHERE n.source = :log AND n.last_event_seq IS NULL AND d.document_id = n.document_id;

-- name: write_identifiers(import_id, log, now)!
-- By their own ids they are found; those of two logs never meet.
INSERT INTO document_identifier (system, kind, external_id, document_id, business_unit, recorded_at)
SELECT 'log:' || :log::text, d.object_type, d.object_id, d.document_id, d.unit, :now
  FROM ready_document d WHERE d.import_id = :import_id AND d.object_id <> ''
ON CONFLICT DO NOTHING;

-- name: write_links(import_id, now)!
-- How objects hang together, by the log's own words.
INSERT INTO document_link (from_document_id, to_document_id, relation, business_unit, recorded_at)
SELECT f.document_id, t.document_id, l.qualifier, f.unit, :now
  FROM staged_link l
  JOIN ready_document f ON f.import_id = l.import_id AND f.object_id = l.from_id
  JOIN ready_document t ON t.import_id = l.import_id AND t.object_id = l.to_id
 WHERE l.import_id = :import_id
ON CONFLICT DO NOTHING;

-- name: write_values(import_id)!
-- What objects are like, and since when. A value said twice for one moment: the last one in the file holds.
INSERT INTO object_attribute (document_id, name, since_at, value, business_unit)
SELECT DISTINCT ON (d.document_id, v.name, v.since_at) d.document_id, v.name, v.since_at, v.value, d.unit
  FROM staged_value v JOIN ready_document d ON d.import_id = v.import_id AND d.object_id = v.object_id
 WHERE v.import_id = :import_id
 ORDER BY d.document_id, v.name, v.since_at, v.position DESC, v.ordinal DESC
ON CONFLICT DO NOTHING;

-- name: clear_staged(import_id)!
-- The workbench is cleared when the file is in, or when it is begun anew.
WITH a AS (DELETE FROM staged_event WHERE import_id = :import_id), b AS (DELETE FROM staged_relation WHERE import_id = :import_id),
     c AS (DELETE FROM staged_object WHERE import_id = :import_id), d AS (DELETE FROM staged_value WHERE import_id = :import_id),
     e AS (DELETE FROM staged_link WHERE import_id = :import_id), f AS (DELETE FROM staged_stage WHERE import_id = :import_id),
     g AS (DELETE FROM ready_document WHERE import_id = :import_id), h AS (DELETE FROM ready_event WHERE import_id = :import_id)
DELETE FROM staged_progress WHERE import_id = :import_id;

-- name: put_rejects(import_id, log, business_unit, position, line, reason, value, raw)!
-- Records that could not be read. COPY does not write into a table with row level security.
INSERT INTO event_log_reject (import_id, position, log, business_unit, line, reason, value, raw)
SELECT :import_id, u.position, :log, :business_unit, u.line, u.reason, u.value, u.raw
  FROM unnest(:position::bigint[], :line::bigint[], :reason::text[], :value::text[], :raw::text[]) AS u(position, line, reason, value, raw);

-- name: count_rejects(import_id)^
-- How many records of a file could not be read.
SELECT count(*) AS rejected FROM event_log_reject WHERE import_id = :import_id;

-- name: rejects_of_log(log, most)
-- Records that could not be read, in the order of the file.
SELECT f.file_name, r.line, r.position, r.reason, r.value, r.raw
  FROM event_log_reject r JOIN event_log_file f USING (import_id)
 WHERE r.log = :log ORDER BY f.begun_at, r.position LIMIT :most;

-- name: logs()
-- Which logs are in, our own first: events, documents, the time they cover, their files. A file that was not finished says so.
SELECT l.name, l.business_unit, l.created_at, l.declaration->>'format' AS format,
       coalesce(e.events, 0) AS events, e.first_event_at, e.last_event_at, coalesce(e.suspect, 0) AS suspect,
       (SELECT count(*) FROM document d WHERE d.source = l.name AND d.source <> 'finsync') AS documents,
       (SELECT count(*) FROM event_log_reject r WHERE r.log = l.name) AS rejected,
       (SELECT json_agg(json_build_object('file', f.file_name, 'phase', f.phase, 'begun_at', f.begun_at, 'finished_at', f.finished_at) ORDER BY f.begun_at)
          FROM event_log_file f WHERE f.log = l.name) AS files
  FROM event_log l
  LEFT JOIN LATERAL (SELECT count(*) AS events, min(event_at) AS first_event_at, max(event_at) AS last_event_at,
                            count(*) FILTER (WHERE attributes ? 'suspect') AS suspect
                       FROM event WHERE source = l.name AND source <> 'finsync') e ON true
 ORDER BY l.created_at, l.name;

-- name: forget(name, by_whom, why)^
-- Removes an imported log; how many events that were.
SELECT forget_event_log(:name, :by_whom, :why) AS events;

-- name: types_of_log(log)
-- The types of objects in a log that events are about, most events first.
SELECT document_type, count(*) AS documents FROM document WHERE source = :log AND number <> '' GROUP BY document_type ORDER BY documents DESC, document_type;

-- name: cycle_times(log, case_type, from_start, without_suspect)
-- First and last event of every case of a type, and how many there are, in the order of the first. An event counts for every object
-- it names, once. With :from_start the first moment is the start of an event that has one; without, ends only.
WITH case_event AS (
    SELECT e.document_id, e.recording_id, e.ordinal, e.event_at, e.attributes
      FROM event e WHERE e.source = :log AND e.document_type = :case_type
     UNION
    SELECT o.document_id, e.recording_id, e.ordinal, e.event_at, e.attributes
      FROM event e
      JOIN event_object o ON o.recording_id = e.recording_id AND o.ordinal = e.ordinal AND o.recorded_at = e.recorded_at
      JOIN document d ON d.document_id = o.document_id AND d.source = :log AND d.document_type = :case_type
     WHERE e.source = :log
), span AS (
    SELECT document_id, count(*) AS events, max(event_at) AS last_event_at,
           min(CASE WHEN :from_start::boolean THEN least(event_at, (attributes->>'started_at')::timestamptz) ELSE event_at END) AS first_event_at
      FROM case_event WHERE NOT (:without_suspect::boolean AND attributes ? 'suspect')
     GROUP BY document_id
)
SELECT d.number AS case_id, s.first_event_at, s.last_event_at, s.events,
       extract(epoch FROM s.last_event_at - s.first_event_at) AS duration_s
  FROM span s JOIN document d USING (document_id)
 ORDER BY s.first_event_at, d.number;

-- name: suspect_events(log)^
-- How many events of a log have a time that cannot be right.
SELECT count(*) AS events FROM event WHERE source = :log AND attributes ? 'suspect';

-- name: event_value_kinds(log)
-- Which attributes the events of each activity have, and of what JSON kinds their values are; activities without any have a NULL.
SELECT e.activity AS kind, v.key AS name, array_agg(DISTINCT CASE WHEN jsonb_typeof(v.value) <> 'number' THEN jsonb_typeof(v.value)
                                                  WHEN strpos(v.value::text, '.') > 0 THEN 'float' ELSE 'integer' END) AS kinds
  FROM event e
  LEFT JOIN LATERAL jsonb_each(CASE WHEN e.source = 'finsync' THEN e.attributes || '{"system": ""}' ELSE e.attributes->'values' END) AS v ON true
 WHERE e.source = :log GROUP BY 1, 2 ORDER BY 1, 2;

-- name: object_value_kinds(log)
-- The same of the objects of each type.
SELECT d.document_type AS kind, a.name, array_agg(DISTINCT CASE WHEN jsonb_typeof(a.value) <> 'number' THEN jsonb_typeof(a.value)
                                                     WHEN strpos(a.value::text, '.') > 0 THEN 'float' ELSE 'integer' END) AS kinds
  FROM document d LEFT JOIN object_attribute a USING (document_id)
 WHERE d.source = :log AND d.number <> '' GROUP BY 1, 2 ORDER BY 1, 2;

-- name: export_events(log)
-- Every event of a log once, in the order of time, with the objects it names beside the one it moved.
SELECT e.recording_id, e.ordinal, e.document_id, e.document_type, e.activity, e.event_at, e.actor, e.system, e.attributes, e.state_from, e.state_to, e.business_unit, e.recorded_at, d.number,
       (SELECT json_agg(json_build_array(CASE WHEN e.source = 'finsync' THEN o.document_id::text ELSE x.number END, o.qualifier) ORDER BY x.number, o.qualifier)
          FROM event_object o JOIN document x ON x.document_id = o.document_id
         WHERE o.recording_id = e.recording_id AND o.ordinal = e.ordinal AND o.recorded_at = e.recorded_at) AS objects
  FROM event e JOIN document d ON d.document_id = e.document_id
 WHERE e.source = :log
 ORDER BY e.event_at, e.recorded_at, e.recording_id, e.ordinal;

-- name: export_cases(log, case_type)
-- The events of every object of a type, object by object in the order of time.
SELECT e.recording_id, e.ordinal, e.document_id, e.document_type, e.activity, e.event_at, e.actor, e.system, e.attributes, e.state_from, e.state_to, e.business_unit, e.recorded_at, d.number,
       NULL AS objects, CASE WHEN e.source = 'finsync' THEN c.document_id::text ELSE c.number END AS case_id
  FROM (SELECT e.document_id AS case_document_id, e.recording_id, e.ordinal, e.recorded_at FROM event e WHERE e.source = :log AND e.document_type = :case_type
         UNION
        SELECT o.document_id, o.recording_id, o.ordinal, o.recorded_at FROM event_object o JOIN document x ON x.document_id = o.document_id AND x.source = :log AND x.document_type = :case_type) m
  JOIN document c ON c.document_id = m.case_document_id
  JOIN event e ON e.recording_id = m.recording_id AND e.ordinal = m.ordinal AND e.recorded_at = m.recorded_at
  JOIN document d ON d.document_id = e.document_id
 ORDER BY c.number, c.document_id, e.event_at, e.recorded_at, e.recording_id, e.ordinal;

-- name: export_objects(log)
-- Every object of an imported log with what it is like, since when, and how it is linked.
SELECT d.number AS object_id, d.document_type,
       (SELECT json_agg(json_build_array(a.name, CASE WHEN a.since_at > '1970-01-01 00:00:00+00' THEN to_char(a.since_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"') END, a.value) ORDER BY a.since_at, a.name) FROM object_attribute a WHERE a.document_id = d.document_id) AS values,
       (SELECT json_agg(json_build_array(t.number, l.relation) ORDER BY t.number, l.relation)
          FROM document_link l JOIN document t ON t.document_id = l.to_document_id WHERE l.from_document_id = d.document_id) AS links
  FROM document d WHERE d.source = :log AND d.number <> ''
 ORDER BY d.document_type, d.number;

-- name: export_own_objects(log)
-- Our documents as objects: what they are called and what they are, and their links.
SELECT d.document_id::text AS object_id, d.document_type,
       (SELECT json_agg(json_build_array(v.key, NULL, v.value)) FROM jsonb_each(jsonb_strip_nulls(jsonb_build_object('number', d.number, 'title', d.title, 'business_unit', d.business_unit, 'company_code', d.company_code,
               'supplier', d.supplier, 'currency', d.currency, 'amount', d.amount::text, 'state', d.state, 'approval_status', d.approval_status, 'posting_status', d.posting_status))) v) AS values,
       (SELECT json_agg(json_build_array(l.to_document_id, l.relation) ORDER BY l.to_document_id, l.relation) FROM document_link l WHERE l.from_document_id = d.document_id) AS links
  FROM document d WHERE d.source = :log
 ORDER BY d.document_type, d.number, d.document_id;
