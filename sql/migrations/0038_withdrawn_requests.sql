-- Requests for approval of documents that have ended or changed since were left open until now: they are withdrawn like those to come. The
-- owner is bound by FORCE, and would see none of them.
ALTER TABLE document NO FORCE ROW LEVEL SECURITY;
ALTER TABLE event NO FORCE ROW LEVEL SECURITY;
ALTER TABLE intent NO FORCE ROW LEVEL SECURITY;
ALTER TABLE work_item NO FORCE ROW LEVEL SECURITY;
INSERT INTO work_item (work_item_id, document_id, subject_id, business_unit, flow, step, system, status, due_at, step_since, objective_at, priority, facts, created_at)
SELECT gen_random_uuid(), d.document_id, d.document_id, d.business_unit, 'approval_withdrawal', 'choose_withdrawals', 'finsync', 'due', now(), now(), now() + interval '1 day', 200, '{}', now()
  FROM (SELECT i.document_id, min(i.first_sent_at) AS asked_at FROM intent i WHERE i.operation IN ('request_approval', 'request_match_review') GROUP BY i.document_id) a
  JOIN document d USING (document_id)
 WHERE d.state IN ('cancelled', 'rejected')
    OR EXISTS (SELECT FROM event e WHERE e.document_id = a.document_id AND e.activity = 'changed' AND e.recorded_at > a.asked_at);
ALTER TABLE document FORCE ROW LEVEL SECURITY;
ALTER TABLE event FORCE ROW LEVEL SECURITY;
ALTER TABLE intent FORCE ROW LEVEL SECURITY;
ALTER TABLE work_item FORCE ROW LEVEL SECURITY;
