-- The steps of a path: from which activity ('' where it begins), how many seconds after it (below zero where clocks contradict each
-- other), and whether it is the first time ever that the document did this activity, or took this step. One definition for what is kept of
-- a day and for what a question works out by itself. is_repeated: it did something twice; most did not, and need no looking back.
DROP FUNCTION IF EXISTS path_steps(text[], timestamptz[], boolean);
CREATE FUNCTION path_steps(activities text[], times timestamptz[], is_repeated boolean)
RETURNS TABLE (nth bigint, from_activity text, activity text, at timestamptz, s numeric, is_first boolean, is_first_way boolean)
LANGUAGE sql IMMUTABLE PARALLEL SAFE  -- without a path of its own, so that it is planned as part of the statement
AS $$
    SELECT u.nth, coalesce(activities[u.nth - 1], ''), u.activity, u.at, extract(epoch FROM u.at - times[u.nth - 1]), NOT is_repeated OR array_position(activities, u.activity) = u.nth,
           NOT is_repeated OR NOT EXISTS (SELECT FROM generate_series(1, u.nth - 1) AS j WHERE activities[j] = u.activity AND coalesce(activities[j - 1], '') = coalesce(activities[u.nth - 1], ''))
      FROM unnest(activities, times) WITH ORDINALITY AS u(activity, at, nth)
$$;
