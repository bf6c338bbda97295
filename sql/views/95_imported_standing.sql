-- How the documents of an imported log stand as of its last event whose time can be right: such a log does not go on. Peers are the
-- stays of the same type in the same stage that ended in the log, of the units that the session sees; a stay whose beginning or end cannot be right
-- is none. level: ended (at a final stage), stuck or watch (longer than 95 or 85 % of 30 peers or more), moving, unknown (fewer peers,
-- or it is not known since when it stands there). pace: the share of its peers that were shorter, by whole percents. What events of others only name
-- stands nowhere and is not in it.
DROP FUNCTION IF EXISTS imported_standing(text);

CREATE FUNCTION imported_standing(log text)
RETURNS TABLE (document_id uuid, document_type text, number text, business_unit text, state text, state_since timestamptz, as_of timestamptz, age_s float8, level text, pace float8,
               peers bigint, p50_s float8, p85_s float8, p95_s float8)
LANGUAGE sql STABLE PARALLEL RESTRICTED  -- without a path of its own, so that it is planned as part of the statement
AS $$
    WITH last AS MATERIALIZED (
        SELECT e.event_at AS as_of FROM event e WHERE e.source = log AND e.source <> 'finsync' AND NOT e.attributes ? 'suspect' ORDER BY e.event_at DESC LIMIT 1
    ), doubtful AS MATERIALIZED (
        SELECT DISTINCT e.document_id, e.event_at FROM event e WHERE e.source = log AND e.source <> 'finsync' AND e.attributes ? 'suspect'
    ), peer AS MATERIALIZED (
        SELECT e.document_type, e.state_from AS state, count(*) AS peers,
               percentile_cont(ARRAY(SELECT n / 100.0 FROM generate_series(1, 99) AS n)::float8[]) WITHIN GROUP (ORDER BY extract(epoch FROM e.event_at - e.state_from_since)::float8) AS p
          FROM event e LEFT JOIN doubtful b ON b.document_id = e.document_id AND b.event_at = e.state_from_since
         WHERE e.source = log AND e.source <> 'finsync' AND e.state_from <> e.state_to AND e.event_at >= e.state_from_since AND NOT e.attributes ? 'suspect' AND b.document_id IS NULL
         GROUP BY 1, 2
    ), stands AS (
        SELECT d.document_id, d.document_type, d.number, d.business_unit, d.state, d.state_since, d.closed_at, l.as_of,
               CASE WHEN b.document_id IS NULL AND d.state_since <= l.as_of THEN extract(epoch FROM l.as_of - d.state_since)::float8 END AS age_s, coalesce(r.peers, 0) AS peers, r.p
          FROM document_path w JOIN document d USING (document_id) CROSS JOIN last l
          LEFT JOIN peer r ON r.document_type = d.document_type AND r.state = d.state
          LEFT JOIN doubtful b ON b.document_id = d.document_id AND b.event_at = d.state_since
         WHERE w.source = log AND d.last_event_at IS NOT NULL
    )
    SELECT s.document_id, s.document_type, s.number, s.business_unit, s.state, s.state_since, s.as_of, s.age_s,
           CASE WHEN s.closed_at IS NOT NULL THEN 'ended' WHEN s.peers < 30 OR s.age_s IS NULL THEN 'unknown'
                WHEN s.age_s > s.p[95] THEN 'stuck' WHEN s.age_s > s.p[85] THEN 'watch' ELSE 'moving' END,
           CASE WHEN s.closed_at IS NULL AND s.peers >= 30 THEN width_bucket(s.age_s, s.p) / 100.0::float8 END, s.peers, s.p[50], s.p[85], s.p[95]
      FROM stands s
$$;
