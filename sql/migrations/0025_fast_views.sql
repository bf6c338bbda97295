-- The pages' questions at ten million events: percentiles without a query of their own for each histogram, and the decisions of a
-- period, or of a person, without every event.

-- Percentiles of a histogram, as percentile_cont would answer them from the durations themselves, to 1 %. NULLs without durations.
-- A walk over the counts: a page asks this of hundreds of short histograms, and a query for each costs more than the histogram.
CREATE OR REPLACE FUNCTION rollup_percentiles(buckets smallint[], counts integer[], shares float8[]) RETURNS float8[]
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
AS $$
DECLARE
    size integer := coalesce(cardinality(buckets), 0);
    n bigint := 0;
    held integer;
    share float8;
    rank float8;
    place integer := 0;   -- up to which bucket has been counted
    up_to bigint := 0;    -- and how many durations that are
    higher integer;
    higher_up_to bigint;
    low float8;
    high float8;
    answer float8[] := '{}';
BEGIN
    FOREACH held IN ARRAY coalesce(counts, '{}') LOOP
        n := n + held;
    END LOOP;
    FOREACH share IN ARRAY shares LOOP
        IF n = 0 THEN
            answer := answer || NULL::float8;
            CONTINUE;
        END IF;
        rank := share * (n - 1)::float8;
        IF place > 0 AND up_to - counts[place] > floor(rank) THEN
            place := 0;
            up_to := 0;
        END IF;
        WHILE up_to <= floor(rank) AND place < size LOOP
            place := place + 1;
            up_to := up_to + counts[place];
        END LOOP;
        higher := place;
        higher_up_to := up_to;
        WHILE higher_up_to <= ceil(rank) AND higher < size LOOP
            higher := higher + 1;
            higher_up_to := higher_up_to + counts[higher];
        END LOOP;
        low := rollup_duration(buckets[place]);
        high := rollup_duration(buckets[higher]);
        answer := answer || (low + (high - low) * (rank - floor(rank)));
    END LOOP;
    RETURN nullif(answer, '{}');
END $$;

-- A log of its own is never another's: what the edges of a period say of ours is not looked for among the events of others.
ALTER FUNCTION rolled(text, text[], text[], text[], timestamptz, timestamptz, text, text, text[], date) SET constraint_exclusion = on;

-- Who decided what: one event in twenty. The newest are read first, and nobody's name is looked for in all the others.
CREATE INDEX event_decided ON event (recorded_at DESC, document_id, seq)
 WHERE activity IN ('approval_completed', 'approval_refused', 'procurement_rejected', 'review_approved', 'review_refused', 'change_approved', 'change_refused_by_approver', 'approval_contradicted');
