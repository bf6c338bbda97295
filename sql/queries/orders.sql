-- The moments of orders (sync_engine/insight/orders.py). Only the folder writes here, in its own transaction.

-- name: told(recordings, first_at, last_at, also)!
-- The orders of which this batch, or news of the documents in :also, tells something: those documents themselves, the orders of a
-- requisition's family, and those that an invoice bills.
WITH e AS MATERIALIZED (
    SELECT e.recording_id, e.ordinal, e.recorded_at, e.document_id FROM event e WHERE e.recording_id = ANY (:recordings::uuid[]) AND e.recorded_at BETWEEN :first_at AND :last_at
), met AS MATERIALIZED (
    SELECT d.document_id, d.document_type, d.correlation_id, d.business_unit
      FROM (SELECT document_id FROM e
            UNION
            SELECT o.document_id FROM e JOIN event_object o USING (recording_id, ordinal, recorded_at)
            UNION
            SELECT unnest(:also::uuid[])) m
      JOIN document d USING (document_id)
)
INSERT INTO order_told (document_id, business_unit)
SELECT document_id, business_unit FROM met WHERE document_type = 'purchase_order'
UNION
-- Looked up for each family: while little is known of the documents, a join reads all orders there are for each of them.
SELECT d.document_id, d.business_unit
  FROM met m CROSS JOIN LATERAL (SELECT * FROM document f WHERE f.correlation_id = m.correlation_id OFFSET 0) d
 WHERE m.document_type = 'requisition' AND d.document_type = 'purchase_order'
UNION
SELECT d.document_id, d.business_unit FROM met m JOIN order_movement b ON b.source_document_id = m.document_id AND b.kind = 'billed' JOIN document d ON d.document_id = b.order_document_id
ON CONFLICT (document_id) DO UPDATE SET business_unit = excluded.business_unit WHERE order_told.business_unit <> excluded.business_unit;

-- name: keep(most)$
-- Look at :most of these orders anew; answers how many there were.
WITH told AS MATERIALIZED (
    DELETE FROM order_told WHERE document_id = ANY (ARRAY(SELECT document_id FROM order_told LIMIT :most)) RETURNING document_id
), fact AS MATERIALIZED (
    SELECT f.* FROM told t JOIN order_moment_fact f USING (document_id)
), gone AS (
    DELETE FROM order_moment k USING told t WHERE k.document_id = t.document_id AND NOT EXISTS (SELECT FROM fact f WHERE f.document_id = t.document_id)
), kept AS (
    INSERT INTO order_moment AS k (document_id, source, business_unit, first_at, group_amount, requisition_at, approved_at, ordered_at, goods_at, invoice_at, needs_goods, has_contract, pattern)
    SELECT document_id, source, business_unit, first_at, group_amount, requisition_at, approved_at, ordered_at, goods_at, invoice_at, needs_goods, has_contract, pattern FROM fact
    ON CONFLICT (document_id) DO UPDATE
       SET source = excluded.source, business_unit = excluded.business_unit, first_at = excluded.first_at, group_amount = excluded.group_amount, requisition_at = excluded.requisition_at,
           approved_at = excluded.approved_at, ordered_at = excluded.ordered_at, goods_at = excluded.goods_at, invoice_at = excluded.invoice_at, needs_goods = excluded.needs_goods,
           has_contract = excluded.has_contract, pattern = excluded.pattern
     WHERE (k.source, k.business_unit, k.first_at, k.group_amount, k.requisition_at, k.approved_at, k.ordered_at, k.goods_at, k.invoice_at, k.needs_goods, k.has_contract)
           IS DISTINCT FROM (excluded.source, excluded.business_unit, excluded.first_at, excluded.group_amount, excluded.requisition_at, excluded.approved_at, excluded.ordered_at,
                             excluded.goods_at, excluded.invoice_at, excluded.needs_goods, excluded.has_contract)
)
SELECT count(*) FROM told;

-- name: forget(source)!
-- Nothing is known of the orders of a log (NULL: of any) that its events do not say again.
WITH told AS (DELETE FROM order_told t WHERE NOT EXISTS (SELECT FROM document d WHERE d.document_id = t.document_id))
DELETE FROM order_moment WHERE :source::text IS NULL OR source = :source;
