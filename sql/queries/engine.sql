-- The engine about itself.

-- name: now()$
-- The time everybody goes by.
SELECT clock_timestamp();

-- name: register_engine(engine_id, release, now)!
-- An engine reports for duty.
INSERT INTO engine_instance (engine_id, started_at, last_seen_at, release) VALUES (:engine_id, :now, :now, :release)
ON CONFLICT (engine_id) DO UPDATE SET last_seen_at = excluded.last_seen_at, release = excluded.release, stopped_at = NULL;

-- name: heartbeat(engine_id, now)!
-- An engine is alive.
UPDATE engine_instance SET last_seen_at = :now WHERE engine_id = :engine_id;

-- name: engine_stopped(engine_id, now)!
-- An engine leaves in good order.
UPDATE engine_instance SET last_seen_at = :now, stopped_at = :now WHERE engine_id = :engine_id;

-- name: begin_job(job_id, planned_at, engine_id, now)!
-- Take a planned run; 0 rows when another engine has it. A run whose engine died in it may be taken over.
INSERT INTO job_run (job_id, planned_at, engine_id, started_at) VALUES (:job_id, :planned_at, :engine_id, :now)
ON CONFLICT (job_id, planned_at) DO UPDATE SET engine_id = excluded.engine_id, started_at = excluded.started_at
 WHERE job_run.outcome = 'running'
   AND NOT EXISTS (SELECT 1 FROM engine_instance e
                    WHERE e.engine_id = job_run.engine_id AND e.stopped_at IS NULL AND e.last_seen_at > :now::timestamptz - interval '60 seconds');

-- name: finish_job(job_id, planned_at, engine_id, outcome, detail, now)!
-- What became of a run, provided nobody has taken it over.
UPDATE job_run SET finished_at = :now, outcome = :outcome, detail = :detail
 WHERE job_id = :job_id AND planned_at = :planned_at AND engine_id = :engine_id;

-- name: note_jobs(engine_id, job_id, singleton, next_run_at, started_at, finished_at, outcome, detail, runs, failures, now)!
-- How the jobs stand in one engine.
INSERT INTO job_state (job_id, engine_id, singleton, next_run_at, started_at, finished_at, outcome, detail, runs, failures, noted_at)
SELECT u.job_id, :engine_id, u.singleton, u.next_run_at, u.started_at, u.finished_at, u.outcome, u.detail, u.runs, u.failures, :now
  FROM unnest(:job_id::text[], :singleton::boolean[], :next_run_at::timestamptz[], :started_at::timestamptz[], :finished_at::timestamptz[],
              :outcome::text[], :detail::text[], :runs::bigint[], :failures::bigint[])
       AS u(job_id, singleton, next_run_at, started_at, finished_at, outcome, detail, runs, failures)
ON CONFLICT (job_id, engine_id) DO UPDATE
   SET singleton = excluded.singleton, next_run_at = excluded.next_run_at, started_at = excluded.started_at, finished_at = excluded.finished_at,
       outcome = excluded.outcome, detail = excluded.detail, runs = excluded.runs, failures = excluded.failures, noted_at = excluded.noted_at;

-- name: forget_jobs(states_before, runs_before)!
-- Jobs of engines that are gone, and runs that went well long ago; those that failed are kept.
WITH gone AS (DELETE FROM job_state WHERE noted_at < :states_before)
DELETE FROM job_run WHERE started_at < :runs_before AND outcome = 'done';

-- name: put_business_units(code, name, country, currency, company_code, calendar, time_zone)!
-- The business units as configured. What stands open in a unit with another calendar is looked at again: its working time is kept.
WITH moved AS (
    INSERT INTO standing_news (document_id)
    SELECT s.document_id
      FROM unnest(:code::text[], :calendar::text[]) AS u(code, calendar)
      LEFT JOIN business_unit b ON b.code = u.code
      JOIN standing s ON s.business_unit = u.code
     WHERE b.calendar IS DISTINCT FROM u.calendar
)
INSERT INTO business_unit (code, name, country, currency, company_code, calendar, time_zone)
SELECT * FROM unnest(:code::text[], :name::text[], :country::text[], :currency::text[], :company_code::text[], :calendar::text[], :time_zone::text[])
ON CONFLICT (code) DO UPDATE SET name = excluded.name, country = excluded.country, currency = excluded.currency,
    company_code = excluded.company_code, calendar = excluded.calendar, time_zone = excluded.time_zone;

-- name: lock_promotion()
-- Engines that start together put their configuration in force one after the other.
SELECT pg_advisory_xact_lock(hashtextextended('finsync promotion ' || current_schema(), 0));

-- name: put_config(kind, version, content, sha256, now, promoted_by)!
-- A version of a configuration comes into force; one that is known changes nothing.
INSERT INTO config_version (kind, version, content, sha256, promoted_at, promoted_by)
VALUES (:kind, :version, :content::jsonb, :sha256, :now, :promoted_by)
ON CONFLICT DO NOTHING;

-- name: present_intervals()
-- What is filled of each calendar, summed up as `calendars.fill` sums up what should be.
SELECT calendar, sha256(convert_to(string_agg(extract(epoch FROM opens_at)::bigint || ' ' || extract(epoch FROM closes_at)::bigint || ' ' || worked_before_s, ',' ORDER BY opens_at), 'UTF8'))
  FROM calendar_interval GROUP BY calendar;

-- name: put_intervals(calendar, opens_at, closes_at, worked_before_s)!
-- Working intervals of one calendar, replacing what was filled before. If that changes any, what stands open in its units is looked at
-- again: its working time is kept.
WITH gone AS (
    DELETE FROM calendar_interval WHERE calendar = :calendar AND opens_at <> ALL (:opens_at::timestamptz[]) RETURNING 1
), put AS (
    INSERT INTO calendar_interval AS known (calendar, opens_at, closes_at, worked_before_s)
    SELECT :calendar, * FROM unnest(:opens_at::timestamptz[], :closes_at::timestamptz[], :worked_before_s::bigint[])
    ON CONFLICT (calendar, opens_at) DO UPDATE SET closes_at = excluded.closes_at, worked_before_s = excluded.worked_before_s
     WHERE (known.closes_at, known.worked_before_s) IS DISTINCT FROM (excluded.closes_at, excluded.worked_before_s)
    RETURNING 1
)
INSERT INTO standing_news (document_id)
SELECT s.document_id FROM standing s JOIN business_unit b ON b.code = s.business_unit
 WHERE b.calendar = :calendar AND (EXISTS (SELECT FROM gone) OR EXISTS (SELECT FROM put));

-- name: forget_objectives()!
-- Before the objectives in force are put.
DELETE FROM objective;

-- name: put_objectives(name, title, owner_team, document_type, start_activity, good_activities, threshold_s, clock, target, window_days)!
-- The service level objectives in force.
INSERT INTO objective (name, title, owner_team, document_type, start_activity, good_activities, threshold_s, clock, target, window_days)
SELECT u.name, u.title, u.owner_team, u.document_type, u.start_activity, string_to_array(u.good_activities, ','), u.threshold_s, u.clock, u.target, u.window_days
  FROM unnest(:name::text[], :title::text[], :owner_team::text[], :document_type::text[], :start_activity::text[], :good_activities::text[],
              :threshold_s::numeric[], :clock::text[], :target::numeric[], :window_days::int[])
       AS u(name, title, owner_team, document_type, start_activity, good_activities, threshold_s, clock, target, window_days);

-- name: ensure_partitions(first_month, months)$
-- Make monthly partitions ahead; answers how many were made.
SELECT ensure_partitions(:first_month::date, :months::int);
