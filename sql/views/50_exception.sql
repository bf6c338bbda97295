-- Exceptions with their document, for rates and the queue. One document with forty retries is one exception and forty attempts.
CREATE VIEW exception WITH (security_invoker = true) AS
SELECT c.*, d.title, d.supplier_name, d.requester, d.state, d.approval_status, d.posting_status, d.need_by_on, b.calendar,
       extract(epoch FROM coalesce(c.closed_at, c.raised_at) - c.raised_at) AS open_s
  FROM exception_case c
  LEFT JOIN document d ON d.document_id = c.document_id
  LEFT JOIN business_unit b ON b.code = c.business_unit;
