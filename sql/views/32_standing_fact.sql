-- What decides how an open document stands, worked out from scratch: what the table standing keeps of it. A requisition whose orders
-- have been drafted counts through its orders: the same money stands still once, not twice.
CREATE VIEW standing_fact WITH (security_invoker = true) AS
SELECT hashtextextended(concat_ws(chr(31), d.document_type, d.state, d.business_unit, d.source_system, d.asks, d.reason, coalesce(d.owner_team, chr(30)), coalesce(d.case_code, chr(30)),
                                  d.is_taken::text, d.rule::text, coalesce(d.band::text, chr(30))), 0) AS kind_id,
       hashtextextended(concat_ws(chr(31), d.document_type, d.state, d.business_unit), 0) AS stage_id,
       d.document_type, d.state, d.business_unit, d.source_system, d.asks, d.reason, d.rule, d.owner_team, d.case_code, d.is_taken, d.band,
       d.document_id, d.group_amount, d.state_since, d.last_event_at AS heard_at, d.other_at,
       -- Looked up, not joined: the planner keeps up with few tables only, and a fold asks for few documents.
       coalesce((SELECT i.worked_before_s + extract(epoch FROM least(d.state_since, i.closes_at) - i.opens_at)
                   FROM calendar_interval i WHERE i.calendar = d.calendar AND i.opens_at <= d.state_since ORDER BY i.opens_at DESC LIMIT 1), 0)::float8 AS since_worked_s,
       coalesce((SELECT i.worked_before_s + extract(epoch FROM least(d.other_at, i.closes_at) - i.opens_at)
                   FROM calendar_interval i WHERE i.calendar = d.calendar AND i.opens_at <= d.other_at AND d.other_at < 'infinity' ORDER BY i.opens_at DESC LIMIT 1), 0)::float8 AS other_worked_s
  FROM (SELECT o.*, coalesce(o.system, o.source_system) AS asks, o.owner IS NOT NULL AS is_taken, width_bucket(o.group_amount, ARRAY[1000, 10000, 100000]::numeric[])::smallint AS band,
               CASE WHEN o.case_blocks THEN 1 WHEN o.reason IN ('waiting for goods', 'waiting for payment') THEN 2 WHEN o.reason = 'waiting for the invoice' THEN 3 ELSE 4 END::smallint AS rule,
               coalesce(CASE WHEN o.case_blocks THEN o.case_raised_at
                             WHEN o.reason = 'waiting for goods' THEN (o.need_by_on + 1)::timestamp AT TIME ZONE 'UTC'
                             WHEN o.reason = 'waiting for payment' THEN (o.due_on + 1)::timestamp AT TIME ZONE 'UTC'
                             WHEN o.reason <> 'waiting for the invoice' THEN o.objective_at END, 'infinity') AS other_at
          FROM open_document o
         WHERE o.document_type <> 'requisition' OR o.state <> 'ordering') d;
