-- Rollups: what the pages read instead of events. Counts, sums and log-bucket histograms per measure, business unit and day; closed
-- months and years added up again; beside them one narrow row per document, journey and objective, for the edges of a period and
-- for the rows behind a figure. sync_engine/insight/fold.py fills them and says how a measure is added.

-- Folded in the order in which they were written: of those that are there, a document's recordings stand in its own order.
DROP INDEX recording_to_fold;
CREATE INDEX recording_to_fold ON recording (written_order) WHERE folded_at IS NULL;

-- What is counted, and for whom: a measure of a log, a part of it, a business unit. Business unit "*" is all of them, for whoever
-- may see all. Numbered by the folder, so that what is joined a million times is a number.
CREATE TABLE rollup_series (
    series_id     integer PRIMARY KEY,
    source        text    COLLATE "C" NOT NULL,   -- as event.source: rollups of different logs never mix
    measure       text    COLLATE "C" NOT NULL,
    part          text    COLLATE "C" NOT NULL,   -- what a measure is divided by: a stage, an objective, a system's operation; '' where by nothing
    business_unit text    COLLATE "C" NOT NULL,
    -- All four in one, for the folder: by four columns the planner takes few for many and compares each with each.
    label         text    COLLATE "C" NOT NULL GENERATED ALWAYS AS (source || chr(31) || measure || chr(31) || part || chr(31) || business_unit) STORED,
    CONSTRAINT one_series UNIQUE (label)
);
CREATE INDEX series_of_measure ON rollup_series (measure, source, business_unit, part);

-- The figures of a series, one row per period that has any. A period is a UTC day ("day"), month or year of what is measured. "late"
-- rows say what was added to a day (or taken from it) after that day had ended, by the day on which we learned it: what was
-- reported on the evening of day d is what stands in "day" now, without the "late" of after d. What was learned on the first day a
-- log was folded at all is not late: nothing had been reported before.
CREATE TABLE rollup (
    series_id     integer    NOT NULL,
    business_unit text       NOT NULL,   -- the series', for whoever may see it
    grain         text       COLLATE "C" NOT NULL CHECK (grain IN ('day', 'month', 'year', 'late')),
    starts_on     date       NOT NULL,
    known_on      date       NOT NULL DEFAULT '0001-01-01',   -- of "late" rows alone
    n             bigint     NOT NULL,
    negative      bigint     NOT NULL,   -- of these, durations below zero: clocks that contradict each other, in no sum and no percentile
    total         numeric    NOT NULL,   -- sum of the durations, seconds
    buckets       smallint[] NOT NULL,   -- log buckets that hold something, ascending (rollup_bucket)
    counts        integer[]  NOT NULL,   -- and how much each holds
    PRIMARY KEY (series_id, grain, starts_on, known_on),
    CONSTRAINT late_says_when CHECK ((grain = 'late') = (known_on > '0001-01-01')),
    CONSTRAINT counted_or_not_there CHECK (grain = 'late' OR (n > 0 AND negative >= 0 AND total >= 0))
) WITH (fillfactor = 70);

-- The day on which a log was folded for the first time: before it nothing was reported.
CREATE TABLE rollup_begun (
    source     text PRIMARY KEY,
    learned_on date NOT NULL
);

-- Up to where closed periods have been added up again: whoever reads takes days from there on.
CREATE TABLE rollup_closed (
    single       boolean PRIMARY KEY DEFAULT true CHECK (single),
    months_until date    NOT NULL,
    years_until  date    NOT NULL
);
INSERT INTO rollup_closed (months_until, years_until) VALUES ('0001-01-01', '0001-01-01');

-- What the folder knows of each document: its milestones, each as the earliest or latest event of its kind, and where it stands.
CREATE TABLE document_milestone (
    document_id     uuid        PRIMARY KEY,
    source          text        NOT NULL,
    document_type   text        NOT NULL,
    correlation_id  uuid        NOT NULL,
    business_unit   text        NOT NULL,
    last_seq        integer     NOT NULL,
    entered_at      timestamptz,           -- its first event, by the source
    first_event_at  timestamptz NOT NULL,
    last_event_at   timestamptz NOT NULL,
    events          integer     NOT NULL,
    approved_at     timestamptz,
    order_number_at timestamptz,
    ordered_at      timestamptz,
    received_at     timestamptz,
    invoiced_at     timestamptz,
    posted_at       timestamptz,
    closed_at       timestamptz            -- NULL while something is still expected to happen
) WITH (fillfactor = 80);
CREATE INDEX milestone_of_journey ON document_milestone (correlation_id);

-- The journey of each requisition through all documents of its family: the same figures as the view cycle_time.
CREATE TABLE journey (
    document_id             uuid        PRIMARY KEY,   -- the requisition
    source                  text        NOT NULL,
    business_unit           text        NOT NULL,
    submitted_at            timestamptz NOT NULL,
    approved_at             timestamptz,
    order_number_at         timestamptz,
    ordered_at              timestamptz,
    received_at             timestamptz,
    invoiced_at             timestamptz,
    posted_at               timestamptz,
    closed_at               timestamptz,
    to_ordered_s            numeric,
    to_ordered_business_s   numeric,
    to_posted_s             numeric,
    to_posted_business_s    numeric,
    approved_to_ordered_s   numeric,
    approved_to_ordered_business_s numeric
) WITH (fillfactor = 80);
CREATE INDEX journey_submitted ON journey (source, submitted_at);
CREATE INDEX journey_ordered ON journey (source, ordered_at) WHERE ordered_at IS NOT NULL;
CREATE INDEX journey_posted ON journey (source, posted_at) WHERE posted_at IS NOT NULL;
CREATE INDEX journey_under_way ON journey (source, submitted_at) WHERE ordered_at IS NULL AND closed_at IS NULL;

-- Each document an objective speaks of: the same rows as the view slo_event. Without started_at only the end has been seen so far.
CREATE TABLE objective_result (
    objective     text        NOT NULL,
    document_id   uuid        NOT NULL,
    source        text        NOT NULL,
    business_unit text        NOT NULL,
    last_seq      integer     NOT NULL,
    started_at    timestamptz,
    good_at       timestamptz,
    deadline_at   timestamptz,
    PRIMARY KEY (objective, document_id)
) WITH (fillfactor = 80);
CREATE INDEX objective_due ON objective_result (objective, deadline_at) WHERE deadline_at IS NOT NULL;

-- One thing to be counted (weight 1) or to be taken back (weight -1): of a measure, at a moment, with a duration where it has one.
CREATE TYPE rollup_contribution AS (source text, measure text, part text, business_unit text, at timestamptz, s numeric, weight integer);

-- The log bucket of a duration in seconds: bucket b > -32767 holds (1.02 ^ (b - 1), 1.02 ^ b], so that its middle is at most 1 % off.
-- -32767 holds zero, -32768 what is below; NULL has none.
CREATE FUNCTION rollup_bucket(s numeric) RETURNS smallint
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN s > 0 THEN ceil(ln(s::float8) / ln(1.02::float8)) WHEN s = 0 THEN -32767 WHEN s < 0 THEN -32768 END::smallint $$;

-- The duration a bucket stands for: the middle of its bounds in the sense that neither is more than 1 % away.
CREATE FUNCTION rollup_duration(bucket smallint) RETURNS float8
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$ SELECT CASE WHEN bucket = -32767 THEN 0 ELSE 2 * 1.02::float8 ^ bucket / 2.02 END $$;

-- Percentiles of a histogram, as percentile_cont would answer them from the durations themselves, to 1 %. NULLs without durations.
CREATE FUNCTION rollup_percentiles(buckets smallint[], counts integer[], shares float8[]) RETURNS float8[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    WITH b AS MATERIALIZED (
        SELECT bucket, sum(held) OVER (ORDER BY bucket) AS up_to, sum(held) OVER () AS n FROM unnest(buckets, counts) AS u(bucket, held)
    )
    SELECT array_agg(low.s + (high.s - low.s) * (place.rank - floor(place.rank)) ORDER BY q.nth)
      FROM unnest(shares) WITH ORDINALITY AS q(share, nth)
      LEFT JOIN LATERAL (SELECT q.share * (n - 1)::float8 AS rank FROM b LIMIT 1) place ON true
      LEFT JOIN LATERAL (SELECT rollup_duration(bucket) AS s FROM b WHERE up_to > floor(place.rank) ORDER BY bucket LIMIT 1) low ON true
      LEFT JOIN LATERAL (SELECT rollup_duration(bucket) AS s FROM b WHERE up_to > ceil(place.rank) ORDER BY bucket LIMIT 1) high ON true
$$;

-- Adds contributions to the rollups, learned on a day; answers how many differed from nothing. Whoever calls it holds the folder's
-- lock, so that nobody else changes a row between its being read and its being written. Planned for what it is given: a plan for
-- ten contributions is a hundred times too slow for ten thousand.
CREATE FUNCTION add_to_rollups(given rollup_contribution[], learned date) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path FROM CURRENT
SET work_mem = '64MB'
SET plan_cache_mode = force_custom_plan
SET enable_seqscan = on
AS $$
DECLARE
    differing bigint;
BEGIN
    INSERT INTO rollup_series (series_id, source, measure, part, business_unit)
    SELECT (SELECT coalesce(max(series_id), 0) FROM rollup_series) + row_number() OVER (ORDER BY source, measure, part, business_unit),
           source, measure, part, business_unit
      FROM (SELECT DISTINCT g.source, g.measure, g.part, u.business_unit
              FROM (SELECT DISTINCT source, measure, part, business_unit FROM unnest(given)) g
             CROSS JOIN LATERAL (VALUES (g.business_unit), ('*')) AS u(business_unit)) named
     WHERE NOT EXISTS (SELECT 1 FROM rollup_series s WHERE s.label = named.source || chr(31) || named.measure || chr(31) || named.part || chr(31) || named.business_unit);

    WITH piece AS MATERIALIZED (
        SELECT source, measure, part, business_unit, (at AT TIME ZONE 'UTC')::date AS on_day, rollup_bucket(s) AS bucket,
               sum(weight)::integer AS n, coalesce(sum(weight * s) FILTER (WHERE s > 0), 0) AS total
          FROM unnest(given)
         GROUP BY 1, 2, 3, 4, 5, 6
        HAVING sum(weight) <> 0 OR sum(weight * s) <> 0
    ), spread AS MATERIALIZED (
        SELECT s.series_id, s.business_unit, g.grain, g.starts_on, g.known_on, p.bucket, sum(p.n)::integer AS n, sum(p.total) AS total
          FROM piece p
         CROSS JOIN LATERAL (VALUES (p.business_unit), ('*')) AS u(business_unit)
          JOIN rollup_series s ON s.label = p.source || chr(31) || p.measure || chr(31) || p.part || chr(31) || u.business_unit
          LEFT JOIN rollup_begun b ON b.source = p.source
         CROSS JOIN rollup_closed c
         CROSS JOIN LATERAL (VALUES
             ('day', p.on_day, '0001-01-01'::date, true),
             ('month', date_trunc('month', p.on_day::timestamp)::date, '0001-01-01', p.on_day < c.months_until),
             ('year', date_trunc('year', p.on_day::timestamp)::date, '0001-01-01', p.on_day < c.years_until),
             ('late', p.on_day, learned, p.on_day < learned AND b.learned_on < learned)) AS g(grain, starts_on, known_on, is_meant)
         WHERE g.is_meant
         GROUP BY 1, 2, 3, 4, 5, 6
    ), delta AS MATERIALIZED (
        SELECT series_id, grain, starts_on, known_on, min(business_unit) AS business_unit, sum(n) AS n,
               coalesce(sum(n) FILTER (WHERE bucket = -32768), 0) AS negative, sum(total) AS total
          FROM spread GROUP BY 1, 2, 3, 4
    ), old AS MATERIALIZED (
        SELECT r.* FROM delta d JOIN rollup r USING (series_id, grain, starts_on, known_on)
    ), held AS (
        SELECT series_id, grain, starts_on, known_on, bucket, sum(n)::integer AS n
          FROM (SELECT series_id, grain, starts_on, known_on, bucket, n FROM spread WHERE bucket > -32768
                UNION ALL
                SELECT o.series_id, o.grain, o.starts_on, o.known_on, u.bucket, u.held
                  FROM old o CROSS JOIN LATERAL unnest(o.buckets, o.counts) AS u(bucket, held)) both_of_them
         GROUP BY 1, 2, 3, 4, 5
        HAVING sum(n) <> 0
    ), histogram AS (
        SELECT series_id, grain, starts_on, known_on, array_agg(bucket ORDER BY bucket) AS buckets, array_agg(n ORDER BY bucket) AS counts
          FROM held GROUP BY 1, 2, 3, 4
    ), whole AS MATERIALIZED (
        SELECT d.series_id, d.business_unit, d.grain, d.starts_on, d.known_on, d.n + coalesce(o.n, 0) AS n,
               d.negative + coalesce(o.negative, 0) AS negative, d.total + coalesce(o.total, 0) AS total,
               coalesce(h.buckets, '{}') AS buckets, coalesce(h.counts, '{}') AS counts
          FROM delta d
          LEFT JOIN old o USING (series_id, grain, starts_on, known_on)
          LEFT JOIN histogram h USING (series_id, grain, starts_on, known_on)
    ), kept AS (
        INSERT INTO rollup (series_id, business_unit, grain, starts_on, known_on, n, negative, total, buckets, counts)
        SELECT series_id, business_unit, grain, starts_on, known_on, n, negative, total, buckets, counts
          FROM whole WHERE n <> 0 OR negative <> 0 OR total <> 0 OR buckets <> '{}'
        ON CONFLICT (series_id, grain, starts_on, known_on) DO UPDATE
           SET n = excluded.n, negative = excluded.negative, total = excluded.total, buckets = excluded.buckets, counts = excluded.counts
    ), emptied AS (
        DELETE FROM rollup r USING whole w
         WHERE (r.series_id, r.grain, r.starts_on, r.known_on) = (w.series_id, w.grain, w.starts_on, w.known_on)
           AND w.n = 0 AND w.negative = 0 AND w.total = 0 AND w.buckets = '{}'
    )
    SELECT count(*) INTO differing FROM piece;
    RETURN differing;
END $$;
REVOKE ALL ON FUNCTION add_to_rollups(rollup_contribution[], date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_to_rollups(rollup_contribution[], date) TO finsync_engine;

DO $$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY['rollup_series', 'rollup', 'document_milestone', 'journey', 'objective_result']
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', guarded);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY engine_sees_all ON %I TO finsync_engine USING (true) WITH CHECK (true)', guarded);
        EXECUTE format('CREATE POLICY session_sees_its_units ON %I FOR SELECT TO finsync_app
            USING ((SELECT session_sees_all()) OR business_unit = ANY ((SELECT session_units())::text[]))', guarded);
    END LOOP;
END $$;
GRANT SELECT, INSERT, UPDATE, DELETE ON rollup, document_milestone, journey, objective_result TO finsync_engine;
GRANT SELECT, INSERT ON rollup_series TO finsync_engine;
GRANT SELECT, UPDATE ON rollup_closed TO finsync_engine;
GRANT SELECT, INSERT, DELETE ON rollup_begun TO finsync_engine;
GRANT SELECT ON rollup_series, rollup, rollup_begun, rollup_closed, document_milestone, journey, objective_result TO finsync_app;
