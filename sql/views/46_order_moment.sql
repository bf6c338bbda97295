-- What the maverick scenarios compare, worked out from scratch: the moments of an order, each the first of its kind, by the system where it
-- happened: the requisition, its approval, the order accepted by the ERP, goods, and invoice. needs_goods: a line of it is matched
-- three ways; has_contract: every line names one; NULLs where the order's payload is not known. What the table order_moment keeps.
CREATE VIEW order_moment_fact WITH (security_invoker = true) AS
SELECT m.*, (m.requisition_at IS NOT NULL)::int + 2 * (m.approved_at IS NOT NULL)::int + 4 * (m.ordered_at IS NOT NULL)::int + 8 * (m.goods_at IS NOT NULL)::int + 16 * (m.invoice_at IS NOT NULL)::int
       + 32 * coalesce(m.needs_goods::int, 2) + 128 * coalesce(m.has_contract::int, 2)
       + 512 * coalesce(m.goods_at < m.ordered_at, false)::int + 1024 * coalesce(m.goods_at < m.approved_at, false)::int + 2048 * coalesce(m.invoice_at < m.goods_at, false)::int
       + 4096 * coalesce(m.invoice_at < m.requisition_at, false)::int + 8192 * coalesce(m.invoice_at < m.ordered_at, false)::int + 16384 * coalesce(m.invoice_at < m.approved_at, false)::int AS pattern
  FROM (SELECT p.document_id, p.source, p.business_unit, p.first_at, d.group_amount, r.requisition_at, r.approved_at, o.ordered_at, o.goods_at, i.invoice_at, l.needs_goods, l.has_contract
          FROM document_path p
          JOIN document d USING (document_id)
         CROSS JOIN LATERAL (
             SELECT min(u.at) FILTER (WHERE u.activity = 'order_accepted') AS ordered_at, min(u.at) FILTER (WHERE u.activity IN ('goods_received', 'goods_received_in_full')) AS goods_at
               FROM unnest(p.activities, p.times) AS u(activity, at)) o
         CROSS JOIN LATERAL (
             SELECT min(x.first_at) AS requisition_at, min(u.at) FILTER (WHERE u.activity IN ('approval_completed', 'procurement_approved')) AS approved_at
               FROM document f JOIN document_path x USING (document_id)
              CROSS JOIN LATERAL unnest(x.activities, x.times) AS u(activity, at)
              WHERE f.correlation_id = d.correlation_id AND f.document_type = 'requisition') r
         CROSS JOIN LATERAL (
             SELECT min(x.first_at) AS invoice_at
               FROM order_movement m JOIN document_path x ON x.document_id = m.source_document_id
              WHERE m.order_document_id = p.document_id AND m.kind = 'billed') i
          LEFT JOIN LATERAL (
             SELECT bool_or((line->>'receipt_required')::boolean) AS needs_goods, bool_and(coalesce(line->>'contract', '') <> '') AS has_contract
               FROM document_payload y CROSS JOIN LATERAL jsonb_array_elements(y.canonical->'lines') AS line
              WHERE y.document_id = p.document_id AND y.payload_version = d.payload_version) l ON true
         WHERE p.document_type = 'purchase_order') m;
