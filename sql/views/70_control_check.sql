-- What each control looked at, what it objected to, and what a person let pass all the same: one row per document, control and
-- verdict ('evaluated', 'objected', 'overridden'), with when, who and why. A document that was objected to was evaluated too.
-- Waiting for goods is no objection. An override is an exception accepted with a reason, or a match approved in review.
CREATE VIEW control_check WITH (security_invoker = true) AS
WITH control (control, step, codes) AS (VALUES
    ('Budget',                          'check_policies',       ARRAY['budget_exceeded', 'budget_conflict']),
    ('Duplicate orders',                'check_policies',       ARRAY['duplicate_order']),
    ('Approval threshold',              'check_policies',       ARRAY[]::text[]),
    ('Segregation of duties',           'check_segregation',    ARRAY['segregation_of_duties']),
    ('Supplier is known and ready',     'validate_requisition', ARRAY['supplier_unknown', 'supplier_not_ready']),
    ('Duplicate invoices',              'check_duplicate',      ARRAY['duplicate_invoice']),
    ('Three-way match',                 'match_invoice',        ARRAY['quantity_variance', 'price_variance', 'amount_variance', 'date_variance']),
    ('Duplicate suppliers',             'exclude_duplicates',   ARRAY['supplier_duplicate']),
    ('Supplier tax number',             'validate_supplier',    ARRAY['supplier_tax_invalid'])
)
SELECT c.control, 'evaluated' AS verdict, e.document_id, e.business_unit, e.recorded_at AS happened_at, e.actor, '' AS code, '' AS said, NULL::uuid AS case_id
  FROM event e JOIN control c ON c.step = e.step
 WHERE e.activity NOT IN ('receipt_awaited', 'exception_closed', 'reprocessing_asked')
UNION ALL
SELECT c.control, 'objected', x.document_id, x.business_unit, x.raised_at, '', x.code, x.message, x.case_id
  FROM exception_case x JOIN control c ON c.step = x.step AND x.code = ANY (c.codes)
UNION ALL
-- This control does not stop a document: it sends it to more people.
SELECT 'Approval threshold',              'objected', e.document_id, e.business_unit, e.recorded_at, '', '', 'more approvers were asked', NULL
  FROM event e WHERE e.activity = 'approval_requested'
UNION ALL
SELECT k.control, 'overridden', x.document_id, x.business_unit, c.settled_at, c.actor, x.code, c.reason, x.case_id
  FROM command c
  JOIN exception_case x ON x.case_id = (c.arguments->'cases'->0->>'case_id')::uuid
  JOIN control k ON k.step = x.step AND x.code = ANY (k.codes)
 WHERE c.action = 'accept' AND c.status = 'done'
UNION ALL
SELECT 'Three-way match', 'overridden', e.document_id, e.business_unit, e.recorded_at, decider(e.actor), coalesce(x.code, ''), 'accepted in review', x.case_id
  FROM event e
  JOIN control k ON k.control = 'Three-way match'
  LEFT JOIN LATERAL (SELECT c.code, c.case_id FROM exception_case c
                      WHERE c.document_id = e.document_id AND c.step = k.step AND c.code = ANY (k.codes) AND c.raised_at <= e.recorded_at
                      ORDER BY c.raised_at DESC LIMIT 1) x ON true
 WHERE e.activity = 'review_approved';
