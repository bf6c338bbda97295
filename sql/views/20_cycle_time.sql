-- The journey of each requisition from first submit to the order at the supplier and to the posting of its invoices.
-- Start: first submit, by the source; resubmitting does not set it back. Stops, each named: approved (last decision),
-- order_number (the ERP's number exists for the last of its orders), ordered (that number is back in procurement: the order
-- can go out), received and invoiced (the last delivery and the last invoice so far), posted (the last invoice so far is in the
-- ledger). NULL: not reached yet. Wall seconds and business seconds of the unit's calendar, weekends and holidays left out of
-- the latter only; seconds between clocks that contradict each other are negative, never clipped.
CREATE VIEW cycle_time WITH (security_invoker = true) AS
WITH stop AS (
    SELECT r.document_id,
           min(e.event_at) FILTER (WHERE e.activity = 'approval_completed' AND e.document_id = r.document_id) AS approved_at,
           max(e.event_at) FILTER (WHERE e.activity = 'order_accepted') AS order_number_at,
           min(e.event_at) FILTER (WHERE e.activity = 'orders_confirmed' AND e.document_id = r.document_id) AS ordered_at,
           max(e.event_at) FILTER (WHERE e.activity IN ('goods_received', 'goods_received_in_full')) AS received_at,
           max(e.event_at) FILTER (WHERE e.activity = 'invoice_received') AS invoiced_at,
           max(e.event_at) FILTER (WHERE e.activity IN ('invoice_posted', 'invoice_blocked')) AS posted_at
      FROM document r
      JOIN document f ON f.correlation_id = r.correlation_id
      JOIN event e ON e.document_id = f.document_id
                  AND e.activity IN ('approval_completed', 'order_accepted', 'orders_confirmed', 'goods_received', 'goods_received_in_full',
                                     'invoice_received', 'invoice_posted', 'invoice_blocked')
     WHERE r.document_type = 'requisition' AND r.source = 'finsync' AND NOT r.is_test
     GROUP BY r.document_id
)
SELECT r.document_id, r.number, r.business_unit, r.requester, r.supplier_name, r.state, r.approval_status, r.posting_status, r.group_amount, r.currency, r.amount,
       r.submitted_at, s.approved_at, s.order_number_at, s.ordered_at, s.received_at, s.invoiced_at, s.posted_at, r.closed_at, b.calendar,
       extract(epoch FROM s.approved_at - r.submitted_at) AS to_approved_s,
       extract(epoch FROM s.ordered_at - r.submitted_at) AS to_ordered_s,
       CASE WHEN s.ordered_at IS NOT NULL THEN coalesce(o.worked_s, 0) - coalesce(v.worked_s, 0) END AS to_ordered_business_s,
       extract(epoch FROM s.posted_at - r.submitted_at) AS to_posted_s,
       CASE WHEN s.posted_at IS NOT NULL THEN coalesce(p.worked_s, 0) - coalesce(v.worked_s, 0) END AS to_posted_business_s,
       extract(epoch FROM s.ordered_at - s.approved_at) AS approved_to_ordered_s,
       CASE WHEN s.ordered_at IS NOT NULL AND s.approved_at IS NOT NULL THEN coalesce(o.worked_s, 0) - coalesce(a.worked_s, 0) END AS approved_to_ordered_business_s
  FROM document r
  JOIN business_unit b ON b.code = r.business_unit
  LEFT JOIN stop s USING (document_id)
  -- worked_s(calendar, moment), written out: as a function it costs a plan per row and moment.
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(r.submitted_at, i.closes_at) - i.opens_at) AS worked_s
        FROM calendar_interval i WHERE i.calendar = b.calendar AND i.opens_at <= r.submitted_at ORDER BY i.opens_at DESC LIMIT 1) v ON true
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(s.approved_at, i.closes_at) - i.opens_at) AS worked_s
        FROM calendar_interval i WHERE i.calendar = b.calendar AND i.opens_at <= s.approved_at ORDER BY i.opens_at DESC LIMIT 1) a ON true
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(s.ordered_at, i.closes_at) - i.opens_at) AS worked_s
        FROM calendar_interval i WHERE i.calendar = b.calendar AND i.opens_at <= s.ordered_at ORDER BY i.opens_at DESC LIMIT 1) o ON true
  LEFT JOIN LATERAL (
      SELECT i.worked_before_s + extract(epoch FROM least(s.posted_at, i.closes_at) - i.opens_at) AS worked_s
        FROM calendar_interval i WHERE i.calendar = b.calendar AND i.opens_at <= s.posted_at ORDER BY i.opens_at DESC LIMIT 1) p ON true
 WHERE r.document_type = 'requisition' AND r.source = 'finsync' AND NOT r.is_test;
